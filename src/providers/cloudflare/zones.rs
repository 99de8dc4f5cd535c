//! From a zone's name to its id.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::client::Client;
use super::records::checked_id;
use super::wire;
use crate::domain::Fqdn;
use crate::providers::dns_host::ZoneId;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::Call;

/// How long a zone's id is believed. Ids never change, but a zone can be deleted and added again.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Zones of one page: the vendor's maximum. More than one of the same name is rare already.
const PAGE: u64 = 50;
/// Records that are looked at to tell a zone's name from them.
const SAMPLE: u64 = 100;

/// What is known of the zones.
#[derive(Debug, Default)]
pub(super) struct Zones {
    /// The only zone that the token is for, if it is limited to one.
    only: Option<ZoneId>,
    known: Mutex<BTreeMap<Fqdn, (ZoneId, Instant)>>,
}

impl Zones {
    /// # Errors
    /// `Invalid` for an id that is not 32 hexadecimal digits.
    pub fn new(only: Option<ZoneId>) -> Result<Self, ProviderError> {
        if let Some(zone) = &only {
            checked_id(&zone.0)?;
        }
        Ok(Self {
            only,
            known: Mutex::default(),
        })
    }

    pub fn only(&self) -> Option<&ZoneId> {
        self.only.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Fqdn, (ZoneId, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name under which a zone was found, if it was.
    pub fn name_of(&self, zone: &ZoneId) -> Option<Fqdn> {
        let known = self.lock();
        let found = known.iter().find(|(_, (id, _))| id == zone)?;
        Some(found.0.clone())
    }

    /// The zone of exactly this name. Only successes are remembered: a zone that is being added is found at
    /// the next look.
    pub async fn find(&self, client: &Client, name: &Fqdn) -> Result<Option<ZoneId>, ProviderError> {
        let now = Instant::now();
        let remembered = self.lock().get(name).cloned();
        if let Some((zone, since)) = remembered
            && now.duration_since(since) < REMEMBERED
        {
            return Ok(Some(zone));
        }
        let found = match &self.only {
            Some(zone) => is_named(client, zone, name).await?.then(|| zone.clone()),
            None => listed(client, name).await?,
        };
        let mut known = self.lock();
        match &found {
            Some(zone) => known.insert(name.clone(), (zone.clone(), now)),
            None => known.remove(name),
        };
        Ok(found)
    }
}

async fn listed(client: &Client, name: &Fqdn) -> Result<Option<ZoneId>, ProviderError> {
    let call = Call::get("zones.list", "/zones")
        .query("name", name)
        .query("per_page", PAGE);
    let envelope = client.call::<Vec<wire::Zone>>(call).await?;
    let zones = envelope.result.unwrap_or_default();
    let total = envelope.result_info.and_then(|info| info.total_count);
    let complete = u64::try_from(zones.len()).ok() == total;
    // The filter is not trusted: a zone that was not asked for would receive somebody else's records.
    let mut ours: Vec<wire::Zone> = zones.into_iter().filter(|zone| is(zone, name)).collect();
    if ours.len() > 1 {
        // The same name in several accounts: only one of them can be delegated to.
        ours.retain(|zone| zone.status.as_deref() == Some("active"));
        if ours.len() != 1 {
            let message = format!(
                "{name} exists in several Cloudflare accounts; name the zone id in the Provider, or limit \
                 the token to one account"
            );
            return Err(ProviderError::new(ErrorKind::Conflict, message));
        }
    }
    let Some(zone) = ours.pop() else {
        // Only a listing that says that it is complete proves that there is no such zone.
        let unproven = || ProviderError::new(ErrorKind::Unexpected, "zones.list: the listing is incomplete");
        return if complete { Ok(None) } else { Err(unproven()) };
    };
    checked_id(&zone.id).map_err(|error| error.as_kind(ErrorKind::Unexpected))?;
    Ok(Some(ZoneId(zone.id)))
}

/// Whether the zone that was named by its id has this name. A token that may not read zones still reads
/// records: then a record that does not belong under the name tells.
async fn is_named(client: &Client, zone: &ZoneId, name: &Fqdn) -> Result<bool, ProviderError> {
    let path = format!("/zones/{}", checked_id(&zone.0)?);
    match client
        .result::<wire::Zone>(Call::get("zones.get", path.as_str()))
        .await
    {
        Ok(zone) => Ok(is(&zone, name)),
        Err(failure) if failure.error.kind() == ErrorKind::Denied => {
            let call =
                Call::get("dns_records.sample", format!("{path}/dns_records")).query("per_page", SAMPLE);
            let records: Vec<wire::Record> = client.result(call).await?;
            Ok(records.iter().all(|record| is_within(&record.name, name)))
        }
        Err(failure) => Err(failure.error),
    }
}

fn is(zone: &wire::Zone, name: &Fqdn) -> bool {
    zone.name.parse::<Fqdn>().is_ok_and(|known| known == *name)
}

/// As [`Fqdn::is_within`], for names that are no host names.
fn is_within(name: &str, zone: &Fqdn) -> bool {
    let name = name.to_ascii_lowercase();
    let head = name.strip_suffix(zone.as_str());
    head.is_some_and(|head| head.is_empty() || head.ends_with('.'))
}
