//! Create, start, stop, destroy, and snapshots. Each begins a task and returns; nothing here waits.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;

use super::classify::{Meaning, Refusal};
use super::client::{Request, Version};
use super::inventory::Facts;
use super::tasks::begun;
use super::wire::{SnapshotRow, description_for, environment, net0, tags_for};
use super::{Proxmox, container_name};
use crate::domain::{OwnerMark, Vmid};
use crate::providers::container_host::{ContainerSpec, HaState, Snapshot, TaskId};
use crate::providers::error::{ErrorKind, ProviderError};

/// Name of the pseudo entry for the present in a snapshot list.
const PRESENT: &str = "current";
/// Name that Proxmox' own backups give to their snapshots.
const RESERVED_BY_BACKUPS: &str = "vzdump";
/// Characters of a snapshot's name: 2 to 40 by the schema, and 31 for LINSTOR, whose limit of 48 includes a
/// prefix.
const SNAPSHOT_NAME: std::ops::RangeInclusive<usize> = 2..=31;
/// Configuration locks that stay after a failed task and that no call can clear.
const STUCK_LOCKS: [&str; 3] = ["destroyed", "rollback", "snapshot-delete"];

impl Proxmox {
    pub(super) fn owed_tags(&self) -> MutexGuard<'_, BTreeMap<Vmid, OwnerMark>> {
        self.untagged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The interface of a container with an address, as creation gives it.
    pub(super) fn interface(&self, address: Ipv4Addr) -> String {
        let (settings, pool) = (&self.settings, &self.settings.addresses);
        net0(
            &settings.bridge,
            address,
            pool.prefix(),
            pool.gateway(),
            settings.vlan,
        )
    }

    /// The create request; `env` only where the version has it, for unknown keys are refused.
    fn create_request(
        &self,
        spec: &ContainerSpec,
        version: &Version,
        tags: bool,
    ) -> Result<Request, ProviderError> {
        let settings = &self.settings;
        if !spec.environment.is_empty() && !version.has_environment() {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!(
                    "container {}: values for the first boot need Proxmox VE 9.1, this is {}; use another installer",
                    spec.id, version.text
                ),
            ));
        }
        let env = match spec.environment.is_empty() {
            true => None,
            false => Some(environment(&spec.environment)?),
        };
        let nameservers: Vec<String> = settings.nameservers.iter().map(ToString::to_string).collect();
        let path = ["nodes", &spec.node, "lxc"];
        Ok(Request::post("lxc.create", container_name(spec.id), &path)
            .with("vmid", spec.id)
            .with("ostemplate", &settings.template)
            .with("rootfs", format!("{}:{}", settings.storage, spec.disk.0))
            .with("memory", spec.memory.0)
            .with("swap", spec.swap.0)
            .with("cores", spec.cores)
            .with("hostname", &spec.hostname)
            .with("net0", self.interface(spec.address))
            // Absent it means 0 up to 8.x and 1 from 9.0.
            .with("unprivileged", 1)
            // The only feature that a token may set; systemd 255 and later wants it.
            .with("features", "nesting=1")
            .with("onboot", 1)
            .with("start", 1)
            .with("description", description_for(&spec.mark))
            .with_some("tags", tags.then(|| tags_for(&spec.mark)))
            .with_some(
                "nameserver",
                (!nameservers.is_empty()).then(|| nameservers.join(" ")),
            )
            .with_some("searchdomain", settings.search_domain.as_ref())
            .with_some("pool", settings.resource_pool.as_ref())
            .with_some("env", env))
    }

    pub(super) async fn create_container(&self, spec: &ContainerSpec) -> Result<TaskId, ProviderError> {
        self.owed_tags().remove(&spec.id);
        let attempt = |tags: bool| {
            self.api.versioned(move |version| async move {
                let request = self.create_request(spec, &version, tags)?;
                self.api.ask::<String>(request).await
            })
        };
        let upid = match attempt(true).await {
            Err(refused) if tags_refused(&refused) => {
                // The check of tags looks at `/vms/<id>`, where a right on the pool alone does not reach before
                // the container is in it.
                let upid = attempt(false).await?;
                self.owed_tags().insert(spec.id, spec.mark.clone());
                upid
            }
            other => other?,
        };
        self.note_change(spec.id, Some(&spec.node));
        begun(&container_name(spec.id), upid)
    }

    /// Starts (`true`) or stops a container; `None` when nothing was to do or when high availability, which
    /// owns the power state of what it manages, was told to.
    pub(super) async fn power(&self, id: Vmid, on: bool) -> Result<Option<TaskId>, ProviderError> {
        let done = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                let facts = self.facts(id, node).await?;
                if facts.status.managed(&place) {
                    let state = if on { HaState::Started } else { HaState::Stopped };
                    if self.request_power(id, &facts, &place, state).await? {
                        return Ok(None);
                    }
                }
                if facts.status.running(id)? == on {
                    return Ok(None);
                }
                self.begin_power(id, node, on).await
            })
            .await?;
        done.ok_or_else(|| gone(id))
    }

    async fn begin_power(&self, id: Vmid, node: &str, on: bool) -> Result<Option<TaskId>, Refusal> {
        let (call, verb) = if on {
            ("lxc.start", "start")
        } else {
            ("lxc.shutdown", "shutdown")
        };
        let path = ["nodes", node, "lxc", &id.to_string(), "status", verb];
        let request = Request::post(call, container_name(id), &path);
        let request = match on {
            true => request,
            // Without force the task fails when the time is up.
            false => request
                .with("timeout", self.settings.stop_grace.as_secs())
                .with("forceStop", 1),
        };
        match self.api.ask::<String>(request).await {
            Ok(upid) => Ok(Some(begun(&container_name(id), upid)?)),
            Err(refused) if matches!(refused.meaning, Meaning::Running | Meaning::Stopped) => {
                // The refusal is believed when the status agrees; else somebody was faster the other way.
                match self.status(id, node).await?.running(id)? == on {
                    true => Ok(None),
                    false => Err(refused),
                }
            }
            Err(refused) => Err(self.explain_lock(id, node, refused).await),
        }
    }

    pub(super) async fn begin_destroy(
        &self,
        id: Vmid,
        owner: &OwnerMark,
    ) -> Result<Option<TaskId>, ProviderError> {
        self.on_node(id, |place| async move {
            let node = place.node.as_str();
            let config = self.config(id, node).await?;
            if let Some(word) = config.text("lock").filter(|word| STUCK_LOCKS.contains(word)) {
                return Err(self.stuck(id, node, word).await.into());
            }
            if config.mark().as_ref() != Some(owner) {
                return Err(foreign(id).into());
            }
            let path = ["nodes", node, "lxc", &id.to_string()];
            let request = Request::delete("lxc.destroy", container_name(id), &path)
                .with("purge", 1)
                .with("destroy-unreferenced-disks", 1);
            match self.api.ask::<String>(request).await {
                Ok(upid) => {
                    self.note_change(id, None);
                    Ok(begun(&container_name(id), upid)?)
                }
                Err(refused) => Err(self.explain_lock(id, node, refused).await),
            }
        })
        .await
    }

    /// A refusal because of a lock that only a person can clear, with the command for it.
    pub(super) async fn explain_lock(&self, id: Vmid, node: &str, refused: Refusal) -> Refusal {
        match &refused.meaning {
            Meaning::Locked(word) if STUCK_LOCKS.contains(&word.as_str()) => Refusal {
                error: self.stuck(id, node, word).await,
                meaning: refused.meaning,
            },
            _ => refused,
        }
    }

    async fn stuck(&self, id: Vmid, node: &str, word: &str) -> ProviderError {
        let words = match self.is_worked_on(id, node).await {
            Ok(true) => {
                format!("container {id} is locked ({word}) while a task works on it; trying again later")
            }
            Ok(false) => format!(
                "container {id} is locked ({word}) by a task that failed, and only a person can clear that: \
                 run `pct unlock {id}` on node {node}"
            ),
            Err(_) => format!(
                "container {id} is locked ({word}); if no task works on it any more, \
                 run `pct unlock {id}` on node {node}"
            ),
        };
        ProviderError::new(ErrorKind::Conflict, words)
    }

    pub(super) async fn list_snapshots(&self, id: Vmid) -> Result<Vec<Snapshot>, ProviderError> {
        let rows = self
            .on_node(
                id,
                |place| async move { self.snapshot_rows(id, &place.node).await },
            )
            .await?
            .ok_or_else(|| gone(id))?;
        Ok(rows.into_iter().map(SnapshotRow::into_snapshot).collect())
    }

    pub(super) async fn snapshot_rows(&self, id: Vmid, node: &str) -> Result<Vec<SnapshotRow>, Refusal> {
        let path = ["nodes", node, "lxc", &id.to_string(), "snapshot"];
        let request = Request::get("lxc.snapshots", container_name(id), &path);
        let mut rows: Vec<SnapshotRow> = self.api.ask(request).await?;
        rows.retain(|row| row.name != PRESENT);
        Ok(rows)
    }

    pub(super) async fn begin_snapshot(
        &self,
        id: Vmid,
        name: &str,
        description: &str,
    ) -> Result<TaskId, ProviderError> {
        check_snapshot_name(name)?;
        let task = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                let path = ["nodes", node, "lxc", &id.to_string(), "snapshot"];
                let request = Request::post("lxc.snapshot", container_name(id), &path)
                    .with("snapname", name)
                    .with("description", description);
                match self.api.ask::<String>(request).await {
                    Ok(upid) => Ok(begun(&container_name(id), upid)?),
                    Err(refused) => Err(self.explain_lock(id, node, refused).await),
                }
            })
            .await?;
        task.ok_or_else(|| gone(id))
    }

    /// Deletes a snapshot that the list has: a name that it has not would be accepted and fail in the task.
    /// Never with force, which would drop it from the list while the storage keeps it.
    pub(super) async fn begin_snapshot_removal(
        &self,
        id: Vmid,
        name: &str,
    ) -> Result<Option<TaskId>, ProviderError> {
        let task = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                let rows = self.snapshot_rows(id, node).await?;
                if !rows.iter().any(|row| row.name == name) {
                    return Ok(None);
                }
                let path = ["nodes", node, "lxc", &id.to_string(), "snapshot", name];
                let request = Request::delete("lxc.delete_snapshot", container_name(id), &path);
                match self.api.ask::<String>(request).await {
                    Ok(upid) => Ok(Some(begun(&container_name(id), upid)?)),
                    Err(refused) => Err(self.explain_lock(id, node, refused).await),
                }
            })
            .await?;
        // A container that is gone has no snapshots either.
        Ok(task.flatten())
    }
}

impl SnapshotRow {
    fn into_snapshot(self) -> Snapshot {
        let seconds = self.snaptime.and_then(|seconds| i64::try_from(seconds).ok());
        Snapshot {
            name: self.name,
            description: self.description.unwrap_or_default(),
            taken_at: seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            broken: self.snapstate,
        }
    }
}

/// A refusal that is about the tags: a missing right to set options, or tags that are restricted.
pub(super) fn tags_refused(refused: &Refusal) -> bool {
    match &refused.meaning {
        Meaning::Right(words) => words.contains("VM.Config.Options") || words.contains("tag"),
        _ => false,
    }
}

fn check_snapshot_name(name: &str) -> Result<(), ProviderError> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let reserved = name == PRESENT || name == RESERVED_BY_BACKUPS;
    let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if letter && name.chars().all(inner) && SNAPSHOT_NAME.contains(&name.len()) && !reserved {
        return Ok(());
    }
    Err(ProviderError::new(
        ErrorKind::Invalid,
        format!(
            "\"{name}\" cannot name a snapshot; use 2 to 31 letters, digits, `_` and `-`, a letter first, \
             and neither `current` nor `vzdump`"
        ),
    ))
}

/// The container of a call that needs one is proven absent.
pub(super) fn gone(id: Vmid) -> ProviderError {
    ProviderError::new(ErrorKind::NotFound, format!("container {id} does not exist"))
}

/// The container is not the caller's.
pub(super) fn foreign(id: Vmid) -> ProviderError {
    ProviderError::new(
        ErrorKind::Conflict,
        format!("container {id} does not carry this object's mark; it is left alone"),
    )
}

impl Facts {
    /// Whether the container can be taken for what is left of a destroyed one, which has lost its mark.
    pub(super) fn is_remains(&self) -> bool {
        self.config.text("lock") == Some("destroyed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_names() {
        for good in ["initial", "BAK20112025-1", "ab"] {
            assert!(check_snapshot_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a", "1a", "a b", "current", "vzdump", "a/b", &"a".repeat(32)] {
            assert!(check_snapshot_name(bad).is_err(), "{bad}");
        }
    }
}
