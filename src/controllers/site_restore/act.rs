//! Doing: one action, at most one outside call, and what came of it.

use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};

use super::restore::{Action, Done, Observed};
use super::{RestoreKind, RestoreSubject, key_of};
use crate::api::{SiteRestore, TaskOperation};
use crate::controllers::fact::Fact;
use crate::controllers::runner::Outcome;
use crate::controllers::tasks;
use crate::providers::container_host::TaskId;
use crate::providers::fence::{Closed, fenced};
use crate::providers::{ErrorKind, ProviderError};
use crate::runtime::metrics::{Kind as MetricKind, WriteResult, WriteVerb};

type Acted = Result<Outcome<Done>, ProviderError>;

impl RestoreKind {
    /// Does one action.
    pub(super) async fn perform(&self, subject: &RestoreSubject, action: &Action) -> Acted {
        match action {
            Action::Begin { snapshot, previous } => {
                if !self.turns.take(&key_of(&subject.object), &subject.uid()) {
                    return Ok(Outcome::Wait(Done::NotYet));
                }
                Ok(Outcome::Done(Done::Begun {
                    snapshot: snapshot.clone(),
                    previous: previous.clone(),
                }))
            }
            Action::DeleteObject => self.delete_object(subject).await,
            _ => self.change(subject, action).await,
        }
    }

    async fn change(&self, subject: &RestoreSubject, action: &Action) -> Acted {
        let place = self
            .place(subject)
            .map_err(|refusal| ProviderError::new(ErrorKind::Unavailable, refusal.message))?;
        let (host, id, owner) = (&place.compute.host, place.vmid, &place.owner);
        match action {
            Action::RollBack(snapshot) => match host.roll_back(id, owner, snapshot).await {
                Ok(task) => Ok(started(TaskOperation::Rollback, task)),
                Err(error) if error.is_not_found() => Ok(Outcome::Done(Done::SnapshotGone)),
                Err(error) => Err(error),
            },
            Action::EnsureHighAvailability(state) => {
                host.ensure_high_availability(id, owner, *state).await?;
                Ok(Outcome::Done(Done::ContainerChanged))
            }
            _ => Ok(match host.stop(id).await? {
                Some(task) => started(TaskOperation::Stop, task),
                None => Outcome::Done(Done::ContainerChanged),
            }),
        }
    }

    /// Deletes exactly this object, not one of its name that was made since.
    async fn delete_object(&self, subject: &RestoreSubject) -> Acted {
        let namespace = subject.object.namespace().unwrap_or_default();
        let api: Api<SiteRestore> = Api::namespaced(self.client.clone(), &namespace);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(subject.uid()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let name = subject.object.name_any();
        let result = fenced(self.fence.as_ref(), api.delete(&name, &params), || {
            kube::Error::Service(Box::new(Closed))
        })
        .await;
        self.metrics.api_write(
            MetricKind::SiteRestore,
            WriteVerb::Object,
            WriteResult::of(&result),
        );
        match result {
            Ok(_) => Ok(Outcome::Done(Done::ObjectDeleted)),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                Ok(Outcome::Done(Done::ObjectDeleted))
            }
            Err(error) => Err(ProviderError::new(
                ErrorKind::Unavailable,
                "the API server did not delete this object, whose time is over; it is tried again",
            )
            .with_detail(error)),
        }
    }
}

fn started(operation: TaskOperation, task: TaskId) -> Outcome<Done> {
    Outcome::Started(Done::Task(tasks::kept(operation, &task)))
}

/// Takes what an action brought into what is known.
pub(super) fn absorb(mut observed: Observed, done: &Done) -> Observed {
    match done {
        Done::NotYet => {}
        Done::ObjectDeleted => observed.ended = true,
        Done::Begun { .. } => observed.container = Fact::Unread,
        Done::Task(_) | Done::ContainerChanged | Done::SnapshotGone => {
            observed.container = Fact::Unread;
            observed.rollbacks = Fact::Unread;
        }
    }
    observed
}
