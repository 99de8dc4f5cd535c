//! What the Providers that host DNS zones have in common, and ISPConfig's settings.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How DnsZones of a Provider are made.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneDefaults {
    /// Name of the Provider of type nginxProxyManager whose publicAddress PROXYSRV and the default records stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub proxy: Option<String>,
    /// Resolvers for the check of name servers, as address or address:port. Empty means those of the operating system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 64)))]
    pub resolvers: Vec<String>,
    /// Port at which name servers are asked directly. Another than 53 is for tests.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub nameserver_port: i32,
}

/// The port of name servers (RFC 1035 4.2).
pub(super) fn default_port() -> i32 {
    53
}

impl Default for ZoneDefaults {
    fn default() -> Self {
        Self {
            proxy: None,
            resolvers: Vec::new(),
            nameserver_port: default_port(),
        }
    }
}

/// An ISPConfig panel with its name servers.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.plaintext || self.endpoint.startsWith('https://')")
    .message("an http address sends the credentials in the clear: use https, or set plaintext: true for a network where nobody else is"))]
pub struct IspconfigProvider {
    /// Address of the panel, such as `https://panel.example.com:8080`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^@?#[:space:]]*[^@?#/[:space:]]$')")
        .message("endpoint must look like https://panel.example.com:8080, without user, question mark or final slash"))]
    pub endpoint: String,
    /// Allow an http address. For tests and private networks only.
    #[serde(default)]
    pub plaintext: bool,
    /// ISPConfig's number of the server that answers for the zones. The panel does not check it.
    #[schemars(range(min = 1))]
    pub server_id: i32,
    /// Name servers of every zone; the first is the primary.
    #[schemars(length(min = 1, max = 8), inner(length(max = 253)))]
    #[x_kube(validation = Rule::new("self.all(server, server.matches('^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$'))")
        .message("each of nameServers must look like ns1.example.net: lower-case letters, digits, inner hyphens and dots, without final dot"))]
    pub name_servers: Vec<String>,
    /// Start of authority of new zones.
    #[serde(default)]
    pub soa: StartOfAuthority,
    /// How zones are made.
    #[serde(default)]
    pub zones: ZoneDefaults,
}

/// Start of authority. All times in seconds.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StartOfAuthority {
    /// Mail box of the person in charge: the part before the @ of an address at the zone itself, or a whole address.
    #[serde(default = "default_mailbox")]
    #[schemars(length(max = 254))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(@[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+)?$')")
        .message("mailbox must look like hostmaster or hostmaster@example.net, without dots before the @"))]
    pub mailbox: String,
    /// How often secondaries ask.
    #[serde(default = "default_refresh")]
    #[schemars(range(min = 60, max = 2_419_200))]
    pub refresh: i32,
    /// How soon they ask again after a failure.
    #[serde(default = "default_retry")]
    #[schemars(range(min = 60, max = 2_419_200))]
    pub retry: i32,
    /// How long they answer without having reached the primary.
    #[serde(default = "default_expire")]
    #[schemars(range(min = 60, max = 31_536_000))]
    pub expire: i32,
    /// How long an absent name is remembered.
    #[serde(default = "default_minimum")]
    #[schemars(range(min = 60, max = 86_400))]
    pub minimum: i32,
    /// Time to live of the start of authority and of the zone's NS records.
    #[serde(default = "default_soa_ttl")]
    #[schemars(range(min = 60, max = 86_400))]
    pub ttl: i32,
}

// The replaced system's values.

fn default_mailbox() -> String {
    "hostmaster".to_owned()
}

fn default_refresh() -> i32 {
    86_400
}

fn default_retry() -> i32 {
    7200
}

fn default_expire() -> i32 {
    3_600_000
}

fn default_minimum() -> i32 {
    3600
}

fn default_soa_ttl() -> i32 {
    3600
}

impl Default for StartOfAuthority {
    fn default() -> Self {
        Self {
            mailbox: default_mailbox(),
            refresh: default_refresh(),
            retry: default_retry(),
            expire: default_expire(),
            minimum: default_minimum(),
            ttl: default_soa_ttl(),
        }
    }
}
