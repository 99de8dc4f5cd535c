//! A site as data: what it shall be, what is reserved for it, what is known of it. No I/O.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::OwnedMutexGuard;

use super::domains::{DomainDone, DomainStep, Domains};
use crate::api::{Power, Recovery, SiteProviders, SiteResources, SiteTask, Suspension, WordPressSiteStatus};
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::controllers::judgement::Block;
use crate::controllers::ledger::Taken;
use crate::domain::{AddressPool, DnsLabel, Email, Fqdn, Gib, OwnerMark, Vmid, VmidRange};
use crate::providers::container_host::{
    Archive, ArchiveRestore, Container, ContainerSettings, ContainerSpec, HaState, Snapshot, Survey,
    TaskRecord, TaskState, Usage,
};
use crate::providers::dns_host::{Record, RecordSpec, ZoneId};
use crate::providers::edge::Page;
use crate::providers::reverse_proxy::{
    Certificate, CertificateId, ProxyHost, ProxyHostId, ProxyHostSpec, ProxySurvey,
};
use crate::providers::site_installer::InstallState;
use crate::providers::{ErrorKind, ProviderError};

/// Port at which WordPress listens in its container.
pub const WEB_PORT: u16 = 80;

/// Everything that the planner needs to know about what a site shall be.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Mark of everything that belongs to it.
    pub owner: OwnerMark,
    /// The customer's mail address.
    pub email: Email,
    /// The customer's name, possibly empty.
    pub customer: String,
    /// First label of its name that is wished for.
    pub label: DnsLabel,
    /// The label was asked for and may not get a suffix.
    pub label_is_fixed: bool,
    /// Domain below which its name lies.
    pub base_domain: Fqdn,
    /// Sizes of its container.
    pub sizes: SiteResources,
    /// Providers of its parts.
    pub providers: SiteProviders,
    /// Numbers that may be given out.
    pub range: VmidRange,
    /// Addresses that may be given out.
    pub pool: AddressPool,
    /// Where its name points to.
    pub public_address: Ipv4Addr,
    /// Time to live of its record in seconds.
    pub dns_ttl: u32,
    /// Its record goes through the DNS vendor's proxy.
    pub dns_proxied: bool,
    /// What the annotation asks to take over, as it was written.
    pub adopt: Option<String>,
    /// What is asked of it once it is made.
    pub wishes: Wishes,
}

/// What is asked of a site once it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// Whether the container shall run.
    pub power: Power,
    /// It is suspended, and visitors see this.
    pub suspension: Option<Suspension>,
    /// The proxy serves it.
    pub proxy_enabled: bool,
    /// The restart that was asked for last.
    pub restarted_at: Option<Timestamp>,
    /// What to do about a container that is gone.
    pub recovery: Recovery,
    /// Domains that the Plan allows.
    pub domains: i32,
    /// Domains of the spec.
    pub domain_names: Vec<String>,
    /// Backups that the Plan allows.
    pub backups: i32,
    /// WordPress is told of the customer's domains.
    pub announce_domains: bool,
    /// Why its backups cannot be made by the clock.
    pub schedule_trouble: Option<String>,
    /// The Plan cannot be read, in these words: the site keeps what it was given.
    pub without_plan: Option<String>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            power: Power::Running,
            suspension: None,
            proxy_enabled: true,
            restarted_at: None,
            recovery: Recovery::Manual,
            domains: 0,
            domain_names: Vec::new(),
            backups: 0,
            announce_domains: false,
            schedule_trouble: None,
            without_plan: None,
        }
    }
}

/// Why a container that was made shall not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Switched off by its owner.
    Stopped,
    /// Suspended.
    Suspended,
}

impl Wishes {
    /// Why the container shall not run, if it shall not.
    pub fn rest(&self) -> Option<Rest> {
        match (self.suspension, self.power) {
            (Some(_), _) => Some(Rest::Suspended),
            (None, Power::Stopped) => Some(Rest::Stopped),
            (None, Power::Running) => None,
        }
    }

    /// What visitors get of a site that is made, under its own name and the customer's domains alike.
    pub fn served(&self) -> Served {
        match self.suspension {
            Some(Suspension::Disable) => Served::Nothing,
            _ if !self.proxy_enabled => Served::Nothing,
            Some(Suspension::Notice) => Served::Notice,
            None => Served::Site,
        }
    }
}

/// What visitors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The site.
    Site,
    /// The notice that it is suspended.
    Notice,
    /// What the proxy shows for names that it does not serve.
    Nothing,
}

/// What visitors of a suspended site read.
const SUSPENSION_NOTICE: &str =
    "This site is suspended at the moment. If it is yours, please contact your hoster.";

impl Served {
    /// Whether the proxy host is enabled.
    pub fn enabled(self) -> bool {
        self != Self::Nothing
    }

    /// The sentence in place of the site.
    pub fn notice(self) -> Option<String> {
        (self == Self::Notice).then(|| SUSPENSION_NOTICE.to_owned())
    }
}

impl Terms {
    /// The record that its name needs.
    pub fn record(&self, host: &Fqdn) -> RecordSpec {
        super::settled::record(host, self.public_address, self.dns_ttl, self.dns_proxied)
    }
}

/// What is reserved for a site before anything is created, and never changes after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// First label of the name.
    pub label: DnsLabel,
    /// Whole name.
    pub host: Fqdn,
    /// Number of the container.
    pub vmid: Vmid,
    /// Address of the container.
    pub address: Ipv4Addr,
    /// When it was reserved.
    pub since: Timestamp,
    /// The container existed before and is taken over.
    pub adopted: bool,
}

impl Reservation {
    /// The reservation in a status, `None` when it is incomplete.
    pub fn of(status: &WordPressSiteStatus) -> Option<Self> {
        Some(Self {
            label: status.subdomain.as_deref()?.parse().ok()?,
            host: status.host.as_deref()?.parse().ok()?,
            vmid: Vmid::try_from(i64::from(status.vmid?)).ok()?,
            address: status.private_ip.as_deref()?.parse().ok()?,
            since: status.reserved_at.as_ref()?.0,
            adopted: status.adopted,
        })
    }

    /// Writes it into a status, with what it was made from.
    pub fn store(&self, status: &mut WordPressSiteStatus, terms: &Terms) {
        status.subdomain = Some(self.label.to_string());
        status.host = Some(self.host.to_string());
        status.url = Some(format!("https://{}", self.host));
        status.base_domain = Some(terms.base_domain.to_string());
        status.vmid = i32::try_from(self.vmid.get()).ok();
        status.private_ip = Some(self.address.to_string());
        status.reserved_at = Some(Time(self.since));
        status.adopted = self.adopted;
        status.resources = Some(terms.sizes);
        status.providers = Some(terms.providers.clone());
    }
}

/// A look at one candidate for the site's name.
#[derive(Debug, Clone)]
pub struct NameCheck {
    /// The label.
    pub label: DnsLabel,
    /// The whole name.
    pub host: Fqdn,
    /// What has the name already.
    pub obstacle: Option<String>,
}

/// What a look with bulk reads said about a settled site.
#[derive(Debug, Clone)]
pub enum Steady {
    /// Everything is as it was left.
    Agrees {
        /// The node that the container is on.
        node: Option<String>,
        /// What it uses.
        usage: Option<Usage>,
        /// End of the certificate.
        expires_at: Option<Timestamp>,
        /// A domain waits for something that nobody announces.
        waits: bool,
    },
    /// Something differs, in these words; precise reads must tell.
    Differs(String),
    /// A bulk read failed.
    Unknown(ProviderError),
}

/// What is needed to reserve.
#[derive(Debug)]
pub struct Vacancy {
    /// What other sites hold.
    pub taken: Taken,
    /// Addresses in guests that are not ours.
    pub in_use: BTreeSet<Ipv4Addr>,
    /// A container that already carries the site's mark, left by a status that was lost.
    pub orphan: Option<Container>,
    /// Candidates for the name, looked at in order until one was free.
    pub names: Vec<NameCheck>,
    /// Keeps other passes from reserving until this one has.
    pub turn: Option<OwnedMutexGuard<()>>,
}

/// What was found of a container that shall be taken over.
#[derive(Debug)]
pub struct Prospect {
    /// What other sites hold.
    pub taken: Taken,
    /// The number is that of a virtual machine.
    pub machine: bool,
    /// The container of that number.
    pub container: Option<Container>,
    /// The name under which visitors reach it and all that has the name, `None` when no host of the proxy leads to it;
    /// or why it cannot be told.
    pub name: Result<Option<NameFound>, Block>,
    /// Without such a name: candidates as for a new site, looked at in order until one was free.
    pub names: Vec<NameCheck>,
    /// Keeps other passes from reserving until this one has.
    pub turn: Option<OwnedMutexGuard<()>>,
}

/// A name and all that has it.
#[derive(Debug, Clone)]
pub struct NameFound {
    /// The label.
    pub label: DnsLabel,
    /// The whole name.
    pub host: Fqdn,
    /// Another site has it.
    pub taken: bool,
    /// Its records.
    pub records: Vec<Record>,
    /// Its hosts and certificates.
    pub proxy: ProxySurvey,
}

/// Everything that is known of a site in one pass.
#[derive(Debug, Default)]
pub struct Observed {
    /// Why nothing can be done.
    pub refusal: Option<Refusal>,
    /// What it shall be.
    pub terms: Option<Terms>,
    /// The SiteRestore that has the container for itself.
    pub held: Option<String>,
    /// The older site with the same service id, in words.
    pub rival: Option<String>,
    /// Result of a look with bulk reads.
    pub steady: Option<Steady>,
    /// All parts but the snapshot were found good a moment ago, according to the status.
    pub carried: bool,
    /// All parts that do not need WordPress were found good a moment ago, and it is still being installed.
    pub installing: bool,
    /// The container was never made, and no place is free to make it: nothing was looked at.
    pub queued: bool,
    /// What is needed to reserve.
    pub vacancy: Fact<Vacancy>,
    /// What is needed to reserve what is taken over.
    pub prospect: Fact<Prospect>,
    /// The cluster.
    pub survey: Fact<Arc<Survey>>,
    /// The tasks in the status.
    pub tasks: Vec<(SiteTask, Fact<TaskState>)>,
    /// The container of the reserved number.
    pub container: Fact<Option<Container>>,
    /// Restarts of the container since one was begun.
    pub restarts: Fact<Vec<TaskRecord>>,
    /// The container was brought to its settings in this pass: what still deviates is not ours to change.
    pub configured: bool,
    /// Creations of that number since the reservation; while it is restored from an archive, restores since that was
    /// begun.
    pub creations: Fact<Vec<TaskRecord>>,
    /// The newest backup archive of a lost container.
    pub archive: Fact<Option<Archive>>,
    /// The zone of the name.
    pub zone: Fact<Option<ZoneId>>,
    /// Records of the name.
    pub records: Fact<Vec<Record>>,
    /// Hosts and certificates of the name.
    pub proxy: Fact<ProxySurvey>,
    /// The customer's domains.
    pub domains: Option<Domains>,
    /// The installation.
    pub install: Fact<InstallState>,
    /// What a visitor gets.
    pub page: Fact<Page>,
    /// Something was changed in this pass by which visitors may get another page.
    pub page_changed: bool,
    /// Snapshots of the container.
    pub snapshots: Fact<Vec<Snapshot>>,
    /// Volumes left behind.
    pub volumes: Fact<Vec<String>>,
    /// The Secret was found absent.
    pub secret_gone: bool,
}

impl Observed {
    /// The number is proven to be a virtual machine's, which cannot be ours: the look at the container met
    /// something in its way, and the cluster's list says what. A conflict alone proves nothing, for a lock on our own
    /// container is one too.
    pub fn is_machine(&self, id: Vmid) -> bool {
        let conflict = matches!(&self.container, Fact::Unknown(error) if error.kind() == ErrorKind::Conflict);
        let listed = self.survey.known().and_then(|survey| survey.guests.get(&id));
        conflict && listed.is_some_and(|guest| !guest.is_container)
    }
}

/// One change outside (or, for a reservation and the Secret, in the cluster).
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Enter the reservation; it is stored before the next round.
    Reserve(Reservation),
    /// Create the container.
    Create(ContainerSpec),
    /// Restore the lost container from an archive.
    Recover(ArchiveRestore),
    /// Take over the container: write our mark into it.
    Adopt,
    /// Take over a record: write our mark into it.
    AdoptRecord(ZoneId, Record, RecordSpec),
    /// Take over a proxy host: write our mark into it.
    AdoptHost(ProxyHostId),
    /// Start it.
    Start,
    /// Restart it.
    Restart,
    /// Bring its configuration to these settings.
    Configure(ContainerSettings),
    /// Grow its disk.
    Grow(Gib),
    /// Put it under high availability.
    EnsureHighAvailability(HaState),
    /// Begin or resume the installation.
    Install {
        /// The node that the container is on.
        node: String,
    },
    /// Make the name.
    CreateRecord(ZoneId, RecordSpec),
    /// Repair the name.
    UpdateRecord(ZoneId, Record, RecordSpec),
    /// Request the certificate.
    RequestCertificate(Fqdn),
    /// Make the proxy host.
    CreateHost(ProxyHostSpec),
    /// Repair the proxy host.
    UpdateHost(ProxyHostId, ProxyHostSpec),
    /// Enable the proxy host.
    EnableHost(ProxyHostId),
    /// Disable the proxy host.
    DisableHost(ProxyHostId),
    /// Take the snapshot `initial`.
    Snapshot,
    /// Take the container out of high availability.
    RemoveHighAvailability,
    /// Shut the container down.
    Stop,
    /// Delete a snapshot.
    DeleteSnapshot(String),
    /// Destroy the container.
    Destroy,
    /// Delete a record.
    DeleteRecord(ZoneId, Record),
    /// Delete a proxy host.
    DeleteHost(ProxyHostId),
    /// Delete a certificate.
    DeleteCertificate(CertificateId),
    /// One step for one of the customer's domains.
    Domain(Fqdn, DomainStep),
    /// Tell WordPress of these domains, and of no others.
    Announce(BTreeSet<Fqdn>),
    /// Delete the Secret.
    DeleteSecret,
}

/// What an action brought.
#[derive(Debug, Clone)]
pub enum Done {
    /// The reservation is entered.
    Reserved(Reservation),
    /// A task has begun.
    Task(SiteTask),
    /// No place is free for a container's creation or destruction.
    Queued,
    /// High availability is as it shall be.
    HighAvailability,
    /// The container is configured.
    Configured,
    /// The installation has begun; the Secret of this name holds its passwords.
    Installing {
        /// Name of the Secret.
        secret: String,
    },
    /// The record after the write.
    Record(Record),
    /// The certificate.
    Certificate(Certificate),
    /// The host after the write.
    Host(ProxyHost),
    /// The container changed: read it again.
    ContainerChanged,
    /// A snapshot changed: read them again.
    SnapshotsChanged,
    /// A record is deleted: read them again.
    RecordsChanged,
    /// A host or certificate changed: read them again.
    ProxyChanged,
    /// What a step for a domain brought.
    Domain(Fqdn, DomainDone),
    /// WordPress was told of these domains.
    Announced(BTreeSet<Fqdn>),
    /// The Secret is gone.
    SecretGone,
}
