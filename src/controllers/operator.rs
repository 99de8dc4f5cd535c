//! Puts the controllers together and runs them: watches, caches, connections, kinds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store as Cache};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;

use super::connections::{Connections, InstallWake, Sources};
use super::dns_zone::ZoneKind;
use super::dns_zone::claims::Claims;
use super::ledger::Ledger;
use super::provider::ProviderKind;
use super::runner::{self, Events, Kind, Managed, Pace, Poker, Runner, Schedule, Store};
use super::site_backup::driver::Scheduler;
use super::site_backup::{self, BackupKind};
use super::site_restore::{self, RestoreKind};
use super::sweeper::Sweeper;
use super::sweeper::roll::Roll;
use super::wordpress_site::SiteKind;
use crate::api::{DnsZone, Plan, Provider, SiteBackup, SiteRestore, WordPressSite};
use crate::domain::{ClusterId, OwnerMark};
use crate::providers::fence::Fence;
use crate::runtime::metrics::{Kind as MetricKind, Metrics};
use crate::runtime::shutdown::Shutdown;

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
    let providers = Controlled::<Provider>::new(settings.pace);
    let sites = Controlled::<WordPressSite>::new(settings.pace);
    let zones = Controlled::<DnsZone>::new(settings.pace);
    let backups = Controlled::<SiteBackup>::new(settings.pace);
    let restores = Controlled::<SiteRestore>::new(settings.pace);
    let (plans, plans_writer) = reflector::store::<Plan>();
    let (secrets, secrets_writer) = reflector::store::<Secret>();
    let caches = Caches {
        providers: providers.cache.clone(),
        sites: sites.cache.clone(),
        zones: zones.cache.clone(),
        backups: backups.cache.clone(),
        restores: restores.cache.clone(),
        plans,
        secrets,
    };
    let pokers = Pokers {
        sites: sites.poker.clone(),
        zones: zones.poker.clone(),
        backups: backups.poker.clone(),
        restores: restores.poker.clone(),
        providers: providers.poker.clone(),
    };
    let (site_kind, zone_kind, provider_kind) = kinds(&client, &settings, &metrics, &caches, &pokers);
    let backup_kind = backup_kind(&settings, &caches, &pokers, &site_kind.connections);
    let restore_kind = restore_kind(&client, &settings, &metrics, &caches, &pokers, &backup_kind);
    let scheduler = scheduler(&client, &settings, &metrics, &backup_kind);
    let roll = Arc::new(Roll::new(caches.sites.clone(), caches.zones.clone()));
    let joined = (&zone_kind, &provider_kind);
    let sweeper = sweeper(&client, &settings, &metrics, &caches, &pokers, &roll, joined);

    // Plans and Secrets only wake others; Providers do that too, beside having a controller of their own.
    let waking = tokio::spawn(wake_others(
        client.clone(),
        settings.namespace.clone(),
        Wakers {
            sites: caches.sites.clone(),
            zones: caches.zones.clone(),
            backups: caches.backups.clone(),
            restores: caches.restores.clone(),
            providers: caches.providers.clone(),
            pokers: pokers.clone(),
        },
        plans_writer,
        secrets_writer,
    ));
    let mut wake_users = provider_waker(&caches, pokers);
    let (swept_providers, provider_names) = mpsc::unbounded_channel();
    let provider_changes = move |provider: &Provider, change| {
        wake_users(provider, change);
        // The receiver goes only when the sweeps end.
        let _ = swept_providers.send(provider.name_any());
    };
    let site_api = served::<WordPressSite>(&client, &settings);
    let zone_api = served::<DnsZone>(&client, &settings);
    let backup_api = served::<SiteBackup>(&client, &settings);
    let restore_api = served::<SiteRestore>(&client, &settings);
    let provider_api = Api::<DeserializeGuard<Provider>>::all(client.clone());
    let process = Process {
        client,
        settings,
        metrics,
        shutdown,
    };
    let provider_run = async {
        // A Provider whose Secret has not been read yet would be called one without credentials.
        let _ = caches.secrets.wait_until_ready().await;
        process
            .control(provider_kind, providers, provider_api, provider_changes)
            .await;
    };
    let site_changes = site_changes(
        departures(&roll),
        Arc::clone(&backup_kind),
        Arc::clone(&restore_kind),
    );
    // They fill the caches that sites are judged by, and wait themselves for that of the sites.
    let snapshot_runs = async {
        caches.referred().await;
        tokio::join!(
            process.control(backup_kind, backups, backup_api, |_: &_, _| {}),
            process.control(restore_kind, restores, restore_api, |_: &_, _| {}),
        );
    };
    let object_runs = async {
        caches.filled().await;
        ready();
        tokio::join!(
            process.control(site_kind, sites, site_api, site_changes),
            process.control(zone_kind, zones, zone_api, departures(&roll)),
            sweeper.run(provider_names, stopped(process.shutdown.clone())),
            scheduler.run(stopped(process.shutdown.clone())),
        );
    };
    tokio::join!(provider_run, snapshot_runs, object_runs);
    waking.abort();
}

/// What the controller of a kind works with.
struct Controlled<K: Managed> {
    cache: Cache<K>,
    writer: reflector::store::Writer<K>,
    schedule: Arc<Schedule<K>>,
    poker: Poker<K>,
    pokes: mpsc::UnboundedReceiver<reflector::ObjectRef<K>>,
}

impl<K: Managed> Controlled<K> {
    fn new(pace: Pace) -> Self {
        let (cache, writer) = reflector::store();
        let schedule = Arc::new(Schedule::new(pace));
        let (poker, pokes) = Poker::new(Arc::clone(&schedule));
        Self {
            cache,
            writer,
            schedule,
            poker,
            pokes,
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
            (own.cache, own.writer),
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
        let _ = tokio::join!(
            self.providers.wait_until_ready(),
            self.plans.wait_until_ready(),
            self.secrets.wait_until_ready()
        );
    }

    /// As [`Caches::referred`], with the restores that a site must keep its hands off for, and the backups that count
    /// against its quota.
    async fn filled(&self) {
        let _ = tokio::join!(
            self.referred(),
            self.backups.wait_until_ready(),
            self.restores.wait_until_ready()
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
        .rechecking(settings.pace.recheck);
    let connections = Arc::new(connections);
    let site_kind = SiteKind {
        cluster: settings.cluster.clone(),
        client: client.clone(),
        plans: caches.plans.clone(),
        sites: caches.sites.clone(),
        restores: caches.restores.clone(),
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
    connections: &Arc<Connections>,
) -> Arc<BackupKind> {
    Arc::new(BackupKind {
        cluster: settings.cluster.clone(),
        plans: caches.plans.clone(),
        sites: caches.sites.clone(),
        restores: caches.restores.clone(),
        connections: Arc::clone(connections),
        shelf: Arc::default(),
        turns: Arc::default(),
        lists: site_backup::Lists::default(),
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
) -> Scheduler {
    Scheduler {
        client: client.clone(),
        sites: backups.sites.clone(),
        backups: Arc::clone(backups),
        metrics: metrics.clone(),
        fence: Arc::clone(&settings.fence),
        // A tenth of the pause in which things outside are looked at again, which tests shorten.
        tick: settings.pace.recheck / 10,
    }
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
    Arc::new(Sweeper {
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
    })
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
    mut departed: impl FnMut(&WordPressSite, runner::Change) + Send,
    backups: Arc<BackupKind>,
    restores: Arc<RestoreKind>,
) -> impl FnMut(&WordPressSite, runner::Change) + Send {
    move |site: &WordPressSite, change| {
        departed(site, change);
        let key = (site.namespace().unwrap_or_default(), site.name_any());
        match change {
            runner::Change::Stored => backups.poke_unsettled(&key, ""),
            runner::Change::Gone => backups.poke_closely(&key),
        }
        restores.poke_unsettled(&key, "");
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

type Installing = Arc<Mutex<HashMap<String, reflector::ObjectRef<WordPressSite>>>>;

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

/// Who is woken by Plans, Secrets and Providers.
struct Wakers {
    sites: Cache<WordPressSite>,
    zones: Cache<DnsZone>,
    backups: Cache<SiteBackup>,
    restores: Cache<SiteRestore>,
    providers: Cache<Provider>,
    pokers: Pokers,
}

async fn wake_others(
    client: Client,
    namespace: String,
    wakers: Wakers,
    plans: reflector::store::Writer<Plan>,
    secrets: reflector::store::Writer<Secret>,
) {
    let Wakers {
        sites,
        zones,
        backups,
        restores,
        providers,
        pokers,
    } = wakers;
    let known_plans = plans.as_reader();
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
                .state()
                .iter()
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
            .state()
            .iter()
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
fn provider_waker(caches: &Caches, pokers: Pokers) -> impl FnMut(&Provider, runner::Change) + Send + use<> {
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

/// Whether a site uses one of the Providers, or will by its Plan. One without a Plan waits for that.
fn needs_any(site: &WordPressSite, plans: &Cache<Plan>, names: &[String]) -> bool {
    if let Some(used) = site.status.as_ref().and_then(|status| status.providers.as_ref()) {
        let used = [&used.compute, &used.proxy, &used.dns];
        return used.into_iter().any(|name| names.contains(name));
    }
    let plan = plans.get(&reflector::ObjectRef::new(&site.spec.plan));
    plan.and_then(|plan| plan.spec.wordpress.clone())
        .is_some_and(|plan| {
            [&plan.compute, &plan.proxy, &plan.dns]
                .into_iter()
                .any(|name| names.contains(name))
        })
}
