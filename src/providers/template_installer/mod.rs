//! Golden templates: the container installs WordPress by itself at its first boot, and tells over HTTP how far
//! it is. The contract is in `docs/golden-template.md`.
//!
//! This installer sends nothing into the container; what a first boot needs goes into the container's
//! environment when it is created (Proxmox VE 9.1 and later). Whoever may read the container's configuration
//! there (`VM.Audit`) can read these values, the first administrator's password among them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::ExposeSecret;

use super::error::{ErrorKind, ProviderError};
use super::gate::{Effect, Gate};
use super::http::{TlsTrust, client_builder};
use super::site_installer::{InstallRequest, InstallState, InstallTarget, SiteInstaller};
use crate::domain::{Fqdn, OwnerMark};

/// Bytes that are read of the page: two short lines.
const PAGE_LIMIT: usize = 2048;
/// What each of its lines that we read begins with.
const MARK: &str = "hostwright: ";
/// What names the owner on the second line.
const OWNER: &str = "owner: ";

/// How the template tells about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateSettings {
    /// Path of the page, with its leading slash; `/.well-known/hostwright` in the documented example.
    pub health_path: String,
    /// Port of the page, normally 80.
    pub port: u16,
    /// Limit for one question. The container is near, so some seconds are plenty.
    pub timeout: Duration,
}

/// The installer for golden templates.
pub struct TemplateInstaller {
    settings: TemplateSettings,
    client: reqwest::Client,
    gate: Arc<Gate>,
}

impl TemplateInstaller {
    /// An installer for the settings.
    ///
    /// # Errors
    /// `Invalid` for a path without its leading slash or with characters that an address cannot have.
    pub fn new(settings: TemplateSettings, gate: Arc<Gate>) -> Result<Arc<Self>, ProviderError> {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>' | '\\');
        if !settings.health_path.starts_with('/') || !settings.health_path.chars().all(plain) {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                "the template's health path must begin with a slash and have no spaces",
            ));
        }
        let client = client_builder(&TlsTrust::System)?.build().map_err(|error| {
            ProviderError::new(ErrorKind::Invalid, "the HTTP client could not be set up").with_detail(error)
        })?;
        Ok(Arc::new(Self {
            settings,
            client,
            gate,
        }))
    }

    /// The page's first bytes; `None` while nobody answers it, which is how a first boot looks for minutes.
    async fn page(&self, target: &InstallTarget) -> Option<String> {
        let TemplateSettings {
            health_path,
            port,
            timeout,
        } = &self.settings;
        let address = format!("http://{}:{port}{health_path}", target.address);
        let read = async {
            let mut response = self.client.get(address).send().await.ok()?;
            if !response.status().is_success() {
                return None;
            }
            let mut body = Vec::new();
            while body.len() < PAGE_LIMIT {
                match response.chunk().await.ok()? {
                    Some(chunk) => body.extend_from_slice(&chunk),
                    None => break,
                }
            }
            body.truncate(PAGE_LIMIT);
            Some(String::from_utf8_lossy(&body).into_owned())
        };
        tokio::time::timeout(*timeout, read).await.ok().flatten()
    }
}

#[async_trait]
impl SiteInstaller for TemplateInstaller {
    /// Nothing to do: the container began by itself.
    async fn begin(&self, _: InstallRequest) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn state(&self, target: &InstallTarget) -> Result<InstallState, ProviderError> {
        let admission = self.gate.admit("installer.health", Effect::Read).await?;
        let page = self.page(target).await;
        // A container that is still booting is no failure of the back-end and must not open its breaker.
        admission.finish(Ok(
            page.map_or(InstallState::Running, |page| read_page(&page, &target.owner))
        ))
    }

    async fn announce(&self, _: &InstallTarget, _: &Fqdn, _: &BTreeSet<Fqdn>) -> Result<(), ProviderError> {
        Err(ProviderError::new(
            ErrorKind::Invalid,
            "telling WordPress of the customer's domains needs the ssh installer; a golden template cannot be reached \
             after its first boot",
        ))
    }

    fn first_boot_environment(&self, request: &InstallRequest) -> BTreeMap<String, String> {
        // Without the database password: the first boot draws its own, which nobody outside needs to know.
        let pairs = [
            ("HOSTWRIGHT_OWNER", request.target.owner.to_string()),
            ("HOSTWRIGHT_SITE_HOST", request.host.to_string()),
            ("HOSTWRIGHT_SITE_URL", request.site_url()),
            ("HOSTWRIGHT_SITE_TITLE", request.title.clone()),
            ("HOSTWRIGHT_ADMIN_USER", request.admin_user.clone()),
            ("HOSTWRIGHT_ADMIN_EMAIL", request.admin_email.to_string()),
            ("HOSTWRIGHT_ADMIN_NAME", request.admin_name.clone()),
            (
                "HOSTWRIGHT_ADMIN_PASSWORD",
                request.admin_password.expose_secret().to_owned(),
            ),
        ];
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// What a page says. One that is not ours, such as a default page of the web server, says nothing yet.
fn read_page(page: &str, owner: &OwnerMark) -> InstallState {
    let mut lines = page.lines().map(str::trim);
    let word = lines.next().and_then(|line| line.strip_prefix(MARK));
    let named = lines.next().and_then(|line| line.strip_prefix(OWNER));
    let Some(word) = word else {
        return InstallState::Running;
    };
    if named.is_none_or(|mark| mark != owner.to_string()) {
        return InstallState::Failed(ProviderError::new(
            ErrorKind::Conflict,
            "another site's container answers at this site's address; free the address",
        ));
    }
    match word.strip_prefix("failed ") {
        Some(why) => {
            let why: String = why.chars().filter(|c| !c.is_control()).collect();
            let message = format!("installing WordPress at first boot failed at {why}");
            InstallState::Failed(ProviderError::new(ErrorKind::Unavailable, message))
        }
        None if word == "done" => InstallState::Done,
        None => InstallState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_believed_only_for_its_owner() {
        let mark = "hostwright:prod:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
        let owner: OwnerMark = mark.parse().unwrap();
        let state = |first: &str, second: &str| read_page(&format!("{first}\r\n{second}\n"), &owner);
        let ours = format!("owner: {mark}");
        assert_eq!(state("hostwright: done", &ours), InstallState::Done);
        assert_eq!(state("hostwright: step packages", &ours), InstallState::Running);
        assert_eq!(state("<html>Welcome to nginx", ""), InstallState::Running);
        let failed = |state| match state {
            InstallState::Failed(error) => error,
            other => panic!("{other:?}"),
        };
        let error = failed(state("hostwright: failed database: no room", &ours));
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().ends_with("database: no room"));
        for foreign in ["", "owner: hostwright:prod:11111111-9d1f-4d6c-8f52-2f6f5e0a9b11"] {
            assert_eq!(
                failed(state("hostwright: done", foreign)).kind(),
                ErrorKind::Conflict
            );
        }
    }
}
