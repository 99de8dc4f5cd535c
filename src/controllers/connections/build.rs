//! From a Provider and its Secret to a live connection. A new vendor is one more arm here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use secrecy::SecretString;

use super::{Backend, Compute, Connection, Dns, InstallWake, Proxy, Refusal};
use crate::api::condition::reasons;
use crate::api::{
    CaTrust, CloudflareProvider, IspconfigProvider, NetworkSettings, NginxProxyManagerProvider, Provider,
    ProxmoxProvider, SshInstallerSettings, StartOfAuthority, TemplateInstallerSettings, ZoneDefaults,
};
use crate::controllers::shared_read::SharedRead;
use crate::domain::{AddressPool, Fqdn, Vmid, VmidRange};
use crate::providers::cloudflare::{self, CloudflareSettings};
use crate::providers::delegation::{DelegationCheck, ResolverCheck, ResolverLookup, ResolverSettings};
use crate::providers::dns_host::ZoneId;
use crate::providers::edge::{EdgeAddresses, EdgeSettings, HttpEdge};
use crate::providers::fence::Fence;
use crate::providers::gate::{Gate, Limits, Meter};
use crate::providers::http::{HttpSettings, TlsTrust};
use crate::providers::ispconfig::{self, IspconfigSettings};
use crate::providers::nginx_proxy_manager::{self, NpmSettings};
use crate::providers::proxmox::{self, HaPlacement, ProxmoxSettings};
use crate::providers::ssh_installer::{
    self, ArchiveUrlError, Sha256SumError, SshNode, SshSettings, WordPressSource,
};
use crate::providers::template_installer::{TemplateInstaller, TemplateSettings};
use crate::providers::{ProviderError, SiteInstaller};

/// Seconds that one certificate request may take: an ACME order with HTTP challenge takes 4 s against a test
/// server, and up to a minute against Let's Encrypt when it is busy.
const CERTIFICATE_TIMEOUT: Duration = Duration::from_secs(90);
/// Seconds that a site waits for its turn to request a certificate before it comes back later.
const CERTIFICATE_QUEUE: Duration = Duration::from_secs(15);

/// Limit for one question to a container that is on its first boot; it is near.
const TEMPLATE_TIMEOUT: Duration = Duration::from_secs(5);

/// A Provider and its Secret, with the way to complain about them.
struct Input<'a> {
    name: String,
    provider: &'a Provider,
    secret: &'a Secret,
    unverified_age: Duration,
}

/// Connects. Nothing is sent yet.
///
/// # Errors
/// When a setting or a key of the Secret is missing or cannot be used; the message names it.
pub(super) fn connection(
    provider: &Provider,
    secret: &Secret,
    meter: Arc<dyn Meter>,
    fence: Arc<dyn Fence>,
    wake: InstallWake,
    read_only: bool,
    unverified_age: Duration,
) -> Result<Connection, Refusal> {
    let input = Input {
        name: provider.name_any(),
        provider,
        secret,
        unverified_age,
    };
    let limits = &provider.spec.limits;
    let per_second = u32::try_from(limits.requests_per_second)
        .ok()
        .and_then(NonZeroU32::new)
        .unwrap_or(NonZeroU32::MIN);
    let limits = Limits {
        max_concurrent: u32::try_from(limits.max_concurrent).unwrap_or(1),
        requests_per_second: per_second,
    };
    let gate = || match read_only {
        true => Gate::new(input.name.clone(), limits, Arc::clone(&meter)).read_only(),
        false => Gate::new(input.name.clone(), limits, Arc::clone(&meter)),
    };
    // A gate of its own: sites that do not answer must not open the breaker of the proxy's API.
    let edge_gate = Arc::new(gate());
    let gate = Arc::new(gate().fenced(fence));
    let spec = &provider.spec;
    let vendors = (
        &spec.proxmox,
        &spec.nginx_proxy_manager,
        &spec.cloudflare,
        &spec.ispconfig,
    );
    match vendors {
        (Some(settings), None, None, None) => input.proxmox(settings, gate, wake),
        (None, Some(settings), None, None) => input.nginx_proxy_manager(settings, gate, edge_gate),
        (None, None, Some(settings), None) => input.cloudflare(settings, gate),
        (None, None, None, Some(settings)) => input.ispconfig(settings, gate),
        _ => Err(input.invalid("set exactly one of proxmox, nginxProxyManager, cloudflare, ispconfig")),
    }
}

impl Input<'_> {
    fn invalid(&self, what: impl std::fmt::Display) -> Refusal {
        Refusal::new(
            reasons::PROVIDER_INVALID,
            format!("Provider {}: {what}", self.name),
        )
    }

    fn refused(&self, error: &ProviderError) -> Refusal {
        self.invalid(error.message())
    }

    /// A key of the Secret as text.
    fn text(&self, key: &str) -> Result<String, Refusal> {
        let missing = |what: &str| {
            let namespace = self.secret.namespace().unwrap_or_default();
            let message = format!(
                "Secret {namespace}/{} of Provider {} {what}; add it",
                self.secret.name_any(),
                self.name
            );
            Refusal::new(reasons::CREDENTIALS_NOT_FOUND, message)
        };
        let value = self.secret.data.as_ref().and_then(|data| data.get(key));
        let value = value.ok_or_else(|| missing(&format!("has no key {key}")))?;
        let text = std::str::from_utf8(&value.0)
            .map_err(|_| missing(&format!("has a key {key} that is not text")))?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return Err(missing(&format!("has an empty key {key}")));
        }
        Ok(text.to_owned())
    }

    fn secret_text(&self, key: &str) -> Result<SecretString, Refusal> {
        self.text(key).map(SecretString::from)
    }

    fn http(&self, bases: &[String], plaintext: bool) -> Result<HttpSettings, Refusal> {
        Ok(HttpSettings {
            bases: bases.to_vec(),
            trust: self.trust()?,
            plaintext,
        })
    }

    fn trust(&self) -> Result<TlsTrust, Refusal> {
        match &self.provider.spec.tls {
            None => Ok(TlsTrust::System),
            Some(CaTrust {
                ca_bundle: Some(pem), ..
            }) => Ok(TlsTrust::CaBundle(pem.clone())),
            Some(CaTrust {
                fingerprints: Some(list),
                ..
            }) => {
                let pins = list
                    .iter()
                    .map(|text| self.fingerprint(text))
                    .collect::<Result<_, _>>()?;
                Ok(TlsTrust::Fingerprints(pins))
            }
            Some(_) => Err(self.invalid("tls needs caBundle or fingerprints")),
        }
    }

    fn fingerprint(&self, text: &str) -> Result<[u8; 32], Refusal> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = (0..digits.len()).step_by(2).map(|at| {
            digits
                .get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        bytes
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or_else(|| self.invalid(format!("the fingerprint {text} is not 32 hexadecimal bytes")))
    }

    fn address(&self, field: &str, text: &str) -> Result<Ipv4Addr, Refusal> {
        text.parse().map_err(|_| {
            self.invalid(format!(
                "{field}: \"{text}\" is not an IPv4 address such as 192.0.2.10"
            ))
        })
    }

    fn number<T: TryFrom<i32>>(&self, field: &str, number: i32) -> Result<T, Refusal> {
        T::try_from(number).map_err(|_| self.invalid(format!("{field}: {number} is out of range")))
    }

    fn pool(&self, network: &NetworkSettings) -> Result<AddressPool, Refusal> {
        let first = self.address("network.firstAddress", &network.first_address)?;
        let last = self.address("network.lastAddress", &network.last_address)?;
        let gateway = self.address("network.gateway", &network.gateway)?;
        let prefix = self.number("network.prefixLength", network.prefix_length)?;
        AddressPool::new(first, last, prefix, gateway).map_err(|error| self.invalid(error))
    }

    fn proxmox(
        &self,
        settings: &ProxmoxProvider,
        gate: Arc<Gate>,
        wake: InstallWake,
    ) -> Result<Connection, Refusal> {
        let vmid = |number: i32| Vmid::try_from(i64::from(number)).map_err(|error| self.invalid(error));
        let range = VmidRange::new(vmid(settings.vmid_range.first)?, vmid(settings.vmid_range.last)?);
        let range = range.map_err(|error| self.invalid(error))?;
        let network = &settings.network;
        let pool = self.pool(network)?;
        let nameservers = network
            .name_servers
            .iter()
            .map(|text| self.address("network.nameServers", text));
        let placement = settings.high_availability.as_ref();
        let vendor = ProxmoxSettings {
            http: self.http(&settings.endpoints, settings.plaintext)?,
            token_id: self.text("tokenId")?,
            token_secret: self.secret_text("tokenSecret")?,
            addresses: pool,
            bridge: network.bridge.clone(),
            vlan: network
                .vlan
                .map(|vlan| self.number("network.vlan", vlan))
                .transpose()?,
            storage: settings.storage.clone(),
            template: settings.template.clone(),
            nameservers: nameservers.collect::<Result<_, _>>()?,
            search_domain: network.search_domain.clone(),
            resource_pool: settings.resource_pool.clone(),
            nodes: settings.nodes.clone(),
            high_availability: HaPlacement {
                nodes: placement.map(|ha| ha.nodes.clone()).unwrap_or_default(),
                group: placement.and_then(|ha| ha.group.clone()),
                max_restart: self.number(
                    "highAvailability.maxRestart",
                    placement.map_or(3, |ha| ha.max_restart),
                )?,
                max_relocate: self.number(
                    "highAvailability.maxRelocate",
                    placement.map_or(2, |ha| ha.max_relocate),
                )?,
            },
            stop_grace: self.seconds(settings.shutdown_seconds),
        };
        let host = proxmox::connect(vendor, Arc::clone(&gate)).map_err(|error| self.refused(&error))?;
        let installer = match (&settings.installer.ssh, &settings.installer.template) {
            (Some(ssh), None) => self.ssh_installer(ssh, &gate, wake)?,
            (None, Some(template)) => self.template_installer(template, &gate)?,
            _ => return Err(self.invalid("installer needs exactly one of ssh and template")),
        };
        let compute = Compute {
            name: self.name.clone(),
            host: host.clone(),
            installer,
            installs_at_first_boot: settings.installer.template.is_some(),
            range,
            pool,
            time_zone: self.time_zone(&settings.time_zone)?,
            places: self.number("storageTasks", settings.storage_tasks)?,
            survey: SharedRead::remembering(),
        };
        Ok(Connection {
            kind: "proxmox",
            backend: Backend::Compute(Arc::new(compute)),
            health: host,
            gate,
        })
    }

    /// From the names that are compiled in, so that it does not depend on the machine which of them there are.
    fn time_zone(&self, name: &str) -> Result<TimeZone, Refusal> {
        TimeZoneDatabase::bundled().get(name).map_err(|_| {
            self.invalid(format!(
                "timeZone: \"{name}\" is no time zone of the IANA's; use a name such as UTC or Europe/Berlin"
            ))
        })
    }

    fn seconds(&self, seconds: i32) -> Duration {
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    fn ssh_installer(
        &self,
        settings: &SshInstallerSettings,
        gate: &Arc<Gate>,
        wake: InstallWake,
    ) -> Result<Arc<dyn SiteInstaller>, Refusal> {
        let mut nodes = BTreeMap::new();
        for (node, at) in &settings.nodes {
            let port = self.number("installer.ssh.nodes.port", at.port)?;
            nodes.insert(
                node.clone(),
                SshNode {
                    address: at.address.clone(),
                    port,
                    host_keys: at.host_keys.clone(),
                },
            );
        }
        let ssh = SshSettings {
            user: settings.user.clone(),
            private_key: self.secret_text("sshPrivateKey")?,
            nodes,
            wordpress: WordPressSource {
                archive: settings
                    .wordpress
                    .archive
                    .parse()
                    .map_err(|error: ArchiveUrlError| self.invalid(error))?,
                sha256: settings
                    .wordpress
                    .sha256
                    .as_deref()
                    .map(str::parse)
                    .transpose()
                    .map_err(|error: Sha256SumError| self.invalid(error))?,
                disallow_file_edit: true,
            },
            deadline: self.seconds(settings.deadline_seconds),
            pct: "pct".to_owned(),
        };
        let installer =
            ssh_installer::connect(ssh, Arc::clone(gate), wake).map_err(|error| self.refused(&error))?;
        Ok(installer)
    }

    fn template_installer(
        &self,
        settings: &TemplateInstallerSettings,
        gate: &Arc<Gate>,
    ) -> Result<Arc<dyn SiteInstaller>, Refusal> {
        let template = TemplateSettings {
            health_path: settings.health_path.clone(),
            port: self.number("installer.template.port", settings.port)?,
            timeout: TEMPLATE_TIMEOUT,
        };
        let installer =
            TemplateInstaller::new(template, Arc::clone(gate)).map_err(|error| self.refused(&error))?;
        Ok(installer)
    }

    fn nginx_proxy_manager(
        &self,
        settings: &NginxProxyManagerProvider,
        gate: Arc<Gate>,
        edge_gate: Arc<Gate>,
    ) -> Result<Connection, Refusal> {
        let public_address = self.address("publicAddress", &settings.public_address)?;
        let public_address6 =
            match &settings.public_address6 {
                Some(text) => Some(text.parse::<Ipv6Addr>().map_err(|_| {
                    self.invalid(format!("publicAddress6: \"{text}\" is not an IPv6 address"))
                })?),
                None => None,
            };
        let resolvers = self.resolver_settings("", &settings.resolvers, settings.nameserver_port)?;
        let vendor = NpmSettings {
            http: self.http(std::slice::from_ref(&settings.endpoint), settings.plaintext)?,
            identity: self.text("identity")?,
            secret: self.secret_text("secret")?,
            key_type: None,
            certificate_timeout: CERTIFICATE_TIMEOUT,
            certificate_queue: CERTIFICATE_QUEUE,
        };
        let proxy =
            nginx_proxy_manager::connect(vendor, Arc::clone(&gate)).map_err(|error| self.refused(&error))?;
        let edge = settings.edge.as_ref();
        let address = match edge.and_then(|edge| edge.address.as_deref()) {
            Some(text) => self.address("edge.address", text)?,
            None => public_address,
        };
        let port =
            |field, port: Option<i32>, customary: i32| self.number::<u16>(field, port.unwrap_or(customary));
        let addresses = EdgeAddresses {
            http: SocketAddr::from((
                address,
                port("edge.httpPort", edge.map(|edge| edge.http_port), 80)?,
            )),
            https: SocketAddr::from((
                address,
                port("edge.httpsPort", edge.map(|edge| edge.https_port), 443)?,
            )),
        };
        let trust = match edge.and_then(|edge| edge.ca_bundle.clone()) {
            Some(pem) => TlsTrust::CaBundle(pem),
            None => TlsTrust::System,
        };
        let edge = HttpEdge::new(EdgeSettings { addresses, trust }, edge_gate)
            .map_err(|error| self.refused(&error))?;
        let connected = Proxy {
            name: self.name.clone(),
            proxy: proxy.clone(),
            edge,
            public_address,
            public_address6,
            lookup: Arc::new(ResolverLookup::new(resolvers)),
            survey: Default::default(),
        };
        Ok(Connection {
            kind: "nginxProxyManager",
            backend: Backend::Proxy(Arc::new(connected)),
            health: proxy,
            gate,
        })
    }

    /// The check of delegations with the Provider's resolvers.
    fn delegation(&self, zones: &ZoneDefaults) -> Result<Arc<dyn DelegationCheck>, Refusal> {
        let settings = self.resolver_settings("zones.", &zones.resolvers, zones.nameserver_port)?;
        Ok(Arc::new(ResolverCheck::new(settings)))
    }

    /// Whom to ask; `section` is the part of the spec that says so, for complaints.
    fn resolver_settings(
        &self,
        section: &str,
        resolvers: &[String],
        nameserver_port: i32,
    ) -> Result<ResolverSettings, Refusal> {
        let resolvers = resolvers.iter().map(|text| {
            let whole = text.parse::<SocketAddr>();
            let address = || {
                text.parse()
                    .map(|address: IpAddr| SocketAddr::from((address, 53)))
            };
            whole.or_else(|_| address()).map_err(|_| {
                self.invalid(format!(
                    "{section}resolvers: \"{text}\" is not an address such as 192.0.2.53 or 192.0.2.53:5353"
                ))
            })
        });
        Ok(ResolverSettings {
            resolvers: resolvers.collect::<Result<_, _>>()?,
            port: self.number(&format!("{section}nameserverPort"), nameserver_port)?,
            unverified_age: self.unverified_age,
            ..ResolverSettings::default()
        })
    }

    fn cloudflare(&self, settings: &CloudflareProvider, gate: Arc<Gate>) -> Result<Connection, Refusal> {
        let vendor = CloudflareSettings {
            http: self.http(std::slice::from_ref(&settings.endpoint), settings.plaintext)?,
            api_token: self.secret_text("apiToken")?,
            zone_id: settings.zone_id.clone().map(ZoneId),
            account_id: settings.account_id.clone(),
        };
        let dns = cloudflare::connect(vendor, Arc::clone(&gate)).map_err(|error| self.refused(&error))?;
        let connected = Dns {
            name: self.name.clone(),
            dns: dns.clone(),
            proxied: settings.proxied,
            ttl: self.number("ttlSeconds", settings.ttl_seconds)?,
            name_servers: Vec::new(),
            soa: StartOfAuthority::default(),
            delegation: self.delegation(&settings.zones)?,
            zone_defaults: settings.zones.clone(),
            zone_list: Default::default(),
            zones: Default::default(),
            records: Default::default(),
        };
        Ok(Connection {
            kind: "cloudflare",
            backend: Backend::Dns(Arc::new(connected)),
            health: dns,
            gate,
        })
    }

    fn ispconfig(&self, settings: &IspconfigProvider, gate: Arc<Gate>) -> Result<Connection, Refusal> {
        let name_servers = settings.name_servers.iter().map(|text| {
            let name = text.parse::<Fqdn>();
            name.map_err(|error| self.invalid(format!("nameServers: {error}")))
        });
        let name_servers: Vec<Fqdn> = name_servers.collect::<Result<_, _>>()?;
        let vendor = IspconfigSettings {
            http: self.http(std::slice::from_ref(&settings.endpoint), settings.plaintext)?,
            username: self.text("username")?,
            password: self.secret_text("password")?,
            server_id: self.number("serverId", settings.server_id)?,
            name_servers: name_servers.clone(),
        };
        let dns = ispconfig::connect(vendor, Arc::clone(&gate)).map_err(|error| self.refused(&error))?;
        let connected = Dns {
            name: self.name.clone(),
            dns: dns.clone(),
            proxied: false,
            ttl: self.number("soa.ttl", settings.soa.ttl)?,
            name_servers,
            soa: settings.soa.clone(),
            delegation: self.delegation(&settings.zones)?,
            zone_defaults: settings.zones.clone(),
            zone_list: Default::default(),
            zones: Default::default(),
            records: Default::default(),
        };
        Ok(Connection {
            kind: "ispconfig",
            backend: Backend::Dns(Arc::new(connected)),
            health: dns,
            gate,
        })
    }
}
