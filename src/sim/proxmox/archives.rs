//! Archives that a backup job (vzdump) makes of guests, and the restore of containers from them.
//!
//! After `extract_vzdump_config` and `check_volume_access` of pve-storage, `VZDump/LXC.pm`, `LXC/Create.pm` and
//! `API2/LXC.pm` of pve-container. Archives outlive their guests, and the next guest of the same number has its own
//! beside them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::config;
use super::create::{self, CreatePlan, Source};
use super::errors::Refusal;
use super::formats;
use super::http::{Call, put};
use super::state::{Config, GIB, GuestKind, State};
use crate::sim::directory::Installed;

/// Keys of an archive's configuration that a restore does not take over (`sanitize_and_merge_config`).
const NOT_RECOVERED: &[&str] = &["digest", "rootfs", "unprivileged", "parent", "template"];
/// Bytes of an archive for each byte of its disk: most of a disk is empty, and the rest is compressed.
const PACKED: u64 = 32;

/// How long a backup job takes: longer than a second, so that two archives never have one name and nothing else that
/// happens to the guest has the same time.
const JOB_TIME: Duration = Duration::from_secs(2);

/// One archive.
#[derive(Debug, Clone)]
pub(super) struct Archive {
    storage: String,
    /// The node that has it, where the storage is not shared.
    node: Option<String>,
    vmid: u32,
    kind: GuestKind,
    taken_at: i64,
    bytes: u64,
    config: Config,
    disk: u64,
    installed: Option<Installed>,
    foreign: bool,
    /// Its check failed.
    pub(super) corrupt: bool,
}

/// All archives by volume identifier.
pub(super) type Archives = BTreeMap<String, Archive>;

impl Archive {
    fn is_on(&self, node: &str) -> bool {
        self.node.as_deref().is_none_or(|own| own == node)
    }

    fn subtype(&self) -> &'static str {
        match self.kind {
            GuestKind::Container => "lxc",
            GuestKind::Machine => "qemu",
        }
    }
}

/// Makes an archive of a guest as it is, as a backup job does.
pub(super) fn back_up(state: &mut State, vmid: u32, storage: &str) -> Result<String, String> {
    let Some(guest) = state.guests.get(&vmid) else {
        return Err(format!("unable to find VM '{vmid}'"));
    };
    let Some(target) = state.storages.all.get(storage) else {
        return Err(format!("storage '{storage}' does not exist"));
    };
    if !formats::list(&target.about.content).any(|kind| kind == "backup") {
        return Err(format!(
            "can't use storage '{storage}' for backups - wrong content type"
        ));
    }
    let disk = disk_of(&guest.config);
    let archive = Archive {
        storage: storage.to_owned(),
        node: (!target.about.shared).then(|| guest.node.clone()),
        vmid,
        kind: guest.kind,
        taken_at: state.wall(state.now),
        bytes: disk / PACKED,
        config: guest.config.clone(),
        disk,
        installed: guest.installed.clone(),
        foreign: guest.foreign,
        corrupt: false,
    };
    let server = target.about.plugin == "pbs";
    let id = name_of(&archive, server);
    state.archives.insert(id.clone(), archive);
    state.skipped += JOB_TIME;
    Ok(id)
}

/// Bytes of the root disk as the configuration has them.
fn disk_of(config: &Config) -> u64 {
    let rootfs = config.get("rootfs").map(String::as_str).unwrap_or_default();
    let found = formats::properties(rootfs, "volume").unwrap_or_default();
    let size = found.get("size").and_then(|size| formats::growth(size));
    size.map_or(0, |(_, bytes)| bytes)
}

/// `store:backup/vzdump-lxc-907-2026_11_20-03_00_00.tar.zst`, and on a backup server `store:backup/ct/907/…Z`.
fn name_of(archive: &Archive, server: bool) -> String {
    let (storage, vmid) = (&archive.storage, archive.vmid);
    let time = jiff::Timestamp::from_second(archive.taken_at).unwrap_or_default();
    if server {
        let group = if archive.kind == GuestKind::Container {
            "ct"
        } else {
            "vm"
        };
        return format!("{storage}:backup/{group}/{vmid}/{time}");
    }
    let extension = if archive.kind == GuestKind::Container {
        "tar"
    } else {
        "vma"
    };
    let stamp = time.strftime("%Y_%m_%d-%H_%M_%S");
    let kind = archive.subtype();
    format!("{storage}:backup/vzdump-{kind}-{vmid}-{stamp}.{extension}.zst")
}

/// The rows of a storage's content that are archives. Those that the token may not read are left out without a word.
pub(super) fn rows(state: &State, node: &str, storage: &str, vmid: Option<u32>) -> Vec<Value> {
    if state.lacks("VM.Backup") || state.lacks("Datastore.AllocateSpace") {
        return Vec::new();
    }
    let here = state.archives.iter().filter(|(_, archive)| {
        archive.storage == storage && archive.is_on(node) && vmid.is_none_or(|vmid| archive.vmid == vmid)
    });
    here.map(|(id, archive)| {
        let format = match (id.ends_with('Z'), archive.kind) {
            (true, GuestKind::Container) => "pbs-ct",
            (true, GuestKind::Machine) => "pbs-vm",
            (false, GuestKind::Container) => "tar.zst",
            (false, GuestKind::Machine) => "vma.zst",
        };
        let mut row = json!({
            "volid": id, "vmid": archive.vmid, "ctime": archive.taken_at, "size": archive.bytes,
            "format": format, "subtype": archive.subtype(), "content": "backup",
        });
        if let Some(name) = archive.config.get("hostname") {
            put(&mut row, "notes", json!(name));
        }
        if archive.corrupt {
            put(&mut row, "verification", json!({"state": "failed"}));
        }
        row
    })
    .collect()
}

/// The storage of a volume identifier and its path there.
fn split(id: &str) -> Result<(&str, &str), Refusal> {
    match id.split_once(':') {
        Some((storage, name)) if !storage.is_empty() && !storage.contains('/') => Ok((storage, name)),
        // Only the node itself may name files.
        _ => Refusal::say("Only root can pass arbitrary filesystem paths."),
    }
}

/// `check_volume_access` for an archive: it is read by whoever may back its guest up, and by a restore to its number.
fn check_access(state: &State, id: &str, vmid: Option<u32>) -> Result<(), Refusal> {
    let (storage, name) = split(id)?;
    if !state.storages.all.contains_key(storage) {
        return Refusal::say(format!("storage '{storage}' does not exist"));
    }
    if !name.starts_with("backup/") {
        return Refusal::say(format!(
            "unable to use volume {id} - content type needs to be 'backup'"
        ));
    }
    let owner = owner_of(name);
    if owner.is_some() && owner == vmid {
        return Ok(());
    }
    state.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    match owner {
        Some(owner) => state.require(&format!("/vms/{owner}"), "VM.Backup"),
        None => state.require(&format!("/storage/{storage}"), "Datastore.Allocate"),
    }
}

/// The number in the name of an archive.
fn owner_of(name: &str) -> Option<u32> {
    name.split(['/', '-']).find_map(|part| part.parse().ok())
}

/// The archive, if the node has it.
fn find<'s>(state: &'s State, node: &str, id: &str) -> Result<&'s Archive, String> {
    let found = state.archives.get(id).filter(|archive| archive.is_on(node));
    found.ok_or_else(|| {
        let file = id.rsplit_once('/').map_or(id, |(_, file)| file);
        format!("ERROR: file '/var/lib/vz/dump/{file}' does not exist")
    })
}

/// `GET /nodes/{node}/vzdump/extractconfig`: the configuration file within an archive, as it was written.
pub(super) fn extract_config(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let id = call.text("volume").unwrap_or_default();
    check_access(state, id, None)?;
    Ok(json!(written(&find(state, &call.node, id)?.config)))
}

/// A configuration file as `write_pct_config` writes it: the description first, each line a comment in which
/// everything but plain characters, and the colon, is percent-encoded (`encode_text` of pve-common).
pub(super) fn written(config: &Config) -> String {
    let mut text = String::new();
    for line in config
        .get("description")
        .map(String::as_str)
        .unwrap_or_default()
        .lines()
    {
        text.push('#');
        for byte in line.bytes() {
            match byte {
                b':' => text.push_str("%3A"),
                b' '..=b'~' => text.push(char::from(byte)),
                // Writing into a string cannot fail.
                other => drop(write!(text, "%{other:02X}")),
            }
        }
        text.push('\n');
    }
    for (key, value) in config.iter().filter(|(key, _)| *key != "description") {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{key}: {value}");
    }
    text
}

/// What is put into a container that is restored.
#[derive(Debug, Clone)]
pub(super) struct Recovered {
    id: String,
    installed: Option<Installed>,
    foreign: bool,
}

/// Begins a restore: `POST /nodes/{node}/lxc` with `restore=1`.
pub(super) fn restore(state: &mut State, call: &Call) -> Result<CreatePlan, Refusal> {
    let vmid = call.vmid;
    let exists = state.guests.get(&vmid);
    match exists {
        Some(guest) if call.flag("force") && guest.kind == GuestKind::Container => {
            if guest.running.is_some() {
                return Refusal::say("can't overwrite running container");
            }
            for id in state.storages.of(vmid) {
                state.storages.free(vmid, &id)?;
            }
            state.remove_guest(vmid);
        }
        _ => create::check_unused(state, vmid)?,
    }
    let (lines, pool) = create::asked(state, call)?;
    let id = call.text("ostemplate").unwrap_or_default().to_owned();
    check_access(state, &id, Some(vmid))?;
    let (storage, asked) = create::target(state, call)?;
    let given: Config = lines
        .iter()
        .map(|(key, value)| (key.clone(), config::canonical(state, key, value)))
        .collect();
    let archive = state
        .archives
        .get(&id)
        .filter(|archive| archive.is_on(&call.node));
    let unprivileged = call.boolean("unprivileged");
    let mut plan = CreatePlan::new(call, given, storage, pool);
    plan.source = Source::Archive(Recovered {
        id,
        installed: archive.and_then(|archive| archive.installed.clone()),
        foreign: archive.is_some_and(|archive| archive.foreign),
    });
    // Without a size of its own the disk gets that of the archive, and without an archive the worker fails anyway.
    plan.bytes = asked.or(archive.map(|archive| archive.disk)).unwrap_or(GIB);
    if let Some(archive) = archive {
        merge(&mut plan.config, archive, unprivileged);
    }
    Ok(plan)
}

/// What was asked for goes before what the archive has.
fn merge(config: &mut Config, archive: &Archive, unprivileged: Option<bool>) {
    let old = archive.config.iter().filter(|(key, _)| {
        let numbered = |stem: &str| {
            let rest = key.strip_prefix(stem);
            rest.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
        };
        !NOT_RECOVERED.contains(&key.as_str()) && !numbered("mp") && !numbered("unused")
    });
    for (key, value) in old {
        config.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let was = archive.config.get("unprivileged").is_some_and(|flag| flag == "1");
    if unprivileged.unwrap_or(was) {
        config.insert("unprivileged".to_owned(), "1".to_owned());
    }
}

/// What the worker finds out only when it works: whether the archive is there, is a container's, and may be restored.
pub(super) fn check_source(state: &State, node: &str, plan: &CreatePlan) -> Result<(), String> {
    let Source::Archive(recovered) = &plan.source else {
        return Ok(());
    };
    let archive = find(state, node, &recovered.id)?;
    if archive.kind != GuestKind::Container {
        return Err("ERROR: archive contains no configuration file".to_owned());
    }
    if !plan.config.contains_key("unprivileged") && state.lacks("Sys.Modify") {
        return Err("Permission check failed (/, Sys.Modify)".to_owned());
    }
    if archive.corrupt {
        return Err("command 'tar xpf - --zstd --totals' failed: exit code 2".to_owned());
    }
    Ok(())
}

/// Puts the data of the archive into the container.
pub(super) fn unpack(state: &mut State, vmid: u32, recovered: Recovered) {
    if let Some(guest) = state.guest_mut(vmid) {
        guest.installed = recovered.installed;
        guest.foreign = recovered.foreign;
        // What was set up at its first boot is in the archive.
        guest.booted = true;
    }
}
