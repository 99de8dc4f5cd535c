//! A lost container whose Plan says that it is restored from the newest backup archive.

use jiff::{SignedDuration, ToSpan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::api::{Phase, Power, Recovery, SiteRecovery};
use crate::controllers::runner::Kind;
use crate::controllers::wordpress_site::{SiteKind, report};
use crate::providers::container_host::Archive;

const ARCHIVE: &str = "local:backup/vzdump-lxc-500-2023_11_14-03_00_00.tar.zst";
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn archive(nodes: &[&str]) -> Archive {
    Archive {
        id: ARCHIVE.to_owned(),
        taken_at: now() - 20.hours(),
        nodes: nodes.iter().map(|node| (*node).to_owned()).collect(),
    }
}

/// A site that was made, whose container is gone, with an archive on both nodes.
fn lost() -> Scene {
    with(Scene::standing(), |s| {
        for kind in [kinds::INSTALL_READY, kinds::SNAPSHOT_READY] {
            s.said(kind, State::True, "good");
        }
        s.status.phase = Some(Phase::Running);
        s.status.resources = Some(terms().sizes);
        s.observed.container = Fact::Known(None);
        s.observed.archive = Fact::Known(Some(archive(&["a", "b"])));
        if let Some(terms) = &mut s.observed.terms {
            terms.wishes.recovery = Recovery::RestoreLatestBackup;
        }
    })
}

fn record(begun: SignedDuration) -> SiteRecovery {
    SiteRecovery {
        archive: ARCHIVE.to_owned(),
        taken_at: Time(now() - 20.hours()),
        node: "a".to_owned(),
        begun_at: Time(now() - begun),
        restored_at: None,
        failure: None,
    }
}

/// Lost, and a restore was begun a minute ago.
fn begun(restores: Vec<TaskRecord>) -> Scene {
    with(lost(), |s| {
        s.status.recovery = Some(record(SignedDuration::from_mins(1)));
        s.observed.archive = Fact::Unread;
        s.observed.creations = Fact::Known(restores);
    })
}

/// Lost; the last restore was begun so long ago and came to this.
fn after(since: SignedDuration, failure: Option<&str>) -> Scene {
    with(lost(), |s| {
        s.status.recovery = Some(SiteRecovery {
            failure: failure.map(str::to_owned),
            restored_at: failure.is_none().then(|| Time(now())),
            ..record(since)
        });
    })
}

fn failed() -> TaskState {
    TaskState::Failed("unable to restore CT 500 - no space left".to_owned())
}

fn well() -> TaskState {
    TaskState::Succeeded { warnings: false }
}

fn without_terms(scene: Scene, recovery: Recovery) -> Scene {
    with(scene, |s| {
        if let Some(terms) = &mut s.observed.terms {
            terms.wishes.recovery = recovery;
        }
    })
}

fn with_node_down(scene: Scene) -> Scene {
    with(scene, |s| {
        let mut survey = cluster();
        survey.nodes.insert("b".to_owned(), node(false, 8192));
        s.observed.survey = Fact::Known(Arc::new(survey));
    })
}

#[test]
fn an_archive_is_chosen_and_said_before_anything_is_done() {
    let unread = |s: &mut Scene| s.observed.archive = Fact::Unread;
    let refused = |s: &mut Scene| s.observed.archive = Fact::Unknown(error(ErrorKind::Denied));
    check(vec![
        ("nobody looked", with(lost(), unread), &[], AGAIN, &[]),
        (
            "a right is missing",
            with(lost(), refused),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::DENIED, "pve")],
        ),
        (
            "no archive of ours",
            with(lost(), |s| s.observed.archive = Fact::Known(None)),
            &[],
            Next::Settled,
            &[("Block", reasons::NO_BACKUP_ARCHIVE, "none of the backup archives")],
        ),
        (
            "an archive that nobody can read and hold",
            with(lost(), |s| {
                s.observed.archive = Fact::Known(Some(archive(&["c"])))
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, ARCHIVE)],
        ),
        (
            "an archive",
            lost(),
            &[],
            STORE,
            &[(kinds::CONTAINER_READY, reasons::RECOVERING, ARCHIVE)],
        ),
        (
            "a node is down that may have the container",
            with_node_down(lost()),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "restore it there")],
        ),
        (
            "never finished, so that nothing is lost",
            with(lost(), |s| s.said(kinds::INSTALL_READY, State::False, "no")),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "restore it there")],
        ),
        (
            "Manual",
            without_terms(lost(), Recovery::Manual),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "restore it there")],
        ),
    ]);
    // The node is one that can read it, although the other is as good.
    let on_b = with(lost(), |s| {
        s.observed.archive = Fact::Known(Some(archive(&["b"])))
    });
    let chosen = plan::live(&on_b.status, &on_b.observed, now()).verdict.recovery;
    let expected = SiteRecovery {
        node: "b".to_owned(),
        ..record(SignedDuration::ZERO)
    };
    assert_eq!(chosen, Some(expected));
}

#[test]
fn a_restore_is_begun_once_and_followed() {
    let restore = &["recover 500 on a from local:backup/vzdump-lxc-500-2023_11_14-03_00_00.tar.zst"][..];
    check(vec![
        ("begun, not asked for yet", begun(Vec::new()), restore, STORE, &[]),
        (
            "its answer was lost",
            begun(vec![creation(TaskState::Running)]),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "from a backup archive",
            )],
        ),
        (
            "the task list cannot be had",
            with(begun(Vec::new()), |s| {
                s.observed.creations = Fact::Unknown(error(ErrorKind::Unavailable));
            }),
            &[],
            RETRY,
            &[],
        ),
        (
            "a node went down meanwhile",
            with_node_down(begun(Vec::new())),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "")],
        ),
        (
            "the Plan says otherwise meanwhile",
            without_terms(begun(Vec::new()), Recovery::Recreate),
            &[],
            STORE,
            &[],
        ),
        (
            "just under an hour ago, and never asked for",
            with(begun(Vec::new()), |s| {
                s.status.recovery = Some(record(HOUR - SignedDuration::from_secs(1)));
            }),
            restore,
            STORE,
            &[],
        ),
        (
            "an hour ago, and never asked for: it is chosen anew",
            with(begun(Vec::new()), |s| s.status.recovery = Some(record(HOUR))),
            &[],
            STORE,
            &[],
        ),
        (
            "it failed",
            begun(vec![creation(failed())]),
            &[],
            Next::After(std::time::Duration::from_secs(59 * 60)),
            &[("Block", reasons::TASK_FAILED, "no space left")],
        ),
        (
            "it ended well, and nothing is there",
            begun(vec![creation(well())]),
            &[],
            Next::After(std::time::Duration::from_secs(59 * 60)),
            &[("Block", reasons::TASK_FAILED, "not there")],
        ),
        (
            "it is still hidden by its lock",
            with(begun(vec![creation(TaskState::Running)]), |s| {
                s.container(|c| (c.mark, c.lock, c.running) = (None, Some("create".to_owned()), false));
            }),
            &[],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::TASK_RUNNING, "")],
        ),
        (
            "a stranger was faster",
            with(begun(Vec::new()), |s| {
                s.container(|c| c.mark = Some(mark(STRANGER)))
            }),
            &[],
            Next::Settled,
            &[("Block", reasons::CONFLICT, "not touched")],
        ),
    ]);
    // The task in the status tells too, when the list has it not.
    let told = with(begun(Vec::new()), |s| {
        let task = task(TaskOperation::Recover);
        s.observed.tasks = vec![(task, Fact::Known(failed()))];
    });
    let plan = plan::live(&told.status, &told.observed, now());
    assert_eq!((plan.actions.len(), plan.verdict.failure), (0, None));
    assert!(
        plan.verdict
            .recovery
            .unwrap()
            .failure
            .unwrap()
            .contains("no space")
    );
}

#[test]
fn a_restore_from_before_its_archive_is_of_another_site() {
    let begun_at = SignedDuration::from_mins(1);
    for (taken, since) in [
        // Of last night: as far back as the clock of a node may be.
        (SignedDuration::from_hours(20), SignedDuration::from_mins(11)),
        // The number changed hands a moment ago.
        (SignedDuration::from_mins(2), SignedDuration::from_secs(119)),
    ] {
        let status = WordPressSiteStatus {
            recovery: Some(SiteRecovery {
                taken_at: Time(now() - taken),
                ..record(begun_at)
            }),
            ..WordPressSiteStatus::default()
        };
        assert_eq!(plan::recovery_since(&status), Some(now() - since));
    }
}

#[test]
fn another_restore_waits_for_an_hour() {
    let late = HOUR - SignedDuration::from_secs(1);
    let second = Next::After(std::time::Duration::from_secs(1));
    check(vec![
        (
            "failed just under an hour ago",
            after(late, Some("no space left")),
            &[],
            second,
            &[("Block", reasons::TASK_FAILED, "no space left")],
        ),
        (
            "restored just under an hour ago and lost again",
            after(late, None),
            &[],
            second,
            &[("Block", reasons::DEGRADED, "is gone again")],
        ),
        (
            "failed an hour ago",
            after(HOUR, Some("no space left")),
            &[],
            STORE,
            &[(kinds::CONTAINER_READY, reasons::RECOVERING, ARCHIVE)],
        ),
        (
            "restored an hour ago and lost again",
            after(HOUR, None),
            &[],
            STORE,
            &[(kinds::CONTAINER_READY, reasons::RECOVERING, ARCHIVE)],
        ),
    ]);
}

/// The container of a restore is there, stopped and as the archive has it.
fn back(restores: Vec<TaskRecord>) -> Scene {
    with(begun(restores), |s| {
        s.container(|c| (c.running, c.memory) = (false, Mib(1024)));
    })
}

#[test]
fn a_restored_site_keeps_its_installation_and_is_brought_to_its_spec() {
    let scene = back(vec![creation(well())]);
    let plan = plan::live(&scene.status, &scene.observed, now());
    assert_plan(
        "seen",
        &plan,
        &[],
        STORE,
        &[
            (kinds::SNAPSHOT_READY, reasons::WAITING, "lost container"),
            (kinds::CONTAINER_READY, reasons::RECOVERING, ""),
        ],
    );
    let subject = subject(scene.status, false, true);
    let status = report::status(&subject, &plan.verdict, &[], scene.observed.terms.as_ref(), now());
    assert!(SiteKind::must_be_stored(&subject.status, &status));
    let said = status.conditions.iter().find(|c| c.type_ == kinds::RECOVERED);
    let said = said.unwrap();
    assert_eq!(said.reason, reasons::RESTORED_FROM_ARCHIVE);
    assert!(said.message.contains(ARCHIVE), "{}", said.message);
    let next = |change: &dyn Fn(&mut Scene)| {
        let scene = Scene {
            status: status.clone(),
            observed: back(Vec::new()).observed,
        };
        with(scene, |s| change(s))
    };
    let started = |s: &mut Scene| {
        s.container(|c| c.memory = Mib(1024));
        s.observed.install = Fact::Known(InstallState::Idle);
    };
    let good = |s: &mut Scene| {
        s.container(|_| {});
        s.observed.install = Fact::Known(InstallState::Idle);
        s.observed.snapshots = Fact::Known(Vec::new());
    };
    let stopped = |s: &mut Scene| {
        if let Some(terms) = &mut s.observed.terms {
            terms.wishes.power = Power::Stopped;
        }
    };
    check(vec![
        ("started", next(&|_| {}), &["start"], Next::Poll, &[]),
        (
            "sizes",
            next(&started),
            &["configure 2048 MiB 512 MiB 2"],
            AGAIN,
            &[],
        ),
        // Nothing is installed over it, although the installer remembers nothing of this container.
        ("snapshot", next(&good), &["snapshot"], Next::Poll, &[]),
        (
            "a stopped one stays stopped",
            next(&stopped),
            &["configure 2048 MiB 512 MiB 2"],
            AGAIN,
            &[],
        ),
    ]);
}

#[test]
fn what_somebody_brought_back_by_hand_is_no_restore_of_ours() {
    let scene = back(Vec::new());
    let plan = plan::live(&scene.status, &scene.observed, now());
    assert_eq!((plan.next, plan.verdict.recovery), (STORE, None));
    // The end of a restore is awaited, also when its mark is seen before.
    let scene = back(vec![creation(TaskState::Running)]);
    let plan = plan::live(&scene.status, &scene.observed, now());
    assert_eq!((plan.next, plan.actions.len()), (Next::Poll, 0));
    // The task in the status is proof enough.
    let scene = with(back(Vec::new()), |s| {
        s.observed.tasks = vec![(task(TaskOperation::Recover), Fact::Known(well()))];
    });
    let plan = plan::live(&scene.status, &scene.observed, now());
    assert!(plan.verdict.recovery.unwrap().restored_at.is_some());
}

#[test]
fn a_site_that_goes_while_it_is_restored_waits_for_the_end_of_that() {
    let gone = |scene: &Scene| plan_of_removal(scene);
    let hidden = with(begun(vec![creation(TaskState::Running)]), |s| {
        s.container(|c| (c.mark, c.lock, c.running) = (None, Some("create".to_owned()), false));
    });
    let unseen = begun(vec![creation(TaskState::Running)]);
    for scene in [hidden, unseen] {
        let plan = gone(&scene);
        assert_eq!((plan.actions.len(), plan.next), (0, Next::Poll));
        let kept: Vec<_> = plan.verdict.tasks.iter().map(|task| task.operation).collect();
        assert_eq!(kept, [TaskOperation::Recover]);
    }
}

fn plan_of_removal(scene: &Scene) -> SitePlan {
    let policy = crate::api::DeletionPolicy::Delete;
    super::super::remove::gone(&scene.status, policy, &scene.observed)
}

#[test]
fn archives_are_looked_at_only_when_one_would_be_restored() {
    let needed = |scene: Scene| {
        let terms = scene.observed.terms.clone().unwrap();
        plan::archive_needed(&scene.status, &terms, &scene.observed)
    };
    assert!(needed(lost()));
    assert!(!needed(without_terms(lost(), Recovery::Manual)));
    assert!(!needed(without_terms(lost(), Recovery::Recreate)));
    assert!(!needed(with_node_down(lost())));
    assert!(!needed(begun(Vec::new())));
    assert!(!needed(with(lost(), |s| s.status.node = None)));
    assert!(!needed(with(lost(), |s| s.observed.survey = Fact::Unread)));
}
