//! The HTTP client that the vendors share: whom it trusts, what it refuses, and what it makes of broken answers.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use hostwright::providers::gate::{Effect, Gate, Limits, NoMeter};
use hostwright::providers::http::{BODY_LIMIT, Call, HttpClient, HttpSettings, Method, Reply, TlsTrust};
use hostwright::providers::{ErrorKind, ProviderError};
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::server::Server;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::TlsAcceptor;

const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

fn gate() -> Arc<Gate> {
    let limits = Limits {
        max_concurrent: 4,
        requests_per_second: NonZeroU32::new(10_000).unwrap(),
    };
    Arc::new(Gate::new("test", limits, Arc::new(NoMeter)))
}

fn router() -> Router {
    let redirect = || async { (StatusCode::FOUND, [(header::LOCATION, "/text")]) };
    Router::new()
        .route("/text", get(|| async { "hello" }).post(|| async { "done" }))
        .route("/elsewhere", get(redirect))
        .route("/large", get(|| async { vec![b'x'; BODY_LIMIT + 1] }))
}

/// A server with a certificate of its own; its PEM and fingerprint.
async fn secure() -> (Server, String, [u8; 32]) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start(
        "test",
        SocketAddr::from(LOOPBACK),
        router(),
        Faults::default(),
        Some(acceptor),
    )
    .await
    .unwrap();
    let digest = ring::digest::digest(&ring::digest::SHA256, cert.der());
    (server, cert.pem(), digest.as_ref().try_into().unwrap())
}

async fn plain() -> Server {
    Server::start(
        "test",
        SocketAddr::from(LOOPBACK),
        router(),
        Faults::default(),
        None,
    )
    .await
    .unwrap()
}

fn client(base: &str, trust: TlsTrust, plaintext: bool) -> Result<HttpClient, ProviderError> {
    HttpClient::new(
        &HttpSettings {
            bases: vec![base.to_owned()],
            trust,
            plaintext,
        },
        gate(),
    )
}

async fn read(client: &HttpClient, path: &str) -> Result<Reply, ProviderError> {
    client
        .send(Call::get("test.read", path).timeout(Duration::from_secs(2)), Ok)
        .await
}

#[tokio::test]
async fn only_the_named_authority_is_trusted() {
    let (server, pem, _) = secure().await;
    let (_other, other_pem, _) = secure().await;
    let trusted = client(&server.url(), TlsTrust::CaBundle(pem), false).unwrap();
    assert_eq!(read(&trusted, "/text").await.unwrap().body, b"hello");
    for trust in [TlsTrust::CaBundle(other_pem), TlsTrust::System] {
        let stranger = client(&server.url(), trust, false).unwrap();
        assert_eq!(
            read(&stranger, "/text").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
    }
}

#[tokio::test]
async fn only_the_listed_certificates_are_trusted() {
    let (server, _, fingerprint) = secure().await;
    let mut wrong = fingerprint;
    wrong[0] ^= 1;
    let pinned = client(
        &server.url(),
        TlsTrust::Fingerprints(vec![wrong, fingerprint]),
        false,
    )
    .unwrap();
    assert_eq!(read(&pinned, "/text").await.unwrap().body, b"hello");
    let stranger = client(&server.url(), TlsTrust::Fingerprints(vec![wrong]), false).unwrap();
    assert_eq!(
        read(&stranger, "/text").await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn plain_http_needs_permission_and_a_bundle_needs_certificates() {
    let server = plain().await;
    let refused = client(&server.url(), TlsTrust::System, false).err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.message().contains("plaintext: true"), "{refused}");
    assert!(client(&server.url(), TlsTrust::System, true).is_ok());
    let empty = client(
        "https://127.0.0.1",
        TlsTrust::CaBundle("nothing".to_owned()),
        false,
    )
    .err()
    .unwrap();
    assert!(empty.message().contains("no certificate"), "{empty}");
}

#[tokio::test]
async fn redirects_are_not_followed_and_large_answers_not_read() {
    let server = plain().await;
    let client = client(&server.url(), TlsTrust::System, true).unwrap();
    assert_eq!(read(&client, "/elsewhere").await.unwrap().status, 302);
    assert_eq!(server.faults.calls().get("GET /text"), None);
    assert_eq!(
        read(&client, "/large").await.unwrap_err().kind(),
        ErrorKind::Unexpected
    );
}

#[tokio::test]
async fn a_lost_answer_is_harmless_for_a_read_and_ambiguous_for_a_write() {
    let server = plain().await;
    let client = client(&server.url(), TlsTrust::System, true).unwrap();
    for trouble in [Trouble::CutAfter, Trouble::Truncate, Trouble::HangAfter] {
        server.faults.order(Fault {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: Some(2),
            trouble,
        });
        assert_eq!(
            read(&client, "/text").await.unwrap_err().kind(),
            ErrorKind::Unavailable
        );
        let write = Call::write("test.write", Method::POST, "/text").timeout(Duration::from_secs(1));
        assert_eq!(
            client.send(write, Ok).await.unwrap_err().kind(),
            ErrorKind::Ambiguous
        );
    }
}

#[tokio::test]
async fn a_silent_node_is_passed_over_for_the_next() {
    let gone = plain().await;
    let silent = gone.url();
    drop(gone);
    let server = plain().await;
    let settings = HttpSettings {
        bases: vec![silent, server.url()],
        trust: TlsTrust::System,
        plaintext: true,
    };
    let client = HttpClient::new(&settings, gate()).unwrap();
    let write = Call::write("test.write", Method::POST, "/text");
    assert_eq!(client.send(write, Ok).await.unwrap().body, b"done");
}

#[tokio::test]
async fn a_dry_run_sends_no_write() {
    let server = plain().await;
    let limits = Limits {
        max_concurrent: 1,
        requests_per_second: NonZeroU32::new(100).unwrap(),
    };
    let gate = Arc::new(Gate::new("test", limits, Arc::new(NoMeter)).read_only());
    let settings = HttpSettings {
        bases: vec![server.url()],
        trust: TlsTrust::System,
        plaintext: true,
    };
    let client = HttpClient::new(&settings, gate).unwrap();
    let refused = client
        .send(Call::write("test.write", Method::POST, "/text"), Ok)
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(read(&client, "/text").await.is_ok());
    assert_eq!(server.faults.calls().get("POST /text"), None);
}

#[tokio::test]
async fn failures_in_a_row_open_the_breaker_and_refusals_do_not() {
    let gate = gate();
    let fail = |kind| async move { Err::<(), _>(ProviderError::new(kind, "no")) };
    for _ in 0..20 {
        let admission = gate.admit("test", Effect::Read).await.unwrap();
        admission.finish(fail(ErrorKind::Denied).await).unwrap_err();
    }
    assert!(!gate.breaker_open());
    while let Ok(admission) = gate.admit("test", Effect::Read).await {
        admission.finish(fail(ErrorKind::Unavailable).await).unwrap_err();
    }
    assert!(gate.breaker_open());
    let refused = gate.admit("test", Effect::Read).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    // The cause in its own words, so that a status does not change when the breaker opens.
    assert_eq!(refused.message(), "no");
}

#[tokio::test]
async fn no_more_calls_than_allowed_are_under_way() {
    let limits = Limits {
        max_concurrent: 2,
        requests_per_second: NonZeroU32::new(1_000).unwrap(),
    };
    let gate = Gate::new("test", limits, Arc::new(NoMeter));
    let first = gate.admit("test", Effect::Read).await.unwrap();
    let _second = gate.admit("test", Effect::Read).await.unwrap();
    let third = gate.admit("test", Effect::Read);
    let mut third = std::pin::pin!(third);
    assert!(futures::poll!(third.as_mut()).is_pending());
    first.finish(Ok(())).unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(5), third).await.is_ok());
}
