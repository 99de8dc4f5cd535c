//! Removing one orphan. A container goes as it does with its site: out of high availability, down, without snapshots,
//! destroyed; each step after a fresh look at whose it is.

use std::time::{Duration, Instant};

use crate::controllers::connections::{Backend, Compute};
use crate::controllers::sweeper::inventory::{Orphan, Thing};
use crate::domain::{OwnerMark, Vmid};
use crate::providers::ProviderError;
use crate::providers::container_host::{Container, TaskId, TaskState};
use crate::providers::dns_host::RecordChange;

/// Longest wait for a container to go: a shutdown takes a minute, and storage is slow with large disks.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Between two looks at a task.
const LOOK: Duration = Duration::from_millis(500);

/// What went wrong, in words.
type Failed = String;

fn said(error: &ProviderError) -> Failed {
    error.message().to_owned()
}

/// Removes what still carries the mark that it was found with.
pub(super) async fn remove(backend: &Backend, orphan: &Orphan) -> Result<(), Failed> {
    let mark = &orphan.mark;
    match (backend, &orphan.thing) {
        (Backend::Compute(compute), Thing::Container(id, _)) => container(compute, *id, mark).await,
        (Backend::Proxy(proxy), Thing::Host(id, _)) => {
            let deleted = proxy.proxy.delete_host(*id, mark).await;
            deleted.map_err(|error| said(&error))
        }
        (Backend::Dns(dns), Thing::Record(zone, record)) => {
            let change = [RecordChange::Delete(record.as_ref().clone())];
            let outcomes = dns.dns.apply(zone, &change, mark).await;
            let outcomes: Result<Vec<_>, _> = outcomes.into_iter().collect();
            outcomes.map(drop).map_err(|error| said(&error))
        }
        _ => Err("the Provider is of another type now; nothing was deleted".to_owned()),
    }
}

async fn container(compute: &Compute, id: Vmid, mark: &OwnerMark) -> Result<(), Failed> {
    let begun = Instant::now();
    let host = compute.host.as_ref();
    while begun.elapsed() < LIMIT {
        let Some(there) = host.container(id).await.map_err(|error| said(&error))? else {
            return left_over(compute, id).await;
        };
        if there.mark.as_ref() != Some(mark) && there.lock.is_none() {
            return Err("it carries another mark now; it is left alone".to_owned());
        }
        if there.mark.as_ref() != Some(mark) || there.lock.is_some() {
            tokio::time::sleep(LOOK).await;
            continue;
        }
        if let Some(task) = step(compute, &there, mark).await.map_err(|error| said(&error))? {
            end_of(compute, &task, begun).await?;
        }
    }
    Err(format!(
        "it did not go within {} minutes; try again",
        LIMIT.as_secs() / 60
    ))
}

/// The next step for a container that is ours and free.
async fn step(
    compute: &Compute,
    there: &Container,
    mark: &OwnerMark,
) -> Result<Option<TaskId>, ProviderError> {
    let (host, id) = (compute.host.as_ref(), there.id);
    if there.high_availability.is_some() {
        host.remove_high_availability(id).await?;
        return Ok(None);
    }
    if there.running {
        return host.stop(id).await;
    }
    let snapshots = host.snapshots(id).await?;
    // The newest first, as with a site: some storages cannot delete in the middle.
    let newest = snapshots
        .iter()
        .max_by(|a, b| (a.taken_at, &a.name).cmp(&(b.taken_at, &b.name)));
    match newest {
        Some(newest) => host.delete_snapshot(id, &newest.name).await,
        None => host.destroy(id, mark).await,
    }
}

async fn end_of(compute: &Compute, task: &TaskId, begun: Instant) -> Result<(), Failed> {
    while begun.elapsed() < LIMIT {
        match compute.host.task(task).await.map_err(|error| said(&error))? {
            TaskState::Running => tokio::time::sleep(LOOK).await,
            TaskState::Failed(words) => return Err(words),
            TaskState::Succeeded { .. } | TaskState::Unknown => return Ok(()),
        }
    }
    Ok(())
}

async fn left_over(compute: &Compute, id: Vmid) -> Result<(), Failed> {
    let volumes = compute.host.leftover_volumes(id).await;
    match volumes.map_err(|error| said(&error))?.as_slice() {
        [] => Ok(()),
        left => Err(format!(
            "the container is gone, but its storage still has {}; remove them by hand",
            left.join(", ")
        )),
    }
}
