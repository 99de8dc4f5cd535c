//! The part of the contract about what goes wrong: refusals, lost answers, moves, late failures, stale reads.

use std::sync::OnceLock;

use hostwright::providers::ProviderError;
use hostwright::sim::faults::Verdict;
use hostwright::sim::proxmox::TaskFault;

use super::*;

pub fn kind<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> ErrorKind {
    result.unwrap_err().kind()
}

pub async fn refused_credentials_are_denied(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    scene.sim.set_token("hostwright@pve!operator=another");
    let host = &scene.host;
    assert_eq!(kind(host.container(id()).await), ErrorKind::Denied);
    assert_eq!(kind(host.survey().await), ErrorKind::Denied);
    assert_eq!(kind(host.stop(id()).await), ErrorKind::Denied);
    assert_eq!(kind(host.check().await), ErrorKind::Denied);
    assert!(scene.sim.container(907).unwrap().running);
}

pub async fn a_missing_right_is_named(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.sim.set_privilege("VM.Allocate", false);
    let error = scene.host.create(&spec()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("VM.Allocate"), "{error}");
    assert_eq!(scene.sim.containers(), []);
    let missing = scene.host.check().await.unwrap().missing_rights;
    assert!(
        missing.iter().any(|right| right.contains("VM.Allocate")),
        "{missing:?}"
    );
}

pub async fn throttling_says_when_to_come_back(version: PveVersion) {
    let scene = Scene::open(version).await;
    let trouble = Trouble::Refuse {
        status: 429,
        body: String::new(),
        retry_after: Some(7),
    };
    scene.order("POST", "/lxc", trouble);
    let throttled = ErrorKind::Throttled {
        retry_after: Some(Duration::from_secs(7)),
    };
    assert_eq!(kind(scene.host.create(&spec()).await), throttled);
    assert_eq!(scene.sim.containers(), []);
    scene.created().await;
}

pub async fn a_lost_answer_is_ambiguous_and_found_again(version: PveVersion) {
    let after = |status| Trouble::FailAfterEffect {
        status,
        body: String::new(),
    };
    for trouble in [
        after(500),
        after(502),
        after(596),
        Trouble::CutAfter,
        Trouble::Truncate,
    ] {
        let scene = Scene::with(version, |options| options.task_time = HOUR).await;
        let host = &scene.host;
        scene.order("POST", "/lxc", trouble.clone());
        let lost = host.create(&spec()).await;
        assert_eq!(kind(lost), ErrorKind::Ambiguous, "{trouble:?}");
        let found = host.tasks_of(id(), Operation::Create, scene.begun).await.unwrap();
        assert_eq!(found.len(), 1, "{trouble:?}");
        assert_eq!(found[0].state, TaskState::Running);
        assert_eq!(
            kind(host.create(&spec()).await),
            ErrorKind::Conflict,
            "never a second one"
        );
        scene.sim.skip_time(2 * HOUR);
        scene.done(found[0].id.clone()).await;
        assert_eq!(scene.there().await.mark, Some(owner()));
    }
}

pub async fn an_answer_that_never_comes_is_found_again(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    scene.order("POST", "/snapshot", Trouble::HangAfter);
    let host = Arc::clone(&scene.host);
    let call = tokio::spawn(async move { host.take_snapshot(id(), "initial", "").await });
    let begun = Instant::now();
    while scene.sim.container(907).unwrap().snapshots.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the call does not arrive");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // It was taken; the pass' deadline drops the call, which still waits for its answer.
    assert!(!call.is_finished());
    call.abort();
    let found = scene
        .host
        .tasks_of(id(), Operation::Snapshot, scene.begun)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    scene.done(found[0].id.clone()).await;
    assert_eq!(scene.host.snapshots(id()).await.unwrap().len(), 1);
}

pub async fn a_call_that_never_arrived_changes_nothing(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.order("POST", "/lxc", Trouble::CutBefore);
    let lost = kind(scene.host.create(&spec()).await);
    assert!(
        [ErrorKind::Ambiguous, ErrorKind::Unavailable].contains(&lost),
        "{lost:?}"
    );
    let found = scene
        .host
        .tasks_of(id(), Operation::Create, scene.begun)
        .await
        .unwrap();
    assert_eq!((found, scene.host.container(id()).await.unwrap()), (vec![], None));
    scene.created().await;
}

pub async fn a_failed_read_is_no_absence(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    let refuse = |status| Trouble::Refuse {
        status,
        body: String::new(),
        retry_after: None,
    };
    let troubles = [
        refuse(500),
        refuse(503),
        refuse(595),
        Trouble::Truncate,
        Trouble::CutAfter,
    ];
    let mut nodes = ["pve2", "pve1"].into_iter().cycle();
    for path in ["/cluster/resources", "/config", "/status/current"] {
        for trouble in &troubles {
            // Not where it was seen, so that the list is needed.
            let node = nodes.next().unwrap_or_default();
            scene.sim.move_container(907, node);
            // For as long as the client may try again by itself.
            scene.server.faults.order(Fault {
                method: Some("GET".to_owned()),
                path_contains: path.to_owned(),
                skip: 0,
                times: None,
                trouble: trouble.clone(),
            });
            assert!(scene.host.container(id()).await.is_err(), "{path} {trouble:?}");
            assert!(scene.host.destroy(id(), &owner()).await.is_err() || path == "/status/current");
            scene.server.faults.clear();
            // A success resets the breaker, so that each row stands for itself.
            assert_eq!(scene.there().await.mark, Some(owner()), "{path} {trouble:?}");
        }
    }
    assert!(scene.sim.container(907).unwrap().running);
}

/// Moves the container from where the test has put it right after the client was told that it is there.
#[derive(Default)]
pub struct Mover(pub OnceLock<ProxmoxSim>);

impl Tripwire for Mover {
    fn after_effect(&self, _: &str, _: &str, path: &str) -> Verdict {
        if path.ends_with("/cluster/resources")
            && let Some(sim) = self.0.get()
            && sim.container(907).is_some_and(|found| found.node == "pve3")
        {
            sim.move_container(907, "pve2");
        }
        Verdict::Answer
    }
}

pub async fn a_container_that_moves_is_followed(version: PveVersion) {
    let mover = Arc::new(Mover::default());
    let scene = Scene::behind(version, mover.clone()).await;
    scene.created().await;
    assert!(mover.0.set(scene.sim.clone()).is_ok());
    // Each time it is not where it was seen, and the node that the list names is the wrong one a moment later.
    let away = || scene.sim.move_container(907, "pve3");
    away();
    assert_eq!(scene.there().await.node, "pve2");
    away();
    let task = scene.host.take_snapshot(id(), "initial", "").await.unwrap();
    scene.done(task).await;
    away();
    assert_eq!(scene.host.snapshots(id()).await.unwrap().len(), 1);
    away();
    let task = scene
        .host
        .delete_snapshot(id(), "initial")
        .await
        .unwrap()
        .unwrap();
    scene.done(task).await;
    away();
    scene.stopped().await;
    away();
    scene.destroyed().await;
}

pub async fn where_it_was_seen_is_asked_first(version: PveVersion) {
    let scene = Scene::open(version).await;
    let lists = || {
        let calls = scene.server.faults.calls();
        let list = |(path, _): &(&String, &u64)| path.ends_with("/cluster/resources");
        calls.iter().filter(list).map(|(_, count)| *count).sum::<u64>()
    };
    scene.created().await;
    let before = lists();
    assert_eq!(scene.there().await.node, "pve1");
    assert!(scene.host.snapshots(id()).await.unwrap().is_empty());
    scene.configured(&changes::larger()).await;
    assert_eq!(lists(), before, "where we made it is known");
    // High availability brought it up elsewhere after its node had died.
    scene.sim.move_container(907, "pve2");
    scene.sim.set_node_offline("pve1", true);
    assert_eq!(scene.there().await.node, "pve2");
    assert_eq!(lists(), before + 1);
    scene.stopped().await;
    scene.destroyed().await;
    assert_eq!(scene.host.container(id()).await.unwrap(), None);
}

pub async fn a_node_that_is_down_hides_nothing(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    scene.sim.move_container(907, "pve3");
    scene.sim.set_node_offline("pve3", true);
    let host = &scene.host;
    assert_eq!(kind(host.container(id()).await), ErrorKind::Unavailable);
    assert!(host.destroy(id(), &owner()).await.is_err());
    assert_eq!(
        kind(host.create(&spec()).await),
        ErrorKind::Conflict,
        "its number stays taken"
    );
    let survey = host.survey().await.unwrap();
    assert!(!survey.nodes["pve3"].online && survey.nodes["pve1"].online);
    assert!(survey.guests.contains_key(&id()));
    scene.sim.set_node_offline("pve3", false);
    let back = scene.there().await;
    assert_eq!(
        (back.mark, back.node.as_str(), back.running),
        (Some(owner()), "pve3", true)
    );
}

pub async fn tasks_fail_late(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene
        .sim
        .fail_next_task("vzcreate", "unable to create CT 907 - no space left");
    let task = host.create(&spec()).await.unwrap();
    let TaskState::Failed(sentence) = scene.end(&task).await else {
        panic!("the task did not fail");
    };
    assert!(sentence.contains("no space left"), "{sentence}");
    assert_eq!(host.container(id()).await.unwrap(), None);
    assert_eq!(host.leftover_volumes(id()).await.unwrap(), Vec::<String>::new());
    scene.created().await;

    scene.sim.order_task_fault("vzsnapshot", TaskFault::Warn);
    let task = host.take_snapshot(id(), "initial", "").await.unwrap();
    assert_eq!(scene.end(&task).await, TaskState::Succeeded { warnings: true });
    assert_eq!(host.snapshots(id()).await.unwrap().len(), 1);

    scene.sim.order_task_fault("vzdelsnapshot", TaskFault::Hollow);
    let task = host.delete_snapshot(id(), "initial").await.unwrap().unwrap();
    scene.done(task).await;
    assert_eq!(
        host.snapshots(id()).await.unwrap().len(),
        1,
        "only the list proves it"
    );
    let task = host.delete_snapshot(id(), "initial").await.unwrap().unwrap();
    scene.done(task).await;
    scene.stopped().await;
    scene.destroyed().await;
}

pub async fn what_a_failed_destruction_leaves_is_seen(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    scene.stopped().await;
    let fault = TaskFault::FailAfterDisks("cfs-lock 'domain-ha' error: got lock request timeout".to_owned());
    scene.sim.order_task_fault("vzdestroy", fault);
    let task = host.destroy(id(), &owner()).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    let rest = scene.there().await;
    assert_eq!(
        rest.lock.as_deref(),
        Some("destroyed"),
        "the configuration is not nothing"
    );
    assert_eq!(
        rest.mark, None,
        "its mark went with the rest of the configuration"
    );
    let error = host.destroy(id(), &owner()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("pct unlock 907"), "{error}");
}

pub async fn orphaned_volumes_are_found(version: PveVersion) {
    let scene = Scene::with(version, |options| options.orphan_on_failed_create = true).await;
    scene.sim.fail_next_task("vzcreate", "storage lock");
    let task = scene.host.create(&spec()).await.unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    assert_eq!(scene.host.container(id()).await.unwrap(), None);
    let left = scene.host.leftover_volumes(id()).await.unwrap();
    assert_eq!(left, scene.sim.orphan_volumes());
    assert_eq!(left.len(), 1);
}

pub async fn stale_statistics_do_not_deceive(version: PveVersion) {
    let scene = Scene::with(version, |options| options.stats_lag = HOUR).await;
    let host = &scene.host;
    scene.created().await;
    assert!(
        scene.there().await.running,
        "precise although the list has no statistics yet"
    );
    assert_ne!(host.survey().await.unwrap().guests[&id()].running, Some(false));
    scene.sim.skip_time(2 * HOUR);
    assert_eq!(host.survey().await.unwrap().guests[&id()].running, Some(true));
    scene.stopped().await;
    assert!(!scene.there().await.running, "precise although the list is old");
    scene.destroyed().await;
    assert!(!host.survey().await.unwrap().guests.contains_key(&id()));
}

pub async fn storage_and_quorum_can_be_away(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    scene.stopped().await;
    scene.sim.set_storage_down("drbd", true);
    let task = host.destroy(id(), &owner()).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    assert_eq!(scene.there().await.mark, Some(owner()));
    scene.sim.set_storage_down("drbd", false);

    scene.sim.set_quorum(false);
    assert_eq!(kind(host.start(id()).await), ErrorKind::Unavailable);
    assert_eq!(scene.there().await.mark, Some(owner()), "reads go on");
    scene.sim.set_quorum(true);
    scene.destroyed().await;
}
