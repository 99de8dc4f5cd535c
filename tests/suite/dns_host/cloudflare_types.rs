//! Records of every type on Cloudflare, and whose they are.

use hostwright::domain::dns::Target;
use hostwright::providers::ErrorKind;
use hostwright::providers::dns_host::{Record, RecordChange, RecordData, RecordSpec};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::cloudflare::{ZONE, creates, scene};
use super::{Fixture, address, kind, owner, spec};

/// Records of the property test; all go in few batches.
const SAMPLES: usize = 600;

fn label() -> impl Strategy<Value = String> {
    "(xn--)?[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
}

fn host() -> impl Strategy<Value = String> {
    prop::collection::vec(label(), 1..4).prop_map(|labels| format!("{}.example.net", labels.join(".")))
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        1 => Just(Target::Nowhere),
        4 => host().prop_map(|name| Target::Host(name.parse().unwrap())),
    ]
}

/// Texts with everything that could break a quoted string, up to several strings long.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,80}",
        "[\"\\\\;' a-z0-9üß€\\t]{0,120}",
        "[a-z]{1,9}".prop_map(|part| part.repeat(90)),
        Just("\"".repeat(300)),
        Just("v=DMARC1; p=none; rua=mailto:a@example.com".to_owned()),
    ]
}

fn data() -> impl Strategy<Value = RecordData> {
    let srv = (any::<u16>(), any::<u16>(), any::<u16>(), target());
    let tags = prop::sample::select(vec!["issue", "issuewild", "iodef", "x1"]);
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| RecordData::A(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| RecordData::Aaaa(octets.into())),
        host().prop_map(|name| RecordData::Cname(format!("_x.{name}").parse().unwrap())),
        host().prop_map(|name| RecordData::Ns(name.parse().unwrap())),
        text().prop_map(RecordData::Txt),
        (any::<u16>(), target()).prop_map(|(preference, exchange)| RecordData::Mx { preference, exchange }),
        srv.prop_map(|(priority, weight, port, target)| RecordData::Srv {
            priority,
            weight,
            port,
            target
        }),
        (prop::bool::ANY, tags, "[!-~]([ -~]{0,60}[!-~])?").prop_map(|(critical, tag, value)| {
            let flags = if critical { 128 } else { 0 };
            let tag = tag.to_owned();
            RecordData::Caa { flags, tag, value }
        }),
    ]
}

fn record() -> impl Strategy<Value = RecordSpec> {
    let ttl = prop_oneof![Just(None), (60_u32..=86400).prop_map(Some)];
    let head = prop_oneof![
        Just(String::new()),
        Just("_srv._tcp.".to_owned()),
        Just("*.".to_owned())
    ];
    (data(), ttl, head, label(), any::<bool>()).prop_map(|(data, ttl, head, label, proxied)| {
        let proxiable = matches!(
            data,
            RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_)
        );
        RecordSpec {
            name: format!("{head}{label}.{ZONE}").parse().unwrap(),
            data,
            ttl,
            proxied: proxied && proxiable,
        }
    })
}

/// As it reads back: a proxied record has no time to live of its own.
fn canonical(spec: &RecordSpec) -> RecordSpec {
    RecordSpec {
        ttl: spec.ttl.filter(|_| !spec.proxied),
        ..spec.clone()
    }
}

/// What was sent is answered, listed and found by name in the same canonical form.
#[tokio::test]
async fn every_record_reads_back_as_it_was_written() {
    let scene = scene(|_| {}, None).await;
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        prop::test_runner::TestRng::deterministic_rng(prop::test_runner::RngAlgorithm::ChaCha),
    );
    // Names of their own, because not every type goes together with every other.
    let specs: Vec<RecordSpec> = (0..SAMPLES)
        .map(|n| {
            let spec = record().new_tree(&mut runner).unwrap().current();
            let (head, tail) = spec
                .name
                .as_str()
                .split_at(spec.name.as_str().find("example").unwrap());
            let name = format!("{head}n{n}.{tail}").parse().unwrap();
            RecordSpec { name, ..spec }
        })
        .collect();
    let changes: Vec<RecordChange> = specs.iter().cloned().map(RecordChange::Create).collect();
    for (wanted, outcome) in specs.iter().zip(scene.apply(&changes).await) {
        let made = outcome
            .unwrap_or_else(|error| panic!("{wanted:?}: {error}"))
            .unwrap();
        assert_eq!(made.spec, canonical(wanted));
    }
    let mut listed = scene.host.records(&scene.zone).await.unwrap();
    listed.sort_by(|a, b| a.spec.cmp(&b.spec));
    let mut expected: Vec<RecordSpec> = specs.iter().map(canonical).collect();
    expected.sort();
    let found: Vec<RecordSpec> = listed.iter().map(|record| record.spec.clone()).collect();
    assert_eq!(found, expected);
    // Nothing is left to do, and nothing is done.
    let writes = scene.fixture.writes();
    let same: Vec<RecordChange> = listed
        .iter()
        .map(|record| RecordChange::Update(record.clone(), record.spec.clone()))
        .collect();
    assert!(scene.apply(&same).await.iter().all(Result::is_ok));
    assert_eq!(scene.fixture.writes(), writes);
    scene.fixture.finish();
}

#[tokio::test]
async fn contents_are_stored_as_cloudflare_wants_them() {
    let scene = scene(|_| {}, None).await;
    let long = format!("v=DKIM1; p={}", "A".repeat(300));
    let cut = long.split_at(255);
    let nowhere = RecordData::Mx {
        preference: 0,
        exchange: Target::Nowhere,
    };
    let caa = RecordData::Caa {
        flags: 0,
        tag: "issue".into(),
        value: "ca.example; a=1".into(),
    };
    let srv = RecordData::Srv {
        priority: 1,
        weight: 2,
        port: 443,
        target: Target::Host("a.example.net".parse().unwrap()),
    };
    for (name, data, stored) in [
        (
            "example.com",
            RecordData::Txt("v=spf1 -all".into()),
            "TXT \"v=spf1 -all\"".to_owned(),
        ),
        (
            "k._domainkey.example.com",
            RecordData::Txt(long.clone()),
            format!("TXT \"{}\" \"{}\"", cut.0, cut.1),
        ),
        ("none.example.com", nowhere, "MX 0 .".to_owned()),
        (
            "caa.example.com",
            caa,
            "CAA 0 issue \"ca.example; a=1\"".to_owned(),
        ),
        ("_x._tcp.example.com", srv, "SRV 1 2 443 a.example.net".to_owned()),
        ("*.example.com", address(1), "A 192.0.2.1".to_owned()),
    ] {
        let wanted = spec(name, data);
        let made = scene.create(&wanted).await;
        assert_eq!(made.spec, wanted);
        assert_eq!(scene.fixture.stored(name), [stored]);
        assert_eq!(scene.of(name).await, [made]);
    }
    scene.fixture.finish();
}

#[tokio::test]
async fn records_of_others_are_read_in_every_form() {
    let scene = scene(|_| {}, None).await;
    for (name, kind, content, shown) in [
        ("a.example.com", "TXT", "bare words", "TXT bare words"),
        ("b.example.com", "TXT", "\"two \" \"parts\"", "TXT two parts"),
        ("c.example.com", "TXT", "\"open", "TXT \"open"),
        ("d.example.com", "MX", "10 MX.example.net", "MX 10 mx.example.net"),
        (
            "e.example.com",
            "CAA",
            "0 issue \"ca.example\"",
            "CAA 0 issue \"ca.example\"",
        ),
        ("f.example.com", "LOC", "51 30 12 N", "LOC 51 30 12 N"),
    ] {
        let added = scene
            .fixture
            .sim
            .add_foreign_record(ZONE, name, kind, content, None);
        assert!(added.is_some());
        let seen = scene.of(name).await.remove(0);
        assert_eq!((seen.spec.data.to_string().as_str(), seen.mark), (shown, None));
    }
    let unread = scene.of("c.example.com").await.remove(0);
    assert!(matches!(unread.spec.data, RecordData::Other(..)));
}

#[tokio::test]
async fn what_is_cloudflares_own_is_neither_shown_nor_written() {
    let scene = scene(|_| {}, None).await;
    let sim = &scene.fixture.sim;
    let below = RecordData::Ns("ns.example.net".parse().unwrap());
    sim.add_foreign_record(ZONE, ZONE, "NS", "ada.ns.cloudflare.com", None)
        .unwrap();
    sim.add_vendor_record(ZONE, ZONE, "MX", "route1.mx.cloudflare.net")
        .unwrap();
    sim.add_vendor_record(ZONE, "cf._domainkey.example.com", "TXT", "\"v=DKIM1\"")
        .unwrap();
    sim.add_foreign_record(ZONE, "sub.example.com", "NS", "ns.example.net", None)
        .unwrap();
    let shown = scene.host.records(&scene.zone).await.unwrap();
    assert_eq!((shown.len(), &shown[0].spec.data), (1, &below));
    assert_eq!(scene.of(ZONE).await, []);
    let apex = RecordChange::Create(spec(ZONE, below.clone()));
    scene.fixture.server.faults.reset_calls();
    assert_eq!(kind(&scene.one(apex).await), ErrorKind::Invalid);
    assert_eq!(scene.fixture.server.faults.calls().len(), 0);
    assert!(
        scene
            .one(RecordChange::Create(spec("sub2.example.com", below)))
            .await
            .is_ok()
    );
    scene.fixture.finish();
}

#[tokio::test]
async fn an_adopted_record_gets_its_mark_with_the_first_update() {
    let scene = scene(|_| {}, None).await;
    scene.fixture.add_foreign("a.example.com", &address(1));
    scene.fixture.add_foreign("b.example.com", &address(2));
    let adopted = |record: Record| Record {
        mark: Some(owner('1')),
        ..record
    };
    let first = adopted(scene.of("a.example.com").await.remove(0));
    let second = adopted(scene.of("b.example.com").await.remove(0));
    let same = RecordChange::Update(first.clone(), first.spec.clone());
    assert_eq!(scene.one(same).await, Ok(Some(first.clone())));
    assert_eq!(scene.fixture.writes(), 0);
    let update = RecordChange::Update(first.clone(), spec("a.example.com", address(3)));
    let updated = scene.one(update).await.unwrap().unwrap();
    assert_eq!((&updated.id, &updated.mark), (&first.id, &Some(owner('1'))));
    assert_eq!(scene.of("a.example.com").await, [updated]);
    assert_eq!(scene.one(RecordChange::Delete(second)).await, Ok(None));
    assert_eq!(scene.fixture.stored("b.example.com"), Vec::<String>::new());
    assert_eq!(scene.fixture.writes(), 2);
    scene.fixture.finish();
}

#[tokio::test]
async fn one_of_a_thousand_is_one_read_and_one_write() {
    let scene = scene(|_| {}, None).await;
    assert!(scene.apply(&creates(1000)).await.iter().all(Result::is_ok));
    scene.fixture.server.faults.reset_calls();
    let seen = scene.host.records(&scene.zone).await.unwrap();
    let one = seen
        .iter()
        .find(|record| record.spec.name.as_str() == "n7.example.com")
        .unwrap();
    let moved = RecordChange::Update(one.clone(), spec("n7.example.com", address(9)));
    assert!(scene.one(moved).await.is_ok());
    let calls: Vec<(String, u64)> = scene.fixture.server.faults.calls().into_iter().collect();
    let expected = [
        ("GET /client/v4/zones/*/dns_records".to_owned(), 1),
        ("PATCH /client/v4/zones/*/dns_records/*".to_owned(), 1),
    ];
    assert_eq!(calls, expected);
    scene.fixture.finish();
}

#[tokio::test]
async fn what_was_seen_as_not_ours_is_refused_without_a_call() {
    let scene = scene(|_| {}, None).await;
    scene.fixture.add_foreign("a.example.com", &address(1));
    let foreign = scene.of("a.example.com").await.remove(0);
    let other = Record {
        mark: Some(owner('2')),
        ..foreign.clone()
    };
    scene.fixture.server.faults.reset_calls();
    for seen in [foreign, other] {
        let update = RecordChange::Update(seen.clone(), spec("a.example.com", address(2)));
        assert_eq!(kind(&scene.one(update).await), ErrorKind::Conflict);
        assert_eq!(
            kind(&scene.one(RecordChange::Delete(seen)).await),
            ErrorKind::Conflict
        );
    }
    assert_eq!(scene.fixture.server.faults.calls().len(), 0);
}
