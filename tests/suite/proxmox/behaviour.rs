//! What the client concludes from what Proxmox says.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use hostwright::domain::{Gib, Mib, Vmid};
use hostwright::providers::container_host::{ContainerHost, HaState, Operation, TaskId, TaskState};
use hostwright::providers::proxmox::connect;
use hostwright::providers::{ErrorKind, HealthCheck};
use hostwright::sim::faults::{Fault, Trouble};
use jiff::Timestamp;
use serde_json::json;

use super::requests::spec;
use super::scripted::{Answer, Scripted, World, gate, id, owner, settings, upid};

const MOVED: &str = "Configuration file 'nodes/pve1/lxc/907.conf' does not exist";

async fn world(change: impl FnOnce(&mut World)) -> Scripted {
    let mut world = World::default();
    change(&mut world);
    Scripted::start(move |seen| world.answer(seen)).await
}

/// A world that also gives prepared answers to some lines.
async fn world_with(
    change: impl FnOnce(&mut World),
    special: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
) -> Scripted {
    let mut world = World::default();
    change(&mut world);
    Scripted::start(move |seen| special(&seen.line()).unwrap_or_else(|| world.answer(seen))).await
}

fn fault(method: &str, path: &str, trouble: Trouble) -> Fault {
    Fault {
        method: Some(method.into()),
        path_contains: path.into(),
        skip: 0,
        times: Some(1),
        trouble,
    }
}

#[tokio::test]
async fn a_container_is_read_precisely() {
    let server = world(|_| {}).await;
    let seen = server.client(|_| {}).container(id()).await.unwrap().unwrap();
    assert_eq!(
        (seen.node.as_str(), seen.running, seen.lock),
        ("pve1", true, None)
    );
    assert_eq!(seen.mark, Some(owner()));
    assert_eq!((seen.memory, seen.cores, seen.disk), (Mib(2048), 2, Gib(20)));
    assert_eq!(seen.address, Some(Ipv4Addr::new(10, 0, 0, 7)));
    assert_eq!(seen.hostname, "jane");
    assert_eq!(seen.high_availability, None);
    assert_eq!(server.seen().len(), 3, "list, configuration, status");
}

#[tokio::test]
async fn a_container_that_moved_is_followed() {
    let lists = AtomicU32::new(0);
    let before = World::default();
    let after = World {
        node: Some("pve2"),
        ..World::default()
    };
    let server = Scripted::start(move |seen| match seen.path.as_str() {
        "/cluster/resources" if lists.fetch_add(1, Ordering::SeqCst) == 0 => before.answer(seen),
        _ => after.answer(seen),
    })
    .await;
    let seen = server.client(|_| {}).container(id()).await.unwrap().unwrap();
    assert_eq!(seen.node, "pve2");
    assert_eq!(server.count("GET /cluster/resources"), 2);
}

#[tokio::test]
async fn not_on_the_node_is_not_gone_while_the_list_has_it() {
    let server = world_with(
        |_| {},
        |line| line.contains("/lxc/907").then_some(Answer::OldRefuse(500, MOVED)),
    )
    .await;
    let client = server.client(|_| {});
    let error = client.container(id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = client.destroy(id(), &owner()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(server.writes().is_empty());
}

#[tokio::test]
async fn absence_needs_a_fresh_list_and_the_right_to_see() {
    let server = world(|world| world.node = None).await;
    let client = server.client(|_| {});
    assert_eq!(client.container(id()).await.unwrap(), None);
    assert_eq!(client.destroy(id(), &owner()).await.unwrap(), None);
    assert_eq!(client.delete_snapshot(id(), "initial").await.unwrap(), None);
    assert!(client.start(id()).await.unwrap_err().is_not_found());

    let blind = world(|world| {
        world.node = None;
        world.rights = json!({"/storage/drbd": {"Datastore.Audit": 1}});
    })
    .await;
    let client = blind.client(|_| {});
    assert_eq!(
        client.container(id()).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    // A right on the pool of our containers is enough.
    let pool = world(|world| {
        world.node = None;
        world.rights = json!({"/pool/wp": {"VM.Audit": 1}});
    })
    .await;
    let client = pool.client(|settings| settings.resource_pool = Some("wp".into()));
    assert_eq!(client.container(id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_virtual_machine_of_that_number_is_a_conflict() {
    let server = world(|_| {}).await;
    let machine = Vmid::try_from(101).unwrap();
    let error = server.client(|_| {}).container(machine).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn many_passes_share_few_lists() {
    let server = world(|_| {}).await;
    let client = server.client(|_| {});
    // The first list takes its time, so that everybody asks while it is under way.
    server.server.faults.order(fault(
        "GET",
        "/cluster/resources",
        Trouble::Latency { milliseconds: 200 },
    ));
    let passes = (0..32).map(|_| client.container(id()));
    for seen in futures::future::join_all(passes).await {
        assert!(seen.unwrap().is_some());
    }
    assert_eq!(server.count("GET /cluster/resources"), 2);
}

#[tokio::test]
async fn the_survey_names_the_allowed_nodes_and_every_guest() {
    let server = world(|_| {}).await;
    let client = server.client(|settings| settings.nodes = vec!["pve2".into()]);
    let survey = client.survey().await.unwrap();
    assert_eq!(survey.nodes.keys().collect::<Vec<_>>(), ["pve2"]);
    assert_eq!(survey.nodes["pve2"].memory, Mib(16 << 10));
    assert_eq!(survey.guests.len(), 2);
}

#[tokio::test]
async fn addresses_of_others_are_in_use() {
    let server = world(|_| {}).await;
    let client = server.client(|_| {});
    let (ours, theirs) = (Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 8));
    let all = client.addresses_in_use(&BTreeSet::new()).await.unwrap();
    assert_eq!(all, BTreeSet::from([ours, theirs]));
    let other = client.addresses_in_use(&BTreeSet::from([id()])).await.unwrap();
    assert_eq!(other, BTreeSet::from([theirs]));
    assert_eq!(
        server.count("GET /nodes/pve2/qemu/101/config"),
        1,
        "read once a minute"
    );
}

#[tokio::test]
async fn a_guest_that_cannot_be_read_hides_no_address() {
    let vanished = world_with(
        |_| {},
        |line| line.ends_with("907/config").then_some(Answer::Refuse(500, MOVED)),
    )
    .await;
    // The list still names it, hence it is asked again and the answer is no proof.
    let error = vanished.client(|_| {}).addresses_in_use(&BTreeSet::new()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
    let silent = world_with(
        |_| {},
        |line| {
            line.ends_with("907/config")
                .then_some(Answer::OldRefuse(595, "No route"))
        },
    )
    .await;
    let error = silent.client(|_| {}).addresses_in_use(&BTreeSet::new()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn create_sends_what_the_container_shall_be() {
    let server = world(|_| {}).await;
    let task = server.client(|_| {}).create(&spec()).await.unwrap();
    assert_eq!(task, TaskId(upid("pve1", "vzcreate")));
    let seen = server.last("POST /nodes/pve1/lxc");
    for (name, value) in [
        ("vmid", "907"),
        ("rootfs", "drbd:20"),
        ("net0", "name=eth0,bridge=vmbr0,ip=10.0.0.10/24,gw=10.0.0.1"),
        ("unprivileged", "1"),
        ("features", "nesting=1"),
        ("onboot", "1"),
        ("start", "1"),
        ("tags", "hostwright;hw-0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11"),
    ] {
        assert_eq!(seen.param(name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(seen.param("env"), None);
    let description = seen.param("description").unwrap();
    assert!(description.lines().any(|line| line == owner().to_string()));
}

#[tokio::test]
async fn a_taken_number_is_a_conflict_and_a_lost_answer_is_ambiguous() {
    let taken = world_with(
        |_| {},
        |line| {
            (line == "POST /nodes/pve1/lxc")
                .then_some(Answer::Refuse(500, "CT 907 already exists on node 'pve2'"))
        },
    )
    .await;
    let error = taken.client(|_| {}).create(&spec()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    for trouble in [Trouble::CutAfter, Trouble::Truncate] {
        let server = world(|_| {}).await;
        server.server.faults.order(fault("POST", "/lxc", trouble));
        let error = server.client(|_| {}).create(&spec()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
        assert_eq!(server.count("POST /nodes/pve1/lxc"), 1, "never sent twice");
    }
}

#[tokio::test]
async fn tags_that_the_pool_refuses_follow_later() {
    let world = World::default();
    let server = Scripted::start(move |seen| match (seen.method.as_str(), seen.param("tags")) {
        ("POST", Some(_)) => Answer::Refuse(403, "Permission check failed (/vms/907, VM.Config.Options)"),
        _ => world.answer(seen),
    })
    .await;
    let client = server.client(|_| {});
    let task = client.create(&spec()).await.unwrap();
    assert_eq!(server.last("POST /nodes/pve1/lxc").param("tags"), None);
    client.task(&task).await.unwrap();
    client.task(&task).await.unwrap();
    assert_eq!(server.count("PUT /nodes/pve1/lxc/907/config"), 1);
    let tags = server.last("PUT /nodes/pve1/lxc/907/config").param("tags");
    assert!(tags.unwrap().starts_with("hostwright;hw-"));
}

#[tokio::test]
async fn first_boot_values_need_a_version_that_has_them() {
    let old = world(|world| world.version = "8.4.11").await;
    let mut spec = spec();
    spec.environment.insert("A".into(), "1".into());
    let error = old.client(|_| {}).create(&spec).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("9.1") && old.writes().is_empty());
    let new = world(|_| {}).await;
    spec.environment.insert("B".into(), "2".into());
    new.client(|_| {}).create(&spec).await.unwrap();
    assert_eq!(
        new.last("POST /nodes/pve1/lxc").param("env").as_deref(),
        Some("A=1\0B=2")
    );
}

#[tokio::test]
async fn power_is_idempotent() {
    let running = world(|_| {}).await;
    assert_eq!(running.client(|_| {}).start(id()).await.unwrap(), None);
    assert!(running.writes().is_empty());
    let task = running.client(|_| {}).stop(id()).await.unwrap();
    assert_eq!(task, Some(TaskId(upid("pve1", "vzshutdown"))));
    let seen = running.last("POST /nodes/pve1/lxc/907/status/shutdown");
    assert_eq!(seen.param("timeout").as_deref(), Some("90"));
    assert_eq!(seen.param("forceStop").as_deref(), Some("1"));

    let stopped = world(|world| world.running = false).await;
    assert_eq!(stopped.client(|_| {}).stop(id()).await.unwrap(), None);
    let task = stopped.client(|_| {}).start(id()).await.unwrap();
    assert_eq!(task, Some(TaskId(upid("pve1", "vzstart"))));
}

#[tokio::test]
async fn a_race_for_the_start_is_no_error_once_it_runs() {
    let running = Mutex::new(false);
    let world = World::default();
    let server = Scripted::start(move |seen| {
        let mut running = running.lock().unwrap();
        if seen.line().ends_with("status/start") {
            *running = true;
            return Answer::OldRefuse(500, "CT 907 already running");
        }
        let now = World {
            running: *running,
            ..world.clone()
        };
        now.answer(seen)
    })
    .await;
    assert_eq!(server.client(|_| {}).start(id()).await.unwrap(), None);
}

#[tokio::test]
async fn a_lock_that_only_a_person_can_clear_names_the_command() {
    let locked = Answer::Refuse(500, "CT is locked (rollback)");
    let locked = Mutex::new(Some(locked));
    let server = world_with(
        |world| world.running = false,
        move |line| {
            line.ends_with("status/start")
                .then(|| locked.lock().unwrap().take())
                .flatten()
        },
    )
    .await;
    let error = server.client(|_| {}).start(id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.message().contains("`pct unlock 907` on node pve1"),
        "{error}"
    );

    let remains = world(|world| {
        world.lock = Some("destroyed");
        world.description = String::new();
    })
    .await;
    let error = remains.client(|_| {}).destroy(id(), &owner()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.message().contains("`pct unlock 907` on node pve1"),
        "{error}"
    );

    let busy = world_with(
        |world| world.lock = Some("rollback"),
        |line| {
            let row = json!([{"upid": upid("pve1", "vzrollback"), "type": "vzrollback", "id": "907", "starttime": 1}]);
            (line == "GET /nodes/pve1/tasks").then_some(Answer::Data(row))
        },
    )
    .await;
    let error = busy.client(|_| {}).destroy(id(), &owner()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(!error.message().contains("pct"), "{error}");
    assert!(busy.writes().is_empty() && remains.writes().is_empty());
}

#[tokio::test]
async fn only_the_owner_destroys() {
    for description in [
        "",
        "somebody else's",
        "hostwright:other:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11",
    ] {
        let server = world(|world| world.description = description.into()).await;
        let error = server.client(|_| {}).destroy(id(), &owner()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(server.writes().is_empty());
    }
    let server = world(|_| {}).await;
    let task = server.client(|_| {}).destroy(id(), &owner()).await.unwrap();
    assert_eq!(task, Some(TaskId(upid("pve1", "vzdestroy"))));
    let seen = server.last("DELETE /nodes/pve1/lxc/907");
    assert_eq!(seen.param("purge").as_deref(), Some("1"));
    assert_eq!(seen.param("destroy-unreferenced-disks").as_deref(), Some("1"));
    assert_eq!(seen.param("force"), None);
}

#[tokio::test]
async fn snapshots_are_listed_without_the_present() {
    let server = world(|_| {}).await;
    let client = server.client(|_| {});
    let seen = client.snapshots(id()).await.unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        seen[0].taken_at,
        Some(Timestamp::from_second(1_709_753_281).unwrap())
    );
    assert_eq!(seen[1].broken.as_deref(), Some("delete"));
    assert_eq!(client.delete_snapshot(id(), "other").await.unwrap(), None);
    assert!(server.writes().is_empty());
    assert!(client.delete_snapshot(id(), "initial").await.unwrap().is_some());
    let error = client.take_snapshot(id(), "current", "").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn tasks_are_followed_and_found_again() {
    let unknown = world_with(
        |_| {},
        |line| {
            line.contains("/status")
                .then_some(Answer::Parameter("upid", "no such task"))
        },
    )
    .await;
    let client = unknown.client(|_| {});
    let task = TaskId(upid("pve1", "vzcreate"));
    assert_eq!(client.task(&task).await.unwrap(), TaskState::Unknown);
    assert_eq!(
        client.task(&TaskId("scribble".into())).await.unwrap(),
        TaskState::Unknown
    );

    let lists = |line: &str| {
        let row = |node: &str, start: u64, status: Option<&str>| {
            json!({"upid": upid(node, "vzcreate"), "type": "vzcreate", "id": "907", "starttime": start,
                   "endtime": status.map(|_| start + 9), "status": status})
        };
        match line {
            "GET /nodes/pve1/tasks" => Some(Answer::Data(json!([
                row("pve1", 1_000, Some("no space")),
                row("pve1", 50, Some("OK"))
            ]))),
            "GET /nodes/pve2/tasks" => Some(Answer::Data(json!([row("pve2", 2_000, None)]))),
            _ => None,
        }
    };
    let nowhere = world_with(|world| world.node = None, lists).await;
    let since = Timestamp::from_second(100).unwrap();
    let found = nowhere
        .client(|_| {})
        .tasks_of(id(), Operation::Create, since)
        .await
        .unwrap();
    let states: Vec<_> = found.into_iter().map(|record| record.state).collect();
    assert_eq!(states, [TaskState::Running, TaskState::Failed("no space".into())]);
    let somewhere = world_with(|_| {}, lists).await;
    let found = somewhere
        .client(|_| {})
        .tasks_of(id(), Operation::Create, since)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let seen = somewhere.last("GET /nodes/pve1/tasks");
    assert_eq!(seen.param("source").as_deref(), Some("all"));
    assert_eq!(seen.param("since").as_deref(), Some("100"));
    assert_eq!(somewhere.count("GET /nodes/pve2/tasks"), 0);
}

#[tokio::test]
async fn high_availability_is_set_up_once() {
    let placed = |settings: &mut hostwright::providers::proxmox::ProxmoxSettings| {
        settings.high_availability.nodes = vec!["pve1".into(), "pve2".into()];
        settings.high_availability.group = Some("wordpress".into());
    };
    let server = world(|_| {}).await;
    let client = server.client(placed);
    client
        .ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert_eq!(
        server.writes(),
        ["POST /cluster/ha/resources", "POST /cluster/ha/rules"]
    );
    let resource = server.last("POST /cluster/ha/resources");
    assert_eq!(resource.param("comment"), Some(owner().to_string()));
    assert_eq!(resource.param("group"), None, "groups are history in 9");
    assert_eq!(
        server.last("POST /cluster/ha/rules").param("nodes").as_deref(),
        Some("pve1,pve2")
    );

    let old = world(|world| world.version = "8.4.11").await;
    old.client(placed)
        .ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert_eq!(old.writes(), ["POST /cluster/ha/resources"]);
    let resource = old.last("POST /cluster/ha/resources");
    assert_eq!(resource.param("group").as_deref(), Some("wordpress"));

    let done = world(|world| {
        world.ha_state = Some("started");
        world.ha_resource = Some(json!({"state": "started", "max_restart": 0, "max_relocate": 0,
            "comment": owner().to_string()}));
        world.ha_rules = json!([{"rule": "hostwright-ct-907", "resources": "ct:907", "nodes": "pve2,pve1",
            "comment": owner().to_string()}]);
    })
    .await;
    let client = done.client(placed);
    client
        .ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert!(done.writes().is_empty());
    let seen = client
        .container(id())
        .await
        .unwrap()
        .unwrap()
        .high_availability
        .unwrap();
    assert_eq!(
        (seen.requested, seen.error, seen.placed),
        (HaState::Started, false, true)
    );
    client.remove_high_availability(id()).await.unwrap();
    assert_eq!(
        done.writes(),
        [
            "DELETE /cluster/ha/rules/hostwright-ct-907",
            "DELETE /cluster/ha/resources/ct%3A907"
        ]
    );
}

#[tokio::test]
async fn an_upgrade_under_way_is_noticed() {
    let versions = AtomicU32::new(0);
    let (old, new) = (
        World {
            version: "8.4.11",
            ..World::default()
        },
        World::default(),
    );
    let server = Scripted::start(move |seen| match (seen.path.as_str(), seen.param("group")) {
        ("/version", _) if versions.fetch_add(1, Ordering::SeqCst) == 0 => old.answer(seen),
        (_, Some(_)) => Answer::Refuse(500, "cannot index groups: ha groups have been migrated to rules"),
        _ => new.answer(seen),
    })
    .await;
    let client = server.client(|settings| {
        settings.high_availability.group = Some("wordpress".into());
        settings.high_availability.nodes = vec!["pve1".into()];
    });
    client
        .ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert_eq!(server.count("GET /version"), 2);
    assert_eq!(server.count("POST /cluster/ha/rules"), 1);
}

#[tokio::test]
async fn other_peoples_high_availability_is_left_alone() {
    let other = "hostwright:other:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
    let server = world(|world| {
        world.ha_state = Some("started");
        world.ha_resource = Some(json!({"state": "started", "comment": other}));
    })
    .await;
    let client = server.client(|_| {});
    let kind = |error: hostwright::providers::ProviderError| error.kind();
    let ensured = client
        .ensure_high_availability(id(), &owner(), HaState::Stopped)
        .await;
    assert_eq!(ensured.map_err(kind), Err(ErrorKind::Conflict));
    assert_eq!(
        client.remove_high_availability(id()).await.map_err(kind),
        Err(ErrorKind::Conflict)
    );
    assert_eq!(client.stop(id()).await.map_err(kind), Err(ErrorKind::Conflict));
    assert!(server.writes().is_empty());

    let unmarked = world(|world| {
        world.description = "made by hand".into();
        world.ha_state = Some("started");
        world.ha_resource = Some(json!({"state": "started"}));
    })
    .await;
    let client = unmarked.client(|_| {});
    assert_eq!(
        client.remove_high_availability(id()).await.map_err(kind),
        Err(ErrorKind::Conflict)
    );
    let ensured = client
        .ensure_high_availability(id(), &owner(), HaState::Stopped)
        .await;
    assert_eq!(ensured.map_err(kind), Err(ErrorKind::Conflict));
    assert!(unmarked.writes().is_empty());
}

#[tokio::test]
async fn power_of_a_managed_container_belongs_to_the_manager() {
    let managed = |state: &'static str, requested: &'static str| {
        world(move |world| {
            world.ha_state = Some(state);
            world.ha_resource = Some(json!({"state": requested, "digest": "66c960"}));
        })
    };
    let put = "PUT /cluster/ha/resources/ct%3A907";
    let server = managed("started", "started").await;
    assert_eq!(server.client(|_| {}).stop(id()).await.unwrap(), None);
    assert_eq!(server.writes(), [put]);
    assert_eq!(server.last(put).param("state").as_deref(), Some("stopped"));

    let server = managed("stopped", "stopped").await;
    server.client(|_| {}).stop(id()).await.unwrap();
    assert!(server.writes().is_empty());

    let server = managed("error", "started").await;
    server.client(|_| {}).start(id()).await.unwrap();
    assert_eq!(server.last(put).param("state").as_deref(), Some("disabled"));

    let server = managed("error", "disabled").await;
    server.client(|_| {}).start(id()).await.unwrap();
    assert!(
        server.writes().is_empty(),
        "the manager is still clearing the error"
    );

    let server = managed("ignored", "ignored").await;
    let task = server.client(|_| {}).stop(id()).await.unwrap();
    assert_eq!(task, Some(TaskId(upid("pve1", "vzshutdown"))));
}

#[tokio::test]
async fn leftovers_of_a_destroyed_container_are_removed() {
    let server = world_with(
        |world| {
            world.node = None;
            world.ha_resource = Some(json!({"state": "stopped", "comment": owner().to_string()}));
        },
        |line| {
            let rows = json!([{"volid": "drbd:pm-1a2b3c4d_907", "vmid": 907}, {"volid": "drbd:pm-2_908", "vmid": "908"}]);
            line.ends_with("/storage/drbd/content").then_some(Answer::Data(rows))
        },
    )
    .await;
    let client = server.client(|_| {});
    client.remove_high_availability(id()).await.unwrap();
    assert_eq!(server.writes(), ["DELETE /cluster/ha/resources/ct%3A907"]);
    assert_eq!(
        client.leftover_volumes(id()).await.unwrap(),
        ["drbd:pm-1a2b3c4d_907"]
    );
    assert_eq!(
        server.count("GET /nodes/pve1/storage/drbd/content"),
        1,
        "shared: one node is enough"
    );
}

#[tokio::test]
async fn health_tells_version_abilities_and_missing_rights() {
    let server = world(|_| {}).await;
    let client = server.client(|settings| settings.high_availability.nodes = vec!["pve1".into()]);
    let health = client.check().await.unwrap();
    assert_eq!(health.version, "9.2.10");
    assert_eq!(health.capabilities, ["ha-rules", "first-boot-environment"]);
    for missing in [
        "VM.Snapshot on /vms",
        "Datastore.AllocateSpace on /storage/drbd",
        "Datastore.Audit on /storage/local",
        "SDN.Use on /sdn/zones/localnetwork/vmbr0",
        "Sys.Console on / (high availability)",
    ] {
        assert!(
            health.missing_rights.iter().any(|right| right == missing),
            "{missing}"
        );
    }
    assert!(
        !health
            .missing_rights
            .iter()
            .any(|right| right == "VM.Audit on /vms")
    );

    let all = world(|world| {
        let rights = ["Sys.Audit", "SDN.Use", "Datastore.Audit", "Datastore.AllocateSpace", "VM.Audit",
            "VM.Allocate", "VM.Config.Disk", "VM.Config.CPU", "VM.Config.Memory", "VM.Config.Network",
            "VM.Config.Options", "VM.PowerMgmt", "VM.Snapshot"];
        world.version = "8.4.11";
        world.rights = json!({"/": rights.map(|right| (right, 1)).into_iter().collect::<std::collections::BTreeMap<_, _>>()});
    })
    .await;
    let health = all.client(|_| {}).check().await.unwrap();
    assert_eq!(health.missing_rights, Vec::<String>::new());
    assert_eq!(health.capabilities, ["ha-groups"]);
}

#[tokio::test]
async fn refused_credentials_and_settings_are_told() {
    let server = Scripted::start(|_| Answer::OldRefuse(401, "Authentication failed!")).await;
    let error = server.client(|_| {}).check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(!format!("{error} {error:?}").contains("not-a-real-secret"));
    let url = || "http://127.0.0.1:1".to_owned();
    let refused = |change: fn(&mut hostwright::providers::proxmox::ProxmoxSettings)| {
        let mut settings = settings(url());
        change(&mut settings);
        connect(settings, gate()).err().map(|error| error.kind())
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|s| s.token_id = "root".into()), Some(ErrorKind::Invalid));
    assert_eq!(
        refused(|s| s.token_secret = String::new().into()),
        Some(ErrorKind::Invalid)
    );
    assert_eq!(
        refused(|s| s.template = "debian".into()),
        Some(ErrorKind::Invalid)
    );
    assert_eq!(refused(|s| s.vlan = Some(0)), Some(ErrorKind::Invalid));
    assert_eq!(
        refused(|s| s.storage = "drbd:20".into()),
        Some(ErrorKind::Invalid)
    );
    assert_eq!(
        refused(|s| s.stop_grace = std::time::Duration::ZERO),
        Some(ErrorKind::Invalid)
    );
}
