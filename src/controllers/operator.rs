//! Puts the controllers together and runs them: watches, caches, connections, kinds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store as Cache};
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};

use super::connections::{Connections, InstallWake, Sources};
use super::ledger::Ledger;
use super::provider::ProviderKind;
use super::runner::{self, Events, Kind, Pace, Poker, Runner, Schedule, Store};
use super::wordpress_site::SiteKind;
use crate::api::{Plan, Provider, WordPressSite};
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
    let (providers, providers_writer) = reflector::store::<Provider>();
    let (sites, sites_writer) = reflector::store::<WordPressSite>();
    let (plans, plans_writer) = reflector::store::<Plan>();
    let (secrets, secrets_writer) = reflector::store::<Secret>();
    let site_schedule = Arc::new(Schedule::new(settings.pace));
    let provider_schedule = Arc::new(Schedule::new(settings.pace));
    let (site_poker, site_pokes) = Poker::new(Arc::clone(&site_schedule));
    let (provider_poker, provider_pokes) = Poker::new(Arc::clone(&provider_schedule));

    let caches = Caches {
        providers: providers.clone(),
        sites: sites.clone(),
        plans,
        secrets,
    };
    let (site_kind, provider_kind) = kinds(&client, &settings, &metrics, &caches, &site_poker);
    let site_runner = runner_of(&client, site_kind, site_schedule, &metrics, &settings);
    let provider_runner = runner_of(&client, provider_kind, provider_schedule, &metrics, &settings);

    // Plans and Secrets only wake others; Providers do that too, beside having a controller of their own.
    let waking = tokio::spawn(wake_others(
        client.clone(),
        settings.namespace.clone(),
        Wakers {
            sites: sites.clone(),
            providers: providers.clone(),
            site_poker: site_poker.clone(),
            provider_poker,
        },
        plans_writer,
        secrets_writer,
    ));
    let provider_changes = provider_waker(sites.clone(), caches.plans.clone(), site_poker);
    let site_api: Api<DeserializeGuard<WordPressSite>> = match &settings.watch_namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let provider_api = Api::<DeserializeGuard<Provider>>::all(client.clone());

    let provider_run = runner::run(
        provider_runner,
        provider_api,
        (providers.clone(), providers_writer),
        provider_changes,
        provider_pokes,
        settings.concurrency,
        stopped(shutdown.clone()),
    );
    let provider_run = async {
        // A Provider whose Secret has not been read yet would be called one without credentials.
        let _ = caches.secrets.wait_until_ready().await;
        provider_run.await;
    };
    let site_run = async {
        caches.filled().await;
        ready();
        runner::run(
            site_runner,
            site_api,
            (sites, sites_writer),
            |_: &WordPressSite, _| {},
            site_pokes,
            settings.concurrency,
            stopped(shutdown),
        )
        .await;
    };
    tokio::join!(provider_run, site_run);
    waking.abort();
}

/// What the watches keep.
struct Caches {
    providers: Cache<Provider>,
    sites: Cache<WordPressSite>,
    plans: Cache<Plan>,
    secrets: Cache<Secret>,
}

impl Caches {
    /// Waits for what sites refer to: a site must not be judged by a cache that has not been filled.
    async fn filled(&self) {
        let _ = tokio::join!(
            self.providers.wait_until_ready(),
            self.plans.wait_until_ready(),
            self.secrets.wait_until_ready()
        );
    }
}

/// The kinds, which share the connections to the back-ends.
fn kinds(
    client: &Client,
    settings: &Settings,
    metrics: &Metrics,
    caches: &Caches,
    site_poker: &Poker<WordPressSite>,
) -> (Arc<SiteKind>, Arc<ProviderKind>) {
    let installing = Arc::<Mutex<HashMap<String, _>>>::default();
    let wake = install_wake(&installing, site_poker.clone());
    let sources = Sources {
        providers: caches.providers.clone(),
        secrets: caches.secrets.clone(),
        namespace: settings.namespace.clone(),
    };
    let fence = Arc::clone(&settings.fence);
    let connections = Connections::new(sources, Arc::new(metrics.clone()), Arc::clone(&fence), wake);
    let connections = Arc::new(connections);
    let site_kind = SiteKind {
        cluster: settings.cluster.clone(),
        client: client.clone(),
        plans: caches.plans.clone(),
        sites: caches.sites.clone(),
        connections: Arc::clone(&connections),
        ledger: Arc::new(Ledger::default()),
        poker: site_poker.clone(),
        metrics: metrics.clone(),
        fence,
        installing,
    };
    let provider_kind = ProviderKind {
        connections,
        namespace: settings.watch_namespace.clone(),
    };
    (Arc::new(site_kind), Arc::new(provider_kind))
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
    providers: Cache<Provider>,
    site_poker: Poker<WordPressSite>,
    provider_poker: Poker<Provider>,
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
        providers,
        site_poker,
        provider_poker,
    } = wakers;
    let known_plans = plans.as_reader();
    let plan_watch = runner::secondary(
        Api::all(client.clone()),
        "Plan",
        watcher::Config::default(),
        plans,
        {
            let (sites, poker) = (sites.clone(), site_poker.clone());
            move |plan: &Plan, _| {
                let name = plan.name_any();
                // A reserved site keeps what it was given; only one that still waits cares.
                poker.poke_where(&sites, |site| {
                    site.spec.plan == name && site.status.as_ref().is_none_or(|status| status.vmid.is_none())
                });
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
            provider_poker.poke_where(&providers, |provider| users.contains(&provider.name_any()));
            site_poker.poke_where(&sites, |site| needs_any(site, &known_plans, &users));
        },
    );
    tokio::join!(plan_watch, secret_watch);
}

/// Wakes the sites of a Provider whose spec changed; its status changes all the time and wakes nobody.
fn provider_waker(
    sites: Cache<WordPressSite>,
    plans: Cache<Plan>,
    poker: Poker<WordPressSite>,
) -> impl FnMut(&Provider, runner::Change) + Send {
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
            poker.poke_where(&sites, |site| {
                needs_any(site, &plans, std::slice::from_ref(&name))
            });
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
