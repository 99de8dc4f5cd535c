//! Reads about containers on their node: live, unlike the cluster's list.

use serde_json::{Map, Value, json};

use super::errors::Refusal;
use super::http::{Call, put};
use super::options::PveVersion;
use super::state::{Guest, GuestKind, MIB, State};
use super::{formats, ha};

/// Share of a volume that the file system keeps for itself: a running container's `maxdisk` is what is left.
const FILE_SYSTEM_SHARE: u64 = 50;

fn row(state: &State, guest: &Guest) -> Map<String, Value> {
    let volume = state.root_bytes(guest);
    let running = guest.running;
    let uptime = running.map_or(0, |r| state.now.saturating_duration_since(r.since).as_secs());
    let on = u64::from(running.is_some());
    let memory = guest.number("memory", 512) * MIB;
    let load = state.load(guest);
    let disk_total = if on == 1 {
        volume - volume / FILE_SYSTEM_SHARE
    } else {
        volume
    };
    let value = json!({
        "type": "lxc",
        "name": guest.hostname(),
        "status": if on == 1 { "running" } else { "stopped" },
        "cpu": load.cpu,
        "cpus": guest.number("cores", 1),
        "mem": load.memory,
        "maxmem": memory,
        "swap": 0,
        "maxswap": guest.number("swap", 512) * MIB,
        "disk": load.disk.min(disk_total),
        "maxdisk": disk_total,
        "diskread": 0,
        "diskwrite": 0,
        "netin": 0,
        "netout": 0,
        "uptime": uptime,
    });
    let mut row = match value {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    let vmid = match state.version() < PveVersion::V8_0 {
        true => json!(guest.vmid.to_string()),
        false => json!(guest.vmid),
    };
    row.insert("vmid".to_owned(), vmid);
    if let Some(running) = running {
        row.insert("pid".to_owned(), json!(running.pid));
    }
    for (key, value) in [("tags", guest.config.get("tags")), ("lock", guest.lock.as_ref())] {
        if let Some(value) = value {
            row.insert(key.to_owned(), json!(value));
        }
    }
    if guest.flag("template") {
        row.insert("template".to_owned(), json!(1));
    }
    if state.version() >= PveVersion::V9_0 && running.is_some() {
        for key in [
            "cpusome",
            "cpufull",
            "iosome",
            "iofull",
            "memorysome",
            "memoryfull",
        ] {
            row.insert(format!("pressure{key}"), json!("0.00"));
        }
    }
    row
}

/// `GET /nodes/{node}/lxc`
pub(super) fn list(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    if state.lacks("VM.Audit") {
        return Ok(json!([]));
    }
    let here = state
        .guests
        .values()
        .filter(|guest| guest.kind == GuestKind::Container && guest.node == call.node);
    Ok(here.map(|guest| Value::Object(row(state, guest))).collect())
}

/// `GET /nodes/{node}/lxc/{vmid}`
pub(super) fn index(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    state.container(&call.node, call.vmid)?;
    let names = ["config", "interfaces", "pending", "resize", "snapshot", "status"];
    Ok(names.iter().map(|name| json!({"subdir": name})).collect())
}

/// `GET .../status/current`
pub(super) fn current(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    let mut row = row(state, guest);
    row.insert("vmid".to_owned(), json!(guest.vmid));
    row.insert("ha".to_owned(), ha::brief(state, guest));
    Ok(Value::Object(row))
}

/// `GET .../interfaces`
pub(super) fn interfaces(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    if guest.running.is_none() {
        return Ok(Value::Null);
    }
    let structured = state.version() >= PveVersion::V9_0;
    let mut rows = vec![interface(structured, "lo", "00:00:00:00:00:00", "127.0.0.1/8")];
    let nets = guest.config.iter().filter(|(key, _)| key.starts_with("net"));
    for (_, net) in nets {
        let found = formats::properties(net, "").unwrap_or_default();
        let text = |key: &str| found.get(key).cloned().unwrap_or_default();
        let hardware = text("hwaddr").to_ascii_lowercase();
        rows.push(interface(structured, &text("name"), &hardware, &text("ip")));
    }
    Ok(Value::Array(rows))
}

fn interface(structured: bool, name: &str, hardware: &str, network: &str) -> Value {
    let link_local = if name == "lo" {
        "::1/128"
    } else {
        "fe80::be24:11ff:fe00:1/64"
    };
    let mut row = json!({"name": name, "hwaddr": hardware, "inet6": link_local});
    let static_net = formats::network(network);
    if static_net.is_some() {
        put(&mut row, "inet", json!(network));
    }
    if structured {
        put(&mut row, "hardware-address", json!(hardware));
        let (address, prefix) = link_local.split_once('/').unwrap_or_default();
        let prefix: u8 = prefix.parse().unwrap_or_default();
        let mut addresses =
            vec![json!({"ip-address": address, "ip-address-type": "inet6", "prefix": prefix})];
        if let Some((address, prefix)) = static_net {
            addresses.push(json!({"ip-address": address, "ip-address-type": "inet", "prefix": prefix}));
        }
        put(&mut row, "ip-addresses", Value::Array(addresses));
    }
    row
}
