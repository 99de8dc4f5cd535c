//! Sites are rolled back.

use std::time::Duration;

use hostwright::api::{BackupPhase, Phase, RestorePhase};
use hostwright::sim::faults::Trouble;
use kube::api::DeleteParams;
use serde_json::json;

use super::{Stage, reason};

/// A site with two backups; somebody has changed its container since.
async fn backed_up(high_availability: bool) -> Stage {
    let stage = Stage::with(3, high_availability).await;
    for name in ["old", "new"] {
        stage.back_up(name).await;
        stage.backup_in(name, BackupPhase::Ready).await;
    }
    stage
}

async fn rolled_back(high_availability: bool) {
    let stage = backed_up(high_availability).await;
    // The plan grows; the roll-back brings the old sizes back, and the site its own ones again.
    let plan = json!({"spec": {"wordpress": {"memoryMib": 4096, "diskGib": 40}}});
    stage.world.patch_plan(plan).await;
    let grown = |memory| {
        stage
            .world
            .wait_for_status("jane", "the sizes of its Plan", move |status| {
                status
                    .resources
                    .is_some_and(|sizes| sizes.memory_mib == memory && sizes.disk_gib == 40)
            })
    };
    grown(4096).await;
    stage.world.wait_for_phase("jane", Phase::Running).await;

    stage.restore("back", json!({"backup": "old"})).await;
    let status = stage.restore_in("back", RestorePhase::Completed).await;
    assert!(status.started_at.is_some() && status.finished_at.is_some());
    assert_eq!(status.tasks, []);
    let old = stage.backup_in("old", BackupPhase::Ready).await;
    assert_eq!(status.snapshot, old.snapshot);
    assert_eq!(stage.calls("POST", "/rollback"), 1);
    stage.world.wait_for_phase("jane", Phase::Running).await;
    let container = stage.world.backends.proxmox.container(stage.number).unwrap();
    assert!(container.running && container.lock.is_none());
    assert_eq!((container.memory_mib, container.disk_gib), (4096, 40));
    let managed = stage.world.backends.proxmox.ha_resources();
    let states: Vec<&str> = managed.iter().map(|resource| resource.state.as_str()).collect();
    let wanted: &[&str] = if high_availability { &["started"] } else { &[] };
    assert_eq!(states, wanted);
    stage.backup_in("new", BackupPhase::Ready).await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_rolled_back_and_brought_to_its_spec_again() {
    rolled_back(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_under_high_availability_is_rolled_back() {
    rolled_back(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_brings_the_beginning_back_and_then_goes() {
    let stage = backed_up(false).await;
    stage
        .restore(
            "reset",
            json!({"snapshot": "initial", "ttlSecondsAfterFinished": 2}),
        )
        .await;
    stage.restore_in("reset", RestorePhase::Completed).await;
    stage.world.wait_for_phase("jane", Phase::Running).await;
    stage.restore_gone("reset").await;
    // A second one is a second roll-back, not the first one once more.
    stage.restore("again", json!({"snapshot": "initial"})).await;
    stage.restore_in("again", RestorePhase::Completed).await;
    assert_eq!(stage.calls("POST", "/rollback"), 2);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_that_the_storage_dropped_are_lost() {
    let stage = backed_up(false).await;
    let new = stage.backup_in("new", BackupPhase::Ready).await.snapshot.unwrap();
    let proxmox = &stage.world.backends.proxmox;
    proxmox.slow_tasks(Duration::from_millis(500));
    stage.restore("back", json!({"backup": "old"})).await;
    stage.restore_in("back", RestorePhase::RollingBack).await;
    proxmox.slow_tasks(Duration::ZERO);
    proxmox.remove_snapshot(stage.number, &new);
    stage.restore_in("back", RestorePhase::Completed).await;
    stage.backup_in("new", BackupPhase::Lost).await;
    stage.backup_in("old", BackupPhase::Ready).await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_rolls_nothing_back_twice() {
    for managed in [false, true] {
        let stage = backed_up(managed).await;
        stage.trouble("POST", "/rollback", 1, Trouble::CutAfter);
        stage.trouble("POST", "/status/shutdown", 1, Trouble::CutAfter);
        stage.restore("back", json!({"backup": "new"})).await;
        stage.restore_in("back", RestorePhase::Completed).await;
        assert_eq!(stage.calls("POST", "/rollback"), 1);
        stage.ends().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_rolls_back_once() {
    let mut stage = backed_up(true).await;
    let mut restores = 0;
    stage
        .world
        .backends
        .proxmox
        .slow_tasks(Duration::from_millis(200));
    for after in [0, 30, 80, 150, 300, 500, 800] {
        let name = format!("after-{after}");
        stage.restore(&name, json!({"backup": "new"})).await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        stage.operator.kill();
        stage.operator = stage.world.operator().await;
        stage.restore_in(&name, RestorePhase::Completed).await;
        restores += 1;
        assert_eq!(
            stage.calls("POST", "/rollback"),
            restores,
            "killed after {after} ms"
        );
        stage.world.wait_for_phase("jane", Phase::Running).await;
    }
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_restores_and_a_backup_take_turns() {
    let stage = backed_up(false).await;
    stage
        .world
        .backends
        .proxmox
        .slow_tasks(Duration::from_millis(100));
    stage.restore("one", json!({"backup": "old"})).await;
    stage.restore("two", json!({"backup": "new"})).await;
    stage.back_up("meanwhile").await;
    let one = stage.restore_in("one", RestorePhase::Completed).await;
    let two = stage.restore_in("two", RestorePhase::Completed).await;
    // Of two of one second, nobody knows the older one.
    let apart = one.finished_at <= two.started_at || two.finished_at <= one.started_at;
    assert!(apart, "{one:?} {two:?}");
    stage.backup_in("meanwhile", BackupPhase::Ready).await;
    assert_eq!(stage.calls("POST", "/rollback"), 2);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_site_stays_stopped() {
    let stage = backed_up(true).await;
    stage
        .world
        .patch("jane", json!({"spec": {"power": "Stopped"}}))
        .await;
    stage.world.wait_for_phase("jane", Phase::Stopped).await;
    stage.restore("back", json!({"backup": "old"})).await;
    stage.restore_in("back", RestorePhase::Completed).await;
    stage.world.wait_for_phase("jane", Phase::Stopped).await;
    let container = stage.world.backends.proxmox.container(stage.number).unwrap();
    assert!(!container.running);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_deleted_ends_its_step_and_hands_the_site_back() {
    let stage = backed_up(false).await;
    stage
        .world
        .backends
        .proxmox
        .slow_tasks(Duration::from_millis(300));
    for after in [0, 50, 200, 400, 700] {
        stage.restore("back", json!({"backup": "old"})).await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        stage
            .restores()
            .delete("back", &DeleteParams::default())
            .await
            .unwrap();
        stage.restore_gone("back").await;
        let container = stage.world.backends.proxmox.container(stage.number).unwrap();
        assert_eq!(container.lock, None, "deleted after {after} ms");
        let status = stage.world.wait_for("jane", "Ready", "True").await;
        assert_eq!(reason(&status.conditions), "Ready");
    }
    stage.world.wait_for_phase("jane", Phase::Running).await;
    stage.ends().await;
}
