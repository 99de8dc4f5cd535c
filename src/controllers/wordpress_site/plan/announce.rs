//! Telling WordPress of the customer's domains, so that it answers under each instead of leading visitors to its main
//! name. It comes last and nothing hangs on it.

use std::collections::BTreeSet;

use super::super::site::{Action, Observed, Reservation, Terms};
use super::{SitePlan, is_made, ready_names};
use crate::api::{Phase, WordPressSiteStatus};
use crate::controllers::runner::Next;
use crate::domain::Fqdn;

/// The names that WordPress shall be told of, if it was told of others. One that somebody else installed is not ours to
/// configure.
pub fn due(status: &WordPressSiteStatus, terms: &Terms) -> Option<BTreeSet<Fqdn>> {
    if status.adopted {
        return None;
    }
    let names: BTreeSet<Fqdn> = match terms.wishes.announce_domains {
        true => ready_names(status).collect(),
        false => BTreeSet::new(),
    };
    let told: BTreeSet<&str> = status.announced_domains.iter().map(String::as_str).collect();
    let shall: BTreeSet<&str> = names.iter().map(Fqdn::as_str).collect();
    (told != shall).then_some(names)
}

/// A site's plan with what WordPress is told, once nothing else is to be done.
pub fn with_announcement(mut plan: SitePlan, status: &WordPressSiteStatus, observed: &Observed) -> SitePlan {
    let Some(terms) = &observed.terms else {
        return plan;
    };
    let at_rest = matches!(plan.next, Next::Settled | Next::Recheck);
    let up = plan.verdict.phase == Phase::Running && plan.verdict.block.is_none() && !plan.verdict.unchanged;
    let calm = at_rest && up && plan.actions.is_empty() && is_made(status);
    if let (true, Some(names), true) = (calm, due(status, terms), Reservation::of(status).is_some()) {
        plan.actions.push(Action::Announce(names));
        plan.next = Next::Again { persist: false };
    }
    plan
}
