//! Mail addresses as far as this project needs them.

use std::fmt;
use std::str::FromStr;

/// Characters of a whole address (RFC 5321 4.5.3.1: 64 + 1 + 255, and 254 as a path).
const ADDRESS_MAX: usize = 254;

/// The text is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a mail address; write it as name@example.com, at most 254 characters")]
pub struct EmailError(String);

/// A mail address with one `@`, something on both sides, and no white space or control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The whole address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    pub fn local_part(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }
}

impl FromStr for Email {
    type Err = EmailError;

    fn from_str(text: &str) -> Result<Self, EmailError> {
        let refused = || EmailError(text.chars().take(ADDRESS_MAX).collect());
        let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
        let printable = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        let shape = !local.is_empty() && !local.contains('@') && domain.contains('.');
        if text.len() > ADDRESS_MAX
            || !printable
            || !shape
            || domain.starts_with('.')
            || domain.ends_with('.')
        {
            return Err(refused());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(
            "jane.doe@example.com".parse::<Email>().unwrap().local_part(),
            "jane.doe"
        );
        for bad in [
            "",
            "jane",
            "@example.com",
            "jane@",
            "a@b@c.de",
            "j d@e.fr",
            "a@localhost",
        ] {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }
}
