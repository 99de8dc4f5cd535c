//! The container of a site: created once, kept running, and told apart from other people's.

use std::collections::BTreeMap;

use super::super::report::QUEUED_MESSAGE;
use super::super::reserve;
use super::super::site::{Action, Fact, Observed, Reservation, Terms};
use super::super::verdict::{Block, Verdict};
use super::{SitePlan, blocked, failed, wait, words};
use crate::api::condition::{kinds, reasons};
use crate::api::{SiteTask, TaskOperation, WordPressSiteStatus};
use crate::controllers::runner::{Next, Plan};
use crate::domain::{Gib, Mib};
use crate::providers::container_host::{Container, ContainerSpec, HaState, TaskState};
use crate::providers::{ErrorKind, ProviderError};

pub(super) fn create(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    terms: &Terms,
    reservation: &Reservation,
    observed: &Observed,
) -> SitePlan {
    if status.node.is_some() {
        let message = format!(
            "Container {} is gone from Provider {}, although nobody asked for its removal. Nothing is created in its place, for that would be an empty site: restore it there under the same number, or delete this object.",
            reservation.vmid, terms.providers.compute
        );
        verdict.working(kinds::CONTAINER_READY, reasons::DEGRADED, message.clone());
        return blocked(
            verdict,
            Block {
                reason: reasons::DEGRADED,
                message,
                keeps_ready: false,
            },
        );
    }
    let running = match &observed.creations {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(creations) => creations.iter().find(|task| task.state == TaskState::Running),
    };
    if let Some(task) = running {
        // Its answer was lost, but it goes on: follow it instead of asking twice.
        let task = SiteTask {
            operation: TaskOperation::Create,
            id: task.id.0.clone(),
        };
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, words(&task));
        verdict.tasks.push(task);
        return wait(verdict, Next::Poll);
    }
    let survey = match &observed.survey {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(survey) => survey,
    };
    let Some(node) = reserve::node(terms, survey) else {
        let message = format!(
            "no node of Provider {} that is up can hold the container",
            terms.providers.compute
        );
        return failed(
            verdict,
            kinds::CONTAINER_READY,
            &ProviderError::new(ErrorKind::Unavailable, message),
        );
    };
    verdict.working(kinds::CONTAINER_READY, reasons::QUEUED, QUEUED_MESSAGE);
    let spec = container_spec(terms, reservation, node);
    Plan {
        actions: vec![Action::Create(spec)],
        next: Next::Again { persist: true },
        verdict,
    }
}

fn container_spec(terms: &Terms, reservation: &Reservation, node: String) -> ContainerSpec {
    let positive = |number: i32| u32::try_from(number).unwrap_or_default();
    ContainerSpec {
        id: reservation.vmid,
        node,
        hostname: reservation.label.clone(),
        address: reservation.address,
        memory: Mib(positive(terms.sizes.memory_mib)),
        swap: Mib(positive(terms.sizes.swap_mib)),
        cores: positive(terms.sizes.cores),
        disk: Gib(positive(terms.sizes.disk_gib)),
        mark: terms.owner.clone(),
        environment: BTreeMap::new(),
    }
}

/// Keeps our container up and where it shall be. `Some` is what follows when the parts after it have to wait.
pub(super) fn keep_running(
    verdict: &mut Verdict,
    terms: &Terms,
    container: &Container,
    actions: &mut Vec<Action>,
) -> Option<Next> {
    let id = container.id;
    if let Some(lock) = &container.lock {
        let message = format!(
            "Container {id} is locked ({lock}) by other work on it; waiting for its end. If it stays, run `pct unlock {id}` on node {}.",
            container.node
        );
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, message);
        return Some(Next::Poll);
    }
    let managed = container.high_availability.as_ref();
    let wanted = terms.sizes.high_availability;
    let in_place = managed.is_some_and(|ha| ha.placed && !ha.error && ha.requested == HaState::Started);
    if managed.is_some_and(|ha| ha.error) {
        actions.push(Action::EnsureHighAvailability(HaState::Disabled));
    }
    if (wanted && !in_place) || (managed.is_some() && !container.running) {
        actions.push(Action::EnsureHighAvailability(HaState::Started));
    }
    if !container.running {
        let message = format!("Container {id} is stopped and is being started.");
        verdict.making(kinds::CONTAINER_READY, message);
        if managed.is_none() && actions.is_empty() {
            actions.push(Action::Start);
        }
        return Some(Next::Poll);
    }
    verdict.good(kinds::CONTAINER_READY, format!("Container {id} runs."));
    None
}

pub(super) fn not_ours(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    observed: &Observed,
) -> SitePlan {
    let id = container.id;
    let hidden = container.mark.is_none() && container.lock.as_deref() == Some("create");
    if hidden && status.node.is_none() {
        // While a container is being created its mark cannot be seen. Whose it is shows at the end.
        verdict.working(
            kinds::CONTAINER_READY,
            reasons::TASK_RUNNING,
            format!("Container {id} is being created."),
        );
        let running = observed
            .creations
            .known()
            .into_iter()
            .flatten()
            .find(|task| task.state == TaskState::Running);
        verdict.tasks.extend(running.map(|task| SiteTask {
            operation: TaskOperation::Create,
            id: task.id.0.clone(),
        }));
        return wait(verdict, Next::Poll);
    }
    if status.node.is_none() {
        verdict.choose_again = true;
        return wait(verdict, Next::Again { persist: false });
    }
    let whose = container
        .mark
        .as_ref()
        .map_or_else(|| "no mark of ours".to_owned(), |mark| format!("the mark {mark}"));
    let message = format!(
        "Guest {id} ({}) on node {} carries {whose}: it is not this site's and is not touched. Restore the site's container under its number, or delete this object.",
        container.hostname, container.node
    );
    verdict.working(kinds::CONTAINER_READY, reasons::CONFLICT, message.clone());
    blocked(
        verdict,
        Block {
            reason: reasons::CONFLICT,
            message,
            keeps_ready: false,
        },
    )
}
