//! Hostwright.
fn main() {}
