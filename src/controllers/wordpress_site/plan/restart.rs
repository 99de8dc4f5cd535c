//! One restart for each new time in the spec, also across crashes and lost answers.
//!
//! Before the container host is asked, the status says since when a restart is under way; a restart in the container's
//! own task list since then is this one, whoever saw its answer.

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
use crate::providers::container_host::{Container, TaskState};
use crate::providers::{ErrorKind, ProviderError};

/// The restart that is asked for and was not carried out.
pub fn due(status: &WordPressSiteStatus, terms: &Terms) -> Option<Timestamp> {
    let wanted = terms.wishes.restarted_at?;
    let done = status.restarted_at.as_ref().map(|time| time.0);
    done.is_none_or(|done| wanted > done).then_some(wanted)
}

/// Since when the restart that is asked for has been under way.
pub fn begun(status: &WordPressSiteStatus, terms: &Terms) -> Option<Timestamp> {
    let wanted = due(status, terms)?;
    let restart = status.restart.as_ref()?;
    (restart.requested_at.0 == wanted).then_some(restart.begun_at.0)
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
    if begun(status, terms).is_none() {
        verdict.restart = Some(SiteRestart {
            requested_at: Time(wanted),
            begun_at: Time(now),
        });
        return Err(Box::new(wait(verdict, Next::Again { persist: true })));
    }
    let newest = match &observed.restarts {
        Fact::Unread => return Err(Box::new(wait(verdict, Next::Again { persist: false }))),
        Fact::Unknown(error) => return Err(Box::new(failed(verdict, kinds::CONTAINER_READY, error))),
        Fact::Known(tasks) => tasks.first(),
    };
    let Some(task) = newest else {
        if locked(&mut verdict, container) {
            return Err(Box::new(wait(verdict, Next::Poll)));
        }
        return Err(Box::new(Plan {
            actions: vec![Action::Restart],
            next: Next::Again { persist: true },
            verdict,
        }));
    };
    match &task.state {
        TaskState::Running => {
            let task = tasks::kept(TaskOperation::Restart, &task.id);
            verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, words(&task));
            verdict.tasks.push(task);
            Err(Box::new(wait(verdict, Next::Poll)))
        }
        TaskState::Failed(sentence) => {
            // A later try is another task, which the next look tells from this one by its beginning.
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
