//! Choosing name, number and address of a new site, and the node for its container. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::site::{Action, NameCheck, Reservation, Terms, Vacancy};
use crate::api::condition::reasons;
use crate::controllers::judgement::Block;
use crate::domain::Mib;
use crate::providers::container_host::{NodeSummary, Survey};

/// The reservation for a site, or why there is none.
pub fn choose(terms: &Terms, vacancy: &Vacancy, survey: &Survey, now: Timestamp) -> Result<Action, Block> {
    let name = vacancy
        .names
        .iter()
        .find(|name| name.obstacle.is_none())
        .ok_or_else(|| name_block(terms, &vacancy.names))?;
    fits(terms, survey)?;
    let (vmid, address) = match &vacancy.orphan {
        // The status was lost, the container was not: take it up again.
        Some(container) => (
            container.id,
            container
                .address
                .map_or_else(|| free_address(terms, vacancy), Ok)?,
        ),
        None => (
            free_number(terms, vacancy, survey)?,
            free_address(terms, vacancy)?,
        ),
    };
    let (label, host) = (name.label.clone(), name.host.clone());
    Ok(Action::Reserve(Reservation {
        label,
        host,
        vmid,
        address,
        since: now,
        adopted: false,
    }))
}

pub(super) fn name_block(terms: &Terms, names: &[NameCheck]) -> Block {
    let tried: Vec<String> = names
        .iter()
        .filter_map(|name| {
            name.obstacle
                .as_ref()
                .map(|what| format!("{}: {what}", name.host))
        })
        .collect();
    if tried.is_empty() {
        return Block {
            reason: reasons::CONFLICT,
            message: format!(
                "No name can be made of {} below {}; make the Plan's baseDomain shorter.",
                terms.label, terms.base_domain
            ),
            keeps_ready: false,
        };
    }
    let remedy = if terms.label_is_fixed {
        "remove what is there, or create the site with another subdomain"
    } else {
        "set spec.subdomain on a new site"
    };
    Block {
        reason: reasons::CONFLICT,
        message: format!("The name is not free ({}); {remedy}.", tried.join("; ")),
        keeps_ready: false,
    }
}

fn free_number(terms: &Terms, vacancy: &Vacancy, survey: &Survey) -> Result<crate::domain::Vmid, Block> {
    let free =
        |id: &crate::domain::Vmid| !vacancy.taken.vmids.contains(id) && !survey.guests.contains_key(id);
    terms.range.iter().find(free).ok_or_else(|| Block {
        reason: reasons::VMID_RANGE_FULL,
        message: format!(
            "No free number for a container in {} of Provider {}; widen its vmidRange or delete sites.",
            terms.range, terms.providers.compute
        ),
        keeps_ready: false,
    })
}

fn free_address(terms: &Terms, vacancy: &Vacancy) -> Result<std::net::Ipv4Addr, Block> {
    let free = |address: &std::net::Ipv4Addr| {
        !vacancy.taken.addresses.contains(address) && !vacancy.in_use.contains(address)
    };
    terms.pool.iter().find(free).ok_or_else(|| Block {
        reason: reasons::ADDRESS_POOL_FULL,
        message: format!(
            "No free address in the pool {} of Provider {}; widen its network or delete sites.",
            terms.pool, terms.providers.compute
        ),
        keeps_ready: false,
    })
}

/// Whether any node could ever hold the container.
pub(super) fn fits(terms: &Terms, survey: &Survey) -> Result<(), Block> {
    if survey.nodes.is_empty() || survey.nodes.values().any(|node| holds(terms, node)) {
        return Ok(());
    }
    let largest = survey
        .nodes
        .values()
        .map(|node| node.memory)
        .max()
        .unwrap_or_default();
    let cores = survey
        .nodes
        .values()
        .map(|node| node.cores)
        .max()
        .unwrap_or_default();
    Err(Block {
        reason: reasons::PLAN_TOO_LARGE,
        message: format!(
            "The Plan asks for {} MiB of memory and {} cores, but the largest node of Provider {} has {} and {cores} cores; make the Plan smaller or add a node.",
            terms.sizes.memory_mib, terms.sizes.cores, terms.providers.compute, largest
        ),
        keeps_ready: false,
    })
}

fn holds(terms: &Terms, node: &NodeSummary) -> bool {
    let memory = u32::try_from(terms.sizes.memory_mib).unwrap_or(u32::MAX);
    let cores = u32::try_from(terms.sizes.cores).unwrap_or(u32::MAX);
    node.memory >= Mib(memory) && node.cores >= cores
}

/// The node for a new container: of those that are up and large enough, the one with the most memory not yet
/// promised to guests; the first by name among equals.
pub fn node(terms: &Terms, survey: &Survey) -> Option<String> {
    let mut promised: BTreeMap<&str, u64> = BTreeMap::new();
    for guest in survey.guests.values() {
        *promised.entry(guest.node.as_str()).or_default() += u64::from(guest.memory.0);
    }
    let room = |name: &str, node: &NodeSummary| {
        i64::from(node.memory.0)
            - promised
                .get(name)
                .map_or(0, |sum| i64::try_from(*sum).unwrap_or(i64::MAX))
    };
    survey
        .nodes
        .iter()
        .filter(|(_, node)| node.online && holds(terms, node))
        .max_by(|(a, x), (b, y)| room(a, x).cmp(&room(b, y)).then_with(|| b.cmp(a)))
        .map(|(name, _)| name.clone())
}
