//! Restores that are refused, by us or by the storage.

use hostwright::api::{BackupPhase, Phase, RestorePhase};
use serde_json::json;

use super::{Stage, message, reason};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rolled_back_to_is_said() {
    let stage = Stage::with(1, false).await;
    let proxmox = &stage.world.backends.proxmox;
    proxmox.add_snapshot(stage.number, "by-hand", "mine").unwrap();
    stage.back_up("a").await;
    stage.backup_in("a", BackupPhase::Ready).await;
    stage.back_up("refused").await;
    stage.backup_in("refused", BackupPhase::Refused).await;
    stage
        .object("SiteBackup", "other", json!({"site": "nobody"}))
        .await;
    stage.backup_in("other", BackupPhase::Refused).await;
    let cases = [
        (
            json!({"backup": "unknown"}),
            "BackupNotUsable",
            "no SiteBackup unknown",
        ),
        (
            json!({"backup": "refused"}),
            "BackupNotUsable",
            "no snapshot that can",
        ),
        (
            json!({"backup": "other"}),
            "BackupNotUsable",
            "of the site nobody",
        ),
        (
            json!({"snapshot": "by-hand"}),
            "SnapshotNotFound",
            "not one of ours",
        ),
        (
            json!({"snapshot": "nothing"}),
            "SnapshotNotFound",
            "no snapshot nothing",
        ),
    ];
    for (number, (spec, why, words)) in cases.into_iter().enumerate() {
        let name = format!("r{number}");
        stage.restore(&name, spec).await;
        let status = stage.restore_in(&name, RestorePhase::Failed).await;
        assert_eq!(reason(&status.conditions), why, "{status:?}");
        assert!(message(&status.conditions).contains(words), "{status:?}");
        assert!(status.finished_at.is_some() && status.started_at.is_none());
    }
    stage
        .object(
            "SiteRestore",
            "lost",
            json!({"site": "nobody", "snapshot": "initial"}),
        )
        .await;
    let status = stage.restore_in("lost", RestorePhase::Failed).await;
    assert_eq!(reason(&status.conditions), "SiteNotFound");
    assert_eq!(stage.calls("POST", "/rollback"), 0);
    stage.world.wait_for_phase("jane", Phase::Running).await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_site_is_not_rolled_back() {
    let stage = Stage::with(1, false).await;
    stage
        .world
        .patch("jane", json!({"spec": {"suspended": true}}))
        .await;
    stage.world.wait_for_phase("jane", Phase::Suspended).await;
    stage.restore("back", json!({"snapshot": "initial"})).await;
    let status = stage.restore_in("back", RestorePhase::Failed).await;
    assert_eq!(reason(&status.conditions), "Suspended");
    stage
        .world
        .patch("jane", json!({"spec": {"suspended": false}}))
        .await;
    stage.world.wait_for_phase("jane", Phase::Running).await;
    stage.restore_in("back", RestorePhase::Failed).await;
    assert_eq!(stage.calls("POST", "/rollback"), 0);
    stage.ends().await;
}

/// The storage refuses, and the task leaves its lock behind until somebody unlocks the container on its node.
async fn the_storage_refuses(high_availability: bool) {
    let stage = Stage::with(2, high_availability).await;
    stage.back_up("a").await;
    stage.backup_in("a", BackupPhase::Ready).await;
    let proxmox = &stage.world.backends.proxmox;
    proxmox.fail_next_task("vzrollback", "the volume is in use");
    stage.restore("back", json!({"backup": "a"})).await;
    let status = stage.restore_says("back", "Locked").await;
    assert_eq!(status.phase, Some(RestorePhase::RollingBack));
    let said = message(&status.conditions);
    assert!(said.contains("the volume is in use"), "{said}");
    assert!(said.contains(&format!("pct unlock {}", stage.number)), "{said}");
    assert!(!proxmox.container(stage.number).unwrap().running);
    stage.world.wait_for_reason("jane", "Ready", "Restoring").await;

    proxmox.set_lock(stage.number, None);
    let status = stage.restore_in("back", RestorePhase::Failed).await;
    assert_eq!(reason(&status.conditions), "TaskFailed");
    assert!(
        message(&status.conditions).contains("the volume is in use"),
        "{status:?}"
    );
    stage.world.wait_for_phase("jane", Phase::Running).await;
    assert!(
        stage
            .world
            .backends
            .proxmox
            .container(stage.number)
            .unwrap()
            .running
    );
    assert_eq!(stage.calls("POST", "/rollback"), 1);
    // The next one is another one.
    stage.restore("again", json!({"backup": "a"})).await;
    stage.restore_in("again", RestorePhase::Completed).await;
    assert_eq!(stage.calls("POST", "/rollback"), 2);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_storage_leaves_the_site_running() {
    the_storage_refuses(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_storage_leaves_a_managed_site_running() {
    the_storage_refuses(true).await;
}
