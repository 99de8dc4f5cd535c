//! The name-server check against real name servers: a root, registries, ours, a foreign one and a resolver.

mod addresses;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, Instant};

use hostwright::domain::Fqdn;
use hostwright::providers::{
    Answering, Delegation, DelegationCheck, DelegationState, ResolverCheck, ResolverSettings,
};
use tokio::net::UdpSocket;

use crate::name_servers::{NameServers, RESOLVER, ROOT};

const SERVERS: [&str; 6] = [ROOT, "registry1", "registry2", "ns1", "ns2", "foreign"];
const NS1: &str = "ns1.hoster.net";
const NS2: &str = "ns2.hoster.net";
const OTHER: &str = "ns.other.net";
const OURS: [&str; 2] = [NS1, NS2];

fn zone(text: &str) -> Fqdn {
    text.parse().unwrap()
}

fn servers(names: &[&str]) -> BTreeSet<Fqdn> {
    names.iter().map(|name| zone(name)).collect()
}

fn texts(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// A zone's text: its head with name servers, then the lines.
fn text(origin: &str, name_servers: &[&str], lines: &str) -> String {
    let mut text = format!("$TTL 1\n$ORIGIN {origin}\n@ SOA a.root. admin.root. 1 60 60 3600 1\n");
    for server in name_servers {
        writeln!(text, "@ NS {server}.").unwrap();
    }
    text + lines
}

fn delegate(zone: &str, to: &[&str]) -> String {
    to.iter().map(|server| format!("{zone} NS {server}.\n")).collect()
}

/// More name servers than a UDP packet has room for: 30 names of some 60 octets.
fn many() -> Vec<String> {
    (0..30)
        .map(|n| format!("ns.a-hoster-with-quite-a-long-name-in-a-row-number-{n}.other{n}.net"))
        .collect()
}

/// The registry's zone `test.`, with one name in each state.
fn registry(updated: bool) -> String {
    let lines = [
        delegate("delegated", &OURS),
        delegate("half", &[NS1, OTHER]),
        delegate("more", &[NS1, NS2, OTHER]),
        delegate("lame", &OURS),
        delegate("half-lame", &OURS),
        delegate("foreign", &[OTHER]),
        many()
            .iter()
            .map(|name| delegate("many", &[name.as_str()]))
            .collect(),
        delegate("xn--bcher-kva", &OURS),
        delegate("updating", if updated { &OURS } else { &[OTHER] }),
        "here A 192.0.2.1\n".to_owned(),
    ];
    text("test.", &["r1.registry.net", "r2.registry.net"], &lines.concat())
}

/// The whole tree, and a check that asks it.
async fn tree() -> (NameServers, ResolverCheck) {
    let mut dns = NameServers::start(&SERVERS).await;
    let (r1, r2) = (dns.ip("registry1"), dns.ip("registry2"));
    let registries = ["r1.registry.net", "r2.registry.net"];
    let root = ["test", "net", "uk"]
        .map(|tld| delegate(tld, &registries))
        .concat();
    let glue = format!(
        "a.root A {}\nr1.registry.net A {r1}\nr2.registry.net A {r2}\n",
        dns.ip(ROOT)
    );
    load(&mut dns, ROOT, ".", &text(".", &["a.root"], &(root + &glue))).await;
    let net = format!(
        "r1.registry A {r1}\nr2.registry A {r2}\nns1.hoster A {}\nns2.hoster A {}\nns.other A {}\n\
         nobody.hoster A {}\n",
        dns.ip("ns1"),
        dns.ip("ns2"),
        dns.ip("foreign"),
        dns.nobody(),
    );
    for (server, updated) in [("registry1", true), ("registry2", false)] {
        load(&mut dns, server, "net.", &text("net.", &registries, &net)).await;
        load(&mut dns, server, "test.", &registry(updated)).await;
        load(
            &mut dns,
            server,
            "uk.",
            &text("uk.", &registries, &delegate("co", &registries)),
        )
        .await;
        let shops = delegate("shop", &OURS);
        load(&mut dns, server, "co.uk.", &text("co.uk.", &registries, &shops)).await;
    }
    for server in ["ns1", "ns2"] {
        let below = delegate("sub", &OURS) + "a.b.c A 192.0.2.2\n";
        load(
            &mut dns,
            server,
            "delegated.test.",
            &text("delegated.test.", &OURS, &below),
        )
        .await;
        for plain in [
            "sub.delegated.test.",
            "half.test.",
            "more.test.",
            "updating.test.",
            "xn--bcher-kva.test.",
            "shop.co.uk.",
        ] {
            load(&mut dns, server, plain, &text(plain, &OURS, "")).await;
        }
    }
    load(
        &mut dns,
        "ns1",
        "half-lame.test.",
        &text("half-lame.test.", &OURS, ""),
    )
    .await;
    let check = ResolverCheck::new(settings(&dns));
    (dns, check)
}

async fn load(dns: &mut NameServers, server: &str, origin: &str, text: &str) {
    dns.load_zone(server, origin, text).await.unwrap();
}

/// The defaults, pointed at the tests' servers, with nothing kept and time for a busy machine.
fn settings(dns: &NameServers) -> ResolverSettings {
    ResolverSettings {
        resolvers: vec![dns.address(RESOLVER)],
        port: dns.port(),
        attempts: 10,
        limit: Duration::from_secs(60),
        verified_age: Duration::ZERO,
        unverified_age: Duration::ZERO,
        ..ResolverSettings::default()
    }
}

async fn ask(check: &ResolverCheck, name: &str) -> Delegation {
    check.delegation(&zone(name), &servers(&OURS)).await
}

fn partial(missing: &[&str], foreign: &[&str]) -> DelegationState {
    DelegationState::Partial {
        missing: servers(missing),
        foreign: texts(foreign),
    }
}

#[tokio::test]
async fn every_state_of_a_zone_is_told_from_the_others() {
    let (_dns, check) = tree().await;
    let both = &OURS[..];
    let many = many();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (name, parent, state, observed) in [
        ("delegated.test", "test", DelegationState::All, both),
        ("half.test", "test", partial(&[NS2], &[OTHER]), &[NS1, OTHER]),
        ("more.test", "test", partial(&[], &[OTHER]), &[NS1, NS2, OTHER]),
        ("lame.test", "test", DelegationState::All, both),
        ("foreign.test", "test", DelegationState::Foreign, &[OTHER]),
        ("many.test", "test", DelegationState::Foreign, &many),
        ("here.test", "test", DelegationState::None, &[]),
        ("missing.test", "test", DelegationState::NxDomain, &[]),
        ("xn--bcher-kva.test", "test", DelegationState::All, both),
        ("shop.co.uk", "co.uk", DelegationState::All, both),
        ("free.co.uk", "co.uk", DelegationState::NxDomain, &[]),
        // The parent's servers serve the child as well and answer for it.
        ("sub.delegated.test", "delegated.test", DelegationState::All, both),
        ("b.c.delegated.test", "delegated.test", DelegationState::None, &[]),
        (
            "x.y.delegated.test",
            "delegated.test",
            DelegationState::NxDomain,
            &[],
        ),
        ("example.nothing", ".", DelegationState::NxDomain, &[]),
    ] {
        let found = ask(&check, name).await;
        assert_eq!(found.state, state, "{name}");
        assert_eq!(found.parent.as_deref(), Some(parent), "{name}");
        assert_eq!(found.observed, texts(observed), "{name}");
        assert!(found.parents_agree, "{name}");
    }
}

#[tokio::test]
async fn each_of_our_servers_is_asked_for_the_zone() {
    let (mut dns, check) = tree().await;
    let serves = Answering::Serves { serial: 1 };
    for (name, ns1, ns2) in [
        ("delegated.test", serves, serves),
        ("half-lame.test", serves, Answering::Lame),
        ("lame.test", Answering::Lame, Answering::Lame),
        // Refused is lame whoever is delegated.
        ("missing.test", Answering::Lame, Answering::Lame),
    ] {
        let found = ask(&check, name).await;
        let expected = [(zone(NS1), ns1), (zone(NS2), ns2)].into();
        assert_eq!(found.answering, expected, "{name}");
        assert_eq!(found.is_verified(), name == "delegated.test");
    }
    let strange = servers(&["nobody.hoster.net", "nowhere.hoster.net"]);
    let found = check.delegation(&zone("delegated.test"), &strange).await;
    let expected = [
        (zone("nobody.hoster.net"), Answering::Silent),
        (zone("nowhere.hoster.net"), Answering::NotResolved),
    ];
    assert_eq!(found.answering, expected.into());
    assert_eq!(found.state, DelegationState::Foreign);

    let lame = ask(&check, "half-lame.test").await;
    let message = lame.message("half-lame.test", &servers(&OURS));
    assert!(
        message.contains(NS2) && message.contains("do not serve"),
        "{message}"
    );
    load(
        &mut dns,
        "ns2",
        "half-lame.test.",
        &text("half-lame.test.", &OURS, ""),
    )
    .await;
    assert!(ask(&check, "half-lame.test").await.is_verified(), "repaired");
    dns.unload_zone("ns1", "half-lame.test.").await;
    assert!(!ask(&check, "half-lame.test").await.is_verified(), "broken again");
}

#[tokio::test]
async fn parents_that_differ_are_not_all_until_both_have_the_change() {
    let (mut dns, check) = tree().await;
    let found = ask(&check, "updating.test").await;
    assert!(!found.parents_agree && !found.is_verified());
    assert_eq!(found.state, partial(&OURS, &[OTHER]));
    let message = found.message("updating.test", &servers(&OURS));
    assert!(message.contains("do not agree yet"), "{message}");
    load(&mut dns, "registry2", "test.", &registry(true)).await;
    let found = ask(&check, "updating.test").await;
    assert!(found.parents_agree && found.is_verified(), "{found:?}");
}

#[tokio::test]
async fn a_parent_whose_servers_refuse_is_unknown() {
    let (mut dns, check) = tree().await;
    // The resolver knows where co.uk is from uk; its own servers have lost it.
    dns.unload_zone("registry1", "co.uk.").await;
    let found = ask(&check, "shop.co.uk").await;
    assert_eq!(found.state, DelegationState::All, "one server of two is enough");
    dns.unload_zone("registry2", "co.uk.").await;
    let unknown = async {
        loop {
            let found = ask(&check, "shop.co.uk").await;
            match found.state {
                DelegationState::Unknown(why) => return why,
                // For a second the resolver remembers.
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let why = tokio::time::timeout(Duration::from_secs(20), unknown)
        .await
        .unwrap();
    assert!(why.contains("co.uk"), "{why}");
}

#[tokio::test]
async fn a_result_is_kept_as_long_as_the_settings_say() {
    let (mut dns, _) = tree().await;
    let check = ResolverCheck::new(ResolverSettings {
        verified_age: Duration::from_secs(600),
        unverified_age: Duration::from_secs(600),
        ..settings(&dns)
    });
    assert_eq!(ask(&check, "missing.test").await.state, DelegationState::NxDomain);
    let lines = delegate("missing", &OURS);
    for server in ["registry1", "registry2"] {
        let text = text("test.", &["r1.registry.net", "r2.registry.net"], &lines);
        load(&mut dns, server, "test.", &text).await;
    }
    assert_eq!(ask(&check, "missing.test").await.state, DelegationState::NxDomain);
    check.forget(&zone("missing.test"));
    assert_eq!(ask(&check, "missing.test").await.state, DelegationState::All);
}

#[tokio::test]
async fn silent_resolvers_are_no_answer_and_cost_no_more_than_the_limit() {
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(UdpSocket::bind(("127.0.0.1", 0)).await.unwrap());
    }
    let limit = Duration::from_secs(1);
    let check = ResolverCheck::new(ResolverSettings {
        resolvers: sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect(),
        limit,
        ..ResolverSettings::default()
    });
    let begun = Instant::now();
    let found = ask(&check, "delegated.test").await;
    // Three resolvers, asked twice for two seconds each, would take twelve.
    assert!(begun.elapsed() < limit * 6, "{:?}", begun.elapsed());
    assert!(matches!(found.state, DelegationState::Unknown(_)), "{found:?}");
    assert!(!found.is_verified() && found.observed.is_empty() && found.parent.is_none());
    assert!(
        found
            .answering
            .values()
            .all(|a| matches!(a, Answering::Silent | Answering::NotResolved))
    );
}

#[tokio::test]
async fn resolvers_that_are_gone_or_refuse_are_passed_over() {
    let (dns, _) = tree().await;
    let gone = (dns.nobody(), dns.port()).into();
    let check = ResolverCheck::new(ResolverSettings {
        resolvers: vec![gone, dns.address("ns1"), dns.address(RESOLVER)],
        ..settings(&dns)
    });
    assert!(ask(&check, "delegated.test").await.is_verified());
}
