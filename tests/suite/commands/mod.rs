//! The commands for people, as the built program on the real API server.

mod import;
mod import_sites;
mod life;
mod plan;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::world::{World, shared};

/// What a run of the program came to.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub errors: String,
}

impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the program as the administrator of this world's cluster.
pub async fn run(world: &World, words: &[&str], input: &str) -> Ended {
    run_as(&shared().await.admin, world, words, input).await
}

/// Runs the program with a kubeconfig.
pub async fn run_as(kubeconfig: &Path, world: &World, words: &[&str], input: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostwright"));
    command
        .args(words)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--cluster-id", &world.namespace])
        .args(["--watch-namespace", &world.namespace])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Calls of the back-ends that could have changed something, since the counts were reset.
pub fn outside_writes(world: &World) -> Vec<String> {
    let mut writes = Vec::new();
    for (name, faults) in world.backends.faults() {
        for call in faults.calls().keys() {
            let reads = match name {
                // Its log-in is a POST.
                "npm" => call.starts_with("GET") || call.ends_with("/tokens"),
                // Every call is a POST with the function in the query; the reads of the client by name.
                "ispconfig" => ["login", "logout", "_get", "get_"]
                    .iter()
                    .any(|word| call.contains(word)),
                // Whatever is run on a node may change it.
                "ssh" => false,
                _ => call.starts_with("GET"),
            };
            if !reads {
                writes.push(format!("{name}: {call}"));
            }
        }
    }
    writes
}

/// Sets the counts of the back-ends to nothing.
pub fn reset_calls(world: &World) {
    world
        .backends
        .faults()
        .iter()
        .for_each(|(_, faults)| faults.reset_calls());
}

/// The detectors of writes are worth something: they see those of an operator.
#[tokio::test(flavor = "multi_thread")]
async fn writes_are_seen_where_there_are_some() {
    let world = World::new().await;
    let operator = world.operator().await;
    for provider in ["cloudflare", "ispconfig"] {
        reset_calls(&world);
        let records = serde_json::json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
        world.apply(&world.zone(provider, records)).await;
        world.wait_for_zone("zone", "Ready", "True").await;
        let writes = outside_writes(&world);
        assert!(writes.iter().any(|call| call.starts_with(provider)), "{writes:?}");
        world.remove_zone("zone").await;
    }
    reset_calls(&world);
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    let writes = outside_writes(&world);
    for name in ["proxmox", "npm", "cloudflare", "ssh"] {
        assert!(
            writes.iter().any(|call| call.starts_with(name)),
            "{name}: {writes:?}"
        );
    }
    let writes = cluster_writes(&world).await;
    assert!(writes.iter().any(|write| write.contains("/status")), "{writes:?}");
    operator.stop().await;
    world.close().await;
}

/// Requests in this world's namespace that changed something in the cluster so far: a dry run changes nothing.
pub async fn cluster_writes(world: &World) -> Vec<String> {
    let log = tokio::fs::read_to_string(&shared().await.audit_log)
        .await
        .unwrap();
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let writes = events.filter(|event| {
        let verb = event["verb"].as_str().unwrap_or_default();
        let uri = event["requestURI"].as_str().unwrap_or_default();
        // The cluster's own controllers put things into every new namespace.
        let ours = event["userAgent"].as_str().unwrap_or_default();
        event["objectRef"]["namespace"] == world.namespace.as_str()
            && !["get", "list", "watch"].contains(&verb)
            && ours.starts_with("hostwright/")
            && !uri.contains("dryRun=All")
    });
    writes
        .map(|event| format!("{} {}", event["verb"], event["requestURI"]))
        .collect()
}
