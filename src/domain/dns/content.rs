//! Content of every type but TXT, as a user types it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::name::{Fqdn, LABEL_MAX, NAME_MAX};
use super::data::{RecordData, RecordKind, Target};
use super::name::RecordName;
use super::owner_name::Complaint;
use super::quote::quoted;
use super::refusal::RecordRule;
use super::rules::{TypedRecord, ZoneSetting};
use super::text;
use super::zone_name::{a_label, plain_dots};

/// What stands for the address of the Provider's proxy, in any case.
pub(super) const PROXY_ALIAS: &str = "PROXYSRV";
/// Preference of an MX record that has none.
const MX_PREFERENCE: u16 = 10;
/// Flags of a CAA record: none, or "critical" (RFC 8659 4.1).
const CAA_FLAGS: [u8; 2] = [0, 128];
/// Tags that RFC 8659 defines: those that every back-end takes.
const CAA_TAGS: [&str; 3] = ["issue", "issuewild", "iodef"];
/// Octets of the value of a CAA record: what fits into one string of a zone file.
const CAA_VALUE_MAX: usize = 255;

fn refuse<T>(rule: RecordRule, what: impl Into<String>) -> Result<T, Complaint> {
    Err((rule, what.into()))
}

/// What the record says, in canonical form.
pub(super) fn content(setting: &ZoneSetting<'_>, typed: &TypedRecord<'_>) -> Result<RecordData, Complaint> {
    let text = typed.content;
    if text.eq_ignore_ascii_case(PROXY_ALIAS) {
        return proxy(setting, typed.kind);
    }
    match typed.kind {
        RecordKind::A => ipv4(text),
        RecordKind::Aaaa => ipv6(text),
        RecordKind::Caa => caa(text),
        RecordKind::Cname => cname(setting.zone, text),
        RecordKind::Mx => mx(setting.zone, text, typed.priority),
        RecordKind::Ns => match target(setting.zone, text)? {
            Target::Host(host) => Ok(RecordData::Ns(host)),
            Target::Nowhere => nowhere(),
        },
        RecordKind::Srv => srv(setting.zone, text, typed.priority),
        RecordKind::Txt => Ok(RecordData::Txt(text::text(text)?)),
    }
}

fn proxy(setting: &ZoneSetting<'_>, kind: RecordKind) -> Result<RecordData, Complaint> {
    match (kind, setting.proxy) {
        (RecordKind::A, Some(address)) => Ok(RecordData::A(address)),
        (RecordKind::A, None) => refuse(
            RecordRule::ProxyAddressUnset,
            "PROXYSRV stands for the proxy's address, and the Provider names no proxy; set zones.proxy of the Provider, or write an address",
        ),
        (RecordKind::Txt, _) => refuse(
            RecordRule::ProxyAliasMisplaced,
            "PROXYSRV stands for the proxy's address in A records only; put the word in quotes when it is meant as text",
        ),
        _ => refuse(
            RecordRule::ProxyAliasMisplaced,
            "PROXYSRV stands for the proxy's address in A records only; make it an A record, or write the content itself",
        ),
    }
}

fn ipv4(text: &str) -> Result<RecordData, Complaint> {
    match text.parse::<Ipv4Addr>() {
        Ok(address) => Ok(RecordData::A(address)),
        Err(_) if text.parse::<Ipv6Addr>().is_ok() => refuse(
            RecordRule::Ipv4Invalid,
            format!("{} is an IPv6 address; make it an AAAA record", quoted(text)),
        ),
        Err(_) => refuse(
            RecordRule::Ipv4Invalid,
            format!(
                "{} is not an IPv4 address; write one such as 192.0.2.10, or PROXYSRV for the proxy's",
                quoted(text)
            ),
        ),
    }
}

fn ipv6(text: &str) -> Result<RecordData, Complaint> {
    match text.parse::<Ipv6Addr>() {
        Ok(address) if address.to_ipv4_mapped().is_some() => refuse(
            RecordRule::Ipv6Invalid,
            format!(
                "{} is an IPv4 address in IPv6 form; write an A record",
                quoted(text)
            ),
        ),
        Ok(address) => Ok(RecordData::Aaaa(address)),
        Err(_) if text.parse::<Ipv4Addr>().is_ok() => refuse(
            RecordRule::Ipv6Invalid,
            format!("{} is an IPv4 address; make it an A record", quoted(text)),
        ),
        Err(_) => refuse(
            RecordRule::Ipv6Invalid,
            format!(
                "{} is not an IPv6 address; write one such as 2001:db8::10",
                quoted(text)
            ),
        ),
    }
}

fn nowhere<T>() -> Result<T, Complaint> {
    refuse(
        RecordRule::TargetNowhere,
        "a single dot means \"nowhere\" in MX and SRV records only; name a host",
    )
}

/// Labels of a target in canonical form; `@` is the zone, a single dot is no label.
fn target_name(zone: &Fqdn, text: &str, underscores: bool) -> Result<String, Complaint> {
    if text == "@" {
        return Ok(zone.to_string());
    }
    let address = text.strip_suffix('.').unwrap_or(text);
    let address = address.strip_prefix('[').unwrap_or(address);
    if address
        .strip_suffix(']')
        .unwrap_or(address)
        .parse::<IpAddr>()
        .is_ok()
    {
        return refuse(
            RecordRule::TargetAddress,
            format!(
                "{} is an address, and a name belongs there; name a host that has an A or AAAA record",
                quoted(text)
            ),
        );
    }
    let dotted = plain_dots(text);
    let whole = dotted.strip_suffix('.').unwrap_or(&dotted);
    if !whole.contains('.') && !whole.is_empty() {
        let example = if whole.len() <= LABEL_MAX && a_label(whole).is_some() {
            format!("{whole}.{zone}")
        } else {
            format!("mail.{zone}")
        };
        return refuse(
            RecordRule::TargetSingleLabel,
            format!(
                "{} is one label, and targets are whole names; write {}",
                quoted(text),
                quoted(&example)
            ),
        );
    }
    let mut labels = Vec::new();
    for part in whole.split('.') {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let edges = part.starts_with('-') || part.ends_with('-');
        let label = if underscores && part.contains('_') {
            (!edges && part.chars().all(plain)).then(|| part.to_ascii_lowercase())
        } else {
            a_label(part)
        };
        labels.push(label.ok_or_else(|| {
            let what = format!(
                "{} is not a host name; use letters, digits, inner hyphens and single dots",
                quoted(text)
            );
            (RecordRule::TargetInvalid, what)
        })?);
    }
    let whole = labels.join(".");
    if whole.len() > NAME_MAX || labels.iter().any(|label| label.len() > LABEL_MAX) {
        return refuse(
            RecordRule::TargetTooLong,
            format!(
                "{} is too long: labels have at most 63 characters and names at most 253; use a shorter name",
                quoted(text)
            ),
        );
    }
    Ok(whole)
}

fn invalid(text: &str) -> Complaint {
    let what = format!(
        "{} is not a host name; use letters, digits, inner hyphens and single dots",
        quoted(text)
    );
    (RecordRule::TargetInvalid, what)
}

fn target(zone: &Fqdn, text: &str) -> Result<Target, Complaint> {
    if text == "." {
        return Ok(Target::Nowhere);
    }
    let name = target_name(zone, text, false)?;
    name.parse().map(Target::Host).map_err(|_| invalid(text))
}

fn cname(zone: &Fqdn, text: &str) -> Result<RecordData, Complaint> {
    if text == "." {
        return nowhere();
    }
    let name: RecordName = target_name(zone, text, true)?
        .parse()
        .map_err(|_| invalid(text))?;
    Ok(RecordData::Cname(name))
}

fn mx(zone: &Fqdn, text: &str, priority: Option<u16>) -> Result<RecordData, Complaint> {
    let exchange = target(zone, text)?;
    let preference = match (&exchange, priority) {
        (Target::Nowhere, None | Some(0)) => 0,
        (Target::Nowhere, Some(_)) => {
            return refuse(
                RecordRule::NullMxPreference,
                "a single dot says that the name takes no mail, and its priority is 0; set priority to 0 or leave it out",
            );
        }
        (Target::Host(_), priority) => priority.unwrap_or(MX_PREFERENCE),
    };
    Ok(RecordData::Mx { preference, exchange })
}

fn srv(zone: &Fqdn, text: &str, priority: Option<u16>) -> Result<RecordData, Complaint> {
    let number = |part: &str| {
        part.bytes()
            .all(|c| c.is_ascii_digit())
            .then(|| part.parse::<u16>().ok())?
    };
    let parts: Vec<&str> = text.split(' ').filter(|part| !part.is_empty()).collect();
    if let [weight, port, host] = parts.as_slice()
        && let (Some(weight), Some(port)) = (number(weight), number(port))
    {
        return Ok(RecordData::Srv {
            priority: priority.unwrap_or_default(),
            weight,
            port,
            target: target(zone, host)?,
        });
    }
    refuse(
        RecordRule::SrvInvalid,
        format!(
            "{} is not weight, port and target, such as 5 5060 sip.example.com; the priority has its own field",
            quoted(text)
        ),
    )
}

fn caa(text: &str) -> Result<RecordData, Complaint> {
    let mut parts = text.splitn(3, ' ');
    let flags = parts.next().and_then(|flags| flags.parse::<u8>().ok());
    let (Some(flags), Some(tag), Some(value)) = (flags, parts.next(), parts.next()) else {
        return refuse(
            RecordRule::CaaInvalid,
            format!(
                "{} is not flags, tag and value, such as 0 issue \"letsencrypt.org\"; write the three",
                quoted(text)
            ),
        );
    };
    if !CAA_FLAGS.contains(&flags) {
        return refuse(
            RecordRule::CaaInvalid,
            format!("the flags are 0, or 128 for critical, and not {flags}; write one of them"),
        );
    }
    let tag = tag.to_ascii_lowercase();
    if !CAA_TAGS.contains(&tag.as_str()) {
        return refuse(
            RecordRule::CaaTag,
            format!(
                "the tag is issue, issuewild or iodef, and not {}; write one of them",
                quoted(&tag)
            ),
        );
    }
    let value = value.trim_matches(' ');
    let value = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    };
    let Some(value) = value.and_then(|value| caa_value(&tag, value)) else {
        let what = if tag == "iodef" {
            "the value of iodef is an address for reports: mailto:, http:// or https://, at most 255 characters; correct it"
        } else {
            "the value is the name of an authority such as letsencrypt.org, or ; for none, perhaps with parameters name=value behind semicolons, at most 255 characters; correct it"
        };
        return refuse(RecordRule::CaaValue, what);
    };
    Ok(RecordData::Caa { flags, tag, value })
}

/// The value in canonical form; `None` when the tag does not allow it.
fn caa_value(tag: &str, value: &str) -> Option<String> {
    let value = value.trim_matches(' ');
    let printable = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
    if value.is_empty() || value.len() > CAA_VALUE_MAX || !value.chars().all(printable) {
        return None;
    }
    if tag == "iodef" {
        let rest = ["mailto:", "http://", "https://"]
            .iter()
            .find_map(|scheme| value.strip_prefix(scheme))?;
        return (!rest.is_empty() && !rest.contains(' ')).then(|| value.to_owned());
    }
    let (issuer, parameters) = match value.split_once(';') {
        Some((issuer, parameters)) => (issuer.trim_matches(' '), Some(parameters)),
        None => (value, None),
    };
    let issuer = issuer.to_ascii_lowercase();
    if !issuer.is_empty() && issuer.parse::<Fqdn>().ok()?.as_str() != issuer {
        return None;
    }
    let Some(parameters) = parameters else {
        return Some(issuer);
    };
    let parameters = parameters.trim_matches(' ');
    if parameters.is_empty() {
        return Some(format!("{issuer};"));
    }
    let whole = parameters.split(';').all(|parameter| {
        let (name, value) = parameter.trim_matches(' ').split_once('=').unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !name.is_empty() && name.chars().all(plain) && !value.contains(' ')
    });
    whole.then(|| format!("{issuer}; {parameters}"))
}
