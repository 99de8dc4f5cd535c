//! Bringing a container to its Plan: memory, swap and cores at once, the disk only to a larger one, high availability in
//! and out. A roll-back brings old settings back, so that all of them are compared, not only what a Plan changes.

use super::super::site::{Action, Observed, Reservation, Terms};
use super::super::verdict::Verdict;
use crate::api::condition::{State, kinds, reasons};
use crate::api::{SiteResources, WordPressSiteStatus};
use crate::domain::{Gib, Mib};
use crate::providers::container_host::{Container, ContainerSettings};

/// What a container that was seen has been given. High availability counts only when it was given by us: what somebody
/// else put there is left to them.
pub(super) fn given(status: &WordPressSiteStatus, terms: &Terms, container: &Container) -> SiteResources {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let ours = status
        .resources
        .is_some_and(|resources| resources.high_availability);
    SiteResources {
        cores: number(container.cores),
        memory_mib: number(container.memory.0),
        swap_mib: number(container.swap.0),
        disk_gib: number(container.disk.0),
        high_availability: container.high_availability.is_some() && (ours || terms.sizes.high_availability),
    }
}

/// Whether these sizes are all that the Plan says and that can be given.
pub(super) fn fit(given: SiteResources, terms: &Terms) -> bool {
    given
        == SiteResources {
            disk_gib: terms.sizes.disk_gib.max(given.disk_gib),
            ..terms.sizes
        }
}

/// Whether a site has been given all that its Plan says and can be given, and says so where it cannot.
pub fn agree(status: &WordPressSiteStatus, terms: &Terms) -> bool {
    let Some(given) = status.resources else {
        return false;
    };
    let noted = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kinds::PLAN_APPLIED)
        .map(|condition| condition.reason.as_str());
    let trouble = if terms.wishes.without_plan.is_some() {
        Some(reasons::PLAN_NOT_FOUND)
    } else {
        (given.disk_gib > terms.sizes.disk_gib).then_some(reasons::DISK_CANNOT_SHRINK)
    };
    fit(given, terms) && noted == trouble
}

/// Says why a site is not as its Plan says, if it cannot be.
pub(super) fn say(verdict: &mut Verdict, terms: &Terms, container: &Container) {
    if let Some(without) = &terms.wishes.without_plan {
        let message = format!("{without}. The site keeps what it was given.");
        verdict.note(
            kinds::PLAN_APPLIED,
            State::False,
            reasons::PLAN_NOT_FOUND,
            message,
        );
        return;
    }
    let wanted = disk_of(terms);
    if container.disk > wanted {
        let message = format!(
            "The Plan says a disk of {wanted}, and container {} has {}: a disk cannot shrink. Everything else is as the Plan says; choose a Plan with at least {} or make a new site.",
            container.id, container.disk, container.disk
        );
        verdict.note(
            kinds::PLAN_APPLIED,
            State::False,
            reasons::DISK_CANNOT_SHRINK,
            message,
        );
    }
}

/// Plans what brings the container to its Plan.
pub(super) fn apply(
    verdict: &mut Verdict,
    terms: &Terms,
    reservation: &Reservation,
    container: &Container,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    if terms.wishes.without_plan.is_some() {
        return;
    }
    let ours = verdict
        .resources
        .is_some_and(|resources| resources.high_availability);
    if ours && !terms.sizes.high_availability {
        actions.push(Action::RemoveHighAvailability);
    }
    let wanted = settings(terms, reservation);
    let as_it_is = ContainerSettings {
        memory: container.memory,
        swap: container.swap,
        cores: container.cores,
        ..wanted.clone()
    };
    let differs = wanted != as_it_is || (deviates(reservation, container, &wanted) && !observed.configured);
    if differs {
        actions.push(Action::Configure(wanted));
    }
    let disk = disk_of(terms);
    if container.disk < disk {
        actions.push(Action::Grow(disk));
    }
}

/// What somebody else had set up stays reachable as it is: network and host name of a container that was taken over are
/// its own.
fn deviates(reservation: &Reservation, container: &Container, wanted: &ContainerSettings) -> bool {
    let named = wanted
        .hostname
        .as_ref()
        .is_none_or(|hostname| container.hostname == hostname.as_str());
    container.deviates || !named || (container.network_deviates && !reservation.adopted)
}

fn settings(terms: &Terms, reservation: &Reservation) -> ContainerSettings {
    ContainerSettings {
        hostname: (!reservation.adopted).then(|| reservation.label.clone()),
        address: (!reservation.adopted).then_some(reservation.address),
        memory: Mib(positive(terms.sizes.memory_mib)),
        swap: Mib(positive(terms.sizes.swap_mib)),
        cores: positive(terms.sizes.cores),
    }
}

fn disk_of(terms: &Terms) -> Gib {
    Gib(positive(terms.sizes.disk_gib))
}

fn positive(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
