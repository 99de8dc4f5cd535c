//! Which backups there are of each site, and what they hold: quota and names are decided on this, for the API server
//! tells of our own writes too late.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::controllers::turns::SiteKey;

/// What is known of one backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its site.
    pub site: SiteKey,
    /// Name of the object.
    pub name: String,
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// Name of its snapshot, once it is reserved.
    pub snapshot: Option<String>,
    /// The snapshot is gone.
    pub lost: bool,
    /// Nothing will be reserved for it: it is being deleted, or paused.
    pub away: bool,
    /// Something is still to be done about it.
    pub unsettled: bool,
    /// A schedule made it.
    pub scheduled: bool,
}

impl Entry {
    fn holds(&self) -> bool {
        self.snapshot.is_some() && !self.lost
    }

    fn wants(&self) -> bool {
        self.snapshot.is_none() && !self.lost && !self.away
    }
}

/// What the other backups of a site have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// They count against the quota.
    pub holding: usize,
    /// Older ones that want a snapshot too.
    pub before: usize,
    /// Names that they have been given, also of snapshots that are lost.
    pub names: BTreeSet<String>,
    /// UIDs of all of them.
    pub uids: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, Entry>,
    sites: HashMap<SiteKey, BTreeSet<String>>,
}

impl State {
    fn others(&self, uid: &str) -> Others {
        let mut others = Others::default();
        let Some(own) = self.entries.get(uid) else {
            return others;
        };
        let rank = |uid: &str, entry: &Entry| (entry.created_at, uid.to_owned());
        for other in self.sites.get(&own.site).into_iter().flatten() {
            let Some(entry) = self.entries.get(other).filter(|_| other != uid) else {
                continue;
            };
            others.holding += usize::from(entry.holds());
            others.before += usize::from(entry.wants() && rank(other, entry) < rank(uid, own));
            others.names.extend(entry.snapshot.clone());
            others.uids.insert(other.clone());
        }
        others
    }
}

/// All backups by site.
#[derive(Debug, Default)]
pub struct Shelf {
    state: Mutex<State>,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what a watch shows. A name that was reserved a moment ago stays, for what is shown may be older.
    /// Returns what was known before.
    pub fn enter(&self, uid: &str, mut entry: Entry) -> Option<Entry> {
        let mut state = self.lock();
        let before = state.entries.get(uid).cloned();
        if let Some(known) = before.as_ref().filter(|known| known.site == entry.site) {
            entry.snapshot = entry.snapshot.or_else(|| known.snapshot.clone());
        }
        state
            .sites
            .entry(entry.site.clone())
            .or_default()
            .insert(uid.to_owned());
        state.entries.insert(uid.to_owned(), entry);
        before
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) -> Option<Entry> {
        let mut state = self.lock();
        let entry = state.entries.remove(uid)?;
        if let Some(uids) = state.sites.get_mut(&entry.site) {
            uids.remove(uid);
            if uids.is_empty() {
                state.sites.remove(&entry.site);
            }
        }
        Some(entry)
    }

    /// What the others of its site have.
    pub fn others(&self, uid: &str) -> Others {
        self.lock().others(uid)
    }

    /// Reserves a name. `false` when another backup was faster, or has taken the last of `room` places.
    pub fn claim(&self, uid: &str, name: &str, room: usize) -> bool {
        let mut state = self.lock();
        let others = state.others(uid);
        if others.names.contains(name) || others.holding + others.before >= room {
            return false;
        }
        match state.entries.get_mut(uid) {
            Some(entry) => {
                entry.snapshot = Some(name.to_owned());
                true
            }
            None => false,
        }
    }

    /// The backups of a site by UID.
    pub fn of_site(&self, site: &SiteKey) -> BTreeMap<String, Entry> {
        let state = self.lock();
        let uids = state.sites.get(site).into_iter().flatten();
        uids.filter_map(|uid| Some((uid.clone(), state.entries.get(uid)?.clone())))
            .collect()
    }

    /// Backups of a site that count against its quota.
    pub fn used(&self, site: &SiteKey) -> usize {
        self.of_site(site).values().filter(|entry| entry.holds()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(second: i64, snapshot: Option<&str>) -> Entry {
        Entry {
            site: ("ns".to_owned(), "jane".to_owned()),
            name: "a".to_owned(),
            created_at: Timestamp::from_second(second).ok(),
            snapshot: snapshot.map(str::to_owned),
            lost: false,
            away: false,
            unsettled: true,
            scheduled: false,
        }
    }

    #[test]
    fn the_oldest_come_first_and_nobody_takes_the_last_place_twice() {
        let shelf = Shelf::default();
        shelf.enter("1", entry(1, Some("BAK-1")));
        shelf.enter("3", entry(3, None));
        shelf.enter("2", entry(2, None));
        let others = shelf.others("3");
        assert_eq!((others.holding, others.before), (1, 1));
        assert!(!shelf.claim("3", "BAK-2", 2), "the older one has the place");
        assert!(!shelf.claim("2", "BAK-1", 9), "the name is taken");
        assert!(shelf.claim("2", "BAK-2", 2));
        assert!(!shelf.claim("3", "BAK-3", 2), "full");
        assert!(shelf.claim("3", "BAK-3", 3));
        assert_eq!(shelf.used(&("ns".to_owned(), "jane".to_owned())), 3);
    }

    #[test]
    fn what_is_lost_or_away_takes_no_place() {
        let shelf = Shelf::default();
        let lost = |entry: Entry| Entry { lost: true, ..entry };
        shelf.enter("1", lost(entry(1, Some("BAK-1"))));
        shelf.enter(
            "2",
            Entry {
                away: true,
                ..entry(2, None)
            },
        );
        shelf.enter("3", entry(3, None));
        let others = shelf.others("3");
        assert_eq!((others.holding, others.before), (0, 0));
        assert!(others.names.contains("BAK-1"), "its name is not given again");
    }

    #[test]
    fn a_reservation_outlives_older_news() {
        let shelf = Shelf::default();
        shelf.enter("1", entry(1, None));
        assert!(shelf.claim("1", "BAK-1", 1));
        shelf.enter("1", entry(1, None));
        shelf.enter("2", entry(2, None));
        assert!(!shelf.claim("2", "BAK-2", 1));
        assert!(shelf.forget("1").is_some());
        assert!(shelf.claim("2", "BAK-2", 1));
    }
}
