//! Names of records: host names, and those that host names may not be.

use std::fmt;
use std::str::FromStr;

use super::super::name::{Fqdn, LABEL_MAX, NAME_MAX, NameError};

/// A whole name that a record may have: as a host name, but labels may begin with an underscore (RFC 8552), and
/// the first may be `*` alone (RFC 4592). Lower-case ASCII (A-labels), without the final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordName(String);

impl RecordName {
    /// The name's text, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a host name; `None` for one with a wildcard or an underscore.
    pub fn as_host(&self) -> Option<Fqdn> {
        self.0.parse().ok()
    }

    /// The first label is `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Some label has an underscore.
    pub fn has_underscore(&self) -> bool {
        self.0.contains('_')
    }

    /// Whether this name is the zone's own or stands below it.
    pub fn is_within(&self, zone: &Fqdn) -> bool {
        self.is_apex(zone) || self.relative_to(zone).is_some()
    }

    /// Whether this is the zone's own name.
    pub fn is_apex(&self, zone: &Fqdn) -> bool {
        self.0 == zone.as_str()
    }

    /// What stands before the zone's name; `None` for the zone's own name and for names outside of it.
    pub fn relative_to(&self, zone: &Fqdn) -> Option<&str> {
        self.0.strip_suffix(zone.as_str())?.strip_suffix('.')
    }
}

impl FromStr for RecordName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if text.len() > NAME_MAX {
            return Err(NameError::TooLong(text));
        }
        if !text.contains('.') {
            return Err(NameError::Empty(text));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        for (at, label) in text.split('.').enumerate() {
            if label.is_empty() {
                return Err(NameError::Empty(text));
            }
            if label.len() > LABEL_MAX {
                return Err(NameError::TooLong(text));
            }
            let wildcard = at == 0 && label == "*";
            let edges = label.starts_with('-') || label.ends_with('-');
            if !wildcard && (edges || !label.chars().all(plain)) {
                return Err(NameError::Character(text));
            }
        }
        Ok(Self(text))
    }
}

impl From<&Fqdn> for RecordName {
    fn from(name: &Fqdn) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl PartialEq<Fqdn> for RecordName {
    fn eq(&self, other: &Fqdn) -> bool {
        self.0 == other.as_str()
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RecordName {
        text.parse().unwrap()
    }

    #[test]
    fn names_beyond_host_names_are_names() {
        assert_eq!(name("_Dmarc.Example.com.").as_str(), "_dmarc.example.com");
        assert!(name("*.example.com").is_wildcard());
        assert!(name("_sip._tcp.example.com").has_underscore());
        assert_eq!(name("*.example.com").as_host(), None);
        assert_eq!(name("a.example.com").as_host().unwrap().as_str(), "a.example.com");
    }

    #[test]
    fn what_a_back_end_would_turn_into_the_apex_is_refused() {
        let long = format!("{}.example.com", "a".repeat(64));
        for bad in [
            "",
            "com",
            "-bad-.example.com",
            "a..example.com",
            "x.*.example.com",
            "a*.example.com",
            "ü.example.com",
            &long,
        ] {
            assert!(bad.parse::<RecordName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_knows_its_place_in_a_zone() {
        let zone: Fqdn = "example.com".parse().unwrap();
        assert_eq!(name("a.b.example.com").relative_to(&zone), Some("a.b"));
        assert_eq!(name("example.com").relative_to(&zone), None);
        assert!(name("example.com").is_apex(&zone) && name("example.com").is_within(&zone));
        assert!(!name("notexample.com").is_within(&zone));
    }
}
