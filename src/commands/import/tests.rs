//! A printed manifest says what was found, and nothing else.

use proptest::prelude::*;

use super::*;
use crate::api::DnsZone;
use crate::controllers::dns_zone::typed;
use crate::domain::dns::{TypedRecord, check_record};
use crate::providers::dns_host::RecordId;

const PROXY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

fn zone() -> Fqdn {
    "example.com".parse().unwrap()
}

fn setting(zone: &Fqdn) -> ZoneSetting<'_> {
    ZoneSetting {
        zone,
        proxy: Some(PROXY),
        quota: None,
    }
}

fn import(specs: Vec<RecordSpec>) -> Import {
    let records = specs.into_iter().enumerate().map(|(at, spec)| Record {
        id: RecordId(at.to_string()),
        mark: None,
        spec,
    });
    Import {
        name: "example.com".to_owned(),
        namespace: Some("shop".to_owned()),
        provider: "cloudflare".to_owned(),
        shown: "example.com".to_owned(),
        zone: zone(),
        has_customers: true,
        proxy: Some(PROXY),
        name_servers: vec!["ns1.example.net".parse().unwrap()],
        active: true,
        records: records.collect(),
    }
}

fn spec(name: &str, data: RecordData, ttl: Option<u32>, proxied: bool) -> RecordSpec {
    RecordSpec {
        name: name.parse().unwrap(),
        data,
        ttl,
        proxied,
    }
}

/// What the operator makes of a manifest.
fn read(text: &str) -> (DnsZone, Vec<RecordSpec>) {
    let object: DnsZone = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let zone = zone();
    let typed: Vec<TypedRecord<'_>> = object.spec.records.iter().map(typed).collect();
    let outcomes = check_records(&setting(&zone), &typed);
    let specs = outcomes.into_iter().map(|outcome| outcome.unwrap()).collect();
    (object, specs)
}

#[test]
fn a_manifest_takes_the_zone_over_as_it_is() {
    let a = |last| RecordData::A([192, 0, 2, last].into());
    let text = manifest(&import(vec![
        spec("www.example.com", a(80), Some(3600), false),
        spec("www.example.com", a(81), None, true),
        spec("auto.example.com", a(1), None, false),
        spec(
            "example.com",
            RecordData::Ns("ns1.example.net".parse().unwrap()),
            Some(3600),
            false,
        ),
        spec(
            "example.com",
            RecordData::Ns("ns.elsewhere.net".parse().unwrap()),
            Some(3600),
            false,
        ),
        spec(
            "example.com",
            RecordData::Other("SOA".to_owned(), "x".to_owned()),
            Some(3600),
            false,
        ),
        spec(
            "key.example.com",
            RecordData::Other("SSHFP".to_owned(), "1 1 \nname: evil".to_owned()),
            None,
            false,
        ),
        spec(
            "t.example.com",
            RecordData::Txt("a # b: \"c\" \\ ä".to_owned()),
            Some(60),
            false,
        ),
    ]));
    let (object, specs) = read(&text);
    assert_eq!(
        object.metadata.annotations.unwrap()[ADOPT_ANNOTATION],
        "example.com"
    );
    assert!(!object.spec.create_defaults && object.spec.verify_nameservers && !object.spec.suspended);
    let names: Vec<&str> = object
        .spec
        .records
        .iter()
        .map(|record| record.name.as_str())
        .collect();
    assert_eq!(names, ["auto", "t", "www", "www"], "{text}");
    assert_eq!(specs[0].ttl, Some(300));
    assert!(text.contains("content: \"PROXYSRV\""), "{text}");
    assert!(text.contains("# proxied") && text.contains("automatic"), "{text}");
    assert!(
        text.contains("#   key.example.com SSHFP 1 1  name: evil: a type"),
        "{text}"
    );
    assert!(
        text.contains("#   example.com NS ns.elsewhere.net: NS record"),
        "{text}"
    );
    assert!(
        !text.contains("SOA") && !text.contains("ns1.example.net"),
        "{text}"
    );
}

#[test]
fn an_empty_zone_has_a_manifest_too() {
    let (object, specs) = read(&manifest(&import(Vec::new())));
    assert!(object.spec.records.is_empty() && specs.is_empty());
}

fn typed_record() -> impl Strategy<Value = (String, RecordKind, String, u32, Option<u16>)> {
    let names = vec![
        "@",
        "www",
        "a.sub",
        "*",
        "_sip._tcp",
        "example.com.example.com.",
        "_dmarc",
        "bücher",
    ];
    let any_text = prop_oneof!["[ -~]{1,40}", "\\PC{1,30}", "\"[a-z\\\\\" ]{0,10}\""];
    let record = prop_oneof![
        any::<u8>().prop_map(|last| (RecordKind::A, format!("192.0.2.{last}"), None)),
        any::<u16>().prop_map(|last| (RecordKind::Aaaa, format!("2001:db8::{last:x}"), None)),
        any_text.prop_map(|text| (RecordKind::Txt, text, None)),
        any::<u16>().prop_map(|p| (RecordKind::Mx, "mail.example.net".to_owned(), Some(p))),
        any::<u16>().prop_map(|p| (RecordKind::Srv, format!("{p} 5060 sip.example.net"), Some(p))),
        Just((RecordKind::Cname, "_x.example.org".to_owned(), None)),
        Just((RecordKind::Ns, "ns.example.org".to_owned(), None)),
        "[a-z]{1,8}(; [a-z]{1,3}=[a-z]{1,3})?".prop_map(|v| (
            RecordKind::Caa,
            format!("128 issue \"{v}.example\""),
            None
        )),
    ];
    let ttl = prop_oneof![Just(3600_u32), 60_u32..=86_400];
    (prop::sample::select(names), record, ttl)
        .prop_map(|(name, (kind, content, priority), ttl)| (name.to_owned(), kind, content, ttl, priority))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_was_typed_once_is_printed_and_read_back_equal(
        records in prop::collection::vec(typed_record(), 0..20),
    ) {
        let zone = zone();
        let typed: Vec<TypedRecord<'_>> = records
            .iter()
            .map(|(name, kind, content, ttl, priority)| TypedRecord {
                name,
                kind: *kind,
                content,
                ttl: *ttl,
                priority: *priority,
            })
            .collect();
        let outcomes = check_records(&setting(&zone), &typed);
        let mut specs: Vec<RecordSpec> = outcomes.into_iter().flatten().collect();
        let (_, mut back) = read(&manifest(&import(specs.clone())));
        specs.sort();
        back.sort();
        prop_assert_eq!(back, specs);
    }

    #[test]
    fn whatever_a_zone_has_the_manifest_is_one(text in any::<String>(), kind in "[A-Z]{1,6}") {
        let zone = zone();
        let other = spec("x.example.com", RecordData::Other(kind, text.clone()), None, false);
        let txt = spec("y.example.com", RecordData::Txt(text), Some(300), false);
        let (_, back) = read(&manifest(&import(vec![other, txt.clone()])));
        let again = written(&zone, &txt, None, TTL).map(|w| check_record(&setting(&zone), &w.typed()));
        prop_assert_eq!(back.len(), usize::from(matches!(again, Some(Ok(spec)) if spec == txt)));
    }
}
