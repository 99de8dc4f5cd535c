//! The part of the contract about archives of the hoster's backup job, and the restore of a lost container.

use std::collections::BTreeSet;

use hostwright::providers::container_host::{Archive, ArchiveRestore};
use hostwright::sim::directory::{ContainerDirectory, Installed};
use hostwright::sim::proxmox::SimStorage;

use super::trouble::kind;
use super::*;

/// Storage for backups on each node.
const LOCAL: &str = "local";

fn with_data(scene: &Scene, host: &str) {
    scene.sim.set_installed(907, Installed::fresh(host));
}

fn of(archive: &Archive) -> ArchiveRestore {
    ArchiveRestore {
        id: id(),
        node: archive.nodes.first().unwrap().clone(),
        archive: archive.id.clone(),
        owner: owner(),
    }
}

async fn newest(scene: &Scene) -> Option<Archive> {
    scene.host.newest_archive(id(), &owner()).await.unwrap()
}

/// A container of ours was backed up and is lost.
async fn lost(scene: &Scene) -> Archive {
    scene.created().await;
    with_data(scene, "shop.example.com");
    scene.sim.back_up(907, LOCAL).unwrap();
    scene.sim.destroy_by_hand(907);
    newest(scene).await.unwrap()
}

pub async fn a_lost_container_comes_back_from_its_newest_archive(version: PveVersion) {
    let scene = Scene::with(version, |options| {
        options.storages.push(SimStorage {
            name: "vault".to_owned(),
            plugin: "pbs".to_owned(),
            content: "backup".to_owned(),
            shared: true,
            snapshots: false,
            total_gib: 1 << 10,
        });
    })
    .await;
    scene.created().await;
    assert_eq!(newest(&scene).await, None);
    with_data(&scene, "old.example.com");
    let older = scene.sim.back_up(907, LOCAL).unwrap();
    let first = newest(&scene).await.unwrap();
    assert_eq!(
        (&first.id, first.nodes.len()),
        (&older, 1),
        "only its node has it"
    );
    with_data(&scene, "shop.example.com");
    scene.sim.skip_time(24 * HOUR);
    let id_of_newest = scene.sim.back_up(907, "vault").unwrap();
    let second = newest(&scene).await.unwrap();
    assert_eq!((&second.id, second.nodes.len()), (&id_of_newest, 3));
    let day = second.taken_at.as_second() - first.taken_at.as_second();
    assert!(day >= 24 * 3600, "{day}");
    // One whose check failed is passed over.
    let spoilt = scene.sim.back_up(907, "vault").unwrap();
    scene.sim.spoil_archive(&spoilt);
    assert_eq!(newest(&scene).await, Some(second.clone()));

    scene.sim.destroy_by_hand(907);
    assert_eq!(
        newest(&scene).await,
        Some(second.clone()),
        "it outlives its container"
    );
    let before = Timestamp::from_second(Timestamp::now().as_second() + 24 * 3600 - 60).unwrap();
    let task = scene.host.restore_archive(&of(&second)).await.unwrap();
    scene.done(task.clone()).await;
    let back = scene.there().await;
    assert_eq!((back.mark, back.running), (Some(owner()), false));
    assert_eq!(
        (back.memory, back.disk, back.address),
        (Mib(2048), Gib(20), Some(ip(20)))
    );
    assert_eq!(
        scene.host.snapshots(id()).await.unwrap(),
        [],
        "they were in its disk"
    );
    assert_eq!(scene.sim.installed(907).unwrap().host, "shop.example.com");
    let found = scene
        .host
        .tasks_of(id(), Operation::Recover, before)
        .await
        .unwrap();
    assert_eq!(found.iter().map(|task| &task.id).collect::<Vec<_>>(), [&task]);
    assert_eq!(scene.sim.archives().len(), 3, "archives stay");
    let config = scene.sim.container(907).unwrap().config;
    assert_eq!(config["unprivileged"], "1");
    scene.destroyed().await;
}

pub async fn an_archive_of_somebody_else_is_never_restored(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    for description in [String::new(), "made by hand".to_owned(), stranger().to_string()] {
        scene.occupy(&description);
        let theirs = scene.sim.back_up(907, LOCAL).unwrap();
        scene.sim.destroy_by_hand(907);
        assert_eq!(newest(&scene).await, None, "{description}");
        let restore = ArchiveRestore {
            id: id(),
            node: "pve1".to_owned(),
            archive: theirs,
            owner: owner(),
        };
        assert_eq!(kind(host.restore_archive(&restore).await), ErrorKind::Conflict);
    }
    scene.sim.add_vm(907, "pve1");
    scene.sim.back_up(907, LOCAL).unwrap();
    scene.sim.destroy_by_hand(907);
    assert_eq!(newest(&scene).await, None);
    assert_eq!(scene.sim.containers(), []);
    // Ours is found among them, although theirs are newer.
    let ours = lost(&scene).await;
    scene.sim.skip_time(HOUR);
    scene.occupy(&stranger().to_string());
    scene.sim.back_up(907, LOCAL).unwrap();
    scene.sim.destroy_by_hand(907);
    assert_eq!(newest(&scene).await, Some(ours));
}

pub async fn nothing_is_restored_over_a_container(version: PveVersion) {
    let scene = Scene::open(version).await;
    let archive = lost(&scene).await;
    scene.occupy(&stranger().to_string());
    let writes = scene.writes();
    assert_eq!(
        kind(scene.host.restore_archive(&of(&archive)).await),
        ErrorKind::Conflict
    );
    assert_eq!(scene.writes(), writes);
    scene.untouched();
    // Somebody is faster between the look and the call: Proxmox itself refuses, for nothing asks it to overwrite.
    scene.sim.destroy_by_hand(907);
    scene.sim.add_vm(907, "pve2");
    assert_eq!(
        kind(scene.host.restore_archive(&of(&archive)).await),
        ErrorKind::Conflict
    );
    assert_eq!(scene.sim.foreign_writes(), Vec::<String>::new());
}

pub async fn what_cannot_be_seen_is_no_absence(version: PveVersion) {
    let scene = Scene::open(version).await;
    let archive = lost(&scene).await;
    let host = &scene.host;
    for (right, named) in [
        ("VM.Backup", "VM.Backup on /vms"),
        (
            "Datastore.AllocateSpace",
            "Datastore.AllocateSpace on /storage/local",
        ),
    ] {
        scene.sim.set_privilege(right, false);
        let error = host.newest_archive(id(), &owner()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{right}");
        assert!(error.message().contains(named), "{error}");
        scene.sim.set_privilege(right, true);
    }
    for right in ["Datastore.AllocateSpace", "Datastore.Audit"] {
        scene.sim.set_privilege(right, false);
    }
    let error = host.newest_archive(id(), &owner()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "no storage is seen: {error}");
    for right in ["Datastore.AllocateSpace", "Datastore.Audit"] {
        scene.sim.set_privilege(right, true);
    }
    scene.sim.set_storage_down(LOCAL, true);
    assert_eq!(
        kind(host.newest_archive(id(), &owner()).await),
        ErrorKind::Unavailable
    );
    scene.sim.set_storage_down(LOCAL, false);
    scene.sim.set_node_offline("pve3", true);
    assert_eq!(
        kind(host.newest_archive(id(), &owner()).await),
        ErrorKind::Unavailable
    );
    scene.sim.set_node_offline("pve3", false);
    scene.order("GET", "/vzdump/extractconfig", Trouble::CutBefore);
    assert_eq!(
        kind(host.newest_archive(id(), &owner()).await),
        ErrorKind::Unavailable
    );
    assert_eq!(newest(&scene).await, Some(archive.clone()));
    // Gone between the look and the restore.
    scene.sim.remove_archive(&archive.id);
    assert!(host.restore_archive(&of(&archive)).await.is_err());
    assert_eq!(newest(&scene).await, None);
    assert_eq!(scene.sim.containers(), []);
}

pub async fn a_restore_is_found_again_and_fails_late(version: PveVersion) {
    let scene = Scene::open(version).await;
    let archive = lost(&scene).await;
    let host = &scene.host;
    scene
        .sim
        .fail_next_task("vzrestore", "unable to restore CT 907 - no space left");
    let task = host.restore_archive(&of(&archive)).await.unwrap();
    let TaskState::Failed(sentence) = scene.end(&task).await else {
        panic!("it must fail");
    };
    assert!(sentence.contains("no space left"), "{sentence}");
    assert_eq!(host.container(id()).await.unwrap(), None);
    assert_eq!(newest(&scene).await, Some(archive.clone()));
    scene.sim.spoil_archive(&archive.id);
    let task = host.restore_archive(&of(&archive)).await.unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    assert_eq!(scene.sim.containers(), [], "nothing half is left");

    let archive = lost(&scene).await;
    scene.sim.slow_tasks(HOUR);
    scene.order("POST", "/lxc", Trouble::CutAfter);
    let asked = host.restore_archive(&of(&archive)).await;
    assert_eq!(kind(asked), ErrorKind::Ambiguous);
    let found = host
        .tasks_of(id(), Operation::Recover, scene.begun)
        .await
        .unwrap();
    assert_eq!(found[0].state, TaskState::Running, "{found:?}");
    let hidden = scene.there().await;
    assert_eq!((hidden.mark, hidden.lock.as_deref()), (None, Some("create")));
    assert_eq!(
        kind(host.restore_archive(&of(&archive)).await),
        ErrorKind::Conflict,
        "never twice"
    );
    scene.sim.skip_time(2 * HOUR);
    scene.done(found[0].id.clone()).await;
    assert_eq!(scene.there().await.mark, Some(owner()));
}

pub async fn archives_are_no_leftovers(version: PveVersion) {
    let scene = Scene::with(version, |options| {
        for storage in &mut options.storages {
            if storage.name == "drbd" {
                storage.content = "images,rootdir,backup".to_owned();
            }
        }
    })
    .await;
    scene.created().await;
    scene.sim.back_up(907, "drbd").unwrap();
    scene.stopped().await;
    scene.destroyed().await;
    let archive = newest(&scene).await.unwrap();
    assert_eq!(
        archive.nodes,
        BTreeSet::from(["pve1", "pve2", "pve3"].map(str::to_owned))
    );
}
