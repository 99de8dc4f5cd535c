//! Configuration files of containers: what is read, what may be written by whom, what waits for a restart.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::errors::{self, Refusal};
use super::formats;
use super::http::{Call, put};
use super::options::PveVersion;
use super::state::{Config, Guest, GuestKind, State};

/// Keys that are numbers in JSON; all others are strings.
const NUMBERS: &[&str] = &[
    "console",
    "cores",
    "cpuunits",
    "debug",
    "memory",
    "onboot",
    "protection",
    "swap",
    "template",
    "tty",
    "unprivileged",
];
/// Keys that take effect in a running container.
const LIVE: &[&str] = &[
    "cores",
    "cpulimit",
    "cpuunits",
    "description",
    "hostname",
    "memory",
    "nameserver",
    "onboot",
    "protection",
    "searchdomain",
    "startup",
    "swap",
    "tags",
];

/// The digest of a configuration file: equal contents have equal digests.
pub(super) fn digest(guest: &Guest) -> String {
    let mut text = format!("{:?}{:?}{:?}", guest.config, guest.lock, guest.pending);
    for (name, record) in &guest.snapshots {
        text.push_str(name);
        text.push_str(&record.description);
        text.push_str(record.state.unwrap_or_default());
    }
    text.push_str(guest.parent.as_deref().unwrap_or_default());
    sha1(&text)
}

/// SHA-1 in hexadecimal, the form of every digest in the API.
pub(super) fn sha1(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hash.as_ref().iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A description as it is stored: comment lines, so that it always ends with a line break.
pub(super) fn description(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        return text.to_owned();
    }
    format!("{text}\n")
}

/// Bytes as Proxmox prints sizes of disks: in the largest unit that has no remainder.
pub(super) fn size(bytes: u64) -> String {
    let mut number = bytes;
    let mut printed = number.to_string();
    for unit in ["K", "M", "G", "T"] {
        if number == 0 || !number.is_multiple_of(1024) {
            break;
        }
        number /= 1024;
        printed = format!("{number}{unit}");
    }
    printed
}

/// A value as it stands in the file.
pub(super) fn canonical(state: &mut State, key: &str, value: &str) -> String {
    match key {
        "description" => description(value),
        "tags" => {
            let mut tags: Vec<String> = formats::list(value).map(str::to_ascii_lowercase).collect();
            tags.sort();
            tags.dedup();
            tags.join(";")
        }
        _ if key.starts_with("net") => interface(state, value),
        _ if NUMBERS.contains(&key) => match super::schema::boolean(value) {
            Some(yes) if value.parse::<u64>().is_err() => u8::from(yes).to_string(),
            _ => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

/// An interface with its address made up if missing; the name first, the rest in order.
fn interface(state: &mut State, value: &str) -> String {
    let Ok(mut found) = formats::properties(value, "") else {
        return value.to_owned();
    };
    if !found.contains_key("hwaddr") {
        let [.., a, b, c] = state.next_serial().to_be_bytes();
        found.insert("hwaddr".to_owned(), format!("BC:24:11:{a:02X}:{b:02X}:{c:02X}"));
    }
    found
        .entry("type".to_owned())
        .or_insert_with(|| "veth".to_owned());
    let name = found.remove("name").unwrap_or_default();
    found
        .iter()
        .fold(format!("name={name}"), |mut line, (key, value)| {
            // Writing into a string cannot fail.
            let _ = write!(line, ",{key}={value}");
            line
        })
}

/// The right that a key of the configuration needs, or why a token never has it.
fn right(key: &str, value: &str) -> Result<&'static str, &'static str> {
    let is = |stem: &str| {
        key.strip_prefix(stem)
            .is_some_and(|n| n.is_empty() || n.chars().all(|c| c.is_ascii_digit()))
    };
    Ok(match key {
        "memory" | "swap" => "VM.Config.Memory",
        "cores" | "cpulimit" | "cpuunits" => "VM.Config.CPU",
        "rootfs" => "VM.Config.Disk",
        "hostname" | "nameserver" | "searchdomain" => "VM.Config.Network",
        "features" => {
            let only_nesting = formats::properties(value, "")
                .is_ok_and(|found| !value.is_empty() && found.keys().all(|feature| feature == "nesting"));
            if !only_nesting {
                return Err("changing feature flags (except nesting) is only allowed for root@pam");
            }
            "VM.Allocate"
        }
        "hookscript" | "lock" => {
            return Err("only allowed for root@pam");
        }
        _ if is("dev") => return Err("configuring device passthrough is only allowed for root@pam"),
        _ if is("mp") && value.starts_with('/') => {
            return Err("mount point type bind is only allowed for root@pam");
        }
        _ if is("mp") || is("unused") => "VM.Config.Disk",
        _ if is("net") => "VM.Config.Network",
        _ => "VM.Config.Options",
    })
}

/// Checks the rights for the keys of a configuration.
pub(super) fn check_rights<'k>(
    state: &State,
    vmid: u32,
    keys: impl Iterator<Item = &'k str>,
    values: &Config,
) -> Result<(), Refusal> {
    for key in keys {
        let value = values.get(key).map(String::as_str).unwrap_or_default();
        match right(key, value) {
            Ok(privilege) => state.require(&format!("/vms/{vmid}"), privilege)?,
            Err(text) => return Err(Refusal::Forbidden(text.to_owned())),
        }
        let bridged = key.starts_with("net") && state.version() >= PveVersion::V8_0;
        let bridge = formats::properties(value, "")
            .ok()
            .and_then(|found| found.get("bridge").cloned());
        if let Some(bridge) = bridge.filter(|_| bridged) {
            state.require(&format!("/sdn/zones/localnetwork/{bridge}"), "SDN.Use")?;
        }
    }
    Ok(())
}

/// Optimistic locking.
pub(super) fn check_digest(guest: &Guest, call: &Call) -> Result<(), Refusal> {
    match call.text("digest") {
        Some(wanted) if wanted != digest(guest) => Refusal::say(errors::DIGEST_MISMATCH),
        _ => Ok(()),
    }
}

fn typed(config: &Config) -> Map<String, Value> {
    let convert = |(key, value): (&String, &String)| {
        let number = value.parse::<u64>().ok();
        let value = match number.filter(|_| NUMBERS.contains(&key.as_str())) {
            Some(number) => json!(number),
            None => json!(value),
        };
        (key.clone(), value)
    };
    config.iter().map(convert).collect()
}

/// The configuration that a snapshot keeps.
pub(super) fn of_snapshot(guest: &Guest, name: &str) -> Result<Value, Refusal> {
    let Some(record) = guest.snapshots.get(name) else {
        return Refusal::say(format!("snapshot '{name}' does not exist"));
    };
    let mut map = typed(&record.config);
    map.insert("snaptime".to_owned(), json!(record.taken_at));
    if !record.description.is_empty() {
        map.insert("description".to_owned(), json!(record.description));
    }
    if let Some(parent) = &record.parent {
        map.insert("parent".to_owned(), json!(parent));
    }
    Ok(Value::Object(map))
}

/// `GET /nodes/{node}/lxc/{vmid}/config`
pub(super) fn read(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    if let Some(name) = call.text("snapshot") {
        return of_snapshot(guest, name);
    }
    let mut config = guest.config.clone();
    if !call.flag("current") {
        for (key, value) in &guest.pending {
            match value {
                Some(value) => config.insert(key.clone(), value.clone()),
                None => config.remove(key),
            };
        }
    }
    let mut map = typed(&config);
    map.insert("digest".to_owned(), json!(digest(guest)));
    if let Some(word) = &guest.lock {
        map.insert("lock".to_owned(), json!(word));
    }
    if let Some(parent) = &guest.parent {
        map.insert("parent".to_owned(), json!(parent));
    }
    Ok(Value::Object(map))
}

/// `GET /nodes/{node}/qemu/{vmid}/config`, which tells who else uses an address.
pub(super) fn read_machine(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let machine = state
        .guests
        .get(&call.vmid)
        .filter(|guest| guest.kind == GuestKind::Machine && guest.node == call.node);
    let Some(machine) = machine else {
        let (node, vmid) = (&call.node, call.vmid);
        let path = format!("nodes/{node}/qemu-server/{vmid}.conf");
        return Refusal::say(format!("Configuration file '{path}' does not exist"));
    };
    let mut map = typed(&machine.config);
    map.insert("digest".to_owned(), json!(digest(machine)));
    Ok(Value::Object(map))
}

/// `GET /nodes/{node}/lxc/{vmid}/pending`
pub(super) fn pending(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    let mut rows: Vec<Value> = Vec::new();
    for (key, value) in typed(&guest.config) {
        let mut row = json!({"key": key, "value": value});
        match guest.pending.get(&key) {
            Some(Some(new)) => put(&mut row, "pending", json!(new)),
            Some(None) => put(&mut row, "delete", json!(1)),
            None => {}
        }
        rows.push(row);
    }
    let fresh = guest
        .pending
        .iter()
        .filter(|(key, _)| !guest.config.contains_key(*key));
    rows.extend(fresh.filter_map(|(key, value)| Some(json!({"key": key, "pending": value.as_ref()?}))));
    rows.push(json!({"key": "digest", "value": digest(guest)}));
    Ok(Value::Array(rows))
}

/// `PUT /nodes/{node}/lxc/{vmid}/config`
pub(super) fn write(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let mut changes: Config = call.values.clone();
    changes.retain(|key, _| !matches!(key.as_str(), "node" | "vmid" | "digest" | "delete" | "revert"));
    let named = |key: &str| -> Vec<String> {
        formats::list(call.text(key).unwrap_or_default())
            .map(str::to_owned)
            .collect()
    };
    let (deleted, reverted) = (named("delete"), named("revert"));
    if changes.is_empty() && deleted.is_empty() && reverted.is_empty() {
        return Refusal::say("no options specified");
    }
    let keys = changes.keys().chain(&deleted).map(String::as_str);
    check_rights(state, call.vmid, keys, &changes)?;
    let guest = state.container(&call.node, call.vmid)?;
    if guest.busy {
        return Refusal::say(errors::file_locked(call.vmid));
    }
    check_digest(guest, call)?;
    guest.check_lock()?;
    for key in &deleted {
        match key.as_str() {
            "memory" | "rootfs" => return Refusal::say(format!("unable to delete required option '{key}'")),
            "unprivileged" => return Refusal::say(format!("unable to delete read-only option '{key}'")),
            _ => {}
        }
    }
    for key in changes.keys() {
        if matches!(key.as_str(), "unprivileged" | "rootfs") {
            return Refusal::say(format!("unable to modify read-only option: '{key}'"));
        }
    }
    let mut edits: Vec<(String, Option<String>)> = deleted.into_iter().map(|key| (key, None)).collect();
    for (key, value) in &changes {
        edits.push((key.clone(), Some(canonical(state, key, value))));
    }
    if let Some(guest) = state.guest_mut(call.vmid) {
        reverted.iter().for_each(|key| {
            guest.pending.remove(key);
        });
        edits.into_iter().for_each(|(key, value)| edit(guest, key, value));
    }
    state.reindex(call.vmid);
    Ok(Value::Null)
}

fn edit(guest: &mut Guest, key: String, value: Option<String>) {
    let live = LIVE.contains(&key.as_str()) || key.starts_with("net");
    if guest.running.is_some() && !live {
        guest.pending.insert(key, value);
        return;
    }
    guest.pending.remove(&key);
    match value {
        Some(value) => guest.config.insert(key, value),
        None => guest.config.remove(&key),
    };
}
