//! The suites that run against the simulators, in one program so that it is linked once.

mod npm_transcripts;
mod reverse_proxy;
