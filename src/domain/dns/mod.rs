//! DNS records as values in canonical form: two that mean the same are equal, on every back-end.

mod data;
mod name;

pub use data::{RecordData, RecordKind, RecordSpec, Target};
pub use name::RecordName;
