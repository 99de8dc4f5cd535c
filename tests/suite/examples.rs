//! The files in `examples/`: what a hoster copies must be taken by the API server as it is.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::world::{World, shared};

/// Every file. The names are those of README and demo.
const FILES: [&str; 9] = [
    "namespace.yaml",
    "plans.yaml",
    "providers.yaml",
    "secrets.yaml",
    "wordpresssite.yaml",
    "more-sites.yaml",
    "dnszone.yaml",
    "sitebackup.yaml",
    "siterestore.yaml",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

#[test]
fn every_file_is_checked() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut listed = FILES.to_vec();
    listed.sort_unstable();
    assert_eq!(found, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_file() {
    let cluster = shared().await.cluster.lock().await;
    let folder = folder();
    let namespace = folder.join("namespace.yaml");
    // A dry run of an object needs its namespace to be there.
    let arguments = ["apply", "--server-side", "-f", namespace.to_str().unwrap()];
    cluster.kubectl(&arguments, "").await.unwrap();
    for file in FILES {
        let path = folder.join(file);
        // Strict: a field that nobody knows is a mistake, not a warning.
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "-f",
        ];
        let said = cluster
            .kubectl(&[&arguments[..], &[path.to_str().unwrap()]].concat(), "")
            .await;
        assert!(said.is_ok(), "{file}: {}", said.unwrap_err());
    }
}

/// The objects of a file.
fn objects(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    serde_yaml::from_multiple(&text).unwrap()
}

/// The object in a world of its own: its names there, and simulators in place of real back-ends.
fn moved(mut object: Value, world: &World) -> Value {
    let here = |name: &mut Value, moved: &dyn Fn(&str) -> String| {
        if let Some(text) = name.as_str().map(moved) {
            *name = json!(text);
        }
    };
    let named = |name: &str| format!("{}{name}", world.pool.name);
    if object["metadata"]["namespace"].is_string() {
        object["metadata"]["namespace"] = json!(world.namespace);
    } else {
        here(&mut object["metadata"]["name"], &named);
    }
    for field in ["plan", "provider", "serviceId"] {
        if let Some(name) = object["spec"].get_mut(field) {
            here(name, &named);
        }
    }
    for field in ["compute", "proxy", "dns"] {
        if let Some(name) = object.pointer_mut(&format!("/spec/wordpress/{field}")) {
            here(name, &named);
        }
    }
    if object["kind"] == "DnsZone" {
        // Nobody delegates to a simulator.
        object["spec"]["verifyNameservers"] = json!(false);
    }
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_makes_what_the_files_ask_for() {
    let world = World::new().await;
    let operator = world.operator().await;
    let files = [
        "plans.yaml",
        "wordpresssite.yaml",
        "more-sites.yaml",
        "dnszone.yaml",
    ];
    let all: Vec<Value> = files.into_iter().flat_map(objects).collect();
    for object in &all {
        world.apply(&moved(object.clone(), &world)).await;
    }
    for object in &all {
        let name = object["metadata"]["name"].as_str().unwrap();
        match object["kind"].as_str().unwrap() {
            "Plan" => {}
            "WordPressSite" => drop(world.wait_for(name, "Ready", "True").await),
            "DnsZone" => {
                let status = world.wait_for_zone(name, "Ready", "True").await;
                assert!(status.records.is_empty(), "{name}: {:?}", status.records);
            }
            other => panic!("nobody waits for a {other}"),
        }
    }
    operator.stop().await;
    world.close().await;
}
