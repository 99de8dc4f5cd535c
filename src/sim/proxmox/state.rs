//! The cluster as it is: guests, volumes, tasks, and a queue of what is going to happen.
//!
//! Time passes only when somebody looks: [`State::advance`] works off everything that is due. With all
//! delays at zero, an effect is there before its answer leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::archives::Archives;
use super::errors::{self, Refusal};
use super::options::{ProxmoxOptions, PveVersion};
use super::storage::Storages;
use super::tasks::{TaskFault, Tasks};
use super::{formats, ha, power, tasks};
use crate::sim::directory::Installed;

/// Lines of a configuration file.
pub(super) type Config = BTreeMap<String, String>;

/// Bytes of a mebibyte.
pub(super) const MIB: u64 = 1 << 20;
/// Bytes of a gibibyte.
pub(super) const GIB: u64 = 1 << 30;
/// Bytes that a fresh system occupies on its disk, and its share of the processors, as a recorded idle container has
/// them.
const SYSTEM_BYTES: u64 = 838_225_920;
const IDLE_CPU: f64 = 0.002_6;
/// Process number of the first worker or container; only its hexadecimal form in UPIDs matters.
const FIRST_PID: u32 = 0x0000_4556;

/// Container or virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GuestKind {
    /// `lxc`.
    Container,
    /// `qemu`.
    Machine,
}

/// A guest that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) since: Instant,
    pub(super) pid: u32,
}

/// A snapshot section of a configuration file.
#[derive(Debug, Clone)]
pub(super) struct SnapshotRecord {
    pub(super) config: Config,
    pub(super) description: String,
    pub(super) taken_at: i64,
    pub(super) parent: Option<String>,
    /// `prepare` or `delete` while a task works on it, and for ever when that failed.
    pub(super) state: Option<&'static str>,
    /// Order of creation; two snapshots may share a second.
    pub(super) serial: u64,
    pub(super) installed: Option<Installed>,
}

/// What a running guest uses.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    /// Fraction of all its cores.
    pub(super) cpu: f64,
    /// Bytes.
    pub(super) memory: u64,
    /// Bytes of the root disk.
    pub(super) disk: u64,
}

/// What the statistics daemon knew at its last round.
#[derive(Debug, Clone)]
pub(super) struct Stats {
    pub(super) name: String,
    pub(super) since: Option<Instant>,
    pub(super) memory: u64,
    pub(super) cores: u64,
    pub(super) disk: u64,
    pub(super) load: Load,
}

/// One guest.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) vmid: u32,
    pub(super) kind: GuestKind,
    pub(super) node: String,
    pub(super) config: Config,
    /// Changes that wait for a restart; `None` deletes the key.
    pub(super) pending: BTreeMap<String, Option<String>>,
    pub(super) lock: Option<String>,
    /// A worker holds the file lock of the configuration.
    pub(super) busy: bool,
    pub(super) running: Option<Running>,
    pub(super) snapshots: BTreeMap<String, SnapshotRecord>,
    pub(super) parent: Option<String>,
    pub(super) template: Option<String>,
    pub(super) booted: bool,
    pub(super) installed: Option<Installed>,
    pub(super) foreign: bool,
    /// Does not end within any time-out of a clean shutdown.
    pub(super) ignores_shutdown: bool,
    /// What it uses while it runs, if a test said so.
    pub(super) load: Option<Load>,
    stats: Option<Stats>,
    stats_round: u64,
    addresses: Vec<Ipv4Addr>,
}

impl Guest {
    pub(super) fn new(vmid: u32, kind: GuestKind, node: &str) -> Self {
        Self {
            vmid,
            kind,
            node: node.to_owned(),
            config: Config::new(),
            pending: BTreeMap::new(),
            lock: None,
            busy: false,
            running: None,
            snapshots: BTreeMap::new(),
            parent: None,
            template: None,
            booted: false,
            installed: None,
            foreign: false,
            ignores_shutdown: false,
            load: None,
            stats: None,
            stats_round: 0,
            addresses: Vec::new(),
        }
    }

    /// Host name, or Proxmox' stand-in.
    pub(super) fn hostname(&self) -> String {
        let stand_in = match self.kind {
            GuestKind::Container => format!("CT{}", self.vmid),
            GuestKind::Machine => format!("VM {}", self.vmid),
        };
        self.config.get("hostname").cloned().unwrap_or(stand_in)
    }

    /// A number from the configuration.
    pub(super) fn number(&self, key: &str, default: u64) -> u64 {
        self.config
            .get(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    }

    /// Whether an option is switched on.
    pub(super) fn flag(&self, key: &str) -> bool {
        self.number(key, 0) == 1
    }

    /// The root disk's volume: storage and full identifier.
    pub(super) fn root_volume(&self) -> Option<(String, String)> {
        let volume = self.config.get("rootfs")?.split(',').next()?;
        Some((volume.split_once(':')?.0.to_owned(), volume.to_owned()))
    }

    /// The error for a write while a lock word is set.
    pub(super) fn check_lock(&self) -> Result<(), String> {
        match &self.lock {
            Some(word) => Err(errors::locked(word)),
            None => Ok(()),
        }
    }

    /// Static IPv4 addresses of its interfaces.
    pub(super) fn static_addresses(&self) -> Vec<Ipv4Addr> {
        let nets = self.config.iter().filter(|(key, _)| key.starts_with("net"));
        nets.filter_map(|(_, net)| {
            let found = formats::properties(net, "").ok()?;
            formats::network(found.get("ip")?).map(|(address, _)| address)
        })
        .collect()
    }
}

/// Something that is going to happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A worker ends.
    TaskEnds(u64),
    /// The high-availability manager looks after a service.
    HaActs(String),
    /// A golden container finishes its first boot.
    FirstBoot(u32),
}

/// A resource pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    pub(super) comment: Option<String>,
    pub(super) vmids: BTreeSet<u32>,
}

/// The whole cluster.
pub(super) struct State {
    pub(super) options: ProxmoxOptions,
    started: Instant,
    wall_start: jiff::Timestamp,
    /// Time that tests have skipped.
    pub(super) skipped: Duration,
    /// The moment that is being worked on.
    pub(super) now: Instant,
    pub(super) guests: BTreeMap<u32, Guest>,
    addresses: BTreeSet<(Ipv4Addr, u32)>,
    pub(super) storages: Storages,
    pub(super) archives: Archives,
    pub(super) tasks: Tasks,
    pub(super) ha: ha::HighAvailability,
    pub(super) pools: BTreeMap<String, Pool>,
    pub(super) offline: BTreeSet<String>,
    pub(super) quorum: bool,
    queue: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    /// Orders for the next tasks of a type.
    pub(super) faults: BTreeMap<String, VecDeque<TaskFault>>,
    /// Writes by the API that went to guests of other people.
    pub(super) foreign_writes: Vec<String>,
}

impl State {
    pub(super) fn new(options: ProxmoxOptions) -> Self {
        let now = Instant::now();
        let pools = options.pools.iter().map(|name| (name.clone(), Pool::default()));
        Self {
            started: now,
            wall_start: jiff::Timestamp::now(),
            skipped: Duration::ZERO,
            now,
            guests: BTreeMap::new(),
            addresses: BTreeSet::new(),
            storages: Storages::new(&options),
            archives: Archives::new(),
            tasks: Tasks::default(),
            ha: ha::HighAvailability::default(),
            pools: pools.collect(),
            offline: BTreeSet::new(),
            quorum: true,
            queue: BTreeMap::new(),
            serial: 0,
            faults: BTreeMap::new(),
            foreign_writes: Vec::new(),
            options,
        }
    }

    /// Works off everything that is due.
    pub(super) fn advance(&mut self) {
        let until = Instant::now() + self.skipped;
        while let Some(entry) = self.queue.first_entry() {
            let due = entry.key().0;
            if due > until {
                break;
            }
            let event = entry.remove();
            self.now = self.now.max(due);
            match event {
                Event::TaskEnds(serial) => tasks::end(self, serial),
                Event::HaActs(sid) => ha::act(self, &sid),
                Event::FirstBoot(vmid) => power::first_boot(self, vmid),
            }
        }
        self.now = self.now.max(until);
    }

    /// Plans an event.
    pub(super) fn schedule(&mut self, delay: Duration, event: Event) {
        let serial = self.next_serial();
        self.queue.insert((self.now + delay, serial), event);
    }

    /// A number that was not used before.
    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A process number that was not used before.
    pub(super) fn next_pid(&mut self) -> u32 {
        FIRST_PID.wrapping_add(u32::try_from(self.next_serial() & 0x003f_ffff).unwrap_or_default())
    }

    /// Puts the clocks of the nodes behind: what is there already becomes as much older.
    pub(super) fn put_clock_behind(&mut self, time: Duration) {
        self.wall_start = self.wall_start.saturating_sub(time).unwrap_or(self.wall_start);
    }

    /// Seconds since 1970 at a moment of the simulation.
    pub(super) fn wall(&self, moment: Instant) -> i64 {
        let passed = moment.saturating_duration_since(self.started);
        let then = self.wall_start.saturating_add(passed).unwrap_or(self.wall_start);
        then.as_second()
    }

    /// Hundredths of a second since the nodes booted, as UPIDs have it.
    pub(super) fn ticks(&self) -> u64 {
        let passed = self.now.saturating_duration_since(self.started).as_millis() / 10;
        0x0653_41e5 + u64::try_from(passed).unwrap_or_default()
    }

    pub(super) fn version(&self) -> PveVersion {
        self.options.version
    }

    /// Whether the token lacks a privilege.
    pub(super) fn lacks(&self, privilege: &str) -> bool {
        self.options.missing_privileges.contains(privilege)
    }

    /// The 403 for a privilege that the token lacks.
    pub(super) fn require(&self, path: &str, privilege: &str) -> Result<(), Refusal> {
        if self.lacks(privilege) {
            return Err(Refusal::Forbidden(format!("{path}, {privilege}")));
        }
        Ok(())
    }

    /// Writes need a quorate cluster.
    pub(super) fn require_quorum(&self) -> Result<(), Refusal> {
        if self.quorum {
            Ok(())
        } else {
            Refusal::say(errors::NO_QUORUM)
        }
    }

    /// A container on this very node; elsewhere counts as nowhere, as in the real program.
    pub(super) fn container(&self, node: &str, vmid: u32) -> Result<&Guest, Refusal> {
        match self.guests.get(&vmid) {
            Some(guest) if guest.kind == GuestKind::Container && guest.node == node => Ok(guest),
            _ => Refusal::say(errors::no_config(node, vmid)),
        }
    }

    fn round(&self) -> u64 {
        let lag = self.options.stats_lag.as_nanos();
        let passed = self.now.saturating_duration_since(self.started).as_nanos();
        passed
            .checked_div(lag)
            .map_or(0, |round| u64::try_from(round).unwrap_or(u64::MAX))
    }

    /// Lets the statistics daemon catch up on one guest. It is called before each change and each read, so
    /// that what it stores is the state at the last round.
    fn publish(&mut self, vmid: u32) {
        let round = self.round();
        let live = self.options.stats_lag.is_zero();
        let Some(guest) = self.guests.get(&vmid) else {
            return;
        };
        if !live && round <= guest.stats_round {
            return;
        }
        let stats = Stats {
            name: guest.hostname(),
            since: guest.running.map(|running| running.since),
            memory: guest.number("memory", 512) * MIB,
            cores: guest.number("cores", 1),
            disk: self.root_bytes(guest),
            load: self.load(guest),
        };
        if let Some(guest) = self.guests.get_mut(&vmid) {
            guest.stats = Some(stats);
            guest.stats_round = round;
        }
    }

    /// What the statistics daemon says about a guest; nothing about a fresh one.
    pub(super) fn stats(&mut self, vmid: u32) -> Option<Stats> {
        self.publish(vmid);
        self.guests.get(&vmid).and_then(|guest| guest.stats.clone())
    }

    /// What a guest uses at the moment: nothing while it is stopped.
    pub(super) fn load(&self, guest: &Guest) -> Load {
        let fresh = || Load {
            cpu: IDLE_CPU,
            memory: guest.number("memory", 512) * MIB / 4,
            disk: SYSTEM_BYTES.min(self.root_bytes(guest)),
        };
        match guest.running {
            Some(_) => guest.load.unwrap_or_else(fresh),
            None => Load::default(),
        }
    }

    /// Bytes of the root disk.
    pub(super) fn root_bytes(&self, guest: &Guest) -> u64 {
        let volume = guest.root_volume();
        volume
            .and_then(|(_, id)| self.storages.volume(guest.vmid, &id))
            .map_or(0, |volume| volume.bytes)
    }

    /// A guest, to be changed.
    pub(super) fn guest_mut(&mut self, vmid: u32) -> Option<&mut Guest> {
        self.publish(vmid);
        self.guests.get_mut(&vmid)
    }

    /// Puts a guest in; its number must be free.
    pub(super) fn insert_guest(&mut self, mut guest: Guest) {
        guest.stats_round = self.round();
        let vmid = guest.vmid;
        self.guests.insert(vmid, guest);
        self.reindex(vmid);
    }

    /// Takes a guest out, with its place in pools.
    pub(super) fn remove_guest(&mut self, vmid: u32) {
        if let Some(guest) = self.guests.remove(&vmid) {
            for address in guest.addresses {
                self.addresses.remove(&(address, vmid));
            }
        }
        for pool in self.pools.values_mut() {
            pool.vmids.remove(&vmid);
        }
    }

    /// Brings the address index in step with a changed configuration.
    pub(super) fn reindex(&mut self, vmid: u32) {
        let Some(guest) = self.guests.get_mut(&vmid) else {
            return;
        };
        let fresh = guest.static_addresses();
        let old = std::mem::replace(&mut guest.addresses, fresh.clone());
        for address in old {
            self.addresses.remove(&(address, vmid));
        }
        self.addresses
            .extend(fresh.into_iter().map(|address| (address, vmid)));
    }

    /// The running guest that has a static address.
    pub(super) fn running_at(&self, address: Ipv4Addr) -> Option<u32> {
        self.addresses
            .range((address, 0)..=(address, u32::MAX))
            .map(|(_, vmid)| *vmid)
            .find(|vmid| self.guests.get(vmid).is_some_and(|g| g.running.is_some()))
    }
}
