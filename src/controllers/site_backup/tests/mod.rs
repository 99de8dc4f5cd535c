//! Planner tables: what is done about a backup, on both sides of every boundary.

mod removal;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::backup::{Action, Observed, SiteView, Steady, Terms};
use super::plan::{self, ATTEMPTS_MAX, BackupPlan};
use super::shelf::Others;
use crate::api::condition::reasons;
use crate::api::{BackupPhase, SiteBackupStatus, SiteTask, TaskOperation};
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::domain::{Gib, Mib, OwnerMark};
use crate::providers::container_host::{Container, Snapshot, TaskId, TaskRecord, TaskState};
use crate::providers::{ErrorKind, ProviderError};

pub(in crate::controllers) const SITE: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
const OWN: &str = "1b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
const STRANGER: &str = "2b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

pub(in crate::controllers) fn mark(uid: &str) -> OwnerMark {
    format!("hostwright:prod:{uid}").parse().unwrap()
}

pub(super) fn now() -> Timestamp {
    "2025-11-20T12:00:00Z".parse().unwrap()
}

pub(in crate::controllers) fn container() -> Container {
    Container {
        id: 5000_i64.try_into().unwrap(),
        node: "pve1".to_owned(),
        mark: Some(mark(SITE)),
        running: true,
        lock: None,
        hostname: "jane".to_owned(),
        address: None,
        memory: Mib(1),
        swap: Mib(1),
        cores: 1,
        disk: Gib(1),
        deviates: false,
        network_deviates: false,
        high_availability: None,
        usage: None,
    }
}

pub(super) fn snapshot(name: &str, description: &str, broken: Option<&str>) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        description: description.to_owned(),
        taken_at: Some(now()),
        broken: broken.map(str::to_owned),
    }
}

fn initial() -> Snapshot {
    snapshot("initial", &mark(SITE).to_string(), None)
}

fn ours(name: &str, broken: Option<&str>) -> Snapshot {
    snapshot(name, &format!("SiteBackup ns/a {}", mark(OWN)), broken)
}

/// A site that is up, whose container has the snapshot `initial`, and whose Plan allows two backups.
fn observed() -> Observed {
    Observed {
        site: Some(SiteView {
            uid: SITE.to_owned(),
            made: true,
            deleting: false,
            restoring: false,
            busy: false,
        }),
        terms: Some(Terms {
            owner: mark(OWN),
            site: mark(SITE),
            vmid: 5000_i64.try_into().unwrap(),
            provider: "pve".to_owned(),
            zone: TimeZone::UTC,
            limit: (2, "basic".to_owned()),
        }),
        container: Fact::Known(Some(container())),
        snapshots: Fact::Known(vec![initial()]),
        takings: Fact::Known(Vec::new()),
        ..Observed::default()
    }
}

fn with(observed: Observed, more: Vec<Snapshot>) -> Observed {
    let snapshots = [vec![initial()], more].concat();
    Observed {
        snapshots: Fact::Known(snapshots),
        ..observed
    }
}

fn seen(change: impl FnOnce(&mut SiteView)) -> Observed {
    let mut observed = observed();
    change(observed.site.as_mut().unwrap());
    observed
}

fn held(change: impl FnOnce(&mut Container)) -> Observed {
    let mut container = container();
    change(&mut container);
    Observed {
        container: Fact::Known(Some(container)),
        ..observed()
    }
}

fn reserved(phase: BackupPhase) -> SiteBackupStatus {
    SiteBackupStatus {
        phase: Some(phase),
        snapshot: Some("BAK20112025-1".to_owned()),
        site_uid: Some(SITE.to_owned()),
        ..SiteBackupStatus::default()
    }
}

fn there() -> SiteBackupStatus {
    SiteBackupStatus {
        created_at: Some(Time(now())),
        ..reserved(BackupPhase::Ready)
    }
}

fn live(status: &SiteBackupStatus, observed: &Observed) -> BackupPlan {
    plan::live(status, observed, now(), false)
}

/// The plan in short: phase, reason, actions, what follows.
fn told(plan: &BackupPlan) -> (BackupPhase, &'static str, Vec<Action>, Next) {
    let verdict = &plan.verdict;
    (
        verdict.phase,
        verdict.ready.reason,
        plan.actions.clone(),
        plan.next,
    )
}

fn waits(plan: &BackupPlan, words: &str) {
    assert_eq!(plan.actions, []);
    assert_eq!(plan.verdict.ready.reason, reasons::WAITING, "{plan:?}");
    assert!(plan.verdict.ready.message.contains(words), "{plan:?}");
}

const FRESH: SiteBackupStatus = SiteBackupStatus {
    observed_generation: None,
    phase: None,
    snapshot: None,
    created_at: None,
    site_uid: None,
    attempts: 0,
    tasks: Vec::new(),
    conditions: Vec::new(),
};
const STORED: Next = Next::Again { persist: true };

#[test]
fn nothing_is_begun_while_the_site_is_busy_with_itself() {
    type Change = fn(&mut SiteView);
    let cases: [(Change, &str); 3] = [
        (|site| site.made = false, "not made yet"),
        (|site| site.restoring = true, "rolled back"),
        (|site| site.deleting = true, "being deleted"),
    ];
    for (change, words) in cases {
        for status in [FRESH, reserved(BackupPhase::Taking)] {
            let plan = live(&status, &seen(change));
            waits(&plan, words);
            assert_eq!(
                (plan.verdict.phase, plan.next),
                (BackupPhase::Pending, Next::Settled)
            );
        }
    }
}

#[test]
fn without_a_site_nothing_is_taken_and_what_was_taken_is_lost() {
    let none = Observed::default();
    let plan = live(&FRESH, &none);
    assert_eq!(
        told(&plan),
        (
            BackupPhase::Refused,
            reasons::SITE_NOT_FOUND,
            vec![],
            Next::Settled
        )
    );
    let lost = (BackupPhase::Lost, reasons::SNAPSHOT_LOST, vec![], Next::Settled);
    assert_eq!(told(&live(&there(), &none)), lost);
    let another = seen(|site| site.uid = STRANGER.to_owned());
    assert_eq!(told(&live(&there(), &another)), lost);
    assert_eq!(told(&live(&reserved(BackupPhase::Taking), &another)), lost);
}

#[test]
fn the_last_place_is_given_and_not_one_more() {
    let reserve = |name: &str, room| Action::Reserve {
        name: name.to_owned(),
        room,
    };
    let others = |holding, before| Others {
        holding,
        before,
        ..Others::default()
    };
    for (others_have, free) in [
        ((0, 0), true),
        ((1, 0), true),
        ((0, 1), true),
        ((2, 0), false),
        ((1, 1), false),
    ] {
        let observed = Observed {
            others: others(others_have.0, others_have.1),
            ..observed()
        };
        let plan = live(&FRESH, &observed);
        match free {
            true => {
                assert_eq!(plan.actions, [reserve("BAK20112025-1", 2)], "{others_have:?}");
                assert_eq!(plan.next, STORED);
            }
            false => assert_eq!(
                told(&plan),
                (
                    BackupPhase::Refused,
                    reasons::QUOTA_EXCEEDED,
                    vec![],
                    Next::Settled
                ),
                "{others_have:?}"
            ),
        }
    }
}

#[test]
fn snapshots_of_ours_that_no_object_knows_take_a_place() {
    let orphan = snapshot("BAK19112025-1", &mark(STRANGER).to_string(), None);
    let foreign = snapshot(
        "BAK19112025-2",
        "hostwright:other:2b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11",
        None,
    );
    let plain = snapshot("before-update", "by hand", None);
    let one = Others {
        holding: 1,
        ..Others::default()
    };
    let table = [(vec![orphan.clone()], true), (vec![foreign, plain], false)];
    for (snapshots, refused) in table {
        let observed = Observed {
            others: one.clone(),
            ..with(observed(), snapshots)
        };
        let plan = live(&FRESH, &observed);
        assert_eq!(plan.verdict.phase == BackupPhase::Refused, refused, "{plan:?}");
    }
    // The same snapshot is counted by its object when there is one.
    let known = Others {
        holding: 1,
        uids: [STRANGER.to_owned()].into(),
        ..Others::default()
    };
    let observed = Observed {
        others: known,
        ..with(observed(), vec![orphan])
    };
    assert_ne!(live(&FRESH, &observed).verdict.phase, BackupPhase::Refused);
}

#[test]
fn names_avoid_snapshots_and_reservations() {
    let observed = Observed {
        others: Others {
            names: ["BAK20112025-2".to_owned()].into(),
            ..Others::default()
        },
        ..with(observed(), vec![snapshot("BAK20112025-1", "by hand", None)])
    };
    let plan = live(&FRESH, &observed);
    assert!(matches!(&plan.actions[..], [Action::Reserve { name, .. }] if name == "BAK20112025-3"));
    // A reserved name that somebody else has taken meanwhile is given up, whatever the quota.
    let full = Observed {
        others: Others {
            holding: 9,
            ..Others::default()
        },
        ..with(
            super::tests::observed(),
            vec![snapshot("BAK20112025-1", "by hand", None)],
        )
    };
    let plan = live(&reserved(BackupPhase::Taking), &full);
    assert!(matches!(&plan.actions[..], [Action::Reserve { name, .. }] if name == "BAK20112025-2"));
}

#[test]
fn a_reserved_snapshot_is_taken_when_nothing_else_is_done_to_the_container() {
    let status = reserved(BackupPhase::Taking);
    let take = vec![Action::Take("BAK20112025-1".to_owned())];
    let plan = live(&status, &observed());
    assert_eq!(
        told(&plan),
        (BackupPhase::Taking, reasons::PROVISIONING, take, Next::Poll)
    );
    let locked = live(
        &status,
        &held(|container| container.lock = Some("backup".to_owned())),
    );
    waits(&locked, "pct unlock 5000");
    assert_eq!(locked.next, Next::Poll);
    let busy = live(&status, &seen(|site| site.busy = true));
    waits(&busy, "other work");
    let running = TaskRecord {
        id: TaskId("UPID".to_owned()),
        started_at: now(),
        state: TaskState::Running,
    };
    let taking = Observed {
        takings: Fact::Known(vec![running.clone()]),
        ..observed()
    };
    let plan = live(&status, &taking);
    assert_eq!(
        (plan.actions.len(), plan.next),
        (0, Next::Poll),
        "its answer was lost"
    );
    let over = Observed {
        takings: Fact::Known(vec![TaskRecord {
            state: TaskState::Failed("no".to_owned()),
            ..running
        }]),
        ..observed()
    };
    assert_eq!(live(&status, &over).actions.len(), 1);
}

#[test]
fn a_snapshot_with_our_mark_is_ours_whatever_its_name() {
    for status in [FRESH, reserved(BackupPhase::Taking), there()] {
        let plan = live(&status, &with(observed(), vec![ours("BAK20112025-7", None)]));
        assert_eq!(
            told(&plan),
            (BackupPhase::Ready, reasons::READY, vec![], Next::Settled)
        );
        assert_eq!(
            plan.verdict.found,
            Some(("BAK20112025-7".to_owned(), Some(now())))
        );
    }
}

#[test]
fn what_a_failed_task_left_is_removed_but_not_under_a_lock() {
    let status = reserved(BackupPhase::Taking);
    let half = || vec![ours("BAK20112025-1", Some("prepare"))];
    let plan = live(&status, &with(observed(), half()));
    assert_eq!(plan.actions, [Action::Delete("BAK20112025-1".to_owned())]);
    let locked = held(|container| container.lock = Some("snapshot".to_owned()));
    waits(&live(&status, &with(locked, half())), "locked (snapshot)");
}

#[test]
fn it_is_tried_so_often_and_not_once_more() {
    let tried = |attempts| SiteBackupStatus {
        attempts,
        ..reserved(BackupPhase::Taking)
    };
    assert_eq!(live(&tried(ATTEMPTS_MAX - 1), &observed()).actions.len(), 1);
    let over = live(&tried(ATTEMPTS_MAX), &observed());
    assert_eq!(
        told(&over),
        (BackupPhase::Pending, reasons::TASK_FAILED, vec![], Next::Settled)
    );
    let anew = plan::live(&tried(ATTEMPTS_MAX), &observed(), now(), true);
    assert_eq!(anew.actions.len(), 1, "somebody asks for more");
    assert!(anew.verdict.try_anew);
}

#[test]
fn a_snapshot_that_was_there_and_is_gone_is_lost() {
    let precise = live(&there(), &observed());
    assert_eq!(
        told(&precise),
        (BackupPhase::Lost, reasons::SNAPSHOT_LOST, vec![], Next::Settled)
    );
    let gone = Observed {
        container: Fact::Known(None),
        ..observed()
    };
    assert_eq!(live(&there(), &gone).verdict.phase, BackupPhase::Lost);
    // One that was never there is no loss.
    let plan = live(&reserved(BackupPhase::Taking), &gone);
    assert_eq!(plan.verdict.phase, BackupPhase::Taking);
    assert_eq!(plan.next, Next::Retry { at_least: None });
    // Lost is lost, also when it can be seen again.
    let lost = SiteBackupStatus {
        phase: Some(BackupPhase::Lost),
        ..there()
    };
    let plan = live(&lost, &with(observed(), vec![ours("BAK20112025-1", None)]));
    assert!(plan.verdict.unchanged && plan.actions.is_empty());
}

#[test]
fn a_cheap_look_leads_to_a_precise_one_and_an_outage_to_nothing() {
    let outage = ProviderError::new(ErrorKind::Unavailable, "down");
    let table = [
        (Steady::Agrees, Next::Settled),
        (Steady::Differs, Next::Closer),
        (Steady::Unknown(outage.clone()), Next::Retry { at_least: None }),
    ];
    for (steady, next) in table {
        let looked = Observed {
            steady: Some(steady),
            ..observed()
        };
        let plan = live(&there(), &looked);
        assert!(plan.verdict.unchanged && plan.next == next, "{plan:?}");
    }
    let blind = Observed {
        snapshots: Fact::Unknown(outage),
        ..observed()
    };
    assert_eq!(
        live(&there(), &blind).verdict.phase,
        BackupPhase::Ready,
        "never absence"
    );
}

#[test]
fn another_containers_mark_and_a_refusal_stop_everything() {
    let status = reserved(BackupPhase::Taking);
    let foreign = live(&status, &held(|container| container.mark = Some(mark(STRANGER))));
    assert_eq!(
        (foreign.verdict.ready.reason, foreign.actions.len()),
        (reasons::CONFLICT, 0)
    );
    let refused = Observed {
        refusal: Some(Refusal::new(reasons::PROVIDER_NOT_FOUND, "gone")),
        ..observed()
    };
    let plan = live(&status, &refused);
    assert_eq!(plan.verdict.ready.reason, reasons::PROVIDER_NOT_FOUND);
    // What is there stays there.
    let mut up = there();
    up.conditions = crate::api::condition::merge(
        &[],
        &[crate::api::condition::Finding::new(
            "Ready",
            crate::api::condition::State::True,
            reasons::READY,
            "",
        )],
        None,
        now(),
    );
    assert_eq!(live(&up, &refused).verdict.ready.reason, reasons::READY);
}

#[test]
fn tasks_come_first() {
    let task = SiteTask {
        operation: TaskOperation::Snapshot,
        id: "UPID".to_owned(),
    };
    let status = |attempts| SiteBackupStatus {
        attempts,
        tasks: vec![task.clone()],
        ..reserved(BackupPhase::Taking)
    };
    let with_task = |state| Observed {
        tasks: vec![(task.clone(), Fact::Known(state))],
        ..observed()
    };
    let running = live(&status(1), &with_task(TaskState::Running));
    assert_eq!((running.next, running.verdict.tasks.len()), (Next::Poll, 1));
    let failed = live(&status(1), &with_task(TaskState::Failed("no space".to_owned())));
    assert_eq!(failed.verdict.ready.reason, reasons::TASK_FAILED);
    assert!(failed.verdict.ready.message.contains("tried again") && failed.verdict.tasks.is_empty());
    let last = live(
        &status(ATTEMPTS_MAX),
        &with_task(TaskState::Failed("no space".to_owned())),
    );
    assert!(last.verdict.ready.message.contains("tried 5 times"), "{last:?}");
    let forgotten = live(&status(1), &with_task(TaskState::Unknown));
    assert_eq!(forgotten.actions.len(), 1, "the list tells");
}
