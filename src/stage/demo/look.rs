//! One look at everything: what the sites' statuses say, and what exists outside. Data for table and story.

use kube::ResourceExt;
use kube::api::ListParams;

use super::proof::Things;
use super::scene::Scene;
use crate::api::condition::{kinds, reasons};
use crate::api::{Phase, WordPressSite};
use crate::stage::{Backends, CLOUDFLARE_ZONE, StageError};

/// The parts of a site in the order in which they are made, with their headings.
pub const PARTS: [(&str, &str); 7] = [
    (kinds::CONTAINER_READY, "cont"),
    (kinds::NAME_READY, "name"),
    (kinds::CERTIFICATE_READY, "cert"),
    (kinds::PROXY_READY, "prox"),
    (kinds::INSTALL_READY, "inst"),
    (kinds::PAGE_READY, "page"),
    (kinds::SNAPSHOT_READY, "snap"),
];

/// How a part of a site stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// As it shall be.
    Good,
    /// Being made.
    Working,
    /// Its turn has not come.
    Waiting,
    /// An error.
    Failed,
}

/// One site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteLook {
    /// `namespace/name`.
    pub name: String,
    /// Identity of the object.
    pub uid: String,
    /// Its phase, or `Pending`.
    pub phase: Phase,
    /// Condition Ready is True.
    pub ready: bool,
    /// Its address for people.
    pub url: Option<String>,
    /// Its whole name.
    pub host: Option<String>,
    /// Node of its container.
    pub node: Option<String>,
    /// Number of its container.
    pub vmid: Option<i32>,
    /// The parts, as in [`PARTS`].
    pub parts: [Part; PARTS.len()],
    /// What condition Ready says.
    pub message: String,
}

/// One back-end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendLook {
    /// Its name for people.
    pub name: &'static str,
    /// What the operator has made there, in words.
    pub ours: String,
    /// What was there before, in words.
    pub others: String,
    /// Calls so far.
    pub calls: u64,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// By namespace and name.
    pub sites: Vec<SiteLook>,
    /// The back-ends.
    pub outside: Vec<BackendLook>,
}

impl SiteLook {
    /// What an object says.
    pub fn of(site: &WordPressSite) -> Self {
        let status = site.status.clone().unwrap_or_default();
        let condition = |kind: &str| status.conditions.iter().find(|found| found.type_ == kind);
        let part = |kind: &str| match condition(kind) {
            Some(found) if found.status == "True" => Part::Good,
            None => Part::Waiting,
            Some(found) => match found.reason.as_str() {
                reasons::WAITING | reasons::QUEUED | reasons::PENDING => Part::Waiting,
                reasons::PROVISIONING | reasons::TASK_RUNNING | reasons::DEGRADED | reasons::DELETING => {
                    Part::Working
                }
                _ => Part::Failed,
            },
        };
        let ready = condition(kinds::READY);
        Self {
            name: format!("{}/{}", site.namespace().unwrap_or_default(), site.name_any()),
            uid: site.uid().unwrap_or_default(),
            phase: status.phase.unwrap_or(Phase::Pending),
            ready: ready.is_some_and(|found| {
                found.status == "True" && found.observed_generation == site.metadata.generation
            }),
            url: status.url.clone(),
            host: status.host.clone(),
            node: status.node.clone(),
            vmid: status.vmid,
            parts: PARTS.map(|(kind, _)| part(kind)),
            message: ready.map(|found| found.message.clone()).unwrap_or_default(),
        }
    }
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn take(scene: &Scene) -> Result<Self, StageError> {
        let sites = scene.sites().list(&ListParams::default()).await?;
        Ok(Self {
            sites: sites.items.iter().map(SiteLook::of).collect(),
            outside: outside(scene),
        })
    }

    /// Whether so many sites are there and all are Ready.
    pub fn are_ready(&self, sites: usize) -> bool {
        self.sites.len() == sites && self.sites.iter().all(|site| site.ready)
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn outside(scene: &Scene) -> Vec<BackendLook> {
    let backends = &scene.backends;
    let containers = backends.proxmox.containers();
    let (others, ours): (Vec<_>, Vec<_>) = containers.iter().partition(|container| container.foreign);
    let snapshots = ours.iter().map(|container| container.snapshots.len()).sum();
    let hosts = own(&scene.before, "proxy host", backends.npm.hosts().len());
    let certificates = own(&scene.before, "certificate", backends.npm.certificates().len());
    let zones = zones(scene);
    let records = own(
        &scene.before,
        "record",
        backends.cloudflare.records(CLOUDFLARE_ZONE).len(),
    );
    let installations = installations(backends);
    let calls = backends.calls();
    let row = |name, key: &str, ours, others| BackendLook {
        name,
        ours,
        others,
        calls: calls
            .iter()
            .find(|(known, _)| *known == key)
            .map_or(0, |(_, sum)| *sum),
    };
    vec![
        row(
            "Proxmox VE",
            "proxmox",
            format!(
                "{}, {}",
                counted(ours.len(), "container"),
                counted(snapshots, "snapshot")
            ),
            counted(others.len(), "container"),
        ),
        row(
            "Nginx Proxy Manager",
            "npm",
            format!(
                "{}, {}",
                counted(hosts.0, "proxy host"),
                counted(certificates.0, "certificate")
            ),
            format!(
                "{}, {}",
                counted(hosts.1, "proxy host"),
                counted(certificates.1, "certificate")
            ),
        ),
        row(
            "Cloudflare",
            "cloudflare",
            counted(records.0, "record"),
            counted(records.1, "record"),
        ),
        row(
            "ISPConfig",
            "ispconfig",
            counted(zones.0, "zone"),
            counted(zones.1, "zone"),
        ),
        row(
            "SSH to the nodes",
            "ssh",
            counted(installations, "installation"),
            String::new(),
        ),
    ]
}

/// How often the installer ran on all nodes.
fn installations(backends: &Backends) -> usize {
    let runs = backends
        .ssh
        .iter()
        .flat_map(|(_, node)| node.runs().into_values());
    usize::try_from(runs.sum::<u64>()).unwrap_or(usize::MAX)
}

/// How many zones on ISPConfig are ours, and how many were there before.
fn zones(scene: &Scene) -> (usize, usize) {
    let zones = scene.backends.ispconfig.zones();
    let before = |origin: &str| scene.before.count(&format!("zone {origin} on ISPConfig")) > 0;
    let others = zones.iter().filter(|zone| before(&zone.origin)).count();
    (zones.len().saturating_sub(others), others)
}

/// How many of all are ours, and how many were there before.
fn own(before: &Things, kind: &str, all: usize) -> (usize, usize) {
    let others = before.count(kind);
    (all.saturating_sub(others), others)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_becomes_a_row() {
        let condition = |kind: &str, status: &str, reason: &str| {
            json!({"type": kind, "status": status, "reason": reason, "message": format!("{kind} says"),
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1})
        };
        let site = json!({
            "apiVersion": "hostwright.dev/v1alpha1", "kind": "WordPressSite",
            "metadata": {"name": "bakery", "namespace": "customers", "uid": "u", "generation": 1},
            "spec": {"serviceId": "1", "plan": "basic", "owner": {"email": "a@b.example"}},
            "status": {"phase": "Provisioning", "node": "pve1", "vmid": 5000, "conditions": [
                condition("Ready", "False", "Provisioning"),
                condition("ContainerReady", "True", "Ready"),
                condition("NameReady", "False", "Denied"),
                condition("CertificateReady", "False", "Provisioning"),
                condition("ProxyReady", "False", "Waiting"),
            ]},
        });
        let look = SiteLook::of(&serde_json::from_value(site).unwrap());
        assert_eq!((look.name.as_str(), look.ready), ("customers/bakery", false));
        assert_eq!(look.message, "Ready says");
        assert_eq!(
            look.parts[..5],
            [
                Part::Good,
                Part::Failed,
                Part::Working,
                Part::Waiting,
                Part::Waiting
            ]
        );
    }

    #[test]
    fn things_are_counted_in_english() {
        assert_eq!(counted(0, "record"), "0 records");
        assert_eq!(counted(1, "record"), "1 record");
    }
}
