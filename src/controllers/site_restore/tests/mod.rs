//! Planner tables: what is done about a restore, on both sides of every boundary.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::{self, RestorePlan};
use super::remove;
use super::restore::{Action, BackupView, Observed, Rivals, SiteView, Target, Terms};
use crate::api::condition::reasons;
use crate::api::{RestorePhase, SiteRestoreStatus, SiteTask, TaskOperation};
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::controllers::site_backup::tests::{SITE, container as running_container, mark};
use crate::providers::container_host::{
    Container, HaState, HighAvailability, Snapshot, TaskId, TaskRecord, TaskState,
};
use crate::providers::{ErrorKind, ProviderError};

const BACKUP: &str = "1b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
const STORED: Next = Next::Again { persist: true };
const RELEASED: Next = Next::Released { announce: false };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

fn container() -> Container {
    Container {
        running: false,
        ..running_container()
    }
}

fn snapshot(name: &str, description: &str) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        description: description.to_owned(),
        taken_at: None,
        broken: None,
    }
}

fn backup(change: impl FnOnce(&mut BackupView)) -> Option<Target> {
    let mut view = BackupView {
        site: "jane".to_owned(),
        site_uid: Some(SITE.to_owned()),
        snapshot: Some("BAK-1".to_owned()),
        uid: BACKUP.to_owned(),
    };
    change(&mut view);
    Some(Target::Backup {
        name: "first".to_owned(),
        found: Some(view),
    })
}

/// A site that is up, with one backup, and a restore that was asked for a minute ago.
fn observed() -> Observed {
    Observed {
        created_at: Some(at(-60)),
        site_name: "jane".to_owned(),
        site: Some(SiteView {
            uid: SITE.to_owned(),
            made: true,
            deleting: false,
            suspended: false,
            yielding: true,
            busy: false,
            up: false,
            message: String::new(),
        }),
        target: backup(|_| {}),
        terms: Some(Terms {
            site: mark(SITE),
            vmid: 5000_i64.try_into().unwrap(),
        }),
        container: Fact::Known(Some(container())),
        snapshots: Fact::Known(vec![
            snapshot("initial", &mark(SITE).to_string()),
            snapshot("BAK-1", &mark(BACKUP).to_string()),
            snapshot("by-hand", "mine"),
        ]),
        rollbacks: Fact::Known(Vec::new()),
        ..Observed::default()
    }
}

fn seen(change: impl FnOnce(&mut SiteView)) -> Observed {
    let mut observed = observed();
    change(observed.site.as_mut().unwrap());
    observed
}

fn with(change: impl FnOnce(&mut Container)) -> Observed {
    let mut container = container();
    change(&mut container);
    Observed {
        container: Fact::Known(Some(container)),
        ..observed()
    }
}

fn rolling() -> SiteRestoreStatus {
    SiteRestoreStatus {
        phase: Some(RestorePhase::RollingBack),
        snapshot: Some("BAK-1".to_owned()),
        site_uid: Some(SITE.to_owned()),
        started_at: Some(Time(at(0))),
        previous_rollback: Some("UPID:old".to_owned()),
        ..SiteRestoreStatus::default()
    }
}

fn rollback(id: &str, state: TaskState) -> TaskRecord {
    TaskRecord {
        id: TaskId(id.to_owned()),
        started_at: at(0),
        state,
    }
}

fn live(status: &SiteRestoreStatus, observed: &Observed) -> RestorePlan {
    plan::live(status, observed, at(0))
}

fn fresh(observed: &Observed) -> RestorePlan {
    live(&SiteRestoreStatus::default(), observed)
}

fn told(plan: &RestorePlan) -> (RestorePhase, &'static str, usize, Next) {
    let verdict = &plan.verdict;
    (verdict.phase, verdict.ready.reason, plan.actions.len(), plan.next)
}

#[test]
fn a_restore_that_can_be_done_begins_and_knows_the_one_before() {
    let newest = vec![rollback("UPID:old", TaskState::Succeeded { warnings: false })];
    let observed = Observed {
        rollbacks: Fact::Known(newest),
        ..observed()
    };
    let plan = fresh(&observed);
    let begin = Action::Begin {
        snapshot: "BAK-1".to_owned(),
        previous: Some("UPID:old".to_owned()),
    };
    assert_eq!((plan.actions, plan.next), (vec![begin], STORED));
}

#[test]
fn what_cannot_be_done_is_refused_and_over() {
    let suspended = seen(|site| site.suspended = true);
    let deleting = seen(|site| site.deleting = true);
    let target = |target| Observed { target, ..observed() };
    let none = Some(Target::Backup {
        name: "first".to_owned(),
        found: None,
    });
    let table = [
        (suspended, reasons::SUSPENDED),
        (deleting, reasons::DELETING),
        (
            Observed {
                site: None,
                ..observed()
            },
            reasons::SITE_NOT_FOUND,
        ),
        (target(none), reasons::BACKUP_NOT_USABLE),
        (
            target(backup(|backup| backup.snapshot = None)),
            reasons::BACKUP_NOT_USABLE,
        ),
        (
            target(backup(|backup| backup.site = "john".to_owned())),
            reasons::BACKUP_NOT_USABLE,
        ),
        (
            target(backup(|backup| backup.site_uid = None)),
            reasons::BACKUP_NOT_USABLE,
        ),
        // Somebody put another snapshot in its place.
        (
            target(backup(|backup| backup.uid = SITE.to_owned())),
            reasons::SNAPSHOT_NOT_FOUND,
        ),
        (
            target(Some(Target::Snapshot("by-hand".to_owned()))),
            reasons::SNAPSHOT_NOT_FOUND,
        ),
        (
            target(Some(Target::Snapshot("none".to_owned()))),
            reasons::SNAPSHOT_NOT_FOUND,
        ),
    ];
    for (observed, reason) in table {
        let plan = fresh(&observed);
        assert_eq!(told(&plan), (RestorePhase::Failed, reason, 0, STORED), "{plan:?}");
    }
    for name in ["initial", "BAK-1"] {
        let plan = fresh(&target(Some(Target::Snapshot(name.to_owned()))));
        assert_eq!(plan.actions.len(), 1, "{name}");
    }
}

#[test]
fn what_was_written_a_moment_ago_may_not_be_seen_yet() {
    for (age, phase) in [(4, RestorePhase::Pending), (5, RestorePhase::Failed)] {
        let observed = Observed {
            created_at: Some(at(-age)),
            site: None,
            ..observed()
        };
        assert_eq!(fresh(&observed).verdict.phase, phase, "{age} s");
    }
}

#[test]
fn others_are_waited_for_before_the_site_is_held() {
    let rivals = |active, older| Observed {
        rivals: Rivals { active, older },
        ..observed()
    };
    let table = [
        (rivals(true, false), Next::Settled),
        (rivals(false, true), Next::Settled),
        (seen(|site| site.made = false), Next::Settled),
        (seen(|site| site.busy = true), Next::Poll),
        (
            with(|container| container.lock = Some("backup".to_owned())),
            Next::Poll,
        ),
    ];
    for (observed, next) in table {
        let plan = fresh(&observed);
        assert_eq!(told(&plan), (RestorePhase::Pending, reasons::WAITING, 0, next));
    }
}

#[test]
fn the_container_is_brought_down_before_it_is_rolled_back() {
    let managed = |requested, error, running| {
        with(move |container| {
            container.running = running;
            container.high_availability = Some(HighAvailability {
                requested,
                error,
                placed: true,
            });
        })
    };
    let ha = |state| vec![Action::EnsureHighAvailability(state)];
    let back = || vec![Action::RollBack("BAK-1".to_owned())];
    let table = [
        (with(|container| container.running = true), vec![Action::Stop]),
        (with(|_| {}), back()),
        (managed(HaState::Started, false, true), ha(HaState::Stopped)),
        (managed(HaState::Started, false, false), ha(HaState::Stopped)),
        (managed(HaState::Ignored, false, false), ha(HaState::Stopped)),
        (managed(HaState::Started, true, false), ha(HaState::Disabled)),
        (managed(HaState::Disabled, true, false), vec![]),
        (managed(HaState::Stopped, false, true), vec![]),
        (managed(HaState::Stopped, false, false), back()),
        (managed(HaState::Disabled, false, false), back()),
        (
            with(|container| container.lock = Some("backup".to_owned())),
            vec![],
        ),
        (seen(|site| site.yielding = false), vec![]),
    ];
    for (observed, actions) in table {
        assert_eq!(
            live(&rolling(), &observed).actions,
            actions,
            "{:?}",
            observed.container
        );
    }
}

#[test]
fn a_roll_back_is_known_again_by_the_tasks_of_the_container() {
    let listed = |ids: &[(&str, TaskState)]| {
        let tasks = ids.iter().map(|(id, state)| rollback(id, state.clone()));
        Observed {
            rollbacks: Fact::Known(tasks.collect()),
            ..observed()
        }
    };
    let good = || TaskState::Succeeded { warnings: false };
    let running = live(
        &rolling(),
        &listed(&[("UPID:new", TaskState::Running), ("UPID:old", good())]),
    );
    assert_eq!((running.next, running.verdict.tasks.len()), (Next::Poll, 1));
    let done = live(&rolling(), &listed(&[("UPID:new", good()), ("UPID:old", good())]));
    assert_eq!(
        told(&done),
        (RestorePhase::Starting, reasons::PROVISIONING, 0, STORED)
    );
    // The one before is not this one.
    let before = live(&rolling(), &listed(&[("UPID:old", good())]));
    assert_eq!(before.actions, [Action::RollBack("BAK-1".to_owned())]);
    let failed = listed(&[("UPID:new", TaskState::Failed("in use".to_owned()))]);
    let plan = live(&rolling(), &failed);
    assert_eq!(
        told(&plan),
        (RestorePhase::Failed, reasons::TASK_FAILED, 0, STORED)
    );
    let locked = Observed {
        rollbacks: failed.rollbacks.clone(),
        ..with(|container| container.lock = Some("rollback".to_owned()))
    };
    let plan = live(&rolling(), &locked);
    assert_eq!(
        told(&plan),
        (RestorePhase::RollingBack, reasons::LOCKED, 0, Next::Recheck)
    );
    assert!(plan.verdict.ready.message.contains("pct unlock 5000"));
}

#[test]
fn nothing_is_done_on_a_look_that_failed() {
    let outage = || ProviderError::new(ErrorKind::Unavailable, "down");
    let table = [
        Observed {
            container: Fact::Unknown(outage()),
            ..observed()
        },
        Observed {
            rollbacks: Fact::Unknown(outage()),
            ..observed()
        },
        Observed {
            refusal: Some(Refusal::new(reasons::PROVIDER_NOT_FOUND, "gone")),
            ..observed()
        },
        with(|container| container.mark = Some(mark(BACKUP))),
        Observed {
            container: Fact::Known(None),
            ..observed()
        },
    ];
    for observed in table {
        let plan = live(&rolling(), &observed);
        assert_eq!(
            (plan.actions.len(), plan.verdict.phase),
            (0, RestorePhase::RollingBack)
        );
        assert!(
            !matches!(remove::gone(&rolling(), &observed).next, Next::Released { .. })
                || observed.refusal.is_none()
        );
    }
}

#[test]
fn it_is_completed_when_the_site_itself_says_so_again() {
    let starting = SiteRestoreStatus {
        phase: Some(RestorePhase::Starting),
        ..rolling()
    };
    let table = [
        (true, true, RestorePhase::Starting),
        (true, false, RestorePhase::Starting),
        (false, false, RestorePhase::Starting),
        (false, true, RestorePhase::Completed),
    ];
    for (yielding, up, phase) in table {
        let observed = seen(|site| (site.yielding, site.up) = (yielding, up));
        assert_eq!(live(&starting, &observed).verdict.phase, phase, "{yielding} {up}");
    }
    let gone = Observed {
        site: None,
        ..observed()
    };
    assert_eq!(live(&starting, &gone).verdict.phase, RestorePhase::Failed);
}

#[test]
fn history_goes_when_its_time_is_over() {
    let over = SiteRestoreStatus {
        phase: Some(RestorePhase::Completed),
        finished_at: Some(Time(at(-10))),
        ..rolling()
    };
    let kept = |keep_seconds| Observed {
        keep_seconds,
        ..Observed::default()
    };
    assert_eq!(live(&over, &kept(None)).next, Next::Settled);
    let left = std::time::Duration::from_secs(1);
    assert_eq!(live(&over, &kept(Some(11))).next, Next::After(left));
    for keep in [10, 0] {
        assert_eq!(live(&over, &kept(Some(keep))).actions, [Action::DeleteObject]);
    }
    assert!(live(&over, &kept(Some(5))).verdict.unchanged);
}

#[test]
fn a_restore_that_is_deleted_ends_its_step_first() {
    let gone = |status: &SiteRestoreStatus, observed: &Observed| remove::gone(status, observed).next;
    assert_eq!(gone(&SiteRestoreStatus::default(), &observed()), RELEASED);
    assert_eq!(gone(&rolling(), &observed()), RELEASED, "nothing is under way");
    assert_eq!(
        gone(&rolling(), &Observed::default()),
        RELEASED,
        "the site is gone"
    );
    let task = |operation| SiteTask {
        operation,
        id: "UPID:new".to_owned(),
    };
    for operation in [TaskOperation::Stop, TaskOperation::Rollback] {
        let status = SiteRestoreStatus {
            tasks: vec![task(operation)],
            ..rolling()
        };
        let running = Observed {
            tasks: vec![(task(operation), Fact::Known(TaskState::Running))],
            ..observed()
        };
        assert_eq!(gone(&status, &running), Next::Poll, "{operation:?}");
    }
    let running = vec![rollback("UPID:new", TaskState::Running)];
    let lost = Observed {
        rollbacks: Fact::Known(running),
        ..observed()
    };
    assert_eq!(gone(&rolling(), &lost), Next::Poll, "its answer was lost");
    let failed = Fact::Known(vec![rollback("UPID:new", TaskState::Failed("no".to_owned()))]);
    let stuck = Observed {
        rollbacks: failed,
        ..with(|container| container.lock = Some("rollback".to_owned()))
    };
    assert_eq!(gone(&rolling(), &stuck), Next::Recheck);
}

#[test]
fn a_site_is_held_by_a_restore_that_rolls_it_back_and_by_no_other() {
    let restore = |namespace: &str, site: &str, phase: Option<&str>| -> crate::api::SiteRestore {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": "SiteRestore",
            "metadata": {"name": "r", "namespace": namespace},
            "spec": {"site": site, "snapshot": "initial"},
            "status": {"phase": phase},
        }))
        .unwrap()
    };
    let held = |restore: crate::api::SiteRestore| super::holds("ns", "jane", [&restore]).is_some();
    assert!(held(restore("ns", "jane", Some("RollingBack"))));
    assert!(!held(restore("other", "jane", Some("RollingBack"))));
    assert!(!held(restore("ns", "john", Some("RollingBack"))));
    for phase in [
        None,
        Some("Pending"),
        Some("Starting"),
        Some("Completed"),
        Some("Failed"),
    ] {
        assert!(!held(restore("ns", "jane", phase)), "{phase:?}");
    }
}
