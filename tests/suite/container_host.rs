//! The contract suite of `ContainerHost`, over HTTP on a simulated Proxmox VE cluster of each release whose API
//! differs. Times that matter are skipped, not waited for.

mod archives;
mod changes;
mod disks;
mod trouble;

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hostwright::domain::{AddressPool, Gib, Mib, OwnerMark, Vmid};
use hostwright::providers::container_host::{
    Container, ContainerHost, ContainerSettings, ContainerSpec, HaState, Operation, TaskId, TaskRecord,
    TaskState, Usage,
};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::http::{HttpSettings, TlsTrust};
use hostwright::providers::proxmox::{HaPlacement, Proxmox, ProxmoxSettings, connect};
use hostwright::providers::{ErrorKind, HealthCheck};
use hostwright::sim::faults::{Fault, Faults, Tripwire, Trouble};
use hostwright::sim::proxmox::{ProxmoxOptions, ProxmoxSim, PveVersion};
use hostwright::sim::server::Server;
use jiff::Timestamp;

/// A time that only ends when it is skipped.
const HOUR: Duration = Duration::from_secs(3600);
/// Longest wait for the end of an instant task.
const PATIENCE: Duration = Duration::from_secs(60);
const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

fn owner() -> OwnerMark {
    format!("hostwright:test:{UID}").parse().unwrap()
}

fn stranger() -> OwnerMark {
    format!("hostwright:other:{UID}").parse().unwrap()
}

fn id() -> Vmid {
    Vmid::try_from(907).unwrap()
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn spec() -> ContainerSpec {
    ContainerSpec {
        id: id(),
        node: "pve1".to_owned(),
        hostname: "shop".parse().unwrap(),
        address: ip(20),
        memory: Mib(2048),
        swap: Mib(512),
        cores: 2,
        disk: Gib(20),
        mark: owner(),
        environment: [].into(),
    }
}

/// A cluster and its client.
struct Scene {
    server: Server,
    sim: ProxmoxSim,
    host: Arc<Proxmox>,
    begun: Timestamp,
}

impl Scene {
    async fn open(version: PveVersion) -> Self {
        Self::with(version, |_| {}).await
    }

    async fn with(version: PveVersion, change: impl FnOnce(&mut ProxmoxOptions)) -> Self {
        let mut options = ProxmoxOptions {
            version,
            ..ProxmoxOptions::default()
        };
        change(&mut options);
        Self::serve(ProxmoxSim::new(options.clone()), options, None).await
    }

    /// Behind a tripwire.
    async fn behind(version: PveVersion, wire: Arc<dyn Tripwire>) -> Self {
        let options = ProxmoxOptions {
            version,
            ..ProxmoxOptions::default()
        };
        Self::serve(ProxmoxSim::new(options.clone()), options, Some(wire)).await
    }

    async fn serve(sim: ProxmoxSim, options: ProxmoxOptions, wire: Option<Arc<dyn Tripwire>>) -> Self {
        // Fails when another test was first, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = sim.serve(address, Faults::new(wire), None).await.unwrap();
        let (token_id, secret) = options.token.split_once('=').unwrap();
        let rules = options.version >= PveVersion::V9_0;
        let nodes = ["pve1", "pve2"].map(str::to_owned).to_vec();
        let settings = ProxmoxSettings {
            http: HttpSettings {
                bases: vec![server.url()],
                trust: TlsTrust::System,
                plaintext: true,
            },
            token_id: token_id.to_owned(),
            token_secret: secret.to_owned().into(),
            addresses: AddressPool::new(ip(10), ip(99), 24, ip(1)).unwrap(),
            bridge: "vmbr0".to_owned(),
            vlan: None,
            storage: "drbd".to_owned(),
            template: "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst".to_owned(),
            nameservers: Vec::new(),
            search_domain: None,
            resource_pool: None,
            nodes: Vec::new(),
            high_availability: HaPlacement {
                nodes: if rules { nodes } else { Vec::new() },
                group: None,
                max_restart: 1,
                max_relocate: 1,
            },
            stop_grace: Duration::from_secs(30),
        };
        let limits = Limits {
            max_concurrent: 4,
            requests_per_second: NonZeroU32::new(10_000).unwrap(),
        };
        let gate = Arc::new(Gate::new("pve", limits, Arc::new(NoMeter)));
        Self {
            server,
            sim,
            host: connect(settings, gate).unwrap(),
            begun: Timestamp::now(),
        }
    }

    /// Waits for the end of a task.
    async fn end(&self, task: &TaskId) -> TaskState {
        let begun = Instant::now();
        loop {
            match self.host.task(task).await.unwrap() {
                TaskState::Running if begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                ended => return ended,
            }
        }
    }

    async fn done(&self, task: TaskId) {
        assert_eq!(self.end(&task).await, TaskState::Succeeded { warnings: false });
    }

    async fn created(&self) -> Container {
        let task = self.host.create(&spec()).await.unwrap();
        self.done(task).await;
        self.there().await
    }

    async fn there(&self) -> Container {
        self.host.container(id()).await.unwrap().unwrap()
    }

    async fn stopped(&self) {
        let task = self.host.stop(id()).await.unwrap().unwrap();
        self.done(task).await;
    }

    async fn destroyed(&self) {
        let task = self.host.destroy(id(), &owner()).await.unwrap().unwrap();
        self.done(task).await;
        assert_eq!(self.host.container(id()).await.unwrap(), None);
        assert_eq!(
            self.host.leftover_volumes(id()).await.unwrap(),
            Vec::<String>::new()
        );
        self.sim.everything_empty_except_foreign().unwrap();
    }

    /// Calls so far that were no reads.
    fn writes(&self) -> u64 {
        let calls = self.server.faults.calls();
        let writes = calls.iter().filter(|(call, _)| !call.starts_with("GET"));
        writes.map(|(_, count)| count).sum()
    }

    fn order(&self, method: &str, path: &str, trouble: Trouble) {
        self.server.faults.order(Fault {
            method: Some(method.to_owned()),
            path_contains: path.to_owned(),
            skip: 0,
            times: Some(1),
            trouble,
        });
    }

    /// Puts in a running container of other people at our number.
    fn occupy(&self, description: &str) {
        self.sim
            .add_foreign_container(907, "pve1", &[("description", description)]);
    }

    fn untouched(&self) {
        assert_eq!(self.sim.foreign_writes(), Vec::<String>::new());
        assert!(self.sim.container(907).unwrap().running);
    }
}

async fn a_container_lives_from_create_to_destroy(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    assert_eq!(host.check().await.unwrap().missing_rights, Vec::<String>::new());
    assert_eq!(host.container(id()).await.unwrap(), None);
    let made = scene.created().await;
    let expected = Container {
        id: id(),
        node: "pve1".to_owned(),
        mark: Some(owner()),
        running: true,
        lock: None,
        hostname: "shop".to_owned(),
        address: Some(ip(20)),
        memory: Mib(2048),
        cores: 2,
        disk: Gib(20),
        swap: Mib(512),
        deviates: false,
        network_deviates: false,
        usage: made.usage,
        high_availability: None,
    };
    assert_eq!(made, expected);
    let survey = host.survey().await.unwrap();
    let line = &survey.guests[&id()];
    assert_eq!(
        (line.node.as_str(), line.running, line.is_container),
        ("pve1", Some(true), true)
    );
    assert_eq!(line.owner_hint.as_ref().map(|uid| uid.as_str()), Some(UID));
    assert_eq!(survey.nodes.len(), 3);
    assert!(host.addresses_in_use(&[].into()).await.unwrap().contains(&ip(20)));
    assert!(host.addresses_in_use(&[id()].into()).await.unwrap().is_empty());

    assert_eq!(host.start(id()).await.unwrap(), None, "it runs already");
    scene.stopped().await;
    assert!(!scene.there().await.running);
    assert_eq!(host.stop(id()).await.unwrap(), None, "it is stopped already");
    let task = host.start(id()).await.unwrap().unwrap();
    scene.done(task).await;
    assert!(scene.there().await.running);

    scene.stopped().await;
    scene.destroyed().await;
    assert_eq!(
        host.destroy(id(), &owner()).await.unwrap(),
        None,
        "it is gone already"
    );
    assert_eq!(host.delete_snapshot(id(), "initial").await.unwrap(), None);
    assert_eq!(host.start(id()).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(
        host.snapshots(id()).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
    host.remove_high_availability(id()).await.unwrap();
}

async fn snapshots_come_and_go_and_hold_the_container(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    assert_eq!(host.snapshots(id()).await.unwrap(), []);
    for name in ["initial", "second"] {
        let task = host
            .take_snapshot(id(), name, &owner().to_string())
            .await
            .unwrap();
        scene.done(task).await;
    }
    let taken = host.snapshots(id()).await.unwrap();
    let names: Vec<&str> = taken.iter().map(|snapshot| snapshot.name.as_str()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(taken.iter().all(|snapshot| {
        OwnerMark::find_in(&snapshot.description) == Some(owner()) && snapshot.broken.is_none()
    }));
    // A name that is taken is accepted and fails in the task, or refused: never a second one.
    if let Ok(task) = host.take_snapshot(id(), "initial", "").await {
        assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    }
    assert_eq!(host.snapshots(id()).await.unwrap().len(), 2);

    // LINSTOR refuses to free what has snapshots; the container stays whole and ours.
    scene.stopped().await;
    let task = host.destroy(id(), &owner()).await.unwrap().unwrap();
    assert!(matches!(scene.end(&task).await, TaskState::Failed(_)));
    assert_eq!(scene.there().await.mark, Some(owner()));
    for name in ["second", "initial"] {
        let task = host.delete_snapshot(id(), name).await.unwrap().unwrap();
        scene.done(task).await;
    }
    assert_eq!(host.delete_snapshot(id(), "initial").await.unwrap(), None);
    assert_eq!(host.snapshots(id()).await.unwrap(), []);
    scene.destroyed().await;
}

async fn high_availability_is_put_on_and_taken_off(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    host.remove_high_availability(id()).await.unwrap();
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    let managed = scene.there().await.high_availability.unwrap();
    assert_eq!(
        (managed.requested, managed.error, managed.placed),
        (HaState::Started, false, true)
    );
    let before = scene.writes();
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert_eq!(scene.writes(), before, "what is so is not written");

    // The manager owns the power: it is told, and there is no task to follow.
    assert_eq!(host.stop(id()).await.unwrap(), None);
    let stopped = scene.there().await;
    assert_eq!(stopped.high_availability.unwrap().requested, HaState::Stopped);
    assert!(!stopped.running);
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert!(scene.there().await.running);

    host.remove_high_availability(id()).await.unwrap();
    assert_eq!(scene.there().await.high_availability, None);
    assert_eq!(scene.sim.ha_resources(), []);
    assert!(scene.sim.ha_rules().iter().all(|rule| rule.resources.is_empty()));
    host.remove_high_availability(id()).await.unwrap();
    scene.stopped().await;
    scene.destroyed().await;
}

async fn high_availability_takes_its_time_and_gives_up(version: PveVersion) {
    let scene = Scene::with(version, |options| options.ha_delay = HOUR).await;
    let host = &scene.host;
    scene.created().await;
    scene.stopped().await;
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    assert!(!scene.there().await.running, "the manager has not come round yet");
    scene.sim.skip_time(2 * HOUR);
    assert!(scene.there().await.running);

    scene.sim.set_ha_error(907);
    let managed = scene.there().await.high_availability.unwrap();
    assert!(managed.error);
    // The way out of an error leads through `Disabled`, whatever was asked.
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    let managed = scene.there().await.high_availability.unwrap();
    assert_eq!((managed.requested, managed.error), (HaState::Disabled, true));
    scene.sim.skip_time(2 * HOUR);
    assert!(!scene.there().await.high_availability.unwrap().error);
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    scene.sim.skip_time(2 * HOUR);
    let back = scene.there().await;
    assert_eq!(back.high_availability.unwrap().requested, HaState::Started);
    assert!(back.running);
}

async fn what_is_not_ours_is_not_touched(version: PveVersion) {
    for description in ["made by hand".to_owned(), stranger().to_string()] {
        let scene = Scene::open(version).await;
        let host = &scene.host;
        scene.occupy(&description);
        let seen = scene.there().await;
        assert_eq!(seen.mark, OwnerMark::find_in(&description));
        let destroy = host.destroy(id(), &owner()).await.unwrap_err();
        assert_eq!(destroy.kind(), ErrorKind::Conflict);
        let manage = host
            .ensure_high_availability(id(), &owner(), HaState::Started)
            .await;
        assert_eq!(manage.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(
            host.create(&spec()).await.unwrap_err().kind(),
            ErrorKind::Conflict
        );
        scene.untouched();
    }
}

async fn a_number_is_given_once(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    assert_eq!(
        host.create(&spec()).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(scene.sim.containers().len(), 1);
    scene.sim.add_vm(908, "pve2");
    let machine = Vmid::try_from(908).unwrap();
    assert_eq!(
        host.container(machine).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    let on_machine = ContainerSpec {
        id: machine,
        ..spec()
    };
    assert_eq!(
        host.create(&on_machine).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(
        host.destroy(machine, &owner()).await.unwrap_err().kind(),
        ErrorKind::Conflict
    );
    assert_eq!(scene.sim.foreign_writes(), Vec::<String>::new());
}

async fn slow_tasks_are_followed(version: PveVersion) {
    let scene = Scene::with(version, |options| options.task_time = HOUR).await;
    let host = &scene.host;
    let task = host.create(&spec()).await.unwrap();
    assert_eq!(host.task(&task).await.unwrap(), TaskState::Running);
    let hidden = scene.there().await;
    assert_eq!((hidden.mark, hidden.lock.as_deref()), (None, Some("create")));
    let destroy = host.destroy(id(), &owner()).await.unwrap_err();
    assert_eq!(
        destroy.kind(),
        ErrorKind::Conflict,
        "whose it is cannot be seen yet"
    );
    let found = host.tasks_of(id(), Operation::Create, scene.begun).await.unwrap();
    assert_eq!((&found[0].id, &found[0].state), (&task, &TaskState::Running));
    scene.sim.skip_time(2 * HOUR);
    scene.done(task).await;
    assert_eq!(scene.there().await.mark, Some(owner()));
    // What Proxmox has forgotten, or never knew, is unknown and no failure.
    let forgotten = TaskId("UPID:pve1:00004556:065341E5:6020F7FA:vzcreate:907:x@pve!y:".to_owned());
    assert_eq!(host.task(&forgotten).await.unwrap(), TaskState::Unknown);
}

async fn a_fresh_task_is_unknown_for_a_moment(version: PveVersion) {
    let scene = Scene::with(version, |options| options.fresh_upid_delay = HOUR).await;
    let task = scene.host.create(&spec()).await.unwrap();
    assert_eq!(scene.host.task(&task).await.unwrap(), TaskState::Unknown);
    scene.sim.skip_time(2 * HOUR);
    scene.done(task).await;
}

macro_rules! contract_suite {
    ($($module:ident: $version:ident,)*) => {
        $(mod $module {
            use hostwright::sim::proxmox::PveVersion;

            $crate::container_host::contract_suite!(PveVersion::$version =>
                a_container_lives_from_create_to_destroy,
                snapshots_come_and_go_and_hold_the_container,
                high_availability_is_put_on_and_taken_off,
                high_availability_takes_its_time_and_gives_up,
                what_is_not_ours_is_not_touched,
                a_number_is_given_once,
                slow_tasks_are_followed,
                a_fresh_task_is_unknown_for_a_moment,
                changes::a_restart_is_one_task,
                changes::a_restart_needs_a_container_that_runs_and_is_ours,
                changes::settings_are_written_once_and_only_where_they_differ,
                changes::what_people_added_stays_and_what_they_broke_is_repaired,
                changes::a_change_by_somebody_else_at_the_same_time_is_kept,
                changes::tags_that_are_refused_hold_nothing_up,
                disks::a_disk_grows_to_a_size_and_not_by_one,
                disks::a_device_that_grew_alone_is_brought_together_with_its_configuration,
                disks::a_rollback_brings_the_old_configuration_back,
                disks::a_rollback_needs_a_whole_snapshot_and_a_stopped_container,
                disks::a_refused_rollback_leaves_a_lock_for_a_person,
                archives::a_lost_container_comes_back_from_its_newest_archive,
                archives::an_archive_of_somebody_else_is_never_restored,
                archives::nothing_is_restored_over_a_container,
                archives::what_cannot_be_seen_is_no_absence,
                archives::a_restore_is_found_again_and_fails_late,
                archives::archives_are_no_leftovers,
                changes::adoption_adds_the_mark_and_keeps_the_rest,
                changes::lost_answers_are_found_again_or_repeated,
                changes::nothing_changes_what_is_not_ours,
                changes::nothing_changes_what_is_gone_or_locked,
                changes::changes_follow_a_container_that_moves,
                changes::high_availability_keeps_it_stopped_or_lets_it_run,
                changes::the_survey_tells_what_is_used,
                trouble::refused_credentials_are_denied,
                trouble::a_missing_right_is_named,
                trouble::throttling_says_when_to_come_back,
                trouble::a_lost_answer_is_ambiguous_and_found_again,
                trouble::an_answer_that_never_comes_is_found_again,
                trouble::a_call_that_never_arrived_changes_nothing,
                trouble::a_failed_read_is_no_absence,
                trouble::a_container_that_moves_is_followed,
                trouble::where_it_was_seen_is_asked_first,
                trouble::a_node_that_is_down_hides_nothing,
                trouble::tasks_fail_late,
                trouble::what_a_failed_destruction_leaves_is_seen,
                trouble::orphaned_volumes_are_found,
                trouble::stale_statistics_do_not_deceive,
                trouble::storage_and_quorum_can_be_away,
            );
        })*
    };
    ($version:expr => $($($path:ident)::+,)*) => {
        $($crate::container_host::contract_suite!(@case $version, $($path)::+);)*
    };
    (@case $version:expr, $file:ident::$case:ident) => {
        #[tokio::test]
        async fn $case() {
            $crate::container_host::$file::$case($version).await;
        }
    };
    (@case $version:expr, $case:ident) => {
        #[tokio::test]
        async fn $case() {
            $crate::container_host::$case($version).await;
        }
    };
}
use contract_suite;

contract_suite! {
    v8_4: V8_4,
    v9_0: V9_0,
    v9_1: V9_1,
}
