//! What to do for a restore. Pure and total: the same input gives the same plan.
//!
//! From `RollingBack` on the container is the restore's alone, and every step is told by what is outside: which
//! roll-backs there were, whether the container runs, who manages it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::restore::{Action, Observed, SiteView, Target, Terms, is_initial};
use super::verdict::Verdict;
use crate::api::condition::reasons;
use crate::api::{RestorePhase, SiteRestoreStatus, TaskOperation};
use crate::controllers::fact::Fact;
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::controllers::tasks;
use crate::domain::OwnerMark;
use crate::providers::container_host::{Container, HaState, Snapshot, TaskRecord, TaskState};
use crate::providers::{ErrorKind, ProviderError};

/// Seconds after its creation that a restore waits for a site or a backup that it does not find: watches of different
/// kinds do not keep the order in which the objects were written.
const SETTLING: SignedDuration = SignedDuration::from_secs(5);
/// Lock word of a roll-back that is under way, or that failed and left it.
const ROLLBACK_LOCK: &str = "rollback";

/// A plan for a restore.
pub type RestorePlan = Plan<Action, Verdict>;

/// Another round at once.
pub const AGAIN: Next = Next::Again { persist: false };
/// Another round at once, with all that was decided stored.
const STORED: Next = Next::Again { persist: true };

/// The plan for a restore that was not deleted.
pub fn live(status: &SiteRestoreStatus, observed: &Observed, now: Timestamp) -> RestorePlan {
    let verdict = Verdict::of(status);
    match status.phase {
        None | Some(RestorePhase::Pending) => begin(verdict, observed, now),
        Some(RestorePhase::RollingBack) => roll(verdict, status, observed),
        Some(RestorePhase::Starting) => starting(verdict, observed),
        Some(RestorePhase::Completed | RestorePhase::Failed) => over(verdict, status, observed, now),
    }
}

/// No action now.
pub fn wait(verdict: Verdict, next: Next) -> RestorePlan {
    Plan {
        actions: Vec::new(),
        next,
        verdict,
    }
}

fn act(verdict: Verdict, action: Action, next: Next) -> RestorePlan {
    Plan {
        actions: vec![action],
        next,
        verdict,
    }
}

/// A look failed: the retry policy says when to look again.
pub fn failed(mut verdict: Verdict, error: &ProviderError) -> RestorePlan {
    verdict.failed(error);
    wait(verdict, after_failure(error))
}

fn refused(mut verdict: Verdict, reason: &'static str, message: impl Into<String>) -> RestorePlan {
    verdict.refused(reason, message);
    wait(verdict, STORED)
}

/// It is history, and goes when its time is over.
fn over(
    mut verdict: Verdict,
    status: &SiteRestoreStatus,
    observed: &Observed,
    now: Timestamp,
) -> RestorePlan {
    verdict.unchanged = true;
    let (Some(keep), Some(finished)) = (observed.keep_seconds, &status.finished_at) else {
        return wait(verdict, Next::Settled);
    };
    let left = SignedDuration::from_secs(keep) - now.duration_since(finished.0);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => wait(verdict, Next::After(left)),
        _ if observed.ended => wait(verdict, Next::Settled),
        _ => act(verdict, Action::DeleteObject, Next::Settled),
    }
}

fn begin(mut verdict: Verdict, observed: &Observed, now: Timestamp) -> RestorePlan {
    let age = observed.created_at.map(|created| now.duration_since(created));
    let young = age.is_some_and(|age| age < SETTLING);
    let Some(site) = &observed.site else {
        let message = format!(
            "There is no WordPressSite {} in this namespace.",
            observed.site_name
        );
        return unfound(verdict, young, reasons::SITE_NOT_FOUND, message);
    };
    verdict.site_uid = Some(site.uid.clone());
    if site.suspended {
        let message = "The site is suspended. Lift the suspension, then create another restore.";
        return refused(verdict, reasons::SUSPENDED, message);
    }
    if site.deleting {
        return refused(verdict, reasons::DELETING, "The site is being deleted.");
    }
    if let Some(Target::Backup { name, found }) = &observed.target {
        let trouble = match found {
            None => Some(format!("There is no SiteBackup {name} in this namespace.")),
            Some(backup) if backup.site != observed.site_name => {
                let message = format!(
                    "SiteBackup {name} is one of the site {}, not of this one.",
                    backup.site
                );
                return refused(verdict, reasons::BACKUP_NOT_USABLE, message);
            }
            Some(backup) if backup.snapshot.is_none() => Some(format!(
                "SiteBackup {name} has no snapshot that can be rolled back to; look at its status."
            )),
            Some(backup) if backup.site_uid.as_ref() != Some(&site.uid) => Some(format!(
                "SiteBackup {name} is one of an earlier site of this name."
            )),
            Some(_) => None,
        };
        if let Some(message) = trouble {
            return unfound(verdict, young, reasons::BACKUP_NOT_USABLE, message);
        }
    }
    if let Some(why) = obstacle(site, observed) {
        verdict.waits(why);
        return wait(verdict, Next::Settled);
    }
    if let Some(refusal) = &observed.refusal {
        verdict.blocked(refusal.reason, refusal.message.clone());
        return wait(verdict, Next::Settled);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    match look(&mut verdict, terms, observed) {
        Err(plan) => *plan,
        Ok(container) => choose(verdict, terms, site, container, observed),
    }
}

/// What cannot be found may have been written a moment ago.
fn unfound(mut verdict: Verdict, young: bool, reason: &'static str, message: String) -> RestorePlan {
    if young {
        verdict.waits(message);
        return wait(verdict, Next::Poll);
    }
    refused(verdict, reason, message)
}

fn obstacle(site: &SiteView, observed: &Observed) -> Option<&'static str> {
    match (site.made, observed.rivals.active, observed.rivals.older) {
        (false, _, _) => Some("The site is not made yet; waiting for its end."),
        (_, true, _) => Some("Another restore of the site is under way; waiting for its end."),
        (_, _, true) => Some("An older restore of the site comes first."),
        _ => None,
    }
}

type Look<'a> = Result<&'a Container, Box<RestorePlan>>;

/// The site's container.
fn look<'a>(verdict: &mut Verdict, terms: &Terms, observed: &'a Observed) -> Look<'a> {
    let plan = |verdict: &Verdict, next| Err(Box::new(wait(verdict.clone(), next)));
    match &observed.container {
        Fact::Unread => plan(verdict, AGAIN),
        Fact::Unknown(error) => Err(Box::new(failed(verdict.clone(), error))),
        Fact::Known(None) => {
            let message = format!(
                "container {} of the site is not there; look at the site",
                terms.vmid
            );
            let error = ProviderError::new(ErrorKind::NotFound, message);
            Err(Box::new(failed(verdict.clone(), &error)))
        }
        Fact::Known(Some(container)) if container.mark.as_ref() == Some(&terms.site) => Ok(container),
        Fact::Known(Some(container)) => {
            let message = format!(
                "container {} on node {} does not carry the mark of the site; nothing is done to it",
                container.id, container.node
            );
            let error = ProviderError::new(ErrorKind::Conflict, message);
            Err(Box::new(failed(verdict.clone(), &error)))
        }
    }
}

/// What is said of a lock.
fn locked(container: &Container, lock: &str) -> String {
    let (id, node) = (container.id, &container.node);
    format!(
        "Container {id} is locked ({lock}) by other work on it; waiting for its end. If it stays, run `pct unlock {id}` on node {node}."
    )
}

/// Everything stands: is the snapshot there, and ours?
fn choose(
    mut verdict: Verdict,
    terms: &Terms,
    site: &SiteView,
    container: &Container,
    observed: &Observed,
) -> RestorePlan {
    let (snapshots, rollbacks) = match (&observed.snapshots, &observed.rollbacks) {
        (Fact::Unknown(error), _) | (_, Fact::Unknown(error)) => return failed(verdict, error),
        (Fact::Known(snapshots), Fact::Known(rollbacks)) => (snapshots, rollbacks),
        _ => return wait(verdict, AGAIN),
    };
    let Some(target) = &observed.target else {
        return refused(
            verdict,
            reasons::INVALID_SPEC,
            "Neither backup nor snapshot is set.",
        );
    };
    let name = match wanted(target, terms, snapshots) {
        Ok(name) => name,
        Err(message) => return refused(verdict, reasons::SNAPSHOT_NOT_FOUND, message),
    };
    if let Some(lock) = &container.lock {
        verdict.waits(locked(container, lock));
        return wait(verdict, Next::Poll);
    }
    if site.busy {
        verdict.waits("Waiting for the end of other work on the container.");
        return wait(verdict, Next::Poll);
    }
    verdict.works(reasons::PROVISIONING, "The roll-back is being begun.");
    let action = Action::Begin {
        snapshot: name,
        previous: rollbacks.first().map(|newest| newest.id.0.clone()),
    };
    act(verdict, action, STORED)
}

/// The name of the snapshot that is wanted, when it is there, whole, and ours.
fn wanted(target: &Target, terms: &Terms, snapshots: &[Snapshot]) -> Result<String, String> {
    let (name, owner) = match target {
        Target::Snapshot(name) => (name, is_initial(name).then(|| terms.site.uid.as_str())),
        Target::Backup { name, found } => match found {
            Some(backup) => match &backup.snapshot {
                Some(snapshot) => (snapshot, Some(backup.uid.as_str())),
                None => return Err(format!("SiteBackup {name} has no snapshot.")),
            },
            None => return Err(format!("There is no SiteBackup {name}.")),
        },
    };
    let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.name == *name) else {
        return Err(format!("Container {} has no snapshot {name}.", terms.vmid));
    };
    let mark = OwnerMark::find_in(&snapshot.description);
    let ours = mark.is_some_and(|mark| {
        mark.cluster == terms.site.cluster && owner.is_none_or(|uid| mark.uid.as_str() == uid)
    });
    if !ours {
        return Err(format!(
            "The snapshot {name} of container {} is not one of ours; name a SiteBackup, or initial.",
            terms.vmid
        ));
    }
    match snapshot.broken {
        Some(_) => Err(format!("A failed task left the snapshot {name} half done.")),
        None => Ok(name.clone()),
    }
}

fn roll(mut verdict: Verdict, status: &SiteRestoreStatus, observed: &Observed) -> RestorePlan {
    let own = |site: &&SiteView| status.site_uid.as_ref() == Some(&site.uid);
    let Some(site) = observed.site.as_ref().filter(own) else {
        return refused(verdict, reasons::SITE_NOT_FOUND, "The site is gone.");
    };
    let Some(snapshot) = &status.snapshot else {
        let message = "The status does not say any more what to roll back to.";
        return refused(verdict, reasons::UNEXPECTED, message);
    };
    verdict.tasks.clone_from(&status.tasks);
    if !site.yielding && !site.deleting {
        verdict.waits("Waiting for the end of what is being done for the site.");
        return wait(verdict, Next::Settled);
    }
    if let Some(refusal) = &observed.refusal {
        verdict.blocked(refusal.reason, refusal.message.clone());
        return wait(verdict, Next::Settled);
    }
    verdict.tasks.clear();
    match progress(&mut verdict, status, observed) {
        Err(plan) => *plan,
        Ok(Progress::RolledBack) => {
            verdict.phase = RestorePhase::Starting;
            verdict.works(reasons::PROVISIONING, STARTING);
            wait(verdict, STORED)
        }
        Ok(Progress::Refused(sentence, container)) => match container.lock.as_deref() {
            Some(ROLLBACK_LOCK) => stuck(verdict, container, &sentence),
            _ => refused(verdict, reasons::TASK_FAILED, not_done(&sentence)),
        },
        Ok(Progress::NotBegun(_)) if site.deleting => {
            refused(verdict, reasons::DELETING, "The site is being deleted.")
        }
        Ok(Progress::NotBegun(container)) => step(verdict, snapshot, container),
    }
}

/// What a restore says while the site is brought up again.
const STARTING: &str = "Rolled back; the site is being brought to its spec again and started.";

fn not_done(sentence: &str) -> String {
    format!(
        "The storage refused to roll back: {}; the site is started again as it was.",
        sentence.trim_end_matches('.')
    )
}

/// The lock of a roll-back that failed, which nothing of ours can take away.
pub fn stuck(mut verdict: Verdict, container: &Container, sentence: &str) -> RestorePlan {
    let (id, node) = (container.id, &container.node);
    let message = format!(
        "The roll-back failed: {}. It left container {id} locked ({ROLLBACK_LOCK}), and only a person can clear that: run `pct unlock {id}` on node {node}. The site is started after that.",
        sentence.trim_end_matches('.')
    );
    verdict.blocked(reasons::LOCKED, message);
    wait(verdict, Next::Recheck)
}

/// How far a roll-back is.
pub enum Progress<'a> {
    /// It was not begun.
    NotBegun(&'a Container),
    /// It is done.
    RolledBack,
    /// It failed with this sentence.
    Refused(String, &'a Container),
}

type Known<'a> = Result<Progress<'a>, Box<RestorePlan>>;

/// How far the roll-back is, by the tasks in the status and those that the container host knows.
pub fn progress<'a>(verdict: &mut Verdict, status: &SiteRestoreStatus, observed: &'a Observed) -> Known<'a> {
    let plan = |verdict: &Verdict, next| Err(Box::new(wait(verdict.clone(), next)));
    let Some(terms) = &observed.terms else {
        return plan(verdict, Next::Retry { at_least: None });
    };
    for (task, state) in &observed.tasks {
        let rollback = task.operation == TaskOperation::Rollback;
        match state {
            Fact::Known(TaskState::Running) | Fact::Unread => {
                verdict.tasks.push(task.clone());
                let message = match rollback {
                    true => "The container is being rolled back.",
                    false => "The container is being shut down.",
                };
                verdict.works(reasons::TASK_RUNNING, message);
                return plan(verdict, Next::Poll);
            }
            Fact::Unknown(error) => {
                verdict.tasks.push(task.clone());
                return Err(Box::new(failed(verdict.clone(), error)));
            }
            Fact::Known(TaskState::Failed(sentence)) if !rollback => {
                let message = format!("Shutting the container down failed: {sentence}; it is tried again.");
                verdict.blocked(reasons::TASK_FAILED, message);
                return plan(verdict, Next::Retry { at_least: None });
            }
            // What it has come to, the list of roll-backs or the container tells.
            Fact::Known(_) => {}
        }
    }
    let rollbacks = match &observed.rollbacks {
        Fact::Unread => return plan(verdict, AGAIN),
        Fact::Unknown(error) => return Err(Box::new(failed(verdict.clone(), error))),
        Fact::Known(rollbacks) => rollbacks,
    };
    let known = |state: &Fact<TaskState>| state.known().cloned();
    let told = observed
        .tasks
        .iter()
        .filter(|(task, _)| task.operation == TaskOperation::Rollback)
        .filter_map(|(_, state)| known(state))
        .find(|state| *state != TaskState::Unknown);
    let listed = ours(status, rollbacks).next();
    match told.or_else(|| listed.map(|task| task.state.clone())) {
        Some(TaskState::Running) => {
            let kept = |record: &TaskRecord| tasks::kept(TaskOperation::Rollback, &record.id);
            verdict.tasks.extend(listed.map(kept));
            verdict.works(reasons::TASK_RUNNING, "The container is being rolled back.");
            plan(verdict, Next::Poll)
        }
        Some(TaskState::Succeeded { .. }) => Ok(Progress::RolledBack),
        Some(TaskState::Failed(sentence)) => {
            look(verdict, terms, observed).map(|container| Progress::Refused(sentence, container))
        }
        Some(TaskState::Unknown) | None => look(verdict, terms, observed).map(Progress::NotBegun),
    }
}

/// The roll-backs of this restore in a list that is newest first.
fn ours<'a>(
    status: &'a SiteRestoreStatus,
    rollbacks: &'a [TaskRecord],
) -> impl Iterator<Item = &'a TaskRecord> {
    rollbacks
        .iter()
        .take_while(|task| status.previous_rollback.as_ref() != Some(&task.id.0))
}

/// The next step towards a container that stands still, then the roll-back itself.
fn step(mut verdict: Verdict, snapshot: &str, container: &Container) -> RestorePlan {
    if let Some(lock) = &container.lock {
        verdict.waits(locked(container, lock));
        return wait(verdict, Next::Poll);
    }
    let down = "The container is being shut down.";
    if let Some(managed) = &container.high_availability {
        let idle = matches!(managed.requested, HaState::Stopped | HaState::Disabled);
        let wanted = match managed.error {
            true => Some(HaState::Disabled).filter(|_| managed.requested != HaState::Disabled),
            false => (!idle).then_some(HaState::Stopped),
        };
        verdict.works(reasons::PROVISIONING, down);
        if let Some(state) = wanted {
            return act(verdict, Action::EnsureHighAvailability(state), AGAIN);
        }
        if container.running || managed.error {
            return wait(verdict, Next::Poll);
        }
    } else if container.running {
        verdict.works(reasons::PROVISIONING, down);
        return act(verdict, Action::Stop, Next::Poll);
    }
    verdict.works(reasons::TASK_RUNNING, "The container is being rolled back.");
    act(verdict, Action::RollBack(snapshot.to_owned()), AGAIN)
}

fn starting(mut verdict: Verdict, observed: &Observed) -> RestorePlan {
    let own = |site: &&SiteView| verdict.site_uid.as_ref() == Some(&site.uid) && !site.deleting;
    let Some(site) = observed.site.as_ref().filter(own) else {
        let message = "The site was rolled back, and then deleted.";
        return refused(verdict, reasons::SITE_NOT_FOUND, message);
    };
    // Its own controller has not taken it back as long as it yields: what it says is older than the roll-back.
    if site.up && !site.yielding {
        verdict.completed();
        return wait(verdict, STORED);
    }
    let message = match site.yielding || site.message.is_empty() {
        true => STARTING.to_owned(),
        false => format!("{STARTING} {}", site.message),
    };
    verdict.works(reasons::PROVISIONING, message);
    wait(verdict, Next::Settled)
}
