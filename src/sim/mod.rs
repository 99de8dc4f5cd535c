//! Simulators of the back-ends, over real HTTP, for tests, the demo and the benchmark.
//!
//! They know nothing of the operator: a mistake in a client must not be mirrored here. Each one is a state
//! machine with the quirks of the real program, takes faults at run time and counts its calls.

pub mod cloudflare;
pub mod directory;
pub mod faults;
pub mod ispconfig;
pub mod name_server;
pub mod npm;
pub mod proxmox;
pub mod server;
pub mod ssh;
