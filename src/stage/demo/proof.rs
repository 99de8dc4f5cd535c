//! What the demo proves about the world outside, read from the simulators themselves and not from the operator.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::providers::http::{TlsTrust, client_builder};
use crate::stage::{Backends, CLOUDFLARE_ZONE, StageError};

/// Number of somebody else's container, in the middle of the range that sites get theirs from.
const FOREIGN_CONTAINER: u32 = 5001;
/// Number of somebody else's virtual machine, in the same range.
const FOREIGN_MACHINE: u32 = 5002;
/// Somebody else's zone, on both hosts of zones.
const FOREIGN_ZONE: &str = "choir.example";
/// Begin of every owner mark.
const MARK: &str = "hostwright:";
/// Text that only the front page of a finished WordPress has.
const GENERATOR: &str = "content=\"WordPress";

/// Puts other people's things beside those that sites will get: same range of numbers, same addresses, same
/// zone, same proxy.
///
/// # Errors
/// When a simulator refuses.
pub fn put_foreign_things(backends: &Backends) -> Result<(), StageError> {
    let lines = [
        ("hostname", "intranet"),
        ("memory", "1024"),
        ("net0", "name=eth0,bridge=vmbr1,ip=10.20.0.101/8,gw=10.0.0.1"),
        ("description", "The accountants' own. Do not touch."),
    ];
    let pve = &backends.proxmox;
    pve.add_foreign_container(FOREIGN_CONTAINER, "pve1", &lines);
    let snapshot = pve.add_snapshot(FOREIGN_CONTAINER, "before-upgrade", "by hand");
    snapshot.map_err(StageError::Other)?;
    pve.add_vm(FOREIGN_MACHINE, "pve2");
    let name = format!("intranet.{CLOUDFLARE_ZONE}");
    let host = backends.npm.add_foreign_host(&[&name], "10.20.0.101", 8080);
    host.map_err(StageError::Other)?;
    backends.npm.add_foreign_certificate(&[&name], true);
    let records = [
        (name.as_str(), "A", "203.0.113.10"),
        (CLOUDFLARE_ZONE, "MX", "mail.example.net"),
        ("mail.sites.example.com", "A", "203.0.113.77"),
    ];
    for (name, kind, content) in records {
        let added = backends
            .cloudflare
            .add_foreign_record(CLOUDFLARE_ZONE, name, kind, content, None);
        added.ok_or_else(|| StageError::Other(format!("the zone {CLOUDFLARE_ZONE} is missing")))?;
    }
    backends.cloudflare.add_zone(FOREIGN_ZONE);
    backends.ispconfig.add_zone(FOREIGN_ZONE);
    let added = backends
        .ispconfig
        .add_foreign(FOREIGN_ZONE, "www", "A", "203.0.113.9", 0);
    added.ok_or_else(|| StageError::Other(format!("the zone {FOREIGN_ZONE} is missing")))?;
    Ok(())
}

/// Everything that exists at the back-ends: what it is called, and everything about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Things(BTreeMap<String, String>);

impl Things {
    /// What exists now.
    pub fn seen(backends: &Backends) -> Self {
        let mut things = BTreeMap::new();
        let pve = &backends.proxmox;
        for container in pve.containers() {
            things.insert(format!("container {}", container.vmid), format!("{container:?}"));
        }
        for resource in pve.ha_resources() {
            things.insert(
                format!("high-availability resource {}", resource.sid),
                format!("{resource:?}"),
            );
        }
        for rule in pve.ha_rules() {
            things.insert(format!("placement rule {}", rule.name), format!("{rule:?}"));
        }
        for volume in pve.orphan_volumes() {
            things.insert(format!("volume {volume} without a guest"), String::new());
        }
        for host in backends.npm.hosts() {
            things.insert(format!("proxy host {}", names(&host)), host.to_string());
        }
        for certificate in backends.npm.certificates() {
            let name = format!("certificate {}", names(&certificate));
            things.insert(name, certificate.to_string());
        }
        for record in backends.cloudflare.records(CLOUDFLARE_ZONE) {
            let name = format!("record {} {} {}", record.kind, record.name, record.content);
            things.insert(name, format!("{record:?}"));
        }
        for name in backends.cloudflare.zone_names() {
            things.insert(format!("zone {name} on Cloudflare"), String::new());
        }
        for zone in backends.ispconfig.zones() {
            things.insert(format!("zone {} on ISPConfig", zone.origin), format!("{zone:?}"));
        }
        for record in backends.ispconfig.all_records() {
            let name = format!("record {} on ISPConfig", record.id);
            things.insert(name, format!("{record:?}"));
        }
        Self(things)
    }

    /// How many there are of a kind, by the first words of their names.
    pub fn count(&self, kind: &str) -> usize {
        self.0.keys().filter(|name| name.starts_with(kind)).count()
    }

    /// What differs from an earlier look, in words; empty when nothing does.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, about) in &before.0 {
            match self.0.get(name) {
                None => changes.push(format!("{name} of somebody else is gone")),
                Some(now) if now != about => changes.push(format!("{name} of somebody else was changed")),
                Some(_) => {}
            }
        }
        let added = self.0.keys().filter(|name| !before.0.contains_key(*name));
        changes.extend(added.map(|name| format!("{name} is left over")));
        changes
    }
}

fn names(row: &Value) -> String {
    let id = row.get("id").map(Value::to_string).unwrap_or_default();
    let names: Vec<&str> = row
        .get("domain_names")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    format!("{id} {}", names.join(" "))
}

/// How many containers carry the owner mark of the object with this UID.
pub fn containers_of(backends: &Backends, uid: &str) -> usize {
    let containers = backends.proxmox.containers();
    let marked = containers
        .iter()
        .filter(|container| container.description.contains(MARK) && container.description.contains(uid));
    marked.count()
}

/// How many creations of containers the cluster was asked for.
pub fn creations(backends: &Backends) -> u64 {
    let calls = backends.proxmox_server.faults.calls();
    let creations = calls
        .iter()
        .filter(|(call, _)| call.starts_with("POST ") && call.ends_with("/lxc"));
    creations.map(|(_, count)| count).sum()
}

/// Fetches a site's front page as a visitor does, over HTTPS through the proxy, trusting the proxy's authority
/// only. Its size in bytes.
///
/// # Errors
/// When anything but WordPress answers.
pub async fn fetch(backends: &Backends, host: &str) -> Result<usize, StageError> {
    let (status, page) = visit(backends, host).await?;
    let good = (200..300).contains(&status) && page.contains(GENERATOR);
    good.then_some(page.len())
        .ok_or_else(|| StageError::Other(format!("https://{host}/ answers {status} and is not WordPress")))
}

/// HTTP status and text of a site's front page, as a visitor gets them.
///
/// # Errors
/// When nothing answers.
pub async fn visit(backends: &Backends, host: &str) -> Result<(u16, String), StageError> {
    let failed = |what: String| StageError::Other(format!("https://{host}/ {what}"));
    let (_, https) = backends.npm.edge_addresses();
    let client = client_builder(&TlsTrust::CaBundle(backends.npm.ca_pem()))
        .map_err(|error| failed(error.message().to_owned()))?
        .resolve(host, https)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let answer = client.get(format!("https://{host}/")).send().await;
    let answer = answer.map_err(|error| failed(format!("does not answer: {error}")))?;
    let status = answer.status().as_u16();
    let page = answer.text().await;
    Ok((
        status,
        page.map_err(|error| failed(format!("breaks off: {error}")))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_told() {
        let things = |list: &[(&str, &str)]| {
            let owned = list.iter().map(|(name, about)| ((*name).into(), (*about).into()));
            Things(owned.collect())
        };
        let before = things(&[("container 1", "a"), ("container 2", "b"), ("record 3", "c")]);
        assert_eq!(before.changes_since(&before), Vec::<String>::new());
        let after = things(&[("container 1", "a"), ("container 2", "B"), ("container 9", "d")]);
        assert_eq!(
            after.changes_since(&before),
            [
                "container 2 of somebody else was changed",
                "record 3 of somebody else is gone",
                "container 9 is left over",
            ]
        );
    }
}
