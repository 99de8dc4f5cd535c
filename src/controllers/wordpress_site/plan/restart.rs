//! One restart for each new time in the spec, also across crashes and lost answers.
//!
//! Before the container host is asked, the status says that a restart is under way, and which ones the container's own task
//! list had before it; another one there is this one, whoever saw its answer. Their times say nothing of that: they are of
//! the clock of a node, and of two clocks when the container moves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use jiff::Timestamp;

use super::super::site::{Action, Observed, Terms};
use super::super::verdict::Verdict;
use super::{SitePlan, failed, locked, wait, words};
use crate::api::condition::{State, kinds, reasons};
use crate::api::{SiteRestart, TaskOperation, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::controllers::tasks;
use crate::providers::container_host::{Container, TaskId, TaskRecord, TaskState};
use crate::providers::{ErrorKind, ProviderError};

/// Restarts before this one that are remembered (the schema of `status.restart.previous` takes as many): of ten minutes,
/// in which a container restarts some twenty times at most.
const PREVIOUS_MAX: usize = 100;

/// The restart that is asked for and was not carried out.
pub fn due(status: &WordPressSiteStatus, terms: &Terms) -> Option<Timestamp> {
    let wanted = terms.wishes.restarted_at?;
    let done = status.restarted_at.as_ref().map(|time| time.0);
    done.is_none_or(|done| wanted > done).then_some(wanted)
}

/// The restart that is asked for, if it was begun.
fn begun(status: &WordPressSiteStatus, wanted: Timestamp) -> Option<&SiteRestart> {
    let restart = status.restart.as_ref();
    restart.filter(|restart| restart.requested_at.0 == wanted)
}

/// Since when restarts in the task list are to be looked at; `None` when none is asked for.
pub fn since(status: &WordPressSiteStatus, terms: &Terms, now: Timestamp) -> Option<Timestamp> {
    let restart = begun(status, due(status, terms)?);
    Some(tasks::listed_since(
        restart.map_or(now, |restart| restart.begun_at.0),
    ))
}

/// What has become of a restart, by the task list or by the task of its answer; `None` when it was not asked for.
fn ours(restart: &SiteRestart, listed: &[TaskRecord], observed: &Observed) -> Option<(TaskId, TaskState)> {
    let told = observed
        .tasks
        .iter()
        .filter(|(task, _)| task.operation == TaskOperation::Restart)
        .filter_map(|(task, state)| Some((TaskId(task.id.clone()), state.known()?.clone())))
        .filter(|(_, state)| *state != TaskState::Unknown);
    let listed = listed.iter().map(|task| (task.id.clone(), task.state.clone()));
    listed
        .chain(told)
        .find(|(id, _)| !restart.previous.contains(&id.0))
}

/// The container does not run, so that there is nothing to restart.
pub(super) fn not_needed(verdict: &mut Verdict, terms: &Terms) {
    verdict.restart = None;
    let wanted = terms.wishes.restarted_at;
    let done = verdict.restarted_at.as_ref().map(|time| time.0);
    if wanted > done {
        verdict.restarted_at = wanted.map(Time);
    }
}

/// Restarts a running container if that is asked for. `Err` is the plan until it is done.
pub(super) fn restart(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    terms: &Terms,
    container: &Container,
    observed: &Observed,
    now: Timestamp,
) -> Result<Verdict, Box<SitePlan>> {
    let Some(wanted) = due(status, terms) else {
        verdict.restart = None;
        return Ok(verdict);
    };
    let listed = match &observed.restarts {
        Fact::Unread => return Err(Box::new(wait(verdict, Next::Again { persist: false }))),
        Fact::Unknown(error) => return Err(Box::new(failed(verdict, kinds::CONTAINER_READY, error))),
        Fact::Known(listed) => listed,
    };
    let Some(restart) = begun(status, wanted) else {
        verdict.restart = Some(SiteRestart {
            requested_at: Time(wanted),
            begun_at: Time(now),
            previous: listed
                .iter()
                .take(PREVIOUS_MAX)
                .map(|task| task.id.0.clone())
                .collect(),
        });
        return Err(Box::new(wait(verdict, Next::Again { persist: true })));
    };
    let Some((id, state)) = ours(restart, listed, observed) else {
        if locked(&mut verdict, container) {
            return Err(Box::new(wait(verdict, Next::Poll)));
        }
        return Err(Box::new(Plan {
            actions: vec![Action::Restart],
            next: Next::Again { persist: true },
            verdict,
        }));
    };
    match state {
        TaskState::Running => {
            let task = tasks::kept(TaskOperation::Restart, &id);
            verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, words(&task));
            verdict.tasks.push(task);
            Err(Box::new(wait(verdict, Next::Poll)))
        }
        TaskState::Failed(sentence) => {
            // A later try is another task, to which this one is the previous.
            verdict.restart = None;
            let message = format!("Restarting the container failed: {sentence}; it is tried again.");
            let error = ProviderError::new(ErrorKind::Unavailable, message);
            verdict.failed(kinds::CONTAINER_READY, &error);
            verdict.set(
                kinds::CONTAINER_READY,
                State::False,
                reasons::TASK_FAILED,
                error.message(),
            );
            let next = after_failure(&error);
            Err(Box::new(wait(verdict, next)))
        }
        TaskState::Succeeded { .. } | TaskState::Unknown => {
            not_needed(&mut verdict, terms);
            Ok(verdict)
        }
    }
}
