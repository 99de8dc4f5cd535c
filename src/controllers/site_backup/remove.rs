//! What to do for a backup that shall be gone. Pure and total. The finalizer goes only when its snapshot was seen
//! absent.

use super::backup::{Action, Observed};
use super::plan::{AGAIN, BackupPlan, act, failed, locked, look, own, tasks, wait};
use super::verdict::Verdict;
use crate::api::condition::reasons;
use crate::api::{BackupPhase, DeletionPolicy, SiteBackupStatus};
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::providers::container_host::TaskState;

const RELEASED: Next = Next::Released { announce: false };

/// The plan for a backup that shall be gone.
pub fn gone(status: &SiteBackupStatus, policy: DeletionPolicy, observed: &Observed) -> BackupPlan {
    let mut verdict = Verdict::of(status);
    verdict.works(
        BackupPhase::Terminating,
        reasons::DELETING,
        "The snapshot is being deleted.",
    );
    if policy == DeletionPolicy::Retain {
        let message = "The snapshot is left as it is, for deletionPolicy is Retain.";
        verdict.blocked(BackupPhase::Terminating, reasons::RETAINED, message);
        return wait(verdict, Next::Released { announce: true });
    }
    // Nothing is ever taken before its name is stored.
    let Some(site_uid) = status.site_uid.as_ref().filter(|_| status.snapshot.is_some()) else {
        return wait(verdict, RELEASED);
    };
    // The container of a site that is gone is gone as well; one of another site is not ours.
    let Some(site) = observed.site.as_ref().filter(|site| site.uid == *site_uid) else {
        return wait(verdict, RELEASED);
    };
    if status.phase == Some(BackupPhase::Lost) {
        return wait(verdict, RELEASED);
    }
    if site.deleting {
        verdict.waits("The site is being deleted, and its snapshots with it; waiting for the end of that.");
        verdict.tasks = status.tasks.clone();
        return wait(verdict, Next::Settled);
    }
    if let Some(refusal) = &observed.refusal {
        let message = format!(
            "{}; or set deletionPolicy to Retain, then the snapshot is left.",
            refusal.message.trim_end_matches('.')
        );
        verdict.blocked(BackupPhase::Terminating, refusal.reason, message);
        return wait(verdict, Next::Settled);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    if let Some(plan) = tasks(&mut verdict, status, observed) {
        return plan;
    }
    let (container, snapshots) = match look(&mut verdict, terms, observed) {
        Err(plan) => return *plan,
        Ok(None) => return wait(verdict, RELEASED),
        Ok(Some(found)) => found,
    };
    let snapshot = own(&terms.owner, snapshots);
    if let Some(lock) = &container.lock {
        verdict.waits(locked(container, lock));
        return wait(verdict, Next::Poll);
    }
    if site.restoring || (site.busy && snapshot.is_some()) {
        verdict.waits("Waiting for the end of other work on the container.");
        return wait(verdict, Next::Poll);
    }
    if let Some(snapshot) = snapshot {
        return act(verdict, Action::Delete(snapshot.name.clone()), Next::Poll);
    }
    match &observed.takings {
        Fact::Unread => wait(verdict, AGAIN),
        Fact::Unknown(error) => failed(verdict, error),
        // It may be ours, whose answer was lost.
        Fact::Known(takings) if takings.iter().any(|task| task.state == TaskState::Running) => {
            verdict.waits("A snapshot of the container is being taken; waiting for its end.");
            wait(verdict, Next::Poll)
        }
        Fact::Known(_) => wait(verdict, RELEASED),
    }
}
