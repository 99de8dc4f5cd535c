//! The objects that join the operator to the simulated back-ends.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::backends::{
    Backends, CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE, ISPCONFIG_LOGIN, NPM_LOGIN, PROXMOX_TOKEN, PUBLIC_ADDRESS,
};

/// Namespace of the operator on the stage.
pub const OPERATOR_NAMESPACE: &str = "hostwright-system";

/// What a Provider of containers may give out.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Prefix of the Providers' names, so that several sets can live in one cluster.
    pub name: String,
    /// First number of a container.
    pub first_vmid: u32,
    /// How many numbers there are.
    pub vmids: u32,
    /// First address.
    pub first_address: Ipv4Addr,
    /// How many addresses there are.
    pub addresses: u32,
    /// Containers that are created at a time.
    pub places: u32,
    /// Calls at the same time per Provider.
    pub concurrent: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            name: String::new(),
            first_vmid: 5_000,
            vmids: 1_000,
            // 154 addresses, as 100 to 253 of a /24 are in the hosting that this project began with.
            first_address: Ipv4Addr::new(10, 20, 0, 100),
            addresses: 154,
            places: 2,
            concurrent: 8,
        }
    }
}

fn object(api: &str, kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": name}});
    if let (Some(object), Value::Object(rest)) = (object.as_object_mut(), rest) {
        object.extend(rest);
    }
    object
}

fn secret(name: &str, data: Value) -> Value {
    object(
        "v1",
        "Secret",
        name,
        json!({
            "metadata": {"name": name, "namespace": OPERATOR_NAMESPACE},
            "type": "Opaque",
            "stringData": data,
        }),
    )
}

/// Secrets and Providers of one set of back-ends.
pub fn foundations(backends: &Backends, pool: &Pool) -> Vec<Value> {
    let named = |name: &str| format!("{}{name}", pool.name);
    let (compute, proxy, dns) = (named("pve"), named("npm"), named("cloudflare"));
    let panel = named("ispconfig");
    let limits = json!({"maxConcurrent": pool.concurrent, "requestsPerSecond": 5_000});
    let provider = |name: &str, kind: &str, settings: Value| {
        let spec = json!({
            "credentials": {"secretName": name},
            "allowedNamespaces": ["*"],
            "limits": limits,
            kind: settings,
        });
        object("hostwright.dev/v1alpha1", "Provider", name, json!({"spec": spec}))
    };
    vec![
        secret(
            &compute,
            json!({"tokenId": PROXMOX_TOKEN.0, "tokenSecret": PROXMOX_TOKEN.1, "sshPrivateKey": backends.ssh_key}),
        ),
        secret(&proxy, json!({"identity": NPM_LOGIN.0, "secret": NPM_LOGIN.1})),
        secret(&dns, json!({"apiToken": CLOUDFLARE_TOKEN})),
        secret(
            &panel,
            json!({"username": ISPCONFIG_LOGIN.0, "password": ISPCONFIG_LOGIN.1}),
        ),
        provider(&compute, "proxmox", proxmox(backends, pool)),
        provider(&proxy, "nginxProxyManager", npm(backends)),
        provider(
            &dns,
            "cloudflare",
            json!({
                "endpoint": format!("{}{}", backends.cloudflare_server.url(), crate::sim::cloudflare::BASE_PATH),
                "plaintext": true,
                "zones": {"proxy": proxy},
            }),
        ),
        provider(&panel, "ispconfig", ispconfig(backends, &proxy)),
    ]
}

fn ispconfig(backends: &Backends, proxy: &str) -> Value {
    json!({
        "endpoint": backends.ispconfig_server.url(),
        "plaintext": true,
        "serverId": 1,
        "nameServers": ["ns1.example.net", "ns2.example.net"],
        "zones": {"proxy": proxy},
    })
}

fn proxmox(backends: &Backends, pool: &Pool) -> Value {
    let last = |first: Ipv4Addr, count: u32| Ipv4Addr::from(u32::from(first) + count.saturating_sub(1));
    let nodes: serde_json::Map<String, Value> = backends
        .ssh
        .iter()
        .map(|(node, server)| {
            let at = server.address();
            (
                node.clone(),
                json!({"address": at.ip().to_string(), "port": at.port(), "hostKeys": [server.host_key()]}),
            )
        })
        .collect();
    let names: Vec<&String> = backends.options.nodes.iter().map(|(name, _, _)| name).collect();
    json!({
        "endpoints": [backends.proxmox_server.url()],
        "plaintext": true,
        "vmidRange": {"first": pool.first_vmid, "last": pool.first_vmid + pool.vmids - 1},
        "network": {
            "bridge": "vmbr1",
            "firstAddress": pool.first_address.to_string(),
            "lastAddress": last(pool.first_address, pool.addresses).to_string(),
            "prefixLength": 8,
            "gateway": "10.0.0.1",
        },
        "storage": "drbd",
        "template": "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
        "storageTasks": pool.places,
        "shutdownSeconds": 5,
        "highAvailability": {"nodes": names},
        "installer": {"ssh": {"nodes": nodes}},
    })
}

fn npm(backends: &Backends) -> Value {
    let (http, https) = backends.npm.edge_addresses();
    json!({
        "endpoint": backends.npm_server.url(),
        "plaintext": true,
        "publicAddress": PUBLIC_ADDRESS.to_string(),
        "edge": {
            "address": http.ip().to_string(),
            "httpPort": http.port(),
            "httpsPort": https.port(),
            "caBundle": backends.npm.ca_pem(),
        },
    })
}

/// A Plan on one set of Providers.
pub fn plan(name: &str, pool: &Pool, memory_mib: u32, disk_gib: u32, high_availability: bool) -> Value {
    let named = |name: &str| format!("{}{name}", pool.name);
    object(
        "hostwright.dev/v1alpha1",
        "Plan",
        name,
        json!({"spec": {"wordpress": {
            "memoryMib": memory_mib,
            "diskGib": disk_gib,
            // As the smallest of the plans in `examples/`.
            "backups": 2,
            "domains": 3,
            "highAvailability": high_availability,
            "compute": named("pve"),
            "proxy": named("npm"),
            "dns": named("cloudflare"),
            "baseDomain": format!("sites.{CLOUDFLARE_ZONE}"),
        }}}),
    )
}

/// A site.
pub fn site(namespace: &str, name: &str, service_id: &str, plan: &str) -> Value {
    object(
        "hostwright.dev/v1alpha1",
        "WordPressSite",
        name,
        json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "serviceId": service_id,
                "plan": plan,
                "owner": {"email": format!("{name}@customer.example"), "firstName": "Jane", "lastName": "Doe"},
            },
        }),
    )
}

/// A zone as a customer of a hoster has it: default records, mail, and the policies around mail. Its delegation is
/// not checked, for on the stage there is no Internet.
pub fn zone(namespace: &str, name: &str, zone: &str, provider: &str) -> Value {
    object(
        "hostwright.dev/v1alpha1",
        "DnsZone",
        name,
        json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "zone": zone,
                "provider": provider,
                "verifyNameservers": false,
                "records": [
                    {"name": "shop", "type": "A", "content": "PROXYSRV", "ttl": 300},
                    {"name": "@", "type": "MX", "content": "mail.example.net", "priority": 10},
                    {"name": "@", "type": "TXT", "content": "v=spf1 include:example.net -all"},
                    {"name": "@", "type": "CAA", "content": "0 issue letsencrypt.org"},
                ],
            },
        }),
    )
}
