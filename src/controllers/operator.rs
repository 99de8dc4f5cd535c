//! Puts the controllers together and runs them: watches, caches, connections, kinds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;

use super::connections::{Connections, InstallWake, Sources};
use super::dns_zone::ZoneKind;
use super::dns_zone::claims::Claims;
use super::ledger::Ledger;
use super::provider::ProviderKind;
use super::runner::{self, Events, Kind, Managed, Pace, Poker, Runner, Schedule, Store};
use super::site_backup::driver::Scheduler;
use super::site_backup::{BackupKind, Lists};
use super::site_restore::RestoreKind;
use super::sweeper::Sweeper;
use super::sweeper::roll::Roll;
use super::wordpress_site::SiteKind;
use crate::api::condition::{is_true, kinds};
use crate::api::{DnsZone, Plan, Provider, SiteBackup, SiteRecovery, SiteRestore, WordPressSite};
use crate::controllers::runner::{Cache, CacheWriter};
use crate::domain::{ClusterId, OwnerMark};
use crate::providers::fence::Fence;
use crate::runtime::metrics::{Kind as MetricKind, Metrics};
use crate::runtime::shutdown::Shutdown;

mod waking;

use waking::{Wakers, backup_waker, provider_waker, wake_others};

/// Settings of the controllers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// Namespace with the Secrets of Providers.
    pub namespace: String,
    /// The only namespace to serve; all when absent.
    pub watch_namespace: Option<String>,
    /// Passes at the same time, per kind.
    pub concurrency: u16,
    /// Times between passes.
    pub pace: Pace,
    /// Whether the metrics tell what each site uses.
    pub site_metrics: bool,
    /// Closes when this process may not change anything any more.
    pub fence: Arc<dyn Fence>,
}

/// Runs all controllers until `shutdown`, then ends the passes under way. `ready` is called once all caches are
/// filled.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Metrics,
    ready: impl FnOnce() + Send,
    shutdown: Shutdown,
) {
    let own = Controls::new(settings.pace);
    let (plans_writer, secrets_writer) = (CacheWriter::whole(), CacheWriter::whole());
    let caches = own.caches(plans_writer.cache(), secrets_writer.cache());
    let pokers = own.pokers();
    let (site_kind, zone_kind, provider_kind) = kinds(&client, &settings, &metrics, &caches, &pokers);
    let backup_kind = backup_kind(&settings, &caches, &pokers, &site_kind);
    let restore_kind = restore_kind(&client, &settings, &metrics, &caches, &pokers, &backup_kind);
    let scheduler = scheduler(&client, &settings, &metrics, &backup_kind);
    let roll = Arc::new(Roll::new(caches.sites.clone(), caches.zones.clone()));
    let joined = (&zone_kind, &provider_kind);
    let sweeper = sweeper(&client, &settings, &metrics, &caches, &pokers, &roll, joined);

    // Plans and Secrets only wake others; Providers do that too, beside having a controller of their own.
    let waking = tokio::spawn(wake_others(
        client.clone(),
        settings.namespace.clone(),
        Wakers::new(&caches, &pokers),
        plans_writer,
        secrets_writer,
    ));
    let wakes_its_site = backup_waker(&caches, &pokers);
    let mut wake_users = provider_waker(&caches, pokers);
    let (swept_providers, provider_names) = mpsc::unbounded_channel();
    let provider_changes = move |provider: &Provider, change| {
        wake_users(provider, change);
        // The receiver goes only when the sweeps end.
        let _ = swept_providers.send(provider.name_any());
    };
    let provider_api = Api::<DeserializeGuard<Provider>>::all(client.clone());
    let process = Process {
        client,
        settings,
        metrics,
        shutdown,
    };
    let provider_run = async {
        // A Provider whose Secret has not been read yet would be called one without credentials.
        runner::filled(&caches.secrets).await;
        process
            .control(provider_kind, own.providers, provider_api, provider_changes)
            .await;
    };
    let site_changes = site_changes(&roll, &scheduler, &backup_kind, &restore_kind);
    // They fill the caches that sites are judged by, and wait themselves for that of the sites.
    let snapshot_runs = async {
        caches.referred().await;
        tokio::join!(
            process.serve(backup_kind, own.backups, wakes_its_site),
            process.serve(restore_kind, own.restores, |_: &_, _| {}),
        );
    };
    let object_runs = async {
        caches.filled().await;
        ready();
        tokio::join!(
            process.serve(site_kind, own.sites, site_changes),
            process.serve(zone_kind, own.zones, departures(&roll)),
            sweeper.run(provider_names, stopped(process.shutdown.clone())),
            scheduler.run(stopped(process.shutdown.clone())),
        );
    };
    let controllers = async {
        tokio::join!(provider_run, snapshot_runs, object_runs);
    };
    tokio::select! {
        () = controllers => {}
        () = early_stop(&caches, &process.shutdown) => {}
    }
    waking.abort();
}

/// What the controller of a kind works with.
struct Controlled<K: Managed> {
    cache: CacheWriter<K>,
    schedule: Arc<Schedule<K>>,
    poker: Poker<K>,
    pokes: mpsc::UnboundedReceiver<ObjectRef<K>>,
}

impl<K: Managed> Controlled<K> {
    fn new(pace: Pace, cache: CacheWriter<K>) -> Self {
        let schedule = Arc::new(Schedule::new(pace));
        let (poker, pokes) = Poker::new(Arc::clone(&schedule));
        Self {
            cache,
            schedule,
            poker,
            pokes,
        }
    }
}

/// What the controllers of all kinds work with.
struct Controls {
    providers: Controlled<Provider>,
    sites: Controlled<WordPressSite>,
    zones: Controlled<DnsZone>,
    backups: Controlled<SiteBackup>,
    restores: Controlled<SiteRestore>,
}

impl Controls {
    fn new(pace: Pace) -> Self {
        Self {
            providers: Controlled::new(pace, CacheWriter::whole()),
            sites: Controlled::new(pace, CacheWriter::packing()),
            zones: Controlled::new(pace, CacheWriter::packing()),
            backups: Controlled::new(pace, CacheWriter::packing()),
            restores: Controlled::new(pace, CacheWriter::whole()),
        }
    }

    fn caches(&self, plans: Cache<Plan>, secrets: Cache<Secret>) -> Caches {
        Caches {
            providers: self.providers.cache.cache(),
            sites: self.sites.cache.cache(),
            zones: self.zones.cache.cache(),
            backups: self.backups.cache.cache(),
            restores: self.restores.cache.cache(),
            plans,
            secrets,
        }
    }

    fn pokers(&self) -> Pokers {
        Pokers {
            sites: self.sites.poker.clone(),
            zones: self.zones.poker.clone(),
            backups: self.backups.poker.clone(),
            restores: self.restores.poker.clone(),
            providers: self.providers.poker.clone(),
        }
    }
}

/// What all controllers share.
struct Process {
    client: Client,
    settings: Settings,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Process {
    /// Runs the controller of a kind that customers have, in the namespaces that are served, until the shutdown.
    async fn serve<T: Kind>(
        &self,
        kind: Arc<T>,
        own: Controlled<T::Object>,
        changed: impl FnMut(&T::Object, runner::Change) + Send + 'static,
    ) where
        T::Object: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        let api = served(&self.client, &self.settings);
        self.control(kind, own, api, changed).await;
    }

    /// Runs the controller of a kind until the shutdown.
    async fn control<T: Kind>(
        &self,
        kind: Arc<T>,
        own: Controlled<T::Object>,
        api: Api<DeserializeGuard<T::Object>>,
        changed: impl FnMut(&T::Object, runner::Change) + Send + 'static,
    ) {
        runner::run(
            runner_of(&self.client, kind, own.schedule, &self.metrics, &self.settings),
            api,
            own.cache,
            changed,
            own.pokes,
            self.settings.concurrency,
            stopped(self.shutdown.clone()),
        )
        .await;
    }
}

/// What the watches keep.
struct Caches {
    providers: Cache<Provider>,
    sites: Cache<WordPressSite>,
    zones: Cache<DnsZone>,
    backups: Cache<SiteBackup>,
    restores: Cache<SiteRestore>,
    plans: Cache<Plan>,
    secrets: Cache<Secret>,
}

/// What wakes objects of each kind.
#[derive(Clone)]
struct Pokers {
    sites: Poker<WordPressSite>,
    zones: Poker<DnsZone>,
    backups: Poker<SiteBackup>,
    restores: Poker<SiteRestore>,
    providers: Poker<Provider>,
}

/// Objects of a kind in the namespaces that are served.
fn served<K>(client: &Client, settings: &Settings) -> Api<DeserializeGuard<K>>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match &settings.watch_namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

impl Caches {
    /// Waits for what objects refer to: none must be judged by a cache that has not been filled.
    async fn referred(&self) {
        tokio::join!(
            runner::filled(&self.providers),
            runner::filled(&self.plans),
            runner::filled(&self.secrets)
        );
    }

    /// All of them.
    async fn complete(&self) {
        tokio::join!(
            self.filled(),
            runner::filled(&self.sites),
            runner::filled(&self.zones)
        );
    }

    /// As [`Caches::referred`], with the restores that a site must keep its hands off for, and the backups that count
    /// against its quota.
    async fn filled(&self) {
        tokio::join!(
            self.referred(),
            runner::filled(&self.backups),
            runner::filled(&self.restores)
        );
    }
}

/// The kinds, which share the connections to the back-ends.
fn kinds(
    client: &Client,
    settings: &Settings,
    metrics: &Metrics,
    caches: &Caches,
    pokers: &Pokers,
) -> (Arc<SiteKind>, Arc<ZoneKind>, Arc<ProviderKind>) {
    let installing = Arc::<Mutex<HashMap<String, _>>>::default();
    let wake = install_wake(&installing, pokers.sites.clone());
    let sources = Sources {
        providers: caches.providers.clone(),
        secrets: caches.secrets.clone(),
        namespace: settings.namespace.clone(),
    };
    let fence = Arc::clone(&settings.fence);
    let connections = Connections::new(sources, Arc::new(metrics.clone()), Arc::clone(&fence), wake)
        .rechecking(settings.pace.until_recheck());
    let connections = Arc::new(connections);
    let site_kind = SiteKind {
        cluster: settings.cluster.clone(),
        client: client.clone(),
        plans: caches.plans.clone(),
        sites: caches.sites.clone(),
        restores: caches.restores.clone(),
        shelf: Arc::default(),
        connections: Arc::clone(&connections),
        ledger: Arc::new(Ledger::default()),
        poker: pokers.sites.clone(),
        metrics: metrics.clone(),
        fence,
        installing,
    };
    let zone_kind = ZoneKind {
        cluster: settings.cluster.clone(),
        plans: caches.plans.clone(),
        zones: caches.zones.clone(),
        connections: Arc::clone(&connections),
        claims: Arc::new(Claims::default()),
        poker: pokers.zones.clone(),
    };
    let provider_kind = ProviderKind {
        connections,
        namespace: settings.watch_namespace.clone(),
        findings: Arc::default(),
    };
    (Arc::new(site_kind), Arc::new(zone_kind), Arc::new(provider_kind))
}

fn backup_kind(
    settings: &Settings,
    caches: &Caches,
    pokers: &Pokers,
    site_kind: &SiteKind,
) -> Arc<BackupKind> {
    Arc::new(BackupKind {
        cluster: settings.cluster.clone(),
        plans: caches.plans.clone(),
        sites: caches.sites.clone(),
        restores: caches.restores.clone(),
        connections: Arc::clone(&site_kind.connections),
        shelf: Arc::clone(&site_kind.shelf),
        turns: Arc::default(),
        lists: Lists::default(),
        looked: Mutex::default(),
        poker: pokers.backups.clone(),
    })
}

/// Makes backups by the clock.
fn scheduler(
    client: &Client,
    settings: &Settings,
    metrics: &Metrics,
    backups: &Arc<BackupKind>,
) -> Arc<Scheduler> {
    Arc::new(Scheduler {
        client: client.clone(),
        sites: backups.sites.clone(),
        backups: Arc::clone(backups),
        metrics: metrics.clone(),
        fence: Arc::clone(&settings.fence),
        // A tenth of the pause in which things outside are looked at again, which tests shorten.
        tick: settings.pace.recheck / 10,
        scheduled: Mutex::default(),
    })
}

fn restore_kind(
    client: &Client,
    settings: &Settings,
    metrics: &Metrics,
    caches: &Caches,
    pokers: &Pokers,
    backup_kind: &Arc<BackupKind>,
) -> Arc<RestoreKind> {
    Arc::new(RestoreKind {
        cluster: settings.cluster.clone(),
        client: client.clone(),
        sites: caches.sites.clone(),
        backups: caches.backups.clone(),
        restores: caches.restores.clone(),
        connections: Arc::clone(&backup_kind.connections),
        turns: Arc::clone(&backup_kind.turns),
        backup_kind: Arc::clone(backup_kind),
        site_poker: pokers.sites.clone(),
        poker: pokers.restores.clone(),
        metrics: metrics.clone(),
        fence: Arc::clone(&settings.fence),
        seen: Mutex::default(),
    })
}

/// The sweeper, which shares connections with the passes of all kinds.
fn sweeper(
    client: &Client,
    settings: &Settings,
    metrics: &Metrics,
    caches: &Caches,
    pokers: &Pokers,
    roll: &Arc<Roll>,
    (zone_kind, provider_kind): (&Arc<ZoneKind>, &Arc<ProviderKind>),
) -> Arc<Sweeper> {
    let sweeper = Arc::new(Sweeper {
        cluster: settings.cluster.clone(),
        namespace: settings.watch_namespace.clone(),
        providers: caches.providers.clone(),
        plans: caches.plans.clone(),
        roll: Arc::clone(roll),
        connections: Arc::clone(&provider_kind.connections),
        zone_kind: Arc::clone(zone_kind),
        findings: Arc::clone(&provider_kind.findings),
        site_poker: pokers.sites.clone(),
        zone_poker: pokers.zones.clone(),
        provider_poker: pokers.providers.clone(),
        events: Events::start(
            client.clone(),
            MetricKind::Provider,
            metrics.clone(),
            Arc::clone(&settings.fence),
        ),
        metrics: metrics.clone(),
    });
    if settings.site_metrics {
        // The sweeper counts in the same metrics: held strongly, neither would ever go.
        let swept = Arc::downgrade(&sweeper);
        metrics.tell_of_sites(move || {
            let sweeper = swept.upgrade();
            sweeper.map(|sweeper| sweeper.usage()).unwrap_or_default()
        });
    }
    sweeper
}

/// Takes note of objects that are gone.
fn departures<K: Managed>(roll: &Arc<Roll>) -> impl FnMut(&K, runner::Change) + Send + use<K> {
    let roll = Arc::clone(roll);
    move |object: &K, change| {
        if change == runner::Change::Gone {
            roll.went(object.uid());
        }
    }
}

/// Wakes the backups and restores of sites that changed, and looks after those of sites that are gone.
fn site_changes(
    roll: &Arc<Roll>,
    scheduler: &Arc<Scheduler>,
    backups: &Arc<BackupKind>,
    restores: &Arc<RestoreKind>,
) -> impl FnMut(&WordPressSite, runner::Change) + Send + use<> {
    let mut departed = departures(roll);
    let (scheduler, backups) = (Arc::clone(scheduler), Arc::clone(backups));
    let restores = Arc::clone(restores);
    move |site: &WordPressSite, change| {
        departed(site, change);
        scheduler.note(site, change);
        let key = (site.namespace().unwrap_or_default(), site.name_any());
        match change {
            // Its snapshots went with the container that was lost.
            runner::Change::Stored if lost_its_snapshots(site) => backups.poke_closely(&key),
            runner::Change::Stored => backups.poke_unsettled(&key, ""),
            runner::Change::Gone => backups.poke_closely(&key),
        }
        restores.poke_unsettled(&key, "");
    }
}

/// Whether the site came back from a backup archive, and its snapshot was not taken anew yet.
fn lost_its_snapshots(site: &WordPressSite) -> bool {
    site.status.as_ref().is_some_and(|status| {
        let restored = |recovery: &SiteRecovery| recovery.restored_at.is_some();
        status.recovery.as_ref().is_some_and(restored) && !is_true(&status.conditions, kinds::SNAPSHOT_READY)
    })
}

/// Returns when the shutdown comes before all caches are filled. Hardly anything was begun until then, and after a crash
/// it would be found again; kube 5 waits for ever for a cache that a shutdown keeps from being filled.
async fn early_stop(caches: &Caches, shutdown: &Shutdown) {
    tokio::select! {
        biased;
        () = caches.complete() => std::future::pending().await,
        () = shutdown.wait() => {}
    }
}

async fn stopped(shutdown: Shutdown) {
    shutdown.wait().await;
}

fn runner_of<K: Kind>(
    client: &Client,
    kind: Arc<K>,
    schedule: Arc<Schedule<K::Object>>,
    metrics: &Metrics,
    settings: &Settings,
) -> Arc<Runner<K>> {
    let fence = &settings.fence;
    let deadline = schedule.pace().deadline;
    let store = Store::new(client.clone(), metrics.clone(), deadline, Arc::clone(fence));
    let events = Events::start(client.clone(), K::KIND, metrics.clone(), Arc::clone(fence));
    Arc::new(Runner::new(kind, store, schedule, events, metrics.clone()))
}

type Installing = Arc<Mutex<HashMap<String, ObjectRef<WordPressSite>>>>;

fn install_wake(installing: &Installing, poker: Poker<WordPressSite>) -> InstallWake {
    let installing = Arc::clone(installing);
    Arc::new(move |owner: &OwnerMark| {
        let known = installing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(owner.uid.as_str());
        if let Some(site) = known {
            poker.poke(&site, owner.uid.as_str());
        }
    })
}
