//! The parent zone: which it is, what each of its servers says about the child, and what follows from that.

use std::collections::BTreeSet;

use futures::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

use super::DelegationState;
use super::exchange::question;
use super::questions::{Questions, name_servers, text};
use crate::domain::Fqdn;

/// Views that are wanted: during an update the parent's servers answer differently.
const VIEWS_WANTED: usize = 2;
/// Servers of the parent asked at a time: one more than wanted, for one may be silent.
const ASKED_AT_ONCE: usize = VIEWS_WANTED + 1;

/// What one server of the parent says about the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum View {
    /// Delegated to these.
    Delegated(BTreeSet<String>),
    /// The name exists without a delegation.
    NoDelegation,
    /// The name does not exist.
    NxDomain,
}

/// The parent of a zone.
#[derive(Debug)]
pub(super) struct Parent {
    name: Name,
    servers: BTreeSet<Name>,
}

impl Parent {
    /// Finds the zone above: the nearest name above that has name servers of its own.
    ///
    /// # Errors
    /// A public half sentence, when the resolvers could not say.
    pub(super) async fn of(zone: &Name, questions: &Questions) -> Result<Self, String> {
        Self::holding(zone.base_name(), questions).await
    }

    /// Finds the zone that holds a name: the name itself or the nearest one above that has name servers of its own.
    ///
    /// # Errors
    /// As [`Parent::of`].
    pub(super) async fn holding(mut name: Name, questions: &Questions) -> Result<Self, String> {
        loop {
            let answer = questions.resolve(&name, RecordType::NS).await?;
            let servers: BTreeSet<Name> = name_servers(&answer.answers, &name).cloned().collect();
            if !servers.is_empty() {
                return Ok(Self { name, servers });
            }
            if name.is_root() {
                return Err("the resolver knows no name servers above the zone".to_owned());
            }
            name = name.base_name();
        }
    }

    /// Its name and its name servers, as the resolvers know them.
    pub(super) fn into_parts(self) -> (Name, BTreeSet<Name>) {
        (self.name, self.servers)
    }

    /// Its name as text.
    pub(super) fn text(&self) -> String {
        text(&self.name)
    }

    /// What its servers say about `zone`: at least two of them when two give an answer that counts.
    ///
    /// # Errors
    /// A public half sentence, when none does.
    pub(super) async fn views(&self, zone: &Name, questions: &Questions) -> Result<Vec<View>, String> {
        let query = question(zone, RecordType::NS);
        let servers: Vec<&Name> = self.servers.iter().collect();
        let mut views = Vec::new();
        for some in servers.chunks(ASKED_AT_ONCE) {
            let answers = join_all(some.iter().map(|server| questions.direct(server, &query))).await;
            let read = answers
                .iter()
                .flatten()
                .filter_map(|answer| view(answer, zone, &self.name));
            views.extend(read);
            if views.len() >= VIEWS_WANTED {
                break;
            }
        }
        match views.is_empty() {
            true => Err(format!(
                "no name server of the zone above, {}, gave a usable answer",
                self.text()
            )),
            false => Ok(views),
        }
    }
}

/// Reads one answer; `None` when it says nothing: a failure, or a server that does not serve the parent.
fn view(answer: &Message, zone: &Name, parent: &Name) -> Option<View> {
    let delegated = |records| -> Option<View> {
        let names: BTreeSet<String> = name_servers(records, zone).map(text).collect();
        (!names.is_empty()).then_some(View::Delegated(names))
    };
    match answer.metadata.response_code {
        // A referral has them in the authority section. A server that serves both zones answers for the
        // child, and whoever comes from the parent gets to that same server: it delegates to itself.
        ResponseCode::NoError => delegated(&answer.authorities)
            .or_else(|| delegated(&answer.answers))
            .or_else(|| speaks_for(answer, parent).then_some(View::NoDelegation)),
        ResponseCode::NXDomain => speaks_for(answer, parent).then_some(View::NxDomain),
        _ => None,
    }
}

/// Whether a denial comes from the parent zone itself: with authority, and not from a zone that begins between
/// the two, of which the resolver has not heard yet.
fn speaks_for(answer: &Message, parent: &Name) -> bool {
    let soa = answer
        .authorities
        .iter()
        .find(|record| record.record_type() == RecordType::SOA);
    answer.metadata.authoritative && soa.is_none_or(|soa| soa.name == *parent)
}

/// What several views come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub state: DelegationState,
    pub observed: BTreeSet<String>,
    pub agree: bool,
}

/// Compares what the parent's servers say with what is expected. Of views that differ the worse one counts: an
/// expected name is there only when all delegate to it, a foreign one when any does.
pub(super) fn judge(views: &[View], expected: &BTreeSet<Fqdn>) -> Verdict {
    let nobody = BTreeSet::new();
    let delegated: Vec<&BTreeSet<String>> = views
        .iter()
        .map(|view| match view {
            View::Delegated(names) => names,
            View::NoDelegation | View::NxDomain => &nobody,
        })
        .collect();
    let observed: BTreeSet<String> = delegated.iter().copied().flatten().cloned().collect();
    let ours = |name: &String| expected.iter().any(|server| server.as_str() == name);
    let missing: BTreeSet<Fqdn> = expected
        .iter()
        .filter(|server| !delegated.iter().all(|names| names.contains(server.as_str())))
        .cloned()
        .collect();
    let foreign: BTreeSet<String> = observed.iter().filter(|name| !ours(name)).cloned().collect();
    let state = if observed.is_empty() {
        match views.iter().all(|view| *view == View::NxDomain) {
            true => DelegationState::NxDomain,
            false => DelegationState::None,
        }
    } else if foreign.len() == observed.len() {
        DelegationState::Foreign
    } else if missing.is_empty() && foreign.is_empty() {
        DelegationState::All
    } else {
        DelegationState::Partial { missing, foreign }
    };
    Verdict {
        state,
        observed,
        agree: views.windows(2).all(|pair| pair.first() == pair.last()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::rdata::{NS, SOA};
    use hickory_proto::rr::{RData, Record};

    fn names<T: FromIterator<U>, U: std::str::FromStr>(names: &[&str]) -> T {
        names.iter().filter_map(|name| name.parse().ok()).collect()
    }

    fn delegated(to: &[&str]) -> View {
        View::Delegated(names(to))
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn state(views: &[View]) -> DelegationState {
        judge(views, &names(&["ns1.h.net", "ns2.h.net"])).state
    }

    #[test]
    fn agreeing_servers_decide() {
        let ours = delegated(&["ns1.h.net", "ns2.h.net"]);
        assert_eq!(state(&[ours.clone(), ours]), DelegationState::All);
        let half = [delegated(&["ns1.h.net", "ns.o.net"])];
        let partial = DelegationState::Partial {
            missing: names(&["ns2.h.net"]),
            foreign: names(&["ns.o.net"]),
        };
        assert_eq!(state(&half), partial);
        assert_eq!(state(&[delegated(&["ns_1.o.net"])]), DelegationState::Foreign);
        assert_eq!(
            state(&[View::NxDomain, View::NxDomain]),
            DelegationState::NxDomain
        );
        assert_eq!(state(&[View::NoDelegation]), DelegationState::None);
    }

    #[test]
    fn of_views_that_differ_the_worse_counts() {
        let ours = delegated(&["ns1.h.net", "ns2.h.net"]);
        let verdict = judge(
            &[ours.clone(), View::NxDomain],
            &names(&["ns1.h.net", "ns2.h.net"]),
        );
        assert!(!verdict.agree);
        let both_missing = DelegationState::Partial {
            missing: names(&["ns1.h.net", "ns2.h.net"]),
            foreign: BTreeSet::new(),
        };
        assert_eq!(verdict.state, both_missing);
        assert_eq!(
            state(&[ours, delegated(&["ns.o.net"])]),
            DelegationState::Partial {
                missing: names(&["ns1.h.net", "ns2.h.net"]),
                foreign: names(&["ns.o.net"]),
            }
        );
        assert_eq!(
            state(&[View::NxDomain, View::NoDelegation]),
            DelegationState::None
        );
        assert_eq!(
            state(&[View::NxDomain, delegated(&["ns.o.net"])]),
            DelegationState::Foreign
        );
    }

    fn denial(code: ResponseCode, authoritative: bool, apex: &str) -> Message {
        let mut message = Message::response(1, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.authoritative = authoritative;
        let soa = SOA::new(name("ns.x."), name("admin.x."), 1, 60, 60, 60, 60);
        message.add_authority(Record::from_rdata(name(apex), 60, RData::SOA(soa)));
        message
    }

    #[test]
    fn only_the_parent_can_deny() {
        let (zone, parent) = (name("shop.de."), name("de."));
        let read = |message: &Message| view(message, &zone, &parent);
        let denied = denial(ResponseCode::NXDomain, true, "de.");
        assert_eq!(read(&denied), Some(View::NxDomain));
        assert_eq!(
            read(&denial(ResponseCode::NoError, true, "de.")),
            Some(View::NoDelegation)
        );
        assert_eq!(read(&denial(ResponseCode::NXDomain, false, "de.")), None);
        assert_eq!(read(&denial(ResponseCode::NXDomain, true, ".")), None);
        assert_eq!(read(&denial(ResponseCode::Refused, false, "de.")), None);
    }

    #[test]
    fn a_referral_elsewhere_says_nothing() {
        let mut upward = Message::response(1, OpCode::Query);
        upward.add_authority(Record::from_rdata(
            name("."),
            60,
            RData::NS(NS(name("a.root.net."))),
        ));
        assert_eq!(view(&upward, &name("shop.de."), &name("de.")), None);
    }
}
