//! Reading zones and their records, and waking the objects that differ.
//!
//! One list of zones tells of all zones that have a serial. Where the back-end tells none, the records of every zone of
//! an object are read, one call each, and so are those of the zones that hold the names of sites.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::compare::{Naming, covering, record_differs};
use super::findings::Obstacle;
use super::inventory::Tally;
use super::look::Site;
use super::{Sweeper, Swept};
use crate::api::{DnsZone, Provider};
use crate::controllers::connections::{Dns, RecordIndex, ZoneIndex};
use crate::controllers::dns_zone::settled::Settled;
use crate::controllers::runner::Kept;
use crate::domain::Fqdn;
use crate::domain::dns::RecordName;
use crate::providers::ErrorKind;
use crate::providers::dns_host::{Record, ZoneId};

/// Zones whose records are read at the same time: of four calls that a Provider allows by default, two are left to
/// passes.
const READS: usize = 2;
/// Of the calls per second that a Provider allows, sweeps over zones take one in so many: by default 2 of 20, half of
/// the 4 per second (1,200 in 5 minutes) at which Cloudflare falls silent for everybody.
const SHARE: u32 = 10;

/// A zone whose records are read.
#[derive(Debug, Default)]
struct Reading {
    /// The object that holds the zone.
    object: Option<Arc<Kept<DnsZone>>>,
    /// The object is settled, and the list shows the zone as it was left: its records are compared.
    compared: bool,
    /// Settled sites with their names in it.
    sites: Vec<Site>,
    /// Passes of sites share this read.
    shared: bool,
}

/// What a sweep compares with.
struct Basis {
    zones: Vec<Arc<Kept<DnsZone>>>,
    sites: Vec<Site>,
    domains: BTreeSet<Fqdn>,
    uids: BTreeSet<String>,
}

impl Sweeper {
    pub(super) async fn zones(&self, dns: &Dns, provider: &Provider) -> Swept {
        let basis = self.basis(dns);
        let list = match dns.zone_list.all(dns.dns.as_ref(), Duration::ZERO).await {
            Ok(list) => list,
            // A token for one zone need not see a list; without zones of ours nothing is lost.
            Err(error) if error.kind() == ErrorKind::Denied && basis.zones.is_empty() => Arc::default(),
            Err(error) => return Obstacle::unread("the list of zones", &error).into(),
        };
        let Some(compared) = self.compare_with(&list, &basis.zones, dns) else {
            return Obstacle::empty("zones").into();
        };
        let mut swept = Swept {
            tally: Some(Tally::default()),
            obstacle: None,
        };
        let mut readings = self.of_objects(&basis, &list, &compared);
        self.add_sites(dns, &list, &basis, &mut readings, &mut swept)
            .await;
        self.count_zones(&basis, &list, &mut swept);
        self.read_records(dns, provider, readings, basis.uids, &mut swept)
            .await;
        if swept.obstacle.is_some() {
            swept.tally = None;
        }
        swept
    }

    /// Wakes the settled zones that the list shows otherwise than they were left. UIDs of the others, or `None` when the
    /// list is empty although some shall stand in it.
    fn compare_with(
        &self,
        list: &ZoneIndex,
        zones: &[Arc<Kept<DnsZone>>],
        dns: &Dns,
    ) -> Option<BTreeSet<String>> {
        let mut compared = BTreeSet::new();
        for kept in zones {
            let Some((zone, settled)) = kept.open().and_then(|zone| {
                let settled = Settled::of(&zone, dns)?;
                Some((zone, settled))
            }) else {
                continue;
            };
            if list.is_empty() {
                return None;
            }
            match settled.is_as_left(dns.dns.abilities(), list.get(&settled.spec.name)) {
                true => drop(compared.insert(kept.uid().to_owned())),
                false => self.wake_zone(&zone, false),
            }
        }
        Some(compared)
    }

    fn basis(&self, dns: &Dns) -> Basis {
        let uids = self.roll.uids();
        let here = |kept: &Arc<Kept<DnsZone>>| kept.open().is_some_and(|zone| zone.spec.provider == dns.name);
        let zones = self.roll.zones().into_iter().filter(here).collect();
        // Only records that carry a mark can be a site's.
        let sites = match dns.dns.abilities().marks {
            true => self.settled_sites(&dns.name, |providers| &providers.dns),
            false => Vec::new(),
        };
        let mut domains: BTreeSet<Fqdn> = sites
            .iter()
            .map(|(_, settled)| settled.base_domain.clone())
            .collect();
        if dns.dns.abilities().marks {
            domains.extend(base_domains(self.plans.each(), &dns.name));
        }
        Basis {
            zones,
            sites,
            domains,
            uids,
        }
    }

    /// Zones of objects whose changes no serial tells.
    fn of_objects(
        &self,
        basis: &Basis,
        list: &ZoneIndex,
        compared: &BTreeSet<String>,
    ) -> BTreeMap<ZoneId, Reading> {
        let silent: BTreeMap<&str, &ZoneId> = list
            .values()
            .filter(|zone| zone.serial.is_none())
            .map(|zone| (zone.id.0.as_str(), &zone.id))
            .collect();
        let mut readings: BTreeMap<ZoneId, Reading> = BTreeMap::new();
        for kept in &basis.zones {
            let Some(id) = claimed(kept).and_then(|id| silent.get(id.as_str()).copied()) else {
                continue;
            };
            let reading = readings.entry(id.clone()).or_default();
            reading.compared = compared.contains(kept.uid());
            reading.object = Some(Arc::clone(kept));
        }
        readings
    }

    /// Zones that hold the names of sites. One that cannot be found wakes nobody: without it nothing can be repaired.
    async fn add_sites(
        &self,
        dns: &Dns,
        list: &ZoneIndex,
        basis: &Basis,
        readings: &mut BTreeMap<ZoneId, Reading>,
        swept: &mut Swept,
    ) {
        for domain in &basis.domains {
            let found = match (covering(list, domain), list.is_empty()) {
                (Some((_, zone)), _) => Ok(Some(zone.id.clone())),
                (None, true) => dns.zone_for(domain).await,
                (None, false) => Ok(None),
            };
            let here = |(_, settled): &&Site| settled.base_domain == *domain;
            let sites: Vec<Site> = basis.sites.iter().filter(here).cloned().collect();
            match found {
                Ok(Some(id)) => {
                    let reading = readings.entry(id).or_default();
                    reading.shared = true;
                    reading.sites.extend(sites);
                }
                // A Plan that nobody uses may name anything.
                _ if sites.is_empty() => {}
                Ok(None) => {
                    let what = format!("zones: none of them holds {domain}");
                    swept.obstacle.get_or_insert(Obstacle::empty(&what));
                }
                Err(error) => {
                    let what = format!("the zone of {domain}");
                    swept.obstacle.get_or_insert(Obstacle::unread(&what, &error));
                }
            }
        }
    }

    fn count_zones(&self, basis: &Basis, list: &ZoneIndex, swept: &mut Swept) {
        let claimed: BTreeSet<String> = basis.zones.iter().filter_map(|kept| claimed(kept)).collect();
        for zone in list.values() {
            if let Some(tally) = &mut swept.tally {
                tally.take_zone(claimed.contains(&zone.id.0));
            }
        }
    }

    async fn read_records(
        &self,
        dns: &Dns,
        provider: &Provider,
        readings: BTreeMap<ZoneId, Reading>,
        before: BTreeSet<String>,
        swept: &mut Swept,
    ) {
        let limit = u32::try_from(provider.spec.limits.requests_per_second).unwrap_or(1) / SHARE;
        let quota = Quota::per_second(NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN));
        let turn: DefaultDirectRateLimiter = RateLimiter::direct(quota);
        let turn = &turn;
        let owners = self.owners(before.clone());
        let reads = futures::stream::iter(readings).map(|(id, reading)| async move {
            turn.until_ready().await;
            let records = match reading.shared {
                true => dns.records(&id, Duration::ZERO).await,
                // Nobody else asks for these, and thousands of them are not kept.
                false => dns.read_records(&id).await.map(Arc::new),
            };
            (id, reading, records)
        });
        let mut reads = std::pin::pin!(reads.buffer_unordered(READS));
        while let Some((id, reading, records)) = reads.next().await {
            let compared = match records {
                Ok(records) => self.records(dns, &id, &reading, &records).await.map(|()| records),
                Err(error) => Err(Obstacle::unread(&reading.words(&id), &error)),
            };
            match compared {
                Ok(records) => {
                    if let Some(tally) = &mut swept.tally {
                        tally.take_records(&owners, &id, &records);
                    }
                }
                Err(obstacle) => drop(swept.obstacle.get_or_insert(obstacle)),
            }
        }
        if let Some(tally) = &mut swept.tally {
            // Reading took its time, and objects were made meanwhile.
            tally.judge_again(&self.owners(before));
        }
    }

    /// Compares the records of one zone.
    async fn records(
        &self,
        dns: &Dns,
        id: &ZoneId,
        reading: &Reading,
        records: &RecordIndex,
    ) -> Result<(), Obstacle> {
        let all: Vec<Record> = match reading.object {
            Some(_) => records.values().flatten().cloned().collect(),
            None => Vec::new(),
        };
        let object = reading.object.as_ref().filter(|_| reading.compared);
        let object = object.and_then(|kept| kept.open());
        let drifted = object.filter(|zone| self.zone_kind.has_drifted(zone, &all));
        let addresses = self.addresses(&reading.sites);
        let naming = Naming {
            ttl: dns.ttl,
            proxied: dns.proxied,
        };
        let unnamed: Vec<&Site> = reading
            .sites
            .iter()
            .filter(|(_, site)| {
                let address = addresses.get(&site.providers.proxy);
                address.is_some_and(|address| record_differs(site, naming, *address, records))
            })
            .collect();
        if records.is_empty() {
            let of_site = unnamed
                .first()
                .map(|(_, site)| RecordName::from(&site.reservation.host));
            let name = of_site.or_else(|| self.zone_kind.wanted_name(drifted.as_ref()?));
            // One record that was deleted may have been the only one. An empty list is believed when a question for
            // one name says the same.
            if let Some(name) = name {
                let there = dns.dns.records_of(id, &name).await;
                let there = there.map_err(|error| Obstacle::unread(&reading.words(id), &error))?;
                if !there.is_empty() {
                    return Err(Obstacle::empty(&reading.words(id)));
                }
            }
        }
        for (site, _) in unnamed {
            self.wake_site(site, "record");
        }
        if let Some(zone) = drifted {
            self.wake_zone(&zone, true);
        }
        Ok(())
    }

    /// Where sites' names shall lead, by their proxies.
    fn addresses(&self, sites: &[Site]) -> BTreeMap<String, Ipv4Addr> {
        let names: BTreeSet<&String> = sites.iter().map(|(_, site)| &site.providers.proxy).collect();
        let address = |name: &String| {
            let proxy = self.connections.of(name).ok()?.proxy(name).ok()?;
            Some((name.clone(), proxy.public_address))
        };
        names.into_iter().filter_map(address).collect()
    }

    /// Wakes a zone, unless its object was changed while the back-end was read.
    fn wake_zone(&self, zone: &Arc<DnsZone>, closely: bool) {
        let reference = ObjectRef::from_obj(zone.as_ref());
        let known = self.roll.zone(&reference);
        if known.is_none_or(|known| known.resource_version() != zone.resource_version()) {
            return;
        }
        tracing::info!(
            namespace = zone.namespace().unwrap_or_default(),
            name = zone.name_any(),
            part = if closely { "records" } else { "zone" },
            "a sweep found something different"
        );
        let uid = zone.uid().unwrap_or_default();
        match closely {
            // Its own look at bulk reads sees the zone only.
            true => self.zone_poker.poke_closely(&reference, &uid),
            false => self.zone_poker.poke(&reference, &uid),
        }
    }
}

/// Id of the zone that an object holds.
fn claimed(zone: &Kept<DnsZone>) -> Option<String> {
    zone.open()?.status.as_ref()?.zone_id.clone()
}

impl Reading {
    /// The list of records, for messages.
    fn words(&self, id: &ZoneId) -> String {
        match self.object.as_ref().and_then(|kept| kept.open()) {
            Some(zone) => format!("records of the zone {}", zone.spec.zone),
            None => format!("records of the zone with id {}", id.0),
        }
    }
}

/// Domains below which Plans put the names of sites at a DNS host.
pub fn base_domains(plans: impl Iterator<Item = Arc<crate::api::Plan>>, provider: &str) -> BTreeSet<Fqdn> {
    let of = |plan: &Arc<crate::api::Plan>| {
        let plan = plan.spec.wordpress.as_ref()?;
        (plan.dns == provider).then(|| plan.base_domain.parse().ok())?
    };
    plans.filter_map(|plan| of(&plan)).collect()
}
