//! `WordPressSite`: one paid WordPress site.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::site_life::{
    BackupSchedule, Power, SiteCertificate, SiteDomain, SiteQuota, SiteRecovery, SiteRestart, SiteUsage,
};

/// One paid WordPress site: container, name, proxy host, certificate, WordPress.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hostwright.dev",
    version = "v1alpha1",
    kind = "WordPressSite",
    plural = "wordpresssites",
    shortname = "wps",
    category = "hostwright",
    namespaced,
    status = "WordPressSiteStatus",
    selectable = ".spec.serviceId",
    doc = "One paid WordPress site: container, name, proxy host, certificate, WordPress.",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".status.url"}"#,
    printcolumn = r#"{"name":"Plan","type":"string","jsonPath":".spec.plan"}"#,
    printcolumn = r#"{"name":"Domains","type":"string","jsonPath":".status.quota.domains.display"}"#,
    printcolumn = r#"{"name":"Backups","type":"string","jsonPath":".status.quota.backups.display"}"#,
    printcolumn = r#"{"name":"Node","type":"string","jsonPath":".status.node"}"#,
    printcolumn = r#"{"name":"VMID","type":"integer","jsonPath":".status.vmid"}"#,
    printcolumn = r#"{"name":"Address","type":"string","priority":1,"jsonPath":".status.privateIp"}"#,
    printcolumn = r#"{"name":"Service","type":"string","priority":1,"jsonPath":".spec.serviceId"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    validation = Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name may have at most 63 characters: labels and the Secret with the passwords are named after it")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.subdomain) == has(oldSelf.subdomain) && (!has(self.subdomain) || self.subdomain == oldSelf.subdomain)")
    .message("subdomain cannot be changed: the site's address and certificate hang on it; delete the site and create a new one"))]
pub struct WordPressSiteSpec {
    /// The billing panel's key of the paid service. One site in the cluster has it; the oldest object wins.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(
        validation = Rule::new("!self.matches('[[:cntrl:]]')").message("serviceId must not contain control characters such as tabs or line ends"),
        validation = Rule::new("self == oldSelf").message("serviceId cannot be changed: it is the billing panel's key; delete the site and create a new one")
    )]
    pub service_id: String,
    /// The customer.
    pub owner: SiteOwner,
    /// Name of the Plan. A change resizes the site: memory, swap and cores at once, the disk only to a larger one. Providers and base domain stay those that the site was made with.
    #[schemars(length(min = 1, max = 253))]
    pub plan: String,
    /// First label of the site's name. Without it, it is made of the owner's mail address, with a suffix when that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$')")
        .message("subdomain may hold lower-case letters, digits and hyphens, begins and ends with a letter or digit, and has no dot: it is only the first part of the site's name"))]
    pub subdomain: Option<String>,
    /// Whether the container shall run.
    #[serde(default)]
    pub power: Power,
    /// Not paid for: the container is shut down and visitors see a notice, or nothing, as the Plan says. Data, name, certificate and backups are kept, and every other change waits.
    #[serde(default)]
    pub suspended: bool,
    /// Whether the proxy serves the site and its domains to visitors.
    #[serde(default = "yes")]
    pub proxy_enabled: bool,
    /// A new time asks for one restart of the container. A time that is not later than the last one asks for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// Domains of the customer that lead to this site as well, such as shop.example.org; Unicode is accepted. Their A record must point to the proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 3, max = 253)))]
    #[x_kube(
        validation = Rule::new("self.all(name, name.matches('^[^.[:space:][:cntrl:]/:@*_]+([.][^.[:space:][:cntrl:]/:@*_]+)+[.]?$'))")
            .message("each of domains must look like shop.example.org: at least two labels, without scheme, path, wildcard or underscore"),
        validation = Rule::new("!self.exists(name, name.matches('[.][0-9]+[.]?$'))")
            .message("each of domains must be a name such as shop.example.org, not an IP address"),
        validation = Rule::new("[self.map(name, name.lowerAscii() + (name.endsWith('.') ? '' : '.'))].all(names, names.all(name, names.exists_one(other, other == name)))")
            .message("each of domains may be there only once; capital letters and a final dot make no difference")
    )]
    pub domains: Vec<String>,
    /// Makes SiteBackups by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_schedule: Option<BackupSchedule>,
    /// What happens outside when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn yes() -> bool {
    true
}

/// The customer of a site, who becomes WordPress' first administrator.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteOwner {
    /// Mail address.
    #[schemars(length(max = 254))]
    #[x_kube(validation = Rule::new("self.matches('^[^@[:space:][:cntrl:]]+@[^@.[:space:][:cntrl:]]+([.][^@.[:space:][:cntrl:]]+)+$')")
        .message("email must look like name@example.com"))]
    pub email: String,
    /// First name, shown in WordPress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub first_name: Option<String>,
    /// Last name, shown in WordPress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub last_name: Option<String>,
}

/// What happens outside when an object is deleted.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum DeletionPolicy {
    /// Everything that belongs to the object is removed.
    #[default]
    Delete,
    /// Everything is left as it is.
    Retain,
}

/// What is known of a site.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WordPressSiteStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the site stands, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Address of the site for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 300))]
    pub url: Option<String>,
    /// Whole name of the site. Reserved before anything is created, never changed after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// First label of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub subdomain: Option<String>,
    /// Domain whose DNS zone holds the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub base_domain: Option<String>,
    /// Number of the container. Reserved before it is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<i32>,
    /// Address of the container. Reserved before it is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 45))]
    pub private_ip: Option<String>,
    /// When number, address and name were reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_at: Option<Time>,
    /// The container existed before the object, which has taken it over: WordPress in it was installed by somebody else, and network and host name of the container are left as they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Node that the container was last seen on. Absent until it was seen with our mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub node: Option<String>,
    /// Sizes that the container has been given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<SiteResources>,
    /// Providers that hold the parts; taken from the Plan when the site was reserved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<SiteProviders>,
    /// Secret in the site's namespace with the passwords of WordPress and its database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub credentials_secret: Option<String>,
    /// The last restart that was asked for and carried out, or was not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_at: Option<Time>,
    /// A restart that has begun and whose end was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<SiteRestart>,
    /// The last restore of the lost container from a backup archive, or the attempt at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<SiteRecovery>,
    /// What the Plan allows and what is used of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<SiteQuota>,
    /// The domains of the spec, and those of earlier specs that are not yet removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub domains: Vec<SiteDomain>,
    /// The domains that WordPress was told of, where the Plan says announceDomains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), inner(length(max = 253)))]
    pub announced_domains: Vec<String>,
    /// Certificate of the site's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SiteCertificate>,
    /// What the container uses, rounded, at most every 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<SiteUsage>,
    /// Tasks of the container host that are under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_string()]))]
    pub tasks: Vec<SiteTask>,
    /// Conditions by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

/// Where a site stands, in one word.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Phase {
    /// Not begun, or something is missing that a person must provide.
    Pending,
    /// Being made.
    Provisioning,
    /// Ready.
    Running,
    /// Stopped, as asked.
    Stopped,
    /// Suspended, as asked.
    Suspended,
    /// Being rolled back to a backup.
    Restoring,
    /// Was ready; a part is gone or broken and being repaired.
    Degraded,
    /// Being removed.
    Terminating,
}

/// Sizes of a container.
#[derive(KubeSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteResources {
    /// Processor cores.
    pub cores: i32,
    /// Memory in MiB.
    pub memory_mib: i32,
    /// Swap in MiB.
    pub swap_mib: i32,
    /// Root disk in GiB.
    pub disk_gib: i32,
    /// Under high availability.
    #[serde(default)]
    pub high_availability: bool,
}

/// Names of the Providers that hold a site's parts.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteProviders {
    /// Runs the container.
    #[schemars(length(max = 253))]
    pub compute: String,
    /// Serves the site to visitors.
    #[schemars(length(max = 253))]
    pub proxy: String,
    /// Hosts the DNS zone.
    #[schemars(length(max = 253))]
    pub dns: String,
}

/// One task of the container host.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteTask {
    /// What it does.
    pub operation: TaskOperation,
    /// The container host's id of it (a UPID on Proxmox).
    #[schemars(length(max = 512))]
    pub id: String,
}

/// What a task does.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum TaskOperation {
    /// Creates the container.
    Create,
    /// Starts it.
    Start,
    /// Shuts it down.
    Stop,
    /// Restarts it.
    Restart,
    /// Grows its disk.
    Resize,
    /// Takes a snapshot.
    Snapshot,
    /// Deletes a snapshot.
    DeleteSnapshot,
    /// Rolls the container back to a snapshot.
    Rollback,
    /// Destroys the container.
    Destroy,
    /// Restores the lost container from a backup archive.
    Recover,
}
