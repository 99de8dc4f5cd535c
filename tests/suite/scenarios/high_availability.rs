//! Plans with high availability: rules on Proxmox VE 9, groups on 8.

use hostwright::sim::proxmox::PveVersion;
use hostwright::stage::{BackendsOptions, Pool};
use serde_json::json;

use crate::world::{World, eventually};

async fn on(version: PveVersion) -> World {
    let options = BackendsOptions {
        proxmox_version: version,
        ..BackendsOptions::default()
    };
    World::with(options, Pool::default()).await
}

/// Brings a site up, lets the manager give up on its container, and asks for the repair.
async fn site_that_recovers(world: &World) -> u32 {
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    let number = u32::try_from(status.vmid.unwrap()).unwrap();
    let sid = format!("ct:{number}");
    let proxmox = &world.backends.proxmox;
    let managed = || {
        proxmox
            .ha_resources()
            .into_iter()
            .find(|resource| resource.sid == sid)
    };
    let good = || managed().is_some_and(|resource| resource.state == "started" && !resource.error);
    assert!(good(), "{:?}", managed());
    proxmox.set_ha_error(number);
    world.ask_for_a_pass("jane", "the-manager-gave-up").await;
    eventually("high availability works again", || async {
        if good() {
            Ok(())
        } else {
            Err(format!("{:?} {:?}", managed(), world.status("jane").await))
        }
    })
    .await;
    world.wait_for("jane", "Ready", "True").await;
    operator.assert_quiet(world).await;
    operator.stop().await;
    number
}

async fn goes_without_a_trace(world: &World) {
    let operator = world.operator().await;
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    assert!(world.backends.proxmox.ha_resources().is_empty());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_9_gets_a_rule_for_each_container() {
    let world = on(PveVersion::V9_1).await;
    let number = site_that_recovers(&world).await;
    let rules = world.backends.proxmox.ha_rules();
    let sid = format!("ct:{number}");
    assert!(
        rules.iter().any(|rule| rule.resources == [sid.clone()]),
        "{rules:?}"
    );
    goes_without_a_trace(&world).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_8_uses_the_group_of_the_provider() {
    let world = on(PveVersion::V8_4).await;
    let secret = world.secrets().get(&world.provider("pve")).await.unwrap();
    let value = |key: &str| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap();
    let token = format!("PVEAPIToken={}={}", value("tokenId"), value("tokenSecret"));
    let group = reqwest::Client::new()
        .post(format!(
            "{}/api2/json/cluster/ha/groups",
            world.backends.proxmox_server.url()
        ))
        .header("Authorization", token)
        .form(&[("group", "sites"), ("nodes", "pve1,pve2")]);
    let answer = group.send().await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
    let placement = json!({"spec": {"proxmox": {"highAvailability": {"nodes": null, "group": "sites"}}}});
    world.patch_provider("pve", placement).await;
    let number = site_that_recovers(&world).await;
    let resources = world.backends.proxmox.ha_resources();
    let sid = format!("ct:{number}");
    let placed = resources
        .iter()
        .any(|resource| resource.sid == sid && resource.group.as_deref() == Some("sites"));
    assert!(placed, "{resources:?}");
    goes_without_a_trace(&world).await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_it_leaves_high_availability_alone() {
    let world = World::new().await;
    world
        .patch_plan(json!({"spec": {"wordpress": {"highAvailability": false}}}))
        .await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    assert!(world.backends.proxmox.ha_resources().is_empty());
    let calls = operator.calls(&world);
    assert!(!calls.keys().any(|call| call.starts_with("ha.")), "{calls:?}");
    operator.stop().await;
    world.close().await;
}
