//! How WordPress gets into a container.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use secrecy::SecretString;

use super::error::ProviderError;
use crate::domain::{Email, Fqdn, OwnerMark, Vmid};

/// The container to work in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallTarget {
    /// Whose site it is; also the key under which work in progress is remembered.
    pub owner: OwnerMark,
    /// Its number.
    pub container: Vmid,
    /// The node that it is on now.
    pub node: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Everything that an installation needs.
#[derive(Debug, Clone)]
pub struct InstallRequest {
    /// Where.
    pub target: InstallTarget,
    /// The site's public name.
    pub host: Fqdn,
    /// Whether visitors arrive by HTTPS, which WordPress keeps in its own address.
    pub https: bool,
    /// Title of the new site.
    pub title: String,
    /// WordPress' first administrator.
    pub admin_user: String,
    /// Their mail address.
    pub admin_email: Email,
    /// Their name to be shown, possibly empty.
    pub admin_name: String,
    /// Their password; given over standard input or the back-end's own channel only.
    pub admin_password: SecretString,
    /// Password of the site's database user.
    pub database_password: SecretString,
}

impl InstallRequest {
    /// The site's address as WordPress keeps it, without a final slash.
    pub fn site_url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}", self.host)
    }
}

/// Where an installation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstallState {
    /// Nobody is working on it as far as this process knows.
    Idle,
    /// Under way.
    Running,
    /// Finished and checked from inside.
    Done,
    /// The last run ended with this error. Beginning again resumes it.
    Failed(ProviderError),
}

/// Installs WordPress and finishes its installer, so that no stranger meets `install.php`.
#[async_trait]
pub trait SiteInstaller: Send + Sync {
    /// Begins, or resumes, in the background and returns at once; no-op while a run is under way. Running it
    /// again on a finished site changes nothing. The `wake` of construction is called when a run ends.
    async fn begin(&self, request: InstallRequest) -> Result<(), ProviderError>;

    /// Where it stands.
    async fn state(&self, target: &InstallTarget) -> Result<InstallState, ProviderError>;

    /// Tells the installed WordPress under which of the customer's own domains it shall answer without leading
    /// visitors to its main name `site`. The set replaces the one of before; an empty one takes all back. A call
    /// that was lost is simply repeated: what is so already is left as it is.
    ///
    /// # Errors
    /// `Invalid` where it cannot be done: by an installer that does not reach into containers, or for a WordPress
    /// that is not this site's or whose configuration was rewritten. `Unavailable` for what another try may mend.
    async fn announce(
        &self,
        target: &InstallTarget,
        site: &Fqdn,
        domains: &BTreeSet<Fqdn>,
    ) -> Result<(), ProviderError>;

    /// Values that a golden template needs at its first boot, known before the container is created.
    /// Empty for installers that come in later.
    fn first_boot_environment(&self, request: &InstallRequest) -> std::collections::BTreeMap<String, String>;
}
