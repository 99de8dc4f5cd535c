//! The part of the contract about the disk: growth, and rollback, which takes the configuration back with it.

use hostwright::sim::proxmox::TaskFault;

use super::changes::{INITIAL, larger};
use super::trouble::kind;
use super::*;

pub async fn a_disk_grows_to_a_size_and_not_by_one(version: PveVersion) {
    let scene = Scene::with(version, |options| options.device_excess_bytes = 4 << 20).await;
    let host = &scene.host;
    scene.created().await;
    for small in [1, 19, 20] {
        assert_eq!(
            host.grow(id(), &owner(), Gib(small)).await.unwrap(),
            None,
            "{small}"
        );
    }
    scene.grown(30).await;
    assert_eq!(host.grow(id(), &owner(), Gib(30)).await.unwrap(), None);
    assert_eq!(host.grow(id(), &owner(), Gib(20)).await.unwrap(), None);
    assert_eq!(scene.there().await.disk, Gib(30));
    // A worker that did nothing is seen by reading, and repeated.
    scene.sim.order_task_fault("resize", TaskFault::Hollow);
    let task = host.grow(id(), &owner(), Gib(40)).await.unwrap().unwrap();
    scene.done(task).await;
    assert_eq!(scene.there().await.disk, Gib(30));
    scene.grown(40).await;
    scene.sim.fail_next_task(
        "resize",
        "Cannot resize volume, because we have a non-UpToDate DRBD device.",
    );
    let task = host.grow(id(), &owner(), Gib(50)).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    scene.grown(50).await;
    assert_eq!(scene.found(Operation::Resize).await.len(), 5);
}

pub async fn a_device_that_grew_alone_is_brought_together_with_its_configuration(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    let half = TaskFault::FailAfterDisks("got timeout".to_owned());
    scene.sim.order_task_fault("resize", half.clone());
    let task = host.grow(id(), &owner(), Gib(30)).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    assert_eq!(
        (
            scene.there().await.disk,
            scene.sim.container(907).unwrap().disk_gib
        ),
        (Gib(20), 30)
    );
    let task = host.grow(id(), &owner(), Gib(30)).await.unwrap().unwrap();
    scene.done(task).await;
    assert_eq!(
        (
            scene.there().await.disk,
            scene.sim.container(907).unwrap().disk_gib
        ),
        (Gib(31), 31)
    );
    assert_eq!(host.grow(id(), &owner(), Gib(30)).await.unwrap(), None);
    // Not without end: what lies further apart is a person's.
    scene.sim.order_task_fault("resize", half);
    let task = host.grow(id(), &owner(), Gib(40)).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    let error = host.grow(id(), &owner(), Gib(35)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("pct rescan --vmid 907"), "{error}");
}

pub async fn a_rollback_brings_the_old_configuration_back(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    scene.sim.set_config(907, "tags", Some("old"));
    scene.sim.set_config(907, "onboot", Some("0"));
    scene.snapped(INITIAL).await;
    scene.configured(&larger()).await;
    scene.grown(30).await;
    scene.sim.set_config(
        907,
        "description",
        Some(&format!("edited by a person\n{}", owner())),
    );
    scene.stopped().await;
    let task = host.roll_back(id(), &owner(), INITIAL).await.unwrap();
    scene.done(task).await;
    let back = scene.there().await;
    assert_eq!(
        (
            back.memory,
            back.cores,
            back.disk,
            back.hostname.as_str(),
            back.address
        ),
        (Mib(2048), 2, Gib(20), "shop", Some(ip(20)))
    );
    assert_eq!((back.running, back.deviates, back.lock), (false, true, None));
    assert_eq!(back.mark, Some(owner()), "the description survives");
    assert!(scene.line("description").starts_with("edited by a person"));
    assert_eq!(scene.found(Operation::Rollback).await.len(), 1);

    // What shall be is applied again.
    scene.configured(&larger()).await;
    scene.grown(30).await;
    let task = host.start(id()).await.unwrap().unwrap();
    scene.done(task).await;
    let whole = scene.there().await;
    assert_eq!(
        (whole.memory, whole.disk, whole.deviates, whole.running),
        (Mib(4096), Gib(30), false, true)
    );
    // A repetition is a rollback like the first.
    scene.stopped().await;
    let task = host.roll_back(id(), &owner(), INITIAL).await.unwrap();
    scene.done(task).await;
    assert_eq!(scene.there().await.disk, Gib(20));
}

pub async fn a_rollback_needs_a_whole_snapshot_and_a_stopped_container(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    scene.snapped(INITIAL).await;
    let running = host.roll_back(id(), &owner(), INITIAL).await.unwrap_err();
    assert_eq!(running.kind(), ErrorKind::Conflict);
    assert!(running.message().contains("stop"), "{running}");
    assert!(scene.there().await.running, "it was not killed");
    scene.stopped().await;
    for none in ["other", "current"] {
        assert_eq!(
            kind(host.roll_back(id(), &owner(), none).await),
            ErrorKind::NotFound
        );
    }
    scene.sim.fail_next_task("vzdelsnapshot", "storage is busy");
    let task = host.delete_snapshot(id(), INITIAL).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    let locked = host.roll_back(id(), &owner(), INITIAL).await.unwrap_err();
    assert_eq!(locked.kind(), ErrorKind::Conflict);
    assert!(locked.message().contains("pct unlock 907"), "{locked}");
    scene.sim.set_lock(907, None);
    let half = host.roll_back(id(), &owner(), INITIAL).await.unwrap_err();
    assert_eq!(half.kind(), ErrorKind::Conflict);
    assert!(half.message().contains("unfinished (delete)"), "{half}");
    assert_eq!(scene.found(Operation::Rollback).await, []);
}

pub async fn a_refused_rollback_leaves_a_lock_for_a_person(version: PveVersion) {
    let scene = Scene::with(version, |options| options.rollback_newest_only = true).await;
    let host = &scene.host;
    scene.created().await;
    scene.snapped(INITIAL).await;
    scene.snapped("second").await;
    scene.stopped().await;
    let task = host.roll_back(id(), &owner(), INITIAL).await.unwrap();
    let TaskState::Failed(sentence) = scene.end(&task).await else {
        panic!("the storage did not refuse");
    };
    assert!(sentence.contains("most recent snapshot"), "{sentence}");
    assert_eq!(scene.there().await.lock.as_deref(), Some("rollback"));
    for stuck in [
        host.roll_back(id(), &owner(), "second").await.map(drop),
        host.configure(id(), &owner(), &larger()).await,
        host.grow(id(), &owner(), Gib(30)).await.map(drop),
    ] {
        let error = stuck.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.message().contains("pct unlock 907"), "{error}");
    }
    scene.sim.set_lock(907, None);
    let task = host.roll_back(id(), &owner(), "second").await.unwrap();
    scene.done(task).await;
}
