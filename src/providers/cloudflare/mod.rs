//! Cloudflare's DNS (API v4).
//!
//! - The owner's mark is a record's `comment`: it costs no record, clashes with nothing, works on every
//!   plan, and our marks (96 characters) fit into the 100 characters of the smallest.
//! - Updates are PATCHes: a PUT would reset what it does not name.
//! - Errors are told apart by their codes, never by their texts.
//! - Ownership is what the caller read within the same pass; nothing is read again before a write.
//! - What is Cloudflare's own in a zone (SOA, the zone's own NS, mail routing) is not shown and not written.

mod changes;
mod client;
mod data;
mod failure;
mod health;
mod memory;
mod pace;
mod records;
mod wire;
mod writes;
mod zone_writes;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use self::changes::Place;
use self::client::Client;
use self::records::Listed;
use self::zones::Zones;
use super::dns_host::{DnsAbilities, DnsHost, Record, RecordChange, Zone, ZoneId, ZoneSpec};
use super::error::ProviderError;
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
    /// API token with Zone:Read and DNS:Edit for the zones to be served, and Zone:Edit where zones are made.
    pub api_token: SecretString,
    /// The only zone of the token, if it is limited to one. Then no zones are listed, and DNS:Edit suffices.
    pub zone_id: Option<ZoneId>,
    /// Account in which zones are made, 32 hexadecimal digits. Without it, it is that of the token, if the
    /// token sees exactly one.
    pub account_id: Option<String>,
}

/// A Cloudflare account as a host of DNS zones.
pub struct Cloudflare {
    client: Client,
    zones: Zones,
}

/// Prepares the client; nothing is sent yet.
///
/// # Errors
/// `Invalid` for an address that is not https, a token that no header can carry, or a malformed id.
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
        zones: Zones::new(settings.zone_id, settings.account_id)?,
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
        self.zones.all(&self.client).await
    }

    async fn zone(&self, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
        self.zones.find(&self.client, name).await
    }

    async fn create_zone(&self, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        self.zones.create(&self.client, spec).await
    }

    async fn update_zone(&self, id: &ZoneId, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        self.zones.confirm(&self.client, id, spec).await
    }

    async fn delete_zone(&self, id: &ZoneId) -> Result<(), ProviderError> {
        self.zones.delete(&self.client, id).await
    }

    async fn records(&self, zone: &ZoneId) -> Result<Vec<Record>, ProviderError> {
        let listed = records::list(&self.client, zone, None).await;
        self.shown(zone, listed.map_err(|failure| self.zones.judged(zone, failure))?)
            .await
    }

    async fn records_of(&self, zone: &ZoneId, name: &RecordName) -> Result<Vec<Record>, ProviderError> {
        let listed = records::list(&self.client, zone, Some(name)).await;
        let listed = listed.map_err(|failure| self.zones.judged(zone, failure))?;
        let mut shown = self.shown(zone, listed).await?;
        // The filter is not trusted; what it let through by mistake is not of this name.
        shown.retain(|record| record.spec.name == *name);
        Ok(shown)
    }

    async fn apply(
        &self,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Result<Option<Record>, ProviderError>> {
        let place = Place {
            zone,
            name: self.zones.name_of(zone),
            fresh: self.zones.is_fresh(zone),
        };
        let outcomes = changes::apply(&self.client, &place, changes, owner).await;
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            self.zones.doubt(zone, error);
        }
        outcomes
    }
}

impl Cloudflare {
    /// The records but Cloudflare's own. The zone's name is asked for only if it matters and is not known.
    async fn shown(&self, zone: &ZoneId, listed: Vec<Listed>) -> Result<Vec<Record>, ProviderError> {
        let name = if listed.iter().any(|record| record.name_server) {
            self.zones.name(&self.client, zone).await?
        } else {
            None
        };
        let shown = listed
            .into_iter()
            .filter_map(|record| record.shown(name.as_ref()));
        Ok(shown.collect())
    }
}
