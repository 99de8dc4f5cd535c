//! The simulated back-ends of the stage, joined as in a real hosting: the proxy's edge and the nodes' SSH
//! servers look at the containers of the simulated cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::StageError;
use crate::sim::cloudflare::{CloudflareOptions, CloudflareSim};
use crate::sim::directory::ContainerDirectory;
use crate::sim::faults::{Faults, Tripwire};
use crate::sim::ispconfig::{IspconfigOptions, IspconfigSim};
use crate::sim::npm::{AcmeMode, NpmOptions, NpmSim};
use crate::sim::proxmox::{ProxmoxOptions, ProxmoxSim, PveVersion, SimNode};
use crate::sim::server::Server;
use crate::sim::ssh::{Outcome, SshOptions, SshSim};

/// The zone at the simulated Cloudflare.
pub const CLOUDFLARE_ZONE: &str = "example.com";
/// Where sites' names point to; an address for documentation (RFC 5737).
pub const PUBLIC_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Records that the simulated zone takes; an ordinary zone takes 200, too few for a benchmark.
const RECORD_QUOTA: usize = 100_000;

/// How the back-ends behave.
#[derive(Clone)]
pub struct BackendsOptions {
    /// Version of Proxmox.
    pub proxmox_version: PveVersion,
    /// Nodes by name, memory in MiB and cores.
    pub nodes: Vec<(String, u64, u32)>,
    /// How long tasks of the cluster take.
    pub task_time: Duration,
    /// How long an installation takes.
    pub install_time: Duration,
    /// How long a certificate takes.
    pub certificate_time: Duration,
    /// Called after every effect of every back-end.
    pub tripwire: Option<Arc<dyn Tripwire>>,
}

impl Default for BackendsOptions {
    fn default() -> Self {
        let node = |name: &str| (name.to_owned(), 128 << 10, 32);
        Self {
            proxmox_version: PveVersion::V9_1,
            nodes: vec![node("pve1"), node("pve2")],
            task_time: Duration::ZERO,
            install_time: Duration::ZERO,
            certificate_time: Duration::ZERO,
            tripwire: None,
        }
    }
}

/// The running back-ends. Dropping them stops their servers.
pub struct Backends {
    /// The cluster.
    pub proxmox: ProxmoxSim,
    /// Its API.
    pub proxmox_server: Server,
    /// The proxy.
    pub npm: NpmSim,
    /// Its API.
    pub npm_server: Server,
    /// The DNS host.
    pub cloudflare: CloudflareSim,
    /// Its API.
    pub cloudflare_server: Server,
    /// The panel that hosts zones on the hoster's own name servers.
    pub ispconfig: IspconfigSim,
    /// Its API.
    pub ispconfig_server: Server,
    /// The nodes' SSH servers with their names.
    pub ssh: Vec<(String, SshSim)>,
    pub(super) ssh_key: String,
    pub(super) options: BackendsOptions,
}

/// Token of the simulated Proxmox: id and secret. Canaries: they may occur in no output of the operator.
pub(super) const PROXMOX_TOKEN: (&str, &str) = ("hostwright@pve!operator", "canary-5f2a-proxmox-token");
/// Log-in of the simulated proxy.
pub(super) const NPM_LOGIN: (&str, &str) = ("operator@example.com", "canary-5f2a-npm-password");
/// Token of the simulated Cloudflare.
pub(super) const CLOUDFLARE_TOKEN: &str = "canary-5f2a-cloudflare-token";
/// Remote user of the simulated ISPConfig.
pub(super) const ISPCONFIG_LOGIN: (&str, &str) = ("operator", "canary-5f2a-ispconfig-password");
/// What ISPConfig tells of its customers' passwords, and the operator must not repeat.
pub(super) const ISPCONFIG_HASH: &str = "canary-5f2a-ispconfig-hash";
/// Its customer.
pub const ISPCONFIG_CUSTOMER: &str = "P17";

impl Backends {
    /// Starts all of them on free loopback ports.
    ///
    /// # Errors
    /// When a port cannot be bound.
    pub async fn start(options: BackendsOptions) -> Result<Self, StageError> {
        let failed =
            |error: std::io::Error| StageError::Other(format!("a simulator does not start: {error}"));
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let faults = || Faults::new(options.tripwire.clone());
        let (proxmox_server, proxmox) = ProxmoxSim::start(proxmox(&options), anywhere, faults(), None)
            .await
            .map_err(failed)?;
        let directory: Arc<dyn ContainerDirectory> = Arc::new(proxmox.clone());
        let npm = NpmOptions {
            acme: AcmeMode::Works {
                delay: options.certificate_time,
            },
            directory: Some(Arc::clone(&directory)),
            ..NpmOptions::new(NPM_LOGIN.0, NPM_LOGIN.1)
        };
        let (npm_server, npm) = NpmSim::start(npm, anywhere, anywhere, anywhere, faults())
            .await
            .map_err(failed)?;
        let cloudflare = CloudflareOptions {
            token: CLOUDFLARE_TOKEN.to_owned(),
            zones: vec![CLOUDFLARE_ZONE.to_owned()],
            record_quota: Some(RECORD_QUOTA),
            ..CloudflareOptions::default()
        };
        let (cloudflare_server, cloudflare) = CloudflareSim::start(cloudflare, anywhere, faults())
            .await
            .map_err(failed)?;
        let (ispconfig_server, ispconfig) = IspconfigSim::start(ispconfig(), anywhere, faults())
            .await
            .map_err(failed)?;
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .map_err(|error| StageError::Other(format!("no SSH key: {error}")))?;
        let authorized = key
            .public_key()
            .to_openssh()
            .map_err(|error| StageError::Other(error.to_string()))?;
        let mut ssh = Vec::new();
        for (node, _, _) in &options.nodes {
            let settings = SshOptions {
                node: node.clone(),
                address: anywhere,
                authorized_key: authorized.clone(),
                directory: Some(Arc::clone(&directory)),
                run_time: options.install_time,
                outcome: Outcome::Finish,
                faults: faults(),
            };
            ssh.push((node.clone(), SshSim::start(settings).await.map_err(failed)?));
        }
        let ssh_key = key
            .to_openssh(LineEnding::LF)
            .map_err(|error| StageError::Other(error.to_string()))?
            .to_string();
        Ok(Self {
            proxmox,
            proxmox_server,
            npm,
            npm_server,
            cloudflare,
            cloudflare_server,
            ispconfig,
            ispconfig_server,
            ssh,
            ssh_key,
            options,
        })
    }

    /// All faults and counts, with the back-ends' names.
    pub fn faults(&self) -> Vec<(&'static str, &Faults)> {
        let mut all = vec![
            ("proxmox", &self.proxmox_server.faults),
            ("npm", &self.npm_server.faults),
            ("cloudflare", &self.cloudflare_server.faults),
            ("ispconfig", &self.ispconfig_server.faults),
        ];
        all.extend(self.ssh.iter().map(|(_, server)| ("ssh", &server.faults)));
        all
    }

    /// Calls of all back-ends so far, by back-end, without log-ins and looks at pages.
    pub fn calls(&self) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        for (name, faults) in self.faults() {
            let sum: u64 = faults.calls().values().sum();
            match sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, total)) => *total += sum,
                None => sums.push((name, sum)),
            }
        }
        sums
    }

    /// The secrets with which the operator reaches the back-ends, with the back-ends' names: they may occur in
    /// nothing that it writes.
    pub fn secrets(&self) -> Vec<(&'static str, &str)> {
        let key = self.ssh_key.lines().nth(1).unwrap_or(&self.ssh_key);
        vec![
            ("proxmox", PROXMOX_TOKEN.1),
            ("npm", NPM_LOGIN.1),
            ("cloudflare", CLOUDFLARE_TOKEN),
            ("ispconfig", ISPCONFIG_LOGIN.1),
            ("ispconfig", ISPCONFIG_HASH),
            ("ssh", key),
        ]
    }

    /// Everything outside that carries a mark of ours, in words; empty when nothing is left.
    pub fn leftovers(&self) -> Vec<String> {
        let mut left = Vec::new();
        if let Err(what) = self.proxmox.everything_empty_except_foreign() {
            left.push(format!("proxmox: {what}"));
        }
        left.extend(
            self.npm
                .leftovers()
                .into_iter()
                .map(|what| format!("npm: {what}")),
        );
        let records = self.cloudflare.leftovers("hostwright:");
        left.extend(
            records
                .into_iter()
                .map(|record| format!("cloudflare: {} {}", record.kind, record.name)),
        );
        let left_there = self.ispconfig.leftovers();
        left.extend(left_there.into_iter().map(|what| format!("ispconfig: {what}")));
        left
    }
}

/// The simulated panel: one customer, and no zone but those that are made.
pub(super) fn ispconfig() -> IspconfigOptions {
    IspconfigOptions {
        username: ISPCONFIG_LOGIN.0.to_owned(),
        password: ISPCONFIG_LOGIN.1.to_owned(),
        customers: vec![ISPCONFIG_CUSTOMER.to_owned()],
        password_hash: ISPCONFIG_HASH.to_owned(),
        ..IspconfigOptions::default()
    }
}

fn proxmox(options: &BackendsOptions) -> ProxmoxOptions {
    let nodes = options.nodes.iter().map(|(name, memory_mib, cores)| SimNode {
        name: name.clone(),
        memory_mib: *memory_mib,
        cores: *cores,
    });
    ProxmoxOptions {
        version: options.proxmox_version,
        nodes: nodes.collect(),
        token: format!("{}={}", PROXMOX_TOKEN.0, PROXMOX_TOKEN.1),
        task_time: options.task_time,
        max_parallel_storage: 2,
        ..ProxmoxOptions::default()
    }
}
