//! The mark that says which object of which cluster an outside thing belongs to.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What every mark starts with.
const MARK_PREFIX: &str = "hostwright";
/// Characters of a cluster id. `hostwright:` + id + `:` + UID (36) stays below 100, the length of a
/// comment on Cloudflare's free plan: 11 + 48 + 1 + 36 = 96.
const CLUSTER_ID_MAX: usize = 48;
/// Characters of an object's UID (RFC 9562, text form).
const UID_LENGTH: usize = 36;

/// The text is not a cluster id, UID or mark.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// Not a cluster id.
    #[error("\"{0}\" is not a cluster id; use 1 to 48 lower-case letters, digits and hyphens")]
    ClusterId(String),
    /// Not a UID.
    #[error("\"{0}\" is not an object UID in its text form")]
    Uid(String),
    /// Not a mark.
    #[error("the text is not an owner mark")]
    Mark,
}

/// Name of this Kubernetes cluster towards the back-ends; two operators must not share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(Arc<str>);

impl FromStr for ClusterId {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if text.is_empty() || text.len() > CLUSTER_ID_MAX || !text.chars().all(plain) {
            return Err(OwnerError::ClusterId(
                text.chars().take(CLUSTER_ID_MAX + 1).collect(),
            ));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// UID of a Kubernetes object: 36 lower-case hexadecimal digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectUid(Arc<str>);

impl ObjectUid {
    /// The UID's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first five hexadecimal digits, as a suffix for names that collide.
    pub fn short(&self) -> &str {
        self.0.get(..5).unwrap_or(&self.0)
    }
}

impl FromStr for ObjectUid {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c) || c == '-';
        if text.len() != UID_LENGTH || !text.chars().all(hex) {
            return Err(OwnerError::Uid(text.chars().take(UID_LENGTH + 1).collect()));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for ObjectUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Owner of an outside thing, written into it as `hostwright:<cluster id>:<uid>`, at most 96 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerMark {
    /// The Kubernetes cluster.
    pub cluster: ClusterId,
    /// The object within it.
    pub uid: ObjectUid,
}

impl OwnerMark {
    /// The first mark in a text that people may have written around, such as a description.
    pub fn find_in(text: &str) -> Option<Self> {
        text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';' | '"'))
            .find_map(|word| word.parse().ok())
    }
}

impl FromStr for OwnerMark {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let mut parts = text.split(':');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(MARK_PREFIX), Some(cluster), Some(uid), None) => Ok(Self {
                cluster: cluster.parse()?,
                uid: uid.parse()?,
            }),
            _ => Err(OwnerError::Mark),
        }
    }
}

impl fmt::Display for OwnerMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK_PREFIX}:{}:{}", self.cluster, self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    #[test]
    fn a_mark_survives_the_text_around_it() {
        let mark: OwnerMark = format!("hostwright:prod-1:{UID}").parse().unwrap();
        assert_eq!(
            OwnerMark::find_in(&format!("WordPress of Jane\n{mark}\n")),
            Some(mark.clone())
        );
        assert_eq!(OwnerMark::find_in("somebody else's"), None);
        assert!(mark.to_string().len() <= 96);
        assert_eq!(mark.uid.short(), "0b6c5");
    }

    #[test]
    fn near_misses_are_no_marks() {
        for bad in [
            "hostwright:a:b",
            "hostwright::",
            "Hostwright:a:",
            &format!("hostwright:A:{UID}"),
        ] {
            assert!(bad.parse::<OwnerMark>().is_err(), "{bad}");
        }
    }
}
