//! Growing a disk. Sizes are compared with the real device, which may be a little larger than asked for.

use serde_json::{Value, json};

use super::errors::{self, Refusal};
use super::http::Call;
use super::state::State;
use super::work::Work;
use super::{config, formats, tasks};

/// `PUT /nodes/{node}/lxc/{vmid}/resize`
pub(super) fn resize(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    if guest.busy {
        return Refusal::say(errors::file_locked(call.vmid));
    }
    config::check_digest(guest, call)?;
    guest.check_lock()?;
    let disk = call.text("disk").unwrap_or_default();
    if disk != "rootfs" {
        return Refusal::say(format!("no such volume '{disk}'"));
    }
    let Some((storage, volume)) = guest.root_volume() else {
        return Refusal::say("Could not determine current size of volume");
    };
    state.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    let current = state.root_bytes(guest);
    let (relative, bytes) = call.text("size").and_then(formats::growth).unwrap_or((true, 0));
    let wanted = if relative {
        current.saturating_add(bytes)
    } else {
        bytes
    };
    if wanted < current {
        return Refusal::say("unable to shrink disk size");
    }
    if wanted == current {
        return Refusal::say("disk is already at specified size");
    }
    let work = Work::Resize {
        volume,
        bytes: wanted,
    };
    Ok(json!(tasks::begin(
        state, &call.user, &call.node, call.vmid, work
    )))
}

/// The worker ends between the device and the configuration.
pub(super) fn grow_device_only(state: &mut State, vmid: u32, volume: &str, bytes: u64) {
    super::work::set_busy(state, vmid, false);
    state.storages.set_bytes(vmid, volume, bytes);
}

/// The growing worker.
pub(super) fn grow(state: &mut State, vmid: u32, volume: &str, bytes: u64) -> Result<&'static str, String> {
    super::work::set_busy(state, vmid, false);
    let storage = volume.split(':').next().unwrap_or_default();
    state.storages.reach(storage)?;
    state.storages.set_bytes(vmid, volume, bytes);
    if let Some(guest) = state.guest_mut(vmid) {
        let line = format!("{volume},size={}", config::size(bytes));
        guest.config.insert("rootfs".to_owned(), line);
    }
    Ok("OK")
}
