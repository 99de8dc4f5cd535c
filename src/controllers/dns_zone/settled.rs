//! Whether a settled zone is as bulk reads show the world. Pure but for the look into the caches; a zone's own look and
//! the sweep ask the same.

use std::sync::Arc;

use super::zone::Terms;
use super::{ZoneKind, ZoneSubject, plan, resolve};
use crate::api::condition::{is_true, kinds};
use crate::api::{DnsZone, DnsZoneStatus, is_paused};
use crate::controllers::connections::Dns;
use crate::domain::dns::{RecordName, zone_name};
use crate::providers::dns_host::{DnsAbilities, Record, Zone, ZoneSpec};

/// A zone that was as it shall be when it was last looked at.
#[derive(Debug, Clone)]
pub struct Settled {
    /// What is known of it.
    pub status: DnsZoneStatus,
    /// What it shall be.
    pub spec: ZoneSpec,
}

impl Settled {
    /// `None` while anything is being done about the zone, or nothing may be: its own passes look after it.
    pub fn of(zone: &DnsZone, dns: &Dns) -> Option<Self> {
        let status = zone.status.as_ref()?;
        let known = status.observed_generation == zone.metadata.generation;
        if zone.metadata.deletion_timestamp.is_some() || is_paused(zone) || !known || zone.spec.suspended {
            return None;
        }
        let name = zone_name(&zone.spec.zone).ok()?;
        (is_good(status) && status.records_digest.is_some()).then_some(())?;
        Some(Self {
            status: status.clone(),
            spec: resolve::zone_spec(&zone.spec, dns, name).ok()?,
        })
    }

    /// Whether the zone stands in a list as it was left.
    pub fn is_as_left(&self, abilities: DnsAbilities, listed: Option<&Zone>) -> bool {
        listed.is_some_and(|zone| as_left(&self.status, &self.spec, abilities, zone))
    }
}

impl ZoneKind {
    /// Whether the records of a settled zone are not as they were left. `false` for one that is not settled: what it
    /// shall be was changed, or cannot be told.
    pub fn has_drifted(&self, zone: &Arc<DnsZone>, records: &[Record]) -> bool {
        let status = zone.status.clone().unwrap_or_default();
        let terms = self.terms_of(zone);
        terms.is_some_and(|terms| is_settled(&status, &terms) && plan::has_drifted(&terms, &status, records))
    }

    /// The name of one record that shall be in a zone.
    pub fn wanted_name(&self, zone: &Arc<DnsZone>) -> Option<RecordName> {
        let terms = self.terms_of(zone)?;
        terms.wanted.first().map(|wanted| wanted.spec.name.clone())
    }

    fn terms_of(&self, zone: &Arc<DnsZone>) -> Option<Terms> {
        let subject = ZoneSubject {
            object: Arc::clone(zone),
            status: DnsZoneStatus::default(),
            deleting: false,
            precise: false,
        };
        self.resolve(&subject).ok().map(|resolved| resolved.terms)
    }
}

/// Zone and records are as they shall be. Who answers for the zone is none of our doing.
fn is_good(status: &DnsZoneStatus) -> bool {
    let needed = [kinds::ZONE_READY, kinds::RECORDS_IN_SYNC, kinds::SYNCED];
    needed.iter().all(|kind| is_true(&status.conditions, kind))
}

/// Whether bulk reads can tell that nothing is to be done.
pub(super) fn is_settled(status: &DnsZoneStatus, terms: &Terms) -> bool {
    is_good(status) && status.records_digest.as_ref() == Some(&terms.digest) && !terms.suspended
}

/// Whether a zone in a list is as we left it. Where there is a serial, it tells of changes to records too.
pub(super) fn as_left(status: &DnsZoneStatus, spec: &ZoneSpec, abilities: DnsAbilities, zone: &Zone) -> bool {
    let soa = zone.soa.as_ref().is_none_or(|soa| *soa == spec.soa);
    status.zone_id.as_deref() == Some(&zone.id.0)
        && (zone.active == spec.active || !abilities.suspends)
        && (soa || !abilities.authority)
        && zone.serial.map(i64::from) == status.serial
}
