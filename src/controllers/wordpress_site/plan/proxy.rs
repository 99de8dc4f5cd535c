//! Certificate and proxy host of a site, in this order: a host without a certificate would serve the site in
//! the clear.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::site::{Action, Observed, Reservation, Served, Terms, WEB_PORT};
use super::super::verdict::Verdict;
use super::is_made;
use crate::api::condition::{State, kinds, reasons};
use crate::api::{SiteCertificate, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::domain::{Fqdn, Names};
use crate::providers::ErrorKind;
use crate::providers::reverse_proxy::{CertificateId, ProxyHost, ProxyHostSpec, ProxySurvey};

/// Plans certificate and host.
pub(super) fn proxy(
    verdict: &mut Verdict,
    (status, now): (&WordPressSiteStatus, Timestamp),
    terms: &Terms,
    reservation: &Reservation,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    let survey = match &observed.proxy {
        Fact::Known(survey) => survey,
        Fact::Unknown(error) => {
            verdict.failed(kinds::CERTIFICATE_READY, error);
            return verdict.failed(kinds::PROXY_READY, error);
        }
        Fact::Unread => return,
    };
    let host = &reservation.host;
    let Some(certificate) = own_certificates(survey, host).max() else {
        return request_certificate(verdict, host, actions);
    };
    let message = format!("The certificate of {host} exists.");
    verdict.good(kinds::CERTIFICATE_READY, message);
    let known = survey.certificates.iter().find(|other| other.id == certificate);
    say_its_end(
        verdict,
        terms,
        host,
        known.and_then(|known| known.expires_at),
        now,
    );
    // A site that is being made is shown, for its page is looked at as a visitor does.
    let served = match is_made(status) {
        true => terms.wishes.served(),
        false => Served::Site,
    };
    let wanted = ProxyHostSpec {
        domains: Names::from([host.clone()]),
        forward_address: IpAddr::V4(reservation.address),
        forward_port: WEB_PORT,
        certificate: Some(certificate),
        notice: served.notice(),
    };
    let holder = survey
        .hosts
        .iter()
        .find(|other| other.spec.domains.contains(host));
    match holder {
        None => {
            let message = format!("The proxy host of {host} is being made.");
            verdict.making(kinds::PROXY_READY, message);
            actions.push(Action::CreateHost(wanted));
        }
        Some(other) if other.mark.as_ref() != Some(&terms.owner) => {
            let message = format!(
                "{host} is served by proxy host {} at Provider {}, which does not carry our mark and is not touched; remove it there",
                other.id.0, terms.providers.proxy
            );
            verdict.refused(kinds::PROXY_READY, ErrorKind::Conflict, message);
        }
        Some(own) => keep_serving(verdict, terms, (reservation, served), own, wanted, actions),
    }
}

/// Requests the certificate once the name is in sight, for the authority looks the name up.
fn request_certificate(verdict: &mut Verdict, host: &Fqdn, actions: &mut Vec<Action>) {
    let message = "Waiting for the certificate.";
    verdict.working(kinds::PROXY_READY, reasons::WAITING, message);
    let name_in_sight = verdict.is_good(kinds::NAME_READY)
        || actions
            .iter()
            .any(|a| matches!(a, Action::CreateRecord(..) | Action::UpdateRecord(..)));
    if !name_in_sight {
        let message = "Waiting for the name.";
        return verdict.working(kinds::CERTIFICATE_READY, reasons::WAITING, message);
    }
    let message = format!("The certificate of {host} is being requested.");
    verdict.making(kinds::CERTIFICATE_READY, message);
    actions.push(Action::RequestCertificate(host.clone()));
}

/// The end of a certificate for the status.
pub(super) fn certificate(expires_at: Option<Timestamp>) -> Option<SiteCertificate> {
    expires_at.map(|end| SiteCertificate {
        expires_at: Some(Time(end)),
    })
}

/// Nginx Proxy Manager renews what ends within 30 days (its timer of every hour): one that ends within 14 was tried for
/// more than two weeks, and two weeks are left for a person.
const OVERDUE: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Whether the proxy should have renewed a certificate long ago.
pub(super) fn is_overdue(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|end| end.duration_since(now) < OVERDUE)
}

fn say_its_end(verdict: &mut Verdict, terms: &Terms, host: &Fqdn, end: Option<Timestamp>, now: Timestamp) {
    verdict.certificate = certificate(end).or(verdict.certificate.take());
    if let Some(end) = end.filter(|_| is_overdue(end, now)) {
        let ends = if end > now { "ends" } else { "ended" };
        let message = format!(
            "The certificate of {host} {ends} at {end} and was not renewed by Provider {}; look there why, often its port 80 cannot be reached from outside.",
            terms.providers.proxy
        );
        verdict.note(
            kinds::CERTIFICATE_EXPIRING,
            State::True,
            reasons::RENEWAL_OVERDUE,
            message,
        );
    }
}

/// Our host is there: is it what it shall be, is it on, and could the proxy load it?
fn keep_serving(
    verdict: &mut Verdict,
    terms: &Terms,
    (reservation, served): (&Reservation, Served),
    own: &ProxyHost,
    wanted: ProxyHostSpec,
    actions: &mut Vec<Action>,
) {
    let host = &reservation.host;
    if own.spec != wanted || own.deviates {
        let message = format!("The proxy host of {host} is being corrected.");
        verdict.making(kinds::PROXY_READY, message);
        return actions.push(Action::UpdateHost(own.id, wanted));
    }
    if own.enabled != served.enabled() {
        let (action, word) = match served.enabled() {
            true => (Action::EnableHost(own.id), "enabled"),
            false => (Action::DisableHost(own.id), "disabled"),
        };
        verdict.making(
            kinds::PROXY_READY,
            format!("The proxy host of {host} is being {word}."),
        );
        return actions.push(action);
    }
    match &own.problem {
        _ if !own.enabled => {
            verdict.good(
                kinds::PROXY_READY,
                format!("The proxy host of {host} is disabled, as asked."),
            );
        }
        Some(problem) => {
            let message = format!(
                "Provider {} could not load proxy host {}: {problem}",
                terms.providers.proxy, own.id.0
            );
            verdict.refused(kinds::PROXY_READY, ErrorKind::Unavailable, message);
        }
        None if served == Served::Notice => {
            verdict.good(
                kinds::PROXY_READY,
                format!("Visitors of {host} read that it is suspended."),
            );
        }
        None => {
            let message = format!("{host} is served from {}.", reservation.address);
            verdict.good(kinds::PROXY_READY, message);
        }
    }
}

/// The certificates for exactly this name that the proxy keeps by itself. The proxy leaves no place for a mark in
/// them; the name was free of certificates when it was reserved, so those for exactly this name are ours. More
/// than one come from requests whose answers were lost.
pub fn own_certificates<'a>(
    survey: &'a ProxySurvey,
    host: &'a Fqdn,
) -> impl Iterator<Item = CertificateId> + 'a {
    survey
        .certificates
        .iter()
        .filter(move |c| c.automatic && c.domains.iter().eq([host]))
        .map(|c| c.id)
}
