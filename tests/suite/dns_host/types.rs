//! Contract cases for every type of record. A back-end joins with one line of [`types_suite!`].

use hostwright::domain::dns::{RecordData, Target};
use hostwright::providers::ErrorKind;
use hostwright::providers::dns_host::{RecordChange, RecordSpec};

use super::{Fixture, Scene, kind, spec};

fn host(name: &str) -> Target {
    Target::Host(name.parse().unwrap())
}

fn text(text: impl Into<String>) -> RecordData {
    RecordData::Txt(text.into())
}

fn mx(preference: u16, exchange: Target) -> RecordData {
    RecordData::Mx { preference, exchange }
}

fn caa(flags: u8, tag: &str, value: &str) -> RecordData {
    RecordData::Caa {
        flags,
        tag: tag.to_owned(),
        value: value.to_owned(),
    }
}

/// One of everything that the kind DnsZone can have.
pub fn everything() -> Vec<RecordSpec> {
    let srv = |target| RecordData::Srv {
        priority: 5,
        weight: 10,
        port: 5060,
        target,
    };
    let alias = |name: &str| RecordData::Cname(name.parse().unwrap());
    vec![
        spec("example.com", RecordData::A("192.0.2.1".parse().unwrap())),
        spec("*.example.com", RecordData::A("192.0.2.2".parse().unwrap())),
        spec(
            "*.sub.example.com",
            RecordData::Aaaa("2001:db8::a".parse().unwrap()),
        ),
        spec(
            "xn--mnchen-3ya.example.com",
            RecordData::A("192.0.2.3".parse().unwrap()),
        ),
        spec("example.com", mx(10, host("mail.example.com"))),
        spec("example.com", mx(0, host("mail.example.net"))),
        spec("nomail.example.com", mx(0, Target::Nowhere)),
        spec("example.com", caa(0, "issue", "letsencrypt.org")),
        spec("example.com", caa(128, "issuewild", ";")),
        spec("ca.example.com", caa(0, "iodef", "mailto:security@example.com")),
        spec("_sip._tcp.example.com", srv(host("sip.example.net"))),
        spec("_none._tcp.example.com", srv(Target::Nowhere)),
        spec(
            "child.example.com",
            RecordData::Ns("ns1.example.net".parse().unwrap()),
        ),
        spec(
            "child.example.com",
            RecordData::Ns("ns2.example.net".parse().unwrap()),
        ),
        spec("k1._domainkey.example.com", alias("dkim._x.example.net")),
        spec("alias.example.com", alias("example.com")),
        spec("_dmarc.example.com", text("v=DMARC1; p=none")),
        spec("*.wild.example.com", text("wild")),
    ]
}

pub async fn every_type_lives_from_create_to_delete<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let specs = everything();
    let creates: Vec<RecordChange> = specs.iter().cloned().map(RecordChange::Create).collect();
    let mut made = Vec::new();
    for (wanted, outcome) in specs.iter().zip(scene.apply(&creates).await) {
        let record = outcome
            .unwrap_or_else(|error| panic!("{wanted:?}: {error}"))
            .unwrap();
        assert_eq!(record.spec, *wanted);
        made.push(record);
    }
    let mut read = scene.records().await;
    read.sort_by(|a, b| a.spec.cmp(&b.spec));
    let mut expected = made.clone();
    expected.sort_by(|a, b| a.spec.cmp(&b.spec));
    assert_eq!(read, expected);
    for record in &made {
        let named = scene.of(record.spec.name.as_str()).await;
        assert!(named.contains(record), "{record:?} is not among {named:?}");
    }
    let writes = scene.fixture.writes();
    let updates: Vec<RecordChange> = made
        .iter()
        .map(|record| RecordChange::Update(record.clone(), record.spec.clone()))
        .collect();
    for (record, outcome) in made.iter().zip(scene.apply(&updates).await) {
        assert_eq!(outcome.unwrap().as_ref(), Some(record));
    }
    assert_eq!(
        scene.fixture.writes(),
        writes,
        "equal is equal on this back-end too"
    );
    let deletes: Vec<RecordChange> = made.into_iter().map(RecordChange::Delete).collect();
    assert!(
        scene
            .apply(&deletes)
            .await
            .iter()
            .all(|outcome| *outcome == Ok(None))
    );
    assert_eq!(scene.records().await, []);
    scene.fixture.finish();
}

pub async fn texts_come_back_as_they_were<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let mut texts = vec![
        "v=spf1 mx -all".to_owned(),
        r#"say "hello" \ and; go (on)"#.to_owned(),
        "gr\u{fc}\u{df}e \u{20ac}".to_owned(),
        "<script>alert(1)</script>".to_owned(),
        " blanks at both ends ".to_owned(),
        "A".repeat(255),
        "B".repeat(256),
        "C".repeat(1000),
    ];
    for before in 252..=256 {
        for special in ["\"", "\\", "\u{fc}", "\u{20ac}"] {
            texts.push(format!("{}{special}{}", "d".repeat(before), "e".repeat(300)));
        }
    }
    for (place, text) in texts.into_iter().enumerate() {
        let name = format!("t{place}.example.com");
        let wanted = spec(&name, RecordData::Txt(text));
        assert_eq!(scene.create(&wanted).await.spec, wanted);
        let read = scene.of(&name).await;
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].spec, wanted);
    }
    scene.fixture.finish();
}

pub async fn one_of_several_values_changes_alone<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let first = scene
        .create(&spec("example.com", mx(10, host("a.example.net"))))
        .await;
    let second = scene
        .create(&spec("example.com", mx(20, host("b.example.net"))))
        .await;
    let wanted = spec("example.com", mx(30, host("b.example.net")));
    let updated = scene
        .one(RecordChange::Update(second, wanted.clone()))
        .await
        .unwrap();
    let updated = updated.unwrap();
    assert_eq!(updated.spec, wanted);
    let mut read = scene.records().await;
    read.sort_by(|a, b| a.spec.cmp(&b.spec));
    assert_eq!(read, [first, updated]);
    scene.fixture.finish();
}

pub async fn a_back_ends_own_time_to_live_is_taken<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let wanted = RecordSpec {
        ttl: None,
        ..spec("own.example.com", RecordData::A("192.0.2.1".parse().unwrap()))
    };
    let made = scene.create(&wanted).await;
    assert_eq!((&made.spec.name, &made.spec.data), (&wanted.name, &wanted.data));
    assert_eq!(scene.of("own.example.com").await[0].spec, made.spec);
    scene.fixture.finish();
}

pub async fn what_no_back_end_can_hold_is_refused<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let other = RecordData::Other("HINFO".to_owned(), "\"PC\" \"x\"".to_owned());
    let short = RecordSpec {
        ttl: Some(59),
        ..spec("short.example.com", RecordData::A("192.0.2.1".parse().unwrap()))
    };
    let writes = scene.fixture.writes();
    for wanted in [
        spec("other.example.com", other),
        spec("empty.example.com", text("")),
        short,
    ] {
        let outcome = scene.one(RecordChange::Create(wanted.clone())).await;
        assert_eq!(kind(&outcome), ErrorKind::Invalid, "{wanted:?}");
    }
    assert_eq!(scene.fixture.writes(), writes, "refused before anything is sent");
    scene.fixture.finish();
}

/// Runs every case on one fixture.
macro_rules! types_suite {
    ($fixture:ty) => {
        $crate::dns_host::types::types_suite!($fixture:
            every_type_lives_from_create_to_delete,
            texts_come_back_as_they_were,
            one_of_several_values_changes_alone,
            a_back_ends_own_time_to_live_is_taken,
            what_no_back_end_can_hold_is_refused,
        );
    };
    ($fixture:ty: $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::dns_host::types::$case::<$fixture>().await;
        })*
    };
}
pub(super) use types_suite;
