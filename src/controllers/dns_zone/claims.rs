//! Whose a zone is: the index of all DnsZones by name, filled from the watch before the first pass.
//!
//! One object has a zone, whatever Provider it names. Of a parent zone and one below it in another namespace, the
//! later is refused unless the parent allows the namespace: whoever holds a parent could answer for its child.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::domain::Fqdn;

/// One DnsZone as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The zone.
    pub zone: Fqdn,
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// Something was made outside for it, or is about to be.
    pub holds: bool,
    /// Namespaces whose zones may stand below this one.
    pub allowed_children: Vec<String>,
}

impl Claim {
    /// Who comes first: who holds the zone already, then the older, then the smaller UID. Times of creation have
    /// whole seconds only.
    fn rank<'a>(&'a self, uid: &'a str) -> (bool, Option<Timestamp>, &'a str) {
        (!self.holds, self.created_at, uid)
    }

    /// The object in words for somebody of a namespace, who is not to learn of others.
    pub fn title_for(&self, namespace: &str) -> String {
        match self.namespace == namespace {
            true => format!("the DnsZone {}", self.name),
            false => "a DnsZone of another namespace".to_owned(),
        }
    }

    fn allows(&self, child: &Claim) -> bool {
        let listed = |allowed: &String| allowed == "*" || *allowed == child.namespace;
        self.namespace == child.namespace || self.allowed_children.iter().any(listed)
    }
}

#[derive(Debug, Default)]
struct State {
    claims: HashMap<String, Claim>,
    /// UIDs by zone, whose labels are turned round, so that a zone's children follow it.
    by_zone: BTreeMap<String, Vec<String>>,
}

/// Who stands in the way of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rival {
    /// Another object has the zone.
    Same(Claim),
    /// An object of another namespace has a zone above it.
    Parent(Claim),
    /// An object of another namespace has a zone below it.
    Child(Claim),
}

/// The index of all zones.
#[derive(Debug, Default)]
pub struct Claims {
    state: Mutex<State>,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an object from the watch or from a pass. What it was known to hold, it holds until it is gone: an old
    /// event must not take it away. `true` when a known object allows other namespaces than before.
    pub fn enter(&self, uid: &str, claim: Claim) -> bool {
        let mut state = self.lock();
        let known = state.claims.get(uid);
        let held = known.is_some_and(|known| known.holds);
        let news = known.is_some_and(|known| known.allowed_children != claim.allowed_children);
        let holders = state.by_zone.entry(turned(&claim.zone)).or_default();
        if !holders.iter().any(|other| other == uid) {
            holders.push(uid.to_owned());
        }
        let holds = claim.holds || held;
        state.claims.insert(uid.to_owned(), Claim { holds, ..claim });
        news
    }

    /// Notes that something is about to be made outside. `false` when somebody else comes first by now.
    pub fn hold(&self, uid: &str) -> bool {
        let mut state = self.lock();
        if state.rival(uid).is_some() {
            return false;
        }
        if let Some(claim) = state.claims.get_mut(uid) {
            claim.holds = true;
        }
        true
    }

    /// Forgets an object that is gone. Returns the UIDs of those that may have waited for that.
    pub fn forget(&self, uid: &str) -> Vec<String> {
        let mut state = self.lock();
        let Some(claim) = state.claims.remove(uid) else {
            return Vec::new();
        };
        if let Some(holders) = state.by_zone.get_mut(&turned(&claim.zone)) {
            holders.retain(|other| other != uid);
            if holders.is_empty() {
                state.by_zone.remove(&turned(&claim.zone));
            }
        }
        state.related(&claim.zone)
    }

    /// Who stands in the way of an object.
    pub fn rival(&self, uid: &str) -> Option<Rival> {
        self.lock().rival(uid)
    }

    /// UIDs of the objects whose zones are the same as this one, above or below it.
    pub fn related(&self, zone: &Fqdn) -> Vec<String> {
        self.lock().related(zone)
    }
}

impl State {
    fn of<'a>(&'a self, zone: &Fqdn) -> impl Iterator<Item = (&'a str, &'a Claim)> {
        self.claims_of(self.by_zone.get(&turned(zone)))
    }

    fn claims_of<'a>(&'a self, uids: Option<&'a Vec<String>>) -> impl Iterator<Item = (&'a str, &'a Claim)> {
        let uids = uids.into_iter().flatten();
        uids.filter_map(|uid| Some((uid.as_str(), self.claims.get(uid)?)))
    }

    fn below<'a>(&'a self, zone: &Fqdn) -> impl Iterator<Item = (&'a str, &'a Claim)> {
        let prefix = format!("{}.", turned(zone));
        let followers = self.by_zone.range(prefix.clone()..);
        followers
            .take_while(move |(name, _)| name.starts_with(&prefix))
            .flat_map(|(_, uids)| self.claims_of(Some(uids)))
    }

    fn rival(&self, uid: &str) -> Option<Rival> {
        let own = self.claims.get(uid)?;
        let first = |other: &str, claim: &Claim| other != uid && claim.rank(other) < own.rank(uid);
        if let Some((_, claim)) = self.of(&own.zone).find(|(other, claim)| first(other, claim)) {
            return Some(Rival::Same(claim.clone()));
        }
        for parent in parents(&own.zone) {
            let above = self
                .of(&parent)
                .find(|(other, claim)| first(other, claim) && !claim.allows(own));
            if let Some((_, claim)) = above {
                return Some(Rival::Parent(claim.clone()));
            }
        }
        if own.holds {
            // Who holds a zone comes before every child that could be in its way; nothing to look for.
            return None;
        }
        self.below(&own.zone)
            .find(|(other, claim)| first(other, claim) && !own.allows(claim))
            .map(|(_, claim)| Rival::Child(claim.clone()))
    }

    fn related(&self, zone: &Fqdn) -> Vec<String> {
        let above = parents(zone);
        let at_or_above = above.iter().chain([zone]).flat_map(|name| self.of(name));
        at_or_above
            .chain(self.below(zone))
            .map(|(uid, _)| uid.to_owned())
            .collect()
    }
}

/// A name with its labels in reverse order.
fn turned(zone: &Fqdn) -> String {
    let labels: Vec<&str> = zone.as_str().rsplit('.').collect();
    labels.join(".")
}

/// The names above a zone that can be zones themselves.
fn parents(zone: &Fqdn) -> Vec<Fqdn> {
    let mut names = Vec::new();
    let mut rest = zone.as_str();
    while let Some((_, parent)) = rest.split_once('.') {
        names.extend(parent.parse::<Fqdn>().ok());
        rest = parent;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(zone: &str, namespace: &str, second: i64) -> Claim {
        Claim {
            zone: zone.parse().unwrap(),
            namespace: namespace.to_owned(),
            name: "z".to_owned(),
            created_at: Some(Timestamp::from_second(second).unwrap()),
            holds: false,
            allowed_children: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_has_the_zone_and_the_next_takes_over() {
        let claims = Claims::default();
        claims.enter("b", claim("example.com", "two", 2));
        claims.enter("a", claim("example.com", "one", 1));
        assert_eq!(claims.rival("a"), None);
        assert!(matches!(claims.rival("b"), Some(Rival::Same(first)) if first.namespace == "one"));
        assert_eq!(claims.forget("a"), ["b"]);
        assert_eq!(claims.rival("b"), None);
    }

    #[test]
    fn whoever_holds_comes_before_the_older() {
        let claims = Claims::default();
        claims.enter("young", claim("example.com", "one", 9));
        assert!(claims.hold("young"));
        claims.enter("old", claim("example.com", "one", 1));
        assert!(claims.rival("old").is_some() && !claims.hold("old"));
        assert_eq!(claims.rival("young"), None);
        // An event from before the hold takes nothing away.
        claims.enter("young", claim("example.com", "one", 9));
        assert_eq!(claims.rival("young"), None);
    }

    #[test]
    fn a_child_of_another_namespace_needs_leave() {
        let claims = Claims::default();
        let mut parent = claim("example.com", "one", 1);
        claims.enter("p", parent.clone());
        claims.enter("own", claim("a.example.com", "one", 2));
        claims.enter("other", claim("x.b.example.com", "two", 2));
        assert_eq!(claims.rival("own"), None);
        assert!(matches!(claims.rival("other"), Some(Rival::Parent(_))));
        parent.allowed_children = vec!["two".to_owned()];
        claims.enter("p", parent);
        assert_eq!(claims.rival("other"), None);
        let mut related = claims.related(&"example.com".parse().unwrap());
        related.sort();
        assert_eq!(related, ["other", "own", "p"]);
    }

    #[test]
    fn a_parent_that_comes_later_is_refused_as_well() {
        let claims = Claims::default();
        claims.enter("child", claim("shop.example.com", "two", 1));
        let mut parent = claim("example.com", "one", 2);
        claims.enter("p", parent.clone());
        assert!(matches!(claims.rival("p"), Some(Rival::Child(child)) if child.namespace == "two"));
        assert_eq!(claims.rival("child"), None);
        parent.allowed_children = vec!["*".to_owned()];
        claims.enter("p", parent);
        assert_eq!(claims.rival("p"), None);
    }
}
