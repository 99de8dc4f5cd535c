//! The customer's domains of a site: what is known of each, the looks at them, and the single steps outside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::future::join_all;
use kube::ResourceExt;

use super::resolve::Resolved;
use super::site::{Done, Observed, Terms};
use super::{SiteKind, SiteSubject};
use crate::api::{DomainState, SiteDomain, WordPressSite, WordPressSiteStatus};
use crate::controllers::connections::ProxyIndex;
use crate::controllers::fact::Fact;
use crate::controllers::ledger::DomainNames;
use crate::controllers::runner::Outcome;
use crate::domain::Fqdn;
use crate::domain::dns::{ZoneNameError, zone_name};
use crate::providers::reverse_proxy::{
    Certificate, CertificateId, ProxyHost, ProxyHostId, ProxyHostSpec, ProxySurvey,
};
use crate::providers::{Addresses, ErrorKind, ProviderError};

/// From so many names on, one list of everything at the proxy is read instead of each name for itself: both are two
/// calls.
const LIST_FROM: usize = 3;

/// The domains of a site in one pass.
#[derive(Debug, Clone, Default)]
pub struct Domains {
    /// Those of the spec in its order, then those that are being removed.
    pub looks: Vec<DomainLook>,
    /// The addresses to which they must lead.
    pub proxy_addresses: BTreeSet<IpAddr>,
}

/// What is known of one domain.
#[derive(Debug, Clone)]
pub struct DomainLook {
    /// As the customer wrote it.
    pub name: String,
    /// As the DNS has it, or why it cannot be used.
    pub fqdn: Result<Fqdn, String>,
    /// The spec has it.
    pub wanted: bool,
    /// Its entry in the status.
    pub before: Option<SiteDomain>,
    /// Who is in the way of our having it.
    pub obstacle: Option<String>,
    /// Hosts and certificates of the name.
    pub proxy: Fact<ProxySurvey>,
    /// Where it leads.
    pub addresses: Option<Addresses>,
    /// What went wrong with it in this pass: it is left alone until the next.
    pub failure: Option<ProviderError>,
}

impl DomainLook {
    /// Something of it may exist outside.
    pub fn is_held(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.state.is_held())
    }

    fn needs_proxy(&self) -> bool {
        let may_be_ours = self.is_held() || self.obstacle.is_none();
        self.proxy.is_unread() && self.fqdn.is_ok() && may_be_ours
    }

    fn needs_addresses(&self) -> bool {
        let may_be_ours = self.is_held() || self.obstacle.is_none();
        self.addresses.is_none() && self.fqdn.is_ok() && self.wanted && may_be_ours
    }
}

/// One step for one domain. None of them fails an action list: one bad domain is in nobody's way but its own.
#[derive(Debug, Clone, PartialEq)]
pub enum DomainStep {
    /// Make it this site's; it is stored before anything is made outside.
    Hold,
    /// Request its certificate.
    RequestCertificate,
    /// Take over the proxy host that an older backend left for it.
    AdoptHost(ProxyHostId),
    /// Make its proxy host.
    CreateHost(ProxyHostSpec),
    /// Repair its proxy host.
    UpdateHost(ProxyHostId, ProxyHostSpec),
    /// Enable or disable its proxy host.
    SetEnabled(ProxyHostId, bool),
    /// Delete its proxy host.
    DeleteHost(ProxyHostId),
    /// Delete its certificate.
    DeleteCertificate(CertificateId),
}

/// What a step brought.
#[derive(Debug, Clone)]
pub enum DomainDone {
    /// The domain is this site's.
    Held,
    /// Another site was faster, in these words.
    Lost(String),
    /// The certificate.
    Certificate(Certificate),
    /// The host after the write.
    Host(ProxyHost),
    /// Read again.
    Changed,
    /// Somebody else uses the certificate: it stays.
    Kept(CertificateId),
    /// It did not work.
    Failed(ProviderError),
}

/// A domain as the customer wrote it.
///
/// # Errors
/// What is wrong and what to do, for the status.
pub fn parsed(typed: &str) -> Result<Fqdn, String> {
    zone_name(typed).map_err(|error| match error {
        ZoneNameError::SingleLabel(name) => {
            format!("{name} is not a whole domain; it has at least two labels, such as shop.example.org")
        }
        ZoneNameError::Invalid(name) => format!(
            "{name} is not a domain: labels have letters, digits and inner hyphens only, with single dots between them"
        ),
        ZoneNameError::TooLong(name) => format!(
            "{name} is too long: in A-labels a label has at most 63 characters and the name at most 253"
        ),
        ZoneNameError::PublicSuffix(name) => {
            format!("{name} belongs to a registry; use the whole registered domain")
        }
    })
}

/// The domains that an object holds and wants.
pub fn names_of(site: &WordPressSite) -> DomainNames {
    let status = site.status.as_ref();
    let held = status.map(|status| status.domains.as_slice()).unwrap_or_default();
    let held = held.iter().filter(|domain| domain.state.is_held());
    let wanted = match site.metadata.deletion_timestamp {
        Some(_) => &[],
        None => site.spec.domains.as_slice(),
    };
    DomainNames {
        held: held.filter_map(|domain| parsed(&domain.name).ok()).collect(),
        wanted: wanted.iter().filter_map(|name| parsed(name).ok()).collect(),
    }
}

/// Domains of the spec in its order, then those that are still held. Nobody has looked at anything.
pub fn listed(status: &WordPressSiteStatus, wanted: &[String]) -> Vec<DomainLook> {
    let mut before: BTreeMap<Fqdn, &SiteDomain> = BTreeMap::new();
    for domain in &status.domains {
        if let Ok(fqdn) = parsed(&domain.name) {
            // Of two spellings of a name the one under which it is held counts.
            let known = before.entry(fqdn).or_insert(domain);
            if domain.state.is_held() {
                *known = domain;
            }
        }
    }
    let mut seen: BTreeMap<Fqdn, &String> = BTreeMap::new();
    let mut typed = BTreeSet::new();
    let mut looks = Vec::new();
    for name in wanted.iter().filter(|name| typed.insert(name.as_str())) {
        let fqdn = parsed(name).and_then(|fqdn| match seen.get(&fqdn) {
            Some(first) => Err(format!("it is the same name as {first}, which is listed as well")),
            None => Ok(fqdn),
        });
        let known = fqdn.as_ref().ok().and_then(|fqdn| before.get(fqdn));
        if let Ok(fqdn) = &fqdn {
            seen.insert(fqdn.clone(), name);
        }
        looks.push(look(
            name,
            fqdn.clone(),
            true,
            known.map(|known| (*known).clone()),
        ));
    }
    for (fqdn, known) in before {
        if known.state.is_held() && !seen.contains_key(&fqdn) {
            looks.push(look(&known.name, Ok(fqdn), false, Some(known.clone())));
        }
    }
    looks
}

fn look(name: &str, fqdn: Result<Fqdn, String>, wanted: bool, before: Option<SiteDomain>) -> DomainLook {
    DomainLook {
        name: name.to_owned(),
        fqdn,
        wanted,
        before,
        obstacle: None,
        proxy: Fact::Unread,
        addresses: None,
        failure: None,
    }
}

impl SiteKind {
    /// Fills in what is unread of the domains, with precise reads.
    pub(super) async fn look_at_domains(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        known: &mut Observed,
    ) {
        let mut domains = match known.domains.take() {
            Some(domains) => domains,
            None => self.domains_of(subject, resolved),
        };
        let proxy = &resolved.backends.proxy.proxy;
        let unread = domains.looks.iter().filter(|look| look.needs_proxy()).count();
        if unread >= LIST_FROM {
            let survey = proxy.survey().await;
            for look in domains.looks.iter_mut().filter(|look| look.needs_proxy()) {
                look.proxy = match (&survey, &look.fqdn) {
                    (Ok(survey), Ok(fqdn)) => Fact::Known(of_name(survey, fqdn)),
                    (Err(error), _) => Fact::Unknown(error.clone()),
                    (Ok(_), Err(_)) => Fact::Unread,
                };
            }
        } else {
            let reads = domains.looks.iter_mut().filter(|look| look.needs_proxy());
            join_all(reads.map(|look| async {
                if let Ok(fqdn) = &look.fqdn {
                    look.proxy = proxy.find(fqdn).await.into();
                }
            }))
            .await;
        }
        if !subject.deleting {
            self.look_up(resolved, &mut domains).await;
        }
        known.domains = Some(domains);
    }

    /// The domains as the bulk read of the proxy shows them.
    pub(super) async fn domains_in_bulk(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        index: &ProxyIndex,
    ) -> Domains {
        let mut domains = self.domains_of(subject, resolved);
        for look in domains.looks.iter_mut().filter(|look| look.needs_proxy()) {
            if let Ok(fqdn) = &look.fqdn {
                look.proxy = Fact::Known(ProxySurvey {
                    hosts: index.hosts.get(fqdn).cloned().into_iter().collect(),
                    certificates: index.certificates.get(fqdn).cloned().into_iter().collect(),
                });
            }
        }
        self.look_up(resolved, &mut domains).await;
        domains
    }

    /// Asks the name servers of the domains.
    async fn look_up(&self, resolved: &Resolved, domains: &mut Domains) {
        let lookup = &resolved.backends.proxy.lookup;
        let wanted = &domains.proxy_addresses;
        let asked = domains.looks.iter_mut().filter(|look| look.needs_addresses());
        join_all(asked.map(|look| async {
            if let Ok(fqdn) = &look.fqdn {
                look.addresses = Some(lookup.addresses(fqdn, wanted).await);
            }
        }))
        .await;
    }

    /// The domains with who is in the way of each.
    fn domains_of(&self, subject: &SiteSubject, resolved: &Resolved) -> Domains {
        let wanted: &[String] = match subject.deleting {
            true => &[],
            false => &resolved.terms.wishes.domain_names,
        };
        let mut looks = listed(&subject.status, wanted);
        let names: BTreeSet<Fqdn> = looks.iter().filter_map(|look| look.fqdn.clone().ok()).collect();
        let uid = subject.uid();
        self.ledger.keep_domains(&uid, &names);
        let namespace = subject.object.namespace().unwrap_or_default();
        for look in looks.iter_mut().filter(|look| !look.is_held()) {
            if let Ok(fqdn) = &look.fqdn {
                let base = self.base_domain_over(&resolved.terms, fqdn);
                let taken = || self.ledger.domain_rival(&uid, fqdn);
                look.obstacle = base.or_else(|| taken().map(|title| rival_words(&title, &namespace)));
            }
        }
        Domains {
            looks,
            proxy_addresses: resolved.backends.proxy.public_addresses(),
        }
    }

    /// The domain for sites' own names that a name lies in, in words.
    fn base_domain_over(&self, terms: &Terms, name: &Fqdn) -> Option<String> {
        let of_plans = self.plans.each().filter_map(|plan| {
            let plan = plan.spec.wordpress.as_ref()?;
            plan.base_domain.parse::<Fqdn>().ok()
        });
        let mut bases = of_plans.chain([terms.base_domain.clone()]);
        let base = bases.find(|base| name.is_within(base))?;
        Some(format!("names within {base} are given by the hoster"))
    }

    /// Does one step.
    pub(super) async fn domain_step(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        fqdn: &Fqdn,
        step: &DomainStep,
    ) -> Outcome<Done> {
        let done = self.try_step(subject, resolved, fqdn, step).await;
        let done = done.unwrap_or_else(DomainDone::Failed);
        Outcome::Done(Done::Domain(fqdn.clone(), done))
    }

    async fn try_step(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        fqdn: &Fqdn,
        step: &DomainStep,
    ) -> Result<DomainDone, ProviderError> {
        let proxy = &resolved.backends.proxy.proxy;
        let owner = &resolved.terms.owner;
        Ok(match step {
            DomainStep::Hold => self.hold_domain(subject, fqdn),
            DomainStep::RequestCertificate => {
                DomainDone::Certificate(proxy.request_certificate(&[fqdn.clone()].into()).await?)
            }
            DomainStep::AdoptHost(id) => {
                proxy.adopt_host(*id, owner).await?;
                DomainDone::Changed
            }
            DomainStep::CreateHost(spec) => DomainDone::Host(proxy.create_host(spec, owner).await?),
            DomainStep::UpdateHost(id, spec) => DomainDone::Host(proxy.update_host(*id, spec, owner).await?),
            DomainStep::SetEnabled(id, enabled) => {
                proxy.set_enabled(*id, *enabled, owner).await?;
                DomainDone::Changed
            }
            DomainStep::DeleteHost(id) => {
                proxy.delete_host(*id, owner).await?;
                DomainDone::Changed
            }
            DomainStep::DeleteCertificate(id) => match proxy.delete_certificate(*id).await {
                Err(error) if error.kind() == ErrorKind::Conflict => DomainDone::Kept(*id),
                other => {
                    other?;
                    DomainDone::Changed
                }
            },
        })
    }

    /// Enters a domain into the ledger: nobody outside this process learns of it.
    pub(super) fn hold_domain(&self, subject: &SiteSubject, fqdn: &Fqdn) -> DomainDone {
        match self.ledger.claim_domain(&subject.uid(), fqdn) {
            Ok(()) => DomainDone::Held,
            Err(title) => {
                let namespace = subject.object.namespace().unwrap_or_default();
                DomainDone::Lost(rival_words(&title, &namespace))
            }
        }
    }
}

/// Other customers' namespaces are nobody's business.
fn rival_words(title: &str, namespace: &str) -> String {
    match title.strip_prefix(&format!("{namespace}/")) {
        Some(name) => format!("the site {name} has it"),
        None => "a site in another namespace has it".to_owned(),
    }
}

fn of_name(survey: &ProxySurvey, name: &Fqdn) -> ProxySurvey {
    let hosts = survey
        .hosts
        .iter()
        .filter(|host| host.spec.domains.contains(name));
    let certificates = survey.certificates.iter().filter(|c| c.domains.contains(name));
    ProxySurvey {
        hosts: hosts.cloned().collect(),
        certificates: certificates.cloned().collect(),
    }
}

/// Takes what a step brought into what is known.
pub fn absorb(domains: &mut Domains, fqdn: &Fqdn, done: &DomainDone) {
    let looks = domains.looks.iter_mut();
    for look in looks.filter(|look| look.fqdn.as_ref() == Ok(fqdn)) {
        match (done, &mut look.proxy) {
            (DomainDone::Held, _) => {
                look.before = Some(SiteDomain {
                    name: look.name.clone(),
                    state: DomainState::Issuing,
                    message: String::new(),
                    certificate_expires_at: None,
                });
            }
            (DomainDone::Lost(words), _) => look.obstacle = Some(words.clone()),
            (DomainDone::Failed(error), _) => look.failure = Some(error.clone()),
            (DomainDone::Changed, proxy) => *proxy = Fact::Unread,
            (DomainDone::Certificate(certificate), Fact::Known(survey)) => {
                survey.certificates.push(certificate.clone());
            }
            (DomainDone::Host(host), Fact::Known(survey)) => {
                survey.hosts.retain(|other| other.id != host.id);
                survey.hosts.push(host.clone());
            }
            (DomainDone::Kept(id), Fact::Known(survey)) => survey.certificates.retain(|c| c.id != *id),
            _ => {}
        }
    }
}
