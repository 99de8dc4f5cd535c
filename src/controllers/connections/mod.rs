//! Live connections to the back-ends, one per Provider, made anew when the Provider or its Secret changes.

mod build;
mod zones;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::shared_read::SharedRead;
use crate::api::condition::reasons;
use crate::api::{Provider, StartOfAuthority, ZoneDefaults};
use crate::controllers::runner::Cache;
use crate::domain::dns::RecordName;
use crate::domain::{AddressPool, Fqdn, OwnerMark, VmidRange};
use crate::providers::container_host::Survey;
use crate::providers::delegation::{AddressLookup, DelegationCheck, UNVERIFIED_AGE};
use crate::providers::dns_host::{Record, ZoneId};
use crate::providers::edge::Edge;
use crate::providers::fence::Fence;
use crate::providers::gate::{Gate, Meter};
use crate::providers::reverse_proxy::{Certificate, ProxyHost};
use crate::providers::{ContainerHost, DnsHost, HealthCheck, ProviderError, ReverseProxy, SiteInstaller};

/// Why an object cannot be worked on, and what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of [`reasons`].
    pub reason: &'static str,
    /// What, which object, what to do.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// A cluster that runs containers, and how WordPress gets into them.
pub struct Compute {
    /// Name of the Provider.
    pub name: String,
    /// The cluster.
    pub host: Arc<dyn ContainerHost>,
    /// The installer.
    pub installer: Arc<dyn SiteInstaller>,
    /// Numbers that may be given out.
    pub range: VmidRange,
    /// Addresses that may be given out.
    pub pool: AddressPool,
    /// The installer works at the first boot, so that its values must be known when the container is created.
    pub installs_at_first_boot: bool,
    /// By which days and schedules of backups go.
    pub time_zone: TimeZone,
    /// Containers that are created or destroyed at a time.
    pub places: usize,
    /// The bulk read.
    pub survey: SharedRead<Survey>,
}

/// Hosts and certificates by the names in them.
#[derive(Debug, Default)]
pub struct ProxyIndex {
    /// Hosts by name.
    pub hosts: BTreeMap<Fqdn, ProxyHost>,
    /// Certificates by name.
    pub certificates: BTreeMap<Fqdn, Certificate>,
}

/// A reverse proxy, and how to look at sites through it.
pub struct Proxy {
    /// Name of the Provider.
    pub name: String,
    /// The proxy.
    pub proxy: Arc<dyn ReverseProxy>,
    /// Its visitors' side.
    pub edge: Arc<dyn Edge>,
    /// Where names point to.
    pub public_address: Ipv4Addr,
    /// Where visitors with IPv6 reach it, if they do.
    pub public_address6: Option<Ipv6Addr>,
    /// Looks where customers' domains lead.
    pub lookup: Arc<dyn AddressLookup>,
    /// The bulk read.
    pub survey: SharedRead<ProxyIndex>,
}

/// A host of DNS zones.
pub struct Dns {
    /// Name of the Provider.
    pub name: String,
    /// The host.
    pub dns: Arc<dyn DnsHost>,
    /// Whether sites' records go through the vendor's own proxy.
    pub proxied: bool,
    /// Time to live of sites' records in seconds.
    pub ttl: u32,
    /// The hoster's own name servers; empty where the back-end assigns some to each zone.
    pub name_servers: Vec<Fqdn>,
    /// Start of authority of zones.
    pub soa: StartOfAuthority,
    /// How zones are made.
    pub zone_defaults: ZoneDefaults,
    /// Looks whether the world finds a zone at its name servers.
    pub delegation: Arc<dyn DelegationCheck>,
    /// All zones.
    pub zone_list: ZoneList,
    /// Zones by the domain whose names they hold.
    pub zones: Mutex<BTreeMap<Fqdn, Arc<SharedRead<Option<ZoneId>>>>>,
    /// The bulk reads by zone.
    pub records: Mutex<BTreeMap<ZoneId, Arc<SharedRead<RecordIndex>>>>,
}

pub use zones::{ZoneIndex, ZoneList};

/// How long a zone that was found is believed to stay: zones come and go by hand.
const ZONE_AGE: Duration = Duration::from_secs(300);
/// How long a zone that was not found is believed to be missing: somebody may just be adding it.
const NO_ZONE_AGE: Duration = Duration::from_secs(1);

/// Records by name.
pub type RecordIndex = BTreeMap<RecordName, Vec<Record>>;

/// One live connection.
#[derive(Clone)]
pub enum Backend {
    /// Runs containers.
    Compute(Arc<Compute>),
    /// Serves visitors.
    Proxy(Arc<Proxy>),
    /// Hosts names.
    Dns(Arc<Dns>),
}

/// A back-end with what all of them have.
#[derive(Clone)]
pub struct Connection {
    /// Type of the Provider, as its field in the spec is called.
    pub kind: &'static str,
    /// The back-end.
    pub backend: Backend,
    /// How it is.
    pub health: Arc<dyn HealthCheck>,
    /// The gate of its calls.
    pub gate: Arc<Gate>,
}

/// Called with the owner when an installation has ended.
pub type InstallWake = Arc<dyn Fn(&OwnerMark) + Send + Sync>;

/// Caches of the objects that connections are made of.
#[derive(Clone)]
pub struct Sources {
    /// Providers.
    pub providers: Cache<Provider>,
    /// Secrets of the operator's namespace.
    pub secrets: Cache<Secret>,
    /// The operator's namespace.
    pub namespace: String,
}

struct Live {
    provider: (Option<String>, Option<i64>),
    secret: (Option<String>, Option<String>),
    result: Result<Connection, Refusal>,
}

/// All live connections.
pub struct Connections {
    sources: Sources,
    meter: Arc<dyn Meter>,
    fence: Arc<dyn Fence>,
    wake: InstallWake,
    read_only: bool,
    unverified_age: Duration,
    live: Mutex<HashMap<String, Live>>,
}

impl Connections {
    /// No connection yet; they are made when asked for. All of them stop writing when the fence closes.
    pub fn new(sources: Sources, meter: Arc<dyn Meter>, fence: Arc<dyn Fence>, wake: InstallWake) -> Self {
        Self {
            sources,
            meter,
            fence,
            wake,
            read_only: false,
            unverified_age: UNVERIFIED_AGE,
            live: Mutex::default(),
        }
    }

    /// The same, but every call that could leave a trace outside is refused before it is sent: for dry runs.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            read_only: true,
            ..self
        }
    }

    /// Zones whose name servers are not verified, and domains that do not lead to us, are looked at again after this
    /// pause: no result about them is kept for longer than half of it.
    pub fn rechecking(mut self, pause: Duration) -> Self {
        self.unverified_age = UNVERIFIED_AGE.min(pause / 2);
        self
    }

    /// The connection of a Provider, whoever asks.
    ///
    /// # Errors
    /// When the Provider or its Secret does not exist or cannot be used.
    pub fn of(&self, name: &str) -> Result<Connection, Refusal> {
        let provider = self.sources.providers.get(&ObjectRef::new(name)).ok_or_else(|| {
            let message =
                format!("Provider {name} does not exist; create it, or name another one in the Plan");
            Refusal::new(reasons::PROVIDER_NOT_FOUND, message)
        })?;
        let secret_name = &provider.spec.credentials.secret_name;
        let reference = ObjectRef::new(secret_name).within(&self.sources.namespace);
        let secret = self.sources.secrets.get(&reference).ok_or_else(|| {
            let namespace = &self.sources.namespace;
            let message = format!(
                "Secret {namespace}/{secret_name} of Provider {name} does not exist; create it there"
            );
            Refusal::new(reasons::CREDENTIALS_NOT_FOUND, message)
        })?;
        let provider_version = (provider.uid(), provider.metadata.generation);
        let secret_version = (secret.uid(), secret.resource_version());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = live.get(name)
            && entry.provider == provider_version
            && entry.secret == secret_version
        {
            return entry.result.clone();
        }
        let result = build::connection(
            &provider,
            &secret,
            Arc::clone(&self.meter),
            Arc::clone(&self.fence),
            Arc::clone(&self.wake),
            self.read_only,
            self.unverified_age,
        );
        let entry = Live {
            provider: provider_version,
            secret: secret_version,
            result: result.clone(),
        };
        live.insert(name.to_owned(), entry);
        result
    }

    /// The connection of a Provider for an object in a namespace.
    ///
    /// # Errors
    /// As [`Connections::of`], and when the Provider does not allow the namespace.
    pub fn allowed(&self, name: &str, namespace: &str) -> Result<Connection, Refusal> {
        let connection = self.of(name)?;
        let provider = self.sources.providers.get(&ObjectRef::new(name));
        let allowed = provider.is_some_and(|p| {
            p.spec
                .allowed_namespaces
                .iter()
                .any(|n| n == "*" || n == namespace)
        });
        if allowed {
            return Ok(connection);
        }
        let message = format!(
            "Provider {name} does not allow namespace {namespace}; add it to the Provider's allowedNamespaces"
        );
        Err(Refusal::new(reasons::NAMESPACE_NOT_ALLOWED, message))
    }

    /// The last bulk read of a container host, whoever made it, and when it began. Nothing is read or connected.
    pub fn latest_survey(&self, name: &str) -> Option<(Instant, Arc<Survey>)> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        match live.get(name).map(|entry| &entry.result) {
            Some(Ok(Connection {
                backend: Backend::Compute(compute),
                ..
            })) => compute.survey.latest(),
            _ => None,
        }
    }

    /// The address that PROXYSRV stands for in the zones of a host, if its Provider names a proxy.
    ///
    /// # Errors
    /// When that proxy does not exist or cannot be used.
    pub fn proxy_address(&self, dns: &Dns) -> Result<Option<Ipv4Addr>, Refusal> {
        let Some(name) = &dns.zone_defaults.proxy else {
            return Ok(None);
        };
        let proxy = self.of(name)?.proxy(name)?;
        Ok(Some(proxy.public_address))
    }
}

impl Connection {
    /// The cluster, if it is one.
    ///
    /// # Errors
    /// When the Provider is of another type.
    pub fn compute(&self, name: &str) -> Result<Arc<Compute>, Refusal> {
        match &self.backend {
            Backend::Compute(compute) => Ok(Arc::clone(compute)),
            _ => Err(self.other_type(name, "compute", "a container host (proxmox)")),
        }
    }

    /// The reverse proxy, if it is one.
    ///
    /// # Errors
    /// When the Provider is of another type.
    pub fn proxy(&self, name: &str) -> Result<Arc<Proxy>, Refusal> {
        match &self.backend {
            Backend::Proxy(proxy) => Ok(Arc::clone(proxy)),
            _ => Err(self.other_type(name, "proxy", "a reverse proxy (nginxProxyManager)")),
        }
    }

    /// The DNS host for single names, if it is one.
    ///
    /// # Errors
    /// When the Provider is of another type, or its records cannot carry our mark: what a site's record is known by
    /// has no place but the record itself.
    pub fn dns(&self, name: &str) -> Result<Arc<Dns>, Refusal> {
        match &self.backend {
            Backend::Dns(dns) if dns.dns.abilities().marks => Ok(Arc::clone(dns)),
            _ => Err(self.other_type(name, "dns", "a DNS host whose records carry marks (cloudflare)")),
        }
    }

    /// The host of whole zones, if it is one.
    ///
    /// # Errors
    /// When the Provider is of another type.
    pub fn zones(&self, name: &str) -> Result<Arc<Dns>, Refusal> {
        match &self.backend {
            Backend::Dns(dns) => Ok(Arc::clone(dns)),
            _ => {
                let message = format!(
                    "Provider {name} is of type {}, but a DnsZone needs one that hosts zones (ispconfig, cloudflare)",
                    self.kind
                );
                Err(Refusal::new(reasons::PROVIDER_INVALID, message))
            }
        }
    }

    fn other_type(&self, name: &str, field: &str, wanted: &str) -> Refusal {
        let message = format!(
            "Provider {name} is of type {}, but the Plan's field {field} needs {wanted}",
            self.kind
        );
        Refusal::new(reasons::PROVIDER_INVALID, message)
    }
}

impl Compute {
    /// The whole cluster, from a read that is at most `max_age` old.
    ///
    /// # Errors
    /// That of the read.
    pub async fn survey(&self, max_age: Duration) -> Result<Arc<Survey>, ProviderError> {
        self.survey.get(max_age, || self.host.survey()).await
    }
}

impl Proxy {
    /// The addresses at which visitors reach it.
    pub fn public_addresses(&self) -> BTreeSet<IpAddr> {
        let v6 = self.public_address6.map(IpAddr::V6);
        std::iter::once(IpAddr::V4(self.public_address))
            .chain(v6)
            .collect()
    }

    /// Every host and certificate, from a read that is at most `max_age` old.
    ///
    /// # Errors
    /// That of the read.
    pub async fn survey(&self, max_age: Duration) -> Result<Arc<ProxyIndex>, ProviderError> {
        self.survey
            .get(max_age, || async { Ok(index(self.proxy.survey().await?)) })
            .await
    }
}

fn index(survey: crate::providers::reverse_proxy::ProxySurvey) -> ProxyIndex {
    let mut index = ProxyIndex::default();
    for host in survey.hosts {
        for domain in &host.spec.domains {
            index.hosts.insert(domain.clone(), host.clone());
        }
    }
    for certificate in survey.certificates {
        for domain in &certificate.domains {
            index.certificates.insert(domain.clone(), certificate.clone());
        }
    }
    index
}

impl Dns {
    /// The zone that holds the names right below `domain`: the longest of the domain and its parents that is one.
    ///
    /// # Errors
    /// That of the look-up.
    pub async fn zone_for(&self, domain: &Fqdn) -> Result<Option<ZoneId>, ProviderError> {
        let shared = {
            let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(zones.entry(domain.clone()).or_default())
        };
        let found = shared.get(ZONE_AGE, || self.search_zone(domain)).await?;
        if found.is_some() {
            return Ok((*found).clone());
        }
        Ok((*shared.get(NO_ZONE_AGE, || self.search_zone(domain)).await?).clone())
    }

    async fn search_zone(&self, domain: &Fqdn) -> Result<Option<ZoneId>, ProviderError> {
        let mut candidate = Some(domain.clone());
        while let Some(name) = candidate {
            if let Some(zone) = self.dns.zone(&name).await? {
                return Ok(Some(zone.id));
            }
            candidate = name
                .as_str()
                .split_once('.')
                .and_then(|(_, parent)| parent.parse().ok());
        }
        Ok(None)
    }

    /// Every record of a zone, from a read that is at most `max_age` old.
    ///
    /// # Errors
    /// That of the read.
    pub async fn records(&self, zone: &ZoneId, max_age: Duration) -> Result<Arc<RecordIndex>, ProviderError> {
        let shared = {
            let mut zones = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(zones.entry(zone.clone()).or_default())
        };
        shared.get(max_age, || self.read_records(zone)).await
    }

    /// Every record of a zone, from a read of its own that nobody shares.
    ///
    /// # Errors
    /// That of the read.
    pub async fn read_records(&self, zone: &ZoneId) -> Result<RecordIndex, ProviderError> {
        let mut index = RecordIndex::new();
        for record in self.dns.records(zone).await? {
            // Most names have one record, and a list begins with room for four.
            let records = index.entry(record.spec.name.clone());
            records.or_insert_with(|| Vec::with_capacity(1)).push(record);
        }
        Ok(index)
    }
}
