//! ISPConfig (3.2 or newer) as a host of DNS zones, through its remote API.
//!
//! - `session` keeps the log-in and never comes near the ten failures that lock an address out; `client` makes a
//!   call, `fault` tells its answers apart, because the status is always 200.
//! - `zones` finds zones by their exact origin only; `records` reads in bulk and changes one by one.
//! - `names`, `data` and `text` are the forms in which the panel stores what BIND reads.
//!
//! Records have no free field for a mark: whose a record is, the caller knows by its id. The panel checks neither
//! duplicates nor clashes: who calls must have looked.

mod client;
mod data;
mod fault;
mod health;
mod names;
mod records;
mod session;
mod text;
mod wire;
mod zones;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use self::client::Client;
use self::health::Probe;
use self::session::Keeper;
use self::zones::Learned;
use super::dns_host::{DnsAbilities, DnsHost, Record, RecordChange, Zone, ZoneId, ZoneSpec};
use super::error::{ErrorKind, ProviderError};
use super::gate::Gate;
use super::health::{Health, HealthCheck};
use super::http::{CALL_TIMEOUT, HttpClient, HttpSettings};
use crate::domain::dns::RecordName;
use crate::domain::{Fqdn, OwnerMark};

pub use self::session::Clock;

/// How to reach a panel and as whom.
#[derive(Clone, Debug)]
pub struct IspconfigSettings {
    /// Address and trust; the address ends before `/remote`.
    pub http: HttpSettings,
    /// Name of the remote user.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// Number of the server that answers for new zones, above 0.
    pub server_id: u32,
    /// The hoster's name servers: NS records of a zone itself that name them go with the zone.
    pub name_servers: Vec<Fqdn>,
}

/// What only tests choose.
#[derive(Clone)]
pub struct Tuning {
    /// Limit of one call.
    pub call_timeout: Duration,
    /// Tells the time for the life of sessions and the pauses after failures.
    pub now: Clock,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            call_timeout: CALL_TIMEOUT,
            now: Arc::new(Instant::now),
        }
    }
}

/// An ISPConfig panel.
pub struct Ispconfig {
    client: Client,
    server: u32,
    name_servers: Vec<Fqdn>,
    learned: Learned,
    probe: tokio::sync::Mutex<Option<Probe>>,
}

/// Prepares the client; nothing is sent yet.
///
/// # Errors
/// `Invalid` for an address that is not https, a user or password that is empty, or a server number of 0.
pub fn connect(settings: IspconfigSettings, gate: Arc<Gate>) -> Result<Arc<Ispconfig>, ProviderError> {
    connect_tuned(settings, gate, Tuning::default())
}

/// As [`connect`], with a clock and a time-out of the caller's own.
///
/// # Errors
/// As [`connect`].
pub fn connect_tuned(
    settings: IspconfigSettings,
    gate: Arc<Gate>,
    tuning: Tuning,
) -> Result<Arc<Ispconfig>, ProviderError> {
    let invalid = |message: &str| ProviderError::new(ErrorKind::Invalid, message);
    let username = settings.username.trim().to_owned();
    if username.is_empty() || settings.password.expose_secret().is_empty() {
        return Err(invalid(
            "the credentials have no user name or no password; put both into the Secret",
        ));
    }
    if settings.server_id == 0 {
        return Err(invalid(
            "serverId must be the number of a server in ISPConfig, above 0",
        ));
    }
    let http = HttpClient::new(&settings.http, gate)?;
    let keeper = Keeper::new(username, settings.password, tuning.now);
    Ok(Arc::new(Ispconfig {
        client: Client::new(http, keeper, tuning.call_timeout),
        server: settings.server_id,
        name_servers: settings.name_servers,
        learned: Learned::default(),
        probe: tokio::sync::Mutex::default(),
    }))
}

#[async_trait]
impl HealthCheck for Ispconfig {
    async fn check(&self) -> Result<Health, ProviderError> {
        self.look().await
    }
}

#[async_trait]
impl DnsHost for Ispconfig {
    fn abilities(&self) -> DnsAbilities {
        DnsAbilities {
            marks: false,
            suspends: true,
            authority: true,
            records_go_with_zone: false,
        }
    }

    async fn zones(&self) -> Result<Vec<Zone>, ProviderError> {
        self.list_zones().await
    }

    async fn zone(&self, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
        self.find_zone(name).await
    }

    async fn create_zone(&self, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        self.add_zone(spec).await
    }

    async fn update_zone(&self, id: &ZoneId, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        self.change_zone(wire::id(&id.0)?, spec).await
    }

    async fn delete_zone(&self, id: &ZoneId) -> Result<(), ProviderError> {
        self.remove_zone(wire::id(&id.0)?).await
    }

    async fn records(&self, zone: &ZoneId) -> Result<Vec<Record>, ProviderError> {
        self.list_records(zone).await
    }

    async fn records_of(&self, zone: &ZoneId, name: &RecordName) -> Result<Vec<Record>, ProviderError> {
        self.list_records_of(zone, name).await
    }

    async fn apply(
        &self,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Result<Option<Record>, ProviderError>> {
        self.change_records(zone, changes, owner).await
    }
}
