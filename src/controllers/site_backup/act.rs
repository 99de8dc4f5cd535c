//! Doing: one action, at most one outside call, and what came of it.

use super::backup::{Action, Done, Observed};
use super::resolve::Resolved;
use super::{BackupKind, BackupSubject, key_of};
use crate::api::TaskOperation;
use crate::controllers::fact::Fact;
use crate::controllers::runner::Outcome;
use crate::controllers::tasks;
use crate::providers::container_host::TaskId;
use crate::providers::{ErrorKind, ProviderError};

type Acted = Result<Outcome<Done>, ProviderError>;

impl BackupKind {
    /// Does one action.
    pub(super) async fn perform(&self, subject: &BackupSubject, action: &Action) -> Acted {
        if let Action::Reserve { name, room } = action {
            return match self.shelf.claim(&subject.uid(), name, *room) {
                true => Ok(Outcome::Done(Done::Reserved(name.clone()))),
                false => Err(ProviderError::new(
                    ErrorKind::Conflict,
                    "another backup of the site was faster; looking again",
                )),
            };
        }
        if !self.turns.take(&key_of(&subject.object), &subject.uid()) {
            return Ok(Outcome::Wait(Done::NotYet));
        }
        let Resolved { terms, compute } = self
            .resolve(subject)
            .map_err(|refusal| ProviderError::new(ErrorKind::Unavailable, refusal.message))?;
        let (host, id) = (&compute.host, terms.vmid);
        match action {
            Action::Take(name) => {
                let description = format!("SiteBackup {} {}", subject.title(), terms.owner);
                let task = host.take_snapshot(id, name, &description).await?;
                Ok(started(TaskOperation::Snapshot, task))
            }
            Action::Delete(name) => Ok(match host.delete_snapshot(id, name).await? {
                Some(task) => started(TaskOperation::DeleteSnapshot, task),
                None => Outcome::Done(Done::SnapshotsChanged),
            }),
            Action::Reserve { .. } => Ok(Outcome::Wait(Done::NotYet)),
        }
    }
}

fn started(operation: TaskOperation, task: TaskId) -> Outcome<Done> {
    Outcome::Started(Done::Task(tasks::kept(operation, &task)))
}

/// Takes what an action brought into what is known.
pub(super) fn absorb(mut observed: Observed, done: &Done) -> Observed {
    match done {
        Done::Reserved(_) | Done::NotYet => {}
        Done::Task(_) | Done::SnapshotsChanged => {
            observed.container = Fact::Unread;
            observed.snapshots = Fact::Unread;
            observed.takings = Fact::Unread;
        }
    }
    observed
}
