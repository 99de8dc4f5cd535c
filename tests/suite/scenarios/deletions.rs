//! Deletions that are not the ordinary one: keeping everything, nothing made yet, and a Provider that is gone.

use hostwright::stage::CLOUDFLARE_ZONE;
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn retain_leaves_everything_and_calls_nobody() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut site = world.site("jane");
    site["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(&site).await;
    world.wait_for("jane", "Ready", "True").await;
    let outside = || {
        (
            world.backends.proxmox.containers(),
            world.backends.proxmox.ha_resources(),
            world.backends.cloudflare.records(CLOUDFLARE_ZONE),
            world.backends.npm.hosts(),
            world.backends.npm.certificates(),
        )
    };
    operator.assert_quiet(&world).await;
    let before = (outside(), operator.calls(&world));
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    operator.assert_quiet(&world).await;
    assert_eq!(before, (outside(), operator.calls(&world)));
    eventually("the event says so", || async {
        let events = world.events("jane").await;
        match events.iter().any(|event| event.starts_with("Retained: ")) {
            true => Ok(()),
            false => Err(format!("{events:?}")),
        }
    })
    .await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_for_which_nothing_was_reserved_goes_at_once() {
    let world = World::new().await;
    world.take_provider("npm").await;
    let operator = world.operator().await;
    let mut site = world.site("planless");
    site["spec"]["plan"] = json!("no-such-plan");
    world.apply(&site).await;
    world.wait_for_refusal("planless", "PlanNotFound", &[]).await;
    world.apply(&world.site("providerless")).await;
    world
        .wait_for_refusal("providerless", "ProviderNotFound", &[])
        .await;
    for name in ["planless", "providerless"] {
        world.delete(name).await;
        world.wait_until_gone(name).await;
    }
    assert!(!operator.calls(&world).contains_key("lxc.create"));
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_a_provider_that_is_gone() {
    let world = World::new().await;
    let operator = world.operator().await;
    for name in ["jane", "john"] {
        world.apply(&world.site(name)).await;
        world.wait_for(name, "Ready", "True").await;
    }
    let provider = world.provider("npm");
    let npm = world.take_provider("npm").await;
    for name in ["jane", "john"] {
        world.delete(name).await;
        world
            .wait_for_refusal(name, "ProviderNotFound", &[&provider, "create it", "Retain"])
            .await;
    }
    operator.assert_quiet(&world).await;
    assert_eq!(world.backends.proxmox.containers().len(), 2);

    world
        .patch("john", json!({"spec": {"deletionPolicy": "Retain"}}))
        .await;
    world.wait_until_gone("john").await;
    assert_eq!(world.backends.proxmox.containers().len(), 2);

    world.apply(&npm).await;
    world.wait_until_gone("jane").await;
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    assert_eq!(world.backends.npm.hosts().len(), 1);
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_goes_and_comes_back_is_noticed_by_its_sites() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    let npm = world.take_provider("npm").await;
    world.wait_for_reason("jane", "Synced", "ProviderNotFound").await;
    world.wait_for("jane", "Ready", "True").await;
    operator.assert_quiet(&world).await;
    world.apply(&npm).await;
    world.wait_for("jane", "Synced", "True").await;
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    operator.stop().await;
    world.close().await;
}
