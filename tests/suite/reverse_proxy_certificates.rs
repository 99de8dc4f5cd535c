//! What every `ReverseProxy` must do, run on Nginx Proxy Manager: certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwright::providers::nginx_proxy_manager::connect;
use hostwright::providers::reverse_proxy::CertificateId;
use hostwright::providers::{ErrorKind, ReverseProxy};
use hostwright::sim::faults::Trouble;
use hostwright::sim::npm::{AcmeMode, NpmOptions};

use crate::reverse_proxy::{
    IDENTITY, SECRET, Stage, gate, name, names, owner, settings, spec, stage, stage_with,
};

const POST: &str = "POST /api/nginx/certificates";

async fn slow(delay: Duration) -> Stage {
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.acme = AcmeMode::Works { delay };
    stage_with(options).await
}

#[tokio::test]
async fn a_host_gets_its_certificate_and_gives_it_back() {
    let stage = stage().await;
    let domains = names(&["www.a.example.com", "a.example.com"]);
    let certificate = stage.proxy.request_certificate(&domains).await.unwrap();
    assert_eq!((&certificate.domains, certificate.automatic), (&domains, true));
    assert!(certificate.expires_at.is_some());
    assert_eq!(
        stage.proxy.request_certificate(&domains).await.unwrap(),
        certificate
    );
    assert_eq!(stage.calls(POST), 1, "what exists is not requested again");

    let wanted = spec(&["a.example.com", "www.a.example.com"], Some(certificate.id));
    let host = stage.proxy.create_host(&wanted, &owner(1)).await.unwrap();
    assert_eq!(
        (&host.spec, host.deviates, host.problem.as_deref()),
        (&wanted, false, None)
    );
    let row = &stage.sim.hosts()[0];
    assert_eq!(
        (&row["ssl_forced"], &row["http2_support"]),
        (&true.into(), &true.into())
    );

    let error = stage.proxy.delete_certificate(certificate.id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("a.example.com"), "{error}");
    stage.proxy.delete_host(host.id, &owner(1)).await.unwrap();
    stage.proxy.delete_certificate(certificate.id).await.unwrap();
    stage.proxy.delete_certificate(certificate.id).await.unwrap();
    assert_eq!(stage.sim.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn six_requests_at_once_wait_for_each_other() {
    let stage = slow(Duration::from_millis(20)).await;
    let sets: Vec<_> = (0..6)
        .map(|index| names(&[&format!("s{index}.example.com")]))
        .collect();
    let requests = sets
        .iter()
        .map(|domains| stage.proxy.request_certificate(domains));
    for result in futures::future::join_all(requests).await {
        result.unwrap();
    }
    assert_eq!((stage.calls(POST), stage.sim.certificates().len()), (6, 6));
}

#[tokio::test]
async fn two_instances_meet_the_lock_and_are_throttled() {
    let stage = slow(Duration::from_millis(1_000)).await;
    let other = connect(settings(&stage.server, SECRET), Arc::new(gate())).unwrap();
    other.survey().await.unwrap();
    let (a, b) = (names(&["a.example.com"]), names(&["b.example.com"]));
    let late = async {
        let deadline = Instant::now() + Duration::from_secs(5);
        while stage.sim.certificates().is_empty() {
            assert!(Instant::now() < deadline);
            tokio::task::yield_now().await;
        }
        other.request_certificate(&b).await
    };
    let (first, second) = futures::join!(stage.proxy.request_certificate(&a), late);
    first.unwrap();
    assert!(matches!(
        second.unwrap_err().kind(),
        ErrorKind::Throttled { retry_after: Some(_) }
    ));
}

#[tokio::test]
async fn waiting_for_a_turn_is_bounded() {
    let stage = slow(Duration::from_millis(500)).await;
    let mut impatient = settings(&stage.server, SECRET);
    impatient.certificate_queue = Duration::from_millis(20);
    let proxy = connect(impatient, Arc::new(gate())).unwrap();
    let (a, b) = (names(&["a.example.com"]), names(&["b.example.com"]));
    let (first, second) = futures::join!(proxy.request_certificate(&a), proxy.request_certificate(&b));
    first.unwrap();
    assert!(matches!(second.unwrap_err().kind(), ErrorKind::Throttled { .. }));
    assert_eq!(stage.calls(POST), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_looked_up() {
    let stage = stage().await;
    let mut hasty = settings(&stage.server, SECRET);
    hasty.certificate_timeout = Duration::from_secs(1);
    let proxy = connect(hasty, Arc::new(gate())).unwrap();
    let body = "{\"error\":{\"code\":500,\"message\":\"Internal Error\"}}".to_owned();
    let troubles = [
        Trouble::HangAfter,
        Trouble::CutAfter,
        Trouble::Truncate,
        Trouble::FailAfterEffect { status: 500, body },
    ];
    for (index, trouble) in troubles.into_iter().enumerate() {
        stage.fault("POST", "/certificates", trouble);
        let domains = names(&[&format!("s{index}.example.com")]);
        let certificate = proxy.request_certificate(&domains).await.unwrap();
        assert_eq!(certificate.domains, domains);
    }
    assert_eq!(stage.sim.certificates().len(), 4);
}

#[tokio::test]
async fn a_request_that_outlives_its_limit_is_not_doubled() {
    let stage = slow(Duration::from_millis(2_500)).await;
    let mut hasty = settings(&stage.server, SECRET);
    hasty.certificate_timeout = Duration::from_secs(1);
    let proxy = connect(hasty, Arc::new(gate())).unwrap();
    let domains = names(&["a.example.com"]);
    let error = proxy.request_certificate(&domains).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    let found = proxy.find(&name("a.example.com")).await.unwrap();
    assert!(
        found.certificates.is_empty(),
        "a certificate under request is none yet"
    );
    let error = proxy.request_certificate(&domains).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Throttled { .. }), "{error}");
    let deadline = Instant::now() + Duration::from_secs(5);
    while proxy
        .find(&name("a.example.com"))
        .await
        .unwrap()
        .certificates
        .is_empty()
    {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.request_certificate(&domains).await.unwrap();
    assert_eq!((stage.calls(POST), stage.sim.certificates().len()), (1, 1));
}

#[tokio::test]
async fn refusals_of_the_authority_are_told_apart_in_short_words() {
    let stage = stage().await;
    let domains = names(&["a.example.com"]);
    stage.sim.set_acme(AcmeMode::Unreachable);
    let unreachable = stage.proxy.request_certificate(&domains).await.unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::Unavailable);
    stage.sim.set_acme(AcmeMode::ChallengeFails);
    let refused = stage.proxy.request_certificate(&domains).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    for error in [unreachable, refused] {
        assert!(
            !error.message().contains("certonly") && !error.message().contains("/data"),
            "{error}"
        );
    }
    assert_eq!(stage.sim.leftovers(), Vec::<String>::new());
}

#[tokio::test]
async fn uploaded_certificates_are_never_ours() {
    let stage = stage().await;
    let id = CertificateId(stage.sim.add_foreign_certificate(&["a.example.com"], false));
    let found = stage.proxy.find(&name("a.example.com")).await.unwrap();
    assert!(!found.certificates[0].automatic);
    assert!(!format!("{found:?}").contains("PRIVATE"));
    assert_eq!(
        stage.proxy.delete_certificate(id).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    let ours = stage
        .proxy
        .request_certificate(&names(&["a.example.com"]))
        .await
        .unwrap();
    assert_ne!(ours.id, id);
}

#[tokio::test]
async fn a_host_that_blocks_every_write_is_named() {
    let stage = stage().await;
    let certificate = stage
        .proxy
        .request_certificate(&names(&["a.example.com"]))
        .await
        .unwrap();
    let wanted = spec(&["a.example.com"], Some(certificate.id));
    let host = stage.proxy.create_host(&wanted, &owner(1)).await.unwrap();
    stage.sim.delete_certificate_by_hand(certificate.id.0);
    let error = stage
        .proxy
        .create_host(&spec(&["b.example.com"], None), &owner(2))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    let named = format!("host {} (a.example.com)", host.id.0);
    assert!(error.message().contains(&named), "{error}");
    let broken = stage
        .proxy
        .find(&name("a.example.com"))
        .await
        .unwrap()
        .hosts
        .remove(0);
    assert!(
        broken
            .problem
            .is_some_and(|problem| problem.contains("does not exist"))
    );
    // Deleting the broken host is the way out, and works.
    stage.proxy.delete_host(host.id, &owner(1)).await.unwrap();
    let stored = stage
        .proxy
        .find(&name("b.example.com"))
        .await
        .unwrap()
        .hosts
        .remove(0);
    let healed = stage
        .proxy
        .update_host(stored.id, &stored.spec, &owner(2))
        .await
        .unwrap();
    assert_eq!((healed.deviates, healed.problem), (false, None));
}

#[tokio::test]
async fn a_missing_right_to_certificates_is_denied() {
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.visibility_user_only = true;
    let stage = stage_with(options).await;
    stage.sim.set_permission("certificates", "view");
    let error = stage
        .proxy
        .request_certificate(&names(&["a.example.com"]))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.message().contains("certificates: manage"), "{error}");
}
