//! `DnsZone`: a customer's zone with its records, kept as declared.
//!
//! `resolve` finds what the object refers to, `observe` reads, `plan` and `remove` decide with `diff` (pure), `act`
//! does, `report` writes the status (pure). `zone` and `verdict` are the words they share; `claims` knows whose a zone
//! is.

mod act;
pub mod claims;
mod diff;
mod foretell;
mod observe;
mod plan;
mod remove;
mod report;
mod resolve;
pub mod settled;
#[cfg(test)]
mod tests;
mod verdict;
mod zone;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::connections::Connections;
use super::runner::{Acted, Kind, Outcome, Plan, Poker, Subject};
use crate::api::{DnsZone, DnsZoneStatus, Plan as PlanObject};
use crate::controllers::runner::Cache;
use crate::domain::ClusterId;
use crate::domain::dns::zone_name;
use crate::providers::ProviderError;
use crate::runtime::metrics::Kind as MetricKind;

pub use resolve::typed;

use claims::{Claim, Claims};
use verdict::Verdict;
use zone::{Action, Done, Observed};

type ZoneSubject = Subject<ZoneKind>;

/// Everything that passes of zones share.
pub struct ZoneKind {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// Plans.
    pub plans: Cache<PlanObject>,
    /// Zones.
    pub zones: Cache<DnsZone>,
    /// Back-ends.
    pub connections: Arc<Connections>,
    /// Whose a zone is.
    pub claims: Arc<Claims>,
    /// Wakes zones.
    pub poker: Poker<DnsZone>,
}

impl fmt::Debug for ZoneKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZoneKind")
    }
}

#[async_trait]
impl Kind for ZoneKind {
    type Object = DnsZone;
    type Status = DnsZoneStatus;
    type Observed = Observed;
    type Action = Action;
    type Verdict = Verdict;
    type Done = Done;

    const KIND: MetricKind = MetricKind::DnsZone;
    const FINALIZES: bool = true;

    fn status(object: &DnsZone) -> DnsZoneStatus {
        object.status.clone().unwrap_or_default()
    }

    fn conditions(status: &DnsZoneStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut DnsZoneStatus, conditions: Vec<Condition>) {
        status.conditions = conditions;
    }

    fn must_be_stored(old: &DnsZoneStatus, new: &DnsZoneStatus) -> bool {
        let proofs = |status: &DnsZoneStatus| (status.owned.clone(), status.creating.clone());
        old.zone_id != new.zone_id || old.origin != new.origin || proofs(old) != proofs(new)
    }

    async fn observe(&self, subject: &ZoneSubject, known: Observed) -> Observed {
        self.look(subject, known).await
    }

    fn plan(&self, subject: &ZoneSubject, observed: &Observed, _: Timestamp) -> Plan<Action, Verdict> {
        match subject.deleting {
            true => remove::gone(&subject.status, subject.object.spec.deletion_policy, observed),
            false => plan::live(&subject.status, observed),
        }
    }

    async fn act(&self, subject: &ZoneSubject, action: &Action) -> Result<Outcome<Done>, ProviderError> {
        self.perform(subject, action).await
    }

    fn repair(action: &Action) -> Option<String> {
        act::repair(action)
    }

    fn absorb(&self, observed: Observed, done: &Done) -> Observed {
        act::absorb(observed, done)
    }

    fn report(
        &self,
        subject: &ZoneSubject,
        verdict: &Verdict,
        outcomes: &[Acted<'_, Self>],
        now: Timestamp,
    ) -> DnsZoneStatus {
        report::status(subject, verdict, outcomes, now)
    }

    fn seen(&self, zone: &DnsZone) {
        let (Some(uid), Some(claim)) = (zone.uid(), claim(zone)) else {
            return;
        };
        let name = claim.zone.clone();
        if self.claims.enter(&uid, claim) {
            // Leave for zones below may have been given or taken.
            self.poke_all(
                self.claims
                    .related(&name)
                    .into_iter()
                    .filter(|other| *other != uid),
            );
        }
    }

    fn after(&self, _: &ZoneSubject) {}

    fn gone(&self, zone: &DnsZone) {
        let waiting = self.claims.forget(&zone.uid().unwrap_or_default());
        self.poke_all(waiting.into_iter());
    }
}

impl ZoneKind {
    fn poke_all(&self, uids: impl Iterator<Item = String>) {
        self.poker.poke_uids(&self.zones, &uids.collect());
    }
}

/// What the index knows of an object; `None` for a name that is none, which its own pass refuses.
fn claim(zone: &DnsZone) -> Option<Claim> {
    let status = zone.status.as_ref();
    Some(Claim {
        zone: zone_name(&zone.spec.zone).ok()?,
        namespace: zone.namespace().unwrap_or_default(),
        name: zone.name_any(),
        created_at: zone.creation_timestamp().map(|time| time.0),
        holds: status.is_some_and(|status| status.zone_id.is_some() || status.origin.is_some()),
        allowed_children: zone.spec.allowed_child_namespaces.clone(),
    })
}
