//! What comes when all parts stand: the page, the snapshot, and the word Ready.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::site::{Action, Observed, Served};
use super::super::verdict::{PARTS, Verdict};
use super::{SitePlan, failed, is_made, restart_due, sizes, wait};
use crate::api::condition::{is_true, kinds, reasons};
use crate::api::{Phase, SiteTask, TaskOperation, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::providers::container_host::INITIAL_SNAPSHOT;
use crate::providers::edge::Page;
use crate::providers::{ErrorKind, ProviderError};

/// Seconds after which a container that was started should serve its pages: Debian with MariaDB, PHP and nginx takes some
/// ten, a node that starts many at once several times that.
const STARTED_SECONDS: u64 = 60;
const NOT_YET: &str = "WordPress does not answer through the proxy yet.";

pub(super) fn finish(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    observed: &Observed,
    actions: Vec<Action>,
) -> SitePlan {
    let before_page = [
        kinds::CONTAINER_READY,
        kinds::NAME_READY,
        kinds::CERTIFICATE_READY,
        kinds::PROXY_READY,
        kinds::INSTALL_READY,
    ];
    let all_before = before_page
        .iter()
        .filter(|kind| !(status.adopted && **kind == kinds::INSTALL_READY))
        .all(|kind| verdict.is_good(kind));
    let shown = verdict.parts.iter().any(|part| part.kind == kinds::PAGE_READY);
    if !all_before || !actions.is_empty() {
        // A part that was good before does not count while those below it are being repaired.
        verdict.working(
            kinds::PAGE_READY,
            reasons::WAITING,
            "Waiting for the parts before it.",
        );
        let next = match (&verdict.failure, actions.is_empty()) {
            (_, false) => Next::Again { persist: false },
            (Some((_, error)), true) => after_failure(error),
            (None, true) => Next::Poll,
        };
        return Plan {
            actions,
            next,
            verdict,
        };
    }
    match &observed.page {
        _ if !shown => {}
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(_) | Fact::Known(Page::Other(_)) if may_still_come(observed) => {
            verdict.working(kinds::PAGE_READY, reasons::WAITING, NOT_YET);
            return wait(verdict, Next::Poll);
        }
        Fact::Unknown(error) => return failed(verdict, kinds::PAGE_READY, error),
        Fact::Known(Page::WordPress) => {
            if status.adopted && !verdict.is_good(kinds::INSTALL_READY) {
                verdict.good(
                    kinds::INSTALL_READY,
                    "WordPress was there before and was taken over.",
                );
            }
            verdict.good(kinds::PAGE_READY, "WordPress answers through the proxy.")
        }
        Fact::Known(Page::Installer) => {
            let message = "the proxy shows WordPress' installer: the site is not set up and open to strangers; check the container's web root";
            return failed(
                verdict,
                kinds::PAGE_READY,
                &ProviderError::new(ErrorKind::Unexpected, message),
            );
        }
        Fact::Known(Page::Other(what)) => {
            let message = format!("the proxy does not show WordPress but {what}");
            return failed(
                verdict,
                kinds::PAGE_READY,
                &ProviderError::new(ErrorKind::Unavailable, message),
            );
        }
    }
    snapshot(verdict, status, observed, actions)
}

/// Whether it is too early to call a page missing: the proxy takes a moment to load a host that was changed, and
/// WordPress to answer in a container that was started.
fn may_still_come(observed: &Observed) -> bool {
    let starts = |task: &SiteTask| {
        matches!(
            task.operation,
            TaskOperation::Create | TaskOperation::Start | TaskOperation::Restart | TaskOperation::Rollback
        )
    };
    let container = observed.container.known().and_then(Option::as_ref);
    let usage = container.and_then(|container| container.usage);
    observed.page_changed
        || observed.tasks.iter().any(|(task, _)| starts(task))
        || usage.is_some_and(|usage| usage.uptime_seconds < STARTED_SECONDS)
}

pub(super) fn snapshot(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    observed: &Observed,
    mut actions: Vec<Action>,
) -> SitePlan {
    if !verdict.is_good(kinds::SNAPSHOT_READY) {
        match &observed.snapshots {
            Fact::Unread => return wait(verdict, Next::Again { persist: false }),
            // What was good a moment ago is not any more: look at all parts.
            Fact::Unknown(error) if observed.carried && error.is_not_found() => {
                return wait(verdict, Next::Closer);
            }
            Fact::Unknown(error) => return failed(verdict, kinds::SNAPSHOT_READY, error),
            Fact::Known(snapshots) => match snapshots
                .iter()
                .find(|snapshot| snapshot.name == INITIAL_SNAPSHOT)
            {
                Some(snapshot) if snapshot.broken.is_none() => {
                    verdict.good(kinds::SNAPSHOT_READY, "The snapshot initial exists.")
                }
                Some(_) => {
                    let message = "the snapshot initial was left half done by a failed task; delete it on the node, it is taken again";
                    return failed(
                        verdict,
                        kinds::SNAPSHOT_READY,
                        &ProviderError::new(ErrorKind::Conflict, message),
                    );
                }
                // A snapshot is taken only of what was seen to be ours in this pass.
                None if observed.carried => return wait(verdict, Next::Closer),
                None => {
                    verdict.working(
                        kinds::SNAPSHOT_READY,
                        reasons::PROVISIONING,
                        "The snapshot is being taken.",
                    );
                    actions.push(Action::Snapshot);
                    return Plan {
                        actions,
                        next: Next::Poll,
                        verdict,
                    };
                }
            },
        }
    }
    if !verdict.all_good() {
        // Carried over from a status that does not say so.
        return wait(verdict, Next::Closer);
    }
    verdict.phase = Phase::Running;
    // What was asked for while the site was made follows now, with a look at everything.
    let next = match !is_made(status) && more_is_asked(&verdict, status, observed) {
        true => Next::Closer,
        false => Next::Settled,
    };
    wait(verdict, next)
}

/// Whether more is asked of the site than to be made.
fn more_is_asked(verdict: &Verdict, status: &WordPressSiteStatus, observed: &Observed) -> bool {
    observed.terms.as_ref().is_some_and(|terms| {
        let wishes = &terms.wishes;
        wishes.rest().is_some()
            || wishes.served() != Served::Site
            || restart_due(status, terms).is_some()
            || verdict.resources.is_some_and(|given| !sizes::fit(given, terms))
    })
}

/// Whether a status says that the container was never made and waits for a free place.
pub fn only_a_place_awaited(status: &WordPressSiteStatus) -> bool {
    let queued = |condition: &Condition| {
        condition.type_ == kinds::CONTAINER_READY && condition.reason == reasons::QUEUED
    };
    status.node.is_none() && status.tasks.is_empty() && status.conditions.iter().any(queued)
}

/// Whether a status says that every part that does not need WordPress was good at the end of the last pass.
pub fn only_install_awaited(status: &WordPressSiteStatus) -> bool {
    let good = |kind: &str| is_true(&status.conditions, kind);
    let before = [
        kinds::CONTAINER_READY,
        kinds::NAME_READY,
        kinds::CERTIFICATE_READY,
        kinds::PROXY_READY,
    ];
    !good(kinds::INSTALL_READY) && !status.adopted && before.into_iter().all(good) && status.tasks.is_empty()
}

/// Whether a status says that all parts but the snapshot were good at the end of the last pass.
pub fn only_snapshot_missing(status: &WordPressSiteStatus) -> bool {
    let good = |kind: &str| is_true(&status.conditions, kind);
    let others = PARTS.iter().filter(|kind| **kind != kinds::SNAPSHOT_READY);
    !good(kinds::SNAPSHOT_READY)
        && others.into_iter().all(|kind| good(kind))
        && status
            .tasks
            .iter()
            .all(|task| task.operation == TaskOperation::Snapshot)
}
