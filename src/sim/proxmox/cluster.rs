//! Reads about the cluster as a whole, and pools.

use serde_json::{Map, Value, json};

use super::errors::Refusal;
use super::formats;
use super::http::{Call, put};
use super::options::{PveVersion, SimNode};
use super::state::{GuestKind, MIB, Pool, State};
use super::{config, ha};

/// Patch level in the full version text.
const PATCH: u8 = 3;
/// Memory that a node itself uses.
const NODE_MEMORY: u64 = 2 << 30;
/// Seconds that a node has been up.
const NODE_UPTIME: u64 = 872_961;
/// Bytes of a node's own disk, and how much of it is in use.
const NODE_DISK: (u64, u64) = (482_713_534_464, 2_983_723_008);

/// `GET /version`
pub(super) fn version(state: &mut State, _: &Call) -> Result<Value, Refusal> {
    let version = state.version();
    let full = match version < PveVersion::V8_0 {
        true => format!("{version}-{PATCH}"),
        false => format!("{version}.{PATCH}"),
    };
    Ok(json!({"version": full, "release": version.to_string(), "repoid": "43df2e01f27a1a19"}))
}

/// Privileges by the path where the minimal role has them.
const PRIVILEGES: &[(&str, &[&str])] = &[
    ("/", &["Sys.Audit", "Sys.Console", "Sys.Modify"]),
    ("/pool", &["Pool.Allocate", "Pool.Audit"]),
    ("/sdn/zones/localnetwork", &["SDN.Use"]),
    ("/storage", &["Datastore.AllocateSpace", "Datastore.Audit"]),
    (
        "/vms",
        &[
            "VM.Allocate",
            "VM.Audit",
            "VM.Backup",
            "VM.Clone",
            "VM.Config.CPU",
            "VM.Config.Disk",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.Options",
            "VM.PowerMgmt",
            "VM.Snapshot",
            "VM.Snapshot.Rollback",
        ],
    ),
];

/// `GET /access/permissions`
pub(super) fn permissions(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let of = |names: &[&str]| -> Map<String, Value> {
        let held = names.iter().filter(|name| !state.lacks(name));
        held.map(|name| ((*name).to_owned(), json!(1))).collect()
    };
    let mut paths = Map::new();
    match call.text("path") {
        None => {
            for (path, names) in PRIVILEGES {
                paths.insert((*path).to_owned(), Value::Object(of(names)));
            }
        }
        Some(wanted) => {
            let covers =
                |path: &str| path == "/" || wanted == path || wanted.starts_with(&format!("{path}/"));
            let mut held = Map::new();
            for (_, names) in PRIVILEGES.iter().filter(|(path, _)| covers(path)) {
                held.extend(of(names));
            }
            paths.insert(wanted.to_owned(), Value::Object(held));
        }
    }
    Ok(Value::Object(paths))
}

/// `GET /cluster/nextid`: the lowest free number, reserved for nobody, as a string.
pub(super) fn next_id(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    if let Some(vmid) = call.parsed::<u32>("vmid") {
        return match state.guests.contains_key(&vmid) {
            true => Err(Refusal::parameter("vmid", format!("VM {vmid} already exists"))),
            false => Ok(json!(vmid.to_string())),
        };
    }
    let mut free = 100;
    for taken in state.guests.range(100..).map(|(vmid, _)| *vmid) {
        if taken != free {
            break;
        }
        free += 1;
    }
    Ok(json!(free.to_string()))
}

/// `GET /cluster/status`: without a `cluster` row for a single node.
pub(super) fn status(state: &mut State, _: &Call) -> Result<Value, Refusal> {
    let mut rows = Vec::new();
    let count = state.options.nodes.len();
    if count > 1 {
        rows.push(json!({
            "type": "cluster", "id": "cluster", "name": "simulated", "version": count,
            "nodes": count, "quorate": u8::from(state.quorum),
        }));
    }
    for (index, node) in state.options.nodes.iter().enumerate() {
        let nodeid = if count > 1 { index + 1 } else { 0 };
        rows.push(json!({
            "type": "node", "id": format!("node/{}", node.name), "name": node.name, "level": "",
            "nodeid": nodeid, "ip": format!("192.0.2.{}", index + 1),
            "online": u8::from(!state.offline.contains(&node.name)), "local": u8::from(index == 0),
        }));
    }
    Ok(Value::Array(rows))
}

/// `GET /cluster/resources`
pub(super) fn resources(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let wanted = call.text("type");
    let mut rows = Vec::new();
    if wanted.is_none_or(|kind| kind == "vm") && !state.lacks("VM.Audit") {
        let vmids: Vec<u32> = state.guests.keys().copied().collect();
        rows.extend(vmids.into_iter().filter_map(|vmid| guest_row(state, vmid)));
    }
    if wanted.is_none_or(|kind| kind == "node") {
        rows.extend(state.options.nodes.iter().map(|node| {
            let mut row = node_row(state, node);
            put(&mut row, "cgroup-mode", json!(2));
            row
        }));
    }
    if wanted.is_none_or(|kind| kind == "storage") && !state.lacks("Datastore.Audit") {
        for node in &state.options.nodes {
            rows.extend(storage_rows(state, &node.name));
        }
    }
    Ok(Value::Array(rows))
}

/// Node, tags, lock and high-availability state are live; the rest is what the statistics daemon knows.
fn guest_row(state: &mut State, vmid: u32) -> Option<Value> {
    let stats = state.stats(vmid);
    let guest = state.guests.get(&vmid)?;
    let kind = match guest.kind {
        GuestKind::Container => "lxc",
        GuestKind::Machine => "qemu",
    };
    let mut row = json!({
        "id": format!("{kind}/{vmid}"), "type": kind, "vmid": vmid, "node": guest.node,
        "template": u8::from(guest.flag("template")), "status": "unknown",
    });
    let map = row.as_object_mut()?;
    if let Some(stats) = stats.filter(|_| !state.offline.contains(&guest.node)) {
        let on = u64::from(stats.since.is_some());
        let uptime = stats
            .since
            .map_or(0, |since| state.now.saturating_duration_since(since).as_secs());
        let metrics = json!({
            "name": stats.name, "status": if on == 1 { "running" } else { "stopped" }, "uptime": uptime,
            "cpu": stats.load.cpu, "maxcpu": stats.cores, "mem": stats.load.memory, "maxmem": stats.memory,
            "disk": stats.load.disk, "maxdisk": stats.disk, "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
        });
        if let Value::Object(metrics) = metrics {
            map.extend(metrics);
        }
    }
    let pool = state.pools.iter().find(|(_, pool)| pool.vmids.contains(&vmid));
    let live = [
        ("tags", guest.config.get("tags").cloned()),
        ("lock", guest.lock.clone()),
        ("hastate", ha::state_of(state, guest).map(str::to_owned)),
        ("pool", pool.map(|(name, _)| name.clone())),
    ];
    for (key, value) in live {
        if let Some(value) = value {
            map.insert(key.to_owned(), json!(value));
        }
    }
    Some(row)
}

fn node_row(state: &State, node: &SimNode) -> Value {
    let id = format!("node/{}", node.name);
    if state.offline.contains(&node.name) {
        return json!({"id": id, "type": "node", "node": node.name, "status": "offline", "level": ""});
    }
    json!({
        "id": id, "type": "node", "node": node.name, "status": "online", "level": "",
        "uptime": NODE_UPTIME, "cpu": 0.005_491_762_356, "maxcpu": node.cores,
        "mem": NODE_MEMORY, "maxmem": node.memory_mib * MIB,
        "disk": NODE_DISK.1, "maxdisk": NODE_DISK.0,
    })
}

fn storage_rows(state: &State, node: &str) -> Vec<Value> {
    let online = !state.offline.contains(node);
    let row = |(name, storage): (&String, &super::storage::Storage)| {
        let (total, used) = storage.bytes();
        json!({
            "id": format!("storage/{node}/{name}"), "type": "storage", "storage": name, "node": node,
            "plugintype": storage.about.plugin, "content": storage.about.content,
            "shared": u8::from(storage.about.shared), "disk": used, "maxdisk": total,
            "status": if online && !storage.down { "available" } else { "unknown" },
        })
    };
    state.storages.all.iter().map(row).collect()
}

/// `GET /nodes`
pub(super) fn nodes(state: &mut State, _: &Call) -> Result<Value, Refusal> {
    let rows = state.options.nodes.iter().map(|node| {
        let mut row = node_row(state, node);
        put(&mut row, "ssl_fingerprint", json!(fingerprint(&node.name)));
        row
    });
    Ok(rows.collect())
}

/// A made-up but stable leaf fingerprint: 32 bytes, colon-separated.
fn fingerprint(node: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, node.as_bytes());
    let bytes: Vec<String> = hash.as_ref().iter().map(|b| format!("{b:02X}")).collect();
    bytes.join(":")
}

/// `GET /nodes/{node}/status`
pub(super) fn node_status(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let Some(node) = state.options.nodes.iter().find(|node| node.name == call.node) else {
        return Refusal::say(format!("no such cluster node '{}'", call.node));
    };
    let memory = node.memory_mib * MIB;
    let release = if state.version() >= PveVersion::V9_0 {
        "6.17.2-1-pve"
    } else {
        "6.8.12-4-pve"
    };
    Ok(json!({
        "uptime": NODE_UPTIME, "cpu": 0.0055, "loadavg": ["0.10", "0.12", "0.09"],
        "pveversion": format!("pve-manager/{}.{PATCH}/43df2e01f27a1a19", state.version()),
        "cpuinfo": {"cores": node.cores, "cpus": node.cores, "sockets": 1, "model": "Simulated"},
        "memory": {"total": memory, "used": NODE_MEMORY, "free": memory.saturating_sub(NODE_MEMORY),
                   "available": memory.saturating_sub(NODE_MEMORY)},
        "rootfs": {"total": NODE_DISK.0, "used": NODE_DISK.1, "free": NODE_DISK.0 - NODE_DISK.1,
                   "avail": NODE_DISK.0 - NODE_DISK.1},
        "boot-info": {"mode": "efi"},
        "current-kernel": {"sysname": "Linux", "release": release, "version": "#1 SMP",
                           "machine": "x86_64"},
    }))
}

/// `GET /pools`
pub(super) fn pools(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    if state.lacks("Pool.Audit") {
        return Ok(json!([]));
    }
    let wanted = call.text("poolid");
    let mut rows = Vec::new();
    for (name, pool) in &state.pools {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut row = json!({"poolid": name});
        if let Some(comment) = &pool.comment {
            put(&mut row, "comment", json!(comment));
        }
        if wanted.is_some() {
            let members = pool.vmids.iter().filter_map(|vmid| state.guests.get(vmid));
            let member = |guest: &super::state::Guest| {
                json!({"id": format!("lxc/{}", guest.vmid), "type": "lxc", "node": guest.node,
                       "vmid": guest.vmid})
            };
            put(&mut row, "members", members.map(member).collect());
        }
        rows.push(row);
    }
    match wanted {
        Some(wanted) if rows.is_empty() => Refusal::say(format!("pool '{wanted}' does not exist")),
        _ => Ok(Value::Array(rows)),
    }
}

fn pool_name(call: &Call) -> String {
    call.text("poolid").unwrap_or_default().to_owned()
}

/// `POST /pools`
pub(super) fn create_pool(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = pool_name(call);
    if state.pools.contains_key(&name) {
        return Refusal::say(format!("create pool failed: pool '{name}' already exists"));
    }
    let pool = Pool {
        comment: call.text("comment").map(str::to_owned),
        ..Pool::default()
    };
    state.pools.insert(name, pool);
    Ok(Value::Null)
}

/// `PUT /pools`
pub(super) fn update_pool(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = pool_name(call);
    let known = |vmid: &u32| state.guests.contains_key(vmid);
    let listed = formats::list(call.text("vms").unwrap_or_default());
    let vmids: Vec<u32> = listed.filter_map(|item| item.parse().ok()).collect();
    if let Some(vmid) = vmids.iter().find(|vmid| !known(vmid)) {
        return Refusal::say(format!("update pools failed: VM {vmid} does not exist"));
    }
    let Some(pool) = state.pools.get_mut(&name) else {
        return Refusal::say(format!("update pools failed: pool '{name}' does not exist"));
    };
    if let Some(comment) = call.text("comment") {
        pool.comment = Some(comment.to_owned());
    }
    for vmid in vmids {
        match call.flag("delete") {
            true => pool.vmids.remove(&vmid),
            false => pool.vmids.insert(vmid),
        };
    }
    Ok(Value::Null)
}

/// `DELETE /pools`
pub(super) fn delete_pool(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = pool_name(call);
    match state.pools.get(&name) {
        None => Refusal::say(format!("delete pool failed: pool '{name}' does not exist")),
        Some(pool) if !pool.vmids.is_empty() => {
            Refusal::say(format!("delete pool failed: pool '{name}' is not empty"))
        }
        Some(_) => {
            state.pools.remove(&name);
            Ok(Value::Null)
        }
    }
}

/// The digest of a cluster-wide file, from its number of changes.
pub(super) fn file_digest(file: &str, revision: u64) -> String {
    config::sha1(&format!("{file} {revision}"))
}
