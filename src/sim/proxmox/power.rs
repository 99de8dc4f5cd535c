//! Start, stop, shutdown, reboot, and what happens at a first boot.
//!
//! Under high availability the calls only change the requested state: their tasks end before the container
//! moves.

use serde_json::{Value, json};

use super::errors::{self, Refusal};
use super::http::Call;
use super::state::{Event, Guest, Running, State};
use super::work::Work;
use super::{ha, tasks};
use crate::sim::directory::Installed;

/// Seconds of a clean shutdown unless asked otherwise.
const SHUTDOWN_TIMEOUT: u64 = 60;
/// A template with this in its name installs WordPress by itself.
const GOLDEN: &str = "wordpress-golden";
/// The first-boot value without which a golden container installs nothing.
const SITE_HOST: &str = "HOSTWRIGHT_SITE_HOST";

fn begin(state: &mut State, call: &Call, work: Work) -> Value {
    json!(tasks::begin(state, &call.user, &call.node, call.vmid, work))
}

fn check_file(guest: &Guest) -> Result<(), Refusal> {
    if guest.busy {
        return Refusal::say(errors::file_locked(guest.vmid));
    }
    Ok(())
}

fn running<'s>(state: &'s State, call: &Call, word: &str) -> Result<&'s Guest, Refusal> {
    let guest = state.container(&call.node, call.vmid)?;
    if guest.running.is_none() {
        return Refusal::say(format!("{word} {} not running", call.vmid));
    }
    Ok(guest)
}

fn refuse_skiplock(call: &Call) -> Result<(), Refusal> {
    if call.flag("skiplock") {
        return Err(Refusal::parameter("skiplock", "Only root may use this option."));
    }
    Ok(())
}

/// `POST .../status/start`
pub(super) fn post_start(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    refuse_skiplock(call)?;
    let guest = state.container(&call.node, call.vmid)?;
    if guest.running.is_some() {
        return Refusal::say(format!("CT {} already running", call.vmid));
    }
    if ha::is_managed(state, call.vmid) {
        return Ok(begin(state, call, Work::HaStart));
    }
    check_file(guest)?;
    Ok(begin(state, call, Work::Start))
}

/// `POST .../status/stop`
pub(super) fn post_stop(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    refuse_skiplock(call)?;
    let guest = running(state, call, "CT")?;
    if ha::is_managed(state, call.vmid) {
        if call.flag("overrule-shutdown") {
            return Refusal::say("overrule-shutdown is not supported for HA-managed containers");
        }
        return Ok(begin(state, call, Work::HaStop { timeout: 0 }));
    }
    check_file(guest)?;
    Ok(begin(state, call, Work::Stop))
}

/// `POST .../status/shutdown`
pub(super) fn post_shutdown(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let guest = running(state, call, "CT")?;
    if ha::is_managed(state, call.vmid) {
        let timeout = call.parsed("timeout").unwrap_or(SHUTDOWN_TIMEOUT);
        return Ok(begin(state, call, Work::HaStop { timeout }));
    }
    check_file(guest)?;
    let force = call.flag("forceStop");
    Ok(begin(state, call, Work::Shutdown { force }))
}

/// `POST .../status/reboot`
pub(super) fn post_reboot(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    running(state, call, "VM")?;
    Ok(begin(state, call, Work::Reboot))
}

fn check_word(guest: &Guest) -> Result<(), String> {
    if guest.lock.as_deref() == Some("mounted") {
        return Ok(());
    }
    guest.check_lock()
}

/// Refusals of the starting worker.
pub(super) fn check_start(state: &mut State, vmid: u32) -> Result<(), String> {
    match state.guests.get(&vmid) {
        Some(guest) if guest.flag("template") => Err("you can't start a CT if it's a template".to_owned()),
        Some(guest) => check_word(guest),
        None => Err(format!("CT {vmid} does not exist")),
    }
}

/// Refusals of the stopping workers.
pub(super) fn check_stop(state: &mut State, vmid: u32) -> Result<(), String> {
    state.guests.get(&vmid).map_or(Ok(()), check_word)
}

/// The starting worker.
pub(super) fn start(state: &mut State, vmid: u32) -> Result<&'static str, String> {
    switch_on(state, vmid);
    Ok("OK")
}

/// The hard stop.
pub(super) fn stop(state: &mut State, vmid: u32) -> Result<&'static str, String> {
    switch_off(state, vmid);
    Ok("OK")
}

/// The clean shutdown, hard at its end if forced.
pub(super) fn shut_down(state: &mut State, vmid: u32, force: bool) -> Result<&'static str, String> {
    if !force && state.guests.get(&vmid).is_some_and(|g| g.ignores_shutdown) {
        return Err("container did not stop".to_owned());
    }
    stop(state, vmid)
}

/// Shutdown and start; hard when its time is up, unlike a shutdown (`vm_reboot` in pve-container).
pub(super) fn reboot(state: &mut State, vmid: u32) -> Result<&'static str, String> {
    shut_down(state, vmid, true)?;
    start(state, vmid)
}

fn ha_refusal(vmid: u32, arguments: &str) -> String {
    format!("command 'ha-manager {arguments}' failed: exit code 255 (ct:{vmid})")
}

/// Requests the state `started`; the container follows later.
pub(super) fn ha_start(state: &mut State, vmid: u32) -> Result<&'static str, String> {
    ha::request(state, vmid, "started", 0)
        .map_err(|()| ha_refusal(vmid, &format!("set ct:{vmid} --state started")))?;
    Ok("OK")
}

/// Requests the state `stopped`; the container follows later.
pub(super) fn ha_stop(state: &mut State, vmid: u32, timeout: u64) -> Result<&'static str, String> {
    ha::request(state, vmid, "stopped", timeout)
        .map_err(|()| ha_refusal(vmid, &format!("crm-command stop ct:{vmid} {timeout}")))?;
    Ok("OK")
}

/// Lets a guest run, with its pending changes.
pub(super) fn switch_on(state: &mut State, vmid: u32) {
    let running = Running {
        since: state.now,
        pid: state.next_pid(),
    };
    let boot_time = state.options.first_boot_time;
    let Some(guest) = state.guest_mut(vmid) else {
        return;
    };
    if guest.running.is_some() {
        return;
    }
    for (key, value) in std::mem::take(&mut guest.pending) {
        match value {
            Some(value) => guest.config.insert(key, value),
            None => guest.config.remove(&key),
        };
    }
    guest.running = Some(running);
    let first = !std::mem::replace(&mut guest.booted, true);
    let golden = guest.template.as_deref().is_some_and(|t| t.contains(GOLDEN));
    state.reindex(vmid);
    if first && golden {
        state.schedule(boot_time, Event::FirstBoot(vmid));
    }
}

/// Lets a guest stop. High availability may not agree.
pub(super) fn switch_off(state: &mut State, vmid: u32) {
    let stopped = state.guest_mut(vmid).and_then(|guest| guest.running.take());
    if stopped.is_some() {
        ha::notice_stopped(state, vmid);
    }
}

/// A golden container has worked through its first boot, unless it was stopped before; then the next start
/// does it again.
pub(super) fn first_boot(state: &mut State, vmid: u32) {
    let Some(guest) = state.guest_mut(vmid) else {
        return;
    };
    if guest.running.is_none() {
        guest.booted = false;
        return;
    }
    let environment = guest.config.get("env").cloned().unwrap_or_default();
    let host = environment
        .split('\0')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| *name == SITE_HOST);
    if let Some((_, host)) = host {
        guest.installed = Some(Installed::fresh(host));
    }
}
