//! From a record back to what a user types for it: the inverse of the rules.

use std::net::Ipv4Addr;

use super::content::PROXY_ALIAS;
use super::data::{RecordData, RecordKind, RecordSpec};
use super::rules::TypedRecord;
use crate::domain::Fqdn;

/// A record as a user would type it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRecord {
    /// `@`, a name below the zone, or a whole name with a final dot where a shorter one would be misread.
    pub name: String,
    /// Type.
    pub kind: RecordKind,
    /// Content, without the priority.
    pub content: String,
    /// Time to live in seconds.
    pub ttl: u32,
    /// Preference of MX, priority of SRV.
    pub priority: Option<u16>,
}

impl WrittenRecord {
    /// The record for the rules.
    pub fn typed(&self) -> TypedRecord<'_> {
        TypedRecord {
            name: &self.name,
            kind: self.kind,
            content: &self.content,
            ttl: self.ttl,
            priority: self.priority,
        }
    }
}

/// How a user would type a record of this zone, `None` for types that are never written. `proxy` is the address that
/// `PROXYSRV` stands for; `ttl` is written where the record has none of its own.
pub fn written(zone: &Fqdn, spec: &RecordSpec, proxy: Option<Ipv4Addr>, ttl: u32) -> Option<WrittenRecord> {
    let kind = spec.data.kind()?;
    let (content, priority) = match &spec.data {
        RecordData::A(address) if Some(*address) == proxy => (PROXY_ALIAS.to_owned(), None),
        RecordData::A(address) => (address.to_string(), None),
        RecordData::Aaaa(address) => (address.to_string(), None),
        RecordData::Caa { flags, tag, value } => (format!("{flags} {tag} {}", caa_value(value)), None),
        RecordData::Cname(target) => (target.to_string(), None),
        RecordData::Mx { preference, exchange } => (exchange.to_string(), Some(*preference)),
        RecordData::Ns(host) => (host.to_string(), None),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => (format!("{weight} {port} {target}"), Some(*priority)),
        RecordData::Txt(text) => (text_content(text), None),
        RecordData::Other(..) => return None,
    };
    Some(WrittenRecord {
        name: name(zone, spec),
        kind,
        content,
        ttl: spec.ttl.unwrap_or(ttl),
        priority,
    })
}

fn name(zone: &Fqdn, spec: &RecordSpec) -> String {
    match spec.name.relative_to(zone) {
        None => "@".to_owned(),
        // A name that ends with the zone's is taken for a whole one.
        Some(relative) if relative == zone.as_str() || relative.ends_with(&format!(".{zone}")) => {
            format!("{}.", spec.name)
        }
        Some(relative) => relative.to_owned(),
    }
}

/// Quotes only where they help the reader.
fn caa_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '@' | '/');
    match value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("\"{value}\""),
    }
}

/// The text itself, or in quotes where it would be taken for something else.
fn text_content(text: &str) -> String {
    if text.starts_with('"') || text.eq_ignore_ascii_case(PROXY_ALIAS) {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{escaped}\"");
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, data: RecordData) -> WrittenRecord {
        let zone = "example.com".parse().unwrap();
        let spec = RecordSpec {
            name: name.parse().unwrap(),
            data,
            ttl: Some(300),
            proxied: false,
        };
        written(&zone, &spec, Some([192, 0, 2, 80].into()), 3600).unwrap()
    }

    #[test]
    fn records_are_written_as_people_do() {
        let www = of("www.example.com", RecordData::A([192, 0, 2, 80].into()));
        assert_eq!(
            (www.name.as_str(), www.content.as_str(), www.ttl),
            ("www", "PROXYSRV", 300)
        );
        let apex = of("example.com", RecordData::Txt("v=spf1 \"x\" -all".to_owned()));
        assert_eq!(
            (apex.name.as_str(), apex.content.as_str()),
            ("@", "v=spf1 \"x\" -all")
        );
        assert_eq!(
            of("a.example.com", RecordData::Txt("proxysrv".to_owned())).content,
            "\"proxysrv\""
        );
        let twice = of("example.com.example.com", RecordData::A([192, 0, 2, 1].into()));
        assert_eq!(twice.name, "example.com.example.com.");
    }
}
