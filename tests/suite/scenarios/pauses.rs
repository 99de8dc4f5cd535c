//! `hostwright.dev/paused`: no outside call while it is set, and on where it stopped when it is gone.

use std::time::Duration;

use hostwright::stage::{BackendsOptions, CLOUDFLARE_ZONE, Pool};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_site_is_left_alone_in_every_state() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut site = world.site("jane");
    site["metadata"]["annotations"] = json!({"hostwright.dev/paused": "true"});
    world.apply(&site).await;
    world.wait_for_reason("jane", "Synced", "Paused").await;
    operator.assert_quiet(&world).await;
    assert!(operator.calls(&world).is_empty(), "{:?}", operator.calls(&world));

    world.pause("jane", false).await;
    world.wait_for("jane", "Ready", "True").await;
    world.wait_for("jane", "Synced", "True").await;

    world.pause("jane", true).await;
    world.wait_for_reason("jane", "Synced", "Paused").await;
    let before = operator.calls(&world);
    let record = world.backends.cloudflare.records(CLOUDFLARE_ZONE).remove(0);
    world.backends.cloudflare.delete_by_hand(&record.id);
    world.ask_for_a_pass("jane", "while-paused").await;
    operator.assert_quiet(&world).await;
    assert_eq!(before, operator.calls(&world));
    let paused = world.wait_for("jane", "Ready", "True").await;
    assert!(
        paused
            .conditions
            .iter()
            .any(|c| c.type_ == "Synced" && c.status == "False")
    );

    world.pause("jane", false).await;
    world.wait_for("jane", "Synced", "True").await;
    world.ask_for_a_pass("jane", "after-the-pause").await;
    eventually("the record is back", || async {
        let records = world.backends.cloudflare.records(CLOUDFLARE_ZONE);
        if records.len() == 1 {
            Ok(())
        } else {
            Err(format!("{records:?}"))
        }
    })
    .await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_site_is_not_even_deleted() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    world.pause("jane", true).await;
    world.wait_for_reason("jane", "Synced", "Paused").await;
    let before = operator.calls(&world);
    world.delete("jane").await;
    eventually("the deletion is noticed", || async {
        let site = world.sites().get("jane").await.unwrap();
        let conditions = site.status.iter().flat_map(|status| &status.conditions);
        let mut synced = conditions.filter(|c| c.type_ == "Synced");
        match synced.any(|c| c.observed_generation == site.metadata.generation) {
            true => Ok(()),
            false => Err(format!("{:?}", site.status)),
        }
    })
    .await;
    operator.assert_quiet(&world).await;
    assert_eq!(before, operator.calls(&world));
    assert_eq!(world.backends.proxmox.containers().len(), 1);

    world.pause("jane", false).await;
    world.wait_until_gone("jane").await;
    world.end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_site_holds_up_nobody_else() {
    let pool = Pool {
        places: 1,
        ..Pool::default()
    };
    let world = World::with(BackendsOptions::default(), pool).await;
    world.backends.proxmox.slow_tasks(Duration::from_secs(15));
    let operator = world.operator().await;
    world.apply(&world.site("holder")).await;
    eventually("the first container is being created", || async {
        let status = world.status("holder").await;
        if status.tasks.is_empty() {
            Err(format!("{status:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    world.apply(&world.site("waiting")).await;
    eventually("the second site waits", || async {
        let status = world.status("waiting").await;
        status.vmid.ok_or(format!("{status:?}"))
    })
    .await;
    for name in ["holder", "waiting"] {
        world.pause(name, true).await;
        world.wait_for_reason(name, "Synced", "Paused").await;
    }
    world.backends.proxmox.slow_tasks(Duration::ZERO);
    world.apply(&world.site("third")).await;
    world.wait_for("third", "Ready", "True").await;
    for name in ["holder", "waiting"] {
        world.pause(name, false).await;
        world.wait_for(name, "Ready", "True").await;
    }
    assert_eq!(world.backends.proxmox.containers().len(), 3);
    operator.stop().await;
    world.close().await;
}
