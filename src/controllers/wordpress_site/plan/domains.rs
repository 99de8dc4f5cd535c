//! The customer's domains: each by itself, after the site's own parts and without a word in its being Ready.
//!
//! A domain is held from the moment it is this site's; that is stored before anything is made outside. What is held
//! stays, whatever the DNS or the Plan say later, until the spec does not have it any more.

mod one;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::domains::{DomainLook, DomainStep, Domains, listed};
use super::super::site::{Action, Observed, Reservation, Terms};
use super::super::verdict::DomainsVerdict;
use super::{SitePlan, is_made};
use crate::api::condition::{Finding, State, kinds, reasons};
use crate::api::{DomainState, Phase, SiteDomain, SiteQuotaUse, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::domain::Fqdn;
use crate::providers::ProviderError;

use one::{Around, Found, removal};

/// Characters of a message in the status, by its schema.
const MESSAGE_MAX: usize = 512;
/// States in the order in which they are worth a word: the first that a domain is in is the site's.
const WORST_FIRST: [(DomainState, &str); 8] = [
    (DomainState::Failed, reasons::DOMAIN_FAILED),
    (DomainState::Conflict, reasons::CONFLICT),
    (DomainState::Invalid, reasons::INVALID_SPEC),
    (DomainState::QuotaExceeded, reasons::QUOTA_EXCEEDED),
    (DomainState::PendingDns, reasons::PENDING_DNS),
    (DomainState::Issuing, reasons::PROVISIONING),
    (DomainState::Pending, reasons::WAITING),
    (DomainState::Removing, reasons::DELETING),
];

/// What is to be done about all domains of a site, and what is said of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlook {
    /// What the status shall say.
    pub said: DomainsVerdict,
    /// Steps, at most one for each domain.
    pub actions: Vec<Action>,
    /// A domain was taken: that is stored before the next round.
    pub store: bool,
    /// Something is waited for that nobody announces.
    pub waits: bool,
    /// Something failed: again later, not before the given time.
    pub retry: Option<Option<Duration>>,
}

impl Outlook {
    /// The status says all of it already, and nothing is to be done.
    pub fn is_as_said(&self, status: &WordPressSiteStatus) -> bool {
        let quota = status.quota.as_ref().map(|quota| &quota.domains);
        let as_counted = self.said.quota.as_ref().is_none_or(|used| Some(used) == quota);
        self.actions.is_empty() && self.said.entries == status.domains && as_counted
    }

    fn take(&mut self, look: &DomainLook, found: Found) {
        self.said.entries.extend(found.entry);
        self.waits |= found.waits;
        self.retry = match (self.retry, found.retry) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if let (Some(step), Ok(fqdn)) = (found.step, &look.fqdn) {
            self.store |= step == DomainStep::Hold;
            self.actions.push(Action::Domain(fqdn.clone(), step));
        }
    }

    fn next(&self) -> Next {
        match (self.retry, self.waits) {
            (Some(at_least), _) => Next::Retry { at_least },
            (None, true) => Next::Recheck,
            (None, false) => Next::Settled,
        }
    }
}

/// A site's plan with its domains in it.
pub fn with_domains(mut plan: SitePlan, status: &WordPressSiteStatus, observed: &Observed) -> SitePlan {
    let (Some(terms), Some(reservation)) = (&observed.terms, Reservation::of(status)) else {
        return plan;
    };
    if plan.verdict.block.is_some() || plan.verdict.unchanged {
        return plan;
    }
    if !is_made(status) {
        let looks = listed(status, &terms.wishes.domain_names);
        if looks.is_empty() {
            plan.verdict.domains = counted(status, terms, Vec::new());
            return plan;
        }
        let waiting = looks.iter().map(before_its_turn);
        plan.verdict.domains = counted(status, terms, waiting.collect());
        if plan.next == Next::Settled && plan.verdict.phase == Phase::Running {
            // The site is up from here on; its domains come after that is stored.
            plan.next = Next::Again { persist: true };
        }
        return plan;
    }
    let Some(domains) = &observed.domains else {
        return plan;
    };
    let outlook = outlook(status, terms, &reservation, domains);
    plan.verdict.domains = Some(outlook.said.clone());
    let rests = matches!(plan.verdict.phase, Phase::Stopped | Phase::Suspended);
    if rests && !outlook.actions.is_empty() {
        // Visitors are turned away before the container goes down.
        plan.actions
            .retain(|action| !matches!(action, Action::Stop | Action::EnsureHighAvailability(_)));
    } else if !plan.actions.is_empty() {
        return plan;
    }
    if !outlook.actions.is_empty() {
        plan.next = Next::Again {
            persist: outlook.store,
        };
        plan.actions.extend(outlook.actions);
    } else if plan.next == Next::Settled {
        plan.next = outlook.next();
    }
    plan
}

fn before_its_turn(look: &DomainLook) -> SiteDomain {
    let (state, message) = match (&look.before, &look.fqdn) {
        (Some(before), _) if before.state.is_held() => return before.clone(),
        (_, Err(words)) => (DomainState::Invalid, words.clone()),
        _ => (
            DomainState::Pending,
            "Waits until the site itself is up.".to_owned(),
        ),
    };
    SiteDomain {
        name: look.name.clone(),
        state,
        message: message.chars().take(MESSAGE_MAX).collect(),
        certificate_expires_at: None,
    }
}

/// Nothing is counted while the Plan cannot be read.
fn counted(status: &WordPressSiteStatus, terms: &Terms, entries: Vec<SiteDomain>) -> Option<DomainsVerdict> {
    let held = entries.iter().filter(|entry| entry.state.is_held()).count();
    let quota = quota(status, terms, held);
    Some(DomainsVerdict { entries, quota })
}

fn quota(status: &WordPressSiteStatus, terms: &Terms, used: usize) -> Option<SiteQuotaUse> {
    if terms.wishes.without_plan.is_some() {
        return status.quota.as_ref().map(|quota| quota.domains.clone());
    }
    let used = i32::try_from(used).unwrap_or(i32::MAX);
    Some(SiteQuotaUse::new(used, terms.wishes.domains))
}

/// What is to be done about the domains of a site that is made.
pub fn outlook(
    status: &WordPressSiteStatus,
    terms: &Terms,
    reservation: &Reservation,
    domains: &Domains,
) -> Outlook {
    let around = Around {
        terms,
        reservation,
        served: terms.wishes.served(),
        proxy_addresses: &domains.proxy_addresses,
    };
    let held = domains.looks.iter().filter(|look| look.is_held());
    let held: BTreeMap<&Fqdn, Found> = held
        .filter_map(|look| {
            let fqdn = look.fqdn.as_ref().ok()?;
            Some((fqdn, around.held(look, fqdn)))
        })
        .collect();
    let stay = held.values().filter(|found| found.entry.is_some()).count();
    let added = additions(terms, domains, stay);
    let mut outlook = Outlook {
        said: DomainsVerdict {
            entries: Vec::new(),
            quota: quota(status, terms, stay + added.len()),
        },
        actions: Vec::new(),
        store: false,
        waits: false,
        retry: None,
    };
    let mut held = held;
    for look in &domains.looks {
        let found = match &look.fqdn {
            Err(words) => Found::said(look, DomainState::Invalid, words.clone()),
            Ok(fqdn) => match held.remove(fqdn) {
                Some(found) => found,
                None => around.candidate(look, fqdn, added.contains(fqdn)),
            },
        };
        outlook.take(look, found);
    }
    outlook
}

/// The additions that the Plan allows beside what stays, in the order of the spec. What is held stays whatever the Plan
/// allows by now; what cannot be had anyway takes no place.
fn additions<'a>(terms: &Terms, domains: &'a Domains, stay: usize) -> BTreeSet<&'a Fqdn> {
    let limit = usize::try_from(terms.wishes.domains).unwrap_or_default();
    let candidates = domains
        .looks
        .iter()
        .filter(|look| !look.is_held() && look.obstacle.is_none());
    candidates
        .filter_map(|look| look.fqdn.as_ref().ok())
        .take(limit.saturating_sub(stay))
        .collect()
}

/// What of the domains of a site that shall be gone is still to be removed.
///
/// # Errors
/// The first look or step that failed.
pub fn all_removed<'a>(
    domains: &'a Domains,
    terms: &Terms,
    main: &Fqdn,
) -> Result<Vec<Action>, &'a ProviderError> {
    let mut actions = Vec::new();
    let mut failure = None;
    for look in domains.looks.iter().filter(|look| look.is_held()) {
        let Ok(fqdn) = &look.fqdn else { continue };
        match (&look.failure, &look.proxy) {
            (Some(error), _) | (None, Fact::Unknown(error)) => failure = failure.or(Some(error)),
            (None, Fact::Unread) => {}
            (None, Fact::Known(survey)) => {
                let step = removal(survey, fqdn, terms, main);
                actions.extend(step.map(|step| Action::Domain(fqdn.clone(), step)));
            }
        }
    }
    match failure.filter(|_| actions.is_empty()) {
        Some(error) => Err(error),
        None => Ok(actions),
    }
}

/// What is said of all domains together; `None` when there is none.
pub fn finding(entries: &[SiteDomain]) -> Option<Finding> {
    let kind = kinds::DOMAINS_READY;
    let by_state: BTreeMap<usize, &SiteDomain> = entries
        .iter()
        .rev()
        .filter_map(|entry| {
            let at = WORST_FIRST.iter().position(|(state, _)| *state == entry.state)?;
            Some((at, entry))
        })
        .collect();
    let worst = by_state.iter().next().and_then(|(at, entry)| {
        let (_, reason) = WORST_FIRST.get(*at)?;
        Some((*reason, *entry))
    });
    match (worst, entries.is_empty()) {
        (Some((reason, entry)), _) => {
            let message = format!("{}: {}", entry.name, entry.message);
            Some(Finding::new(kind, State::False, reason, message))
        }
        (None, true) => None,
        (None, false) => Some(Finding::new(
            kind,
            State::True,
            reasons::READY,
            "Every domain is set up.",
        )),
    }
}

/// The names of the domains that visitors reach the site by.
pub fn ready_names(status: &WordPressSiteStatus) -> impl Iterator<Item = Fqdn> + '_ {
    let ready = status
        .domains
        .iter()
        .filter(|domain| domain.state == DomainState::Ready);
    ready.filter_map(|domain| super::super::domains::parsed(&domain.name).ok())
}
