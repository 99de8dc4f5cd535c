//! What tests, the demo and other simulators may see and do from outside the API.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::state::{GIB, Guest, GuestKind, Load, State};
use super::tasks::TaskFault;
use super::{ProxmoxSim, archives, config, ha, power, snapshots};
use crate::sim::directory::{ContainerDirectory, Installed};

/// One snapshot as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimSnapshot {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Left half made or half deleted.
    pub broken: bool,
}

/// One container as it is, whatever the API says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimContainer {
    /// Its number.
    pub vmid: u32,
    /// Its node.
    pub node: String,
    /// It runs.
    pub running: bool,
    /// Word of its lock.
    pub lock: Option<String>,
    /// Its description, empty if none.
    pub description: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its host name.
    pub hostname: String,
    /// Its first static address.
    pub address: Option<Ipv4Addr>,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Processor cores.
    pub cores: u64,
    /// Root disk in whole GiB.
    pub disk_gib: u64,
    /// Its snapshots in order of creation.
    pub snapshots: Vec<SimSnapshot>,
    /// Its configuration, line by line.
    pub config: BTreeMap<String, String>,
    /// It was put in as somebody else's.
    pub foreign: bool,
}

/// One resource of high availability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimHaResource {
    /// `ct:907`.
    pub sid: String,
    /// Requested state.
    pub state: String,
    /// The manager gave up on it.
    pub error: bool,
    /// Its group, up to 8.
    pub group: Option<String>,
}

/// One placement rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimHaRule {
    /// Its name.
    pub name: String,
    /// Services in it, `ct:907`.
    pub resources: Vec<String>,
}

fn container(state: &State, guest: &Guest) -> SimContainer {
    let line = |key: &str| guest.config.get(key).cloned().unwrap_or_default();
    let mut snapshots: Vec<_> = guest.snapshots.iter().collect();
    snapshots.sort_by_key(|(_, record)| record.serial);
    let snapshots = snapshots.into_iter().map(|(name, record)| SimSnapshot {
        name: name.clone(),
        description: record.description.clone(),
        broken: record.state.is_some(),
    });
    let tags = line("tags");
    SimContainer {
        vmid: guest.vmid,
        node: guest.node.clone(),
        running: guest.running.is_some(),
        lock: guest.lock.clone(),
        description: line("description"),
        tags: super::formats::list(&tags).map(str::to_owned).collect(),
        hostname: guest.hostname(),
        address: guest.static_addresses().first().copied(),
        memory_mib: guest.number("memory", 512),
        cores: guest.number("cores", 1),
        disk_gib: state.root_bytes(guest) / GIB,
        snapshots: snapshots.collect(),
        config: guest.config.clone(),
        foreign: guest.foreign,
    }
}

fn is_container(guest: &&Guest) -> bool {
    guest.kind == GuestKind::Container
}

/// Seeing.
impl ProxmoxSim {
    fn look<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        let mut state = self.lock();
        state.advance();
        read(&state)
    }

    /// All containers by number.
    pub fn containers(&self) -> Vec<SimContainer> {
        self.look(|state| {
            let guests = state.guests.values().filter(is_container);
            guests.map(|guest| container(state, guest)).collect()
        })
    }

    /// One container.
    pub fn container(&self, vmid: u32) -> Option<SimContainer> {
        self.look(|state| {
            let guest = state.guests.get(&vmid).filter(is_container)?;
            Some(container(state, guest))
        })
    }

    /// Volumes whose guest does not exist, or does not name them.
    pub fn orphan_volumes(&self) -> Vec<String> {
        self.look(|state| {
            let named = |vmid: u32, id: &str| {
                let guest = state.guests.get(&vmid);
                guest.is_some_and(|guest| guest.config.values().any(|line| line.starts_with(id)))
            };
            let orphans = state.storages.volumes().filter(|(vmid, id)| !named(*vmid, id));
            orphans.map(|(_, id)| id.clone()).collect()
        })
    }

    /// Volume identifiers of the archives that backup jobs have made.
    pub fn archives(&self) -> Vec<String> {
        self.look(|state| state.archives.keys().cloned().collect())
    }

    /// Resources of high availability.
    pub fn ha_resources(&self) -> Vec<SimHaResource> {
        self.look(|state| {
            let services = state.ha.services.iter();
            services
                .map(|(sid, service)| SimHaResource {
                    sid: sid.clone(),
                    state: service.state.clone(),
                    error: service.error,
                    group: service.group.clone(),
                })
                .collect()
        })
    }

    /// Placement rules.
    pub fn ha_rules(&self) -> Vec<SimHaRule> {
        self.look(|state| {
            let rules = state.ha.rules.iter();
            rules
                .map(|(name, rule)| SimHaRule {
                    name: name.clone(),
                    resources: rule.resources.iter().cloned().collect(),
                })
                .collect()
        })
    }

    /// Writes by the API that went to guests of other people, `METHOD /path` in order.
    pub fn foreign_writes(&self) -> Vec<String> {
        self.look(|state| state.foreign_writes.clone())
    }

    /// Checks that nothing is left but what was put in as foreign, and that no call wrote to that.
    ///
    /// # Errors
    /// A list of what is left.
    pub fn everything_empty_except_foreign(&self) -> Result<(), String> {
        let left = self.look(|state| {
            let foreign = |vmid: u32| state.guests.get(&vmid).is_some_and(|guest| guest.foreign);
            let is_foreign = |sid: &str| {
                let number = sid.split(':').nth(1).and_then(|number| number.parse().ok());
                number.is_some_and(foreign)
            };
            let mut left: Vec<String> = Vec::new();
            let own = state.guests.values().filter(|guest| !guest.foreign);
            left.extend(own.map(|guest| format!("container {} on {}", guest.vmid, guest.node)));
            let volumes = state.storages.volumes().filter(|(vmid, _)| !foreign(*vmid));
            left.extend(volumes.map(|(_, id)| format!("volume {id}")));
            let services = state.ha.services.keys().filter(|sid| !is_foreign(sid));
            left.extend(services.map(|sid| format!("high-availability resource {sid}")));
            for (name, rule) in &state.ha.rules {
                let own = rule.resources.iter().filter(|sid| !is_foreign(sid));
                left.extend(own.map(|sid| format!("{sid} in rule {name}")));
            }
            let writes = state.foreign_writes.iter();
            left.extend(writes.map(|write| format!("write to a foreign guest: {write}")));
            left
        });
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("; "))
        }
    }
}

/// Doing.
impl ProxmoxSim {
    fn act<T>(&self, write: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.advance();
        let done = write(&mut state);
        state.advance();
        done
    }

    fn add(&self, vmid: u32, kind: GuestKind, node: &str, lines: &[(&str, &str)], disk_gib: u64) {
        self.act(|state| {
            let storages = state.storages.all.values();
            let root = storages
                .map(|storage| &storage.about)
                .find(|about| about.content.contains("rootdir"))
                .map(|about| about.name.clone());
            let mut guest = Guest::new(vmid, kind, node);
            for (key, value) in lines {
                let value = config::canonical(state, key, value);
                guest.config.insert((*key).to_owned(), value);
            }
            let volume = root.and_then(|root| state.storages.allocate(&root, vmid, disk_gib * GIB).ok());
            if let Some(volume) = volume {
                let line = format!("{volume},size={disk_gib}G");
                guest.config.insert("rootfs".to_owned(), line);
            }
            guest.foreign = true;
            state.insert_guest(guest);
            power::switch_on(state, vmid);
        });
    }

    /// Puts in somebody else's running container with these lines of configuration and a disk of 8 GiB. The
    /// number must be free.
    pub fn add_foreign_container(&self, vmid: u32, node: &str, lines: &[(&str, &str)]) {
        self.add(vmid, GuestKind::Container, node, lines, 8);
    }

    /// Puts in somebody's running virtual machine. The number must be free.
    pub fn add_vm(&self, vmid: u32, node: &str) {
        self.add(vmid, GuestKind::Machine, node, &[("memory", "2048")], 32);
    }

    /// Moves a container, as high availability or a person does; it keeps running.
    pub fn move_container(&self, vmid: u32, node: &str) {
        self.act(|state| {
            if let Some(guest) = state.guest_mut(vmid) {
                guest.node = node.to_owned();
            }
        });
    }

    /// Stops a container hard, behind the API's back.
    pub fn stop_container(&self, vmid: u32) {
        self.act(|state| power::switch_off(state, vmid));
    }

    /// Starts a container as a person does who presses the button: what high availability manages is left to it.
    pub fn start_container(&self, vmid: u32) {
        self.act(|state| {
            if ha::request(state, vmid, "started", 0).is_err() {
                power::switch_on(state, vmid);
            }
        });
    }

    /// Destroys a container with its snapshots, volumes and place in high availability, as a person does.
    pub fn destroy_by_hand(&self, vmid: u32) {
        self.act(|state| {
            for id in state.storages.of(vmid) {
                if let Some(volume) = state.storages.volume_mut(vmid, &id) {
                    volume.snapshots.clear();
                }
                // A storage that is down keeps its volume.
                let _ = state.storages.free(vmid, &id);
            }
            ha::purge(state, vmid);
            state.remove_guest(vmid);
        });
    }

    /// Changes one line of a container's configuration, as a person does; `None` deletes it.
    pub fn set_config(&self, vmid: u32, key: &str, value: Option<&str>) {
        self.act(|state| {
            let value = value.map(|value| config::canonical(state, key, value));
            if let Some(guest) = state.guest_mut(vmid) {
                match value {
                    Some(value) => guest.config.insert(key.to_owned(), value),
                    None => guest.config.remove(key),
                };
            }
            state.reindex(vmid);
        });
    }

    /// Sets or clears the lock word, as `pct unlock` on the node does.
    pub fn set_lock(&self, vmid: u32, word: Option<&str>) {
        self.act(|state| {
            if let Some(guest) = state.guest_mut(vmid) {
                guest.lock = word.map(str::to_owned);
            }
        });
    }

    /// Makes a container ignore clean shutdowns.
    pub fn set_ignores_shutdown(&self, vmid: u32, ignores: bool) {
        self.act(|state| {
            if let Some(guest) = state.guest_mut(vmid) {
                guest.ignores_shutdown = ignores;
            }
        });
    }

    /// Sets what a container uses while it runs: the fraction of its cores, bytes of memory, bytes of its disk.
    pub fn set_usage(&self, vmid: u32, cpu: f64, memory: u64, disk: u64) {
        self.act(|state| {
            if let Some(guest) = state.guest_mut(vmid) {
                guest.load = Some(Load { cpu, memory, disk });
            }
        });
    }

    /// Makes an archive of a container or virtual machine as it is on a storage, as a backup job does, and returns its
    /// volume identifier.
    ///
    /// # Errors
    /// The sentence with which Proxmox would refuse it.
    pub fn back_up(&self, vmid: u32, storage: &str) -> Result<String, String> {
        self.act(|state| archives::back_up(state, vmid, storage))
    }

    /// Takes an archive away, as a person or the retention of the backup job does.
    pub fn remove_archive(&self, id: &str) {
        self.act(|state| state.archives.remove(id));
    }

    /// Spoils an archive: the storage's check has failed, and it cannot be unpacked.
    pub fn spoil_archive(&self, id: &str) {
        self.act(|state| {
            if let Some(archive) = state.archives.get_mut(id) {
                archive.corrupt = true;
            }
        });
    }

    /// Takes a snapshot behind the API's back, such as the leftover of a backup program.
    ///
    /// # Errors
    /// The sentence with which Proxmox would refuse it.
    pub fn add_snapshot(&self, vmid: u32, name: &str, description: &str) -> Result<(), String> {
        self.act(|state| {
            snapshots::prepare(state, vmid, name, &config::description(description))?;
            snapshots::finish(state, vmid, name).map(|_| ())
        })
    }

    /// Deletes a snapshot behind the API's back, as a person or a roll-back of an old LINSTOR does.
    pub fn remove_snapshot(&self, vmid: u32, name: &str) {
        self.act(|state| {
            // One that there is not is gone already.
            let _ = snapshots::finish_delete(state, vmid, name, true);
        });
    }

    /// Switches a node off or on. Its containers stop; managed ones move; with the node come back those that
    /// have `onboot`.
    pub fn set_node_offline(&self, node: &str, offline: bool) {
        self.act(|state| {
            let here = state.guests.values().filter(|guest| guest.node == node);
            let here: Vec<u32> = here.map(|guest| guest.vmid).collect();
            if offline {
                state.offline.insert(node.to_owned());
                for vmid in here {
                    if let Some(guest) = state.guest_mut(vmid) {
                        guest.running = None;
                    }
                }
            } else {
                state.offline.remove(node);
                for vmid in here {
                    let managed = ha::is_managed(state, vmid);
                    let boots = state.guests.get(&vmid).is_some_and(|guest| guest.flag("onboot"));
                    if boots && !managed {
                        power::switch_on(state, vmid);
                    }
                }
            }
            ha::notice_node(state, node);
        });
    }

    /// Takes quorum away or gives it back.
    pub fn set_quorum(&self, quorum: bool) {
        self.act(|state| state.quorum = quorum);
    }

    /// Lets a storage's controller go away or come back.
    pub fn set_storage_down(&self, storage: &str, down: bool) {
        self.act(|state| {
            if let Some(storage) = state.storages.all.get_mut(storage) {
                storage.down = down;
            }
        });
    }

    /// Takes a template away from one node, or gives it back.
    pub fn set_template_missing(&self, node: &str, template: &str, missing: bool) {
        self.act(|state| {
            let key = (node.to_owned(), template.to_owned());
            match missing {
                true => state.storages.missing_templates.insert(key),
                false => state.storages.missing_templates.remove(&key),
            };
        });
    }

    /// Lets the manager of high availability give up on a container.
    pub fn set_ha_error(&self, vmid: u32) {
        self.act(|state| {
            if let Some(service) = state.ha.services.get_mut(&ha::sid_of(vmid)) {
                service.error = true;
            }
        });
    }

    /// Orders what happens to the next task of a type (`vzcreate`, `vzdelsnapshot`, `resize` …); orders for
    /// the same type queue up.
    pub fn order_task_fault(&self, operation: &str, fault: TaskFault) {
        self.act(|state| {
            let queue = state.faults.entry(operation.to_owned()).or_default();
            queue.push_back(fault);
        });
    }

    /// Lets the next task of a type end with a sentence.
    pub fn fail_next_task(&self, operation: &str, sentence: &str) {
        self.order_task_fault(operation, TaskFault::Fail(sentence.to_owned()));
    }

    /// Sets how long tasks take that begin from now on.
    pub fn slow_tasks(&self, time: Duration) {
        self.act(|state| state.options.task_time = time);
    }

    /// Lets time pass at once: what is due by then happens in its order, before the next look.
    pub fn skip_time(&self, time: Duration) {
        self.act(|state| state.skipped += time);
    }

    /// Puts the clocks of all nodes behind by so much.
    pub fn put_clocks_behind(&self, time: Duration) {
        self.act(|state| state.put_clock_behind(time));
    }

    /// Replaces the accepted token.
    pub fn set_token(&self, token: &str) {
        self.act(|state| token.clone_into(&mut state.options.token));
    }

    /// Takes a privilege from the token everywhere, or gives it back.
    pub fn set_privilege(&self, privilege: &str, held: bool) {
        self.act(|state| {
            match held {
                true => state.options.missing_privileges.remove(privilege),
                false => state.options.missing_privileges.insert(privilege.to_owned()),
            };
        });
    }
}

impl ContainerDirectory for ProxmoxSim {
    fn running_at(&self, address: Ipv4Addr) -> Option<u32> {
        self.look(|state| state.running_at(address))
    }

    fn on_node(&self, vmid: u32) -> Option<(String, bool)> {
        self.look(|state| {
            let guest = state.guests.get(&vmid).filter(is_container)?;
            Some((guest.node.clone(), guest.running.is_some()))
        })
    }

    fn set_installed(&self, vmid: u32, installed: Installed) {
        self.act(|state| {
            if let Some(guest) = state.guest_mut(vmid) {
                guest.installed = Some(installed);
            }
        });
    }

    fn installed(&self, vmid: u32) -> Option<Installed> {
        self.look(|state| state.guests.get(&vmid)?.installed.clone())
    }
}
