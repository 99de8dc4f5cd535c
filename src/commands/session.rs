//! The cluster as the operator would see it, read once: caches filled by lists, indexes of what is claimed, and
//! connections to the back-ends.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use kube::{Api, Client, Resource, ResourceExt};

use crate::api::{DnsZone, Plan, Provider, SiteRestore, WordPressSite};
use crate::config::{ClusterOptions, SessionOptions};
use crate::controllers::connections::{Connections, Sources};
use crate::controllers::dns_zone::ZoneKind;
use crate::controllers::dns_zone::claims::Claims;
use crate::controllers::ledger::Ledger;
use crate::controllers::runner::{Cache, CacheWriter, Kind, Managed, Pace, Poker, Schedule, trimmed};
use crate::controllers::wordpress_site::SiteKind;
use crate::domain::ClusterId;
use crate::providers::fence::{AlwaysOpen, Fence};
use crate::runtime::kubernetes::{self, ClusterIdError, ConnectError};
use crate::runtime::metrics::Metrics;

/// Objects per page of a list: 500 of some 5 KB are a few MiB at a time, and `kubectl` asks for as many.
const PAGE: u32 = 500;

/// What a command may do at the back-ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Look. Every call that could leave a trace is refused before it is sent.
    ReadOnly,
    /// Change things too.
    ReadWrite,
}

/// The fence of commands that only look: no write begins, neither outside nor in the cluster.
#[derive(Debug)]
struct Closed;

impl Fence for Closed {
    fn is_open(&self) -> bool {
        false
    }
}

/// The cluster could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No client.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No name for owner marks.
    #[error(transparent)]
    Cluster(#[from] ClusterIdError),
    /// A list was refused or not answered.
    #[error("{what} cannot be listed: {reason}; the command needs the right to list {what}")]
    List {
        /// Which objects, and where.
        what: String,
        /// The API server's words.
        reason: String,
    },
}

/// Everything that a command works with.
pub struct Session {
    /// Kubernetes. What a command does with it is its own business.
    pub client: Client,
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// Providers.
    pub providers: Cache<Provider>,
    /// Plans.
    pub plans: Cache<Plan>,
    /// Secrets of the operator's namespace.
    pub secrets: Cache<Secret>,
    /// Sites of the namespaces that are served.
    pub sites: Cache<WordPressSite>,
    /// Zones of the namespaces that are served.
    pub zones: Cache<DnsZone>,
    /// Back-ends, with the given access.
    pub connections: Arc<Connections>,
    /// The kind of sites, which has seen all of them.
    pub site_kind: Arc<SiteKind>,
    /// The kind of zones, which has seen all of them.
    pub zone_kind: Arc<ZoneKind>,
    /// Objects that could not be understood, with the reason; the operator does not see them either.
    pub unreadable: Vec<String>,
}

impl Session {
    /// Reads the cluster.
    ///
    /// # Errors
    /// When there is no way to the cluster, or a list is refused.
    pub async fn open(options: &SessionOptions, access: Access) -> Result<Self, SessionError> {
        let ClusterOptions { context, .. } = &options.cluster;
        let kubeconfig = options.cluster.kubeconfig();
        let client = kubernetes::client_in(kubeconfig.as_deref(), context.as_deref()).await?;
        let cluster = match &options.cluster_id {
            Some(id) => id.clone(),
            None => kubernetes::cluster_id(client.clone()).await?,
        };
        let namespace = options.operator_namespace.to_string();
        let (providers, plans, secrets, sites, zones, restores) = futures::try_join!(
            list::<Provider>(Api::all(client.clone()), "Providers".to_owned()),
            list::<Plan>(Api::all(client.clone()), "Plans".to_owned()),
            list::<Secret>(
                Api::namespaced(client.clone(), &namespace),
                format!("Secrets in namespace {namespace}")
            ),
            list::<WordPressSite>(served(&client, options), "WordPressSites".to_owned()),
            list::<DnsZone>(served(&client, options), "DnsZones".to_owned()),
            list::<SiteRestore>(served(&client, options), "SiteRestores".to_owned()),
        )?;
        let unreadable = [
            &providers.unreadable,
            &plans.unreadable,
            &sites.unreadable,
            &zones.unreadable,
            &restores.unreadable,
        ];
        let unreadable = unreadable.into_iter().flatten().cloned().collect();
        let caches = Caches {
            providers: cache(providers.objects),
            plans: cache(plans.objects),
            secrets: cache(secrets.objects),
            sites: cache(sites.objects),
            zones: cache(zones.objects),
            restores: cache(restores.objects),
        };
        Ok(Self::on(client, cluster, namespace, caches, unreadable, access))
    }

    fn on(
        client: Client,
        cluster: ClusterId,
        namespace: String,
        caches: Caches,
        unreadable: Vec<String>,
        access: Access,
    ) -> Self {
        let metrics = Metrics::new();
        let fence: Arc<dyn Fence> = match access {
            Access::ReadOnly => Arc::new(Closed),
            Access::ReadWrite => Arc::new(AlwaysOpen),
        };
        let sources = Sources {
            providers: caches.providers.clone(),
            secrets: caches.secrets.clone(),
            namespace,
        };
        // Nobody waits for the end of an installation here.
        let wake = Arc::new(|_: &_| {});
        let connections = Connections::new(sources, Arc::new(metrics.clone()), Arc::clone(&fence), wake);
        let connections = Arc::new(match access {
            Access::ReadOnly => connections.read_only(),
            Access::ReadWrite => connections,
        });
        let site_kind = SiteKind {
            cluster: cluster.clone(),
            client: client.clone(),
            plans: caches.plans.clone(),
            sites: caches.sites.clone(),
            restores: caches.restores.clone(),
            // A count for the status, which nobody stores here.
            shelf: Arc::default(),
            connections: Arc::clone(&connections),
            ledger: Arc::new(Ledger::default()),
            poker: nobody(),
            metrics,
            fence,
            installing: Arc::new(Mutex::new(HashMap::new())),
        };
        let zone_kind = ZoneKind {
            cluster: cluster.clone(),
            plans: caches.plans.clone(),
            zones: caches.zones.clone(),
            connections: Arc::clone(&connections),
            claims: Arc::new(Claims::default()),
            poker: nobody(),
        };
        // Who holds what is judged by all objects, as the operator does before its first pass.
        caches.sites.each().for_each(|site| site_kind.seen(&site));
        caches.zones.each().for_each(|zone| zone_kind.seen(&zone));
        Self {
            client,
            cluster,
            providers: caches.providers,
            plans: caches.plans,
            secrets: caches.secrets,
            sites: caches.sites,
            zones: caches.zones,
            connections,
            site_kind: Arc::new(site_kind),
            zone_kind: Arc::new(zone_kind),
            unreadable,
        }
    }
}

struct Caches {
    providers: Cache<Provider>,
    plans: Cache<Plan>,
    secrets: Cache<Secret>,
    sites: Cache<WordPressSite>,
    zones: Cache<DnsZone>,
    restores: Cache<SiteRestore>,
}

/// Objects of a kind in the namespaces that the operator serves.
fn served<K>(client: &Client, options: &SessionOptions) -> Api<DeserializeGuard<K>>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    match &options.watch_namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace.as_str()),
        None => Api::all(client.clone()),
    }
}

/// A poker that wakes nobody, for there are no controllers.
fn nobody<K: Managed>() -> Poker<K> {
    Poker::new(Arc::new(Schedule::new(Pace::default()))).0
}

struct Listed<K> {
    objects: Vec<K>,
    unreadable: Vec<String>,
}

async fn list<K>(api: Api<DeserializeGuard<K>>, what: String) -> Result<Listed<K>, SessionError>
where
    K: Managed + Resource<DynamicType = ()>,
{
    let mut listed = Listed {
        objects: Vec::new(),
        unreadable: Vec::new(),
    };
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await.map_err(|error| SessionError::List {
            what: what.clone(),
            reason: words(&error),
        })?;
        for DeserializeGuard(object) in page.items {
            match object {
                Ok(object) => listed.objects.push(trimmed(object)),
                Err(invalid) => {
                    let meta = invalid.metadata;
                    let names = [meta.namespace, meta.name].into_iter().flatten();
                    let name = names.collect::<Vec<_>>().join("/");
                    let kind = K::kind(&());
                    listed
                        .unreadable
                        .push(format!("{kind} {name} is not understood: {}", invalid.error));
                }
            }
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(listed);
        }
    }
}

fn cache<K>(objects: Vec<K>) -> Cache<K>
where
    K: Managed,
    K::DynamicType: Default + Clone + Eq + Hash + Debug,
{
    let mut writer = CacheWriter::whole();
    writer.take(&Event::Init);
    for object in objects {
        writer.take(&Event::InitApply(object));
    }
    writer.take(&Event::InitDone);
    writer.cache()
}

/// What the API server said, without the wrapping.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.trim_end_matches('.').to_owned(),
        other => other.to_string(),
    }
}

/// `namespace/name`, for messages.
pub fn title<K: Resource>(object: &K) -> String {
    match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    }
}
