//! Cloudflare's DNS (API v4).
//!
//! - The owner's mark is a record's `comment`: it costs no record, clashes with nothing, works on every
//!   plan, and our marks (96 characters) fit into the 100 characters of the smallest.
//! - Updates are PATCHes: a PUT would reset what it does not name.
//! - Errors are told apart by their codes, never by their texts.
//! - Records at names that are no host names (`_dmarc`, `*`) are not shown: see `records::record_of`.

mod changes;
mod client;
mod failure;
mod health;
mod pace;
mod records;
mod wire;
mod writes;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use self::client::Client;
use self::zones::Zones;
use super::dns_host::{DnsAbilities, DnsHost, Record, RecordChange, Zone, ZoneId, ZoneSpec};
use super::error::{ErrorKind, ProviderError};
use super::gate::Gate;
use super::health::{Health, HealthCheck};
use super::http::{CALL_TIMEOUT, HttpClient, HttpSettings};
use crate::domain::dns::RecordName;
use crate::domain::{Fqdn, OwnerMark};

/// The vendor's own address, for [`HttpSettings::bases`].
pub const DEFAULT_BASE: &str = "https://api.cloudflare.com/client/v4";

/// How to reach a Cloudflare account.
#[derive(Clone, Debug)]
pub struct CloudflareSettings {
    /// Address and trust; [`DEFAULT_BASE`] unless a test says otherwise.
    pub http: HttpSettings,
    /// API token with Zone:Read and DNS:Edit for the zones to be served.
    pub api_token: SecretString,
    /// The only zone of the token, if it is limited to one. Then no zones are listed, and DNS:Edit suffices.
    pub zone_id: Option<ZoneId>,
}

/// A Cloudflare account as a host of DNS zones.
pub struct Cloudflare {
    client: Client,
    zones: Zones,
}

/// Prepares the client; nothing is sent yet.
///
/// # Errors
/// `Invalid` for an address that is not https, a token that no header can carry, or a malformed zone id.
pub fn connect(settings: CloudflareSettings, gate: Arc<Gate>) -> Result<Arc<Cloudflare>, ProviderError> {
    connect_within(settings, gate, CALL_TIMEOUT)
}

/// As [`connect`], with a limit of the caller's own for each call.
///
/// # Errors
/// As [`connect`].
pub fn connect_within(
    settings: CloudflareSettings,
    gate: Arc<Gate>,
    call_timeout: Duration,
) -> Result<Arc<Cloudflare>, ProviderError> {
    let http = HttpClient::new(&settings.http, gate)?;
    Ok(Arc::new(Cloudflare {
        client: Client::new(http, &settings.api_token, call_timeout)?,
        zones: Zones::new(settings.zone_id)?,
    }))
}

#[async_trait]
impl HealthCheck for Cloudflare {
    async fn check(&self) -> Result<Health, ProviderError> {
        health::check(&self.client, &self.zones).await
    }
}

#[async_trait]
impl DnsHost for Cloudflare {
    fn abilities(&self) -> DnsAbilities {
        DnsAbilities {
            marks: true,
            suspends: false,
            authority: false,
            records_go_with_zone: true,
        }
    }

    async fn zones(&self) -> Result<Vec<Zone>, ProviderError> {
        Err(ProviderError::new(ErrorKind::Unexpected, "zones"))
    }

    async fn zone(&self, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
        let found = self.zones.find(&self.client, name).await?;
        Ok(found.map(|id| Zone {
            id,
            name: name.clone(),
            active: true,
            serial: None,
            soa: None,
            name_servers: Vec::new(),
            created: None,
        }))
    }

    async fn create_zone(&self, _: &ZoneSpec) -> Result<Zone, ProviderError> {
        Err(ProviderError::new(ErrorKind::Unexpected, "zones"))
    }

    async fn update_zone(&self, _: &ZoneId, _: &ZoneSpec) -> Result<Zone, ProviderError> {
        Err(ProviderError::new(ErrorKind::Unexpected, "zones"))
    }

    async fn delete_zone(&self, _: &ZoneId) -> Result<(), ProviderError> {
        Err(ProviderError::new(ErrorKind::Unexpected, "zones"))
    }

    async fn records(&self, zone: &ZoneId) -> Result<Vec<Record>, ProviderError> {
        let records = records::list(&self.client, zone, None).await?;
        Ok(records.iter().filter_map(records::record_of).collect())
    }

    async fn records_of(&self, zone: &ZoneId, name: &RecordName) -> Result<Vec<Record>, ProviderError> {
        records::list_of(&self.client, zone, name).await
    }

    async fn apply(
        &self,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Result<Option<Record>, ProviderError>> {
        let zone_name = self.zones.name_of(zone);
        changes::apply(&self.client, zone, zone_name.as_ref(), changes, owner).await
    }
}
