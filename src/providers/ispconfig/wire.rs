//! ISPConfig's rows. Every value comes as a text, and is read from a number just as well.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::fault::strange;
use crate::domain::Fqdn;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;

/// A zone.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ZoneRow {
    #[serde(deserialize_with = "number")]
    pub id: u64,
    /// The panel's user to whom it belongs.
    #[serde(deserialize_with = "number")]
    pub sys_userid: u64,
    #[serde(deserialize_with = "number")]
    pub server_id: u64,
    pub origin: String,
    pub ns: String,
    pub mbox: String,
    #[serde(deserialize_with = "number")]
    pub serial: u32,
    #[serde(deserialize_with = "number")]
    pub refresh: u32,
    #[serde(deserialize_with = "number")]
    pub retry: u32,
    #[serde(deserialize_with = "number")]
    pub expire: u32,
    #[serde(deserialize_with = "number")]
    pub minimum: u32,
    #[serde(deserialize_with = "number")]
    pub ttl: u32,
    #[serde(default)]
    pub active: String,
}

impl ZoneRow {
    /// The zone's name; `None` without the final dot, as which the daemon writes no usable file.
    pub fn name(&self) -> Option<Fqdn> {
        self.origin.ends_with('.').then(|| self.origin.parse().ok())?
    }
}

/// A record.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RecordRow {
    #[serde(deserialize_with = "number")]
    pub id: u64,
    #[serde(deserialize_with = "number")]
    pub zone: u64,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub data: String,
    #[serde(deserialize_with = "number", default)]
    pub aux: u64,
    #[serde(deserialize_with = "number", default)]
    pub ttl: u64,
    #[serde(default)]
    pub active: String,
}

impl RecordRow {
    /// Whether the name servers get it.
    pub fn is_active(&self) -> bool {
        self.active.eq_ignore_ascii_case("y")
    }
}

fn number<'de, D: Deserializer<'de>, T>(from: D) -> Result<T, D::Error>
where
    T: TryFrom<u64> + std::str::FromStr,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Number(u64),
        Text(String),
    }
    let value = match Form::deserialize(from)? {
        Form::Number(value) => T::try_from(value).ok(),
        Form::Text(text) => text.trim().parse().ok(),
    };
    // Without the value: an error's text may end in a log.
    value.ok_or_else(|| serde::de::Error::custom("a number was expected"))
}

/// A list of rows.
///
/// # Errors
/// `Unexpected` for anything else, above all for `false`.
pub(super) fn rows<T: DeserializeOwned>(function: &str, value: Value) -> Result<Vec<T>, ProviderError> {
    serde_json::from_value(value).map_err(|error| strange(function, Effect::Read).with_detail(error))
}

/// One row or none.
///
/// # Errors
/// `Unexpected` for anything else.
pub(super) fn row<T: DeserializeOwned>(function: &str, value: Value) -> Result<Option<T>, ProviderError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(_) => serde_json::from_value(value)
            .map(Some)
            .map_err(|error| strange(function, Effect::Read).with_detail(error)),
        _ => Err(strange(function, Effect::Read)),
    }
}

/// A number, however it is written.
pub(super) fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_u64(),
    }
}

/// The id of what was made.
///
/// # Errors
/// `Ambiguous` for anything but a number above 0: something may have been made.
pub(super) fn new_id(function: &str, value: &Value) -> Result<u64, ProviderError> {
    whole(value)
        .filter(|id| *id > 0)
        .ok_or_else(|| strange(function, Effect::Write))
}

/// How many rows were changed.
///
/// # Errors
/// `Ambiguous` for anything but a number.
pub(super) fn affected(function: &str, value: &Value) -> Result<u64, ProviderError> {
    whole(value).ok_or_else(|| strange(function, Effect::Write))
}

/// An id of ours as the number that the panel must be sent.
///
/// # Errors
/// `Invalid` for anything but a number above 0: the panel puts it into its SQL as it is.
pub(super) fn id(text: &str) -> Result<u64, ProviderError> {
    let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let id = digits.then(|| text.parse().ok()).flatten();
    id.filter(|id| *id > 0).ok_or_else(|| {
        let shown: String = text.chars().take(24).collect();
        let message = format!("\"{shown}\" is not an id of ISPConfig's: a number above 0");
        ProviderError::new(ErrorKind::Invalid, message)
    })
}

/// A JSON object of the given fields.
pub(super) fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_numbers_are_ids() {
        assert_eq!(id("60").unwrap(), 60);
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1 OR 1=1",
            "1.0",
            " 1",
            "99999999999999999999",
        ] {
            assert_eq!(id(bad).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
        assert_eq!(new_id("x", &json!("7")).unwrap(), 7);
        assert_eq!(new_id("x", &json!(7)).unwrap(), 7);
        for bad in [json!(false), json!("0"), json!(null), json!("x"), json!([])] {
            assert_eq!(
                new_id("x", &bad).unwrap_err().kind(),
                ErrorKind::Ambiguous,
                "{bad}"
            );
        }
    }

    #[test]
    fn rows_are_read_from_texts_and_numbers() {
        let text = json!({"id": "5", "zone": 1, "name": "", "type": "A", "data": "x", "aux": "0", "ttl": "60",
            "active": "Y", "more": null});
        let found: RecordRow = row("x", text).unwrap().unwrap();
        assert_eq!(
            (found.id, found.zone, found.ttl, found.is_active()),
            (5, 1, 60, true)
        );
        assert!(row::<RecordRow>("x", json!(null)).unwrap().is_none());
        assert!(row::<RecordRow>("x", json!([])).is_err());
        assert!(rows::<RecordRow>("x", json!(false)).is_err());
        assert!(rows::<RecordRow>("x", json!([{"id": "a"}])).is_err());
    }
}
