//! What a Provider's status says about its back-end.

use std::time::Duration;

use async_trait::async_trait;

use super::error::ProviderError;

/// The back-end answered: what it is and what our credentials lack there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The program's version as it names itself, empty when it does not tell.
    pub version: String,
    /// Optional abilities that were found, in vendor-neutral words such as `ha-rules`.
    pub capabilities: Vec<String>,
    /// Rights that the credentials lack, each as the vendor names it and with the place where it is needed.
    pub missing_rights: Vec<String>,
    /// Time of the shortest call made for this check.
    pub latency: Duration,
}

/// Asks a back-end how it is, without changing anything.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// Reachable, version, rights.
    ///
    /// # Errors
    /// `Denied` when the credentials are refused altogether, `Unavailable` when nobody answers.
    async fn check(&self) -> Result<Health, ProviderError>;
}
