//! Arguments of what only a build with the simulators can do: the demo, the benchmarks, the simulators themselves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{self, Checked};

/// Settings of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// Play the whole story without a terminal, prove its end, and exit: 0 only if all of it holds
    #[arg(long)]
    pub once: bool,

    /// Folder for kubeconfigs, logs and data, removed in the end
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir().join("hostwright-demo"))]
    pub folder: PathBuf,

    /// Leave the folder there in the end
    #[arg(long)]
    pub keep: bool,
}

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct BenchOptions {
    /// Number of sites
    #[arg(long, value_name = "NUMBER", default_value = "500")]
    pub objects: u32,

    /// Latency of every outside call in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value = "5")]
    pub latency: u64,

    /// How long nothing is changed before all is deleted, to see what that costs
    #[arg(long, value_name = "DURATION", value_parser = Checked(values::duration))]
    pub idle: Option<Duration>,

    /// File for the figures
    #[arg(long, value_name = "PATH", default_value = "target/bench/wordpresssite.json")]
    pub out: PathBuf,
}

/// How the race is run.
#[derive(Debug, Clone, Args)]
pub struct BenchPeersOptions {
    /// Number of zones
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = clap::value_parser!(u32).range(1..))]
    pub objects: u32,

    /// Number of rounds; the order of the contestants rotates
    #[arg(long, value_name = "NUMBER", default_value = "3", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,

    /// Latency of every outside call in milliseconds
    #[arg(long, value_name = "MILLISECONDS", default_value = "5")]
    pub latency: u64,

    /// Time between two looks at a zone that nothing has changed, the same for all
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = Checked(values::duration))]
    pub resync: Duration,

    /// How long nothing happens but one drift
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = Checked(values::duration))]
    pub idle: Duration,

    /// Limit for each part of a contestant's run
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = Checked(values::duration))]
    pub limit: Duration,

    /// Who takes part; all without it
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<Contestant>,

    /// Folder with the peers' programs
    #[arg(long, value_name = "FOLDER", default_value = "target/bench/peers")]
    pub programs: PathBuf,

    /// File for the figures; the plot gets the same name with .svg
    #[arg(long, value_name = "PATH", default_value = "target/bench/peers.json")]
    pub out: PathBuf,

    /// Page whose table is written anew, with the plot beside it
    #[arg(long, value_name = "PATH", num_args = 0..=1, default_missing_value = "docs/performance.md")]
    pub docs: Option<PathBuf>,
}

/// Who takes part in the race.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Contestant {
    /// This program.
    Hostwright,
    /// An operator with kopf (Python).
    Kopf,
    /// An operator with controller-runtime (Go).
    ControllerRuntime,
}

/// Settings of `sim`.
#[derive(Debug, Clone, Args)]
pub struct SimOptions {
    /// Which back-end
    #[arg(value_enum)]
    pub service: SimService,

    /// Address to listen at; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = Checked(values::address))]
    pub listen: SocketAddr,
}

/// Back-ends that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SimService {
    /// Proxmox VE.
    Proxmox,
    /// Nginx Proxy Manager.
    Npm,
    /// Cloudflare DNS.
    Cloudflare,
    /// ISPConfig's remote API.
    Ispconfig,
    /// The node that the installer reaches over SSH.
    Ssh,
}
