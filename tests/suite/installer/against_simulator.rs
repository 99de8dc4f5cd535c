//! The SSH installer against the simulated node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostwright::providers::ErrorKind;
use hostwright::providers::site_installer::{InstallState, SiteInstaller};
use hostwright::providers::ssh_installer;
use hostwright::sim::directory::{ContainerDirectory, Installed};
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::ssh::{Outcome, SshOptions, SshSim};
use russh::keys::PrivateKey;

use super::openssh::{key, public_line};
use super::{ADMIN_PASSWORD, Bench, DATABASE_PASSWORD, failed, gate, request, settings, until};

/// Containers on two nodes: 907 runs on pve1, 908 is stopped there; everything else is nowhere.
#[derive(Default)]
struct Cluster {
    places: Mutex<BTreeMap<u32, (String, bool)>>,
    sites: Mutex<BTreeMap<u32, Installed>>,
}

impl ContainerDirectory for Cluster {
    fn running_at(&self, _: Ipv4Addr) -> Option<u32> {
        None
    }
    fn on_node(&self, vmid: u32) -> Option<(String, bool)> {
        self.places.lock().unwrap().get(&vmid).cloned()
    }
    fn set_installed(&self, vmid: u32, installed: Installed) {
        self.sites.lock().unwrap().insert(vmid, installed);
    }
    fn installed(&self, vmid: u32) -> Option<Installed> {
        self.sites.lock().unwrap().get(&vmid).cloned()
    }
}

fn cluster() -> Arc<Cluster> {
    let cluster = Cluster::default();
    let mut places = cluster.places.lock().unwrap();
    places.insert(907, ("pve1".to_owned(), true));
    places.insert(908, ("pve1".to_owned(), false));
    drop(places);
    Arc::new(cluster)
}

async fn node(name: &str, client: &PrivateKey, cluster: &Arc<Cluster>, outcome: Outcome) -> SshSim {
    SshSim::start(SshOptions {
        node: name.to_owned(),
        address: (Ipv4Addr::LOCALHOST, 0).into(),
        authorized_key: public_line(client),
        directory: Some(Arc::clone(cluster) as Arc<dyn ContainerDirectory>),
        run_time: Duration::ZERO,
        outcome,
        faults: Faults::default(),
    })
    .await
    .unwrap()
}

struct One {
    sim: SshSim,
    cluster: Arc<Cluster>,
    bench: Bench,
}

async fn one(outcome: Outcome) -> One {
    let (client, cluster) = (key(), cluster());
    let sim = node("pve1", &client, &cluster, outcome).await;
    let bench = Bench::new(settings(&client, &[("pve1", sim.address(), sim.host_key())]));
    One { sim, cluster, bench }
}

#[tokio::test]
async fn a_site_is_installed_and_doing_it_again_is_harmless() {
    let mut one = one(Outcome::Finish).await;
    let request = request(907, "pve1");
    assert_eq!(one.bench.state(&request).await, InstallState::Idle);
    for run in 1..=2 {
        assert_eq!(one.bench.run(&request).await, InstallState::Done);
        // Read once, a finished run is forgotten.
        assert_eq!(one.bench.state(&request).await, InstallState::Idle);
        assert_eq!(one.sim.runs(), BTreeMap::from([(907, run)]));
    }
    let site = one.cluster.installed(907).unwrap();
    assert_eq!(
        (site.host.as_str(), site.setup_finished),
        ("shop907.example.com", true)
    );
    assert_eq!(one.sim.faults.calls()["EXEC /pct/exec/*"], 2);
}

#[tokio::test]
async fn beginning_again_while_under_way_changes_nothing() {
    let mut one = one(Outcome::Finish).await;
    let latency = Trouble::Latency { milliseconds: 200 };
    one.sim.faults.order(fault(latency));
    let request = request(907, "pve1");
    one.bench.installer.begin(request.clone()).await.unwrap();
    one.bench.installer.begin(request.clone()).await.unwrap();
    assert_eq!(one.bench.state(&request).await, InstallState::Running);
    assert_eq!(one.bench.ended(&request).await, InstallState::Done);
    assert_eq!(one.sim.runs()[&907], 1);
}

fn fault(trouble: Trouble) -> Fault {
    Fault {
        method: None,
        path_contains: String::new(),
        skip: 0,
        times: Some(1),
        trouble,
    }
}

#[tokio::test]
async fn a_node_with_another_host_key_gets_nothing() {
    let (client, cluster) = (key(), cluster());
    let sim = node("pve1", &client, &cluster, Outcome::Finish).await;
    let other = public_line(&key());
    let mut bench = Bench::new(settings(&client, &[("pve1", sim.address(), &other)]));
    let error = failed(bench.run(&request(907, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("not pinned"), "{error}");
    assert!(sim.faults.calls().is_empty());
}

#[tokio::test]
async fn a_refused_client_key_is_named() {
    let cluster = cluster();
    let sim = node("pve1", &key(), &cluster, Outcome::Finish).await;
    let mut bench = Bench::new(settings(&key(), &[("pve1", sim.address(), sim.host_key())]));
    let error = failed(bench.run(&request(907, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("authorized_keys"), "{error}");
}

#[tokio::test]
async fn a_node_that_is_away_is_unavailable() {
    let One { sim, mut bench, .. } = one(Outcome::Finish).await;
    drop(sim);
    let error = failed(bench.run(&request(907, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn the_scripts_sentence_reaches_the_state_and_secrets_do_not() {
    for (status, kind) in [(1, ErrorKind::Unavailable), (3, ErrorKind::Invalid)] {
        let outcome = Outcome::Fail {
            step: "database".to_owned(),
            sentence: format!("no room near '{DATABASE_PASSWORD}' and {ADMIN_PASSWORD}"),
            status,
        };
        let mut one = one(outcome).await;
        let request = request(907, "pve1");
        let state = one.bench.run(&request).await;
        assert_no_secret(&format!("{state:?}"));
        let error = failed(state);
        assert_eq!(error.kind(), kind);
        assert!(
            error.message().contains("database: no room near '***' and ***"),
            "{error}"
        );
        assert_no_secret(error.detail().unwrap());
        // It stays until somebody begins again.
        assert_eq!(failed(one.bench.state(&request).await), error);
    }
}

fn assert_no_secret(text: &str) {
    for secret in [ADMIN_PASSWORD, DATABASE_PASSWORD, "PRIVATE KEY"] {
        assert!(!text.contains(secret), "a secret in {text}");
    }
}

#[tokio::test]
async fn debug_prints_no_secret() {
    let client = key();
    let address = (Ipv4Addr::LOCALHOST, 22).into();
    let settings = settings(&client, &[("pve1", address, &public_line(&key()))]);
    assert_no_secret(&format!("{settings:?} {:?}", request(907, "pve1")));
}

#[tokio::test]
async fn a_lost_connection_is_resumed_by_the_next_begin() {
    let mut one = one(Outcome::Cut { after_bytes: 1000 }).await;
    let request = request(907, "pve1");
    let error = failed(one.bench.run(&request).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("resumes"), "{error}");
    assert_eq!(one.cluster.installed(907), None);
    // Now with the work done and the answer lost.
    one.sim.set_outcome(Outcome::Finish);
    for trouble in [Trouble::CutBefore, Trouble::CutAfter, Trouble::Truncate] {
        one.sim.faults.order(fault(trouble));
        assert_eq!(
            failed(one.bench.run(&request).await).kind(),
            ErrorKind::Unavailable
        );
    }
    assert!(one.cluster.installed(907).is_some());
    assert_eq!(one.bench.run(&request).await, InstallState::Done);
}

#[tokio::test]
async fn a_run_that_hangs_ends_at_its_deadline() {
    let (client, cluster) = (key(), cluster());
    let sim = node("pve1", &client, &cluster, Outcome::Hang).await;
    let mut settings = settings(&client, &[("pve1", sim.address(), sim.host_key())]);
    settings.deadline = Duration::from_secs(1);
    let mut bench = Bench::new(settings);
    let request = request(907, "pve1");
    let error = failed(bench.run(&request).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("within 1 s"), "{error}");
    sim.set_outcome(Outcome::Finish);
    assert_eq!(bench.run(&request).await, InstallState::Done);
}

#[tokio::test]
async fn a_container_that_moved_is_found_at_its_new_node() {
    let (client, cluster) = (key(), cluster());
    let first = node("pve1", &client, &cluster, Outcome::Finish).await;
    let second = node("pve2", &client, &cluster, Outcome::Finish).await;
    let nodes = [
        ("pve1", first.address(), first.host_key()),
        ("pve2", second.address(), second.host_key()),
    ];
    let mut bench = Bench::new(settings(&client, &nodes));
    cluster
        .places
        .lock()
        .unwrap()
        .insert(907, ("pve2".to_owned(), true));
    let error = failed(bench.run(&request(907, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("not on node pve1"), "{error}");
    assert_eq!(bench.run(&request(907, "pve2")).await, InstallState::Done);
    assert_eq!((first.runs().len(), second.runs()[&907]), (0, 1));
}

#[tokio::test]
async fn a_stopped_container_waits() {
    let mut one = one(Outcome::Finish).await;
    let error = failed(one.bench.run(&request(908, "pve1")).await);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("does not run"), "{error}");
}

#[tokio::test]
async fn an_unknown_node_or_an_odd_parameter_is_refused_at_once() {
    let one = one(Outcome::Finish).await;
    let error = one.bench.installer.begin(request(907, "pve9")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let mut odd = request(907, "pve1");
    odd.title = "a\nHOSTWRIGHT_SOURCE=b".to_owned();
    let error = one.bench.installer.begin(odd).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn dropping_the_installer_ends_its_runs() {
    let One { sim, mut bench, .. } = one(Outcome::Hang).await;
    let request = request(907, "pve1");
    bench.installer.begin(request.clone()).await.unwrap();
    until("the run is under way", || sim.runs().contains_key(&907)).await;
    drop(bench.installer);
    let woken = tokio::time::timeout(super::PATIENCE, bench.woken.recv())
        .await
        .unwrap();
    assert_eq!(woken, Some(request.target.owner));
}

#[tokio::test]
async fn settings_are_checked_before_anybody_connects() {
    let refused = |change: fn(&mut hostwright::providers::ssh_installer::SshSettings)| {
        let address = (Ipv4Addr::LOCALHOST, 22).into();
        let mut settings = settings(&key(), &[("pve1", address, &public_line(&key()))]);
        change(&mut settings);
        match ssh_installer::connect(settings, gate(), Arc::new(|_| {})) {
            Ok(_) => panic!("the settings were taken"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        }
    };
    refused(|s| s.private_key = "-----BEGIN RSA PRIVATE KEY-----".into());
    refused(|s| s.nodes.clear());
    refused(|s| s.pct = "pct; reboot".to_owned());
    refused(|s| s.nodes.get_mut("pve1").unwrap().host_keys.clear());
    refused(|s| s.nodes.get_mut("pve1").unwrap().host_keys = vec!["ssh-ed25519 broken".to_owned()]);
}

#[tokio::test]
async fn wordpress_is_told_of_domains_once_it_is_installed() {
    let mut one = one(Outcome::Finish).await;
    let request = request(907, "pve1");
    let (target, site) = (&request.target, &request.host);
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| name.parse().unwrap())
            .collect::<BTreeSet<_>>()
    };
    let own = names(&["own.example.org", "www.own.example.org"]);
    let error = one
        .bench
        .installer
        .announce(target, site, &own)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("told of its domains"), "{error}");

    assert_eq!(one.bench.run(&request).await, InstallState::Done);
    for domains in [&own, &own, &names(&[])] {
        one.bench.installer.announce(target, site, domains).await.unwrap();
        let told: BTreeSet<String> = domains.iter().map(ToString::to_string).collect();
        assert_eq!(one.sim.announced()[&907], told);
    }
    // It is no installation, and leaves none of its traces.
    assert_eq!(one.sim.runs()[&907], 1);
    assert_eq!(one.bench.state(&request).await, InstallState::Idle);

    one.sim.faults.order(fault(Trouble::CutAfter));
    let error = one
        .bench
        .installer
        .announce(target, site, &own)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        one.sim.announced()[&907].len(),
        2,
        "the answer was lost, the effect was not"
    );
}
