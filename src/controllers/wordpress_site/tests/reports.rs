//! `report::status`, `act::absorb` and the retry policy: what is stored, and what is known after an action.

use std::time::Duration;

use super::super::act::absorb;
use super::super::remove::gone;
use super::super::site::{Done, Vacancy};
use super::super::verdict::PARTS;
use super::super::{SiteKind, report};
use super::*;
use crate::api::condition::is_true;
use crate::api::{DeletionPolicy, Phase};
use crate::controllers::judgement::Block;
use crate::controllers::ledger::Taken;
use crate::controllers::runner::{Acted, Kind, Outcome, after_failure};

fn stored(
    scene: &Scene,
    verdict: &Verdict,
    outcomes: &[(Action, Result<Outcome<Done>, ProviderError>)],
) -> WordPressSiteStatus {
    let acted: Vec<Acted<'_, SiteKind>> = outcomes
        .iter()
        .map(|(action, outcome)| {
            let outcome = match outcome {
                Ok(Outcome::Done(done)) => Ok(Outcome::Done(done.clone())),
                Ok(Outcome::Started(done)) => Ok(Outcome::Started(done.clone())),
                Ok(Outcome::Wait(done)) => Ok(Outcome::Wait(done.clone())),
                Err(error) => Err(error.clone()),
            };
            (action, outcome)
        })
        .collect();
    let subject = subject(scene.status.clone(), false, false);
    report::status(&subject, verdict, &acted, Some(&terms()), now())
}

fn planned(scene: &Scene) -> Verdict {
    plan::live(&scene.status, &scene.observed, now()).verdict
}

/// Status, reason and message of a condition.
fn told<'a>(status: &'a WordPressSiteStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|c| c.type_ == kind);
    found.map_or(("", "", ""), |c| (&c.status, &c.reason, &c.message))
}

#[test]
fn a_finished_site_is_ready_and_saying_it_again_changes_nothing() {
    let mut scene = Scene::standing();
    let first = stored(&scene, &planned(&scene), &[]);
    let ready = (
        "True",
        reasons::READY,
        "The site is up and answers through the proxy.",
    );
    assert_eq!(told(&first, kinds::READY), ready);
    assert_eq!(
        told(&first, kinds::SYNCED),
        ("True", reasons::SYNCED, "Acting as asked.")
    );
    assert_eq!(told(&first, kinds::STALLED), ("", "", ""));
    assert_eq!(
        (first.phase, first.node.as_deref()),
        (Some(Phase::Running), Some("a"))
    );
    let order: Vec<&str> = first.conditions.iter().map(|c| c.type_.as_str()).collect();
    let expected: Vec<&str> = [kinds::READY, kinds::SYNCED].into_iter().chain(PARTS).collect();
    assert_eq!(order, expected);
    scene.status = first.clone();
    assert_eq!(stored(&scene, &planned(&scene), &[]), first);
}

#[test]
fn what_was_ready_and_is_not_any_more_is_degraded() {
    let mut scene = Scene::standing();
    scene.status = stored(&scene, &planned(&scene), &[]);
    scene.container(|c| c.running = false);
    let status = stored(&scene, &planned(&scene), &[]);
    assert_eq!(
        told(&status, kinds::READY),
        (
            "False",
            reasons::DEGRADED,
            "Container 500 is stopped and is being started."
        )
    );
    assert_eq!(
        (status.phase, told(&status, kinds::SYNCED).0),
        (Some(Phase::Degraded), "True")
    );
}

#[test]
fn a_block_is_in_both_summaries_unless_it_says_nothing_of_the_site() {
    let mut up = Scene::standing();
    up.status = stored(&up, &planned(&up), &[]);
    for (scene, keeps_ready, ready, phase) in [
        (Scene::reserved(), false, "False", Phase::Pending),
        (Scene::reserved(), true, "False", Phase::Pending),
        (up, true, "True", Phase::Running),
    ] {
        let block = Block {
            reason: reasons::PROVIDER_NOT_FOUND,
            message: "No Provider".to_owned(),
            keeps_ready,
        };
        let verdict = plan::blocked(Verdict::of(&scene.status), block);
        let status = stored(&scene, &verdict.verdict, &[]);
        let told_so = ("False", reasons::PROVIDER_NOT_FOUND, "No Provider");
        assert_eq!(told(&status, kinds::READY).0, ready);
        assert!(ready == "True" || told(&status, kinds::READY) == told_so);
        assert_eq!(told(&status, kinds::SYNCED), told_so);
        assert_eq!(told(&status, kinds::STALLED).0, "");
        assert_eq!(status.phase, Some(phase));
    }
}

#[test]
fn a_failed_action_is_told_at_its_part() {
    let rows = [
        (Action::Start, kinds::CONTAINER_READY),
        (Action::Destroy, kinds::CONTAINER_READY),
        (
            Action::EnsureHighAvailability(HaState::Started),
            kinds::CONTAINER_READY,
        ),
        (
            Action::CreateRecord(zone(), terms().record(&host())),
            kinds::NAME_READY,
        ),
        (
            Action::DeleteRecord(zone(), record("r", own(), right_data())),
            kinds::NAME_READY,
        ),
        (Action::RequestCertificate(host()), kinds::CERTIFICATE_READY),
        (
            Action::DeleteCertificate(CertificateId(7)),
            kinds::CERTIFICATE_READY,
        ),
        (Action::EnableHost(ProxyHostId(3)), kinds::PROXY_READY),
        (Action::Install { node: "a".to_owned() }, kinds::INSTALL_READY),
        (Action::DeleteSecret, kinds::INSTALL_READY),
        (Action::Snapshot, kinds::SNAPSHOT_READY),
    ];
    for (action, kind) in rows {
        for (failure, reason, stalled) in [
            (ErrorKind::Unavailable, reasons::UNAVAILABLE, ""),
            (ErrorKind::Ambiguous, reasons::UNAVAILABLE, ""),
            (ErrorKind::Denied, reasons::DENIED, ""),
            (ErrorKind::Conflict, reasons::CONFLICT, ""),
            (ErrorKind::Throttled { retry_after: None }, reasons::THROTTLED, ""),
            (ErrorKind::NotFound, reasons::UNEXPECTED, ""),
            (ErrorKind::Unexpected, reasons::UNEXPECTED, ""),
            (ErrorKind::Invalid, reasons::REFUSED, "True"),
        ] {
            let scene = Scene::created();
            let outcome = (action.clone(), Err(error(failure)));
            let status = stored(&scene, &planned(&scene), &[outcome]);
            let words = format!("pve: {}", failure.label());
            for told_at in [kind, kinds::READY, kinds::SYNCED] {
                assert_eq!(
                    told(&status, told_at),
                    ("False", reason, words.as_str()),
                    "{action:?}"
                );
            }
            assert_eq!(told(&status, kinds::STALLED).0, stalled, "{action:?}");
        }
    }
}

#[test]
fn what_actions_brought_is_stored() {
    let scene = Scene::fresh();
    let reserve = (
        Action::Reserve(reservation()),
        Ok(Outcome::Done(Done::Reserved(reservation()))),
    );
    let status = stored(&scene, &planned(&scene), &[reserve]);
    assert_eq!(Reservation::of(&status), Some(reservation()));
    assert_eq!(status.url.as_deref(), Some("https://jane.sites.example.com"));
    assert_eq!(
        (status.resources, status.providers),
        (Some(terms().sizes), Some(terms().providers))
    );
    assert_eq!(status.base_domain.as_deref(), Some("sites.example.com"));

    let scene = Scene::reserved();
    let create = task(TaskOperation::Create);
    let begun = (Action::Start, Ok(Outcome::Started(Done::Task(create.clone()))));
    let status = stored(&scene, &planned(&scene), &[begun]);
    assert_eq!(status.tasks, [create]);
    let running = ("False", reasons::TASK_RUNNING, "The container is being created.");
    assert_eq!(told(&status, kinds::CONTAINER_READY), running);

    let secret = "jane-wordpress".to_owned();
    let begun = (
        Action::Start,
        Ok(Outcome::Done(Done::Installing {
            secret: secret.clone(),
        })),
    );
    let status = stored(&scene, &planned(&scene), &[begun]);
    assert_eq!(status.credentials_secret, Some(secret));

    let queued = (Action::Start, Ok(Outcome::Wait(Done::Queued)));
    let status = stored(&scene, &planned(&scene), &[queued]);
    assert_eq!(told(&status, kinds::CONTAINER_READY).1, reasons::QUEUED);
}

#[test]
fn a_number_that_somebody_else_has_is_given_back() {
    let mut scene = Scene::reserved();
    scene.container(|c| c.mark = Some(mark(STRANGER)));
    let status = stored(&scene, &planned(&scene), &[]);
    assert_eq!((status.vmid, Reservation::of(&status)), (None, None));
    assert_eq!(status.host.as_deref(), Some("jane.sites.example.com"));
}

#[test]
fn a_removal_says_where_it_is() {
    let mut scene = Scene::reserved();
    scene.status.node = Some("a".to_owned());
    scene.container(|c| c.running = false);
    scene.observed.snapshots = Fact::Known(vec![]);
    let verdict = gone(&scene.status, DeletionPolicy::Delete, &scene.observed).verdict;
    let status = stored(&scene, &verdict, &[]);
    assert_eq!(status.phase, Some(Phase::Terminating));
    assert_eq!(
        told(&status, kinds::READY),
        ("False", reasons::DELETING, "The site is being removed.")
    );
    assert_eq!(told(&status, kinds::SYNCED).0, "True");

    // Whoever stands in the queue says so: that keeps the place.
    let queued = (Action::Destroy, Ok(Outcome::Wait(Done::Queued)));
    let status = stored(&scene, &verdict, &[queued]);
    assert_eq!(told(&status, kinds::CONTAINER_READY).1, reasons::QUEUED);

    let failed = (Action::Destroy, Err(error(ErrorKind::Unavailable)));
    let status = stored(&scene, &verdict, &[failed]);
    assert_eq!(
        told(&status, kinds::READY),
        ("False", reasons::DELETING, "pve: unavailable")
    );
    assert_eq!(told(&status, kinds::SYNCED).1, reasons::UNAVAILABLE);

    let kept = gone(&scene.status, DeletionPolicy::Retain, &scene.observed).verdict;
    let status = stored(&scene, &kept, &[]);
    assert_eq!(
        (told(&status, kinds::READY).1, told(&status, kinds::SYNCED).0),
        (reasons::RETAINED, "True")
    );
}

#[test]
fn an_unchanged_site_keeps_its_status() {
    let mut scene = Scene::standing();
    scene.status = stored(&scene, &planned(&scene), &[]);
    let verdict = Verdict {
        unchanged: true,
        node: Some("b".to_owned()),
        ..Verdict::of(&scene.status)
    };
    let status = stored(&scene, &verdict, &[]);
    let expected = WordPressSiteStatus {
        node: Some("b".to_owned()),
        ..scene.status
    };
    assert_eq!(status, expected);
}

#[test]
fn a_paused_site_says_so_and_nothing_else() {
    let mut scene = Scene::standing();
    scene.status = stored(&scene, &planned(&scene), &[]);
    let paused = SiteKind::paused(&subject(scene.status.clone(), false, false), now());
    assert!(is_true(&paused.conditions, kinds::READY));
    assert_eq!(told(&paused, kinds::SYNCED).1, reasons::PAUSED);
    assert_eq!(paused.conditions.len(), scene.status.conditions.len());
    assert_eq!(
        SiteKind::paused(&subject(paused.clone(), false, false), now()),
        paused
    );
}

#[test]
fn the_retry_policy_looks_only_at_the_kind() {
    let wait = Some(Duration::from_secs(30));
    for (kind, next) in [
        (ErrorKind::Invalid, Next::Settled),
        (
            ErrorKind::Throttled { retry_after: wait },
            Next::Retry { at_least: wait },
        ),
        (ErrorKind::Throttled { retry_after: None }, RETRY),
        (ErrorKind::NotFound, RETRY),
        (ErrorKind::Conflict, RETRY),
        (ErrorKind::Denied, RETRY),
        (ErrorKind::Unavailable, RETRY),
        (ErrorKind::Ambiguous, RETRY),
        (ErrorKind::Unexpected, RETRY),
    ] {
        assert_eq!(after_failure(&error(kind)), next);
    }
}

#[test]
fn what_an_action_changed_is_read_again_and_nothing_else() {
    let parts = |observed: &Observed| {
        [
            observed.vacancy.is_unread(),
            observed.container.is_unread(),
            observed.records.is_unread(),
            observed.proxy.is_unread(),
            observed.install.is_unread(),
            observed.snapshots.is_unread(),
        ]
    };
    let rows = [
        (Done::HighAvailability, Some(1)),
        (Done::ContainerChanged, Some(1)),
        (Done::RecordsChanged, Some(2)),
        (Done::ProxyChanged, Some(3)),
        (Done::Task(task(TaskOperation::Create)), Some(4)),
        (Done::Queued, Some(4)),
        (
            Done::Installing {
                secret: "s".to_owned(),
            },
            Some(4),
        ),
        (Done::SnapshotsChanged, Some(5)),
        (Done::Record(record("r", own(), right_data())), None),
        (Done::Certificate(own_certificate(8)), None),
        (Done::Host(proxy_host(4, own())), None),
        (Done::SecretGone, None),
    ];
    for (done, unread) in rows {
        let mut observed = Scene::standing().observed;
        observed.vacancy = Fact::Known(Vacancy {
            taken: Taken::default(),
            in_use: BTreeSet::new(),
            orphan: None,
            names: vec![],
            turn: None,
        });
        let observed = absorb(observed, &done);
        let expected = [0, 1, 2, 3, 4, 5].map(|part| Some(part) == unread);
        assert_eq!(parts(&observed), expected, "{done:?}");
        assert_eq!(observed.secret_gone, matches!(done, Done::SecretGone));
    }
}

/// Found by a site that chose another number: it took what it had seen at the old one for the new one.
#[test]
fn a_reservation_makes_everything_unread() {
    let observed = absorb(Scene::standing().observed, &Done::Reserved(reservation()));
    assert!(observed.container.is_unread() && observed.records.is_unread() && observed.proxy.is_unread());
    assert!(observed.install.is_unread() && observed.creations.is_unread() && observed.survey.is_unread());
}

#[test]
fn what_a_write_answered_is_known_at_once() {
    let written = record("r", own(), RecordData::A(ip(99)));
    let observed = absorb(Scene::standing().observed, &Done::Record(written.clone()));
    assert_eq!(observed.records.known(), Some(&vec![written]));
    let mut host = proxy_host(3, own());
    host.enabled = false;
    let observed = absorb(Scene::standing().observed, &Done::Host(host.clone()));
    assert_eq!(observed.proxy.known().unwrap().hosts, [host]);
    let observed = absorb(Scene::standing().observed, &Done::Certificate(own_certificate(9)));
    assert_eq!(observed.proxy.known().unwrap().certificates.len(), 2);
    // What nobody knew stays unknown.
    let observed = absorb(Observed::default(), &Done::Certificate(own_certificate(9)));
    assert!(observed.proxy.is_unread());
}
