//! An object takes over what an older backend left, without a restart and without an installation, or says why not.

use hostwright::api::{Phase, WordPressSiteStatus};
use hostwright::sim::proxmox::SimContainer;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use crate::commands::{outside_writes, reset_calls};
use crate::legacy::{BASE, Legacy, disturbances};
use crate::world::World;

const NUMBER: u32 = 117;

/// A container's configuration without what an adoption writes.
fn untouched(container: &SimContainer) -> Vec<(String, String)> {
    let written = ["description", "tags"];
    let lines = container.config.iter();
    lines
        .filter(|(key, _)| !written.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

async fn sized(world: &World) {
    // As the older backend left it: no high availability.
    world
        .patch_plan(json!({"spec": {"wordpress": {"highAvailability": false}}}))
        .await;
}

async fn adopted(world: &World, legacy: &Legacy, name: &str) -> WordPressSiteStatus {
    world.apply(&legacy.manifest(world, name)).await;
    let status = world.wait_for(name, "Ready", "True").await;
    assert_eq!(
        (status.adopted, status.vmid),
        (true, Some(legacy.vmid.cast_signed()))
    );
    assert_eq!(status.private_ip.as_deref(), Some(legacy.address.as_str()));
    assert_eq!(status.host, Some(format!("{}.{BASE}", legacy.label)));
    assert_eq!(status.credentials_secret, None);
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_container_is_taken_over_by_marks_alone() {
    let world = World::new().await;
    sized(&world).await;
    let legacy = Legacy::put(&world, NUMBER, "oldshop");
    let before = legacy.container(&world).unwrap();
    let operator = world.operator().await;
    reset_calls(&world);
    adopted(&world, &legacy, "jane").await;
    assert_eq!(legacy.marked(&world), [true; 3]);
    let after = legacy.container(&world).unwrap();
    assert_eq!(untouched(&after), untouched(&before));
    assert!(after.description.starts_with("made by hand"));
    let snapshots: Vec<&str> = after.snapshots.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(snapshots, ["BAK01022026-1", "initial"]);
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    assert_eq!(world.backends.npm.certificates().len(), 1);
    assert_eq!(world.backends.npm.hosts().len(), 1);
    // Three marks and the snapshot that every site has.
    let writes = outside_writes(&world);
    assert_eq!(writes.len(), 4, "{writes:?}");
    assert!(writes.iter().any(|call| call.contains("snapshot")), "{writes:?}");
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let secrets = secrets.list(&Default::default()).await.unwrap().items;
    assert!(secrets.is_empty(), "nobody knows its passwords: {secrets:?}");
    operator.assert_quiet(&world).await;

    // A look at everything finds nothing to do, in a new process too.
    operator.stop().await;
    reset_calls(&world);
    let operator = world.operator().await;
    world.ask_for_a_pass("jane", "again").await;
    operator.assert_quiet(&world).await;
    assert_eq!(outside_writes(&world), Vec::<String>::new());

    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert!(legacy.container(&world).is_none() && legacy.proxy_host(&world).is_none());
    assert!(legacy.dns_record(&world).is_none());
    assert!(world.backends.npm.certificates().is_empty());
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_over_follows_its_plan_and_keeps_its_network_and_name() {
    let world = World::new().await;
    let legacy = Legacy::put(&world, NUMBER, "oldshop");
    world.backends.proxmox.set_config(NUMBER, "memory", Some("1024"));
    world.backends.proxmox.set_config(NUMBER, "onboot", None);
    world
        .backends
        .proxmox
        .add_snapshot(NUMBER, "initial", "by hand")
        .unwrap();
    let disk = legacy.container(&world).unwrap().config["rootfs"].replace("size=20G", "size=8G");
    world.backends.proxmox.set_config(NUMBER, "rootfs", Some(&disk));
    let before = legacy.container(&world).unwrap();
    let quiet = disturbances(&world);
    let operator = world.operator().await;
    adopted(&world, &legacy, "jane").await;
    world
        .wait_for_status("jane", "it has its Plan", |status| {
            status.resources.is_some_and(|given| given.memory_mib == 2048)
                && status.phase == Some(Phase::Running)
        })
        .await;
    operator.assert_quiet(&world).await;
    let after = legacy.container(&world).unwrap();
    assert_eq!(
        (after.memory_mib, after.disk_gib, after.running),
        (2048, 20, true)
    );
    assert_eq!(after.config["onboot"], "1");
    for key in ["net0", "hostname"] {
        assert_eq!(after.config[key], before.config[key]);
    }
    let snapshots: Vec<&str> = after.snapshots.iter().map(|s| s.description.trim_end()).collect();
    assert_eq!(snapshots, ["by hand", "by hand"], "initial was there");
    assert_eq!(
        world.backends.proxmox.ha_resources().len(),
        1,
        "the Plan asks for it"
    );
    let ordered = disturbances(&world) - quiet;
    assert_eq!(ordered, 0, "nothing was started, stopped, made or installed");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_a_roll_back_took_is_written_again() {
    let world = World::new().await;
    sized(&world).await;
    let legacy = Legacy::put(&world, NUMBER, "oldshop");
    let operator = world.operator().await;
    adopted(&world, &legacy, "jane").await;
    world
        .backends
        .proxmox
        .set_config(NUMBER, "description", Some("made by hand"));
    world.backends.proxmox.set_config(NUMBER, "tags", None);
    world.ask_for_a_pass("jane", "rolled-back").await;
    crate::world::eventually("the mark is back", || async {
        match legacy.marked(&world) {
            [true, ..] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    operator.assert_quiet(&world).await;

    // Without the annotation nobody asks for that.
    let gone = json!({"metadata": {"annotations": {"hostwright.dev/adopt": null}}});
    world.patch("jane", gone).await;
    world
        .backends
        .proxmox
        .set_config(NUMBER, "description", Some("made by hand"));
    world.backends.proxmox.set_config(NUMBER, "tags", None);
    world.ask_for_a_pass("jane", "no-more").await;
    world
        .wait_for_refusal("jane", "Conflict", &["117", "no mark of ours"])
        .await;
    assert!(!legacy.marked(&world)[0]);
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_it_stays_with_its_marks() {
    let world = World::new().await;
    sized(&world).await;
    let legacy = Legacy::put(&world, NUMBER, "oldshop");
    let operator = world.operator().await;
    let mut site = legacy.manifest(&world, "jane");
    site["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(&site).await;
    world.wait_for("jane", "Ready", "True").await;
    reset_calls(&world);
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert_eq!(outside_writes(&world), Vec::<String>::new());
    assert!(legacy.stands(&world));
    // It carries the mark of the object that is gone.
    world.apply(&legacy.manifest(&world, "june")).await;
    world
        .wait_for_refusal("june", "Conflict", &["Container 117", "carries the mark"])
        .await;
    operator.stop().await;
    world.close().await;
}

/// Puts something in the way, and what is said of it.
type Obstacle = (&'static str, fn(&World, &Legacy), &'static [&'static str]);

const OBSTACLES: &[Obstacle] = &[
    (
        "marked",
        |world, legacy| {
            let mark = "hostwright:other:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
            world
                .backends
                .proxmox
                .set_config(legacy.vmid, "description", Some(mark));
        },
        &["carries the mark hostwright:other"],
    ),
    (
        "dhcp",
        |world, legacy| {
            let net = "name=eth0,bridge=vmbr0,ip=dhcp";
            world.backends.proxmox.set_config(legacy.vmid, "net0", Some(net));
        },
        &["no static IPv4 address"],
    ),
    (
        "missing",
        |world, legacy| world.backends.proxmox.destroy_by_hand(legacy.vmid),
        &["has no container"],
    ),
    (
        "machine",
        |world, legacy| {
            world.backends.proxmox.destroy_by_hand(legacy.vmid);
            world.backends.proxmox.add_vm(legacy.vmid, "pve2");
        },
        &["virtual machine"],
    ),
    (
        "port",
        |world, legacy| {
            world
                .backends
                .npm
                .edit_host_by_hand(legacy.host, json!({"forward_port": 8080}))
                .unwrap();
        },
        &[":8080", "must lead only"],
    ),
    (
        "names",
        |world, legacy| {
            let names = json!({"domain_names": [format!("{}.{BASE}", legacy.label), "other.example"]});
            world.backends.npm.edit_host_by_hand(legacy.host, names).unwrap();
        },
        &["other.example", "must lead only"],
    ),
    (
        "theirs",
        |world, legacy| {
            let meta =
                json!({"meta": {"hostwright": "hostwright:other:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11"}});
            world.backends.npm.edit_host_by_hand(legacy.host, meta).unwrap();
        },
        &["carries the mark hostwright:other"],
    ),
    (
        "pointing",
        |world, legacy| {
            world
                .backends
                .cloudflare
                .edit_by_hand(&legacy.record, |record| record.content = "192.0.2.9".to_owned());
        },
        &["192.0.2.9", "must point to"],
    ),
    (
        "twice",
        |world, legacy| {
            let name = format!("second.{BASE}");
            world
                .backends
                .npm
                .add_foreign_host(&[&name], &legacy.address, 80)
                .unwrap();
        },
        &["several names", "spec.subdomain"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_said_and_nothing_is_changed() {
    let world = World::new().await;
    sized(&world).await;
    let operator = world.operator().await;
    for (number, (name, hinder, words)) in (NUMBER..).zip(OBSTACLES) {
        let legacy = Legacy::put(&world, number, name);
        hinder(&world, &legacy);
        reset_calls(&world);
        world.apply(&legacy.manifest(&world, name)).await;
        world.wait_for_refusal(name, "Conflict", words).await;
        operator.assert_quiet(&world).await;
        assert_eq!(outside_writes(&world), Vec::<String>::new(), "{name}");
        let status = world.status(name).await;
        assert_eq!((status.vmid, status.adopted), (None, false), "{name}");
        world.delete(name).await;
        world.wait_until_gone(name).await;
        assert_eq!(outside_writes(&world), Vec::<String>::new(), "{name}");
    }
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_that_is_none_of_its_own_does_no_harm() {
    let world = World::new().await;
    sized(&world).await;
    let operator = world.operator().await;
    let mut site = world.site("jane");
    site["metadata"]["annotations"] = json!({"hostwright.dev/adopt": "shop"});
    world.apply(&site).await;
    world
        .wait_for_refusal("jane", "InvalidSpec", &["\"shop\"", "number of a container"])
        .await;
    let gone = json!({"metadata": {"annotations": {"hostwright.dev/adopt": null}}});
    world.patch("jane", gone).await;
    let made = world.wait_for("jane", "Ready", "True").await;
    assert!(!made.adopted);

    // Too late, and another site's.
    let legacy = Legacy::put(&world, NUMBER, "oldshop");
    adopted(&world, &legacy, "june").await;
    reset_calls(&world);
    let late = json!({"metadata": {"annotations": {"hostwright.dev/adopt": "117"}}});
    world.patch("jane", late).await;
    let status = world.wait_for("jane", "Adopted", "False").await;
    assert_eq!(status.vmid, made.vmid);
    let said = status.conditions.iter().find(|c| c.type_ == "Adopted").unwrap();
    assert!(
        said.reason == "AdoptionIgnored" && said.message.contains("117"),
        "{said:?}"
    );
    operator.assert_quiet(&world).await;
    world.apply(&legacy.manifest(&world, "jill")).await;
    world
        .wait_for_refusal("jill", "Conflict", &["belongs to another site"])
        .await;
    operator.assert_quiet(&world).await;
    assert_eq!(outside_writes(&world), Vec::<String>::new());
    let gone = json!({"metadata": {"annotations": {"hostwright.dev/adopt": null}}});
    world.patch("jane", gone).await;
    world
        .wait_for_status("jane", "nothing is said any more", |status| {
            status
                .conditions
                .iter()
                .all(|condition| condition.type_ != "Adopted")
        })
        .await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_no_host_leads_to_gets_one() {
    let world = World::new().await;
    sized(&world).await;
    let legacy = Legacy::put(&world, NUMBER, "oldshop");
    world.backends.npm.delete_host_by_hand(legacy.host);
    world.backends.npm.delete_certificate_by_hand(legacy.certificate);
    let operator = world.operator().await;
    let mut site = legacy.manifest(&world, "jane");
    site["spec"]["subdomain"] = json!("oldshop");
    world.apply(&site).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    assert_eq!(
        (status.adopted, status.subdomain.as_deref()),
        (true, Some("oldshop"))
    );
    assert_eq!(world.backends.npm.hosts().len(), 1);
    assert!(legacy.marked(&world)[0] && legacy.marked(&world)[2]);
    operator.stop().await;
    world.close().await;
}
