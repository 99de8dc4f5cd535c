//! The look-up of addresses on the same tree of real name servers, with shops of customers in it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use hostwright::providers::{AddressLookup, Addresses, FoundAddresses, ResolverLookup, ResolverSettings};
use tokio::net::UdpSocket;

use super::{NS1, NS2, OTHER, OURS, delegate, load, servers, settings, text, tree, zone};
use crate::name_servers::NameServers;

const PROXY: &str = "203.0.113.7";
const PROXY6: &str = "2001:db8::7";

fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn found(texts: &[&str], target: Option<&str>) -> Addresses {
    let mut found = FoundAddresses {
        target: target.map(str::to_owned),
        servers_agree: true,
        ..FoundAddresses::default()
    };
    for address in addresses(texts) {
        match address {
            IpAddr::V4(address) => found.v4.insert(address),
            IpAddr::V6(address) => found.v6.insert(address),
        };
    }
    Addresses::Found(found)
}

fn nx(name: &str) -> Addresses {
    Addresses::NxDomain {
        name: name.to_owned(),
    }
}

/// The zone of a customer, served by both of our servers.
const SHOPS: &str = "shop A 203.0.113.7\n\
    both A 203.0.113.7\nboth AAAA 2001:db8::7\n\
    two A 203.0.113.7\ntwo A 198.51.100.1\n\
    six AAAA 2001:db8::8\n\
    text TXT \"no address\"\n\
    *.wild A 203.0.113.7\n\
    near CNAME shop\n\
    far CNAME www.abroad.test.\n\
    further CNAME far\n\
    nowhere CNAME gone.abroad.test.\n\
    round CNAME about\nabout CNAME round\n\
    lost CNAME x.nothing.test.\n";

async fn shops() -> (NameServers, ResolverLookup) {
    let (mut dns, _) = tree().await;
    let registry = delegate("delegated", &OURS) + &delegate("abroad", &[OTHER]) + &delegate("lame", &[OTHER]);
    for server in ["registry1", "registry2"] {
        let names = ["r1.registry.net", "r2.registry.net"];
        load(&mut dns, server, "test.", &text("test.", &names, &registry)).await;
    }
    let chain: String = (0..20).map(|n| format!("c{n} CNAME c{}\n", n + 1)).collect();
    for server in ["ns1", "ns2"] {
        let lines = SHOPS.to_owned() + &delegate("child", &[OTHER]) + &chain;
        let whole = text("delegated.test.", &OURS, &lines);
        load(&mut dns, server, "delegated.test.", &whole).await;
    }
    let abroad = "www A 203.0.113.7\nback CNAME shop.delegated.test.\n";
    load(
        &mut dns,
        "foreign",
        "abroad.test.",
        &text("abroad.test.", &[OTHER], abroad),
    )
    .await;
    let child = text("child.delegated.test.", &[OTHER], "a A 203.0.113.7\n");
    load(&mut dns, "foreign", "child.delegated.test.", &child).await;
    let lookup = ResolverLookup::new(settings(&dns));
    (dns, lookup)
}

async fn ask(lookup: &ResolverLookup, name: &str) -> Addresses {
    lookup.addresses(&zone(name), &addresses(&[PROXY])).await
}

#[tokio::test]
async fn addresses_come_from_the_servers_that_speak_for_the_name() {
    let (_dns, lookup) = shops().await;
    for (name, expected) in [
        ("shop.delegated.test", found(&[PROXY], None)),
        ("both.delegated.test", found(&[PROXY, PROXY6], None)),
        ("two.delegated.test", found(&[PROXY, "198.51.100.1"], None)),
        ("six.delegated.test", found(&["2001:db8::8"], None)),
        ("text.delegated.test", found(&[], None)),
        ("delegated.test", found(&[], None)),
        ("a.wild.delegated.test", found(&[PROXY], None)),
        (
            "near.delegated.test",
            found(&[PROXY], Some("shop.delegated.test")),
        ),
        ("far.delegated.test", found(&[PROXY], Some("www.abroad.test"))),
        ("further.delegated.test", found(&[PROXY], Some("www.abroad.test"))),
        ("back.abroad.test", found(&[PROXY], Some("shop.delegated.test"))),
        ("a.child.delegated.test", found(&[PROXY], None)),
        ("gone.delegated.test", nx("gone.delegated.test")),
        ("nowhere.delegated.test", nx("gone.abroad.test")),
        ("lost.delegated.test", nx("x.nothing.test")),
        ("nothing.test", nx("nothing.test")),
        ("a.nothing.test", nx("a.nothing.test")),
    ] {
        assert_eq!(ask(&lookup, name).await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_unknown_and_says_why() {
    let (_dns, lookup) = shops().await;
    for (name, says) in [
        // Its only server does not serve it.
        ("a.lame.test", "lame.test"),
        ("c0.delegated.test", ""),
    ] {
        match ask(&lookup, name).await {
            Addresses::Unknown(why) => assert!(why.contains(says), "{why}"),
            Addresses::Found(found) if name.starts_with('c') => {
                assert!(found.v4.is_empty() && found.target.is_some(), "{found:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    // A circle has an end without an address.
    match ask(&lookup, "round.delegated.test").await {
        Addresses::Found(found) => assert!(found.v4.is_empty() && found.target.is_some()),
        Addresses::Unknown(_) => {}
        other @ Addresses::NxDomain { .. } => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn servers_that_differ_do_not_agree_until_all_have_the_change() {
    let (mut dns, lookup) = shops().await;
    let name = "shop.delegated.test";
    assert!(ask(&lookup, name).await.lead_to(&addresses(&[PROXY])));
    let moved = text("delegated.test.", &OURS, "shop A 198.51.100.1\n");
    load(&mut dns, "ns2", "delegated.test.", &moved).await;
    let divided = ask(&lookup, name).await;
    assert!(!divided.lead_to(&addresses(&[PROXY])));
    let message = divided.message(name, &addresses(&[PROXY]));
    assert!(
        message.contains("198.51.100.1") && message.contains("do not agree"),
        "{message}"
    );
    load(&mut dns, "ns1", "delegated.test.", &moved).await;
    assert_eq!(ask(&lookup, name).await, found(&["198.51.100.1"], None));
    dns.unload_zone("ns2", "delegated.test.").await;
    assert_eq!(
        ask(&lookup, name).await,
        found(&["198.51.100.1"], None),
        "one server of two is enough"
    );
}

#[tokio::test]
async fn the_zone_above_knows_who_serves_it_now() {
    let (mut dns, lookup) = shops().await;
    assert_eq!(ask(&lookup, "www.abroad.test").await, found(&[PROXY], None));
    // The domain moves; the resolver goes on with what the old server said of itself, for as long as that lives.
    let old = "$TTL 86400\n@ A 198.51.100.9\nwww A 198.51.100.9\n";
    let long = text("abroad.test.", &[OTHER], old).replace("$TTL 1\n", "$TTL 86400\n");
    load(&mut dns, "foreign", "abroad.test.", &long).await;
    dns.query(
        crate::name_servers::RESOLVER,
        "abroad.test",
        hickory_proto::rr::RecordType::NS,
    )
    .await;
    let new = text("abroad.test.", &[NS1, NS2], "www A 203.0.113.7\n");
    for server in ["ns1", "ns2"] {
        load(&mut dns, server, "abroad.test.", &new).await;
    }
    for server in ["registry1", "registry2"] {
        let names = ["r1.registry.net", "r2.registry.net"];
        let registry = text("test.", &names, &delegate("abroad", &OURS));
        load(&mut dns, server, "test.", &registry).await;
    }
    assert_eq!(ask(&lookup, "www.abroad.test").await, found(&[PROXY], None));
    assert_eq!(servers(&OURS).len(), 2);
}

#[tokio::test]
async fn a_look_up_is_kept_until_it_is_forgotten_or_something_else_is_wanted() {
    let (mut dns, _) = shops().await;
    let lookup = ResolverLookup::new(ResolverSettings {
        verified_age: Duration::from_secs(600),
        unverified_age: Duration::ZERO,
        ..settings(&dns)
    });
    let name = "shop.delegated.test";
    assert_eq!(ask(&lookup, name).await, found(&[PROXY], None));
    let moved = text("delegated.test.", &OURS, "shop A 198.51.100.1\n");
    for server in ["ns1", "ns2"] {
        load(&mut dns, server, "delegated.test.", &moved).await;
    }
    assert_eq!(ask(&lookup, name).await, found(&[PROXY], None), "kept");
    lookup.forget(&zone(name));
    assert_eq!(ask(&lookup, name).await, found(&["198.51.100.1"], None));
    for server in ["ns1", "ns2"] {
        let back = text("delegated.test.", &OURS, "shop A 203.0.113.7\n");
        load(&mut dns, server, "delegated.test.", &back).await;
    }
    assert_eq!(
        ask(&lookup, name).await,
        found(&[PROXY], None),
        "what does not lead to us is not kept"
    );
}

#[tokio::test]
async fn silence_costs_no_more_than_the_limit() {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let limit = Duration::from_secs(1);
    let lookup = ResolverLookup::new(ResolverSettings {
        resolvers: vec![socket.local_addr().unwrap(); 4],
        limit,
        ..ResolverSettings::default()
    });
    let begun = Instant::now();
    let found = ask(&lookup, "shop.delegated.test").await;
    assert!(begun.elapsed() < limit * 6, "{:?}", begun.elapsed());
    assert!(matches!(found, Addresses::Unknown(_)), "{found:?}");
}
