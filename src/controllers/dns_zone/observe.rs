//! Reading: what is still unknown and needed, and never a write.

use std::time::Duration;

use super::resolve::Resolved;
use super::settled::{as_left, is_settled};
use super::zone::{Observed, Proofs, Steady, Terms};
use super::{ZoneKind, ZoneSubject};
use crate::api::{DeletionPolicy, DnsZoneStatus};
use crate::controllers::connections::Dns;
use crate::controllers::fact::Fact;
use crate::providers::ProviderError;
use crate::providers::dns_host::Zone;

/// Age of a list that is good enough for a settled zone: a wave of triggers shares one read.
const STEADY_AGE: Duration = Duration::from_secs(20);
/// Age of a list that is good enough for a zone that is to be made: the back-end decides when it is made.
const CHOICE_AGE: Duration = Duration::from_secs(30);

impl ZoneKind {
    /// Fills in what is unread and needed.
    pub(super) async fn look(&self, subject: &ZoneSubject, mut known: Observed) -> Observed {
        let spec = &subject.object.spec;
        if subject.deleting && spec.deletion_policy == DeletionPolicy::Retain {
            return known;
        }
        let Resolved { terms, dns } = match self.resolve(subject) {
            Ok(resolved) => resolved,
            Err(refusal) => {
                known.refusal = Some(refusal);
                return known;
            }
        };
        known.rival = self.claims.rival(&subject.uid());
        if known.rival.is_none() || subject.deleting {
            if !subject.deleting && !subject.precise && is_settled(&subject.status, &terms) {
                let steady = steady(&subject.status, &terms, &dns).await;
                if terms.verify && matches!(steady, Steady::Agrees) {
                    let expected = terms.servers_known(&subject.status);
                    known.delegation = Some(dns.delegation.delegation(&terms.spec.name, &expected).await);
                }
                known.steady = Some(steady);
            } else {
                self.look_outside(subject, &terms, &dns, &mut known).await;
            }
        }
        known.terms = Some(terms);
        known
    }

    async fn look_outside(&self, subject: &ZoneSubject, terms: &Terms, dns: &Dns, known: &mut Observed) {
        let status = &subject.status;
        known.proofs.get_or_insert_with(|| Proofs::of(status));
        let had_records = !known.records.is_unread();
        if known.zone.is_unread() {
            known.zone = find(subject, terms, dns, known.changed).await.into();
        }
        let Fact::Known(Some(zone)) = &known.zone else {
            return;
        };
        let ours = terms.origin_of(zone, status).is_some();
        let untouched = terms.suspended && !subject.deleting;
        if known.records.is_unread() && ours && !untouched {
            known.records = dns.dns.records(&zone.id).await.into();
        }
        // Who answers for the zone is of interest only when there is something to answer.
        if had_records && terms.verify && !subject.deleting && known.delegation.is_none() {
            let expected = terms.servers(zone).iter().cloned().collect();
            if subject.precise {
                dns.delegation.forget(&terms.spec.name);
            }
            known.delegation = Some(dns.delegation.delegation(&terms.spec.name, &expected).await);
        }
    }
}

/// The zone as it is. A list that many share is enough for one that was never made; what we changed or are about to
/// let go is looked at by itself.
async fn find(
    subject: &ZoneSubject,
    terms: &Terms,
    dns: &Dns,
    changed: bool,
) -> Result<Option<Zone>, ProviderError> {
    let host = dns.dns.as_ref();
    let name = &terms.spec.name;
    // Where nothing in a zone tells whose it is, an intent to make it must rest on a look of its own.
    if changed || subject.precise || !terms.abilities.marks {
        return host.zone(name).await;
    }
    match dns.zone_list.find(host, name, CHOICE_AGE).await? {
        None if subject.deleting => host.zone(name).await,
        found => Ok(found),
    }
}

async fn steady(status: &DnsZoneStatus, terms: &Terms, dns: &Dns) -> Steady {
    let zones = match dns.zone_list.all(dns.dns.as_ref(), STEADY_AGE).await {
        Ok(zones) => zones,
        Err(error) => return Steady::Unknown(error),
    };
    match zones.get(&terms.spec.name) {
        Some(zone) if as_left(status, &terms.spec, terms.abilities, zone) => Steady::Agrees,
        _ => Steady::Differs,
    }
}
