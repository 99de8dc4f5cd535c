//! `remove::gone`: nothing of ours stays, nothing else is touched, and the object goes last.

use super::super::remove::gone;
use super::*;
use crate::api::DeletionPolicy;
use crate::controllers::connections::Refusal;

const RELEASED: Next = Next::Released { announce: false };

fn check_removal(rows: Vec<Row>) {
    for (name, scene, actions, next, sights) in rows {
        let plan = gone(&scene.status, DeletionPolicy::Delete, &scene.observed);
        assert_plan(name, &plan, actions, next, sights);
    }
}

/// Everything outside is gone but for what the change puts back.
fn bare(change: impl FnOnce(&mut Scene)) -> Scene {
    with(Scene::reserved(), |scene| {
        scene.status.node = Some("a".to_owned());
        scene.observed.volumes = Fact::Known(Vec::new());
        change(scene);
    })
}

#[test]
fn what_is_asked_and_what_can_be_done() {
    let refuse = |scene: Scene| {
        with(scene, |s| {
            s.observed.terms = None;
            s.observed.refusal = Some(Refusal::new(
                reasons::PROVIDER_NOT_FOUND,
                "Provider pve does not exist.",
            ));
        })
    };
    check_removal(vec![
        (
            "nothing was ever reserved",
            Scene::fresh(),
            &["delete secret"],
            AGAIN,
            &[],
        ),
        (
            "and its Plan does not exist",
            refuse(Scene::fresh()),
            &["delete secret"],
            AGAIN,
            &[],
        ),
        (
            "and its Secret is gone",
            with(refuse(Scene::fresh()), |s| s.observed.secret_gone = true),
            &[],
            RELEASED,
            &[],
        ),
        (
            "the back-end is not known any more",
            refuse(Scene::created()),
            &[],
            Next::Settled,
            &[(
                "Block",
                reasons::PROVIDER_NOT_FOUND,
                "; or set deletionPolicy to Retain",
            )],
        ),
        (
            "nothing was resolved",
            with(Scene::created(), |s| s.observed.terms = None),
            &[],
            RETRY,
            &[],
        ),
        (
            "somebody damaged the status",
            with(Scene::created(), |s| s.status.host = None),
            &[],
            Next::Settled,
            &[(
                "Block",
                reasons::UNEXPECTED,
                "The reservation in the status is incomplete",
            )],
        ),
        (
            "the number was given back",
            with(Scene::reserved(), |s| {
                (s.status.vmid, s.status.private_ip, s.status.reserved_at) = (None, None, None)
            }),
            &["delete secret"],
            AGAIN,
            &[],
        ),
    ]);
    let plan = gone(
        &Scene::standing().status,
        DeletionPolicy::Retain,
        &Observed::default(),
    );
    assert_plan(
        "retained",
        &plan,
        &[],
        Next::Released { announce: true },
        &[("Block", reasons::RETAINED, "left as it is")],
    );
}

#[test]
fn our_container_is_taken_down_step_by_step() {
    let scene = |change: fn(&mut Container)| {
        bare(|s| {
            s.container(change);
            s.observed.snapshots = Fact::Known(Vec::new());
        })
    };
    let down = |fact| with(scene(|c| c.running = false), |s| s.observed.snapshots = fact);
    check_removal(vec![
        (
            "nobody looked",
            bare(|s| s.observed.container = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "cannot be looked at",
            bare(|s| s.observed.container = Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, "")],
        ),
        (
            "a task is under way",
            with(scene(|_| {}), |s| {
                s.observed.tasks = vec![(task(TaskOperation::Stop), Fact::Known(TaskState::Running))]
            }),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "is being shut down",
            )],
        ),
        (
            "locked",
            scene(|c| c.lock = Some("backup".to_owned())),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "is locked (backup)",
            )],
        ),
        (
            "managed",
            scene(|c| c.high_availability = Some(managed(HaState::Started))),
            &["ha out"],
            AGAIN,
            &[],
        ),
        (
            "running",
            scene(|_| {}),
            &["stop"],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::DELETING, "is being removed")],
        ),
        ("snapshots: nobody looked", down(Fact::Unread), &[], AGAIN, &[]),
        (
            "snapshots: unknown",
            down(Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[],
        ),
        (
            "snapshots: the newest first",
            down(Fact::Known(vec![
                snapshot("b", 2),
                snapshot("c", 3),
                snapshot("a", 1),
            ])),
            &["delete snapshot c"],
            Next::Poll,
            &[],
        ),
        (
            "nothing hangs on it",
            down(Fact::Known(vec![])),
            &["destroy"],
            STORE,
            &[],
        ),
    ]);
}

#[test]
fn a_guest_that_is_not_ours_is_not_touched() {
    let unseen = |change: fn(&mut Container)| with(Scene::reserved(), |s| s.container(change));
    let hidden = |c: &mut Container| (c.mark, c.lock) = (None, Some("create".to_owned()));
    check_removal(vec![
        (
            "another mark",
            unseen(|c| c.mark = Some(mark(STRANGER))),
            &["delete secret"],
            AGAIN,
            &[],
        ),
        (
            "no mark",
            bare(|s| s.container(|c| c.mark = None)),
            &["delete secret"],
            AGAIN,
            &[],
        ),
        (
            "perhaps ours, being created",
            with(unseen(hidden), |s| {
                s.observed.creations = Fact::Known(vec![creation(TaskState::Running)])
            }),
            &[],
            Next::Poll,
            &[(kinds::CONTAINER_READY, reasons::TASK_RUNNING, "is being created")],
        ),
        (
            "the rest of our failed creation",
            with(unseen(hidden), |s| {
                s.observed.creations = Fact::Known(vec![creation(TaskState::Failed("x".to_owned()))]);
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::CONFLICT, "`pct destroy 500`")],
        ),
        (
            "somebody creates where ours was",
            bare(|s| s.container(hidden)),
            &["delete secret"],
            AGAIN,
            &[],
        ),
        (
            "what a failed destruction left is not nothing",
            bare(|s| s.container(|c| (c.mark, c.lock) = (None, Some("destroyed".to_owned())))),
            &[],
            RETRY,
            &[(
                kinds::CONTAINER_READY,
                reasons::CONFLICT,
                "run `pct unlock 500` and `pct destroy 500` on node a",
            )],
        ),
    ]);
}

#[test]
fn an_absent_container_is_proven_absent() {
    let never_seen = |change: fn(&mut Observed)| {
        with(Scene::reserved(), |s| {
            s.observed.volumes = Fact::Known(Vec::new());
            change(&mut s.observed);
        })
    };
    check_removal(vec![
        (
            "never seen, nobody looked for creations",
            never_seen(|o| o.creations = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "never seen, creations unknown",
            never_seen(|o| o.creations = Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[],
        ),
        (
            "its creation still runs",
            never_seen(|o| o.creations = Fact::Known(vec![creation(TaskState::Running)])),
            &[],
            Next::Poll,
            &[(
                kinds::CONTAINER_READY,
                reasons::TASK_RUNNING,
                "still being created",
            )],
        ),
        ("never made", never_seen(|_| {}), &["delete secret"], AGAIN, &[]),
        (
            "seen before: creations do not matter",
            bare(|s| s.observed.creations = Fact::Unread),
            &["delete secret"],
            AGAIN,
            &[],
        ),
        (
            "volumes: nobody looked",
            bare(|s| s.observed.volumes = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "volumes: unknown",
            bare(|s| s.observed.volumes = Fact::Unknown(error(ErrorKind::Unavailable))),
            &[],
            RETRY,
            &[],
        ),
        (
            "a volume is left",
            bare(|s| s.observed.volumes = Fact::Known(vec!["drbd:pm-1_500".to_owned()])),
            &[],
            RETRY,
            &[(
                kinds::CONTAINER_READY,
                reasons::CONFLICT,
                "its volumes drbd:pm-1_500 are left",
            )],
        ),
    ]);
}

#[test]
fn name_host_certificate_secret_in_this_order() {
    let proxy = |survey: ProxySurvey| bare(|s| s.observed.proxy = Fact::Known(survey));
    let all = || {
        bare(|s| {
            let foreign = RecordData::Other("TXT".to_owned(), "v".to_owned());
            s.observed.records = Fact::Known(vec![
                record("r1", own(), right_data()),
                record("r2", None, foreign),
                record("r3", own(), right_data()),
            ]);
            s.observed.proxy = Fact::Known(ProxySurvey {
                hosts: vec![proxy_host(3, own())],
                certificates: vec![own_certificate(7)],
            });
        })
    };
    let unused = |hosts| ProxySurvey {
        hosts,
        certificates: vec![
            own_certificate(7),
            own_certificate(6),
            certificate(5, false, &["jane.sites.example.com"]),
        ],
    };
    check_removal(vec![
        (
            "records first, and only ours",
            all(),
            &["delete record r1", "delete record r3"],
            AGAIN,
            &[(kinds::NAME_READY, reasons::DELETING, "being removed")],
        ),
        (
            "the zone is gone, and the records with it",
            with(all(), |s| s.observed.zone = Fact::Known(None)),
            &["delete host 3"],
            AGAIN,
            &[(kinds::NAME_READY, reasons::DELETING, "The record is gone.")],
        ),
        (
            "records: nobody looked",
            bare(|s| s.observed.records = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "records: unknown",
            bare(|s| s.observed.records = Fact::Unknown(error(ErrorKind::Denied))),
            &[],
            RETRY,
            &[],
        ),
        (
            "zone: unknown",
            bare(|s| s.observed.zone = Fact::Unknown(error(ErrorKind::Denied))),
            &[],
            RETRY,
            &[],
        ),
        (
            "proxy: nobody looked",
            bare(|s| s.observed.proxy = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "proxy: unknown",
            bare(|s| s.observed.proxy = Fact::Unknown(error(ErrorKind::Denied))),
            &[],
            RETRY,
            &[],
        ),
        (
            "a foreign host keeps the certificate that it uses; ours that nobody uses go",
            proxy(unused(vec![proxy_host(4, None)])),
            &["delete certificate 6"],
            AGAIN,
            &[(kinds::PROXY_READY, reasons::DELETING, "The proxy host is gone.")],
        ),
        (
            "the host is gone",
            proxy(unused(vec![])),
            &["delete certificate 7", "delete certificate 6"],
            AGAIN,
            &[],
        ),
        (
            "nothing is left but the Secret",
            bare(|_| {}),
            &["delete secret"],
            AGAIN,
            &[(
                kinds::CERTIFICATE_READY,
                reasons::DELETING,
                "The certificate is gone.",
            )],
        ),
        (
            "nothing is left",
            bare(|s| s.observed.secret_gone = true),
            &[],
            RELEASED,
            &[],
        ),
    ]);
}

#[test]
fn only_the_clusters_list_proves_a_virtual_machine() {
    let listed = |is_container: Option<bool>| {
        with(Scene::reserved(), |scene| {
            let conflict = ProviderError::new(ErrorKind::Conflict, "something is in the way");
            scene.observed.container = Fact::Unknown(conflict);
            let mut survey = cluster();
            survey.guests.extend(is_container.map(|is_container| {
                let guest = crate::providers::container_host::GuestSummary {
                    node: "a".to_owned(),
                    is_container,
                    running: Some(true),
                    owner_hint: None,
                    memory: Mib(1024),
                    lock: None,
                    usage: None,
                };
                (reservation().vmid, guest)
            }));
            scene.observed.survey = Fact::Known(Arc::new(survey));
        })
    };
    // A lock on our own container is a conflict as well: it must neither be left behind nor made a second time.
    for unproven in [listed(Some(true)), listed(None)] {
        let removal = gone(&unproven.status, DeletionPolicy::Delete, &unproven.observed);
        assert_eq!((removal.actions, removal.next), (vec![], RETRY));
        let living = super::super::plan::live(&unproven.status, &unproven.observed, now());
        assert!(living.actions.is_empty() && !living.verdict.choose_again);
    }
    let machine = listed(Some(false));
    let removal = gone(&machine.status, DeletionPolicy::Delete, &machine.observed);
    assert_eq!(removal.actions, [Action::DeleteSecret]);
    assert!(
        super::super::plan::live(&machine.status, &machine.observed, now())
            .verdict
            .choose_again
    );
}
