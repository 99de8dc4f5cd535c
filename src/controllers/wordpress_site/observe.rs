//! Reading: what is still unknown and needed, in parallel, and never a write.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use jiff::Timestamp;
use kube::ResourceExt;

use super::plan::{
    adopt, announcement_due, archive_needed, domains_outlook, is_calm, is_made, only_a_place_awaited,
    only_install_awaited, only_snapshot_missing, recovery_since, restart_due, restarts_since, sizes_agree,
};
use super::resolve::{Backends, Resolved};
use super::settled;
use super::site::{NameCheck, Observed, Reservation, Served, Steady, Terms, Vacancy};
use super::{SiteKind, SiteSubject};
use crate::api::condition::{is_true, kinds};
use crate::api::{DeletionPolicy, WordPressSite, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::site_restore;
use crate::controllers::tasks;
use crate::domain::{DnsLabel, Fqdn};
use crate::providers::container_host::Operation;
use crate::providers::dns_host::ZoneId;
use crate::providers::reverse_proxy::ProxySurvey;
use crate::providers::site_installer::{InstallState, InstallTarget};
use crate::providers::{ErrorKind, ProviderError};

/// Age of a bulk read that is good enough for a settled site: a wave of triggers shares one read.
const STEADY_AGE: Duration = Duration::from_secs(20);
/// Age of a cluster read that is good enough to choose from: the creation decides in the end.
const CHOICE_AGE: Duration = Duration::from_secs(1);

impl SiteKind {
    /// Fills in what is unread and needed.
    pub(super) async fn look(&self, subject: &SiteSubject, mut known: Observed) -> Observed {
        if subject.deleting && subject.object.spec.deletion_policy == DeletionPolicy::Retain {
            return known;
        }
        let resolved = match self.resolve(subject) {
            Ok(resolved) => resolved,
            Err(refusal) => {
                known.refusal = Some(refusal);
                return known;
            }
        };
        known.terms = Some(resolved.terms.clone());
        if !subject.deleting {
            let namespace = subject.object.namespace().unwrap_or_default();
            known.held = site_restore::held(&self.restores, &(namespace, subject.object.name_any()));
            if known.held.is_some() {
                look_at_tasks(subject, &resolved, &mut known).await;
                return known;
            }
            known.rival = self.rival(&subject.object);
            if known.rival.is_some() {
                return known;
            }
            // A site that was paused says so until somebody has looked at all of it again.
            let settled = is_calm(&subject.status) && is_as_asked(subject, &resolved.terms);
            if settled && !subject.precise {
                known.steady = Some(self.steady(subject, &resolved).await);
                return known;
            }
        }
        match Reservation::of(&subject.status) {
            None if subject.deleting => {}
            None => self.look_around(subject, &resolved, &mut known).await,
            Some(reservation) => {
                self.look_at_parts(subject, &resolved, &reservation, &mut known)
                    .await
            }
        }
        known
    }

    fn rival(&self, object: &WordPressSite) -> Option<String> {
        let title = self.ledger.older_owner(&object.uid()?, &object.spec.service_id)?;
        let namespace = object.namespace().unwrap_or_default();
        // Other customers' namespaces are nobody's business.
        match title.strip_prefix(&format!("{namespace}/")) {
            Some(name) => Some(format!("the site {name}")),
            None => Some("a site in another namespace".to_owned()),
        }
    }

    /// What is needed to reserve.
    async fn look_around(&self, subject: &SiteSubject, resolved: &Resolved, known: &mut Observed) {
        if !known.vacancy.is_unread() || !known.prospect.is_unread() {
            return;
        }
        if resolved.terms.adopt.is_some() {
            return self.look_at_prospect(subject, resolved, known).await;
        }
        let Backends { compute, .. } = &resolved.backends;
        known.survey = compute.survey(CHOICE_AGE).await.into();
        let Some(survey) = known.survey.known() else {
            return;
        };
        let uid = subject.uid();
        let orphan = survey
            .guests
            .iter()
            .find(|(_, guest)| guest.owner_hint.as_ref().is_some_and(|hint| hint.as_str() == uid));
        let orphan = match orphan {
            Some((id, _)) => compute
                .host
                .container(*id)
                .await
                .map(|found| found.filter(|c| c.mark.as_ref() == Some(&resolved.terms.owner))),
            None => Ok(None),
        };
        let ours = self.ledger.taken(&compute.name);
        let (in_use, names) = join(
            compute.host.addresses_in_use(&ours.vmids),
            self.names(&uid, resolved),
        )
        .await;
        let vacancy = async {
            let (orphan, in_use, names) = (orphan?, in_use?, names?);
            // What others hold is read last and under the turn, so that nobody else reserves in between.
            let turn = self.ledger.turn().await;
            let taken = self.ledger.taken_by_others(&compute.name, &uid);
            Ok(Vacancy {
                taken,
                in_use,
                orphan,
                names,
                turn: Some(turn),
            })
        };
        known.vacancy = vacancy.await.into();
    }

    /// Candidates for the name in order, until one is free.
    pub(super) async fn names(
        &self,
        uid: &str,
        resolved: &Resolved,
    ) -> Result<Vec<NameCheck>, ProviderError> {
        let terms = &resolved.terms;
        let mut labels = vec![terms.label.clone()];
        if !terms.label_is_fixed {
            labels.extend(
                terms
                    .owner
                    .uid
                    .short()
                    .parse::<DnsLabel>()
                    .ok()
                    .map(|suffix| terms.label.with_suffix(&suffix)),
            );
        }
        let mut checks = Vec::new();
        for label in labels {
            let Ok(host) = terms.base_domain.child(&label) else {
                continue;
            };
            let obstacle = match self.ledger.host_is_taken(uid, &host) {
                true => Some("another site has it".to_owned()),
                false => foreign_use(terms, &resolved.backends, &host).await?,
            };
            let free = obstacle.is_none();
            checks.push(NameCheck {
                label,
                host,
                obstacle,
            });
            if free {
                break;
            }
        }
        Ok(checks)
    }

    async fn look_at_parts(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        reservation: &Reservation,
        known: &mut Observed,
    ) {
        let Backends { compute, .. } = &resolved.backends;
        look_at_tasks(subject, resolved, known).await;
        let running = |fact: &Fact<_>| !matches!(fact, Fact::Known(state) if *state != crate::providers::container_host::TaskState::Running);
        if known.tasks.iter().any(|(_, state)| running(state)) {
            return;
        }
        if !subject.deleting && only_a_place_awaited(&subject.status) {
            known.queued = !self
                .ledger
                .may_enter(&compute.name, compute.places, &subject.uid());
            if known.queued {
                return;
            }
        }
        if !subject.deleting && !subject.precise && only_snapshot_missing(&subject.status) {
            known.carried = true;
            return self.look_at_snapshots(resolved, reservation, known).await;
        }
        if !subject.deleting && !subject.precise && only_install_awaited(&subject.status) {
            self.look_at_installation(&subject.status, resolved, reservation, known)
                .await;
            if known.installing {
                return;
            }
        }
        if known.container.is_unread() {
            known.container = compute.host.container(reservation.vmid).await.into();
        }
        // Name and proxy host come after the container, and go after it.
        let ours = matches!(&known.container, Fact::Known(Some(c)) if c.mark.as_ref() == Some(&resolved.terms.owner));
        let unread = known.proxy.is_unread() || known.records.is_unread();
        if unread && ours != subject.deleting {
            (known.zone, known.records, known.proxy) = look_outside(resolved, &reservation.host).await;
        }
        self.look_deeper(subject, resolved, reservation, known).await;
        // Domains come after the site's own parts, and go with its proxy host.
        if ours != subject.deleting && (subject.deleting || is_made(&subject.status)) {
            self.look_at_domains(subject, resolved, known).await;
        }
    }

    /// What depends on whether the container is there.
    async fn look_deeper(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        reservation: &Reservation,
        known: &mut Observed,
    ) {
        let Backends { compute, .. } = &resolved.backends;
        if let Fact::Unknown(error) = &known.container
            && error.kind() == ErrorKind::Conflict
        {
            // A lock is a conflict too. Only a fresh list tells whether the number is a virtual machine's.
            known.survey = compute.survey(Duration::ZERO).await.into();
        }
        let Some(container) = known.container.known() else {
            return;
        };
        let ours = container
            .as_ref()
            .filter(|c| c.mark.as_ref() == Some(&resolved.terms.owner))
            .cloned();
        let hidden = container
            .as_ref()
            .is_some_and(|c| c.mark.is_none() && c.lock.is_some());
        if (container.is_none() || hidden) && subject.status.node.is_none() && known.creations.is_unread() {
            known.creations = compute
                .host
                .tasks_of(
                    reservation.vmid,
                    Operation::Create,
                    tasks::listed_since(reservation.since),
                )
                .await
                .into();
        }
        if let Some(since) = recovery_since(&subject.status)
            && known.creations.is_unread()
        {
            let restores = compute.host.tasks_of(reservation.vmid, Operation::Recover, since);
            known.creations = restores.await.into();
        }
        if container.is_none() && known.survey.is_unread() && !subject.deleting {
            known.survey = compute.survey(CHOICE_AGE).await.into();
        }
        if container.is_none()
            && !subject.deleting
            && known.archive.is_unread()
            && archive_needed(&subject.status, &resolved.terms, known)
        {
            let archive = compute
                .host
                .newest_archive(reservation.vmid, &resolved.terms.owner);
            known.archive = archive.await.into();
        }
        if container.is_none() && subject.deleting && known.volumes.is_unread() {
            known.volumes = compute.host.leftover_volumes(reservation.vmid).await.into();
        }
        let Some(ours) = ours else { return };
        if subject.deleting {
            if !ours.running && ours.high_availability.is_none() && ours.lock.is_none() {
                self.look_at_snapshots(resolved, reservation, known).await;
            }
            return;
        }
        if known.install.is_unread() && ours.running && !reservation.adopted {
            let target = InstallTarget {
                owner: resolved.terms.owner.clone(),
                container: ours.id,
                node: ours.node.clone(),
                address: reservation.address,
            };
            known.install = compute.installer.state(&target).await.into();
        }
        self.look_at_the_running(subject, resolved, reservation, known)
            .await;
    }

    /// What only a container that is there and ours has.
    async fn look_at_the_running(
        &self,
        subject: &SiteSubject,
        resolved: &Resolved,
        reservation: &Reservation,
        known: &mut Observed,
    ) {
        let Backends { compute, proxy, .. } = &resolved.backends;
        let since = restarts_since(&subject.status, &resolved.terms, Timestamp::now());
        if let Some(since) = since.filter(|_| known.restarts.is_unread()) {
            let restarts = compute.host.tasks_of(reservation.vmid, Operation::Restart, since);
            known.restarts = restarts.await.into();
        }
        // The page is worth a look only when everything before it was found good in an earlier round.
        let before = [
            kinds::CONTAINER_READY,
            kinds::NAME_READY,
            kinds::CERTIFICATE_READY,
            kinds::PROXY_READY,
            kinds::INSTALL_READY,
        ];
        let needed = |kind: &&&str| !(reservation.adopted && **kind == kinds::INSTALL_READY);
        if before
            .iter()
            .filter(needed)
            .all(|kind| is_true(&subject.status.conditions, kind))
        {
            let shown = resolved.terms.wishes.served() == Served::Site || !is_made(&subject.status);
            if known.page.is_unread() && shown {
                known.page = proxy.edge.look(&reservation.host, true).await.into();
            }
            if !is_true(&subject.status.conditions, kinds::SNAPSHOT_READY) {
                self.look_at_snapshots(resolved, reservation, known).await;
            }
        }
    }

    /// While WordPress is being installed there is nothing else to look at.
    async fn look_at_installation(
        &self,
        status: &WordPressSiteStatus,
        resolved: &Resolved,
        reservation: &Reservation,
        known: &mut Observed,
    ) {
        let (Some(node), true) = (&status.node, known.install.is_unread()) else {
            return;
        };
        let target = InstallTarget {
            owner: resolved.terms.owner.clone(),
            container: reservation.vmid,
            node: node.clone(),
            address: reservation.address,
        };
        known.install = resolved.backends.compute.installer.state(&target).await.into();
        known.installing = matches!(known.install, Fact::Known(InstallState::Running));
    }

    async fn look_at_snapshots(&self, resolved: &Resolved, reservation: &Reservation, known: &mut Observed) {
        if known.snapshots.is_unread() {
            known.snapshots = resolved
                .backends
                .compute
                .host
                .snapshots(reservation.vmid)
                .await
                .into();
        }
    }
}

/// Whether what was asked for when the site was last seen to is what is asked for now.
fn is_as_asked(subject: &SiteSubject, terms: &Terms) -> bool {
    subject.status.observed_generation == subject.object.metadata.generation
        && sizes_agree(&subject.status, terms)
        && restart_due(&subject.status, terms).is_none()
        && announcement_due(&subject.status, terms).is_none()
        && adopt::is_said(&subject.status, terms)
}

/// What has become of the tasks in the status.
async fn look_at_tasks(subject: &SiteSubject, resolved: &Resolved, known: &mut Observed) {
    if known.tasks.is_empty() {
        let host = resolved.backends.compute.host.as_ref();
        known.tasks = tasks::look(host, &subject.status.tasks).await;
    }
}

/// Who else uses a name: records, hosts or certificates that are not the site's.
async fn foreign_use(
    terms: &Terms,
    backends: &Backends,
    host: &Fqdn,
) -> Result<Option<String>, ProviderError> {
    let records = async {
        match backends.dns.zone_for(&terms.base_domain).await? {
            Some(zone) => backends.dns.dns.records_of(&zone, &host.into()).await,
            None => Ok(Vec::new()),
        }
    };
    let (records, survey) = join(records, backends.proxy.proxy.find(host)).await;
    let (records, survey) = (records?, survey?);
    if let Some(record) = records
        .iter()
        .find(|record| record.mark.as_ref() != Some(&terms.owner))
    {
        return Ok(Some(format!("it has the DNS record {}", record.spec.data)));
    }
    if let Some(other) = survey
        .hosts
        .iter()
        .find(|other| other.mark.as_ref() != Some(&terms.owner))
    {
        return Ok(Some(format!("proxy host {} serves it", other.id.0)));
    }
    // What is left here carries our mark. A certificate has no place for one; beside a record or host of ours it is
    // from an earlier life of this site, whose status was lost.
    let ours = !records.is_empty() || !survey.hosts.is_empty();
    match survey.certificates.first() {
        Some(certificate) if !ours => Ok(Some(format!(
            "certificate {} of the proxy is for it",
            certificate.id.0
        ))),
        _ => Ok(None),
    }
}

type Outside = (
    Fact<Option<ZoneId>>,
    Fact<Vec<crate::providers::dns_host::Record>>,
    Fact<ProxySurvey>,
);

async fn look_outside(resolved: &Resolved, host: &Fqdn) -> Outside {
    let backends = &resolved.backends;
    let names = async {
        match backends.dns.zone_for(&resolved.terms.base_domain).await {
            Err(error) => (Fact::Unknown(error), Fact::Unread),
            Ok(None) => (Fact::Known(None), Fact::Known(Vec::new())),
            Ok(Some(zone)) => {
                let records = backends.dns.dns.records_of(&zone, &host.into()).await;
                (Fact::Known(Some(zone)), records.into())
            }
        }
    };
    let ((zone, records), proxy) = join(names, backends.proxy.proxy.find(host)).await;
    (zone, records, proxy.into())
}

impl SiteKind {
    /// Compares a settled site with bulk reads that many sites share.
    async fn steady(&self, subject: &SiteSubject, resolved: &Resolved) -> Steady {
        let status = &subject.status;
        let Some(reservation) = Reservation::of(status) else {
            return Steady::Differs("the reservation is incomplete".to_owned());
        };
        let Backends { compute, proxy, dns } = &resolved.backends;
        let records = async {
            match dns.zone_for(&resolved.terms.base_domain).await? {
                Some(zone) => dns.records(&zone, STEADY_AGE).await,
                None => Ok(Arc::default()),
            }
        };
        let (survey, (proxy, records)) = join(
            compute.survey(STEADY_AGE),
            join(proxy.survey(STEADY_AGE), records),
        )
        .await;
        let (survey, proxy, records) = match (survey, proxy, records) {
            (Ok(survey), Ok(proxy), Ok(records)) => (survey, proxy, records),
            (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => return Steady::Unknown(error),
        };
        let terms = &resolved.terms;
        let running = terms.wishes.rest().is_none();
        let runs = settled::runs(&terms.owner, &reservation, running, &survey);
        let served = settled::is_served(
            &terms.owner,
            &reservation.host,
            reservation.address,
            terms.wishes.served(),
            &proxy,
        );
        let named = settled::is_named(&terms.owner, &terms.record(&reservation.host), &records);
        match (runs, served, named) {
            (true, true, true) => {
                let domains = self.domains_in_bulk(subject, resolved, &proxy).await;
                let outlook = domains_outlook(status, terms, &reservation, &domains);
                if !outlook.is_as_said(status) {
                    return Steady::Differs("the domains".to_owned());
                }
                let guest = survey.guests.get(&reservation.vmid);
                let certificate = proxy.certificates.get(&reservation.host);
                Steady::Agrees {
                    node: guest.map(|guest| guest.node.clone()),
                    usage: guest.and_then(|guest| guest.usage),
                    expires_at: certificate.and_then(|certificate| certificate.expires_at),
                    waits: outlook.waits || outlook.retry.is_some(),
                }
            }
            (false, _, _) => Steady::Differs("the container".to_owned()),
            (_, false, _) => Steady::Differs("the proxy host".to_owned()),
            _ => Steady::Differs("the record".to_owned()),
        }
    }
}
