//! What the sites of this cluster hold: service ids, names, container numbers, addresses, and places in the
//! queues of the container hosts.
//!
//! It is filled from the watch before the first pass, and by every reservation at once, so that two passes
//! never choose the same. The stored truth is in the statuses; this is their index.

mod domains;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use crate::domain::{Fqdn, Vmid};

pub use domains::DomainNames;

/// What one site holds outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Name of the Provider that runs the container.
    pub compute: String,
    /// Number of the container.
    pub vmid: Vmid,
    /// Address of the container.
    pub address: Ipv4Addr,
    /// Public name.
    pub host: Fqdn,
}

/// One site as the ledger knows it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// `namespace/name`.
    pub title: String,
    /// Billing key.
    pub service_id: String,
    /// When the object was created; the oldest owns a service id.
    pub created_at: Option<Timestamp>,
    /// What it holds, once reserved.
    pub claim: Option<Claim>,
    /// Its status has a task that creates or destroys a container on this Provider.
    pub storage_task_on: Option<String>,
}

#[derive(Debug, Default)]
struct Queue {
    holders: BTreeSet<String>,
    waiting: VecDeque<String>,
}

#[derive(Debug, Default)]
struct State {
    sites: HashMap<String, Entry>,
    services: HashMap<String, BTreeSet<(Option<Timestamp>, String)>>,
    vmids: BTreeMap<String, Arc<BTreeSet<Vmid>>>,
    addresses: BTreeMap<String, Arc<BTreeSet<Ipv4Addr>>>,
    hosts: HashMap<Fqdn, String>,
    queues: BTreeMap<String, Queue>,
    domains: domains::Index,
}

/// The index of everything that is held.
#[derive(Debug, Default)]
pub struct Ledger {
    state: Mutex<State>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Numbers and addresses of one Provider that are taken.
#[derive(Debug, Clone, Default)]
pub struct Taken {
    /// Numbers.
    pub vmids: Arc<BTreeSet<Vmid>>,
    /// Addresses.
    pub addresses: Arc<BTreeSet<Ipv4Addr>>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to reserve: held from the look at what is taken until the claim is entered.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Takes an object from the watch. A claim made in this process is never replaced by an older one.
    pub fn enter(&self, uid: &str, entry: Entry) {
        let mut state = self.lock();
        let known = state.sites.get(uid).and_then(|site| site.claim.clone());
        if known.is_none()
            && let Some(claim) = &entry.claim
        {
            state.hold(uid, claim);
        }
        // Only at the first sight, after a start: later on this process knows better than an old event.
        if let Some(provider) = entry
            .storage_task_on
            .as_ref()
            .filter(|_| !state.sites.contains_key(uid))
        {
            state
                .queues
                .entry(provider.clone())
                .or_default()
                .holders
                .insert(uid.to_owned());
        }
        state
            .services
            .entry(entry.service_id.clone())
            .or_default()
            .insert((entry.created_at, uid.to_owned()));
        let claim = known.or(entry.claim.clone());
        state.sites.insert(uid.to_owned(), Entry { claim, ..entry });
    }

    /// Forgets a site that is gone.
    pub fn forget(&self, uid: &str) {
        let mut state = self.lock();
        let Some(site) = state.sites.remove(uid) else {
            return;
        };
        if let Some(claim) = &site.claim {
            state.let_go(uid, claim);
        }
        if let Some(others) = state.services.get_mut(&site.service_id) {
            others.retain(|(_, other)| other != uid);
            if others.is_empty() {
                state.services.remove(&site.service_id);
            }
        }
        for queue in state.queues.values_mut() {
            queue.holders.remove(uid);
            queue.waiting.retain(|other| other != uid);
        }
    }

    /// The other site that owns the service id, as `namespace/name`.
    pub fn older_owner(&self, uid: &str, service_id: &str) -> Option<String> {
        let state = self.lock();
        let owner = state.owner_of(service_id).filter(|owner| *owner != uid)?;
        state.sites.get(owner).map(|site| site.title.clone())
    }

    /// UIDs of all sites with a service id.
    pub fn holders_of(&self, service_id: &str) -> Vec<String> {
        let state = self.lock();
        state
            .services
            .get(service_id)
            .into_iter()
            .flatten()
            .map(|(_, uid)| uid.clone())
            .collect()
    }

    /// What all sites hold on a Provider.
    pub fn taken(&self, compute: &str) -> Taken {
        let state = self.lock();
        Taken {
            vmids: state.vmids.get(compute).cloned().unwrap_or_default(),
            addresses: state.addresses.get(compute).cloned().unwrap_or_default(),
        }
    }

    /// What the others hold on a Provider: a claim of its own that could not be stored, or whose number is
    /// given up, is no obstacle for a site.
    pub fn taken_by_others(&self, compute: &str, uid: &str) -> Taken {
        let mut taken = self.taken(compute);
        let own = self.lock().sites.get(uid).and_then(|site| site.claim.clone());
        if let Some(own) = own.filter(|own| own.compute == compute) {
            Arc::make_mut(&mut taken.vmids).remove(&own.vmid);
            Arc::make_mut(&mut taken.addresses).remove(&own.address);
        }
        taken
    }

    /// Whether another site holds the name.
    pub fn host_is_taken(&self, uid: &str, host: &Fqdn) -> bool {
        self.lock().hosts.get(host).is_some_and(|holder| holder != uid)
    }

    /// Enters a reservation, replacing an earlier one of the same site. `false` when another site was faster, or
    /// owns the service id.
    pub fn claim(&self, uid: &str, claim: &Claim) -> bool {
        let mut state = self.lock();
        let service = state.sites.get(uid).map(|site| site.service_id.clone());
        if service.is_some_and(|service| state.owner_of(&service).is_some_and(|owner| owner != uid)) {
            return false;
        }
        let before = state.sites.get(uid).and_then(|site| site.claim.clone());
        if let Some(before) = &before {
            state.let_go(uid, before);
        }
        let free = !state
            .vmids
            .get(&claim.compute)
            .is_some_and(|taken| taken.contains(&claim.vmid))
            && !state
                .addresses
                .get(&claim.compute)
                .is_some_and(|taken| taken.contains(&claim.address))
            && !state.hosts.contains_key(&claim.host);
        let held = if free { Some(claim.clone()) } else { before };
        if let Some(held) = &held {
            state.hold(uid, held);
        }
        if let Some(site) = state.sites.get_mut(uid) {
            site.claim = held;
        }
        free
    }

    /// Whether the site has a place or could take one now; if not it stands in the queue.
    pub fn may_enter(&self, compute: &str, places: usize, uid: &str) -> bool {
        let mut state = self.lock();
        let queue = state.queues.entry(compute.to_owned()).or_default();
        let position = queue.waiting.iter().position(|other| other == uid);
        if queue.holders.contains(uid)
            || queue.holders.len() + position.unwrap_or(queue.waiting.len()) < places
        {
            return true;
        }
        if position.is_none() {
            queue.waiting.push_back(uid.to_owned());
        }
        false
    }

    /// Takes a place among those that create or destroy on a Provider; `false` puts the site into the queue.
    pub fn take_place(&self, compute: &str, places: usize, uid: &str) -> bool {
        let mut state = self.lock();
        let queue = state.queues.entry(compute.to_owned()).or_default();
        if queue.holders.contains(uid) {
            return true;
        }
        let ahead = queue
            .waiting
            .iter()
            .position(|other| other == uid)
            .unwrap_or(queue.waiting.len());
        if queue.holders.len() + ahead < places {
            queue.waiting.retain(|other| other != uid);
            queue.holders.insert(uid.to_owned());
            return true;
        }
        if !queue.waiting.iter().any(|other| other == uid) {
            queue.waiting.push_back(uid.to_owned());
        }
        false
    }

    /// Gives the place back. Returns those whose turn has come.
    pub fn leave_place(&self, uid: &str) -> Vec<String> {
        let mut state = self.lock();
        let mut next = Vec::new();
        for queue in state.queues.values_mut() {
            if queue.holders.remove(uid) {
                next.extend(queue.waiting.front().cloned());
            }
        }
        next
    }

    /// Steps out of every queue without having had a place.
    pub fn leave_queue(&self, uid: &str) {
        for queue in self.lock().queues.values_mut() {
            queue.waiting.retain(|other| other != uid);
        }
    }
}

impl State {
    /// Who owns a service id: who has something for it already, else the oldest. Times of creation have whole
    /// seconds, so that the first of two may look like the younger one, when its container exists already.
    fn owner_of(&self, service_id: &str) -> Option<&str> {
        let holders = self.services.get(service_id)?;
        let holds = |uid: &str| self.sites.get(uid).is_some_and(|site| site.claim.is_some());
        let holder = holders
            .iter()
            .find(|(_, uid)| holds(uid))
            .or_else(|| holders.first());
        holder.map(|(_, uid)| uid.as_str())
    }

    fn hold(&mut self, uid: &str, claim: &Claim) {
        Arc::make_mut(self.vmids.entry(claim.compute.clone()).or_default()).insert(claim.vmid);
        Arc::make_mut(self.addresses.entry(claim.compute.clone()).or_default()).insert(claim.address);
        self.hosts.insert(claim.host.clone(), uid.to_owned());
    }

    fn let_go(&mut self, uid: &str, claim: &Claim) {
        if let Some(taken) = self.vmids.get_mut(&claim.compute) {
            Arc::make_mut(taken).remove(&claim.vmid);
        }
        if let Some(taken) = self.addresses.get_mut(&claim.compute) {
            Arc::make_mut(taken).remove(&claim.address);
        }
        if self.hosts.get(&claim.host).is_some_and(|holder| holder == uid) {
            self.hosts.remove(&claim.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(service: &str, second: i64) -> Entry {
        Entry {
            title: format!("shop/{service}-{second}"),
            service_id: service.to_owned(),
            created_at: Timestamp::from_second(second).ok(),
            claim: None,
            storage_task_on: None,
        }
    }

    fn claim(vmid: i64, last: u8, host: &str) -> Claim {
        Claim {
            compute: "pve".to_owned(),
            vmid: Vmid::try_from(vmid).unwrap(),
            address: Ipv4Addr::new(10, 0, 0, last),
            host: host.parse().unwrap(),
        }
    }

    #[test]
    fn the_oldest_object_owns_a_service_id() {
        let ledger = Ledger::default();
        ledger.enter("b", entry("7", 20));
        assert_eq!(ledger.older_owner("b", "7"), None);
        ledger.enter("a", entry("7", 10));
        assert_eq!(ledger.older_owner("b", "7").as_deref(), Some("shop/7-10"));
        ledger.forget("a");
        assert_eq!(ledger.older_owner("b", "7"), None);
    }

    #[test]
    fn nothing_is_claimed_twice_and_a_new_claim_frees_the_old() {
        let ledger = Ledger::default();
        ledger.enter("a", entry("1", 1));
        ledger.enter("b", entry("2", 2));
        assert!(ledger.claim("a", &claim(500, 10, "a.example.com")));
        assert!(!ledger.claim("b", &claim(500, 11, "b.example.com")));
        assert!(!ledger.claim("b", &claim(501, 10, "b.example.com")));
        assert!(!ledger.claim("b", &claim(501, 11, "a.example.com")));
        assert!(ledger.claim("b", &claim(501, 11, "b.example.com")));
        assert!(ledger.claim("b", &claim(502, 11, "b.example.com")));
        assert!(!ledger.taken("pve").vmids.contains(&Vmid::try_from(501).unwrap()));
        // A watch event from before the claim does not undo it.
        ledger.enter("b", entry("2", 2));
        assert!(ledger.taken("pve").vmids.contains(&Vmid::try_from(502).unwrap()));
    }

    #[test]
    fn a_site_that_holds_something_keeps_its_service_id() {
        let ledger = Ledger::default();
        ledger.enter("b", entry("7", 10));
        assert!(ledger.claim("b", &claim(500, 10, "b.example.com")));
        // Made in the same second, with a smaller UID.
        ledger.enter("a", entry("7", 10));
        assert_eq!(ledger.older_owner("b", "7"), None);
        assert!(ledger.older_owner("a", "7").is_some());
        assert!(!ledger.claim("a", &claim(501, 11, "a.example.com")));
    }

    #[test]
    fn a_sites_own_claim_is_no_obstacle_for_it() {
        let ledger = Ledger::default();
        ledger.enter("a", entry("1", 1));
        assert!(ledger.claim("a", &claim(500, 10, "a.example.com")));
        assert!(ledger.taken_by_others("pve", "a").addresses.is_empty());
        assert_eq!(ledger.taken_by_others("pve", "b").vmids.len(), 1);
    }

    #[test]
    fn an_old_event_takes_no_place() {
        let ledger = Ledger::default();
        let with_task = Entry {
            storage_task_on: Some("pve".to_owned()),
            ..entry("1", 1)
        };
        ledger.enter("a", with_task.clone());
        ledger.enter("b", entry("2", 2));
        assert!(!ledger.take_place("pve", 1, "b"));
        ledger.leave_place("a");
        ledger.enter("a", with_task);
        assert!(ledger.take_place("pve", 1, "b"));
    }

    #[test]
    fn places_are_given_in_order() {
        let ledger = Ledger::default();
        for (uid, second) in [("a", 1), ("b", 2), ("c", 3)] {
            ledger.enter(uid, entry(uid, second));
        }
        assert!(ledger.take_place("pve", 1, "a"));
        assert!(ledger.take_place("pve", 1, "a"));
        assert!(!ledger.take_place("pve", 1, "b"));
        assert!(!ledger.take_place("pve", 1, "c"));
        assert_eq!(ledger.leave_place("a"), ["b"]);
        assert!(!ledger.take_place("pve", 1, "c"));
        assert!(ledger.take_place("pve", 1, "b"));
        ledger.forget("b");
        assert!(ledger.take_place("pve", 1, "c"));
    }
}
