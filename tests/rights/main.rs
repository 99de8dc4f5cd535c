//! The operator's rights: one whole life of a site and of a zone under the chart's rules, with every rare path taken for real,
//! and then the API server's audit log against the rules. Nothing may be missing and nothing may be too much.
//!
//! A test program of its own, because it judges everything that the operator asked for in its cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod rules;
#[path = "../suite/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hostwright::runtime::kubernetes;
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::stage::{
    BackendsOptions, ClusterOptions, OperatorOptions, OperatorProcess, Pool, foundations,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use rules::Request;
use world::{World, client, eventually, shared};

/// Who the operator is.
const OPERATOR: &str = "system:serviceaccount:hostwright-system:hostwright";

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_grants_what_a_life_needs_and_nothing_else() {
    let world = World::with(
        BackendsOptions {
            // Long enough to be killed in the middle of.
            install_time: Duration::from_secs(1),
            ..BackendsOptions::default()
        },
        Pool::default(),
    )
    .await;
    let identity = client(&shared().await.operator).await;
    kubernetes::cluster_id(identity).await.unwrap();

    a_replica_leads(&world).await;
    let operator = world.operator().await;
    a_provider_changes_while_it_is_checked(&world).await;
    a_site_changes_while_it_is_made(&world).await;
    killed_before_it_could_say_so(&world, operator).await;

    let operator = world.operator().await;
    world.wait_for("jane", "Ready", "True").await;
    assert!(
        asked("get", "secrets").await,
        "the passwords of before the crash were not looked up"
    );
    an_event_repeats_itself(&world).await;
    a_zone_lives_and_changes_while_it_is_made(&world).await;
    a_site_is_backed_up_and_rolled_back(&world).await;
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    operator.stop().await;

    let rendered = std::fs::read_to_string(ClusterOptions::new("").programs.join("rights.yaml")).unwrap();
    let rights = rules::rights(&rendered);
    assert!(!rights.is_empty());
    // The log is written a moment after the answers.
    eventually("every rule of the chart is needed", || async {
        let seen = seen().await;
        let needless = rules::needless(&rights, &seen);
        let named: Vec<String> = needless.iter().map(ToString::to_string).collect();
        if named.is_empty() {
            Ok(())
        } else {
            Err(named.join("; "))
        }
    })
    .await;
    let seen = seen().await;
    assert_eq!(rules::forbidden(&rights, &seen), Vec::<&Request>::new());
    println!(
        "{} kinds of requests, {} rights, each needed",
        seen.len(),
        rights.len()
    );
    world.close().await;
}

/// Takes the lease, renews it, and gives it back.
async fn a_replica_leads(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let options = OperatorOptions {
        kubeconfig: shared().await.operator.clone(),
        log: folder.path().join("replica.log"),
        cluster_id: "rights",
        flags: &["--leader-election", "--lease-retry-period=100ms"],
    };
    let flags = [format!("--watch-namespace={}", world.namespace)];
    let program = Path::new(env!("CARGO_BIN_EXE_hostwright"));
    let replica = OperatorProcess::start_program(program, &options, &flags)
        .await
        .unwrap();
    eventually("the lease is renewed", || async {
        let renewed = asked("update", "leases").await;
        renewed.then_some(()).ok_or_else(|| replica.last_words())
    })
    .await;
    replica.stop().await.unwrap();
}

/// What the operator asked for so far.
async fn seen() -> BTreeSet<Request> {
    let log = std::fs::read_to_string(&shared().await.audit_log).unwrap();
    rules::requests(&log, OPERATOR)
}

async fn asked(verb: &str, resource: &str) -> bool {
    let seen = seen().await;
    seen.iter()
        .any(|request| request.verb == verb && request.resource == resource)
}

/// Makes every call take a while, so that something can happen meanwhile.
fn slow_down(faults: &Faults) {
    faults.order(Fault {
        method: None,
        path_contains: String::new(),
        skip: 0,
        times: None,
        trouble: Trouble::Latency { milliseconds: 200 },
    });
}

/// An object of the world is changed again and again, until the operator's status meets another version than it
/// has read and reads it once more.
async fn change_until_read_again(world: &World, object: Value, resource: &str) {
    let mut changes = 0_u32..;
    eventually(&format!("{resource} are read again after a conflict"), || {
        let mut changed = object.clone();
        changed["metadata"]["annotations"] = json!({"test": changes.next().unwrap().to_string()});
        async move {
            world.apply(&changed).await;
            asked("get", resource).await.then_some(()).ok_or_else(String::new)
        }
    })
    .await;
}

async fn a_provider_changes_while_it_is_checked(world: &World) {
    let faults = &world.backends.npm_server.faults;
    slow_down(faults);
    let all = foundations(&world.backends, &world.pool);
    let mut provider = all
        .into_iter()
        .find(|object| object["spec"]["nginxProxyManager"].is_object())
        .unwrap();
    // The first check of a Provider always has something to say.
    provider["metadata"]["name"] = json!(world.provider("busy"));
    change_until_read_again(world, provider, "providers").await;
    faults.clear();
}

async fn a_site_changes_while_it_is_made(world: &World) {
    let faults = &world.backends.proxmox_server.faults;
    slow_down(faults);
    change_until_read_again(world, world.site("jane"), "wordpresssites").await;
    faults.clear();
}

/// From its creation to its end.
async fn a_zone_lives_and_changes_while_it_is_made(world: &World) {
    let faults = &world.backends.ispconfig_server.faults;
    slow_down(faults);
    let records = json!([{"name": "www", "type": "A", "content": "192.0.2.80"}]);
    change_until_read_again(world, world.zone("ispconfig", records), "dnszones").await;
    faults.clear();
    world.wait_for_zone("zone", "Ready", "True").await;
    world.remove_zone("zone").await;
}

/// A backup, a restore that goes by itself, and backups by the clock.
async fn a_site_is_backed_up_and_rolled_back(world: &World) {
    let plan = json!({"spec": {"wordpress": {"backups": 9}}});
    world.patch_plan(plan).await;
    let object = |kind: &str, name: &str, labels: Value, spec: Value| {
        json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": name, "namespace": world.namespace, "labels": labels},
            "spec": spec,
        })
    };
    let faults = &world.backends.proxmox_server.faults;
    slow_down(faults);
    let backup = object("SiteBackup", "first", json!({}), json!({"site": "jane"}));
    change_until_read_again(world, backup, "sitebackups").await;
    let spec = json!({"site": "jane", "snapshot": "initial"});
    let restore = object("SiteRestore", "back", json!({}), spec);
    change_until_read_again(world, restore, "siterestores").await;
    faults.clear();

    let spec = json!({"site": "nobody", "snapshot": "initial", "ttlSecondsAfterFinished": 0});
    world
        .apply(&object("SiteRestore", "brief", json!({}), spec))
        .await;
    eventually("a restore that is over goes", || async {
        let gone = asked("delete", "siterestores").await;
        gone.then_some(()).ok_or_else(String::new)
    })
    .await;
    // Two of yesterday, of which the schedule keeps one, and the one of the next minute.
    for name in ["jane-20251119-0330", "jane-20251120-0330"] {
        let labels = json!({"hostwright.dev/scheduled": "true"});
        let spec = json!({"site": "jane"});
        world.apply(&object("SiteBackup", name, labels, spec)).await;
    }
    let schedule = json!({"spec": {"backupSchedule": {"cron": "* * * * *", "keep": 1}}});
    world.patch("jane", schedule).await;
    let (patience, pause) = (Duration::from_secs(120), Duration::from_millis(200));
    world::eventually_within(patience, pause, "backups come and go by the clock", || async {
        let both = asked("create", "sitebackups").await && asked("delete", "sitebackups").await;
        both.then_some(()).ok_or_else(String::new)
    })
    .await;
    world
        .patch("jane", json!({"spec": {"backupSchedule": null}}))
        .await;
}

/// The operator dies between the Secret and its next word, and somebody clears the status besides.
async fn killed_before_it_could_say_so(world: &World, operator: world::Operator) {
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    eventually("the Secret is there", || async {
        let secret = secrets.get_opt("jane-wordpress").await.unwrap();
        secret.map(drop).ok_or_else(String::new)
    })
    .await;
    // Without its mark, which creation puts on last, nobody could tell whose the container is.
    world.wait_for("jane", "ContainerReady", "True").await;
    operator.kill();
    world
        .sites()
        .patch_status(
            "jane",
            &PatchParams::default(),
            &Patch::Merge(&json!({"status": null})),
        )
        .await
        .unwrap();
}

/// The same event for the second time is counted up instead of made anew.
async fn an_event_repeats_itself(world: &World) {
    let paused = |value: Value| json!({"metadata": {"annotations": {"hostwright.dev/paused": value}}});
    for _ in 0..2 {
        world.patch("jane", paused(json!("true"))).await;
        world.wait_for_reason("jane", "Synced", "Paused").await;
        world.patch("jane", paused(Value::Null)).await;
        world.wait_for("jane", "Synced", "True").await;
    }
}
