//! `remove::gone`: every branch, both sides of each boundary.

use std::collections::BTreeMap;

use super::super::claims::{Claim, Rival};
use super::super::remove::gone;
use super::*;
use crate::api::DeletionPolicy;
use crate::api::condition::reasons;
use crate::controllers::connections::Refusal;

fn check(rows: Vec<(&str, DnsZoneStatus, Observed, &str)>) {
    for (name, status, observed, expected) in rows {
        let plan = gone(&status, DeletionPolicy::Delete, &observed);
        assert_eq!(told(&plan), expected, "{name}");
    }
}

fn with(mut observed: Observed, edit: impl FnOnce(&mut Observed)) -> Observed {
    edit(&mut observed);
    observed
}

fn created() -> DnsZoneStatus {
    known(ZoneOrigin::Created, &[])
}

fn none() -> DnsZoneStatus {
    DnsZoneStatus::default()
}

#[test]
fn before_anything_is_removed() {
    let there = || seen(terms(MARKED, &[]), &none(), &[]);
    let refused = || {
        with(there(), |o| {
            o.refusal = Some(Refusal::new(reasons::PROVIDER_NOT_FOUND, "create it"));
        })
    };
    let rivalled = || {
        with(there(), |o| {
            o.rival = Some(Rival::Same(Claim {
                zone: name(),
                namespace: "other".to_owned(),
                name: "first".to_owned(),
                created_at: None,
                holds: true,
                allowed_children: Vec::new(),
            }));
        })
    };
    let creating = DnsZoneStatus {
        origin: Some(ZoneOrigin::Creating),
        ..none()
    };
    check(vec![
        (
            "nothing was made, and nothing can be reached",
            none(),
            refused(),
            "released",
        ),
        (
            "something was made, and cannot be reached",
            created(),
            refused(),
            "settled, (ProviderNotFound)",
        ),
        (
            "something may have been made",
            creating.clone(),
            refused(),
            "settled, (ProviderNotFound)",
        ),
        ("nothing was resolved", created(), Observed::default(), "retry"),
        ("it never had the zone", none(), rivalled(), "released"),
        ("it had the zone", created(), rivalled(), "delete zone 1, again"),
        (
            "unread",
            created(),
            with(there(), |o| o.zone = Fact::Unread),
            "again",
        ),
        (
            "not readable",
            created(),
            with(there(), |o| o.zone = Fact::Unknown(error(ErrorKind::Unavailable))),
            "retry, (Unavailable)",
        ),
        (
            "gone",
            created(),
            with(there(), |o| o.zone = Fact::Known(None)),
            "released",
        ),
        ("somebody else's", none(), there(), "released"),
        (
            "somebody else's that was to be adopted",
            none(),
            with(there(), |o| o.terms.as_mut().unwrap().adopt = true),
            "released",
        ),
        (
            "adopted",
            known(ZoneOrigin::Adopted, &[]),
            there(),
            "delete zone 1, again",
        ),
        (
            "made, and not heard of",
            creating,
            there(),
            "delete zone 1, again",
        ),
        (
            "made anew by somebody",
            DnsZoneStatus {
                zone_id: Some("2".to_owned()),
                ..created()
            },
            there(),
            "released",
        ),
        (
            "records unread",
            created(),
            with(there(), |o| o.records = Fact::Unread),
            "again",
        ),
        (
            "records not readable",
            created(),
            with(there(), |o| o.records = Fact::Unknown(error(ErrorKind::Denied))),
            "retry, (Denied)",
        ),
    ]);
    let plan = gone(&created(), DeletionPolicy::Retain, &there());
    assert_eq!(told(&plan), "last words, released, (Retained)");
}

#[test]
fn records_go_and_foreign_ones_keep_the_zone() {
    let server = |id: &str, host: &str| {
        let spec = RecordSpec {
            name: "example.com".parse().unwrap(),
            ..spec("x", RecordData::Ns(host.parse().unwrap()))
        };
        record(id, None, spec)
    };
    let ours = record("7", None, a("www", 1));
    let marked = record("7", own(), a("www", 1));
    let guest = record("8", None, a("blog", 1));
    let knows = || known(ZoneOrigin::Created, std::slice::from_ref(&ours));
    let panel = || Terms {
        name_servers: vec!["ns1.example.net".parse().unwrap()],
        ..terms(UNMARKED, &[])
    };
    let at_panel = |records: &[Record]| seen(panel(), &knows(), records);
    let at_vendor = |records: &[Record]| seen(terms(MARKED, &[]), &created(), records);
    check(vec![
        (
            "records go with the zone",
            created(),
            at_vendor(std::slice::from_ref(&marked)),
            "delete zone 1, again",
        ),
        (
            "not beside foreign ones",
            created(),
            at_vendor(&[marked, guest.clone()]),
            "-7, again",
        ),
        (
            "foreign ones alone",
            created(),
            at_vendor(std::slice::from_ref(&guest)),
            "last words, released, (Retained)",
        ),
        (
            "they go first elsewhere",
            knows(),
            at_panel(std::slice::from_ref(&ours)),
            "-7, again",
        ),
        ("then the zone", knows(), at_panel(&[]), "delete zone 1, again"),
        (
            "ours beside foreign ones",
            knows(),
            at_panel(&[ours.clone(), guest.clone()]),
            "-7, again",
        ),
        (
            "the zone is theirs",
            knows(),
            at_panel(&[guest]),
            "last words, released, (Retained)",
        ),
        (
            "edited by hand",
            knows(),
            at_panel(&[record("7", None, a("www", 9))]),
            "last words, released, (Retained)",
        ),
        (
            "the zone's own name servers go with it",
            knows(),
            at_panel(&[server("9", "ns1.example.net")]),
            "delete zone 1, again",
        ),
        (
            "one that somebody added does not",
            knows(),
            at_panel(&[server("9", "ns9.example.net")]),
            "last words, released, (Retained)",
        ),
        (
            "a removal failed",
            knows(),
            with(at_panel(std::slice::from_ref(&ours)), |o| {
                o.failed = BTreeMap::from([(None, error(ErrorKind::Unavailable))]);
            }),
            "retry, (Unavailable)",
        ),
    ]);
}
