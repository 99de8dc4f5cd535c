//! A site whose container shall not run: stopped by its owner, or suspended. Visitors are turned away first, then the
//! container is shut down. Name, certificate, data and backups are kept.

use jiff::Timestamp;

use super::super::site::{Action, Observed, Reservation, Rest, Terms};
use super::super::verdict::Verdict;
use super::{SitePlan, is_recovered, locked, name, proxy, restart, sizes, wait};
use crate::api::condition::{State, is_true, kinds, reasons};
use crate::api::{Phase, WordPressSiteStatus};
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::providers::container_host::{Container, HaState};

/// Whether every part of the site was there once: only then may it be switched off or changed.
pub fn is_made(status: &WordPressSiteStatus) -> bool {
    let good = |kind| is_true(&status.conditions, kind);
    // One that was restored from an archive has lost its snapshots, not what it was.
    good(kinds::INSTALL_READY) && (good(kinds::SNAPSHOT_READY) || is_recovered(status))
}

/// Whether the site was left at rest, as far as its status tells.
fn is_at_rest(status: &WordPressSiteStatus) -> bool {
    let rests = |condition: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        condition.type_ == kinds::READY
            && [reasons::STOPPED, reasons::SUSPENDED].contains(&condition.reason.as_str())
    };
    status.conditions.iter().any(|condition| rests(&condition)) && status.tasks.is_empty()
}

/// Whether the site was left as it shall be, up or at rest, as far as its status tells. One that is up in all its parts
/// while something is still being done about it says so by its phase.
pub fn is_calm(status: &WordPressSiteStatus) -> bool {
    let up = is_true(&status.conditions, kinds::READY) && matches!(status.phase, None | Some(Phase::Running));
    (up || is_at_rest(status)) && is_true(&status.conditions, kinds::SYNCED)
}

/// Nothing is made for a site that is suspended from its beginning.
pub(super) fn not_begun(mut verdict: Verdict) -> SitePlan {
    verdict.phase = Phase::Suspended;
    let message = "Nothing is made while the site is suspended.";
    verdict.working(kinds::CONTAINER_READY, reasons::SUSPENDED, message);
    wait(verdict, Next::Settled)
}

/// Brings a site that is made to rest, or keeps it there.
pub(super) fn rest(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    terms: &Terms,
    reservation: &Reservation,
    (container, rest): (&Container, Rest),
    (observed, now): (&Observed, Timestamp),
) -> SitePlan {
    verdict.phase = match rest {
        Rest::Stopped => Phase::Stopped,
        Rest::Suspended => Phase::Suspended,
    };
    verdict.without(kinds::PAGE_READY);
    verdict.usage = None;
    // Whoever starts later starts afresh.
    restart::not_needed(&mut verdict, terms);
    let mut actions = Vec::new();
    name::name(&mut verdict, terms, &reservation.host, observed, &mut actions);
    proxy::proxy(
        &mut verdict,
        (status, now),
        terms,
        reservation,
        observed,
        &mut actions,
    );
    if rest == Rest::Stopped && actions.is_empty() {
        // A suspended site is left as it is: every other change waits.
        sizes::apply(
            &mut verdict,
            terms,
            reservation,
            container,
            observed,
            &mut actions,
        );
    }
    if !actions.is_empty() {
        stopping(&mut verdict, container);
        let next = Next::Again { persist: false };
        return Plan {
            actions,
            next,
            verdict,
        };
    }
    power_off(verdict, container, rest)
}

fn power_off(mut verdict: Verdict, container: &Container, rest: Rest) -> SitePlan {
    let id = container.id;
    let action = match &container.high_availability {
        Some(managed) if managed.error => Some(Action::EnsureHighAvailability(HaState::Disabled)),
        Some(managed) if matches!(managed.requested, HaState::Started | HaState::Ignored) => {
            Some(Action::EnsureHighAvailability(HaState::Stopped))
        }
        // What high availability manages, it stops by itself.
        Some(_) => None,
        None => container.running.then_some(Action::Stop),
    };
    if (action.is_some() || container.running) && locked(&mut verdict, container) {
        return wait(verdict, Next::Poll);
    }
    if action.is_some() || container.running {
        stopping(&mut verdict, container);
        return Plan {
            actions: action.into_iter().collect(),
            next: Next::Poll,
            verdict,
        };
    }
    let (reason, message) = match rest {
        Rest::Stopped => (
            reasons::STOPPED,
            format!("Container {id} is stopped, as power asks."),
        ),
        Rest::Suspended => (
            reasons::SUSPENDED,
            format!(
                "The site is suspended: container {id} is shut down; data, name, certificate and backups are kept, and other changes wait."
            ),
        ),
    };
    verdict.set(kinds::CONTAINER_READY, State::False, reason, message);
    let next = match &verdict.failure {
        Some((_, error)) => after_failure(error),
        None => Next::Settled,
    };
    wait(verdict, next)
}

fn stopping(verdict: &mut Verdict, container: &Container) {
    let message = format!("Container {} is being shut down, as asked.", container.id);
    verdict.working(kinds::CONTAINER_READY, reasons::STOPPING, message);
}
