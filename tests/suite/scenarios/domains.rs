//! Customers' domains, from the spec to a page and away again, with the name servers of the domains on loopback.

use std::fmt::Write;

use hostwright::api::{DomainState, Phase, SiteDomain, WordPressSiteStatus};
use hostwright::sim::npm::AcmeMode;
use hostwright::stage::PUBLIC_ADDRESS;
use serde_json::{Value, json};

use crate::legacy::{Legacy, left_host};
use crate::name_servers::{NameServers, RESOLVER, ROOT};
use crate::world::{Operator, World, eventually};

const SERVER: &str = "customers";
const SHOP: &str = "shop.test";
const BLOG: &str = "blog.test";

struct Scene {
    world: World,
    operator: Operator,
    dns: NameServers,
}

impl Scene {
    /// A world whose proxy asks these name servers, and whose Plan allows so many domains.
    async fn with_quota(domains: i32) -> Self {
        let mut dns = NameServers::start(&[ROOT, SERVER]).await;
        let (root, server) = (dns.ip(ROOT), dns.ip(SERVER));
        let text = format!(
            "$TTL 1\n$ORIGIN .\n@ SOA a.root. admin.root. 1 60 60 3600 1\n@ NS a.root.\na.root. A {root}\n\
             test. NS ns.test.\nns.test. A {server}\n"
        );
        dns.load_zone(ROOT, ".", text).await.unwrap();
        let world = World::new().await;
        let settings =
            json!({"resolvers": [dns.address(RESOLVER).to_string()], "nameserverPort": dns.port()});
        let patch = json!({"spec": {"nginxProxyManager": settings}});
        world.patch_provider("npm", patch).await;
        world
            .patch_plan(json!({"spec": {"wordpress": {"domains": domains}}}))
            .await;
        let operator = world.operator().await;
        let mut scene = Self { world, operator, dns };
        scene.point(&[]).await;
        scene
    }

    /// The names that lead to the proxy; all others do not exist.
    async fn point(&mut self, names: &[&str]) {
        let server = self.dns.ip(SERVER);
        let mut text =
            format!("$TTL 1\n$ORIGIN test.\n@ SOA ns admin 1 60 60 3600 1\n@ NS ns\nns A {server}\n");
        for name in names {
            writeln!(text, "{name}. A {PUBLIC_ADDRESS}").unwrap();
        }
        self.dns.load_zone(SERVER, "test.", text).await.unwrap();
    }

    async fn site(&self, name: &str, domains: Value) {
        let mut site = self.world.site(name);
        site["spec"]["domains"] = domains;
        self.world.apply(&site).await;
    }

    /// Waits until the domains of a site stand so.
    async fn stand(&self, site: &str, expected: &[(&str, DomainState)]) -> WordPressSiteStatus {
        eventually(&format!("{site}: {expected:?}"), || async {
            let status = self.world.status(site).await;
            let states: Vec<(&str, DomainState)> = status
                .domains
                .iter()
                .map(|d| (d.name.as_str(), d.state))
                .collect();
            match states == expected {
                true => Ok(status.clone()),
                false => Err(format!("{:?}", status.domains)),
            }
        })
        .await
    }

    /// The proxy host of a name.
    fn host(&self, name: &str) -> Option<Value> {
        let hosts = self.world.backends.npm.hosts().into_iter();
        hosts
            .into_iter()
            .find(|host| host["domain_names"] == json!([name]))
    }

    fn has_certificate(&self, name: &str) -> bool {
        let certificates = self.world.backends.npm.certificates();
        certificates
            .iter()
            .any(|row| row["domain_names"] == json!([name]))
    }

    async fn ends(self, sites: &[&str]) {
        for site in sites {
            self.world.delete(site).await;
        }
        for site in sites {
            self.world.wait_until_gone(site).await;
        }
        assert_eq!(self.world.backends.leftovers(), Vec::<String>::new());
        self.operator.stop().await;
        self.world.close().await;
    }
}

fn of<'a>(status: &'a WordPressSiteStatus, name: &str) -> &'a SiteDomain {
    status.domains.iter().find(|domain| domain.name == name).unwrap()
}

fn reason(status: &WordPressSiteStatus) -> Option<(&str, &str)> {
    let found = status.conditions.iter().find(|c| c.type_ == "DomainsReady");
    found.map(|c| (c.status.as_str(), c.reason.as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_comes_when_it_leads_here_and_goes_without_a_trace() {
    let mut scene = Scene::with_quota(2).await;
    scene.site("jane", json!([SHOP])).await;
    let status = scene.stand("jane", &[(SHOP, DomainState::PendingDns)]).await;
    assert!(
        of(&status, SHOP).message.contains("does not exist in DNS"),
        "{status:?}"
    );
    assert!(of(&status, SHOP).message.contains(&PUBLIC_ADDRESS.to_string()));
    let status = scene.world.wait_for_phase("jane", Phase::Running).await;
    assert_eq!(reason(&status), Some(("False", "PendingDns")));
    assert_eq!(scene.host(SHOP), None);

    scene.point(&[SHOP]).await;
    let status = scene.stand("jane", &[(SHOP, DomainState::Ready)]).await;
    assert!(of(&status, SHOP).certificate_expires_at.is_some(), "{status:?}");
    assert_eq!(status.quota.as_ref().unwrap().domains.display, "1/2");
    assert_eq!(reason(&status), Some(("True", "Ready")));
    let (host, main) = (
        scene.host(SHOP).unwrap(),
        scene.host(status.host.as_deref().unwrap()).unwrap(),
    );
    assert_eq!(
        (
            &host["meta"]["hostwright"],
            &host["forward_host"],
            &host["ssl_forced"]
        ),
        (&main["meta"]["hostwright"], &main["forward_host"], &json!(true))
    );
    scene.operator.assert_quiet(&scene.world).await;

    // Somebody's change of the domain's host is put right like one of the site's own.
    let id = host["id"].as_u64().unwrap();
    let npm = &scene.world.backends.npm;
    npm.edit_host_by_hand(id, json!({"forward_port": 81})).unwrap();
    scene.world.ask_for_a_pass("jane", "1").await;
    eventually("the host is put right", || async {
        let port = scene.host(SHOP).map(|host| host["forward_port"].clone());
        if port == Some(json!(80)) {
            Ok(())
        } else {
            Err(format!("{port:?}"))
        }
    })
    .await;

    scene.world.patch("jane", json!({"spec": {"domains": []}})).await;
    let status = scene.stand("jane", &[]).await;
    assert_eq!((scene.host(SHOP), scene.has_certificate(SHOP)), (None, false));
    assert_eq!((reason(&status), status.phase), (None, Some(Phase::Running)));
    scene.ends(&["jane"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_site_has_a_domain_and_the_quota_holds() {
    let mut scene = Scene::with_quota(1).await;
    scene.point(&[SHOP, BLOG]).await;
    let wanted = json!(["not a domain.test".replace(' ', "-"), SHOP, BLOG]);
    scene.site("jane", wanted).await;
    let bad = "not-a-domain.test";
    scene
        .stand(
            "jane",
            &[
                (bad, DomainState::PendingDns),
                (SHOP, DomainState::QuotaExceeded),
                (BLOG, DomainState::QuotaExceeded),
            ],
        )
        .await;
    scene
        .world
        .patch("jane", json!({"spec": {"domains": [SHOP, BLOG]}}))
        .await;
    let states = [(SHOP, DomainState::Ready), (BLOG, DomainState::QuotaExceeded)];
    scene.stand("jane", &states).await;

    scene.site("joe", json!([SHOP])).await;
    let status = scene.stand("joe", &[(SHOP, DomainState::Conflict)]).await;
    assert!(of(&status, SHOP).message.contains("the site jane"), "{status:?}");
    scene.world.wait_for_phase("joe", Phase::Running).await;
    // What the first one lets go is the second one's.
    scene
        .world
        .patch("jane", json!({"spec": {"domains": [BLOG]}}))
        .await;
    scene.stand("jane", &[(BLOG, DomainState::Ready)]).await;
    scene.stand("joe", &[(SHOP, DomainState::Ready)]).await;
    scene.operator.assert_quiet(&scene.world).await;
    scene.ends(&["jane", "joe"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspension_reaches_the_domains_and_a_foreign_host_is_left_alone() {
    let mut scene = Scene::with_quota(3).await;
    scene.point(&[SHOP, BLOG]).await;
    let npm = &scene.world.backends.npm;
    npm.add_foreign_host(&[BLOG], "10.9.9.9", 80).unwrap();
    scene.site("jane", json!([SHOP, BLOG])).await;
    let states = [(SHOP, DomainState::Ready), (BLOG, DomainState::Conflict)];
    scene.stand("jane", &states).await;
    let before = scene.host(BLOG);

    scene
        .world
        .patch("jane", json!({"spec": {"suspended": true}}))
        .await;
    scene.world.wait_for_phase("jane", Phase::Suspended).await;
    let text = |name: &str| {
        scene.host(name).unwrap()["advanced_config"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(text(SHOP).contains("suspended"), "{}", text(SHOP));
    scene
        .world
        .patch("jane", json!({"spec": {"suspended": false}}))
        .await;
    scene.world.wait_for_phase("jane", Phase::Running).await;
    eventually("the domain is shown", || async {
        let shown = text(SHOP);
        if shown.is_empty() { Ok(()) } else { Err(shown) }
    })
    .await;
    scene
        .world
        .patch("jane", json!({"spec": {"proxyEnabled": false}}))
        .await;
    eventually("the domain is disabled", || async {
        let host = scene.host(SHOP).unwrap();
        if host["enabled"] == json!(false) {
            Ok(())
        } else {
            Err(host.to_string())
        }
    })
    .await;
    assert_eq!(scene.host(BLOG), before);
    scene.ends(&["jane"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_an_older_backend_left_is_taken_over_with_the_site() {
    let mut scene = Scene::with_quota(3).await;
    scene.point(&[SHOP, BLOG]).await;
    let world = &scene.world;
    let legacy = Legacy::put(world, 117, "oldshop");
    let (host, certificate) = left_host(world, SHOP, &legacy.address);
    let (strange, _) = left_host(world, BLOG, "10.9.9.9");
    let mut site = legacy.manifest(world, "jane");
    site["spec"]["domains"] = json!([SHOP, BLOG]);
    world.apply(&site).await;
    let states = [(SHOP, DomainState::Ready), (BLOG, DomainState::Conflict)];
    scene.stand("jane", &states).await;
    world.wait_for("jane", "Ready", "True").await;
    let taken = scene.host(SHOP).unwrap();
    assert_eq!(
        (&taken["id"], &taken["certificate_id"]),
        (&json!(host), &json!(certificate))
    );
    assert!(taken["meta"].to_string().contains("hostwright:"), "{taken}");
    let left = scene.host(BLOG).unwrap();
    assert_eq!(left["id"], json!(strange));
    assert!(!left["meta"].to_string().contains("hostwright:"), "{left}");
    // Those of the site's name and of the two domains: none was requested.
    assert_eq!(world.backends.npm.certificates().len(), 3);
    scene.operator.assert_quiet(world).await;
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    assert!(scene.host(SHOP).is_none() && !scene.has_certificate(SHOP));
    assert_eq!(scene.host(BLOG), Some(left));
    scene.operator.stop().await;
    scene.world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_refuses_is_asked_again() {
    let mut scene = Scene::with_quota(3).await;
    scene.point(&[SHOP]).await;
    scene.site("jane", json!([])).await;
    scene.world.wait_for_phase("jane", Phase::Running).await;
    scene.world.backends.npm.set_acme(AcmeMode::ChallengeFails);
    scene
        .world
        .patch("jane", json!({"spec": {"domains": [SHOP]}}))
        .await;
    let status = scene.stand("jane", &[(SHOP, DomainState::Failed)]).await;
    assert!(
        of(&status, SHOP).message.contains("refused shop.test"),
        "{status:?}"
    );
    assert_eq!(reason(&status), Some(("False", "DomainFailed")));
    assert_eq!(status.phase, Some(Phase::Running));
    let delay = std::time::Duration::ZERO;
    scene.world.backends.npm.set_acme(AcmeMode::Works { delay });
    scene.stand("jane", &[(SHOP, DomainState::Ready)]).await;
    scene.ends(&["jane"]).await;
}
