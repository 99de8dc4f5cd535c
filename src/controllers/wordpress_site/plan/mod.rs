//! What to do for a site that shall exist. Pure and total: the same input gives the same plan.
//!
//! Each part of a site has a file: the container, the installation in it, the name, certificate and proxy host,
//! and what comes when all stand; what is taken over instead of made is in `adopt`. What is asked of a site later has files too: its sizes, a restart, and its rest.

pub mod adopt;
mod announce;
mod container;
mod domains;
mod finish;
mod install;
mod name;
mod proxy;
mod recover;
mod rest;
mod restart;
mod sizes;

use jiff::Timestamp;

use super::reserve;
use super::site::{Action, Observed, Reservation, Steady, Terms};
use super::usage;
use super::verdict::Verdict;
use crate::api::condition::{State, is_true, kinds, reasons};
use crate::api::{Phase, SiteTask, TaskOperation, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::providers::container_host::{Container, TaskState};
use crate::providers::{ErrorKind, ProviderError};

pub use announce::{due as announcement_due, with_announcement};
pub(super) use container::locked;
pub use container::{creation, is_quiet, unmarked};
#[cfg(test)]
pub use domains::Outlook;
pub use domains::{
    all_removed as domains_removed, finding as domains_finding, outlook as domains_outlook, ready_names,
    with_domains,
};
pub use finish::{only_a_place_awaited, only_install_awaited, only_snapshot_missing};
pub use proxy::own_certificates;
pub use recover::{
    archive_needed, finding as recovered_finding, is_restored as is_recovered, since as recovery_since,
};
pub use rest::{is_calm, is_made};
pub use restart::{due as restart_due, since as restarts_since};
pub use sizes::agree as sizes_agree;

/// A plan for a site.
pub type SitePlan = Plan<Action, Verdict>;

/// The plan for a site that shall exist.
pub fn live(status: &WordPressSiteStatus, observed: &Observed, now: Timestamp) -> SitePlan {
    let mut verdict = Verdict::of(status);
    if let Some(refusal) = &observed.refusal {
        let block = Block {
            reason: refusal.reason,
            message: refusal.message.clone(),
            keeps_ready: true,
        };
        return blocked(verdict, block);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    if let Some(rival) = &observed.rival {
        let message = format!(
            "The serviceId belongs to {rival}, which is older; nothing is done for this object. Delete one of the two."
        );
        return blocked(
            verdict,
            Block {
                reason: reasons::SERVICE_ID_CONFLICT,
                message,
                keeps_ready: false,
            },
        );
    }
    if let Some(restore) = &observed.held {
        return restoring(verdict, restore, observed);
    }
    if let Some(steady) = &observed.steady {
        return settled(verdict, status, steady, now);
    }
    let Some(reservation) = Reservation::of(status) else {
        if terms.wishes.suspension.is_some() {
            return rest::not_begun(verdict);
        }
        return reservation_of(verdict, terms, observed, now);
    };
    if let Some(plan) = tasks(&mut verdict, observed) {
        return plan;
    }
    if observed.queued {
        verdict.working(
            kinds::CONTAINER_READY,
            reasons::QUEUED,
            super::report::QUEUED_MESSAGE,
        );
        return wait(verdict, Next::Turn);
    }
    if observed.carried {
        return finish::snapshot(verdict, status, observed, Vec::new());
    }
    if observed.installing {
        verdict.making(kinds::INSTALL_READY, install::INSTALLING);
        return wait(verdict, Next::Poll);
    }
    match &observed.container {
        Fact::Unread => wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) if observed.is_machine(reservation.vmid) => {
            container::strange(verdict, status, error)
        }
        Fact::Unknown(error) => failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(None) => container::create(verdict, status, (terms, &reservation), observed, now),
        Fact::Known(Some(container)) => {
            present(verdict, status, (terms, &reservation), container, observed, now)
        }
    }
}

/// Nothing can be done until something changes.
pub fn blocked(mut verdict: Verdict, block: Block) -> SitePlan {
    verdict.phase = match verdict.phase {
        Phase::Provisioning => Phase::Pending,
        // Nothing is known to be wrong with the site, only with our way to it.
        Phase::Degraded if block.keeps_ready && verdict.was_ready => Phase::Running,
        other => other,
    };
    verdict.block = Some(block);
    Plan {
        actions: Vec::new(),
        next: Next::Settled,
        verdict,
    }
}

/// No action now.
pub fn wait(verdict: Verdict, next: Next) -> SitePlan {
    Plan {
        actions: Vec::new(),
        next,
        verdict,
    }
}

/// A look failed: the retry policy says when to look again.
pub fn failed(mut verdict: Verdict, kind: &'static str, error: &ProviderError) -> SitePlan {
    verdict.failed(kind, error);
    wait(verdict, after_failure(error))
}

/// A restore has the container for itself. It begins when we say so, which is when no task of ours is left.
fn restoring(mut verdict: Verdict, restore: &str, observed: &Observed) -> SitePlan {
    if let Some(plan) = tasks(&mut verdict, observed) {
        return plan;
    }
    verdict.phase = Phase::Restoring;
    // The snapshot may not know of names that came later.
    verdict.announced = Vec::new();
    let message =
        format!("SiteRestore {restore} rolls the site back; it is brought to its spec again after that.");
    verdict.working(kinds::CONTAINER_READY, reasons::RESTORING, message);
    // What answered before says nothing of what will run after it.
    verdict.working(
        kinds::PAGE_READY,
        reasons::WAITING,
        "Waiting for the parts before it.",
    );
    wait(verdict, Next::Settled)
}

fn settled(mut verdict: Verdict, status: &WordPressSiteStatus, steady: &Steady, now: Timestamp) -> SitePlan {
    verdict.unchanged = true;
    match steady {
        Steady::Agrees {
            node,
            usage,
            expires_at,
            waits,
        } => {
            let said = is_true(&status.conditions, kinds::CERTIFICATE_EXPIRING);
            if proxy::is_overdue(*expires_at, now) != said {
                return wait(verdict, Next::Closer);
            }
            verdict.confirmed = true;
            verdict.node = node.clone().or(verdict.node);
            verdict.certificate = proxy::certificate(*expires_at).or(verdict.certificate);
            // What it uses is read with the container itself first: here it only follows.
            verdict.usage = status
                .usage
                .as_ref()
                .and_then(|old| usage::noted(Some(old), usage.as_ref(), now));
            wait(verdict, if *waits { Next::Recheck } else { Next::Settled })
        }
        Steady::Differs(_) => wait(verdict, Next::Closer),
        Steady::Unknown(error) => wait(verdict, after_failure(error)),
    }
}

fn reservation_of(mut verdict: Verdict, terms: &Terms, observed: &Observed, now: Timestamp) -> SitePlan {
    if terms.adopt.is_some() {
        return adopt::reservation(verdict, terms, observed, now);
    }
    let (vacancy, survey) = match (&observed.vacancy, &observed.survey) {
        (Fact::Unknown(error), _) | (_, Fact::Unknown(error)) => {
            return failed(verdict, kinds::CONTAINER_READY, error);
        }
        (Fact::Known(vacancy), Fact::Known(survey)) => (vacancy, survey),
        _ => return wait(verdict, Next::Again { persist: false }),
    };
    match reserve::choose(terms, vacancy, survey, now) {
        Err(block) => blocked(verdict, block),
        Ok(reserve) => {
            // The words of a site that waits in the queue, so that waiting there is no change of its status.
            verdict.working(
                kinds::CONTAINER_READY,
                reasons::QUEUED,
                super::report::QUEUED_MESSAGE,
            );
            Plan {
                actions: vec![reserve],
                next: Next::Again { persist: true },
                verdict,
            }
        }
    }
}

/// Tasks under way come first: nothing else touches a container meanwhile. `None` when none is.
pub fn tasks(verdict: &mut Verdict, observed: &Observed) -> Option<SitePlan> {
    for (task, state) in &observed.tasks {
        let kind = match task.operation {
            TaskOperation::Snapshot => kinds::SNAPSHOT_READY,
            // Visitors notice nothing of a growing disk.
            TaskOperation::Resize => kinds::PLAN_APPLIED,
            _ => kinds::CONTAINER_READY,
        };
        match state {
            Fact::Known(TaskState::Running) | Fact::Unread => {
                verdict.tasks.push(task.clone());
                verdict.working(kind, reasons::TASK_RUNNING, words(task));
            }
            Fact::Unknown(error) => {
                verdict.tasks.push(task.clone());
                verdict.failed(kind, error);
            }
            // What a finished or forgotten task has come to, the container itself tells.
            Fact::Known(TaskState::Succeeded { .. } | TaskState::Unknown) => {}
            // What there is of a restore is told, and tried again, by itself.
            Fact::Known(TaskState::Failed(sentence)) if task.operation == TaskOperation::Recover => {
                recover::fails(verdict, sentence);
            }
            Fact::Known(TaskState::Failed(sentence)) => {
                let message = format!("{} failed: {sentence}; it is tried again.", attempt(task));
                let error = ProviderError::new(ErrorKind::Unavailable, message);
                verdict.failed(kind, &error);
                verdict.set(kind, State::False, reasons::TASK_FAILED, error.message());
            }
        }
    }
    if let Some((_, error)) = verdict.failure.clone() {
        return Some(wait(verdict.clone(), after_failure(&error)));
    }
    (!verdict.tasks.is_empty()).then(|| wait(verdict.clone(), Next::Poll))
}

/// What a task does, for people.
pub fn words(task: &SiteTask) -> &'static str {
    match task.operation {
        TaskOperation::Create => "The container is being created.",
        TaskOperation::Start => "The container is being started.",
        TaskOperation::Stop => "The container is being shut down.",
        TaskOperation::Restart => "The container is being restarted.",
        TaskOperation::Resize => "The disk is being grown.",
        TaskOperation::Rollback => "The container is being rolled back.",
        TaskOperation::Snapshot => "The snapshot is being taken.",
        TaskOperation::DeleteSnapshot => "A snapshot is being deleted.",
        TaskOperation::Destroy => "The container is being destroyed.",
        TaskOperation::Recover => "The container was lost and is being restored from a backup archive.",
    }
}

fn attempt(task: &SiteTask) -> &'static str {
    match task.operation {
        TaskOperation::Create => "Creating the container",
        TaskOperation::Start => "Starting the container",
        TaskOperation::Stop => "Shutting the container down",
        TaskOperation::Restart => "Restarting the container",
        TaskOperation::Resize => "Growing the disk",
        TaskOperation::Rollback => "Rolling the container back",
        TaskOperation::Snapshot => "Taking the snapshot",
        TaskOperation::DeleteSnapshot => "Deleting a snapshot",
        TaskOperation::Destroy => "Destroying the container",
        TaskOperation::Recover => "Restoring the container",
    }
}

/// Says on what nothing else hangs.
fn say_the_rest(verdict: &mut Verdict, (terms, reservation): (&Terms, &Reservation), container: &Container) {
    sizes::say(verdict, terms, container);
    adopt::say(verdict, terms, reservation);
    if let Some(trouble) = &terms.wishes.schedule_trouble {
        let kind = kinds::BACKUPS_SCHEDULED;
        verdict.note(kind, State::False, reasons::INVALID_SPEC, trouble.clone());
    }
}

/// Our number is taken: by our container, or by somebody else's guest.
fn present(
    verdict: Verdict,
    status: &WordPressSiteStatus,
    (terms, reservation): (&Terms, &Reservation),
    container: &Container,
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    if container.mark.as_ref() != Some(&terms.owner) {
        if adopt::may_take(status, terms, reservation, container) {
            return adopt::take(verdict, container);
        }
        return container::not_ours(verdict, status, container, observed);
    }
    match recover::back(verdict, container, observed, now) {
        Ok(verdict) => ours(verdict, status, (terms, reservation), container, observed, now),
        Err(plan) => *plan,
    }
}

/// Our container is there: its parts follow.
fn ours(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    (terms, reservation): (&Terms, &Reservation),
    container: &Container,
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    verdict.node = Some(container.node.clone());
    verdict.resources = Some(sizes::given(status, terms, container));
    say_the_rest(&mut verdict, (terms, reservation), container);
    let made = is_made(status);
    // Before, a site has more important things to say, and each word is a write.
    if made || verdict.is_good(kinds::PROXY_READY) {
        verdict.usage = usage::noted(status.usage.as_ref(), container.usage.as_ref(), now);
    }
    if let (true, Some(rest)) = (made, terms.wishes.rest()) {
        return rest::rest(
            verdict,
            status,
            terms,
            reservation,
            (container, rest),
            (observed, now),
        );
    }
    let mut actions = Vec::new();
    if let Some(next) = container::keep_running(&mut verdict, terms, container, &mut actions) {
        restart::not_needed(&mut verdict, terms);
        return Plan {
            actions,
            next,
            verdict,
        };
    }
    if made {
        sizes::apply(
            &mut verdict,
            terms,
            reservation,
            container,
            observed,
            &mut actions,
        );
        if !actions.is_empty() {
            return resizing(verdict, status, container, actions);
        }
        verdict = match restart::restart(verdict, status, terms, container, observed, now) {
            Ok(verdict) => verdict,
            Err(plan) => return *plan,
        };
    }
    if reservation.adopted && !made {
        adopt::outside(&mut verdict, terms, reservation, observed, &mut actions);
        if !actions.is_empty() {
            return finish::finish(verdict, status, observed, actions);
        }
    }
    install::install(&mut verdict, status, container, observed, &mut actions);
    name::name(&mut verdict, terms, &reservation.host, observed, &mut actions);
    proxy::proxy(
        &mut verdict,
        (status, now),
        terms,
        reservation,
        observed,
        &mut actions,
    );
    install::say_failure(&mut verdict, status, observed, &actions);
    if made && !terms.wishes.served().enabled() {
        verdict.behind_the_proxy();
    }
    finish::finish(verdict, status, observed, actions)
}

/// The container is being brought to its Plan, of which visitors notice nothing.
fn resizing(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    actions: Vec<Action>,
) -> SitePlan {
    verdict.phase = status.phase.unwrap_or(verdict.phase);
    if locked(&mut verdict, container) {
        return wait(verdict, Next::Poll);
    }
    Plan {
        actions,
        next: Next::Again { persist: false },
        verdict,
    }
}
