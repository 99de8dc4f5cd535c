//! `plan::live` for the container: made once, told apart from other people's, kept running.

use super::*;

#[test]
fn a_container_that_is_not_there() {
    let reserved = Scene::reserved;
    check(vec![
        (
            "nobody looked",
            with(reserved(), |s| s.observed.container = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "the look failed: that is no absence",
            with(reserved(), |s| {
                s.observed.container = Fact::Unknown(error(ErrorKind::Ambiguous))
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, "pve: ambiguous")],
        ),
        (
            "never made",
            reserved(),
            &["create 500 on a"],
            STORE,
            &[(kinds::CONTAINER_READY, reasons::QUEUED, "")],
        ),
        (
            "nobody looked for creations",
            with(reserved(), |s| s.observed.creations = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "creations are unknown",
            with(reserved(), |s| {
                s.observed.creations = Fact::Unknown(error(ErrorKind::Unavailable))
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, "pve")],
        ),
        (
            "its creation goes on although the answer was lost",
            with(reserved(), |s| {
                s.observed.creations = Fact::Known(vec![creation(TaskState::Running)])
            }),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "The container is being created.",
            )],
        ),
        (
            "an earlier creation failed",
            with(reserved(), |s| {
                s.observed.creations = Fact::Known(vec![creation(TaskState::Failed("x".to_owned()))]);
            }),
            &["create 500 on a"],
            STORE,
            &[],
        ),
        (
            "nobody looked at the nodes",
            with(reserved(), |s| s.observed.survey = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "the nodes are unknown",
            with(reserved(), |s| {
                s.observed.survey = Fact::Unknown(error(ErrorKind::Denied))
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::DENIED, "pve: denied")],
        ),
        (
            "no node is up",
            with(reserved(), |s| s.observed.survey = Fact::Known(Arc::default())),
            &[],
            RETRY,
            &[(
                kinds::CONTAINER_READY,
                reasons::UNAVAILABLE,
                "no node of Provider pve that is up can hold",
            )],
        ),
        (
            "it was seen before: nothing is created in its place",
            with(reserved(), |s| s.status.node = Some("a".to_owned())),
            &[],
            Next::Settled,
            &[
                (
                    "Block",
                    reasons::DEGRADED,
                    "Container 500 is gone from Provider pve",
                ),
                (
                    kinds::CONTAINER_READY,
                    reasons::DEGRADED,
                    "restore it there under the same number",
                ),
            ],
        ),
    ]);
}

#[test]
fn a_guest_without_our_mark() {
    let unseen = |change: fn(&mut Container)| with(Scene::reserved(), |s| s.container(change));
    let seen = |change: fn(&mut Container)| with(Scene::created(), |s| s.container(change));
    let hidden = |c: &mut Container| (c.mark, c.lock) = (None, Some("create".to_owned()));
    let foreign = |c: &mut Container| c.mark = Some(mark(STRANGER));
    let bare = |c: &mut Container| c.mark = None;
    check(vec![
        (
            "hidden during its creation",
            with(unseen(hidden), |s| {
                s.observed.creations = Fact::Known(vec![creation(TaskState::Running)])
            }),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "Container 500 is being created.",
            )],
        ),
        (
            "hidden during a creation that is not ours",
            unseen(hidden),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "Container 500 is being created.",
            )],
        ),
        (
            "the rest of a creation of ours that failed",
            with(unseen(hidden), |s| {
                s.observed.creations = Fact::Known(vec![creation(TaskState::Failed("x".to_owned()))]);
            }),
            &[],
            RETRY,
            &[(
                kinds::CONTAINER_READY,
                reasons::CONFLICT,
                "`pct destroy 500` on node a",
            )],
        ),
        ("somebody was faster", unseen(foreign), &[], AGAIN, &[]),
        (
            "somebody without a mark was faster",
            unseen(bare),
            &[],
            AGAIN,
            &[],
        ),
        (
            "another mark in place of our container",
            seen(foreign),
            &[],
            Next::Settled,
            &[(
                "Block",
                reasons::CONFLICT,
                "carries the mark hostwright:test:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b22",
            )],
        ),
        (
            "no mark in place of our container",
            seen(bare),
            &[],
            Next::Settled,
            &[(
                kinds::CONTAINER_READY,
                reasons::CONFLICT,
                "carries no mark of ours",
            )],
        ),
        (
            "somebody creates in place of our container",
            seen(hidden),
            &[],
            Next::Settled,
            &[("Block", reasons::CONFLICT, "is not touched")],
        ),
        (
            "the rest of our container after a destruction",
            seen(|c| (c.mark, c.lock, c.running) = (None, Some("destroyed".to_owned()), false)),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::CONFLICT, "run `pct unlock 500`")],
        ),
    ]);
    for (scene, chosen) in [
        (unseen(foreign), true),
        (unseen(bare), true),
        (seen(foreign), false),
    ] {
        let verdict = plan::live(&scene.status, &scene.observed, now()).verdict;
        assert_eq!(verdict.choose_again, chosen);
    }
}

#[test]
fn our_container_is_kept_running() {
    let scene = |change: fn(&mut Container)| with(Scene::standing(), |s| s.container(change));
    let wants = |change: fn(&mut Container)| {
        with(scene(change), |s| {
            s.observed.terms = Some(Terms {
                sizes: SiteResources {
                    high_availability: true,
                    ..terms().sizes
                },
                ..terms()
            });
        })
    };
    let locked = |c: &mut Container| c.lock = Some("migrate".to_owned());
    let stopped = |c: &mut Container| c.running = false;
    check(vec![
        (
            "runs",
            scene(|_| {}),
            &[],
            Next::Settled,
            &[(kinds::CONTAINER_READY, reasons::READY, "Container 500 runs.")],
        ),
        (
            "stopped",
            scene(stopped),
            &["start"],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::PROVISIONING, "is being started")],
        ),
        (
            "locked by work that stops it",
            scene(locked),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "is locked (migrate)",
            )],
        ),
        (
            "backed up while it runs",
            scene(|c| c.lock = Some("backup".to_owned())),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "backed up while stopped",
            scene(|c| (c.lock, c.running) = (Some("backup".to_owned()), false)),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "run `pct unlock 500` on node a",
            )],
        ),
        (
            "high availability is wanted",
            wants(|_| {}),
            &["ha Started"],
            AGAIN,
            &[],
        ),
        (
            "wanted, but locked",
            wants(|c| c.lock = Some("backup".to_owned())),
            &[],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::TASK_RUNNING, "locked (backup)")],
        ),
        (
            "in place",
            wants(|c| c.high_availability = Some(managed(HaState::Started))),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "in the wrong place",
            wants(|c| {
                c.high_availability = Some(HighAvailability {
                    placed: false,
                    ..managed(HaState::Started)
                })
            }),
            &["ha Started"],
            AGAIN,
            &[],
        ),
        (
            "told to stop, wanted",
            wants(|c| c.high_availability = Some(managed(HaState::Stopped))),
            &["ha Started"],
            AGAIN,
            &[],
        ),
        (
            "stopped, wanted, not managed",
            wants(stopped),
            &["ha Started"],
            Next::Poll,
            &[],
        ),
        (
            "stopped, high availability will start it",
            wants(|c| (c.running, c.high_availability) = (false, Some(managed(HaState::Started)))),
            &[],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::PROVISIONING, "is being started")],
        ),
        (
            "managed although nobody wants it",
            scene(|c| {
                c.high_availability = Some(HighAvailability {
                    placed: false,
                    ..managed(HaState::Ignored)
                })
            }),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "the same, stopped",
            scene(|c| (c.running, c.high_availability) = (false, Some(managed(HaState::Stopped)))),
            &["ha Started"],
            Next::Poll,
            &[],
        ),
        (
            "the manager gave up",
            wants(|c| {
                c.running = false;
                c.high_availability = Some(HighAvailability {
                    error: true,
                    ..managed(HaState::Started)
                });
            }),
            &["ha Disabled"],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::PROVISIONING,
                "High availability gave up on container 500",
            )],
        ),
        (
            "the manager gave up on one that runs: one step at a time",
            scene(|c| {
                c.high_availability = Some(HighAvailability {
                    error: true,
                    ..managed(HaState::Disabled)
                })
            }),
            &["ha Disabled"],
            Next::Poll,
            &[],
        ),
    ]);
}
