//! Comparison with the vendors' official schemas and recorded replies, which live beside the project.

pub mod pve_schema;

use std::path::PathBuf;

/// A file of the contracts: from `HOSTWRIGHT_CONTRACTS`, else beside the project. `None`, loudly, when it is
/// not there.
pub fn contract(name: &str) -> Option<Vec<u8>> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts");
    let folder = std::env::var_os("HOSTWRIGHT_CONTRACTS").map_or_else(beside, PathBuf::from);
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            eprintln!("SKIPPED: the comparison with {name} needs that file: {error}");
            None
        }
    }
}
