//! Smallest valid objects of every kind and type, and requests that try them without storing anything.

use kube::Client;
use kube::api::{DynamicObject, PostParams};
use kube::core::Request;
use serde_json::{Value, json};

/// What a rule is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// A site.
    Site,
    /// A Plan.
    Plan,
    /// A Provider of type proxmox with the installer ssh.
    Proxmox,
    /// One whose range of numbers begins at the smallest.
    LowNumbers,
    /// One with the installer template.
    Template,
    /// A Provider of type nginxProxyManager.
    Npm,
    /// A Provider of type cloudflare.
    Cloudflare,
    /// A Provider of type ispconfig.
    Ispconfig,
    /// A zone with a TXT and an MX record, and one with nothing but what must be said.
    Zone,
    /// A backup.
    Backup,
    /// A roll-back of a site to its beginning.
    Restore,
    /// A roll-back of a site to a backup.
    BackupRestore,
}

impl Base {
    /// Plural of the kind.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Site => "wordpresssites",
            Self::Plan => "plans",
            Self::Zone => "dnszones",
            Self::Backup => "sitebackups",
            Self::Restore | Self::BackupRestore => "siterestores",
            _ => "providers",
        }
    }

    /// The object, with all optional parts in which a rule looks at something.
    pub fn object(self) -> Value {
        match self {
            Self::Site => named(
                "WordPressSite",
                json!({
                    "serviceId": "S-1",
                    "owner": {"email": "jane@example.com"},
                    "plan": "basic",
                    "backupSchedule": {"cron": "30 3 * * *", "keep": 2},
                }),
            ),
            Self::Plan => named(
                "Plan",
                json!({"wordpress": {
                    "memoryMib": 2048,
                    "diskGib": 20,
                    "compute": "pve",
                    "proxy": "npm",
                    "dns": "cloudflare",
                    "baseDomain": "sites.example.com",
                }}),
            ),
            Self::Proxmox => proxmox(999_999_999, ssh()),
            Self::LowNumbers => {
                let mut object = proxmox(200, ssh());
                set(&mut object, "/spec/proxmox/vmidRange/first", json!(100));
                object
            }
            Self::Template => proxmox(999_999_999, json!({"template": {}})),
            Self::Npm => provider(json!({"nginxProxyManager": {
                "endpoint": "https://npm.example.com:81",
                "publicAddress": "203.0.113.10",
                "edge": {},
            }})),
            Self::Cloudflare => provider(json!({"cloudflare": {}})),
            Self::Ispconfig => provider(json!({"ispconfig": {
                "endpoint": "https://panel.example.com:8080",
                "serverId": 1,
                "nameServers": ["ns1.example.net", "ns2.example.net"],
                "soa": {},
            }})),
            Self::Backup => named("SiteBackup", json!({"site": "bakery"})),
            Self::Restore => named("SiteRestore", json!({"site": "bakery", "snapshot": "initial"})),
            Self::BackupRestore => named("SiteRestore", json!({"site": "bakery", "backup": "before"})),
            Self::Zone => named(
                "DnsZone",
                json!({
                    "zone": "example.com",
                    "provider": "cloudflare",
                    "records": [
                        {"name": "x", "type": "TXT", "content": "t"},
                        {"name": "y", "type": "MX", "content": "mail.example.com"},
                        {"type": "TXT", "content": "t"},
                    ],
                }),
            ),
        }
    }
}

fn named(kind: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "rule"},
        "spec": spec,
    })
}

fn provider(settings: Value) -> Value {
    let mut spec = json!({"credentials": {"secretName": "rule"}});
    spec.as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    named("Provider", spec)
}

fn ssh() -> Value {
    let node = json!({"address": "10.0.0.2", "hostKeys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5"]});
    json!({"ssh": {"nodes": {"pve1": node}}})
}

fn proxmox(last: u32, installer: Value) -> Value {
    provider(json!({"proxmox": {
        "endpoints": ["https://pve1.example.com:8006"],
        "vmidRange": {"first": 5000, "last": last},
        "network": {
            "bridge": "vmbr1",
            "firstAddress": "10.20.0.100",
            "lastAddress": "10.20.0.253",
            "prefixLength": 16,
            "gateway": "10.20.0.1",
        },
        "storage": "local-lvm",
        "template": "local:vztmpl/debian-12.tar.zst",
        "highAvailability": {},
        "installer": installer,
    }}))
}

/// Puts a value at a JSON pointer and makes the objects and lists on the way; null takes the field away.
pub fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    let mut steps = path.trim_start_matches('/').split('/').peekable();
    while let Some(step) = steps.next() {
        let last = steps.peek().is_none();
        if at.is_null() {
            *at = if step == "0" { json!([null]) } else { json!({}) };
        }
        if last && value.is_null() {
            at.as_object_mut().unwrap().remove(step);
            return;
        }
        at = match at {
            Value::Array(items) => &mut items[step.parse::<usize>().unwrap()],
            Value::Object(fields) => fields.entry(step).or_insert(Value::Null),
            other => panic!("{path}: {other} has no {step}"),
        };
    }
    *at = value;
}

/// Lets the API server judge a new object without storing it. What it would store, or what it says against it.
pub async fn judge(client: &Client, base: Base, object: &Value) -> Result<Value, String> {
    let namespace = if matches!(base.plural(), "plans" | "providers") {
        ""
    } else {
        "/namespaces/default"
    };
    let url = format!("/apis/hostwright.dev/v1alpha1{namespace}/{}", base.plural());
    let params = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let request = Request::new(url)
        .create(&params, serde_json::to_vec(object).unwrap())
        .unwrap();
    match client.request::<DynamicObject>(request).await {
        Ok(stored) => Ok(serde_json::to_value(stored).unwrap()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}
