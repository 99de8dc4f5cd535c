//! The status of a Provider. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::ProviderKind;
use super::observe::Sight;
use crate::api::ProviderStatus;
use crate::api::condition::{Finding, State, kinds, merge, reasons};
use crate::controllers::judgement::reason_of;
use crate::controllers::runner::Subject;
use crate::controllers::sweeper::findings::Found;
use crate::providers::Health;

/// Milliseconds below which a latency is that of a neighbour: a busy machine makes ten of one, which is no news.
const LATENCY_FLOOR: i64 = 100;

/// The new status.
pub fn status(subject: &Subject<ProviderKind>, sight: Option<&Sight>, now: Timestamp) -> ProviderStatus {
    let old = &subject.status;
    let generation = subject.object.metadata.generation;
    let Some(sight) = sight else { return old.clone() };
    let mut status = ProviderStatus {
        observed_generation: generation,
        ..old.clone()
    };
    if !sight.kind.is_empty() {
        status.type_ = Some(sight.kind.to_owned());
    }
    let mut findings = match &sight.result {
        Err(refusal) => unusable(&mut status, refusal.reason, &refusal.message),
        Ok(Err(error)) => unusable(&mut status, reason_of(error), error.message()),
        Ok(Ok(health)) => healthy(&mut status, health),
    };
    findings.extend(sight.found.as_ref().map(Found::finding));
    status.conditions = merge(&old.conditions, &findings, generation, now);
    match &sight.found {
        Some(found) => status.inventory = found.inventory.or(old.inventory),
        // Before the first sweep since the start, what an earlier one said stands.
        None => status.conditions.extend(
            old.conditions
                .iter()
                .filter(|condition| condition.type_ == kinds::SWEPT)
                .cloned(),
        ),
    }
    status
}

fn unusable(status: &mut ProviderStatus, reason: &'static str, message: &str) -> Vec<Finding> {
    status.last_error = Some(message.to_owned());
    vec![
        Finding::new(kinds::READY, State::False, reason, message),
        Finding::new(kinds::SYNCED, State::False, reason, message),
    ]
}

fn healthy(status: &mut ProviderStatus, health: &Health) -> Vec<Finding> {
    let latency = rounded(health.latency);
    let same = status.version.as_deref() == Some(&health.version)
        && status.missing_rights == health.missing_rights
        && status.capabilities == health.capabilities
        && status.last_error.is_none();
    status.version = Some(health.version.clone());
    status.missing_rights.clone_from(&health.missing_rights);
    status.capabilities.clone_from(&health.capabilities);
    status.last_error = None;
    // Latency moves all the time; by itself it is no reason to write, unless it moved by an order of magnitude.
    let moved = status.latency_milliseconds.is_none_or(|old| {
        let (old, new) = (old.max(LATENCY_FLOOR), latency.max(LATENCY_FLOOR));
        new >= old.saturating_mul(10) || new.saturating_mul(10) <= old
    });
    if !same || moved {
        status.latency_milliseconds = Some(latency);
    }
    let synced = Finding::new(
        kinds::SYNCED,
        State::True,
        reasons::SYNCED,
        "The back-end answers.",
    );
    let ready = match health.missing_rights.as_slice() {
        [] => Finding::new(
            kinds::READY,
            State::True,
            reasons::AVAILABLE,
            "Reachable, and the rights suffice.",
        ),
        missing => {
            let message = format!(
                "Reachable, but these rights are missing: {}; grant them to the credentials of this Provider.",
                missing.join(", ")
            );
            Finding::new(kinds::READY, State::False, reasons::RIGHTS_MISSING, message)
        }
    };
    vec![ready, synced]
}

/// Milliseconds rounded up to 1, 2, 5, 10, 20, 50 …, so that noise is not a change.
fn rounded(latency: Duration) -> i64 {
    let milliseconds = i64::try_from(latency.as_millis()).unwrap_or(i64::MAX);
    let steps = (0..10_u32)
        .flat_map(|power| [1_i64, 2, 5].map(|step| step.saturating_mul(10_i64.saturating_pow(power))));
    steps
        .into_iter()
        .find(|step| milliseconds <= *step)
        .unwrap_or(milliseconds)
}

/// The status of a paused Provider.
pub fn paused(subject: &Subject<ProviderKind>, now: Timestamp) -> ProviderStatus {
    let mut status = subject.status.clone();
    let message = "Paused by the annotation hostwright.dev/paused; the back-end is not asked.";
    let finding = |kind, state| Finding::new(kind, state, reasons::PAUSED, message);
    let findings = [
        finding(kinds::READY, State::Unknown),
        finding(kinds::SYNCED, State::False),
    ];
    status.conditions = merge(
        &status.conditions,
        &findings,
        subject.object.metadata.generation,
        now,
    );
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_rounded_up() {
        let of = |milliseconds| rounded(Duration::from_millis(milliseconds));
        assert_eq!(
            [of(0), of(1), of(3), of(7), of(11), of(300)],
            [1, 1, 5, 10, 20, 500]
        );
    }
}
