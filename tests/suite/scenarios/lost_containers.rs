//! A site's container is gone, or its number belongs to a stranger: the operator says so and keeps its hands off.

use std::time::Duration;

use hostwright::api::{BackupPhase, Phase, SiteBackup};
use hostwright::sim::directory::ContainerDirectory;
use hostwright::stage::CLOUDFLARE_ZONE;
use kube::Api;
use serde_json::json;

use crate::world::{Operator, World, eventually};

/// Storage of the simulated cluster that takes backups.
const BACKUPS: &str = "local";
/// A time that only ends when it is skipped.
const HOUR: Duration = Duration::from_secs(3600);

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
    world.end(operator).await;
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

/// A site that is ready, whose Plan lets a lost container come back from an archive.
async fn recoverable_site() -> (World, Operator, u32) {
    let (world, operator, number) = ready_site().await;
    let plan = json!({"spec": {"wordpress": {"recovery": "RestoreLatestBackup", "backups": 2}}});
    world.patch_plan(plan).await;
    (world, operator, number)
}

fn restores(world: &World) -> u64 {
    let calls = world.backends.proxmox_server.faults.calls();
    let creations = calls
        .iter()
        .filter(|(call, _)| call.starts_with("POST") && call.ends_with("/lxc"));
    // One of them made the site.
    creations.map(|(_, count)| count).sum::<u64>() - 1
}

async fn backup_stands(world: &World, phase: BackupPhase) {
    let backups: Api<SiteBackup> = Api::namespaced(world.admin.clone(), &world.namespace);
    eventually("the backup stands there", || async {
        let found = backups.get("before").await.unwrap().status;
        let seen = found.and_then(|status| status.phase);
        (seen == Some(phase))
            .then_some(())
            .ok_or_else(|| format!("{seen:?}"))
    })
    .await;
}

/// A SiteBackup is taken, whose snapshot goes with the container.
async fn back_up(world: &World) {
    let backup = json!({
        "apiVersion": "hostwright.dev/v1alpha1", "kind": "SiteBackup",
        "metadata": {"name": "before", "namespace": world.namespace}, "spec": {"site": "jane"},
    });
    world.apply(&backup).await;
    backup_stands(world, BackupPhase::Ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_site_comes_back_from_its_archive_also_past_a_killed_operator() {
    let (world, operator, number) = recoverable_site().await;
    let proxmox = &world.backends.proxmox;
    back_up(&world).await;
    let data = proxmox.installed(number);
    assert!(data.is_some());
    proxmox.back_up(number, BACKUPS).unwrap();
    // The archive is of a smaller Plan than the site has when it is lost.
    let plan = json!({"spec": {"wordpress": {"memoryMib": 3072}}});
    world.patch_plan(plan).await;
    let memory = || world.backends.proxmox.container(number).map(|c| c.memory_mib);
    eventually("it has the memory of its Plan", || async {
        (memory() == Some(3072)).then_some(()).ok_or_else(String::new)
    })
    .await;

    proxmox.slow_tasks(HOUR);
    proxmox.destroy_by_hand(number);
    world.ask_for_a_pass("jane", "destroyed").await;
    eventually("it is being restored", || async {
        let lock = world.backends.proxmox.container(number).and_then(|c| c.lock);
        (lock.as_deref() == Some("create"))
            .then_some(())
            .ok_or_else(String::new)
    })
    .await;
    operator.kill();
    proxmox.slow_tasks(Duration::ZERO);
    proxmox.skip_time(2 * HOUR);
    let operator = world.operator().await;
    let status = world
        .wait_for_status("jane", "restored", |status| {
            status.phase == Some(Phase::Running)
                && status.recovery.as_ref().is_some_and(|r| r.restored_at.is_some())
        })
        .await;
    let said = status.conditions.iter().find(|c| c.type_ == "Recovered").unwrap();
    let archive = &proxmox.archives()[0];
    assert!(said.message.contains(archive), "{}", said.message);
    assert_eq!(restores(&world), 1);
    assert_eq!(proxmox.installed(number), data, "the data of the archive");
    let container = proxmox.container(number).unwrap();
    assert_eq!((container.memory_mib, container.running), (3072, true));
    assert_eq!(container.snapshots.len(), 1, "initial is taken anew");
    backup_stands(&world, BackupPhase::Lost).await;
    let told = |events: Vec<String>| events.iter().any(|event| event.contains("RestoredFromArchive"));
    eventually("an event tells of it", || async {
        told(world.events("jane").await)
            .then_some(())
            .ok_or_else(String::new)
    })
    .await;
    operator.assert_quiet(&world).await;

    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    assert_eq!(
        world.backends.proxmox.archives().len(),
        1,
        "archives are the hoster's"
    );
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_of_another_owner_of_the_number_is_never_used() {
    let (world, operator, number) = recoverable_site().await;
    let proxmox = &world.backends.proxmox;
    proxmox.destroy_by_hand(number);
    let other = "hostwright:other:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
    proxmox.add_foreign_container(number, "pve2", &[("description", other), ("unprivileged", "1")]);
    proxmox.back_up(number, BACKUPS).unwrap();
    proxmox.destroy_by_hand(number);
    world.ask_for_a_pass("jane", "destroyed").await;
    world
        .wait_for_refusal("jane", "NoBackupArchive", &[&number.to_string()])
        .await;
    operator.assert_quiet(&world).await;
    assert!(proxmox.containers().is_empty());
    assert_eq!(restores(&world), 0);

    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    world.end(operator).await;
}
