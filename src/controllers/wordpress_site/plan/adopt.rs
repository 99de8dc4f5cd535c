//! Taking over a container that somebody else made, with its name, proxy host and certificate, instead of making one.
//! Pure.
//!
//! The annotation [`ADOPT_ANNOTATION`] names the container. What is found is reserved as if it had been chosen; then
//! the marks are written, the container's first. Nothing is restarted and nothing installed.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use super::super::reserve;
use super::super::site::{Action, NameFound, Observed, Prospect, Reservation, Terms, WEB_PORT};
use super::super::verdict::Verdict;
use super::{SitePlan, blocked, container, failed, locked, wait};
use crate::api::condition::{State, kinds, reasons};
use crate::api::{ADOPT_ANNOTATION, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::runner::{Next, Plan};
use crate::domain::{DnsLabel, Fqdn, Vmid};
use crate::providers::container_host::{Container, Survey};
use crate::providers::dns_host::{Record, RecordData};
use crate::providers::reverse_proxy::ProxyHost;

/// The number that the annotation names, `None` without one.
///
/// # Errors
/// A sentence, when it names none.
pub fn wished(terms: &Terms) -> Option<Result<Vmid, String>> {
    let text = terms.adopt.as_deref()?;
    let number: Option<i64> = text.trim().parse().ok();
    let id = number.and_then(|number| Vmid::try_from(number).ok());
    Some(id.ok_or_else(|| {
        format!(
            "The annotation {ADOPT_ANNOTATION} is {text:?}, but must be the number of a container such as \"117\"; correct or remove it."
        )
    }))
}

fn conflict(message: String) -> Block {
    Block {
        reason: reasons::CONFLICT,
        message,
        keeps_ready: false,
    }
}

/// The hosts that lead visitors to an address, each once, in the order of their ids.
pub fn leading_to<'a>(hosts: impl Iterator<Item = &'a ProxyHost>, address: Ipv4Addr) -> Vec<ProxyHost> {
    let leading = hosts.filter(|host| host.spec.forward_address == IpAddr::V4(address));
    let by_id: BTreeMap<_, _> = leading.map(|host| (host.id, host.clone())).collect();
    by_id.into_values().collect()
}

/// The label of a name right below a domain.
pub fn label_below(domain: &Fqdn, name: &Fqdn) -> Option<DnsLabel> {
    let label = name.as_str().strip_suffix(domain.as_str())?.strip_suffix('.')?;
    label.parse().ok()
}

/// The name that a container has, told by the proxy hosts that lead to it, or by the spec. `None` when neither does.
///
/// # Errors
/// When they lead to it under several names, and the spec does not say which is its own.
pub fn name_of(terms: &Terms, hosts: &[ProxyHost]) -> Result<Option<(DnsLabel, Fqdn)>, Block> {
    let base = &terms.base_domain;
    if terms.label_is_fixed {
        let name = base.child(&terms.label).map(|host| (terms.label.clone(), host));
        return name.map(Some).map_err(|error| conflict(error.to_string()));
    }
    let domains = hosts.iter().flat_map(|host| &host.spec.domains);
    let names: BTreeMap<&Fqdn, DnsLabel> = domains
        .filter_map(|name| Some((name, label_below(base, name)?)))
        .collect();
    if names.len() > 1 {
        let list: Vec<&str> = names.keys().map(|name| name.as_str()).collect();
        return Err(conflict(format!(
            "The proxy leads to the container under several names below {base} ({}); say with spec.subdomain of a new site which one is its own. Nothing was changed.",
            list.join(", ")
        )));
    }
    let only = names.into_iter().next();
    Ok(only.map(|(name, label)| (label, name.clone())))
}

/// The plan for a site that has no reservation and shall take over a container.
pub(super) fn reservation(
    mut verdict: Verdict,
    terms: &Terms,
    observed: &Observed,
    now: Timestamp,
) -> SitePlan {
    let (prospect, survey) = match (&observed.prospect, &observed.survey) {
        (Fact::Unknown(error), _) | (_, Fact::Unknown(error)) => {
            return failed(verdict, kinds::CONTAINER_READY, error);
        }
        (Fact::Known(prospect), Fact::Known(survey)) => (prospect, survey),
        _ => return wait(verdict, Next::Again { persist: false }),
    };
    let Some(Ok(id)) = wished(terms) else {
        return wait(verdict, Next::Again { persist: false });
    };
    match choose(terms, id, prospect, survey, now) {
        Err(block) => blocked(verdict, block),
        Ok(reservation) => {
            verdict.making(kinds::CONTAINER_READY, taking(id));
            Plan {
                actions: vec![Action::Reserve(reservation)],
                next: Next::Again { persist: true },
                verdict,
            }
        }
    }
}

fn taking(id: Vmid) -> String {
    format!("Container {id} is being taken over.")
}

/// The reservation that follows from what was found.
///
/// # Errors
/// What is in the way. Nothing was changed.
pub fn choose(
    terms: &Terms,
    id: Vmid,
    prospect: &Prospect,
    survey: &Survey,
    now: Timestamp,
) -> Result<Reservation, Block> {
    let address = address_of(terms, id, prospect)?;
    let (label, host) = match prospect.name.clone()? {
        Some(found) => {
            name_is_its_own(terms, address, &found)?;
            (found.label, found.host)
        }
        None => {
            let free = prospect.names.iter().find(|name| name.obstacle.is_none());
            let name = free.ok_or_else(|| reserve::name_block(terms, &prospect.names))?;
            (name.label.clone(), name.host.clone())
        }
    };
    reserve::fits(terms, survey)?;
    Ok(Reservation {
        label,
        host,
        vmid: id,
        address,
        since: now,
        adopted: true,
    })
}

/// The address of a container that may be taken over.
fn address_of(terms: &Terms, id: Vmid, prospect: &Prospect) -> Result<Ipv4Addr, Block> {
    let provider = &terms.providers.compute;
    let refuse = |what: String| {
        let message = format!(
            "{what}; it is not taken over, and nothing was changed. Correct the annotation {ADOPT_ANNOTATION}, or what it names."
        );
        Err(conflict(message))
    };
    if prospect.taken.vmids.contains(&id) {
        return refuse(format!(
            "Container {id} of Provider {provider} belongs to another site"
        ));
    }
    if prospect.machine {
        return refuse(format!("Guest {id} of Provider {provider} is a virtual machine"));
    }
    let Some(found) = &prospect.container else {
        return refuse(format!("Provider {provider} has no container {id}"));
    };
    if let Some(mark) = found.mark.as_ref().filter(|mark| **mark != terms.owner) {
        return refuse(format!(
            "Container {id} ({}) on node {} carries the mark {mark}",
            found.hostname, found.node
        ));
    }
    if let Some(lock) = found.lock.as_ref().filter(|lock| !container::is_quiet(lock)) {
        return refuse(format!("Container {id} is locked ({lock}) by other work on it"));
    }
    let Some(address) = found.address else {
        return refuse(format!(
            "Container {id} ({}) has no static IPv4 address at its first interface, net0",
            found.hostname
        ));
    };
    if prospect.taken.addresses.contains(&address) {
        return refuse(format!(
            "Container {id} has the address {address}, which another site has"
        ));
    }
    Ok(address)
}

/// Whether everything that has the name may become the site's.
fn name_is_its_own(terms: &Terms, address: Ipv4Addr, found: &NameFound) -> Result<(), Block> {
    let host = &found.host;
    let refuse = |what: String| {
        let message = format!(
            "{what}; nothing was changed. Put it right there, or say another name with spec.subdomain of a new site."
        );
        Err(conflict(message))
    };
    if found.taken {
        return refuse(format!("{host} belongs to another site"));
    }
    for other in found
        .proxy
        .hosts
        .iter()
        .filter(|other| other.spec.domains.contains(host))
    {
        let (id, provider) = (other.id.0, &terms.providers.proxy);
        if let Some(mark) = other.mark.as_ref().filter(|mark| **mark != terms.owner) {
            return refuse(format!(
                "{host} is served by proxy host {id} at Provider {provider}, which carries the mark {mark}"
            ));
        }
        if !leads_only(other, host, address) {
            let names: Vec<&str> = other.spec.domains.iter().map(Fqdn::as_str).collect();
            return refuse(format!(
                "Proxy host {id} at Provider {provider} leads {} to {}:{}, but must lead only {host} to {address}:{WEB_PORT}",
                names.join(", "),
                other.spec.forward_address,
                other.spec.forward_port
            ));
        }
    }
    let foreign = found.records.iter().find(|record| {
        is_addressing(record) && record.mark.as_ref() != Some(&terms.owner) && !may_take_record(terms, record)
    });
    match foreign {
        None => Ok(()),
        Some(record) => {
            let whose = match &record.mark {
                Some(mark) => format!(", which carries the mark {mark}"),
                None => format!(", but must point to {}", terms.public_address),
            };
            let (data, provider) = (&record.spec.data, &terms.providers.dns);
            refuse(format!(
                "{host} has the record {data} at Provider {provider}{whose}"
            ))
        }
    }
}

/// Whether a host is what the older backend left for a domain of a site that is taken over: nobody's by its mark, and
/// it serves the domain alone from the container.
pub(super) fn is_left_for(terms: &Terms, reservation: &Reservation, host: &ProxyHost, domain: &Fqdn) -> bool {
    let asked = wished(terms) == Some(Ok(reservation.vmid));
    reservation.adopted && asked && host.mark.is_none() && leads_only(host, domain, reservation.address)
}

/// The host serves exactly this name from the container.
fn leads_only(other: &ProxyHost, host: &Fqdn, address: Ipv4Addr) -> bool {
    let spec = &other.spec;
    spec.domains.iter().eq([host])
        && spec.forward_address == IpAddr::V4(address)
        && spec.forward_port == WEB_PORT
}

fn is_addressing(record: &Record) -> bool {
    let data = &record.spec.data;
    matches!(
        data,
        RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_)
    )
}

fn may_take_record(terms: &Terms, record: &Record) -> bool {
    record.mark.is_none() && record.spec.data == RecordData::A(terms.public_address)
}

/// Whether a container without our mark is the one to be taken over: it was reserved and the mark is still to be written,
/// or a roll-back to a snapshot from before has brought its old description back while the annotation still asks for it.
pub(super) fn may_take(
    status: &WordPressSiteStatus,
    terms: &Terms,
    reservation: &Reservation,
    container: &Container,
) -> bool {
    let asked = status.node.is_none() || wished(terms) == Some(Ok(reservation.vmid));
    reservation.adopted && asked && container.mark.is_none() && container.address == Some(reservation.address)
}

/// Writes our mark into the container.
pub(super) fn take(mut verdict: Verdict, container: &Container) -> SitePlan {
    if locked(&mut verdict, container) {
        return wait(verdict, Next::Poll);
    }
    verdict.making(kinds::CONTAINER_READY, taking(container.id));
    Plan {
        actions: vec![Action::Adopt],
        next: Next::Again { persist: false },
        verdict,
    }
}

/// Takes over the record and the proxy host of the name, as long as the site is not whole.
pub(super) fn outside(
    verdict: &mut Verdict,
    terms: &Terms,
    reservation: &Reservation,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    let host = &reservation.host;
    let own = |record: &Record| record.mark.as_ref() == Some(&terms.owner);
    if let (Fact::Known(Some(zone)), Fact::Known(records)) = (&observed.zone, &observed.records)
        && !records.iter().any(own)
        && let Some(record) = records.iter().find(|record| may_take_record(terms, record))
    {
        let message = format!("The record of {host} is being taken over.");
        verdict.making(kinds::NAME_READY, message);
        let wanted = terms.record(host);
        actions.push(Action::AdoptRecord(zone.clone(), record.clone(), wanted));
    }
    if let Fact::Known(survey) = &observed.proxy
        && let Some(other) = survey
            .hosts
            .iter()
            .find(|other| other.spec.domains.contains(host))
        && other.mark.is_none()
        && leads_only(other, host, reservation.address)
    {
        let message = format!("The proxy host of {host} is being taken over.");
        verdict.making(kinds::PROXY_READY, message);
        actions.push(Action::AdoptHost(other.id));
    }
}

/// Why the annotation is ignored, if it is.
fn ignored(terms: &Terms, vmid: Vmid) -> Option<String> {
    let other = match wished(terms)? {
        Ok(id) if id == vmid => return None,
        Ok(id) => format!("container {id}"),
        Err(_) => format!("{:?}", terms.adopt.as_deref().unwrap_or_default()),
    };
    Some(format!(
        "The annotation {ADOPT_ANNOTATION} asks for {other}, but the site has container {vmid}: it is ignored. Remove it, or take {other} over with a new object."
    ))
}

/// Says that the annotation is ignored.
pub(super) fn say(verdict: &mut Verdict, terms: &Terms, reservation: &Reservation) {
    if let Some(message) = ignored(terms, reservation.vmid) {
        verdict.note(kinds::ADOPTED, State::False, reasons::ADOPTION_IGNORED, message);
    }
}

/// Whether the status says about the annotation what there is to say.
pub fn is_said(status: &WordPressSiteStatus, terms: &Terms) -> bool {
    let said = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kinds::ADOPTED);
    let due = Reservation::of(status).and_then(|reservation| ignored(terms, reservation.vmid));
    said.map(|condition| condition.message.as_str()) == due.as_deref()
}
