//! From a backup to its site, the site's container and the Plan's quota.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::backup::{SiteView, Terms};
use super::{BackupKind, BackupSubject, key_of};
use crate::api::condition::{is_true, kinds, reasons};
use crate::api::{Phase, Plan, WordPressSite};
use crate::controllers::connections::{Compute, Connections, Refusal};
use crate::controllers::runner::Cache;
use crate::controllers::site_restore;
use crate::controllers::turns::SiteKey;
use crate::domain::{ClusterId, OwnerMark, Vmid};

/// A backup whose references all lead somewhere.
pub struct Resolved {
    /// What it shall be.
    pub terms: Terms,
    /// Who runs the container.
    pub compute: Arc<Compute>,
}

/// The container of a site.
pub struct SiteContainer {
    /// Mark of the site.
    pub owner: OwnerMark,
    /// Its number.
    pub vmid: Vmid,
    /// Who runs it.
    pub compute: Arc<Compute>,
}

/// The site of that name.
pub fn site_of(sites: &Cache<WordPressSite>, (namespace, name): &SiteKey) -> Option<Arc<WordPressSite>> {
    sites.get(&ObjectRef::new(name).within(namespace))
}

/// The container of a site that has one reserved. With `anybody`, the Provider need not allow the namespace: whatever
/// was allowed once must be removable.
///
/// # Errors
/// What is missing or cannot be used, with its remedy.
pub fn container_of(
    connections: &Connections,
    cluster: &ClusterId,
    site: &WordPressSite,
    anybody: bool,
) -> Result<SiteContainer, Refusal> {
    let damaged = || {
        Refusal::new(
            reasons::UNEXPECTED,
            "the status of the site does not say which container it has; look at the site",
        )
    };
    let status = site.status.as_ref().ok_or_else(damaged)?;
    let number = status.vmid.ok_or_else(damaged)?;
    let vmid = Vmid::try_from(i64::from(number)).map_err(|_| damaged())?;
    let provider = &status.providers.as_ref().ok_or_else(damaged)?.compute;
    let connection = match anybody {
        true => connections.of(provider)?,
        false => connections.allowed(provider, &site.namespace().unwrap_or_default())?,
    };
    let uid = site.uid().unwrap_or_default();
    Ok(SiteContainer {
        owner: OwnerMark {
            cluster: cluster.clone(),
            uid: uid.parse().map_err(|_| damaged())?,
        },
        vmid,
        compute: connection.compute(provider)?,
    })
}

/// Whether a site was made whole once: what was made may be backed up and rolled back, also while it is repaired.
pub fn is_made(site: &WordPressSite) -> bool {
    let Some(status) = &site.status else { return false };
    [kinds::INSTALL_READY, kinds::SNAPSHOT_READY]
        .iter()
        .all(|kind| is_true(&status.conditions, kind))
}

impl BackupKind {
    /// What the backup needs to know of its site, if there is one of that name.
    pub(super) fn view(&self, subject: &BackupSubject) -> Option<SiteView> {
        let key = key_of(&subject.object);
        let site = site_of(&self.sites, &key)?;
        let status = site.status.as_ref();
        let restoring = status.is_some_and(|status| status.phase == Some(Phase::Restoring));
        Some(SiteView {
            uid: site.uid().unwrap_or_default(),
            made: is_made(&site),
            deleting: site.metadata.deletion_timestamp.is_some(),
            restoring: restoring || site_restore::held(&self.restores, &key).is_some(),
            busy: status.is_some_and(|status| !status.tasks.is_empty()),
        })
    }

    /// Resolves everything that an object refers to.
    ///
    /// # Errors
    /// The first thing that is missing or cannot be used, with its remedy.
    pub(super) fn resolve(&self, subject: &BackupSubject) -> Result<Resolved, Refusal> {
        let site = site_of(&self.sites, &key_of(&subject.object))
            .ok_or_else(|| Refusal::new(reasons::SITE_NOT_FOUND, "there is no WordPressSite of that name"))?;
        let container = container_of(&self.connections, &self.cluster, &site, subject.deleting)?;
        let uid = subject.uid().parse();
        let uid = uid.map_err(|error| Refusal::new(reasons::INVALID_SPEC, format!("{error}")))?;
        let limit = match subject.deleting {
            true => 0,
            false => limit(&self.plans, &site.spec.plan)?,
        };
        let terms = Terms {
            owner: OwnerMark {
                cluster: self.cluster.clone(),
                uid,
            },
            site: container.owner,
            vmid: container.vmid,
            provider: container.compute.name.clone(),
            zone: container.compute.time_zone.clone(),
            limit: (limit, site.spec.plan.clone()),
        };
        Ok(Resolved {
            terms,
            compute: container.compute,
        })
    }
}

/// Backups that a Plan allows.
///
/// # Errors
/// When there is no such Plan, or it is none for sites.
pub fn limit(plans: &Cache<Plan>, name: &str) -> Result<usize, Refusal> {
    let plan = plans.get(&ObjectRef::new(name)).ok_or_else(|| {
        let message =
            format!("Plan {name} of the site does not exist; create it, or give the site another plan");
        Refusal::new(reasons::PLAN_NOT_FOUND, message)
    })?;
    let plan = plan.spec.wordpress.as_ref().ok_or_else(|| {
        Refusal::new(
            reasons::PLAN_INVALID,
            format!("Plan {name} has no wordpress section; add one"),
        )
    })?;
    Ok(usize::try_from(plan.backups).unwrap_or_default())
}
