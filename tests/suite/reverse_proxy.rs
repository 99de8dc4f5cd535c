//! What every [`ReverseProxy`] must do, run on Nginx Proxy Manager: hosts, log-ins and faults.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hostwright::domain::{Fqdn, OwnerMark};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::http::{HttpSettings, TlsTrust};
use hostwright::providers::nginx_proxy_manager::{KeyType, NginxProxyManager, NpmSettings, connect};
use hostwright::providers::reverse_proxy::{CertificateId, ProxyHostId, ProxyHostSpec};
use hostwright::providers::{ErrorKind, HealthCheck, ReverseProxy};
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::npm::{NpmOptions, NpmSim};
use hostwright::sim::server::Server;
use serde_json::json;

pub const IDENTITY: &str = "operator@example.com";
pub const SECRET: &str = "correct horse";

/// A simulator with a client.
pub struct Stage {
    pub server: Server,
    pub sim: NpmSim,
    pub proxy: Arc<NginxProxyManager>,
}

pub fn gate() -> Gate {
    let limits = Limits {
        max_concurrent: 16,
        requests_per_second: NonZeroU32::new(10_000).unwrap(),
    };
    Gate::new("npm", limits, Arc::new(NoMeter))
}

pub fn settings(server: &Server, secret: &str) -> NpmSettings {
    NpmSettings {
        http: HttpSettings {
            bases: vec![server.url()],
            trust: TlsTrust::System,
            plaintext: true,
        },
        identity: IDENTITY.to_owned(),
        secret: secret.to_owned().into(),
        key_type: Some(KeyType::Ecdsa),
        certificate_timeout: Duration::from_secs(5),
        certificate_queue: Duration::from_secs(20),
    }
}

pub async fn stage_with(options: NpmOptions) -> Stage {
    let local = "127.0.0.1:0".parse().unwrap();
    let (server, sim) = NpmSim::start(options, local, local, local, Faults::default())
        .await
        .unwrap();
    let proxy = connect(settings(&server, SECRET), Arc::new(gate())).unwrap();
    Stage { server, sim, proxy }
}

pub async fn stage() -> Stage {
    stage_with(NpmOptions::new(IDENTITY, SECRET)).await
}

impl Stage {
    pub fn fault(&self, method: &str, path: &str, trouble: Trouble) {
        self.server.faults.order(Fault {
            method: Some(method.to_owned()),
            path_contains: path.to_owned(),
            skip: 0,
            times: Some(1),
            trouble,
        });
    }

    pub fn calls(&self, call: &str) -> u64 {
        self.server.faults.calls().get(call).copied().unwrap_or_default()
    }

    pub fn writes(&self) -> u64 {
        let calls = self.server.faults.calls();
        let writes = calls
            .iter()
            .filter(|(call, _)| !call.starts_with("GET ") && *call != "POST /api/tokens");
        writes.map(|(_, count)| count).sum()
    }
}

pub fn name(text: &str) -> Fqdn {
    text.parse().unwrap()
}

pub fn names(texts: &[&str]) -> BTreeSet<Fqdn> {
    texts.iter().map(|text| name(text)).collect()
}

pub fn owner(last: u8) -> OwnerMark {
    format!("hostwright:test:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b{last:02x}")
        .parse()
        .unwrap()
}

pub fn spec(domains: &[&str], certificate: Option<CertificateId>) -> ProxyHostSpec {
    ProxyHostSpec {
        domains: names(domains),
        forward_address: "10.0.0.9".parse().unwrap(),
        forward_port: 80,
        certificate,
        notice: None,
    }
}

#[tokio::test]
async fn a_host_lives_from_create_to_the_second_delete() {
    let stage = stage().await;
    let proxy = &stage.proxy;
    let wanted = spec(&["b.example.com", "a.example.com"], None);
    let created = proxy.create_host(&wanted, &owner(1)).await.unwrap();
    assert_eq!((&created.spec, created.mark.clone()), (&wanted, Some(owner(1))));
    assert!(
        created.enabled && !created.deviates && created.problem.is_none(),
        "{created:?}"
    );
    let found = proxy.find(&name("b.example.com")).await.unwrap();
    assert_eq!(found.hosts, std::slice::from_ref(&created));

    let before = stage.writes();
    assert_eq!(
        proxy.update_host(created.id, &wanted, &owner(1)).await.unwrap(),
        created
    );
    assert_eq!(stage.writes(), before, "nothing differs, nothing is written");

    let mut wanted = spec(&["a.example.com", "c.example.com"], None);
    wanted.forward_port = 8080;
    let updated = proxy.update_host(created.id, &wanted, &owner(1)).await.unwrap();
    assert_eq!(
        (updated.id, &updated.spec, updated.deviates),
        (created.id, &wanted, false)
    );
    assert_eq!(proxy.survey().await.unwrap().hosts, [updated]);

    proxy.delete_host(created.id, &owner(1)).await.unwrap();
    proxy.delete_host(created.id, &owner(1)).await.unwrap();
    let gone = proxy
        .update_host(created.id, &wanted, &owner(1))
        .await
        .unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(stage.sim.leftovers(), Vec::<String>::new());
    let again = proxy.create_host(&wanted, &owner(1)).await.unwrap();
    assert!(again.id > created.id, "ids are never used again");
}

#[tokio::test]
async fn hosts_of_others_are_left_alone() {
    let stage = stage().await;
    let id = ProxyHostId(
        stage
            .sim
            .add_foreign_host(&["shop.example.com"], "10.0.0.5", 80)
            .unwrap(),
    );
    let ours = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    let before = (stage.sim.hosts(), stage.writes());
    let wanted = spec(&["shop.example.com"], None);
    for (id, who) in [(id, owner(1)), (ours.id, owner(2))] {
        let update = stage.proxy.update_host(id, &wanted, &who).await.unwrap_err();
        let delete = stage.proxy.delete_host(id, &who).await.unwrap_err();
        assert_eq!(
            (update.kind(), delete.kind()),
            (ErrorKind::Conflict, ErrorKind::Conflict)
        );
    }
    let disable = stage.proxy.set_enabled(id, false, &owner(2)).await.unwrap_err();
    assert_eq!(disable.kind(), ErrorKind::Conflict);
    assert_eq!((stage.sim.hosts(), stage.writes()), before);
}

#[tokio::test]
async fn a_mark_that_changes_hands_is_seen_before_the_write() {
    let stage = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    stage
        .sim
        .edit_host_by_hand(host.id.0, json!({"meta": {"hostwright": owner(2).to_string()}}))
        .unwrap();
    let error = stage.proxy.delete_host(host.id, &owner(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(stage.sim.hosts().len(), 1);
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_that_names_it() {
    let stage = stage().await;
    stage
        .sim
        .add_foreign_host(&["Shop.Example.com"], "10.0.0.5", 80)
        .unwrap();
    let wanted = spec(&["a.example.com", "shop.example.com"], None);
    let error = stage.proxy.create_host(&wanted, &owner(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("shop.example.com"), "{error}");
}

#[tokio::test]
async fn find_is_exact_and_blind_to_case() {
    let stage = stage().await;
    stage
        .sim
        .add_foreign_host(&["Shop.Example.com"], "svc.cluster.local", 80)
        .unwrap();
    stage
        .sim
        .add_foreign_host(&["my-shop.example.com", "*.w.example.com"], "10.0.0.5", 80)
        .unwrap();
    stage.sim.add_foreign_certificate(&["shop.example.com"], true);
    stage.sim.add_foreign_certificate(&["my-shop.example.com"], true);
    let found = stage.proxy.find(&name("shop.example.com")).await.unwrap();
    assert_eq!((found.hosts.len(), found.certificates.len()), (1, 1));
    assert!(found.hosts[0].deviates && found.hosts[0].mark.is_none());
    let all = stage.proxy.survey().await.unwrap();
    assert_eq!((all.hosts.len(), all.certificates.len()), (2, 2));
}

#[tokio::test]
async fn updates_keep_what_others_put_into_meta() {
    let stage = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    let meta = json!({"hostwright": owner(1).to_string(), "note": "ask Jane", "dns_challenge": false});
    let by_hand =
        json!({"meta": meta, "forward_port": 81, "advanced_config": "set $x 1;", "caching_enabled": true});
    stage.sim.edit_host_by_hand(host.id.0, by_hand).unwrap();
    let healed = stage
        .proxy
        .update_host(host.id, &host.spec, &owner(1))
        .await
        .unwrap();
    assert_eq!(healed.spec, host.spec);
    let row = &stage.sim.hosts()[0];
    assert_eq!(
        (&row["meta"]["note"], &row["meta"]["dns_challenge"]),
        (&json!("ask Jane"), &json!(false))
    );
    assert_eq!(
        (&row["advanced_config"], &row["caching_enabled"]),
        (&json!("set $x 1;"), &json!(true))
    );
}

#[tokio::test]
async fn a_fault_of_nginx_shows_as_a_problem() {
    let stage = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    stage
        .sim
        .edit_host_by_hand(host.id.0, json!({"advanced_config": "this is not nginx;"}))
        .unwrap();
    let found = stage.proxy.find(&name("a.example.com")).await.unwrap();
    let problem = found.hosts[0].problem.as_deref().unwrap();
    assert!(
        problem.contains("unknown directive") && !problem.contains("/data"),
        "{problem}"
    );
}

#[tokio::test]
async fn enabling_is_idempotent() {
    let stage = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    for enabled in [false, false, true, true] {
        stage
            .proxy
            .set_enabled(host.id, enabled, &owner(1))
            .await
            .unwrap();
        let found = stage.proxy.find(&name("a.example.com")).await.unwrap();
        assert_eq!(
            (found.hosts[0].enabled, found.hosts[0].deviates),
            (enabled, false)
        );
    }
    assert_eq!(stage.calls("POST /api/nginx/proxy-hosts/*/disable"), 1);
}

#[tokio::test]
async fn losing_a_race_to_disable_is_fine() {
    let stage = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    let body = json!({"error": {"code": 400, "message": "Host is already disabled"}}).to_string();
    let already = Trouble::Refuse {
        status: 400,
        body,
        retry_after: None,
    };
    stage.fault("POST", "/disable", already);
    stage.proxy.set_enabled(host.id, false, &owner(1)).await.unwrap();
}

#[tokio::test]
async fn an_expired_login_is_renewed_once_for_all() {
    let stage = stage().await;
    stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    assert_eq!(stage.calls("POST /api/tokens"), 1);
    stage.sim.expire_tokens();
    let domain = name("a.example.com");
    let finds = (0..10).map(|_| stage.proxy.find(&domain));
    for found in futures::future::join_all(finds).await {
        assert_eq!(found.unwrap().hosts.len(), 1);
    }
    assert_eq!(stage.calls("POST /api/tokens"), 2);
    stage.sim.expire_tokens();
    stage
        .proxy
        .create_host(&spec(&["b.example.com"], None), &owner(1))
        .await
        .unwrap();
    assert_eq!(stage.calls("POST /api/tokens"), 3);
    stage.sim.forget_tokens();
    assert_eq!(
        stage.proxy.survey().await.unwrap().hosts.len(),
        2,
        "a lost signing key is no absence"
    );
    assert_eq!(stage.calls("POST /api/tokens"), 4);
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end() {
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.token_life = Duration::from_millis(300);
    let stage = stage_with(options).await;
    stage.proxy.survey().await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while stage.calls("POST /api/tokens") < 3 {
        stage.proxy.survey().await.unwrap();
        assert!(std::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn refused_logins_are_denied_and_not_hammered() {
    let stage = stage().await;
    let wrong = connect(settings(&stage.server, "wrong"), Arc::new(gate())).unwrap();
    for _ in 0..5 {
        assert_eq!(wrong.survey().await.unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!(stage.calls("POST /api/tokens"), 1);
    stage.sim.demand_second_factor(true);
    let error = stage.proxy.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("second factor"), "{error}");
}

#[tokio::test]
async fn a_missing_permission_is_denied_and_never_absence() {
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.visibility_user_only = true;
    let stage = stage_with(options).await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    stage.sim.set_permission("proxy_hosts", "view");
    let create = stage
        .proxy
        .create_host(&spec(&["b.example.com"], None), &owner(1))
        .await
        .unwrap_err();
    assert_eq!(create.kind(), ErrorKind::Denied, "{create}");
    assert!(create.message().contains("proxy_hosts: manage"), "{create}");
    let delete = stage.proxy.delete_host(host.id, &owner(1)).await.unwrap_err();
    assert_eq!(delete.kind(), ErrorKind::Denied);
    assert_eq!(
        stage.proxy.check().await.unwrap().missing_rights,
        ["proxy_hosts: manage"]
    );
    stage.sim.set_permission("certificates", "hidden");
    let error = stage.proxy.find(&name("a.example.com")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("certificates: manage"), "{error}");
}

#[tokio::test]
async fn an_account_that_sees_only_its_own_still_meets_foreign_names() {
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.visibility_user_only = true;
    let stage = stage_with(options).await;
    stage
        .sim
        .add_foreign_host(&["shop.example.com"], "10.0.0.5", 80)
        .unwrap();
    assert!(stage.proxy.survey().await.unwrap().hosts.is_empty());
    let error = stage
        .proxy
        .create_host(&spec(&["shop.example.com"], None), &owner(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn the_check_tells_version_and_abilities() {
    let stage = stage().await;
    let health = stage.proxy.check().await.unwrap();
    assert_eq!(health.version, "2.15.1");
    assert_eq!(
        health.capabilities,
        [
            "trusted-forwarded-protocol",
            "certificate-key-type",
            "two-factor-login"
        ]
    );
    assert!(health.missing_rights.is_empty());
}

#[tokio::test]
async fn throttling_carries_the_time() {
    let stage = stage().await;
    let refuse = Trouble::Refuse {
        status: 429,
        body: String::new(),
        retry_after: Some(7),
    };
    stage.fault("GET", "/proxy-hosts", refuse);
    let error = stage.proxy.survey().await.unwrap_err();
    let retry_after = Some(Duration::from_secs(7));
    assert_eq!(error.kind(), ErrorKind::Throttled { retry_after });
}

#[tokio::test]
async fn lost_answers_to_a_create_are_ambiguous_and_found_again() {
    let stage = stage().await;
    let internal = json!({"error": {"code": 500, "message": "Internal Error"}}).to_string();
    let troubles = [
        Trouble::FailAfterEffect {
            status: 500,
            body: internal,
        },
        Trouble::FailAfterEffect {
            status: 502,
            body: "<html>Bad Gateway</html>".to_owned(),
        },
        Trouble::CutAfter,
        Trouble::Truncate,
    ];
    for (index, trouble) in troubles.into_iter().enumerate() {
        let domain = format!("s{index}.example.com");
        stage.fault("POST", "/proxy-hosts", trouble);
        let wanted = spec(&[&domain], None);
        let error = stage.proxy.create_host(&wanted, &owner(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{index}: {error}");
        let found = stage.proxy.find(&name(&domain)).await.unwrap();
        assert_eq!(found.hosts.len(), 1);
        assert_eq!(
            (found.hosts[0].mark.clone(), &found.hosts[0].spec),
            (Some(owner(1)), &wanted)
        );
    }
    // The read after a create that worked is lost: the host is there all the same.
    stage.fault("GET", "/proxy-hosts/", Trouble::CutBefore);
    let error = stage
        .proxy
        .create_host(&spec(&["last.example.com"], None), &owner(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert_eq!(stage.sim.hosts().len(), 5);
}

#[tokio::test]
async fn failed_reads_are_unavailable_and_never_absence() {
    let stage = stage().await;
    let host = stage
        .proxy
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap();
    let refuse = |status: u16, body: &str| Trouble::Refuse {
        status,
        body: body.to_owned(),
        retry_after: None,
    };
    for trouble in [
        Trouble::CutBefore,
        Trouble::CutAfter,
        Trouble::Truncate,
        refuse(503, "busy"),
    ] {
        stage.fault("GET", "/proxy-hosts", trouble);
        let error = stage.proxy.survey().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    // A 404 of something in front of the program is not the program's word.
    stage.fault("GET", "/proxy-hosts/", refuse(404, "<html>not here</html>"));
    let error = stage.proxy.delete_host(host.id, &owner(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    stage.fault("GET", "/proxy-hosts", refuse(200, "<html>a portal</html>"));
    assert_eq!(
        stage.proxy.survey().await.unwrap_err().kind(),
        ErrorKind::Unexpected
    );
}

#[tokio::test]
async fn a_half_done_create_is_healed_by_an_update() {
    let stage = stage().await;
    stage.sim.fail_next_create_after_store();
    let wanted = spec(&["a.example.com"], None);
    let error = stage.proxy.create_host(&wanted, &owner(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    let half = stage
        .proxy
        .find(&name("a.example.com"))
        .await
        .unwrap()
        .hosts
        .remove(0);
    assert!(
        half.deviates && half.problem.is_some() && half.mark == Some(owner(1)),
        "{half:?}"
    );
    let whole = stage
        .proxy
        .update_host(half.id, &wanted, &owner(1))
        .await
        .unwrap();
    assert!(!whole.deviates && whole.problem.is_none(), "{whole:?}");
    assert_eq!(stage.sim.hosts().len(), 1);
}

#[tokio::test]
async fn a_dry_run_reads_and_writes_nothing() {
    let stage = stage().await;
    let dry = connect(settings(&stage.server, SECRET), Arc::new(gate().read_only())).unwrap();
    assert!(dry.survey().await.unwrap().hosts.is_empty());
    let error = dry
        .create_host(&spec(&["a.example.com"], None), &owner(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(stage.writes(), 0);
}

#[tokio::test]
async fn requests_that_cannot_be_right_are_not_sent() {
    let stage = stage().await;
    let error = stage
        .proxy
        .create_host(&spec(&[], None), &owner(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let mut nameless = settings(&stage.server, SECRET);
    nameless.identity = " ".to_owned();
    let error = connect(nameless, Arc::new(gate())).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(stage.server.faults.calls().len(), 0);
}
