//! Proxmox VE 8 and 9: containers, snapshots, tasks and high availability over its HTTP API.
//!
//! | file | subject |
//! | --- | --- |
//! | `client.rs` | requests, token, version |
//! | `wire.rs` | JSON, and the texts within it |
//! | `classify.rs` | what a refusal means |
//! | `inventory.rs` | the cluster list, where a container is, what it is |
//! | `lifecycle.rs` | create, start, stop, destroy, snapshots |
//! | `archives.rs` | archives of the backup job, restores from them |
//! | `changes.rs` | restart, settings, growth, rollback, adoption |
//! | `texts.rs` | texts in which others write too |
//! | `tasks.rs` | long-running work |
//! | `high_availability.rs` | resources, rules (9), groups (8) |
//! | `rights.rs` | what the token may do |
//!
//! The minimal role of the token is in `rights.rs`.

mod archives;
mod changes;
mod classify;
mod client;
mod high_availability;
mod inventory;
mod lifecycle;
mod rights;
mod tasks;
mod texts;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;

use self::client::Api;
use self::inventory::Changed;
use self::rights::Rights;
use self::wire::Listing;
use crate::domain::{AddressPool, Gib, OwnerMark, Vmid};
use crate::providers::coalesce::Coalesced;
use crate::providers::container_host::{
    Archive, ArchiveRestore, Container, ContainerHost, ContainerSettings, ContainerSpec, HaState, Operation,
    Snapshot, Survey, TaskId, TaskRecord, TaskState,
};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Gate;
use crate::providers::health::{Health, HealthCheck};
use crate::providers::http::{HttpClient, HttpSettings};

/// Shortest and longest grace of a shutdown: below a second nothing shuts down, and above an hour the node's
/// own worker limits come first.
const GRACE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// Where high availability may run a container, and how hard it tries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HaPlacement {
    /// Preferred nodes (Proxmox 9: one rule per container). Empty = no rule.
    pub nodes: Vec<String>,
    /// Name of an existing HA group (Proxmox 8). None = no group.
    pub group: Option<String>,
    /// Restarts on the same node after a failed start.
    pub max_restart: u32,
    /// Moves to another node after that.
    pub max_relocate: u32,
}

/// How to reach one cluster and what new containers there are made of.
#[derive(Debug, Clone)]
pub struct ProxmoxSettings {
    /// Addresses of nodes, such as `https://pve1.example.com:8006`, without `/api2/json`.
    pub http: HttpSettings,
    /// Id of the API token, `user@realm!name`.
    pub token_id: String,
    /// Secret of the API token.
    pub token_secret: SecretString,
    /// Private addresses of containers: prefix length and gateway come from here.
    pub addresses: AddressPool,
    /// Bridge of the containers' interface.
    pub bridge: String,
    /// VLAN tag on it, 1 to 4094.
    pub vlan: Option<u16>,
    /// Storage of root disks.
    pub storage: String,
    /// Template of new containers, `store:vztmpl/name.tar.zst`; must be on every node that may be chosen.
    pub template: String,
    /// Name servers inside containers; empty = the node's.
    pub nameservers: Vec<Ipv4Addr>,
    /// Search domain inside containers; None = the node's.
    pub search_domain: Option<String>,
    /// Resource pool of new containers.
    pub resource_pool: Option<String>,
    /// Nodes that new containers may be placed on; empty = all.
    pub nodes: Vec<String>,
    /// High availability.
    pub high_availability: HaPlacement,
    /// Time for a container to shut down before it is stopped, 1 s to 1 h.
    pub stop_grace: Duration,
}

/// Addresses of one guest and when they were read.
type AddressCache = BTreeMap<Vmid, (Instant, BTreeSet<Ipv4Addr>)>;

/// The client of one Proxmox VE cluster.
pub struct Proxmox {
    api: Api,
    settings: ProxmoxSettings,
    listing: Coalesced<Result<Arc<Listing>, ProviderError>>,
    rights: Coalesced<Result<Arc<Rights>, ProviderError>>,
    addresses: Mutex<AddressCache>,
    changed: Mutex<Changed>,
    /// Containers whose tags were refused at creation and are owed to them when it has ended.
    untagged: Mutex<BTreeMap<Vmid, OwnerMark>>,
    /// Containers whose tags were refused later on.
    untaggable: Mutex<BTreeSet<Vmid>>,
}

/// A client for the settings, behind the Provider's gate. Calls nobody yet.
///
/// # Errors
/// `Invalid` for settings that cannot work, with the setting's name.
pub fn connect(settings: ProxmoxSettings, gate: Arc<Gate>) -> Result<Arc<Proxmox>, ProviderError> {
    check(&settings)?;
    let http = HttpClient::new(&settings.http, gate)?;
    let api = Api::new(http, &settings.token_id, &settings.token_secret)?;
    Ok(Arc::new(Proxmox {
        api,
        settings,
        listing: Coalesced::default(),
        rights: Coalesced::default(),
        addresses: Mutex::default(),
        changed: Mutex::default(),
        untagged: Mutex::default(),
        untaggable: Mutex::default(),
    }))
}

fn check(settings: &ProxmoxSettings) -> Result<(), ProviderError> {
    let refuse = |what: String| Err(ProviderError::new(ErrorKind::Invalid, what));
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let placement = &settings.high_availability;
    let names = [("bridge", &settings.bridge), ("storage", &settings.storage)]
        .into_iter()
        .chain(settings.nodes.iter().map(|node| ("node", node)))
        .chain(placement.nodes.iter().map(|node| ("HA node", node)))
        .chain(placement.group.iter().map(|group| ("HA group", group)));
    for (what, name) in names {
        if name.is_empty() || !name.chars().all(word) {
            return refuse(format!(
                "\"{name}\" is not the name of a {what}; use letters, digits, hyphens, underscores and dots"
            ));
        }
    }
    if !settings.template.contains(":vztmpl/") {
        return refuse(format!(
            "\"{}\" is not a container template; write it as storage:vztmpl/name.tar.zst",
            settings.template
        ));
    }
    if settings.vlan.is_some_and(|tag| !(1..=4094).contains(&tag)) {
        return refuse("a VLAN tag is 1 to 4094".to_owned());
    }
    if !GRACE.contains(&settings.stop_grace) {
        return refuse("the grace of a shutdown is 1 second to 1 hour".to_owned());
    }
    Ok(())
}

#[async_trait]
impl HealthCheck for Proxmox {
    async fn check(&self) -> Result<Health, ProviderError> {
        self.health().await
    }
}

#[async_trait]
impl ContainerHost for Proxmox {
    async fn survey(&self) -> Result<Survey, ProviderError> {
        self.read_survey().await
    }

    async fn addresses_in_use(&self, except: &BTreeSet<Vmid>) -> Result<BTreeSet<Ipv4Addr>, ProviderError> {
        self.read_addresses(except).await
    }

    async fn container(&self, id: Vmid) -> Result<Option<Container>, ProviderError> {
        self.read_container(id).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<TaskId, ProviderError> {
        self.create_container(spec).await
    }

    /// `None` also when high availability was told to start it: watch the container then.
    async fn start(&self, id: Vmid) -> Result<Option<TaskId>, ProviderError> {
        self.power(id, true).await
    }

    /// `None` also when high availability was told to stop it: watch the container then.
    async fn stop(&self, id: Vmid) -> Result<Option<TaskId>, ProviderError> {
        self.power(id, false).await
    }

    async fn restart(&self, id: Vmid, owner: &OwnerMark) -> Result<TaskId, ProviderError> {
        self.begin_restart(id, owner).await
    }

    async fn configure(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        settings: &ContainerSettings,
    ) -> Result<(), ProviderError> {
        self.bring_settings(id, owner, settings).await
    }

    async fn grow(&self, id: Vmid, owner: &OwnerMark, disk: Gib) -> Result<Option<TaskId>, ProviderError> {
        self.begin_growth(id, owner, disk).await
    }

    async fn roll_back(&self, id: Vmid, owner: &OwnerMark, snapshot: &str) -> Result<TaskId, ProviderError> {
        self.begin_rollback(id, owner, snapshot).await
    }

    async fn adopt(&self, id: Vmid, owner: &OwnerMark) -> Result<(), ProviderError> {
        self.take_over(id, owner).await
    }

    async fn snapshots(&self, id: Vmid) -> Result<Vec<Snapshot>, ProviderError> {
        self.list_snapshots(id).await
    }

    async fn take_snapshot(&self, id: Vmid, name: &str, description: &str) -> Result<TaskId, ProviderError> {
        self.begin_snapshot(id, name, description).await
    }

    async fn delete_snapshot(&self, id: Vmid, name: &str) -> Result<Option<TaskId>, ProviderError> {
        self.begin_snapshot_removal(id, name).await
    }

    async fn destroy(&self, id: Vmid, owner: &OwnerMark) -> Result<Option<TaskId>, ProviderError> {
        self.begin_destroy(id, owner).await
    }

    async fn newest_archive(&self, id: Vmid, owner: &OwnerMark) -> Result<Option<Archive>, ProviderError> {
        self.find_archive(id, owner).await
    }

    async fn restore_archive(&self, restore: &ArchiveRestore) -> Result<TaskId, ProviderError> {
        self.begin_archive_restore(restore).await
    }

    async fn ensure_high_availability(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        state: HaState,
    ) -> Result<(), ProviderError> {
        self.ensure_managed(id, owner, state).await
    }

    async fn remove_high_availability(&self, id: Vmid) -> Result<(), ProviderError> {
        self.remove_managed(id).await
    }

    async fn task(&self, id: &TaskId) -> Result<TaskState, ProviderError> {
        self.task_state(id).await
    }

    async fn tasks_of(
        &self,
        id: Vmid,
        operation: Operation,
        since: Timestamp,
    ) -> Result<Vec<TaskRecord>, ProviderError> {
        self.find_tasks(id, operation, since).await
    }

    async fn leftover_volumes(&self, id: Vmid) -> Result<Vec<String>, ProviderError> {
        self.find_volumes(id).await
    }
}

/// How errors name a container.
fn container_name(id: Vmid) -> String {
    format!("container {id}")
}
