//! Creation, from a template or an archive: checks and the reservation of the number before the UPID, everything else in
//! the worker.

use serde_json::{Value, json};

use super::errors::{self, Refusal};
use super::http::Call;
use super::options::PveVersion;
use super::state::{Config, GIB, Guest, GuestKind, State};
use super::work::Work;
use super::{archives, config, formats, ha, tasks};

/// Keys of the call that are not lines of the configuration.
const NOT_CONFIG: &[&str] = &[
    "bwlimit",
    "force",
    "ha-managed",
    "ignore-unpack-errors",
    "node",
    "ostemplate",
    "password",
    "pool",
    "restore",
    "rootfs",
    "ssh-public-keys",
    "start",
    "storage",
    "unique",
    "unprivileged",
    "vmid",
];
/// Size of the root disk when none is asked for.
const DEFAULT_DISK: u64 = 4 * GIB;

/// What a new container is filled with.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// The template of this name.
    Template(String),
    /// An archive.
    Archive(archives::Recovered),
}

/// What a creating worker knows.
#[derive(Debug, Clone)]
pub(super) struct CreatePlan {
    node: String,
    pub(super) config: Config,
    storage: String,
    pub(super) bytes: u64,
    pub(super) source: Source,
    start: bool,
    ha_managed: bool,
    pool: Option<String>,
    /// It will get the storage's lock in time.
    in_time: bool,
}

impl CreatePlan {
    /// What a call asks for, to be filled with no template yet.
    pub(super) fn new(call: &Call, config: Config, storage: String, pool: Option<String>) -> Self {
        Self {
            node: call.node.clone(),
            config,
            storage,
            bytes: 0,
            source: Source::Template(String::new()),
            start: call.flag("start"),
            ha_managed: call.flag("ha-managed"),
            pool,
            in_time: true,
        }
    }

    /// The word in the UPID.
    pub(super) fn kind(&self) -> &'static str {
        match self.source {
            Source::Template(_) => "vzcreate",
            Source::Archive(_) => "vzrestore",
        }
    }
}

/// `POST /nodes/{node}/lxc`
pub(super) fn create(state: &mut State, call: &Call) -> Result<Value, Refusal> {
    let restore = call.flag("restore");
    if call.text("unique").is_some() && call.text("restore").is_none() {
        let text = "missing property - 'unique' requires this property";
        return Err(Refusal::parameter("restore", text));
    }
    let plan = match restore {
        true => archives::restore(state, call)?,
        false => {
            check_unused(state, call.vmid)?;
            plan(state, call)?
        }
    };
    let mut guest = Guest::new(call.vmid, GuestKind::Container, &call.node);
    guest.lock = Some("create".to_owned());
    state.insert_guest(guest);
    let work = Work::Create(Box::new(plan));
    Ok(json!(tasks::begin(
        state, &call.user, &call.node, call.vmid, work
    )))
}

pub(super) fn check_unused(state: &State, vmid: u32) -> Result<(), Refusal> {
    match state.guests.get(&vmid) {
        None => Ok(()),
        Some(guest) => {
            let kind = match guest.kind {
                GuestKind::Container => "CT",
                GuestKind::Machine => "VM",
            };
            Refusal::say(format!("{kind} {vmid} already exists on node '{}'", guest.node))
        }
    }
}

/// The lines of the configuration that a call asks for, and the pool, if the token may.
pub(super) fn asked(state: &State, call: &Call) -> Result<(Config, Option<String>), Refusal> {
    let vmid = call.vmid;
    let pool = call.text("pool").map(str::to_owned);
    match &pool {
        Some(pool) if !state.pools.contains_key(pool) => {
            return Refusal::say(format!("pool '{pool}' does not exist"));
        }
        Some(pool) => state.require(&format!("/pool/{pool}"), "VM.Allocate")?,
        None => state.require(&format!("/vms/{vmid}"), "VM.Allocate")?,
    }
    let mut lines: Config = call.values.clone();
    lines.retain(|key, _| !NOT_CONFIG.contains(&key.as_str()) && !key.starts_with("unused"));
    config::check_rights(state, vmid, lines.keys().map(String::as_str), &lines)?;
    Ok((lines, pool))
}

fn plan(state: &mut State, call: &Call) -> Result<CreatePlan, Refusal> {
    let vmid = call.vmid;
    let (lines, pool) = asked(state, call)?;
    let nines = state.version() >= PveVersion::V9_0;
    let unprivileged = call.boolean("unprivileged").unwrap_or(nines);
    if !unprivileged && nines {
        state.require("/", "Sys.Modify")?;
    }
    state.require(&format!("/vms/{vmid}"), "VM.Config.Disk")?;
    let template = template(state, call)?;
    let (storage, bytes) = target(state, call)?;
    let mut config = Config::new();
    for (key, value) in &lines {
        let value = config::canonical(state, key, value);
        config.insert(key.clone(), value);
    }
    for (key, value) in [
        ("arch", "amd64"),
        ("memory", "512"),
        ("swap", "512"),
        ("ostype", "debian"),
    ] {
        config.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    config
        .entry("hostname".to_owned())
        .or_insert_with(|| format!("CT{vmid}"));
    if unprivileged {
        config.insert("unprivileged".to_owned(), "1".to_owned());
    }
    let mut plan = CreatePlan::new(call, config, storage, pool);
    plan.bytes = bytes.unwrap_or(DEFAULT_DISK);
    plan.source = Source::Template(template);
    Ok(plan)
}

fn template(state: &State, call: &Call) -> Result<String, Refusal> {
    let id = call.text("ostemplate").unwrap_or_default();
    let Some((storage, name)) = id.split_once(':') else {
        return Refusal::say(format!("unable to parse volume ID '{id}'"));
    };
    if !state.storages.all.contains_key(storage) {
        return Refusal::say(format!("storage '{storage}' does not exist"));
    }
    if !name.starts_with("vztmpl/") {
        return Refusal::say(format!("unable to parse directory volume name '{name}'"));
    }
    if state.lacks("Datastore.Audit") && state.lacks("Datastore.AllocateSpace") {
        let what = format!("/storage/{storage}, Datastore.AllocateSpace|Datastore.Audit");
        return Err(Refusal::Forbidden(what));
    }
    Ok(id.to_owned())
}

/// The storage of the root disk, and its size if one is asked for.
pub(super) fn target(state: &State, call: &Call) -> Result<(String, Option<u64>), Refusal> {
    let default = call.text("storage").unwrap_or("local");
    let wanted = call.text("rootfs");
    let volume = wanted.and_then(|wanted| {
        let found = formats::properties(wanted, "volume").ok()?;
        found.get("volume").cloned()
    });
    let volume = volume.unwrap_or_default();
    let (storage, size) = volume.split_once(':').unwrap_or((default, &volume));
    let Some(target) = state.storages.all.get(storage) else {
        return Refusal::say(format!("storage '{storage}' does not exist"));
    };
    if !target.about.content.split(',').any(|kind| kind == "rootdir") {
        let text = format!("storage '{storage}' does not support container directories");
        return Err(Refusal::parameter("storage", text));
    }
    state.require(&format!("/storage/{storage}"), "Datastore.AllocateSpace")?;
    match (wanted, formats::scaled(size, GIB)) {
        (None, _) => Ok((storage.to_owned(), None)),
        (_, Some(bytes)) if bytes > 0 => Ok((storage.to_owned(), Some(bytes))),
        _ => Refusal::say(format!("volume '{volume}' does not exist")),
    }
}

/// Takes the file lock and queues for the storage's lock.
pub(super) fn prepare(state: &mut State, vmid: u32, plan: &mut CreatePlan) -> Result<(), String> {
    plan.in_time = state.storages.enter(&plan.storage);
    super::work::set_busy(state, vmid, true);
    Ok(())
}

/// Allocates, unpacks, writes the real configuration, drops the lock.
pub(super) fn finish(
    state: &mut State,
    vmid: u32,
    user: &str,
    plan: CreatePlan,
) -> Result<&'static str, String> {
    let volume = match allocate(state, vmid, &plan) {
        Ok(volume) => volume,
        Err(text) => {
            abandon(state, vmid, &plan);
            return Err(match plan.source {
                Source::Template(_) => text,
                Source::Archive(_) => format!("unable to restore CT {vmid} - {text}"),
            });
        }
    };
    state.storages.leave(&plan.storage);
    let size = config::size(plan.bytes);
    let Some(guest) = state.guest_mut(vmid) else {
        return Err(errors::no_config(&plan.node, vmid));
    };
    guest.config = plan.config;
    guest
        .config
        .insert("rootfs".to_owned(), format!("{volume},size={size}"));
    guest.lock = None;
    guest.busy = false;
    let nesting = guest
        .config
        .get("features")
        .is_some_and(|f| f.contains("nesting=1"));
    let mut warns = false;
    match plan.source {
        Source::Template(template) => {
            warns = ["debian-13", "ubuntu-24.04"]
                .iter()
                .any(|modern| template.contains(modern));
            guest.template = Some(template);
        }
        Source::Archive(recovered) => archives::unpack(state, vmid, recovered),
    }
    state.reindex(vmid);
    if let Some(pool) = plan.pool.and_then(|pool| state.pools.get_mut(&pool)) {
        pool.vmids.insert(vmid);
    }
    if plan.ha_managed {
        ha::add_service(state, vmid, plan.start);
    }
    if plan.start {
        tasks::begin(state, user, &plan.node, vmid, Work::Start);
    }
    Ok(if warns && !nesting { "WARNINGS: 1" } else { "OK" })
}

fn allocate(state: &mut State, vmid: u32, plan: &CreatePlan) -> Result<String, String> {
    if !plan.in_time {
        return Err(errors::storage_locked(&plan.storage));
    }
    archives::check_source(state, &plan.node, plan)?;
    let volume = state.storages.allocate(&plan.storage, vmid, plan.bytes)?;
    if let Source::Template(template) = &plan.source
        && !state.storages.has_template(&plan.node, template)
    {
        state.storages.free(vmid, &volume)?;
        return Err(format!("volume '{template}' does not exist"));
    }
    Ok(volume)
}

/// Cleans a failed creation away, but for a volume if the options want one left.
pub(super) fn abandon(state: &mut State, vmid: u32, plan: &CreatePlan) {
    state.storages.leave(&plan.storage);
    if state.options.orphan_on_failed_create {
        // No room for an orphan is no orphan.
        let _ = state.storages.allocate(&plan.storage, vmid, plan.bytes);
    }
    state.remove_guest(vmid);
}

/// Leaves the reservation with its lock, and the volume.
pub(super) fn kill(state: &mut State, vmid: u32, plan: &CreatePlan) {
    state.storages.leave(&plan.storage);
    // No room for an orphan is no orphan.
    let _ = state.storages.allocate(&plan.storage, vmid, plan.bytes);
    super::work::set_busy(state, vmid, false);
}
