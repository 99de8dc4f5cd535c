//! What a pass would do for a site, in words, without doing it.

use super::domains::DomainStep;
use super::site::{Action, Observed, Reservation, Terms, WEB_PORT};
use super::{SiteKind, SiteSubject, report};
use crate::api::condition::{State, kinds, reasons};
use crate::controllers::runner::{Difference, Foresight, Foretell, Plan, Sign};
use crate::domain::Fqdn;
use crate::providers::container_host::{ArchiveRestore, ContainerSettings, INITIAL_SNAPSHOT};
use crate::providers::dns_host::RecordSpec;

/// Reasons of parts that will come by themselves.
const COMING: [&str; 4] = [
    reasons::WAITING,
    reasons::PROVISIONING,
    reasons::QUEUED,
    reasons::TASK_RUNNING,
];

impl Foretell for SiteKind {
    fn describe(&self, _: &SiteSubject, action: &Action) -> Vec<Difference> {
        vec![words(action)]
    }

    fn foresee(
        &self,
        subject: &SiteSubject,
        observed: &Observed,
        plan: &Plan<Action, <Self as crate::controllers::runner::Kind>::Verdict>,
    ) -> Foresight {
        let (verdict, Some(terms)) = (&plan.verdict.0, &observed.terms) else {
            return Foresight::default();
        };
        if verdict.block.is_some() || verdict.unchanged {
            return Foresight::default();
        }
        let reserved = plan.actions.iter().find_map(|action| match action {
            Action::Reserve(reservation) => Some(reservation.clone()),
            _ => None,
        });
        let then = match reserved.or_else(|| Reservation::of(&subject.status)) {
            Some(reservation) if subject.deleting => remains(&reservation, plan),
            Some(reservation) => {
                let acted = |kind: &str| {
                    let acts = |action: &Action| {
                        !matches!(action, Action::Reserve(_)) && report::part_of(action) == kind
                    };
                    plan.actions.iter().any(acts)
                };
                let comes = verdict
                    .parts
                    .iter()
                    .filter(|part| part.state != State::True && COMING.contains(&part.reason));
                let made = matches!(observed.container.known(), Some(Some(_)));
                let parts = comes
                    .filter(|part| !(acted(part.kind) || made && part.kind == kinds::CONTAINER_READY))
                    .filter_map(|part| part_words(part.kind, terms, &reservation));
                parts.collect()
            }
            None => Vec::new(),
        };
        Foresight {
            then,
            complaints: Vec::new(),
        }
    }

    fn rehearsed(&self, subject: &SiteSubject, action: &Action) {
        if let Action::Reserve(reservation) = action
            && let Ok(resolved) = self.resolve(subject)
        {
            // Only the index of this process learns of it.
            let _ = self.reserve(subject, &resolved, reservation);
        }
        if let Action::Domain(fqdn, DomainStep::Hold) = action {
            // Likewise: a second object of the rehearsal is told of the first.
            let _ = self.hold_domain(subject, fqdn);
        }
    }
}

/// One part of a site that is taken over; `None` for what is only looked at.
fn taken_over(kind: &str, terms: &Terms, reservation: &Reservation) -> Option<Difference> {
    let (vmid, address, host) = (reservation.vmid, reservation.address, &reservation.host);
    let (sign, what) = match kind {
        kinds::CONTAINER_READY => (
            Sign::Alter,
            format!("container {vmid} at {address}: taken over as it is"),
        ),
        kinds::NAME_READY => (
            Sign::Alter,
            format!(
                "{}: taken over, or made if it is missing",
                record_words(&terms.record(host))
            ),
        ),
        kinds::CERTIFICATE_READY => (
            Sign::Add,
            format!("{}, if it is missing", certificate_words(host)),
        ),
        kinds::PROXY_READY => (
            Sign::Alter,
            format!("proxy host {host} to {address}:{WEB_PORT}: taken over, or made if it is missing"),
        ),
        kinds::SNAPSHOT_READY => (
            Sign::Add,
            format!("snapshot {INITIAL_SNAPSHOT}, if it is missing"),
        ),
        _ => return None,
    };
    Some(Difference::new(sign, what))
}

/// One part of a site that is still to be made; `None` for what is only looked at.
fn part_words(kind: &str, terms: &Terms, reservation: &Reservation) -> Option<Difference> {
    if reservation.adopted {
        return taken_over(kind, terms, reservation);
    }
    let host = &reservation.host;
    let what = match kind {
        kinds::CONTAINER_READY => {
            let sizes = &terms.sizes;
            let managed = if sizes.high_availability {
                ", high availability"
            } else {
                ""
            };
            format!(
                "container {} at {} ({} cores, {} MiB memory, {} GiB disk{managed})",
                reservation.vmid, reservation.address, sizes.cores, sizes.memory_mib, sizes.disk_gib
            )
        }
        kinds::NAME_READY => record_words(&terms.record(host)),
        kinds::CERTIFICATE_READY => certificate_words(host),
        kinds::PROXY_READY => format!("proxy host {host} to {}:{WEB_PORT}", reservation.address),
        kinds::INSTALL_READY => INSTALLATION.to_owned(),
        kinds::SNAPSHOT_READY => format!("snapshot {INITIAL_SNAPSHOT}"),
        _ => return None,
    };
    Some(Difference::new(Sign::Add, what))
}

/// What is left of a site whose removal has begun.
fn remains<V>(reservation: &Reservation, plan: &Plan<Action, V>) -> Vec<Difference> {
    let host = &reservation.host;
    let all = [
        (kinds::PROXY_READY, format!("proxy host {host}")),
        (kinds::CERTIFICATE_READY, certificate_words(host)),
        (kinds::NAME_READY, format!("record {host}")),
        (
            kinds::CONTAINER_READY,
            format!("container {} with its snapshots", reservation.vmid),
        ),
        (
            kinds::INSTALL_READY,
            "Secret with the passwords in the cluster".to_owned(),
        ),
    ];
    let gone = |kind: &str| {
        let removes = |action: &Action| {
            report::part_of(action) == kind
                && !matches!(
                    action,
                    Action::Stop | Action::RemoveHighAvailability | Action::DeleteSnapshot(_)
                )
        };
        plan.actions.iter().any(removes)
    };
    let left = all.into_iter().filter(|(kind, _)| !gone(kind));
    left.map(|(_, what)| Difference::new(Sign::Remove, format!("{what}, if it is there")))
        .collect()
}

/// The installation and what it leaves in the cluster.
const INSTALLATION: &str = "WordPress in the container, with a Secret for its passwords";

fn certificate_words(host: &Fqdn) -> String {
    format!("certificate of {host}")
}

fn record_words(spec: &RecordSpec) -> String {
    let ttl = match spec.ttl {
        Some(ttl) => format!("ttl {ttl}"),
        None => "ttl automatic".to_owned(),
    };
    format!("record {} {} ({ttl})", spec.name, spec.data)
}

/// What a step for a domain changes.
fn domain_words(fqdn: &Fqdn, step: &DomainStep) -> (Sign, String) {
    match step {
        DomainStep::Hold => (
            Sign::Add,
            format!("domain {fqdn}, with certificate and proxy host"),
        ),
        DomainStep::RequestCertificate => (Sign::Add, certificate_words(fqdn)),
        DomainStep::AdoptHost(id) => (Sign::Alter, format!("proxy host {} of {fqdn}: taken over", id.0)),
        DomainStep::CreateHost(spec) => (
            Sign::Add,
            format!(
                "proxy host {fqdn} to {}:{}",
                spec.forward_address, spec.forward_port
            ),
        ),
        DomainStep::UpdateHost(_, spec) => (
            Sign::Alter,
            format!(
                "proxy host {fqdn} to {}:{}",
                spec.forward_address, spec.forward_port
            ),
        ),
        DomainStep::SetEnabled(_, enabled) => {
            let word = if *enabled { "enabled" } else { "disabled" };
            (Sign::Alter, format!("proxy host {fqdn}: {word}"))
        }
        DomainStep::DeleteHost(id) => (Sign::Remove, format!("proxy host {} of {fqdn}", id.0)),
        DomainStep::DeleteCertificate(id) => (Sign::Remove, format!("certificate {} of {fqdn}", id.0)),
    }
}

fn settings_words(settings: &ContainerSettings) -> String {
    format!(
        "container: {} cores, {} memory, {} swap",
        settings.cores, settings.memory, settings.swap
    )
}

/// What a restore brings back.
fn recovery_words(restore: &ArchiveRestore) -> String {
    format!(
        "container {} on node {}, restored from the backup archive {}",
        restore.id, restore.node, restore.archive
    )
}

/// What an action changes.
fn words(action: &Action) -> Difference {
    let (sign, what) = match action {
        Action::Reserve(Reservation {
            vmid, address, host, ..
        }) => (
            Sign::Add,
            format!("reservation of {host}, number {vmid} and address {address}"),
        ),
        Action::Create(spec) => (
            Sign::Add,
            format!(
                "container {} at {} on node {} ({} cores, {} memory, {} disk)",
                spec.id, spec.address, spec.node, spec.cores, spec.memory, spec.disk
            ),
        ),
        Action::Recover(restore) => (Sign::Add, recovery_words(restore)),
        Action::Adopt => (Sign::Alter, "container: taken over".to_owned()),
        Action::AdoptRecord(_, _, spec) => (Sign::Alter, format!("{}: taken over", record_words(spec))),
        Action::AdoptHost(id) => (Sign::Alter, format!("proxy host {}: taken over", id.0)),
        Action::Start => (Sign::Alter, "container: started".to_owned()),
        Action::Restart => (Sign::Alter, "container: restarted".to_owned()),
        Action::Configure(settings) => (Sign::Alter, settings_words(settings)),
        Action::Grow(disk) => (Sign::Alter, format!("container: disk grown to {disk}")),
        Action::EnsureHighAvailability(state) => (
            Sign::Alter,
            format!(
                "high availability of the container: {}",
                format!("{state:?}").to_lowercase()
            ),
        ),
        Action::Install { .. } => (Sign::Add, INSTALLATION.to_owned()),
        Action::CreateRecord(_, spec) => (Sign::Add, record_words(spec)),
        Action::UpdateRecord(_, old, spec) => (
            Sign::Alter,
            format!("record {} {} -> {}", spec.name, old.spec.data, spec.data),
        ),
        Action::RequestCertificate(host) => (Sign::Add, certificate_words(host)),
        Action::CreateHost(spec) | Action::UpdateHost(_, spec) => {
            let sign = match action {
                Action::CreateHost(_) => Sign::Add,
                _ => Sign::Alter,
            };
            let names: Vec<&str> = spec.domains.iter().map(Fqdn::as_str).collect();
            let (to, port) = (spec.forward_address, spec.forward_port);
            (sign, format!("proxy host {} to {to}:{port}", names.join(", ")))
        }
        Action::EnableHost(_) => (Sign::Alter, "proxy host: enabled".to_owned()),
        Action::DisableHost(_) => (Sign::Alter, "proxy host: disabled".to_owned()),
        Action::Snapshot => (Sign::Add, format!("snapshot {INITIAL_SNAPSHOT}")),
        Action::RemoveHighAvailability => (Sign::Remove, "high availability of the container".to_owned()),
        Action::Stop => (Sign::Alter, "container: shut down".to_owned()),
        Action::DeleteSnapshot(name) => (Sign::Remove, format!("snapshot {name}")),
        Action::Destroy => (Sign::Remove, "container".to_owned()),
        Action::DeleteRecord(_, record) => (Sign::Remove, record_words(&record.spec)),
        Action::DeleteHost(id) => (Sign::Remove, format!("proxy host {}", id.0)),
        Action::DeleteCertificate(id) => (Sign::Remove, format!("certificate {}", id.0)),
        Action::Announce(names) => {
            let names: Vec<&str> = names.iter().map(Fqdn::as_str).collect();
            (
                Sign::Alter,
                format!("WordPress answers under {}", names.join(", ")),
            )
        }
        Action::Domain(fqdn, step) => domain_words(fqdn, step),
        Action::DeleteSecret => (
            Sign::Remove,
            "Secret with the passwords in the cluster".to_owned(),
        ),
    };
    Difference::new(sign, what)
}
