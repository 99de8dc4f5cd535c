//! Limits of lengths, counts and numbers: one line each.

use serde_json::{Value, json};

use super::objects::Base::{self, Cloudflare, LowNumbers, Npm, Plan, Proxmox, Site, Template};

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Characters of a text.
    Text,
    /// Items of a list.
    Items,
    /// Entries of a map.
    Entries,
    /// A number itself.
    Number,
}

/// One limit: the smallest and the largest are taken, one less and one more are refused.
#[derive(Debug)]
pub struct Bound {
    /// What it is tried on.
    pub base: Base,
    /// JSON pointer of the field.
    pub path: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// The smallest, if there is one.
    pub min: Option<i64>,
    /// The largest, if there is one.
    pub max: Option<i64>,
    /// Makes a value of a size that breaks no other rule.
    pub make: fn(i64) -> Value,
    /// A value of the largest size can keep the other rules.
    pub reachable: bool,
}

impl Bound {
    /// Keywords of the schema that it covers.
    pub fn keywords(&self) -> Vec<&'static str> {
        let (min, max) = match self.unit {
            Unit::Text => ("minLength", "maxLength"),
            Unit::Items => ("minItems", "maxItems"),
            Unit::Entries => ("minProperties", "maxProperties"),
            Unit::Number => ("minimum", "maximum"),
        };
        let (min, max) = (self.min.map(|_| min), self.max.map(|_| max));
        min.into_iter().chain(max).collect()
    }

    /// What the API server says about one less and one more.
    pub fn complaints(&self) -> (String, String) {
        let (min, max) = (self.min.unwrap_or_default(), self.max.unwrap_or_default());
        match self.unit {
            Unit::Text => (
                format!("should be at least {min} chars long"),
                format!("Too long: may not be more than {max} bytes"),
            ),
            Unit::Items => (
                format!("should have at least {min} items"),
                format!("must have at most {max} item"),
            ),
            Unit::Entries => (
                format!("should have at least {min} properties"),
                format!("must have at most {max} item"),
            ),
            Unit::Number => (
                format!("should be greater than or equal to {min}"),
                format!("should be less than or equal to {max}"),
            ),
        }
    }
}

pub fn letters(length: i64) -> Value {
    json!("a".repeat(usize::try_from(length).unwrap()))
}

fn number(number: i64) -> Value {
    json!(number)
}

pub fn list(count: i64, make: impl Fn(i64) -> Value) -> Value {
    (0..count).map(make).collect()
}

/// Labels with single dots between them.
pub fn domain(length: i64) -> Value {
    let mut text = "a.".repeat(usize::try_from(length).unwrap());
    text.truncate(usize::try_from(length - 1).unwrap());
    json!(format!("{text}b").replace(".b", "bb"))
}

pub fn email(length: i64) -> Value {
    let domain = "@b.cd";
    let local = usize::try_from(length).unwrap() - domain.len();
    json!(format!("{}{domain}", "a".repeat(local)))
}

pub fn endpoint(length: i64) -> Value {
    let scheme = "https://";
    let host = usize::try_from(length).unwrap().saturating_sub(scheme.len());
    json!(format!("{scheme}{}", "a".repeat(host)))
}

fn path(length: i64) -> Value {
    json!("/".repeat(usize::try_from(length).unwrap()))
}

pub const fn bound(
    base: Base,
    path: &'static str,
    unit: Unit,
    limits: (Option<i64>, i64),
    make: fn(i64) -> Value,
) -> Bound {
    Bound {
        base,
        path,
        unit,
        min: limits.0,
        max: Some(limits.1),
        make,
        reachable: true,
    }
}

/// A text whose shape is ruled elsewhere.
pub const fn most(base: Base, path: &'static str, max: i64, make: fn(i64) -> Value) -> Bound {
    bound(base, path, Unit::Text, (None, max), make)
}

/// A text that is never as long as the schema lets it be: there the rule about its shape is to speak, which says
/// more than a number. The limit bounds the cost of that rule.
pub const fn only_refused(base: Base, path: &'static str) -> Bound {
    only_refused_from(base, path, 253)
}

pub const fn only_refused_from(base: Base, path: &'static str, max: i64) -> Bound {
    Bound {
        reachable: false,
        ..most(base, path, max, letters)
    }
}

/// A number without an upper limit.
pub const fn least(base: Base, path: &'static str, min: i64) -> Bound {
    Bound {
        max: None,
        ..whole(base, path, min, 0)
    }
}

pub const fn text(base: Base, path: &'static str, min: i64, max: i64) -> Bound {
    bound(base, path, Unit::Text, (Some(min), max), letters)
}

pub const fn whole(base: Base, path: &'static str, min: i64, max: i64) -> Bound {
    bound(base, path, Unit::Number, (Some(min), max), number)
}

/// Every limit of all kinds.
pub fn all() -> Vec<Bound> {
    [
        site_and_plan(),
        common(),
        proxmox(),
        installer(),
        others(),
        super::dns_providers::limits(),
        super::life::limits(),
        super::zones::limits(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn site_and_plan() -> Vec<Bound> {
    vec![
        text(Site, "/spec/serviceId", 1, 255),
        text(Site, "/spec/plan", 1, 253),
        most(Site, "/spec/subdomain", 63, letters),
        most(Site, "/spec/owner/email", 254, email),
        most(Site, "/spec/owner/firstName", 100, letters),
        most(Site, "/spec/owner/lastName", 100, letters),
        whole(Plan, "/spec/wordpress/memoryMib", 64, 4_194_304),
        whole(Plan, "/spec/wordpress/swapMib", 0, 4_194_304),
        whole(Plan, "/spec/wordpress/cores", 1, 8_192),
        whole(Plan, "/spec/wordpress/diskGib", 1, 65_536),
        text(Plan, "/spec/wordpress/compute", 1, 253),
        text(Plan, "/spec/wordpress/proxy", 1, 253),
        text(Plan, "/spec/wordpress/dns", 1, 253),
        most(Plan, "/spec/wordpress/baseDomain", 180, domain),
        whole(Plan, "/spec/dns/records", 0, 3_500),
    ]
}

fn common() -> Vec<Bound> {
    vec![
        text(Cloudflare, "/spec/credentials/secretName", 1, 253),
        bound(
            Cloudflare,
            "/spec/allowedNamespaces",
            Unit::Items,
            (None, 256),
            |n| list(n, |i| json!(format!("n{i}"))),
        ),
        most(Cloudflare, "/spec/allowedNamespaces/0", 63, letters),
        text(Cloudflare, "/spec/tls/caBundle", 1, 65_536),
        bound(
            Cloudflare,
            "/spec/tls/fingerprints",
            Unit::Items,
            (Some(1), 32),
            |n| list(n, |_| letters(64)),
        ),
        only_refused(Cloudflare, "/spec/tls/fingerprints/0"),
        whole(Cloudflare, "/spec/limits/maxConcurrent", 1, 256),
        whole(Cloudflare, "/spec/limits/requestsPerSecond", 1, 10_000),
        only_refused_from(Cloudflare, "/spec/sweepInterval", 16),
    ]
}

fn proxmox() -> Vec<Bound> {
    vec![
        bound(
            Proxmox,
            "/spec/proxmox/endpoints",
            Unit::Items,
            (Some(1), 16),
            |n| list(n, |i| json!(format!("https://pve{i}:8006"))),
        ),
        most(Proxmox, "/spec/proxmox/endpoints/0", 512, endpoint),
        bound(Proxmox, "/spec/proxmox/nodes", Unit::Items, (None, 64), |n| {
            list(n, |i| json!(format!("pve{i}")))
        }),
        text(Proxmox, "/spec/proxmox/nodes/0", 1, 63),
        whole(Proxmox, "/spec/proxmox/vmidRange/first", 100, 999_999_999),
        whole(LowNumbers, "/spec/proxmox/vmidRange/last", 100, 999_999_999),
        text(Proxmox, "/spec/proxmox/network/bridge", 1, 15),
        whole(Proxmox, "/spec/proxmox/network/vlan", 1, 4_094),
        only_refused(Proxmox, "/spec/proxmox/network/firstAddress"),
        only_refused(Proxmox, "/spec/proxmox/network/lastAddress"),
        only_refused(Proxmox, "/spec/proxmox/network/gateway"),
        only_refused(Proxmox, "/spec/proxmox/network/nameServers/0"),
        whole(Proxmox, "/spec/proxmox/network/prefixLength", 8, 32),
        bound(
            Proxmox,
            "/spec/proxmox/network/nameServers",
            Unit::Items,
            (None, 3),
            |n| list(n, |_| json!("10.0.0.53")),
        ),
        text(Proxmox, "/spec/proxmox/network/searchDomain", 1, 253),
        most(Proxmox, "/spec/proxmox/storage", 100, letters),
        text(Proxmox, "/spec/proxmox/template", 3, 255),
        text(Proxmox, "/spec/proxmox/resourcePool", 1, 100),
        whole(Proxmox, "/spec/proxmox/storageTasks", 1, 64),
        whole(Proxmox, "/spec/proxmox/shutdownSeconds", 1, 3_600),
        bound(
            Proxmox,
            "/spec/proxmox/highAvailability/nodes",
            Unit::Items,
            (None, 64),
            |n| list(n, |i| json!(format!("pve{i}"))),
        ),
        text(Proxmox, "/spec/proxmox/highAvailability/nodes/0", 1, 63),
        text(Proxmox, "/spec/proxmox/highAvailability/group", 1, 100),
        whole(Proxmox, "/spec/proxmox/highAvailability/maxRestart", 0, 10),
        whole(Proxmox, "/spec/proxmox/highAvailability/maxRelocate", 0, 10),
    ]
}

fn installer() -> Vec<Bound> {
    let node = |n: i64| {
        let node = json!({"address": "a", "hostKeys": ["ssh-ed25519 AAAAC3Nza"]});
        let nodes = (0..n).map(|i| (format!("pve{i}"), node.clone()));
        Value::Object(nodes.collect())
    };
    vec![
        text(Proxmox, "/spec/proxmox/installer/ssh/user", 1, 64),
        bound(
            Proxmox,
            "/spec/proxmox/installer/ssh/nodes",
            Unit::Entries,
            (Some(1), 64),
            node,
        ),
        text(Proxmox, "/spec/proxmox/installer/ssh/nodes/pve1/address", 1, 253),
        whole(Proxmox, "/spec/proxmox/installer/ssh/nodes/pve1/port", 1, 65_535),
        bound(
            Proxmox,
            "/spec/proxmox/installer/ssh/nodes/pve1/hostKeys",
            Unit::Items,
            (Some(1), 8),
            |n| list(n, |_| letters(20)),
        ),
        text(
            Proxmox,
            "/spec/proxmox/installer/ssh/nodes/pve1/hostKeys/0",
            20,
            1_024,
        ),
        text(Proxmox, "/spec/proxmox/installer/ssh/wordpress/archive", 2, 1_024),
        only_refused(Proxmox, "/spec/proxmox/installer/ssh/wordpress/sha256"),
        whole(Proxmox, "/spec/proxmox/installer/ssh/deadlineSeconds", 10, 7_200),
        most(Template, "/spec/proxmox/installer/template/healthPath", 255, path),
        whole(Template, "/spec/proxmox/installer/template/port", 1, 65_535),
    ]
}

fn others() -> Vec<Bound> {
    vec![
        most(Npm, "/spec/nginxProxyManager/endpoint", 512, endpoint),
        only_refused(Npm, "/spec/nginxProxyManager/publicAddress"),
        only_refused(Npm, "/spec/nginxProxyManager/publicAddress6"),
        only_refused(Npm, "/spec/nginxProxyManager/edge/address"),
        whole(Npm, "/spec/nginxProxyManager/edge/httpPort", 1, 65_535),
        whole(Npm, "/spec/nginxProxyManager/edge/httpsPort", 1, 65_535),
        text(Npm, "/spec/nginxProxyManager/edge/caBundle", 1, 65_536),
    ]
}
