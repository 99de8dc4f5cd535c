//! Settings of the reverse proxy.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::provider_zones::default_port;

/// An instance of Nginx Proxy Manager.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.plaintext || self.endpoint.startsWith('https://')")
    .message("an http address sends the credentials in the clear: use https, or set plaintext: true for a network where nobody else is"))]
pub struct NginxProxyManagerProvider {
    /// Address of its API, such as `https://npm.example.com:81`.
    #[schemars(length(max = 512))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/@?#[:space:]]+$')")
        .message("endpoint must look like https://npm.example.com:81, without user, path or final slash"))]
    pub endpoint: String,
    /// Allow an http address. For tests and private networks only.
    #[serde(default)]
    pub plaintext: bool,
    /// IPv4 address at which visitors reach the proxy; sites' A records point to it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) && ip(self).family() == 4").message("publicAddress must be an IPv4 address such as 192.0.2.10"))]
    pub public_address: String,
    /// IPv6 address at which visitors reach the proxy. AAAA records of customers' domains may point to it; without it they may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) && ip(self).family() == 6").message("publicAddress6 must be an IPv6 address such as 2001:db8::10"))]
    pub public_address6: Option<String>,
    /// Resolvers for the look-up of customers' domains, as address or address:port. Empty means those of the operating system.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 64)))]
    pub resolvers: Vec<String>,
    /// Port at which the name servers of customers' domains are asked directly. Another than 53 is for tests.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub nameserver_port: i32,
    /// Where the operator itself reaches the proxy as a visitor, when it is not publicAddress with ports 80 and 443.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeSettings>,
}

/// How the operator looks at sites as a visitor.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeSettings {
    /// IPv4 address; publicAddress when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("isIP(self) && ip(self).family() == 4").message("address must be an IPv4 address such as 192.0.2.10"))]
    pub address: Option<String>,
    /// Port for plain HTTP.
    #[serde(default = "default_http_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: i32,
    /// Port for HTTPS.
    #[serde(default = "default_https_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub https_port: i32,
    /// Authorities that sign the sites' certificates, PEM, when they are not among the operating system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
}

fn default_http_port() -> i32 {
    80
}

fn default_https_port() -> i32 {
    443
}
