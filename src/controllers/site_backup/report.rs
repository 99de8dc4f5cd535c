//! The new status: from the verdict, what the actions came to, and the old status. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backup::Done;
use super::verdict::Verdict;
use super::{BackupKind, BackupSubject};
use crate::api::condition::merge;
use crate::api::{BackupPhase, SiteBackupStatus, TaskOperation};
use crate::controllers::runner::{Acted, Outcome};

/// The new status.
pub fn status(
    subject: &BackupSubject,
    verdict: &Verdict,
    outcomes: &[Acted<'_, BackupKind>],
    now: Timestamp,
) -> SiteBackupStatus {
    let generation = subject.object.metadata.generation;
    let old = &subject.status;
    let mut status = old.clone();
    status.observed_generation = generation;
    if verdict.unchanged && old.phase == Some(BackupPhase::Lost) {
        for condition in &mut status.conditions {
            condition.observed_generation = generation;
        }
        return status;
    }
    let mut verdict = verdict.clone();
    if !verdict.unchanged {
        status.tasks.clone_from(&verdict.tasks);
        status.site_uid.clone_from(&verdict.site_uid);
    }
    if verdict.try_anew {
        status.attempts = 0;
    }
    for (_, outcome) in outcomes {
        match outcome {
            Ok(Outcome::Done(done) | Outcome::Started(done) | Outcome::Wait(done)) => {
                take(&mut status, &mut verdict, done);
            }
            Err(error) => verdict.failed(error),
        }
    }
    if let Some((name, taken_at)) = &verdict.found {
        status.snapshot = Some(name.clone());
        status.created_at = taken_at.map(Time).or(old.created_at.clone()).or(Some(Time(now)));
        status.attempts = 0;
    }
    status.phase = Some(verdict.phase);
    status.conditions = merge(&old.conditions, &verdict.findings(), generation, now);
    status
}

fn take(status: &mut SiteBackupStatus, verdict: &mut Verdict, done: &Done) {
    match done {
        Done::Reserved(name) => status.snapshot = Some(name.clone()),
        Done::Task(task) => {
            if task.operation == TaskOperation::Snapshot {
                status.attempts = status.attempts.saturating_add(1);
            }
            status.tasks.push(task.clone());
        }
        Done::NotYet => verdict.waits("Waiting for another backup or restore of the site."),
        Done::SnapshotsChanged => {}
    }
}
