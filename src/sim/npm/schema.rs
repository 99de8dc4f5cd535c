//! Checks of request bodies, with the sentences of the validator behind the real program, and its habit of
//! turning `"8081"`, `1` and `"true"` into what the schema asks for.

use serde_json::{Map, Value};

/// Characters that a name may not have.
const FORBIDDEN: &str = "&| @!#%^();:/\\}{=+?<>,~`'\"";
/// The pattern as the program's own message quotes it.
const PATTERN: &str = r#"^[^&| @!#%^();:/\\}{=+?<>,~`'"]+$"#;
/// Names in one list.
const NAMES_MAX: usize = 100;

/// What a field may hold.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Text of so many to so many characters.
    Text(usize, usize),
    /// A number within bounds.
    Integer(i64, i64),
    /// A boolean.
    Flag,
    /// A list of host names with at least so many items.
    Names(usize),
    /// One of some words.
    Choice(&'static [&'static str]),
    /// A certificate's number, or the word `new`.
    Certificate,
    /// Any object.
    Object,
    /// An object with these keys only.
    Keys(&'static [&'static str]),
    /// Any list.
    List,
}

/// A field and what it may hold.
pub(super) type Field = (&'static str, Kind);

/// A proxy host, in the order in which the validator complains.
pub(super) const HOST: &[Field] = &[
    ("domain_names", Kind::Names(1)),
    ("forward_scheme", Kind::Choice(&["http", "https"])),
    ("forward_host", Kind::Text(1, 255)),
    ("forward_port", Kind::Integer(1, 65_535)),
    ("certificate_id", Kind::Certificate),
    ("ssl_forced", Kind::Flag),
    ("hsts_enabled", Kind::Flag),
    ("hsts_subdomains", Kind::Flag),
    ("trust_forwarded_proto", Kind::Flag),
    ("http2_support", Kind::Flag),
    ("block_exploits", Kind::Flag),
    ("caching_enabled", Kind::Flag),
    ("allow_websocket_upgrade", Kind::Flag),
    ("access_list_id", Kind::Integer(0, i64::MAX)),
    ("advanced_config", Kind::Text(0, usize::MAX)),
    ("enabled", Kind::Flag),
    ("meta", Kind::Object),
    ("locations", Kind::List),
];
/// What a new host must have.
pub(super) const HOST_REQUIRED: &[&str] = &["domain_names", "forward_scheme", "forward_host", "forward_port"];

/// A certificate.
pub(super) const CERTIFICATE: &[Field] = &[
    ("provider", Kind::Choice(&["letsencrypt", "other"])),
    ("nice_name", Kind::Text(0, 255)),
    ("domain_names", Kind::Names(0)),
    (
        "meta",
        Kind::Keys(&[
            "certificate",
            "certificate_key",
            "dns_challenge",
            "dns_provider",
            "dns_provider_credentials",
            "letsencrypt_certificate",
            "propagation_seconds",
            "key_type",
        ]),
    ),
];

/// A log-in.
pub(super) const TOKEN: &[Field] = &[
    ("identity", Kind::Text(1, usize::MAX)),
    ("secret", Kind::Text(1, usize::MAX)),
    ("scope", Kind::Choice(&["user"])),
];

/// A new account.
pub(super) const USER: &[Field] = &[
    ("name", Kind::Text(1, 255)),
    ("nickname", Kind::Text(1, 255)),
    ("email", Kind::Text(1, 255)),
    ("roles", Kind::List),
    ("is_disabled", Kind::Flag),
    ("auth", Kind::Object),
];

/// Checks a body against fields and turns its values into the right types.
pub(super) fn check(
    body: &mut Map<String, Value>,
    fields: &[Field],
    required: &[&str],
) -> Result<(), String> {
    let mut complaints = Vec::new();
    for name in required.iter().filter(|name| !body.contains_key(**name)) {
        complaints.push(format!("data must have required property '{name}'"));
    }
    let known = |key: &String| fields.iter().any(|(name, _)| name == key);
    for _ in body.keys().filter(|key| !known(key)) {
        complaints.push("data must NOT have additional properties".to_owned());
    }
    for (name, kind) in fields {
        if let Some(value) = body.get_mut(*name) {
            value_of(&format!("data/{name}"), value, *kind, &mut complaints);
        }
    }
    match complaints.is_empty() {
        true => Ok(()),
        false => Err(complaints.join(", ")),
    }
}

fn value_of(at: &str, value: &mut Value, kind: Kind, out: &mut Vec<String>) {
    match kind {
        Kind::Text(min, max) => text(at, value, min, max, out),
        Kind::Integer(min, max) => integer(at, value, min, max, out),
        Kind::Flag => match as_flag(value) {
            Some(flag) => *value = Value::Bool(flag),
            None => out.push(format!("{at} must be boolean")),
        },
        Kind::Names(min) => names(at, value, min, out),
        Kind::Choice(words) => {
            if !value.as_str().is_some_and(|word| words.contains(&word)) {
                out.push(format!("{at} must be equal to one of the allowed values"));
            }
        }
        // A string of digits passes as it is, which is why `"0"` counts as a certificate later on.
        Kind::Certificate => match value {
            Value::String(word) if word == "new" || word.parse::<u64>().is_ok() => {}
            Value::Number(number) if number.as_u64().is_some() => {}
            _ => out.push(format!(
                "{at} must be integer, {at} must be string, {at} must match a schema in anyOf"
            )),
        },
        Kind::Object => {
            if !value.is_object() {
                out.push(format!("{at} must be object"));
            }
        }
        Kind::Keys(keys) => match value.as_object() {
            None => out.push(format!("{at} must be object")),
            Some(map) => {
                for _ in map.keys().filter(|key| !keys.contains(&key.as_str())) {
                    out.push(format!("{at} must NOT have additional properties"));
                }
            }
        },
        Kind::List => {
            if !value.is_array() {
                out.push(format!("{at} must be array"));
            }
        }
    }
}

fn text(at: &str, value: &mut Value, min: usize, max: usize, out: &mut Vec<String>) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Bool(flag) => *value = Value::String(flag.to_string()),
        Value::Null => *value = Value::String(String::new()),
        _ => {}
    }
    let Some(length) = value.as_str().map(|text| text.chars().count()) else {
        out.push(format!("{at} must be string"));
        return;
    };
    if length < min {
        out.push(format!("{at} must NOT have fewer than {min} characters"));
    }
    if length > max {
        out.push(format!("{at} must NOT have more than {max} characters"));
    }
}

fn integer(at: &str, value: &mut Value, min: i64, max: i64, out: &mut Vec<String>) {
    let number = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Null => Some(0),
        _ => None,
    };
    match number {
        None => out.push(format!("{at} must be integer")),
        Some(number) if number < min => out.push(format!("{at} must be >= {min}")),
        Some(number) if number > max => out.push(format!("{at} must be <= {max}")),
        Some(number) => *value = Value::from(number),
    }
}

fn as_flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Null => Some(false),
        Value::Number(number) => match number.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        },
        Value::String(text) => match text.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn names(at: &str, value: &Value, min: usize, out: &mut Vec<String>) {
    let Some(items) = value.as_array() else {
        out.push(format!("{at} must be array"));
        return;
    };
    if items.len() < min {
        out.push(format!("{at} must NOT have fewer than {min} items"));
    }
    if items.len() > NAMES_MAX {
        out.push(format!("{at} must NOT have more than {NAMES_MAX} items"));
    }
    for (index, item) in items.iter().enumerate() {
        match item.as_str() {
            None => out.push(format!("{at}/{index} must be string")),
            Some(name) if name.is_empty() || name.contains(|c| FORBIDDEN.contains(c)) => {
                out.push(format!("{at}/{index} must match pattern \"{PATTERN}\""));
            }
            Some(_) => {}
        }
    }
    for (later, item) in items.iter().enumerate().rev() {
        if let Some(earlier) = items.iter().take(later).position(|other| other == item) {
            out.push(format!(
                "{at} must NOT have duplicate items (items ## {later} and {earlier} are identical)"
            ));
            return;
        }
    }
}
