//! Backups with trouble on their way: lost answers, failed tasks, locks, and an operator that dies.

use std::time::Duration;

use hostwright::api::BackupPhase;
use hostwright::sim::faults::Trouble;
use hostwright::stage::{BackendsOptions, Pool};
use serde_json::json;

use super::{Stage, message};
use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_snapshot() {
    let stage = Stage::with(2, false).await;
    for (name, trouble) in [
        ("cut", Trouble::CutAfter),
        (
            "refused",
            Trouble::FailAfterEffect {
                status: 502,
                body: String::new(),
            },
        ),
    ] {
        stage.trouble("POST", "/snapshot", 1, trouble);
        stage.back_up(name).await;
        stage.backup_in(name, BackupPhase::Ready).await;
    }
    assert_eq!(stage.names().len(), 3, "{:?}", stage.names());
    // The same on the way out.
    for name in ["cut", "refused"] {
        stage.trouble("DELETE", "/snapshot/", 1, Trouble::CutAfter);
        stage.delete_backup(name).await;
        stage.backup_gone(name).await;
    }
    assert_eq!(stage.names(), ["initial"]);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_task_is_tried_again_under_the_same_name_and_not_for_ever() {
    let stage = Stage::with(1, false).await;
    let proxmox = &stage.world.backends.proxmox;
    proxmox.fail_next_task("vzsnapshot", "storage is busy");
    stage.back_up("a").await;
    let status = stage.backup_in("a", BackupPhase::Ready).await;
    assert!(status.snapshot.unwrap().ends_with("-1"));
    stage.delete_backup("a").await;
    stage.backup_gone("a").await;

    for _ in 0..5 {
        proxmox.fail_next_task("vzsnapshot", "storage is broken");
    }
    stage.back_up("b").await;
    let status = eventually("it is not tried any more", || async {
        let status = stage.backups().get("b").await.unwrap().status.unwrap_or_default();
        let waits = status.phase == Some(BackupPhase::Pending);
        match message(&status.conditions).contains("tried 5 times") && waits {
            true => Ok(status),
            false => Err(format!("{status:?}")),
        }
    })
    .await;
    assert!(
        message(&status.conditions).contains("storage is broken"),
        "{status:?}"
    );
    stage.operator.assert_quiet(&stage.world).await;
    assert_eq!(stage.names(), ["initial"], "nothing half is left");
    let asked = json!({"metadata": {"annotations": {"hostwright.dev/reconcile-at": "once more"}}});
    stage.patch_backup("b", asked).await;
    stage.backup_in("b", BackupPhase::Ready).await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_of_somebody_else_is_waited_for() {
    let stage = Stage::with(1, false).await;
    let proxmox = &stage.world.backends.proxmox;
    proxmox.set_lock(stage.number, Some("backup"));
    stage.back_up("a").await;
    let waits = async |word: &str| {
        eventually("it waits for the lock", || async {
            let status = stage.backups().get("a").await.unwrap().status.unwrap_or_default();
            let said = message(&status.conditions);
            match said.contains(word) && said.contains("pct unlock") {
                true => Ok(()),
                false => Err(format!("{status:?}")),
            }
        })
        .await;
    };
    waits("locked (backup)").await;
    assert_eq!(stage.names(), ["initial"]);
    proxmox.set_lock(stage.number, None);
    stage.backup_in("a", BackupPhase::Ready).await;

    proxmox.set_lock(stage.number, Some("backup"));
    stage.delete_backup("a").await;
    waits("locked (backup)").await;
    assert_eq!(stage.names().len(), 2);
    proxmox.set_lock(stage.number, None);
    stage.backup_gone("a").await;
    stage.ends().await;
}

/// Tasks take a while, so that a pass is met in the middle of each.
async fn slow(backups: i32, high_availability: bool) -> Stage {
    let world = World::with(BackendsOptions::default(), Pool::default()).await;
    let stage = Stage::on(world, backups, high_availability).await;
    stage
        .world
        .backends
        .proxmox
        .slow_tasks(Duration::from_millis(300));
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_leaves_one_snapshot() {
    let mut stage = slow(1, false).await;
    for after in [0, 20, 60, 120, 250, 400] {
        stage.back_up("a").await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        stage.operator.kill();
        stage.operator = stage.world.operator().await;
        stage.backup_in("a", BackupPhase::Ready).await;
        assert_eq!(
            stage.names().len(),
            2,
            "killed after {after} ms: {:?}",
            stage.names()
        );
        stage.delete_backup("a").await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        stage.operator.kill();
        stage.operator = stage.world.operator().await;
        stage.backup_gone("a").await;
        assert_eq!(stage.names(), ["initial"], "killed after {after} ms");
    }
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_deleted_while_it_is_taken_leaves_nothing() {
    let stage = slow(1, false).await;
    for after in [0, 20, 60, 120, 250] {
        stage.back_up("a").await;
        tokio::time::sleep(Duration::from_millis(after)).await;
        stage.delete_backup("a").await;
        stage.backup_gone("a").await;
        assert_eq!(stage.names(), ["initial"], "deleted after {after} ms");
    }
    stage.ends().await;
}
