//! The suite: everything that is tested over real connections, as one program so that it links once.
// clippy.toml's exceptions for tests reach functions with `#[test]` only, not what they call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod installer;
