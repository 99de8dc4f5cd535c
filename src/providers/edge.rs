//! The last check of a site: what a visitor gets who asks the proxy's address for the site's name.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::error::ProviderError;
use crate::domain::Fqdn;

/// How long one look at a page may take in all.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(8);

/// What answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A finished WordPress.
    WordPress,
    /// WordPress' installer, open to whoever comes first.
    Installer,
    /// Something else, described in a few words: status and kind of page.
    Other(String),
}

/// Looks at sites as a visitor does.
#[async_trait]
pub trait Edge: Send + Sync {
    /// Asks the proxy for the name's log-in page.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers or TLS fails.
    async fn look(&self, host: &Fqdn, https: bool) -> Result<Page, ProviderError>;
}

/// Where the proxy listens for visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeAddresses {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
}
