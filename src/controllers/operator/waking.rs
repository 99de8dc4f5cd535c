//! Plans, Secrets and Providers wake the objects that use them.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::{Caches, Pokers};
use crate::api::{DnsZone, Plan, Provider, SiteBackup, SiteRestore, WordPressSite};
use crate::controllers::runner;
use crate::controllers::runner::{Cache, CacheWriter};
use crate::controllers::{site_backup, site_restore};

/// Who is woken by Plans, Secrets and Providers.
pub(super) struct Wakers {
    sites: Cache<WordPressSite>,
    zones: Cache<DnsZone>,
    backups: Cache<SiteBackup>,
    restores: Cache<SiteRestore>,
    providers: Cache<Provider>,
    pokers: Pokers,
}

impl Wakers {
    /// Everybody.
    pub(super) fn new(caches: &Caches, pokers: &Pokers) -> Self {
        Self {
            sites: caches.sites.clone(),
            zones: caches.zones.clone(),
            backups: caches.backups.clone(),
            restores: caches.restores.clone(),
            providers: caches.providers.clone(),
            pokers: pokers.clone(),
        }
    }
}

/// Watches Plans and Secrets, and wakes who uses them.
pub(super) async fn wake_others(
    client: Client,
    namespace: String,
    wakers: Wakers,
    plans: CacheWriter<Plan>,
    secrets: CacheWriter<Secret>,
) {
    let Wakers {
        sites,
        zones,
        backups,
        restores,
        providers,
        pokers,
    } = wakers;
    let known_plans = plans.cache();
    let plan_watch = runner::secondary(
        Api::all(client.clone()),
        "Plan",
        watcher::Config::default(),
        plans,
        {
            let (sites, zones, pokers) = (sites.clone(), zones.clone(), pokers.clone());
            let (backups, restores) = (backups.clone(), restores.clone());
            move |plan: &Plan, _| {
                let name = plan.name_any();
                pokers.wake_waiting(&backups, &restores, &sites, |site| site.spec.plan == name);
                pokers.sites.poke_where(&sites, |site| site.spec.plan == name);
                pokers
                    .zones
                    .poke_where(&zones, |zone| zone.spec.plan.as_ref() == Some(&name));
            }
        },
    );
    // Helm keeps its own large Secrets in the same namespace; they are none of our business.
    let opaque = watcher::Config::default().fields("type=Opaque");
    let secret_watch = runner::secondary(
        Api::namespaced(client, &namespace),
        "Secret",
        opaque,
        secrets,
        move |secret: &Secret, _| {
            let name = secret.name_any();
            let users: Vec<String> = providers
                .each()
                .filter(|p| p.spec.credentials.secret_name == name)
                .map(|p| p.name_any())
                .collect();
            pokers
                .providers
                .poke_where(&providers, |provider| users.contains(&provider.name_any()));
            pokers.wake_users(&sites, &zones, &providers, &known_plans, &users);
            pokers.wake_waiting(&backups, &restores, &sites, |site| {
                needs_any(site, &known_plans, &users)
            });
        },
    );
    tokio::join!(plan_watch, secret_watch);
}

impl Pokers {
    /// Wakes the backups and restores of such sites about which something is still to be done: a quota, or a way to a
    /// back-end, may be another one now.
    fn wake_waiting(
        &self,
        backups: &Cache<SiteBackup>,
        restores: &Cache<SiteRestore>,
        sites: &Cache<WordPressSite>,
        concerned: impl Fn(&WordPressSite) -> bool,
    ) {
        let of = |key| site_backup::resolve::site_of(sites, &key).is_some_and(|site| concerned(&site));
        self.backups.poke_where(backups, |backup| {
            site_backup::is_unsettled(backup) && of(site_backup::key_of(backup))
        });
        self.restores.poke_where(restores, |restore| {
            site_restore::is_unsettled(restore) && of(site_restore::key_of(restore))
        });
    }

    /// Wakes everything that uses one of the Providers, or will.
    fn wake_users(
        &self,
        sites: &Cache<WordPressSite>,
        zones: &Cache<DnsZone>,
        providers: &Cache<Provider>,
        plans: &Cache<Plan>,
        names: &[String],
    ) {
        self.sites.poke_where(sites, |site| needs_any(site, plans, names));
        // PROXYSRV stands for the address of a proxy that the zone's own Provider names.
        let through: Vec<String> = providers
            .each()
            .filter(|provider| {
                provider
                    .spec
                    .zones()
                    .and_then(|zones| zones.proxy.as_ref())
                    .is_some_and(|proxy| names.contains(proxy))
            })
            .map(|provider| provider.name_any())
            .collect();
        self.zones.poke_where(zones, |zone| {
            names.contains(&zone.spec.provider) || through.contains(&zone.spec.provider)
        });
    }
}

/// Wakes the objects of a Provider whose spec changed; its status changes all the time and wakes nobody.
pub(super) fn provider_waker(
    caches: &Caches,
    pokers: Pokers,
) -> impl FnMut(&Provider, runner::Change) + Send + use<> {
    let (sites, zones) = (caches.sites.clone(), caches.zones.clone());
    let (providers, plans) = (caches.providers.clone(), caches.plans.clone());
    let (backups, restores) = (caches.backups.clone(), caches.restores.clone());
    let mut known: HashMap<String, (Option<String>, Option<i64>)> = HashMap::new();
    move |provider: &Provider, change: runner::Change| {
        let name = provider.name_any();
        // One that was deleted and made anew begins at the same generation.
        let now = (provider.uid(), provider.metadata.generation);
        let news = match change {
            runner::Change::Gone => known.remove(&name).is_some(),
            runner::Change::Stored => known.insert(name.clone(), now.clone()) != Some(now),
        };
        if news {
            pokers.wake_users(&sites, &zones, &providers, &plans, std::slice::from_ref(&name));
            let uses = |site: &WordPressSite| needs_any(site, &plans, std::slice::from_ref(&name));
            pokers.wake_waiting(&backups, &restores, &sites, uses);
        }
    }
}

/// Wakes the site of a backup that came or went, for its status counts them. A backup of which nothing is known yet
/// counts as little as one that is gone.
pub(super) fn backup_waker(
    caches: &Caches,
    pokers: &Pokers,
) -> impl FnMut(&SiteBackup, runner::Change) + Send + use<> {
    let (sites, poker) = (caches.sites.clone(), pokers.sites.clone());
    move |backup: &SiteBackup, change: runner::Change| {
        let counts = backup
            .status
            .as_ref()
            .is_some_and(|status| status.snapshot.is_some());
        if !counts && change == runner::Change::Stored {
            return;
        }
        if let Some(site) = site_backup::resolve::site_of(&sites, &site_backup::key_of(backup)) {
            poker.poke(
                &ObjectRef::from_obj(site.as_ref()),
                &site.uid().unwrap_or_default(),
            );
        }
    }
}

/// Whether a site uses one of the Providers, or will by its Plan. One without a Plan waits for that.
fn needs_any(site: &WordPressSite, plans: &Cache<Plan>, names: &[String]) -> bool {
    if let Some(used) = site.status.as_ref().and_then(|status| status.providers.as_ref()) {
        let used = [&used.compute, &used.proxy, &used.dns];
        return used.into_iter().any(|name| names.contains(name));
    }
    let plan = plans.get(&ObjectRef::new(&site.spec.plan));
    plan.and_then(|plan| plan.spec.wordpress.clone())
        .is_some_and(|plan| {
            [&plan.compute, &plan.proxy, &plan.dns]
                .into_iter()
                .any(|name| names.contains(name))
        })
}
