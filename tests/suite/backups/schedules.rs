//! Backups by the clock.

use std::time::Duration;

use hostwright::api::{BackupPhase, SCHEDULED_LABEL, SITE_LABEL, SiteBackup};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use super::Stage;
use crate::world::eventually_within;

/// Longer than the minute to the next time.
const A_MINUTE_AND_MORE: Duration = Duration::from_secs(120);

fn phase(backup: &SiteBackup) -> Option<BackupPhase> {
    backup.status.as_ref().and_then(|status| status.phase)
}

// It waits for a real minute: the API server's clock is nobody's to turn.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_makes_a_backup_and_the_oldest_of_its_own_goes() {
    let stage = Stage::with(2, false).await;
    stage.back_up("mine").await;
    stage.backup_in("mine", BackupPhase::Ready).await;
    // As if the schedule had made it yesterday.
    let labels = json!({SCHEDULED_LABEL: "true"});
    let old = json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "SiteBackup",
        "metadata": {"name": "jane-20251119-0330", "namespace": stage.world.namespace, "labels": labels},
        "spec": {"site": "jane"},
    });
    stage.world.apply(&old).await;
    stage.backup_in("jane-20251119-0330", BackupPhase::Ready).await;
    let schedule = json!({"spec": {"backupSchedule": {"cron": "* * * * *", "keep": 5}}});
    stage.world.patch("jane", schedule).await;

    let looks = Duration::from_millis(100);
    let made = eventually_within(A_MINUTE_AND_MORE, looks, "a backup by the clock", || async {
        let of = ListParams::default().labels(&format!("{SCHEDULED_LABEL}=true,{SITE_LABEL}=jane"));
        let list = stage.backups().list(&of).await.unwrap();
        let made = list.items.iter().find(|backup| {
            backup.name_any() != "jane-20251119-0330" && phase(backup) == Some(BackupPhase::Ready)
        });
        made.cloned().ok_or_else(|| format!("{:?}", list.items))
    })
    .await;
    // A minute that comes meanwhile finds nothing to do.
    let stop = json!({"spec": {"backupSchedule": null}});
    stage.world.patch("jane", stop).await;
    let day = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime("jane-%Y%m%d-")
        .to_string();
    assert!(made.name_any().starts_with(&day), "{}", made.name_any());
    stage.backup_gone("jane-20251119-0330").await;
    stage.backup_in("mine", BackupPhase::Ready).await;
    assert_eq!(stage.names().len(), 3, "{:?}", stage.names());
    stage.ends().await;
}
