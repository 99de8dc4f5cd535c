//! The customer's domains: each by itself, after the site's own parts and without a word in its being Ready.
//!
//! A domain is held from the moment it is this site's; that is stored before anything is made outside. What is held
//! stays, whatever the DNS or the Plan say later, until the spec does not have it any more.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::domains::{DomainLook, DomainStep, Domains, listed};
use super::super::site::{Action, Observed, Reservation, Served, Terms, WEB_PORT};
use super::super::verdict::DomainsVerdict;
use super::{SitePlan, is_made, own_certificates};
use crate::api::condition::{Finding, State, kinds, reasons};
use crate::api::{DomainState, Phase, SiteDomain, SiteQuotaUse, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::domain::Fqdn;
use crate::providers::reverse_proxy::{Certificate, ProxyHost, ProxyHostSpec, ProxySurvey};
use crate::providers::{Addresses, ErrorKind, ProviderError};

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

/// What is found of one domain.
struct Found {
    /// `None` when it leaves the status.
    entry: Option<SiteDomain>,
    step: Option<DomainStep>,
    waits: bool,
    retry: Option<Option<Duration>>,
}

impl Found {
    fn said(look: &DomainLook, state: DomainState, message: impl Into<String>) -> Self {
        let message: String = message.into().chars().take(MESSAGE_MAX).collect();
        let known = look.before.as_ref().filter(|before| before.state.is_held());
        Self {
            entry: Some(SiteDomain {
                name: look.name.clone(),
                state,
                message,
                certificate_expires_at: known.and_then(|known| known.certificate_expires_at.clone()),
            }),
            step: None,
            waits: false,
            retry: None,
        }
    }

    fn step(self, step: DomainStep) -> Self {
        Self {
            step: Some(step),
            ..self
        }
    }

    fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    fn again(self, error: &ProviderError) -> Self {
        let at_least = match error.kind() {
            ErrorKind::Throttled { retry_after } => retry_after,
            _ => None,
        };
        Self {
            retry: Some(at_least),
            ..self
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

/// What all domains of a site have in common.
struct Around<'a> {
    terms: &'a Terms,
    reservation: &'a Reservation,
    served: Served,
    proxy_addresses: &'a BTreeSet<IpAddr>,
}

impl Around<'_> {
    /// A domain of the spec that is not this site's yet.
    fn candidate(&self, look: &DomainLook, fqdn: &Fqdn, allowed: bool) -> Found {
        let name = &look.name;
        if let Some(obstacle) = &look.obstacle {
            let message = format!("{name} cannot be used: {obstacle}.");
            return Found::said(look, DomainState::Conflict, message).waiting();
        }
        let wishes = &self.terms.wishes;
        if let Some(why) = &wishes.without_plan {
            let message = format!("Whether the Plan allows {name} is not known: {why}");
            return Found::said(look, DomainState::Pending, message);
        }
        if !allowed {
            let message = format!(
                "The Plan allows {} domains, and they are used. Remove another one, or take a larger Plan.",
                wishes.domains
            );
            return Found::said(look, DomainState::QuotaExceeded, message);
        }
        if wishes.suspension.is_some() {
            let message = "Waits while the site is suspended.";
            return Found::said(look, DomainState::Pending, message);
        }
        let survey = match &look.proxy {
            Fact::Known(survey) => survey,
            Fact::Unknown(error) => {
                let message = format!("The proxy could not be asked about {name}: {}.", trimmed(error));
                return Found::said(look, DomainState::Pending, message).again(error);
            }
            Fact::Unread => return Found::said(look, DomainState::Pending, "Not looked at yet.").waiting(),
        };
        if let Some(words) = self.foreign_use(survey, fqdn) {
            let message = format!("{name} cannot be used: {words}.");
            return Found::said(look, DomainState::Conflict, message).waiting();
        }
        match &look.addresses {
            Some(addresses) if addresses.lead_to(self.proxy_addresses) => {
                let message = "Leads here; certificate and proxy host come next.";
                Found::said(look, DomainState::Pending, message).step(DomainStep::Hold)
            }
            Some(addresses) => {
                let message = addresses.message(name, self.proxy_addresses);
                Found::said(look, DomainState::PendingDns, message).waiting()
            }
            None => Found::said(look, DomainState::Pending, "Not looked up yet.").waiting(),
        }
    }

    /// Who else uses a name that is not ours yet. A certificate has no place for a mark: beside a host of ours it is
    /// from an earlier life of this site, whose status was lost.
    fn foreign_use(&self, survey: &ProxySurvey, fqdn: &Fqdn) -> Option<String> {
        let ours = |host: &&ProxyHost| host.mark.as_ref() == Some(&self.terms.owner);
        if let Some(other) = survey.hosts.iter().find(|host| !ours(host)) {
            return Some(self.foreign_host(other));
        }
        let own = survey.hosts.iter().any(|host| is_alone(host, fqdn));
        match survey.certificates.first() {
            Some(certificate) if !own => Some(format!(
                "certificate {} of Provider {} is for it and not ours; delete it there if nobody needs it",
                certificate.id.0, self.terms.providers.proxy
            )),
            _ => None,
        }
    }

    fn foreign_host(&self, host: &ProxyHost) -> String {
        format!(
            "proxy host {} of Provider {} serves it, which does not carry our mark and is not touched; remove it there",
            host.id.0, self.terms.providers.proxy
        )
    }

    /// A domain that is this site's.
    fn held(&self, look: &DomainLook, fqdn: &Fqdn) -> Found {
        let goes = !look.wanted && self.terms.wishes.suspension.is_none();
        let state = if goes {
            DomainState::Removing
        } else {
            DomainState::Failed
        };
        if let Some(error) = &look.failure {
            let state = match error.kind() {
                // A queue is no failure.
                ErrorKind::Throttled { .. } if !goes => DomainState::Issuing,
                _ => state,
            };
            return Found::said(look, state, error.message()).again(error);
        }
        let survey = match &look.proxy {
            Fact::Known(survey) => survey,
            // Nothing is known against it.
            Fact::Unknown(error) => {
                return Found {
                    entry: look.before.clone(),
                    step: None,
                    waits: false,
                    retry: None,
                }
                .again(error);
            }
            Fact::Unread => {
                return Found {
                    entry: look.before.clone(),
                    step: None,
                    waits: true,
                    retry: None,
                };
            }
        };
        match goes {
            true => self.removed(look, survey, fqdn),
            false => self.served(look, survey, fqdn),
        }
    }

    /// A domain that shall go: the host first, for deleting a certificate that a host uses breaks every later change of
    /// any host.
    fn removed(&self, look: &DomainLook, survey: &ProxySurvey, fqdn: &Fqdn) -> Found {
        match removal(survey, fqdn, self.terms, &self.reservation.host) {
            Some(step) => {
                let message = "Being removed: its proxy host first, then its certificate.";
                Found::said(look, DomainState::Removing, message).step(step)
            }
            None => Found {
                entry: None,
                step: None,
                waits: false,
                retry: None,
            },
        }
    }

    /// A domain that shall be there: certificate, host, and both as they shall be.
    fn served(&self, look: &DomainLook, survey: &ProxySurvey, fqdn: &Fqdn) -> Found {
        let name = &look.name;
        let fails = |words: String| {
            let error = ProviderError::new(ErrorKind::Conflict, "");
            Found::said(look, DomainState::Failed, words).again(&error)
        };
        let ours = |host: &&ProxyHost| host.mark.as_ref() == Some(&self.terms.owner);
        if let Some(other) = survey.hosts.iter().find(|host| !ours(host)) {
            return fails(format!("{name} is not served: {}.", self.foreign_host(other)));
        }
        let Some(certificate) = newest(survey, fqdn) else {
            let message = format!("The certificate of {name} is being requested.");
            return Found::said(look, DomainState::Issuing, message).step(DomainStep::RequestCertificate);
        };
        let mut found = self.with_certificate(look, survey, fqdn, certificate);
        if let Some(entry) = &mut found.entry {
            entry.certificate_expires_at = certificate.expires_at.map(Time);
        }
        found
    }

    fn with_certificate(
        &self,
        look: &DomainLook,
        survey: &ProxySurvey,
        fqdn: &Fqdn,
        certificate: &Certificate,
    ) -> Found {
        let name = &look.name;
        let wanted = ProxyHostSpec {
            domains: BTreeSet::from([fqdn.clone()]),
            forward_address: IpAddr::V4(self.reservation.address),
            forward_port: WEB_PORT,
            certificate: Some(certificate.id),
            notice: self.served.notice(),
        };
        let said =
            |state, words: &str| Found::said(look, state, format!("The proxy host of {name} {words}."));
        let Some(host) = own_host(survey, fqdn, &self.reservation.host) else {
            return match survey.hosts.first() {
                // By hand, the name was added to another host of this site, which its own part corrects.
                Some(_) => said(DomainState::Failed, "is mixed up with another one of this site").waiting(),
                None => said(DomainState::Issuing, "is being made").step(DomainStep::CreateHost(wanted)),
            };
        };
        let was_ready = look
            .before
            .as_ref()
            .is_some_and(|b| b.state == DomainState::Ready);
        let state = if was_ready {
            DomainState::Ready
        } else {
            DomainState::Issuing
        };
        if host.spec != wanted || host.deviates {
            return said(state, "is being corrected").step(DomainStep::UpdateHost(host.id, wanted));
        }
        if host.enabled != self.served.enabled() {
            let step = DomainStep::SetEnabled(host.id, self.served.enabled());
            return said(state, "is being switched").step(step);
        }
        if let Some(problem) = host.problem.as_ref().filter(|_| host.enabled) {
            let words = format!("could not be loaded: {problem}");
            let error = ProviderError::new(ErrorKind::Unavailable, "");
            return said(DomainState::Failed, &words).again(&error);
        }
        Found::said(look, DomainState::Ready, self.ready_words(look))
    }

    /// Whatever the DNS says by now, what was given stays.
    fn ready_words(&self, look: &DomainLook) -> String {
        let name = &look.name;
        if !look.wanted {
            return format!("The removal of {name} waits while the site is suspended.");
        }
        match &look.addresses {
            Some(addresses @ (Addresses::Found(_) | Addresses::NxDomain { .. }))
                if !addresses.lead_to(self.proxy_addresses) =>
            {
                let words = addresses.message(name, self.proxy_addresses);
                format!("The name does not lead here any more: {words}")
            }
            _ => match self.served {
                Served::Site => format!("Visitors reach the site by {name}."),
                Served::Notice => format!("Visitors of {name} read that the site is suspended."),
                Served::Nothing => format!("The proxy does not show {name}, as asked."),
            },
        }
    }
}

/// The step that is next in the removal of what is outside under a name; `None` when nothing of ours is left.
pub fn removal(survey: &ProxySurvey, fqdn: &Fqdn, terms: &Terms, main: &Fqdn) -> Option<DomainStep> {
    let ours =
        |host: &&ProxyHost| host.mark.as_ref() == Some(&terms.owner) && !host.spec.domains.contains(main);
    if let Some(host) = survey.hosts.iter().find(ours) {
        return Some(DomainStep::DeleteHost(host.id));
    }
    let in_use = |id| survey.hosts.iter().any(|host| host.spec.certificate == Some(id));
    own_certificates(survey, fqdn)
        .find(|id| !in_use(*id))
        .map(DomainStep::DeleteCertificate)
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

/// The site's own host for a name, and not one that serves the site's other names.
fn own_host<'a>(survey: &'a ProxySurvey, fqdn: &Fqdn, main: &Fqdn) -> Option<&'a ProxyHost> {
    let hosts = || {
        survey
            .hosts
            .iter()
            .filter(|host| !host.spec.domains.contains(main))
    };
    hosts()
        .find(|host| is_alone(host, fqdn))
        .or_else(|| hosts().find(|host| host.spec.domains.first() == Some(fqdn)))
}

fn is_alone(host: &ProxyHost, fqdn: &Fqdn) -> bool {
    host.spec.domains.iter().eq([fqdn])
}

/// The newest certificate for exactly this name that the proxy keeps by itself.
fn newest<'a>(survey: &'a ProxySurvey, fqdn: &Fqdn) -> Option<&'a Certificate> {
    let id = own_certificates(survey, fqdn).max()?;
    survey
        .certificates
        .iter()
        .find(|certificate| certificate.id == id)
}

fn trimmed(error: &ProviderError) -> &str {
    error.message().trim_end_matches('.')
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
