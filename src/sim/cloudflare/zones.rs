//! Zones: list, add, read, change, remove.

use serde_json::{Value, json};

use super::TokenScope;
use super::names::ascii;
use super::reply::{Refusal, Reply};
use super::routes::{Asked, in_scope};
use super::state::{State, Zone};

/// Bounds of a page.
const PAGE: std::ops::RangeInclusive<usize> = 5..=50;
const PAGE_DEFAULT: usize = 20;

pub(super) fn list(state: &State, asked: &Asked) -> Result<Reply, Refusal> {
    if !state.rights.zone_read {
        return Err(Refusal::rights());
    }
    let page = asked.number("page", 1, 1)?;
    let per_page = asked.number("per_page", PAGE_DEFAULT, *PAGE.start())?;
    if per_page > *PAGE.end() {
        return Err(Refusal::body("per_page is above 50"));
    }
    let wanted = |zone: &&Zone| {
        let status = asked
            .parameter("status")
            .is_none_or(|status| status == zone.status);
        let account = asked
            .parameter("account.id")
            .is_none_or(|id| id == state.options.account);
        in_scope(state, zone) && status && account
    };
    let skipped = (page - 1).saturating_mul(per_page);
    // One name and whole pages are found by the index: they cost the same in an account of any size.
    let named = asked.parameter("name").map(str::to_lowercase);
    let filtered = ["status", "account.id"]
        .iter()
        .any(|key| asked.parameter(key).is_some());
    let (zones, total): (Vec<&Zone>, usize) = match (named, &state.options.token_scope) {
        (Some(name), _) => all(state.zone_named(&name).into_iter().filter(wanted)),
        (None, TokenScope::Zone(name)) => all(state.zone_named(name).into_iter().filter(wanted)),
        (None, TokenScope::Account) if filtered => all(state.zones().filter(wanted)),
        (None, TokenScope::Account) => {
            let zones = state
                .zones_from(skipped)
                .take(per_page)
                .map(|zone| shown(state, zone));
            return Ok(Reply::page(zones.collect(), page, per_page, state.zone_count()));
        }
    };
    let zones = zones.into_iter().skip(skipped).take(per_page);
    let zones = zones.map(|zone| shown(state, zone)).collect();
    Ok(Reply::page(zones, page, per_page, total))
}

fn all<'a>(zones: impl Iterator<Item = &'a Zone>) -> (Vec<&'a Zone>, usize) {
    let zones: Vec<&Zone> = zones.collect();
    let total = zones.len();
    (zones, total)
}

pub(super) fn create(state: &mut State, asked: &Asked) -> Result<Reply, Refusal> {
    if !state.rights.zone_edit {
        return Err(Refusal::rights());
    }
    let body = asked.object()?;
    known_keys(body.keys(), &["name", "account", "type"])?;
    let account = body
        .get("account")
        .and_then(|account| account.get("id"))
        .and_then(Value::as_str);
    if account != Some(state.options.account.as_str()) {
        return Err(Refusal::rights());
    }
    let name = body.get("name").and_then(Value::as_str).and_then(ascii);
    let name = name.filter(|name| name.contains('.')).ok_or_else(|| {
        Refusal::new(
            400,
            1001,
            "Invalid zone name, please make sure it is a registrable domain",
        )
    })?;
    if state.zone_named(&name).is_some() {
        return Err(Refusal::new(400, 1061, format!("{name} already exists")));
    }
    if state
        .options
        .zone_quota
        .is_some_and(|quota| state.zone_count() >= quota)
    {
        let message = "You have exceeded the limit for adding zones. Please activate some zones.";
        return Err(Refusal::new(400, 1118, message));
    }
    // Not delegated to us yet: the owner has to change the name servers first.
    let id = state.add_zone(name, "pending");
    if let Some(kind) = body.get("type").and_then(Value::as_str)
        && let Some(zone) = state.zone_mut(&id)
    {
        zone.kind = kind.to_owned();
    }
    get(state, &id)
}

pub(super) fn get(state: &State, id: &str) -> Result<Reply, Refusal> {
    let zone = state
        .zone(id)
        .filter(|zone| in_scope(state, zone) && state.rights.zone_read);
    zone.map(|zone| Reply::ok(shown(state, zone)))
        .ok_or_else(Refusal::rights)
}

pub(super) fn edit(state: &mut State, id: &str, asked: &Asked) -> Result<Reply, Refusal> {
    let body = asked.object()?;
    known_keys(body.keys(), &["paused", "type", "vanity_name_servers"])?;
    editable(state, id)?;
    if let Some(zone) = state.zone_mut(id) {
        if let Some(paused) = body.get("paused").and_then(Value::as_bool) {
            zone.paused = paused;
        }
        if let Some(kind) = body.get("type").and_then(Value::as_str) {
            zone.kind = kind.to_owned();
        }
    }
    get(state, id)
}

pub(super) fn delete(state: &mut State, id: &str) -> Result<Reply, Refusal> {
    editable(state, id)?;
    state.remove_zone(id);
    Ok(Reply::ok(json!({"id": id})))
}

/// The accounts that the token sees.
pub(super) fn accounts(state: &State, asked: &Asked) -> Result<Reply, Refusal> {
    if !state.rights.account_read {
        return Err(Refusal::rights());
    }
    let page = asked.number("page", 1, 1)?;
    let per_page = asked.number("per_page", PAGE_DEFAULT, *PAGE.start())?;
    let ids = std::iter::once(&state.options.account).chain(&state.options.other_accounts);
    let accounts: Vec<Value> = ids
        .map(|id| json!({"id": id, "name": "Simulated account", "type": "standard"}))
        .collect();
    let total = accounts.len();
    let skipped = (page - 1).saturating_mul(per_page);
    let shown = accounts.into_iter().skip(skipped).take(per_page);
    Ok(Reply::page(shown.collect(), page, per_page, total))
}

/// Looks at the delegation again; here every zone is delegated as it should be.
pub(super) fn activation_check(state: &mut State, id: &str) -> Result<Reply, Refusal> {
    editable(state, id)?;
    if let Some(zone) = state.zone_mut(id) {
        zone.status = "active";
    }
    Ok(Reply::ok(json!({"id": id})))
}

fn editable(state: &State, id: &str) -> Result<(), Refusal> {
    let zone = state
        .zone(id)
        .filter(|zone| in_scope(state, zone) && state.rights.zone_edit);
    zone.map(|_| ()).ok_or_else(Refusal::rights)
}

fn known_keys<'a>(keys: impl Iterator<Item = &'a String>, known: &[&str]) -> Result<(), Refusal> {
    match keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Refusal::body(format!("unknown field {key}"))),
        None => Ok(()),
    }
}

fn shown(state: &State, zone: &Zone) -> Value {
    let rights = state.rights;
    let permissions: Vec<&str> = [
        (rights.dns_edit, "#dns_records:edit"),
        (rights.dns_read || rights.dns_edit, "#dns_records:read"),
        (rights.zone_edit, "#zone:edit"),
        (rights.zone_read, "#zone:read"),
    ]
    .into_iter()
    .filter_map(|(held, name)| held.then_some(name))
    .collect();
    json!({
        "id": zone.id,
        "name": zone.name,
        "status": zone.status,
        "paused": zone.paused,
        "type": zone.kind,
        "development_mode": 0,
        "name_servers": zone.servers,
        "original_name_servers": null,
        "original_registrar": null,
        "original_dnshost": null,
        "created_on": zone.created.to_string(),
        "modified_on": zone.created.to_string(),
        "activated_on": null,
        "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": false},
        "owner": {"id": null, "type": "user", "email": null},
        "account": {"id": state.options.account, "name": "Simulated account"},
        "tenant": {"id": null, "name": null},
        "tenant_unit": {"id": null},
        "permissions": permissions,
        "plan": {
            "id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
            "name": "Free Website",
            "price": 0,
            "currency": "USD",
            "frequency": "",
            "is_subscribed": false,
            "can_subscribe": false,
            "legacy_id": "free",
            "legacy_discount": false,
            "externally_managed": false,
        },
    })
}
