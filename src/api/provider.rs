//! `Provider`: one back-end instance.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{IspconfigProvider, NginxProxyManagerProvider, ZoneDefaults};

/// One back-end instance: type, address, credentials, limits, and who may use it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hostwright.dev",
    version = "v1alpha1",
    kind = "Provider",
    plural = "providers",
    shortname = "prov",
    category = "hostwright",
    status = "ProviderStatus",
    doc = "One back-end instance: type, address, credentials by reference to a Secret, limits, allowed namespaces.",
    printcolumn = r#"{"name":"Type","type":"string","jsonPath":".status.type"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Version","type":"string","jsonPath":".status.version"}"#,
    printcolumn = r#"{"name":"Latency ms","type":"integer","jsonPath":".status.latencyMilliseconds"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.proxmox), has(self.nginxProxyManager), has(self.cloudflare), has(self.ispconfig)].filter(x, x).size() == 1")
    .message("set exactly one of proxmox, nginxProxyManager, cloudflare, ispconfig"))]
pub struct ProviderSpec {
    /// Where the credentials are.
    pub credentials: CredentialsReference,
    /// Namespaces whose objects may use this Provider, or "*" for all.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(max = 63)))]
    #[x_kube(validation = Rule::new("self.all(name, name == '*' || name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'))")
        .message("each of allowedNamespaces must be the name of a namespace, or \"*\" for all"))]
    pub allowed_namespaces: Vec<String>,
    /// Whom to trust on https addresses. Without it the operating system's authorities are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<CaTrust>,
    /// How much the back-end may be asked at once.
    #[serde(default)]
    pub limits: ProviderLimits,
    /// How often everything at the back-end is read and compared with what we know, such as 30s, 5m or 1h.
    #[serde(default = "default_sweep_interval")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,4}[smh]$')")
        .message("sweepInterval must be a number of seconds, minutes or hours, such as 30s, 5m or 1h"))]
    pub sweep_interval: String,
    /// A Proxmox VE cluster (8 or 9).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxmox: Option<ProxmoxProvider>,
    /// An instance of Nginx Proxy Manager (2.13 or newer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx_proxy_manager: Option<NginxProxyManagerProvider>,
    /// An account of Cloudflare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudflare: Option<CloudflareProvider>,
    /// An ISPConfig panel (3.2 or newer) with its name servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ispconfig: Option<IspconfigProvider>,
}

impl ProviderSpec {
    /// How DnsZones are made at this Provider, if it hosts any.
    pub fn zones(&self) -> Option<&ZoneDefaults> {
        let ispconfig = self.ispconfig.as_ref().map(|settings| &settings.zones);
        ispconfig.or(self.cloudflare.as_ref().map(|settings| &settings.zones))
    }

    /// How often everything at the back-end is read and compared. What is no such text, which the schema refuses,
    /// stands for the default.
    pub fn sweep_every(&self) -> Duration {
        let every = |text: &str| {
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            let seconds = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 60 * 60,
                _ => return None,
            };
            let number = number.parse::<u32>().ok().filter(|number| *number > 0)?;
            Some(Duration::from_secs(u64::from(number) * seconds))
        };
        every(&self.sweep_interval).unwrap_or(SWEEP_DEFAULT)
    }
}

/// What [`default_sweep_interval`] says.
const SWEEP_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// Five minutes: a drift shows within a few minutes, and a bulk read of each back-end in that time costs it nothing.
fn default_sweep_interval() -> String {
    "5m".to_owned()
}

/// A Secret in the operator's own namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsReference {
    /// Name of the Secret. Keys: tokenId, tokenSecret and, for the ssh installer, sshPrivateKey (proxmox); identity, secret (nginxProxyManager); apiToken (cloudflare); username, password (ispconfig).
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// Whom to trust on https addresses.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.caBundle) != has(self.fingerprints)").message("set exactly one of caBundle and fingerprints"))]
pub struct CaTrust {
    /// Certificates of the trusted authorities, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
    /// SHA-256 fingerprints of the trusted server certificates, hexadecimal, colons allowed. List the old and the new one while a certificate is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.all(pin, pin.matches('^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$'))")
        .message("each fingerprint must be a SHA-256 sum: 32 bytes in hexadecimal, with or without colons, as `openssl x509 -noout -fingerprint -sha256` prints behind the equals sign"))]
    pub fingerprints: Option<Vec<String>>,
}

/// How much a back-end may be asked at once.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderLimits {
    /// Calls under way at the same time.
    #[serde(default = "default_max_concurrent")]
    #[schemars(range(min = 1, max = 256))]
    pub max_concurrent: i32,
    /// Calls begun per second on average.
    #[serde(default = "default_requests_per_second")]
    #[schemars(range(min = 1, max = 10_000))]
    pub requests_per_second: i32,
}

fn default_max_concurrent() -> i32 {
    4
}

fn default_requests_per_second() -> i32 {
    20
}

impl Default for ProviderLimits {
    fn default() -> Self {
        Self {
            max_concurrent: default_max_concurrent(),
            requests_per_second: default_requests_per_second(),
        }
    }
}

/// A Proxmox VE cluster.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.plaintext || self.endpoints.all(base, base.startsWith('https://'))")
    .message("an http address sends the credentials in the clear: use https, or set plaintext: true for a network where nobody else is"))]
pub struct ProxmoxProvider {
    /// Addresses of the API, such as `https://node1.example.com:8006`. Several nodes of one cluster are tried in order.
    #[schemars(length(min = 1, max = 16), inner(length(max = 512)))]
    #[x_kube(validation = Rule::new("self.all(base, base.matches('^https?://[^/@?#[:space:]]+$'))")
        .message("each of endpoints must look like https://node1.example.com:8006, without user, path or final slash"))]
    pub endpoints: Vec<String>,
    /// Allow http addresses. For tests and private networks only.
    #[serde(default)]
    pub plaintext: bool,
    /// Nodes that new containers may be created on. Empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub nodes: Vec<String>,
    /// Numbers that may be given to containers. Keep them apart from what others use.
    pub vmid_range: VmidRangeSettings,
    /// Network of the containers.
    pub network: NetworkSettings,
    /// Storage for root disks.
    #[schemars(length(max = 100))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]$')")
        .message("storage must be the id of a Proxmox storage, such as local-lvm: it begins with a letter, ends with a letter or digit, and holds these and _ . - between"))]
    pub storage: String,
    /// Template of the containers, such as local:vztmpl/ubuntu-24.04-standard_24.04-2_amd64.tar.zst.
    #[schemars(length(min = 3, max = 255))]
    pub template: String,
    /// Proxmox pool that containers are put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub resource_pool: Option<String>,
    /// How many containers are created or destroyed at a time. LINSTOR serialises this anyway and gives up after 10 s.
    #[serde(default = "default_storage_tasks")]
    #[schemars(range(min = 1, max = 64))]
    pub storage_tasks: i32,
    /// Seconds that a container gets to shut down before it is stopped.
    #[serde(default = "default_shutdown_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub shutdown_seconds: i32,
    /// Time zone by which days and schedules of backups go, as the IANA calls it, such as Europe/Berlin.
    #[serde(default = "default_time_zone")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$')")
        .message("timeZone must be a name of the IANA's, such as UTC or Europe/Berlin"))]
    pub time_zone: String,
    /// Where containers under high availability may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high_availability: Option<HighAvailabilityPlacement>,
    /// How WordPress gets into a container.
    pub installer: Installer,
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}

fn default_storage_tasks() -> i32 {
    2
}

fn default_shutdown_seconds() -> i32 {
    60
}

/// Numbers that may be given to containers, both ends included.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.first <= self.last").message("first must not be larger than last"))]
pub struct VmidRangeSettings {
    /// The smallest.
    #[schemars(range(min = 100, max = 999_999_999))]
    pub first: i32,
    /// The largest.
    #[schemars(range(min = 100, max = 999_999_999))]
    pub last: i32,
}

/// Network of the containers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkSettings {
    /// Bridge of the nodes, such as vmbr1.
    #[schemars(length(min = 1, max = 15))]
    pub bridge: String,
    /// VLAN of the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4094))]
    pub vlan: Option<i32>,
    /// First address that may be given out.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) && ip(self).family() == 4").message("firstAddress must be an IPv4 address such as 192.0.2.10"))]
    pub first_address: String,
    /// Last address that may be given out.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) && ip(self).family() == 4").message("lastAddress must be an IPv4 address such as 192.0.2.10"))]
    pub last_address: String,
    /// Prefix length of the subnet.
    #[schemars(range(min = 8, max = 32))]
    pub prefix_length: i32,
    /// Gateway of the containers.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) && ip(self).family() == 4").message("gateway must be an IPv4 address such as 192.0.2.10"))]
    pub gateway: String,
    /// Name servers of the containers. Empty means the node's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.all(server, isIP(server) && ip(server).family() == 4)")
        .message("each of nameServers must be an IPv4 address such as 192.0.2.53"))]
    pub name_servers: Vec<String>,
    /// Search domain of the containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub search_domain: Option<String>,
}

/// Where containers under high availability may run.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HighAvailabilityPlacement {
    /// Nodes, on Proxmox VE 9 as a node-affinity rule of each container. Empty means no rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub nodes: Vec<String>,
    /// Existing group, on Proxmox VE 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub group: Option<String>,
    /// Restarts on the same node before the container is moved.
    #[serde(default = "default_max_restart")]
    #[schemars(range(min = 0, max = 10))]
    pub max_restart: i32,
    /// Moves before the manager gives up.
    #[serde(default = "default_max_relocate")]
    #[schemars(range(min = 0, max = 10))]
    pub max_relocate: i32,
}

fn default_max_restart() -> i32 {
    3
}

fn default_max_relocate() -> i32 {
    2
}

/// How WordPress gets into a container: exactly one way.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.ssh) != has(self.template)").message("set exactly one of ssh and template"))]
pub struct Installer {
    /// By SSH to the node and `pct exec`, with the script on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<SshInstallerSettings>,
    /// By the container's own template at its first boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateInstallerSettings>,
}

/// Settings of the ssh installer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SshInstallerSettings {
    /// User on the nodes who may run `pct exec`.
    #[serde(default = "default_ssh_user")]
    #[schemars(length(min = 1, max = 64))]
    pub user: String,
    /// The nodes by their Proxmox names.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    pub nodes: BTreeMap<String, SshNodeSettings>,
    /// Where WordPress comes from.
    #[serde(default)]
    pub wordpress: WordPressSource,
    /// Seconds that one installation may take.
    #[serde(default = "default_deadline_seconds")]
    #[schemars(range(min = 10, max = 7200))]
    pub deadline_seconds: i32,
}

fn default_ssh_user() -> String {
    "root".to_owned()
}

fn default_deadline_seconds() -> i32 {
    900
}

/// How to reach one node by SSH.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SshNodeSettings {
    /// Host name or address.
    #[schemars(length(min = 1, max = 253))]
    pub address: String,
    /// Port.
    #[serde(default = "default_ssh_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Public host keys, as `ssh-keyscan` prints them without the name: "ssh-ed25519 AAAA…". Any other key is refused.
    #[schemars(length(min = 1, max = 8), inner(length(min = 20, max = 1024)))]
    pub host_keys: Vec<String>,
}

fn default_ssh_port() -> i32 {
    22
}

/// Where WordPress comes from.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WordPressSource {
    /// Address of the archive (https://…), a file in the container (/…), or package:wordpress for the distribution's own.
    #[serde(default = "default_archive")]
    #[schemars(length(min = 2, max = 1024))]
    pub archive: String,
    /// SHA-256 of the archive, hexadecimal. Strongly recommended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9A-Fa-f]{64}$')")
        .message("sha256 must be 64 hexadecimal digits, as sha256sum prints them"))]
    pub sha256: Option<String>,
}

fn default_archive() -> String {
    "https://wordpress.org/latest.tar.gz".to_owned()
}

impl Default for WordPressSource {
    fn default() -> Self {
        Self {
            archive: default_archive(),
            sha256: None,
        }
    }
}

/// Settings of the template installer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TemplateInstallerSettings {
    /// Path that tells whether the first boot has finished.
    #[serde(default = "default_health_path")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^/[!-~]*$')")
        .message("healthPath must begin with a slash and hold no spaces and no letters beyond ASCII"))]
    pub health_path: String,
    /// Port of it.
    #[serde(default = "default_health_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

fn default_health_path() -> String {
    "/hostwright/health".to_owned()
}

fn default_health_port() -> i32 {
    80
}

/// An account of Cloudflare.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.plaintext || self.endpoint.startsWith('https://')")
    .message("an http address sends the credentials in the clear: use https, or set plaintext: true for a network where nobody else is"))]
pub struct CloudflareProvider {
    /// Address of the API.
    #[serde(default = "default_cloudflare_endpoint")]
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^@?#[:space:]]*[^@?#/[:space:]]$')")
        .message("endpoint must look like https://api.cloudflare.com/client/v4, without user, question mark or final slash"))]
    pub endpoint: String,
    /// Allow an http address. For tests only.
    #[serde(default)]
    pub plaintext: bool,
    /// Id of the zone, for a token that is limited to one zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{32}$')")
        .message("zoneId must be the 32 hexadecimal digits that Cloudflare's dashboard shows as the zone's id"))]
    pub zone_id: Option<String>,
    /// Id of the account in which DnsZones are made. Without it, it is that of the token, if the token sees only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{32}$')")
        .message("accountId must be the 32 hexadecimal digits that Cloudflare's dashboard shows as the account's id"))]
    pub account_id: Option<String>,
    /// How DnsZones are made.
    #[serde(default)]
    pub zones: ZoneDefaults,
    /// Send visitors through Cloudflare's own proxy.
    #[serde(default)]
    pub proxied: bool,
    /// Time to live of sites' records in seconds.
    #[serde(default = "default_ttl_seconds")]
    #[schemars(range(min = 60, max = 86_400))]
    pub ttl_seconds: i32,
}

fn default_cloudflare_endpoint() -> String {
    "https://api.cloudflare.com/client/v4".to_owned()
}

fn default_ttl_seconds() -> i32 {
    300
}

/// What is known of a back-end.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Type of the back-end in one word.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub type_: Option<String>,
    /// Version, as the program names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub version: Option<String>,
    /// Optional abilities that were found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)))]
    pub capabilities: Vec<String>,
    /// Rights that the credentials lack, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 255)))]
    pub missing_rights: Vec<String>,
    /// Time of a simple call in milliseconds, rounded up to 1, 2, 5, 10, 20, 50 …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_milliseconds: Option<i64>,
    /// The last error of the check; absent while it succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub last_error: Option<String>,
    /// What the last sweep found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<Inventory>,
    /// Conditions by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

/// What a sweep found at a back-end: containers at a container host, hosts at a proxy, zones and the records in those
/// that belong to an object or hold the names of sites at a DNS host.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inventory {
    /// Containers, hosts, zones or records that belong to an object.
    pub owned: i32,
    /// Those that carry the mark of this cluster, but of no object that there is. `hostwright orphans` lists them. Always 0 where records carry no mark (ispconfig), and where the operator serves one namespace only: it cannot tell.
    pub orphaned: i32,
    /// Those that are somebody else's.
    pub foreign: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_come_as_often_as_the_text_says() {
        let every = |text: &str| {
            let spec = serde_json::json!({"credentials": {"secretName": "a"}, "sweepInterval": text});
            serde_json::from_value::<ProviderSpec>(spec)
                .unwrap()
                .sweep_every()
                .as_secs()
        };
        assert_eq!(
            [every("30s"), every("5m"), every("1h"), every("99999h")],
            [30, 300, 3_600, 359_996_400]
        );
        assert_eq!(
            [
                every(""),
                every("s"),
                every("0s"),
                every("5"),
                every("5ü"),
                every("-1s")
            ],
            [300; 6]
        );
        assert_eq!(every(&default_sweep_interval()), SWEEP_DEFAULT.as_secs());
    }
}
