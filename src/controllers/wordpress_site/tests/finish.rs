//! `plan::live` for the installation, the page and the snapshot.

use super::*;

#[test]
fn the_installation() {
    let scene = |state: InstallState| with(Scene::standing(), |s| s.observed.install = Fact::Known(state));
    let failed = || InstallState::Failed(error(ErrorKind::Unavailable));
    check(vec![
        (
            "idle",
            scene(InstallState::Idle),
            &["install on a"],
            AGAIN,
            &[(kinds::INSTALL_READY, reasons::PROVISIONING, "is being installed")],
        ),
        (
            "running",
            scene(InstallState::Running),
            &[],
            Next::Poll,
            &[(kinds::INSTALL_READY, reasons::PROVISIONING, "")],
        ),
        (
            "running, and everything else was good a moment ago",
            with(Scene::fresh(), |s| {
                reservation().store(&mut s.status, &terms());
                s.observed.installing = true;
            }),
            &[],
            Next::Poll,
            &[(kinds::INSTALL_READY, reasons::PROVISIONING, "is being installed")],
        ),
        (
            "done",
            scene(InstallState::Done),
            &[],
            Next::Settled,
            &[(kinds::INSTALL_READY, reasons::READY, "")],
        ),
        (
            "failed: said first",
            scene(failed()),
            &[],
            RETRY,
            &[(kinds::INSTALL_READY, reasons::UNAVAILABLE, "pve: unavailable")],
        ),
        (
            "failed, while something else is to be done: not even said",
            with(scene(failed()), |s| s.observed.records = Fact::Known(vec![])),
            &["create record jane.sites.example.com A 203.0.113.7"],
            AGAIN,
            &[(kinds::INSTALL_READY, reasons::WAITING, "")],
        ),
        (
            "failed and said: tried again",
            with(scene(failed()), |s| {
                s.said(kinds::INSTALL_READY, State::False, "pve: unavailable")
            }),
            &["install on a"],
            AGAIN,
            &[(kinds::INSTALL_READY, reasons::PROVISIONING, "")],
        ),
        (
            "failed in another way than was said",
            with(scene(failed()), |s| {
                s.said(kinds::INSTALL_READY, State::False, "something else")
            }),
            &[],
            RETRY,
            &[],
        ),
        (
            "what was installed once is not asked again",
            with(scene(failed()), |s| {
                s.said(kinds::INSTALL_READY, State::True, "WordPress is installed.")
            }),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "cannot be looked at",
            with(Scene::standing(), |s| {
                s.observed.install = Fact::Unknown(error(ErrorKind::Denied))
            }),
            &[],
            RETRY,
            &[(kinds::INSTALL_READY, reasons::DENIED, "")],
        ),
        (
            "nobody looked",
            with(Scene::standing(), |s| s.observed.install = Fact::Unread),
            &[],
            Next::Poll,
            &[],
        ),
    ]);
}

#[test]
fn page_and_snapshot() {
    let page = |page: Fact<Page>| with(Scene::standing(), |s| s.observed.page = page);
    let snapshots = |fact| with(Scene::standing(), |s| s.observed.snapshots = fact);
    let carried = |fact| {
        with(Scene::standing(), |s| {
            for kind in super::super::verdict::PARTS {
                if kind != kinds::SNAPSHOT_READY {
                    s.said(kind, State::True, "good");
                }
            }
            s.observed = Observed {
                terms: Some(terms()),
                carried: true,
                snapshots: fact,
                ..Observed::default()
            };
        })
    };
    let broken = || Snapshot {
        broken: Some("prepare".to_owned()),
        ..snapshot(INITIAL_SNAPSHOT, 1)
    };
    check(vec![
        ("nobody looked at the page", page(Fact::Unread), &[], AGAIN, &[]),
        (
            "nobody answers",
            page(Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[(kinds::PAGE_READY, reasons::UNAVAILABLE, "")],
        ),
        (
            "an open installer",
            page(Fact::Known(Page::Installer)),
            &[],
            RETRY,
            &[(kinds::PAGE_READY, reasons::UNEXPECTED, "open to strangers")],
        ),
        (
            "something else",
            page(Fact::Known(Page::Other("status 502".to_owned()))),
            &[],
            RETRY,
            &[(
                kinds::PAGE_READY,
                reasons::UNAVAILABLE,
                "does not show WordPress but status 502",
            )],
        ),
        (
            "nobody looked at snapshots",
            snapshots(Fact::Unread),
            &[],
            AGAIN,
            &[(kinds::PAGE_READY, reasons::READY, "")],
        ),
        (
            "snapshots are unknown",
            snapshots(Fact::Unknown(error(ErrorKind::NotFound))),
            &[],
            RETRY,
            &[(kinds::SNAPSHOT_READY, reasons::UNEXPECTED, "")],
        ),
        (
            "no snapshot",
            snapshots(Fact::Known(vec![])),
            &["snapshot"],
            Next::Poll,
            &[(kinds::SNAPSHOT_READY, reasons::PROVISIONING, "")],
        ),
        (
            "only others",
            snapshots(Fact::Known(vec![snapshot("vzdump", 1)])),
            &["snapshot"],
            Next::Poll,
            &[],
        ),
        (
            "a broken one",
            snapshots(Fact::Known(vec![broken()])),
            &[],
            RETRY,
            &[(kinds::SNAPSHOT_READY, reasons::CONFLICT, "left half done")],
        ),
        (
            "there",
            Scene::standing(),
            &[],
            Next::Settled,
            &[(kinds::SNAPSHOT_READY, reasons::READY, "")],
        ),
        (
            "carried, none",
            carried(Fact::Known(vec![])),
            &[],
            Next::Closer,
            &[],
        ),
        (
            "carried, there",
            carried(Fact::Known(vec![snapshot(INITIAL_SNAPSHOT, 1)])),
            &[],
            Next::Settled,
            &[],
        ),
        ("carried, nobody looked", carried(Fact::Unread), &[], AGAIN, &[]),
        (
            "carried, but the container is gone",
            carried(Fact::Unknown(error(ErrorKind::NotFound))),
            &[],
            Next::Closer,
            &[],
        ),
        (
            "carried, no answer",
            carried(Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[],
        ),
    ]);
    let scene = Scene::standing();
    let verdict = plan::live(&scene.status, &scene.observed, now()).verdict;
    assert!(verdict.all_good());
    assert_eq!(verdict.phase, crate::api::Phase::Running);
}

#[test]
fn only_the_snapshot_is_missing() {
    let good = |missing: &[&str], tasks: Vec<SiteTask>| {
        let mut scene = Scene::reserved();
        for kind in super::super::verdict::PARTS {
            if !missing.contains(&kind) {
                scene.said(kind, State::True, "good");
            }
        }
        scene.status.tasks = tasks;
        plan::only_snapshot_missing(&scene.status)
    };
    assert!(good(&[kinds::SNAPSHOT_READY], vec![]));
    assert!(good(
        &[kinds::SNAPSHOT_READY],
        vec![task(TaskOperation::Snapshot)]
    ));
    assert!(!good(&[kinds::SNAPSHOT_READY], vec![task(TaskOperation::Start)]));
    assert!(!good(&[], vec![]));
    assert!(!good(&[kinds::SNAPSHOT_READY, kinds::PAGE_READY], vec![]));
}
