//! A Provider has no room for a site: one condition that says so, silence, and the site comes up once there is.

use hostwright::stage::{BackendsOptions, Pool};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_address_pool_is_waited_for() {
    let pool = Pool {
        addresses: 2,
        ..Pool::default()
    };
    let world = World::with(BackendsOptions::default(), pool).await;
    let operator = world.operator().await;
    for name in ["first", "second"] {
        world.apply(&world.site(name)).await;
        world.wait_for("first", "Ready", "True").await;
    }
    world.wait_for("second", "Ready", "True").await;
    world.apply(&world.site("third")).await;
    let words = [
        world.provider("pve"),
        "10.20.0.100 to 10.20.0.101".to_owned(),
        "delete sites".to_owned(),
    ];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world.wait_for_refusal("third", "AddressPoolFull", &words).await;
    operator.assert_quiet(&world).await;
    assert_eq!(world.backends.proxmox.containers().len(), 2);

    world.delete("first").await;
    world.wait_for("third", "Ready", "True").await;
    world.wait_until_gone("first").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_range_of_numbers_is_waited_for() {
    let pool = Pool {
        vmids: 1,
        ..Pool::default()
    };
    let world = World::with(BackendsOptions::default(), pool).await;
    let operator = world.operator().await;
    world.apply(&world.site("first")).await;
    world.wait_for("first", "Ready", "True").await;
    world.apply(&world.site("second")).await;
    let provider = world.provider("pve");
    world
        .wait_for_refusal(
            "second",
            "VmidRangeFull",
            &[&provider, "5000 to 5000", "vmidRange"],
        )
        .await;
    operator.assert_quiet(&world).await;

    let wider = json!({"spec": {"proxmox": {"vmidRange": {"first": 5000, "last": 5001}}}});
    world.patch_provider("pve", wider).await;
    world.wait_for("second", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_larger_than_every_node_is_refused() {
    let world = World::new().await;
    let memory = |mib: u32| json!({"spec": {"wordpress": {"memoryMib": mib}}});
    world.patch_plan(memory(200 << 10)).await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let provider = world.provider("pve");
    world
        .wait_for_refusal(
            "jane",
            "PlanTooLarge",
            &["204800 MiB", &provider, "make the Plan smaller"],
        )
        .await;
    operator.assert_quiet(&world).await;

    world.patch_plan(memory(2048)).await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}
