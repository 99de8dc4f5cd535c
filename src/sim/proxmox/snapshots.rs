//! Snapshots: a small state machine over the configuration file and its lock words.
//!
//! Names that are taken or unknown are accepted and fail in the task. A failed deletion or rollback keeps
//! its lock, which no call of the API can clear.

use serde_json::{Value, json};

use super::errors::Refusal;
use super::http::Call;
use super::state::{Config, Guest, SnapshotRecord, State};
use super::work::Work;
use super::{config, power, tasks};

fn begin(state: &mut State, call: &Call, work: Work) -> Value {
    json!(tasks::begin(state, &call.user, &call.node, call.vmid, work))
}

fn name_of(call: &Call) -> String {
    call.text("snapname").unwrap_or_default().to_owned()
}

fn unknown(name: &str) -> String {
    format!("snapshot '{name}' does not exist")
}

/// `GET .../snapshot`
pub(super) fn list(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    let mut rows = Vec::new();
    for (name, record) in &guest.snapshots {
        let mut row = json!({
            "name": name,
            "snaptime": record.taken_at,
            "description": record.description,
        });
        if let Some(map) = row.as_object_mut() {
            if let Some(parent) = &record.parent {
                map.insert("parent".to_owned(), json!(parent));
            }
            if let Some(state) = record.state {
                map.insert("snapstate".to_owned(), json!(state));
            }
        }
        rows.push(row);
    }
    let mut current = json!({
        "name": "current",
        "description": "You are here!",
        "digest": config::digest(guest),
        "running": u8::from(guest.running.is_some()),
    });
    if let (Some(map), Some(parent)) = (current.as_object_mut(), &guest.parent) {
        map.insert("parent".to_owned(), json!(parent));
    }
    rows.push(current);
    Ok(Value::Array(rows))
}

/// `POST .../snapshot`
pub(super) fn create(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    state.container(&call.node, call.vmid)?;
    let name = name_of(call);
    if matches!(name.as_str(), "current" | "vzdump") {
        return Refusal::say(format!("unable to use snapshot name '{name}' (reserved name)"));
    }
    let description = config::description(call.text("description").unwrap_or_default());
    Ok(begin(state, call, Work::Snapshot { name, description }))
}

/// `DELETE .../snapshot/{snapname}`
pub(super) fn delete(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    state.container(&call.node, call.vmid)?;
    let (name, force) = (name_of(call), call.flag("force"));
    Ok(begin(state, call, Work::DeleteSnapshot { name, force }))
}

/// `POST .../snapshot/{snapname}/rollback`
pub(super) fn rollback(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    state.container(&call.node, call.vmid)?;
    let (name, start) = (name_of(call), call.flag("start"));
    Ok(begin(state, call, Work::Rollback { name, start }))
}

/// `GET .../snapshot/{snapname}/config`
pub(super) fn read_config(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    config::of_snapshot(guest, &name_of(call))
}

/// `PUT .../snapshot/{snapname}/config`
pub(super) fn write_config(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = name_of(call);
    state.container(&call.node, call.vmid)?.check_lock()?;
    let Some(text) = call.text("description") else {
        return Ok(Value::Null);
    };
    let found = state
        .guest_mut(call.vmid)
        .and_then(|guest| guest.snapshots.get_mut(&name));
    match found {
        Some(record) => record.description = config::description(text),
        None => return Refusal::say(unknown(&name)),
    }
    Ok(Value::Null)
}

fn can_snapshot(state: &State, guest: &Guest) -> bool {
    guest
        .root_volume()
        .and_then(|(storage, _)| state.storages.all.get(&storage))
        .is_some_and(|storage| storage.about.snapshots)
}

/// Locks and writes the section with state `prepare`.
pub(super) fn prepare(state: &mut State, vmid: u32, name: &str, description: &str) -> Result<(), String> {
    let guest = state
        .guests
        .get(&vmid)
        .ok_or_else(|| format!("CT {vmid} does not exist"))?;
    guest.check_lock()?;
    if guest.snapshots.contains_key(name) {
        return Err(format!("snapshot name '{name}' already used"));
    }
    if !can_snapshot(state, guest) {
        return Err("snapshot feature is not available".to_owned());
    }
    let mut config = guest.config.clone();
    config.retain(|key, _| key != "description" && !key.starts_with("unused"));
    let record = SnapshotRecord {
        config,
        description: description.to_owned(),
        taken_at: state.wall(state.now),
        parent: guest.parent.clone(),
        state: Some("prepare"),
        serial: state.next_serial(),
        installed: None,
    };
    if let Some(guest) = state.guest_mut(vmid) {
        let installed = guest.installed.clone();
        guest.lock = Some("snapshot".to_owned());
        let record = SnapshotRecord { installed, ..record };
        guest.snapshots.insert(name.to_owned(), record);
    }
    Ok(())
}

/// Takes the volume's snapshot and commits the section.
pub(super) fn finish(state: &mut State, vmid: u32, name: &str) -> Result<&'static str, String> {
    let Some((storage, id)) = state.guests.get(&vmid).and_then(Guest::root_volume) else {
        return Err(format!("CT {vmid} does not exist"));
    };
    if let Err(text) = state.storages.reach(&storage) {
        abandon(state, vmid, name);
        return Err(text);
    }
    if let Some(volume) = state.storages.volume_mut(vmid, &id) {
        let bytes = volume.bytes;
        volume.snapshots.insert(name.to_owned(), bytes);
    }
    if let Some(guest) = state.guest_mut(vmid) {
        guest.lock = None;
        guest.parent = Some(name.to_owned());
        if let Some(record) = guest.snapshots.get_mut(name) {
            record.state = None;
        }
    }
    Ok("OK")
}

/// Cleans a failed snapshot away.
pub(super) fn abandon(state: &mut State, vmid: u32, name: &str) {
    if let Some(guest) = state.guest_mut(vmid) {
        guest.snapshots.remove(name);
        guest.lock = None;
    }
}

fn existing<'s>(state: &'s mut State, vmid: u32, name: &str) -> Result<&'s mut Guest, String> {
    match state.guest_mut(vmid) {
        Some(guest) if guest.snapshots.contains_key(name) => Ok(guest),
        _ => Err(unknown(name)),
    }
}

/// Locks and marks the section with state `delete`.
pub(super) fn prepare_delete(state: &mut State, vmid: u32, name: &str) -> Result<(), String> {
    let guest = existing(state, vmid, name)?;
    guest.check_lock()?;
    guest.lock = Some("snapshot-delete".to_owned());
    if let Some(record) = guest.snapshots.get_mut(name) {
        record.state = Some("delete");
    }
    Ok(())
}

/// Deletes the volume's snapshot, then the section. With force the section goes even if the storage refused,
/// and the storage keeps a snapshot that nobody lists.
pub(super) fn finish_delete(
    state: &mut State,
    vmid: u32,
    name: &str,
    force: bool,
) -> Result<&'static str, String> {
    let root = existing(state, vmid, name)?.root_volume();
    if let Some((storage, id)) = root {
        match state.storages.reach(&storage) {
            Err(text) if !force => return Err(text),
            Err(_) => {}
            Ok(()) => {
                if let Some(volume) = state.storages.volume_mut(vmid, &id) {
                    volume.snapshots.remove(name);
                }
            }
        }
    }
    if let Some(guest) = state.guest_mut(vmid) {
        let parent = guest.snapshots.remove(name).and_then(|record| record.parent);
        let relink = |link: &mut Option<String>| {
            if link.as_deref() == Some(name) {
                link.clone_from(&parent);
            }
        };
        relink(&mut guest.parent);
        guest
            .snapshots
            .values_mut()
            .for_each(|record| relink(&mut record.parent));
        guest.lock = None;
    }
    Ok("OK")
}

/// Takes back [`prepare_delete`].
pub(super) fn release_delete(state: &mut State, vmid: u32, name: &str) {
    if let Some(guest) = state.guest_mut(vmid) {
        guest.lock = None;
        if let Some(record) = guest.snapshots.get_mut(name) {
            record.state = None;
        }
    }
}

/// Kills the container and locks.
pub(super) fn prepare_rollback(state: &mut State, vmid: u32, name: &str) -> Result<(), String> {
    let guest = existing(state, vmid, name)?;
    if let Some(broken) = guest.snapshots.get(name).and_then(|record| record.state) {
        return Err(format!(
            "unable to rollback to incomplete snapshot (snapstate = {broken})"
        ));
    }
    guest.check_lock()?;
    guest.lock = Some("rollback".to_owned());
    power::switch_off(state, vmid);
    Ok(())
}

/// Brings the volume and the whole configuration back, except the description and unused volumes.
pub(super) fn finish_rollback(
    state: &mut State,
    vmid: u32,
    name: &str,
    start: bool,
) -> Result<&'static str, String> {
    let newest_only = state.options.rollback_newest_only;
    let guest = existing(state, vmid, name)?;
    let record = guest.snapshots.get(name).cloned().ok_or_else(|| unknown(name))?;
    let newer = guest.snapshots.values().any(|other| other.serial > record.serial);
    if newest_only && newer {
        return Err("Rollback is only allowed with the most recent snapshot".to_owned());
    }
    if let Some((storage, id)) = guest.root_volume() {
        state.storages.reach(&storage)?;
        let bytes = state
            .storages
            .volume(vmid, &id)
            .and_then(|volume| volume.snapshots.get(name).copied());
        match bytes {
            Some(bytes) => state.storages.set_bytes(vmid, &id, bytes),
            None => return Err(format!("snapshot '{name}' of volume '{id}' does not exist")),
        }
    }
    if let Some(guest) = state.guest_mut(vmid) {
        let mut config: Config = record.config;
        for (key, value) in std::mem::take(&mut guest.config) {
            if key == "description" || key.starts_with("unused") {
                config.insert(key, value);
            }
        }
        guest.config = config;
        guest.pending.clear();
        guest.parent = Some(name.to_owned());
        guest.installed = record.installed;
        guest.lock = None;
    }
    state.reindex(vmid);
    if start {
        power::switch_on(state, vmid);
    }
    Ok("OK")
}
