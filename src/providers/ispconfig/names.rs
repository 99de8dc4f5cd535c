//! Names as ISPConfig stores them: relative to the zone, or absolute with a final dot.

use crate::domain::Fqdn;
use crate::domain::dns::{RecordKind, RecordName, Target};
use crate::providers::error::{ErrorKind, ProviderError};

/// Characters of the name of an address record, without the zone.
const ADDRESS_NAME_MAX: usize = 64;

/// The zone's origin as ISPConfig shall have it: without the final dot it would be another zone.
pub(super) fn origin_of(name: &Fqdn) -> String {
    absolute(name)
}

/// With the final dot, without which a target would be relative.
pub(super) fn absolute(name: impl std::fmt::Display) -> String {
    format!("{name}.")
}

/// The form in which a record's name is sent: relative, empty for the zone's own (`@` is refused).
///
/// # Errors
/// `Invalid` for a name outside of the zone, which ISPConfig would store and no name server would load, and for
/// what the form of the type does not take.
pub(super) fn sent(name: &RecordName, kind: RecordKind, zone: &Fqdn) -> Result<String, ProviderError> {
    let invalid = |why: String| Err(ProviderError::new(ErrorKind::Invalid, format!("{name}: {why}")));
    if name.is_apex(zone) {
        return Ok(String::new());
    }
    let Some(relative) = name.relative_to(zone) else {
        return invalid(format!("the name does not belong to the zone {zone}"));
    };
    let address = matches!(kind, RecordKind::A | RecordKind::Aaaa);
    if (address || kind == RecordKind::Mx) && name.has_underscore() {
        return invalid(format!(
            "ISPConfig takes no underscore in the name of {kind} records"
        ));
    }
    if address && relative.len() > ADDRESS_NAME_MAX {
        return invalid(format!(
            "ISPConfig takes {ADDRESS_NAME_MAX} characters before the zone's name in {kind} records"
        ));
    }
    if kind == RecordKind::Ns && name.is_wildcard() {
        return invalid("ISPConfig takes no wildcard in the name of NS records".to_owned());
    }
    if let Some(label) = relative.split('.').find(|label| !survives(label)) {
        return invalid(format!(
            "ISPConfig would lose the label {label}, which is not valid as an internationalised one, and take the name \
             for the zone's own"
        ));
    }
    // The form of TXT takes a star only with a dot behind it.
    match kind == RecordKind::Txt && relative == "*" {
        true => Ok(absolute(name)),
        false => Ok(relative.to_owned()),
    }
}

/// Whether the panel's conversion of Unicode names leaves a label as it is. What it cannot convert becomes nothing,
/// and with it the whole name: hyphens in the third and fourth place, unless they mark an A-label that is one.
fn survives(label: &str) -> bool {
    let marked = label.get(2..4) == Some("--");
    // The URL parser knows IDNA, and the label alone is a host of its own.
    let converted = || {
        let url = reqwest::Url::parse(&format!("http://{label}/")).ok()?;
        url.host_str().map(|host| host == label)
    };
    !marked || (label.starts_with("xn--") && converted().unwrap_or_default())
}

/// A stored name as BIND reads it, in any case of letters; `None` for what is no name of a record.
pub(super) fn understood(stored: &str, zone: &Fqdn) -> Option<RecordName> {
    match stored.trim() {
        "" | "@" => Some(RecordName::from(zone)),
        whole if whole.ends_with('.') => whole.parse().ok(),
        relative => format!("{relative}.{zone}").parse().ok(),
    }
}

/// A stored target that must be a host.
pub(super) fn host(stored: &str, zone: &Fqdn) -> Option<Fqdn> {
    (!stored.trim().is_empty()).then(|| understood(stored, zone)?.as_host())?
}

/// A stored target that may be the root.
pub(super) fn target(stored: &str, zone: &Fqdn) -> Option<Target> {
    match stored.trim() {
        "." => Some(Target::Nowhere),
        other => host(other, zone).map(Target::Host),
    }
}

/// A target as it is sent.
pub(super) fn sent_target(target: &Target) -> String {
    match target {
        Target::Nowhere => ".".to_owned(),
        Target::Host(name) => absolute(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Fqdn {
        "example.com".parse().unwrap()
    }

    fn send(name: &str, kind: RecordKind) -> Result<String, ErrorKind> {
        sent(&name.parse().unwrap(), kind, &zone()).map_err(|error| error.kind())
    }

    #[test]
    fn names_are_sent_relative() {
        assert_eq!(send("shop.example.com", RecordKind::A).unwrap(), "shop");
        assert_eq!(send("example.com", RecordKind::Mx).unwrap(), "");
        assert_eq!(send("*.example.com", RecordKind::A).unwrap(), "*");
        assert_eq!(send("*.example.com", RecordKind::Txt).unwrap(), "*.example.com.");
        assert_eq!(send("*.sub.example.com", RecordKind::Txt).unwrap(), "*.sub");
        assert_eq!(
            send("_sip._tcp.example.com", RecordKind::Srv).unwrap(),
            "_sip._tcp"
        );
    }

    #[test]
    fn what_the_forms_refuse_is_not_sent() {
        let long = format!("{}.{}.example.com", "a".repeat(40), "b".repeat(24));
        for (name, kind) in [
            ("_x.example.com", RecordKind::A),
            ("_x.example.com", RecordKind::Aaaa),
            ("_x.example.com", RecordKind::Mx),
            ("*.example.com", RecordKind::Ns),
            ("shop.example.org", RecordKind::Cname),
            (long.as_str(), RecordKind::A),
            ("r3---sn.example.com", RecordKind::Cname),
            ("a.xn--99999999.example.com", RecordKind::A),
        ] {
            assert_eq!(send(name, kind), Err(ErrorKind::Invalid), "{name} {kind}");
        }
        assert!(send(&long, RecordKind::Cname).is_ok());
        assert_eq!(
            send("xn--mnchen-3ya.example.com", RecordKind::A).unwrap(),
            "xn--mnchen-3ya"
        );
    }

    #[test]
    fn stored_names_are_read_as_bind_does() {
        let read = |text: &str| understood(text, &zone()).map(|name| name.to_string());
        for (stored, name) in [
            ("", "example.com"),
            ("@", "example.com"),
            ("Shop", "shop.example.com"),
            ("shop.example.com.", "shop.example.com"),
            ("shop.example.com", "shop.example.com.example.com"),
            ("out.other.net.", "out.other.net"),
        ] {
            assert_eq!(read(stored).unwrap(), name, "{stored}");
        }
        assert_eq!(read("a..b"), None);
        assert_eq!(host("mail", &zone()).unwrap().as_str(), "mail.example.com");
        assert_eq!(target(".", &zone()), Some(Target::Nowhere));
        assert_eq!(target("", &zone()), None);
    }
}
