//! What the token may do: the minimal role, compared with what Proxmox says, and the proof that an empty
//! cluster list is empty and not hidden.
//!
//! | path | privileges |
//! | --- | --- |
//! | `/vms` or `/pool/<pool>` | VM.Audit, VM.Allocate, VM.Config.{Disk,CPU,Memory,Network,Options}, VM.PowerMgmt, VM.Snapshot |
//! | `/storage/<disks>` | Datastore.AllocateSpace, Datastore.Audit |
//! | `/storage/<templates>` | Datastore.Audit |
//! | `/sdn/zones/localnetwork/<bridge>[/<vlan>]` | SDN.Use |
//! | `/pool/<pool>` | Pool.Audit, Pool.Allocate, when a pool is used |
//! | `/` | Sys.Audit; Sys.Console for high availability only |
//!
//! Only where a Plan has `recovery: RestoreLatestBackup` (see `archives.rs`), and looked at only when a container is lost:
//!
//! | path | privileges |
//! | --- | --- |
//! | `/vms` | VM.Backup; not on a pool, for a container that is lost is in none |
//! | `/storage/<backups>`, each storage that takes backups | Datastore.AllocateSpace, Datastore.Audit |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::Value;

use super::client::Request;
use super::{Proxmox, ProxmoxSettings};
use crate::domain::Vmid;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::health::Health;

/// Rights on guests that the life cycle needs. VM.Snapshot includes what VM.Snapshot.Rollback gives.
const GUEST_RIGHTS: [&str; 9] = [
    "VM.Audit",
    "VM.Allocate",
    "VM.Config.Disk",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.PowerMgmt",
    "VM.Snapshot",
];

/// Effective rights by path, as `/access/permissions` tells them: every path with an access list of its own,
/// each right with its propagate flag.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Rights(BTreeMap<String, BTreeMap<String, Value>>);

impl Rights {
    /// Whether a right is held at a path: by the path's own entry, or else by its nearest ancestor that has
    /// one, if the right propagates.
    pub(super) fn hold(&self, path: &str, right: &str) -> bool {
        if let Some(own) = self.0.get(path) {
            return own.contains_key(right);
        }
        let mut place = path;
        while place != "/" {
            place = match place.rsplit_once('/') {
                Some((parent, _)) if !parent.is_empty() => parent,
                _ => "/",
            };
            if let Some(rights) = self.0.get(place) {
                return rights.get(right).is_some_and(propagates);
            }
        }
        false
    }

    /// Whether a bridge may be used, also when it is a virtual network of another zone.
    fn hold_bridge(&self, bridge: &str, path: &str) -> bool {
        let elsewhere = |place: &str| {
            place
                .strip_prefix("/sdn/zones/")
                .is_some_and(|rest| rest.split('/').nth(1) == Some(bridge))
        };
        self.hold(path, "SDN.Use")
            || self
                .0
                .iter()
                .any(|(place, rights)| elsewhere(place) && rights.contains_key("SDN.Use"))
    }

    /// What the minimal role has and the token has not, as `right on path`.
    pub(super) fn missing(&self, settings: &ProxmoxSettings) -> Vec<String> {
        let mut missing = Vec::new();
        let mut need = |held: bool, right: &str, place: &str| {
            if !held {
                missing.push(format!("{right} on {place}"));
            }
        };
        let pool = settings
            .resource_pool
            .as_ref()
            .map(|pool| format!("/pool/{pool}"));
        let guests = pool.as_deref().unwrap_or("/vms");
        for right in GUEST_RIGHTS {
            need(
                self.hold("/vms", right) || self.hold(guests, right),
                right,
                guests,
            );
        }
        let disks = format!("/storage/{}", settings.storage);
        for right in ["Datastore.AllocateSpace", "Datastore.Audit"] {
            need(self.hold(&disks, right), right, &disks);
        }
        let store = settings.template.split(':').next().unwrap_or_default();
        let templates = format!("/storage/{store}");
        if templates != disks {
            need(
                self.hold(&templates, "Datastore.Audit"),
                "Datastore.Audit",
                &templates,
            );
        }
        let tag = settings.vlan.map(|tag| format!("/{tag}")).unwrap_or_default();
        let bridge = format!("/sdn/zones/localnetwork/{}{tag}", settings.bridge);
        need(self.hold_bridge(&settings.bridge, &bridge), "SDN.Use", &bridge);
        if let Some(pool) = &pool {
            for right in ["Pool.Audit", "Pool.Allocate"] {
                need(self.hold(pool, right), right, pool);
            }
        }
        need(self.hold("/", "Sys.Audit"), "Sys.Audit", "/");
        let placement = &settings.high_availability;
        if !placement.nodes.is_empty() || placement.group.is_some() {
            need(
                self.hold("/", "Sys.Console"),
                "Sys.Console",
                "/ (high availability)",
            );
        }
        missing
    }
}

fn propagates(flag: &Value) -> bool {
    matches!(flag.as_u64(), Some(1)) || flag.as_bool() == Some(true) || flag.as_str() == Some("1")
}

impl Proxmox {
    pub(super) async fn read_rights(&self) -> Result<Arc<Rights>, ProviderError> {
        let request = || Request::get("access.permissions", "API token", &["access", "permissions"]);
        self.rights
            .get(|| async { Ok(Arc::new(self.api.ask::<Rights>(request()).await?)) })
            .await
    }

    /// A guest that is missing in a fresh cluster list is absent only if the token could have seen it:
    /// Proxmox leaves out what a token may not audit, down to an empty list with status 200.
    ///
    /// # Errors
    /// `Denied` when the token could not have seen it.
    pub(super) async fn confirm_absence(&self, id: Vmid) -> Result<(), ProviderError> {
        let rights = self.read_rights().await?;
        let pool = self.settings.resource_pool.as_ref();
        let seen = rights.hold(&format!("/vms/{id}"), "VM.Audit")
            || pool.is_some_and(|pool| rights.hold(&format!("/pool/{pool}"), "VM.Audit"));
        if seen {
            return Ok(());
        }
        Err(ProviderError::new(
            ErrorKind::Denied,
            format!("container {id} cannot be looked for: the API token lacks VM.Audit on /vms; grant it"),
        ))
    }

    pub(super) async fn health(&self) -> Result<Health, ProviderError> {
        let begun = Instant::now();
        let version = self.api.read_version().await?;
        let first = begun.elapsed();
        let begun = Instant::now();
        let rights = self.read_rights().await?;
        let latency = first.min(begun.elapsed());
        let placement = match version.has_rules() {
            true => "ha-rules",
            false => "ha-groups",
        };
        let mut capabilities = vec![placement.to_owned()];
        if version.has_environment() {
            capabilities.push("first-boot-environment".to_owned());
        }
        // So that a hoster sees before a loss whether a lost container could be restored.
        if rights.hold("/vms", "VM.Backup") {
            capabilities.push("restore-archives".to_owned());
        }
        Ok(Health {
            missing_rights: rights.missing(&self.settings),
            version: version.text,
            capabilities,
            latency,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(json: Value) -> Rights {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn rights_come_from_the_nearest_path_and_propagate_or_not() {
        let held = rights(serde_json::json!({
            "/": {"Sys.Audit": 1, "SDN.Use": 0},
            "/vms": {"VM.Audit": 1, "VM.Allocate": 0},
            "/vms/100": {"VM.PowerMgmt": 1},
        }));
        assert!(held.hold("/vms", "VM.Allocate") && !held.hold("/vms/907", "VM.Allocate"));
        assert!(held.hold("/vms/907", "VM.Audit"));
        assert!(
            !held.hold("/vms/100", "VM.Audit"),
            "an own list replaces the inherited one"
        );
        assert!(held.hold("/storage/drbd", "Sys.Audit") && !held.hold("/sdn", "SDN.Use"));
        assert!(!Rights::default().hold("/vms/907", "VM.Audit"));
    }

    #[test]
    fn a_bridge_may_be_a_virtual_network_of_another_zone() {
        let held = rights(serde_json::json!({"/sdn/zones/customers/vmbr9/12": {"SDN.Use": 1}}));
        let path = "/sdn/zones/localnetwork/vmbr9";
        assert!(held.hold_bridge("vmbr9", path));
        assert!(!held.hold_bridge("vmbr1", "/sdn/zones/localnetwork/vmbr1"));
    }
}
