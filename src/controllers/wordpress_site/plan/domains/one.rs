//! One domain: who is in its way, what is next for it, and what is said of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::super::domains::{DomainLook, DomainStep};
use super::super::super::site::{Reservation, Served, Terms, WEB_PORT};
use super::super::{adopt, own_certificates};
use super::MESSAGE_MAX;
use crate::api::{DomainState, SiteDomain};
use crate::controllers::fact::Fact;
use crate::domain::{Fqdn, Names};
use crate::providers::reverse_proxy::{Certificate, ProxyHost, ProxyHostSpec, ProxySurvey};
use crate::providers::{Addresses, ErrorKind, ProviderError};

/// What is found of one domain.
pub struct Found {
    /// `None` when it leaves the status.
    pub entry: Option<SiteDomain>,
    /// What is next.
    pub step: Option<DomainStep>,
    /// Something is waited for that nobody announces.
    pub waits: bool,
    /// Something failed: again later, not before the given time.
    pub retry: Option<Option<Duration>>,
}

impl Found {
    /// A domain that stays in the status.
    pub fn said(look: &DomainLook, state: DomainState, message: impl Into<String>) -> Self {
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

/// What all domains of a site have in common.
pub struct Around<'a> {
    /// What the site shall be.
    pub terms: &'a Terms,
    /// What is reserved for it.
    pub reservation: &'a Reservation,
    /// What visitors get.
    pub served: Served,
    /// Where names must lead.
    pub proxy_addresses: &'a BTreeSet<IpAddr>,
}

impl Around<'_> {
    /// A domain of the spec that is not this site's yet.
    pub fn candidate(&self, look: &DomainLook, fqdn: &Fqdn, allowed: bool) -> Found {
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
        let mut foreign = survey.hosts.iter().filter(|host| !self.is_ours(host));
        if let Some(other) = foreign.find(|host| !self.is_left_for(host, fqdn)) {
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

    fn is_ours(&self, host: &ProxyHost) -> bool {
        host.mark.as_ref() == Some(&self.terms.owner)
    }

    fn is_left_for(&self, host: &ProxyHost, fqdn: &Fqdn) -> bool {
        adopt::is_left_for(self.terms, self.reservation, host, fqdn)
    }

    fn foreign_host(&self, host: &ProxyHost) -> String {
        format!(
            "proxy host {} of Provider {} serves it, which does not carry our mark and is not touched; remove it there",
            host.id.0, self.terms.providers.proxy
        )
    }

    /// A domain that is this site's.
    pub fn held(&self, look: &DomainLook, fqdn: &Fqdn) -> Found {
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
        if let Some(other) = survey.hosts.iter().find(|host| !self.is_ours(host)) {
            if !self.is_left_for(other, fqdn) {
                return fails(format!("{name} is not served: {}.", self.foreign_host(other)));
            }
            let message = format!("Proxy host {} of {name} is being taken over.", other.id.0);
            return Found::said(look, DomainState::Issuing, message).step(DomainStep::AdoptHost(other.id));
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
            domains: Names::from([fqdn.clone()]),
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
