//! What to do for a backup that shall exist. Pure and total: the same input gives the same plan.

use jiff::Timestamp;

use super::backup::{Action, Observed, SiteView, Steady, Terms};
use super::name;
use super::verdict::Verdict;
use crate::api::condition::{kinds, reasons};
use crate::api::{BackupPhase, SiteBackupStatus, TaskOperation};
use crate::controllers::fact::Fact;
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::domain::OwnerMark;
use crate::providers::ProviderError;
use crate::providers::container_host::{Container, Snapshot, TaskState};

/// How often the snapshot is begun in one series: the pauses between grow to some ten seconds, which is longer than a
/// storage is busy with anything but trouble.
pub const ATTEMPTS_MAX: i32 = 5;

/// A plan for a backup.
pub type BackupPlan = Plan<Action, Verdict>;

/// Another round at once.
pub const AGAIN: Next = Next::Again { persist: false };

/// The plan for a backup that shall exist. With `anew`, somebody asks for one more series of tries.
pub fn live(status: &SiteBackupStatus, observed: &Observed, now: Timestamp, anew: bool) -> BackupPlan {
    let mut verdict = Verdict::of(status);
    if status.phase == Some(BackupPhase::Lost) {
        verdict.unchanged = true;
        return wait(verdict, Next::Settled);
    }
    let own = |site: &&SiteView| status.site_uid.as_ref().is_none_or(|uid| *uid == site.uid);
    let Some(site) = observed.site.as_ref().filter(own) else {
        return siteless(verdict, status);
    };
    if let Some(refusal) = &observed.refusal {
        let phase = kept(&verdict);
        verdict.blocked(phase, refusal.reason, refusal.message.clone());
        return wait(verdict, Next::Settled);
    }
    if let Some(steady) = &observed.steady {
        verdict.unchanged = true;
        return match steady {
            Steady::Agrees => wait(verdict, Next::Settled),
            Steady::Differs => wait(verdict, Next::Closer),
            Steady::Unknown(error) => wait(verdict, after_failure(error)),
        };
    }
    let there = status.phase == Some(BackupPhase::Ready);
    if there && site.deleting {
        verdict.unchanged = true;
        return wait(verdict, Next::Settled);
    }
    if let (false, Some(why)) = (there, obstacle(site)) {
        verdict.waits(why);
        verdict.tasks = status.tasks.clone();
        return wait(verdict, Next::Settled);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    if let Some(plan) = tasks(&mut verdict, status, observed) {
        return plan;
    }
    verdict.try_anew = anew && status.attempts > 0;
    let attempts = if anew { 0 } else { status.attempts };
    match look(&mut verdict, terms, observed) {
        Err(plan) => *plan,
        Ok(None) if there => {
            let message = format!("Container {} is gone, and the snapshot with it.", terms.vmid);
            verdict.lost(message);
            wait(verdict, Next::Settled)
        }
        Ok(None) => {
            let message = format!("Container {} of the site is not there.", terms.vmid);
            verdict.fails(reasons::UNEXPECTED, &message, false);
            wait(verdict, Next::Retry { at_least: None })
        }
        Ok(Some((container, snapshots))) => {
            let scene = Scene {
                status,
                terms,
                site,
                container,
                snapshots,
                observed,
                attempts,
                now,
            };
            scene.plan(verdict)
        }
    }
}

/// What has to be over before anything is done for the backup.
fn obstacle(site: &SiteView) -> Option<&'static str> {
    match site {
        SiteView { deleting: true, .. } => Some("The site is being deleted."),
        SiteView { restoring: true, .. } => {
            Some("The site is being rolled back; waiting for the end of that.")
        }
        SiteView { made: false, .. } => Some("The site is not made yet; waiting for its end."),
        _ => None,
    }
}

/// Where a backup stands about which nothing new is known.
fn kept(verdict: &Verdict) -> BackupPhase {
    match verdict.phase {
        BackupPhase::Refused => BackupPhase::Pending,
        phase => phase,
    }
}

/// There is no such site, or another one has its name.
fn siteless(mut verdict: Verdict, status: &SiteBackupStatus) -> BackupPlan {
    match status.site_uid.is_some() {
        true => verdict.lost("The site is gone, and its snapshots with it."),
        false => verdict.blocked(
            BackupPhase::Refused,
            reasons::SITE_NOT_FOUND,
            "There is no WordPressSite of that name in this namespace; nothing was taken.",
        ),
    }
    wait(verdict, Next::Settled)
}

/// No action now.
pub fn wait(verdict: Verdict, next: Next) -> BackupPlan {
    Plan {
        actions: Vec::new(),
        next,
        verdict,
    }
}

/// One action.
pub fn act(verdict: Verdict, action: Action, next: Next) -> BackupPlan {
    Plan {
        actions: vec![action],
        next,
        verdict,
    }
}

/// A look failed: the retry policy says when to look again.
pub fn failed(mut verdict: Verdict, error: &ProviderError) -> BackupPlan {
    verdict.failed(error);
    wait(verdict, after_failure(error))
}

/// Tasks under way come first. `None` when none is.
pub fn tasks(verdict: &mut Verdict, status: &SiteBackupStatus, observed: &Observed) -> Option<BackupPlan> {
    let mut failure = None;
    for (task, state) in &observed.tasks {
        let (words, attempt) = match task.operation {
            TaskOperation::DeleteSnapshot => ("The snapshot is being deleted.", "Deleting the snapshot"),
            _ => ("The snapshot is being taken.", "Taking the snapshot"),
        };
        match state {
            Fact::Known(TaskState::Running) | Fact::Unread => {
                verdict.tasks.push(task.clone());
                let phase = match verdict.phase {
                    BackupPhase::Terminating => BackupPhase::Terminating,
                    _ => BackupPhase::Taking,
                };
                verdict.works(phase, reasons::TASK_RUNNING, words);
            }
            Fact::Unknown(error) => {
                verdict.tasks.push(task.clone());
                verdict.failed(error);
                failure = Some(after_failure(error));
            }
            // What a finished or forgotten task has come to, the list of snapshots tells.
            Fact::Known(TaskState::Succeeded { .. } | TaskState::Unknown) => {}
            Fact::Known(TaskState::Failed(sentence)) => {
                let last = task.operation == TaskOperation::Snapshot && status.attempts >= ATTEMPTS_MAX;
                let follows = match last {
                    true => format!("it was tried {} times. {HOW_TO_RETRY}", status.attempts),
                    false => "it is tried again.".to_owned(),
                };
                let message = format!("{attempt} failed: {}; {follows}", sentence.trim_end_matches('.'));
                verdict.fails(reasons::TASK_FAILED, &message, false);
                failure = Some(Next::Retry { at_least: None });
            }
        }
    }
    if let Some(next) = failure {
        return Some(wait(verdict.clone(), next));
    }
    (!verdict.tasks.is_empty()).then(|| wait(verdict.clone(), Next::Poll))
}

/// What a person does about a backup that is not tried again.
const HOW_TO_RETRY: &str = "Remove the cause, then set the annotation hostwright.dev/reconcile-at to a new value, or delete this object.";

type Look<'a> = Result<Option<(&'a Container, &'a [Snapshot])>, Box<BackupPlan>>;

/// The site's container and its snapshots; `None` when the container is gone.
pub fn look<'a>(verdict: &mut Verdict, terms: &Terms, observed: &'a Observed) -> Look<'a> {
    let plan = |verdict: &Verdict, next| Err(Box::new(wait(verdict.clone(), next)));
    let container = match &observed.container {
        Fact::Unread => return plan(verdict, AGAIN),
        Fact::Unknown(error) => return Err(Box::new(failed(verdict.clone(), error))),
        Fact::Known(None) => return Ok(None),
        Fact::Known(Some(container)) => container,
    };
    if container.mark.as_ref() != Some(&terms.site) {
        if let (None, Some(lock)) = (&container.mark, &container.lock) {
            verdict.waits(locked(container, lock));
            return plan(verdict, Next::Poll);
        }
        let message = format!(
            "Container {} on node {} does not carry the mark of the site; nothing is done to it.",
            container.id, container.node
        );
        let phase = kept(verdict);
        verdict.blocked(phase, reasons::CONFLICT, message);
        return plan(verdict, Next::Retry { at_least: None });
    }
    match &observed.snapshots {
        Fact::Unread => plan(verdict, AGAIN),
        Fact::Unknown(error) => Err(Box::new(failed(verdict.clone(), error))),
        Fact::Known(snapshots) => Ok(Some((container, snapshots))),
    }
}

/// What is said of a lock.
pub fn locked(container: &Container, lock: &str) -> String {
    let (id, node) = (container.id, &container.node);
    format!(
        "Container {id} is locked ({lock}) by other work on it; waiting for its end. If it stays, run `pct unlock {id}` on node {node}."
    )
}

/// The snapshot that carries a mark.
pub fn own<'a>(owner: &OwnerMark, snapshots: &'a [Snapshot]) -> Option<&'a Snapshot> {
    snapshots
        .iter()
        .find(|snapshot| OwnerMark::find_in(&snapshot.description).as_ref() == Some(owner))
}

/// Everything needed to decide about a snapshot.
struct Scene<'a> {
    status: &'a SiteBackupStatus,
    terms: &'a Terms,
    site: &'a SiteView,
    container: &'a Container,
    snapshots: &'a [Snapshot],
    observed: &'a Observed,
    attempts: i32,
    now: Timestamp,
}

impl Scene<'_> {
    fn plan(&self, mut verdict: Verdict) -> BackupPlan {
        verdict.site_uid = Some(self.site.uid.clone());
        match own(&self.terms.owner, self.snapshots) {
            Some(snapshot) if snapshot.broken.is_none() => {
                verdict.good(&snapshot.name, snapshot.taken_at);
                wait(verdict, Next::Settled)
            }
            Some(broken) => {
                // Taken in this moment, or left half done by a task that failed; a lock tells which.
                if let Some(plan) = self.unable(&mut verdict) {
                    return plan;
                }
                let message = format!("What a failed task left of {} is being removed.", broken.name);
                verdict.works(BackupPhase::Taking, reasons::PROVISIONING, message);
                act(verdict, Action::Delete(broken.name.clone()), Next::Poll)
            }
            None if self.status.created_at.is_some() => {
                verdict.lost(
                    "The snapshot is gone: the site was rolled back past it, or somebody deleted it. It is not taken again.",
                );
                wait(verdict, Next::Settled)
            }
            None => self.absent(verdict),
        }
    }

    /// Somebody else works on the container.
    fn unable(&self, verdict: &mut Verdict) -> Option<BackupPlan> {
        if let Some(lock) = &self.container.lock {
            verdict.waits(locked(self.container, lock));
        } else if self.site.busy {
            verdict.waits("Waiting for the end of other work on the container.");
        } else {
            return None;
        }
        Some(wait(verdict.clone(), Next::Poll))
    }

    fn absent(&self, mut verdict: Verdict) -> BackupPlan {
        let reserved = self.status.snapshot.as_ref();
        let taken = |name: &String| self.snapshots.iter().any(|snapshot| snapshot.name == *name);
        let Some(name) = reserved.filter(|name| !taken(name)) else {
            return self.reserve(verdict);
        };
        if self.attempts >= ATTEMPTS_MAX {
            return exhausted(verdict, self.status);
        }
        if let Some(plan) = self.unable(&mut verdict) {
            return plan;
        }
        match &self.observed.takings {
            Fact::Unread => return wait(verdict, AGAIN),
            Fact::Unknown(error) => return failed(verdict, error),
            // Ours, whose answer was lost, or another one; the list of snapshots tells at its end.
            Fact::Known(takings) if takings.iter().any(|task| task.state == TaskState::Running) => {
                verdict.works(
                    BackupPhase::Taking,
                    reasons::TASK_RUNNING,
                    "A snapshot is being taken.",
                );
                return wait(verdict, Next::Poll);
            }
            Fact::Known(_) => {}
        }
        verdict.works(
            BackupPhase::Taking,
            reasons::PROVISIONING,
            "The snapshot is being taken.",
        );
        act(verdict, Action::Take(name.clone()), Next::Poll)
    }

    /// Reserves a name, if the quota leaves a place.
    fn reserve(&self, mut verdict: Verdict) -> BackupPlan {
        let others = &self.observed.others;
        let (limit, plan) = &self.terms.limit;
        let unknown = self.unknown();
        let room = limit.saturating_sub(unknown);
        let holding = others.holding + others.before;
        // One that has a place keeps it, whatever became of its name.
        if self.status.snapshot.is_none() && holding >= room {
            let left = match unknown {
                0 => String::new(),
                _ => format!(" ({unknown} of them snapshots of objects that are gone)"),
            };
            let message = format!(
                "The site's Plan {plan} allows {limit} backups, and there are {}{left}; nothing was taken. Delete a backup, then this one is taken, or delete this one.",
                holding + unknown
            );
            verdict.blocked(BackupPhase::Refused, reasons::QUOTA_EXCEEDED, message);
            return wait(verdict, Next::Settled);
        }
        let names = self.snapshots.iter().map(|snapshot| snapshot.name.as_str());
        let taken = names.chain(others.names.iter().map(String::as_str));
        let name = name::next(self.now, &self.terms.zone, taken);
        verdict.works(
            BackupPhase::Taking,
            reasons::PROVISIONING,
            "The snapshot is being taken.",
        );
        let room = match self.status.snapshot.is_some() {
            true => usize::MAX,
            false => room,
        };
        act(
            verdict,
            Action::Reserve { name, room },
            Next::Again { persist: true },
        )
    }

    /// Snapshots with a mark of this cluster that no object knows: of backups that were deleted with Retain, or whose
    /// object was removed by force.
    fn unknown(&self) -> usize {
        let terms = self.terms;
        let marks = self
            .snapshots
            .iter()
            .filter_map(|snapshot| OwnerMark::find_in(&snapshot.description));
        marks
            .filter(|mark| {
                let known = *mark == terms.owner
                    || *mark == terms.site
                    || self.observed.others.uids.contains(mark.uid.as_str());
                mark.cluster == terms.owner.cluster && !known
            })
            .count()
    }
}

/// Tried often enough; what was said last is kept.
fn exhausted(mut verdict: Verdict, status: &SiteBackupStatus) -> BackupPlan {
    let said = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kinds::READY && condition.reason == reasons::TASK_FAILED);
    let message = match said {
        Some(said) => said.message.clone(),
        None => format!(
            "Taking the snapshot failed {} times. {HOW_TO_RETRY}",
            status.attempts
        ),
    };
    verdict.blocked(BackupPhase::Pending, reasons::TASK_FAILED, message);
    wait(verdict, Next::Settled)
}
