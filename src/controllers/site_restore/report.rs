//! The new status: from the verdict, what the actions came to, and the old status. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::restore::Done;
use super::verdict::Verdict;
use super::{RestoreKind, RestoreSubject};
use crate::api::condition::{merge, reasons};
use crate::api::{RestorePhase, SiteRestoreStatus};
use crate::controllers::runner::{Acted, Outcome};

/// The new status.
pub fn status(
    subject: &RestoreSubject,
    verdict: &Verdict,
    outcomes: &[Acted<'_, RestoreKind>],
    now: Timestamp,
) -> SiteRestoreStatus {
    let generation = subject.object.metadata.generation;
    let old = &subject.status;
    let mut status = old.clone();
    status.observed_generation = generation;
    if verdict.unchanged {
        for condition in &mut status.conditions {
            condition.observed_generation = generation;
        }
        return status;
    }
    let mut verdict = verdict.clone();
    status.tasks.clone_from(&verdict.tasks);
    status.site_uid.clone_from(&verdict.site_uid);
    for (_, outcome) in outcomes {
        match outcome {
            Ok(Outcome::Done(done) | Outcome::Started(done) | Outcome::Wait(done)) => {
                take(&mut status, &mut verdict, done, now);
            }
            Err(error) => verdict.failed(error),
        }
    }
    status.phase = Some(verdict.phase);
    if verdict.phase.is_over() && status.finished_at.is_none() {
        status.finished_at = Some(Time(now));
        status.tasks.clear();
    }
    status.conditions = merge(&old.conditions, &verdict.findings(), generation, now);
    status
}

fn take(status: &mut SiteRestoreStatus, verdict: &mut Verdict, done: &Done, now: Timestamp) {
    match done {
        Done::Begun { snapshot, previous } => {
            verdict.phase = RestorePhase::RollingBack;
            status.snapshot = Some(snapshot.clone());
            status.previous_rollback.clone_from(previous);
            status.started_at = Some(Time(now));
        }
        Done::Task(task) => status.tasks.push(task.clone()),
        Done::NotYet => verdict.waits("Waiting for the end of a backup of the site."),
        Done::SnapshotGone => {
            let message = "The snapshot went away in the meantime; the site is started again as it was.";
            verdict.refused(reasons::SNAPSHOT_NOT_FOUND, message);
        }
        Done::ContainerChanged | Done::ObjectDeleted => {}
    }
}
