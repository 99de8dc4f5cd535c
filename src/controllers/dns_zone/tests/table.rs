//! `plan::live`: every branch, both sides of each boundary.

use std::collections::BTreeMap;

use super::super::claims::{Claim, Rival};
use super::super::plan::live;
use super::super::zone::Steady;
use super::*;
use crate::api::condition::{Finding, State, kinds, merge, reasons};
use crate::controllers::connections::Refusal;
use crate::providers::delegation::{Delegation, DelegationState};

fn check(rows: Vec<(&str, DnsZoneStatus, Observed, &str)>) {
    for (name, status, observed, expected) in rows {
        assert_eq!(told(&live(&status, &observed)), expected, "{name}");
    }
}

fn with(mut observed: Observed, edit: impl FnOnce(&mut Observed)) -> Observed {
    edit(&mut observed);
    observed
}

fn terms_of(observed: &mut Observed) -> &mut Terms {
    observed.terms.as_mut().unwrap()
}

fn created() -> DnsZoneStatus {
    known(ZoneOrigin::Created, &[])
}

fn none() -> DnsZoneStatus {
    DnsZoneStatus::default()
}

fn claim(namespace: &str) -> Claim {
    Claim {
        zone: name(),
        namespace: namespace.to_owned(),
        name: "elder".to_owned(),
        created_at: None,
        holds: true,
        allowed_children: Vec::new(),
    }
}

#[test]
fn before_anything_is_read() {
    let empty = || seen(terms(MARKED, &[]), &none(), &[]);
    check(vec![
        (
            "a reference leads nowhere",
            none(),
            with(empty(), |o| {
                o.refusal = Some(Refusal::new(reasons::PROVIDER_NOT_FOUND, "create it"));
            }),
            "settled, (ProviderNotFound)",
        ),
        ("nothing was resolved", none(), Observed::default(), "retry"),
        (
            "another object has the zone",
            none(),
            with(empty(), |o| o.rival = Some(Rival::Same(claim("other")))),
            "settled, (Conflict)",
        ),
        (
            "as it was left",
            created(),
            with(empty(), |o| o.steady = Some(Steady::Agrees)),
            "settled",
        ),
        (
            "something differs",
            created(),
            with(empty(), |o| o.steady = Some(Steady::Differs)),
            "closer",
        ),
        (
            "the list could not be read",
            created(),
            with(empty(), |o| {
                o.steady = Some(Steady::Unknown(error(ErrorKind::Unavailable)));
            }),
            "retry",
        ),
        (
            "unread",
            none(),
            with(empty(), |o| o.zone = Fact::Unread),
            "again",
        ),
        (
            "the zone could not be read",
            none(),
            with(empty(), |o| o.zone = Fact::Unknown(error(ErrorKind::Denied))),
            "retry, (Denied)",
        ),
    ]);
}

#[test]
fn rivals_of_other_namespaces_stay_unnamed() {
    let message = |rival| {
        let observed = with(seen(terms(MARKED, &[]), &none(), &[]), |o| o.rival = Some(rival));
        live(&none(), &observed).verdict.block.unwrap().message
    };
    assert!(message(Rival::Same(claim("customer"))).contains("elder"));
    for rival in [
        Rival::Same(claim("other")),
        Rival::Parent(claim("other")),
        Rival::Child(claim("other")),
    ] {
        let said = message(rival);
        assert!(
            !said.contains("elder") && !said.contains("namespace other"),
            "{said}"
        );
    }
}

#[test]
fn an_absent_zone_is_made() {
    let absent = |abilities| {
        with(seen(terms(abilities, &[]), &none(), &[]), |o| {
            o.zone = Fact::Known(None)
        })
    };
    check(vec![
        ("with marks at once", none(), absent(MARKED), "create zone, again"),
        (
            "without marks the intent comes first",
            none(),
            absent(UNMARKED),
            "store, again",
        ),
        (
            "then the zone",
            DnsZoneStatus {
                origin: Some(ZoneOrigin::Creating),
                ..none()
            },
            absent(UNMARKED),
            "create zone, again",
        ),
        (
            "one that is gone is made again",
            created(),
            absent(MARKED),
            "create zone, again",
        ),
        ("after a new intent", created(), absent(UNMARKED), "store, again"),
    ]);
    let observed = absent(UNMARKED);
    let gone = live(
        &known(ZoneOrigin::Created, &[record("7", None, a("www", 1))]),
        &observed,
    );
    assert_eq!(gone.verdict.proofs, Proofs::default(), "with its records");
}

#[test]
fn whose_a_zone_is() {
    let origin = |abilities, status: &DnsZoneStatus, made: Option<i64>, adopt: bool| {
        let observed = with(seen(terms(abilities, &[]), status, &[]), |o| {
            terms_of(o).adopt = adopt;
            let found = Zone {
                created: made.map(at),
                ..zone("1")
            };
            o.zone = Fact::Known(Some(found));
        });
        let plan = live(status, &observed);
        match plan.verdict.block {
            Some(block) => {
                assert_eq!(block.reason, reasons::CONFLICT);
                assert!(plan.actions.is_empty());
                None
            }
            None => plan.verdict.origin,
        }
    };
    let creating = DnsZoneStatus {
        origin: Some(ZoneOrigin::Creating),
        ..none()
    };
    let other_id = |origin| DnsZoneStatus {
        zone_id: Some("2".to_owned()),
        ..known(origin, &[])
    };
    use ZoneOrigin::{Adopted, Created};
    for (name, status, made, adopt, expected) in [
        ("its id is known", created(), None, false, Some(Created)),
        (
            "an adopted one's too",
            known(Adopted, &[]),
            None,
            false,
            Some(Adopted),
        ),
        (
            "the intent was stored",
            creating.clone(),
            None,
            false,
            Some(Created),
        ),
        ("intent before wish", creating, None, true, Some(Created)),
        ("nothing is known", none(), None, false, None),
        ("it may be taken", none(), None, true, Some(Adopted)),
        (
            "made with the object",
            none(),
            Some(CREATED),
            false,
            Some(Created),
        ),
        (
            "by a clock 5 s behind",
            none(),
            Some(CREATED - 5),
            false,
            Some(Created),
        ),
        ("by a clock 6 s behind", none(), Some(CREATED - 6), false, None),
        (
            "older, and may be taken",
            none(),
            Some(CREATED - 6),
            true,
            Some(Adopted),
        ),
        ("another id", other_id(Created), None, false, None),
        (
            "another id that was adopted",
            other_id(Adopted),
            None,
            false,
            None,
        ),
        (
            "another id, and young",
            other_id(Created),
            Some(CREATED + 9),
            false,
            Some(Created),
        ),
    ] {
        for abilities in [MARKED, UNMARKED] {
            assert_eq!(origin(abilities, &status, made, adopt), expected, "{name}");
        }
    }
}

#[test]
fn the_zone_itself() {
    let there = |abilities| seen(terms(abilities, &[]), &created(), &[]);
    let other = || Soa { ttl: 60, ..soa() };
    let zone_is = |o: &mut Observed, found: Zone| o.zone = Fact::Known(Some(found));
    let inactive = || Zone {
        active: false,
        ..zone("1")
    };
    let changed = || Zone {
        soa: Some(other()),
        ..zone("1")
    };
    let suspended = |abilities| {
        with(there(abilities), |o| {
            terms_of(o).suspended = true;
            terms_of(o).spec.active = false;
        })
    };
    check(vec![
        ("as it shall be", created(), there(UNMARKED), "settled"),
        (
            "inactive",
            created(),
            with(there(UNMARKED), |o| zone_is(o, inactive())),
            "update zone 1, again",
        ),
        (
            "inactive where that is not ours",
            created(),
            with(there(MARKED), |o| zone_is(o, inactive())),
            "settled",
        ),
        (
            "another start of authority",
            created(),
            with(there(UNMARKED), |o| zone_is(o, changed())),
            "update zone 1, again",
        ),
        (
            "another one where that is not ours",
            created(),
            with(there(MARKED), |o| zone_is(o, changed())),
            "settled",
        ),
        (
            "to be suspended",
            created(),
            suspended(UNMARKED),
            "update zone 1, again",
        ),
        (
            "suspended",
            created(),
            with(suspended(UNMARKED), |o| zone_is(o, inactive())),
            "settled",
        ),
        ("cannot be suspended", created(), suspended(MARKED), "settled"),
        (
            "records unread",
            created(),
            with(there(MARKED), |o| o.records = Fact::Unread),
            "again",
        ),
        (
            "records not readable",
            created(),
            with(there(MARKED), |o| {
                o.records = Fact::Unknown(error(ErrorKind::Invalid))
            }),
            "settled, (Refused)",
        ),
    ]);
}

#[test]
fn records_with_marks() {
    let wanted = [a("www", 1)];
    let stranger = Some(mark(STRANGER));
    let there = |records: &[Record]| seen(terms(MARKED, &wanted), &created(), records);
    let failing = |kind| {
        with(there(&[]), |o| {
            o.failed = BTreeMap::from([(Some(0), error(kind))])
        })
    };
    check(vec![
        ("missing", created(), there(&[]), "+www A, again"),
        (
            "there",
            created(),
            there(&[record("7", own(), a("www", 1))]),
            "settled",
        ),
        (
            "different",
            created(),
            there(&[record("7", own(), a("www", 2))]),
            "~7, again",
        ),
        (
            "twice",
            created(),
            there(&[record("7", own(), a("www", 1)), record("8", own(), a("www", 1))]),
            "-8, again",
        ),
        (
            "of another object",
            created(),
            there(&[record("7", stranger, a("www", 1))]),
            "settled, (RecordsRefused)",
        ),
        (
            "of nobody",
            created(),
            there(&[record("7", None, a("www", 2))]),
            "settled, (RecordsRefused)",
        ),
        (
            "refused by the vendor",
            created(),
            failing(ErrorKind::Invalid),
            "settled, (RecordsRefused)",
        ),
        (
            "not answered",
            created(),
            failing(ErrorKind::Ambiguous),
            "retry, (RecordsRefused)",
        ),
        (
            "a removal that is refused",
            created(),
            with(
                there(&[record("7", own(), a("www", 1)), record("8", own(), a("old", 1))]),
                |o| o.failed = BTreeMap::from([(None, error(ErrorKind::Invalid))]),
            ),
            "settled, (Refused)",
        ),
    ]);
}

#[test]
fn records_without_marks() {
    let wanted = [a("www", 1)];
    let ours = |last| record("7", None, a("www", last));
    let creating = |mut status: DnsZoneStatus, specs: &[RecordSpec]| {
        status.creating = specs.iter().map(RecordSpec::digest).collect();
        status
    };
    let knows = |last| known(ZoneOrigin::Created, &[ours(last)]);
    let there = |records: &[Record], status: &DnsZoneStatus| seen(terms(UNMARKED, &wanted), status, records);
    let row = |name, status: DnsZoneStatus, records: &[Record], expected| {
        let observed = there(records, &status);
        (name, status, observed, expected)
    };
    check(vec![
        row("missing: the intent first", created(), &[], "store, again"),
        row(
            "then the record",
            creating(created(), &wanted),
            &[],
            "+www A, again",
        ),
        row(
            "a smaller intent does not do",
            creating(created(), &[a("x", 1)]),
            &[],
            "store, again",
        ),
        row(
            "a larger one does",
            creating(created(), &[a("x", 1), a("www", 1)]),
            &[],
            "+www A, again",
        ),
        row(
            "made, and not heard of",
            creating(created(), &wanted),
            &[ours(1)],
            "settled",
        ),
        row(
            "made twice",
            creating(created(), &wanted),
            &[ours(1), record("8", None, a("www", 1))],
            "-8, again",
        ),
        row("known", knows(1), &[ours(1)], "settled"),
        row(
            "known, and shall be different: the intent first",
            knows(2),
            &[ours(2)],
            "store, again",
        ),
        row(
            "then the change",
            creating(knows(2), &wanted),
            &[ours(2)],
            "~7, again",
        ),
        row(
            "changed, and not heard of",
            creating(knows(2), &wanted),
            &[ours(1)],
            "settled",
        ),
        row(
            "edited by hand",
            knows(1),
            &[ours(3)],
            "settled, (RecordsRefused)",
        ),
        row(
            "somebody else's, just so",
            created(),
            &[ours(1)],
            "settled, (RecordsRefused)",
        ),
        row(
            "removals need no intent",
            known(ZoneOrigin::Created, &[ours(1), record("8", None, a("old", 1))]),
            &[ours(1), record("8", None, a("old", 1))],
            "-8, again",
        ),
        row(
            "the same number and other words",
            known(ZoneOrigin::Created, &[ours(1), record("8", None, a("old", 1))]),
            &[ours(1), record("8", None, a("old", 2))],
            "settled",
        ),
    ]);
}

#[test]
fn intents_last_until_they_are_known() {
    let wanted = [a("www", 1)];
    let mut status = created();
    status.creating = vec![wanted[0].digest()];
    for (kind, kept) in [
        (ErrorKind::Ambiguous, 1),
        (ErrorKind::Unavailable, 1),
        (ErrorKind::Denied, 1),
        (ErrorKind::Invalid, 0),
        (ErrorKind::Conflict, 0),
    ] {
        // The pass began before the intent was stored.
        let observed = with(seen(terms(UNMARKED, &wanted), &created(), &[]), |o| {
            o.failed = BTreeMap::from([(Some(0), error(kind))]);
        });
        let plan = live(&status, &observed);
        assert_eq!(plan.verdict.proofs.creating.len(), kept, "{kind:?}");
    }
    let ours = record("7", None, wanted[0].clone());
    let plan = live(&status, &seen(terms(UNMARKED, &wanted), &status, &[ours]));
    assert_eq!(plan.verdict.proofs.creating.len(), 0);
    assert_eq!(plan.verdict.proofs.owned.len(), 1);
}

#[test]
fn an_action_takes_only_so_much_where_each_change_is_a_call() {
    let wanted: Vec<RecordSpec> = (0..1000).map(|n| a(&format!("n{n}"), 1)).collect();
    let mut status = created();
    status.creating = wanted.iter().map(RecordSpec::digest).collect();
    for (abilities, expected) in [(UNMARKED, 400), (MARKED, 1000)] {
        let plan = live(&status, &seen(terms(abilities, &wanted), &status, &[]));
        assert!(matches!(&plan.actions[..], [Action::Change(_, changes)] if changes.len() == expected));
    }
}

#[test]
fn adoption_takes_what_is_exactly_so() {
    let wanted = [a("www", 1), txt("mail", "x")];
    let records = [
        record("7", None, a("www", 1)),
        record("8", None, txt("mail", "x")),
        record("9", None, a("old", 1)),
    ];
    for abilities in [MARKED, UNMARKED] {
        let look = |adopt| {
            with(seen(terms(abilities, &wanted), &none(), &records), |o| {
                terms_of(o).adopt = adopt;
            })
        };
        let plan = live(&none(), &look(true));
        assert_eq!(told(&plan), "settled");
        assert_eq!(
            (plan.verdict.proofs.owned.len(), plan.verdict.foreign),
            (2, Some(1))
        );
        assert_eq!(told(&live(&none(), &look(false))), "settled, (Conflict)");
        // A zone of our own takes nothing over, whatever the annotation says.
        assert_eq!(told(&live(&created(), &look(true))), "settled, (RecordsRefused)");
    }
}

#[test]
fn who_answers_is_asked_last_and_again() {
    let verifying = |delegation: Option<DelegationState>| {
        with(seen(terms(UNMARKED, &[]), &created(), &[]), |o| {
            terms_of(o).verify = true;
            o.delegation = delegation.map(|state| Delegation {
                state,
                ..Delegation::unknown("")
            });
        })
    };
    let all = || Some(DelegationState::All);
    let missing = || Some(DelegationState::NxDomain);
    let settled_with = |delegation| with(verifying(delegation), |o| o.steady = Some(Steady::Agrees));
    check(vec![
        ("not asked yet", created(), verifying(None), "again"),
        ("delegated", created(), verifying(all()), "settled"),
        ("not delegated", created(), verifying(missing()), "recheck"),
        ("settled and delegated", created(), settled_with(all()), "settled"),
        (
            "settled and not delegated any more",
            created(),
            settled_with(missing()),
            "recheck",
        ),
    ]);
    let mut status = created();
    let finding = Finding::new(
        kinds::NAMESERVERS_VERIFIED,
        State::False,
        reasons::NOT_REGISTERED,
        "no",
    );
    status.conditions = merge(&[], &[finding], None, at(CREATED));
    let plan = live(&status, &seen(terms(UNMARKED, &[]), &status, &[]));
    assert!(
        plan.verdict
            .parts
            .iter()
            .all(|part| part.kind != kinds::NAMESERVERS_VERIFIED),
        "nobody wants to know"
    );
}
