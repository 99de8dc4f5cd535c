//! `SiteRestore`: one roll-back of a site. It runs once, then it is history.
//!
//! `observe` reads, `plan` and `remove` decide (pure), `act` does, `report` writes the status (pure). `restore` and
//! `verdict` are the words they share. Where the site is, `site_backup::resolve` knows.
//!
//! From `RollingBack` on the site's own controller keeps its hands off: it asks [`holds`] in every pass, says
//! `Restoring` when it has seen it, and only then something happens outside. From `Starting` on it brings the site to
//! its spec again, for a roll-back brings the old configuration back.

mod act;
mod observe;
mod plan;
mod remove;
mod report;
mod restore;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::connections::Connections;
use super::runner::{Acted, Kind, Outcome, Plan, Poker, Subject, filled};
use super::site_backup::{BackupKind, resolve::site_of, site_label};
use super::tasks;
use super::turns::{SiteKey, Turns};
use crate::api::{RestorePhase, SiteBackup, SiteRestore, SiteRestoreStatus, WordPressSite};
use crate::controllers::runner::Cache;
use crate::domain::ClusterId;
use crate::providers::ProviderError;
use crate::providers::fence::Fence;
use crate::runtime::metrics::{Kind as MetricKind, Metrics};

use restore::{Action, Done, Observed};
use verdict::Verdict;

type RestoreSubject = Subject<RestoreKind>;

/// Everything that passes of restores share.
pub struct RestoreKind {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// For the deletion of objects whose time is over.
    pub client: kube::Client,
    /// Sites.
    pub sites: Cache<WordPressSite>,
    /// Backups.
    pub backups: Cache<SiteBackup>,
    /// Restores.
    pub restores: Cache<SiteRestore>,
    /// Back-ends.
    pub connections: Arc<Connections>,
    /// Whose turn it is at a container.
    pub turns: Arc<Turns>,
    /// Wakes the backups of a site.
    pub backup_kind: Arc<BackupKind>,
    /// Wakes sites.
    pub site_poker: Poker<WordPressSite>,
    /// Wakes restores.
    pub poker: Poker<SiteRestore>,
    /// Counts.
    pub metrics: Metrics,
    /// Closes when nothing may be written any more.
    pub fence: Arc<dyn Fence>,
    /// Where each restore stood when it was seen last, by UID.
    pub seen: Mutex<HashMap<String, RestorePhase>>,
}

impl fmt::Debug for RestoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RestoreKind")
    }
}

#[async_trait]
impl Kind for RestoreKind {
    type Object = SiteRestore;
    type Status = SiteRestoreStatus;
    type Observed = Observed;
    type Action = Action;
    type Verdict = Verdict;
    type Done = Done;

    const KIND: MetricKind = MetricKind::SiteRestore;
    const FINALIZES: bool = true;

    fn status(object: &SiteRestore) -> SiteRestoreStatus {
        object.status.clone().unwrap_or_default()
    }

    fn labels(object: &SiteRestore) -> BTreeMap<String, String> {
        site_label(&object.spec.site)
    }

    fn conditions(status: &SiteRestoreStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut SiteRestoreStatus, conditions: Vec<Condition>) {
        status.conditions = conditions;
    }

    fn must_be_stored(old: &SiteRestoreStatus, new: &SiteRestoreStatus) -> bool {
        let new_task = tasks::is_any_new(&old.tasks, &new.tasks);
        new_task || old.phase != new.phase || old.started_at != new.started_at
    }

    async fn observe(&self, subject: &RestoreSubject, known: Observed) -> Observed {
        self.look(subject, known).await
    }

    fn plan(&self, subject: &RestoreSubject, observed: &Observed, now: Timestamp) -> Plan<Action, Verdict> {
        match subject.deleting {
            true => remove::gone(&subject.status, observed),
            false => plan::live(&subject.status, observed, now),
        }
    }

    async fn act(&self, subject: &RestoreSubject, action: &Action) -> Result<Outcome<Done>, ProviderError> {
        self.perform(subject, action).await
    }

    fn repair(_: &Action) -> Option<String> {
        None
    }

    fn absorb(&self, observed: Observed, done: &Done) -> Observed {
        act::absorb(observed, done)
    }

    fn report(
        &self,
        subject: &RestoreSubject,
        verdict: &Verdict,
        outcomes: &[Acted<'_, Self>],
        now: Timestamp,
    ) -> SiteRestoreStatus {
        report::status(subject, verdict, outcomes, now)
    }

    fn seen(&self, restore: &SiteRestore) {
        let uid = restore.uid().unwrap_or_default();
        let phase = phase_of(restore);
        let before = self.known().insert(uid.clone(), phase);
        if before.is_none() && phase.holds_the_site() {
            // Begun by an earlier process.
            self.turns.take(&key_of(restore), &uid);
        }
        if before.is_some_and(|before| before != phase) {
            self.wake(
                &key_of(restore),
                &uid,
                before.is_some_and(RestorePhase::holds_the_site),
            );
        }
    }

    fn after(&self, subject: &RestoreSubject) {
        if subject.status.phase.is_none_or(|phase| !phase.holds_the_site()) {
            self.turns.leave(&key_of(&subject.object), &subject.uid());
        }
    }

    fn gone(&self, restore: &SiteRestore) {
        let uid = restore.uid().unwrap_or_default();
        self.known().remove(&uid);
        let key = key_of(restore);
        self.turns.leave(&key, &uid);
        self.wake(&key, &uid, phase_of(restore).holds_the_site());
    }
}

impl RestoreKind {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, RestorePhase>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A restore stands elsewhere now: wakes whoever may have waited for that. `held` says that it gave the container
    /// back, so that backups may have been lost.
    fn wake(&self, site: &SiteKey, except: &str, held: bool) {
        if let Some(object) = site_of(&self.sites, site) {
            let uid = object.uid().unwrap_or_default();
            self.site_poker.poke(&ObjectRef::from_obj(object.as_ref()), &uid);
        }
        match held {
            true => self.backup_kind.poke_closely(site),
            false => self.backup_kind.poke_unsettled(site, ""),
        }
        self.poke_unsettled(site, except);
    }

    /// Wakes the restores of a site that are not over, but one.
    pub fn poke_unsettled(&self, site: &SiteKey, except: &str) {
        self.poker.poke_where(&self.restores, |other| {
            let uid = other.uid().unwrap_or_default();
            key_of(other) == *site && uid != except && !phase_of(other).is_over()
        });
    }

    /// Waits until what restores are judged by is known.
    async fn caches_filled(&self) {
        tokio::join!(filled(&self.sites), filled(&self.backups));
    }
}

/// The site of a restore.
pub fn key_of(restore: &SiteRestore) -> SiteKey {
    (restore.namespace().unwrap_or_default(), restore.spec.site.clone())
}

/// Whether something is still to be done about a restore.
pub fn is_unsettled(restore: &SiteRestore) -> bool {
    !phase_of(restore).is_over()
}

fn phase_of(restore: &SiteRestore) -> RestorePhase {
    let phase = restore.status.as_ref().and_then(|status| status.phase);
    phase.unwrap_or(RestorePhase::Pending)
}

/// The name of the restore that has a site's container for itself.
pub fn holds<'a>(
    namespace: &str,
    site: &str,
    restores: impl IntoIterator<Item = &'a SiteRestore>,
) -> Option<String> {
    let mut restores = restores.into_iter();
    let holder = restores.find(|restore| is_held_by(namespace, site, restore))?;
    Some(holder.name_any())
}

/// As [`holds`], of all restores.
pub fn held(restores: &Cache<SiteRestore>, (namespace, site): &SiteKey) -> Option<String> {
    let holder = restores
        .each()
        .find(|restore| is_held_by(namespace, site, restore))?;
    Some(holder.name_any())
}

fn is_held_by(namespace: &str, site: &str, restore: &SiteRestore) -> bool {
    restore.spec.site == site
        && restore.namespace().as_deref() == Some(namespace)
        && phase_of(restore).holds_the_site()
}
