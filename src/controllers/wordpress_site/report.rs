//! The new status: from the verdict, what the actions came to, and the old status. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::domains::{DomainDone, parsed};
use super::site::{Action, Done, Wishes};
use super::verdict::Verdict;
use super::{SiteKind, SiteSubject};
use crate::api::condition::{Finding, State, kinds, merge, reasons};
use crate::api::{DomainState, Phase, SiteDomain, SiteQuotaUse, TaskOperation, WordPressSiteStatus};
use crate::controllers::judgement::SYNCED_MESSAGE;
use crate::controllers::runner::{Acted, Outcome};

/// What a site says that waits for its container, whether it was just reserved or stands in the queue.
pub const QUEUED_MESSAGE: &str =
    "Waiting for its turn: the container host creates a few containers at a time.";
/// The same for the removal.
const QUEUED_REMOVAL: &str = "Waiting for its turn: the container host destroys a few containers at a time.";

/// The new status.
pub fn status(
    subject: &SiteSubject,
    verdict: &Verdict,
    outcomes: &[Acted<'_, SiteKind>],
    terms: Option<&super::site::Terms>,
    now: Timestamp,
) -> WordPressSiteStatus {
    let generation = subject.object.metadata.generation;
    let mut status = subject.status.clone();
    status.observed_generation = generation;
    status.node = verdict.node.clone();
    status.usage = verdict.usage.clone();
    status.certificate = verdict.certificate.clone();
    if verdict.unchanged {
        status.conditions = confirmed(&subject.status.conditions, verdict, generation, now);
        return status;
    }
    status.tasks = verdict.tasks.clone();
    status.resources = verdict.resources.or(status.resources);
    status.restart = verdict.restart.clone();
    status.recovery = verdict.recovery.clone();
    status.restarted_at = verdict.restarted_at.clone();
    status.announced_domains = verdict.announced.clone();
    if verdict.choose_again {
        (status.vmid, status.private_ip, status.reserved_at) = (None, None, None);
        status.adopted = false;
    }
    if verdict.make_anew {
        // The reservation is kept: the new container gets number, address and name of the lost one.
        (status.node, status.reserved_at) = (None, Some(Time(now)));
    }
    if let Some(domains) = &verdict.domains {
        status.domains = domains.entries.clone();
        if let Some(used) = &domains.quota {
            status.quota.get_or_insert_default().domains = used.clone();
        }
    }
    let mut verdict = verdict.clone();
    for (action, outcome) in outcomes {
        match outcome {
            Ok(Outcome::Done(done) | Outcome::Started(done) | Outcome::Wait(done)) => {
                take(&mut status, &mut verdict, done, terms)
            }
            Err(error) => verdict.failed(part_of(action), error),
        }
    }
    if verdict.is_good(kinds::INSTALL_READY) && status.credentials_secret.is_none() && !status.adopted {
        // A golden template installs by itself, and an answer may have been lost: the passwords lie there all the same.
        status.credentials_secret = Some(super::secret::name_of(&subject.object));
    }
    status.phase = Some(verdict.phase);
    verdict
        .notes
        .extend(super::plan::domains_finding(&status.domains));
    status.conditions = merge(&subject.status.conditions, &verdict.findings(), generation, now);
    status
}

/// Counts the backups of a site against what its Plan allows. Without a Plan the last count stays.
pub fn count_backups(status: &mut WordPressSiteStatus, used: i32, wishes: &Wishes) {
    let known = wishes.without_plan.is_none() && status.vmid.is_some();
    // A site of a Plan without backups that has none has nothing to show.
    if known && (status.quota.is_some() || used > 0 || wishes.backups > 0) {
        status.quota.get_or_insert_default().backups = SiteQuotaUse::new(used, wishes.backups);
    }
}

fn take(
    status: &mut WordPressSiteStatus,
    verdict: &mut Verdict,
    done: &Done,
    terms: Option<&super::site::Terms>,
) {
    match done {
        Done::Reserved(reservation) => {
            if let Some(terms) = terms {
                reservation.store(status, terms);
            }
        }
        Done::Task(task) => {
            let part = match task.operation {
                TaskOperation::Snapshot => kinds::SNAPSHOT_READY,
                // Visitors notice nothing of a growing disk.
                TaskOperation::Resize => kinds::PLAN_APPLIED,
                _ => kinds::CONTAINER_READY,
            };
            if part == kinds::CONTAINER_READY && verdict.phase != Phase::Terminating {
                verdict.working(part, reasons::TASK_RUNNING, super::plan::words(task));
            }
            status.tasks.push(task.clone());
        }
        Done::Queued if verdict.phase == Phase::Terminating => {
            verdict.working(kinds::CONTAINER_READY, reasons::QUEUED, QUEUED_REMOVAL);
        }
        Done::Domain(fqdn, DomainDone::Held) => {
            let of_name = |entry: &&mut SiteDomain| parsed(&entry.name).as_ref() == Ok(fqdn);
            if let Some(entry) = status.domains.iter_mut().find(of_name) {
                entry.state = DomainState::Issuing;
            }
        }
        Done::Announced(names) => {
            status.announced_domains = names.iter().map(ToString::to_string).collect();
        }
        Done::Installing { secret } => status.credentials_secret = Some(secret.clone()),
        _ => {}
    }
}

/// The part that an action is for.
pub(super) fn part_of(action: &Action) -> &'static str {
    match action {
        Action::CreateRecord(..)
        | Action::UpdateRecord(..)
        | Action::AdoptRecord(..)
        | Action::DeleteRecord(..) => kinds::NAME_READY,
        Action::RequestCertificate(_) | Action::DeleteCertificate(_) => kinds::CERTIFICATE_READY,
        Action::CreateHost(_)
        | Action::UpdateHost(..)
        | Action::AdoptHost(_)
        | Action::EnableHost(_)
        | Action::DisableHost(_)
        | Action::DeleteHost(_) => kinds::PROXY_READY,
        Action::Domain(..) | Action::Announce(_) => kinds::DOMAINS_READY,
        Action::Configure(_) | Action::Grow(_) => kinds::PLAN_APPLIED,
        Action::Install { .. } | Action::DeleteSecret => kinds::INSTALL_READY,
        Action::Snapshot => kinds::SNAPSHOT_READY,
        _ => kinds::CONTAINER_READY,
    }
}

/// The conditions of a site whose parts are left as they are.
fn confirmed(
    old: &[Condition],
    verdict: &Verdict,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let synced = Finding::new(kinds::SYNCED, State::True, reasons::SYNCED, SYNCED_MESSAGE);
    let synced = merge(old, &[synced], generation, now);
    let mut conditions = old.to_vec();
    if verdict.confirmed {
        // What kept us from acting before (a pause, a missing Secret) is over.
        conditions.retain(|condition| condition.type_ != kinds::STALLED);
        let at = conditions
            .iter()
            .position(|condition| condition.type_ == kinds::SYNCED);
        conditions.retain(|condition| condition.type_ != kinds::SYNCED);
        let (before, after) = conditions.split_at(at.unwrap_or(conditions.len()).min(conditions.len()));
        conditions = [before, &synced, after].concat();
    }
    for condition in &mut conditions {
        condition.observed_generation = generation;
    }
    conditions
}
