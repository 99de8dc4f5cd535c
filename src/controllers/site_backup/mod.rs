//! `SiteBackup`: one snapshot of a site, taken once and kept until its object goes.
//!
//! `resolve` finds what the object refers to, `observe` reads, `plan` and `remove` decide (pure), `act` does,
//! `report` writes the status (pure). `backup` and `verdict` are the words they share, `name` makes names of
//! snapshots, `shelf` knows all backups of a site. `schedule` decides what the clock asks for, `driver` does it.

mod act;
mod backup;
pub mod driver;
mod name;
mod observe;
mod plan;
mod remove;
mod report;
pub mod resolve;
pub mod schedule;
pub mod shelf;
#[cfg(test)]
pub(super) mod tests;
mod verdict;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::connections::Connections;
use super::runner::{Acted, Kind, Outcome, Plan, Poker, Subject, filled};
use super::tasks;
use super::turns::{SiteKey, Turns};
use crate::api::{
    BackupPhase, Plan as PlanObject, SCHEDULED_LABEL, SITE_LABEL, SiteBackup, SiteBackupStatus, SiteRestore,
    WordPressSite, is_paused,
};
use crate::controllers::runner::Cache;
use crate::domain::ClusterId;
use crate::providers::ProviderError;
use crate::runtime::metrics::Kind as MetricKind;

use backup::{Action, Done, Observed};
use shelf::{Entry, Shelf};
use verdict::Verdict;

pub use observe::Lists;

type BackupSubject = Subject<BackupKind>;

/// Everything that passes of backups share.
pub struct BackupKind {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// Plans.
    pub plans: Cache<PlanObject>,
    /// Sites.
    pub sites: Cache<WordPressSite>,
    /// Restores.
    pub restores: Cache<SiteRestore>,
    /// Back-ends.
    pub connections: Arc<Connections>,
    /// All backups.
    pub shelf: Arc<Shelf>,
    /// Whose turn it is at a container.
    pub turns: Arc<Turns>,
    /// Lists of snapshots.
    pub lists: Lists,
    /// Backups that this process has looked at, or spared the look.
    pub looked: Mutex<HashSet<String>>,
    /// Wakes backups.
    pub poker: Poker<SiteBackup>,
}

impl fmt::Debug for BackupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackupKind")
    }
}

#[async_trait]
impl Kind for BackupKind {
    type Object = SiteBackup;
    type Status = SiteBackupStatus;
    type Observed = Observed;
    type Action = Action;
    type Verdict = Verdict;
    type Done = Done;

    const KIND: MetricKind = MetricKind::SiteBackup;
    const FINALIZES: bool = true;

    fn status(object: &SiteBackup) -> SiteBackupStatus {
        object.status.clone().unwrap_or_default()
    }

    fn labels(object: &SiteBackup) -> BTreeMap<String, String> {
        site_label(&object.spec.site)
    }

    fn conditions(status: &SiteBackupStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut SiteBackupStatus, conditions: Vec<Condition>) {
        status.conditions = conditions;
    }

    fn must_be_stored(old: &SiteBackupStatus, new: &SiteBackupStatus) -> bool {
        let new_task = tasks::is_any_new(&old.tasks, &new.tasks);
        let kept = |status: &SiteBackupStatus| {
            let snapshot = status.snapshot.clone();
            (snapshot, status.site_uid.clone(), status.attempts)
        };
        new_task || kept(old) != kept(new)
    }

    async fn observe(&self, subject: &BackupSubject, known: Observed) -> Observed {
        self.look(subject, known).await
    }

    fn plan(&self, subject: &BackupSubject, observed: &Observed, now: Timestamp) -> Plan<Action, Verdict> {
        match subject.deleting {
            true => remove::gone(&subject.status, subject.object.spec.deletion_policy, observed),
            false => plan::live(&subject.status, observed, now, subject.precise),
        }
    }

    async fn act(&self, subject: &BackupSubject, action: &Action) -> Result<Outcome<Done>, ProviderError> {
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
        subject: &BackupSubject,
        verdict: &Verdict,
        outcomes: &[Acted<'_, Self>],
        now: Timestamp,
    ) -> SiteBackupStatus {
        report::status(subject, verdict, outcomes, now)
    }

    fn seen(&self, backup: &SiteBackup) {
        let uid = backup.uid().unwrap_or_default();
        let entry = entry(backup);
        let working = backup
            .status
            .as_ref()
            .is_some_and(|status| !status.tasks.is_empty());
        let now = entry.clone();
        let before = self.shelf.enter(&uid, entry);
        if before.is_none() && working {
            // Begun by an earlier process.
            self.turns.take(&now.site, &uid);
        }
        let place = |entry: &Entry| (entry.snapshot.is_some(), entry.lost, entry.away);
        if before.is_some_and(|before| place(&before) != place(&now)) {
            self.poke_unsettled(&now.site, &uid);
        }
    }

    fn after(&self, subject: &BackupSubject) {
        if subject.status.tasks.is_empty() || subject.is_paused() {
            self.turns.leave(&key_of(&subject.object), &subject.uid());
        }
    }

    fn gone(&self, backup: &SiteBackup) {
        let uid = backup.uid().unwrap_or_default();
        self.looked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&uid);
        self.turns.leave(&key_of(backup), &uid);
        if let Some(entry) = self.shelf.forget(&uid) {
            self.poke_unsettled(&entry.site, &uid);
        }
    }
}

impl BackupKind {
    /// Wakes the backups of a site about which something is still to be done, but one.
    pub fn poke_unsettled(&self, site: &SiteKey, except: &str) {
        for (uid, entry) in self.shelf.of_site(site) {
            if entry.unsettled && uid != except {
                let reference = ObjectRef::new(&entry.name).within(&site.0);
                self.poker.poke(&reference, &uid);
            }
        }
    }

    /// Wakes all backups of a site; those that are there look precisely whether they still are.
    pub fn poke_closely(&self, site: &SiteKey) {
        for (uid, entry) in self.shelf.of_site(site) {
            let reference = ObjectRef::new(&entry.name).within(&site.0);
            match entry.unsettled {
                true => self.poker.poke(&reference, &uid),
                false => self.poker.poke_closely(&reference, &uid),
            }
        }
    }

    /// Waits until what backups are judged by is known.
    async fn caches_filled(&self) {
        tokio::join!(filled(&self.sites), filled(&self.restores));
    }

    /// Whether this process has not looked at the backup before.
    fn first_look(&self, uid: &str) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.insert(uid.to_owned())
    }
}

/// The site of a backup.
pub fn key_of(backup: &SiteBackup) -> SiteKey {
    (backup.namespace().unwrap_or_default(), backup.spec.site.clone())
}

/// The label with the site's name. A name that is none gets no label, for the API server would refuse the object.
pub fn site_label(site: &str) -> BTreeMap<String, String> {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let inner = |c: char| edge(c) || matches!(c, '-' | '_' | '.');
    let fits = site.starts_with(edge) && site.ends_with(edge) && site.chars().all(inner);
    let label = fits.then(|| (SITE_LABEL.to_owned(), site.to_owned()));
    label.into_iter().collect()
}

/// Whether something is still to be done about a backup.
pub fn is_unsettled(backup: &SiteBackup) -> bool {
    entry(backup).unsettled
}

fn entry(backup: &SiteBackup) -> Entry {
    let status = backup.status.clone().unwrap_or_default();
    let deleting = backup.metadata.deletion_timestamp.is_some();
    let lost = status.phase == Some(BackupPhase::Lost);
    let there = status.phase == Some(BackupPhase::Ready);
    Entry {
        site: key_of(backup),
        name: backup.name_any(),
        created_at: backup.creation_timestamp().map(|time| time.0),
        snapshot: status.snapshot,
        lost,
        away: deleting || is_paused(backup),
        unsettled: deleting || !(lost || there),
        scheduled: backup
            .labels()
            .get(SCHEDULED_LABEL)
            .is_some_and(|value| value == "true"),
    }
}
