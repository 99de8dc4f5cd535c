//! Storages and their volumes, with the ways of LINSTOR: one cluster-wide lock for creating and freeing,
//! snapshots that keep a resource from being freed, devices a little larger than asked for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::archives;
use super::errors::{self, Refusal};
use super::http::Call;
use super::options::{ProxmoxOptions, SimStorage};
use super::state::{GIB, MIB, State};

/// Bytes of every simulated template.
const TEMPLATE_BYTES: u64 = 126 * MIB;
/// What storages other than LINSTOR hold besides volumes.
const BASE_USED: u64 = 4 * GIB;

/// One volume.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) storage: String,
    pub(super) bytes: u64,
    /// Snapshots by name with the size that the volume had.
    pub(super) snapshots: BTreeMap<String, u64>,
}

/// A storage at work.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) about: SimStorage,
    used: u64,
    /// Its controller does not answer.
    pub(super) down: bool,
    /// Workers between asking for the storage lock and letting it go.
    working: usize,
}

/// All storages and volumes.
#[derive(Debug, Clone, Default)]
pub(super) struct Storages {
    pub(super) all: BTreeMap<String, Storage>,
    volumes: BTreeMap<(u32, String), Volume>,
    templates: BTreeSet<String>,
    /// Templates that were taken away from single nodes.
    pub(super) missing_templates: BTreeSet<(String, String)>,
    max_parallel: usize,
    excess: u64,
    made: u32,
}

impl Storages {
    pub(super) fn new(options: &ProxmoxOptions) -> Self {
        let all = options.storages.iter().map(|about| {
            let storage = Storage {
                about: about.clone(),
                used: 0,
                down: false,
                working: 0,
            };
            (about.name.clone(), storage)
        });
        let full_name = |name: &String| match name.contains(':') {
            true => name.clone(),
            false => format!("local:vztmpl/{name}"),
        };
        Self {
            all: all.collect(),
            templates: options.templates.iter().map(full_name).collect(),
            max_parallel: options.max_parallel_storage,
            excess: options.device_excess_bytes,
            ..Self::default()
        }
    }

    pub(super) fn volume(&self, vmid: u32, id: &str) -> Option<&Volume> {
        self.volumes.get(&(vmid, id.to_owned()))
    }

    pub(super) fn volume_mut(&mut self, vmid: u32, id: &str) -> Option<&mut Volume> {
        self.volumes.get_mut(&(vmid, id.to_owned()))
    }

    /// Identifiers of the volumes that carry a guest's number.
    pub(super) fn of(&self, vmid: u32) -> Vec<String> {
        let range = (vmid, String::new())..(vmid.saturating_add(1), String::new());
        self.volumes.range(range).map(|((_, id), _)| id.clone()).collect()
    }

    /// All volumes: guest number and identifier.
    pub(super) fn volumes(&self) -> impl Iterator<Item = (u32, &String)> {
        self.volumes.keys().map(|(vmid, id)| (*vmid, id))
    }

    /// Whether a node has a template.
    pub(super) fn has_template(&self, node: &str, id: &str) -> bool {
        let gone = self.missing_templates.contains(&(node.to_owned(), id.to_owned()));
        self.templates.contains(id) && !gone
    }

    /// Enters the queue for a storage's lock; `false` when too many are in it and this one will time out.
    /// Every call needs its [`Storages::leave`].
    pub(super) fn enter(&mut self, storage: &str) -> bool {
        let max = self.max_parallel;
        self.all.get_mut(storage).is_none_or(|storage| {
            storage.working += 1;
            storage.working <= max
        })
    }

    /// Leaves the queue for a storage's lock.
    pub(super) fn leave(&mut self, storage: &str) {
        if let Some(storage) = self.all.get_mut(storage) {
            storage.working = storage.working.saturating_sub(1);
        }
    }

    /// The error of any work on a storage whose controller is away.
    pub(super) fn reach(&self, storage: &str) -> Result<(), String> {
        match self.all.get(storage) {
            Some(storage) if storage.down => Err(errors::LINSTOR_DOWN.to_owned()),
            Some(_) => Ok(()),
            None => Err(format!("storage '{storage}' does not exist")),
        }
    }

    /// Makes a volume for a guest.
    pub(super) fn allocate(&mut self, storage: &str, vmid: u32, bytes: u64) -> Result<String, String> {
        self.reach(storage)?;
        self.made += 1;
        // An odd multiplier is a permutation of the 32-bit numbers, so that names look random but are unique.
        let name = format!("pm-{:08x}", self.made.wrapping_mul(0x9e37_79b1));
        let existing = self.of(vmid).len();
        let bytes = bytes + self.excess;
        let Some(target) = self.all.get_mut(storage) else {
            return Err(format!("storage '{storage}' does not exist"));
        };
        if target.used + bytes > target.about.total_gib * GIB {
            return Err(format!(
                "API Return-Code: 500. Message: Could not autoplace resource {name}, because: Not enough \
                 available nodes"
            ));
        }
        target.used += bytes;
        let id = match target.about.plugin.as_str() {
            "drbd" => format!("{storage}:{name}_{vmid}"),
            _ => format!("{storage}:subvol-{vmid}-disk-{existing}"),
        };
        let volume = Volume {
            storage: storage.to_owned(),
            bytes,
            snapshots: BTreeMap::new(),
        };
        self.volumes.insert((vmid, id.clone()), volume);
        Ok(id)
    }

    /// Frees a volume. LINSTOR refuses while it has snapshots; nobody deletes those on the way.
    pub(super) fn free(&mut self, vmid: u32, id: &str) -> Result<(), String> {
        let key = (vmid, id.to_owned());
        let Some(volume) = self.volumes.get(&key) else {
            return Ok(());
        };
        self.reach(&volume.storage)?;
        if !volume.snapshots.is_empty() {
            let resource = id.split_once(':').map_or(id, |(_, name)| name);
            let resource = resource.split('_').next().unwrap_or(resource);
            return Err(format!(
                "Cannot delete resource definition '{resource}' because it has snapshots."
            ));
        }
        let (storage, bytes) = (volume.storage.clone(), volume.bytes);
        self.volumes.remove(&key);
        if let Some(storage) = self.all.get_mut(&storage) {
            storage.used = storage.used.saturating_sub(bytes);
        }
        Ok(())
    }

    /// Gives a volume another size.
    pub(super) fn set_bytes(&mut self, vmid: u32, id: &str, bytes: u64) {
        let Some(volume) = self.volumes.get_mut(&(vmid, id.to_owned())) else {
            return;
        };
        let before = std::mem::replace(&mut volume.bytes, bytes);
        if let Some(storage) = self.all.get_mut(&volume.storage) {
            storage.used = (storage.used + bytes).saturating_sub(before);
        }
    }
}

impl Storage {
    /// Total and used bytes.
    pub(super) fn bytes(&self) -> (u64, u64) {
        let base = if self.about.shared { 0 } else { BASE_USED };
        (self.about.total_gib * GIB, self.used + base)
    }

    fn status(&self) -> Value {
        let (total, used) = self.bytes();
        let active = u8::from(!self.down);
        json!({
            "type": self.about.plugin,
            "content": self.about.content,
            "shared": u8::from(self.about.shared),
            "enabled": 1,
            "active": active,
            "total": total,
            "used": used,
            "avail": total.saturating_sub(used),
        })
    }
}

fn storage_of<'s>(state: &'s State, call: &Call) -> Result<(&'s str, &'s Storage), Refusal> {
    let name = call.text("storage").unwrap_or_default();
    match state.storages.all.get_key_value(name) {
        Some((name, storage)) => Ok((name, storage)),
        None => Refusal::say(format!("storage '{name}' does not exist")),
    }
}

/// `GET /nodes/{node}/storage`
pub(super) fn index(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let wanted = call.text("content");
    // What the token may not read is left out without a word.
    if state.lacks("Datastore.Audit") && state.lacks("Datastore.AllocateSpace") {
        return Ok(json!([]));
    }
    let rows = state.storages.all.iter().filter_map(|(name, storage)| {
        let kept = storage.about.content.split(',');
        if wanted.is_some_and(|wanted| !kept.into_iter().any(|kind| wanted.contains(kind))) {
            return None;
        }
        if call.text("storage").is_some_and(|wanted| wanted != name) {
            return None;
        }
        let mut row = storage.status();
        if let Some(map) = row.as_object_mut() {
            let (total, used) = storage.bytes();
            map.insert("storage".to_owned(), json!(name));
            // A share needs no more than a double's precision.
            #[allow(clippy::cast_precision_loss)]
            map.insert(
                "used_fraction".to_owned(),
                json!(used as f64 / total.max(1) as f64),
            );
        }
        Some(row)
    });
    Ok(rows.collect())
}

/// `GET /nodes/{node}/storage/{storage}/status`
pub(super) fn read_status(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    storage_of(state, call).map(|(_, storage)| storage.status())
}

/// `GET /nodes/{node}/storage/{storage}/content`
pub(super) fn content(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (name, _) = storage_of(state, call)?;
    let wanted = call.text("content");
    let keep = |kind: &str| wanted.is_none_or(|wanted| wanted == kind);
    let prefix = format!("{name}:");
    let owner: Option<u32> = call.parsed("vmid");
    let row = |vmid: u32, id: &str| {
        let volume = state.storages.volume(vmid, id)?;
        let format = if id.contains("subvol") { "subvol" } else { "raw" };
        Some(json!({"volid": id, "vmid": vmid, "size": volume.bytes, "format": format, "content": "rootdir"}))
    };
    let mut rows: Vec<Value> = Vec::new();
    if keep("rootdir") {
        match owner {
            Some(vmid) => rows.extend(
                state
                    .storages
                    .of(vmid)
                    .iter()
                    .filter(|id| id.starts_with(&prefix))
                    .filter_map(|id| row(vmid, id)),
            ),
            None => rows.extend(
                state
                    .storages
                    .volumes()
                    .filter(|(_, id)| id.starts_with(&prefix))
                    .filter_map(|(vmid, id)| row(vmid, id)),
            ),
        }
    }
    if keep("backup") {
        rows.extend(archives::rows(state, &call.node, name, owner));
    }
    if keep("vztmpl") && owner.is_none() {
        let templates = state.storages.templates.iter();
        rows.extend(
            templates
                .filter(|id| id.starts_with(&prefix) && state.storages.has_template(&call.node, id))
                .map(|id| {
                    let (size, format) = (TEMPLATE_BYTES, "tzst");
                    json!({"volid": id, "size": size, "format": format, "content": "vztmpl", "ctime": 1_730_000_000})
                }),
        );
    }
    Ok(Value::Array(rows))
}
