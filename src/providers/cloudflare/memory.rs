//! What is remembered of zones, so that a pass over one needs no look-up: small, because it is kept for every
//! zone of an account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::domain::Fqdn;
use crate::providers::dns_host::{Zone, ZoneId};

/// How long a zone is believed to be as it was read. Ids never change, but a zone can be deleted and added
/// again, with another id.
const REMEMBERED: Duration = Duration::from_secs(300);
/// How long Cloudflare may refuse the right to a zone that was just made: the right spreads through its
/// machines (octodns-cloudflare 108: code 10000 right after a create, gone when tried again within a minute
/// or so). Twice that; after it, the right is really missing.
const FRESH: Duration = Duration::from_secs(120);

/// A zone's id as the number that it is: half the size of its text.
type Key = u128;

#[derive(Debug)]
struct Entry {
    key: Key,
    /// `None` once it is in doubt.
    read: Option<Instant>,
    created: Option<Timestamp>,
    /// Shared: an account has few pairs of servers.
    servers: Arc<[Fqdn]>,
    /// Until when a refused right is taken for one that has not spread yet.
    fresh_until: Option<Instant>,
}

/// Zones by name and by id.
#[derive(Debug, Default)]
pub(super) struct Memory {
    by_name: BTreeMap<Fqdn, Entry>,
    by_id: BTreeMap<Key, Fqdn>,
    pairs: BTreeSet<Arc<[Fqdn]>>,
}

impl Memory {
    /// The zone of this name, if it was read not long ago.
    pub fn zone(&self, name: &Fqdn, now: Instant) -> Option<Zone> {
        let entry = self.by_name.get(name)?;
        let age = now.saturating_duration_since(entry.read?);
        (age < REMEMBERED).then(|| zone(name, entry))
    }

    /// The zone of this id, however long ago it was read.
    pub fn by_id(&self, id: &ZoneId) -> Option<Zone> {
        let name = self.by_id.get(&key(id)?)?;
        Some(zone(name, self.by_name.get(name)?))
    }

    /// The name of the zone with this id, if it was ever read.
    pub fn name_of(&self, id: &ZoneId) -> Option<&Fqdn> {
        self.by_id.get(&key(id)?)
    }

    /// Whether the zone was made so recently that a refused right proves nothing.
    pub fn is_fresh(&self, id: &ZoneId, now: Instant) -> bool {
        let entry = self.name_of(id).and_then(|name| self.by_name.get(name));
        let until = entry.and_then(|entry| entry.fresh_until);
        until.is_some_and(|until| now < until)
    }

    /// Takes what was read of a zone. Whatever else had its name or its id is forgotten.
    pub fn learn(&mut self, zone: &Zone, now: Instant) {
        let Some(key) = key(&zone.id) else { return };
        if let Some(before) = self.by_id.insert(key, zone.name.clone())
            && before != zone.name
        {
            self.by_name.remove(&before);
        }
        let entry = Entry {
            key,
            read: Some(now),
            created: zone.created,
            servers: self.shared(&zone.name_servers),
            fresh_until: freshness(zone.created).map(|left| now + left),
        };
        if let Some(before) = self.by_name.insert(zone.name.clone(), entry)
            && before.key != key
        {
            self.by_id.remove(&before.key);
        }
    }

    /// Takes a zone that was just made, whatever its clock says.
    pub fn learn_new(&mut self, zone: &Zone, now: Instant) {
        self.learn(zone, now);
        if let Some(entry) = self.by_name.get_mut(&zone.name) {
            entry.fresh_until = Some(now + FRESH);
        }
    }

    /// Believes in a zone no longer without a look, because it may be gone.
    pub fn doubt(&mut self, id: &ZoneId) {
        let name = key(id).and_then(|key| self.by_id.get(&key));
        if let Some(entry) = name.and_then(|name| self.by_name.get_mut(name)) {
            entry.read = None;
        }
    }

    /// Forgets a zone, because it is gone.
    pub fn forget(&mut self, id: &ZoneId) {
        let Some(key) = key(id) else { return };
        if let Some(name) = self.by_id.remove(&key) {
            self.by_name.remove(&name);
        }
    }

    /// Forgets what goes by this name.
    pub fn forget_name(&mut self, name: &Fqdn) {
        if let Some(entry) = self.by_name.remove(name) {
            self.by_id.remove(&entry.key);
        }
    }

    /// Forgets everything that was not read since then: after a complete listing, what it did not have.
    pub fn forget_older(&mut self, since: Instant) {
        let by_id = &mut self.by_id;
        self.by_name.retain(|_, entry| {
            let kept = entry.read.is_some_and(|read| read >= since);
            if !kept {
                by_id.remove(&entry.key);
            }
            kept
        });
        self.pairs.retain(|pair| Arc::strong_count(pair) > 1);
    }

    fn shared(&mut self, servers: &[Fqdn]) -> Arc<[Fqdn]> {
        if let Some(known) = self.pairs.get(servers) {
            return Arc::clone(known);
        }
        let pair: Arc<[Fqdn]> = servers.into();
        self.pairs.insert(Arc::clone(&pair));
        pair
    }
}

/// A zone's id is 32 hexadecimal digits, so that number and text are the same.
fn key(id: &ZoneId) -> Option<Key> {
    Key::from_str_radix(&id.0, 16).ok()
}

fn zone(name: &Fqdn, entry: &Entry) -> Zone {
    Zone {
        id: ZoneId(format!("{:032x}", entry.key)),
        name: name.clone(),
        // Pausing switches Cloudflare's proxy off and nothing else: the names are answered all the same.
        active: true,
        serial: None,
        soa: None,
        name_servers: entry.servers.to_vec(),
        created: entry.created,
    }
}

/// How long a zone of this age counts as fresh yet.
fn freshness(created: Option<Timestamp>) -> Option<Duration> {
    let age = Timestamp::now().duration_since(created?);
    // A clock that is ahead of ours makes the age negative: the zone is new.
    let age = Duration::try_from(age).unwrap_or_default();
    FRESH.checked_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(id: char, name: &str) -> Zone {
        Zone {
            id: ZoneId(id.to_string().repeat(32)),
            name: name.parse().unwrap(),
            active: true,
            serial: None,
            soa: None,
            name_servers: vec!["ada.ns.cloudflare.com".parse().unwrap()],
            created: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_zone_is_remembered_for_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let zone = some('0', "example.com");
        memory.learn(&zone, now);
        assert_eq!(memory.zone(&zone.name, now), Some(zone.clone()));
        assert_eq!(memory.zone(&zone.name, now + REMEMBERED), None);
        assert_eq!(memory.name_of(&zone.id), Some(&zone.name), "a name never expires");
        assert!(!memory.is_fresh(&zone.id, now));
        memory.doubt(&zone.id);
        assert_eq!(memory.zone(&zone.name, now), None);
        assert_eq!(memory.name_of(&zone.id), Some(&zone.name));
    }

    #[test]
    fn a_zone_that_was_added_again_replaces_the_old_one() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let (old, new) = (some('a', "example.com"), some('b', "example.com"));
        memory.learn(&old, now);
        memory.learn_new(&new, now);
        assert_eq!(memory.zone(&new.name, now), Some(new.clone()));
        assert_eq!(memory.name_of(&old.id), None);
        memory.forget(&old.id);
        assert_eq!(memory.zone(&new.name, now), Some(new.clone()));
        assert!(memory.is_fresh(&new.id, now) && !memory.is_fresh(&new.id, now + FRESH));
        memory.forget(&new.id);
        assert_eq!(memory.zone(&new.name, now), None);
    }

    #[test]
    fn what_a_complete_listing_lacks_is_forgotten() {
        let (mut memory, begun) = (Memory::default(), Instant::now());
        let later = begun + Duration::from_secs(1);
        memory.learn(&some('a', "old.example"), begun);
        memory.learn(&some('b', "new.example"), later);
        memory.forget_older(later);
        assert_eq!(memory.name_of(&some('a', "old.example").id), None);
        assert!(memory.zone(&some('b', "new.example").name, later).is_some());
    }
}
