//! What to do for a site that shall exist. Pure and total: the same input gives the same plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;

use super::reserve;
use super::site::{Action, Fact, Observed, Reservation, Steady, Terms, WEB_PORT};
use super::verdict::{Block, Verdict};
use crate::api::condition::{is_true, kinds, reasons};
use crate::api::{Phase, SiteTask, TaskOperation, WordPressSiteStatus};
use crate::controllers::runner::{Next, Plan, after_failure};
use crate::domain::{Fqdn, Gib, Mib};
use crate::providers::container_host::{Container, ContainerSpec, HaState, INITIAL_SNAPSHOT, TaskState};
use crate::providers::dns_host::RecordData;
use crate::providers::edge::Page;
use crate::providers::reverse_proxy::{ProxyHostSpec, ProxySurvey};
use crate::providers::site_installer::InstallState;
use crate::providers::{ErrorKind, ProviderError};

/// What a site says while its installation runs.
const INSTALLING_MESSAGE: &str = "WordPress is being installed.";

/// A plan for a site.
pub type SitePlan = Plan<Action, Verdict>;

/// The plan for a site that shall exist.
pub fn live(status: &WordPressSiteStatus, observed: &Observed, now: Timestamp) -> SitePlan {
    let mut verdict = Verdict::of(status);
    if let Some(refusal) = &observed.refusal {
        let block = Block {
            reason: refusal.reason,
            message: refusal.message.clone(),
            keeps_ready: true,
        };
        return blocked(verdict, block);
    }
    let Some(terms) = &observed.terms else {
        return wait(verdict, Next::Retry { at_least: None });
    };
    if let Some(rival) = &observed.rival {
        let message = format!(
            "The serviceId belongs to {rival}, which is older; nothing is done for this object. Delete one of the two."
        );
        return blocked(
            verdict,
            Block {
                reason: reasons::SERVICE_ID_CONFLICT,
                message,
                keeps_ready: false,
            },
        );
    }
    if let Some(steady) = &observed.steady {
        return settled(verdict, steady);
    }
    let Some(reservation) = Reservation::of(status) else {
        return reservation_of(verdict, terms, observed, now);
    };
    if let Some(plan) = tasks(&mut verdict, observed) {
        return plan;
    }
    if observed.carried {
        return snapshot(verdict, observed, Vec::new());
    }
    if observed.installing {
        verdict.working(kinds::INSTALL_READY, reasons::PROVISIONING, INSTALLING_MESSAGE);
        return wait(verdict, Next::Poll);
    }
    match &observed.container {
        Fact::Unread => wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(None) => create(verdict, status, terms, &reservation, observed),
        Fact::Known(Some(container)) => present(verdict, status, terms, &reservation, container, observed),
    }
}

/// Nothing can be done until something changes.
pub fn blocked(mut verdict: Verdict, block: Block) -> SitePlan {
    verdict.phase = match verdict.phase {
        Phase::Provisioning => Phase::Pending,
        // Nothing is known to be wrong with the site, only with our way to it.
        Phase::Degraded if block.keeps_ready && verdict.was_ready => Phase::Running,
        other => other,
    };
    verdict.block = Some(block);
    Plan {
        actions: Vec::new(),
        next: Next::Settled,
        verdict,
    }
}

/// No action now.
pub fn wait(verdict: Verdict, next: Next) -> SitePlan {
    Plan {
        actions: Vec::new(),
        next,
        verdict,
    }
}

/// A look failed: the retry policy says when to look again.
pub fn failed(mut verdict: Verdict, kind: &'static str, error: &ProviderError) -> SitePlan {
    verdict.failed(kind, error);
    wait(verdict, after_failure(error))
}

fn settled(mut verdict: Verdict, steady: &Steady) -> SitePlan {
    verdict.unchanged = true;
    match steady {
        Steady::Agrees { node } => {
            verdict.confirmed = true;
            verdict.node = node.clone().or(verdict.node);
            wait(verdict, Next::Settled)
        }
        Steady::Differs(_) => wait(verdict, Next::Closer),
        Steady::Unknown(error) => wait(verdict, after_failure(error)),
    }
}

fn reservation_of(mut verdict: Verdict, terms: &Terms, observed: &Observed, now: Timestamp) -> SitePlan {
    let (vacancy, survey) = match (&observed.vacancy, &observed.survey) {
        (Fact::Unknown(error), _) | (_, Fact::Unknown(error)) => {
            return failed(verdict, kinds::CONTAINER_READY, error);
        }
        (Fact::Known(vacancy), Fact::Known(survey)) => (vacancy, survey),
        _ => return wait(verdict, Next::Again { persist: false }),
    };
    match reserve::choose(terms, vacancy, survey, now) {
        Err(block) => blocked(verdict, block),
        Ok(reserve) => {
            // The words of a site that waits in the queue, so that waiting there is no change of its status.
            verdict.working(
                kinds::CONTAINER_READY,
                reasons::QUEUED,
                super::report::QUEUED_MESSAGE,
            );
            Plan {
                actions: vec![reserve],
                next: Next::Again { persist: true },
                verdict,
            }
        }
    }
}

/// Tasks under way come first: nothing else touches a container meanwhile. `None` when none is.
pub fn tasks(verdict: &mut Verdict, observed: &Observed) -> Option<SitePlan> {
    for (task, state) in &observed.tasks {
        let kind = if task.operation == TaskOperation::Snapshot {
            kinds::SNAPSHOT_READY
        } else {
            kinds::CONTAINER_READY
        };
        match state {
            Fact::Known(TaskState::Running) | Fact::Unread => {
                verdict.tasks.push(task.clone());
                verdict.working(kind, reasons::TASK_RUNNING, words(task));
            }
            Fact::Unknown(error) => {
                verdict.tasks.push(task.clone());
                verdict.failed(kind, error);
            }
            // What a finished or forgotten task has come to, the container itself tells.
            Fact::Known(TaskState::Succeeded { .. } | TaskState::Unknown) => {}
            Fact::Known(TaskState::Failed(sentence)) => {
                let message = format!(
                    "{} failed: {sentence}; it is tried again.",
                    words(task).trim_end_matches('.')
                );
                let error = ProviderError::new(ErrorKind::Unavailable, message);
                verdict.failed(kind, &error);
                verdict.set(
                    kind,
                    crate::api::condition::State::False,
                    reasons::TASK_FAILED,
                    error.message(),
                );
            }
        }
    }
    if let Some((_, error)) = verdict.failure.clone() {
        return Some(wait(verdict.clone(), after_failure(&error)));
    }
    (!verdict.tasks.is_empty()).then(|| wait(verdict.clone(), Next::Poll))
}

/// What a task does, for people.
pub fn words(task: &SiteTask) -> &'static str {
    match task.operation {
        TaskOperation::Create => "The container is being created.",
        TaskOperation::Start => "The container is being started.",
        TaskOperation::Stop => "The container is being shut down.",
        TaskOperation::Snapshot => "The snapshot is being taken.",
        TaskOperation::DeleteSnapshot => "A snapshot is being deleted.",
        TaskOperation::Destroy => "The container is being destroyed.",
    }
}

fn create(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    terms: &Terms,
    reservation: &Reservation,
    observed: &Observed,
) -> SitePlan {
    if status.node.is_some() {
        let message = format!(
            "Container {} is gone from Provider {}, although nobody asked for its removal. Nothing is created in its place, for that would be an empty site: restore it there under the same number, or delete this object.",
            reservation.vmid, terms.providers.compute
        );
        verdict.working(kinds::CONTAINER_READY, reasons::DEGRADED, message.clone());
        return blocked(
            verdict,
            Block {
                reason: reasons::DEGRADED,
                message,
                keeps_ready: false,
            },
        );
    }
    let running = match &observed.creations {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(creations) => creations.iter().find(|task| task.state == TaskState::Running),
    };
    if let Some(task) = running {
        // Its answer was lost, but it goes on: follow it instead of asking twice.
        let task = SiteTask {
            operation: TaskOperation::Create,
            id: task.id.0.clone(),
        };
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, words(&task));
        verdict.tasks.push(task);
        return wait(verdict, Next::Poll);
    }
    let survey = match &observed.survey {
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::CONTAINER_READY, error),
        Fact::Known(survey) => survey,
    };
    let Some(node) = reserve::node(terms, survey) else {
        let message = format!(
            "no node of Provider {} that is up can hold the container",
            terms.providers.compute
        );
        return failed(
            verdict,
            kinds::CONTAINER_READY,
            &ProviderError::new(ErrorKind::Unavailable, message),
        );
    };
    verdict.working(
        kinds::CONTAINER_READY,
        reasons::QUEUED,
        super::report::QUEUED_MESSAGE,
    );
    let spec = container_spec(terms, reservation, node);
    Plan {
        actions: vec![Action::Create(spec)],
        next: Next::Again { persist: true },
        verdict,
    }
}

fn container_spec(terms: &Terms, reservation: &Reservation, node: String) -> ContainerSpec {
    let positive = |number: i32| u32::try_from(number).unwrap_or_default();
    ContainerSpec {
        id: reservation.vmid,
        node,
        hostname: reservation.label.clone(),
        address: reservation.address,
        memory: Mib(positive(terms.sizes.memory_mib)),
        swap: Mib(positive(terms.sizes.swap_mib)),
        cores: positive(terms.sizes.cores),
        disk: Gib(positive(terms.sizes.disk_gib)),
        mark: terms.owner.clone(),
        environment: BTreeMap::new(),
    }
}

fn present(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    terms: &Terms,
    reservation: &Reservation,
    container: &Container,
    observed: &Observed,
) -> SitePlan {
    let id = container.id;
    if container.mark.as_ref() != Some(&terms.owner) {
        return not_ours(verdict, status, container, observed);
    }
    verdict.node = Some(container.node.clone());
    if let Some(lock) = &container.lock {
        let message = format!(
            "Container {id} is locked ({lock}) by other work on it; waiting for its end. If it stays, run `pct unlock {id}` on node {}.",
            container.node
        );
        verdict.working(kinds::CONTAINER_READY, reasons::TASK_RUNNING, message);
        return wait(verdict, Next::Poll);
    }
    let mut actions = Vec::new();
    let managed = container.high_availability.as_ref();
    let wanted = terms.sizes.high_availability;
    let in_place = managed.is_some_and(|ha| ha.placed && !ha.error && ha.requested == HaState::Started);
    if managed.is_some_and(|ha| ha.error) {
        actions.push(Action::EnsureHighAvailability(HaState::Disabled));
    }
    if (wanted && !in_place) || (managed.is_some() && !container.running) {
        actions.push(Action::EnsureHighAvailability(HaState::Started));
    }
    if !container.running {
        let message = format!("Container {id} is stopped and is being started.");
        verdict.working(kinds::CONTAINER_READY, reasons::PROVISIONING, message);
        if managed.is_none() && actions.is_empty() {
            actions.push(Action::Start);
        }
        return Plan {
            actions,
            next: Next::Poll,
            verdict,
        };
    }
    verdict.good(kinds::CONTAINER_READY, format!("Container {id} runs."));
    install(&mut verdict, status, container, observed, &mut actions);
    name(&mut verdict, terms, &reservation.host, observed, &mut actions);
    proxy(&mut verdict, terms, reservation, observed, &mut actions);
    finish(verdict, observed, actions)
}

fn not_ours(
    mut verdict: Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    observed: &Observed,
) -> SitePlan {
    let id = container.id;
    let hidden = container.mark.is_none() && container.lock.as_deref() == Some("create");
    if hidden && status.node.is_none() {
        // While a container is being created its mark cannot be seen. Whose it is shows at the end.
        verdict.working(
            kinds::CONTAINER_READY,
            reasons::TASK_RUNNING,
            format!("Container {id} is being created."),
        );
        let running = observed
            .creations
            .known()
            .into_iter()
            .flatten()
            .find(|task| task.state == TaskState::Running);
        verdict.tasks.extend(running.map(|task| SiteTask {
            operation: TaskOperation::Create,
            id: task.id.0.clone(),
        }));
        return wait(verdict, Next::Poll);
    }
    if status.node.is_none() {
        verdict.choose_again = true;
        return wait(verdict, Next::Again { persist: false });
    }
    let whose = container
        .mark
        .as_ref()
        .map_or_else(|| "no mark of ours".to_owned(), |mark| format!("the mark {mark}"));
    let message = format!(
        "Guest {id} ({}) on node {} carries {whose}: it is not this site's and is not touched. Restore the site's container under its number, or delete this object.",
        container.hostname, container.node
    );
    verdict.working(kinds::CONTAINER_READY, reasons::CONFLICT, message.clone());
    blocked(
        verdict,
        Block {
            reason: reasons::CONFLICT,
            message,
            keeps_ready: false,
        },
    )
}

fn install(
    verdict: &mut Verdict,
    status: &WordPressSiteStatus,
    container: &Container,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    if verdict.is_good(kinds::INSTALL_READY) {
        return;
    }
    let begin = Action::Install {
        node: container.node.clone(),
    };
    match &observed.install {
        Fact::Unread => {}
        Fact::Unknown(error) => verdict.failed(kinds::INSTALL_READY, error),
        Fact::Known(InstallState::Done) => verdict.good(kinds::INSTALL_READY, "WordPress is installed."),
        Fact::Known(InstallState::Running) => {
            verdict.working(kinds::INSTALL_READY, reasons::PROVISIONING, INSTALLING_MESSAGE);
        }
        Fact::Known(InstallState::Idle) => {
            verdict.working(kinds::INSTALL_READY, reasons::PROVISIONING, INSTALLING_MESSAGE);
            actions.push(begin);
        }
        Fact::Known(InstallState::Failed(error)) => {
            // First it is said and waited, then tried again: the wait grows with the failures.
            let said = status.conditions.iter().any(|condition| {
                condition.type_ == kinds::INSTALL_READY && condition.message == error.message()
            });
            if said {
                actions.push(begin);
                verdict.working(kinds::INSTALL_READY, reasons::PROVISIONING, INSTALLING_MESSAGE);
            } else {
                verdict.failed(kinds::INSTALL_READY, error);
            }
        }
    }
}

fn name(verdict: &mut Verdict, terms: &Terms, host: &Fqdn, observed: &Observed, actions: &mut Vec<Action>) {
    let dns = &terms.providers.dns;
    let zone = match &observed.zone {
        Fact::Known(Some(zone)) => zone,
        Fact::Known(None) => {
            let message = format!(
                "no zone of Provider {dns} holds {host}; add the zone of {} there or correct the Plan's baseDomain",
                terms.base_domain
            );
            return verdict.failed(
                kinds::NAME_READY,
                &ProviderError::new(ErrorKind::Unavailable, message),
            );
        }
        Fact::Unknown(error) => return verdict.failed(kinds::NAME_READY, error),
        Fact::Unread => return,
    };
    let records = match &observed.records {
        Fact::Known(records) => records,
        Fact::Unknown(error) => return verdict.failed(kinds::NAME_READY, error),
        Fact::Unread => return,
    };
    let wanted = terms.record(host);
    let ours: Vec<_> = records
        .iter()
        .filter(|record| record.mark.as_ref() == Some(&terms.owner))
        .collect();
    let keep = ours
        .iter()
        .find(|record| record.spec == wanted)
        .or_else(|| ours.first());
    for extra in ours
        .iter()
        .filter(|record| keep.is_some_and(|keep| keep.id != record.id))
    {
        actions.push(Action::DeleteRecord(zone.clone(), extra.id.clone()));
    }
    let addressing = |data: &RecordData| {
        matches!(
            data,
            RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_)
        )
    };
    match keep {
        Some(record) if record.spec == wanted => verdict.good(
            kinds::NAME_READY,
            format!("{host} points to {}.", terms.public_address),
        ),
        Some(record) => {
            verdict.working(
                kinds::NAME_READY,
                reasons::PROVISIONING,
                format!("The record of {host} is being corrected."),
            );
            actions.push(Action::UpdateRecord(zone.clone(), record.id.clone(), wanted));
        }
        None => match records
            .iter()
            .find(|record| record.mark.as_ref() != Some(&terms.owner) && addressing(&record.spec.data))
        {
            Some(foreign) => {
                let message = format!(
                    "{host} has the record {} at Provider {dns}, which does not carry our mark and is not touched; remove it there",
                    foreign.spec.data
                );
                verdict.failed(
                    kinds::NAME_READY,
                    &ProviderError::new(ErrorKind::Conflict, message),
                );
            }
            None => {
                verdict.working(
                    kinds::NAME_READY,
                    reasons::PROVISIONING,
                    format!("The record of {host} is being made."),
                );
                actions.push(Action::CreateRecord(zone.clone(), wanted));
            }
        },
    }
}

fn proxy(
    verdict: &mut Verdict,
    terms: &Terms,
    reservation: &Reservation,
    observed: &Observed,
    actions: &mut Vec<Action>,
) {
    let survey = match &observed.proxy {
        Fact::Known(survey) => survey,
        Fact::Unknown(error) => {
            verdict.failed(kinds::CERTIFICATE_READY, error);
            return verdict.failed(kinds::PROXY_READY, error);
        }
        Fact::Unread => return,
    };
    let host = &reservation.host;
    let name_in_sight = verdict.is_good(kinds::NAME_READY)
        || actions
            .iter()
            .any(|a| matches!(a, Action::CreateRecord(..) | Action::UpdateRecord(..)));
    let Some(certificate) = own_certificate(survey, host) else {
        verdict.working(
            kinds::PROXY_READY,
            reasons::WAITING,
            "Waiting for the certificate.",
        );
        if name_in_sight {
            verdict.working(
                kinds::CERTIFICATE_READY,
                reasons::PROVISIONING,
                format!("The certificate of {host} is being requested."),
            );
            actions.push(Action::RequestCertificate(host.clone()));
        } else {
            verdict.working(
                kinds::CERTIFICATE_READY,
                reasons::WAITING,
                "Waiting for the name.",
            );
        }
        return;
    };
    verdict.good(
        kinds::CERTIFICATE_READY,
        format!("The certificate of {host} exists."),
    );
    let wanted = ProxyHostSpec {
        domains: BTreeSet::from([host.clone()]),
        forward_address: IpAddr::V4(reservation.address),
        forward_port: WEB_PORT,
        certificate: Some(certificate),
    };
    let holder = survey
        .hosts
        .iter()
        .find(|other| other.spec.domains.contains(host));
    match holder {
        None => {
            verdict.working(
                kinds::PROXY_READY,
                reasons::PROVISIONING,
                format!("The proxy host of {host} is being made."),
            );
            actions.push(Action::CreateHost(wanted));
        }
        Some(other) if other.mark.as_ref() != Some(&terms.owner) => {
            let message = format!(
                "{host} is served by proxy host {} at Provider {}, which does not carry our mark and is not touched; remove it there",
                other.id.0, terms.providers.proxy
            );
            verdict.failed(
                kinds::PROXY_READY,
                &ProviderError::new(ErrorKind::Conflict, message),
            );
        }
        Some(own) if own.spec != wanted || own.deviates => {
            verdict.working(
                kinds::PROXY_READY,
                reasons::PROVISIONING,
                format!("The proxy host of {host} is being corrected."),
            );
            actions.push(Action::UpdateHost(own.id, wanted));
        }
        Some(own) if !own.enabled => {
            verdict.working(
                kinds::PROXY_READY,
                reasons::PROVISIONING,
                format!("The proxy host of {host} is being enabled."),
            );
            actions.push(Action::EnableHost(own.id));
        }
        Some(own) => match &own.problem {
            Some(problem) => {
                let message = format!(
                    "Provider {} could not load proxy host {}: {problem}",
                    terms.providers.proxy, own.id.0
                );
                verdict.failed(
                    kinds::PROXY_READY,
                    &ProviderError::new(ErrorKind::Unavailable, message),
                );
            }
            None => verdict.good(
                kinds::PROXY_READY,
                format!("{host} is served from {}.", reservation.address),
            ),
        },
    }
}

/// The certificate for exactly this name that the proxy keeps by itself. The proxy leaves no place for a mark in
/// it; the name was free of certificates when it was reserved, so one for exactly this name is ours.
pub fn own_certificate(
    survey: &ProxySurvey,
    host: &Fqdn,
) -> Option<crate::providers::reverse_proxy::CertificateId> {
    let exactly = BTreeSet::from([host.clone()]);
    survey
        .certificates
        .iter()
        .filter(|c| c.automatic && c.domains == exactly)
        .map(|c| c.id)
        .max()
}

fn finish(mut verdict: Verdict, observed: &Observed, actions: Vec<Action>) -> SitePlan {
    let before_page = [
        kinds::CONTAINER_READY,
        kinds::NAME_READY,
        kinds::CERTIFICATE_READY,
        kinds::PROXY_READY,
        kinds::INSTALL_READY,
    ];
    let all_before = before_page.iter().all(|kind| verdict.is_good(kind));
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
        Fact::Unread => return wait(verdict, Next::Again { persist: false }),
        Fact::Unknown(error) => return failed(verdict, kinds::PAGE_READY, error),
        Fact::Known(Page::WordPress) => {
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
    snapshot(verdict, observed, actions)
}

fn snapshot(mut verdict: Verdict, observed: &Observed, mut actions: Vec<Action>) -> SitePlan {
    if !verdict.is_good(kinds::SNAPSHOT_READY) {
        match &observed.snapshots {
            Fact::Unread => return wait(verdict, Next::Again { persist: false }),
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
    verdict.phase = Phase::Running;
    wait(verdict, Next::Settled)
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
    !good(kinds::INSTALL_READY) && before.into_iter().all(good) && status.tasks.is_empty()
}

/// Whether a status says that all parts but the snapshot were good at the end of the last pass.
pub fn only_snapshot_missing(status: &WordPressSiteStatus) -> bool {
    let good = |kind: &str| is_true(&status.conditions, kind);
    let others = super::verdict::PARTS
        .iter()
        .filter(|kind| **kind != kinds::SNAPSHOT_READY);
    !good(kinds::SNAPSHOT_READY)
        && others.into_iter().all(|kind| good(kind))
        && status
            .tasks
            .iter()
            .all(|task| task.operation == TaskOperation::Snapshot)
}
