//! High availability: resources, the manager that acts on them some seconds later, and its status.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cluster::file_digest;
use super::errors::{self, Refusal};
use super::ha_rules::{self, Group, Rule};
use super::http::{Call, put};
use super::options::PveVersion;
use super::state::{Event, Guest, GuestKind, State};
use super::{formats, power};

/// One managed service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    vmid: u32,
    /// `started`, `stopped`, `disabled` or `ignored`.
    pub(super) state: String,
    max_restart: u64,
    max_relocate: u64,
    pub(super) group: Option<String>,
    pub(super) failback: bool,
    comment: Option<String>,
    /// The manager gave up.
    pub(super) error: bool,
    /// The manager has looked at it since it was added.
    seen: bool,
    /// Seconds of the clean shutdown that was asked for; zero stops hard.
    stop_timeout: u64,
}

/// Everything in `/etc/pve/ha`.
#[derive(Debug, Clone, Default)]
pub(super) struct HighAvailability {
    pub(super) services: BTreeMap<String, Service>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) rules: BTreeMap<String, Rule>,
    resources_revision: u64,
    pub(super) groups_revision: u64,
    pub(super) rules_revision: u64,
}

/// The service that a container would be.
pub(super) fn sid_of(vmid: u32) -> String {
    format!("ct:{vmid}")
}

impl Service {
    fn new(vmid: u32, state: &str) -> Self {
        Self {
            vmid,
            state: state.to_owned(),
            max_restart: 1,
            max_relocate: 1,
            group: None,
            failback: true,
            comment: None,
            error: false,
            seen: false,
            stop_timeout: 0,
        }
    }
}

/// Whether a container is a resource.
pub(super) fn is_configured(state: &State, vmid: u32) -> bool {
    state.ha.services.contains_key(&sid_of(vmid))
}

/// Whether the manager decides about a container's power.
pub(super) fn is_managed(state: &State, vmid: u32) -> bool {
    let service = state.ha.services.get(&sid_of(vmid));
    service.is_some_and(|service| service.state != "ignored")
}

/// What the manager says about a guest.
pub(super) fn state_of(state: &State, guest: &Guest) -> Option<&'static str> {
    let service = state.ha.services.get(&sid_of(guest.vmid))?;
    let running = guest.running.is_some();
    Some(match service.state.as_str() {
        _ if service.error => "error",
        "ignored" => "ignored",
        _ if !service.seen => "queued",
        _ if state.offline.contains(&guest.node) => "fence",
        "started" if running => "started",
        "started" => "starting",
        _ if running => "stopping",
        "disabled" => "disabled",
        _ => "stopped",
    })
}

/// The `ha` part of a container's status.
pub(super) fn brief(state: &State, guest: &Guest) -> Value {
    let Some(word) = state_of(state, guest) else {
        return json!({"managed": 0});
    };
    let mut brief = json!({"managed": 1, "state": word});
    let service = state.ha.services.get(&sid_of(guest.vmid));
    if let Some(group) = service.and_then(|service| service.group.as_ref()) {
        put(&mut brief, "group", json!(group));
    }
    brief
}

fn look_after(state: &mut State, sid: &str) {
    state.schedule(state.options.ha_delay, Event::HaActs(sid.to_owned()));
}

/// Lets the manager look at services whose placement changed.
pub(super) fn look_after_all(state: &mut State, sids: &[String]) {
    for sid in sids {
        if state.ha.services.contains_key(sid) {
            look_after(state, sid);
        }
    }
}

/// Puts a container under management, as creation with `ha-managed` does.
pub(super) fn add_service(state: &mut State, vmid: u32, started: bool) {
    let sid = sid_of(vmid);
    let word = if started { "started" } else { "stopped" };
    state.ha.services.insert(sid.clone(), Service::new(vmid, word));
    state.ha.resources_revision += 1;
    look_after(state, &sid);
}

/// Requests a state, as start and stop of a managed container do. Refused in the error state.
pub(super) fn request(state: &mut State, vmid: u32, word: &str, timeout: u64) -> Result<(), ()> {
    let sid = sid_of(vmid);
    match state.ha.services.get_mut(&sid) {
        Some(service) if !service.error => {
            service.state = word.to_owned();
            service.stop_timeout = timeout;
        }
        _ => return Err(()),
    }
    state.ha.resources_revision += 1;
    look_after(state, &sid);
    Ok(())
}

/// A container stopped; if it should run, the manager will start it again.
pub(super) fn notice_stopped(state: &mut State, vmid: u32) {
    let sid = sid_of(vmid);
    let service = state.ha.services.get(&sid);
    if service.is_some_and(|service| service.state == "started" && !service.error) {
        look_after(state, &sid);
    }
}

/// A node went; its services move. Services whose node came back are looked after too.
pub(super) fn notice_node(state: &mut State, node: &str) {
    let sids: Vec<String> = state.ha.services.keys().cloned().collect();
    for sid in sids {
        let vmid = state.ha.services.get(&sid).map(|service| service.vmid);
        let here = vmid
            .and_then(|vmid| state.guests.get(&vmid))
            .is_some_and(|g| g.node == node);
        if here {
            look_after(state, &sid);
        }
    }
}

/// The manager acts on one service.
pub(super) fn act(state: &mut State, sid: &str) {
    let Some(service) = state.ha.services.get_mut(sid) else {
        return;
    };
    service.seen = true;
    let (vmid, word, timeout) = (service.vmid, service.state.clone(), service.stop_timeout);
    if word == "disabled" {
        service.error = false;
    }
    if service.error {
        return;
    }
    let Some(guest) = state.guests.get(&vmid) else {
        return;
    };
    match word.as_str() {
        "started" => keep_running(state, sid, vmid),
        "stopped" if guest.running.is_some() && guest.ignores_shutdown && timeout > 0 => give_up(state, sid),
        "stopped" | "disabled" => power::switch_off(state, vmid),
        _ => {}
    }
}

fn give_up(state: &mut State, sid: &str) {
    if let Some(service) = state.ha.services.get_mut(sid) {
        service.error = true;
    }
}

fn keep_running(state: &mut State, sid: &str, vmid: u32) {
    let Some(guest) = state.guests.get(&vmid) else {
        return;
    };
    let Some(target) = ha_rules::preferred_node(state, sid, &guest.node) else {
        return;
    };
    let settled = target == guest.node && guest.running.is_some();
    if settled {
        return;
    }
    if guest.lock.is_some() {
        // A locked container can be neither started nor moved; the manager uses its tries up.
        give_up(state, sid);
        return;
    }
    if let Some(guest) = state.guest_mut(vmid) {
        if guest.node != target {
            guest.running = None;
        }
        guest.node = target;
    }
    power::switch_on(state, vmid);
}

/// Takes a destroyed container out, from 9.1 on its rules too.
pub(super) fn purge(state: &mut State, vmid: u32) {
    let sid = sid_of(vmid);
    if state.ha.services.remove(&sid).is_none() {
        return;
    }
    state.ha.resources_revision += 1;
    if state.version() >= PveVersion::V9_1 {
        ha_rules::forget(state, &sid);
    }
}

/// The service that a call is about, and its guest.
fn sid(state: &State, call: &Call) -> Result<(String, u32), Refusal> {
    let text = call.text("sid").unwrap_or_default();
    let (kind, number) = text.split_once(':').unwrap_or(("", text));
    let Ok(vmid) = number.parse::<u32>() else {
        return Refusal::say(format!("unable to parse service id '{text}'"));
    };
    let kind = match (kind, state.guests.get(&vmid).map(|guest| guest.kind)) {
        ("", Some(GuestKind::Container)) => "ct",
        ("", Some(GuestKind::Machine)) => "vm",
        ("", None) => return Refusal::say(format!("unable to parse service id '{text}'")),
        (kind, _) => kind,
    };
    Ok((format!("{kind}:{vmid}"), vmid))
}

fn row(state: &State, sid: &str, service: &Service) -> Value {
    let mut row = json!({
        "sid": sid,
        "type": sid.split(':').next().unwrap_or_default(),
        "state": service.state,
        "max_restart": service.max_restart,
        "max_relocate": service.max_relocate,
        "digest": file_digest("resources", state.ha.resources_revision),
    });
    if state.version() >= PveVersion::V9_0 {
        put(&mut row, "failback", json!(u8::from(service.failback)));
    }
    if let Some(group) = &service.group {
        put(&mut row, "group", json!(group));
    }
    if let Some(comment) = &service.comment {
        put(&mut row, "comment", json!(comment));
    }
    row
}

/// `GET /cluster/ha/resources`
pub(super) fn list(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let wanted = call.text("type").map(|kind| format!("{kind}:"));
    let rows = state.ha.services.iter();
    Ok(rows
        .filter(|(sid, _)| wanted.as_ref().is_none_or(|kind| sid.starts_with(kind.as_str())))
        .map(|(sid, service)| row(state, sid, service))
        .collect())
}

/// `GET /cluster/ha/resources/{sid}`
pub(super) fn read(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (sid, _) = sid(state, call)?;
    match state.ha.services.get(&sid) {
        Some(service) => Ok(row(state, &sid, service)),
        None => Refusal::say(format!("no such resource '{sid}'")),
    }
}

fn check_group(state: &State, call: &Call) -> Result<(), Refusal> {
    match call.text("group") {
        None => Ok(()),
        Some(_) if state.version() >= PveVersion::V9_0 => {
            Refusal::say("invalid parameter 'group': ha groups have been migrated to rules")
        }
        Some(group) if !state.ha.groups.contains_key(group) => {
            Refusal::say(format!("HA group '{group}' does not exist"))
        }
        Some(_) => Ok(()),
    }
}

fn apply(service: &mut Service, call: &Call) {
    if let Some(word) = call.text("state") {
        service.state = if word == "enabled" { "started" } else { word }.to_owned();
    }
    if let Some(group) = call.text("group") {
        service.group = Some(group.to_owned());
    }
    if let Some(comment) = call.text("comment") {
        service.comment = Some(comment.to_owned());
    }
    service.max_restart = call.parsed("max_restart").unwrap_or(service.max_restart);
    service.max_relocate = call.parsed("max_relocate").unwrap_or(service.max_relocate);
    service.failback = call.boolean("failback").unwrap_or(service.failback);
}

/// `POST /cluster/ha/resources`
pub(super) fn create(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (sid, vmid) = sid(state, call)?;
    if call
        .text("type")
        .is_some_and(|kind| !sid.starts_with(&format!("{kind}:")))
    {
        return Refusal::say("types does not match");
    }
    check_group(state, call)?;
    if !state.guests.contains_key(&vmid) {
        return Refusal::say(format!("resource '{sid}' does not exist in cluster"));
    }
    if state.ha.services.contains_key(&sid) {
        return Refusal::say(format!(
            "create resource failed: resource ID '{sid}' already defined"
        ));
    }
    let mut service = Service::new(vmid, "started");
    apply(&mut service, call);
    state.ha.services.insert(sid.clone(), service);
    state.ha.resources_revision += 1;
    look_after(state, &sid);
    Ok(Value::Null)
}

/// `PUT /cluster/ha/resources/{sid}`
pub(super) fn update(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (sid, _) = sid(state, call)?;
    check_group(state, call)?;
    let digest = file_digest("resources", state.ha.resources_revision);
    let service = state.ha.services.get_mut(&sid);
    if service.as_ref().is_some_and(|service| service.error) && call.text("state") != Some("disabled") {
        return Refusal::say(format!(
            "service '{sid}' in error state, must be disabled and fixed first"
        ));
    }
    if call.text("digest").is_some_and(|wanted| wanted != digest) {
        return Refusal::say(format!("update resource failed: {}", errors::DIGEST_MISMATCH));
    }
    let Some(service) = service else {
        return Refusal::say(format!("update resource failed: no such resource '{sid}'"));
    };
    apply(service, call);
    service.stop_timeout = 0;
    for key in formats::list(call.text("delete").unwrap_or_default()) {
        match key {
            "group" => service.group = None,
            "comment" => service.comment = None,
            "max_restart" => service.max_restart = 1,
            "max_relocate" => service.max_relocate = 1,
            "failback" => service.failback = true,
            "state" => service.state = "started".to_owned(),
            _ => return Refusal::say(format!("update resource failed: no such option '{key}'")),
        }
    }
    state.ha.resources_revision += 1;
    look_after(state, &sid);
    Ok(Value::Null)
}

/// `DELETE /cluster/ha/resources/{sid}`: from 9.1 on it leaves its rules too, unless told otherwise.
pub(super) fn delete(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (sid, _) = sid(state, call)?;
    if state.ha.services.remove(&sid).is_none() {
        return Refusal::say(format!("cannot delete service '{sid}', not HA managed!"));
    }
    state.ha.resources_revision += 1;
    if state.version() >= PveVersion::V9_1 && call.boolean("purge").unwrap_or(true) {
        ha_rules::forget(state, &sid);
    }
    Ok(Value::Null)
}

/// `GET /cluster/ha/status/current`
pub(super) fn status(state: &mut State, _: &Call) -> Result<Value, Refusal> {
    let master = state
        .options
        .nodes
        .iter()
        .map(|node| node.name.clone())
        .find(|name| !state.offline.contains(name))
        .unwrap_or_default();
    let timestamp = state.wall(state.now);
    let quorum = if state.quorum { "OK" } else { "No quorum" };
    let mut rows = vec![
        json!({"id": "quorum", "type": "quorum", "node": master, "status": quorum,
               "quorate": u8::from(state.quorum)}),
        json!({"id": "master", "type": "master", "node": master, "timestamp": timestamp,
               "status": format!("{master} (active, {timestamp})")}),
    ];
    if state.version() >= PveVersion::V9_1 {
        rows.push(
            json!({"id": "fencing", "type": "fencing", "node": master, "armed-state": "armed",
                         "status": "armed (CRM watchdog active)"}),
        );
    }
    for node in &state.options.nodes {
        let name = &node.name;
        let word = if state.offline.contains(name) {
            "old timestamp - dead?"
        } else {
            "active"
        };
        rows.push(json!({"id": format!("lrm:{name}"), "type": "lrm", "node": name,
                         "timestamp": timestamp, "status": format!("{name} ({word}, {timestamp})")}));
    }
    for (sid, service) in &state.ha.services {
        let Some(guest) = state.guests.get(&service.vmid) else {
            continue;
        };
        let word = state_of(state, guest).unwrap_or("queued");
        let mut row = json!({
            "id": format!("service:{sid}"), "type": "service", "sid": sid, "node": guest.node,
            "state": word, "request_state": service.state, "max_restart": service.max_restart,
            "max_relocate": service.max_relocate, "status": format!("{sid} ({}, {word})", guest.node),
        });
        if service.seen {
            put(&mut row, "crm_state", json!(crm_word(word)));
        }
        if state.version() >= PveVersion::V9_0 {
            put(&mut row, "failback", json!(u8::from(service.failback)));
        }
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

/// The manager's own word for a state that is shown verbosely.
fn crm_word(word: &str) -> &str {
    match word {
        "starting" => "started",
        "stopping" => "request_stop",
        "disabled" => "stopped",
        other => other,
    }
}
