//! Destruction: refusals before the task, disks first, the configuration last.

use serde_json::{Value, json};

use super::errors::{self, Refusal};
use super::http::Call;
use super::state::State;
use super::work::Work;
use super::{ha, power, tasks};

/// What a destroying worker knows.
#[derive(Debug, Clone)]
pub(super) struct DestroyPlan {
    force: bool,
    purge: bool,
    unreferenced: bool,
    storage: String,
    /// It will get the storage's lock in time.
    in_time: bool,
}

/// `DELETE /nodes/{node}/lxc/{vmid}`
pub(super) fn destroy(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let vmid = call.vmid;
    let guest = state.container(&call.node, vmid)?;
    if guest.flag("protection") {
        return Refusal::say(format!("can't remove CT {vmid} - protection mode enabled"));
    }
    guest.check_lock()?;
    if !call.flag("purge") && ha::is_configured(state, vmid) {
        return Refusal::say(format!(
            "unable to remove CT {vmid} - used in HA resources and purge parameter not set."
        ));
    }
    if guest.running.is_some() && !call.flag("force") {
        return Refusal::say(format!("unable to destroy CT {vmid} - container is running"));
    }
    let plan = DestroyPlan {
        force: call.flag("force"),
        purge: call.flag("purge"),
        unreferenced: call.flag("destroy-unreferenced-disks"),
        storage: guest
            .root_volume()
            .map(|(storage, _)| storage)
            .unwrap_or_default(),
        in_time: true,
    };
    let work = Work::Destroy(Box::new(plan));
    Ok(json!(tasks::begin(state, &call.user, &call.node, vmid, work)))
}

/// Takes the file lock and queues for the storage's lock.
pub(super) fn prepare(state: &mut State, vmid: u32, plan: &mut DestroyPlan) -> Result<(), String> {
    match state.guest_mut(vmid) {
        Some(guest) if guest.busy => return Err(errors::file_locked(vmid)),
        Some(guest) => guest.busy = true,
        None => {}
    }
    plan.in_time = state.storages.enter(&plan.storage);
    Ok(())
}

/// Stops if forced, frees the disks, takes it out of high availability if purging, drops the configuration.
pub(super) fn finish(state: &mut State, vmid: u32, plan: DestroyPlan) -> Result<&'static str, String> {
    let done = free(state, vmid, &plan);
    abandon(state, vmid, &plan);
    done?;
    if plan.purge {
        ha::purge(state, vmid);
    }
    state.remove_guest(vmid);
    Ok("OK")
}

fn free(state: &mut State, vmid: u32, plan: &DestroyPlan) -> Result<(), String> {
    let Some(guest) = state.guests.get(&vmid) else {
        return Err(format!("CT {vmid} does not exist"));
    };
    if guest.running.is_some() && !plan.force {
        return Err(format!("unable to destroy CT {vmid} - container is running"));
    }
    if !plan.in_time {
        return Err(errors::storage_locked(&plan.storage));
    }
    let referenced: Vec<String> = guest
        .config
        .iter()
        .filter(|(key, _)| *key == "rootfs" || key.starts_with("mp") || key.starts_with("unused"))
        .filter_map(|(_, value)| value.split(',').next().map(str::to_owned))
        .collect();
    power::switch_off(state, vmid);
    for id in &referenced {
        state.storages.free(vmid, id)?;
    }
    if plan.unreferenced {
        for id in state.storages.of(vmid) {
            state.storages.free(vmid, &id)?;
        }
    }
    Ok(())
}

/// Lets go of both locks; the container stays as it is.
pub(super) fn abandon(state: &mut State, vmid: u32, plan: &DestroyPlan) {
    state.storages.leave(&plan.storage);
    super::work::set_busy(state, vmid, false);
}

/// Frees the disks and stops there: the configuration stays with lock `destroyed`.
pub(super) fn free_disks_only(state: &mut State, vmid: u32, plan: &DestroyPlan) {
    let freed = free(state, vmid, plan).is_ok();
    abandon(state, vmid, plan);
    if let Some(guest) = state.guest_mut(vmid).filter(|_| freed) {
        // The whole configuration is replaced by this one line.
        guest.config.clear();
        guest.lock = Some("destroyed".to_owned());
        state.reindex(vmid);
    }
}
