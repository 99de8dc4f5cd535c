//! Whose the customers' domains are: one site in the cluster has a name, and the first one wins.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::Ledger;
use crate::domain::Fqdn;

/// The domains of one site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DomainNames {
    /// Something of the site may exist outside under them, as its status says.
    pub held: BTreeSet<Fqdn>,
    /// Its spec has them.
    pub wanted: BTreeSet<Fqdn>,
}

#[derive(Debug, Default)]
struct Interest {
    created_at: Option<Timestamp>,
    names: DomainNames,
    /// Taken by this process; the stored status may not say so yet.
    claimed: BTreeSet<Fqdn>,
}

impl Interest {
    fn holds(&self, name: &Fqdn) -> bool {
        self.names.held.contains(name) || self.claimed.contains(name)
    }

    fn all(&self) -> BTreeSet<Fqdn> {
        let names = self.names.held.iter().chain(&self.names.wanted);
        names.chain(&self.claimed).cloned().collect()
    }
}

/// The index of all domains.
#[derive(Debug, Default)]
pub(super) struct Index {
    sites: HashMap<String, Interest>,
    /// Who has to do with a name, the oldest object first.
    names: HashMap<Fqdn, BTreeSet<(Option<Timestamp>, String)>>,
}

impl Index {
    /// Takes what an object says. Returns the sites that may wait for what it does not hold any more.
    fn enter(&mut self, uid: &str, created_at: Option<Timestamp>, names: DomainNames) -> BTreeSet<String> {
        if names == DomainNames::default() && !self.sites.contains_key(uid) {
            return BTreeSet::new();
        }
        let site = self.sites.entry(uid.to_owned()).or_default();
        if site.names == names && site.created_at == created_at {
            return BTreeSet::new();
        }
        let (before, age) = (site.all(), site.created_at);
        // What the status says by now need not be remembered here: once it says so no more, it is free.
        site.claimed.retain(|name| !names.held.contains(name));
        (site.created_at, site.names) = (created_at, names);
        let after = site.all();
        self.change(uid, (age, &before), (created_at, &after))
    }

    fn forget(&mut self, uid: &str) -> BTreeSet<String> {
        let Some(site) = self.sites.remove(uid) else {
            return BTreeSet::new();
        };
        let before = (site.created_at, &site.all());
        self.change(uid, before, (None, &BTreeSet::new()))
    }

    fn change(
        &mut self,
        uid: &str,
        before: (Option<Timestamp>, &BTreeSet<Fqdn>),
        after: (Option<Timestamp>, &BTreeSet<Fqdn>),
    ) -> BTreeSet<String> {
        for name in before.1 {
            if let Some(sites) = self.names.get_mut(name) {
                sites.remove(&(before.0, uid.to_owned()));
                if sites.is_empty() {
                    self.names.remove(name);
                }
            }
        }
        for name in after.1 {
            let sites = self.names.entry(name.clone()).or_default();
            sites.insert((after.0, uid.to_owned()));
        }
        let others = before.1.iter().filter_map(|name| self.names.get(name)).flatten();
        let others = others.map(|(_, other)| other.clone());
        others.filter(|other| other != uid).collect()
    }

    /// The site that is in the way of another one's wish for a name: who holds it, else an older one that wants it.
    fn rival(&self, uid: &str, name: &Fqdn) -> Option<&str> {
        let holds = |uid: &str| self.sites.get(uid).is_some_and(|site| site.holds(name));
        let sites = self.names.get(name)?;
        if holds(uid) {
            return None;
        }
        let holder = sites
            .iter()
            .map(|(_, other)| other.as_str())
            .find(|other| holds(other));
        holder.or_else(|| {
            sites
                .first()
                .map(|(_, first)| first.as_str())
                .filter(|first| *first != uid)
        })
    }

    fn claim(&mut self, uid: &str, created_at: Option<Timestamp>, name: &Fqdn) {
        let site = self.sites.entry(uid.to_owned()).or_default();
        if !site.holds(name) {
            site.claimed.insert(name.clone());
        }
        let age = site.created_at.or(created_at);
        let sites = self.names.entry(name.clone()).or_default();
        sites.insert((age, uid.to_owned()));
    }
}

impl Ledger {
    /// Takes the domains of an object from the watch. Returns the UIDs of sites that may wait for one that it has let
    /// go.
    pub fn enter_domains(
        &self,
        uid: &str,
        created_at: Option<Timestamp>,
        names: DomainNames,
    ) -> BTreeSet<String> {
        self.lock().domains.enter(uid, created_at, names)
    }

    /// Forgets the domains of a site that is gone. Returns as [`Ledger::enter_domains`].
    pub fn forget_domains(&self, uid: &str) -> BTreeSet<String> {
        self.lock().domains.forget(uid)
    }

    /// The site that is in the way of a site's wish for a name, as `namespace/name`.
    pub fn domain_rival(&self, uid: &str, name: &Fqdn) -> Option<String> {
        let state = self.lock();
        state.rival_title(uid, name)
    }

    /// Takes a name for a site. From here on it is nobody else's.
    ///
    /// # Errors
    /// The site that is in the way, as `namespace/name`.
    pub fn claim_domain(&self, uid: &str, name: &Fqdn) -> Result<(), String> {
        let mut state = self.lock();
        if let Some(title) = state.rival_title(uid, name) {
            return Err(title);
        }
        let created_at = state.sites.get(uid).and_then(|site| site.created_at);
        state.domains.claim(uid, created_at, name);
        Ok(())
    }

    /// Gives back what this process has taken for a site beyond these names.
    pub fn keep_domains(&self, uid: &str, names: &BTreeSet<Fqdn>) {
        let mut state = self.lock();
        if let Some(site) = state.domains.sites.get_mut(uid)
            && site.claimed.iter().any(|name| !names.contains(name))
        {
            let (age, before) = (site.created_at, site.all());
            site.claimed.retain(|name| names.contains(name));
            let after = site.all();
            state.domains.change(uid, (age, &before), (age, &after));
        }
    }
}

impl super::State {
    fn rival_title(&self, uid: &str, name: &Fqdn) -> Option<String> {
        let host = self
            .hosts
            .get(name)
            .map(AsRef::as_ref)
            .filter(|holder| *holder != uid);
        let rival = host.or_else(|| self.domains.rival(uid, name))?;
        let known = self.sites.get(rival).map(|site| site.title.clone());
        // A site of which only its domains are known is in no namespace that anybody could name.
        Some(known.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<Fqdn> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn names(held: &[&str], wanted: &[&str]) -> DomainNames {
        DomainNames {
            held: set(held),
            wanted: set(wanted),
        }
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    fn ledger() -> Ledger {
        let ledger = Ledger::default();
        for (uid, second) in [("a", 10), ("b", 20)] {
            let entry = super::super::Entry {
                title: format!("shop/{uid}"),
                service_id: uid.to_owned(),
                created_at: at(second),
                claim: None,
                storage_task_on: None,
                without_room: false,
            };
            ledger.enter(uid, entry);
        }
        ledger
    }

    fn name() -> Fqdn {
        "x.example".parse().unwrap()
    }

    #[test]
    fn the_older_object_wins_what_nobody_holds() {
        let ledger = ledger();
        ledger.enter_domains("b", at(20), names(&[], &["x.example"]));
        assert_eq!(ledger.domain_rival("b", &name()), None);
        ledger.enter_domains("a", at(10), names(&[], &["x.example"]));
        assert_eq!(ledger.domain_rival("b", &name()).as_deref(), Some("shop/a"));
        assert_eq!(ledger.domain_rival("a", &name()), None);
        assert_eq!(ledger.claim_domain("b", &name()), Err("shop/a".to_owned()));
        let woken = ledger.enter_domains("a", at(10), names(&[], &[]));
        assert_eq!(woken, ["b".to_owned()].into());
        assert_eq!(ledger.claim_domain("b", &name()), Ok(()));
    }

    #[test]
    fn who_holds_a_name_keeps_it_from_older_objects() {
        let ledger = ledger();
        ledger.enter_domains("b", at(20), names(&["x.example"], &["x.example"]));
        ledger.enter_domains("a", at(10), names(&[], &["x.example"]));
        assert_eq!(ledger.domain_rival("a", &name()).as_deref(), Some("shop/b"));
        assert_eq!(ledger.domain_rival("b", &name()), None);
        // Not wanted any more, but still held: being removed.
        assert!(
            !ledger
                .enter_domains("b", at(20), names(&["x.example"], &[]))
                .is_empty()
        );
        assert!(ledger.claim_domain("a", &name()).is_err());
        ledger.enter_domains("b", at(20), names(&[], &[]));
        assert_eq!(ledger.claim_domain("a", &name()), Ok(()));
        assert!(ledger.forget_domains("b").is_empty());
    }

    #[test]
    fn a_claim_outlives_older_events_and_ends_with_the_status_that_lets_go() {
        let ledger = ledger();
        ledger.enter_domains("b", at(20), names(&[], &["x.example"]));
        assert_eq!(ledger.claim_domain("b", &name()), Ok(()));
        assert_eq!(ledger.claim_domain("b", &name()), Ok(()), "again");
        ledger.enter_domains("a", at(10), names(&[], &["x.example"]));
        assert!(
            ledger.domain_rival("a", &name()).is_some(),
            "the older one comes too late"
        );
        // An event from before the claim.
        ledger.enter_domains("b", at(20), names(&[], &["x.example", "y.example"]));
        assert!(ledger.domain_rival("a", &name()).is_some());
        ledger.enter_domains("b", at(20), names(&["x.example"], &["x.example"]));
        ledger.enter_domains("b", at(20), names(&[], &[]));
        assert_eq!(ledger.domain_rival("a", &name()), None);
    }

    #[test]
    fn a_claim_that_was_never_stored_is_given_back() {
        let ledger = ledger();
        ledger.enter_domains("b", at(20), names(&[], &["x.example"]));
        assert_eq!(ledger.claim_domain("b", &name()), Ok(()));
        ledger.keep_domains("b", &set(&["x.example"]));
        assert!(ledger.domain_rival("a", &name()).is_some());
        ledger.enter_domains("b", at(20), names(&[], &[]));
        ledger.keep_domains("b", &set(&[]));
        assert_eq!(ledger.domain_rival("a", &name()), None);
        assert!(ledger.lock().domains.names.is_empty());
    }

    #[test]
    fn the_name_of_another_site_is_taken() {
        let ledger = ledger();
        let claim = super::super::Claim {
            compute: "pve".to_owned(),
            vmid: crate::domain::Vmid::try_from(500).unwrap(),
            address: [10, 0, 0, 9].into(),
            host: name(),
        };
        assert!(ledger.claim("a", &claim));
        assert_eq!(ledger.claim_domain("b", &name()), Err("shop/a".to_owned()));
        assert_eq!(ledger.domain_rival("a", &name()), None);
    }
}
