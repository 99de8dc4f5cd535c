//! Between Cloudflare's contents and ours: text for most types, `data` for CAA and SRV, quoted strings for TXT.

use serde_json::Value;

use super::wire::{self, Data};
use crate::domain::dns::Target;
use crate::providers::dns_host::RecordData;

/// Octets of one string of a TXT record (RFC 1035 3.3.14).
const STRING_MAX: usize = 255;

/// A record's content in the form in which it is sent.
pub(super) struct Content {
    pub kind: &'static str,
    pub text: Option<String>,
    pub data: Option<Data>,
    pub priority: Option<u16>,
    /// Whether Cloudflare's proxy takes this type.
    pub proxiable: bool,
}

/// What to send; `None` for what is never written.
pub(super) fn encode(data: &RecordData) -> Option<Content> {
    let kind = data.kind()?.as_str();
    let text = |text: String| Content {
        kind,
        text: Some(text),
        data: None,
        priority: None,
        proxiable: false,
    };
    let proxiable = |content: Content| Content {
        proxiable: true,
        ..content
    };
    let parts = |data: Data| Content {
        kind,
        text: None,
        data: Some(data),
        priority: None,
        proxiable: false,
    };
    Some(match data {
        RecordData::A(address) => proxiable(text(address.to_string())),
        RecordData::Aaaa(address) => proxiable(text(address.to_string())),
        RecordData::Cname(target) => proxiable(text(target.to_string())),
        RecordData::Ns(host) => text(host.to_string()),
        RecordData::Txt(whole) => text(quoted(whole)),
        RecordData::Mx { preference, exchange } => Content {
            priority: Some(*preference),
            ..text(exchange.to_string())
        },
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => parts(Data::Srv {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: target.to_string(),
        }),
        RecordData::Caa { flags, tag, value } => parts(Data::Caa {
            flags: *flags,
            tag: tag.clone(),
            value: value.clone(),
        }),
        RecordData::Other(..) => return None,
    })
}

/// What a record says; what is not understood comes as [`RecordData::Other`].
pub(super) fn decode(record: &wire::Record) -> RecordData {
    let content = record.content.as_deref().unwrap_or_default();
    let known = match record.kind.as_str() {
        "A" => content.parse().ok().map(RecordData::A),
        "AAAA" => content.parse().ok().map(RecordData::Aaaa),
        "CNAME" => content.parse().ok().map(RecordData::Cname),
        "NS" => content.parse().ok().map(RecordData::Ns),
        "TXT" => joined(content).map(RecordData::Txt),
        "MX" => mx(record, content),
        "SRV" => srv(record, content),
        "CAA" => caa(record, content),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let text = match record.priority {
            Some(priority) => format!("{priority} {content}"),
            None => content.to_owned(),
        };
        RecordData::Other(record.kind.clone(), text)
    })
}

fn mx(record: &wire::Record, content: &str) -> Option<RecordData> {
    Some(RecordData::Mx {
        preference: u16::try_from(record.priority?).ok()?,
        exchange: target(content)?,
    })
}

/// From `data`, or from `weight port target` (with the priority before it, or in a field of its own).
fn srv(record: &wire::Record, content: &str) -> Option<RecordData> {
    if let Some(data) = &record.data {
        return Some(RecordData::Srv {
            priority: number(data, "priority")?,
            weight: number(data, "weight")?,
            port: number(data, "port")?,
            target: target(data.get("target")?.as_str()?)?,
        });
    }
    let parts: Vec<&str> = content.split_ascii_whitespace().collect();
    let (priority, rest) = match parts.as_slice() {
        [priority, rest @ ..] if rest.len() == 3 => (priority.parse().ok()?, rest),
        rest => (u16::try_from(record.priority?).ok()?, rest),
    };
    let [weight, port, host] = rest else { return None };
    Some(RecordData::Srv {
        priority,
        weight: weight.parse().ok()?,
        port: port.parse().ok()?,
        target: target(host)?,
    })
}

/// From `data`, or from `flags tag "value"`.
fn caa(record: &wire::Record, content: &str) -> Option<RecordData> {
    let (flags, tag, value) = match &record.data {
        Some(data) => {
            let value = data.get("value")?.as_str()?.to_owned();
            (number(data, "flags")?, data.get("tag")?.as_str()?, value)
        }
        None => {
            let (flags, rest) = content.split_once(' ')?;
            let (tag, value) = rest.trim_start().split_once(' ')?;
            (flags.parse().ok()?, tag, joined(value.trim())?)
        }
    };
    Some(RecordData::Caa {
        flags: u8::try_from(flags).ok()?,
        tag: tag.to_ascii_lowercase(),
        value,
    })
}

/// A whole number, also as text or as a fraction without one: the contract says `number`.
fn number(data: &Value, key: &str) -> Option<u16> {
    match data.get(key)? {
        Value::Number(number) => match number.as_u64() {
            Some(whole) => u16::try_from(whole).ok(),
            None => format!("{:.0}", number.as_f64()?).parse().ok(),
        },
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn target(text: &str) -> Option<Target> {
    match text {
        "." => Some(Target::Nowhere),
        name => name.parse().ok().map(Target::Host),
    }
}

/// A text as strings of at most 255 octets in quotes (RFC 1035 5.1). What is not printable ASCII goes as the
/// octet's decimal number, so that a cut in the middle of a character does no harm.
fn quoted(text: &str) -> String {
    let strings = text.as_bytes().chunks(STRING_MAX).map(|octets| {
        let mut string = String::from("\"");
        for octet in octets {
            match octet {
                b'"' | b'\\' => string.extend(['\\', char::from(*octet)]),
                b' '..=b'~' => string.push(char::from(*octet)),
                _ => string.push_str(&format!("\\{octet:03}")),
            }
        }
        string.push('"');
        string
    });
    let strings: Vec<String> = strings.collect();
    if strings.is_empty() {
        return "\"\"".to_owned();
    }
    strings.join(" ")
}

/// The text that quoted strings make together; without a quote at its beginning it stands for itself, as
/// records do that were made by hand years ago. `None` when the quotes do not match or the octets are no text.
fn joined(content: &str) -> Option<String> {
    if !content.starts_with('"') {
        return Some(content.to_owned());
    }
    let mut octets = content.bytes();
    let mut text = Vec::new();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => string(&mut octets, &mut text)?,
            octet if octet.is_ascii_whitespace() => {}
            _ => return None,
        }
    }
    String::from_utf8(text).ok()
}

/// The rest of one string up to its closing quote.
fn string(octets: &mut impl Iterator<Item = u8>, text: &mut Vec<u8>) -> Option<()> {
    loop {
        match octets.next()? {
            b'"' => return Some(()),
            b'\\' => text.push(escaped(octets)?),
            octet => text.push(octet),
        }
    }
}

/// `\"`, `\\`, or `\` with the three decimal digits of an octet.
fn escaped(octets: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = octets.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, octets.next()?, octets.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn record(kind: &str, content: &str, priority: Option<u64>, data: Option<Value>) -> wire::Record {
        let record = json!({"id": "a", "name": "example.com", "type": kind, "content": content,
            "priority": priority, "data": data});
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn texts_are_cut_and_quoted_as_zone_files_have_them() {
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted("v=spf1 -all"), "\"v=spf1 -all\"");
        assert_eq!(quoted(r#"say "a\b""#), r#""say \"a\\b\"""#);
        assert_eq!(quoted("ü\n"), r#""\195\188\010""#);
        let long = "x".repeat(256);
        assert_eq!(quoted(&long), format!("\"{}\" \"x\"", "x".repeat(255)));
    }

    #[test]
    fn texts_are_read_in_every_form() {
        for (content, text) in [
            ("v=spf1 -all", "v=spf1 -all"),
            ("\"v=spf1 -all\"", "v=spf1 -all"),
            ("\"one \" \"two\"", "one two"),
            ("\"one \"\"two\"", "one two"),
            ("\"ü\"", "ü"),
            (r#""a\;b""#, "a;b"),
            ("", ""),
        ] {
            assert_eq!(joined(content).as_deref(), Some(text), "{content}");
        }
        for bad in ["\"open", "\"a\" b", r#""\9"#, r#""\999""#, r#""\255""#] {
            assert_eq!(joined(bad), None, "{bad}");
        }
    }

    #[test]
    fn structured_types_are_read_from_data_or_text() {
        let srv = decode(&record(
            "SRV",
            "",
            None,
            Some(json!({"priority": 1, "weight": "2", "port": 443.0, "target": "A.example.net."})),
        ));
        assert_eq!(srv.to_string(), "SRV 1 2 443 a.example.net");
        assert_eq!(decode(&record("SRV", "2 443 a.example.net", Some(1), None)), srv);
        assert_eq!(decode(&record("SRV", "1 2 443 a.example.net", None, None)), srv);
        let data = json!({"flags": 128, "tag": "ISSUE", "value": "ca.example"});
        let caa = decode(&record("CAA", "", None, Some(data)));
        assert_eq!(caa.to_string(), "CAA 128 issue \"ca.example\"");
        assert_eq!(
            decode(&record("CAA", "128 issue \"ca.example\"", None, None)),
            caa
        );
        let mx = decode(&record("MX", ".", Some(0), None));
        assert_eq!(mx.to_string(), "MX 0 .");
    }

    #[test]
    fn what_is_not_understood_stays_as_it_is() {
        for (kind, content) in [
            ("SRV", "443 a.example.net"),
            ("MX", "mx.example.net"),
            ("CAA", "0 issue"),
            ("TXT", "\"open"),
            ("NS", "_ns.example.net"),
        ] {
            let data = decode(&record(kind, content, None, None));
            assert_eq!(data, RecordData::Other(kind.to_owned(), content.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in any::<String>(), times in 1_usize..40) {
            let text = text.repeat(times);
            let sent = quoted(&text);
            prop_assert!(sent.is_ascii());
            prop_assert_eq!(joined(&sent), Some(text));
        }
    }
}
