//! Tests of the whole: processes, real HTTP, simulators.

// Clippy's own exception for tests does not reach the functions that tests share.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod admin;
