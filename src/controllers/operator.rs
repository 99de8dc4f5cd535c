//! Puts the controllers together and runs them: watches, caches, connections, kinds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store as Cache};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;

use super::connections::{Connections, InstallWake, Sources};
use super::dns_zone::ZoneKind;
use super::dns_zone::claims::Claims;
use super::ledger::Ledger;
use super::provider::ProviderKind;
use super::runner::{self, Events, Kind, Managed, Pace, Poker, Runner, Schedule, Store};
use super::wordpress_site::SiteKind;
use crate::api::{DnsZone, Plan, Provider, WordPressSite};
use crate::domain::{ClusterId, OwnerMark};
use crate::providers::fence::Fence;
use crate::runtime::metrics::Metrics;
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
    let process = Process {
        client,
        settings,
        metrics,
        shutdown,
    };
    let (sites, site_line) = process.line::<WordPressSite>();
    let (zones, zone_line) = process.line::<DnsZone>();
    let (providers, provider_line) = process.line::<Provider>();
    let (plans, plans_writer) = reflector::store::<Plan>();
    let (secrets, secrets_writer) = reflector::store::<Secret>();
    let known = Known {
        sites,
        zones,
        providers,
        plans,
        secrets,
    };
    let (site_kind, zone_kind, provider_kind) = kinds(&process, &known);

    // Plans and Secrets only wake others; Providers do that too, beside having a controller of their own.
    let waking = tokio::spawn(wake_others(
        process.client.clone(),
        process.settings.namespace.clone(),
        known.clone(),
        plans_writer,
        secrets_writer,
    ));
    let provider_run = async {
        // A Provider whose Secret has not been read yet would be called one without credentials.
        let _ = known.secrets.wait_until_ready().await;
        let api = Api::all(process.client.clone());
        let waker = provider_waker(known.clone());
        provider_line.run(&process, provider_kind, api, waker).await;
    };
    let object_runs = async {
        known.filled().await;
        ready();
        tokio::join!(
            site_line.run(&process, site_kind, process.served(), |_, _| {}),
            zone_line.run(&process, zone_kind, process.served(), |_, _| {}),
        );
    };
    tokio::join!(provider_run, object_runs);
    waking.abort();
}

/// What all controllers of this process share.
struct Process {
    client: Client,
    settings: Settings,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Process {
    /// What a kind needs, empty: what others see of it, and what its own controller works with.
    fn line<K: Managed>(&self) -> (Watched<K>, Line<K>) {
        let (cache, writer) = reflector::store::<K>();
        let schedule = Arc::new(Schedule::new(self.settings.pace));
        let (poker, pokes) = Poker::new(Arc::clone(&schedule));
        let line = Line {
            cache: cache.clone(),
            writer,
            schedule,
            pokes,
        };
        (Watched { cache, poker }, line)
    }

    /// Objects of a kind in the namespaces that are served.
    fn served<K>(&self) -> Api<DeserializeGuard<K>>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.settings.watch_namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn runner<K: Kind>(&self, kind: Arc<K>, schedule: Arc<Schedule<K::Object>>) -> Arc<Runner<K>> {
        let (client, metrics, fence) = (&self.client, &self.metrics, &self.settings.fence);
        let deadline = schedule.pace().deadline;
        let store = Store::new(client.clone(), metrics.clone(), deadline, Arc::clone(fence));
        let events = Events::start(client.clone(), K::KIND, metrics.clone(), Arc::clone(fence));
        Arc::new(Runner::new(kind, store, schedule, events, metrics.clone()))
    }
}

/// What the controller of one kind works with.
struct Line<K: Managed> {
    cache: Cache<K>,
    writer: reflector::store::Writer<K>,
    schedule: Arc<Schedule<K>>,
    pokes: mpsc::UnboundedReceiver<ObjectRef<K>>,
}

impl<O: Managed> Line<O> {
    /// Runs the controller until the process ends. `changed` is told of every change that the watch shows.
    async fn run<K: Kind<Object = O>>(
        self,
        process: &Process,
        kind: Arc<K>,
        api: Api<DeserializeGuard<O>>,
        changed: impl FnMut(&O, runner::Change) + Send + 'static,
    ) {
        runner::run(
            process.runner(kind, self.schedule),
            api,
            (self.cache, self.writer),
            changed,
            self.pokes,
            process.settings.concurrency,
            stopped(process.shutdown.clone()),
        )
        .await;
    }
}

/// Objects of one kind, and what wakes them.
struct Watched<K: Managed> {
    cache: Cache<K>,
    poker: Poker<K>,
}

impl<K: Managed> Clone for Watched<K> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            poker: self.poker.clone(),
        }
    }
}

impl<K: Managed> Watched<K> {
    /// Asks for a pass of every object that matches.
    fn poke_where(&self, matches: impl Fn(&K) -> bool) {
        self.poker.poke_where(&self.cache, matches);
    }
}

/// What the watches keep.
#[derive(Clone)]
struct Known {
    sites: Watched<WordPressSite>,
    zones: Watched<DnsZone>,
    providers: Watched<Provider>,
    plans: Cache<Plan>,
    secrets: Cache<Secret>,
}

impl Known {
    /// Waits for what objects refer to: none must be judged by a cache that has not been filled.
    async fn filled(&self) {
        let _ = tokio::join!(
            self.providers.cache.wait_until_ready(),
            self.plans.wait_until_ready(),
            self.secrets.wait_until_ready()
        );
    }

    /// Names of the Providers that match.
    fn providers_where(&self, matches: impl Fn(&Provider) -> bool) -> Vec<String> {
        let providers = self.providers.cache.state();
        let matching = providers.iter().filter(|provider| matches(provider));
        matching.map(|provider| provider.name_any()).collect()
    }

    /// Wakes everything that uses one of the Providers, or will.
    fn wake_users(&self, names: &[String]) {
        self.sites.poke_where(|site| needs_any(site, &self.plans, names));
        // PROXYSRV stands for the address of a proxy that the zone's own Provider names.
        let through = self.providers_where(|provider| {
            let proxy = provider.spec.zones().and_then(|zones| zones.proxy.as_ref());
            proxy.is_some_and(|proxy| names.contains(proxy))
        });
        self.zones
            .poke_where(|zone| names.contains(&zone.spec.provider) || through.contains(&zone.spec.provider));
    }
}

/// The kinds, which share the connections to the back-ends.
fn kinds(process: &Process, known: &Known) -> (Arc<SiteKind>, Arc<ZoneKind>, Arc<ProviderKind>) {
    let (settings, metrics) = (&process.settings, &process.metrics);
    let installing = Arc::<Mutex<HashMap<String, _>>>::default();
    let wake = install_wake(&installing, known.sites.poker.clone());
    let sources = Sources {
        providers: known.providers.cache.clone(),
        secrets: known.secrets.clone(),
        namespace: settings.namespace.clone(),
    };
    let fence = Arc::clone(&settings.fence);
    let connections = Connections::new(sources, Arc::new(metrics.clone()), Arc::clone(&fence), wake);
    let connections = Arc::new(connections);
    let site_kind = SiteKind {
        cluster: settings.cluster.clone(),
        client: process.client.clone(),
        plans: known.plans.clone(),
        sites: known.sites.cache.clone(),
        connections: Arc::clone(&connections),
        ledger: Arc::new(Ledger::default()),
        poker: known.sites.poker.clone(),
        metrics: metrics.clone(),
        fence,
        installing,
    };
    let zone_kind = ZoneKind {
        cluster: settings.cluster.clone(),
        plans: known.plans.clone(),
        zones: known.zones.cache.clone(),
        connections: Arc::clone(&connections),
        claims: Arc::new(Claims::default()),
        poker: known.zones.poker.clone(),
    };
    let provider_kind = ProviderKind {
        connections,
        namespace: settings.watch_namespace.clone(),
    };
    (Arc::new(site_kind), Arc::new(zone_kind), Arc::new(provider_kind))
}

async fn stopped(shutdown: Shutdown) {
    shutdown.wait().await;
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

/// Watches what only wakes others, and wakes them.
async fn wake_others(
    client: Client,
    namespace: String,
    known: Known,
    plans: reflector::store::Writer<Plan>,
    secrets: reflector::store::Writer<Secret>,
) {
    let of_plan = |plan: &Plan, _| {
        let name = plan.name_any();
        // A reserved site keeps what it was given; only one that still waits cares.
        let waits = |site: &WordPressSite| site.status.as_ref().is_none_or(|status| status.vmid.is_none());
        known
            .sites
            .poke_where(|site| site.spec.plan == name && waits(site));
        known
            .zones
            .poke_where(|zone| zone.spec.plan.as_ref() == Some(&name));
    };
    let of_secret = |secret: &Secret, _| {
        let name = secret.name_any();
        let users = known.providers_where(|provider| provider.spec.credentials.secret_name == name);
        known
            .providers
            .poke_where(|provider| users.contains(&provider.name_any()));
        known.wake_users(&users);
    };
    // Helm keeps its own large Secrets in the same namespace; they are none of our business.
    let opaque = watcher::Config::default().fields("type=Opaque");
    let secrets_api = Api::namespaced(client.clone(), &namespace);
    tokio::join!(
        runner::secondary(
            Api::all(client),
            "Plan",
            watcher::Config::default(),
            plans,
            of_plan
        ),
        runner::secondary(secrets_api, "Secret", opaque, secrets, of_secret),
    );
}

/// Wakes the objects of a Provider whose spec changed; its status changes all the time and wakes nobody.
fn provider_waker(known: Known) -> impl FnMut(&Provider, runner::Change) + Send {
    let mut seen: HashMap<String, (Option<String>, Option<i64>)> = HashMap::new();
    move |provider: &Provider, change: runner::Change| {
        let name = provider.name_any();
        // One that was deleted and made anew begins at the same generation.
        let now = (provider.uid(), provider.metadata.generation);
        let news = match change {
            runner::Change::Gone => seen.remove(&name).is_some(),
            runner::Change::Stored => seen.insert(name.clone(), now.clone()) != Some(now),
        };
        if news {
            known.wake_users(std::slice::from_ref(&name));
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
