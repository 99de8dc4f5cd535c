//! The suites that run against the simulators, in one program so that it is linked once.

mod edge;
mod npm_transcripts;
mod reverse_proxy;
mod reverse_proxy_certificates;
