//! One restart for each new time in the spec.

use jiff::ToSpan;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::day_two::{halted, made, stopped, wish};
use super::*;
use crate::api::SiteRestart;

#[test]
fn one_restart_for_each_new_time() {
    let at = |seconds: i64| now() + seconds.seconds();
    let asked = |wanted: i64, done: Option<i64>| {
        with(wish(made(), |w| w.restarted_at = Some(at(wanted))), |s| {
            s.status.restarted_at = done.map(|done| Time(at(done)));
        })
    };
    let begun = |requested: i64, tasks: Fact<Vec<TaskRecord>>| {
        with(asked(0, None), |s| {
            s.status.restart = Some(SiteRestart {
                requested_at: Time(at(requested)),
                begun_at: Time(at(5)),
                previous: vec!["UPID:a:0".to_owned()],
            });
            s.observed.restarts = tasks;
        })
    };
    let looked = |scene: Scene| with(scene, |s| s.observed.restarts = Fact::Known(Vec::new()));
    let earlier = || TaskRecord {
        id: TaskId("UPID:a:0".to_owned()),
        ..creation(TaskState::Succeeded { warnings: false })
    };
    let found = |state| Fact::Known(vec![creation(state)]);
    let failed = || TaskState::Failed("no".to_owned());
    check(vec![
        (
            "a new time is written down first",
            looked(asked(0, None)),
            &[],
            STORE,
            &[],
        ),
        ("a later time", looked(asked(1, Some(0))), &[], STORE, &[]),
        ("nobody looked for earlier ones", asked(0, None), &[], AGAIN, &[]),
        ("an equal time", asked(0, Some(0)), &[], Next::Settled, &[]),
        ("an older time", asked(-1, Some(0)), &[], Next::Settled, &[]),
        ("nobody looked", begun(0, Fact::Unread), &[], AGAIN, &[]),
        (
            "it was not asked for yet",
            begun(0, Fact::Known(Vec::new())),
            &["restart"],
            STORE,
            &[],
        ),
        (
            "only one from before it is known",
            begun(0, Fact::Known(vec![earlier()])),
            &["restart"],
            STORE,
            &[],
        ),
        (
            "its task is over, and the list has it not",
            with(begun(0, Fact::Known(vec![earlier()])), |s| {
                let task = task(TaskOperation::Restart);
                s.observed.tasks = vec![(task, Fact::Known(TaskState::Succeeded { warnings: false }))];
            }),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "its list has it behind an earlier one",
            begun(
                0,
                Fact::Known(vec![
                    earlier(),
                    creation(TaskState::Succeeded { warnings: false }),
                ]),
            ),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "another one was begun",
            begun(-9, Fact::Known(Vec::new())),
            &[],
            STORE,
            &[],
        ),
        (
            "its answer was lost",
            begun(0, found(TaskState::Running)),
            &[],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::TASK_RUNNING, "being restarted")],
        ),
        (
            "it is over",
            begun(0, found(TaskState::Succeeded { warnings: false })),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "it failed",
            begun(0, found(failed())),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::TASK_FAILED, "no")],
        ),
        (
            "it cannot be looked for",
            begun(0, Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[],
        ),
    ]);
    let again = with(asked(1, Some(0)), |s| {
        s.observed.restarts = Fact::Known(vec![earlier()])
    });
    let written = plan::live(&again.status, &again.observed, now()).verdict.restart;
    assert_eq!(written.unwrap().previous, ["UPID:a:0"]);
    let over = begun(0, found(TaskState::Succeeded { warnings: false }));
    let verdict = plan::live(&over.status, &over.observed, now()).verdict;
    assert_eq!((verdict.restart, verdict.restarted_at), (None, Some(Time(at(0)))));
    // What does not run starts afresh.
    let rests = stopped(halted(asked(7, None)));
    let verdict = plan::live(&rests.status, &rests.observed, now()).verdict;
    assert_eq!(verdict.restarted_at, Some(Time(at(7))));
}
