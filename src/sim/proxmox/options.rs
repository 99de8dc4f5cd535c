//! What a simulated cluster is like.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A release of Proxmox VE, as far as its API differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PveVersion {
    /// Before the point.
    pub major: u8,
    /// After the point.
    pub minor: u8,
}

impl PveVersion {
    /// 7.4: numbers of containers as strings, sentences in the reason phrase only.
    pub const V7_4: Self = Self::new(7, 4);
    /// 8.0.
    pub const V8_0: Self = Self::new(8, 0);
    /// 8.1: `interfaces`.
    pub const V8_1: Self = Self::new(8, 1);
    /// 8.2: `overrule-shutdown`.
    pub const V8_2: Self = Self::new(8, 2);
    /// 8.4: the last release with high-availability groups.
    pub const V8_4: Self = Self::new(8, 4);
    /// 9.0: rules instead of groups, containers are unprivileged by default.
    pub const V9_0: Self = Self::new(9, 0);
    /// 9.1: `env`, `ha-managed`, `purge` of high-availability resources.
    pub const V9_1: Self = Self::new(9, 1);

    /// A release.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for PveVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// One node.
#[derive(Debug, Clone)]
pub struct SimNode {
    /// Its name.
    pub name: String,
    /// Memory.
    pub memory_mib: u64,
    /// Processor threads.
    pub cores: u32,
}

/// One storage.
#[derive(Debug, Clone)]
pub struct SimStorage {
    /// Its name.
    pub name: String,
    /// Plugin: `drbd`, `dir` …
    pub plugin: String,
    /// Content types, comma-separated; `rootdir` takes containers, `vztmpl` keeps templates.
    pub content: String,
    /// The same on all nodes.
    pub shared: bool,
    /// Whether volumes can have snapshots.
    pub snapshots: bool,
    /// Capacity in GiB.
    pub total_gib: u64,
}

/// A whole cluster. [`Default`] is a 9.1 cluster of three nodes with instant tasks.
#[derive(Clone)]
pub struct ProxmoxOptions {
    /// Release; decides the schema and the high-availability back end.
    pub version: PveVersion,
    /// Nodes, at least one. The first answers for the cluster.
    pub nodes: Vec<SimNode>,
    /// The accepted token, `user@realm!id=secret`.
    pub token: String,
    /// Storages.
    pub storages: Vec<SimStorage>,
    /// Container templates: `storage:vztmpl/name`, or a bare name for storage `local`. A name that contains
    /// `wordpress-golden` installs WordPress at its first boot.
    pub templates: Vec<String>,
    /// Resource pools.
    pub pools: Vec<String>,
    /// How long a worker works. With zero it is done when its UPID is answered.
    pub task_time: Duration,
    /// How long the high-availability manager takes to act (5 to 20 s in reality).
    pub ha_delay: Duration,
    /// Distance between two rounds of the statistics daemon (10 s in reality). With zero the statistics in
    /// the cluster's list are always fresh.
    pub stats_lag: Duration,
    /// For how long the status of a fresh task answers that there is no such task.
    pub fresh_upid_delay: Duration,
    /// Time from the start of a golden container to a finished WordPress.
    pub first_boot_time: Duration,
    /// Whether refusals carry their sentence in the body too (from updates of 8.3 and 8.4 on), not only in
    /// the reason phrase.
    pub sentences_in_body: bool,
    /// Privileges that the token has nowhere. The minimal role has no `Sys.Modify`.
    pub missing_privileges: BTreeSet<String>,
    /// Pause before a 401 (3 s in reality).
    pub auth_delay: Duration,
    /// Workers that may allocate or free on one LINSTOR storage at once before the cluster-wide lock times
    /// out.
    pub max_parallel_storage: usize,
    /// A create that fails leaves its volume behind, as seen after time-outs of the storage lock.
    pub orphan_on_failed_create: bool,
    /// Bytes by which a fresh device is larger than asked for, as DRBD's may be.
    pub device_excess_bytes: u64,
    /// Only the newest snapshot can be rolled back to (LINSTOR before 1.31).
    pub rollback_newest_only: bool,
}

impl Default for ProxmoxOptions {
    fn default() -> Self {
        let node = |name: &str| SimNode {
            name: name.to_owned(),
            memory_mib: 64 << 10,
            cores: 16,
        };
        Self {
            version: PveVersion::V9_1,
            nodes: vec![node("pve1"), node("pve2"), node("pve3")],
            token: "hostwright@pve!operator=00000000-0000-4000-8000-000000000000".to_owned(),
            storages: default_storages(),
            templates: vec![
                "debian-12-standard_12.7-1_amd64.tar.zst".to_owned(),
                "wordpress-golden_1.0_amd64.tar.zst".to_owned(),
            ],
            pools: Vec::new(),
            task_time: Duration::ZERO,
            ha_delay: Duration::ZERO,
            stats_lag: Duration::ZERO,
            fresh_upid_delay: Duration::ZERO,
            first_boot_time: Duration::ZERO,
            sentences_in_body: true,
            missing_privileges: BTreeSet::from(["Sys.Modify".to_owned()]),
            auth_delay: Duration::from_millis(20),
            max_parallel_storage: usize::MAX,
            orphan_on_failed_create: false,
            device_excess_bytes: 0,
            rollback_newest_only: false,
        }
    }
}

fn default_storages() -> Vec<SimStorage> {
    vec![
        SimStorage {
            name: "drbd".to_owned(),
            plugin: "drbd".to_owned(),
            content: "images,rootdir".to_owned(),
            shared: true,
            snapshots: true,
            total_gib: 100 << 10,
        },
        SimStorage {
            name: "local".to_owned(),
            plugin: "dir".to_owned(),
            content: "backup,iso,vztmpl".to_owned(),
            shared: false,
            snapshots: false,
            total_gib: 100,
        },
    ]
}
