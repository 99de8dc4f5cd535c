//! Reading: what is still unknown and needed, and never a write.

use futures::future::join;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::restore::{BackupView, Observed, Rivals, SiteView, Target, Terms, operation_of};
use super::{RestoreKind, RestoreSubject, key_of};
use crate::api::condition::{is_true, kinds, reasons};
use crate::api::{BackupPhase, Phase, RestorePhase, SiteRestore, WordPressSite, is_paused};
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::controllers::site_backup::resolve::{SiteContainer, container_of, is_made, site_of};
use crate::controllers::tasks;
use crate::providers::container_host::{Operation, TaskState};

impl RestoreKind {
    /// Fills in what is unread and needed.
    pub(super) async fn look(&self, subject: &RestoreSubject, mut known: Observed) -> Observed {
        let spec = &subject.object.spec;
        known.created_at = subject.object.creation_timestamp().map(|time| time.0);
        known.keep_seconds = spec.ttl_seconds_after_finished.map(i64::from);
        known.site_name.clone_from(&spec.site);
        let phase = subject.status.phase.unwrap_or(RestorePhase::Pending);
        if phase.is_over() {
            return known;
        }
        self.caches_filled().await;
        let key = key_of(&subject.object);
        let Some(site) = site_of(&self.sites, &key) else {
            return known;
        };
        let view = view(&site);
        known.rivals = self.rivals(subject);
        known.target = Some(self.target(subject));
        let rolling = phase == RestorePhase::RollingBack;
        let waits = match phase {
            RestorePhase::RollingBack => {
                let own = subject.status.site_uid.as_ref() == Some(&view.uid);
                !own || !(view.yielding || view.deleting || subject.deleting)
            }
            RestorePhase::Pending => {
                let rivals = known.rivals.active || known.rivals.older;
                subject.deleting || rivals || !view.made || view.deleting || view.suspended
            }
            _ => true,
        };
        known.site = Some(view);
        if waits {
            return known;
        }
        match self.place(subject) {
            Err(refusal) => known.refusal = Some(refusal),
            Ok(place) => {
                self.look_outside(subject, &place, rolling, &mut known).await;
                known.terms = Some(Terms {
                    site: place.owner,
                    vmid: place.vmid,
                });
            }
        }
        known
    }

    /// Where the site is.
    pub(super) fn place(&self, subject: &RestoreSubject) -> Result<SiteContainer, Refusal> {
        let site = site_of(&self.sites, &key_of(&subject.object)).ok_or_else(|| {
            let reason = crate::api::condition::reasons::SITE_NOT_FOUND;
            Refusal::new(reason, "there is no WordPressSite of that name")
        })?;
        // What was begun must come to its end, whatever is allowed by now.
        let begun = subject.status.started_at.is_some();
        container_of(&self.connections, &self.cluster, &site, begun)
    }

    async fn look_outside(
        &self,
        subject: &RestoreSubject,
        place: &SiteContainer,
        rolling: bool,
        known: &mut Observed,
    ) {
        let (host, id) = (&place.compute.host, place.vmid);
        if known.tasks.is_empty() {
            known.tasks = tasks::look(host.as_ref(), &subject.status.tasks).await;
        }
        let over = |(task, state): &(crate::api::SiteTask, Fact<TaskState>)| {
            let failed = operation_of(task) == Operation::Rollback;
            match state {
                Fact::Known(TaskState::Succeeded { .. } | TaskState::Unknown) => true,
                Fact::Known(TaskState::Failed(_)) => failed,
                _ => false,
            }
        };
        if !known.tasks.iter().all(over) {
            return;
        }
        if known.rollbacks.is_unread() {
            let begun = subject.status.started_at.as_ref();
            let since = tasks::listed_since(begun.map_or_else(Timestamp::now, |time| time.0));
            known.rollbacks = host.tasks_of(id, Operation::Rollback, since).await.into();
        }
        if known.container.is_unread() {
            match rolling {
                true => known.container = host.container(id).await.into(),
                false => {
                    let (container, snapshots) = join(host.container(id), host.snapshots(id)).await;
                    (known.container, known.snapshots) = (container.into(), snapshots.into());
                }
            }
        }
    }

    fn target(&self, subject: &RestoreSubject) -> Target {
        let spec = &subject.object.spec;
        let Some(name) = &spec.backup else {
            return Target::Snapshot(spec.snapshot.clone().unwrap_or_default());
        };
        let namespace = subject.object.namespace().unwrap_or_default();
        let backup = self.backups.get(&ObjectRef::new(name).within(&namespace));
        let found = backup.map(|backup| {
            let status = backup.status.clone().unwrap_or_default();
            let there =
                status.phase == Some(BackupPhase::Ready) && backup.metadata.deletion_timestamp.is_none();
            BackupView {
                site: backup.spec.site.clone(),
                site_uid: status.site_uid,
                snapshot: status.snapshot.filter(|_| there),
                uid: backup.uid().unwrap_or_default(),
            }
        });
        Target::Backup {
            name: name.clone(),
            found,
        }
    }

    /// Other restores of the site that are under way, or that come first.
    fn rivals(&self, subject: &RestoreSubject) -> Rivals {
        let own = subject.object.as_ref();
        let rank = |restore: &SiteRestore| {
            let created = restore.creation_timestamp().map(|time| time.0);
            (created, restore.uid().unwrap_or_default())
        };
        let mut rivals = Rivals::default();
        for other in self.restores.each() {
            let same = key_of(&other) == key_of(own) && other.uid() != own.uid();
            let phase = other.status.as_ref().and_then(|status| status.phase);
            match phase.unwrap_or(RestorePhase::Pending) {
                _ if !same => {}
                RestorePhase::RollingBack | RestorePhase::Starting => rivals.active = true,
                RestorePhase::Pending => {
                    let away = other.metadata.deletion_timestamp.is_some() || is_paused(other.as_ref());
                    rivals.older |= !away && rank(&other) < rank(own);
                }
                RestorePhase::Completed | RestorePhase::Failed => {}
            }
        }
        rivals
    }
}

fn view(site: &WordPressSite) -> SiteView {
    let status = site.status.clone().unwrap_or_default();
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kinds::READY);
    // Phase or condition alone may come early: sizes are brought back in between.
    let rests =
        ready.is_some_and(|ready| [reasons::STOPPED, reasons::SUSPENDED].contains(&ready.reason.as_str()));
    let runs = is_true(&status.conditions, kinds::READY) && status.phase == Some(Phase::Running);
    SiteView {
        uid: site.uid().unwrap_or_default(),
        made: is_made(site),
        deleting: site.metadata.deletion_timestamp.is_some(),
        suspended: site.spec.suspended,
        yielding: status.phase == Some(Phase::Restoring),
        busy: !status.tasks.is_empty(),
        up: (rests && status.tasks.is_empty()) || runs,
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{Finding, State, merge};
    use crate::api::{SiteTask, TaskOperation, WordPressSiteStatus};

    #[test]
    fn a_site_is_up_again_when_all_of_it_is_as_asked() {
        let rows = [
            ("up", Phase::Running, State::True, reasons::READY, 0, true),
            (
                "its sizes are brought back",
                Phase::Provisioning,
                State::True,
                reasons::READY,
                0,
                false,
            ),
            ("down", Phase::Running, State::False, reasons::DEGRADED, 0, false),
            ("stopped", Phase::Stopped, State::False, reasons::STOPPED, 0, true),
            (
                "being stopped",
                Phase::Stopped,
                State::False,
                reasons::STOPPING,
                0,
                false,
            ),
            (
                "stopped, its disk is being grown",
                Phase::Stopped,
                State::False,
                reasons::STOPPED,
                1,
                false,
            ),
            (
                "suspended",
                Phase::Suspended,
                State::False,
                reasons::SUSPENDED,
                0,
                true,
            ),
        ];
        for (name, phase, state, reason, tasks, up) in rows {
            let task = SiteTask {
                operation: TaskOperation::Resize,
                id: "UPID:a:1".to_owned(),
            };
            let spec = serde_json::json!({
                "serviceId": "42", "owner": {"email": "jane@example.com"}, "plan": "basic",
            });
            let mut site = WordPressSite::new("jane", serde_json::from_value(spec).unwrap());
            let finding = Finding::new(kinds::READY, state, reason, "");
            site.status = Some(WordPressSiteStatus {
                phase: Some(phase),
                tasks: vec![task; tasks],
                conditions: merge(&[], &[finding], Some(1), Timestamp::UNIX_EPOCH),
                ..WordPressSiteStatus::default()
            });
            assert_eq!(view(&site).up, up, "{name}");
        }
    }
}
