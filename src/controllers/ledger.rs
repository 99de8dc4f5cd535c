//! What the sites of this cluster hold: service ids, names, container numbers, addresses, and places in the
//! queues of the container hosts.
//!
//! It is filled from the watch before the first pass, and by every reservation at once, so that two passes
//! never choose the same. The stored truth is in the statuses; this is their index.

mod domains;
mod queue;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use crate::domain::{Fqdn, Vmid};

use self::queue::Queue;
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
    /// Its status says that no number or address is free.
    pub without_room: bool,
}

/// UID of a site; its text is there once.
type Uid = Arc<str>;

#[derive(Debug, Default)]
struct State {
    sites: HashMap<Uid, Entry>,
    /// Who wants a service id, the oldest first. Nearly always it is one.
    services: HashMap<String, Vec<(Option<Timestamp>, Uid)>>,
    vmids: BTreeMap<String, Arc<BTreeSet<Vmid>>>,
    addresses: BTreeMap<String, Arc<BTreeSet<Ipv4Addr>>>,
    hosts: HashMap<Fqdn, Uid>,
    queues: BTreeMap<String, Queue>,
    without_room: BTreeSet<String>,
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
        let uid = state.known(uid);
        let known = state.sites.get(&uid).and_then(|site| site.claim.clone());
        if known.is_none()
            && let Some(claim) = &entry.claim
        {
            state.hold(&uid, claim);
        }
        // Only at the first sight, after a start: later on this process knows better than an old event.
        if let Some(provider) = entry
            .storage_task_on
            .as_ref()
            .filter(|_| !state.sites.contains_key(&uid))
        {
            state.queues.entry(provider.clone()).or_default().seat(&uid);
        }
        let wants = (entry.created_at, Arc::clone(&uid));
        let others = state.services.entry(entry.service_id.clone());
        let others = others.or_insert_with(|| Vec::with_capacity(1));
        if let Err(place) = others.binary_search(&wants) {
            others.insert(place, wants);
        }
        match entry.without_room {
            true => state.without_room.insert(uid.to_string()),
            false => state.without_room.remove(uid.as_ref()),
        };
        let claim = known.or(entry.claim.clone());
        state.sites.insert(uid, Entry { claim, ..entry });
    }

    /// Forgets a site that is gone. Returns those whose turn has come with that.
    pub fn forget(&self, uid: &str) -> Vec<String> {
        let mut state = self.lock();
        let Some(site) = state.sites.remove(uid) else {
            return Vec::new();
        };
        if let Some(claim) = &site.claim {
            state.let_go(uid, claim);
        }
        state.without_room.remove(uid);
        if let Some(others) = state.services.get_mut(&site.service_id) {
            others.retain(|(_, other)| other.as_ref() != uid);
            if others.is_empty() {
                state.services.remove(&site.service_id);
            }
        }
        // Both, whatever the first one says.
        state.leave(|queue| queue.rise(uid) | queue.step_out(uid))
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
            .map(|(_, uid)| uid.to_string())
            .collect()
    }

    /// UIDs of the sites that found no free number or address.
    pub fn without_room(&self) -> BTreeSet<String> {
        self.lock().without_room.clone()
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
        self.lock()
            .hosts
            .get(host)
            .is_some_and(|holder| holder.as_ref() != uid)
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
            let uid = state.known(uid);
            state.hold(&uid, held);
        }
        if let Some(site) = state.sites.get_mut(uid) {
            site.claim = held;
        }
        free
    }

    /// Whether the site has a place or could take one now; if not it stands in the queue.
    pub fn may_enter(&self, compute: &str, places: usize, uid: &str) -> bool {
        self.lock()
            .at_queue(compute, uid, |queue, uid| queue.admits(places, uid))
    }

    /// Takes a place among those that create or destroy on a Provider; `false` puts the site into the queue.
    pub fn take_place(&self, compute: &str, places: usize, uid: &str) -> bool {
        self.lock()
            .at_queue(compute, uid, |queue, uid| queue.take(places, uid))
    }

    /// Gives the place back. Returns those whose turn has come with that.
    pub fn leave_place(&self, uid: &str) -> Vec<String> {
        self.lock().leave(|queue| queue.rise(uid))
    }

    /// Steps out of every queue without having had a place. Returns those whose turn has come with that.
    pub fn leave_queue(&self, uid: &str) -> Vec<String> {
        self.lock().leave(|queue| queue.step_out(uid))
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
        holder.map(|(_, uid)| uid.as_ref())
    }

    /// The UID with the text that is there already.
    fn known(&self, uid: &str) -> Uid {
        let known = self.sites.get_key_value(uid);
        known.map_or_else(|| uid.into(), |(known, _)| Arc::clone(known))
    }

    fn at_queue(&mut self, compute: &str, uid: &str, ask: impl Fn(&mut Queue, &Uid) -> bool) -> bool {
        let uid = self.known(uid);
        ask(self.queues.entry(compute.to_owned()).or_default(), &uid)
    }

    fn leave(&mut self, gone: impl Fn(&mut Queue) -> bool) -> Vec<String> {
        let mut in_turn = Vec::new();
        for queue in self.queues.values_mut() {
            if gone(queue) {
                in_turn.extend(queue.in_turn().map(|uid| uid.to_string()));
            }
        }
        in_turn
    }

    fn hold(&mut self, uid: &Uid, claim: &Claim) {
        Arc::make_mut(self.vmids.entry(claim.compute.clone()).or_default()).insert(claim.vmid);
        Arc::make_mut(self.addresses.entry(claim.compute.clone()).or_default()).insert(claim.address);
        self.hosts.insert(claim.host.clone(), Arc::clone(uid));
    }

    fn let_go(&mut self, uid: &str, claim: &Claim) {
        if let Some(taken) = self.vmids.get_mut(&claim.compute) {
            Arc::make_mut(taken).remove(&claim.vmid);
        }
        if let Some(taken) = self.addresses.get_mut(&claim.compute) {
            Arc::make_mut(taken).remove(&claim.address);
        }
        if self
            .hosts
            .get(&claim.host)
            .is_some_and(|holder| holder.as_ref() == uid)
        {
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
            without_room: false,
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
        assert_eq!(ledger.forget("b"), ["c"]);
        assert!(ledger.take_place("pve", 1, "c"));
    }

    #[test]
    fn whoever_steps_aside_or_goes_gives_way_to_the_next() {
        let ledger = Ledger::default();
        for (uid, second) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
            ledger.enter(uid, entry(uid, second));
            assert_eq!(ledger.take_place("pve", 2, uid), second <= 2);
        }
        assert_eq!(ledger.leave_queue("d"), [""; 0], "no place became free");
        assert!(!ledger.may_enter("pve", 2, "d"));
        assert_eq!(ledger.leave_place("a"), ["c"]);
        assert_eq!(ledger.leave_place("a"), [""; 0], "it had none any more");
        // Both places are free before the first of those that wait was there.
        assert_eq!(ledger.forget("b"), ["c", "d"]);
        assert_eq!(ledger.leave_queue("c"), ["d"]);
        assert!(ledger.may_enter("pve", 2, "d") && ledger.take_place("pve", 2, "d"));
        assert!(ledger.may_enter("pve", 2, "d"), "it has a place");
    }
}
