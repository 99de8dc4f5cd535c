//! What every [`ReverseProxy`] must do, run on Nginx Proxy Manager: hosts, log-ins and faults.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hostwright::domain::{Fqdn, Names, OwnerMark};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::http::{HttpSettings, TlsTrust, client_builder};
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

pub fn names(texts: &[&str]) -> Names {
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

/// What a visitor gets over plain HTTP: status, the header Retry-After, the page.
async fn visit(stage: &Stage, host: &str, path: &str) -> (u16, Option<String>, String) {
    let address = stage.sim.edge_addresses().0;
    let client = client_builder(&TlsTrust::System).unwrap().build().unwrap();
    let request = client.get(format!("http://{address}{path}")).header("host", host);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let wait = response
        .headers()
        .get("retry-after")
        .map(|value| value.to_str().unwrap().to_owned());
    (status, wait, response.text().await.unwrap())
}

#[tokio::test]
async fn a_notice_is_shown_instead_of_the_site_and_taken_away_again() {
    let stage = stage().await;
    let proxy = &stage.proxy;
    let plain = spec(&["a.example.com"], None);
    let sentence = "Closed. '; } $host <b>\\ {{ id }} \u{633}\u{627}\u{6cc}\u{62a}";
    let closed = ProxyHostSpec {
        notice: Some(sentence.to_owned()),
        ..plain.clone()
    };
    let host = proxy.create_host(&plain, &owner(1)).await.unwrap();
    let own = "# of the hoster's\nclient_max_body_size 64m;";
    let by_hand = json!({"advanced_config": own});
    stage.sim.edit_host_by_hand(host.id.0, by_hand).unwrap();
    assert_eq!(visit(&stage, "a.example.com", "/").await.0, 502);

    let shut = proxy.update_host(host.id, &closed, &owner(1)).await.unwrap();
    assert_eq!(
        (&shut.spec, shut.deviates, &shut.problem),
        (&closed, false, &None)
    );
    assert_eq!(proxy.find(&name("a.example.com")).await.unwrap().hosts, [shut]);
    let (status, wait, page) = visit(&stage, "a.example.com", "/shop?x=1").await;
    assert_eq!((status, wait.as_deref()), (503, Some("3600")));
    assert!(page.contains("Closed.") && !page.contains("<b>"), "{page}");
    let challenge = visit(&stage, "a.example.com", "/.well-known/acme-challenge/x").await;
    assert_eq!(challenge.0, 502, "certificates are renewed all the same");

    let before = stage.writes();
    proxy.update_host(host.id, &closed, &owner(1)).await.unwrap();
    assert_eq!(stage.writes(), before);
    for enabled in [false, true] {
        proxy.set_enabled(host.id, enabled, &owner(1)).await.unwrap();
        let found = &proxy.find(&name("a.example.com")).await.unwrap().hosts[0];
        assert_eq!((found.enabled, &found.spec), (enabled, &closed));
        let expected = if enabled { 503 } else { 200 };
        assert_eq!(visit(&stage, "a.example.com", "/").await.0, expected);
    }
    let open = proxy.update_host(host.id, &plain, &owner(1)).await.unwrap();
    assert_eq!((&open.spec, open.deviates), (&plain, false));
    assert_eq!(stage.sim.hosts()[0]["advanced_config"], json!(own));
    assert_eq!(visit(&stage, "a.example.com", "/").await.0, 502);
}

#[tokio::test]
async fn a_disabled_host_shows_its_notice_once_it_is_enabled() {
    let stage = stage().await;
    let proxy = &stage.proxy;
    let mut wanted = spec(&["a.example.com"], None);
    let host = proxy.create_host(&wanted, &owner(1)).await.unwrap();
    proxy.set_enabled(host.id, false, &owner(1)).await.unwrap();
    wanted.notice = Some("Closed.".to_owned());
    let updated = proxy.update_host(host.id, &wanted, &owner(1)).await.unwrap();
    assert_eq!(
        (updated.enabled, &updated.spec, updated.deviates),
        (false, &wanted, false)
    );
    assert_eq!(
        visit(&stage, "a.example.com", "/").await.0,
        200,
        "the proxy's own page"
    );
    proxy.set_enabled(host.id, true, &owner(1)).await.unwrap();
    assert_eq!(visit(&stage, "a.example.com", "/").await.0, 503);

    wanted.domains = names(&["b.example.com"]);
    let born_shut = proxy.create_host(&wanted, &owner(1)).await.unwrap();
    assert_eq!((&born_shut.spec, born_shut.deviates), (&wanted, false));
    assert_eq!(visit(&stage, "b.example.com", "/").await.0, 503);
}

#[tokio::test]
async fn a_notice_that_somebody_changed_is_repaired_and_one_too_long_is_refused() {
    let stage = stage().await;
    let proxy = &stage.proxy;
    let mut wanted = spec(&["a.example.com"], None);
    wanted.notice = Some("Closed.".to_owned());
    let host = proxy.create_host(&wanted, &owner(1)).await.unwrap();
    let text = stage.sim.hosts()[0]["advanced_config"]
        .as_str()
        .unwrap()
        .to_owned();
    let changed = json!({"advanced_config": text.replace("Closed.", "Open!")});
    stage.sim.edit_host_by_hand(host.id.0, changed).unwrap();
    let found = &proxy.find(&name("a.example.com")).await.unwrap().hosts[0];
    assert_eq!(found.spec.notice.as_deref(), Some("Open!"));
    let repaired = proxy.update_host(host.id, &wanted, &owner(1)).await.unwrap();
    assert_eq!(repaired.spec, wanted);
    assert_eq!(stage.sim.hosts()[0]["advanced_config"], json!(text));

    let before = stage.writes();
    wanted.notice = Some("x".repeat(5_000));
    let error = proxy.update_host(host.id, &wanted, &owner(1)).await.unwrap_err();
    assert_eq!((error.kind(), stage.writes()), (ErrorKind::Invalid, before));
}

#[tokio::test]
async fn a_lost_answer_to_a_notice_is_found_again() {
    let stage = stage().await;
    let proxy = &stage.proxy;
    let mut wanted = spec(&["a.example.com"], None);
    let host = proxy.create_host(&wanted, &owner(1)).await.unwrap();
    for notice in [Some("Closed.".to_owned()), None] {
        wanted.notice = notice;
        stage.fault("PUT", "/proxy-hosts/", Trouble::CutAfter);
        let error = proxy.update_host(host.id, &wanted, &owner(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous);
        let before = stage.writes();
        let again = proxy.update_host(host.id, &wanted, &owner(1)).await.unwrap();
        assert_eq!((&again.spec, again.deviates), (&wanted, false));
        assert_eq!(stage.writes(), before, "the read shows that it has happened");
    }
}

#[tokio::test]
async fn adopting_puts_the_mark_in_and_changes_nothing_else() {
    let stage = stage().await;
    let proxy = &stage.proxy;
    let id = stage
        .sim
        .add_foreign_host(&["shop.example.com"], "10.0.0.5", 8080)
        .unwrap();
    let by_hand =
        json!({"meta": {"note": "ask Jane"}, "caching_enabled": true, "advanced_config": "set $x 1;"});
    stage.sim.edit_host_by_hand(id, by_hand).unwrap();
    let mut before = stage.sim.hosts().remove(0);
    let id = ProxyHostId(id);
    stage.fault("PUT", "/proxy-hosts/", Trouble::CutAfter);
    let lost = proxy.adopt_host(id, &owner(1)).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Ambiguous);
    proxy.adopt_host(id, &owner(1)).await.unwrap();
    assert_eq!(
        stage.calls("PUT /api/nginx/proxy-hosts/*"),
        1,
        "fine when it is so"
    );
    let mut after = stage.sim.hosts().remove(0);
    assert_eq!(after["meta"]["hostwright"], json!(owner(1).to_string()));
    before["meta"]["hostwright"] = after["meta"]["hostwright"].clone();
    for host in [&mut before, &mut after] {
        host.as_object_mut().unwrap().remove("modified_on");
    }
    assert_eq!(after, before);

    let writes = stage.writes();
    let error = proxy.adopt_host(id, &owner(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let unreadable = json!({"meta": {"hostwright": "somebody"}});
    stage.sim.edit_host_by_hand(id.0, unreadable).unwrap();
    let error = proxy.adopt_host(id, &owner(2)).await.unwrap_err();
    assert_eq!((error.kind(), stage.writes()), (ErrorKind::Conflict, writes));
    let gone = proxy.adopt_host(ProxyHostId(99), &owner(1)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn certificates_tell_their_end() {
    let stage = stage().await;
    let made = stage
        .proxy
        .request_certificate(&names(&["a.example.com"]))
        .await
        .unwrap();
    let end = made.expires_at.unwrap();
    let days = (end.as_second() - jiff::Timestamp::now().as_second()) / 86_400;
    assert!((89..=90).contains(&days), "{end}");
    assert_eq!(
        stage
            .proxy
            .find(&name("a.example.com"))
            .await
            .unwrap()
            .certificates,
        std::slice::from_ref(&made)
    );
    assert_eq!(stage.proxy.survey().await.unwrap().certificates, [made]);
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
async fn a_certificate_of_another_account_is_no_missing_one() {
    let mut options = NpmOptions::new(IDENTITY, SECRET);
    options.visibility_user_only = true;
    let stage = stage_with(options).await;
    let id = stage.sim.add_foreign_certificate(&["a.example.com"], true);
    let spec = spec(&["a.example.com"], Some(CertificateId(id)));
    stage.proxy.create_host(&spec, &owner(1)).await.unwrap();
    let seen = stage.proxy.survey().await.unwrap();
    assert_eq!((seen.hosts.len(), seen.certificates.len()), (1, 0));
    assert_eq!(seen.hosts[0].problem, None);
    stage.sim.delete_certificate_by_hand(id);
    let problem = stage.proxy.survey().await.unwrap().hosts.remove(0).problem;
    assert!(problem.is_some_and(|problem| problem.contains("does not exist")));
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
