//! What is done to a container that exists: restart, settings, growth, rollback, adoption. Each compares the mark
//! right before its call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use super::classify::{Meaning, Refusal};
use super::client::Request;
use super::inventory::MEMORY_DEFAULT;
use super::lifecycle::{foreign, gone, tags_refused};
use super::tasks::begun;
use super::texts::{marked_description, merged_interface, merged_tags};
use super::wire::GuestConfig;
use super::{Proxmox, container_name};
use crate::domain::{Gib, OwnerMark, Vmid};
use crate::providers::container_host::{ContainerSettings, TaskId};
use crate::providers::error::{ErrorKind, ProviderError};

/// First interface of a container, the only one that is ours.
const INTERFACE: &str = "net0";

/// Lines of a configuration with their new values.
type Lines = BTreeMap<&'static str, String>;

fn check_owner(id: Vmid, config: &GuestConfig, owner: &OwnerMark) -> Result<(), ProviderError> {
    match config.mark().as_ref() == Some(owner) {
        true => Ok(()),
        false => Err(foreign(id)),
    }
}

fn conflict(id: Vmid, words: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Conflict, format!("{}: {words}", container_name(id)))
}

impl Proxmox {
    /// Containers whose tags the token may not set. Tags are for people and must not hold up the rest; they are tried
    /// again by the next process.
    fn untaggable(&self) -> MutexGuard<'_, BTreeSet<Vmid>> {
        self.untaggable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tags_to_set(&self, id: Vmid, config: &GuestConfig, owner: &OwnerMark) -> Option<String> {
        let tags = merged_tags(config.text("tags").unwrap_or_default(), owner)?;
        (!self.untaggable().contains(&id)).then_some(tags)
    }

    /// Whether a container of ours has other tags or another start at boot than creation gives it. What carries no mark
    /// does not deviate, for nothing is known of what it should be.
    pub(super) fn deviates(&self, id: Vmid, config: &GuestConfig) -> bool {
        config
            .mark()
            .is_some_and(|owner| !starts_at_boot(config) || self.tags_to_set(id, config, &owner).is_some())
    }

    /// Whether a container of ours has another network than creation gives it.
    pub(super) fn network_deviates(&self, config: &GuestConfig) -> bool {
        let interface = config.text(INTERFACE).unwrap_or_default();
        let right = config
            .address(INTERFACE)
            .is_some_and(|address| merged_interface(interface, &self.interface(address)).is_none());
        config.mark().is_some() && !right
    }

    pub(super) async fn begin_restart(&self, id: Vmid, owner: &OwnerMark) -> Result<TaskId, ProviderError> {
        let task = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                let facts = self.facts(id, node).await?;
                check_owner(id, &facts.config, owner)?;
                self.check_unlocked(id, node, &facts.config).await?;
                if !facts.status.running(id)? {
                    return Err(conflict(id, "it does not run and cannot be restarted; start it").into());
                }
                let path = ["nodes", node, "lxc", &id.to_string(), "status", "reboot"];
                // Proxmox stops it hard when the time is up (`vm_reboot` in pve-container).
                let request = Request::post("lxc.reboot", container_name(id), &path)
                    .with("timeout", self.settings.stop_grace.as_secs());
                Ok(begun(&container_name(id), self.api.ask(request).await?)?)
            })
            .await?;
        task.ok_or_else(|| gone(id))
    }

    /// Refuses what begins a task that would only fail on the configuration's lock, or ignore it.
    async fn check_unlocked(&self, id: Vmid, node: &str, config: &GuestConfig) -> Result<(), Refusal> {
        let Some(word) = config.text("lock") else {
            return Ok(());
        };
        let words = format!("Proxmox holds its lock \"{word}\"; other work is under way");
        let refused = Refusal {
            meaning: Meaning::Locked(word.to_owned()),
            error: conflict(id, &words),
        };
        Err(self.explain_lock(id, node, refused).await)
    }

    pub(super) async fn bring_settings(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        settings: &ContainerSettings,
    ) -> Result<(), ProviderError> {
        self.rewrite(id, |config| {
            check_owner(id, config, owner)?;
            Ok(self.differences(id, config, owner, settings))
        })
        .await
    }

    /// Lines that differ from the settings and from what creation gives.
    fn differences(
        &self,
        id: Vmid,
        config: &GuestConfig,
        owner: &OwnerMark,
        settings: &ContainerSettings,
    ) -> Lines {
        let mut lines = Lines::new();
        for (key, wanted, present) in [
            ("memory", settings.memory.0, memory_of(config, "memory")),
            ("swap", settings.swap.0, memory_of(config, "swap")),
            ("cores", settings.cores, config.number("cores")),
        ] {
            if present != Some(wanted) {
                lines.insert(key, wanted.to_string());
            }
        }
        if let Some(hostname) = &settings.hostname
            && config.text("hostname") != Some(hostname.as_str())
        {
            lines.insert("hostname", hostname.to_string());
        }
        let interface = config.text(INTERFACE).unwrap_or_default();
        let wanted = settings.address.map(|address| self.interface(address));
        if let Some(interface) = wanted.and_then(|wanted| merged_interface(interface, &wanted)) {
            lines.insert(INTERFACE, interface);
        }
        if !starts_at_boot(config) {
            lines.insert("onboot", "1".to_owned());
        }
        if let Some(tags) = self.tags_to_set(id, config, owner) {
            lines.insert("tags", tags);
        }
        lines
    }

    pub(super) async fn take_over(&self, id: Vmid, owner: &OwnerMark) -> Result<(), ProviderError> {
        self.rewrite(id, |config| {
            let mut lines = Lines::new();
            match config.mark() {
                Some(mark) if mark != *owner => {
                    return Err(conflict(id, "it carries another owner's mark; it is left alone"));
                }
                Some(_) => {}
                None => {
                    let text = config.text("description").unwrap_or_default();
                    lines.insert("description", marked_description(text, owner)?);
                }
            }
            if let Some(tags) = self.tags_to_set(id, config, owner) {
                lines.insert("tags", tags);
            }
            Ok(lines)
        })
        .await
    }

    /// Changes lines of a configuration in one write, guarded by its digest; planned afresh once when somebody changed
    /// it meanwhile. Without lines nothing is written, for Proxmox refuses an empty change.
    async fn rewrite(
        &self,
        id: Vmid,
        plan: impl Fn(&GuestConfig) -> Result<Lines, ProviderError> + Sync,
    ) -> Result<(), ProviderError> {
        let plan = &plan;
        let done = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                match self.rewrite_once(id, node, plan).await {
                    Err(refused) if refused.meaning == Meaning::Modified => {
                        self.rewrite_once(id, node, plan).await
                    }
                    other => other,
                }
            })
            .await?;
        done.ok_or_else(|| gone(id))
    }

    async fn rewrite_once(
        &self,
        id: Vmid,
        node: &str,
        plan: &(impl Fn(&GuestConfig) -> Result<Lines, ProviderError> + Sync),
    ) -> Result<(), Refusal> {
        let config = self.config(id, node).await?;
        let mut lines = plan(&config)?;
        let refused = match self.put_lines(id, node, &config, &lines).await {
            Err(refused) if tags_refused(&refused) && lines.contains_key("tags") => refused,
            other => return other,
        };
        lines.remove("tags");
        self.put_lines(id, node, &config, &lines).await?;
        self.untaggable().insert(id);
        tracing::warn!(
            container = id.get(),
            "the tags could not be set: {}",
            refused.error
        );
        Ok(())
    }

    async fn put_lines(
        &self,
        id: Vmid,
        node: &str,
        config: &GuestConfig,
        lines: &Lines,
    ) -> Result<(), Refusal> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = ["nodes", node, "lxc", &id.to_string(), "config"];
        let request = Request::put("lxc.configure", container_name(id), &path)
            .with_some("digest", config.text("digest"));
        let request = lines
            .iter()
            .fold(request, |request, (key, value)| request.with(key, value));
        match self.api.tell(request).await {
            Err(refused) => Err(self.explain_lock(id, node, refused).await),
            done => done,
        }
    }

    pub(super) async fn begin_growth(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        disk: Gib,
    ) -> Result<Option<TaskId>, ProviderError> {
        let task = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                match self.grow_once(id, node, owner, disk).await {
                    Err(refused) if refused.meaning == Meaning::Modified => {
                        self.grow_once(id, node, owner, disk).await
                    }
                    other => other,
                }
            })
            .await?;
        task.ok_or_else(|| gone(id))
    }

    async fn grow_once(
        &self,
        id: Vmid,
        node: &str,
        owner: &OwnerMark,
        disk: Gib,
    ) -> Result<Option<TaskId>, Refusal> {
        let config = self.config(id, node).await?;
        check_owner(id, &config, owner)?;
        if config.disk() >= disk {
            return Ok(None);
        }
        let task = match self.resize(id, node, &config, disk).await {
            // The device has grown without its configuration, when the worker ended in between. A GiB more brings the
            // two together again, and only once: afterwards the configuration is large enough.
            Err(refused) if refused.meaning == Meaning::AsLarge => {
                let more = Gib(disk.0.saturating_add(1));
                self.resize(id, node, &config, more).await
            }
            other => other,
        };
        match task {
            Ok(task) => Ok(Some(task)),
            Err(refused) if refused.meaning == Meaning::AsLarge => {
                let words = format!(
                    "its disk is larger than its configuration says; run `pct rescan --vmid {id}` on node {node}"
                );
                Err(conflict(id, &words).into())
            }
            Err(refused) => Err(self.explain_lock(id, node, refused).await),
        }
    }

    async fn resize(&self, id: Vmid, node: &str, config: &GuestConfig, disk: Gib) -> Result<TaskId, Refusal> {
        let path = ["nodes", node, "lxc", &id.to_string(), "resize"];
        let request = Request::put("lxc.resize", container_name(id), &path)
            .with("disk", "rootfs")
            .with("size", format!("{}G", disk.0))
            .with_some("digest", config.text("digest"));
        Ok(begun(&container_name(id), self.api.ask(request).await?)?)
    }

    /// Names that the list does not have would be accepted and fail in the task, with a container that was killed.
    pub(super) async fn begin_rollback(
        &self,
        id: Vmid,
        owner: &OwnerMark,
        snapshot: &str,
    ) -> Result<TaskId, ProviderError> {
        let task = self
            .on_node(id, |place| async move {
                let node = place.node.as_str();
                let rows = self.snapshot_rows(id, node).await?;
                let facts = self.facts(id, node).await?;
                check_owner(id, &facts.config, owner)?;
                let row = rows.iter().find(|row| row.name == snapshot).ok_or_else(|| {
                    let words = format!("{}: it has no snapshot {snapshot}", container_name(id));
                    ProviderError::new(ErrorKind::NotFound, words)
                })?;
                self.check_unlocked(id, node, &facts.config).await?;
                if let Some(state) = &row.snapstate {
                    let words = format!(
                        "a task that failed left its snapshot {snapshot} unfinished ({state}); \
                         it cannot be rolled back to"
                    );
                    return Err(conflict(id, &words).into());
                }
                if facts.status.running(id)? {
                    return Err(conflict(id, "it still runs; stop it before it is rolled back").into());
                }
                let path = [
                    "nodes",
                    node,
                    "lxc",
                    &id.to_string(),
                    "snapshot",
                    snapshot,
                    "rollback",
                ];
                let request = Request::post("lxc.rollback", container_name(id), &path);
                match self.api.ask::<String>(request).await {
                    Ok(upid) => Ok(begun(&container_name(id), upid)?),
                    Err(refused) => Err(self.explain_lock(id, node, refused).await),
                }
            })
            .await?;
        task.ok_or_else(|| gone(id))
    }
}

fn starts_at_boot(config: &GuestConfig) -> bool {
    config.number("onboot") == Some(1)
}

/// Memory or swap in MiB, with the default of both.
fn memory_of(config: &GuestConfig, key: &str) -> Option<u32> {
    Some(config.number(key).unwrap_or(MEMORY_DEFAULT))
}
