//! Somebody else is there first: nothing of theirs is touched, and the site says what is in its way.

use std::time::Duration;

use hostwright::stage::{BackendsOptions, CLOUDFLARE_ZONE, Pool};
use serde_json::json;

use crate::world::{World, eventually};

fn named(world: &World, name: &str, subdomain: &str) -> serde_json::Value {
    let mut site = world.site(name);
    site["spec"]["subdomain"] = json!(subdomain);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subdomain_that_was_asked_for_must_be_free() {
    let world = World::new().await;
    let (cloudflare, npm) = (&world.backends.cloudflare, &world.backends.npm);
    let record = cloudflare
        .add_foreign_record(CLOUDFLARE_ZONE, "a.sites.example.com", "A", "192.0.2.1", None)
        .unwrap();
    npm.add_foreign_host(&["b.sites.example.com"], "192.0.2.2", 80)
        .unwrap();
    npm.add_foreign_certificate(&["c.sites.example.com"], true);
    let before = (
        cloudflare.records(CLOUDFLARE_ZONE),
        npm.hosts(),
        npm.certificates(),
    );
    let operator = world.operator().await;
    for (name, words) in [
        ("a", ["a.sites.example.com", "DNS record"]),
        ("b", ["b.sites.example.com", "proxy host"]),
        ("c", ["c.sites.example.com", "certificate"]),
    ] {
        world.apply(&named(&world, name, name)).await;
        world.wait_for_refusal(name, "Conflict", &words).await;
    }
    operator.assert_quiet(&world).await;
    assert_eq!(
        before,
        (
            cloudflare.records(CLOUDFLARE_ZONE),
            npm.hosts(),
            npm.certificates()
        )
    );
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());

    assert!(cloudflare.delete_by_hand(&record));
    world.ask_for_a_pass("a", "record-removed").await;
    world.wait_for("a", "Ready", "True").await;
    for name in ["b", "c"] {
        world.delete(name).await;
        world.wait_until_gone(name).await;
    }
    assert_eq!((npm.hosts().len(), npm.certificates().len()), (2, 2));
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_derived_name_gets_a_suffix_when_it_is_taken() {
    let world = World::new().await;
    world
        .backends
        .cloudflare
        .add_foreign_record(
            CLOUDFLARE_ZONE,
            "jane.sites.example.com",
            "CNAME",
            "elsewhere.example",
            None,
        )
        .unwrap();
    let operator = world.operator().await;
    let uid_of = async |name: &str| {
        let site = world.sites().get(name).await.unwrap();
        site.metadata.uid.unwrap().chars().take(8).collect::<String>()
    };
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    let suffixed = |label: &str, uid: &str| {
        let suffix = label
            .rsplit_once('-')
            .map(|(_, suffix)| suffix.to_owned())
            .unwrap_or_default();
        !suffix.is_empty() && uid.starts_with(&suffix[..suffix.len().min(8)])
    };
    let label = status.subdomain.unwrap();
    assert!(
        label.starts_with("jane-") && suffixed(&label, &uid_of("jane").await),
        "{label}"
    );

    // Two customers with the same local part of their addresses.
    for name in ["ann-one", "ann-two"] {
        let mut site = world.site(name);
        site["spec"]["owner"]["email"] = json!(format!("ann@{name}.example"));
        world.apply(&site).await;
    }
    let mut labels = Vec::new();
    for name in ["ann-one", "ann-two"] {
        labels.push((
            world.wait_for(name, "Ready", "True").await.subdomain.unwrap(),
            uid_of(name).await,
        ));
    }
    labels.sort_by_key(|(label, _)| label.len());
    assert_eq!(labels[0].0, "ann");
    assert!(suffixed(&labels[1].0, &labels[1].1), "{labels:?}");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_object_owns_a_service_id() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("old")).await;
    let old = world.wait_for("old", "Ready", "True").await;
    let mut young = world.site("young");
    young["spec"]["serviceId"] = world.site("old")["spec"]["serviceId"].clone();
    world.apply(&young).await;
    world
        .wait_for_refusal(
            "young",
            "ServiceIdConflict",
            &["the site old", "Delete one of the two"],
        )
        .await;
    operator.assert_quiet(&world).await;
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    assert_eq!(world.status("old").await, old);
    assert_eq!(world.status("young").await.vmid, None);

    world.delete("old").await;
    world.wait_until_gone("old").await;
    world.wait_for("young", "Ready", "True").await;
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twins_from_one_second_one_gets_the_service_id() {
    let world = World::new().await;
    for name in ["twin-a", "twin-b"] {
        let mut site = world.site(name);
        site["spec"]["serviceId"] = json!(format!("{}-twins", world.namespace));
        world.apply(&site).await;
    }
    let operator = world.operator().await;
    let ready = async |name: &str| {
        let conditions = world.status(name).await.conditions;
        let found = conditions.into_iter().find(|c| c.type_ == "Ready");
        found
            .map(|c| format!("{} {}", c.status, c.reason))
            .unwrap_or_default()
    };
    eventually("one is ready and one refused", || async {
        let mut states = [ready("twin-a").await, ready("twin-b").await];
        states.sort();
        match states == ["False ServiceIdConflict", "True Ready"] {
            true => Ok(()),
            false => Err(format!("{states:?}")),
        }
    })
    .await;
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    operator.stop().await;
    world.close().await;
}

/// A site that has reserved its number and waits for another site's container; `stranger` then takes the number.
async fn reserved_number_is_taken_by(stranger: impl FnOnce(&World, u32)) {
    let pool = Pool {
        places: 1,
        // The second site must keep its address when it gives up its number: there is no other.
        addresses: 2,
        ..Pool::default()
    };
    let world = World::with(BackendsOptions::default(), pool).await;
    world.backends.proxmox.slow_tasks(Duration::from_secs(3));
    let operator = world.operator().await;
    world.apply(&world.site("first")).await;
    eventually("the first site's container is being created", || async {
        let status = world.status("first").await;
        if status.tasks.is_empty() {
            Err(format!("{status:?}"))
        } else {
            Ok(())
        }
    })
    .await;
    world.apply(&world.site("second")).await;
    let reserved = eventually("the second site has a reservation", || async {
        let status = world.status("second").await;
        status.vmid.ok_or(format!("{status:?}"))
    })
    .await;
    let number = u32::try_from(reserved).unwrap();
    assert!(world.backends.proxmox.container(number).is_none());
    stranger(&world, number);
    world.backends.proxmox.slow_tasks(Duration::ZERO);
    let status = world.wait_for("second", "Ready", "True").await;
    assert_ne!(status.vmid, Some(reserved));
    world.wait_for("first", "Ready", "True").await;
    assert_eq!(world.backends.proxmox.foreign_writes(), Vec::<String>::new());
    for name in ["first", "second"] {
        world.delete(name).await;
        world.wait_until_gone(name).await;
    }
    world.end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_number_that_a_foreign_container_takes_is_given_up() {
    reserved_number_is_taken_by(|world, number| {
        let lines = [("hostname", "stranger"), ("memory", "512")];
        world
            .backends
            .proxmox
            .add_foreign_container(number, "pve1", &lines);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reserved_number_that_a_virtual_machine_takes_is_given_up() {
    reserved_number_is_taken_by(|world, number| world.backends.proxmox.add_vm(number, "pve1")).await;
}
