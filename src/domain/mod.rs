//! Words of the trade as types: parsed once at the edge, trusted after.
//!
//! Nothing here does I/O, reads a clock, or knows Kubernetes or a vendor.

pub mod dns;

mod address_pool;
mod email;
mod name;
mod names;
mod owner;
mod service_id;
mod size;
mod vmid;

pub use address_pool::{AddressPool, AddressPoolError};
pub use email::{Email, EmailError};
pub use name::{DnsLabel, Fqdn, NameError};
pub use names::Names;
pub use owner::{ClusterId, ObjectUid, OwnerError, OwnerMark};
pub use service_id::{ServiceId, ServiceIdError};
pub use size::{Gib, Mib};
pub use vmid::{Vmid, VmidError, VmidRange};
