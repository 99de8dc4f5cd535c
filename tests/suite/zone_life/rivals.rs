//! Zones that more than one object wants, and zones below others.

use kube::Api;
use serde_json::{Value, json};

use crate::world::World;

fn named(mut zone: Value, object: &str, zone_name: &str) -> Value {
    zone["metadata"]["name"] = json!(object);
    zone["spec"]["zone"] = json!(zone_name);
    zone
}

fn records() -> Value {
    json!([{"name": "@", "type": "A", "content": "192.0.2.1"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_object_has_the_zone_and_the_second_takes_over() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.zone("cloudflare", records())).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let other = json!([{"name": "@", "type": "A", "content": "192.0.2.2"}]);
    let second = named(world.zone("cloudflare", other), "second", &world.zone_name());
    world.apply(&second).await;
    let status = world.wait_for_zone("second", "Ready", "False").await;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "Conflict", "{ready:?}");
    assert!(ready.message.contains("the DnsZone zone"), "{ready:?}");
    let sim = &world.backends.cloudflare;
    assert_eq!(sim.records(&world.zone_name())[0].content, "192.0.2.1");

    world.remove_zone("zone").await;
    world.wait_for_zone("second", "Ready", "True").await;
    assert_eq!(sim.records(&world.zone_name())[0].content, "192.0.2.2");
    world.remove_zone("second").await;
    world.end(operator).await;
}

/// Its deletion must not take what belongs to the first.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_goes_without_a_trace() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.zone("cloudflare", records())).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let second = named(world.zone("cloudflare", records()), "second", &world.zone_name());
    world.apply(&second).await;
    world.wait_for_zone("second", "Ready", "False").await;
    world.remove_zone("second").await;
    assert_eq!(world.backends.cloudflare.records(&world.zone_name()).len(), 1);
    world.wait_for_zone("zone", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_below_another_of_the_same_namespace_is_fine() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.zone("cloudflare", records())).await;
    let child = format!("shop.{}", world.zone_name());
    world
        .apply(&named(world.zone("cloudflare", records()), "child", &child))
        .await;
    world.wait_for_zone("zone", "Ready", "True").await;
    world.wait_for_zone("child", "Ready", "True").await;
    let zones: Api<hostwright::api::DnsZone> = world.zones();
    assert_eq!(zones.list(&Default::default()).await.unwrap().items.len(), 2);
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unicode_is_shown_as_typed_and_sent_as_a_labels() {
    let world = World::new().await;
    let operator = world.operator().await;
    let typed = format!("bücher-{}.example", world.namespace);
    let records = json!([{"name": "größe", "type": "A", "content": "192.0.2.1"}]);
    world
        .apply(&named(world.zone("cloudflare", records), "zone", &typed))
        .await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    let said = status.conditions.iter().any(|c| c.message.contains("xn--"));
    assert!(!said || status.zone_id.is_some());
    let sim = &world.backends.cloudflare;
    let zone = sim
        .zone_names()
        .into_iter()
        .find(|name| name.starts_with("xn--"))
        .unwrap();
    let records = sim.records(&zone);
    assert!(records[0].name.starts_with("xn--gre-6ka8i."), "{records:?}");
    operator.stop().await;
    world.close().await;
}
