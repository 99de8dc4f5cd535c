//! `Plan`: what a plan name means.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a plan name means. A change of sizes and quotas reaches every site of the plan; Providers and base domain are
/// taken when a site is created.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hostwright.dev",
    version = "v1alpha1",
    kind = "Plan",
    plural = "plans",
    shortname = "hplan",
    category = "hostwright",
    doc = "What a plan name means: sizes, quotas, and which Providers serve it.",
    printcolumn = r#"{"name":"Memory MiB","type":"integer","jsonPath":".spec.wordpress.memoryMib"}"#,
    printcolumn = r#"{"name":"Disk GiB","type":"integer","jsonPath":".spec.wordpress.diskGib"}"#,
    printcolumn = r#"{"name":"Cores","type":"integer","jsonPath":".spec.wordpress.cores"}"#,
    printcolumn = r#"{"name":"HA","type":"boolean","jsonPath":".spec.wordpress.highAvailability"}"#,
    printcolumn = r#"{"name":"Backups","type":"integer","jsonPath":".spec.wordpress.backups"}"#,
    printcolumn = r#"{"name":"Domains","type":"integer","jsonPath":".spec.wordpress.domains"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct PlanSpec {
    /// What a WordPressSite of this plan gets. Without it the plan cannot be used for sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wordpress: Option<WordPressPlan>,
    /// What a DnsZone of this plan may have. Without it the plan sets no limits for zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsPlan>,
}

/// Limits of DNS zones.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsPlan {
    /// Records of one zone, not counting the defaults and the zone's own NS records.
    #[schemars(range(min = 0, max = 3500))]
    pub records: i32,
}

/// Sizes and Providers of WordPress sites.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WordPressPlan {
    /// Memory of the container in MiB.
    #[schemars(range(min = 64, max = 4_194_304))]
    pub memory_mib: i32,
    /// Swap of the container in MiB.
    #[serde(default = "default_swap_mib")]
    #[schemars(range(min = 0, max = 4_194_304))]
    pub swap_mib: i32,
    /// Processor cores of the container.
    #[serde(default = "default_cores")]
    #[schemars(range(min = 1, max = 8192))]
    pub cores: i32,
    /// Root disk of the container in GiB.
    #[schemars(range(min = 1, max = 65_536))]
    pub disk_gib: i32,
    /// Put the container under the high-availability management of its cluster.
    #[serde(default)]
    pub high_availability: bool,
    /// Name of the Provider that runs the containers (of type proxmox).
    #[schemars(length(min = 1, max = 253))]
    pub compute: String,
    /// Name of the Provider that serves the sites to visitors (of type nginxProxyManager).
    #[schemars(length(min = 1, max = 253))]
    pub proxy: String,
    /// Name of the Provider that hosts the DNS zone of baseDomain (of type cloudflare).
    #[schemars(length(min = 1, max = 253))]
    pub dns: String,
    /// Domain under which each site gets its name, for example sites.example.com.
    #[schemars(length(max = 180))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$')")
        .message("baseDomain must look like sites.example.com: lower-case letters, digits, inner hyphens and dots, without scheme, path or final dot"))]
    pub base_domain: String,
    /// SiteBackups that a site may have, not counting the snapshot initial and other people's snapshots.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub backups: i32,
    /// Domains of the customer that a site may have beside its own name.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub domains: i32,
    /// What is done about a container that is gone although nobody asked for that.
    #[serde(default)]
    pub recovery: Recovery,
    /// What visitors of a suspended site see.
    #[serde(default)]
    pub suspension: Suspension,
    /// Tell WordPress of the customer's domains, so that it answers under each of them instead of leading visitors to the site's own name. Needs the ssh installer.
    #[serde(default)]
    pub announce_domains: bool,
}

/// What is done about a container that is gone although nobody asked for that.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Recovery {
    /// It is said, and nothing is done: a person decides.
    #[default]
    Manual,
    /// An empty site is made in its place.
    Recreate,
    /// It is restored from the newest archive of the hoster's own backup job (vzdump) that carries its mark, once it is certain that it is lost. Without such an archive as Manual.
    RestoreLatestBackup,
}

/// What visitors of a suspended site see.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Suspension {
    /// A notice that the site is suspended, with HTTP status 503.
    #[default]
    Notice,
    /// Whatever the proxy shows for names that it does not serve.
    Disable,
}

fn default_swap_mib() -> i32 {
    512
}

fn default_cores() -> i32 {
    2
}
