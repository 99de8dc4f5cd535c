//! Public suffixes: which names are no customer's zone, and which part of a name is registered.
//!
//! The list (publicsuffix.org, Mozilla) is compiled in, so a new top-level domain is unknown here until the
//! next release. That is why an unknown one is a warning and not a refusal.

use std::fmt;

use psl::{List, Psl, Type};

use crate::domain::{Fqdn, NameError};

/// Why a name cannot be a customer's zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneNameError {
    /// One label: a top-level domain or a name without any.
    #[error(
        "\"{0}\" has a single label; a zone is a registered domain such as example.com or a name below one"
    )]
    SingleLabel(String),
    /// A registry's own suffix.
    #[error("{0} is a public suffix, below which others register their domains; name a domain below it")]
    PublicSuffix(Fqdn),
    /// Not a DNS name at all.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// What a person should know about a zone's name that may be right all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneNameWarning {
    /// No registry of the list has this top-level domain: a typing error, an internal name, or newer than us.
    UnknownSuffix(String),
    /// A company lets others have names below it (`github.io`): fine for that company, for nobody else.
    PrivateSuffix(String),
}

impl fmt::Display for ZoneNameWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSuffix(suffix) => write!(
                f,
                "no registry is known for .{suffix}; check the spelling, for the Internet finds the zone only \
                 below a registered top-level domain"
            ),
            Self::PrivateSuffix(suffix) => write!(
                f,
                "{suffix} belongs to a company that gives out names below it; check that it is yours"
            ),
        }
    }
}

/// Whether a name can be a customer's zone, and what is odd about it.
///
/// # Errors
/// When it is a registry's suffix, such as `co.uk`.
pub fn vet_zone_name(zone: &Fqdn) -> Result<Option<ZoneNameWarning>, ZoneNameError> {
    let Some(suffix) = List.suffix(zone.as_str().as_bytes()) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(suffix.as_bytes()).into_owned();
    if !suffix.is_known() {
        return Ok(Some(ZoneNameWarning::UnknownSuffix(text)));
    }
    match (text == zone.as_str(), suffix.typ()) {
        (true, Some(Type::Private)) => Ok(Some(ZoneNameWarning::PrivateSuffix(text))),
        (true, _) => Err(ZoneNameError::PublicSuffix(zone.clone())),
        (false, _) => Ok(None),
    }
}

/// The same for a text that is not parsed yet, so that `localhost` and `com` get a word of their own.
///
/// # Errors
/// When it is a single label, not a DNS name, or a registry's suffix.
pub fn vet_zone_text(text: &str) -> Result<(Fqdn, Option<ZoneNameWarning>), ZoneNameError> {
    let bare = text.strip_suffix('.').unwrap_or(text);
    if !bare.is_empty() && !bare.contains('.') {
        return Err(ZoneNameError::SingleLabel(bare.to_owned()));
    }
    let zone: Fqdn = text.parse()?;
    let warning = vet_zone_name(&zone)?;
    Ok((zone, warning))
}

/// The domain that somebody registered: the public suffix and one label. `None` for a public suffix itself.
/// Below an unknown suffix the top-level domain is taken for one, as the list prescribes.
pub fn registrable(zone: &Fqdn) -> Option<Fqdn> {
    let domain = List.domain(zone.as_str().as_bytes())?;
    std::str::from_utf8(domain.as_bytes()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Fqdn {
        text.parse().unwrap()
    }

    #[test]
    fn registries_suffixes_are_refused() {
        // The last two: a rule with a wildcard, and one in Chinese.
        for suffix in ["co.uk", "CO.UK.", "com.au", "foo.ck", "xn--55qx5d.cn"] {
            let refused = vet_zone_text(suffix);
            assert!(
                matches!(refused, Err(ZoneNameError::PublicSuffix(_))),
                "{suffix}: {refused:?}"
            );
        }
        for single in ["com", "localhost", "com."] {
            let refused = vet_zone_text(single);
            assert!(
                matches!(refused, Err(ZoneNameError::SingleLabel(_))),
                "{single}: {refused:?}"
            );
        }
        assert!(matches!(vet_zone_text("a..b"), Err(ZoneNameError::Name(_))));
        assert!(matches!(vet_zone_text(""), Err(ZoneNameError::Name(_))));
    }

    #[test]
    fn what_may_be_right_is_only_warned_about() {
        for plain in [
            "example.com",
            "shop.example.co.uk",
            "www.ck",
            "xn--e1afmkfd.xn--p1ai",
        ] {
            assert_eq!(vet_zone_name(&zone(plain)), Ok(None), "{plain}");
        }
        let unknown = vet_zone_name(&zone("shop.internal")).unwrap().unwrap();
        assert_eq!(unknown, ZoneNameWarning::UnknownSuffix("internal".to_owned()));
        assert!(unknown.to_string().contains(".internal"));
        let private = vet_zone_name(&zone("github.io")).unwrap();
        assert_eq!(
            private,
            Some(ZoneNameWarning::PrivateSuffix("github.io".to_owned()))
        );
    }

    #[test]
    fn the_registered_part_is_found() {
        let of = |text: &str| registrable(&zone(text)).map(|name| name.to_string());
        assert_eq!(of("a.b.example.co.uk").as_deref(), Some("example.co.uk"));
        assert_eq!(of("example.com").as_deref(), Some("example.com"));
        assert_eq!(of("a.b.internal").as_deref(), Some("b.internal"));
        assert_eq!(of("co.uk"), None);
    }
}
