//! `hostwright.dev/reconcile-at`: what somebody changed by hand outside is repaired right after the token changes.

use hostwright::stage::{CLOUDFLARE_ZONE, PUBLIC_ADDRESS};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_put_right() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    let (cloudflare, npm, proxmox) = (
        &world.backends.cloudflare,
        &world.backends.npm,
        &world.backends.proxmox,
    );
    let record = || cloudflare.records(CLOUDFLARE_ZONE).into_iter().next();
    let pointed = || record().is_some_and(|record| record.content == PUBLIC_ADDRESS.to_string());
    let host = || npm.hosts().into_iter().next();
    let host_id = || host().and_then(|host| host["id"].as_u64()).unwrap();
    let forward = status.private_ip.clone().unwrap();
    let served = || {
        host().is_some_and(|host| host["forward_host"] == json!(forward) && host["enabled"] == json!(true))
    };
    let repaired = async |token: &str, right: &dyn Fn() -> bool| {
        assert!(!right(), "{token} has broken nothing");
        world.ask_for_a_pass("jane", token).await;
        eventually(token, || async {
            if right() {
                Ok(())
            } else {
                Err(format!("{:?}", world.status("jane").await))
            }
        })
        .await;
        world.wait_for("jane", "Ready", "True").await;
        operator.assert_quiet(&world).await;
    };

    cloudflare.delete_by_hand(&record().unwrap().id);
    repaired("record-deleted", &pointed).await;
    cloudflare.edit_by_hand(&record().unwrap().id, |record| {
        "192.0.2.9".clone_into(&mut record.content)
    });
    repaired("record-edited", &pointed).await;
    npm.edit_host_by_hand(host_id(), json!({"forward_host": "192.0.2.9"}))
        .unwrap();
    repaired("host-edited", &served).await;
    npm.edit_host_by_hand(host_id(), json!({"enabled": false}))
        .unwrap();
    repaired("host-disabled", &served).await;
    npm.delete_host_by_hand(host_id());
    repaired("host-deleted", &served).await;
    assert_eq!(proxmox.containers().len(), 1);
    assert_eq!((npm.hosts().len(), npm.certificates().len()), (1, 1));
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_container_outside_high_availability_is_started() {
    let world = World::new().await;
    world
        .patch_plan(json!({"spec": {"wordpress": {"highAvailability": false}}}))
        .await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    assert!(world.backends.proxmox.ha_resources().is_empty());
    let number = u32::try_from(status.vmid.unwrap()).unwrap();
    world.backends.proxmox.stop_container(number);
    world.ask_for_a_pass("jane", "stopped").await;
    eventually("it runs again", || async {
        let container = world.backends.proxmox.container(number);
        match container.as_ref().is_some_and(|container| container.running) {
            true => Ok(()),
            false => Err(format!("{container:?}")),
        }
    })
    .await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}
