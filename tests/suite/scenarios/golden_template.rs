//! The installer `template`: a golden template sets WordPress up at its first boot.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use hostwright::sim::directory::ContainerDirectory;
use hostwright::sim::faults::Faults;
use hostwright::sim::proxmox::ProxmoxSim;
use hostwright::sim::server::Server;
use hostwright::stage::{BackendsOptions, Pool};
use serde_json::json;

use crate::world::World;

/// The container's address: on the loopback interface, so that its page can be served there.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 20, 0, 100);

/// What the template's page says: nothing before the first boot is through, then that it is done and for whom.
fn page(proxmox: &ProxmoxSim) -> Result<String, StatusCode> {
    let number = proxmox.running_at(ADDRESS).ok_or(StatusCode::BAD_GATEWAY)?;
    let done = proxmox
        .installed(number)
        .is_some_and(|installed| installed.setup_finished);
    let container = proxmox.container(number).ok_or(StatusCode::BAD_GATEWAY)?;
    let start = container
        .description
        .find("hostwright:")
        .ok_or(StatusCode::NOT_FOUND)?;
    let mark: String = container.description[start..]
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    match done {
        true => Ok(format!("hostwright: done\nowner: {mark}\n")),
        false => Ok(format!("hostwright: step packages\nowner: {mark}\n")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_golden_template_brings_a_site_up_by_itself() {
    let pool = Pool {
        first_address: ADDRESS,
        addresses: 1,
        ..Pool::default()
    };
    let world = World::with(BackendsOptions::default(), pool).await;
    let proxmox = world.backends.proxmox.clone();
    let router = Router::new().route("/hostwright/health", get(move || async move { page(&proxmox) }));
    let inside = Server::start(
        "container",
        SocketAddr::from((ADDRESS, 0)),
        router,
        Faults::default(),
        None,
    )
    .await
    .unwrap();
    let settings = json!({
        "network": {"gateway": "127.0.0.1"},
        "template": "local:vztmpl/wordpress-golden_1.0_amd64.tar.zst",
        "installer": {"ssh": null, "template": {"port": inside.address().port()}},
    });
    world
        .patch_provider("pve", json!({"spec": {"proxmox": settings}}))
        .await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    assert!(status.credentials_secret.is_some(), "{status:?}");
    assert!(world.backends.ssh.iter().all(|(_, ssh)| ssh.runs().is_empty()));
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    world.end(operator).await;
}
