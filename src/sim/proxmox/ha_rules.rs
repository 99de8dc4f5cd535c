//! Where managed services may run: groups up to 8, rules from 9 on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::cluster::file_digest;
use super::errors::{self, Refusal};
use super::http::{Call, put};
use super::options::PveVersion;
use super::state::State;
use super::{formats, ha};

/// A group of nodes.
#[derive(Debug, Clone)]
pub(super) struct Group {
    nodes: String,
    restricted: bool,
    nofailback: bool,
    comment: Option<String>,
}

/// A placement rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    kind: String,
    pub(super) resources: BTreeSet<String>,
    nodes: Option<String>,
    strict: bool,
    affinity: Option<String>,
    comment: Option<String>,
    disabled: bool,
    order: u64,
}

/// Nodes with their priorities.
fn priorities(nodes: &str) -> BTreeMap<String, u64> {
    let pair = |item: &str| match item.split_once(':') {
        Some((node, priority)) => (node.to_owned(), priority.parse().unwrap_or_default()),
        None => (item.to_owned(), 0),
    };
    formats::list(nodes).map(pair).collect()
}

/// Where a service should run now, given where it is. `None`: nowhere.
pub(super) fn preferred_node(state: &State, sid: &str, current: &str) -> Option<String> {
    let service = state.ha.services.get(sid)?;
    let online = |node: &str| !state.offline.contains(node);
    let all = state.options.nodes.iter().map(|node| node.name.as_str());
    let anywhere = || {
        let here = online(current).then(|| current.to_owned());
        here.or_else(|| all.clone().find(|node| online(node)).map(str::to_owned))
    };
    let rule = state
        .ha
        .rules
        .values()
        .find(|rule| !rule.disabled && rule.kind == "node-affinity" && rule.resources.contains(sid));
    let group = service.group.as_ref().and_then(|name| state.ha.groups.get(name));
    let (nodes, strict, failback) = match (rule, group) {
        (Some(rule), _) => (
            rule.nodes.clone().unwrap_or_default(),
            rule.strict,
            service.failback,
        ),
        (None, Some(group)) => (group.nodes.clone(), group.restricted, !group.nofailback),
        (None, None) => return anywhere(),
    };
    let mut usable = priorities(&nodes);
    usable.retain(|node, _| online(node));
    let Some(best) = usable.values().max().copied() else {
        return if strict { None } else { anywhere() };
    };
    let stays = usable.get(current).is_some_and(|own| *own == best || !failback);
    if stays {
        return Some(current.to_owned());
    }
    usable
        .into_iter()
        .find(|(_, own)| *own == best)
        .map(|(node, _)| node)
}

/// Takes a service out of all rules; a rule without services goes.
pub(super) fn forget(state: &mut State, sid: &str) {
    let mut touched = false;
    for rule in state.ha.rules.values_mut() {
        touched |= rule.resources.remove(sid);
    }
    state.ha.rules.retain(|_, rule| !rule.resources.is_empty());
    if touched {
        state.ha.rules_revision += 1;
    }
}

fn check_nodes(state: &State, nodes: &str) -> Result<(), String> {
    let known = |name: &String| state.options.nodes.iter().any(|node| &node.name == name);
    let strange: Vec<String> = priorities(nodes)
        .into_keys()
        .filter(|name| !known(name))
        .collect();
    if strange.is_empty() {
        return Ok(());
    }
    Err(format!("cannot use non-existant node(s) {}.", strange.join(", ")))
}

fn migrated(state: &State, verb: &str) -> Result<(), Refusal> {
    if state.version() >= PveVersion::V9_0 {
        return Refusal::say(format!("cannot {verb}: ha groups have been migrated to rules"));
    }
    Ok(())
}

fn name_of(call: &Call, key: &str) -> String {
    call.text(key).unwrap_or_default().to_owned()
}

fn group_row(state: &State, name: &str, group: &Group) -> Value {
    let mut row = json!({
        "group": name, "type": "group", "nodes": group.nodes,
        "restricted": u8::from(group.restricted), "nofailback": u8::from(group.nofailback),
        "digest": file_digest("groups", state.ha.groups_revision),
    });
    if let Some(comment) = &group.comment {
        put(&mut row, "comment", json!(comment));
    }
    row
}

/// `GET /cluster/ha/groups`
pub(super) fn list_groups(state: &mut State, _: &Call) -> Result<Value, Refusal> {
    migrated(state, "index groups")?;
    let groups = state.ha.groups.iter();
    Ok(groups
        .map(|(name, group)| group_row(state, name, group))
        .collect())
}

/// `GET /cluster/ha/groups/{group}`
pub(super) fn read_group(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    migrated(state, "read group")?;
    let name = name_of(call, "group");
    match state.ha.groups.get(&name) {
        Some(group) => Ok(group_row(state, &name, group)),
        None => Refusal::say(format!("no such ha group '{name}'")),
    }
}

/// `POST /cluster/ha/groups`
pub(super) fn create_group(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    migrated(state, "create group")?;
    let name = name_of(call, "group");
    if state.ha.groups.contains_key(&name) {
        return Refusal::say(format!(
            "create ha group failed: group ID '{name}' already defined"
        ));
    }
    let group = Group {
        nodes: name_of(call, "nodes"),
        restricted: call.flag("restricted"),
        nofailback: call.flag("nofailback"),
        comment: call.text("comment").map(str::to_owned),
    };
    check_nodes(state, &group.nodes)?;
    state.ha.groups.insert(name, group);
    state.ha.groups_revision += 1;
    Ok(Value::Null)
}

/// `PUT /cluster/ha/groups/{group}`
pub(super) fn update_group(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    migrated(state, "update group")?;
    let name = name_of(call, "group");
    check_nodes(state, call.text("nodes").unwrap_or_default())?;
    let digest = file_digest("groups", state.ha.groups_revision);
    if call.text("digest").is_some_and(|wanted| wanted != digest) {
        return Refusal::say(format!("update ha group failed: {}", errors::DIGEST_MISMATCH));
    }
    let Some(group) = state.ha.groups.get_mut(&name) else {
        return Refusal::say(format!("update ha group failed: no such ha group '{name}'"));
    };
    if let Some(nodes) = call.text("nodes") {
        group.nodes = nodes.to_owned();
    }
    group.restricted = call.boolean("restricted").unwrap_or(group.restricted);
    group.nofailback = call.boolean("nofailback").unwrap_or(group.nofailback);
    if let Some(comment) = call.text("comment") {
        group.comment = Some(comment.to_owned());
    }
    state.ha.groups_revision += 1;
    let members = state.ha.services.iter();
    let members = members.filter(|(_, service)| service.group.as_ref() == Some(&name));
    let sids: Vec<String> = members.map(|(sid, _)| sid.clone()).collect();
    ha::look_after_all(state, &sids);
    Ok(Value::Null)
}

/// `DELETE /cluster/ha/groups/{group}`
pub(super) fn delete_group(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    migrated(state, "delete group")?;
    let name = name_of(call, "group");
    let mut users = state.ha.services.values();
    if users.any(|service| service.group.as_ref() == Some(&name)) {
        return Refusal::say(format!(
            "delete ha group failed: ha group '{name}' is used by a service"
        ));
    }
    if state.ha.groups.remove(&name).is_none() {
        return Refusal::say(format!("delete ha group failed: no such ha group '{name}'"));
    }
    state.ha.groups_revision += 1;
    Ok(Value::Null)
}

fn joined(sids: &BTreeSet<String>) -> String {
    let sids: Vec<&str> = sids.iter().map(String::as_str).collect();
    sids.join(",")
}

fn rule_row(state: &State, name: &str, rule: &Rule) -> Value {
    let mut row = json!({
        "rule": name, "type": rule.kind, "resources": joined(&rule.resources), "order": rule.order,
        "digest": file_digest("rules", state.ha.rules_revision),
    });
    if rule.kind == "node-affinity" {
        put(&mut row, "strict", json!(u8::from(rule.strict)));
    }
    let texts = [
        ("nodes", &rule.nodes),
        ("affinity", &rule.affinity),
        ("comment", &rule.comment),
    ];
    for (key, value) in texts {
        if let Some(value) = value {
            put(&mut row, key, json!(value));
        }
    }
    if rule.disabled {
        put(&mut row, "disable", json!(1));
    }
    row
}

/// `GET /cluster/ha/rules`
pub(super) fn list_rules(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let rules = state.ha.rules.iter().filter(|(_, rule)| {
        call.text("type").is_none_or(|kind| kind == rule.kind)
            && call
                .text("resource")
                .is_none_or(|sid| rule.resources.contains(sid))
    });
    Ok(rules.map(|(name, rule)| rule_row(state, name, rule)).collect())
}

/// `GET /cluster/ha/rules/{rule}`
pub(super) fn read_rule(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = name_of(call, "rule");
    match state.ha.rules.get(&name) {
        Some(rule) => Ok(rule_row(state, &name, rule)),
        None => Refusal::say(format!("no such ha rule '{name}'")),
    }
}

/// A rule lists managed services only, on nodes that exist, and each is in one node rule at most. Every
/// write checks the whole rule.
fn check_rule(state: &State, name: &str, rule: &Rule) -> Result<(), String> {
    let strange: Vec<&str> = rule
        .resources
        .iter()
        .filter(|sid| !state.ha.services.contains_key(*sid))
        .map(String::as_str)
        .collect();
    if !strange.is_empty() {
        return Err(format!(
            "cannot use unmanaged resource(s) {}.",
            strange.join(", ")
        ));
    }
    check_nodes(state, rule.nodes.as_deref().unwrap_or_default())?;
    if rule.kind != "node-affinity" {
        return Ok(());
    }
    let others = state.ha.rules.iter();
    let others = others.filter(|(other, rule)| *other != name && rule.kind == "node-affinity");
    for (_, other) in others {
        if let Some(sid) = rule.resources.intersection(&other.resources).next() {
            return Err(format!(
                "Rule '{name}' is invalid.\nresources: resource '{sid}' is already used in another node \
                 affinity rule"
            ));
        }
    }
    Ok(())
}

fn sids(call: &Call) -> Option<BTreeSet<String>> {
    let listed = formats::list(call.text("resources")?);
    Some(listed.map(str::to_owned).collect())
}

/// `POST /cluster/ha/rules`
pub(super) fn create_rule(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let (name, kind) = (name_of(call, "rule"), name_of(call, "type"));
    let needed = if kind == "node-affinity" {
        "nodes"
    } else {
        "affinity"
    };
    if call.text(needed).is_none() {
        return Err(Refusal::parameter(
            needed,
            "property is missing and it is not optional",
        ));
    }
    let rule = Rule {
        resources: sids(call).unwrap_or_default(),
        nodes: call.text("nodes").map(str::to_owned),
        strict: call.flag("strict"),
        affinity: call.text("affinity").map(str::to_owned),
        comment: call.text("comment").map(str::to_owned),
        disabled: call.flag("disable"),
        order: state.next_serial(),
        kind,
    };
    if state.ha.rules.contains_key(&name) {
        return Refusal::say(format!(
            "create HA rules failed: HA rule '{name}' already defined"
        ));
    }
    check_rule(state, &name, &rule).map_err(|text| format!("create HA rules failed: {text}"))?;
    let sids: Vec<String> = rule.resources.iter().cloned().collect();
    state.ha.rules.insert(name, rule);
    state.ha.rules_revision += 1;
    ha::look_after_all(state, &sids);
    Ok(Value::Null)
}

/// `PUT /cluster/ha/rules/{rule}`
pub(super) fn update_rule(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = name_of(call, "rule");
    let digest = file_digest("rules", state.ha.rules_revision);
    if call.text("digest").is_some_and(|wanted| wanted != digest) {
        return Refusal::say(format!("update HA rules failed: {}", errors::DIGEST_MISMATCH));
    }
    let Some(mut rule) = state.ha.rules.get(&name).cloned() else {
        return Refusal::say(format!("update HA rules failed: HA rule '{name}' does not exist"));
    };
    if call.text("type").is_some_and(|kind| kind != rule.kind) {
        return Refusal::say("update HA rules failed: the type of a rule cannot be changed");
    }
    let before = rule.clone();
    rule.resources = sids(call).unwrap_or(rule.resources);
    if let Some(nodes) = call.text("nodes") {
        rule.nodes = Some(nodes.to_owned());
    }
    if let Some(comment) = call.text("comment") {
        rule.comment = Some(comment.to_owned());
    }
    if let Some(affinity) = call.text("affinity") {
        rule.affinity = Some(affinity.to_owned());
    }
    rule.strict = call.boolean("strict").unwrap_or(rule.strict);
    rule.disabled = call.boolean("disable").unwrap_or(rule.disabled);
    for key in formats::list(call.text("delete").unwrap_or_default()) {
        match key {
            "comment" => rule.comment = None,
            "strict" => rule.strict = false,
            "disable" => rule.disabled = false,
            _ => return Refusal::say(format!("update HA rules failed: no such option '{key}'")),
        }
    }
    check_rule(state, &name, &rule).map_err(|text| format!("update HA rules failed: {text}"))?;
    // Only services that joined, left, or whose nodes changed can move; the rule may list thousands.
    let placement = |rule: &Rule| (rule.nodes.clone(), rule.strict, rule.disabled);
    let touched: Vec<String> = if placement(&before) == placement(&rule) {
        let changed = before.resources.symmetric_difference(&rule.resources);
        changed.cloned().collect()
    } else {
        before.resources.union(&rule.resources).cloned().collect()
    };
    state.ha.rules.insert(name, rule);
    state.ha.rules_revision += 1;
    ha::look_after_all(state, &touched);
    Ok(Value::Null)
}

/// `DELETE /cluster/ha/rules/{rule}`
pub(super) fn delete_rule(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let name = name_of(call, "rule");
    if state.ha.rules.remove(&name).is_none() {
        return Refusal::say(format!("delete HA rules failed: no such ha rule '{name}'"));
    }
    state.ha.rules_revision += 1;
    Ok(Value::Null)
}
