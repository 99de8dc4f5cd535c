//! Backups come and go.

use hostwright::api::{BackupPhase, SITE_LABEL};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{Stage, message, reason};
use crate::world::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_taken_once_and_goes_with_its_object() {
    let stage = Stage::with(2, true).await;
    stage.back_up("first").await;
    let status = stage.backup_in("first", BackupPhase::Ready).await;
    let name = status.snapshot.clone().unwrap();
    let day = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let prefix = format!("BAK{:02}{:02}{:04}-", day.day(), day.month(), day.year());
    assert_eq!(name, format!("{prefix}1"));
    assert!(status.created_at.is_some() && status.attempts == 0);
    let object = stage.backups().get("first").await.unwrap();
    assert_eq!(object.labels().get(SITE_LABEL).map(String::as_str), Some("jane"));
    let taken = stage
        .snapshots()
        .into_iter()
        .find(|taken| taken.name == name)
        .unwrap();
    let mark = format!("hostwright:{}:{}", stage.world.namespace, object.uid().unwrap());
    assert!(taken.description.contains(&mark), "{}", taken.description);

    stage.back_up("second").await;
    let second = stage.backup_in("second", BackupPhase::Ready).await;
    assert_eq!(second.snapshot, Some(format!("{prefix}2")));
    stage.operator.assert_quiet(&stage.world).await;

    stage.delete_backup("first").await;
    stage.backup_gone("first").await;
    assert_eq!(stage.names(), ["initial".to_owned(), format!("{prefix}2")]);
    // The largest number of the day is not given twice as long as somebody has it.
    stage.back_up("third").await;
    let third = stage.backup_in("third", BackupPhase::Ready).await;
    assert_eq!(third.snapshot, Some(format!("{prefix}3")));
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_counts_objects_and_what_they_left() {
    let stage = Stage::with(2, false).await;
    stage.back_up("a").await;
    stage.backup_in("a", BackupPhase::Ready).await;
    stage.back_up("b").await;
    stage.backup_in("b", BackupPhase::Ready).await;
    // Somebody else's snapshots count for nothing.
    let proxmox = &stage.world.backends.proxmox;
    proxmox
        .add_snapshot(stage.number, "by-hand", "before I touch it")
        .unwrap();
    stage.back_up("c").await;
    let refused = stage.backup_in("c", BackupPhase::Refused).await;
    assert_eq!(reason(&refused.conditions), "QuotaExceeded");
    assert!(
        message(&refused.conditions).contains("allows 2 backups"),
        "{refused:?}"
    );
    assert_eq!(refused.snapshot, None);
    stage.operator.assert_quiet(&stage.world).await;

    // One goes, the refused one is taken.
    stage.delete_backup("a").await;
    stage.backup_gone("a").await;
    stage.backup_in("c", BackupPhase::Ready).await;

    // What is retained counts on, although no object knows it any more.
    stage
        .patch_backup("b", json!({"spec": {"deletionPolicy": "Retain"}}))
        .await;
    stage.delete_backup("b").await;
    stage.backup_gone("b").await;
    assert_eq!(stage.names().len(), 4, "{:?}", stage.names());
    stage.back_up("d").await;
    let refused = stage.backup_in("d", BackupPhase::Refused).await;
    assert!(
        message(&refused.conditions).contains("1 of them snapshots of objects that are gone"),
        "{refused:?}"
    );

    // A larger Plan lets it in.
    let plan = json!({"spec": {"wordpress": {"backups": 3}}});
    stage.world.patch_plan(plan).await;
    stage.backup_in("d", BackupPhase::Ready).await;
    stage.delete_backup("d").await;
    stage.backup_gone("d").await;
    assert!(stage.names().contains(&"by-hand".to_owned()));
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_take_turns_and_none_is_over_the_quota() {
    let stage = Stage::with(3, false).await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        stage.back_up(name).await;
    }
    let count = async |phase: BackupPhase| {
        let list = stage.backups().list(&Default::default()).await.unwrap();
        let of = |backup: &&hostwright::api::SiteBackup| {
            backup.status.as_ref().and_then(|status| status.phase) == Some(phase)
        };
        list.items.iter().filter(of).count()
    };
    eventually("three are ready and two are refused", || async {
        match (count(BackupPhase::Ready).await, count(BackupPhase::Refused).await) {
            (3, 2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(stage.names().len(), 4);
    assert_eq!(
        stage.calls("POST", "/snapshot"),
        4,
        "one try for each, and initial"
    );
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_waits_for_its_site_and_goes_without_one() {
    let stage = Stage::with(2, false).await;
    stage
        .object("SiteBackup", "early", json!({"site": "later"}))
        .await;
    let status = stage.backup_in("early", BackupPhase::Refused).await;
    assert_eq!(reason(&status.conditions), "SiteNotFound");
    stage.world.apply(&stage.world.site("later")).await;
    let status = stage.backup_in("early", BackupPhase::Ready).await;
    assert!(status.snapshot.is_some());

    // The site goes with all its snapshots; the backup tells it.
    stage.world.delete("later").await;
    stage.world.wait_until_gone("later").await;
    let status = stage.backup_in("early", BackupPhase::Lost).await;
    assert_eq!(reason(&status.conditions), "SnapshotLost");
    // Another site of that name has nothing to do with it.
    stage.world.apply(&stage.world.site("later")).await;
    stage.world.wait_for("later", "Ready", "True").await;
    stage.backup_in("early", BackupPhase::Lost).await;
    stage.delete_backup("early").await;
    stage.backup_gone("early").await;
    stage.world.delete("later").await;
    stage.world.wait_until_gone("later").await;
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_gone_is_lost_and_not_taken_again() {
    let stage = Stage::with(1, false).await;
    stage.back_up("a").await;
    let status = stage.backup_in("a", BackupPhase::Ready).await;
    let name = status.snapshot.unwrap();
    stage.world.backends.proxmox.remove_snapshot(stage.number, &name);
    let asked = |token: &str| json!({"metadata": {"annotations": {"hostwright.dev/reconcile-at": token}}});
    stage.patch_backup("a", asked("1")).await;
    stage.backup_in("a", BackupPhase::Lost).await;
    stage.patch_backup("a", asked("2")).await;
    stage.operator.assert_quiet(&stage.world).await;
    assert_eq!(stage.names(), ["initial"]);
    // It leaves its place to another one.
    stage.back_up("b").await;
    stage.backup_in("b", BackupPhase::Ready).await;
    stage.delete_backup("a").await;
    stage.backup_gone("a").await;
    assert_eq!(stage.names().len(), 2);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_not_the_sites_is_not_touched() {
    let stage = Stage::with(2, false).await;
    let proxmox = &stage.world.backends.proxmox;
    let description = proxmox.container(stage.number).unwrap().description;
    proxmox.set_config(stage.number, "description", Some("mine now"));
    stage.back_up("a").await;
    stage.backup_says("a", "Conflict").await;
    assert_eq!(stage.names(), ["initial"]);
    proxmox.set_config(stage.number, "description", Some(&description));
    stage.backup_in("a", BackupPhase::Ready).await;

    proxmox.set_config(stage.number, "description", Some("mine again"));
    stage.delete_backup("a").await;
    stage.backup_says("a", "Conflict").await;
    assert_eq!(stage.names().len(), 2);
    proxmox.set_config(stage.number, "description", Some(&description));
    stage.backup_gone("a").await;
    assert_eq!(stage.names(), ["initial"]);
    stage.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_backup_is_left_alone() {
    let stage = Stage::with(1, false).await;
    let paused = |value: Value| json!({"metadata": {"annotations": {"hostwright.dev/paused": value}}});
    stage.back_up("a").await;
    stage.backup_in("a", BackupPhase::Ready).await;
    stage.patch_backup("a", paused(json!("true"))).await;
    stage.delete_backup("a").await;
    stage.operator.assert_quiet(&stage.world).await;
    assert_eq!(stage.names().len(), 2);
    stage.patch_backup("a", paused(Value::Null)).await;
    stage.backup_gone("a").await;
    assert_eq!(stage.names(), ["initial"]);
    stage.ends().await;
}
