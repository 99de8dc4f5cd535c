//! Whether the world finds a zone at our name servers: what its parent delegates, and who serves it. And where a name
//! leads: the addresses that its own name servers tell.
//!
//! | file | does |
//! | --- | --- |
//! | `mod.rs` | the trait and its plain types |
//! | `resolver_check.rs` | the implementation: one check per zone at a time, bounded, kept for a while |
//! | `addresses.rs` | the addresses of a name: their trait and plain types |
//! | `lookup.rs` | their implementation, bounded and kept as the check is |
//! | `kept.rs` | results by name, kept for a while |
//! | `parent.rs` | finds the parent zone and reads what its servers say |
//! | `questions.rs` | the questions of a check: through the resolvers and to name servers directly |
//! | `exchange.rs` | one question to one server |
//! | `words.rs` | a result as a sentence for the customer |

mod addresses;
mod exchange;
mod kept;
mod lookup;
mod parent;
mod questions;
mod resolver_check;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::domain::Fqdn;

pub use addresses::{AddressLookup, Addresses, FoundAddresses};
pub use lookup::ResolverLookup;
pub use resolver_check::{ResolverCheck, ResolverSettings, UNVERIFIED_AGE, VERIFIED_AGE};

/// Asks whether a zone is delegated to the name servers that shall serve it.
#[async_trait]
pub trait DelegationCheck: Send + Sync {
    /// What the parent of `zone` delegates, compared with `expected`, and whether each expected server serves
    /// the zone. Bounded in time; what could not be asked is [`DelegationState::Unknown`], never an absence.
    async fn delegation(&self, zone: &Fqdn, expected: &BTreeSet<Fqdn>) -> Delegation;

    /// Drops what is kept about `zone`: the next question is asked anew. For a zone that was deleted, or
    /// whose owner wants to know now. An implementation that keeps nothing has nothing to do.
    fn forget(&self, zone: &Fqdn) {
        let _ = zone;
    }
}

/// What was found out about a zone's name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The parent's delegation compared with the expected name servers.
    pub state: DelegationState,
    /// Every name server that any asked server of the parent delegates to: lower-case ASCII without the final
    /// dot. Texts, for a foreign delegation may have names that are no host names (`ns_1.example.net`), and
    /// those must count as well.
    pub observed: BTreeSet<String>,
    /// The zone above that holds the delegation, `.` for the root, `None` when it was not found.
    pub parent: Option<String>,
    /// Whether all asked servers of the parent say the same. They do not while an update is under way.
    pub parents_agree: bool,
    /// Whether each expected name server serves the zone.
    pub answering: BTreeMap<Fqdn, Answering>,
}

impl Delegation {
    /// Delegated to exactly the expected name servers, and every one of them serves the zone.
    pub fn is_verified(&self) -> bool {
        let serves = |answering: &Answering| matches!(answering, Answering::Serves { .. });
        self.state == DelegationState::All && self.answering.values().all(serves)
    }

    /// A result that says only why there is none.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self {
            state: DelegationState::Unknown(message.into()),
            observed: BTreeSet::new(),
            parent: None,
            parents_agree: true,
            answering: BTreeMap::new(),
        }
    }
}

/// The parent's delegation compared with the expected name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DelegationState {
    /// Every asked server of the parent delegates to exactly the expected name servers.
    All,
    /// Some of the expected ones are delegated, but not all of them, or others beside them.
    Partial {
        /// Expected, and not delegated by every asked server of the parent.
        missing: BTreeSet<Fqdn>,
        /// Delegated by some server of the parent, and not expected; written as in [`Delegation::observed`].
        foreign: BTreeSet<String>,
    },
    /// Delegated, to none of the expected name servers.
    Foreign,
    /// The name exists in the parent zone, and no name servers are set for it.
    None,
    /// The parent zone does not have the name: not registered, or registered without name servers.
    NxDomain,
    /// It could not be asked, which is no answer. The text is public and says why in half a sentence.
    Unknown(String),
}

/// What one expected name server says when it is asked for the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// It answers with authority.
    Serves {
        /// The zone's serial there.
        serial: u32,
    },
    /// It answers, without authority for the zone (RFC 1912 2.8): refused, failed or from elsewhere. One such
    /// address of several is enough, for resolvers use them all.
    Lame,
    /// None of its addresses answers.
    Silent,
    /// Its name has no address, or that could not be asked.
    NotResolved,
}
