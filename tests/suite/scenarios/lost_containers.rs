//! A site's container is gone, or its number belongs to a stranger: the operator says so and keeps its hands off.

use hostwright::stage::CLOUDFLARE_ZONE;

use crate::world::{Operator, World};

async fn ready_site() -> (World, Operator, u32) {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    let number = u32::try_from(status.vmid.unwrap()).unwrap();
    (world, operator, number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_was_destroyed_by_hand_is_not_made_anew() {
    let (world, operator, number) = ready_site().await;
    world.backends.proxmox.destroy_by_hand(number);
    world.ask_for_a_pass("jane", "destroyed").await;
    let words = [number.to_string(), world.provider("pve"), "restore it".to_owned()];
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    world.wait_for_refusal("jane", "Degraded", &words).await;
    operator.assert_quiet(&world).await;
    assert!(world.backends.proxmox.containers().is_empty());

    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    operator.stop().await;
    world.close().await;
}

async fn a_stranger_has_the_number(stranger: impl FnOnce(&World, u32)) {
    let (world, operator, number) = ready_site().await;
    world.backends.proxmox.destroy_by_hand(number);
    stranger(&world, number);
    world.ask_for_a_pass("jane", "stranger").await;
    world
        .wait_for_refusal("jane", "Conflict", &[&number.to_string()])
        .await;
    operator.assert_quiet(&world).await;

    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert_eq!(world.backends.proxmox.foreign_writes(), Vec::<String>::new());
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    assert!(world.backends.cloudflare.records(CLOUDFLARE_ZONE).is_empty());
    operator.stop().await;
    // The world's own check covers virtual machines too.
    let taken = world.backends.proxmox.everything_empty_except_foreign();
    assert_eq!(taken, Ok(()));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_container_under_the_sites_number_is_left_alone() {
    a_stranger_has_the_number(|world, number| {
        world
            .backends
            .proxmox
            .add_foreign_container(number, "pve2", &[("hostname", "stranger")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_machine_under_the_sites_number_is_left_alone() {
    a_stranger_has_the_number(|world, number| world.backends.proxmox.add_vm(number, "pve2")).await;
}
