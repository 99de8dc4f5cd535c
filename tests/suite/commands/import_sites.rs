//! `hostwright import sites` prints what takes the older backend's sites over with marks alone.

use std::path::{Path, PathBuf};

use hostwright::sim::directory::{ContainerDirectory, Installed};
use rusqlite::Connection;
use serde_json::{Value, json};

use super::{outside_writes, reset_calls, run};
use crate::legacy::{BASE, Legacy, disturbances};
use crate::world::World;

/// The older backend's table, with one of its sites.
fn table(world: &World, folder: &Path) -> PathBuf {
    let file = folder.join("sites.db");
    let table = Connection::open(&file).unwrap();
    table
        .execute_batch(&format!(
            "CREATE TABLE sites (id INTEGER PRIMARY KEY, service_id, email, plan, vmid, private_ip, subdomain, public_ip, created_at);
             CREATE TABLE domains (id INTEGER PRIMARY KEY, service_id, domain, domain2, domain3, count, backups);
             INSERT INTO sites (service_id, email, plan, vmid) VALUES ('{}-41', 'jane@example.com', 'basic', 117);",
            world.namespace
        ))
        .unwrap();
    drop(table);
    file
}

/// As printed, it is planned as marks alone, and done so.
async fn take_over(world: &World, text: &str, objects: &[Value], legacies: [&Legacy; 2]) {
    let told = run(world, &["plan", "-f", "-"], text).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert!(
        told.out.contains("container 117") && told.out.contains("taken over"),
        "{told:?}"
    );
    let quiet = disturbances(world);
    for object in objects {
        world.apply(object).await;
    }
    for (legacy, name) in legacies.into_iter().zip(["jane", "june"]) {
        let status = world.wait_for(name, "Ready", "True").await;
        assert_eq!(status.host, Some(format!("{name}.{BASE}")));
        assert_eq!((status.adopted, legacy.marked(world)), (true, [true; 3]));
    }
    assert_eq!(disturbances(world), quiet);
    let installed = world.backends.proxmox.installed(117);
    let host = format!("jane.{BASE}");
    assert_eq!(installed, Some(Installed::fresh(host)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_older_backend_left_is_printed_and_can_be_taken_over() {
    let world = World::new().await;
    world
        .patch_plan(json!({"spec": {"wordpress": {"highAvailability": false}}}))
        .await;
    let (jane, june) = (Legacy::put(&world, 117, "jane"), Legacy::put(&world, 118, "june"));
    // One that nobody can reach, a machine, and a site of the operator's own.
    world.backends.proxmox.add_foreign_container(
        119,
        "pve1",
        &[
            ("hostname", "database"),
            ("net0", "name=eth0,bridge=vmbr0,ip=10.99.0.119/16"),
        ],
    );
    world.backends.proxmox.add_vm(120, "pve2");
    let operator = world.operator().await;
    world.apply(&world.site("own")).await;
    world.wait_for("own", "Ready", "True").await;

    let folder = tempfile::tempdir().unwrap();
    let file = table(&world, folder.path());
    reset_calls(&world);
    let provider = world.provider("pve");
    let words = [
        "import",
        "sites",
        "--provider",
        &provider,
        "--namespace",
        &world.namespace,
        "--owner-email",
        "owner@example.com",
        "--legacy-database",
        file.to_str().unwrap(),
    ];
    let ended = run(&world, &words, "").await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(outside_writes(&world), Vec::<String>::new());
    let documents = ended.out.split("---\n").skip(1);
    let objects: Vec<Value> = documents
        .map(|text| serde_yaml::from_str(text).unwrap())
        .collect();
    let [first, second] = objects.as_slice() else {
        panic!("{ended:?}")
    };
    assert_eq!(first["spec"]["serviceId"], format!("{}-41", world.namespace));
    assert_eq!(first["spec"]["owner"]["email"], "jane@example.com");
    assert_eq!(second["spec"]["serviceId"], "imported-118");
    assert_eq!(second["spec"]["plan"], world.plan());
    assert!(
        ended.out.contains("# Left out: container 119 (database)"),
        "{ended:?}"
    );
    assert!(
        ended.out.contains("# Its snapshots stay: BAK01022026-1"),
        "{ended:?}"
    );

    take_over(&world, &ended.out, &objects, [&jane, &june]).await;

    // Nothing is left to import.
    let ended = run(&world, &words, "").await;
    assert!(!ended.out.contains("---"), "{ended:?}");
    assert!(
        ended.out.contains("has no such container without a mark"),
        "{ended:?}"
    );
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_said() {
    let world = World::new().await;
    let (compute, proxy) = (world.provider("pve"), world.provider("npm"));
    for (words, said) in [
        (vec!["--provider", "nobody"], "Provider nobody does not exist"),
        (vec!["--provider", proxy.as_str()], "container host"),
        (
            vec!["--provider", compute.as_str(), "--plan", "gold"],
            "no Plan gold",
        ),
        (
            vec!["--provider", compute.as_str(), "--legacy-database", "/nowhere.db"],
            "/nowhere.db cannot be read",
        ),
    ] {
        let mut all = vec!["import", "sites"];
        all.extend(words);
        let ended = run(&world, &all, "").await;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
        assert!(ended.errors.contains(said), "{ended:?}");
    }
    world.close().await;
}
