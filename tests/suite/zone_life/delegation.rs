//! From an object to the answers of real name servers, and from the registrar's entry to Ready. The world's zone is
//! below `example.`, whose registry is a server of its own, as is the root; the Provider's name servers load what
//! ISPConfig's daemon would write of the simulator's rows.

use std::fmt::Write;

use hickory_proto::rr::RecordType;
use hostwright::sim::ispconfig::{IspconfigSim, SimRecord};
use serde_json::{Value, json};

use crate::name_servers::{NameServers, RESOLVER, ROOT};
use crate::world::{World, eventually};
use crate::zone_file::{RrRow, SoaRow, publish};

const REGISTRY: &str = "registry";
const OURS: [&str; 2] = ["ns1.example.net", "ns2.example.net"];
const FOREIGN: &str = "ns.other.net";

/// A zone's text: its head with name servers, then the lines.
fn text(origin: &str, servers: &[&str], lines: &str) -> String {
    let mut text = format!("$TTL 1\n$ORIGIN {origin}\n@ SOA a.root. admin.root. 1 60 60 3600 1\n");
    for server in servers {
        writeln!(text, "@ NS {server}.").unwrap();
    }
    text + lines
}

/// Root, registry, two name servers of ours and a resolver; our names have addresses, our zones are not delegated.
async fn internet() -> NameServers {
    let mut dns = NameServers::start(&[ROOT, REGISTRY, "ns1", "ns2"]).await;
    let registry = dns.ip(REGISTRY);
    let tlds = format!(
        "example NS r.registry.net.\nnet NS r.registry.net.\nr.registry.net A {registry}\na.root A {}\n",
        dns.ip(ROOT)
    );
    let root = text(".", &["a.root"], &tlds);
    dns.load_zone(ROOT, ".", root).await.unwrap();
    let net = format!(
        "r.registry A {registry}\nns1.example A {}\nns2.example A {}\nns.other A {registry}\n",
        dns.ip("ns1"),
        dns.ip("ns2")
    );
    let net = text("net.", &["r.registry.net"], &net);
    dns.load_zone(REGISTRY, "net.", net).await.unwrap();
    enter(&mut dns, "").await;
    dns
}

/// What the registry has of `example.`.
async fn enter(dns: &mut NameServers, lines: &str) {
    let zone = text("example.", &["r.registry.net"], lines);
    dns.load_zone(REGISTRY, "example.", zone).await.unwrap();
}

fn delegate(zone: &str, servers: &[&str]) -> String {
    let line = |server: &&str| format!("{zone}. NS {server}.\n");
    servers.iter().map(line).collect()
}

/// A world whose Provider asks these servers.
async fn world(dns: &NameServers) -> World {
    let world = World::new().await;
    let zones = json!({"resolvers": [dns.address(RESOLVER).to_string()], "nameserverPort": dns.port()});
    let patch = json!({"spec": {"ispconfig": {"zones": zones}}});
    world.patch_provider("ispconfig", patch).await;
    world
}

fn zone(world: &World, records: Value) -> Value {
    let mut zone = world.zone("ispconfig", records);
    zone["spec"]["verifyNameservers"] = json!(true);
    zone
}

/// Publishes the world's zone on our name servers as the panel's daemon does.
async fn published(dns: &mut NameServers, sim: &IspconfigSim, name: &str) {
    let origin = format!("{name}.");
    let zone = sim.zones().into_iter().find(|zone| zone.origin == origin);
    let zone = zone.unwrap();
    let [refresh, retry, expire, minimum, ttl] = zone.times.map(|seconds| seconds.to_string());
    let soa = SoaRow {
        origin,
        ns: zone.ns,
        mbox: zone.mbox,
        serial: zone.serial.to_string(),
        refresh,
        retry,
        expire,
        minimum,
        ttl,
        active: zone.active,
    };
    let row = |record: SimRecord| RrRow {
        name: record.name,
        kind: record.kind,
        data: record.data,
        aux: record.aux.to_string(),
        ttl: record.ttl.to_string(),
        active: record.active,
    };
    let rows: Vec<RrRow> = sim.records(name).into_iter().map(row).collect();
    for server in ["ns1", "ns2"] {
        publish(dns, server, &soa, &rows).await.unwrap();
    }
}

async fn wait_for_reason(world: &World, state: &str, reason: &str) -> String {
    eventually(&format!("Ready {state} {reason}"), || async {
        let status = world.zone_status("zone").await;
        let of = |kind: &str| status.conditions.iter().find(|c| c.type_ == kind);
        let told = |kind: &str| of(kind).is_some_and(|c| c.status == state && c.reason == reason);
        match (told("Ready"), told("NameserversVerified")) {
            (true, true) => Ok(of("Ready").unwrap().message.clone()),
            _ => Err(format!("{status:?}")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_is_answered() {
    let mut dns = internet().await;
    let world = world(&dns).await;
    let operator = world.operator().await;
    let name = world.zone_name();
    let long = format!("{}\"\\;\u{20ac}{}", "d".repeat(253), "e".repeat(300));
    let records = json!([
        {"name": "mail", "type": "A", "content": "192.0.2.1"},
        {"name": "mail", "type": "A", "content": "192.0.2.2"},
        {"name": "mail", "type": "AAAA", "content": "2001:db8::1"},
        {"name": "gr\u{f6}\u{df}e", "type": "A", "content": "PROXYSRV"},
        {"name": "*.wild", "type": "A", "content": "192.0.2.3"},
        {"name": "@", "type": "CAA", "content": "0 issue letsencrypt.org"},
        {"name": "blog", "type": "CNAME", "content": "@"},
        {"name": "@", "type": "MX", "content": format!("mail.{name}"), "priority": 5},
        {"name": "branch", "type": "NS", "content": "ns.example.org"},
        {"name": "_sip._tcp", "type": "SRV", "content": "5 5060 sip.example.net", "priority": 1},
        {"name": "@", "type": "TXT", "content": "say \"hi\"; \\o/ \u{20ac}"},
        {"name": "long", "type": "TXT", "content": long},
    ]);
    let mut zone = zone(&world, records);
    zone["spec"]["createDefaults"] = json!(true);
    world.apply(&zone).await;
    world.wait_for_zone("zone", "RecordsInSync", "True").await;
    published(&mut dns, &world.backends.ispconfig, &name).await;

    use RecordType::{A, AAAA, CAA, CNAME, MX, NS, SRV, TXT};
    let proxy = "203.0.113.10";
    for (label, kind, expected) in [
        ("", A, vec![proxy]),
        ("www.", A, vec![proxy]),
        ("mail.", A, vec!["192.0.2.1", "192.0.2.2"]),
        ("mail.", AAAA, vec!["2001:db8::1"]),
        ("xn--gre-6ka8i.", A, vec![proxy]),
        ("any.wild.", A, vec!["192.0.2.3"]),
        ("", CAA, vec!["0 issue \"letsencrypt.org\""]),
        ("blog.", CNAME, vec![&format!("{name}.")]),
        ("", MX, vec![&format!("5 mail.{name}.")]),
        ("", NS, vec!["ns1.example.net.", "ns2.example.net."]),
        ("_sip._tcp.", SRV, vec!["1 5 5060 sip.example.net."]),
        ("", TXT, vec!["say \"hi\"; \\o/ \u{20ac}"]),
        ("long.", TXT, vec![&long]),
    ] {
        for server in ["ns1", "ns2"] {
            let asked = format!("{label}{name}.");
            let answered = dns.records(server, &asked, kind).await;
            assert_eq!(answered, expected, "{server}: {asked} {kind}");
        }
    }
    let branch = dns.query("ns1", &format!("x.branch.{name}."), A).await;
    assert!(
        !branch.metadata.authoritative && !branch.authorities.is_empty(),
        "{branch:?}"
    );
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_ready_as_soon_as_it_is_delegated() {
    let mut dns = internet().await;
    let world = world(&dns).await;
    let operator = world.operator().await;
    let name = world.zone_name();
    let records = json!([{"name": "www", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&zone(&world, records)).await;
    let message = wait_for_reason(&world, "False", "NotRegistered").await;
    assert!(message.contains("ns1.example.net"), "{message}");
    world.wait_for_zone("zone", "Synced", "True").await;

    // From here on nobody touches the object.
    let version = || async {
        let zone = world.zones().get("zone").await.unwrap();
        zone.metadata.generation
    };
    let before = version().await;
    enter(&mut dns, &format!("x.{name}. A 192.0.2.9\n")).await;
    wait_for_reason(&world, "False", "NotDelegated").await;
    enter(&mut dns, &delegate(&name, &[FOREIGN])).await;
    wait_for_reason(&world, "False", "DelegatedElsewhere").await;
    enter(&mut dns, &delegate(&name, &[OURS[0], FOREIGN])).await;
    wait_for_reason(&world, "False", "PartlyDelegated").await;
    enter(&mut dns, &delegate(&name, &OURS)).await;
    wait_for_reason(&world, "False", "NotAnswering").await;
    published(&mut dns, &world.backends.ispconfig, &name).await;
    let faults = &world.backends.ispconfig_server.faults;
    faults.reset_calls();
    wait_for_reason(&world, "True", "Ready").await;
    assert_eq!(version().await, before);
    let calls = faults.calls();
    let records_read = calls.keys().filter(|call| call.contains("dns_rr_get")).count();
    assert_eq!(
        records_read, 0,
        "the check of name servers reads no records: {calls:?}"
    );
    let status = world.zone_status("zone").await;
    assert_eq!(status.nameservers.unwrap().observed, OURS);
    operator.assert_quiet(&world).await;

    // A verified result is kept for minutes, unless somebody asks.
    enter(&mut dns, &delegate(&name, &[FOREIGN])).await;
    world.ask_for_a_zone_pass("zone", "moved").await;
    wait_for_reason(&world, "False", "DelegatedElsewhere").await;
    let status = world.zone_status("zone").await;
    assert_eq!(status.nameservers.unwrap().observed, [FOREIGN]);

    // Who does not want to know is not told.
    world
        .patch_zone("zone", json!({"spec": {"verifyNameservers": false}}))
        .await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    let verified = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "NameserversVerified");
    assert_eq!(verified, None);
    operator.assert_quiet(&world).await;
    operator.stop().await;
    world.close().await;
}
