//! Reading: what is still unknown and needed, and never a write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use super::backup::{Observed, Steady, Terms};
use super::plan::own;
use super::resolve::Resolved;
use super::{BackupKind, BackupSubject};
use crate::api::{BackupPhase, DeletionPolicy};
use crate::controllers::connections::Compute;
use crate::controllers::fact::Fact;
use crate::controllers::shared_read::SharedRead;
use crate::controllers::tasks;
use crate::domain::Vmid;
use crate::providers::ProviderError;
use crate::providers::container_host::{Operation, Snapshot, TaskState};

/// Age of a list of snapshots that is good enough for a backup that was there: the backups of one site share a read,
/// and the jitter of their passes is a tenth of ten minutes.
const STEADY_AGE: Duration = Duration::from_secs(60);

type SharedList = Arc<SharedRead<Vec<Snapshot>>>;

/// Lists of snapshots that the backups of one container share.
#[derive(Debug, Default)]
pub struct Lists {
    reads: Mutex<HashMap<(String, Vmid), SharedList>>,
}

impl Lists {
    async fn get(&self, compute: &Compute, id: Vmid) -> Result<Arc<Vec<Snapshot>>, ProviderError> {
        let read = {
            let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(reads.entry((compute.name.clone(), id)).or_default())
        };
        read.get(STEADY_AGE, || compute.host.snapshots(id)).await
    }
}

impl BackupKind {
    /// Fills in what is unread and needed.
    pub(super) async fn look(&self, subject: &BackupSubject, mut known: Observed) -> Observed {
        self.caches_filled().await;
        let status = &subject.status;
        known.site = self.view(subject);
        known.others = self.shelf.others(&subject.uid());
        let Some(site) = &known.site else { return known };
        let retained = subject.deleting && subject.object.spec.deletion_policy == DeletionPolicy::Retain;
        let other = status.site_uid.as_ref().is_some_and(|uid| *uid != site.uid);
        let nothing = status.snapshot.is_none() && (subject.deleting || !site.made);
        let there = status.phase == Some(BackupPhase::Ready) && !subject.deleting;
        let away = site.deleting || (site.restoring && !there);
        if retained || other || nothing || away || status.phase == Some(BackupPhase::Lost) {
            return known;
        }
        let Resolved { terms, compute } = match self.resolve(subject) {
            Ok(resolved) => resolved,
            Err(refusal) => {
                known.refusal = Some(refusal);
                return known;
            }
        };
        if there && !subject.precise {
            known.steady = Some(self.glance(subject, &terms, &compute).await);
        } else {
            self.look_outside(subject, &terms, &compute, &mut known).await;
        }
        known.terms = Some(terms);
        known
    }

    /// A look at a backup that was there. The first one after a start is spared: a new operator believes its
    /// predecessor until the resync.
    async fn glance(&self, subject: &BackupSubject, terms: &Terms, compute: &Compute) -> Steady {
        if self.first_look(&subject.uid()) {
            return Steady::Agrees;
        }
        match self.lists.get(compute, terms.vmid).await {
            Ok(list) => match own(&terms.owner, &list) {
                Some(snapshot) if snapshot.broken.is_none() => Steady::Agrees,
                _ => Steady::Differs,
            },
            Err(error) if error.is_not_found() => Steady::Differs,
            Err(error) => Steady::Unknown(error),
        }
    }

    async fn look_outside(
        &self,
        subject: &BackupSubject,
        terms: &Terms,
        compute: &Compute,
        known: &mut Observed,
    ) {
        self.first_look(&subject.uid());
        let host = &compute.host;
        if known.tasks.is_empty() {
            known.tasks = tasks::look(host.as_ref(), &subject.status.tasks).await;
        }
        let over = |state: &Fact<TaskState>| {
            matches!(
                state,
                Fact::Known(TaskState::Succeeded { .. } | TaskState::Unknown)
            )
        };
        if !known.tasks.iter().all(|(_, state)| over(state)) {
            return;
        }
        if known.container.is_unread() {
            known.container = host.container(terms.vmid).await.into();
        }
        let ours = matches!(&known.container, Fact::Known(Some(c)) if c.mark.as_ref() == Some(&terms.site));
        if ours && known.snapshots.is_unread() {
            known.snapshots = host.snapshots(terms.vmid).await.into();
        }
        let Fact::Known(snapshots) = &known.snapshots else {
            return;
        };
        let reserved = subject.status.snapshot.is_some();
        if reserved && own(&terms.owner, snapshots).is_none() && known.takings.is_unread() {
            let created = subject.object.creation_timestamp();
            let since = created.map_or(Timestamp::UNIX_EPOCH, |time| tasks::listed_since(time.0));
            known.takings = host.tasks_of(terms.vmid, Operation::Snapshot, since).await.into();
        }
    }
}
