//! Sites: what has to hold at the end of a road, whatever happened on it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use async_trait::async_trait;
use hostwright::api::{DomainState, Phase, WordPressSite, WordPressSiteStatus};
use hostwright::sim::cloudflare::SimRecord;
use hostwright::sim::proxmox::SimContainer;
use hostwright::stage::CLOUDFLARE_ZONE;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::living::{Living, expect};
use crate::world::World;

/// Sites, and what happens to each after it is made.
#[derive(Clone, Copy)]
pub struct Sites(pub Tale);

/// What happens to a site after it is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tale {
    /// Nothing.
    Plain,
    /// It is suspended.
    Suspend,
    /// It was suspended after it was made, and is so no more.
    Unsuspend,
    /// It was asked to be stopped from its beginning, and is started.
    Start,
    /// It moves to a larger Plan without high availability, and is restarted.
    AnotherPlan,
    /// Another domain takes the place of the only one that its Plan allows. All names lead to the proxy at the servers
    /// that this resolver finds.
    AnotherDomain(SocketAddr),
    /// Its container is lost, and it moves to a Plan that lets it come back from the last backup job's archive.
    Recovery,
}

/// Storage of the simulated cluster that takes backups.
const BACKUPS: &str = "local";
/// Time of the restart that is asked for.
const RESTART: &str = "2026-11-21T10:00:00Z";

impl Sites {
    /// The phase that a site comes to.
    fn phase(self, changed: bool) -> Phase {
        match (self.0, changed) {
            (Tale::Suspend, true) | (Tale::Unsuspend, false) => Phase::Suspended,
            (Tale::Start, false) => Phase::Stopped,
            _ => Phase::Running,
        }
    }

    /// The customer's domains of a site.
    fn domains(self, site: &str, changed: bool) -> Vec<String> {
        match (self.0, changed) {
            (Tale::AnotherDomain(_), false) => vec![format!("{site}-old.test")],
            (Tale::AnotherDomain(_), true) => vec![format!("{site}-new.test")],
            _ => Vec::new(),
        }
    }

    /// The change beside the phase is done.
    fn is_changed(self, site: &str, status: &WordPressSiteStatus, changed: bool) -> bool {
        match self.0 {
            Tale::AnotherPlan if changed => {
                let given = status.resources;
                given.is_some_and(|given| given.memory_mib == 4096 && given.disk_gib == 30)
                    && status.restarted_at.is_some()
            }
            Tale::AnotherDomain(_) => {
                let named = status.domains.iter().map(|domain| &domain.name);
                named.eq(&self.domains(site, changed))
                    && status
                        .domains
                        .iter()
                        .all(|domain| domain.state == DomainState::Ready)
            }
            Tale::Recovery if changed => {
                let recovery = status.recovery.as_ref();
                recovery.is_some_and(|recovery| recovery.restored_at.is_some())
            }
            _ => true,
        }
    }
}

/// Name of the larger Plan.
fn large(world: &World) -> String {
    format!("{}-large", world.plan())
}

/// Name of the Plan that lets a lost site come back.
fn recovering(world: &World) -> String {
    format!("{}-recovering", world.plan())
}

/// Restarts that the container host was asked for and began.
fn restarts(world: &World) -> u64 {
    let calls = world.backends.proxmox_server.faults.calls();
    let of = calls.iter().filter(|(call, _)| call.ends_with("/status/reboot"));
    of.map(|(_, count)| count).sum()
}

#[async_trait]
impl Living for Sites {
    type Object = WordPressSite;
    type Neighbours = Neighbours;

    const KIND: &'static str = "WordPressSite";

    fn changes(&self) -> bool {
        self.0 != Tale::Plain
    }

    fn has_arrived(&self, site: &WordPressSite, changed: bool) -> bool {
        let phase = self.phase(changed);
        let status = site.status.clone().unwrap_or_default();
        let reason = match phase {
            Phase::Stopped => "Stopped",
            Phase::Suspended => "Suspended",
            _ => "Ready",
        };
        let said = status.conditions.iter().any(|condition| {
            condition.type_ == "Ready"
                && condition.reason == reason
                && condition.observed_generation == site.metadata.generation
        });
        let moved = self.is_changed(&site.name_any(), &status, changed);
        said && moved && status.phase == Some(phase) && status.tasks.is_empty()
    }

    fn conditions(site: &WordPressSite) -> Vec<Condition> {
        let status = site.status.as_ref();
        status.map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn manifest(&self, world: &World, name: &str, changed: bool) -> Value {
        let mut site = world.site(name);
        let spec = &mut site["spec"];
        spec["domains"] = json!(self.domains(name, changed));
        match (self.0, changed) {
            (Tale::Suspend, true) => spec["suspended"] = json!(true),
            (Tale::Unsuspend, true) => spec["suspended"] = json!(false),
            (Tale::Start, false) => spec["power"] = json!("Stopped"),
            (Tale::AnotherPlan, true) => {
                spec["plan"] = json!(large(world));
                spec["restartedAt"] = json!(RESTART);
            }
            (Tale::Recovery, true) => spec["plan"] = json!(recovering(world)),
            _ => {}
        }
        site
    }

    /// On what a site would get first.
    async fn inhabit(&self, world: &World) {
        let proxmox = &world.backends.proxmox;
        let address = "name=eth0,bridge=vmbr1,ip=10.20.0.100/8,gw=10.0.0.1";
        proxmox.add_foreign_container(5_000, "pve1", &[("hostname", "shop"), ("net0", address)]);
        proxmox.add_vm(5_002, "pve2");
        let mut plan = world.manifest_of_plan();
        plan["metadata"]["name"] = json!(recovering(world));
        plan["spec"]["wordpress"]["recovery"] = json!("RestoreLatestBackup");
        world.apply(&plan).await;
        let mut plan = world.manifest_of_plan();
        plan["metadata"]["name"] = json!(large(world));
        let sizes = &mut plan["spec"]["wordpress"];
        sizes["memoryMib"] = json!(4096);
        sizes["diskGib"] = json!(30);
        sizes["highAvailability"] = json!(false);
        world.apply(&plan).await;
        if let Tale::AnotherDomain(resolver) = self.0 {
            let settings = json!({"resolvers": [resolver.to_string()], "nameserverPort": resolver.port()});
            let patch = json!({"spec": {"nginxProxyManager": settings}});
            world.patch_provider("npm", patch).await;
            world
                .patch_plan(json!({"spec": {"wordpress": {"domains": 1}}}))
                .await;
        }
    }

    fn move_in(&self, world: &World, name: &str) -> Neighbours {
        let below = |domain: String| format!("www.{domain}");
        let domains = [false, true]
            .into_iter()
            .flat_map(|changed| self.domains(name, changed));
        Neighbours::move_in(world, name, domains.map(below))
    }

    fn move_out(&self, world: &World, neighbours: &Neighbours) {
        neighbours.move_out(world);
    }

    async fn ripen(&self, world: &World, name: &str) {
        if self.0 == Tale::Unsuspend {
            world.wait_for_phase(name, Phase::Running).await;
            world.patch(name, json!({"spec": {"suspended": true}})).await;
        }
    }

    /// A backup job runs, and somebody destroys the container.
    fn intrude(&self, world: &World, neighbours: &mut Neighbours, _: &str) {
        if self.0 == Tale::Recovery {
            let proxmox = &world.backends.proxmox;
            let containers = proxmox.containers();
            let container = containers.iter().find(|container| !container.foreign).unwrap();
            neighbours.archive = Some(proxmox.back_up(container.vmid, BACKUPS).unwrap());
            proxmox.destroy_by_hand(container.vmid);
        }
    }

    fn leave(&self, _: &World, _: &mut Neighbours) {}

    async fn whole(
        &self,
        world: &World,
        neighbours: &Neighbours,
        site: &WordPressSite,
        changed: bool,
    ) -> Result<(), String> {
        let (name, status) = (site.name_any(), site.status.clone().unwrap_or_default());
        let dated = status
            .domains
            .iter()
            .all(|domain| domain.certificate_expires_at.is_some());
        let counted = status.quota.as_ref().map(|quota| quota.domains.used);
        let there = i32::try_from(status.domains.len()).ok();
        let told = dated && counted.is_none_or(|counted| Some(counted) == there);
        expect(
            "the status knows the domains",
            told && self.is_changed(&name, &status, changed),
            || format!("{status:?}"),
        )?;
        neighbours.one_whole_site(world, &name, *self, changed).await
    }

    async fn nothing_left(&self, world: &World, neighbours: &Neighbours, name: &str) -> Result<(), String> {
        neighbours.nothing_left(world, name).await
    }
}

/// Things of other people beside one site: neighbours of its names.
pub struct Neighbours {
    hosts: Vec<u64>,
    certificates: Vec<u64>,
    records: Vec<String>,
    /// What the hoster's backup job made of the site.
    archive: Option<String>,
    before: Foreign,
    /// Scripts that containers were given before.
    scripts: BTreeSet<u64>,
    /// Restarts that were asked for before.
    restarts: u64,
}

/// Everything outside that is not the operator's.
#[derive(Debug, PartialEq)]
struct Foreign {
    containers: Vec<SimContainer>,
    hosts: Vec<Value>,
    certificates: Vec<Value>,
    records: Vec<SimRecord>,
}

/// The name of a site.
fn host_of(site: &str) -> String {
    format!("{site}.sites.{CLOUDFLARE_ZONE}")
}

fn marked(record: &SimRecord) -> bool {
    record
        .comment
        .as_deref()
        .is_some_and(|comment| comment.starts_with("hostwright:"))
}

fn id_of(row: &Value) -> u64 {
    row["id"].as_u64().unwrap()
}

impl Neighbours {
    /// Puts them in.
    pub fn move_in(world: &World, site: &str, names: impl Iterator<Item = String>) -> Self {
        let backends = &world.backends;
        let (above, beside) = (format!("www.{}", host_of(site)), host_of(&format!("{site}-2")));
        let host = |name: &str| {
            let names = [name];
            backends.npm.add_foreign_host(&names, "10.20.0.100", 80).unwrap()
        };
        let record = |name: &str, content: &str| {
            backends
                .cloudflare
                .add_foreign_record(CLOUDFLARE_ZONE, name, "A", content, None)
                .unwrap()
        };
        let certificate = |name: &str| backends.npm.add_foreign_certificate(&[name], true);
        let records = vec![record(&above, "203.0.113.77"), record(&beside, "203.0.113.78")];
        let names: Vec<String> = [above, beside].into_iter().chain(names).collect();
        let hosts = names.iter().map(|name| host(name)).collect();
        let certificates = names.iter().map(|name| certificate(name)).collect();
        let mut neighbours = Self {
            hosts,
            certificates,
            records,
            archive: None,
            before: Foreign {
                containers: Vec::new(),
                hosts: Vec::new(),
                certificates: Vec::new(),
                records: Vec::new(),
            },
            scripts: scripts(world),
            restarts: restarts(world),
        };
        neighbours.before = neighbours.seen(world);
        neighbours
    }

    /// Takes them out again.
    pub fn move_out(&self, world: &World) {
        let backends = &world.backends;
        for id in &self.hosts {
            backends.npm.delete_host_by_hand(*id);
        }
        for id in &self.certificates {
            backends.npm.delete_certificate_by_hand(*id);
        }
        for id in &self.records {
            backends.cloudflare.delete_by_hand(id);
        }
        if let Some(archive) = &self.archive {
            backends.proxmox.remove_archive(archive);
        }
    }

    fn seen(&self, world: &World) -> Foreign {
        let backends = &world.backends;
        let containers = backends.proxmox.containers();
        Foreign {
            containers: containers.into_iter().filter(|c| c.foreign).collect(),
            hosts: theirs(backends.npm.hosts(), &self.hosts),
            certificates: theirs(backends.npm.certificates(), &self.certificates),
            records: backends
                .cloudflare
                .records(CLOUDFLARE_ZONE)
                .into_iter()
                .filter(|record| self.records.contains(&record.id))
                .collect(),
        }
    }

    /// Nothing of other people was touched.
    pub fn untouched(&self, world: &World) -> Result<(), String> {
        let writes = world.backends.proxmox.foreign_writes();
        expect("no write to foreign guests", writes.is_empty(), || {
            writes.join(", ")
        })?;
        let now = self.seen(world);
        expect("foreign things are as they were", now == self.before, || {
            format!("{now:?}, before {:?}", self.before)
        })
    }

    /// Exactly one of everything, whole, and nothing else.
    async fn one_whole_site(
        &self,
        world: &World,
        site: &str,
        sites: Sites,
        changed: bool,
    ) -> Result<(), String> {
        let backends = &world.backends;
        let containers = backends.proxmox.containers();
        let own: Vec<&SimContainer> = containers.iter().filter(|c| !c.foreign).collect();
        let [container] = own.as_slice() else {
            return Err(format!("one container: {own:?}"));
        };
        let sid = format!("ct:{}", container.vmid);
        let snapshots: Vec<&str> = container.snapshots.iter().map(|s| s.name.as_str()).collect();
        expect("one snapshot, initial", snapshots == ["initial"], || {
            format!("{snapshots:?}")
        })?;
        let runs = sites.phase(changed) == Phase::Running;
        let whole = container.running == runs
            && container.lock.is_none()
            && !container.snapshots.iter().any(|s| s.broken);
        expect("the container runs as asked, without a lock", whole, || {
            format!("{container:?}")
        })?;
        let orphans = backends.proxmox.orphan_volumes();
        expect("no orphaned volume", orphans.is_empty(), || {
            format!("{orphans:?}")
        })?;
        let moved = sites.0 == Tale::AnotherPlan && changed;
        let sizes = (container.memory_mib, container.disk_gib);
        let given = if moved { (4096, 30) } else { (2048, 20) };
        expect("the sizes of the Plan", sizes == given, || format!("{sizes:?}"))?;
        let asked = restarts(world) - self.restarts;
        expect("one restart", asked == u64::from(moved), || asked.to_string())?;
        let resources = backends.proxmox.ha_resources();
        if moved {
            expect("no HA resource", resources.is_empty(), || {
                format!("{resources:?}")
            })?;
            return self
                .one_surface(world, site, container.vmid, (sites, changed))
                .await;
        }
        let managed: Vec<&str> = resources.iter().map(|r| r.sid.as_str()).collect();
        expect("one HA resource", managed == [sid.as_str()], || {
            format!("{managed:?}")
        })?;
        let rules = backends.proxmox.ha_rules();
        let placed: Vec<&String> = rules.iter().flat_map(|rule| &rule.resources).collect();
        expect("in one HA rule", placed == [&sid], || format!("{rules:?}"))?;
        self.one_surface(world, site, container.vmid, (sites, changed))
            .await
    }

    /// What visitors and the customer see.
    async fn one_surface(
        &self,
        world: &World,
        site: &str,
        vmid: u32,
        (sites, changed): (Sites, bool),
    ) -> Result<(), String> {
        self.one_name(world, site, (sites, changed))?;
        self.one_installation(world, site, vmid)?;
        let given = scripts(world).difference(&self.scripts).count();
        expect("one script for the container", given == 1, || given.to_string())?;
        one_secret(world, site).await?;
        self.untouched(world)
    }

    fn one_name(&self, world: &World, site: &str, (sites, changed): (Sites, bool)) -> Result<(), String> {
        let backends = &world.backends;
        let records = backends.cloudflare.records(CLOUDFLARE_ZONE);
        let own: Vec<&SimRecord> = records.iter().filter(|r| !self.records.contains(&r.id)).collect();
        let right = matches!(own.as_slice(), [record] if record.name == host_of(site) && marked(record));
        expect("one record", right, || format!("{own:?}"))?;
        let mut names = sites.domains(site, changed);
        names.push(host_of(site));
        let (hosts, certificates) = (
            ours(backends.npm.hosts(), &self.hosts),
            ours(backends.npm.certificates(), &self.certificates),
        );
        let counts = (hosts.len(), certificates.len());
        expect(
            "one host and one certificate for each name",
            counts == (names.len(), names.len()),
            || format!("{hosts:?} {certificates:?}"),
        )?;
        let notice = sites.phase(changed) == Phase::Suspended;
        names
            .iter()
            .try_for_each(|name| one_host(&hosts, &certificates, name, notice))
    }

    fn one_installation(&self, world: &World, site: &str, vmid: u32) -> Result<(), String> {
        use hostwright::sim::directory::ContainerDirectory;
        let backends = &world.backends;
        let installed = backends.proxmox.installed(vmid);
        let right = installed
            .as_ref()
            .is_some_and(|it| it.setup_finished && it.host == host_of(site));
        expect("WordPress is installed", right, || format!("{installed:?}"))
    }

    /// Nothing is left of the site.
    pub async fn nothing_left(&self, world: &World, site: &str) -> Result<(), String> {
        let backends = &world.backends;
        let left = backends.leftovers();
        expect(
            "nothing is left",
            left.iter().all(|what| !what.contains("hostwright")),
            || format!("{left:?}"),
        )?;
        let archives = backends.proxmox.archives();
        let kept = self.archive.iter().all(|archive| archives.contains(archive));
        expect("archives are the hoster's", kept, || format!("{archives:?}"))?;
        let own = |rows: Vec<Value>, theirs: &[u64]| ours(rows, theirs).len();
        let hosts = own(backends.npm.hosts(), &self.hosts);
        let certificates = own(backends.npm.certificates(), &self.certificates);
        let records = backends.cloudflare.records(CLOUDFLARE_ZONE).len() - self.records.len();
        let proxmox = backends.proxmox.everything_empty_except_foreign();
        expect(
            "nothing is left",
            left.is_empty() && (hosts, certificates, records) == (0, 0, 0) && proxmox.is_ok(),
            || format!("{left:?} {hosts} {certificates} {records} {proxmox:?}"),
        )?;
        let orphans = backends.proxmox.orphan_volumes();
        expect("no orphaned volume", orphans.is_empty(), || {
            format!("{orphans:?}")
        })?;
        let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
        let secret = secrets.get_opt(&format!("{site}-wordpress")).await;
        let gone = matches!(secret, Ok(None));
        expect("the Secret is gone", gone, || {
            format!("{:?}", secret.map(|s| s.map(|s| s.name_any())))
        })?;
        self.untouched(world)
    }
}

/// Different scripts that containers were given so far.
fn scripts(world: &World) -> BTreeSet<u64> {
    let servers = world.backends.ssh.iter();
    servers
        .flat_map(|(_, server)| server.inputs().into_values().flatten())
        .collect()
}

fn theirs(rows: Vec<Value>, ids: &[u64]) -> Vec<Value> {
    rows.into_iter().filter(|row| ids.contains(&id_of(row))).collect()
}

fn ours(rows: Vec<Value>, theirs: &[u64]) -> Vec<Value> {
    rows.into_iter()
        .filter(|row| !theirs.contains(&id_of(row)))
        .collect()
}

/// The host of a name has its certificate, and shows what it shall.
fn one_host(hosts: &[Value], certificates: &[Value], name: &str, notice: bool) -> Result<(), String> {
    let alone = |row: &&Value| row["domain_names"] == json!([name]);
    let (host, certificate) = (hosts.iter().find(alone), certificates.iter().find(alone));
    let (Some(host), Some(certificate)) = (host, certificate) else {
        return Err(format!("{name} alone: {hosts:?} {certificates:?}"));
    };
    let told = host["advanced_config"]
        .as_str()
        .unwrap_or_default()
        .contains("suspended");
    let shown = told == notice && host["enabled"] == true;
    expect("visitors see what they shall", shown, || host.to_string())?;
    let joined = host["certificate_id"] == certificate["id"];
    expect("the host has the certificate", joined, || {
        format!("{host} {certificate}")
    })?;
    let main = hosts
        .iter()
        .find(|other| other["forward_host"] != host["forward_host"]);
    expect("all names lead to one place", main.is_none(), || {
        format!("{hosts:?}")
    })
}

async fn one_secret(world: &World, site: &str) -> Result<(), String> {
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let found = secrets
        .list(&Default::default())
        .await
        .map_err(|e| e.to_string())?;
    let names: Vec<String> = found.iter().map(|secret| secret.name_any()).collect();
    expect("one Secret", names == [format!("{site}-wordpress")], || {
        format!("{names:?}")
    })
}
