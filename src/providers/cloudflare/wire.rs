//! Cloudflare's JSON. Decoded leniently (unknown fields ignored, numbers also as texts), sent strictly.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<T> {
    #[serde(default)]
    pub success: bool,
    // Success carries codes too, but in `messages`, which we therefore do not even decode.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub errors: Vec<Message>,
    #[serde(default = "nothing")]
    pub result: Option<T>,
    #[serde(default)]
    pub result_info: Option<ResultInfo>,
}

fn nothing<T>() -> Option<T> {
    None
}

/// One error; its real cause is often only in the chain.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default, deserialize_with = "number")]
    pub code: Option<u64>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub error_chain: Vec<Message>,
}

/// Where a page stands in its listing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ResultInfo {
    #[serde(default, deserialize_with = "number")]
    pub total_count: Option<u64>,
    #[serde(default, deserialize_with = "number")]
    pub total_pages: Option<u64>,
}

/// `GET /user/tokens/verify`.
#[derive(Debug, Deserialize)]
pub(super) struct Token {
    #[serde(default)]
    pub status: String,
}

/// A zone.
#[derive(Debug, Deserialize)]
pub(super) struct Zone {
    pub id: String,
    pub name: String,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub account: Option<Account>,
    /// The servers that were assigned to the zone; a zone that is added again gets others.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub name_servers: Vec<String>,
    #[serde(default, deserialize_with = "time")]
    pub created_on: Option<Timestamp>,
    /// Such as `#dns_records:edit`; empty when Cloudflare does not tell.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub permissions: Vec<String>,
}

/// An account, as far as it matters: its id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    pub id: String,
}

/// `POST /zones`.
#[derive(Debug, Serialize)]
pub(super) struct ZoneBody<'a> {
    pub name: &'a str,
    pub account: Account,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// A record as Cloudflare sends it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Record {
    pub id: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub content: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub ttl: Option<u64>,
    #[serde(default)]
    pub proxied: Option<bool>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default, deserialize_with = "number")]
    pub priority: Option<u64>,
    /// The parts of structured types; each type has other ones.
    #[serde(default)]
    pub data: Option<Value>,
    #[serde(default)]
    pub meta: Option<Meta>,
}

/// What Cloudflare notes about a record.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Meta {
    /// The record belongs to one of Cloudflare's own services, such as mail routing.
    #[serde(default)]
    pub read_only: Option<bool>,
}

/// The content of a type that is not sent as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Data {
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Caa {
        flags: u8,
        tag: String,
        value: String,
    },
}

/// A record as we send it, for POST and PATCH alike: every field of which we know the value that it shall
/// have, and none other.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RecordBody {
    /// Only inside of a batch's `patches`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// For types that are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// For types that are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// For MX; that of SRV is part of its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u16>,
    pub ttl: u32,
    pub proxied: bool,
    pub comment: String,
}

/// Names a record inside of a batch's `deletes`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RecordKey {
    pub id: String,
}

/// Executed in this order in one transaction. We never send `puts`: they reset what they do not name.
#[derive(Debug, Default, Serialize)]
pub(super) struct Batch {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<RecordKey>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<RecordBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub posts: Vec<RecordBody>,
}

/// What a batch did, as far as we look at it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct BatchResult {
    #[serde(default, deserialize_with = "null_is_empty")]
    pub patches: Vec<Record>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub posts: Vec<Record>,
}

fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(from)?.unwrap_or_default())
}

/// A whole number in any of the forms in which gateways have been seen to send one; `None` for the rest.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Whole(u64),
        Fraction(f64),
        Text(String),
    }
    Ok(match Option::<Form>::deserialize(from)? {
        Some(Form::Whole(value)) => Some(value),
        // The contract says `number`, so that 300.0 is allowed; no such value comes near 2^53.
        Some(Form::Fraction(value)) => format!("{value:.0}").parse().ok(),
        Some(Form::Text(text)) => text.trim().parse().ok(),
        None => None,
    })
}

/// A time, or `None` for what is none: it serves as a hint only.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_leniently() {
        let text = r#"{"success":true,"errors":null,"messages":[{"code":10000}],"new":1,
            "result":{"id":"a","name":"b","type":"A","ttl":"300","priority":10.0,"comment":null},
            "result_info":{"total_count":1.0,"total_pages":"1"}}"#;
        let envelope: Envelope<Record> = serde_json::from_str(text).unwrap();
        let record = envelope.result.unwrap();
        assert_eq!(
            (record.ttl, record.priority, record.comment),
            (Some(300), Some(10), None)
        );
        let info = envelope.result_info.unwrap();
        assert_eq!((info.total_count, info.total_pages), (Some(1), Some(1)));
        assert!(envelope.success && envelope.errors.is_empty());
    }
}
