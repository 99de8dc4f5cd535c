//! What a look at the outside came to.

use crate::providers::ProviderError;

/// A part of the world: not looked at, known, or looked at in vain. Never mistake the last for absence.
#[derive(Debug, Clone, Default)]
pub enum Fact<T> {
    /// Nobody looked in this pass.
    #[default]
    Unread,
    /// As it is.
    Known(T),
    /// The look failed.
    Unknown(ProviderError),
}

impl<T> From<Result<T, ProviderError>> for Fact<T> {
    fn from(result: Result<T, ProviderError>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown(error),
        }
    }
}

impl<T> Fact<T> {
    /// What is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Nobody looked yet.
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Unread)
    }
}
