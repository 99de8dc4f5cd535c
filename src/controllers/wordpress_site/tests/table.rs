//! `plan::live` before a site's parts: references, the reservation, settled sites, tasks under way.

use super::*;
use crate::controllers::connections::Refusal;
use crate::controllers::ledger::Taken;
use crate::controllers::wordpress_site::site::{NameCheck, Steady, Vacancy};

fn vacancy() -> Fact<Vacancy> {
    Fact::Known(Vacancy {
        taken: Taken::default(),
        in_use: BTreeSet::new(),
        orphan: None,
        names: vec![NameCheck {
            label: "jane".parse().unwrap(),
            host: host(),
            obstacle: None,
        }],
        turn: None,
    })
}

#[test]
fn before_anything_is_reserved() {
    let fresh = Scene::fresh;
    check(vec![
        (
            "a reference leads nowhere",
            with(fresh(), |s| {
                s.observed.refusal = Some(Refusal::new(
                    reasons::PLAN_NOT_FOUND,
                    "Plan x does not exist; create it",
                ));
            }),
            &[],
            Next::Settled,
            &[(
                "Block",
                reasons::PLAN_NOT_FOUND,
                "Plan x does not exist; create it",
            )],
        ),
        (
            "nothing was resolved",
            with(fresh(), |s| s.observed.terms = None),
            &[],
            RETRY,
            &[],
        ),
        (
            "an older object has the service id",
            with(fresh(), |s| s.observed.rival = Some("the site old".to_owned())),
            &[],
            Next::Settled,
            &[(
                "Block",
                reasons::SERVICE_ID_CONFLICT,
                "belongs to the site old, which is older",
            )],
        ),
        ("nobody looked around yet", fresh(), &[], AGAIN, &[]),
        (
            "the look around failed",
            with(fresh(), |s| {
                s.observed.survey = Fact::Unknown(error(ErrorKind::Unavailable))
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, "pve: unavailable")],
        ),
        (
            "everything is free",
            with(fresh(), |s| {
                s.observed.survey = Fact::Known(Arc::new(cluster()));
                s.observed.vacancy = vacancy();
            }),
            &["reserve 500 10.0.0.10 jane.sites.example.com"],
            STORE,
            &[(kinds::CONTAINER_READY, reasons::QUEUED, "Waiting for its turn")],
        ),
        (
            "an incomplete reservation is none",
            with(Scene::reserved(), |s| {
                s.status.private_ip = None;
                s.observed.vacancy = vacancy();
            }),
            &["reserve 500 10.0.0.10 jane.sites.example.com"],
            STORE,
            &[],
        ),
    ]);
}

#[test]
fn a_settled_site_is_left_alone() {
    let steady = |steady| {
        with(Scene::standing(), |s| {
            s.status.node = Some("a".to_owned());
            s.observed.steady = Some(steady);
        })
    };
    check(vec![
        (
            "agrees",
            steady(Steady::Agrees {
                node: Some("b".to_owned()),
                usage: None,
                expires_at: None,
                waits: false,
            }),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "agrees, node unknown",
            steady(Steady::Agrees {
                node: None,
                usage: None,
                expires_at: None,
                waits: true,
            }),
            &[],
            Next::Recheck,
            &[],
        ),
        (
            "differs",
            steady(Steady::Differs("the record".to_owned())),
            &[],
            Next::Closer,
            &[],
        ),
        (
            "unknown",
            steady(Steady::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[],
        ),
        (
            "asked to slow down",
            steady(Steady::Unknown(error(ErrorKind::Throttled {
                retry_after: Some(std::time::Duration::from_secs(9)),
            }))),
            &[],
            Next::Retry {
                at_least: Some(std::time::Duration::from_secs(9)),
            },
            &[],
        ),
    ]);
    let moved = steady(Steady::Agrees {
        node: Some("b".to_owned()),
        usage: None,
        expires_at: None,
        waits: false,
    });
    let verdict = plan::live(&moved.status, &moved.observed, now()).verdict;
    assert_eq!((verdict.unchanged, verdict.node.as_deref()), (true, Some("b")));
    let unseen = steady(Steady::Agrees {
        node: None,
        usage: None,
        expires_at: None,
        waits: false,
    });
    let verdict = plan::live(&unseen.status, &unseen.observed, now()).verdict;
    assert_eq!(verdict.node.as_deref(), Some("a"));
}

#[test]
fn tasks_come_first() {
    let scene = |operation, state: Fact<TaskState>| {
        with(Scene::standing(), |s| {
            s.observed.tasks = vec![(task(operation), state)]
        })
    };
    let create = |state| scene(TaskOperation::Create, Fact::Known(state));
    check(vec![
        (
            "creating",
            create(TaskState::Running),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "The container is being created.",
            )],
        ),
        (
            "starting, nobody looked",
            scene(TaskOperation::Start, Fact::Unread),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "The container is being started.",
            )],
        ),
        (
            "the task cannot be looked at",
            scene(
                TaskOperation::Create,
                Fact::Unknown(error(ErrorKind::Unavailable)),
            ),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, "pve: unavailable")],
        ),
        (
            "the task failed",
            create(TaskState::Failed("no space".to_owned())),
            &[],
            RETRY,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_FAILED,
                "Creating the container failed: no space; it is tried again.",
            )],
        ),
        (
            "the snapshot failed",
            scene(
                TaskOperation::Snapshot,
                Fact::Known(TaskState::Failed("x".to_owned())),
            ),
            &[],
            RETRY,
            &[(
                kinds::SNAPSHOT_READY,
                reasons::TASK_FAILED,
                "Taking the snapshot failed: x; it is tried again.",
            )],
        ),
        (
            "the task ended well",
            create(TaskState::Succeeded { warnings: false }),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "with warnings",
            create(TaskState::Succeeded { warnings: true }),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "forgotten: what is there tells",
            create(TaskState::Unknown),
            &[],
            Next::Settled,
            &[],
        ),
    ]);
    let running = create(TaskState::Running);
    let kept = plan::live(&running.status, &running.observed, now())
        .verdict
        .tasks;
    assert_eq!(kept, [task(TaskOperation::Create)]);
    let failed = create(TaskState::Failed("x".to_owned()));
    assert_eq!(
        plan::live(&failed.status, &failed.observed, now()).verdict.tasks,
        []
    );
}
