//! Which objects there are, and which have gone a moment ago.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::reflector::ObjectRef;

use crate::api::{DnsZone, WordPressSite};
use crate::controllers::runner::{Cache, Kept, filled};

/// How long an object that is gone still owns what it left: lists are some seconds old, and what was removed last may
/// still stand in one.
const FAREWELL: Duration = Duration::from_secs(60);

/// All objects that can own something outside.
#[derive(Debug)]
pub struct Roll {
    sites: Cache<WordPressSite>,
    zones: Cache<DnsZone>,
    gone: Mutex<BTreeMap<String, Instant>>,
}

impl Roll {
    /// Of these caches.
    pub fn new(sites: Cache<WordPressSite>, zones: Cache<DnsZone>) -> Self {
        Self {
            sites,
            zones,
            gone: Mutex::default(),
        }
    }

    /// Waits until all objects are known.
    pub async fn complete(&self) {
        tokio::join!(filled(&self.sites), filled(&self.zones));
    }

    /// All sites, as they are now and stay while somebody compares with them.
    pub fn sites(&self) -> Vec<Arc<Kept<WordPressSite>>> {
        self.sites.snapshot()
    }

    /// All zones, likewise.
    pub fn zones(&self) -> Vec<Arc<Kept<DnsZone>>> {
        self.zones.snapshot()
    }

    /// One site.
    pub fn site(&self, reference: &ObjectRef<WordPressSite>) -> Option<Arc<WordPressSite>> {
        self.sites.get(reference)
    }

    /// One zone.
    pub fn zone(&self, reference: &ObjectRef<DnsZone>) -> Option<Arc<DnsZone>> {
        self.zones.get(reference)
    }

    /// An object is gone.
    pub fn went(&self, uid: Option<String>) {
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.extend(uid.map(|uid| (uid, Instant::now())));
    }

    /// UIDs of all objects, and of those that went a moment ago.
    pub fn uids(&self) -> BTreeSet<String> {
        // Those that went are read last: an object is in the cache until it is among them.
        let (sites, zones) = (self.sites(), self.zones());
        let mut uids: BTreeSet<String> = sites.iter().map(|site| site.uid().to_owned()).collect();
        uids.extend(zones.iter().map(|zone| zone.uid().to_owned()));
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.retain(|_, since| since.elapsed() < FAREWELL);
        uids.extend(gone.keys().cloned());
        uids
    }
}
