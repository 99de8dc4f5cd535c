//! What workers do, in three moves: prepare when they are started (locks, reservations, early refusals),
//! finish when their time has come, or be killed in between.

use super::create::{self, CreatePlan};
use super::destroy::{self, DestroyPlan};
use super::power;
use super::resize;
use super::snapshots;
use super::state::State;
use super::tasks::TaskFault;

/// The kinds of work and what they need to know.
#[derive(Debug, Clone)]
pub(super) enum Work {
    Create(Box<CreatePlan>),
    Destroy(Box<DestroyPlan>),
    Start,
    Stop,
    Shutdown { force: bool },
    Reboot,
    HaStart,
    HaStop { timeout: u64 },
    Snapshot { name: String, description: String },
    DeleteSnapshot { name: String, force: bool },
    Rollback { name: String, start: bool },
    Resize { volume: String, bytes: u64 },
}

impl Work {
    /// The word in the UPID.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Create(plan) => plan.kind(),
            Self::Destroy(_) => "vzdestroy",
            Self::Start => "vzstart",
            Self::Stop => "vzstop",
            Self::Shutdown { .. } => "vzshutdown",
            Self::Reboot => "vzreboot",
            Self::HaStart => "hastart",
            Self::HaStop { .. } => "hastop",
            Self::Snapshot { .. } => "vzsnapshot",
            Self::DeleteSnapshot { .. } => "vzdelsnapshot",
            Self::Rollback { .. } => "vzrollback",
            Self::Resize { .. } => "resize",
        }
    }
}

/// The first move. An error ends the task at once, with nothing to clean up.
pub(super) fn prepare(state: &mut State, vmid: u32, work: &mut Work) -> Result<(), String> {
    match work {
        Work::Create(plan) => create::prepare(state, vmid, plan),
        Work::Destroy(plan) => destroy::prepare(state, vmid, plan),
        Work::Start => power::check_start(state, vmid),
        Work::Stop | Work::Shutdown { .. } => power::check_stop(state, vmid),
        Work::Reboot | Work::HaStart | Work::HaStop { .. } => Ok(()),
        Work::Snapshot { name, description } => snapshots::prepare(state, vmid, name, description),
        Work::DeleteSnapshot { name, .. } => snapshots::prepare_delete(state, vmid, name),
        Work::Rollback { name, .. } => snapshots::prepare_rollback(state, vmid, name),
        Work::Resize { .. } => {
            set_busy(state, vmid, true);
            Ok(())
        }
    }
}

/// The last move: the end of the worker, as it stands in `exitstatus`.
pub(super) fn finish(
    state: &mut State,
    vmid: u32,
    user: &str,
    work: Work,
    fault: Option<TaskFault>,
) -> Result<&'static str, String> {
    match fault {
        Some(TaskFault::Fail(sentence)) => {
            fail(state, vmid, work);
            return Err(sentence);
        }
        Some(TaskFault::Hollow) => {
            release(state, vmid, work);
            return Ok("OK");
        }
        Some(TaskFault::FailAfterDisks(sentence)) => {
            match work {
                Work::Destroy(plan) => destroy::free_disks_only(state, vmid, &plan),
                Work::Resize { volume, bytes } => resize::grow_device_only(state, vmid, &volume, bytes),
                _ => {}
            }
            return Err(sentence);
        }
        Some(TaskFault::Warn) | None => {}
    }
    let warned = fault.is_some();
    let exit = match work {
        Work::Create(plan) => create::finish(state, vmid, user, *plan),
        Work::Destroy(plan) => destroy::finish(state, vmid, *plan),
        Work::Start => power::start(state, vmid),
        Work::Stop => power::stop(state, vmid),
        Work::Shutdown { force } => power::shut_down(state, vmid, force),
        Work::Reboot => power::reboot(state, vmid),
        Work::HaStart => power::ha_start(state, vmid),
        Work::HaStop { timeout } => power::ha_stop(state, vmid, timeout),
        Work::Snapshot { name, .. } => snapshots::finish(state, vmid, &name),
        Work::DeleteSnapshot { name, force } => snapshots::finish_delete(state, vmid, &name, force),
        Work::Rollback { name, start } => snapshots::finish_rollback(state, vmid, &name, start),
        Work::Resize { volume, bytes } => resize::grow(state, vmid, &volume, bytes),
    }?;
    Ok(if warned { "WARNINGS: 1" } else { exit })
}

/// Leaves what a failed worker leaves: a half-made container is cleaned away, a failed snapshot too, but a
/// failed rollback or snapshot deletion keeps its lock.
fn fail(state: &mut State, vmid: u32, work: Work) {
    match work {
        Work::Create(plan) => create::abandon(state, vmid, &plan),
        Work::Destroy(plan) => destroy::abandon(state, vmid, &plan),
        Work::Snapshot { name, .. } => snapshots::abandon(state, vmid, &name),
        Work::Resize { .. } => set_busy(state, vmid, false),
        _ => {}
    }
}

/// Undoes the first move, for a worker that ends well without having done anything.
fn release(state: &mut State, vmid: u32, work: Work) {
    match work {
        Work::DeleteSnapshot { name, .. } => snapshots::release_delete(state, vmid, &name),
        Work::Rollback { .. } => {
            if let Some(guest) = state.guest_mut(vmid) {
                guest.lock = None;
            }
        }
        other => fail(state, vmid, other),
    }
}

/// A killed worker leaves its locks and what it has allocated.
pub(super) fn kill(state: &mut State, vmid: u32, work: Work) {
    match work {
        Work::Create(plan) => create::kill(state, vmid, &plan),
        Work::Destroy(plan) => destroy::abandon(state, vmid, &plan),
        Work::Resize { .. } => set_busy(state, vmid, false),
        _ => {}
    }
}

/// Takes or lets go of the file lock of a container's configuration.
pub(super) fn set_busy(state: &mut State, vmid: u32, busy: bool) {
    if let Some(guest) = state.guest_mut(vmid) {
        guest.busy = busy;
    }
}
