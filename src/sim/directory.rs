//! What other simulators may ask of the containers.

use std::net::Ipv4Addr;

/// WordPress in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The name that it was set up for.
    pub host: String,
    /// Its installer has been finished, so that no stranger can do it.
    pub setup_finished: bool,
}

/// The containers as the machines around them see them.
pub trait ContainerDirectory: Send + Sync {
    /// The container that runs with this address.
    fn running_at(&self, address: Ipv4Addr) -> Option<u32>;
    /// The node that a container is on, and whether it runs.
    fn on_node(&self, vmid: u32) -> Option<(String, bool)>;
    /// Notes what was installed in a container.
    fn set_installed(&self, vmid: u32, installed: Installed);
    /// What is installed in a container.
    fn installed(&self, vmid: u32) -> Option<Installed>;
}
