//! Whether a settled site is as bulk reads show the world. Pure; a site's own look and the sweep ask the same.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use kube::ResourceExt;

use super::plan::{is_calm, is_quiet, ready_names};
use super::site::{Reservation, Served, Wishes};
use crate::api::{SiteProviders, Suspension, WordPressSite, is_paused};
use crate::controllers::connections::{ProxyIndex, RecordIndex};
use crate::domain::dns::RecordName;
use crate::domain::{ClusterId, Fqdn, OwnerMark};
use crate::providers::container_host::Survey;
use crate::providers::dns_host::{Record, RecordData, RecordSpec};

/// A site that was as it shall be when it was last looked at.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Mark of everything that belongs to it.
    pub owner: OwnerMark,
    /// What is reserved for it.
    pub reservation: Reservation,
    /// Who holds its parts.
    pub providers: SiteProviders,
    /// Domain whose zone holds its name.
    pub base_domain: Fqdn,
    /// Node that its container was seen on.
    pub node: Option<String>,
    /// Its container shall run.
    pub running: bool,
    /// What visitors get.
    pub served: Served,
    /// Domains of the customer by which they get it.
    pub domains: Vec<Fqdn>,
}

impl Settled {
    /// `None` while anything is being done about the site, or nothing may be: its own passes look after it.
    ///
    /// `suspension` is what its Plan says visitors of a suspended site see.
    pub fn of(cluster: &ClusterId, site: &WordPressSite, suspension: Suspension) -> Option<Self> {
        let status = site.status.as_ref()?;
        if site.metadata.deletion_timestamp.is_some()
            || is_paused(site)
            || !is_calm(status)
            || status.observed_generation != site.metadata.generation
        {
            return None;
        }
        let uid = site.uid()?.parse().ok()?;
        let wishes = Wishes {
            power: site.spec.power,
            suspension: site.spec.suspended.then_some(suspension),
            proxy_enabled: site.spec.proxy_enabled,
            ..Wishes::default()
        };
        Some(Self {
            owner: OwnerMark {
                cluster: cluster.clone(),
                uid,
            },
            reservation: Reservation::of(status)?,
            providers: status.providers.clone()?,
            base_domain: status.base_domain.as_deref()?.parse().ok()?,
            node: status.node.clone(),
            running: wishes.rest().is_none(),
            served: wishes.served(),
            domains: ready_names(status).collect(),
        })
    }
}

/// The record that a site's name needs.
pub fn record(host: &Fqdn, address: Ipv4Addr, ttl: u32, proxied: bool) -> RecordSpec {
    RecordSpec {
        name: host.into(),
        data: RecordData::A(address),
        // A proxied record has no time to live of its own.
        ttl: (!proxied).then_some(ttl),
        proxied,
    }
}

/// The container runs, or rests as it shall, as far as a list tells.
pub fn runs(owner: &OwnerMark, reservation: &Reservation, running: bool, survey: &Survey) -> bool {
    survey.guests.get(&reservation.vmid).is_some_and(|guest| {
        let hinted = guest.owner_hint.as_ref() == Some(&owner.uid);
        let free = guest.lock.as_deref().is_none_or(is_quiet);
        guest.is_container && hinted && guest.running != Some(!running) && free
    })
}

/// The proxy serves the site under a name of its as it shall.
pub fn is_served(
    owner: &OwnerMark,
    name: &Fqdn,
    address: Ipv4Addr,
    served: Served,
    proxy: &ProxyIndex,
) -> bool {
    proxy.hosts.get(name).is_some_and(|host| {
        let own = host.mark.as_ref() == Some(owner);
        let forwards = host.spec.forward_address == IpAddr::V4(address);
        own && forwards
            && host.enabled == served.enabled()
            && host.spec.notice == served.notice()
            && !host.deviates
            && (host.problem.is_none() || !host.enabled)
            && host.spec.certificate.is_some()
    })
}

/// The name leads to the proxy.
pub fn is_named(owner: &OwnerMark, wanted: &RecordSpec, records: &RecordIndex) -> bool {
    let own = |record: &&Record| record.mark.as_ref() == Some(owner);
    let named: &RecordName = &wanted.name;
    records.get(named).is_some_and(|records| {
        let ours: BTreeSet<_> = records.iter().filter(own).map(|record| &record.spec).collect();
        ours.len() == 1 && ours.contains(wanted)
    })
}
