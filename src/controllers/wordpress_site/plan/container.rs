//! The container of a site: created once, kept running, and told apart from other people's.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::report::QUEUED_MESSAGE;
use super::super::reserve;
use super::super::site::{Action, Observed, Reservation, Terms};
use super::super::verdict::Verdict;
use super::{SitePlan, blocked, failed, recover, recovery_since, wait, words};
use crate::api::condition::{kinds, reasons};
use crate::api::{SiteTask, TaskOperation, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::runner::{Next, Plan};
use crate::controllers::tasks;
use crate::domain::{Gib, Mib};
use crate::providers::container_host::{Container, ContainerSpec, HaState, TaskRecord, TaskState};
use crate::providers::{ErrorKind, ProviderError};

pub(super) fn create(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    (terms, reservation): (&Terms, &Reservation),
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    if status.node.is_none() && reservation.adopted {
        // Gone before it was taken over: the next look says so.
        verdict.choose_again = true;
        return wait(verdict, Next::Again { persist: false });
    }
    if status.node.is_some() {
        return recover::lost(verdict, status, (terms, reservation), observed, now);
    }
    let running = match &observed.creations {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(creations) => creations.iter().find(|task| task.state == TaskState::Running),
    };
    if let Some(task) = running {
        // Its answer was lost, but it goes on: follow it instead of asking twice.
        let task = creation(status, task);
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, words(&task));
        verdict.tasks.push(task);
        return wait(verdict, Next::Poll);
    }
    let survey = match &observed.survey {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(survey) => survey,
    };
    let Some(node) = reserve::node(terms, survey) else {
        let message = format!(
            "no node of Provider {} that is up can hold the container",
            terms.providers.compute
        );
        return failed(
            verdict,
            kinds::CONTAINER_READY,
            &ProviderError::new(ErrorKind::Unavailable, message),
        );
    };
    verdict.working(kinds::CONTAINER_READY, reasons::QUEUED, QUEUED_MESSAGE);
    let spec = container_spec(terms, reservation, node);
    Plan {
        actions: vec![Action::Create(spec)],
        next: Next::Again { persist: true },
        verdict,
    }
}

fn container_spec(terms: &Terms, reservation: &Reservation, node: String) -> ContainerSpec {
    let positive = |number: i32| u32::try_from(number).unwrap_or_default();
    ContainerSpec {
        id: reservation.vmid,
        node,
        hostname: reservation.label.clone(),
        address: reservation.address,
        memory: Mib(positive(terms.sizes.memory_mib)),
        swap: Mib(positive(terms.sizes.swap_mib)),
        cores: positive(terms.sizes.cores),
        disk: Gib(positive(terms.sizes.disk_gib)),
        mark: terms.owner.clone(),
        environment: BTreeMap::new(),
    }
}

/// Lock words of work that leaves a running container alone: visitors notice nothing of a nightly backup.
const QUIET_LOCKS: [&str; 5] = ["backup", "disk", "fstrim", "snapshot", "snapshot-delete"];
/// Lock word of what is left when the end of a destruction failed: a configuration without disks and mark.
const DESTROYED: &str = "destroyed";
/// Lock word while a container is being created, when its mark cannot be seen.
const CREATING: &str = "create";

/// Whether work under this lock leaves a running container alone.
pub fn is_quiet(lock: &str) -> bool {
    QUIET_LOCKS.contains(&lock)
}

/// Keeps our container up and where it shall be. `Some` is what follows when the parts after it have to wait.
pub(super) fn keep_running(
    verdict: &mut Verdict,
    terms: &Terms,
    container: &Container,
    actions: &mut Vec<Action>,
) -> Option<Next> {
    let id = container.id;
    let request = request_of(terms, container);
    let quiet = container.lock.as_deref().is_none_or(is_quiet);
    if (request.is_some() || !container.running || !quiet) && locked(verdict, container) {
        return Some(Next::Poll);
    }
    actions.extend(request.map(Action::EnsureHighAvailability));
    if request == Some(HaState::Disabled) {
        let message = format!(
            "High availability gave up on container {id}; the error is being cleared, then it is started again."
        );
        verdict.making(kinds::CONTAINER_READY, message);
        return Some(Next::Poll);
    }
    if !container.running {
        let message = format!("Container {id} is stopped and is being started.");
        verdict.making(kinds::CONTAINER_READY, message);
        // What high availability manages, it starts by itself.
        if container.high_availability.is_none() && request.is_none() {
            actions.push(Action::Start);
        }
        return Some(Next::Poll);
    }
    verdict.good(kinds::CONTAINER_READY, format!("Container {id} runs."));
    None
}

/// Whether other work holds the container, so that ours has to wait for its end. Says so.
pub fn locked(verdict: &mut Verdict, container: &Container) -> bool {
    let Some(lock) = &container.lock else {
        return false;
    };
    let (id, node) = (container.id, &container.node);
    let message = format!(
        "Container {id} is locked ({lock}) by other work on it; waiting for its end. If it stays, run `pct unlock {id}` on node {node}."
    );
    // Work that leaves a running container alone is no news for visitors.
    if !(container.running && is_quiet(lock) && verdict.is_good(kinds::CONTAINER_READY)) {
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, message);
    }
    true
}

/// What high availability has to be told. It forgets an error only when it was told `Disabled` and has come to
/// that; asking for more before would be in vain.
fn request_of(terms: &Terms, container: &Container) -> Option<HaState> {
    let wanted = terms.sizes.high_availability;
    let Some(managed) = &container.high_availability else {
        return wanted.then_some(HaState::Started);
    };
    let idle = managed.requested != HaState::Started;
    let misplaced = wanted && (idle || !managed.placed);
    match managed.error {
        true => Some(HaState::Disabled),
        false => (misplaced || (idle && !container.running)).then_some(HaState::Started),
    }
}

/// A guest without a mark that may be ours all the same: still being created, or what a failed task has left.
/// `None` when it is certainly somebody else's.
pub fn unmarked(
    verdict: &mut Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    observed: &Observed,
) -> Option<Next> {
    let (id, node) = (container.id, &container.node);
    if container.mark.is_some() {
        return None;
    }
    let remains = |verdict: &mut Verdict, what: &str| {
        let message = format!(
            "container {id} is {what}, and only a person can clear that: run `pct unlock {id}` and `pct destroy {id}` on node {node}"
        );
        verdict.refused(kinds::CONTAINER_READY, ErrorKind::Conflict, message);
        Some(Next::Retry { at_least: None })
    };
    // Ours was seen once, and is not being restored: then nothing of ours hides.
    let seen = status.node.is_some() && recovery_since(status).is_none();
    match (container.lock.as_deref(), seen) {
        (Some(DESTROYED), true) => remains(verdict, "destroyed but for its configuration"),
        (Some(CREATING), false) => {
            let creations = observed.creations.known().map(Vec::as_slice).unwrap_or_default();
            let running = creations.iter().find(|task| task.state == TaskState::Running);
            // One that ended well was of whoever had the number before.
            let ended_well = |task: &TaskRecord| matches!(task.state, TaskState::Succeeded { .. });
            if running.is_none() && creations.first().is_some_and(|newest| !ended_well(newest)) {
                return remains(verdict, "the rest of a creation that failed");
            }
            // Whose it is shows at the end.
            let message = format!("Container {id} is being created.");
            verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, message);
            verdict.tasks.extend(running.map(|task| creation(status, task)));
            Some(Next::Poll)
        }
        _ => None,
    }
}

/// A running creation as a task of the status: of the first container, or of one that is restored.
pub fn creation(status: &WordPressSiteStatus, task: &TaskRecord) -> SiteTask {
    let operation = match recovery_since(status) {
        Some(_) => TaskOperation::Recover,
        None => TaskOperation::Create,
    };
    tasks::kept(operation, &task.id)
}

/// The number is that of a guest that cannot be ours at all, a virtual machine.
pub(super) fn strange(mut verdict: Verdict, status: &WordPressSiteStatus, error: &ProviderError) -> SitePlan {
    if status.node.is_none() {
        verdict.choose_again = true;
        return wait(verdict, Next::Again { persist: false });
    }
    let message = format!(
        "{}. Restore the site's container under its number, or delete this object.",
        error.message()
    );
    verdict.working(kinds::CONTAINER_READY, reasons::CONFLICT, message.clone());
    blocked(
        verdict,
        Block {
            reason: reasons::CONFLICT,
            message,
            keeps_ready: false,
        },
    )
}

pub(super) fn not_ours(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    observed: &Observed,
) -> SitePlan {
    let id = container.id;
    if let Some(next) = unmarked(&mut verdict, status, container, observed) {
        return wait(verdict, next);
    }
    if status.node.is_none() {
        verdict.choose_again = true;
        return wait(verdict, Next::Again { persist: false });
    }
    let whose = container
        .mark
        .as_ref()
        .map_or_else(|| "no mark of ours".to_owned(), |mark| format!("the mark {mark}"));
    let message = format!(
        "Guest {id} ({}) on node {} carries {whose}: it is not this site's and is not touched. Restore the site's container under its number, or delete this object.",
        container.hostname, container.node
    );
    verdict.working(kinds::CONTAINER_READY, reasons::CONFLICT, message.clone());
    blocked(
        verdict,
        Block {
            reason: reasons::CONFLICT,
            message,
            keeps_ready: false,
        },
    )
}
