//! The one integration test program: everything that needs real HTTP or more than one module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod contracts;
mod proxmox;
