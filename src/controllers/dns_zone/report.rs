//! The new status: from the verdict and the old one. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::verdict::{RecordError, Servers, Verdict};
use super::zone::{Action, Terms};
use super::{ZoneKind, ZoneSubject};
use crate::api::condition::{State, merge, reasons};
use crate::api::{DnsZoneStatus, QuotaUse, RecordState, ZoneNameservers, ZoneQuota, ZoneRecord};
use crate::controllers::judgement::reason_of;
use crate::controllers::runner::Acted;
use crate::providers::delegation::{Answering, Delegation, DelegationState};
use crate::providers::{ErrorKind, ProviderError};

/// Records in error that the status names: a hundred of them are 30 KiB, and nobody reads on.
const NAMED: usize = 100;
/// Characters of a record's content that the status repeats.
const CONTENT_SHOWN: usize = 64;
/// Characters of a record's message: the schema's limit.
const MESSAGE_SHOWN: usize = 512;

/// The new status.
pub fn status(
    subject: &ZoneSubject,
    verdict: &Verdict,
    outcomes: &[Acted<'_, ZoneKind>],
    now: Timestamp,
) -> DnsZoneStatus {
    let generation = subject.object.metadata.generation;
    let old = &subject.status;
    let mut status = old.clone();
    status.observed_generation = generation;
    if verdict.unchanged && verdict.block.is_none() {
        serve(&mut status, verdict);
        status.conditions = merge(&old.conditions, &verdict.summary().findings(), generation, now);
        return status;
    }
    let mut verdict = verdict.clone();
    for (action, outcome) in outcomes {
        if let Err(error) = outcome {
            verdict.failed(super::act::part_of(action), error);
            if matches!(action, Action::CreateZone(_)) && error.kind() == ErrorKind::Invalid {
                // Refused and not made: a zone that appears later is not ours.
                verdict.origin = None;
            }
        }
    }
    if verdict.block.is_none() {
        fill(&mut status, &verdict, subject, now);
    }
    status.conditions = merge(&old.conditions, &verdict.summary().findings(), generation, now);
    status
}

fn fill(status: &mut DnsZoneStatus, verdict: &Verdict, subject: &ZoneSubject, now: Timestamp) {
    status.origin = verdict.origin;
    if let Some(zone) = &verdict.zone {
        status.zone_id = Some(zone.id.0.clone());
        status.serial = zone.serial.map(i64::from).or(status.serial);
    }
    verdict.proofs.store(status);
    serve(status, verdict);
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    if let Some((used, limit)) = verdict.quota {
        status.quota = Some(ZoneQuota {
            records: QuotaUse {
                used: number(used),
                limit: limit.map(number),
            },
        });
    }
    if let Some(foreign) = verdict.foreign {
        status.foreign_records = Some(number(foreign));
    }
    let records = &subject.object.spec.records;
    let errors = verdict.errors.iter().take(NAMED);
    status.records = errors.filter_map(|error| named(error, records)).collect();
    status.record_errors = Some(number(verdict.errors.len()));
    status.records_digest.clone_from(&verdict.digest);
    if verdict.changed {
        status.last_change = Some(Time(now));
    }
}

/// Takes who answers for the zone.
fn serve(status: &mut DnsZoneStatus, verdict: &Verdict) {
    let Servers { expected, observed } = &verdict.nameservers;
    if expected.is_none() && observed.is_none() {
        return;
    }
    let before = status.nameservers.take().unwrap_or_default();
    status.nameservers = Some(ZoneNameservers {
        expected: expected.clone().unwrap_or(before.expected),
        observed: observed.clone().unwrap_or(before.observed),
    });
}

/// An error with what the spec says of its record.
fn named(error: &RecordError, records: &[ZoneRecord]) -> Option<RecordState> {
    let typed = records.get(error.index)?;
    Some(RecordState {
        index: i32::try_from(error.index).ok()?,
        name: typed.name.clone(),
        type_: typed.type_,
        content: typed.content.chars().take(CONTENT_SHOWN).collect(),
        reason: error.reason.to_owned(),
        message: error.message.chars().take(MESSAGE_SHOWN).collect(),
    })
}

/// Records that are not as they shall be, in the order of the spec.
pub(super) fn errors(
    terms: &Terms,
    conflicts: &[(Option<usize>, String)],
    failed: &BTreeMap<Option<usize>, ProviderError>,
) -> Vec<RecordError> {
    let mut errors: BTreeMap<usize, (&'static str, String)> = BTreeMap::new();
    for (index, error) in failed {
        if let Some(index) = index {
            errors.insert(*index, (reason_of(error), error.message().to_owned()));
        }
    }
    for (index, message) in conflicts {
        if let Some(index) = index {
            errors.insert(*index, (reasons::CONFLICT, message.clone()));
        }
    }
    for refused in &terms.refused {
        let refusal = &refused.refusal;
        errors.insert(refused.index, (refusal.rule.reason(), refusal.to_string()));
    }
    errors
        .into_iter()
        .map(|(index, (reason, message))| RecordError {
            index,
            reason,
            message,
        })
        .collect()
}

/// The condition that goes with a delegation.
pub(super) fn delegation_reason(delegation: &Delegation) -> (State, &'static str) {
    if delegation.is_verified() {
        return (State::True, reasons::READY);
    }
    match &delegation.state {
        DelegationState::All => {
            let silent = |answering: &Answering| matches!(answering, Answering::Lame | Answering::Silent);
            match delegation.answering.values().any(silent) {
                true => (State::False, reasons::NOT_ANSWERING),
                false => (State::Unknown, reasons::NOT_CHECKED),
            }
        }
        DelegationState::Partial { .. } => (State::False, reasons::PARTLY_DELEGATED),
        DelegationState::Foreign => (State::False, reasons::DELEGATED_ELSEWHERE),
        DelegationState::None => (State::False, reasons::NOT_DELEGATED),
        DelegationState::NxDomain => (State::False, reasons::NOT_REGISTERED),
        DelegationState::Unknown(_) => (State::Unknown, reasons::NOT_CHECKED),
    }
}
