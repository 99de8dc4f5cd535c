//! The forms that check what is stored: filters first, then rules, and a key of the language file for each rule that
//! is broken.

use serde_json::{Map, Value};

/// Largest number of a 32-bit column; the database cuts what is larger.
const INTEGER_MAX: u64 = 4_294_967_295;
/// Octets of one label.
const LABEL_MAX: usize = 63;
/// Seconds that every time takes at least.
const TIME_MIN: u64 = 60;

/// A value as the text that the database keeps.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(true)) => "1".to_owned(),
        _ => String::new(),
    }
}

fn integer(value: Option<&Value>) -> u64 {
    let text = text(value);
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    match digits.is_empty() {
        true => 0,
        false => digits.parse().unwrap_or(INTEGER_MAX).min(INTEGER_MAX),
    }
}

/// Only the letter itself is a yes.
fn checkbox(value: Option<&Value>) -> &'static str {
    match value {
        Some(Value::String(text)) if text == "Y" => "Y",
        _ => "N",
    }
}

/// IDN conversion and lower case. What is no name becomes nothing, silently.
fn ascii(name: &str) -> String {
    if name.is_empty() || name.chars().all(|c| c.is_ascii_digit() || c == '.') || name == "@" {
        return name.to_owned();
    }
    let (body, dot) = match name.strip_suffix('.') {
        Some(body) => (body, "."),
        None => (name, ""),
    };
    let labels: Option<Vec<String>> = body.split('.').map(label).collect();
    labels.map_or_else(String::new, |labels| format!("{}{dot}", labels.join(".")))
}

fn label(label: &str) -> Option<String> {
    let lower = match label.is_ascii() {
        true => label.to_ascii_lowercase(),
        false => {
            // The URL parser knows IDNA, and the label alone is a host of its own.
            let url = reqwest::Url::parse(&format!("http://{label}/")).ok()?;
            url.host_str()?.to_owned()
        }
    };
    let reserved = lower.get(2..4) == Some("--") && !lower.starts_with("xn--");
    let good = !lower.is_empty()
        && lower.len() <= LABEL_MAX
        && !lower.starts_with('-')
        && !lower.ends_with('-')
        && !reserved;
    good.then_some(lower)
}

fn letters(text: &str, more: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

fn name_fits(form: &str, name: &str) -> bool {
    match form {
        "a" | "aaaa" => letters(name, ".-*", 0..=64),
        "cname" => letters(name, ".-*_", 0..=255),
        "mx" => letters(name, ".-*", 0..=255),
        // A star only with a dot behind it.
        "txt" => letters(&name.replace("*.", ""), ".-_", 0..=255),
        _ => letters(name, ".-_", 0..=255),
    }
}

/// The rules of `data` that are broken.
fn data_errors(form: &str, data: &str) -> Vec<&'static str> {
    let mut errors = Vec::new();
    if data.is_empty() && form != "caa" {
        errors.push("data_error_empty");
    }
    let part = |part: &str| letters(part, "_.-", 0..=64);
    let broken = match form {
        "a" => data
            .parse::<std::net::Ipv4Addr>()
            .is_err()
            .then_some("ip_error_wrong"),
        "aaaa" => data
            .parse::<std::net::Ipv6Addr>()
            .is_err()
            .then_some("ip_error_wrong"),
        "cname" => (!letters(data, ".-_", 1..=255)).then_some("data_error_regex"),
        "mx" | "ns" => (!letters(data, ".-", 1..=255)).then_some("data_error_regex"),
        "srv" => {
            let parts: Vec<&str> = data.split(' ').collect();
            (parts.len() != 3 || !parts.into_iter().all(part)).then_some("srv_error_regex")
        }
        _ => None,
    };
    errors.extend(broken);
    errors
}

/// The message of broken rules.
fn refused(errors: &[&str]) -> String {
    errors.iter().map(|error| format!("{error}<br />\r\n")).collect()
}

fn put(row: &mut Map<String, Value>, name: &str, value: impl std::fmt::Display) {
    row.insert(name.to_owned(), Value::from(value.to_string()));
}

/// A record's row after its form.
///
/// # Errors
/// The message with the keys of the rules that are broken.
pub(super) fn record(form: &str, fields: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let field = |name: &str| fields.get(name);
    let name = ascii(&text(field("name")));
    let mut data = text(field("data"));
    if matches!(form, "cname" | "mx" | "ns") {
        data = ascii(&data);
    }
    let ttl = integer(field("ttl"));
    let mut errors = Vec::new();
    if !name_fits(form, &name) {
        errors.push("name_error_regex");
    }
    errors.extend(data_errors(form, &data));
    if ttl < TIME_MIN {
        errors.push("ttl_range_error");
    }
    if !errors.is_empty() {
        return Err(refused(&errors));
    }
    let mut row = Map::new();
    for number in ["server_id", "zone", "aux", "serial"] {
        put(&mut row, number, integer(field(number)));
    }
    let kind = match text(field("type")) {
        kind if kind.is_empty() => form.to_uppercase(),
        kind => kind,
    };
    put(&mut row, "name", name);
    put(&mut row, "type", kind);
    put(&mut row, "data", data);
    put(&mut row, "ttl", ttl);
    put(&mut row, "active", checkbox(field("active")));
    put(&mut row, "stamp", text(field("stamp")));
    Ok(row)
}

/// A zone's row after its form; `taken` tells whether another zone has an origin.
///
/// # Errors
/// As [`record`].
pub(super) fn zone(
    fields: &Map<String, Value>,
    taken: impl Fn(&str) -> bool,
) -> Result<Map<String, Value>, String> {
    let field = |name: &str| fields.get(name);
    let mut errors = Vec::new();
    if text(field("server_id")).is_empty() {
        errors.push("server_id_error_empty");
    }
    let origin = ascii(&text(field("origin")));
    if origin.is_empty() {
        errors.push("origin_error_empty");
    } else if taken(&origin) {
        errors.push("origin_error_unique");
    }
    let labels = origin.strip_suffix('.').unwrap_or(&origin).rsplit_once('.');
    let last = labels.is_some_and(|(head, last)| !head.is_empty() && letters(last, "-", 2..=63));
    if !last || !letters(&origin, ".-/", 1..=255) {
        errors.push("origin_error_regex");
    }
    let ns = ascii(&text(field("ns")));
    if !letters(&ns, ".-", 1..=255) {
        errors.push("ns_error_regex");
    }
    let mbox = text(field("mbox")).to_lowercase();
    if mbox.is_empty() {
        errors.push("mbox_error_empty");
    }
    if !mbox.ends_with('.') || !letters(&mbox, ".-_", 1..=255) {
        errors.push("mbox_error_regex");
    }
    let times = [
        ("refresh", "refresh_range_error"),
        ("retry", "retry_range_error"),
        ("expire", "expire_range_error"),
        ("minimum", "minimum_range_error"),
        ("ttl", "ttl_range_error"),
    ];
    let short = times.iter().filter(|(name, _)| integer(field(name)) < TIME_MIN);
    errors.extend(short.map(|(_, error)| *error));
    if !errors.is_empty() {
        return Err(refused(&errors));
    }
    let mut row = Map::new();
    put(&mut row, "origin", origin);
    put(&mut row, "ns", ns);
    put(&mut row, "mbox", mbox);
    for (number, _) in times {
        put(&mut row, number, integer(field(number)));
    }
    for number in ["server_id", "serial"] {
        put(&mut row, number, integer(field(number)));
    }
    put(&mut row, "active", checkbox(field("active")));
    put(&mut row, "dnssec_wanted", checkbox(field("dnssec_wanted")));
    for free in ["xfer", "also_notify", "update_acl", "dnssec_algo"] {
        put(&mut row, free, text(field(free)));
    }
    Ok(row)
}
