//! Names of zones as people type them, and what the public suffix list knows about them.

use std::borrow::Cow;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use psl::Psl;

use super::super::name::{Fqdn, LABEL_MAX, NAME_MAX};
use super::quote::quoted;

/// Why a text is not the name of a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneNameError {
    /// One label alone, or none.
    #[error("{0} is not a zone: a customer's zone has at least two labels, such as example.com")]
    SingleLabel(String),
    /// Some label is not one of a host name.
    #[error(
        "{0} is not a zone: labels have letters, digits and inner hyphens only, and a single dot between them (RFC 1123 2.1, RFC 5891)"
    )]
    Invalid(String),
    /// A label or the whole is too long, in A-labels.
    #[error(
        "{0} is not a zone: as sent (Unicode letters become A-labels) a label has at most 63 characters and the name at most 253 (RFC 1035 2.3.4)"
    )]
    TooLong(String),
    /// Nobody's zone but a registry's.
    #[error(
        "{0} is not a zone that a customer can have: registries register names below it; use the whole registered name"
    )]
    PublicSuffix(String),
}

/// One dot for all that people type as dots between labels (RFC 3490 3.1).
pub(super) fn plain_dots(text: &str) -> Cow<'_, str> {
    const IDEOGRAPHIC: [char; 3] = ['\u{3002}', '\u{ff0e}', '\u{ff61}'];
    if text.contains(IDEOGRAPHIC) {
        return Cow::Owned(text.replace(IDEOGRAPHIC, "."));
    }
    Cow::Borrowed(text)
}

/// One label of a host name, Unicode or not, as an A-label. `None` when it is no label (RFC 5891, strict). Its
/// length is not looked at.
pub(super) fn a_label(label: &str) -> Option<String> {
    let ascii = Uts46::new()
        .to_ascii(
            label.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Ignore,
        )
        .ok()?;
    (!ascii.is_empty() && !ascii.contains('.')).then(|| ascii.into_owned())
}

/// The name of a customer's zone as it is typed, Unicode or not, with or without a final dot. Only the registries'
/// part of the public suffix list is refused: a name in its private part (`github.io`) is a zone of somebody.
///
/// # Errors
/// What is wrong and what to do, for a status.
pub fn zone_name(typed: &str) -> Result<Fqdn, ZoneNameError> {
    let text = plain_dots(typed);
    let text = text.strip_suffix('.').unwrap_or(&text);
    if !text.contains('.') {
        return Err(ZoneNameError::SingleLabel(quoted(typed)));
    }
    let labels: Option<Vec<String>> = text.split('.').map(a_label).collect();
    let labels = labels.ok_or_else(|| ZoneNameError::Invalid(quoted(typed)))?;
    let ascii = labels.join(".");
    if ascii.len() > NAME_MAX || labels.iter().any(|label| label.len() > LABEL_MAX) {
        return Err(ZoneNameError::TooLong(quoted(typed)));
    }
    let name: Fqdn = ascii.parse().map_err(|_| ZoneNameError::Invalid(quoted(typed)))?;
    if is_public_suffix(&name) {
        return Err(ZoneNameError::PublicSuffix(quoted(typed)));
    }
    Ok(name)
}

/// Whether registries register names directly below this one (`co.uk`). The private part of the public suffix list
/// does not count.
pub fn is_public_suffix(name: &Fqdn) -> bool {
    psl::List
        .suffix(name.as_str().as_bytes())
        .is_some_and(|suffix| suffix == name.as_str() && suffix.typ() == Some(psl::Type::Icann))
}

/// The registered name that this one is or stands below: the public suffix and one label more. `None` for a public
/// suffix. What an unknown suffix is, nobody knows: its last label is taken. A name in the list's private part is
/// its own, for its zone is delegated by the suffix above.
pub fn registrable(name: &Fqdn) -> Option<Fqdn> {
    let bytes = name.as_str().as_bytes();
    if let Some(domain) = psl::List.domain(bytes) {
        return std::str::from_utf8(domain.as_bytes()).ok()?.parse().ok();
    }
    (!is_public_suffix(name)).then(|| name.clone())
}

/// A warning when the public suffix list does not know where the name ends: a private zone, or a slip of the pen.
pub fn unknown_suffix(name: &Fqdn) -> Option<String> {
    let suffix = psl::List.suffix(name.as_str().as_bytes())?;
    (!suffix.is_known()).then(|| {
        let last = name.as_str().rsplit('.').next().unwrap_or_default();
        format!("\"{last}\" is no public suffix: nobody outside can find {name} unless it is a private zone; check the spelling")
    })
}

/// A name as people read it: A-labels in Unicode, the others as they are. For display only.
pub fn in_unicode(name: &str) -> String {
    let labels = name.split('.').map(|label| {
        let (unicode, outcome) =
            Uts46::new().to_unicode(label.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow);
        match outcome {
            Ok(()) => unicode.into_owned(),
            Err(_) => label.to_owned(),
        }
    });
    labels.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Fqdn {
        text.parse().unwrap()
    }

    #[test]
    fn zones_are_accepted_as_people_type_them() {
        for (typed, sent) in [
            ("Example.COM.", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("shop.example.co.uk", "shop.example.co.uk"),
            ("home.lan", "home.lan"),
            ("github.io", "github.io"),
            ("r3---a.example.com", "r3---a.example.com"),
        ] {
            assert_eq!(zone_name(typed).unwrap().as_str(), sent, "{typed}");
        }
    }

    #[test]
    fn what_is_nobodys_zone_is_refused() {
        let long = format!("{}.de", "ü".repeat(60));
        type Kind = fn(String) -> ZoneNameError;
        let cases: [(&str, Kind); 13] = [
            ("co.uk", ZoneNameError::PublicSuffix),
            ("example.ck", ZoneNameError::PublicSuffix),
            ("公司.cn", ZoneNameError::PublicSuffix),
            ("localhost", ZoneNameError::SingleLabel),
            ("com.", ZoneNameError::SingleLabel),
            ("", ZoneNameError::SingleLabel),
            ("a..b", ZoneNameError::Invalid),
            ("-bad.de", ZoneNameError::Invalid),
            ("_x.example.com", ZoneNameError::Invalid),
            ("*.example.com", ZoneNameError::Invalid),
            ("xn--a.de", ZoneNameError::Invalid),
            ("a b.de", ZoneNameError::Invalid),
            (&long, ZoneNameError::TooLong),
        ];
        for (typed, kind) in cases {
            assert_eq!(zone_name(typed), Err(kind(quoted(typed))), "{typed}");
        }
    }

    #[test]
    fn the_list_knows_where_names_end() {
        let of = |text: &str| registrable(&name(text)).map(|found| found.to_string());
        assert_eq!(of("a.b.example.co.uk").as_deref(), Some("example.co.uk"));
        assert_eq!(of("co.uk"), None);
        assert_eq!(of("shop.github.io").as_deref(), Some("shop.github.io"));
        assert_eq!(of("github.io").as_deref(), Some("github.io"));
        assert_eq!(of("a.home.lan").as_deref(), Some("home.lan"));
        assert!(unknown_suffix(&name("home.lan")).unwrap().contains("lan"));
        assert_eq!(unknown_suffix(&name("example.com")), None);
        assert!(is_public_suffix(&name("co.uk")) && !is_public_suffix(&name("example.co.uk")));
    }

    #[test]
    fn names_are_shown_in_unicode() {
        assert_eq!(
            in_unicode("_dmarc.xn--bcher-kva.example"),
            "_dmarc.bücher.example"
        );
        assert_eq!(in_unicode("*.xn--a.example"), "*.xn--a.example");
    }

    proptest! {
        #[test]
        fn every_text_is_judged_and_what_passes_is_canonical(text in "\\PC{0,40}") {
            for typed in [text.clone(), format!("{text}.example"), format!("{text}.{text}")] {
                if let Ok(zone) = zone_name(&typed) {
                    prop_assert_eq!(zone_name(zone.as_str()), Ok(zone.clone()));
                    prop_assert_eq!(zone_name(&in_unicode(zone.as_str())), Ok(zone));
                }
            }
        }
    }
}
