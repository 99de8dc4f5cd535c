//! The planner, row by row and as a whole: nothing here touches anything outside the process.

#![allow(clippy::too_many_lines, reason = "a table is as long as it has rows")]

mod adopting;
mod containers;
mod day_two;
mod domains;
mod finish;
mod looking;
mod model;
mod names;
mod properties;
mod recovering;
mod removal;
mod reports;
mod reserving;
mod restarts;
mod table;
mod takeovers;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;

use super::plan::SitePlan;
use super::site::{Action, Observed, Reservation, Terms, Wishes};
use super::verdict::Verdict;
use super::{SiteSubject, plan};
use crate::api::condition::{Finding, State, kinds, merge, reasons};
use crate::api::{SiteProviders, SiteResources, SiteTask, TaskOperation, WordPressSite, WordPressSiteStatus};
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::domain::{AddressPool, Fqdn, Gib, Mib, Names, OwnerMark, Vmid, VmidRange};
use crate::providers::container_host::{
    Container, HaState, HighAvailability, INITIAL_SNAPSHOT, NodeSummary, Snapshot, Survey, TaskId,
    TaskRecord, TaskState,
};
use crate::providers::dns_host::{Record, RecordData, RecordId, RecordSpec, ZoneId};
use crate::providers::edge::Page;
use crate::providers::reverse_proxy::{
    Certificate, CertificateId, ProxyHost, ProxyHostId, ProxyHostSpec, ProxySurvey,
};
use crate::providers::site_installer::InstallState;
use crate::providers::{ErrorKind, ProviderError};

const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
const STRANGER: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b22";
const AGAIN: Next = Next::Again { persist: false };
const STORE: Next = Next::Again { persist: true };
const RETRY: Next = Next::Retry { at_least: None };

fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).unwrap()
}

fn mark(uid: &str) -> OwnerMark {
    format!("hostwright:test:{uid}").parse().unwrap()
}

fn own() -> Option<OwnerMark> {
    Some(mark(UID))
}

fn vmid(number: u32) -> Vmid {
    Vmid::try_from(i64::from(number)).unwrap()
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn host() -> Fqdn {
    "jane.sites.example.com".parse().unwrap()
}

fn error(kind: ErrorKind) -> ProviderError {
    ProviderError::new(kind, format!("pve: {}", kind.label()))
}

fn terms() -> Terms {
    Terms {
        owner: mark(UID),
        email: "jane@example.com".parse().unwrap(),
        customer: "Jane".to_owned(),
        label: "jane".parse().unwrap(),
        label_is_fixed: false,
        base_domain: "sites.example.com".parse().unwrap(),
        sizes: SiteResources {
            cores: 2,
            memory_mib: 2048,
            swap_mib: 512,
            disk_gib: 20,
            high_availability: false,
        },
        providers: SiteProviders {
            compute: "pve".to_owned(),
            proxy: "npm".to_owned(),
            dns: "cf".to_owned(),
        },
        range: VmidRange::new(vmid(500), vmid(503)).unwrap(),
        pool: AddressPool::new(ip(10), ip(13), 24, ip(1)).unwrap(),
        public_address: Ipv4Addr::new(203, 0, 113, 7),
        dns_ttl: 300,
        dns_proxied: false,
        adopt: None,
        wishes: Wishes::default(),
    }
}

fn reservation() -> Reservation {
    Reservation {
        label: "jane".parse().unwrap(),
        host: host(),
        vmid: vmid(500),
        address: ip(10),
        since: now(),
        adopted: false,
    }
}

fn container() -> Container {
    Container {
        id: vmid(500),
        node: "a".to_owned(),
        mark: own(),
        running: true,
        lock: None,
        hostname: "jane".to_owned(),
        address: Some(ip(10)),
        memory: Mib(2048),
        cores: 2,
        disk: Gib(20),
        swap: Mib(512),
        deviates: false,
        network_deviates: false,
        usage: None,
        high_availability: None,
    }
}

fn managed(requested: HaState) -> HighAvailability {
    HighAvailability {
        requested,
        error: false,
        placed: true,
    }
}

fn node(online: bool, memory: u32) -> NodeSummary {
    NodeSummary {
        online,
        memory: Mib(memory),
        cores: 8,
    }
}

fn cluster() -> Survey {
    Survey {
        guests: [].into(),
        nodes: [
            ("a".to_owned(), node(true, 8192)),
            ("b".to_owned(), node(true, 8192)),
        ]
        .into(),
    }
}

fn zone() -> ZoneId {
    ZoneId("z".to_owned())
}

fn record(id: &str, mark: Option<OwnerMark>, data: RecordData) -> Record {
    Record {
        id: RecordId(id.to_owned()),
        mark,
        spec: RecordSpec {
            data,
            ..terms().record(&host())
        },
    }
}

fn right_data() -> RecordData {
    RecordData::A(terms().public_address)
}

fn certificate(id: u64, automatic: bool, domains: &[&str]) -> Certificate {
    Certificate {
        id: CertificateId(id),
        domains: domains.iter().map(|name| name.parse().unwrap()).collect(),
        automatic,
        expires_at: None,
    }
}

fn own_certificate(id: u64) -> Certificate {
    certificate(id, true, &["jane.sites.example.com"])
}

fn proxy_host(id: u64, mark: Option<OwnerMark>) -> ProxyHost {
    ProxyHost {
        id: ProxyHostId(id),
        mark,
        spec: ProxyHostSpec {
            domains: Names::from([host()]),
            forward_address: ip(10).into(),
            forward_port: 80,
            certificate: Some(CertificateId(7)),
            notice: None,
        },
        deviates: false,
        enabled: true,
        problem: None,
    }
}

fn snapshot(name: &str, taken_at: i64) -> Snapshot {
    Snapshot {
        name: name.to_owned(),
        description: String::new(),
        taken_at: Timestamp::from_second(taken_at).ok(),
        broken: None,
    }
}

fn task(operation: TaskOperation) -> SiteTask {
    SiteTask {
        operation,
        id: "UPID:a:1".to_owned(),
    }
}

fn creation(state: TaskState) -> TaskRecord {
    TaskRecord {
        id: TaskId("UPID:a:2".to_owned()),
        started_at: now(),
        state,
    }
}

/// What a planner is given.
struct Scene {
    status: WordPressSiteStatus,
    observed: Observed,
}

impl Scene {
    /// A new object, all references resolved.
    fn fresh() -> Self {
        Self {
            status: WordPressSiteStatus::default(),
            observed: Observed {
                terms: Some(terms()),
                ..Observed::default()
            },
        }
    }

    /// Reserved, nothing made; everything was looked at.
    fn reserved() -> Self {
        let mut scene = Self::fresh();
        reservation().store(&mut scene.status, &terms());
        scene.observed.container = Fact::Known(None);
        scene.observed.creations = Fact::Known(Vec::new());
        scene.observed.survey = Fact::Known(Arc::new(cluster()));
        scene.observed.zone = Fact::Known(Some(zone()));
        scene.observed.records = Fact::Known(Vec::new());
        scene.observed.proxy = Fact::Known(ProxySurvey::default());
        scene
    }

    /// The container runs, nothing else is made.
    fn created() -> Self {
        let mut scene = Self::reserved();
        scene.status.node = Some("a".to_owned());
        scene.observed.container = Fact::Known(Some(container()));
        scene.observed.creations = Fact::Unread;
        scene.observed.install = Fact::Known(InstallState::Idle);
        scene
    }

    /// Everything stands and was looked at.
    fn standing() -> Self {
        let mut scene = Self::created();
        scene.observed.records = Fact::Known(vec![record("r", own(), right_data())]);
        scene.observed.proxy = Fact::Known(ProxySurvey {
            hosts: vec![proxy_host(3, own())],
            certificates: vec![own_certificate(7)],
        });
        scene.observed.install = Fact::Known(InstallState::Done);
        scene.observed.page = Fact::Known(Page::WordPress);
        scene.observed.snapshots = Fact::Known(vec![snapshot(INITIAL_SNAPSHOT, 1)]);
        scene
    }

    fn container(&mut self, change: impl FnOnce(&mut Container)) {
        let mut container = container();
        change(&mut container);
        self.observed.container = Fact::Known(Some(container));
    }

    fn proxy(&mut self, change: impl FnOnce(&mut ProxySurvey)) {
        if let Fact::Known(survey) = &mut self.observed.proxy {
            change(survey);
        }
    }

    /// The status says this of a part.
    fn said(&mut self, kind: &'static str, state: State, message: &str) {
        self.status.conditions.retain(|condition| condition.type_ != kind);
        let finding = Finding::new(kind, state, reasons::UNAVAILABLE, message);
        self.status
            .conditions
            .extend(merge(&[], &[finding], Some(1), now()));
    }
}

/// One action in a few words.
fn line(action: &Action) -> String {
    match action {
        Action::Reserve(r) => format!("reserve {} {} {}", r.vmid, r.address, r.host),
        Action::Create(spec) => format!("create {} on {}", spec.id, spec.node),
        Action::Recover(r) => format!("recover {} on {} from {}", r.id, r.node, r.archive),
        Action::Adopt => "adopt".to_owned(),
        Action::AdoptRecord(_, seen, spec) => format!("adopt record {} {}", seen.id.0, spec.data),
        Action::AdoptHost(id) => format!("adopt host {}", id.0),
        Action::Start => "start".to_owned(),
        Action::Restart => "restart".to_owned(),
        Action::Configure(s) => format!("configure {} {} {}", s.memory, s.swap, s.cores),
        Action::Grow(disk) => format!("grow to {disk}"),
        Action::EnsureHighAvailability(state) => format!("ha {state:?}"),
        Action::Install { node } => format!("install on {node}"),
        Action::CreateRecord(_, spec) => format!("create record {} {}", spec.name, spec.data),
        Action::UpdateRecord(_, seen, spec) => format!("update record {} {}", seen.id.0, spec.data),
        Action::RequestCertificate(name) => format!("request certificate {name}"),
        Action::CreateHost(spec) => format!("create host {}", certified(spec)),
        Action::UpdateHost(id, spec) => format!("update host {} {}", id.0, certified(spec)),
        Action::EnableHost(id) => format!("enable host {}", id.0),
        Action::DisableHost(id) => format!("disable host {}", id.0),
        Action::Snapshot => "snapshot".to_owned(),
        Action::RemoveHighAvailability => "ha out".to_owned(),
        Action::Stop => "stop".to_owned(),
        Action::DeleteSnapshot(name) => format!("delete snapshot {name}"),
        Action::Destroy => "destroy".to_owned(),
        Action::DeleteRecord(_, seen) => format!("delete record {}", seen.id.0),
        Action::DeleteHost(id) => format!("delete host {}", id.0),
        Action::DeleteCertificate(id) => format!("delete certificate {}", id.0),
        Action::Announce(names) => format!("announce {names:?}"),
        Action::Domain(fqdn, step) => format!("domain {fqdn}: {step:?}"),
        Action::DeleteSecret => "delete secret".to_owned(),
    }
}

fn certified(spec: &ProxyHostSpec) -> String {
    let certificate = spec.certificate.map_or(0, |id| id.0);
    format!("{} with {certificate}", spec.forward_address)
}

/// What a person sees: a part, its reason and the beginning of its words. `Block` stands for the block.
type Sight = (&'static str, &'static str, &'static str);

fn assert_plan(name: &str, plan: &SitePlan, actions: &[&str], next: Next, sights: &[Sight]) {
    let planned: Vec<String> = plan.actions.iter().map(line).collect();
    assert_eq!(planned, actions, "{name}: actions of {plan:#?}");
    assert_eq!(plan.next, next, "{name}: next of {plan:#?}");
    for (kind, reason, words) in sights {
        let seen = sight(&plan.verdict, kind);
        let fits = seen
            .as_ref()
            .is_some_and(|(r, m)| r == reason && m.contains(words));
        assert!(fits, "{name}: {kind} is {seen:?}, not {reason} {words:?}");
    }
}

fn sight(verdict: &Verdict, kind: &str) -> Option<(String, String)> {
    if kind == "Block" {
        let block = verdict.block.as_ref()?;
        return Some((block.reason.to_owned(), block.message.clone()));
    }
    let part = verdict.parts.iter().find(|part| part.kind == kind)?;
    Some((part.reason.to_owned(), part.message.clone()))
}

/// A situation: what is planned, what follows, and what a person reads.
type Row = (
    &'static str,
    Scene,
    &'static [&'static str],
    Next,
    &'static [Sight],
);

fn with(mut scene: Scene, change: impl FnOnce(&mut Scene)) -> Scene {
    change(&mut scene);
    scene
}

/// Checks rows of a site that shall exist.
fn check(rows: Vec<Row>) {
    for (name, scene, actions, next, sights) in rows {
        let plan = plan::live(&scene.status, &scene.observed, now());
        assert_plan(name, &plan, actions, next, sights);
        let again = plan::live(&scene.status, &scene.observed, now());
        assert_eq!(plan, again, "{name}: the same input, another plan");
    }
}

/// The object with a status, as a pass has it.
fn subject(status: WordPressSiteStatus, deleting: bool, precise: bool) -> SiteSubject {
    let spec = serde_json::json!({
        "serviceId": "42", "owner": {"email": "jane@example.com"}, "plan": "basic",
    });
    let mut object = WordPressSite::new("jane", serde_json::from_value(spec).unwrap());
    object.metadata.uid = Some(UID.to_owned());
    object.metadata.generation = Some(1);
    SiteSubject {
        object: Arc::new(object),
        status,
        deleting,
        precise,
    }
}
