//! Two hundred customers at once, more than there are addresses, and an API server that goes away in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hostwright::api::WordPressSite;
use hostwright::stage::{BackendsOptions, CLOUDFLARE_ZONE, Cluster, ClusterOptions, Pool};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::Value;

use crate::world::{World, eventually_within};

/// Sites that are applied.
const SITES: usize = 200;
/// Addresses of the pool: 100 to 253 of a /24.
const ADDRESSES: usize = 154;
/// Sites that are deleted in the end, for whose addresses others wait.
const DELETED: usize = 10;
/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(30);
/// Limit for each stage; a busy machine takes some minutes for what an idle one does in seconds.
const LONG: Duration = Duration::from_secs(400);

/// Between two looks at all sites, each of which costs the API server and the test some 200 objects.
const LOOK: Duration = Duration::from_secs(1);

/// Sites by whether they are ready, and the reason if they are not.
async fn states(world: &World) -> (Vec<WordPressSite>, BTreeMap<String, usize>) {
    let Ok(sites) = world.sites().list(&ListParams::default()).await else {
        return Default::default();
    };
    let mut counts = BTreeMap::new();
    for site in &sites.items {
        let conditions = site.status.iter().flat_map(|status| &status.conditions);
        let ready = conditions.into_iter().find(|c| c.type_ == "Ready");
        let word = ready.map_or("none", |c| if c.status == "True" { "Ready" } else { &c.reason });
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    (sites.items, counts)
}

/// The last warnings, for failures.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    format!("{} warnings, the last: {lines:?}", text.lines().count())
}

async fn wait_for_counts(world: &World, wanted: &[(&str, usize)]) -> Vec<WordPressSite> {
    let wanted: BTreeMap<String, usize> = wanted.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
    eventually_within(LONG, LOOK, &format!("{wanted:?}"), || async {
        let (sites, counts) = states(world).await;
        if counts == wanted {
            Ok(sites)
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await
}

/// Asserts that no value occurs twice and returns how many there are.
fn all_different<T: Ord + std::fmt::Debug>(what: &str, values: impl Iterator<Item = T>) -> usize {
    let mut seen = BTreeSet::new();
    for value in values {
        let shown = format!("{value:?}");
        assert!(seen.insert(value), "{what} {shown} twice");
    }
    seen.len()
}

/// Containers that the cluster has ever created, by its own record of tasks.
async fn created(world: &World) -> Vec<String> {
    let secret = world.secrets().get(&world.provider("pve")).await.unwrap();
    let value = |key: &str| String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap();
    let token = format!("PVEAPIToken={}={}", value("tokenId"), value("tokenSecret"));
    let mut numbers = Vec::new();
    for node in ["pve1", "pve2"] {
        let url = format!(
            "{}/api2/json/nodes/{node}/tasks?typefilter=vzcreate&limit=1000&source=all",
            world.backends.proxmox_server.url()
        );
        let answer = reqwest::Client::new().get(url).header("Authorization", &token);
        let body: Value = answer.send().await.unwrap().json().await.unwrap();
        let rows = body["data"].as_array().unwrap();
        let good = rows.iter().filter(|row| row["status"] == "OK");
        numbers.extend(good.map(|row| row["id"].as_str().unwrap_or_default().to_owned()));
    }
    numbers
}

fn check_sites(sites: &[WordPressSite]) {
    let ready: Vec<_> = sites
        .iter()
        .filter_map(|site| site.status.as_ref())
        .filter(|status| status.vmid.is_some())
        .collect();
    assert_eq!(
        all_different("number", ready.iter().map(|status| status.vmid)),
        ADDRESSES
    );
    assert_eq!(
        all_different("address", ready.iter().map(|status| status.private_ip.clone())),
        ADDRESSES
    );
    assert_eq!(
        all_different("name", ready.iter().map(|status| status.host.clone())),
        ADDRESSES
    );
    let waiting = sites
        .iter()
        .filter_map(|site| site.status.as_ref())
        .filter(|s| s.vmid.is_none());
    for status in waiting {
        let synced = status.conditions.iter().find(|c| c.type_ == "Synced").unwrap();
        assert!(
            synced.message.contains("10.20.0.100 to 10.20.0.253"),
            "{}",
            synced.message
        );
    }
}

async fn check_outside(world: &World) {
    let containers = world.backends.proxmox.containers();
    assert_eq!(
        all_different("container's address", containers.iter().map(|c| c.address)),
        ADDRESSES
    );
    let records = world.backends.cloudflare.records(CLOUDFLARE_ZONE);
    assert_eq!(
        all_different("record", records.iter().map(|record| record.name.clone())),
        ADDRESSES
    );
    let hosts = world.backends.npm.hosts();
    let names = hosts.iter().map(|host| host["domain_names"].to_string());
    assert_eq!(all_different("host", names), ADDRESSES);
    let targets = hosts.iter().map(|host| host["forward_host"].to_string());
    assert_eq!(all_different("host's target", targets), ADDRESSES);
    let certificates = world.backends.npm.certificates();
    let names = certificates.iter().map(|row| row["domain_names"].to_string());
    assert_eq!(all_different("certificate", names), ADDRESSES);
    assert_eq!(
        all_different("creation of number", created(world).await.into_iter()),
        ADDRESSES
    );
    let posts = |faults: &hostwright::sim::faults::Faults, end: &str| -> u64 {
        let calls = faults.calls();
        let found = calls
            .iter()
            .filter(|(call, _)| call.starts_with("POST ") && call.ends_with(end));
        found.map(|(_, count)| count).sum()
    };
    let npm = &world.backends.npm_server.faults;
    assert_eq!(posts(npm, "/nginx/proxy-hosts"), ADDRESSES as u64);
    assert_eq!(posts(npm, "/nginx/certificates"), ADDRESSES as u64);
    let creations = posts(&world.backends.cloudflare_server.faults, "/dns_records");
    assert_eq!(creations, ADDRESSES as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sites_share_a_hundred_and_fifty_four_addresses() {
    let begun = std::time::Instant::now();
    let stage = |what: &str| println!("crowd: {what} after {:.1} s", begun.elapsed().as_secs_f64());
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(&ClusterOptions::new(folder.path().join("cluster")))
        .await
        .unwrap();
    cluster.install().await.unwrap();
    let world = World::on_cluster(&cluster, BackendsOptions::default(), Pool::default()).await;
    let (operator, warnings) = world.operator_with_warnings().await;
    stage("operator runs");
    let names: Vec<String> = (0..SITES).map(|number| format!("site-{number}")).collect();
    for some in names.chunks(20) {
        futures::future::join_all(some.iter().map(async |name| world.apply(&world.site(name)).await)).await;
    }
    stage("all are applied");
    eventually_within(LONG, LOOK, "some sites are ready", || async {
        let (_, counts) = states(&world).await;
        match counts.get("Ready").is_some_and(|ready| *ready >= 20) {
            true => Ok(()),
            false => Err(format!(
                "{counts:?}; {:?}; {}",
                operator.calls(&world),
                tail(&warnings.text())
            )),
        }
    })
    .await;
    cluster.stop_apiserver().await.unwrap();
    stage("the API server is killed");
    tokio::time::sleep(AWAY).await;
    cluster.start_apiserver().await.unwrap();
    stage("the API server is back");

    let waiting = SITES - ADDRESSES;
    let sites = wait_for_counts(&world, &[("Ready", ADDRESSES), ("AddressPoolFull", waiting)]).await;
    stage("all have their state");
    check_sites(&sites);
    check_outside(&world).await;
    operator.assert_quiet(&world).await;

    let is_ready = |site: &&WordPressSite| site.status.as_ref().is_some_and(|status| status.vmid.is_some());
    for site in sites.iter().filter(is_ready).take(DELETED) {
        world.delete(&site.name_any()).await;
    }
    let left = [("Ready", ADDRESSES), ("AddressPoolFull", waiting - DELETED)];
    let sites = wait_for_counts(&world, &left).await;
    stage("others took the places of ten");
    check_sites(&sites);
    assert_eq!(world.backends.proxmox.containers().len(), ADDRESSES);
    operator.stop().await;
    world.close().await;
}
