//! The admin server over real HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use hostwright::providers::http::{TlsTrust, client_builder};
use hostwright::runtime::admin::{AdminServer, Readiness};
use hostwright::runtime::metrics::{Kind, Metrics, PassResult};
use hostwright::runtime::shutdown::{Shutdown, ShutdownTrigger};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Admin {
    server: AdminServer,
    readiness: Readiness,
    trigger: ShutdownTrigger,
    metrics: Metrics,
    client: reqwest::Client,
}

async fn start() -> Admin {
    let (trigger, shutdown) = Shutdown::manual();
    let readiness = Readiness::new(shutdown);
    let metrics = Metrics::new();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = AdminServer::start(address, metrics.clone(), readiness.clone())
        .await
        .unwrap();
    let client = client_builder(&TlsTrust::System)
        .unwrap()
        .timeout(PATIENCE)
        .build()
        .unwrap();
    Admin {
        server,
        readiness,
        trigger,
        metrics,
        client,
    }
}

impl Admin {
    async fn get(&self, path: &str) -> (u16, String, String) {
        let url = format!("http://{}{path}", self.server.address());
        let response = self.client.get(url).send().await.unwrap();
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type");
        let content_type = content_type
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        (status, content_type, response.text().await.unwrap())
    }

    async fn ready(&self) -> (u16, String) {
        let (status, _, text) = self.get("/readyz").await;
        (status, text)
    }
}

#[tokio::test]
async fn readiness_and_health_are_different_questions() {
    let admin = start().await;
    assert_eq!(admin.ready().await, (503, "starting\n".to_owned()));
    assert_eq!(admin.get("/healthz").await.0, 200);
    admin.readiness.set_waiting("waiting for the caches");
    assert_eq!(admin.ready().await, (503, "waiting for the caches\n".to_owned()));
    admin.readiness.set_ready();
    assert_eq!(admin.ready().await, (200, "ok\n".to_owned()));
    admin.trigger.request();
    assert_eq!(admin.ready().await, (503, "shutting down\n".to_owned()));
    assert_eq!(admin.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn a_scrape_sees_what_was_counted() {
    let admin = start().await;
    let passed = "hostwright_passes_total{kind=\"WordPressSite\",result=\"failed\"} 1";
    assert!(!admin.get("/metrics").await.2.contains(passed));
    admin
        .metrics
        .pass(Kind::WordPressSite, PassResult::Failed, Duration::from_millis(5));
    let (status, content_type, text) = admin.get("/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(text.lines().any(|line| line == passed), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let admin = start().await;
    assert_eq!(admin.get("/").await.0, 404);
    let url = format!("http://{}/metrics", admin.server.address());
    assert_eq!(admin.client.post(url).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn stop_ends_open_connections_and_frees_the_address() {
    let admin = start().await;
    let address = admin.server.address();
    // One connection rests between two requests, one never finishes its request.
    assert_eq!(admin.get("/healthz").await.0, 200);
    let mut stuck = TcpStream::connect(address).await.unwrap();
    stuck.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    tokio::time::timeout(PATIENCE, admin.server.stop()).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    drop(stuck);
}

#[tokio::test]
async fn a_taken_address_names_the_variable() {
    let admin = start().await;
    let address = admin.server.address();
    let error = AdminServer::start(address, Metrics::new(), admin.readiness.clone())
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with(&format!("the admin address {address} cannot be used (")),
        "{said}"
    );
    assert!(
        said.ends_with("; set HOSTWRIGHT_ADMIN_ADDRESS to a free one"),
        "{said}"
    );
}
