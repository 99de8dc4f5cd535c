//! What the simulators of other programs may ask the simulated cluster: who has an address, does it run, is
//! WordPress in it. The installer's SSH server writes here, the reverse proxy reads.

use std::net::Ipv4Addr;

/// WordPress as it stands inside a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The public name that it was installed for.
    pub host: String,
    /// The web installer is finished; before that, strangers meet `install.php`.
    pub setup_finished: bool,
    /// The headline of its front page, which its owner writes. It becomes a part of the page as it is.
    pub headline: String,
}

impl Installed {
    /// A WordPress as it is after its installation.
    pub fn fresh(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            setup_finished: true,
            headline: "Hello world!".to_owned(),
        }
    }
}

/// The containers of a simulated cluster, as seen from the network and from the nodes.
pub trait ContainerDirectory: Send + Sync {
    /// The running container that has this static address; the lowest number when several claim it.
    fn running_at(&self, address: Ipv4Addr) -> Option<u32>;

    /// The node that a container is on now, and whether it runs. `None` when there is no such container.
    fn on_node(&self, vmid: u32) -> Option<(String, bool)>;

    /// Notes what is installed in a container; nothing happens when there is no such container. A snapshot
    /// keeps the note, a rollback brings the snapshot's back, destruction drops it.
    fn set_installed(&self, vmid: u32, installed: Installed);

    /// What is installed in a container.
    fn installed(&self, vmid: u32) -> Option<Installed>;
}
