//! The billing panel's key of a paid service.

use std::fmt;
use std::str::FromStr;

/// Characters of the longest key that is taken.
const LENGTH_MAX: usize = 255;

/// The text is not a service id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a service id has 1 to 255 characters and no control characters")]
pub struct ServiceIdError;

/// The billing panel's key of one paid service: 1 to 255 characters, compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(String);

impl ServiceId {
    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceId {
    type Err = ServiceIdError;

    fn from_str(text: &str) -> Result<Self, ServiceIdError> {
        let length = text.chars().count();
        if length == 0 || length > LENGTH_MAX || text.chars().any(char::is_control) {
            return Err(ServiceIdError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
