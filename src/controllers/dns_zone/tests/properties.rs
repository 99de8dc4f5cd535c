//! What holds for every input: no plan touches what is not proven ours; and on a model of the world the planner comes
//! to an end, each wanted record is there once, and nothing of other people was touched, whatever failed on the way.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::diff::diff;
use super::super::plan::live;
use super::super::remove::gone;
use super::model::{Fate, World, ids};
use super::*;
use crate::api::DeletionPolicy;

/// Passes after which a zone must have come to rest: two or three, and one for each failure.
const PASSES_MAX: usize = 60;
/// Failures of one road.
const FAILURES_MAX: usize = 10;

/// What a plan holds that none may hold.
pub(super) fn faults_of(plan: &ZonePlan, status: &DnsZoneStatus, observed: &Observed) -> Vec<String> {
    let Some(terms) = &observed.terms else {
        return plan.actions.iter().map(line).collect();
    };
    let zone = observed.zone.known().and_then(Option::as_ref);
    let ours = zone.filter(|zone| terms.origin_of(zone, status).is_some());
    let mut proofs = Proofs::of(status);
    if let Some(known) = &observed.proofs {
        proofs.owned.extend(known.owned.clone());
    }
    let records = observed.records.known().map(Vec::as_slice).unwrap_or_default();
    let proven = |seen: &Record| {
        let found = records.iter().find(|record| record.id == seen.id);
        let wanted = terms.wanted.iter().any(|one| one.spec == seen.spec);
        let adopts = terms.adopt && plan.verdict.origin == Some(ZoneOrigin::Adopted) && wanted;
        found.is_some_and(|record| {
            record.spec == seen.spec && (record.mark == own() || proofs.prove(record) || adopts)
        })
    };
    let right = |action: &Action| match action {
        Action::CreateZone(_) => {
            let intended = terms.abilities.marks || status.origin == Some(ZoneOrigin::Creating);
            matches!(observed.zone, Fact::Known(None)) && intended
        }
        Action::UpdateZone(id, _) | Action::DeleteZone(id) => ours.is_some_and(|zone| zone.id == *id),
        Action::Change(id, changes) => {
            ours.is_some_and(|zone| zone.id == *id)
                && changes.iter().all(|(change, _)| match change {
                    RecordChange::Create(spec) => {
                        terms.abilities.marks || status.creating.contains(&spec.digest())
                    }
                    RecordChange::Update(seen, spec) | RecordChange::Adopt(seen, spec) => {
                        let intended = terms.abilities.marks || status.creating.contains(&spec.digest());
                        intended && proven(seen)
                    }
                    RecordChange::Delete(seen) => proven(seen),
                })
        }
    };
    let wrong = plan.actions.iter().filter(|action| !right(action));
    wrong
        .map(|action| format!("{} on what is not proven ours", line(action)))
        .collect()
}

/// What may stand at one name.
fn at_name(label: &'static str) -> impl Strategy<Value = Vec<RecordSpec>> {
    let alias = |host: &str| spec(label, RecordData::Cname(host.parse().unwrap()));
    let short = RecordSpec {
        ttl: Some(300),
        ..a(label, 1)
    };
    select(vec![
        vec![],
        vec![a(label, 1)],
        vec![short],
        vec![a(label, 2)],
        vec![a(label, 1), a(label, 2)],
        vec![txt(label, "x"), txt(label, "y")],
        vec![a(label, 1), txt(label, "x")],
        vec![alias("other.example.net")],
    ])
}

fn records() -> impl Strategy<Value = Vec<RecordSpec>> {
    (at_name("p"), at_name("q"), at_name("r")).prop_map(|(p, q, r)| [p, q, r].concat())
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0..7_u8, 0..5_usize).prop_map(|(kind, at)| match kind {
        0 | 1 => Fate::Works,
        2 => Fate::Fails(at),
        3 => Fate::Refuses(at),
        4 | 5 => Fate::LosesAnswer(at),
        _ => Fate::Crashes(at),
    });
    prop::collection::vec(fate, 0..FAILURES_MAX)
}

fn abilities() -> impl Strategy<Value = DnsAbilities> {
    select(vec![MARKED, UNMARKED])
}

/// Lets the operator work until two passes did nothing. `true` when the object was let go.
fn settle(world: &mut World, status: &mut DnsZoneStatus, deleting: bool) -> Result<bool, TestCaseError> {
    let mut quiet = 0;
    for _ in 0..PASSES_MAX {
        let before = status.clone();
        let next = world.pass(status, deleting);
        prop_assert_eq!(&world.violations, &Vec::<String>::new());
        if matches!(next, Some(Next::Released { .. })) {
            return Ok(true);
        }
        let same = *status == before && world.acted.is_empty() && next.is_some();
        quiet = if same { quiet + 1 } else { 0 };
        if quiet == 2 {
            return Ok(false);
        }
    }
    Err(TestCaseError::fail(format!(
        "no rest after {PASSES_MAX} passes: {:?} {status:#?}",
        world.acted
    )))
}

/// Each wanted record is there once or said to be in conflict, and of ours there is nothing else.
fn complete(world: &World, status: &DnsZoneStatus) -> Result<(), TestCaseError> {
    let wanted: Vec<_> = world
        .terms
        .wanted
        .iter()
        .map(|wanted| (wanted.index, wanted.spec.clone()))
        .collect();
    let left = diff(&wanted, &world.unveiled(), |record| record.mark == own());
    prop_assert_eq!(&left.changes, &vec![], "{:?}", world.rows);
    let errors = usize::try_from(status.record_errors.unwrap_or(-1)).unwrap_or(usize::MAX);
    prop_assert_eq!(errors, left.conflicts.len());
    prop_assert_eq!(&status.creating, &Vec::<String>::new());
    if !world.terms.abilities.marks {
        let ours: Vec<Record> = world
            .unveiled()
            .into_iter()
            .filter(|record| record.mark == own())
            .collect();
        let known: BTreeSet<String> = Proofs::of(status).owned.into_keys().collect();
        prop_assert_eq!(known, ids(&ours));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// From any observed state.
    #[test]
    fn nothing_is_touched_that_is_not_proven_ours(
        abilities in abilities(),
        wanted in records(),
        there in records(),
        marks in prop::collection::vec(0..4_u8, 12),
        origin in select(vec![None, Some(ZoneOrigin::Creating), Some(ZoneOrigin::Created), Some(ZoneOrigin::Adopted)]),
        (known_id, adopt, absent, young) in any::<(bool, bool, bool, bool)>(),
        creating in records(),
    ) {
        let there: Vec<Record> = there
            .into_iter()
            .zip(&marks)
            .enumerate()
            .map(|(at, (spec, mark_of))| {
                let mark = match mark_of {
                    1 if abilities.marks => own(),
                    2 if abilities.marks => Some(mark(STRANGER)),
                    _ => None,
                };
                record(&at.to_string(), mark, spec)
            })
            .collect();
        let owned: Vec<Record> = there
            .iter()
            .zip(&marks)
            .filter(|(_, mark_of)| **mark_of == 3)
            .map(|(record, _)| record.clone())
            .collect();
        let mut status = known(ZoneOrigin::Created, &owned);
        status.origin = origin;
        status.zone_id = known_id.then(|| "1".to_owned());
        status.creating = creating.iter().map(RecordSpec::digest).collect();
        let mut observed = seen(Terms { adopt, ..terms(abilities, &wanted) }, &status, &there);
        let found = Zone { created: young.then(|| at(CREATED)), ..zone("1") };
        observed.zone = Fact::Known((!absent).then_some(found));
        for plan in [live(&status, &observed), gone(&status, DeletionPolicy::Delete, &observed)] {
            prop_assert_eq!(faults_of(&plan, &status, &observed), Vec::<String>::new());
        }
        let plan = live(&status, &observed);
        prop_assert_eq!(told(&plan), told(&live(&status, &observed)), "it says the same twice");
    }

    /// Made, changed by its owner and by others, changed again and removed, with trouble on each road.
    #[test]
    fn whatever_fails_each_record_is_there_once_and_goes(
        abilities in abilities(),
        wanted in prop::collection::vec(records(), 3),
        guests in records(),
        edited in any::<Index>(),
        troubles in prop::collection::vec(fates(), 4),
    ) {
        let mut world = World::empty(terms(abilities, &wanted[0]));
        let mut status = DnsZoneStatus::default();
        let mut foreign = Vec::new();
        for (at, (wanted, fates)) in wanted.iter().zip(&troubles).enumerate() {
            world.terms = terms(abilities, wanted);
            world.fates = fates.iter().copied().collect();
            prop_assert!(!settle(&mut world, &mut status, false)?);
            complete(&world, &status)?;
            prop_assert_eq!(world.foreign(), foreign);
            if at == 0 {
                // Others come: with records of their own, and with a hand on one of ours.
                for spec in guests.clone() {
                    world.add_record(spec);
                }
                let ours: Vec<usize> = (0..world.rows.len()).filter(|at| world.rows[*at].ours).collect();
                if !abilities.marks && !ours.is_empty() {
                    let row = &mut world.rows[*edited.get(&ours)];
                    row.record.spec.ttl = Some(999);
                    row.ours = false;
                }
            }
            foreign = world.foreign();
        }
        world.fates = troubles[3].iter().copied().collect();
        prop_assert!(settle(&mut world, &mut status, true)?);
        prop_assert_eq!(world.zone.is_some(), !foreign.is_empty(), "left to others, or gone");
        prop_assert_eq!(world.foreign(), foreign);
        prop_assert!(world.rows.iter().all(|row| !row.ours), "{:?}", world.rows);
    }

    /// A zone of somebody else is left alone, or taken over where that was asked for, with what is exactly so.
    #[test]
    fn a_zone_of_somebody_else_stays_or_is_adopted(
        abilities in abilities(),
        wanted in records(),
        there in records(),
        adopt in any::<bool>(),
        troubles in prop::collection::vec(fates(), 2),
    ) {
        let mut world = World::empty(Terms { adopt, ..terms(abilities, &wanted) });
        world.add_zone();
        for spec in there {
            world.add_record(spec);
        }
        let before = (world.zone.clone(), world.rows.clone());
        let mut status = DnsZoneStatus::default();
        world.fates = troubles[0].iter().copied().collect();
        settle(&mut world, &mut status, false)?;
        if adopt {
            let left: Vec<Record> = world.unveiled();
            for row in &before.1 {
                let stays = left.iter().any(|record| record.id == row.record.id && record.spec == row.record.spec);
                prop_assert!(stays, "{row:?} was changed");
            }
        } else {
            prop_assert_eq!((&world.zone, &world.rows), (&before.0, &before.1));
        }
        let foreign = world.foreign();
        world.fates = troubles[1].iter().copied().collect();
        prop_assert!(settle(&mut world, &mut status, true)?);
        prop_assert_eq!(world.foreign(), foreign);
        if !adopt {
            prop_assert_eq!((&world.zone, &world.rows), (&before.0, &before.1));
        }
    }
}
