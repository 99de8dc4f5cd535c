//! The queue before a container host: who creates or destroys there at the moment, and who is next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Uid;

/// The queue of one Provider.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// How many may work at the same time, as was said last.
    places: usize,
    holders: BTreeSet<Uid>,
    waiting: BTreeMap<u64, Uid>,
    tickets: HashMap<Uid, u64>,
    next_ticket: u64,
}

impl Queue {
    /// Gives a site the place that its stored status says it has.
    pub(super) fn seat(&mut self, uid: &Uid) {
        self.holders.insert(Uid::clone(uid));
    }

    /// Whether the site has a place or could take one now; if not it waits from now on.
    pub(super) fn admits(&mut self, places: usize, uid: &Uid) -> bool {
        self.places = places;
        let ahead = match self.tickets.get(uid) {
            Some(ticket) => self.waiting.range(..ticket).take(places).count(),
            None => self.waiting.len(),
        };
        let admitted = self.holders.contains(uid) || self.holders.len() + ahead < places;
        if !admitted && !self.tickets.contains_key(uid) {
            self.tickets.insert(Uid::clone(uid), self.next_ticket);
            self.waiting.insert(self.next_ticket, Uid::clone(uid));
            self.next_ticket += 1;
        }
        admitted
    }

    /// As [`Queue::admits`], and the place is taken.
    pub(super) fn take(&mut self, places: usize, uid: &Uid) -> bool {
        let admitted = self.admits(places, uid);
        if admitted {
            self.step_out(uid);
            self.seat(uid);
        }
        admitted
    }

    /// Gives the place back. `false` when there was none.
    pub(super) fn rise(&mut self, uid: &str) -> bool {
        self.holders.remove(uid)
    }

    /// Does not wait any more. `false` when it did not.
    pub(super) fn step_out(&mut self, uid: &str) -> bool {
        let ticket = self.tickets.remove(uid);
        ticket.is_some_and(|ticket| self.waiting.remove(&ticket).is_some())
    }

    /// Those for whom there is a place now, the longest waiting first.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = &Uid> {
        let free = self.places.saturating_sub(self.holders.len());
        self.waiting.values().take(free)
    }
}
