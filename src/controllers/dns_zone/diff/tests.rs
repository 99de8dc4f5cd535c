use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::domain::Fqdn;
use crate::domain::dns::{TypedRecord, ZoneSetting, check_records};

fn spec(name: &str, data: RecordData) -> RecordSpec {
    RecordSpec {
        name: format!("{name}.example.com").parse().unwrap(),
        data,
        ttl: Some(3600),
        proxied: false,
    }
}

fn a(name: &str, last: u8) -> RecordSpec {
    spec(name, RecordData::A([192, 0, 2, last].into()))
}

fn alias(name: &str, target: &str) -> RecordSpec {
    spec(name, RecordData::Cname(target.parse().unwrap()))
}

fn text(name: &str, text: &str) -> RecordSpec {
    spec(name, RecordData::Txt(text.to_owned()))
}

fn ttl(spec: RecordSpec, ttl: u32) -> RecordSpec {
    RecordSpec {
        ttl: Some(ttl),
        ..spec
    }
}

fn record(id: String, spec: RecordSpec) -> Record {
    Record {
        id: RecordId(id),
        mark: None,
        spec,
    }
}

/// Ours are those whose id begins with an `o`.
fn is_ours(record: &Record) -> bool {
    record.id.0.starts_with('o')
}

fn numbered(letter: char, specs: impl IntoIterator<Item = RecordSpec>) -> Vec<Record> {
    let numbered = specs.into_iter().enumerate();
    numbered
        .map(|(at, spec)| record(format!("{letter}{at}"), spec))
        .collect()
}

fn tagged(specs: impl IntoIterator<Item = RecordSpec>) -> Vec<(usize, RecordSpec)> {
    specs.into_iter().enumerate().collect()
}

/// Changes in words.
fn shown(diff: &Diff<usize>) -> Vec<String> {
    let show =
        |spec: &RecordSpec| format!("{} {}", spec.name.as_str().replace(".example.com", ""), spec.data);
    diff.changes
        .iter()
        .map(|(change, tag)| match (change, tag) {
            (RecordChange::Create(spec), Some(tag)) => format!("+ {} ({tag})", show(spec)),
            (RecordChange::Update(seen, spec), Some(tag)) => {
                format!("{} = {} ({tag})", seen.id.0, show(spec))
            }
            (RecordChange::Delete(seen), None) => format!("- {}", seen.id.0),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn compare(wanted: &[RecordSpec], ours: &[RecordSpec], foreign: &[RecordSpec]) -> Diff<usize> {
    let mut seen = numbered('o', ours.iter().cloned());
    seen.extend(numbered('f', foreign.iter().cloned()));
    diff(&tagged(wanted.iter().cloned()), &seen, is_ours)
}

#[test]
fn what_is_right_stays_whatever_its_order() {
    let found = compare(
        &[a("x", 1), a("x", 2), text("x", "t")],
        &[text("x", "t"), a("x", 2), a("x", 1)],
        &[],
    );
    assert_eq!(found.changes, []);
    let ids: Vec<_> = found
        .satisfied
        .iter()
        .map(|(tag, id)| (*tag, id.0.as_str()))
        .collect();
    assert_eq!(ids, [(0, "o2"), (1, "o1"), (2, "o0")]);
}

#[test]
fn a_change_is_an_update_and_the_rest_is_added_before_it_is_removed() {
    let found = compare(
        &[a("x", 9), text("x", "new"), a("y", 1)],
        &[a("x", 1), a("x", 2), text("z", "old")],
        &[],
    );
    assert_eq!(
        shown(&found),
        [
            "o0 = x A 192.0.2.9 (0)",
            "+ x TXT new (1)",
            "+ y A 192.0.2.1 (2)",
            "- o1",
            "- o2"
        ]
    );
}

#[test]
fn another_time_to_live_finds_its_own_record() {
    let found = compare(
        &[ttl(a("x", 2), 60), ttl(a("x", 3), 60)],
        &[a("x", 1), a("x", 2)],
        &[],
    );
    assert_eq!(
        shown(&found),
        ["o1 = x A 192.0.2.2 (0)", "o0 = x A 192.0.2.3 (1)"]
    );
}

#[test]
fn one_of_two_that_say_the_same_is_removed() {
    let found = compare(&[a("x", 1)], &[a("x", 1), ttl(a("x", 1), 60)], &[]);
    assert_eq!(shown(&found), ["- o1"]);
}

#[test]
fn an_alias_changes_places_without_meeting_anybody() {
    let found = compare(
        &[alias("x", "a.example.net"), a("y", 1)],
        &[a("x", 1), text("x", "t"), alias("y", "a.example.net"), a("z", 1)],
        &[],
    );
    assert_eq!(
        shown(&found),
        [
            "- o0",
            "- o1",
            "+ x CNAME a.example.net (0)",
            "- o2",
            "+ y A 192.0.2.1 (1)",
            "- o3"
        ]
    );
    let found = compare(
        &[alias("x", "b.example.net")],
        &[alias("x", "a.example.net")],
        &[],
    );
    assert_eq!(shown(&found), ["o0 = x CNAME b.example.net (0)"]);
}

#[test]
fn proxied_is_kept_and_its_time_to_live_is_no_difference() {
    let seen = RecordSpec {
        ttl: None,
        proxied: true,
        ..a("x", 1)
    };
    assert_eq!(
        compare(&[a("x", 1)], std::slice::from_ref(&seen), &[]).changes,
        []
    );
    let found = compare(&[a("x", 2)], &[seen], &[]);
    let RecordChange::Update(_, written) = &found.changes[0].0 else {
        panic!("{found:?}");
    };
    assert_eq!(
        *written,
        RecordSpec {
            ttl: None,
            proxied: true,
            ..a("x", 2)
        }
    );
}

/// Tags in conflict, and the changes.
fn against(wanted: RecordSpec, ours: &[RecordSpec], foreign: RecordSpec) -> (usize, Vec<String>) {
    let found = compare(std::slice::from_ref(&wanted), ours, &[foreign]);
    assert_eq!(found.foreign, 1);
    for (_, message) in &found.conflicts {
        assert!(
            message.contains(wanted.name.as_str()) && message.contains("delete it"),
            "{message}"
        );
    }
    (found.conflicts.len(), shown(&found))
}

#[test]
fn what_is_foreign_is_in_the_way_or_stands_beside() {
    let blocked = (1, vec![]);
    let mx = |preference, exchange: Target| spec("x", RecordData::Mx { preference, exchange });
    let host = Target::Host("mail.example.net".parse().unwrap());
    for (wanted, foreign) in [
        (a("x", 1), a("x", 1)),
        (a("x", 1), ttl(a("x", 1), 60)),
        (a("x", 1), a("x", 2)),
        (a("x", 1), alias("x", "a.example.net")),
        (text("x", "t"), alias("x", "a.example.net")),
        (text("x", "t"), text("x", "t")),
        (alias("x", "a.example.net"), text("x", "t")),
        (
            alias("x", "a.example.net"),
            spec("x", RecordData::Other("HTTPS".to_owned(), "1 .".to_owned())),
        ),
        (mx(0, Target::Nowhere), mx(10, host.clone())),
        (mx(10, host.clone()), mx(0, Target::Nowhere)),
    ] {
        assert_eq!(
            against(wanted.clone(), &[], foreign.clone()),
            blocked,
            "{wanted:?} {foreign:?}"
        );
    }
    for (wanted, foreign) in [
        (a("x", 1), text("x", "t")),
        (a("x", 1), a("y", 1)),
        (text("x", "t"), text("x", "u")),
        (mx(10, host.clone()), mx(20, host)),
    ] {
        assert_eq!(against(wanted, &[], foreign).0, 0);
    }
    // Ours is there already: nothing is in its way.
    assert_eq!(against(a("x", 1), &[a("x", 1)], a("x", 2)), (0, vec![]));
    // A name whose wish cannot come true goes on answering.
    assert_eq!(
        against(alias("x", "a.example.net"), &[a("x", 1)], text("x", "t")),
        blocked
    );
    // What is no address is removed beside a conflict.
    assert_eq!(
        against(text("x", "t"), &[text("x", "old")], text("x", "t")),
        (1, vec!["- o0".to_owned()])
    );
}

#[test]
fn large_zones_cost_little() {
    // All of one name and type, all different: the worst for whatever compares each with each, which would be
    // 28,000² = 784 million comparisons.
    const RECORDS: usize = 28_000;
    let texts = |word: &str| {
        (0..RECORDS)
            .map(|n| text("x", &format!("{word}-{n}")))
            .collect::<Vec<_>>()
    };
    let seen = numbered('o', texts("old"));
    let wanted = tagged(texts("new"));
    let began = Instant::now();
    let found = diff(&wanted, &seen, is_ours);
    let took = began.elapsed();
    assert_eq!(found.changes.len(), RECORDS);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

const NAMES: [&str; 3] = ["x", "y", "*"];

fn data() -> impl Strategy<Value = RecordData> {
    let host = |text: &str| Target::Host(text.parse().unwrap());
    prop::sample::select(vec![
        RecordData::A([192, 0, 2, 1].into()),
        RecordData::A([192, 0, 2, 2].into()),
        RecordData::A([192, 0, 2, 3].into()),
        RecordData::Aaaa("2001:db8::1".parse().unwrap()),
        RecordData::Cname("a.example.net".parse().unwrap()),
        RecordData::Cname("b.example.net".parse().unwrap()),
        RecordData::Mx {
            preference: 0,
            exchange: Target::Nowhere,
        },
        RecordData::Mx {
            preference: 10,
            exchange: host("a.example.net"),
        },
        RecordData::Mx {
            preference: 20,
            exchange: host("a.example.net"),
        },
        RecordData::Txt("one".to_owned()),
        RecordData::Txt("two".to_owned()),
        RecordData::Other("HTTPS".to_owned(), "1 .".to_owned()),
    ])
}

fn any_spec() -> impl Strategy<Value = RecordSpec> {
    let ttl = prop::sample::select(vec![Some(300), Some(3600)]);
    (prop::sample::select(&NAMES[..]), data(), ttl, any::<bool>()).prop_map(|(name, data, ttl, proxied)| {
        let spec = spec(name, data);
        let proxied = proxied && is_exclusive(&spec);
        RecordSpec {
            ttl: ttl.filter(|_| !proxied),
            proxied,
            ..spec
        }
    })
}

/// What a user lists and the rules let pass.
fn let_pass(specs: &[RecordSpec]) -> Vec<(usize, RecordSpec)> {
    let zone: Fqdn = "example.com".parse().unwrap();
    let setting = ZoneSetting {
        zone: &zone,
        proxy: None,
        quota: None,
    };
    let mut texts = Vec::new();
    for spec in specs {
        let Some(kind) = spec.data.kind() else { continue };
        let shown = spec.data.to_string();
        let content = shown.rsplit(' ').next().unwrap().to_owned();
        let priority = match &spec.data {
            RecordData::Mx { preference, .. } => Some(*preference),
            _ => None,
        };
        texts.push((
            spec.name.to_string(),
            kind,
            content,
            spec.ttl.unwrap_or(3600),
            priority,
        ));
    }
    let typed: Vec<TypedRecord<'_>> = texts
        .iter()
        .map(|(name, kind, content, ttl, priority)| TypedRecord {
            name,
            kind: *kind,
            content,
            ttl: *ttl,
            priority: *priority,
        })
        .collect();
    let outcomes = check_records(&setting, &typed).into_iter().enumerate();
    outcomes
        .filter_map(|(at, outcome)| Some((at, outcome.ok()?)))
        .collect()
}

type Served = BTreeSet<(RecordName, String)>;

fn served(zone: &[Record]) -> Served {
    zone.iter()
        .map(|record| (record.spec.name.clone(), record.spec.data.type_name().to_owned()))
        .collect()
}

/// One change at a back-end that takes it literally, and refuses what goes beside an alias.
fn apply(zone: &mut Vec<Record>, change: &RecordChange, next: usize) {
    match change {
        RecordChange::Create(spec) => {
            let beside = zone.iter().filter(|record| record.spec.name == spec.name);
            for record in beside {
                assert!(
                    !is_alias(spec) && !is_alias(&record.spec),
                    "{spec:?} beside {record:?}"
                );
            }
            zone.push(record(format!("o-new-{next}"), spec.clone()));
        }
        RecordChange::Update(seen, spec) | RecordChange::Adopt(seen, spec) => {
            assert!(is_ours(seen), "{seen:?} is foreign");
            assert_eq!(seen.spec.data.kind(), spec.data.kind());
            let at = zone.iter().position(|record| record == seen).unwrap();
            zone[at].spec = spec.clone();
        }
        RecordChange::Delete(seen) => {
            assert!(is_ours(seen), "{seen:?} is foreign");
            let at = zone.iter().position(|record| record == seen).unwrap();
            zone.remove(at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_zone_becomes_as_wanted_without_a_gap(
        listed in prop::collection::vec(any_spec(), 0..16),
        ours in prop::collection::vec(any_spec(), 0..16),
        foreign in prop::collection::vec(any_spec(), 0..4),
    ) {
        let wanted = let_pass(&listed);
        let mut zone = numbered('o', ours);
        zone.extend(numbered('f', foreign));
        let before = zone.clone();
        let first = diff(&wanted, &zone, is_ours);
        let mut steps = vec![served(&zone)];
        for (next, (change, _)) in first.changes.iter().enumerate() {
            apply(&mut zone, change, next);
            steps.push(served(&zone));
        }
        let stays: Served = steps[0].intersection(steps.last().unwrap()).cloned().collect();
        for step in &steps {
            prop_assert!(stays.is_subset(step), "a gap: {:?}", stays.difference(step).collect::<Vec<_>>());
        }
        // What is foreign is as it was.
        let foreign = |zone: &[Record]| zone.iter().filter(|one| !is_ours(one)).cloned().collect::<Vec<_>>();
        prop_assert_eq!(foreign(&before), foreign(&zone));
        prop_assert_eq!(first.foreign, foreign(&zone).len());
        // Every wanted record is there or in conflict, once.
        let second = diff(&wanted, &zone, is_ours);
        prop_assert_eq!(&second.changes, &[]);
        prop_assert_eq!(&second.conflicts, &first.conflicts);
        let mut tags: Vec<usize> = second.satisfied.iter().map(|(tag, _)| *tag).collect();
        let ids: BTreeSet<&RecordId> = second.satisfied.iter().map(|(_, id)| id).collect();
        prop_assert_eq!(ids.len(), tags.len());
        tags.extend(second.conflicts.iter().map(|(tag, _)| *tag));
        tags.sort_unstable();
        prop_assert_eq!(tags, wanted.iter().map(|(tag, _)| *tag).collect::<Vec<_>>());
        // Nothing else of ours is left, but at names where nothing of the wish could come true.
        let held = zone.iter().filter(|one| is_ours(one) && !ids.contains(&one.id));
        for record in held {
            let here = second.satisfied.iter().any(|(tag, _)| {
                wanted.iter().any(|(at, spec)| at == tag && spec.name == record.spec.name)
            });
            prop_assert!(is_exclusive(&record.spec) && !here, "{record:?} is left over");
        }
    }
}
