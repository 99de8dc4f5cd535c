//! Zones: look-ups by name, the bulk read, and what is remembered of both.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::OnceCell;

use super::client::Client;
use super::failure::Failure;
use super::memory::Memory;
use super::records::checked_id;
use super::wire;
use crate::domain::Fqdn;
use crate::providers::dns_host::{Zone, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::Call;

/// Zones of one page: the vendor's maximum.
const PAGE: u64 = 50;
/// Pages that are read at once: half of the calls that may be under way, so that writes go on meanwhile.
const PAGES_AT_ONCE: usize = 4;
/// Pages of one account: 50,000 zones are 1,000 of the 1,200 calls in five minutes. Larger accounts need a
/// token for each part.
const PAGES_MAX: u64 = 1000;
/// How often a listing that changed while it was read is begun anew. A page takes about 100 ms, so that this
/// happens to large accounts when zones come or go.
const LISTINGS: u32 = 2;
/// See [`PAGES_MAX`].
const TOO_MANY: &str = "the account has more than 50,000 zones";
/// Records that are looked at to tell a zone's name from them.
const SAMPLE: u64 = 100;

/// What is known of the zones.
#[derive(Debug, Default)]
pub(super) struct Zones {
    /// The only zone that the token is for, if it is limited to one.
    only: Option<ZoneId>,
    /// The account in which zones are made, if it was named.
    pub(super) account: Option<String>,
    /// The account that the token turned out to belong to.
    pub(super) found_account: OnceCell<String>,
    known: Mutex<Memory>,
}

impl Zones {
    /// # Errors
    /// `Invalid` for an id that is not 32 hexadecimal digits.
    pub fn new(only: Option<ZoneId>, account: Option<String>) -> Result<Self, ProviderError> {
        for id in only.iter().map(|zone| &zone.0).chain(&account) {
            checked_id(id)?;
        }
        Ok(Self {
            only,
            account,
            ..Self::default()
        })
    }

    pub fn only(&self) -> Option<&ZoneId> {
        self.only.as_ref()
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name under which a zone was found, if it was.
    pub fn name_of(&self, zone: &ZoneId) -> Option<Fqdn> {
        self.memory().name_of(zone).cloned()
    }

    /// The zone of exactly this name. Only successes are remembered: a zone that is being added is found at
    /// the next look.
    pub async fn find(&self, client: &Client, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
        let now = Instant::now();
        let remembered = self.memory().zone(name, now);
        if remembered.is_some() {
            return Ok(remembered);
        }
        self.look(client, name).await
    }

    /// As [`Zones::find`], without trust in what is remembered.
    pub async fn look(&self, client: &Client, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
        let found = match &self.only {
            Some(zone) => self.the_only(client, zone, name).await?,
            None => self.listed(client, name).await?,
        };
        let mut memory = self.memory();
        match &found {
            Some(zone) => memory.learn(zone, Instant::now()),
            None => memory.forget_name(name),
        }
        Ok(found)
    }

    /// The name of a zone, asked for if need be; `None` when the token may not read zones.
    pub async fn name(&self, client: &Client, zone: &ZoneId) -> Result<Option<Fqdn>, ProviderError> {
        if let Some(name) = self.name_of(zone) {
            return Ok(Some(name));
        }
        match get(client, zone).await {
            Ok(found) => {
                self.memory().learn(&found, Instant::now());
                Ok(Some(found.name))
            }
            Err(error) if error.kind() == ErrorKind::Denied => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every zone that the token reaches.
    pub async fn all(&self, client: &Client) -> Result<Vec<Zone>, ProviderError> {
        if let Some(only) = &self.only {
            return self.alone(client, only).await.map(|zone| vec![zone]);
        }
        let begun = Instant::now();
        let zones = complete(client).await?;
        let mut times: BTreeMap<&Fqdn, u32> = BTreeMap::new();
        for zone in &zones {
            *times.entry(&zone.name).or_default() += 1;
        }
        let mut memory = self.memory();
        for zone in &zones {
            // The same name in two accounts: only a precise look tells which of them is meant.
            match times.get(&zone.name) {
                Some(1) => memory.learn(zone, Instant::now()),
                _ => memory.forget_name(&zone.name),
            }
        }
        memory.forget_older(begun);
        Ok(zones)
    }

    async fn alone(&self, client: &Client, only: &ZoneId) -> Result<Zone, ProviderError> {
        match get(client, only).await {
            Ok(zone) => {
                self.memory().learn(&zone, Instant::now());
                Ok(zone)
            }
            // Without the right to read zones, the name is known if somebody asked for it before.
            Err(error) if error.kind() == ErrorKind::Denied => self.memory().by_id(only).ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// The zone that was named by its id, if it has this name. A token that may not read zones still reads
    /// records: then a record that does not belong under the name tells.
    async fn the_only(
        &self,
        client: &Client,
        only: &ZoneId,
        name: &Fqdn,
    ) -> Result<Option<Zone>, ProviderError> {
        match get(client, only).await {
            Ok(zone) => Ok(Some(zone).filter(|zone| zone.name == *name)),
            Err(error) if error.kind() == ErrorKind::Denied => {
                let path = format!("/zones/{}/dns_records", checked_id(&only.0)?);
                let call = Call::get("dns_records.sample", path).query("per_page", SAMPLE);
                let records: Vec<wire::Record> = client.result(call).await?;
                let within = records.iter().all(|record| is_within(&record.name, name));
                Ok(within.then(|| bare(only.clone(), name.clone())))
            }
            Err(error) => Err(error),
        }
    }

    async fn listed(&self, client: &Client, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
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
            self.keep_the_meant(&mut ours, name)?;
        }
        let Some(zone) = ours.pop() else {
            // Only a listing that says that it is complete proves that there is no such zone.
            let unproven = || unexpected("the listing is incomplete");
            return if complete { Ok(None) } else { Err(unproven()) };
        };
        zone_of(zone).map(Some)
    }

    /// The same name in several accounts: the one in ours, or the only one that can be delegated to.
    fn keep_the_meant(&self, zones: &mut Vec<wire::Zone>, name: &Fqdn) -> Result<(), ProviderError> {
        if let Some(ours) = &self.account {
            let is_ours = |zone: &wire::Zone| zone.account.as_ref().is_some_and(|it| it.id == *ours);
            if zones.iter().filter(|zone| is_ours(zone)).count() == 1 {
                zones.retain(is_ours);
                return Ok(());
            }
        }
        zones.retain(|zone| zone.status.as_deref() == Some("active"));
        if zones.len() == 1 {
            return Ok(());
        }
        let message = format!(
            "{name} exists in several Cloudflare accounts; name the account or the zone id in the Provider, or \
             limit the token to one account"
        );
        Err(ProviderError::new(ErrorKind::Conflict, message))
    }

    /// What a failed call on a zone means, given what is known of the zone.
    pub fn judged(&self, zone: &ZoneId, failure: Failure) -> ProviderError {
        self.doubt(zone, &failure.error);
        if self.is_fresh(zone) {
            return failure.softened().error;
        }
        failure.error
    }

    /// Whether the zone was made so recently that a refused right proves nothing.
    pub fn is_fresh(&self, zone: &ZoneId) -> bool {
        self.memory().is_fresh(zone, Instant::now())
    }

    /// A zone that is gone is refused like one without rights: then the next look shall be a real one.
    pub fn doubt(&self, zone: &ZoneId, error: &ProviderError) {
        if error.kind() == ErrorKind::Denied || self.is_fresh(zone) {
            self.memory().doubt(zone);
        }
    }
}

/// One zone by its id.
pub(super) async fn get(client: &Client, zone: &ZoneId) -> Result<Zone, ProviderError> {
    let path = format!("/zones/{}", checked_id(&zone.0)?);
    let found: wire::Zone = client.result(Call::get("zones.get", path)).await?;
    if found.id != zone.0 {
        return Err(unexpected("the answer is about another zone"));
    }
    zone_of(found)
}

/// All zones, proven to be all: all at once, and if the account does not stand still, page after page.
async fn complete(client: &Client) -> Result<Vec<Zone>, ProviderError> {
    for _ in 0..LISTINGS {
        if let Some(zones) = at_once(client).await? {
            return usable(zones);
        }
    }
    match in_order(client).await? {
        Some(zones) => usable(zones),
        None => Err(unexpected(
            "the listing is incomplete, or changed while it was read",
        )),
    }
}

/// Several pages at a time; `None` unless they agree on how many zones there are, and are as many by their ids.
async fn at_once(client: &Client) -> Result<Option<Vec<wire::Zone>>, ProviderError> {
    let (first, total) = page(client, 1).await?;
    let pages = total.div_ceil(PAGE);
    if pages > PAGES_MAX {
        return Err(unexpected(TOO_MANY));
    }
    let rest: Vec<(Vec<wire::Zone>, u64)> = stream::iter(2..=pages)
        .map(|number| page(client, number))
        .buffer_unordered(PAGES_AT_ONCE)
        .try_collect()
        .await?;
    let still = rest.iter().all(|(_, count)| *count == total);
    let mut zones = distinct(first);
    for (more, _) in rest {
        zones.extend(distinct(more));
    }
    let all = u64::try_from(zones.len()).ok() == Some(total);
    Ok((still && all).then(|| zones.into_values().collect()))
}

/// One page after the other in the order of names. A zone that is made meanwhile moves others to later pages,
/// where they come again and none is lost; one that is deleted lowers the count, and then nothing is proven.
async fn in_order(client: &Client) -> Result<Option<Vec<wire::Zone>>, ProviderError> {
    let (mut zones, mut first, mut before) = (BTreeMap::new(), 0, 0);
    for number in 1..=PAGES_MAX {
        let (more, total) = page(client, number).await?;
        if number == 1 {
            first = total;
        }
        if total < before {
            return Ok(None);
        }
        before = total;
        zones.extend(distinct(more));
        if total <= number * PAGE {
            let all = u64::try_from(zones.len()).is_ok_and(|count| count >= first);
            return Ok(all.then(|| zones.into_values().collect()));
        }
    }
    Err(unexpected(TOO_MANY))
}

fn distinct(zones: Vec<wire::Zone>) -> BTreeMap<String, wire::Zone> {
    zones.into_iter().map(|zone| (zone.id.clone(), zone)).collect()
}

async fn page(client: &Client, number: u64) -> Result<(Vec<wire::Zone>, u64), ProviderError> {
    let call = Call::get("zones.list", "/zones")
        .query("per_page", PAGE)
        .query("page", number)
        .query("order", "name");
    let envelope = client.call::<Vec<wire::Zone>>(call).await?;
    let total = envelope.result_info.and_then(|info| info.total_count);
    match (envelope.result, total) {
        (Some(zones), Some(total)) => Ok((zones, total)),
        _ => Err(unexpected("the listing does not say how long it is")),
    }
}

/// The zones whose names can be names of ours.
fn usable(zones: Vec<wire::Zone>) -> Result<Vec<Zone>, ProviderError> {
    let named = zones.into_iter().filter(|zone| {
        let usable = name_of(zone).is_some();
        if !usable {
            tracing::debug!(
                id = zone.id,
                name = zone.name,
                "a zone with a name that no DnsZone can have"
            );
        }
        usable
    });
    named.map(zone_of).collect()
}

/// A zone in our words.
///
/// # Errors
/// `Unexpected` when its id or its name cannot be one.
pub(super) fn zone_of(zone: wire::Zone) -> Result<Zone, ProviderError> {
    checked_id(&zone.id).map_err(|error| error.as_kind(ErrorKind::Unexpected))?;
    let name = name_of(&zone).ok_or_else(|| unexpected("a zone has no name"))?;
    let servers = zone.name_servers.iter();
    Ok(Zone {
        name_servers: servers.filter_map(|server| server.parse().ok()).collect(),
        created: zone.created_on,
        ..bare(ZoneId(zone.id), name)
    })
}

/// A zone of which no more is known.
fn bare(id: ZoneId, name: Fqdn) -> Zone {
    Zone {
        id,
        name,
        // Pausing switches Cloudflare's proxy off and nothing else: the names are answered all the same.
        active: true,
        serial: None,
        soa: None,
        name_servers: Vec::new(),
        created: None,
    }
}

/// The zone's name in A-labels, in whatever form it came.
fn name_of(zone: &wire::Zone) -> Option<Fqdn> {
    if zone.name.is_ascii() {
        return zone.name.parse().ok();
    }
    // The URL parser knows IDNA, and a name alone is a host.
    let url = reqwest::Url::parse(&format!("https://{}/", zone.name)).ok()?;
    url.host_str()?.parse().ok()
}

fn is(zone: &wire::Zone, name: &Fqdn) -> bool {
    name_of(zone).is_some_and(|known| known == *name)
}

pub(super) fn unexpected(why: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unexpected, format!("zones.list: {why}"))
}

/// As [`Fqdn::is_within`], for names that are no host names.
fn is_within(name: &str, zone: &Fqdn) -> bool {
    let name = name.to_ascii_lowercase();
    let head = name.strip_suffix(zone.as_str());
    head.is_some_and(|head| head.is_empty() || head.ends_with('.'))
}
