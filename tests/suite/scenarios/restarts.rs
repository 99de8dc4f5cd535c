//! A new operator finds everything as it left it: it reads each back-end once in bulk and writes nothing. One that is
//! asked to stop while it starts stops.

use std::sync::Arc;
use std::time::Duration;

use hostwright::controllers::operator;
use hostwright::providers::fence::AlwaysOpen;
use hostwright::runtime::metrics::Metrics;
use hostwright::runtime::shutdown::Shutdown;
use hostwright::stage::{BackendsOptions, Cluster, ClusterOptions, Pool};
use tokio::net::TcpListener;

use crate::world::{World, sum_of};

/// Sites of this test.
const SITES: usize = 24;
/// Operators that are stopped while they start.
const STARTS: usize = 10;
/// Longer than a stop takes on a busy machine, and shorter than what a pod is given for it.
const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_stopped_while_its_caches_fill_ends() {
    let world = World::new().await;
    for _ in 0..STARTS {
        let operator = world.operator().await;
        tokio::time::timeout(STOP_LIMIT, operator.stop()).await.unwrap();
    }
}

#[tokio::test]
async fn an_operator_that_the_api_server_never_answers_ends() {
    let world = World::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let client = kube::Client::try_from(kube::Config::new(address.parse().unwrap())).unwrap();
    let (trigger, shutdown) = Shutdown::manual();
    let settings = world.settings(Arc::new(AlwaysOpen));
    let ready = || panic!("nothing was read");
    let running = operator::run(client, settings, Metrics::new(), ready, shutdown);
    let asked = async {
        // It has asked for something.
        let connection = silent.accept().await.unwrap();
        trigger.request();
        connection
    };
    let both = async { tokio::join!(running, asked) };
    tokio::time::timeout(STOP_LIMIT, both).await.unwrap();
}

// On a cluster of its own: on the shared one, operators of other tests write the statuses of these Providers too.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_reads_in_bulk_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&ClusterOptions::new(folder.path().join("cluster")))
        .await
        .unwrap();
    cluster.install().await.unwrap();
    let world = World::on_cluster(&cluster, BackendsOptions::default(), Pool::default()).await;
    let operator = world.operator().await;
    let names: Vec<String> = (0..SITES).map(|number| format!("site-{number}")).collect();
    for name in &names {
        world.apply(&world.site(name)).await;
    }
    for name in &names {
        world.wait_for(name, "Ready", "True").await;
    }
    for name in ["pve", "npm", "cloudflare"] {
        let good = |status: &hostwright::api::ProviderStatus| {
            status
                .conditions
                .iter()
                .any(|c| c.type_ == "Ready" && c.status == "True")
        };
        world.wait_for_provider(name, "ready", good).await;
    }
    operator.assert_quiet(&world).await;
    operator.stop().await;

    let again = world.operator().await;
    let passes = || {
        sum_of(
            &again.metrics,
            "hostwright_passes_total",
            &["WordPressSite", "steady"],
        )
    };
    crate::world::eventually("every site had its pass", || async {
        if passes() >= SITES as u64 {
            Ok(())
        } else {
            Err(passes().to_string())
        }
    })
    .await;
    let checked = || {
        sum_of(
            &again.metrics,
            "hostwright_passes_total",
            &["\"Provider\"", "steady"],
        )
    };
    crate::world::eventually("every Provider was checked", || async {
        if checked() >= 3 {
            Ok(())
        } else {
            Err(checked().to_string())
        }
    })
    .await;
    again.assert_quiet(&world).await;
    let text = again.metrics.encode().unwrap();
    let writes: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("hostwright_api_writes_total{"))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    let calls = again.calls(&world);
    println!("calls of a restart with {SITES} unchanged sites: {calls:?}");
    let all: u64 = calls.values().sum();
    assert!(all < SITES as u64, "the calls grow with the sites: {calls:?}");
    again.stop().await;
    world.close().await;
}
