//! What holds for every input: the planner never panics, says the same twice, plans nothing forbidden; and on a
//! model of the world it comes to an end, whatever stands there and whatever fails on the way.

use proptest::prelude::*;
use proptest::sample::select;

use super::super::remove::gone;
use super::super::site::Steady;
use super::super::verdict::PARTS;
use super::model::{Fate, World, guest};
use super::*;
use crate::api::DeletionPolicy;
use crate::api::condition::is_true;

/// Passes after which a site must have come to rest: about 10 to make one, and one or two for each failure.
const PASSES_MAX: usize = 80;
/// Failures of one run.
const FAILURES_MAX: usize = 24;

/// A start, written as the number of a choice for each part.
#[derive(Debug, Clone)]
struct Start {
    status: u8,
    guest: u8,
    records: u8,
    host: u8,
    certificates: u8,
    snapshots: u8,
    install: u8,
    zone: bool,
    available: bool,
    slow: bool,
    said: u8,
    ready: bool,
}

fn start() -> impl Strategy<Value = Start> {
    let parts = (0..3_u8, 0..9_u8, 0..6_u8, 0..4_u8, 0..5_u8, 0..4_u8, 0..3_u8);
    let rest = (
        prop::bool::weighted(0.9),
        any::<bool>(),
        any::<bool>(),
        any::<u8>(),
        any::<bool>(),
    );
    (parts, rest).prop_map(|(parts, (zone, available, slow, said, ready))| {
        let (status, guest, records, host, certificates, snapshots, install) = parts;
        Start {
            status,
            guest,
            records,
            host,
            certificates,
            snapshots,
            install,
            zone,
            available,
            slow,
            said,
            ready,
        }
    })
}

pub(super) fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = select(vec![
        Fate::Works,
        Fate::Works,
        Fate::Fails,
        Fate::LosesAnswer,
        Fate::Crashes,
        Fate::TaskFails,
    ]);
    prop::collection::vec(fate, 0..FAILURES_MAX)
}

impl Start {
    /// The guest at our number, if any. A fresh site has none yet, but may have lost its status.
    fn guest(&self) -> Option<Container> {
        let ours = container();
        let managed = |error| {
            Some(HighAvailability {
                error,
                ..managed(HaState::Started)
            })
        };
        let found = match self.guest {
            0 => return None,
            1 => ours,
            2 => Container {
                running: false,
                ..ours
            },
            3 => Container {
                running: false,
                high_availability: managed(true),
                ..ours
            },
            4 => Container {
                high_availability: managed(false),
                ..ours
            },
            5 => Container {
                lock: Some("backup".to_owned()),
                ..ours
            },
            6 => Container {
                lock: Some("migrate".to_owned()),
                running: false,
                ..ours
            },
            7 => Container { mark: None, ..ours },
            _ => Container {
                mark: Some(mark(STRANGER)),
                ..ours
            },
        };
        Some(found)
    }

    fn guest_is_ours(&self) -> bool {
        self.guest().is_some_and(|found| found.mark == own())
    }

    /// Parts of ours exist only after the container was there.
    fn has_parts(&self) -> bool {
        self.status == 2 || (self.status == 1 && self.guest_is_ours())
    }

    fn world(&self) -> World {
        let mut world = World::empty(Terms {
            sizes: SiteResources {
                high_availability: self.available,
                ..terms().sizes
            },
            ..terms()
        });
        (world.zone, world.slow) = (self.zone, self.slow);
        if let Some(container) = self.guest() {
            let mut found = guest(container);
            let broken = Snapshot {
                broken: Some("prepare".to_owned()),
                ..snapshot(INITIAL_SNAPSHOT, 2)
            };
            found.snapshots = match self.snapshots {
                0 => vec![],
                1 => vec![snapshot(INITIAL_SNAPSHOT, 2)],
                2 => vec![snapshot("vzdump", 3)],
                _ => vec![broken],
            };
            world.guests.insert(vmid(500), found);
        }
        let text = RecordData::Other("TXT".to_owned(), "v".to_owned());
        let parts = self.has_parts();
        world.records = match self.records {
            1 if parts => vec![record("1", own(), right_data())],
            2 if parts => vec![record("1", own(), RecordData::A(ip(99)))],
            3 if parts => vec![
                record("1", own(), RecordData::A(ip(99))),
                record("2", own(), right_data()),
            ],
            4 => vec![record("1", None, RecordData::A(ip(99)))],
            5 => vec![record("1", None, text)],
            _ => vec![],
        };
        world.proxy.certificates = match self.certificates {
            1 if parts => vec![own_certificate(7)],
            2 if parts => vec![own_certificate(7), own_certificate(8)],
            3 => vec![certificate(7, false, &["jane.sites.example.com"])],
            4 => vec![certificate(7, true, &["jane.sites.example.com", "x.example.com"])],
            _ => vec![],
        };
        let crooked = ProxyHost {
            enabled: false,
            deviates: true,
            ..proxy_host(3, own())
        };
        world.proxy.hosts = match self.host {
            1 if parts => vec![proxy_host(3, own())],
            2 if parts => vec![crooked],
            3 => vec![proxy_host(3, None)],
            _ => vec![],
        };
        world.secret = parts && self.install > 0;
        world.install = match self.install {
            1 if parts => InstallState::Done,
            2 if parts => InstallState::Failed(error(ErrorKind::Unavailable)),
            _ => InstallState::Idle,
        };
        world
    }

    fn status(&self) -> WordPressSiteStatus {
        let mut scene = match self.status {
            0 => return WordPressSiteStatus::default(),
            1 => Scene::reserved(),
            _ => Scene::created(),
        };
        for (at, kind) in PARTS.into_iter().enumerate() {
            // Nothing is good before the container was seen.
            if self.status == 2 && self.said & (1 << at) != 0 {
                scene.said(kind, State::True, "good");
            }
        }
        let all = PARTS.iter().all(|kind| is_true(&scene.status.conditions, kind));
        if all && self.ready {
            scene.said(kinds::READY, State::True, "good");
            scene.said(kinds::SYNCED, State::True, "good");
        }
        if let Some(resources) = &mut scene.status.resources {
            resources.high_availability = self.available;
        }
        scene.status
    }

    /// Nothing stands in the way that only a person can move.
    fn is_free(&self) -> bool {
        let seen = self.status == 2;
        let guest = if seen { self.guest_is_ours() } else { true };
        let says_installed = seen && self.said & (1 << 4) != 0;
        let page = !says_installed || self.install == 1;
        let name = self.status == 0 || self.records != 4;
        let host = self.status == 0 || self.host != 3;
        let snapshot = self.snapshots != 3 || !self.guest_is_ours();
        self.zone && guest && name && host && snapshot && page
    }
}

/// What a plan holds that none may hold: destruction of what was not seen with our mark, or making and removing
/// the same kind of thing at once.
pub(super) fn faults_of(plan: &SitePlan, observed: &Observed) -> Vec<String> {
    let mut faults = Vec::new();
    let container = observed.container.known().and_then(Option::as_ref);
    let mark_of_container = container.and_then(|container| container.mark.clone());
    let record = |id: &RecordId| {
        let records = observed.records.known().into_iter().flatten();
        records
            .clone()
            .find(|record| record.id == *id)
            .and_then(|record| record.mark.clone())
    };
    let host = |id: &ProxyHostId| {
        let hosts = observed
            .proxy
            .known()
            .map(|survey| survey.hosts.as_slice())
            .unwrap_or_default();
        hosts
            .iter()
            .find(|host| host.id == *id)
            .and_then(|host| host.mark.clone())
    };
    for action in &plan.actions {
        let marked = match action {
            Action::Stop
            | Action::Start
            | Action::Destroy
            | Action::Snapshot
            | Action::DeleteSnapshot(_)
            | Action::RemoveHighAvailability
            | Action::EnsureHighAvailability(_)
            | Action::Install { .. } => mark_of_container == own(),
            Action::UpdateRecord(_, seen, _) | Action::DeleteRecord(_, seen) => record(&seen.id) == own(),
            Action::UpdateHost(id, _) | Action::EnableHost(id) | Action::DeleteHost(id) => host(id) == own(),
            Action::Create(_) => matches!(observed.container, Fact::Known(None)),
            Action::Adopt => container.is_some() && mark_of_container.is_none(),
            Action::AdoptRecord(_, seen, _) => record(&seen.id).is_none(),
            Action::AdoptHost(id) => host(id).is_none(),
            _ => true,
        };
        if !marked {
            faults.push(format!("{} on what is not seen to be ours", line(action)));
        }
    }
    let any = |test: fn(&Action) -> bool| plan.actions.iter().any(test);
    let both = [
        any(|a| matches!(a, Action::Create(_))) && any(|a| matches!(a, Action::Destroy)),
        any(|a| matches!(a, Action::CreateRecord(..))) && any(|a| matches!(a, Action::DeleteRecord(..))),
        any(|a| matches!(a, Action::CreateHost(_))) && any(|a| matches!(a, Action::DeleteHost(_))),
        any(|a| matches!(a, Action::RequestCertificate(_)))
            && any(|a| matches!(a, Action::DeleteCertificate(_))),
        any(|a| matches!(a, Action::Snapshot)) && any(|a| matches!(a, Action::DeleteSnapshot(_))),
    ];
    if both.contains(&true) {
        faults.push("made and removed at once".to_owned());
    }
    faults
}

/// Lets the operator work until two passes did nothing.
pub(super) fn settle(
    world: &mut World,
    status: &mut WordPressSiteStatus,
    deleting: bool,
) -> Result<Next, TestCaseError> {
    let mut quiet = 0;
    for _ in 0..PASSES_MAX {
        let before = status.clone();
        let next = world.pass(status, deleting);
        prop_assert_eq!(&world.violations, &Vec::<String>::new());
        if let Some(next @ Next::Released { .. }) = next {
            return Ok(next);
        }
        let same = *status == before && world.acted.is_empty() && !world.is_busy();
        quiet = if same { quiet + 1 } else { 0 };
        if quiet == 2
            && let Some(next) = next
        {
            return Ok(next);
        }
        world.tick();
    }
    Err(TestCaseError::fail(format!(
        "no rest after {PASSES_MAX} passes: {:?} {status:#?}",
        world.acted
    )))
}

/// Why a site that is not ready rests, in words for a person.
fn stated(status: &WordPressSiteStatus) -> bool {
    let told = |kind: &str| {
        status
            .conditions
            .iter()
            .any(|c| c.type_ == kind && c.status == "False" && !c.message.is_empty())
    };
    told(kinds::READY)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_site_comes_to_rest_ready_or_says_why_not(start in start(), fates in fates()) {
        let (mut world, mut status) = (start.world(), start.status());
        world.fates = fates.into();
        let foreign = world.foreign();
        let next = settle(&mut world, &mut status, false)?;
        prop_assert_eq!(world.foreign(), foreign);
        let ready = is_true(&status.conditions, kinds::READY);
        prop_assert!(ready || stated(&status), "{:#?}", status);
        prop_assert!(ready || !start.is_free(), "not ready: {:#?}", status);
        prop_assert!(!ready || next == Next::Settled);
        for kind in ["container", "record", "host"] {
            let many = |world: &World| {
                world.left_of_ours().iter().filter(|what| what.starts_with(kind)).count()
            };
            prop_assert!(many(&world) <= many(&start.world()).max(1), "{:?}", world.left_of_ours());
        }
    }

    #[test]
    fn a_removed_site_leaves_nothing_of_its_own(start in start(), fates in fates(), made in any::<bool>()) {
        let (mut world, mut status) = (start.world(), start.status());
        let foreign = world.foreign();
        world.fates = fates.into();
        if made || start.status == 0 {
            settle(&mut world, &mut status, false)?;
        }
        let next = settle(&mut world, &mut status, true)?;
        prop_assert_eq!(world.foreign(), foreign);
        prop_assert_eq!(next, Next::Released { announce: false });
        let left = world.left_of_ours();
        let zone_is_gone = |what: &String| !start.zone && what.starts_with("record");
        let left: Vec<_> = left.into_iter().filter(|what| !zone_is_gone(what)).collect();
        prop_assert_eq!(left, Vec::<String>::new());
    }
}

/// Any fact: unread, unknown for any reason, or one of the given.
fn fact<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> impl Strategy<Value = Fact<T>> {
    prop_oneof![
        1 => Just(None),
        1 => select(&ErrorKind::ALL[..]).prop_map(|kind| Some(Err(kind))),
        6 => select(values).prop_map(|value| Some(Ok(value))),
    ]
    .prop_map(|choice| match choice {
        None => Fact::Unread,
        Some(Err(kind)) => Fact::Unknown(error(kind)),
        Some(Ok(value)) => Fact::Known(value),
    })
}

fn task_states() -> Vec<TaskState> {
    vec![
        TaskState::Running,
        TaskState::Succeeded { warnings: true },
        TaskState::Failed("no space".to_owned()),
        TaskState::Unknown,
    ]
}

/// Anything that could be observed, also what no real world ever shows.
fn observed(start: &Start) -> impl Strategy<Value = Observed> + use<> {
    let world = start.world();
    let mut hidden = container();
    (hidden.mark, hidden.lock) = (None, Some("create".to_owned()));
    let mut rest = container();
    (rest.mark, rest.lock, rest.running) = (None, Some("destroyed".to_owned()), false);
    let containers = vec![None, start.guest(), Some(container()), Some(hidden), Some(rest)];
    let creations = task_states()
        .into_iter()
        .map(|state| vec![creation(state)])
        .chain([vec![]])
        .collect();
    let installs = vec![
        InstallState::Idle,
        InstallState::Running,
        InstallState::Done,
        InstallState::Failed(error(ErrorKind::Denied)),
    ];
    let pages = vec![
        Page::WordPress,
        Page::Installer,
        Page::Other("status 502".to_owned()),
    ];
    let snapshots = vec![
        vec![],
        vec![snapshot(INITIAL_SNAPSHOT, 1)],
        vec![snapshot("a", 2), snapshot("b", 1)],
    ];
    let operations = select(vec![
        TaskOperation::Create,
        TaskOperation::Snapshot,
        TaskOperation::Destroy,
    ]);
    let tasks = prop::collection::vec((operations.prop_map(task), fact(task_states())), 0..3);
    let steady = select(vec![None, None, None, Some(Steady::Differs("x".to_owned()))]);
    let outside = (
        fact(vec![Some(zone()), None]),
        fact(vec![world.records, vec![]]),
        fact(vec![world.proxy, ProxySurvey::default()]),
        fact(installs),
        fact(pages),
        fact(snapshots),
    );
    let inside = (
        fact(containers),
        fact(creations),
        fact(vec![Arc::new(cluster()), Arc::default()]),
        fact(vec![vec![], vec!["drbd:pm-1_500".to_owned()]]),
        tasks,
        steady,
    );
    (outside, inside, any::<[bool; 4]>()).prop_map(
        |(outside, inside, [carried, secret_gone, known, rival])| Observed {
            terms: known.then(terms),
            rival: (rival && carried).then(|| "the site old".to_owned()),
            steady: inside.5,
            carried,
            survey: inside.2,
            tasks: inside.4,
            container: inside.0,
            creations: inside.1,
            zone: outside.0,
            records: outside.1,
            proxy: outside.2,
            install: outside.3,
            page: outside.4,
            snapshots: outside.5,
            volumes: inside.3,
            secret_gone,
            ..Observed::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn whatever_is_observed_the_plan_is_sound(
        (start, observed) in start().prop_flat_map(|start| (Just(start.clone()), observed(&start))),
    ) {
        let status = start.status();
        let live = plan::live(&status, &observed, now());
        prop_assert_eq!(&live, &plan::live(&status, &observed, now()));
        let removal = gone(&status, DeletionPolicy::Delete, &observed);
        prop_assert_eq!(&removal, &gone(&status, DeletionPolicy::Delete, &observed));
        for plan in [&live, &removal] {
            prop_assert_eq!(faults_of(plan, &observed), Vec::<String>::new());
            let ends = plan.next == Next::Settled && plan.actions.is_empty();
            let said = plan.verdict.block.is_some() || plan.verdict.failure.is_some() || plan.verdict.all_good();
            prop_assert!(!ends || said || plan.verdict.unchanged, "rests without a word: {:#?}", plan);
        }
        let lets_go = matches!(live.next, Next::Released { .. });
        prop_assert!(!lets_go, "a living site is let go");
        let makes = |action: &Action| {
            matches!(
                action,
                Action::Create(_)
                    | Action::Reserve(_)
                    | Action::CreateRecord(..)
                    | Action::CreateHost(_)
                    | Action::RequestCertificate(_)
                    | Action::Snapshot
                    | Action::Install { .. }
            )
        };
        prop_assert!(!removal.actions.iter().any(makes));
        let kept = gone(&status, DeletionPolicy::Retain, &observed);
        prop_assert_eq!((kept.actions, kept.next), (vec![], Next::Released { announce: true }));
        // A virtual machine under the number proves that no container of ours is there.
        let machine = Reservation::of(&status).is_some_and(|reserved| observed.is_machine(reserved.vmid));
        let unknown = observed.container.known().is_none() && !machine;
        let released = matches!(removal.next, Next::Released { .. });
        prop_assert!(!(released && unknown && start.status > 0), "released unseen: {:#?}", removal);
    }
}
