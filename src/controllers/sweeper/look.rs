//! Reading containers and proxy hosts, and waking the sites that differ.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::compare::{container_differs, host_differs};
use super::findings::Obstacle;
use super::inventory::{Owners, Tally, Thing, Whose};
use super::{Memory, Sweeper, Swept};
use crate::api::{SiteProviders, WordPressSite};
use crate::controllers::connections::{Compute, Proxy};
use crate::controllers::runner::Kept;
use crate::controllers::wordpress_site::settled::Settled;
use crate::domain::{ObjectUid, OwnerMark, Vmid};
use crate::providers::container_host::Survey;

/// A settled site with its object as it was before the back-end was read, packed: there may be thousands.
pub(super) type Site = (Arc<Kept<WordPressSite>>, Arc<Settled>);

/// Marks of containers that were read, by what the list said of them.
pub type Marks = BTreeMap<(Vmid, ObjectUid), Option<OwnerMark>>;

impl Sweeper {
    /// Settled sites with a part at a Provider.
    pub(super) fn settled_sites(&self, name: &str, part: fn(&SiteProviders) -> &String) -> Vec<Site> {
        let settled = self.roll.sites().into_iter().filter_map(|kept| {
            let site = kept.open()?;
            let plan = self.plans.get(&ObjectRef::new(&site.spec.plan));
            let plan = plan.as_ref().and_then(|plan| plan.spec.wordpress.as_ref());
            let suspension = plan.map(|plan| plan.suspension).unwrap_or_default();
            let settled = Settled::of(&self.cluster, &site, suspension)?;
            (part(&settled.providers) == name).then(|| (kept, Arc::new(settled)))
        });
        settled.collect()
    }

    /// Wakes a site, unless it was changed while the back-end was read: its own pass has seen to it then.
    pub(super) fn wake_site(&self, kept: &Kept<WordPressSite>, part: &'static str) {
        let reference = kept.name();
        let (Some(site), Some(known)) = (kept.open(), self.roll.site(&reference)) else {
            return;
        };
        if known.resource_version() == site.resource_version() {
            tracing::info!(
                namespace = site.namespace().unwrap_or_default(),
                name = site.name_any(),
                part,
                "a sweep found something different"
            );
            self.site_poker.poke(&reference, &site.uid().unwrap_or_default());
        }
    }

    pub(super) async fn containers(&self, compute: &Compute, memory: &mut Memory) -> Swept {
        let sites = self.settled_sites(&compute.name, |providers| &providers.compute);
        let before = self.roll.uids();
        let survey = match compute.survey(Duration::ZERO).await {
            Ok(survey) => survey,
            Err(error) => return Obstacle::unread("the list of containers", &error).into(),
        };
        if survey.guests.is_empty() && !sites.is_empty() {
            return Obstacle::empty("containers").into();
        }
        for (site, settled) in &sites {
            if container_differs(settled, &survey) {
                self.wake_site(site, "container");
            }
        }
        let owners = self.owners(before);
        match tally_of_containers(compute, &survey, &owners, &mut memory.marks).await {
            Ok(tally) => Swept {
                tally: Some(tally),
                obstacle: None,
            },
            Err(obstacle) => obstacle.into(),
        }
    }

    pub(super) async fn hosts(&self, proxy: &Proxy) -> Swept {
        let sites = self.settled_sites(&proxy.name, |providers| &providers.proxy);
        let before = self.roll.uids();
        let index = match proxy.survey(Duration::ZERO).await {
            Ok(index) => index,
            Err(error) => return Obstacle::unread("the list of proxy hosts", &error).into(),
        };
        if index.hosts.is_empty() && !sites.is_empty() {
            return Obstacle::empty("proxy hosts").into();
        }
        for (site, settled) in &sites {
            if host_differs(settled, &index) {
                self.wake_site(site, "proxy host");
            }
        }
        let mut tally = Tally::default();
        tally.take_hosts(&self.owners(before), &index);
        Swept {
            tally: Some(tally),
            obstacle: None,
        }
    }
}

/// Counts guests. The list shows only a tag with the owner's UID: one that names no object that there is decides
/// nothing before the mark itself was read.
pub async fn tally_of_containers(
    compute: &Compute,
    survey: &Survey,
    owners: &Owners,
    marks: &mut Marks,
) -> Result<Tally, Obstacle> {
    let mut tally = Tally::default();
    marks.retain(|(id, hint), _| {
        let guest = survey.guests.get(id);
        guest.is_some_and(|guest| guest.owner_hint.as_ref() == Some(hint))
    });
    for (id, guest) in &survey.guests {
        let thing = || Thing::Container(*id, guest.node.clone());
        let Some(hint) = guest.owner_hint.clone().filter(|_| guest.is_container) else {
            tally.take(owners, None, thing);
            continue;
        };
        let hinted = OwnerMark {
            cluster: owners.cluster.clone(),
            uid: hint.clone(),
        };
        if owners.whose(Some(&hinted)) != Whose::Orphaned {
            tally.take(owners, Some(&hinted), thing);
            continue;
        }
        let mark = match marks.get(&(*id, hint.clone())) {
            Some(mark) => mark.clone(),
            None => {
                let read = compute.host.container(*id).await;
                let read = read.map_err(|error| Obstacle::unread(&format!("container {id}"), &error))?;
                let Some(container) = read else { continue };
                // While a lock is held the mark may be hidden: it is read again.
                if container.lock.is_none() {
                    marks.insert((*id, hint), container.mark.clone());
                }
                container.mark
            }
        };
        tally.take(owners, mark.as_ref(), thing);
    }
    Ok(tally)
}
