//! Convergence: whatever is killed or lost at whatever moment, the end is the same.
//!
//! An object's road to Ready, its road through a change and its road to nothing are walked once in peace, to learn
//! every outside call and every write to the API server on them. Then each road is walked again for each of these:
//! with the operator killed after the effect, with the answer lost, and with deletion asked for in the middle.
//!
//! `living` is what differs between kinds, `sites`, `adoptions`, `backups`, `restores` and `zones` are the kinds; the rest
//! knows none.

mod adoptions;
mod backups;
mod gate;
mod life;
mod living;
mod place;
mod restores;
mod sites;
mod standing;
mod wire;
mod zones;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hostwright::stage::PUBLIC_ADDRESS;

use adoptions::Adoptions;
use backups::Backups;
use life::{Case, Mishap, Road, Story, live};
use living::Living;
use place::Place;
use restores::Restores;
use sites::{Sites, Tale};
use wire::{Point, Trouble};
use zones::{Vendor, Zones};

use crate::name_servers::{NameServers, RESOLVER, ROOT};

/// How often a life is repeated whose point was not reached, for the number of polls differs from run to run.
const TRIES: u32 = 3;
/// How long slow back-ends need for a task, an installation, a certificate: longer than a restart of the operator.
const SLOW: Duration = Duration::from_millis(600);

#[derive(Default)]
struct Tally {
    waiting: VecDeque<(Case, u32)>,
    lived: u32,
    met: BTreeMap<Road, BTreeSet<Mishap>>,
    missed: Vec<(Road, Mishap)>,
    failures: Vec<String>,
    times: BTreeMap<&'static str, (u32, Duration)>,
}

type Shared = Arc<Mutex<Tally>>;

fn locked(tally: &Shared) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_the_end_is_the_same() {
    // Two cores are busy with four.
    converge("fast", Sites(Tale::Plain), Duration::ZERO, 4, every_point).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_while_tasks_run_the_end_is_the_same() {
    // They wait most of the time.
    let slow = Sites(Tale::Plain);
    converge("slow", slow, SLOW, 6, writes_and_their_beginnings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_container_is_taken_over() {
    let points = every_point_of_the_creation;
    converge("adoption", Adoptions, Duration::ZERO, 4, points).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_suspended_site_rests() {
    let sites = Sites(Tale::Suspend);
    converge("suspend", sites, Duration::ZERO, 4, every_point_of_the_change).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_suspended_site_comes_back() {
    let sites = Sites(Tale::Unsuspend);
    converge("unsuspend", sites, Duration::ZERO, 4, every_point_of_the_change).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_domain_takes_the_place_of_another() {
    let dns = everything_leads_to_the_proxy().await;
    let sites = Sites(Tale::AnotherDomain(dns.address(RESOLVER)));
    converge(
        "another domain",
        sites,
        Duration::ZERO,
        4,
        every_point_of_the_change,
    )
    .await;
}

/// Name servers that know every name below `test.`.
async fn everything_leads_to_the_proxy() -> NameServers {
    let mut dns = NameServers::start(&[ROOT, "customers"]).await;
    let (root, server) = (dns.ip(ROOT), dns.ip("customers"));
    let top = format!(
        "$TTL 60\n$ORIGIN .\n@ SOA a.root. admin.root. 1 60 60 3600 1\n@ NS a.root.\na.root. A {root}\n\
         test. NS ns.test.\nns.test. A {server}\n"
    );
    dns.load_zone(ROOT, ".", top).await.unwrap();
    let below = format!(
        "$TTL 60\n$ORIGIN test.\n@ SOA ns admin 1 60 60 3600 1\n@ NS ns\nns A {server}\n* A {PUBLIC_ADDRESS}\n"
    );
    dns.load_zone("customers", "test.", below).await.unwrap();
    dns
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_there_is_one_backup() {
    let points = writes_and_first_reads;
    converge("backup", Backups, Duration::ZERO, 4, points).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_site_is_rolled_back_once() {
    let points = writes_and_first_reads;
    converge("restore", Restores, Duration::ZERO, 4, points).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_stopped_site_starts() {
    let sites = Sites(Tale::Start);
    converge("start", sites, Duration::ZERO, 4, every_point_of_the_change).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_site_has_its_new_plan_and_one_restart() {
    let sites = Sites(Tale::AnotherPlan);
    converge(
        "another plan",
        sites,
        Duration::ZERO,
        4,
        every_point_of_the_change,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_lost_site_comes_back_once() {
    let sites = Sites(Tale::Recovery);
    converge("recovery", sites, Duration::ZERO, 4, every_point_of_the_change).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_zone_at_ispconfig_is_the_same() {
    converge(
        "ISPConfig",
        Zones(Vendor::Ispconfig),
        Duration::ZERO,
        4,
        every_point,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_lost_a_zone_at_cloudflare_is_the_same() {
    converge(
        "Cloudflare",
        Zones(Vendor::Cloudflare),
        Duration::ZERO,
        4,
        every_point,
    )
    .await;
}

/// Learns the roads, then lives all cases that are made of them, in several worlds side by side.
async fn converge<L: Living>(
    title: &str,
    living: L,
    time: Duration,
    worlds: usize,
    cases: fn(&Story) -> Vec<Case>,
) {
    let begun = Instant::now();
    let mut place = Place::new(living.clone(), time).await;
    let story = live(&mut place, "calm", &Case::default()).await.unwrap();
    tell(&format!("{title}, create"), &story.create);
    if living.changes() {
        tell(&format!("{title}, change"), &story.change);
    }
    tell(&format!("{title}, delete"), &story.delete);
    let tally = Shared::default();
    locked(&tally).waiting = cases(&story).into_iter().map(|case| (case, 1)).collect();
    let mut dwellers = tokio::task::JoinSet::new();
    dwellers.spawn(dwell(0, (living.clone(), time), Some(place), Arc::clone(&tally)));
    for number in 1..worlds {
        dwellers.spawn(dwell(number, (living.clone(), time), None, Arc::clone(&tally)));
    }
    while let Some(ended) = dwellers.join_next().await {
        ended.unwrap();
    }
    report(title, &locked(&tally), begun);
}

/// Prints a road.
fn tell(road: &str, points: &[Point]) {
    let writes = points.iter().filter(|point| point.is_api_write()).count();
    println!(
        "{road}: {} outside calls, {writes} API writes",
        points.len() - writes
    );
    for point in points {
        println!("  {point}");
    }
}

fn mishaps<'a>(points: impl Iterator<Item = &'a Point>, troubles: &[Trouble]) -> Vec<Mishap> {
    let points: BTreeSet<&Point> = points.collect();
    let with = |point: &Point| -> Vec<Mishap> {
        let each = troubles.iter();
        each.map(|trouble| (point.clone(), *trouble)).collect()
    };
    points.into_iter().flat_map(with).collect()
}

/// Lives with a mishap on all roads, as long as there are any, and lives that are cut short.
fn lives([create, change, delete]: [&[Mishap]; 3], cut: &[Mishap], cut_change: &[Mishap]) -> Vec<Case> {
    let longest = create.len().max(change.len()).max(delete.len());
    let whole = (0..longest).map(|at| {
        Case::with([
            (Road::Create, create.get(at)),
            (Road::Change, change.get(at)),
            (Road::Delete, delete.get(at)),
        ])
    });
    let only = |road: Road| move |mishap: &Mishap| Case::only(road, mishap);
    whole
        .chain(cut.iter().map(only(Road::Cut)))
        .chain(cut_change.iter().map(only(Road::CutChange)))
        .collect()
}

/// Every point with every trouble.
fn every_point(story: &Story) -> Vec<Case> {
    let roads = [&story.create, &story.change, &story.delete];
    let [create, change, delete] = roads.map(|road| mishaps(road.iter(), &[Trouble::Crash, Trouble::Lose]));
    let cuts = [Trouble::Hold, Trouble::Crash];
    lives(
        [&create, &change, &delete],
        &mishaps(story.create.iter(), &cuts),
        &mishaps(story.change.iter(), &cuts),
    )
}

/// Every write of an object with every trouble, the first read of each kind with a lost answer, and deletion at every
/// write: a crash after a read is one before the next write.
fn writes_and_first_reads(story: &Story) -> Vec<Case> {
    let writes = |points: &[Point]| -> Vec<Point> {
        let writes = points
            .iter()
            .filter(|point| point.is_write() && !point.is_event());
        writes.cloned().collect()
    };
    let road = |points: &[Point]| {
        let reads = points.iter().filter(|point| !point.is_write() && point.turn == 1);
        let mut all = mishaps(writes(points).iter(), &[Trouble::Crash, Trouble::Lose]);
        all.extend(mishaps(reads, &[Trouble::Lose]));
        all
    };
    let cuts = mishaps(writes(&story.create).iter(), &[Trouble::Hold, Trouble::Crash]);
    lives([&road(&story.create), &[], &road(&story.delete)], &cuts, &[])
}

/// Every point of the creation with every trouble.
fn every_point_of_the_creation(story: &Story) -> Vec<Case> {
    let create = mishaps(story.create.iter(), &[Trouble::Crash, Trouble::Lose]);
    let writes = story.create.iter().filter(|point| point.is_write());
    let cuts = mishaps(writes, &[Trouble::Hold, Trouble::Crash]);
    lives([&create, &[], &[]], &cuts, &[])
}

/// Every point of the change with every trouble: the rest is lived elsewhere.
fn every_point_of_the_change(story: &Story) -> Vec<Case> {
    let change = mishaps(story.change.iter(), &[Trouble::Crash, Trouble::Lose]);
    let writes = story.change.iter().filter(|point| point.is_write());
    let cuts = mishaps(writes, &[Trouble::Hold, Trouble::Crash]);
    lives([&[], &change, &[]], &[], &cuts)
}

/// Every write, and the middle of every write, which begins a moment after the call before it.
fn writes_and_their_beginnings(story: &Story) -> Vec<Case> {
    let road = |points: &[Point]| {
        let writes = points.iter().filter(|point| point.is_write());
        let before = points.windows(2).filter_map(|pair| match pair {
            [before, write] if write.is_write() => Some(before),
            _ => None,
        });
        let mut all = mishaps(writes.clone(), &[Trouble::Crash, Trouble::Lose]);
        // Outside calls have time-outs of their own.
        let api_writes = writes.filter(|point| point.is_api_write());
        all.extend(mishaps(api_writes, &[Trouble::Hang]));
        all.extend(mishaps(before, &[Trouble::CrashLater]));
        all
    };
    let cut = |points: &[Point]| {
        let writes = points.iter().filter(|point| point.is_write());
        mishaps(writes, &[Trouble::Hold, Trouble::Crash])
    };
    lives(
        [&road(&story.create), &road(&story.change), &road(&story.delete)],
        &cut(&story.create),
        &cut(&story.change),
    )
}

/// Lives lives in one world until there are no more.
async fn dwell<L: Living>(
    number: usize,
    (living, time): (L, Duration),
    place: Option<Place<L>>,
    tally: Shared,
) {
    let mut place = match place {
        Some(place) => place,
        None => Place::new(living.clone(), time).await,
    };
    loop {
        let (case, turn, life) = {
            let mut tally = locked(&tally);
            let Some((case, turn)) = tally.waiting.pop_front() else {
                break;
            };
            tally.lived += 1;
            (case, turn, tally.lived)
        };
        match live(&mut place, &format!("s{number}x{life}"), &case).await {
            Ok(story) => note(&tally, &case, story, turn),
            Err(what) => {
                println!("FAILED {case}: {what}");
                locked(&tally).failures.push(format!("{case}: {what}"));
                // Whatever is left of the failed life would fail the next ones as well.
                place.close().await;
                place = Place::new(living.clone(), time).await;
            }
        }
    }
    place.close().await;
}

fn note(tally: &Shared, case: &Case, story: Story, turn: u32) {
    let mut tally = locked(tally);
    for (part, time) in story.times {
        let (count, sum) = tally.times.entry(part).or_default();
        (*count, *sum) = (*count + 1, *sum + time);
    }
    for (road, mishap) in case.mishaps() {
        if story.met.contains(&(*road, mishap.clone())) {
            tally.met.entry(*road).or_default().insert(mishap.clone());
        } else if turn < TRIES {
            tally.waiting.push_back((Case::only(*road, mishap), turn + 1));
        } else {
            tally.missed.push((*road, mishap.clone()));
        }
    }
}

fn report(title: &str, tally: &Tally, begun: Instant) {
    let count = |road: Road, troubles: &[Trouble]| {
        let met = tally.met.get(&road).into_iter().flatten();
        met.filter(|(_, met)| troubles.contains(met)).count()
    };
    let crash = [Trouble::Crash, Trouble::CrashLater];
    let both = |troubles: &[Trouble]| {
        let roads = [Road::Create, Road::Change, Road::Delete];
        let [create, change, delete] = roads.map(|road| count(road, troubles));
        format!(
            "{} ({create} on the way up, {change} in a change, {delete} on the way down)",
            create + change + delete
        )
    };
    let cuts = |troubles: &[Trouble]| {
        let (create, change) = (count(Road::Cut, troubles), count(Road::CutChange, troubles));
        format!("{create} of the creation and {change} of the change")
    };
    println!(
        "{title}: crash points: {}, lost answers: {}, never answered: {}, deletions in the middle: {}, with a crash: {}; \
         {} lives in {:.0} s",
        both(&crash),
        both(&[Trouble::Lose]),
        both(&[Trouble::Hang]),
        cuts(&[Trouble::Hold]),
        cuts(&crash),
        tally.lived,
        begun.elapsed().as_secs_f64(),
    );
    for (part, (count, sum)) in &tally.times {
        println!(
            "  {part}: {:.0} ms each",
            sum.as_secs_f64() * 1_000.0 / f64::from(*count)
        );
    }
    for (road, (point, trouble)) in &tally.missed {
        println!("  not reached in {TRIES} lives: {road:?} {trouble:?} after {point}");
    }
    assert!(tally.failures.is_empty(), "{}", tally.failures.join("\n"));
    // How often something is read depends on when a task ends. First reads and writes are always there.
    let always = |(_, (point, _)): &&(Road, Mishap)| point.is_write() || point.turn == 1;
    assert_eq!(tally.missed.iter().find(always), None, "a point was not reached");
}
