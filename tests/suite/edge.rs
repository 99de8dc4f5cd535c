//! Looking at sites as a visitor does, through the proxy's simulator.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use hostwright::providers::edge::{Edge, EdgeAddresses, EdgeSettings, HttpEdge, Page};
use hostwright::providers::http::TlsTrust;
use hostwright::providers::{ErrorKind, ReverseProxy};
use hostwright::sim::directory::{ContainerDirectory, Installed};
use hostwright::sim::npm::NpmOptions;
use serde_json::json;

use crate::reverse_proxy::{IDENTITY, SECRET, Stage, gate, name, names, owner, spec, stage_with};

/// One container at the address that the specs forward to.
#[derive(Default)]
struct OneContainer {
    running: Mutex<bool>,
    installed: Mutex<BTreeMap<u32, Installed>>,
}

impl ContainerDirectory for OneContainer {
    fn running_at(&self, address: Ipv4Addr) -> Option<u32> {
        (*self.running.lock().unwrap() && address == Ipv4Addr::new(10, 0, 0, 9)).then_some(900)
    }

    fn on_node(&self, vmid: u32) -> Option<(String, bool)> {
        (vmid == 900).then(|| ("a".to_owned(), *self.running.lock().unwrap()))
    }

    fn set_installed(&self, vmid: u32, installed: Installed) {
        self.installed.lock().unwrap().insert(vmid, installed);
    }

    fn installed(&self, vmid: u32) -> Option<Installed> {
        self.installed.lock().unwrap().get(&vmid).cloned()
    }
}

async fn stage() -> (Stage, Arc<OneContainer>, Arc<HttpEdge>) {
    let containers = Arc::new(OneContainer::default());
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.directory = Some(containers.clone());
    let stage = stage_with(options).await;
    let (http, https) = stage.sim.edge_addresses();
    let edge = edge(
        EdgeAddresses { http, https },
        TlsTrust::CaBundle(stage.sim.ca_pem()),
    );
    (stage, containers, edge)
}

fn edge(addresses: EdgeAddresses, trust: TlsTrust) -> Arc<HttpEdge> {
    HttpEdge::new(EdgeSettings { addresses, trust }, Arc::new(gate())).unwrap()
}

fn other(page: Page) -> String {
    match page {
        Page::Other(text) => text,
        page => panic!("{page:?}"),
    }
}

#[tokio::test]
async fn a_site_is_followed_from_nothing_to_wordpress() {
    let (stage, containers, edge) = stage().await;
    let site = name("a.example.com");
    assert_eq!(
        other(edge.look(&site, false).await.unwrap()),
        "200 default page of the proxy"
    );
    assert_eq!(
        other(edge.look(&site, true).await.unwrap()),
        "no certificate for this name"
    );
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    assert!(other(edge.look(&site, false).await.unwrap()).starts_with("502 "));
    *containers.running.lock().unwrap() = true;
    let installed = |setup_finished| Installed {
        setup_finished,
        ..Installed::fresh("a.example.com")
    };
    containers.set_installed(900, installed(false));
    assert_eq!(edge.look(&site, false).await.unwrap(), Page::Installer);
    containers.set_installed(900, installed(true));
    assert_eq!(edge.look(&site, false).await.unwrap(), Page::WordPress);

    let certificate = stage
        .proxy
        .request_certificate(&names(&["a.example.com"]))
        .await
        .unwrap();
    let wanted = spec(&["a.example.com"], Some(certificate.id));
    stage
        .proxy
        .update_host(host.id, &wanted, &owner(1))
        .await
        .unwrap();
    assert_eq!(edge.look(&site, true).await.unwrap(), Page::WordPress);
    let text = other(edge.look(&site, false).await.unwrap());
    assert_eq!(text, "301 redirect to https://a.example.com/wp-login.php");

    stage.proxy.set_enabled(host.id, false, &owner(1)).await.unwrap();
    assert_eq!(
        other(edge.look(&site, false).await.unwrap()),
        "200 default page of the proxy"
    );
}

#[tokio::test]
async fn certificates_that_do_not_fit_are_named() {
    let (stage, _, edge_of_ca) = stage().await;
    let certificate = stage
        .proxy
        .request_certificate(&names(&["b.example.com"]))
        .await
        .unwrap();
    let wanted = spec(&["a.example.com"], Some(certificate.id));
    stage.proxy.create_host(&wanted, &owner(1)).await.unwrap();
    let site = name("a.example.com");
    assert_eq!(
        other(edge_of_ca.look(&site, true).await.unwrap()),
        "certificate of another name"
    );
    let (http, https) = stage.sim.edge_addresses();
    let strangers = edge(
        EdgeAddresses { http, https },
        TlsTrust::Fingerprints(vec![[0; 32]]),
    );
    let look = strangers.look(&site, true).await;
    assert!(look.is_err() || matches!(look, Ok(Page::Other(_))));
}

#[tokio::test]
async fn silence_is_unavailable() {
    let (stage, _, edge_of_ca) = stage().await;
    let (http, https) = stage.sim.edge_addresses();
    drop(stage);
    drop(edge_of_ca);
    let nobody = edge(EdgeAddresses { http, https }, TlsTrust::System);
    let error = nobody.look(&name("a.example.com"), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_host_that_is_only_marked_as_disabled_goes_on_serving() {
    let (stage, containers, edge) = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    *containers.running.lock().unwrap() = true;
    containers.set_installed(900, Installed::fresh("a.example.com"));
    stage
        .sim
        .edit_host_by_hand(host.id.0, json!({"enabled": false}))
        .unwrap();
    assert_eq!(
        edge.look(&name("a.example.com"), false).await.unwrap(),
        Page::WordPress
    );
}
