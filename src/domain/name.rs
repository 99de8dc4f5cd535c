//! DNS names in canonical form: lower-case ASCII, no final dot.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Octets in one label (RFC 1035 2.3.4).
pub(super) const LABEL_MAX: usize = 63;
/// Characters of a whole name without the final dot (RFC 1035 2.3.4: 255 octets on the wire).
pub(super) const NAME_MAX: usize = 253;

/// Why a text is not a DNS name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given, or a label between two dots is empty.
    #[error("\"{0}\" has an empty label; a DNS name is labels with single dots between them")]
    Empty(String),
    /// A label or the whole name is too long.
    #[error("\"{0}\" is too long; a label has at most 63 characters, a name at most 253 (RFC 1035 2.3.4)")]
    TooLong(String),
    /// A label has a character that a host name may not have, or a hyphen at an end.
    #[error("\"{0}\" is not a host name; use letters, digits and inner hyphens only (RFC 1123 2.1)")]
    Character(String),
}

/// One label of a host name: 1 to 63 lower-case letters, digits and inner hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsLabel(String);

impl DnsLabel {
    /// The label's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label that a mail address suggests: its local part in lower case, letters, digits and
    /// single hyphens only, cut to the length of a label. `None` when nothing is left of it.
    pub fn suggested_by(local_part: &str) -> Option<Self> {
        let mut text = String::new();
        for c in local_part.chars() {
            let c = c.to_ascii_lowercase();
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                text.push(c);
            } else if !text.is_empty() && !text.ends_with('-') {
                text.push('-');
            }
        }
        Self::cut(&text, LABEL_MAX)
    }

    /// This label with `-suffix` behind it, shortened so that both fit into one label.
    pub fn with_suffix(&self, suffix: &DnsLabel) -> Self {
        let room = LABEL_MAX.saturating_sub(suffix.0.len() + 1);
        match Self::cut(&self.0, room) {
            Some(head) => Self(format!("{}-{}", head.0, suffix.0)),
            None => suffix.clone(),
        }
    }

    fn cut(text: &str, length: usize) -> Option<Self> {
        let head: String = text.chars().take(length).collect();
        let head = head.trim_matches('-');
        (!head.is_empty()).then(|| Self(head.to_owned()))
    }
}

impl FromStr for DnsLabel {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.to_ascii_lowercase();
        if text.is_empty() {
            return Err(NameError::Empty(text));
        }
        if text.len() > LABEL_MAX {
            return Err(NameError::TooLong(text));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !text.chars().all(plain) || text.starts_with('-') || text.ends_with('-') {
            return Err(NameError::Character(text));
        }
        Ok(Self(text))
    }
}

impl fmt::Display for DnsLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A fully qualified host name: at least two labels, lower-case, without the final dot. Clones share its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fqdn(Arc<str>);

impl Fqdn {
    /// The name's text, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `label.self`.
    ///
    /// # Errors
    /// When the result is longer than a DNS name may be.
    pub fn child(&self, label: &DnsLabel) -> Result<Self, NameError> {
        format!("{label}.{self}").parse()
    }

    /// Whether this name is `parent` or stands below it.
    pub fn is_within(&self, parent: &Fqdn) -> bool {
        self == parent
            || self
                .0
                .strip_suffix(parent.as_str())
                .is_some_and(|head| head.ends_with('.'))
    }
}

impl FromStr for Fqdn {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if text.len() > NAME_MAX {
            return Err(NameError::TooLong(text));
        }
        if !text.contains('.') {
            return Err(NameError::Empty(text));
        }
        for label in text.split('.') {
            DnsLabel::from_str(label).map_err(|error| match error {
                NameError::Empty(_) => NameError::Empty(text.clone()),
                NameError::TooLong(_) => NameError::TooLong(text.clone()),
                NameError::Character(_) => NameError::Character(text.clone()),
            })?;
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mail_address_suggests_a_label() {
        let of = |text: &str| DnsLabel::suggested_by(text).map(|label| label.to_string());
        assert_eq!(of("Jane.Doe+shop"), Some("jane-doe-shop".to_owned()));
        assert_eq!(of("--x--"), Some("x".to_owned()));
        assert_eq!(of("..."), None);
        assert_eq!(of(&"a".repeat(90)).map(|l| l.len()), Some(LABEL_MAX));
    }

    #[test]
    fn a_suffix_fits_into_the_label() {
        let long: DnsLabel = "a".repeat(63).parse().unwrap();
        let suffix: DnsLabel = "1f3c9".parse().unwrap();
        let both = long.with_suffix(&suffix);
        assert_eq!(both.as_str().len(), LABEL_MAX);
        assert!(both.as_str().ends_with("-1f3c9"));
    }

    #[test]
    fn names_are_canonical_and_bounded() {
        assert_eq!(
            "Shop.Example.COM.".parse::<Fqdn>().unwrap().as_str(),
            "shop.example.com"
        );
        for bad in [
            "",
            "com",
            "a..b",
            "-a.example",
            "a-.example",
            "a_b.example",
            "ä.example",
        ] {
            assert!(bad.parse::<Fqdn>().is_err(), "{bad}");
        }
        let base: Fqdn = "example.com".parse().unwrap();
        assert!("a.example.com".parse::<Fqdn>().unwrap().is_within(&base));
        assert!(!"aexample.com".parse::<Fqdn>().unwrap().is_within(&base));
    }

    proptest! {
        #[test]
        fn a_suggestion_is_always_a_label(text in ".{0,120}") {
            if let Some(label) = DnsLabel::suggested_by(&text) {
                prop_assert_eq!(label.as_str().parse::<DnsLabel>().unwrap(), label);
            }
        }
    }
}
