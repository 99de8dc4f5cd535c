//! What was left behind: counted, told once, listed, and deleted one by one.

use std::path::Path;

use clap::Parser;
use hostwright::commands::orphans;
use hostwright::config::{Arguments, Command, OrphansOptions};
use hostwright::stage::{BackendsOptions, CLOUDFLARE_ZONE, Cluster, ClusterOptions, Pool};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::{assert_calm, sweep, sweep_often};
use crate::world::{World, eventually};

const PROVIDERS: [&str; 3] = ["pve", "npm", "cloudflare"];

fn options(kubeconfig: &Path, world: &World, words: &[&str]) -> OrphansOptions {
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let cluster = format!("--cluster-id={}", world.namespace);
    let begin = ["hostwright", "orphans", &kubeconfig, &cluster];
    match Arguments::parse_from(begin.iter().chain(words).copied()).command {
        Command::Orphans(options) => options,
        other => panic!("{other:?}"),
    }
}

/// Runs the command: its exit code, or its last words, and what it wrote.
async fn run(kubeconfig: &Path, world: &World, words: &[&str]) -> (Result<u8, String>, String) {
    let mut out = Vec::new();
    let code = orphans::orphans(&options(kubeconfig, world, words), &mut out).await;
    (
        code.map_err(|error| error.to_string()),
        String::from_utf8(out).unwrap(),
    )
}

async fn names(kubeconfig: &Path, world: &World) -> Vec<String> {
    let (_, text) = run(kubeconfig, world, &["-o", "json"]).await;
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["problems"], json!([]));
    let all = report["orphans"].as_array().unwrap();
    all.iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Notes about orphans that were told of a Provider, and how often each.
async fn told(world: &World, provider: &str) -> Vec<(String, i32)> {
    let api: Api<Event> = Api::all(world.admin.clone());
    let all = api.list(&ListParams::default()).await.unwrap();
    let name = world.provider(provider);
    let about = all.into_iter().filter(|event| {
        event.reason.as_deref() == Some("OrphansFound")
            && event.involved_object.name.as_deref() == Some(&name)
    });
    about
        .map(|event| {
            (
                event.message.unwrap_or_default(),
                event.series.and_then(|series| series.count).unwrap_or(1),
            )
        })
        .collect()
}

async fn wait_for_inventory(world: &World, provider: &str, wanted: [i32; 3]) {
    let counted = |status: &hostwright::api::ProviderStatus| {
        let inventory = status.inventory.unwrap_or_default();
        [inventory.owned, inventory.orphaned, inventory.foreign] == wanted
    };
    world
        .wait_for_provider(provider, &format!("{wanted:?}"), counted)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_retained_site_left_is_counted_told_listed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&ClusterOptions::new(folder.path().join("cluster")))
        .await
        .unwrap();
    cluster.install().await.unwrap();
    let mut world = World::on_cluster(&cluster, BackendsOptions::default(), Pool::default()).await;
    world.everywhere = true;
    let kubeconfig = cluster.admin_kubeconfig().to_owned();
    sweep_often(&world).await;
    let operator = world.operator().await;
    world.apply(&world.site("stays")).await;
    let mut retained = world.site("goes");
    retained["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(&retained).await;
    world
        .backends
        .proxmox
        .add_foreign_container(8_000, "pve1", &[("hostname", "stranger")]);
    for site in ["stays", "goes"] {
        world.wait_for(site, "Ready", "True").await;
    }
    wait_for_inventory(&world, "pve", [2, 0, 1]).await;
    wait_for_inventory(&world, "npm", [2, 0, 0]).await;
    // The zone itself is nobody's object.
    wait_for_inventory(&world, "cloudflare", [2, 0, 1]).await;
    let (code, text) = run(&kubeconfig, &world, &[]).await;
    assert_eq!((code, text.lines().count()), (Ok(0), 1), "{text}");

    world.delete("goes").await;
    world.wait_until_gone("goes").await;
    // An object that went a moment ago does not count; its operator's successor does not know of it.
    sweep(&operator, &world, "pve", 2).await;
    wait_for_inventory(&world, "pve", [2, 0, 1]).await;
    operator.stop().await;
    let operator = world.operator().await;
    wait_for_inventory(&world, "pve", [1, 1, 1]).await;
    wait_for_inventory(&world, "npm", [1, 1, 0]).await;
    wait_for_inventory(&world, "cloudflare", [1, 1, 1]).await;
    assert_calm(&operator, &world, &PROVIDERS).await;
    for provider in PROVIDERS {
        let told = told(&world, provider).await;
        assert!(
            matches!(told.as_slice(), [(note, 1)] if note.contains("hostwright orphans")),
            "{provider}: {told:?}"
        );
    }
    // It writes the counts that it finds, so a restart tells nothing again.
    operator.stop().await;
    let operator = world.operator().await;
    for provider in PROVIDERS {
        sweep(&operator, &world, provider, 2).await;
        let told = told(&world, provider).await;
        assert!(matches!(told.as_slice(), [(_, 1)]), "{provider}: {told:?}");
    }
    is_deleted_one_by_one(&kubeconfig, &world).await;
    for (provider, wanted) in [("pve", [1, 0, 1]), ("npm", [1, 0, 0]), ("cloudflare", [1, 0, 1])] {
        wait_for_inventory(&world, provider, wanted).await;
    }
    assert_eq!(world.backends.proxmox.foreign_writes(), Vec::<String>::new());
    world.wait_for("stays", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

async fn is_deleted_one_by_one(kubeconfig: &Path, world: &World) {
    let listed = names(kubeconfig, world).await;
    assert_eq!(listed.len(), 3, "{listed:?}");
    let (code, text) = run(kubeconfig, world, &["--provider", &world.provider("pve")]).await;
    assert_eq!(code, Ok(2));
    assert!(text.contains("--delete") && text.contains("container"), "{text}");
    // What belongs to an object or to somebody else is no orphan, and nothing is deleted without a question.
    let own = world.status("stays").await.vmid.unwrap();
    for number in [own, 8_000] {
        let name = format!("{}/container/{number}", world.provider("pve"));
        let (code, _) = run(kubeconfig, world, &["--yes", "--delete", &name]).await;
        assert!(code.unwrap_err().contains("no orphan"));
    }
    let (code, _) = run(kubeconfig, world, &["--delete", &listed[0]]).await;
    assert!(code.unwrap_err().contains("--yes"));
    assert_eq!(names(kubeconfig, world).await, listed);

    for name in &listed {
        let (code, text) = run(kubeconfig, world, &["--yes", "--delete", name]).await;
        assert_eq!(code, Ok(0), "{name}: {text}");
    }
    eventually("nothing is left", || async {
        let left = names(kubeconfig, world).await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
    assert_eq!(world.backends.proxmox.containers().len(), 2);
    assert_eq!(world.backends.npm.hosts().len(), 1);
    assert_eq!(world.backends.cloudflare.records(CLOUDFLARE_ZONE).len(), 1);
}
