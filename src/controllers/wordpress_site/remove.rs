//! What to do for a site that shall be gone. Pure and total. The finalizer goes only when every part was seen
//! absent.

use super::plan::{
    SitePlan, blocked, creation, domains_removed, failed, own_certificates, tasks, unmarked, wait,
};
use super::site::{Action, Observed, Reservation, Terms};
use super::verdict::Verdict;
use crate::api::condition::{kinds, reasons};
use crate::api::{DeletionPolicy, Phase, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::runner::{Next, Plan};
use crate::providers::container_host::{Container, TaskState};
use crate::providers::reverse_proxy::ProxyHost;
use crate::providers::{ErrorKind, ProviderError};

/// The plan for a site that shall be gone.
pub fn gone(status: &WordPressSiteStatus, policy: DeletionPolicy, observed: &Observed) -> SitePlan {
    let mut verdict = Verdict::of(status);
    verdict.phase = Phase::Terminating;
    if policy == DeletionPolicy::Retain {
        let message = "Everything outside is left as it is, for deletionPolicy is Retain.";
        verdict.block = Some(Block {
            reason: reasons::RETAINED,
            message: message.to_owned(),
            keeps_ready: false,
        });
        return wait(verdict, Next::Released { announce: true });
    }
    let Some(reservation) = Reservation::of(status) else {
        return match status.vmid.is_some() || status.node.is_some() {
            true => damaged(verdict),
            // Nothing is ever made outside before the reservation is stored.
            false => secret(verdict, observed),
        };
    };
    if let Some(refusal) = &observed.refusal {
        let message = format!(
            "{}; or set deletionPolicy to Retain, then nothing outside is removed.",
            refusal.message.trim_end_matches('.')
        );
        return blocked(
            verdict,
            Block {
                reason: refusal.reason,
                message,
                keeps_ready: false,
            },
        );
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    if let Some(plan) = tasks(&mut verdict, observed) {
        return plan;
    }
    let container = match &observed.container {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        // The number is a virtual machine's: somebody else's, as a container without our mark is.
        Fact::Unknown(_) if observed.is_machine(reservation.vmid) => {
            return outside(verdict, status, (terms, &reservation), observed);
        }
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(container) => container.as_ref(),
    };
    match container {
        Some(own) if own.mark.as_ref() == Some(&terms.owner) => return take_down(verdict, own, observed),
        Some(other) => {
            if let Some(next) = unmarked(&mut verdict, status, other, observed) {
                return wait(verdict, next);
            }
        }
        None => {
            if let Some(plan) = absent(&mut verdict, status, observed) {
                return plan;
            }
        }
    }
    outside(verdict, status, (terms, &reservation), observed)
}

/// Our container is there: out of high availability, down, without snapshots, destroyed.
fn take_down(mut verdict: Verdict, container: &Container, observed: &Observed) -> SitePlan {
    let id = container.id;
    if let Some(lock) = &container.lock {
        let message = format!(
            "Container {id} is locked ({lock}); waiting for the end of that work. If it stays, run `pct unlock {id}` on node {}.",
            container.node
        );
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, message);
        return wait(verdict, Next::Poll);
    }
    verdict.working(
        kinds::CONTAINER_READY,
        reasons::DELETING,
        format!("Container {id} is being removed."),
    );
    let step = |action: Action, next: Next, verdict: Verdict| Plan {
        actions: vec![action],
        next,
        verdict,
    };
    if container.high_availability.is_some() {
        return step(
            Action::RemoveHighAvailability,
            Next::Again { persist: false },
            verdict,
        );
    }
    if container.running {
        return step(Action::Stop, Next::Poll, verdict);
    }
    let snapshots = match &observed.snapshots {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(snapshots) => snapshots,
    };
    // The newest first: LINSTOR of some versions cannot roll back or delete in the middle (facts, section 7).
    match snapshots
        .iter()
        .max_by(|a, b| (a.taken_at, &a.name).cmp(&(b.taken_at, &b.name)))
    {
        Some(newest) => step(Action::DeleteSnapshot(newest.name.clone()), Next::Poll, verdict),
        None => step(Action::Destroy, Next::Again { persist: true }, verdict),
    }
}

/// No container of our number: is one still on its way, or has a volume been left? `None` when neither is.
fn absent(verdict: &mut Verdict, status: &WordPressSiteStatus, observed: &Observed) -> Option<SitePlan> {
    match &observed.creations {
        Fact::Unread if status.node.is_none() => {
            return Some(wait(verdict.clone(), Next::Again { persist: false }));
        }
        Fact::Unknown(error) => return Some(failed(verdict.clone(), kinds::CONTAINER_READY, error)),
        Fact::Known(creations) => {
            if let Some(task) = creations.iter().find(|task| task.state == TaskState::Running) {
                verdict.tasks.push(creation(status, task));
                verdict.working(
                    kinds::CONTAINER_READY,
                    reasons::TASK_RUNNING,
                    "The container is still being created.",
                );
                return Some(wait(verdict.clone(), Next::Poll));
            }
        }
        Fact::Unread => {}
    }
    match &observed.volumes {
        Fact::Unread => Some(wait(verdict.clone(), Next::Again { persist: false })),
        Fact::Unknown(error) => Some(failed(verdict.clone(), kinds::CONTAINER_READY, error)),
        Fact::Known(volumes) if volumes.is_empty() => None,
        Fact::Known(volumes) => {
            let message = format!(
                "the container is gone, but its volumes {} are left; remove them on the storage",
                volumes.join(", ")
            );
            Some(failed(
                verdict.clone(),
                kinds::CONTAINER_READY,
                &ProviderError::new(ErrorKind::Conflict, message),
            ))
        }
    }
}

/// Name, proxy host, certificate, Secret, in this order. A certificate goes last: deleting one that a host uses
/// breaks every later change of any host.
fn outside(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    (terms, reservation): (&Terms, &Reservation),
    observed: &Observed,
) -> SitePlan {
    verdict.working(
        kinds::CONTAINER_READY,
        reasons::DELETING,
        "The container is gone.",
    );
    let domains = remove_domains(&mut verdict, status, (terms, reservation), observed);
    let removed = match domains {
        Ok(Step::Absent) => remove_outside(&mut verdict, terms, reservation, observed),
        other => other,
    };
    match removed {
        Err((kind, error)) => failed(verdict, kind, error),
        Ok(Step::Unread) => wait(verdict, AGAIN),
        Ok(Step::Act(actions)) => Plan {
            actions,
            next: AGAIN,
            verdict,
        },
        Ok(Step::Absent) => secret(verdict, observed),
    }
}

/// Another round at once.
const AGAIN: Next = Next::Again { persist: false };

/// How far the removal of a part is.
enum Step {
    /// Nobody looked yet.
    Unread,
    /// This removes it.
    Act(Vec<Action>),
    /// It was seen absent.
    Absent,
}

type Removal<'a> = Result<Step, (&'static str, &'a ProviderError)>;

fn remove_outside<'a>(
    verdict: &mut Verdict,
    terms: &Terms,
    reservation: &Reservation,
    observed: &'a Observed,
) -> Removal<'a> {
    for remove in [remove_name, remove_host, remove_certificate] {
        match remove(verdict, terms, reservation, observed)? {
            Step::Absent => {}
            other => return Ok(other),
        }
    }
    Ok(Step::Absent)
}

/// The customer's domains, each with its host before its certificate.
fn remove_domains<'a>(
    verdict: &mut Verdict,
    status: &WordPressSiteStatus,
    (terms, reservation): (&Terms, &Reservation),
    observed: &'a Observed,
) -> Removal<'a> {
    if !status.domains.iter().any(|domain| domain.state.is_held()) {
        return Ok(Step::Absent);
    }
    let Some(domains) = &observed.domains else {
        return Ok(Step::Unread);
    };
    let actions = domains_removed(domains, terms, &reservation.host);
    let actions = actions.map_err(|error| (kinds::PROXY_READY, error))?;
    if actions.is_empty() {
        return Ok(Step::Absent);
    }
    let message = "The proxy hosts and certificates of the domains are being removed.";
    verdict.working(kinds::PROXY_READY, reasons::DELETING, message);
    Ok(Step::Act(actions))
}

fn remove_name<'a>(
    verdict: &mut Verdict,
    terms: &Terms,
    _: &Reservation,
    observed: &'a Observed,
) -> Removal<'a> {
    let (zone, records) = match (&observed.zone, &observed.records) {
        (Fact::Unknown(error), _) | (_, Fact::Unknown(error)) => return Err((kinds::NAME_READY, error)),
        (Fact::Known(Some(zone)), Fact::Known(records)) => (zone, records),
        (Fact::Known(None), _) => {
            verdict.working(kinds::NAME_READY, reasons::DELETING, "The record is gone.");
            return Ok(Step::Absent);
        }
        _ => return Ok(Step::Unread),
    };
    let actions: Vec<Action> = records
        .iter()
        .filter(|record| record.mark.as_ref() == Some(&terms.owner))
        .map(|record| Action::DeleteRecord(zone.clone(), record.clone()))
        .collect();
    let words = ["The record is being removed.", "The record is gone."];
    Ok(step(verdict, kinds::NAME_READY, words, actions))
}

fn remove_host<'a>(
    verdict: &mut Verdict,
    terms: &Terms,
    _: &Reservation,
    observed: &'a Observed,
) -> Removal<'a> {
    let survey = match &observed.proxy {
        Fact::Unread => return Ok(Step::Unread),
        Fact::Unknown(error) => return Err((kinds::PROXY_READY, error)),
        Fact::Known(survey) => survey,
    };
    let actions: Vec<Action> = survey
        .hosts
        .iter()
        .filter(|host| host.mark.as_ref() == Some(&terms.owner))
        .map(|host| Action::DeleteHost(host.id))
        .collect();
    let words = ["The proxy host is being removed.", "The proxy host is gone."];
    Ok(step(verdict, kinds::PROXY_READY, words, actions))
}

fn remove_certificate<'a>(
    verdict: &mut Verdict,
    _: &Terms,
    reservation: &Reservation,
    observed: &'a Observed,
) -> Removal<'a> {
    let Fact::Known(survey) = &observed.proxy else {
        return Ok(Step::Unread);
    };
    let served = |host: &ProxyHost| host.spec.domains.contains(&reservation.host);
    if reservation.adopted && survey.hosts.iter().any(served) {
        // Our own are gone, so that the name and all that is for it have stayed somebody else's.
        return Ok(Step::Absent);
    }
    let in_use = |id| survey.hosts.iter().any(|host| host.spec.certificate == Some(id));
    let actions: Vec<Action> = own_certificates(survey, &reservation.host)
        .filter(|id| !in_use(*id))
        .map(Action::DeleteCertificate)
        .collect();
    let words = ["The certificate is being removed.", "The certificate is gone."];
    Ok(step(verdict, kinds::CERTIFICATE_READY, words, actions))
}

fn step(verdict: &mut Verdict, kind: &'static str, [going, gone]: [&str; 2], actions: Vec<Action>) -> Step {
    if actions.is_empty() {
        verdict.working(kind, reasons::DELETING, gone);
        return Step::Absent;
    }
    verdict.working(kind, reasons::DELETING, going);
    Step::Act(actions)
}

/// The status was changed by somebody: what belongs to the site cannot be told any more.
fn damaged(verdict: Verdict) -> SitePlan {
    let message = "The reservation in the status is incomplete, so that what belongs to the site cannot be told. Restore the status, or remove what is outside by hand and set deletionPolicy to Retain.";
    blocked(
        verdict,
        Block {
            reason: reasons::UNEXPECTED,
            message: message.to_owned(),
            keeps_ready: false,
        },
    )
}

fn secret(verdict: Verdict, observed: &Observed) -> SitePlan {
    if observed.secret_gone {
        return wait(verdict, Next::Released { announce: false });
    }
    Plan {
        actions: vec![Action::DeleteSecret],
        next: Next::Again { persist: false },
        verdict,
    }
}
