//! Named text formats of the schema, and the property strings (`key=value,key=value`).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Name of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Name of a node.
    Node,
    /// Identifier of a configuration section, also of a snapshot.
    ConfigId,
    /// Several of them.
    ConfigIds,
    /// Name of a storage.
    Storage,
    /// Name of a pool.
    Pool,
    /// Host name.
    DnsName,
    /// Host names.
    DnsNames,
    /// Addresses of name servers.
    Addresses,
    /// Tags.
    Tags,
    /// A network interface.
    Net,
    /// The root disk.
    RootFs,
    /// Features.
    Features,
    /// Start order.
    Startup,
    /// Environment: `NAME=value` separated by zero bytes.
    Environment,
    /// A size for a disk, `+5G` or `25G`.
    Growth,
    /// `ct:907`, or a bare number.
    HaResource,
    /// Several `ct:907`.
    HaResources,
    /// Nodes with priorities, `pve1:2,pve2:1`.
    HaNodes,
    /// Numbers of guests.
    Vmids,
    /// Words for the state of finished tasks.
    TaskStates,
    /// Content types of a storage.
    Contents,
}

/// Splits a list as Proxmox does.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '\0'))
        .filter(|item| !item.is_empty())
}

/// Splits a property string; the first value without a key gets `default_key`.
pub(super) fn properties(text: &str, default_key: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value) = match part.split_once('=') {
            Some(pair) => pair,
            None if default_key.is_empty() || found.contains_key(default_key) => {
                return Err("missing key in comma-separated list property".to_owned());
            }
            None => (default_key, part),
        };
        if found.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("duplicate key in comma-separated list property: {key}"));
        }
    }
    Ok(found)
}

/// Checks a value; the error is the text after `invalid format - `.
pub(super) fn check(format: Format, name: &str, value: &str) -> Result<(), String> {
    let every = |ok: fn(&str) -> bool| list(value).all(ok);
    let (fits, text) = match format {
        Format::Node => (is_host_label(value), "value does not look like a valid node name"),
        Format::ConfigId => {
            let text = format!("invalid configuration ID '{value}'");
            return if is_config_id(value) { Ok(()) } else { Err(text) };
        }
        Format::ConfigIds => (every(is_config_id), "invalid configuration ID"),
        Format::Storage => (is_storage_id(value), "storage ID contains illegal characters"),
        Format::Pool => (is_pool_id(value), "value does not look like a valid pool ID"),
        Format::DnsName => (is_dns_name(value), "value does not look like a valid DNS name"),
        Format::DnsNames => (every(is_dns_name), "value does not look like a valid DNS name"),
        Format::Addresses => (every(is_address), "value does not look like a valid IP address"),
        Format::Tags => (every(is_tag), "invalid characters in tag"),
        Format::Net => return net(name, value),
        Format::RootFs => return root_fs(name, value),
        Format::Features => return features(name, value),
        Format::Startup => (is_startup(value), "unable to parse startup options"),
        Format::Environment => (is_environment(value), "value does not match the regex pattern"),
        Format::Growth => (growth(value).is_some(), "value does not match the regex pattern"),
        Format::HaResource => (
            is_ha_resource(value) || is_number(value),
            "value does not look like a valid ha resource id",
        ),
        Format::HaResources => (
            every(is_ha_resource),
            "value does not look like a valid ha resource id",
        ),
        Format::HaNodes => (every(is_ha_node), "value does not look like a valid ha node"),
        Format::Vmids => (every(is_number), "value does not look like a valid VM ID"),
        Format::TaskStates => (
            list(value).all(|v| matches!(v, "ok" | "error" | "warning" | "unknown")),
            "unknown task status type",
        ),
        Format::Contents => (
            list(value).all(|v| v.chars().all(|c| c.is_ascii_lowercase() || c == '-')),
            "invalid content type",
        ),
    };
    if fits { Ok(()) } else { Err(text.to_owned()) }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

fn is_host_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_dns_name(text: &str) -> bool {
    text.split('.').all(is_host_label)
}

fn is_config_id(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.len() >= 2 && text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(inner)
}

fn is_storage_id(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(inner)
}

fn is_pool_id(text: &str) -> bool {
    let part = |p: &str| {
        !p.is_empty()
            && p.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    text.split('/').count() <= 3 && text.split('/').all(part)
}

fn is_address(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

fn is_tag(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(first) && text.chars().all(|c| first(c) || matches!(c, '+' | '.' | '-'))
}

fn is_startup(text: &str) -> bool {
    text.split(',').all(|part| match part.split_once('=') {
        Some(("order" | "up" | "down", number)) => is_number(number),
        Some(_) => false,
        None => is_number(part),
    })
}

fn is_environment(text: &str) -> bool {
    let printable = |c: char| !matches!(c, '\u{0}'..='\u{8}' | '\u{10}'..='\u{1f}' | '\u{7f}');
    text.split('\0').all(|pair| match pair.split_once('=') {
        None => false,
        Some((name, value)) => {
            !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && value.chars().all(printable)
        }
    })
}

fn is_ha_resource(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, name)| {
        !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase()) && !name.is_empty()
    })
}

fn is_ha_node(text: &str) -> bool {
    match text.split_once(':') {
        None => is_host_label(text),
        Some((node, priority)) => is_host_label(node) && is_number(priority),
    }
}

/// A growth or an absolute size in bytes: (relative, bytes).
pub(super) fn growth(text: &str) -> Option<(bool, u64)> {
    let (relative, rest) = match text.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, unit) = match rest.chars().last()? {
        'K' => (rest.strip_suffix('K')?, 1u64 << 10),
        'M' => (rest.strip_suffix('M')?, 1 << 20),
        'G' => (rest.strip_suffix('G')?, 1 << 30),
        'T' => (rest.strip_suffix('T')?, 1 << 40),
        _ => (rest, 1),
    };
    scaled(digits, unit).map(|bytes| (relative, bytes))
}

/// A decimal number without a sign times a unit, rounded down.
pub(super) fn scaled(digits: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    if !is_number(whole) || !is_number(fraction) || fraction.len() > 6 {
        return None;
    }
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = unit.checked_mul(fraction.parse().ok()?)? / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part)
}

const NET_KEYS: &[&str] = &[
    "bridge",
    "firewall",
    "gw",
    "gw6",
    "host-managed",
    "hwaddr",
    "ip",
    "ip6",
    "link_down",
    "mtu",
    "name",
    "rate",
    "tag",
    "trunks",
    "type",
];

fn unknown_key(name: &str, key: &str) -> String {
    format!(
        "format error\n{name}.{key}: property is not defined in schema and the schema does not allow \
         additional properties"
    )
}

fn net(name: &str, value: &str) -> Result<(), String> {
    let found = properties(value, "")?;
    if let Some(key) = found.keys().find(|key| !NET_KEYS.contains(&key.as_str())) {
        return Err(unknown_key(name, key));
    }
    if !found.contains_key("name") {
        return Err(format!(
            "format error\n{name}.name: property is missing and it is not optional"
        ));
    }
    let bad = |key: &str, what: &str| {
        format!("format error\n{name}.{key}: invalid format - value does not look like a valid {what}")
    };
    if let Some(ip) = found.get("ip")
        && !matches!(ip.as_str(), "dhcp" | "manual")
        && network(ip).is_none()
    {
        return Err(bad("ip", "ipv4 network configuration"));
    }
    if let Some(gateway) = found.get("gw")
        && gateway.parse::<Ipv4Addr>().is_err()
    {
        return Err(bad("gw", "ipv4 address"));
    }
    Ok(())
}

/// An IPv4 address with a prefix length of 8 to 32.
pub(super) fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse::<u8>().ok().filter(|p| (8..=32).contains(p))?;
    Some((address.parse().ok()?, prefix))
}

fn root_fs(name: &str, value: &str) -> Result<(), String> {
    const KEYS: &[&str] = &[
        "acl",
        "mountoptions",
        "quota",
        "replicate",
        "ro",
        "shared",
        "size",
        "volume",
    ];
    let found = properties(value, "volume")?;
    match found.keys().find(|key| !KEYS.contains(&key.as_str())) {
        Some(key) => Err(unknown_key(name, key)),
        None if !found.contains_key("volume") => Err(format!(
            "format error\n{name}.volume: property is missing and it is not optional"
        )),
        None => Ok(()),
    }
}

fn features(name: &str, value: &str) -> Result<(), String> {
    const KEYS: &[&str] = &["force_rw_sys", "fuse", "keyctl", "mknod", "mount", "nesting"];
    let found = properties(value, "")?;
    match found.keys().find(|key| !KEYS.contains(&key.as_str())) {
        Some(key) => Err(unknown_key(name, key)),
        None => Ok(()),
    }
}
