//! A result as sentences for a condition: what is so, for which zone, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use super::{Answering, Delegation, DelegationState};
use crate::domain::Fqdn;
use crate::domain::dns::{is_public_suffix, registrable};

impl Delegation {
    /// The result in words, for a customer. `zone` as the customer wrote it, in Unicode if so.
    pub fn message(&self, zone: &str, expected: &BTreeSet<Fqdn>) -> String {
        let parent = self.parent.as_deref().unwrap_or("the zone above");
        let observed = list(&self.observed);
        let todo = self.todo(zone, expected);
        let said = match &self.state {
            DelegationState::All => format!("{zone} is delegated to {observed}."),
            DelegationState::Partial { missing, foreign } => {
                let mut wrong = Vec::new();
                if !missing.is_empty() {
                    wrong.push(format!("missing: {}", list(missing)));
                }
                if !foreign.is_empty() {
                    wrong.push(format!("not ours: {}", list(foreign)));
                }
                format!(
                    "{zone} is only partly delegated to us ({}). {todo}",
                    wrong.join("; ")
                )
            }
            DelegationState::Foreign => format!("{zone} is delegated to {observed}, not to us. {todo}"),
            DelegationState::None => {
                format!("{zone} exists in {parent}, but has no name servers there. {todo}")
            }
            DelegationState::NxDomain => format!(
                "{zone} does not exist in {parent}: it is not registered, or has no name servers yet. Once it \
                 is registered: {todo}"
            ),
            DelegationState::Unknown(why) => format!(
                "The name servers of {zone} could not be checked: {why}. The check is repeated by itself; they \
                 should be {}.",
                list(expected)
            ),
        };
        let update = match self.parents_agree {
            true => String::new(),
            false => format!(
                " The servers of {parent} do not agree yet: a change is under way, wait until it has reached \
                 them all."
            ),
        };
        format!("{said}{update}{}", self.of_servers(zone))
    }

    /// Who has to do what.
    fn todo(&self, zone: &str, expected: &BTreeSet<Fqdn>) -> String {
        let servers = list(expected);
        // Above a registered domain is a registry, which only the registrar talks to; below one, its owner.
        match self.parent.as_deref().filter(|parent| has_an_owner(parent)) {
            Some(parent) => format!(
                "Ask whoever runs {parent} to set the NS records of {zone} there to {servers} and no others."
            ),
            None => {
                format!("Ask your registrar to set the name servers of {zone} to {servers} and no others.")
            }
        }
    }

    /// What is wrong with the expected servers themselves, which is the hoster's to repair.
    fn of_servers(&self, zone: &str) -> String {
        let mut failing: BTreeMap<&str, BTreeSet<&Fqdn>> = BTreeMap::new();
        for (server, answering) in &self.answering {
            let what = match answering {
                Answering::Serves { .. } => continue,
                Answering::Lame => "answer, but do not serve it",
                Answering::Silent => "do not answer",
                Answering::NotResolved => "have no address that could be found",
            };
            failing.entry(what).or_default().insert(server);
        }
        let wrong: Vec<String> = failing
            .iter()
            .map(|(what, servers)| format!("{what} ({})", list(servers)))
            .collect();
        match wrong.is_empty() {
            true => String::new(),
            false => format!(
                " Asked for {zone}, some of our name servers {}; that is your hoster's to repair.",
                wrong.join(", others ")
            ),
        }
    }
}

/// Whether a parent zone is somebody's domain, and not a registry's.
fn has_an_owner(parent: &str) -> bool {
    let name: Option<Fqdn> = parent.parse().ok();
    name.is_some_and(|name| !is_public_suffix(&name) && registrable(&name).is_some())
}

fn list<T: ToString>(names: &BTreeSet<T>) -> String {
    let names: Vec<String> = names.iter().map(T::to_string).collect();
    match names.is_empty() {
        true => "nobody".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> BTreeSet<Fqdn> {
        ["ns1.hoster.net", "ns2.hoster.net"]
            .iter()
            .map(|name| name.parse().unwrap())
            .collect()
    }

    fn found(state: DelegationState, observed: &[&str], parent: &str) -> Delegation {
        Delegation {
            state,
            observed: observed.iter().map(|&name| name.to_owned()).collect(),
            parent: Some(parent.to_owned()),
            parents_agree: true,
            answering: BTreeMap::new(),
        }
    }

    #[test]
    fn every_state_says_what_and_what_to_do() {
        let registrar =
            "Ask your registrar to set the name servers of bücher.de to ns1.hoster.net, ns2.hoster.net";
        let partial = DelegationState::Partial {
            missing: std::iter::once("ns2.hoster.net".parse().unwrap()).collect(),
            foreign: std::iter::once("ns.other.net".to_owned()).collect(),
        };
        for (state, says) in [
            (partial, "missing: ns2.hoster.net; not ours: ns.other.net"),
            (DelegationState::Foreign, "delegated to ns.other.net, not to us"),
            (DelegationState::None, "exists in de, but has no name servers"),
            (DelegationState::NxDomain, "does not exist in de"),
        ] {
            let message = found(state, &["ns.other.net"], "de").message("bücher.de", &expected());
            assert!(message.contains(registrar) && message.contains(says), "{message}");
        }
        let unknown = Delegation::unknown("no resolver answered").message("bücher.de", &expected());
        assert!(
            unknown.contains("no resolver answered") && !unknown.contains("registrar"),
            "{unknown}"
        );
    }

    #[test]
    fn below_somebodys_domain_its_owner_is_asked() {
        let message = found(DelegationState::None, &[], "shop.co.uk").message("a.shop.co.uk", &expected());
        assert!(message.contains("Ask whoever runs shop.co.uk"), "{message}");
        let message = found(DelegationState::None, &[], "co.uk").message("shop.co.uk", &expected());
        assert!(message.contains("Ask your registrar"), "{message}");
    }

    #[test]
    fn servers_that_do_not_serve_are_named() {
        let mut all = found(DelegationState::All, &["ns1.hoster.net", "ns2.hoster.net"], "de");
        let serves = Answering::Serves { serial: 1 };
        all.answering = expected().into_iter().map(|name| (name, serves)).collect();
        assert!(all.is_verified());
        assert_eq!(
            all.message("shop.de", &expected()),
            "shop.de is delegated to ns1.hoster.net, ns2.hoster.net."
        );
        all.answering
            .insert("ns2.hoster.net".parse().unwrap(), Answering::Lame);
        assert!(!all.is_verified());
        let message = all.message("shop.de", &expected());
        assert!(
            message.contains("answer, but do not serve it (ns2.hoster.net)"),
            "{message}"
        );
        all.parents_agree = false;
        assert!(all.message("shop.de", &expected()).contains("do not agree yet"));
    }
}
