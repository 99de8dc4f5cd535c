//! A zone as data: what it shall be, what is known of it, what can be done about it. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::claims::Rival;
use crate::api::{DnsZoneStatus, ZoneOrigin};
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::domain::dns::{RecordRefusal, RecordSpec};
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::ProviderError;
use crate::providers::delegation::Delegation;
use crate::providers::dns_host::{DnsAbilities, Record, RecordChange, Zone, ZoneId, ZoneSpec};

/// Seconds by which the clock of a back-end may be behind the API server's when it says that a zone was made after
/// its object.
const CLOCK_TOLERANCE: i64 = 5;

/// A record that shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its place in spec.records; `None` for defaults and the zone's own name servers.
    pub index: Option<usize>,
    /// What it shall be.
    pub spec: RecordSpec,
}

/// A record of the object's spec that cannot be made, whatever the zone has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its place in spec.records.
    pub index: usize,
    /// Why.
    pub refusal: RecordRefusal,
}

/// Everything that the planner needs to know about what a zone shall be.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Mark of the object.
    pub owner: OwnerMark,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the Provider.
    pub provider: String,
    /// The zone's name as people write it.
    pub shown: String,
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// The zone.
    pub spec: ZoneSpec,
    /// Its records, in the order of the spec; defaults last.
    pub wanted: Vec<Wanted>,
    /// Records that break a rule.
    pub refused: Vec<Refused>,
    /// Records in the spec, and how many there may be.
    pub quota: (usize, Option<usize>),
    /// What the back-end can do.
    pub abilities: DnsAbilities,
    /// The hoster's name servers; empty where the back-end assigns some to each zone.
    pub name_servers: Vec<Fqdn>,
    /// Check the delegation.
    pub verify: bool,
    /// The zone's answering shall stop.
    pub suspended: bool,
    /// The annotation asks to take the zone over.
    pub adopt: bool,
    /// Digest of everything that the records shall be.
    pub digest: String,
}

impl Terms {
    /// Name servers that shall answer for a zone, in order.
    pub fn servers<'a>(&'a self, zone: &'a Zone) -> &'a [Fqdn] {
        match self.name_servers.is_empty() {
            true => &zone.name_servers,
            false => &self.name_servers,
        }
    }

    /// The same as far as the status knows them.
    pub fn servers_known(&self, status: &DnsZoneStatus) -> BTreeSet<Fqdn> {
        let stored = status.nameservers.iter().flat_map(|servers| &servers.expected);
        match self.name_servers.is_empty() {
            true => stored.filter_map(|name| name.parse().ok()).collect(),
            false => self.name_servers.iter().cloned().collect(),
        }
    }

    /// Whether a zone that was found is the object's or is to become so, and how it came to it. `None` is somebody
    /// else's.
    pub fn origin_of(&self, zone: &Zone, status: &DnsZoneStatus) -> Option<ZoneOrigin> {
        self.made(zone, status)
            .or(self.adopt.then_some(ZoneOrigin::Adopted))
    }

    /// Whether a zone that was found is the object's already, and how it came to it.
    pub fn made(&self, zone: &Zone, status: &DnsZoneStatus) -> Option<ZoneOrigin> {
        let known = status.zone_id.as_deref() == Some(&zone.id.0);
        match status.origin {
            Some(origin @ (ZoneOrigin::Created | ZoneOrigin::Adopted)) if known => return Some(origin),
            // It was absent when the intent was stored.
            Some(ZoneOrigin::Creating) => return Some(ZoneOrigin::Created),
            _ => {}
        }
        // The answer to the creation was lost: no object but this one may make the zone, so that one which is
        // younger than the object is its own.
        let own = zone
            .created
            .zip(self.created_at)
            .is_some_and(|(made, asked)| made.as_second() + CLOCK_TOLERANCE >= asked.as_second());
        own.then_some(ZoneOrigin::Created)
    }
}

/// Records that are the object's although no mark in them says so, as the status keeps them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs {
    /// Digest by the back-end's id.
    pub owned: BTreeMap<String, String>,
    /// Digests of what is about to be made.
    pub creating: BTreeSet<String>,
}

impl Proofs {
    /// As stored.
    pub fn of(status: &DnsZoneStatus) -> Self {
        let owned = status.owned.iter().filter_map(|entry| {
            let (id, digest) = entry.rsplit_once(':')?;
            Some((id.to_owned(), digest.to_owned()))
        });
        Self {
            owned: owned.collect(),
            creating: status.creating.iter().cloned().collect(),
        }
    }

    /// Puts them into a status.
    pub fn store(&self, status: &mut DnsZoneStatus) {
        let owned = self.owned.iter().map(|(id, digest)| format!("{id}:{digest}"));
        status.owned = owned.collect();
        status.creating = self.creating.iter().cloned().collect();
    }

    /// Whether a record that carries no mark is proven to be ours: its id was stored and it says what we know it to
    /// say, or it appeared after the intent to make just that was stored.
    pub fn prove(&self, record: &Record) -> bool {
        let digest = record.spec.digest();
        record.mark.is_none()
            && (self.owned.get(&record.id.0) == Some(&digest) || self.creating.contains(&digest))
    }
}

/// What a look with bulk reads said about a settled zone.
#[derive(Debug, Clone)]
pub enum Steady {
    /// Everything is as it was left.
    Agrees,
    /// Something differs; precise reads must tell.
    Differs,
    /// A bulk read failed.
    Unknown(ProviderError),
}

/// Everything that is known of a zone in one pass.
#[derive(Debug, Default)]
pub struct Observed {
    /// Why nothing can be done.
    pub refusal: Option<Refusal>,
    /// What it shall be.
    pub terms: Option<Terms>,
    /// Who stands in the way.
    pub rival: Option<Rival>,
    /// Result of a look with bulk reads.
    pub steady: Option<Steady>,
    /// The zone.
    pub zone: Fact<Option<Zone>>,
    /// Its records as the back-end shows them.
    pub records: Fact<Vec<Record>>,
    /// Records of ours without a mark, as far as this pass knows.
    pub proofs: Option<Proofs>,
    /// Changes that a back-end refused in this pass, by the place of the wanted record.
    pub failed: BTreeMap<Option<usize>, ProviderError>,
    /// Something was changed outside in this pass.
    pub changed: bool,
    /// Who answers for the zone.
    pub delegation: Option<Delegation>,
}

/// One change outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Make the zone.
    CreateZone(ZoneSpec),
    /// Bring the zone itself to this.
    UpdateZone(ZoneId, ZoneSpec),
    /// Change records; each with the place of the wanted record that it is for.
    Change(ZoneId, Vec<(RecordChange, Option<usize>)>),
    /// Remove the zone.
    DeleteZone(ZoneId),
}

/// What an action brought.
#[derive(Debug)]
pub enum Done {
    /// The zone was made, and is empty.
    Created(Zone),
    /// There was a zone of that name already.
    Found(Zone),
    /// The zone was changed.
    Updated(Zone),
    /// The outcome of each change, in their order.
    Changed(Vec<ChangeOutcome>),
    /// The zone is gone.
    Deleted,
}

/// A change and what came of it.
#[derive(Debug)]
pub struct ChangeOutcome {
    /// The change.
    pub change: RecordChange,
    /// Place of the wanted record.
    pub index: Option<usize>,
    /// The record after it, or why not.
    pub result: Result<Option<Record>, ProviderError>,
}
