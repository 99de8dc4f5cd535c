//! Between what records say and the columns in which ISPConfig keeps it.

use super::names::{absolute, host, sent_target, target, understood};
use super::text;
use super::wire::RecordRow;
use crate::domain::Fqdn;
use crate::domain::dns::{RecordData, RecordKind};
use crate::providers::error::{ErrorKind, ProviderError};

/// A record's content in columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    /// Type.
    pub kind: RecordKind,
    /// `data`.
    pub data: String,
    /// `aux`: the preference of MX, the priority of SRV.
    pub aux: u16,
}

/// The columns for a content.
///
/// # Errors
/// `Invalid` for what is never written, and for texts that cannot be stored.
pub(super) fn columns(name: impl std::fmt::Display, data: &RecordData) -> Result<Columns, ProviderError> {
    let invalid =
        |why: &dyn std::fmt::Display| ProviderError::new(ErrorKind::Invalid, format!("{name}: {why}"));
    let Some(kind) = data.kind() else {
        let why = format!("{} records are read but never written", data.type_name());
        return Err(invalid(&why));
    };
    let (text, aux) = match data {
        RecordData::A(address) => (address.to_string(), 0),
        RecordData::Aaaa(address) => (address.to_string(), 0),
        RecordData::Caa { flags, tag, value } => {
            if !value.chars().all(|c| c.is_ascii() && !c.is_ascii_control()) {
                return Err(invalid(
                    &"the value of a CAA record is plain ASCII (RFC 8659 4.1)",
                ));
            }
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            (format!("{flags} {tag} \"{value}\""), 0)
        }
        RecordData::Cname(alias) => (absolute(alias), 0),
        RecordData::Mx { preference, exchange } => (sent_target(exchange), *preference),
        RecordData::Ns(server) => (absolute(server), 0),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => (format!("{weight} {port} {}", sent_target(target)), *priority),
        RecordData::Txt(text) => (text::stored(text).map_err(|error| invalid(&error))?, 0),
        RecordData::Other(..) => return Err(invalid(&"such records are never written")),
    };
    Ok(Columns {
        kind,
        data: text,
        aux,
    })
}

/// What the name servers answer for a stored record. What they do not get, or cannot load, is kept as it is.
pub(super) fn answered(row: &RecordRow, zone: &Fqdn) -> RecordData {
    let known = match row.is_active() {
        true => understood_data(row, zone),
        false => None,
    };
    known.unwrap_or_else(|| {
        let mut text = row.data.clone();
        if row.aux > 0 {
            text = format!("{} {text}", row.aux);
        }
        if !row.is_active() {
            text.push_str(" (inactive)");
        }
        RecordData::Other(row.kind.to_ascii_uppercase(), text)
    })
}

fn understood_data(row: &RecordRow, zone: &Fqdn) -> Option<RecordData> {
    let data = row.data.trim();
    let aux = u16::try_from(row.aux).ok();
    Some(match row.kind.to_ascii_uppercase().as_str() {
        "A" => RecordData::A(data.parse().ok()?),
        "AAAA" => RecordData::Aaaa(data.parse().ok()?),
        "CAA" => caa(data)?,
        "CNAME" if !data.is_empty() => RecordData::Cname(understood(data, zone)?),
        "MX" => RecordData::Mx {
            preference: aux?,
            exchange: target(data, zone)?,
        },
        "NS" => RecordData::Ns(host(data, zone)?),
        "SRV" => {
            let mut parts = data.split_ascii_whitespace();
            let srv = RecordData::Srv {
                priority: aux?,
                weight: parts.next()?.parse().ok()?,
                port: parts.next()?.parse().ok()?,
                target: target(parts.next()?, zone)?,
            };
            match parts.next() {
                None => srv,
                Some(_) => return None,
            }
        }
        "TXT" => RecordData::Txt(text::answered(&row.data)?),
        _ => return None,
    })
}

fn caa(data: &str) -> Option<RecordData> {
    let mut parts = text::strings(data.as_bytes())?.into_iter();
    let mut next = || String::from_utf8(parts.next()?).ok();
    let (flags, tag, value) = (next()?, next()?, next()?);
    match parts.next() {
        Some(_) => None,
        None => Some(RecordData::Caa {
            flags: flags.parse().ok()?,
            tag: tag.to_ascii_lowercase(),
            value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dns::Target;

    fn zone() -> Fqdn {
        "example.com".parse().unwrap()
    }

    fn row(kind: &str, data: &str, aux: u64) -> RecordRow {
        RecordRow {
            id: 1,
            zone: 1,
            name: String::new(),
            kind: kind.to_owned(),
            data: data.to_owned(),
            aux,
            ttl: 3600,
            active: "Y".to_owned(),
        }
    }

    #[test]
    fn what_is_sent_reads_back_the_same() {
        let host = || Target::Host("mail.example.net".parse().unwrap());
        for data in [
            RecordData::A("192.0.2.1".parse().unwrap()),
            RecordData::Aaaa("2001:db8::1".parse().unwrap()),
            RecordData::Caa {
                flags: 128,
                tag: "issue".to_owned(),
                value: r#"ca.example; a="b" \"#.to_owned(),
            },
            RecordData::Cname("_x.example.net".parse().unwrap()),
            RecordData::Mx {
                preference: 10,
                exchange: host(),
            },
            RecordData::Mx {
                preference: 0,
                exchange: Target::Nowhere,
            },
            RecordData::Ns("ns1.example.net".parse().unwrap()),
            RecordData::Srv {
                priority: 5,
                weight: 10,
                port: 5060,
                target: host(),
            },
            RecordData::Srv {
                priority: 0,
                weight: 0,
                port: 0,
                target: Target::Nowhere,
            },
            RecordData::Txt("a \"b\" \\ ; c".to_owned()),
        ] {
            let columns = columns("x", &data).unwrap();
            let stored = row(columns.kind.as_str(), &columns.data, columns.aux.into());
            assert_eq!(answered(&stored, &zone()), data);
        }
    }

    #[test]
    fn what_others_stored_is_read_as_bind_does() {
        let read = |kind: &str, data: &str, aux| answered(&row(kind, data, aux), &zone()).to_string();
        assert_eq!(read("cname", "WWW", 0), "CNAME www.example.com");
        assert_eq!(
            read("CNAME", "other.example.net", 0),
            "CNAME other.example.net.example.com"
        );
        assert_eq!(read("MX", "mail.Example.NET.", 10), "MX 10 mail.example.net");
        assert_eq!(read("MX", "", 10), "MX 10 ");
        assert_eq!(read("MX", "mail", 70_000), "MX 70000 mail");
        assert_eq!(
            read("CAA", "0 Issue letsencrypt.org", 0),
            "CAA 0 issue \"letsencrypt.org\""
        );
        assert_eq!(read("SRV", "1 2 3 4", 0), "SRV 1 2 3 4");
        assert_eq!(read("A", "bogus", 0), "A bogus");
        assert_eq!(read("DS", "1 2 3", 0), "DS 1 2 3");
        let mut off = row("A", "192.0.2.1", 0);
        off.active = "N".to_owned();
        let data = answered(&off, &zone());
        assert_eq!(
            data,
            RecordData::Other("A".to_owned(), "192.0.2.1 (inactive)".to_owned())
        );
    }

    #[test]
    fn what_is_never_written_is_refused() {
        let caa = RecordData::Caa {
            flags: 0,
            tag: "issue".to_owned(),
            value: "\u{fc}".to_owned(),
        };
        let other = RecordData::Other("DS".to_owned(), "1".to_owned());
        for data in [caa, other, RecordData::Txt("a\nb".to_owned())] {
            assert_eq!(columns("x", &data).unwrap_err().kind(), ErrorKind::Invalid);
        }
    }
}
