//! Every request that the client can send, checked against the official schema of the version it speaks to.

use std::collections::{BTreeMap, BTreeSet};

use hostwright::domain::{Gib, Mib};
use hostwright::providers::HealthCheck;
use hostwright::providers::container_host::{
    ArchiveRestore, ContainerHost, ContainerSettings, ContainerSpec, HaState, Operation, TaskId,
};
use hostwright::providers::proxmox::ProxmoxSettings;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::scripted::{Answer, Scripted, World, id, owner, upid};
use crate::contracts::{contract, pve_schema};

pub fn spec() -> ContainerSpec {
    ContainerSpec {
        id: id(),
        node: "pve1".into(),
        hostname: "jane".parse().unwrap(),
        address: std::net::Ipv4Addr::new(10, 0, 0, 10),
        memory: Mib(2048),
        swap: Mib(512),
        cores: 2,
        disk: Gib(20),
        mark: owner(),
        environment: BTreeMap::new(),
    }
}

fn everything_set(settings: &mut ProxmoxSettings) {
    settings.vlan = Some(12);
    settings.nameservers = vec![[10, 0, 0, 2].into(), [10, 0, 0, 3].into()];
    settings.search_domain = Some("example.com".into());
    settings.resource_pool = Some("wordpress".into());
    settings.high_availability.nodes = vec!["pve1".into(), "pve2".into()];
    settings.high_availability.group = Some("wordpress".into());
    settings.high_availability.max_restart = 2;
    settings.high_availability.max_relocate = 1;
}

/// Calls every method of the traits, on a container that is managed and on one that is not, running and
/// stopped, so that every request there is gets sent.
async fn call_everything(version: &'static str) -> Vec<super::scripted::Seen> {
    let managed =
        |state: &str| json!({"sid": "ct:907", "state": state, "digest": "66c960", "max_restart": 1});
    let stale_rule = json!([{
        "rule": "hostwright-ct-907", "type": "node-affinity", "resources": "ct:907", "nodes": "pve2",
        "disable": 1, "digest": "66c960",
    }]);
    let mut seen = Vec::new();
    for (running, ha_state, ha_resource, ha_rules) in [
        (true, None, None, json!([])),
        (false, None, None, json!([])),
        (true, Some("started"), Some(managed("started")), stale_rule),
        (false, Some("error"), Some(managed("started")), json!([])),
    ] {
        let world = World {
            version,
            running,
            ha_state,
            ha_resource,
            ha_rules,
            ..World::default()
        };
        let server = Scripted::start(move |seen| match seen.line().as_str() {
            // The first try with tags is refused, so that the one without them and the later change are seen.
            "POST /nodes/pve1/lxc" if seen.param("tags").is_some() => {
                Answer::Refuse(403, "Permission check failed (/vms/907, VM.Config.Options)")
            }
            _ => world.answer(seen),
        })
        .await;
        drive(&server).await;
        seen.extend(server.seen());
    }
    let unmarked = World {
        version,
        description: "Shop of Jane".to_owned(),
        ..World::default()
    };
    let server = Scripted::start(move |seen| unmarked.answer(seen)).await;
    let client = server.client(everything_set);
    client.adopt(id(), &owner()).await.unwrap();
    seen.extend(server.seen());
    seen
}

async fn drive(server: &Scripted) {
    let client = server.client(everything_set);
    client.check().await.unwrap();
    client.survey().await.unwrap();
    client.addresses_in_use(&BTreeSet::new()).await.unwrap();
    client.container(id()).await.unwrap().unwrap();
    let mut spec = spec();
    let task = client.create(&spec).await.unwrap();
    client.task(&task).await.unwrap();
    spec.environment.insert("HOSTWRIGHT_TOKEN".into(), "a b=c".into());
    // Refused without being sent where the version does not have it.
    let _ = client.create(&spec).await;
    client.start(id()).await.unwrap();
    client.stop(id()).await.unwrap();
    client.snapshots(id()).await.unwrap();
    client
        .take_snapshot(id(), "initial", "as installed\nline 2")
        .await
        .unwrap();
    client.delete_snapshot(id(), "initial").await.unwrap();
    for state in [
        HaState::Started,
        HaState::Stopped,
        HaState::Disabled,
        HaState::Ignored,
    ] {
        client
            .ensure_high_availability(id(), &owner(), state)
            .await
            .unwrap();
    }
    client.remove_high_availability(id()).await.unwrap();
    change(client.as_ref()).await;
    client.destroy(id(), &owner()).await.unwrap();
    client.task(&TaskId(upid("pve2", "vzdestroy"))).await.unwrap();
    for operation in [
        Operation::Create,
        Operation::Start,
        Operation::Stop,
        Operation::Restart,
        Operation::Resize,
        Operation::Snapshot,
        Operation::DeleteSnapshot,
        Operation::Rollback,
        Operation::Destroy,
        Operation::Recover,
    ] {
        client
            .tasks_of(id(), operation, Timestamp::UNIX_EPOCH)
            .await
            .unwrap();
    }
    client.leftover_volumes(id()).await.unwrap();
}

async fn change(client: &dyn ContainerHost) {
    let running = client.container(id()).await.unwrap().unwrap().running;
    let settings = ContainerSettings {
        hostname: Some("store".parse().unwrap()),
        address: Some(std::net::Ipv4Addr::new(10, 0, 0, 11)),
        memory: Mib(4096),
        swap: Mib(0),
        cores: 4,
    };
    client.configure(id(), &owner(), &settings).await.unwrap();
    client.grow(id(), &owner(), Gib(30)).await.unwrap().unwrap();
    // Only one of the two is possible, and the other is refused without being sent.
    assert_eq!(client.restart(id(), &owner()).await.is_ok(), running);
    assert_eq!(
        client.roll_back(id(), &owner(), "initial").await.is_ok(),
        !running
    );
}

#[tokio::test]
async fn every_request_fits_the_official_schema() {
    let schema =
        contract("pve-api-subset.json").map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
    for (text, version) in [("8.4.11", (8, 4)), ("9.0.6", (9, 0)), ("9.2.10", (9, 2))] {
        let mut lines = BTreeSet::new();
        for seen in call_everything(text).await {
            let body_allowed = matches!(seen.method.as_str(), "POST" | "PUT");
            assert!(
                if body_allowed {
                    seen.query.is_empty()
                } else {
                    seen.form.is_empty()
                },
                "{seen:?}"
            );
            assert_eq!(
                seen.authorization,
                "PVEAPIToken=hw@pve!operator=not-a-real-secret"
            );
            lines.insert(seen.line());
            if seen.path.contains("/qemu/") {
                // Not in the subset: virtual machines are only read, for their addresses.
                assert_eq!(
                    (seen.line().as_str(), seen.params().len()),
                    ("GET /nodes/pve2/qemu/101/config", 0)
                );
                continue;
            }
            if let Some(schema) = &schema {
                let checked =
                    pve_schema::check_request_for(schema, version, &seen.method, &seen.path, &seen.params());
                assert_eq!(checked, Ok(()), "version {text}");
            }
        }
        let has = |line: &str| lines.contains(line);
        assert!(has("PUT /nodes/pve1/lxc/907/config"), "the tags that were owed");
        assert!(
            has("POST /nodes/pve1/lxc/907/status/start") && has("POST /nodes/pve1/lxc/907/status/shutdown")
        );
        assert!(
            has("POST /nodes/pve1/lxc/907/status/reboot")
                && has("PUT /nodes/pve1/lxc/907/resize")
                && has("POST /nodes/pve1/lxc/907/snapshot/initial/rollback")
        );
        assert!(has("PUT /cluster/ha/resources/ct%3A907") && has("DELETE /cluster/ha/resources/ct%3A907"));
        assert_eq!(has("POST /cluster/ha/rules"), version.0 >= 9);
        assert_eq!(has("PUT /cluster/ha/rules/hostwright-ct-907"), version.0 >= 9);
        assert_eq!(has("DELETE /cluster/ha/rules/hostwright-ct-907"), version.0 >= 9);
    }
}

/// Answers about archives of a container that is gone; with a description as the archive has it.
fn archived(description: String) -> impl Fn(&super::scripted::Seen) -> Answer + Send + Sync + 'static {
    let world = World {
        node: None,
        rights: json!({
            "/vms": {"VM.Audit": 1, "VM.Backup": 1},
            "/storage": {"Datastore.AllocateSpace": 1, "Datastore.Audit": 1},
        }),
        ..World::default()
    };
    let volume = "backups:backup/vzdump-lxc-907-2026_11_20-03_00_02.tar.zst";
    move |seen| match seen.line().as_str() {
        "GET /nodes/pve1/storage" | "GET /nodes/pve2/storage" => {
            Answer::Data(json!([{"storage": "backups", "content": "backup,iso", "shared": 1, "active": 1}]))
        }
        "GET /nodes/pve1/storage/backups/content" => Answer::Data(json!([
            {"volid": volume, "ctime": 1_795_143_602, "size": 4096, "format": "tar.zst", "vmid": 907},
        ])),
        "GET /nodes/pve1/vzdump/extractconfig" => {
            assert_eq!(seen.params(), [("volume".to_owned(), volume.to_owned())]);
            Answer::Data(format!("{description}arch: amd64\nunprivileged: 1\n").into())
        }
        "POST /nodes/pve1/lxc" => Answer::Data(upid("pve1", "vzrestore").into()),
        _ => world.answer(seen),
    }
}

#[tokio::test]
async fn a_restore_sends_nothing_that_could_overwrite_or_change_owners() {
    let ours = owner().to_string().replace(':', "%3A");
    let server = Scripted::start(archived(format!("#for people\n#{ours}\n"))).await;
    let client = server.client(everything_set);
    let archive = client.newest_archive(id(), &owner()).await.unwrap().unwrap();
    assert_eq!(archive.nodes, BTreeSet::from(["pve1", "pve2"].map(str::to_owned)));
    let restore = ArchiveRestore {
        id: id(),
        node: "pve1".to_owned(),
        archive: archive.id,
        owner: owner(),
    };
    client.restore_archive(&restore).await.unwrap();
    let sent = server.last("POST /nodes/pve1/lxc").form;
    let sent: BTreeMap<&str, &str> = sent.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let expected = BTreeMap::from([
        ("ostemplate", restore.archive.as_str()),
        ("pool", "wordpress"),
        ("restore", "1"),
        ("storage", "drbd"),
        ("unprivileged", "1"),
        ("vmid", "907"),
    ]);
    assert_eq!(sent, expected);
    let Some(schema) = contract("pve-api-subset.json") else {
        return;
    };
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    // The excerpt of the official schema has no vzdump.
    for seen in server
        .seen()
        .iter()
        .filter(|seen| !seen.path.contains("/vzdump/"))
    {
        for version in [(8, 4), (9, 2)] {
            let checked =
                pve_schema::check_request_for(&schema, version, &seen.method, &seen.path, &seen.params());
            assert_eq!(checked, Ok(()), "{version:?}");
        }
    }
}

#[tokio::test]
async fn an_archive_of_another_owner_is_not_asked_for() {
    for description in [
        "",
        "#Shop of Jane\n",
        "#hostwright%3Aprod%3A1b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11\n",
    ] {
        let server = Scripted::start(archived(description.to_owned())).await;
        let client = server.client(|_| {});
        assert_eq!(client.newest_archive(id(), &owner()).await.unwrap(), None);
        assert_eq!(server.writes(), Vec::<String>::new());
    }
}
