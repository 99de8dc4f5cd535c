//! Where containers live: a cluster of nodes that creates, starts, snapshots and destroys them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::ProviderError;
use super::health::HealthCheck;
use crate::domain::{DnsLabel, Gib, Mib, ObjectUid, OwnerMark, Vmid};

/// Name of the snapshot that every finished site has.
pub const INITIAL_SNAPSHOT: &str = "initial";

/// Opaque id of a long-running task, in the back-end's own form. Kept in status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TaskId(pub String);

/// What a task does to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Creates it.
    Create,
    /// Starts it.
    Start,
    /// Shuts it down or stops it.
    Stop,
    /// Shuts it down and starts it again.
    Restart,
    /// Grows its disk.
    Resize,
    /// Takes a snapshot.
    Snapshot,
    /// Deletes a snapshot.
    DeleteSnapshot,
    /// Rolls it back to a snapshot.
    Rollback,
    /// Destroys it.
    Destroy,
    /// Restores it from an archive.
    Recover,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Not finished.
    Running,
    /// Finished; `true` when it ended with warnings. A read-back must still agree.
    Succeeded {
        /// The back-end ended it with warnings.
        warnings: bool,
    },
    /// Ended with this sentence.
    Failed(String),
    /// The back-end does not know it (any more, or not yet).
    Unknown,
}

/// A task found in the back-end's own list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    /// Its id.
    pub id: TaskId,
    /// When it began.
    pub started_at: Timestamp,
    /// Where it stands.
    pub state: TaskState,
}

/// One line of the bulk read. Cheap, up to some ten seconds old, and without the authoritative mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSummary {
    /// The node it is on now.
    pub node: String,
    /// A container, as opposed to a virtual machine.
    pub is_container: bool,
    /// `None` while the back-end has no statistics of it.
    pub running: Option<bool>,
    /// The owner that its tag for people suggests. A hint: only the mark in [`Container`] decides.
    pub owner_hint: Option<ObjectUid>,
    /// Memory limit.
    pub memory: Mib,
    /// The word of the configuration lock, if one is held.
    pub lock: Option<String>,
    /// What it uses; `None` while the back-end has no statistics of it or it does not run.
    pub usage: Option<Usage>,
}

/// What a container uses, by the statistics of the back-end, which are up to some ten seconds old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Thousandths of all its cores.
    pub cpu_permille: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Root disk in bytes.
    pub disk_bytes: u64,
    /// Size of the file system on its root disk in bytes, where the back-end tells it.
    pub disk_size_bytes: Option<u64>,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
}

/// One node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSummary {
    /// Takes work.
    pub online: bool,
    /// Physical memory.
    pub memory: Mib,
    /// Processor threads.
    pub cores: u32,
}

/// The whole cluster in one read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Every guest, also virtual machines and other people's.
    pub guests: BTreeMap<Vmid, GuestSummary>,
    /// Every node that new containers may be placed on.
    pub nodes: BTreeMap<String, NodeSummary>,
}

/// One container, read precisely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its number.
    pub id: Vmid,
    /// The node it is on now.
    pub node: String,
    /// Whose it is. `None` for somebody else's, or while the creation hides the mark.
    pub mark: Option<OwnerMark>,
    /// Whether it runs.
    pub running: bool,
    /// The word of the configuration lock, if one is held (`create`, `snapshot`, `destroyed` …).
    pub lock: Option<String>,
    /// Host name as configured.
    pub hostname: String,
    /// Static address of its first interface.
    pub address: Option<Ipv4Addr>,
    /// Memory limit.
    pub memory: Mib,
    /// Swap.
    pub swap: Mib,
    /// Processor cores.
    pub cores: u32,
    /// Size of its root disk.
    pub disk: Gib,
    /// Its tags or start at boot are not what a container of ours is created with, so that
    /// [`ContainerHost::configure`] would change them. The host name is the caller's to compare. `false` for what
    /// carries no mark.
    pub deviates: bool,
    /// The same of its network, as that of its own address: whether the address is the right one is the caller's to
    /// compare.
    pub network_deviates: bool,
    /// What it uses, if it runs.
    pub usage: Option<Usage>,
    /// Its place in the high-availability management, if it has one.
    pub high_availability: Option<HighAvailability>,
}

/// How high availability treats a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HighAvailability {
    /// Wanted state.
    pub requested: HaState,
    /// The manager gave up on it and must be told `Disabled` before anything else works.
    pub error: bool,
    /// The placement rule or group that the Provider asks for is in place.
    pub placed: bool,
}

/// State that is requested of the high-availability manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HaState {
    /// Keep it running.
    Started,
    /// Keep it stopped.
    Stopped,
    /// Hands off and clear errors.
    Disabled,
    /// Managed, but not acted upon.
    Ignored,
}

/// What a new container shall be. Bridge, storage, template and name servers come from the Provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Its number, reserved before.
    pub id: Vmid,
    /// The node to create it on.
    pub node: String,
    /// Its host name.
    pub hostname: DnsLabel,
    /// Its static address; prefix length and gateway come from the Provider's pool.
    pub address: Ipv4Addr,
    /// Memory limit.
    pub memory: Mib,
    /// Swap.
    pub swap: Mib,
    /// Processor cores.
    pub cores: u32,
    /// Root disk.
    pub disk: Gib,
    /// Owner, written into the description and as a tag.
    pub mark: OwnerMark,
    /// Values for the first boot of a golden template, where the back-end can pass them.
    pub environment: BTreeMap<String, String>,
}

/// What a container shall be that exists: everything of a [`ContainerSpec`] that can be changed without a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSettings {
    /// Its host name; `None` leaves what it has.
    pub hostname: Option<DnsLabel>,
    /// Its static address, and with it the network that creation gives; `None` leaves the network as it is.
    pub address: Option<Ipv4Addr>,
    /// Memory limit.
    pub memory: Mib,
    /// Swap.
    pub swap: Mib,
    /// Processor cores.
    pub cores: u32,
}

/// One snapshot of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its description, where an owner mark may stand.
    pub description: String,
    /// When it was taken.
    pub taken_at: Option<Timestamp>,
    /// Set when a failed task left it half made or half deleted.
    pub broken: Option<String>,
}

/// An archive that a backup job of the hoster made of a container. It outlives the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its id, in the back-end's own form.
    pub id: String,
    /// When the backup was made: what was written later is not in it.
    pub taken_at: Timestamp,
    /// The nodes that can read it.
    pub nodes: BTreeSet<String>,
}

/// A lost container that is restored under its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRestore {
    /// Its number, which must be free.
    pub id: Vmid,
    /// The node to restore it on, one of those that can read the archive.
    pub node: String,
    /// Id of the archive.
    pub archive: String,
    /// Whose the archive must be.
    pub owner: OwnerMark,
}

/// A cluster that runs containers.
///
/// Every method resolves the node itself, for containers move. Methods that begin a task return at once;
/// the caller keeps the id and asks with [`ContainerHost::task`].
#[async_trait]
pub trait ContainerHost: HealthCheck {
    /// The one bulk read.
    async fn survey(&self) -> Result<Survey, ProviderError>;

    /// Static addresses configured in guests, other than those in `except`: what nobody may be given.
    async fn addresses_in_use(&self, except: &BTreeSet<Vmid>) -> Result<BTreeSet<Ipv4Addr>, ProviderError>;

    /// One container, precisely. `None` only when a fresh cluster list has no guest of that number; a
    /// virtual machine of that number is `Conflict`.
    async fn container(&self, id: Vmid) -> Result<Option<Container>, ProviderError>;

    /// Begins to create and then start a container. `Conflict` when the number is taken.
    async fn create(&self, spec: &ContainerSpec) -> Result<TaskId, ProviderError>;

    /// Begins to start it; `None` when it runs already.
    async fn start(&self, id: Vmid) -> Result<Option<TaskId>, ProviderError>;

    /// Begins a shutdown that turns into a stop after a bounded time; `None` when it is stopped already.
    async fn stop(&self, id: Vmid) -> Result<Option<TaskId>, ProviderError>;

    /// Begins a restart: a bounded shutdown and a start. The mark is compared once more right before the call. What
    /// does not run is not restarted: `Conflict`.
    async fn restart(&self, id: Vmid, owner: &OwnerMark) -> Result<TaskId, ProviderError>;

    /// Brings the configuration to `settings`, with the tags, network and start at boot that [`ContainerHost::create`]
    /// gives, beside what other people have added to it; no-op when it is so. `Conflict` when the mark is not
    /// `owner`'s.
    async fn configure(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        settings: &ContainerSettings,
    ) -> Result<(), ProviderError>;

    /// Begins to grow the root disk to `disk`, an absolute size, so that a repetition grows nothing twice; `None` when
    /// it is as large or larger. `Conflict` when the mark is not `owner`'s.
    async fn grow(&self, id: Vmid, owner: &OwnerMark, disk: Gib) -> Result<Option<TaskId>, ProviderError>;

    /// Begins to roll a stopped container back to a snapshot. Its old configuration comes back with it. `NotFound` when
    /// there is no snapshot of that name; `Conflict` when the mark is not `owner`'s, when the container runs, and when
    /// a failed task left the snapshot unfinished.
    async fn roll_back(&self, id: Vmid, owner: &OwnerMark, snapshot: &str) -> Result<TaskId, ProviderError>;

    /// Writes the owner's mark into a container that carries none, without restarting it; fine when it carries this
    /// one, `Conflict` when it carries another.
    async fn adopt(&self, id: Vmid, owner: &OwnerMark) -> Result<(), ProviderError>;

    /// All snapshots, without the pseudo entry for the present.
    async fn snapshots(&self, id: Vmid) -> Result<Vec<Snapshot>, ProviderError>;

    /// Begins a snapshot.
    async fn take_snapshot(&self, id: Vmid, name: &str, description: &str) -> Result<TaskId, ProviderError>;

    /// Begins to delete a snapshot; `None` when there is none of that name.
    async fn delete_snapshot(&self, id: Vmid, name: &str) -> Result<Option<TaskId>, ProviderError>;

    /// Begins to destroy a stopped container with its disks; `None` when it is gone. The mark is compared
    /// once more right before the call; `Conflict` when it is not `owner`'s.
    async fn destroy(&self, id: Vmid, owner: &OwnerMark) -> Result<Option<TaskId>, ProviderError>;

    /// The newest archive of a container of that number which carries the owner's mark; those of others who had the
    /// number are left out. `None` only when all archives there are were looked at: `Denied` while a right to see them is
    /// missing, `Unavailable` while a place is away that may have a newer one.
    async fn newest_archive(&self, id: Vmid, owner: &OwnerMark) -> Result<Option<Archive>, ProviderError>;

    /// Begins to restore a container from an archive under its number, as it was then and without starting it. The
    /// archive's mark is compared once more right before the call. `Conflict` when it is not the owner's, and when the
    /// number is taken: nothing is ever restored over a container.
    async fn restore_archive(&self, restore: &ArchiveRestore) -> Result<TaskId, ProviderError>;

    /// Puts it under high availability with the Provider's placement, in the given state; no-op when it is.
    async fn ensure_high_availability(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        state: HaState,
    ) -> Result<(), ProviderError>;

    /// Takes it out of high availability, its placement rule too; no-op when it is out.
    async fn remove_high_availability(&self, id: Vmid) -> Result<(), ProviderError>;

    /// Where a task stands.
    async fn task(&self, id: &TaskId) -> Result<TaskState, ProviderError>;

    /// Tasks of one kind on one container since a moment, newest first: finds one whose answer was lost.
    async fn tasks_of(
        &self,
        id: Vmid,
        operation: Operation,
        since: Timestamp,
    ) -> Result<Vec<TaskRecord>, ProviderError>;

    /// Volumes that still carry the number after the container is gone.
    async fn leftover_volumes(&self, id: Vmid) -> Result<Vec<String>, ProviderError>;
}
