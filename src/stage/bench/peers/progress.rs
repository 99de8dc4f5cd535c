//! How far a contestant is, as a watch of the administrator sees it: the same for all of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::{StreamExt, pin_mut};
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::task::JoinHandle;

use crate::api::DnsZone;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    existing: BTreeSet<String>,
    ready: BTreeSet<String>,
    /// When the number of ready or existing objects changed last.
    pub changed: Option<Instant>,
}

impl Seen {
    /// Number of objects.
    pub(super) fn existing(&self) -> usize {
        self.existing.len()
    }

    /// Number of objects that are Ready with their present spec.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    fn apply(&mut self, zone: &DnsZone) {
        let name = zone.metadata.name.clone().unwrap_or_default();
        let before = (self.existing(), self.ready());
        if ready(zone) {
            self.ready.insert(name.clone());
        } else {
            self.ready.remove(&name);
        }
        self.existing.insert(name);
        self.note(before);
    }

    fn delete(&mut self, zone: &DnsZone) {
        let name = zone.metadata.name.clone().unwrap_or_default();
        let before = (self.existing(), self.ready());
        self.ready.remove(&name);
        self.existing.remove(&name);
        self.note(before);
    }

    fn note(&mut self, before: (usize, usize)) {
        if (self.existing(), self.ready()) != before {
            self.changed = Some(Instant::now());
        }
    }
}

fn ready(zone: &DnsZone) -> bool {
    let generation = zone.metadata.generation;
    let conditions = zone.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| condition.type_ == "Ready" && condition.status == "True")
        .any(|condition| condition.observed_generation == generation)
}

/// The running watch. Dropping it ends it.
pub(super) struct Progress {
    seen: Arc<Mutex<Seen>>,
    watch: JoinHandle<()>,
}

impl Progress {
    /// Begins to watch.
    pub(super) fn watch(zones: Api<DnsZone>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = Arc::clone(&seen);
        let watch = tokio::spawn(async move {
            let events = watcher(zones, watcher::Config::default());
            pin_mut!(events);
            while let Some(event) = events.next().await {
                let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(Event::Apply(zone) | Event::InitApply(zone)) => seen.apply(&zone),
                    Ok(Event::Delete(zone)) => seen.delete(&zone),
                    Ok(Event::Init) => {
                        // What is gone meanwhile is not told any more.
                        seen.existing.clear();
                        seen.ready.clear();
                    }
                    // The watcher begins again by itself.
                    Ok(Event::InitDone) | Err(_) => {}
                }
            }
        });
        Self { seen, watch }
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
