//! Numbers of guests on a Proxmox cluster.

use std::fmt;

/// Smallest and largest guest number of the API schema (`pve-vmid`, Proxmox VE 8 and 9).
const VMID_MIN: u32 = 100;
const VMID_MAX: u32 = 999_999_999;

/// The number is not a guest number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VmidError {
    /// Outside what Proxmox takes.
    #[error("{0} is not a guest number; Proxmox takes 100 to 999999999")]
    Range(i64),
    /// A range whose end lies before its start.
    #[error("the range {0} to {1} is empty; give the smaller number first")]
    Empty(u32, u32),
}

/// The cluster-wide number of a container or virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vmid(u32);

impl Vmid {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<i64> for Vmid {
    type Error = VmidError;

    fn try_from(number: i64) -> Result<Self, VmidError> {
        match u32::try_from(number) {
            Ok(n) if (VMID_MIN..=VMID_MAX).contains(&n) => Ok(Self(n)),
            _ => Err(VmidError::Range(number)),
        }
    }
}

impl fmt::Display for Vmid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The guest numbers that one Provider may give out, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmidRange {
    first: Vmid,
    last: Vmid,
}

impl VmidRange {
    /// The range from `first` to `last`.
    ///
    /// # Errors
    /// When `last` is smaller than `first`.
    pub fn new(first: Vmid, last: Vmid) -> Result<Self, VmidError> {
        if last < first {
            return Err(VmidError::Empty(first.0, last.0));
        }
        Ok(Self { first, last })
    }

    /// All numbers of the range, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Vmid> + use<> {
        (self.first.0..=self.last.0).map(Vmid)
    }

    /// Whether the number lies within the range.
    pub fn contains(&self, id: Vmid) -> bool {
        (self.first..=self.last).contains(&id)
    }
}

impl fmt::Display for VmidRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.first, self.last)
    }
}
