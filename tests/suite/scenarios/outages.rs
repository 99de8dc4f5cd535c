//! A back-end is there but lacks something, or is not there at all: one condition, no storm of calls or status
//! writes, and the site comes up once the cause is gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hostwright::api::Phase;
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::server::Server;
use serde_json::json;

use crate::world::{Operator, World, eventually};

const TEMPLATE: &str = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";

/// For failures that are tried again: the tries go on, the status stays as it is.
async fn assert_no_writes(operator: &Operator) {
    eventually("the status comes to rest", || async {
        let before = operator.site_writes();
        tokio::time::sleep(Duration::from_millis(700)).await;
        let after = operator.site_writes();
        if before == after {
            Ok(())
        } else {
            Err(format!("{before} writes, then {after}"))
        }
    })
    .await;
    let before = operator.site_writes();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(
        operator.site_writes(),
        before,
        "the status is written again and again"
    );
}

fn cut() -> Fault {
    Fault {
        method: None,
        path_contains: String::new(),
        skip: 0,
        times: None,
        trouble: Trouble::CutBefore,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_the_dns_host_lacks_is_waited_for() {
    let world = World::new().await;
    world
        .patch_plan(json!({"spec": {"wordpress": {"baseDomain": "sites.missing.example"}}}))
        .await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let provider = world.provider("cloudflare");
    world
        .wait_for_refusal(
            "jane",
            "Unavailable",
            &[&provider, "jane.sites.missing.example", "baseDomain"],
        )
        .await;
    // The installation goes on meanwhile, and tells of its progress.
    world.wait_for("jane", "InstallReady", "True").await;
    assert_no_writes(&operator).await;

    world.backends.cloudflare.add_zone("missing.example");
    let status = world.wait_for("jane", "Ready", "True").await;
    assert_eq!(status.url.as_deref(), Some("https://jane.sites.missing.example"));
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_the_node_lacks_is_waited_for() {
    let mut world = World::new().await;
    // Longer than the test watches: the site is woken by hand.
    world.pace.retry_min = Duration::from_secs(20);
    world.pace.retry_max = Duration::from_secs(20);
    let lacking = |missing: bool| {
        for node in ["pve1", "pve2"] {
            world
                .backends
                .proxmox
                .set_template_missing(node, TEMPLATE, missing);
        }
    };
    lacking(true);
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    eventually("the template is named", || async {
        let status = world.status("jane").await;
        let named = |kind: &str| {
            status
                .conditions
                .iter()
                .any(|c| c.type_ == kind && c.status == "False" && c.message.contains("vztmpl"))
        };
        if named("Ready") && named("Synced") {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    assert_no_writes(&operator).await;

    lacking(false);
    world.ask_for_a_pass("jane", "template-uploaded").await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_host_that_is_switched_off_is_waited_for() {
    let mut world = World::new().await;
    let operator = world.operator().await;
    let address = world.backends.proxmox_server.address();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let elsewhere = Server::start("nothing", anywhere, axum::Router::new(), Faults::default(), None);
    drop(std::mem::replace(
        &mut world.backends.proxmox_server,
        elsewhere.await.unwrap(),
    ));
    world.apply(&world.site("jane")).await;
    world.wait_for_refusal("jane", "Unavailable", &[]).await;
    assert_no_writes(&operator).await;

    let proxmox = world.backends.proxmox.clone();
    world.backends.proxmox_server = eventually("the port is free again", || async {
        proxmox
            .serve(address, Faults::default(), None)
            .await
            .map_err(|error| error.to_string())
    })
    .await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_was_ready_survives_an_outage_of_each_back_end() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let before = world.wait_for("jane", "Ready", "True").await;
    for (name, faults) in [
        ("pve", &world.backends.proxmox_server.faults),
        ("npm", &world.backends.npm_server.faults),
        ("cloudflare", &world.backends.cloudflare_server.faults),
    ] {
        faults.order(cut());
        world.ask_for_a_pass("jane", &format!("{name}-down")).await;
        world.wait_for_refusal("jane", "Unavailable", &[]).await;
        assert_eq!(world.status("jane").await.phase, Some(Phase::Degraded), "{name}");
        assert_no_writes(&operator).await;
        faults.clear();
        world.wait_for("jane", "Ready", "True").await;
    }
    let after = world.wait_for("jane", "Synced", "True").await;
    assert_eq!(
        (before.vmid, before.private_ip, before.host),
        (after.vmid, after.private_ip, after.host)
    );
    assert_eq!(world.backends.proxmox.containers().len(), 1);
    assert_eq!(world.backends.npm.hosts().len(), 1);
    operator.stop().await;
    world.close().await;
}
