//! Checks requests against the official schema of the Proxmox VE API (`pve-api-subset.json`).
//!
//! Checked: method and path, unknown and missing parameters, types, ranges, lengths, enumerations, property
//! strings, the named formats that are listed in [`named_format`], and, with a version, whether the endpoint
//! and each parameter exist there. Patterns are not: they are Perl regular expressions.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value};

/// A version of Proxmox VE as the schema labels it, such as `(9, 1)`.
pub type Version = (u32, u32);

/// Whether a request (path below `/api2/json`, as sent) fits the schema.
pub fn check_request(
    schema: &Value,
    method: &str,
    path: &str,
    params: &[(String, String)],
) -> Result<(), String> {
    check_request_for(schema, (u32::MAX, 0), method, path, params)
}

/// Whether a request fits the schema of one version.
pub fn check_request_for(
    schema: &Value,
    version: Version,
    method: &str,
    path: &str,
    params: &[(String, String)],
) -> Result<(), String> {
    let place = format!("{method} {path}");
    let (endpoint, mut all) =
        find(schema, method, path).ok_or_else(|| format!("{place}: no such endpoint"))?;
    exists(version, endpoint, &place)?;
    let mut known = endpoint["params"].as_object().cloned().unwrap_or_default();
    if let Some(added) = endpoint["params_added_in_9.2.3"].as_object()
        && version >= (9, 2)
    {
        known.extend(added.clone());
    }
    for (name, value) in params {
        if all.iter().any(|(other, _)| other == name) {
            return Err(format!("{place}: {name} is given twice"));
        }
        all.push((name.clone(), value.clone()));
    }
    for (name, value) in &all {
        let rule = rule_of(&known, name).ok_or_else(|| format!("{place}: unknown parameter {name}"))?;
        exists(version, rule, &format!("{place}: {name}"))?;
        belongs(rule, &all).map_err(|error| format!("{place}: {name}: {error}"))?;
        check_value(rule, value).map_err(|error| format!("{place}: {name}={value:?}: {error}"))?;
    }
    for (name, rule) in &known {
        let optional = truthy(&rule["optional"]) || name.ends_with("[n]");
        if !optional && !all.iter().any(|(given, _)| given == name) {
            return Err(format!("{place}: {name} is missing"));
        }
    }
    Ok(())
}

type Pairs = Vec<(String, String)>;

fn find<'a>(schema: &'a Value, method: &str, path: &str) -> Option<(&'a Value, Pairs)> {
    let endpoints = schema["endpoints"].as_array()?;
    endpoints
        .iter()
        .filter(|endpoint| endpoint["method"] == method)
        .filter_map(|endpoint| Some((endpoint, matches(endpoint["path"].as_str()?, path)?)))
        // The template with the fewest variables is the one that the server would choose.
        .min_by_key(|(_, variables)| variables.len())
}

fn matches(template: &str, path: &str) -> Option<Pairs> {
    let (wanted, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != given.len() {
        return None;
    }
    let mut variables = Vec::new();
    for (wanted, given) in wanted.into_iter().zip(given) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !given.is_empty() => variables.push((name.to_owned(), percent_decoded(given)?)),
            Some(_) => return None,
            None if wanted != given => return None,
            None => {}
        }
    }
    Some(variables)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            // Characters that Proxmox cannot tell from its own ones must be encoded.
            b':' | b'@' | b'!' | b' ' => return None,
            plain => bytes.push(plain),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The rule of a parameter, also of an indexed one such as `net0`.
fn rule_of<'a>(known: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    known
        .get(name)
        .or_else(|| known.get(&format!("{stem}[n]")).filter(|_| stem != name))
}

fn exists(version: Version, thing: &Value, place: &str) -> Result<(), String> {
    let Some(since) = thing["since"].as_str() else {
        return Ok(());
    };
    if since.contains("earlier") {
        return Ok(());
    }
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
    let mut parts = since.split('.');
    let label = (number(parts.next()), number(parts.next()));
    match label {
        (Some(major), Some(minor)) if (major, minor) <= version => Ok(()),
        _ => Err(format!("{place} exists only since {since}, not in {version:?}")),
    }
}

/// Parameters that only one type of thing has.
fn belongs(rule: &Value, all: &[(String, String)]) -> Result<(), String> {
    let (Some(property), Some(types)) = (rule["type-property"].as_str(), rule["instance-types"].as_array())
    else {
        return Ok(());
    };
    let given = all.iter().find(|(name, _)| name == property);
    match given.is_some_and(|(_, value)| types.iter().any(|kind| kind == value)) {
        true => Ok(()),
        false => Err(format!("only for {property} in {types:?}")),
    }
}

fn truthy(value: &Value) -> bool {
    value.as_u64() == Some(1) || value.as_bool() == Some(true)
}

fn limit(rule: &Value, name: &str) -> Option<f64> {
    let value = &rule[name];
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn check_value(rule: &Value, value: &str) -> Result<(), String> {
    match rule["type"].as_str().unwrap_or("string") {
        "boolean" if matches!(value, "0" | "1") => {}
        "boolean" => return Err("not 0 or 1".into()),
        kind @ ("integer" | "number") => {
            if kind == "integer" && value.parse::<i64>().is_err() {
                return Err("not an integer".into());
            }
            let number: f64 = value.parse().map_err(|_| "not a number")?;
            let low = limit(rule, "minimum").is_some_and(|minimum| number < minimum);
            let high = limit(rule, "maximum").is_some_and(|maximum| number > maximum);
            if low || high {
                return Err("out of range".into());
            }
        }
        _ => {
            let length = value.chars().count() as f64;
            let short = limit(rule, "minLength").is_some_and(|minimum| length < minimum);
            let long = limit(rule, "maxLength").is_some_and(|maximum| length > maximum);
            if short || long {
                return Err("wrong length".into());
            }
        }
    }
    if let Some(words) = rule["enum"].as_array()
        && !words.iter().any(|word| word == value)
    {
        return Err(format!("not one of {words:?}"));
    }
    match &rule["format"] {
        Value::Object(properties) => property_string(properties, value),
        Value::String(name) => named(name, value),
        _ => Ok(()),
    }
}

fn property_string(properties: &Map<String, Value>, text: &str) -> Result<(), String> {
    let default = properties.iter().find(|(_, rule)| truthy(&rule["default_key"]));
    let mut given = Vec::new();
    for part in text.split(',') {
        let (name, value) = match (part.split_once('='), default) {
            (Some((name, value)), _) => (name, value),
            (None, Some((name, _))) => (name.as_str(), part),
            (None, None) => return Err(format!("{part} has no key")),
        };
        let rule = properties
            .get(name)
            .ok_or_else(|| format!("unknown key {name}"))?;
        check_value(rule, value).map_err(|error| format!("{name}: {error}"))?;
        given.push(name);
    }
    let missing =
        |(name, rule): &(&String, &Value)| !truthy(&rule["optional"]) && !given.contains(&name.as_str());
    match properties.iter().find(missing) {
        Some((name, _)) => Err(format!("key {name} is missing")),
        None => Ok(()),
    }
}

fn named(name: &str, value: &str) -> Result<(), String> {
    if let Some(item) = name.strip_suffix("-list") {
        let items = value
            .split([',', ';', ' ', '\t', '\n'])
            .filter(|item| !item.is_empty());
        return items.into_iter().try_for_each(|part| named(item, part));
    }
    match named_format(name, value) {
        Some(false) => Err(format!("not a {name}")),
        _ => Ok(()),
    }
}

/// Whether a value has a named format; `None` for formats that are not checked here.
fn named_format(name: &str, value: &str) -> Option<bool> {
    let all = |extra: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
        !value.is_empty() && value.chars().all(inner)
    };
    let first = |c: fn(&char) -> bool| value.chars().next().is_some_and(|head| c(&head));
    let last_alphanumeric = value.ends_with(|c: char| c.is_ascii_alphanumeric());
    let within = |prefix: &str, length: std::ops::RangeInclusive<u8>| {
        prefix.parse::<u8>().is_ok_and(|prefix| length.contains(&prefix))
    };
    Some(match name {
        "pve-vmid" => value
            .parse::<u32>()
            .is_ok_and(|id| (100..=999_999_999).contains(&id)),
        "pve-node" => all("-") && !value.starts_with('-') && !value.ends_with('-'),
        "pve-configid" => all("_-") && first(char::is_ascii_alphabetic) && value.len() >= 2,
        "pve-storage-id" => all("_.-") && first(char::is_ascii_alphabetic) && last_alphanumeric,
        "pve-poolid" => all("._-/") && !value.starts_with('/') && !value.ends_with('/'),
        "pve-tag" => all("_+.-") && !value.starts_with(['+', '.', '-']),
        "dns-name" => all("-.") && first(char::is_ascii_alphanumeric) && last_alphanumeric,
        "ipv4" => value.parse::<Ipv4Addr>().is_ok(),
        "lxc-ip-with-ll-iface" => value.parse::<IpAddr>().is_ok(),
        "pve-ipv4-config" => match value.split_once('/') {
            Some((address, prefix)) => address.parse::<Ipv4Addr>().is_ok() && within(prefix, 8..=32),
            None => matches!(value, "dhcp" | "manual"),
        },
        "pve-ha-resource-id" => value.split_once(':').is_some_and(|(kind, id)| {
            !kind.is_empty() && !id.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase())
        }),
        "pve-ha-resource-or-vm-id" => {
            value.parse::<u32>().is_ok() || named_format("pve-ha-resource-id", value) == Some(true)
        }
        "pve-ha-node" => {
            let (node, priority) = value.split_once(':').unwrap_or((value, "0"));
            named_format("pve-node", node) == Some(true) && priority.parse::<u32>().is_ok()
        }
        _ => return None,
    })
}

#[test]
fn the_checker_refuses_what_proxmox_refuses() {
    let Some(bytes) = super::contract("pve-api-subset.json") else {
        return;
    };
    let schema: Value = serde_json::from_slice(&bytes).unwrap();
    let pairs = |text: &str| -> Pairs {
        let parts = text.split('&').filter(|part| !part.is_empty());
        parts
            .map(|part| part.split_once('=').unwrap())
            .map(|(k, v)| (k.into(), v.into()))
            .collect()
    };
    let check = |version: Version, method: &str, path: &str, params: &str| {
        check_request_for(&schema, version, method, path, &pairs(params))
    };
    let create = "vmid=907&ostemplate=local:vztmpl/x.tar.zst";
    let with = |more: &str| check((9, 2), "POST", "/nodes/pve1/lxc", &format!("{create}{more}"));
    assert_eq!(
        with("&net0=name=eth0,ip=10.0.0.7/24&rootfs=drbd:20&tags=a;b"),
        Ok(())
    );
    for bad in [
        "&bogus=1",
        "&vmid=1",
        "&net0=ip=10.0.0.7/24",
        "&net0=name=eth0,ip=10.0.0.7",
        "&start=yes",
        "&memory=8",
        "&tags=-a",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
    assert!(check((9, 2), "POST", "/nodes/pve1/lxc", "vmid=907").is_err());
    assert!(check((9, 0), "POST", "/nodes/pve1/lxc", &format!("{create}&env=A=1")).is_err());
    assert!(check((8, 4), "GET", "/cluster/ha/rules", "").is_err());
    assert!(
        check((9, 0), "GET", "/cluster/ha/resources/ct:907", "").is_err(),
        "not encoded"
    );
    assert_eq!(check((9, 0), "GET", "/cluster/ha/resources/ct%3A907", ""), Ok(()));
    let rule = "rule=ab&type=node-affinity&resources=ct:907";
    assert_eq!(
        check(
            (9, 0),
            "POST",
            "/cluster/ha/rules",
            &format!("{rule}&nodes=a:1,b")
        ),
        Ok(())
    );
    assert!(
        check(
            (9, 0),
            "POST",
            "/cluster/ha/rules",
            &format!("{rule}&affinity=positive")
        )
        .is_err()
    );
    assert!(check_request(&schema, "PATCH", "/version", &[]).is_err());
}
