//! Arguments of the commands for people: what is looked at, and which operator's settings it is looked at with.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::ClusterOptions;
use super::values::{self, Checked};
use crate::domain::{ClusterId, DnsLabel, Email};

/// Settings of `plan`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "all"]))]
pub struct PlanOptions {
    /// Manifests as they would be applied: a file with one or more documents, - for the standard input; repeatable
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Vec<PathBuf>,

    /// Every WordPressSite and DnsZone of the cluster, or of --namespace
    #[arg(long)]
    pub all: bool,

    /// With --all the only namespace; with --file that of documents without one (default if absent)
    #[arg(short = 'n', long, value_name = "NAME", value_parser = Checked(values::namespace))]
    pub namespace: Option<DnsLabel>,

    /// How the answer is written
    #[arg(short = 'o', long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub output: OutputFormat,

    /// Limit for one look at the back-ends of one object
    #[arg(long, value_name = "DURATION", env = "HOSTWRIGHT_PASS_DEADLINE", default_value = "120s",
          value_parser = Checked(values::duration))]
    pub pass_deadline: Duration,

    /// How the cluster is seen.
    #[command(flatten)]
    pub session: SessionOptions,
}

/// What can be imported.
#[derive(Debug, Clone, Subcommand)]
pub enum ImportCommand {
    /// A zone with its records, as a DnsZone that takes it over.
    Dnszone(ImportZoneOptions),
    /// Containers that somebody else made and a proxy host leads to, as WordPressSites that take them over.
    Sites(ImportSitesOptions),
}

/// Settings of `import sites`.
#[derive(Debug, Clone, Args)]
pub struct ImportSitesOptions {
    /// Provider that runs the containers
    #[arg(long, value_name = "NAME")]
    pub provider: String,

    /// Plan of all sites; without it each gets the one that fits its sizes best
    #[arg(long, value_name = "NAME", value_parser = Checked(values::object_name))]
    pub plan: Option<String>,

    /// Namespace of the objects; left out of the manifests without it
    #[arg(short = 'n', long, value_name = "NAME", value_parser = Checked(values::namespace))]
    pub namespace: Option<DnsLabel>,

    /// SQLite file of the older backend with its tables sites and domains; it is only read
    #[arg(long, value_name = "FILE")]
    pub legacy_database: Option<PathBuf>,

    /// Mail address of the owner where the table does not tell one
    #[arg(long, value_name = "ADDRESS")]
    pub owner_email: Option<Email>,

    /// How the cluster is seen.
    #[command(flatten)]
    pub session: SessionOptions,
}

/// Settings of `import dnszone`.
#[derive(Debug, Clone, Args)]
pub struct ImportZoneOptions {
    /// Provider that hosts the zone
    #[arg(long, value_name = "NAME")]
    pub provider: String,

    /// Name of the zone, such as example.com
    #[arg(long, value_name = "ZONE")]
    pub zone: String,

    /// Namespace of the object; left out of the manifest without it
    #[arg(short = 'n', long, value_name = "NAME", value_parser = Checked(values::namespace))]
    pub namespace: Option<DnsLabel>,

    /// Name of the object; the zone's name without it
    #[arg(long, value_name = "NAME", value_parser = Checked(values::object_name))]
    pub name: Option<String>,

    /// How the cluster is seen.
    #[command(flatten)]
    pub session: SessionOptions,
}

/// How a command for people sees the cluster: as the operator does whose settings these are.
#[derive(Debug, Clone, Args)]
pub struct SessionOptions {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterOptions,

    /// Name of this cluster in the owner marks at the back-ends, as the operator has it; without it the UID of
    /// namespace kube-system
    #[arg(long, value_name = "ID", env = "HOSTWRIGHT_CLUSTER_ID", value_parser = Checked(values::cluster_id))]
    pub cluster_id: Option<ClusterId>,

    /// Namespace of the operator, where the Secrets of Providers live
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "hostwright-system",
          value_parser = Checked(values::namespace))]
    pub operator_namespace: DnsLabel,

    /// The only namespace that the operator serves; without it all are
    #[arg(long, value_name = "NAME", env = "HOSTWRIGHT_WATCH_NAMESPACE", value_parser = Checked(values::namespace))]
    pub watch_namespace: Option<DnsLabel>,
}

/// Whether a terminal may be coloured: not when NO_COLOR is set to anything (<https://no-color.org>), nor when the terminal
/// says that it knows no colours.
pub fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// Settings of `orphans`.
#[derive(Debug, Clone, Args)]
pub struct OrphansOptions {
    /// Look at this Provider only
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,

    /// Delete this one, named as the list shows it; asks first
    #[arg(long, value_name = "NAME", conflicts_with_all = ["provider", "output"])]
    pub delete: Option<String>,

    /// Do not ask before the deletion
    #[arg(long, requires = "delete")]
    pub yes: bool,

    /// How the list is written
    #[arg(short, long, value_enum, default_value = "text")]
    pub output: OutputFormat,

    /// How the cluster is seen.
    #[command(flatten)]
    pub session: SessionOptions,
}

/// How a command writes what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}
