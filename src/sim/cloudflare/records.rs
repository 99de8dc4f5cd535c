//! Records: list with filters, read, and the single changes.

use serde_json::{Map, Value, json};

use super::reply::{Refusal, Reply};
use super::routes::{Asked, Writable};
use super::state::{Record, State, Zone};
use super::validation::{Base, checked, conflict};

/// The largest page that the real service serves, whatever is asked for.
const PAGE_MAX: usize = 5000;
const PAGE_DEFAULT: usize = 100;

pub(super) fn list(zone: &Zone, asked: &Asked) -> Result<Reply, Refusal> {
    let page = asked.number("page", 1, 1)?;
    let per_page = asked.number("per_page", PAGE_DEFAULT, 1)?.min(PAGE_MAX);
    let filters: Vec<(&str, String)> = asked
        .query
        .iter()
        .filter(|(key, _)| !["page", "per_page", "order", "direction", "match"].contains(&key.as_str()))
        .map(|(key, value)| (key.as_str(), value.to_lowercase()))
        .collect();
    let any = asked.parameter("match") == Some("any");
    let wanted = |record: &&Record| {
        let mut tests = filters.iter().map(|(key, value)| passes(record, key, value));
        if any && !filters.is_empty() {
            tests.any(|pass| pass)
        } else {
            tests.all(|pass| pass)
        }
    };
    // The index answers the common question, so that it costs the same in a zone of any size.
    let mut records: Vec<&Record> = match asked.parameter("name") {
        Some(name) if !any => zone.named(&name.to_lowercase()).filter(wanted).collect(),
        _ => zone.records().filter(wanted).collect(),
    };
    match asked.parameter("order").unwrap_or("type") {
        "name" => records.sort_by(|a, b| a.name.cmp(&b.name)),
        "content" => records.sort_by(|a, b| a.content.cmp(&b.content)),
        "ttl" => records.sort_by_key(|record| record.ttl),
        "proxied" => records.sort_by_key(|record| record.proxied),
        _ => records.sort_by(|a, b| a.kind.cmp(&b.kind)),
    }
    if asked.parameter("direction") == Some("desc") {
        records.reverse();
    }
    let skipped = (page - 1).saturating_mul(per_page);
    let shown = records
        .iter()
        .skip(skipped)
        .take(per_page)
        .map(|record| record.json());
    Ok(Reply::page(shown.collect(), page, per_page, records.len()))
}

fn passes(record: &Record, key: &str, value: &str) -> bool {
    let comment = || record.comment.as_deref().unwrap_or_default().to_lowercase();
    let present = record
        .comment
        .as_deref()
        .is_some_and(|comment| !comment.is_empty());
    match key {
        "name" => record.name == value,
        "type" => record.kind.to_lowercase() == value,
        "content" => record.content.to_lowercase() == value,
        "proxied" => record.proxied == (value == "true"),
        "comment" | "comment.contains" => comment().contains(value),
        "comment.exact" => present && comment() == value,
        "comment.startswith" => present && comment().starts_with(value),
        "comment.endswith" => present && comment().ends_with(value),
        "comment.present" => present,
        "comment.absent" => !present,
        "search" => {
            record.name.contains(value)
                || record.content.to_lowercase().contains(value)
                || comment().contains(value)
        }
        // A parameter that we do not know filters nothing, as on the real service.
        _ => true,
    }
}

pub(super) fn get(zone: &Zone, id: &str) -> Result<Reply, Refusal> {
    let record = zone.get(id).ok_or_else(Refusal::no_record)?;
    Ok(Reply::ok(record.json()))
}

pub(super) fn create(state: &mut State, zone: Writable, asked: &Asked) -> Result<Reply, Refusal> {
    let change = Change::post(state, &zone.0, asked.object()?)?;
    Ok(Reply::ok(change.now()))
}

pub(super) fn overwrite(
    state: &mut State,
    zone: Writable,
    id: &str,
    asked: &Asked,
) -> Result<Reply, Refusal> {
    let change = Change::put(state, &zone.0, id, asked.object()?)?;
    Ok(Reply::ok(change.now()))
}

pub(super) fn edit(state: &mut State, zone: Writable, id: &str, asked: &Asked) -> Result<Reply, Refusal> {
    let change = Change::patch(state, &zone.0, id, asked.object()?)?;
    Ok(Reply::ok(change.now()))
}

pub(super) fn delete(state: &mut State, zone: Writable, id: &str) -> Result<Reply, Refusal> {
    Change::delete(state, &zone.0, id)?;
    Ok(Reply::ok(json!({"id": id})))
}

/// One change that was made, with what it takes to undo it.
pub(super) struct Change {
    id: String,
    before: Option<Record>,
    after: Option<Record>,
}

impl Change {
    /// The record after the change; before it, if it is gone.
    pub fn now(&self) -> Value {
        let record = self.after.as_ref().or(self.before.as_ref());
        record.map(Record::json).unwrap_or_default()
    }

    pub fn undo(self, zone: &mut Zone) {
        match self.before {
            Some(record) => drop(zone.put(record)),
            None => drop(zone.take(&self.id)),
        }
    }

    pub fn post(state: &mut State, zone: &str, body: &Map<String, Value>) -> Result<Self, Refusal> {
        let (id, quota) = (state.next_id(), state.record_quota());
        let record = checked(state, zone, Base::New(id), body)?;
        let zone = state.zone_mut(zone).ok_or_else(Refusal::rights)?;
        conflict(zone, &record)?;
        if zone.len() >= quota {
            return Err(Refusal::new(400, 81045, "Record quota exceeded."));
        }
        Ok(Self::write(zone, record))
    }

    /// Everything that is not named falls back to its default.
    pub fn put(state: &mut State, zone: &str, id: &str, body: &Map<String, Value>) -> Result<Self, Refusal> {
        let created = existing(state, zone, id)?.created;
        let mut record = checked(state, zone, Base::New(id.to_owned()), body)?;
        record.created = created;
        let zone = state.zone_mut(zone).ok_or_else(Refusal::rights)?;
        conflict(zone, &record)?;
        Ok(Self::write(zone, record))
    }

    /// Everything that is not named stays.
    pub fn patch(
        state: &mut State,
        zone: &str,
        id: &str,
        body: &Map<String, Value>,
    ) -> Result<Self, Refusal> {
        let before = existing(state, zone, id)?.clone();
        let record = checked(state, zone, Base::Existing(Box::new(before)), body)?;
        let zone = state.zone_mut(zone).ok_or_else(Refusal::rights)?;
        conflict(zone, &record)?;
        Ok(Self::write(zone, record))
    }

    pub fn delete(state: &mut State, zone: &str, id: &str) -> Result<Self, Refusal> {
        let zone = state.zone_mut(zone).ok_or_else(Refusal::rights)?;
        if zone.get(id).is_some_and(|record| record.read_only) {
            return Err(Refusal::read_only());
        }
        let record = zone.take(id).ok_or_else(Refusal::no_record)?;
        Ok(Self {
            id: id.to_owned(),
            before: Some(record),
            after: None,
        })
    }

    fn write(zone: &mut Zone, record: Record) -> Self {
        Self {
            id: record.id.clone(),
            before: zone.put(record.clone()),
            after: Some(record),
        }
    }
}

fn existing<'a>(state: &'a State, zone: &str, id: &str) -> Result<&'a Record, Refusal> {
    let zone = state.zone(zone).ok_or_else(Refusal::rights)?;
    match zone.get(id) {
        Some(record) if record.read_only => Err(Refusal::read_only()),
        Some(record) => Ok(record),
        None => Err(Refusal::no_record()),
    }
}
