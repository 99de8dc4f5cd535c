//! Archives that the hoster's own backup job (vzdump) made of containers: whose they are, and the restore of a container
//! that is lost.
//!
//! Numbers are used again, so that an archive of our number may hold another customer's site. It is ours only when the
//! description within its own configuration carries our mark; it is read for each archive, and once more right before
//! the restore. Archives are only read, never changed or deleted.
//!
//! | call | needs | source |
//! | --- | --- | --- |
//! | `GET /nodes/{node}/storage?content=backup` | Datastore.Audit or Datastore.AllocateSpace on the storage, else the row is left out | pve-storage `API2/Storage/Status.pm`, `index` |
//! | `GET …/storage/{storage}/content?content=backup&vmid=N` | the same; each archive that `check_volume_access` refuses is left out | `API2/Storage/Content.pm`, `index` |
//! | `GET /nodes/{node}/vzdump/extractconfig?volume=V` | Datastore.AllocateSpace on the storage, VM.Backup on `/vms/N` | pve-manager `API2/VZDump.pm`; pve-storage `Storage.pm`, `check_volume_access` |
//! | `POST /nodes/{node}/lxc` with `restore=1` | what creation needs; an archive of the same number needs nothing more | pve-container `API2/LXC.pm`, `create_vm` |
//!
//! What a token may not read is left out without a word, so that the rights are looked at first: an empty list then
//! means that there is nothing.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::client::Request;
use super::rights::Rights;
use super::tasks::begun;
use super::wire::{items, number, text};
use super::{Proxmox, container_name};
use crate::domain::{OwnerMark, Vmid};
use crate::providers::container_host::{Archive, ArchiveRestore, TaskId};
use crate::providers::error::{ErrorKind, ProviderError};

/// Archives of one number that are opened to see whose they are, the newest first. Each costs the node a process that
/// reads the beginning of the archive; a month of daily backups fits.
const OPENED_MAX: usize = 32;
/// Size that a backup server names for a backup that is not finished (`PBSPlugin.pm`, `list_volumes`).
const UNFINISHED: u64 = 1;
/// Right to read the archives of a guest.
const READ_ARCHIVES: &str = "VM.Backup";
/// Right to read the archives of a storage.
const READ_STORE: &str = "Datastore.AllocateSpace";

/// A row of a node's storages.
#[derive(Debug, Deserialize)]
struct StorageRow {
    storage: String,
    #[serde(default)]
    content: String,
    #[serde(default, deserialize_with = "number")]
    shared: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    active: Option<u64>,
}

/// A row of a storage's archives.
#[derive(Debug, Deserialize)]
struct ArchiveRow {
    volid: String,
    #[serde(default, deserialize_with = "number")]
    vmid: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    ctime: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    size: Option<u64>,
    #[serde(default, deserialize_with = "text")]
    format: Option<String>,
    #[serde(default, deserialize_with = "text")]
    subtype: Option<String>,
    #[serde(default)]
    verification: Value,
}

impl ArchiveRow {
    /// When the backup was made, if this is a finished one of a container of that number whose check has not failed.
    fn usable(&self, id: Vmid) -> Option<Timestamp> {
        let container = match (self.subtype.as_deref(), self.format.as_deref()) {
            (Some(kind), _) => kind == "lxc",
            (None, Some(format)) => !format.starts_with("vma") && format != "pbs-vm",
            (None, None) => true,
        };
        let number = self.vmid.is_none_or(|vmid| vmid == u64::from(id.get()));
        let finished = self.size.is_none_or(|size| size > UNFINISHED);
        let sound = self.verification.get("state").and_then(Value::as_str) != Some("failed");
        let seconds = self.ctime.and_then(|seconds| i64::try_from(seconds).ok());
        let taken_at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        taken_at.filter(|_| container && number && finished && sound)
    }
}

/// The configuration file within an archive.
struct ArchivedConfig(String);

impl ArchivedConfig {
    /// Lines of the container itself; sections of snapshots come after.
    fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines().take_while(|line| !line.starts_with('['))
    }

    /// The owner mark of the description: its lines are comments, or, in old files, a key.
    fn mark(&self) -> Option<OwnerMark> {
        let lines = self.lines().filter_map(|line| {
            let written = line.strip_prefix('#');
            written.or_else(|| line.strip_prefix("description:"))
        });
        let description: Vec<String> = lines.map(decoded).collect();
        OwnerMark::find_in(&description.join("\n"))
    }

    fn unprivileged(&self) -> bool {
        let value = self.lines().find_map(|line| line.strip_prefix("unprivileged:"));
        value.is_some_and(|value| value.trim() == "1")
    }
}

/// A line of a description without its percent-encoding (`encode_text` of pve-common, which encodes the colon and
/// whatever is not plain ASCII).
fn decoded(line: &str) -> String {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        match (*first, tail) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    bytes.push(high * 16 + low);
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn denied(id: Vmid, words: String) -> ProviderError {
    let message = format!("the backup archives of container {id} cannot be read: {words}");
    ProviderError::new(ErrorKind::Denied, message)
}

fn away(id: Vmid, words: String) -> ProviderError {
    let message = format!("the newest backup archive of container {id} cannot be told: {words}");
    ProviderError::new(ErrorKind::Unavailable, message)
}

/// Storages for backups, each with the nodes to ask and with those that can read it.
type Stores = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

impl Proxmox {
    /// The newest archive of a container that carries the owner's mark.
    pub(super) async fn find_archive(
        &self,
        id: Vmid,
        owner: &OwnerMark,
    ) -> Result<Option<Archive>, ProviderError> {
        let rights = self.read_rights().await?;
        let place = format!("/vms/{id}");
        if !rights.hold(&place, READ_ARCHIVES) {
            // A right on a pool ends with the guest: one that is lost is in no pool any more.
            let words = format!("the API token lacks {READ_ARCHIVES} on /vms; grant it there, not on a pool");
            return Err(denied(id, words));
        }
        let mut found: BTreeMap<String, Archive> = BTreeMap::new();
        for (storage, (asked, readers)) in self.backup_stores(id, &rights).await? {
            for node in asked {
                let nodes = match readers.is_empty() {
                    true => BTreeSet::from([node.clone()]),
                    false => readers.clone(),
                };
                for row in self.archive_rows(id, &node, &storage).await? {
                    let Some(taken_at) = row.usable(id) else { continue };
                    let archive = found.entry(row.volid.clone()).or_insert_with(|| Archive {
                        id: row.volid,
                        taken_at,
                        nodes: BTreeSet::new(),
                    });
                    archive.nodes.extend(nodes.iter().cloned());
                }
            }
        }
        let mut newest: Vec<Archive> = found.into_values().collect();
        newest.sort_by(|a, b| b.taken_at.cmp(&a.taken_at).then_with(|| a.id.cmp(&b.id)));
        for archive in newest.into_iter().take(OPENED_MAX) {
            let Some(node) = archive.nodes.first() else {
                continue;
            };
            if self.is_of(owner, id, node, &archive.id).await? {
                return Ok(Some(archive));
            }
        }
        Ok(None)
    }

    /// Storages that keep backups. A shared one is asked on one node and read on all that have it; the others on each.
    ///
    /// # Errors
    /// `Unavailable` while a node or storage is away, which may have a newer archive than the others; `Denied` when one
    /// may not be read, or none is seen.
    async fn backup_stores(&self, id: Vmid, rights: &Rights) -> Result<Stores, ProviderError> {
        let listing = self.list().await?;
        let mut stores = Stores::new();
        let mut inactive = BTreeSet::new();
        for (node, summary) in &listing.nodes {
            if !summary.online {
                return Err(away(id, format!("node {node} is down and may have it")));
            }
            let request = Request::get(
                "storage.list",
                format!("storages of node {node}"),
                &["nodes", node, "storage"],
            )
            .with("content", "backup")
            .with("enabled", 1);
            let rows: Vec<StorageRow> = self.api.ask(request).await?;
            for row in rows
                .into_iter()
                .filter(|row| items(&row.content).contains("backup"))
            {
                if row.active == Some(0) {
                    inactive.insert(row.storage);
                    continue;
                }
                let (asked, readers) = stores.entry(row.storage).or_default();
                match row.shared == Some(1) {
                    true => {
                        readers.insert(node.clone());
                        asked.extend(asked.is_empty().then(|| node.clone()));
                    }
                    false => drop(asked.insert(node.clone())),
                }
            }
        }
        let gone = inactive.iter().find(|name| {
            let shared = stores.get(*name).is_some_and(|(_, readers)| !readers.is_empty());
            !shared
        });
        if let Some(name) = gone {
            let words = format!(
                "storage {name} is not active and may have it; bring it back or disable it in Proxmox"
            );
            return Err(away(id, words));
        }
        if stores.is_empty() {
            let words = "no storage for backups is seen; grant Datastore.Audit and Datastore.AllocateSpace on /storage/<name> of each that the backup job writes to";
            return Err(denied(id, words.to_owned()));
        }
        let closed = stores
            .keys()
            .find(|name| !rights.hold(&format!("/storage/{name}"), READ_STORE));
        match closed {
            Some(name) => Err(denied(
                id,
                format!("the API token lacks {READ_STORE} on /storage/{name}; grant it"),
            )),
            None => Ok(stores),
        }
    }

    async fn archive_rows(
        &self,
        id: Vmid,
        node: &str,
        storage: &str,
    ) -> Result<Vec<ArchiveRow>, ProviderError> {
        let path = ["nodes", node, "storage", storage, "content"];
        let request = Request::get("storage.archives", format!("backup archives of {id}"), &path)
            .with("content", "backup")
            .with("vmid", id);
        Ok(self.api.ask(request).await?)
    }

    /// Whether an archive is the owner's, by the configuration within it.
    ///
    /// # Errors
    /// `Invalid` for one of a privileged container: only root may restore that.
    async fn is_of(
        &self,
        owner: &OwnerMark,
        id: Vmid,
        node: &str,
        archive: &str,
    ) -> Result<bool, ProviderError> {
        let path = ["nodes", node, "vzdump", "extractconfig"];
        let request = Request::get("vzdump.config", format!("backup archive {archive}"), &path);
        let config = ArchivedConfig(self.api.ask(request.with("volume", archive)).await?);
        let ours = config.mark().as_ref() == Some(owner);
        if ours && !config.unprivileged() {
            let message = format!(
                "backup archive {archive} is of a privileged container, which an API token may not restore; restore it by hand under the number {id}"
            );
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        Ok(ours)
    }

    /// Begins a restore. Neither `force`, with which Proxmox would overwrite whoever has the number, nor a description
    /// is sent: whose the container is stays what the archive itself says. Size, network and the rest come from the
    /// archive, for the container is brought to its settings afterwards anyway; it is not started.
    pub(super) async fn begin_archive_restore(
        &self,
        restore: &ArchiveRestore,
    ) -> Result<TaskId, ProviderError> {
        let id = restore.id;
        if self.locate(id).await?.is_some() {
            let message = format!(
                "{}: the number is taken; nothing is restored over it",
                container_name(id)
            );
            return Err(ProviderError::new(ErrorKind::Conflict, message));
        }
        if !self
            .is_of(&restore.owner, id, &restore.node, &restore.archive)
            .await?
        {
            let message = format!(
                "backup archive {} does not carry this object's mark; it is not restored",
                restore.archive
            );
            return Err(ProviderError::new(ErrorKind::Conflict, message));
        }
        let request = Request::post(
            "lxc.restore",
            container_name(id),
            &["nodes", &restore.node, "lxc"],
        )
        .with("vmid", id)
        .with("ostemplate", &restore.archive)
        .with("restore", 1)
        .with("storage", &self.settings.storage)
        .with("unprivileged", 1)
        .with_some("pool", self.settings.resource_pool.as_ref());
        let upid = self.api.ask::<String>(request).await?;
        self.note_change(id, Some(&restore.node));
        begun(&container_name(id), upid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    fn id() -> Vmid {
        Vmid::try_from(907).unwrap()
    }

    #[test]
    fn the_mark_is_read_from_the_description_alone() {
        let ours: OwnerMark = format!("hostwright:prod:{UID}").parse().unwrap();
        let mark = |text: &str| ArchivedConfig(text.to_owned()).mark();
        let encoded =
            format!("#Managed by Hostwright. Keep it%3A\n#hostwright%3Aprod%3A{UID}\narch: amd64\n");
        assert_eq!(mark(&encoded), Some(ours.clone()));
        assert_eq!(mark(&format!("#hostwright:prod:{UID}\n")), Some(ours.clone()));
        assert_eq!(
            mark(&format!(
                "arch: amd64\ndescription: hostwright%3Aprod%3A{UID}%0A\n"
            )),
            Some(ours)
        );
        for text in [
            String::new(),
            format!("hostname: hostwright:prod:{UID}\n"),
            format!("arch: amd64\n[initial]\n#hostwright%3Aprod%3A{UID}\n"),
            format!("#hostwright%3Aprod%3A{UID}x\n"),
        ] {
            assert_eq!(mark(&text), None, "{text}");
        }
    }

    #[test]
    fn descriptions_are_decoded_and_never_fail() {
        for (line, text) in [
            ("a%3Ab", "a:b"),
            ("gr%C3%BC%C3%9Fe", "grüße"),
            ("100%", "100%"),
            ("5%zz", "5%zz"),
        ] {
            assert_eq!(decoded(line), text);
        }
    }

    #[test]
    fn only_finished_and_sound_archives_of_containers_count() {
        let usable = |change: Value| {
            let mut row = serde_json::json!({
                "volid": "store:backup/vzdump-lxc-907-2026_11_20-03_00_00.tar.zst", "vmid": 907,
                "ctime": 1_795_143_600, "size": 4096, "format": "tar.zst", "subtype": "lxc",
            });
            for (key, value) in change.as_object().unwrap() {
                row[key] = value.clone();
            }
            serde_json::from_value::<ArchiveRow>(row)
                .unwrap()
                .usable(id())
                .is_some()
        };
        for good in [
            serde_json::json!({}),
            serde_json::json!({"vmid": "907", "ctime": "1795143600"}),
            serde_json::json!({"subtype": null, "format": "pbs-ct"}),
            serde_json::json!({"verification": {"state": "ok"}}),
        ] {
            assert!(usable(good.clone()), "{good}");
        }
        for bad in [
            serde_json::json!({"vmid": 908}),
            serde_json::json!({"ctime": null}),
            serde_json::json!({"size": 1}),
            serde_json::json!({"subtype": "qemu", "format": "vma.zst"}),
            serde_json::json!({"subtype": null, "format": "vma.zst"}),
            serde_json::json!({"subtype": null, "format": "pbs-vm"}),
            serde_json::json!({"verification": {"state": "failed"}}),
        ] {
            assert!(!usable(bad.clone()), "{bad}");
        }
    }
}
