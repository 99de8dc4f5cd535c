//! What Cloudflare refuses in a record, and what it makes of the rest.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::names::{absolute, ascii};
use super::reply::Refusal;
use super::state::{PROXIABLE, Record, State, Zone};
use super::texts::stored;

/// Fields that a record of any type may have in a request; `id` only inside of a batch, which takes it out.
const FIELDS: [&str; 8] = [
    "name", "type", "content", "ttl", "proxied", "comment", "tags", "settings",
];
/// Types whose content is text.
const PLAIN: [&str; 8] = ["A", "AAAA", "CNAME", "MX", "NS", "OPENPGPKEY", "PTR", "TXT"];
/// Types whose content is made from `data`.
const STRUCTURED: [&str; 13] = [
    "CAA", "CERT", "DNSKEY", "DS", "HTTPS", "LOC", "NAPTR", "SMIMEA", "SRV", "SSHFP", "SVCB", "TLSA", "URI",
];
/// Seconds that a time to live may have, if it is not 1.
const TTL: std::ops::RangeInclusive<u64> = 60..=86400;
/// Bytes of one record on the wire.
const CONTENT_MAX: usize = 4096;

/// What a body's fields are laid upon.
pub(super) enum Base {
    /// Defaults, under this id.
    New(String),
    /// What is there.
    Existing(Box<Record>),
}

/// The record that a body describes.
pub(super) fn checked(
    state: &State,
    zone: &str,
    base: Base,
    body: &Map<String, Value>,
) -> Result<Record, Refusal> {
    let zone = state.zone(zone).ok_or_else(Refusal::rights)?;
    let fresh = matches!(base, Base::New(_));
    let mut record = match base {
        Base::New(id) => Record::plain(id, "", "", ""),
        Base::Existing(record) => *record,
    };
    if let Some(kind) = text(body, "type")? {
        record.kind = kind.to_owned();
    }
    if !PLAIN.contains(&record.kind.as_str()) && !STRUCTURED.contains(&record.kind.as_str()) {
        return Err(Refusal::validation(9200, "DNS record type is invalid."));
    }
    only_known_fields(&record.kind, body)?;
    match text(body, "name")? {
        Some(name) => {
            let name = absolute(name, &zone.name);
            record.name = name.ok_or_else(|| Refusal::validation(9000, "DNS name is invalid."))?;
        }
        None if fresh => return Err(Refusal::validation(9000, "DNS name is invalid.")),
        None => {}
    }
    set_content(&mut record, body)?;
    set_ttl_and_proxy(&mut record, body)?;
    set_notes(&mut record, body, state)?;
    if let Some(settings) = body.get("settings").and_then(Value::as_object) {
        record.settings.extend(settings.clone());
    }
    if let Some(routing) = body.get("private_routing").and_then(Value::as_bool) {
        record.private_routing = Some(routing);
    }
    record.modified = Timestamp::now();
    Ok(record)
}

fn only_known_fields(kind: &str, body: &Map<String, Value>) -> Result<(), Refusal> {
    let known = |key: &str| {
        FIELDS.contains(&key)
            || (key == "priority" && matches!(kind, "MX" | "URI"))
            || (key == "private_routing" && matches!(kind, "A" | "AAAA"))
            || (key == "data" && STRUCTURED.contains(&kind))
    };
    match body.keys().find(|key| !known(key.as_str())) {
        Some(key) => Err(Refusal::body(format!("unknown field {key}"))),
        None => Ok(()),
    }
}

fn set_content(record: &mut Record, body: &Map<String, Value>) -> Result<(), Refusal> {
    if STRUCTURED.contains(&record.kind.as_str()) {
        let Some(data) = body.get("data") else {
            let message = "This record type takes `data`.";
            return if record.data.is_some() {
                Ok(())
            } else {
                Err(Refusal::validation(9101, message))
            };
        };
        structured(&record.kind, data)?;
        record.priority = whole(data.get("priority"));
        record.content = from_data(data);
        record.data = Some(data.clone());
        return Ok(());
    }
    if let Some(priority) = body.get("priority") {
        record.priority = whole(Some(priority));
    }
    if record.kind == "MX" && record.priority.is_none() {
        return Err(Refusal::validation(9100, "priority is a required field."));
    }
    let content = text(body, "content")?.unwrap_or(&record.content).to_owned();
    if record.kind == "MX" && content == "." {
        record.content = content;
        return Ok(());
    }
    let name = || {
        let target = ascii(&content).filter(|target| target.contains('.'));
        target.ok_or_else(|| {
            Refusal::validation(9007, format!("Content for {} record is invalid.", record.kind))
        })
    };
    record.content = match record.kind.as_str() {
        "A" => {
            let address: Option<Ipv4Addr> = content.parse().ok();
            let message = "Content for A record must be a valid IPv4 address.";
            address
                .ok_or_else(|| Refusal::validation(9005, message))?
                .to_string()
        }
        "AAAA" => {
            let address: Option<Ipv6Addr> = content.parse().ok();
            let message = "Content for AAAA record must be a valid IPv6 address.";
            address
                .ok_or_else(|| Refusal::validation(9006, message))?
                .to_string()
        }
        "CNAME" | "MX" | "NS" | "PTR" => name()?,
        _ if content.is_empty() || content.len() > CONTENT_MAX => {
            return Err(Refusal::validation(9008, "Content is empty or too long."));
        }
        "TXT" => stored(&content).ok_or_else(|| {
            Refusal::validation(9008, "Content of a TXT record must be properly quoted strings.")
        })?,
        _ => content,
    };
    Ok(())
}

/// What the common structured types must have.
fn structured(kind: &str, data: &Value) -> Result<(), Refusal> {
    let number = |key: &str| whole(data.get(key)).is_some();
    let word = |key: &str| {
        data.get(key)
            .and_then(Value::as_str)
            .is_some_and(|word| !word.is_empty())
    };
    let host = || {
        let target = data.get("target").and_then(Value::as_str).unwrap_or_default();
        target == "." || ascii(target).is_some()
    };
    let good = match kind {
        "SRV" => ["priority", "weight", "port"].into_iter().all(number) && host(),
        "CAA" => {
            let flags = whole(data.get("flags")).is_some_and(|flags| flags <= u16::from(u8::MAX));
            flags && word("tag") && word("value")
        }
        _ => true,
    };
    let message = format!("The data of the {kind} record is not complete or not valid.");
    good.then_some(())
        .ok_or_else(|| Refusal::validation(9101, message))
}

/// The content of a structured record: its fields as a zone file has them, as far as the common types go.
fn from_data(data: &Value) -> String {
    let order = ["flags", "weight", "port", "tag", "target"];
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parts = order.iter().filter_map(|key| data.get(*key)).map(shown);
    let value = data.get("value").map(|value| format!("\"{}\"", shown(value)));
    parts.chain(value).collect::<Vec<_>>().join(" ")
}

/// The other way round, for records that were made by hand: `None` for types that are text, and for content that
/// is not of its type.
pub(super) fn data_of(kind: &str, content: &str, priority: Option<u16>) -> Option<Value> {
    let mut parts = content.splitn(3, ' ');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str| text.parse::<u16>().ok();
    match kind {
        "SRV" => Some(json!({
            "priority": priority?, "weight": number(first)?, "port": number(second)?, "target": third,
        })),
        "CAA" => Some(json!({"flags": number(first)?, "tag": second, "value": third.trim_matches('"')})),
        _ => None,
    }
}

fn set_ttl_and_proxy(record: &mut Record, body: &Map<String, Value>) -> Result<(), Refusal> {
    if let Some(ttl) = body.get("ttl") {
        let message = "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.";
        let ttl = ttl.as_u64().filter(|ttl| *ttl == 1 || TTL.contains(ttl));
        let ttl = ttl.and_then(|ttl| u32::try_from(ttl).ok());
        record.ttl = ttl.ok_or_else(|| Refusal::validation(9021, message))?;
    }
    if let Some(proxied) = body.get("proxied") {
        let message = "Invalid 'proxied' value, must be a boolean";
        record.proxied = proxied
            .as_bool()
            .ok_or_else(|| Refusal::validation(9003, message))?;
    }
    if record.proxied && !PROXIABLE.contains(&record.kind.as_str()) {
        return Err(Refusal::validation(9004, "This record type cannot be proxied."));
    }
    if record.proxied {
        record.ttl = 1;
    }
    Ok(())
}

fn set_notes(record: &mut Record, body: &Map<String, Value>, state: &State) -> Result<(), Refusal> {
    if let Some(comment) = text(body, "comment")? {
        let limit = state.plan().comment();
        if comment.chars().count() > limit {
            let message = format!("DNS record comment exceeds the maximum length of {limit} characters.");
            return Err(Refusal::validation(9313, message));
        }
        if comment.contains(['\r', '\n']) {
            return Err(Refusal::validation(9314, "DNS record comment has a line break."));
        }
        if record.comment.as_deref() != Some(comment) {
            record.comment_modified = Some(Timestamp::now());
        }
        record.comment = (!comment.is_empty()).then(|| comment.to_owned());
    }
    match body.get("tags").and_then(Value::as_array) {
        Some(tags) if !tags.is_empty() => {
            let message = format!("DNS record has {} tags, exceeding the quota of 0.", tags.len());
            Err(Refusal::validation(9300, message))
        }
        _ => Ok(()),
    }
}

/// What else is at the name and does not go together with the record.
pub(super) fn conflict(zone: &Zone, record: &Record) -> Result<(), Refusal> {
    let addresses = ["A", "AAAA"];
    for other in zone.named(&record.name).filter(|other| other.id != record.id) {
        let (new, old) = (record.kind.as_str(), other.kind.as_str());
        if new == old && record.content == other.content && record.priority == other.priority {
            return Err(match record.ttl == other.ttl && record.proxied == other.proxied {
                true => Refusal::new(400, 81058, "An identical record already exists."),
                false => Refusal::new(400, 81057, "The record already exists."),
            });
        }
        if new == "CNAME" && (old == "CNAME" || addresses.contains(&old)) {
            let message = "An A, AAAA, or CNAME record with that host already exists.";
            return Err(Refusal::new(400, 81053, message));
        }
        if addresses.contains(&new) && old == "CNAME" {
            return Err(Refusal::new(
                400,
                81054,
                "A CNAME record with that host already exists.",
            ));
        }
    }
    Ok(())
}

fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::body(format!("{key} is not a text"))),
    }
}

fn whole(value: Option<&Value>) -> Option<u16> {
    u16::try_from(value?.as_u64()?).ok()
}
