//! What to do for a zone that shall exist. Pure and total.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::Rival;
use super::diff::{Diff, diff, is_equal};
use super::verdict::Verdict;
use super::zone::{Action, Observed, Proofs, Steady, Terms};
use crate::api::condition::{State, kinds, reasons};
use crate::api::{DnsZoneStatus, ZoneOrigin};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::{Block, reason_of};
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::domain::Fqdn;
use crate::providers::delegation::Delegation;
use crate::providers::dns_host::{Record, RecordChange, RecordSpec, Zone};
use crate::providers::{ErrorKind, ProviderError};

/// A plan for a zone.
pub type ZonePlan = Plan<Action, Verdict>;

/// Another round at once.
pub(super) const AGAIN: Next = Next::Again { persist: false };
/// Another round when the status is stored.
pub(super) const STORED_FIRST: Next = Next::Again { persist: true };

/// Changes of one action where each is a call of its own: 120 s, the deadline of an action, leave 300 ms for each, and
/// 3,500 records that go while 3,500 others come are 18 of the 24 rounds of a pass.
const CHANGES_AT_ONCE: usize = 400;

/// The plan for a zone that shall exist.
pub fn live(status: &DnsZoneStatus, observed: &Observed) -> ZonePlan {
    let mut verdict = Verdict::of(status);
    if let Some(refusal) = &observed.refusal {
        return blocked(verdict, refusal.reason, refusal.message.clone(), true);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    verdict.quota = Some(terms.quota);
    if let Some(rival) = &observed.rival {
        return blocked(verdict, reasons::CONFLICT, words_of(rival, terms), false);
    }
    if !terms.verify {
        verdict
            .parts
            .retain(|part| part.kind != kinds::NAMESERVERS_VERIFIED);
    }
    match &observed.steady {
        Some(Steady::Agrees) => {
            verdict.unchanged = true;
            let next = match &observed.delegation {
                Some(delegation) => verified(&mut verdict, terms, terms.servers_known(status), delegation),
                None => Next::Settled,
            };
            return wait(verdict, next);
        }
        Some(Steady::Differs) => {
            verdict.unchanged = true;
            return wait(verdict, Next::Closer);
        }
        Some(Steady::Unknown(error)) => {
            verdict.unchanged = true;
            return wait(verdict, after_failure(error));
        }
        None => {}
    }
    verdict.know(observed);
    match &observed.zone {
        Fact::Unread => wait(verdict, AGAIN),
        Fact::Unknown(error) => failed(verdict, kinds::ZONE_READY, error),
        Fact::Known(None) => absent(verdict, terms, status),
        Fact::Known(Some(zone)) => present(verdict, terms, status, zone, observed),
    }
}

pub(super) fn wait(verdict: Verdict, next: Next) -> ZonePlan {
    Plan {
        actions: Vec::new(),
        next,
        verdict,
    }
}

pub(super) fn act(verdict: Verdict, action: Action, next: Next) -> ZonePlan {
    Plan {
        actions: vec![action],
        next,
        verdict,
    }
}

pub(super) fn blocked(
    mut verdict: Verdict,
    reason: &'static str,
    message: String,
    keeps_ready: bool,
) -> ZonePlan {
    verdict.block = Some(Block {
        reason,
        message,
        keeps_ready,
    });
    wait(verdict, Next::Settled)
}

pub(super) fn failed(mut verdict: Verdict, kind: &'static str, error: &ProviderError) -> ZonePlan {
    verdict.failed(kind, error);
    wait(verdict, after_failure(error))
}

fn words_of(rival: &Rival, terms: &Terms) -> String {
    let zone = &terms.spec.name;
    match rival {
        // Other customers' namespaces are nobody's business.
        Rival::Same(claim) => format!(
            "{zone} belongs to {}, which came first; nothing is done for this object until that one is deleted.",
            claim.title_for(&terms.namespace)
        ),
        Rival::Parent(claim) => format!(
            "{zone} stands below {}, a zone of another namespace, which does not allow it; its owner may add namespace {} to allowedChildNamespaces there.",
            claim.zone, terms.namespace
        ),
        Rival::Child(claim) => format!(
            "{}, a zone below {zone}, is in another namespace and came first; allow that namespace in allowedChildNamespaces.",
            claim.zone
        ),
    }
}

/// There is no such zone: make it. Where nothing tells later whose it is, the intent is stored before.
fn absent(mut verdict: Verdict, terms: &Terms, status: &DnsZoneStatus) -> ZonePlan {
    let words = match status.zone_id.is_some() {
        true => format!(
            "{} is gone at Provider {}; it is made again.",
            terms.spec.name, terms.provider
        ),
        false => format!(
            "{} is being made at Provider {}.",
            terms.spec.name, terms.provider
        ),
    };
    verdict.working(kinds::ZONE_READY, reasons::PROVISIONING, words);
    // Nothing of the former zone's records is left.
    verdict.proofs = Proofs::default();
    if !terms.abilities.marks && status.origin != Some(ZoneOrigin::Creating) {
        verdict.origin = Some(ZoneOrigin::Creating);
        return wait(verdict, STORED_FIRST);
    }
    act(verdict, Action::CreateZone(terms.spec.clone()), AGAIN)
}

fn present(
    mut verdict: Verdict,
    terms: &Terms,
    status: &DnsZoneStatus,
    zone: &Zone,
    observed: &Observed,
) -> ZonePlan {
    let Some(origin) = terms.origin_of(zone, status) else {
        let message = format!(
            "{name} exists at Provider {} and was not made for this object; nothing is touched. To take it over, set the annotation hostwright.dev/adopt: {name} (`hostwright import dnszone` prints a manifest of what is there).",
            terms.provider,
            name = terms.spec.name,
        );
        return blocked(verdict, reasons::CONFLICT, message, false);
    };
    verdict.origin = Some(origin);
    verdict.zone = Some(zone.clone());
    let servers = terms.servers(zone).iter().map(ToString::to_string);
    verdict.nameservers.expected = Some(servers.collect());
    if differs(terms, zone) {
        let message = format!("{} is being brought to its settings.", terms.spec.name);
        verdict.working(kinds::ZONE_READY, reasons::PROVISIONING, message);
        return act(
            verdict,
            Action::UpdateZone(zone.id.clone(), terms.spec.clone()),
            AGAIN,
        );
    }
    if terms.suspended {
        return suspended(verdict, terms, status);
    }
    let message = format!("{} exists at Provider {}.", terms.spec.name, terms.provider);
    verdict.good(kinds::ZONE_READY, message);
    match &observed.records {
        Fact::Unread => wait(verdict, AGAIN),
        Fact::Unknown(error) => failed(verdict, kinds::RECORDS_IN_SYNC, error),
        Fact::Known(records) => sync(verdict, terms, status, zone, records, observed),
    }
}

/// Whether the zone itself must be changed, as far as the back-end can.
fn differs(terms: &Terms, zone: &Zone) -> bool {
    let activity = terms.abilities.suspends && zone.active != terms.spec.active;
    let authority = terms.abilities.authority && zone.soa.as_ref().is_some_and(|soa| *soa != terms.spec.soa);
    activity || authority
}

fn suspended(mut verdict: Verdict, terms: &Terms, status: &DnsZoneStatus) -> ZonePlan {
    let message = match terms.abilities.suspends {
        true => format!(
            "{} is suspended: its names are not answered, its records are kept.",
            terms.spec.name
        ),
        false => format!(
            "{} is suspended, but Provider {} cannot stop answering for a zone; it is left as it is.",
            terms.spec.name, terms.provider
        ),
    };
    verdict.working(kinds::ZONE_READY, reasons::SUSPENDED, message.clone());
    let records = "Left as they are while the zone is suspended.";
    verdict.set(
        kinds::RECORDS_IN_SYNC,
        State::Unknown,
        reasons::SUSPENDED,
        records,
    );
    verdict.foreign = status
        .foreign_records
        .and_then(|count| usize::try_from(count).ok());
    wait(verdict, Next::Settled)
}

/// The zone is ours and as it shall be: its records.
fn sync(
    mut verdict: Verdict,
    terms: &Terms,
    status: &DnsZoneStatus,
    zone: &Zone,
    records: &[Record],
    observed: &Observed,
) -> ZonePlan {
    let Diff {
        changes,
        conflicts,
        foreign,
        ..
    } = compared(&mut verdict, terms, records);
    verdict.foreign = Some(foreign);
    verdict.errors = super::report::errors(terms, &conflicts, &observed.failed);
    // What a back-end refused a moment ago is not tried twice in one pass.
    let changes: Vec<_> = changes
        .into_iter()
        .map(|(change, index)| (change, index.flatten()))
        .filter(|(_, index)| !observed.failed.contains_key(index))
        .collect();
    if !changes.is_empty() {
        return change(verdict, terms, status, zone, changes);
    }
    if !observed.failed.values().any(may_have_happened) {
        verdict.proofs.creating = BTreeSet::new();
    }
    in_sync(verdict, terms, zone, observed)
}

/// What has to change in the zone's records, by what the verdict proves ours.
fn compared(verdict: &mut Verdict, terms: &Terms, records: &[Record]) -> Diff<Option<usize>> {
    let mut seen = records.to_vec();
    adopt(verdict, terms, &mut seen);
    let wanted: Vec<_> = terms
        .wanted
        .iter()
        .map(|wanted| (wanted.index, wanted.spec.clone()))
        .collect();
    diff(&wanted, &seen, |record: &Record| {
        record.mark.as_ref() == Some(&terms.owner)
    })
}

/// Whether the records of a settled zone are not as they were left: one that shall be is missing or different, or
/// there is one too many, of ours or of others.
pub(super) fn has_drifted(terms: &Terms, status: &DnsZoneStatus, records: &[Record]) -> bool {
    let mut verdict = Verdict::of(status);
    verdict.proofs = Proofs::of(status);
    verdict.origin = status.origin;
    let diff = compared(&mut verdict, terms, records);
    // What stands in the way of a default record is no error, and was seen before.
    let in_the_way = diff.conflicts.iter().any(|(index, _)| index.is_some());
    let foreign = status
        .foreign_records
        .and_then(|count| usize::try_from(count).ok());
    !diff.changes.is_empty() || in_the_way || foreign.unwrap_or_default() != diff.foreign
}

/// Whether a failed change may have had its effect all the same. A refusal has none.
fn may_have_happened(error: &ProviderError) -> bool {
    !matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Conflict)
}

/// Fills our mark into records that are proven ours without one; and with leave to adopt, records that are exactly
/// as they shall be become ours without a write.
fn adopt(verdict: &mut Verdict, terms: &Terms, seen: &mut [Record]) {
    let mut wanted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    if verdict.origin == Some(ZoneOrigin::Adopted) && terms.adopt {
        for one in &terms.wanted {
            wanted.entry(&one.spec.name).or_default().push(&one.spec);
        }
    }
    let mut owned = BTreeMap::new();
    for record in seen.iter_mut().filter(|record| record.mark.is_none()) {
        let proven = verdict.proofs.prove(record);
        let named = wanted.get(&record.spec.name).into_iter().flatten();
        // A time to live that the back-end chose is written out once the record is ours.
        let chosen = |spec: &RecordSpec| record.spec.ttl.is_none() && record.spec.data == spec.data;
        let taken = named
            .into_iter()
            .any(|spec| is_equal(&record.spec, spec) || chosen(spec));
        if proven || taken {
            owned.insert(record.id.0.clone(), record.spec.digest());
            record.mark = Some(terms.owner.clone());
        }
    }
    // What vanished or was changed by hand is not ours any more.
    verdict.proofs.owned = owned;
}

fn change(
    mut verdict: Verdict,
    terms: &Terms,
    status: &DnsZoneStatus,
    zone: &Zone,
    changes: Vec<(RecordChange, Option<usize>)>,
) -> ZonePlan {
    let count = changes.len();
    let message = match count {
        1 => "One record is being changed.".to_owned(),
        _ => format!("{count} records are being changed."),
    };
    verdict.working(kinds::RECORDS_IN_SYNC, reasons::PROVISIONING, message);
    if !terms.abilities.marks {
        let made = changes.iter().filter_map(|(change, _)| match change {
            RecordChange::Create(spec) | RecordChange::Update(_, spec) | RecordChange::Adopt(_, spec) => {
                Some(spec.digest())
            }
            RecordChange::Delete(_) => None,
        });
        let made: BTreeSet<String> = made.collect();
        let stored: BTreeSet<String> = status.creating.iter().cloned().collect();
        if !made.is_subset(&stored) {
            verdict.proofs.creating = made;
            return wait(verdict, STORED_FIRST);
        }
        verdict.proofs.creating = stored;
    }
    let changes = at_once(terms, changes);
    act(verdict, Action::Change(zone.id.clone(), changes), AGAIN)
}

/// Changes for one action. Where each is a call of its own they are few enough for an action's deadline; the rest
/// follows in the next round.
pub(super) fn at_once<T>(terms: &Terms, mut changes: Vec<T>) -> Vec<T> {
    if !terms.abilities.marks {
        changes.truncate(CHANGES_AT_ONCE);
    }
    changes
}

/// Nothing more can be changed: is anything refused, and does the world find the zone?
fn in_sync(mut verdict: Verdict, terms: &Terms, zone: &Zone, observed: &Observed) -> ZonePlan {
    let retry = observed
        .failed
        .values()
        .find(|error| error.kind() != ErrorKind::Invalid)
        // A record of nobody's wish has no place in the list of errors.
        .or_else(|| observed.failed.get(&None));
    if verdict.errors.is_empty() && retry.is_none() {
        let count = terms.wanted.len();
        verdict.good(
            kinds::RECORDS_IN_SYNC,
            format!("{count} records are as they shall be."),
        );
        verdict.digest = Some(terms.digest.clone());
    } else {
        refused(&mut verdict, retry);
    }
    let next = match retry {
        Some(error) => after_failure(error),
        None => Next::Settled,
    };
    if !terms.verify {
        return wait(verdict, next);
    }
    let Some(delegation) = &observed.delegation else {
        return wait(verdict, AGAIN);
    };
    let servers = terms.servers(zone).iter().cloned().collect();
    let recheck = verified(&mut verdict, terms, servers, delegation);
    wait(verdict, if next == Next::Settled { recheck } else { next })
}

/// Does the world find the zone at our name servers? Says how soon to look again.
fn verified(verdict: &mut Verdict, terms: &Terms, servers: BTreeSet<Fqdn>, delegation: &Delegation) -> Next {
    let message = delegation.message(&terms.shown, &servers);
    let (state, reason) = super::report::delegation_reason(delegation);
    verdict.set(kinds::NAMESERVERS_VERIFIED, state, reason, message);
    verdict.nameservers.observed = Some(delegation.observed.iter().cloned().collect());
    match state {
        State::True => Next::Settled,
        _ => Next::Recheck,
    }
}

fn refused(verdict: &mut Verdict, retry: Option<&ProviderError>) {
    let first = verdict.errors.first();
    let said = first.map_or(String::new(), |error| format!(" {}", error.message));
    let message = match (verdict.errors.len(), retry) {
        (0, Some(error)) => error.message().to_owned(),
        (1, _) => format!("One record is not as it shall be, the others are:{said}"),
        (count, _) => format!("{count} records are not as they shall be, the others are. The first:{said}"),
    };
    let reason = match (verdict.errors.is_empty(), retry) {
        (true, Some(error)) => reason_of(error),
        _ => reasons::RECORDS_REFUSED,
    };
    let error = match retry {
        Some(error) => error.clone(),
        None => ProviderError::new(final_kind(verdict), message.clone()),
    };
    verdict.set(kinds::RECORDS_IN_SYNC, State::False, reason, message);
    verdict.failure = Some((kinds::RECORDS_IN_SYNC, error));
}

/// Broken rules stay broken until the spec changes; what is in a record's way may go.
fn final_kind(verdict: &Verdict) -> ErrorKind {
    let in_the_way = verdict
        .errors
        .iter()
        .any(|error| error.reason == reasons::CONFLICT);
    match in_the_way {
        true => ErrorKind::Conflict,
        false => ErrorKind::Invalid,
    }
}
