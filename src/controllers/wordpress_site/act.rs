//! Doing: one action, one or few outside calls, and what came of it.

use std::collections::BTreeSet;

use kube::runtime::reflector::ObjectRef;

use super::domains::{self, DomainStep};
use super::resolve::{Backends, Resolved};
use super::site::{Action, Done, Observed, Reservation};
use super::{SiteKind, SiteSubject};
use crate::api::TaskOperation;
use crate::controllers::connections::Compute;
use crate::controllers::fact::Fact;
use crate::controllers::ledger::Claim;
use crate::controllers::runner::Outcome;
use crate::controllers::tasks;
use crate::domain::Fqdn;
use crate::providers::container_host::{ArchiveRestore, ContainerSpec, INITIAL_SNAPSHOT, TaskId};
use crate::providers::dns_host::{RecordChange, ZoneId};
use crate::providers::site_installer::{InstallRequest, InstallTarget};
use crate::providers::{ErrorKind, ProviderError};

type Acted = Result<Outcome<Done>, ProviderError>;

/// User name of WordPress' first administrator. Not `admin`, which is what everybody tries first.
const ADMIN_USER: &str = "siteowner";

impl SiteKind {
    /// Does one action.
    pub(super) async fn perform(&self, subject: &SiteSubject, action: &Action) -> Acted {
        let resolved = match self.resolve(subject) {
            Ok(resolved) => resolved,
            // Without its back-ends a site may still let go of its Secret.
            Err(_) if *action == Action::DeleteSecret => return self.delete_secret(subject).await,
            Err(refusal) => return Err(ProviderError::new(ErrorKind::Unavailable, refusal.message)),
        };
        match action {
            Action::Reserve(reservation) => self.reserve(subject, &resolved, reservation),
            Action::Create(spec) => self.create(subject, &resolved, spec).await,
            Action::Recover(restore) => self.recover(subject, &resolved, restore).await,
            Action::Install { node } => self.install(subject, &resolved, node).await,
            Action::DeleteSecret => self.delete_secret(subject).await,
            Action::Adopt
            | Action::Start
            | Action::Restart
            | Action::Configure(_)
            | Action::Grow(_)
            | Action::EnsureHighAvailability(_)
            | Action::Snapshot
            | Action::RemoveHighAvailability
            | Action::Stop
            | Action::DeleteSnapshot(_) => container(subject, &resolved, action).await,
            Action::Destroy => self.destroy(subject, &resolved).await,
            Action::CreateRecord(zone, spec) => {
                change(&resolved, zone, RecordChange::Create(spec.clone())).await
            }
            Action::UpdateRecord(zone, record, spec) => {
                change(
                    &resolved,
                    zone,
                    RecordChange::Update(record.clone(), spec.clone()),
                )
                .await
            }
            Action::AdoptRecord(zone, record, spec) => {
                let adopt = RecordChange::Adopt(record.clone(), spec.clone());
                change(&resolved, zone, adopt).await
            }
            Action::DeleteRecord(zone, record) => {
                change(&resolved, zone, RecordChange::Delete(record.clone())).await
            }
            Action::Announce(names) => self.announce(subject, &resolved, names).await,
            Action::Domain(fqdn, step) => Ok(self.domain_step(subject, &resolved, fqdn, step).await),
            Action::RequestCertificate(_)
            | Action::AdoptHost(_)
            | Action::CreateHost(_)
            | Action::UpdateHost(..)
            | Action::EnableHost(_)
            | Action::DisableHost(_)
            | Action::DeleteHost(_)
            | Action::DeleteCertificate(_) => proxy(&resolved, action).await,
        }
    }

    /// Enters a reservation into the ledger: nobody outside this process learns of it.
    pub(super) fn reserve(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        reservation: &Reservation,
    ) -> Acted {
        let claim = Claim {
            compute: resolved.backends.compute.name.clone(),
            vmid: reservation.vmid,
            address: reservation.address,
            host: reservation.host.clone(),
        };
        if self.ledger.claim(&subject.uid(), &claim) {
            return Ok(Outcome::Done(Done::Reserved(reservation.clone())));
        }
        Err(ProviderError::new(
            ErrorKind::Conflict,
            "another site was faster to reserve; choosing again",
        ))
    }

    /// Whether the container host has a place for a task of the site, which is taken with that.
    fn takes_place(&self, subject: &SiteSubject, compute: &Compute) -> bool {
        self.ledger
            .take_place(&compute.name, compute.places, &subject.uid())
    }

    async fn create(&self, subject: &SiteSubject, resolved: &Resolved, spec: &ContainerSpec) -> Acted {
        let compute = &resolved.backends.compute;
        if !self.takes_place(subject, compute) {
            return Ok(Outcome::Wait(Done::Queued));
        }
        let mut spec = spec.clone();
        if compute.installs_at_first_boot {
            let request = self.install_request(subject, resolved, &spec.node).await?;
            spec.environment = compute.installer.first_boot_environment(&request);
        }
        match compute.host.create(&spec).await {
            Ok(task) => Ok(started(TaskOperation::Create, task)),
            // Somebody was faster, or our own earlier call had its effect: the next look tells.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Outcome::Wait(Done::ContainerChanged)),
            Err(error) => Err(error),
        }
    }

    async fn recover(&self, subject: &SiteSubject, resolved: &Resolved, restore: &ArchiveRestore) -> Acted {
        let compute = &resolved.backends.compute;
        if !self.takes_place(subject, compute) {
            return Ok(Outcome::Wait(Done::Queued));
        }
        // A conflict is an archive that is not the site's, or a guest that has the number: the next look tells.
        let task = compute.host.restore_archive(restore).await?;
        Ok(started(TaskOperation::Recover, task))
    }

    async fn destroy(&self, subject: &SiteSubject, resolved: &Resolved) -> Acted {
        let compute = &resolved.backends.compute;
        if !self.takes_place(subject, compute) {
            return Ok(Outcome::Wait(Done::Queued));
        }
        let id = reserved(subject)?.vmid;
        let task = compute.host.destroy(id, &resolved.terms.owner).await?;
        Ok(task.map_or(Outcome::Done(Done::ContainerChanged), |task| {
            started(TaskOperation::Destroy, task)
        }))
    }

    async fn install(&self, subject: &SiteSubject, resolved: &Resolved, node: &str) -> Acted {
        let request = self.install_request(subject, resolved, node).await?;
        self.installing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(
                resolved.terms.owner.uid.to_string(),
                ObjectRef::from_obj(subject.object.as_ref()),
            );
        resolved.backends.compute.installer.begin(request).await?;
        Ok(Outcome::Done(Done::Installing {
            secret: super::secret::name_of(&subject.object),
        }))
    }

    /// Tells WordPress of the customer's domains.
    async fn announce(&self, subject: &SiteSubject, resolved: &Resolved, names: &BTreeSet<Fqdn>) -> Acted {
        let reservation = reserved(subject)?;
        let target = InstallTarget {
            owner: resolved.terms.owner.clone(),
            container: reservation.vmid,
            node: subject.status.node.clone().unwrap_or_default(),
            address: reservation.address,
        };
        let installer = &resolved.backends.compute.installer;
        installer.announce(&target, &reservation.host, names).await?;
        Ok(Outcome::Done(Done::Announced(names.clone())))
    }

    async fn install_request(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        node: &str,
    ) -> Result<InstallRequest, ProviderError> {
        let reservation = reserved(subject)?;
        let terms = &resolved.terms;
        let passwords = self.passwords(subject, &reservation.host, ADMIN_USER).await?;
        Ok(InstallRequest {
            target: InstallTarget {
                owner: terms.owner.clone(),
                container: reservation.vmid,
                node: node.to_owned(),
                address: reservation.address,
            },
            title: title(&terms.customer, &reservation.host),
            host: reservation.host,
            https: true,
            admin_user: ADMIN_USER.to_owned(),
            admin_email: terms.email.clone(),
            admin_name: terms.customer.clone(),
            admin_password: passwords.admin,
            database_password: passwords.database,
        })
    }

    async fn delete_secret(&self, subject: &SiteSubject) -> Acted {
        self.remove_secret(subject).await?;
        Ok(Outcome::Done(Done::SecretGone))
    }
}

fn title(customer: &str, host: &Fqdn) -> String {
    if customer.is_empty() {
        host.to_string()
    } else {
        customer.to_owned()
    }
}

fn reserved(subject: &SiteSubject) -> Result<Reservation, ProviderError> {
    Reservation::of(&subject.status).ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Unexpected,
            "the site has no reservation in its status; it is made anew",
        )
    })
}

fn started(operation: TaskOperation, task: TaskId) -> Outcome<Done> {
    Outcome::Started(Done::Task(tasks::kept(operation, &task)))
}

async fn container(subject: &SiteSubject, resolved: &Resolved, action: &Action) -> Acted {
    let host = &resolved.backends.compute.host;
    let owner = &resolved.terms.owner;
    let id = reserved(subject)?.vmid;
    let changed = || Outcome::Done(Done::ContainerChanged);
    Ok(match action {
        Action::Start => host
            .start(id)
            .await?
            .map_or_else(changed, |task| started(TaskOperation::Start, task)),
        Action::Stop => host
            .stop(id)
            .await?
            .map_or_else(changed, |task| started(TaskOperation::Stop, task)),
        Action::Adopt => {
            host.adopt(id, owner).await?;
            changed()
        }
        Action::Restart => started(TaskOperation::Restart, host.restart(id, owner).await?),
        Action::Configure(settings) => {
            host.configure(id, owner, settings).await?;
            Outcome::Done(Done::Configured)
        }
        Action::Grow(disk) => host
            .grow(id, owner, *disk)
            .await?
            .map_or_else(changed, |task| started(TaskOperation::Resize, task)),
        Action::Snapshot => started(
            TaskOperation::Snapshot,
            host.take_snapshot(id, INITIAL_SNAPSHOT, &owner.to_string())
                .await?,
        ),
        Action::DeleteSnapshot(name) => match host.delete_snapshot(id, name).await? {
            Some(task) => started(TaskOperation::DeleteSnapshot, task),
            None => Outcome::Done(Done::SnapshotsChanged),
        },
        Action::EnsureHighAvailability(state) => {
            host.ensure_high_availability(id, owner, *state).await?;
            Outcome::Done(Done::HighAvailability)
        }
        _ => {
            host.remove_high_availability(id).await?;
            changed()
        }
    })
}

async fn change(resolved: &Resolved, zone: &ZoneId, change: RecordChange) -> Acted {
    let Backends { dns, .. } = &resolved.backends;
    let outcome = dns
        .dns
        .apply(zone, &[change], &resolved.terms.owner)
        .await
        .into_iter()
        .next();
    let outcome = outcome.unwrap_or_else(|| {
        Err(ProviderError::new(
            ErrorKind::Unexpected,
            "the change of the record had no outcome",
        ))
    })?;
    Ok(Outcome::Done(outcome.map_or(Done::RecordsChanged, Done::Record)))
}

async fn proxy(resolved: &Resolved, action: &Action) -> Acted {
    let proxy = &resolved.backends.proxy.proxy;
    let owner = &resolved.terms.owner;
    let done = match action {
        Action::RequestCertificate(host) => {
            Done::Certificate(proxy.request_certificate(&[host.clone()].into()).await?)
        }
        Action::CreateHost(spec) => Done::Host(proxy.create_host(spec, owner).await?),
        Action::UpdateHost(id, spec) => Done::Host(proxy.update_host(*id, spec, owner).await?),
        Action::AdoptHost(id) => {
            proxy.adopt_host(*id, owner).await?;
            Done::ProxyChanged
        }
        Action::EnableHost(id) => {
            proxy.set_enabled(*id, true, owner).await?;
            Done::ProxyChanged
        }
        Action::DisableHost(id) => {
            proxy.set_enabled(*id, false, owner).await?;
            Done::ProxyChanged
        }
        Action::DeleteHost(id) => {
            proxy.delete_host(*id, owner).await?;
            Done::ProxyChanged
        }
        Action::DeleteCertificate(id) => {
            proxy.delete_certificate(*id).await?;
            Done::ProxyChanged
        }
        _ => Done::ProxyChanged,
    };
    Ok(Outcome::Done(done))
}

/// What an action puts right when the site was as it shall be before.
pub(super) fn repair(action: &Action) -> Option<String> {
    Some(match action {
        Action::Create(_) | Action::Recover(_) => "the container was gone".to_owned(),
        Action::Adopt => "the container's mark was gone".to_owned(),
        Action::Start => "the container was stopped".to_owned(),
        Action::Stop => "the container was started".to_owned(),
        Action::Configure(_) => "the container's settings".to_owned(),
        Action::EnsureHighAvailability(_) => "the container's high availability".to_owned(),
        Action::CreateRecord(_, spec) | Action::UpdateRecord(_, _, spec) => {
            format!("the record {} {}", spec.name, spec.data)
        }
        Action::RequestCertificate(host) => format!("the certificate of {host}"),
        Action::CreateHost(_) | Action::UpdateHost(..) | Action::EnableHost(_) | Action::DisableHost(_) => {
            "the proxy host".to_owned()
        }
        Action::Domain(fqdn, DomainStep::UpdateHost(..) | DomainStep::SetEnabled(..)) => {
            format!("the proxy host of {fqdn}")
        }
        _ => return None,
    })
}

/// Whether visitors may see another page afterwards.
fn changes_page(done: &Done) -> bool {
    matches!(
        done,
        Done::Task(_)
            | Done::HighAvailability
            | Done::ContainerChanged
            | Done::Configured
            | Done::ProxyChanged
            | Done::Host(_)
    )
}

/// Takes what an action brought into what is known, so that the next round does not read it again.
pub fn absorb(mut observed: Observed, done: &Done) -> Observed {
    if changes_page(done) {
        // What visitors saw before says nothing of what they see now.
        (observed.page, observed.page_changed) = (Fact::Unread, true);
    }
    match done {
        // What was seen before belongs to no number or to another one.
        Done::Reserved(_) => return Observed::default(),
        Done::Announced(_) => {}
        Done::Task(_) | Done::Queued | Done::Installing { .. } => observed.install = Fact::Unread,
        Done::HighAvailability | Done::ContainerChanged => observed.container = Fact::Unread,
        Done::Configured => (observed.container, observed.configured) = (Fact::Unread, true),
        Done::SnapshotsChanged => observed.snapshots = Fact::Unread,
        Done::RecordsChanged => observed.records = Fact::Unread,
        Done::ProxyChanged => observed.proxy = Fact::Unread,
        Done::Domain(fqdn, done) => {
            if let Some(domains) = &mut observed.domains {
                domains::absorb(domains, fqdn, done);
            }
        }
        Done::SecretGone => observed.secret_gone = true,
        Done::Record(record) => {
            if let Fact::Known(records) = &mut observed.records {
                records.retain(|other| other.id != record.id);
                records.push(record.clone());
            }
        }
        Done::Certificate(certificate) => {
            if let Fact::Known(survey) = &mut observed.proxy {
                survey.certificates.push(certificate.clone());
            }
        }
        Done::Host(host) => {
            if let Fact::Known(survey) = &mut observed.proxy {
                survey.hosts.retain(|other| other.id != host.id);
                survey.hosts.push(host.clone());
            }
        }
    }
    observed
}
