//! What is done about a backup that shall be gone.

use super::*;
use crate::api::DeletionPolicy;
use crate::controllers::site_backup::remove;

const RELEASED: Next = Next::Released { announce: false };

fn gone(status: &SiteBackupStatus, observed: &Observed) -> BackupPlan {
    remove::gone(status, DeletionPolicy::Delete, observed)
}

#[test]
fn what_was_never_taken_or_went_with_its_site_is_let_go() {
    assert_eq!(gone(&FRESH, &observed()).next, RELEASED);
    assert_eq!(gone(&there(), &Observed::default()).next, RELEASED);
    let another = seen(|site| site.uid = STRANGER.to_owned());
    assert_eq!(gone(&there(), &another).next, RELEASED);
    let lost = SiteBackupStatus {
        phase: Some(BackupPhase::Lost),
        ..there()
    };
    assert_eq!(gone(&lost, &observed()).next, RELEASED);
    let containerless = Observed {
        container: Fact::Known(None),
        ..observed()
    };
    assert_eq!(gone(&there(), &containerless).next, RELEASED);
}

#[test]
fn only_a_snapshot_with_our_mark_is_deleted() {
    let with_ours = with(observed(), vec![ours("BAK20112025-1", None)]);
    let plan = gone(&there(), &with_ours);
    assert_eq!(
        told(&plan),
        (
            BackupPhase::Terminating,
            reasons::DELETING,
            vec![Action::Delete("BAK20112025-1".to_owned())],
            Next::Poll
        )
    );
    let renamed = with(observed(), vec![snapshot("BAK20112025-1", "by hand", None)]);
    assert_eq!(gone(&there(), &renamed).next, RELEASED);
    let foreign = held(|container| container.mark = None);
    let plan = gone(&there(), &with(foreign, vec![ours("BAK20112025-1", None)]));
    assert_eq!(
        (plan.actions.len(), plan.verdict.ready.reason),
        (0, reasons::CONFLICT)
    );
}

#[test]
fn retained_snapshots_are_left_and_announced() {
    let plan = remove::gone(
        &there(),
        DeletionPolicy::Retain,
        &with(observed(), vec![ours("BAK20112025-1", None)]),
    );
    assert_eq!(
        (plan.actions.len(), plan.next),
        (0, Next::Released { announce: true })
    );
}

#[test]
fn other_work_on_the_container_is_waited_for() {
    let ours = || vec![ours("BAK20112025-1", None)];
    let locked = held(|container| container.lock = Some("snapshot".to_owned()));
    let running = TaskRecord {
        id: TaskId("UPID".to_owned()),
        started_at: now(),
        state: TaskState::Running,
    };
    let taking = Observed {
        takings: Fact::Known(vec![running]),
        ..observed()
    };
    let table = [
        (with(locked, ours()), Next::Poll),
        (with(seen(|site| site.restoring = true), ours()), Next::Poll),
        (with(seen(|site| site.busy = true), ours()), Next::Poll),
        (with(seen(|site| site.deleting = true), ours()), Next::Settled),
        (taking, Next::Poll),
    ];
    for (observed, next) in table {
        let plan = gone(&there(), &observed);
        assert_eq!((plan.actions.len(), plan.next), (0, next), "{plan:?}");
        assert_eq!(plan.verdict.phase, BackupPhase::Terminating);
    }
}

#[test]
fn nothing_is_let_go_on_a_look_that_failed() {
    let outage = || ProviderError::new(ErrorKind::Unavailable, "down");
    let table = [
        Observed {
            container: Fact::Unknown(outage()),
            ..observed()
        },
        Observed {
            snapshots: Fact::Unknown(outage()),
            ..observed()
        },
        Observed {
            takings: Fact::Unknown(outage()),
            ..observed()
        },
        Observed {
            refusal: Some(Refusal::new(reasons::PROVIDER_NOT_FOUND, "gone")),
            ..observed()
        },
    ];
    for observed in table {
        let plan = gone(&there(), &observed);
        assert!(!matches!(plan.next, Next::Released { .. }), "{plan:?}");
    }
}
