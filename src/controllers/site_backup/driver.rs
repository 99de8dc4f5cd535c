//! Follows the schedules of all sites: makes the backups that are due, and deletes its own that are too many.
//!
//! What was made is known by the objects themselves; in memory there is only when to look again. Of the times that
//! passed while nobody looked, only the latest counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::resolve::{container_of, is_made, limit};
use super::schedule::{Step, last_due, name, next_due, steps};
use super::{BackupKind, site_label};
use crate::api::{
    BackupSchedule, DeletionPolicy, SCHEDULED_LABEL, SiteBackup, SiteBackupSpec, WordPressSite, is_paused,
};
use crate::controllers::runner::{Cache, Change, filled};
use crate::controllers::turns::SiteKey;
use crate::providers::fence::{Closed, Fence, fenced};
use crate::runtime::metrics::{Kind as MetricKind, Metrics, WriteResult, WriteVerb};

/// Longest pause between two looks. A time is a whole minute, and nobody minds a few seconds.
const TICK_MAX: Duration = Duration::from_secs(5);

/// What is known of the schedule of one site.
#[derive(Debug, Clone)]
struct Known {
    schedule: BackupSchedule,
    suspended: bool,
    /// Times up to this one are none of ours.
    since: Timestamp,
    /// The next look.
    next: Option<Timestamp>,
    /// Something is still to be done about the latest time.
    open: bool,
    /// The backup of the latest time, once it was seen: whoever deletes it does not want another one.
    made: Option<String>,
}

/// Follows the schedules.
pub struct Scheduler {
    /// Makes and deletes backups.
    pub client: kube::Client,
    /// Sites.
    pub sites: Cache<WordPressSite>,
    /// The kind of backups, which knows all of them.
    pub backups: Arc<BackupKind>,
    /// Counts.
    pub metrics: Metrics,
    /// Closes when nothing may be written any more.
    pub fence: Arc<dyn Fence>,
    /// Between two looks.
    pub tick: Duration,
    /// Sites with a schedule, so that a look need not unpack all others.
    pub scheduled: Mutex<HashSet<ObjectRef<WordPressSite>>>,
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scheduler")
    }
}

impl Scheduler {
    /// Takes note of what the watch shows.
    pub fn note(&self, site: &WordPressSite, change: Change) {
        let mut scheduled = self.scheduled.lock().unwrap_or_else(PoisonError::into_inner);
        let name = ObjectRef::from_obj(site);
        match change == Change::Stored && site.spec.backup_schedule.is_some() {
            true => scheduled.insert(name),
            false => scheduled.remove(&name),
        };
    }

    fn scheduled(&self) -> Vec<Arc<WordPressSite>> {
        let scheduled = self.scheduled.lock().unwrap_or_else(PoisonError::into_inner);
        scheduled.iter().filter_map(|name| self.sites.get(name)).collect()
    }

    /// Looks again and again until `stop`.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        filled(&self.sites).await;
        let mut known = HashMap::new();
        let tick = self.tick.min(TICK_MAX);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(tick) => self.look(&mut known, Timestamp::now()).await,
            }
        }
    }

    async fn look(&self, known: &mut HashMap<String, Known>, now: Timestamp) {
        let mut seen = HashMap::with_capacity(known.len());
        for site in self.scheduled() {
            let (Some(schedule), Some(uid)) = (&site.spec.backup_schedule, site.uid()) else {
                continue;
            };
            let entry = match known.remove(&uid) {
                Some(entry) if entry.schedule == *schedule && entry.suspended == site.spec.suspended => entry,
                // What was due before somebody changed his mind is not asked for any more.
                Some(_) => self.begin(&site, schedule, now),
                None => {
                    let created = site.creation_timestamp().map_or(now, |time| time.0);
                    self.begin(&site, schedule, created)
                }
            };
            let entry = match entry.open || entry.next.is_some_and(|next| next <= now) {
                true => self.follow(&site, entry, now).await,
                false => entry,
            };
            seen.insert(uid, entry);
        }
        *known = seen;
    }

    fn begin(&self, site: &WordPressSite, schedule: &BackupSchedule, since: Timestamp) -> Known {
        Known {
            schedule: schedule.clone(),
            suspended: site.spec.suspended,
            since,
            next: None,
            open: true,
            made: None,
        }
    }

    /// Does what is due for one site.
    async fn follow(&self, site: &WordPressSite, mut known: Known, now: Timestamp) -> Known {
        let rests = known.suspended
            || is_paused(site)
            || site.metadata.deletion_timestamp.is_some()
            || !is_made(site);
        let kind = &self.backups;
        let place = container_of(&kind.connections, &kind.cluster, site, false);
        let (Ok(place), Ok(limit)) = (place, limit(&kind.plans, &site.spec.plan)) else {
            return known;
        };
        if rests {
            return known;
        }
        let zone = &place.compute.time_zone;
        let due = last_due(&known.schedule, zone, now).filter(|due| due.timestamp() > known.since);
        let due = due.map(|due| name(&site.name_any(), &due));
        let key = (site.namespace().unwrap_or_default(), site.name_any());
        let backups = kind.shelf.of_site(&key);
        let keep = usize::try_from(known.schedule.keep).unwrap_or(1);
        let own = backups
            .values()
            .find(|entry| Some(entry.name.as_str()) == due.as_deref());
        if own.is_some() {
            known.made.clone_from(&due);
        }
        let due = due.filter(|due| known.made.as_ref() != Some(due));
        let steps = steps(due.as_deref(), keep, limit, &backups);
        known.open = !steps.is_empty() || due.is_some() || own.is_some_and(|own| own.unsettled);
        known.next = next_due(&known.schedule, zone, now);
        for step in &steps {
            self.perform(&key, step).await;
        }
        known
    }

    async fn perform(&self, (namespace, site): &SiteKey, step: &Step) {
        let api: Api<SiteBackup> = Api::namespaced(self.client.clone(), namespace);
        let closed = || kube::Error::Service(Box::new(Closed));
        let fence = self.fence.as_ref();
        let result = match step {
            Step::Create(name) => {
                let backup = backup(site, name);
                fenced(fence, api.create(&PostParams::default(), &backup), closed)
                    .await
                    .map(drop)
            }
            Step::Delete { name, uid } => {
                let params = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: Some(uid.clone()),
                        resource_version: None,
                    }),
                    ..DeleteParams::default()
                };
                fenced(fence, api.delete(name, &params), closed).await.map(drop)
            }
        };
        self.metrics.api_write(
            MetricKind::SiteBackup,
            WriteVerb::Object,
            WriteResult::of(&result),
        );
        match result {
            Ok(()) => tracing::info!(namespace, site, ?step, "by the schedule of the site"),
            // Made or gone already; the watch tells.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => tracing::warn!(namespace, site, ?step, %error, "tried again"),
        }
    }
}

fn backup(site: &str, name: &str) -> SiteBackup {
    let spec = SiteBackupSpec {
        site: site.to_owned(),
        deletion_policy: DeletionPolicy::Delete,
    };
    let mut backup = SiteBackup::new(name, spec);
    let mut labels: BTreeMap<String, String> = site_label(site);
    labels.insert(SCHEDULED_LABEL.to_owned(), "true".to_owned());
    backup.metadata.labels = Some(labels);
    backup
}
