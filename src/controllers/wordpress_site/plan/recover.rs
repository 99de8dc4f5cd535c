//! A container that is lost, and what the Plan says about that: nothing, an empty one in its place, or a restore from the
//! newest archive of the hoster's own backup job.
//!
//! A restore is begun once for each loss. Before the container host is asked, the status says which archive is restored
//! and since when; a restore in the container's own task list since then is this one, whoever saw its answer. The site
//! keeps what it was: it is never given another number, and nothing but its own archive is put into it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::report::QUEUED_MESSAGE;
use super::super::reserve;
use super::super::site::{Action, Observed, Reservation, Terms};
use super::super::verdict::{PARTS, Verdict};
use super::{SitePlan, blocked, failed, is_made, wait, words};
use crate::api::condition::{Finding, State, kinds, reasons};
use crate::api::{Phase, Recovery, SiteRecovery, TaskOperation, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::runner::{Next, Plan};
use crate::controllers::tasks;
use crate::providers::container_host::{Archive, ArchiveRestore, Container, Survey, TaskRecord, TaskState};
use crate::providers::{ErrorKind, ProviderError};

/// Shortest time from the beginning of one restore to that of the next. A restore of 80 GiB takes some ten minutes, and
/// whatever made one fail, or took the container away again, is a person's to see: 24 attempts a day. Far more than a clock
/// may be wrong, so that the restore before is not taken for this one.
const INTERVAL: SignedDuration = SignedDuration::from_hours(1);
/// Shortest time that a backup job takes for an archive, whose time is that of its beginning by the clock of a node.
const ARCHIVING_MIN: SignedDuration = SignedDuration::from_secs(1);
/// Characters of a failure that are kept (the schema of `status.recovery.failure` takes 512).
const FAILURE_MAX: usize = 400;

/// Whether the container that a status speaks of came from a backup archive.
pub fn is_restored(status: &WordPressSiteStatus) -> bool {
    let recovery = status.recovery.as_ref();
    recovery.is_some_and(|recovery| recovery.restored_at.is_some())
}

/// Since when restores in the task list are the one that is under way; `None` when none is. Nothing is restored from an
/// archive before that is there: an older restore was of another site, which had the number before.
pub fn since(status: &WordPressSiteStatus) -> Option<Timestamp> {
    let recovery = status.recovery.as_ref().filter(|recovery| recovery.is_open())?;
    let taken_at = recovery.taken_at.0;
    let there_at = taken_at.checked_add(ARCHIVING_MIN).unwrap_or(taken_at);
    Some(tasks::listed_since(recovery.begun_at.0).max(there_at))
}

/// Whether the archives of a container that is gone have to be looked at.
pub fn archive_needed(status: &WordPressSiteStatus, terms: &Terms, observed: &Observed) -> bool {
    let wanted = terms.wishes.recovery == Recovery::RestoreLatestBackup;
    wanted && status.node.is_some() && is_made(status) && since(status).is_none() && is_certain(observed)
}

/// What is said for good of a site that was restored.
pub fn finding(recovery: Option<&SiteRecovery>) -> Option<Finding> {
    let recovery = recovery?;
    let restored_at = recovery.restored_at.as_ref()?;
    let message = format!(
        "The container was lost and was restored at {} from the backup archive {}, which is of {}: what was written after that is lost, and the snapshots and SiteBackups of that time with it.",
        restored_at.0, recovery.archive, recovery.taken_at.0
    );
    Some(Finding::new(
        kinds::RECOVERED,
        State::True,
        reasons::RESTORED_FROM_ARCHIVE,
        message,
    ))
}

/// Our container is proven absent although it was there: what the Plan says about that.
pub(super) fn lost(
    verdict: Verdict,
    status: &WordPressSiteStatus,
    (terms, reservation): (&Terms, &Reservation),
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    let wish = terms.wishes.recovery;
    if let Some(open) = verdict.recovery.clone().filter(SiteRecovery::is_open) {
        return under_way(verdict, &open, (terms, reservation), observed, now);
    }
    if !is_certain(observed) {
        return manual(verdict, terms, reservation);
    }
    match wish {
        // What somebody else had set up is never replaced by an empty site.
        Recovery::Recreate if !reservation.adopted => anew(verdict),
        Recovery::RestoreLatestBackup if is_made(status) => {
            begin(verdict, (terms, reservation), observed, now)
        }
        _ => manual(verdict, terms, reservation),
    }
}

/// Absence was proven by a fresh list of the whole cluster. It is a loss only with all nodes in operation: one that is
/// down may have the container, and a list without any node is not believed.
fn is_certain(observed: &Observed) -> bool {
    observed
        .survey
        .known()
        .is_some_and(|survey| !survey.nodes.is_empty() && survey.nodes.values().all(|node| node.online))
}

fn gone_for_good(verdict: Verdict, reason: &'static str, message: String) -> SitePlan {
    let mut verdict = verdict;
    verdict.working(kinds::CONTAINER_READY, reason, message.clone());
    blocked(
        verdict,
        Block {
            reason,
            message,
            keeps_ready: false,
        },
    )
}

/// It is said, and a person decides.
fn manual(verdict: Verdict, terms: &Terms, reservation: &Reservation) -> SitePlan {
    let message = format!(
        "Container {} is gone from Provider {}, although nobody asked for its removal. Nothing is created in its place, for that would be an empty site: restore it there under the same number, or delete this object.",
        reservation.vmid, terms.providers.compute
    );
    gone_for_good(verdict, reasons::DEGRADED, message)
}

/// The container is lost, and the Plan says that an empty site is made in its place.
fn anew(mut verdict: Verdict) -> SitePlan {
    verdict.make_anew = true;
    verdict.node = None;
    verdict.recovery = None;
    verdict.phase = Phase::Degraded;
    for kind in PARTS {
        let lost = [
            kinds::CONTAINER_READY,
            kinds::INSTALL_READY,
            kinds::PAGE_READY,
            kinds::SNAPSHOT_READY,
        ];
        if lost.contains(&kind) {
            let message =
                "The container was lost; an empty site is made in its place, as the Plan's recovery says.";
            verdict.working(kind, reasons::DEGRADED, message);
        }
    }
    wait(verdict, Next::Again { persist: true })
}

/// Chooses the archive and the node and says so, before anything is done.
fn begin(
    mut verdict: Verdict,
    (terms, reservation): (&Terms, &Reservation),
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    if let Some(last) = verdict.recovery.clone()
        && let Some(left) = time_left(&last, now)
    {
        return not_yet(verdict, reservation, &last, left);
    }
    let (archive, survey) = match (&observed.archive, &observed.survey) {
        (Fact::Unknown(error), _) | (_, Fact::Unknown(error)) => {
            return failed(verdict, kinds::CONTAINER_READY, error);
        }
        (Fact::Known(archive), Fact::Known(survey)) => (archive, survey),
        _ => return wait(verdict, Next::Again { persist: false }),
    };
    let Some(archive) = archive else {
        let message = format!(
            "Container {} is gone from Provider {}, and none of the backup archives there is of this site. Nothing is created in its place, for that would be an empty site: restore it under the same number from wherever a backup is, or delete this object.",
            reservation.vmid, terms.providers.compute
        );
        return gone_for_good(verdict, reasons::NO_BACKUP_ARCHIVE, message);
    };
    let Some(node) = reserve::node(terms, &readers(survey, archive)) else {
        let message = format!(
            "no node of Provider {} can both read the backup archive {} and hold the container",
            terms.providers.compute, archive.id
        );
        let error = ProviderError::new(ErrorKind::Unavailable, message);
        return failed(verdict, kinds::CONTAINER_READY, &error);
    };
    verdict.recovery = Some(SiteRecovery {
        archive: archive.id.clone(),
        taken_at: Time(archive.taken_at),
        node,
        begun_at: Time(now),
        restored_at: None,
        failure: None,
    });
    let message = format!(
        "Container {} is gone although nobody asked for its removal; it is being restored from the backup archive {} of {}.",
        reservation.vmid, archive.id, archive.taken_at
    );
    verdict.working(kinds::CONTAINER_READY, reasons::RECOVERING, message);
    wait(verdict, Next::Again { persist: true })
}

/// The cluster as far as it can read the archive.
fn readers(survey: &Survey, archive: &Archive) -> Survey {
    let mut survey = survey.clone();
    survey.nodes.retain(|name, _| archive.nodes.contains(name));
    survey
}

/// Follows what was begun, or asks for it: only while the Plan still says so.
fn under_way(
    mut verdict: Verdict,
    open: &SiteRecovery,
    (terms, reservation): (&Terms, &Reservation),
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    let restores = match &observed.creations {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(restores) => restores,
    };
    if let Some(plan) = followed(&mut verdict, restores) {
        return plan;
    }
    match restores.first().map(|task| &task.state) {
        Some(TaskState::Failed(sentence)) => fails(&mut verdict, sentence),
        Some(_) => fails(&mut verdict, "it ended well, but the container is not there"),
        // Neither what the Plan does not want any more nor an archive that could not be asked for in all that time, such as
        // one that is gone by now, is held on to: it is chosen anew.
        None if terms.wishes.recovery != Recovery::RestoreLatestBackup || time_left(open, now).is_none() => {
            verdict.recovery = None;
            return wait(verdict, Next::Again { persist: true });
        }
        None if !is_certain(observed) => return manual(verdict, terms, reservation),
        None => {
            verdict.working(kinds::CONTAINER_READY, reasons::QUEUED, QUEUED_MESSAGE);
            let restore = ArchiveRestore {
                id: reservation.vmid,
                node: open.node.clone(),
                archive: open.archive.clone(),
                owner: terms.owner.clone(),
            };
            return Plan {
                actions: vec![Action::Recover(restore)],
                next: Next::Again { persist: true },
                verdict,
            };
        }
    }
    let last = verdict.recovery.clone().unwrap_or_else(|| open.clone());
    let left = time_left(&last, now).unwrap_or(SignedDuration::ZERO);
    not_yet(verdict, reservation, &last, left)
}

/// A restore that goes on, also when its answer was lost.
fn followed(verdict: &mut Verdict, restores: &[TaskRecord]) -> Option<SitePlan> {
    let running = restores.iter().find(|task| task.state == TaskState::Running)?;
    let task = tasks::kept(TaskOperation::Recover, &running.id);
    verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, words(&task));
    verdict.tasks.push(task);
    Some(wait(verdict.clone(), Next::Poll))
}

/// The restore that was under way failed.
pub(super) fn fails(verdict: &mut Verdict, sentence: &str) {
    if let Some(recovery) = verdict.recovery.as_mut().filter(|recovery| recovery.is_open()) {
        recovery.failure = Some(sentence.chars().take(FAILURE_MAX).collect());
    }
}

/// How long it is until another restore may be begun; `None` when it may be.
fn time_left(last: &SiteRecovery, now: Timestamp) -> Option<SignedDuration> {
    let left = INTERVAL - now.duration_since(last.begun_at.0);
    left.is_positive().then_some(left)
}

/// One restore has been begun not long ago, and the container is gone all the same.
fn not_yet(
    verdict: Verdict,
    reservation: &Reservation,
    last: &SiteRecovery,
    left: SignedDuration,
) -> SitePlan {
    let (id, archive) = (reservation.vmid, &last.archive);
    let (reason, message) = match &last.failure {
        Some(failure) => (
            reasons::TASK_FAILED,
            format!(
                "Container {id} is gone, and restoring it from the backup archive {archive} failed at {}: {failure}. It is tried again an hour after that; see to the storage, or restore the container by hand under the same number.",
                last.begun_at.0
            ),
        ),
        None => (
            reasons::DEGRADED,
            format!(
                "Container {id} was restored from the backup archive {archive} at {} and is gone again. It is restored again only an hour after that; find out who removes it.",
                last.begun_at.0
            ),
        ),
    };
    let mut plan = gone_for_good(verdict, reason, message);
    plan.next = Next::After(left.unsigned_abs());
    plan
}

/// Our container is there. `Err` is the plan while its restore is not told to be over.
pub(super) fn back(
    mut verdict: Verdict,
    container: &Container,
    observed: &Observed,
    now: Timestamp,
) -> Result<Verdict, Box<SitePlan>> {
    if !verdict.recovery.as_ref().is_some_and(SiteRecovery::is_open) {
        return Ok(verdict);
    }
    let restores = match &observed.creations {
        Fact::Unread => return Err(Box::new(wait(verdict, Next::Again { persist: false }))),
        Fact::Unknown(error) => return Err(Box::new(failed(verdict, kinds::CONTAINER_READY, error))),
        Fact::Known(restores) => restores,
    };
    if let Some(plan) = followed(&mut verdict, restores) {
        return Err(Box::new(plan));
    }
    let well = |state: &TaskState| matches!(state, TaskState::Succeeded { .. });
    let told = observed
        .tasks
        .iter()
        .any(|(task, state)| task.operation == TaskOperation::Recover && state.known().is_some_and(well));
    if !told && !restores.iter().any(|task| well(&task.state)) {
        // Not by us: somebody brought it back by hand.
        verdict.recovery = None;
        return Err(Box::new(wait(verdict, Next::Again { persist: true })));
    }
    if let Some(recovery) = &mut verdict.recovery {
        recovery.restored_at = Some(Time(now));
    }
    verdict.node = Some(container.node.clone());
    // The archive may not know of names that came later, and snapshots are in no archive.
    verdict.announced = Vec::new();
    let message = "The snapshots went with the lost container; one of the restored site is taken.";
    verdict.working(kinds::SNAPSHOT_READY, reasons::WAITING, message);
    let message = format!(
        "Container {} was restored and is brought to its spec.",
        container.id
    );
    verdict.working(kinds::CONTAINER_READY, reasons::RECOVERING, message);
    Err(Box::new(wait(verdict, Next::Again { persist: true })))
}
