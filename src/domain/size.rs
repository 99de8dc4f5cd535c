//! Amounts of memory and disk with their unit in the type.

use std::fmt;

/// Memory in MiB (2^20 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mib(pub u32);

/// Disk space in GiB (2^30 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Gib(pub u32);

impl Mib {
    /// Whole MiB of a number of bytes, rounded down.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(u32::try_from(bytes >> 20).unwrap_or(u32::MAX))
    }
}

impl Gib {
    /// Whole GiB of a number of bytes, rounded down.
    pub fn from_bytes(bytes: u64) -> Self {
        Self(u32::try_from(bytes >> 30).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} GiB", self.0)
    }
}
