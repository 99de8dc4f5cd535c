//! The part of the contract about a container that exists: restart, settings, adoption, and what all changes share.

use std::sync::Mutex;

use hostwright::sim::faults::Verdict;

use super::trouble::{Mover, kind};
use super::*;

pub const INITIAL: &str = "initial";

pub fn settings() -> ContainerSettings {
    let spec = spec();
    ContainerSettings {
        hostname: Some(spec.hostname),
        address: Some(spec.address),
        memory: spec.memory,
        swap: spec.swap,
        cores: spec.cores,
    }
}

pub fn larger() -> ContainerSettings {
    ContainerSettings {
        hostname: Some("store".parse().unwrap()),
        address: Some(ip(21)),
        memory: Mib(4096),
        swap: Mib(0),
        cores: 4,
    }
}

impl Scene {
    pub async fn configured(&self, settings: &ContainerSettings) {
        self.host.configure(id(), &owner(), settings).await.unwrap();
    }

    pub async fn grown(&self, size: u32) {
        let task = self.host.grow(id(), &owner(), Gib(size)).await.unwrap();
        self.done(task.unwrap()).await;
        assert_eq!(self.there().await.disk, Gib(size));
    }

    pub async fn snapped(&self, name: &str) {
        let task = self.host.take_snapshot(id(), name, "").await.unwrap();
        self.done(task).await;
    }

    pub async fn found(&self, operation: Operation) -> Vec<TaskRecord> {
        self.host.tasks_of(id(), operation, self.begun).await.unwrap()
    }

    /// One line of the configuration as it is.
    pub fn line(&self, key: &str) -> String {
        self.sim
            .container(907)
            .unwrap()
            .config
            .get(key)
            .cloned()
            .unwrap_or_default()
    }

    /// Calls each change of what is ours, and tells what came of it: restart, configure, grow, roll back.
    async fn change_everything(&self) -> [Option<ErrorKind>; 4] {
        let host = &self.host;
        let restart = host.restart(id(), &owner()).await.err();
        let configure = host.configure(id(), &owner(), &larger()).await.err();
        let grow = host.grow(id(), &owner(), Gib(99)).await.err();
        let roll_back = host.roll_back(id(), &owner(), INITIAL).await.err();
        [restart, configure, grow, roll_back].map(|error| error.map(|error| error.kind()))
    }
}

pub async fn a_restart_is_one_task(version: PveVersion) {
    let scene = Scene::with(version, |options| options.task_time = HOUR).await;
    let host = &scene.host;
    let task = host.create(&spec()).await.unwrap();
    scene.sim.skip_time(3 * HOUR);
    scene.done(task).await;
    scene.sim.set_ignores_shutdown(907, true);
    assert_eq!(scene.found(Operation::Restart).await, []);
    let task = host.restart(id(), &owner()).await.unwrap();
    let found = scene.found(Operation::Restart).await;
    assert_eq!(
        (found.len(), &found[0].id, &found[0].state),
        (1, &task, &TaskState::Running)
    );
    scene.sim.skip_time(2 * HOUR);
    // What does not end by itself is stopped when the time is up.
    scene.done(task).await;
    assert!(scene.there().await.running);
    let usage = host.survey().await.unwrap().guests[&id()].usage.unwrap();
    assert!(usage.uptime_seconds <= 2 * HOUR.as_secs(), "{usage:?}");
}

pub async fn a_restart_needs_a_container_that_runs_and_is_ours(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    scene.stopped().await;
    assert_eq!(kind(host.restart(id(), &owner()).await), ErrorKind::Conflict);
    assert!(!scene.there().await.running);
    let task = host.start(id()).await.unwrap().unwrap();
    scene.done(task).await;
    scene.sim.set_lock(907, Some("backup"));
    assert_eq!(kind(host.restart(id(), &owner()).await), ErrorKind::Conflict);
    scene.sim.set_lock(907, None);
    assert_eq!(scene.found(Operation::Restart).await, []);
    // High availability does not take part in it, and wants it running all the time.
    host.ensure_high_availability(id(), &owner(), HaState::Started)
        .await
        .unwrap();
    let task = host.restart(id(), &owner()).await.unwrap();
    scene.done(task).await;
    let managed = scene.there().await;
    assert!(managed.running);
    assert_eq!(managed.high_availability.unwrap().requested, HaState::Started);
}

pub async fn settings_are_written_once_and_only_where_they_differ(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    let (hardware, before) = (scene.line("net0"), scene.writes());
    scene.configured(&settings()).await;
    assert_eq!(scene.writes(), before, "what is so is not written");
    scene.configured(&larger()).await;
    assert_eq!(scene.writes(), before + 1);
    let seen = scene.there().await;
    assert_eq!(
        (
            seen.hostname.as_str(),
            seen.address,
            seen.memory,
            seen.swap,
            seen.cores
        ),
        ("store", Some(ip(21)), Mib(4096), Mib(0), 4)
    );
    assert!(seen.running && !seen.deviates);
    assert_eq!(
        scene.line("net0"),
        hardware.replace("10.0.0.20/", "10.0.0.21/"),
        "the hardware address stays"
    );
    scene.configured(&larger()).await;
    assert_eq!(scene.writes(), before + 1);
    assert_eq!(scene.found(Operation::Restart).await, []);
    // A container without the optional lines has their defaults, and no name of ours.
    for key in ["hostname", "swap", "memory", "cores"] {
        scene.sim.set_config(907, key, None);
    }
    scene.configured(&settings()).await;
    let seen = scene.there().await;
    assert_eq!(
        (seen.hostname.as_str(), seen.memory, seen.swap, seen.cores),
        ("shop", Mib(2048), Mib(512), 2)
    );
}

pub async fn what_people_added_stays_and_what_they_broke_is_repaired(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    let ours = scene.line("tags");
    scene.sim.set_config(907, "tags", Some(&format!("gold;{ours}")));
    let net = scene.line("net0");
    scene.sim.set_config(907, "net0", Some(&format!("{net},rate=5")));
    assert!(
        !scene.there().await.deviates,
        "a tag and a rate of somebody else's are theirs"
    );
    let before = scene.writes();
    scene.configured(&settings()).await;
    assert_eq!(scene.writes(), before);

    let net = scene.line("net0");
    let broken = [
        ("tags", Some("gold".to_owned())),
        ("tags", None),
        ("onboot", None),
        ("onboot", Some("0".to_owned())),
        ("net0", Some(net.replace("bridge=vmbr0", "bridge=vmbr9"))),
        ("net0", Some(net.replace("gw=10.0.0.1", "gw=10.0.0.2"))),
        ("net0", Some(net.replace("/24", "/16"))),
        ("net0", Some(format!("{net},tag=7"))),
        ("net0", Some(net.replace("ip=10.0.0.20/24", "ip=dhcp"))),
    ];
    for (key, value) in broken {
        scene.sim.set_config(907, key, value.as_deref());
        let seen = scene.there().await;
        let network = key == "net0";
        assert_eq!(
            (seen.deviates, seen.network_deviates),
            (!network, network),
            "{key} {value:?}"
        );
        scene.configured(&settings()).await;
        let repaired = scene.there().await;
        assert!(
            !repaired.deviates && !repaired.network_deviates,
            "{key} {value:?}"
        );
        assert_eq!(repaired.address, Some(ip(20)));
        assert_eq!(scene.line("net0"), net, "{key} {value:?}");
    }
    assert!(scene.line("tags").contains("hostwright"));
    // Its own address is not for it to judge.
    scene
        .sim
        .set_config(907, "net0", Some(&net.replace("10.0.0.20/", "10.0.0.77/")));
    let seen = scene.there().await;
    assert_eq!((seen.address, seen.network_deviates), (Some(ip(77)), false));
    // Neither its network nor its name are touched unless they are asked for.
    let left = ContainerSettings {
        hostname: None,
        address: None,
        ..larger()
    };
    scene
        .sim
        .set_config(907, "net0", Some(&net.replace("bridge=vmbr0", "bridge=vmbr9")));
    let before = (scene.line("net0"), scene.line("hostname"));
    scene.configured(&left).await;
    assert_eq!((scene.line("net0"), scene.line("hostname")), before);
    assert_eq!(scene.there().await.memory, Mib(4096));
}

/// Changes the configuration once, right after it was read.
struct Meddler(Mutex<Option<ProxmoxSim>>);

impl Tripwire for Meddler {
    fn after_effect(&self, _: &str, method: &str, path: &str) -> Verdict {
        if method == "GET"
            && path.ends_with("/907/config")
            && let Some(sim) = self.0.lock().unwrap().take()
        {
            sim.set_config(907, "tags", Some("gold"));
            sim.set_config(907, "cores", Some("4"));
        }
        Verdict::Answer
    }
}

pub async fn a_change_by_somebody_else_at_the_same_time_is_kept(version: PveVersion) {
    let meddler = Arc::new(Meddler(Mutex::new(None)));
    let scene = Scene::behind(version, meddler.clone()).await;
    scene.created().await;
    *meddler.0.lock().unwrap() = Some(scene.sim.clone());
    scene.configured(&larger()).await;
    let seen = scene.there().await;
    assert_eq!((seen.memory, seen.cores, seen.deviates), (Mib(4096), 4, false));
    assert!(scene.line("tags").contains("gold"), "{}", scene.line("tags"));
}

pub async fn tags_that_are_refused_hold_nothing_up(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    scene.sim.set_config(907, "tags", Some("gold"));
    scene.sim.set_privilege("VM.Config.Options", false);
    scene.configured(&larger()).await;
    let seen = scene.there().await;
    assert_eq!((seen.memory, seen.deviates), (Mib(4096), false));
    assert_eq!(scene.line("tags"), "gold");
    let before = scene.writes();
    scene.configured(&larger()).await;
    assert_eq!(scene.writes(), before, "they are not tried for ever");
    // What is no matter of taste is said.
    scene.sim.set_config(907, "onboot", Some("0"));
    let error = scene.host.configure(id(), &owner(), &larger()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.message().contains("VM.Config.Options"), "{error}");
}

pub async fn adoption_adds_the_mark_and_keeps_the_rest(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.sim.add_foreign_container(
        907,
        "pve2",
        &[
            ("description", "Shop of Jane"),
            ("tags", "gold"),
            ("hostname", "janes-shop"),
            ("net0", "name=eth0,bridge=vmbr0,ip=10.0.0.20/24,gw=10.0.0.1"),
        ],
    );
    scene.snapped("BAK20112025-1").await;
    assert!(!scene.there().await.deviates, "whose it is, is not known");
    let before = scene.writes();
    host.adopt(id(), &owner()).await.unwrap();
    assert_eq!(scene.writes(), before + 1);
    let ours = scene.there().await;
    assert_eq!((&ours.mark, ours.running), (&Some(owner()), true));
    assert_eq!(ours.hostname, "janes-shop");
    let text = scene.line("description");
    assert!(text.starts_with("Shop of Jane\n"), "{text}");
    assert!(text.lines().any(|line| line == owner().to_string()), "{text}");
    assert!(scene.line("tags").contains("gold") && scene.line("tags").contains(UID));
    assert_eq!(host.snapshots(id()).await.unwrap().len(), 1);
    assert!(ours.deviates, "it does not start at boot");
    host.adopt(id(), &owner()).await.unwrap();
    assert_eq!(scene.writes(), before + 1, "it is ours already");
    assert_eq!(kind(host.adopt(id(), &stranger()).await), ErrorKind::Conflict);
    scene.configured(&settings()).await;
    let whole = scene.there().await;
    assert!(whole.running && !whole.deviates);
    // From now on it is one of ours.
    let task = host.restart(id(), &owner()).await.unwrap();
    scene.done(task).await;
}

pub async fn lost_answers_are_found_again_or_repeated(version: PveVersion) {
    let after = |status| Trouble::FailAfterEffect {
        status,
        body: String::new(),
    };
    for trouble in [after(500), after(596), Trouble::CutAfter, Trouble::Truncate] {
        let scene = Scene::open(version).await;
        let host = &scene.host;
        scene.created().await;
        scene.snapped(INITIAL).await;
        let lose = |method: &str, path: &str| scene.order(method, path, trouble.clone());

        lose("POST", "/status/reboot");
        let lost = kind(host.restart(id(), &owner()).await);
        assert_eq!(lost, ErrorKind::Ambiguous, "{trouble:?}");
        assert_eq!(scene.found(Operation::Restart).await.len(), 1);

        lose("PUT", "/config");
        let lost = kind(host.configure(id(), &owner(), &larger()).await);
        assert_eq!(lost, ErrorKind::Ambiguous, "{trouble:?}");
        let before = scene.writes();
        scene.configured(&larger()).await;
        assert_eq!(scene.writes(), before, "it had arrived");

        lose("PUT", "/resize");
        let lost = kind(host.grow(id(), &owner(), Gib(30)).await);
        assert_eq!(lost, ErrorKind::Ambiguous, "{trouble:?}");
        assert_eq!(scene.found(Operation::Resize).await.len(), 1);
        assert_eq!(host.grow(id(), &owner(), Gib(30)).await.unwrap(), None);
        assert_eq!(scene.there().await.disk, Gib(30));

        scene.stopped().await;
        lose("POST", "/rollback");
        let lost = kind(host.roll_back(id(), &owner(), INITIAL).await);
        assert_eq!(lost, ErrorKind::Ambiguous, "{trouble:?}");
        let found = scene.found(Operation::Rollback).await;
        assert_eq!(found.len(), 1);
        scene.done(found[0].id.clone()).await;
        assert_eq!(scene.there().await.disk, Gib(20));

        scene.sim.set_config(907, "description", Some("by hand"));
        lose("PUT", "/config");
        let lost = kind(host.adopt(id(), &owner()).await);
        assert_eq!(lost, ErrorKind::Ambiguous, "{trouble:?}");
        host.adopt(id(), &owner()).await.unwrap();
        let marks = scene.line("description").matches(UID).count();
        assert_eq!(marks, 1, "{trouble:?}");
    }
}

pub async fn nothing_changes_what_is_not_ours(version: PveVersion) {
    for description in ["made by hand".to_owned(), stranger().to_string()] {
        let scene = Scene::open(version).await;
        scene.occupy(&description);
        scene.sim.add_snapshot(907, INITIAL, "").unwrap();
        let config = scene.sim.container(907).unwrap().config;
        assert_eq!(
            scene.change_everything().await,
            [Some(ErrorKind::Conflict); 4],
            "{description}"
        );
        if description == stranger().to_string() {
            let adopted = kind(scene.host.adopt(id(), &owner()).await);
            assert_eq!(adopted, ErrorKind::Conflict, "another cluster's mark");
        }
        scene.untouched();
        assert_eq!(scene.sim.container(907).unwrap().config, config);
    }
}

pub async fn nothing_changes_what_is_gone_or_locked(version: PveVersion) {
    let scene = Scene::open(version).await;
    assert_eq!(scene.change_everything().await, [Some(ErrorKind::NotFound); 4]);
    assert_eq!(kind(scene.host.adopt(id(), &owner()).await), ErrorKind::NotFound);
    scene.created().await;
    scene.snapped(INITIAL).await;
    scene.stopped().await;
    scene.sim.set_config(907, "description", Some("by hand"));
    scene.sim.set_lock(907, Some("backup"));
    assert_eq!(kind(scene.host.adopt(id(), &owner()).await), ErrorKind::Conflict);
    let marked = owner().to_string();
    scene.sim.set_config(907, "description", Some(&marked));
    assert_eq!(scene.change_everything().await, [Some(ErrorKind::Conflict); 4]);
    // What is so needs no lock.
    scene.host.adopt(id(), &owner()).await.unwrap();
    scene.configured(&settings()).await;
    assert_eq!(scene.host.grow(id(), &owner(), Gib(20)).await.unwrap(), None);
    let quiet = [Operation::Restart, Operation::Resize, Operation::Rollback];
    for operation in quiet {
        assert_eq!(scene.found(operation).await, []);
    }
}

pub async fn changes_follow_a_container_that_moves(version: PveVersion) {
    let mover = Arc::new(Mover::default());
    let scene = Scene::behind(version, mover.clone()).await;
    let host = &scene.host;
    scene.created().await;
    scene.snapped(INITIAL).await;
    assert!(mover.0.set(scene.sim.clone()).is_ok());
    let away = || scene.sim.move_container(907, "pve3");
    away();
    let task = host.restart(id(), &owner()).await.unwrap();
    scene.done(task).await;
    away();
    scene.configured(&larger()).await;
    away();
    let task = host.grow(id(), &owner(), Gib(30)).await.unwrap();
    scene.done(task.unwrap()).await;
    away();
    scene.sim.set_config(907, "description", Some("by hand"));
    host.adopt(id(), &owner()).await.unwrap();
    away();
    scene.stopped().await;
    away();
    let task = host.roll_back(id(), &owner(), INITIAL).await.unwrap();
    scene.done(task).await;
    let seen = scene.there().await;
    assert_eq!(
        (seen.mark, seen.memory, seen.node.as_str()),
        (Some(owner()), Mib(2048), "pve2")
    );
}

pub async fn high_availability_keeps_it_stopped_or_lets_it_run(version: PveVersion) {
    let scene = Scene::open(version).await;
    let host = &scene.host;
    scene.created().await;
    let ensure = async |state| {
        host.ensure_high_availability(id(), &owner(), state)
            .await
            .unwrap();
    };
    ensure(HaState::Started).await;
    ensure(HaState::Stopped).await;
    let off = scene.there().await;
    assert_eq!(
        (off.running, off.high_availability.unwrap().requested),
        (false, HaState::Stopped)
    );
    let before = scene.writes();
    ensure(HaState::Stopped).await;
    assert_eq!(host.stop(id()).await.unwrap(), None);
    assert_eq!(scene.writes(), before, "it is stopped and wanted so");
    // Rolled back and grown while the manager keeps its hands off.
    scene.snapped(INITIAL).await;
    let task = host.roll_back(id(), &owner(), INITIAL).await.unwrap();
    scene.done(task).await;
    assert!(!scene.there().await.running);

    assert_eq!(host.start(id()).await.unwrap(), None, "the manager starts it");
    let on = scene.there().await;
    assert_eq!(
        (on.running, on.high_availability.unwrap().requested),
        (true, HaState::Started)
    );
    host.remove_high_availability(id()).await.unwrap();
    let free = scene.there().await;
    assert_eq!((free.running, free.high_availability), (true, None));

    // It may come under management while it is stopped, and stay so.
    scene.stopped().await;
    ensure(HaState::Stopped).await;
    assert!(!scene.there().await.running);
    host.remove_high_availability(id()).await.unwrap();
    assert!(!scene.there().await.running);
}

pub async fn the_survey_tells_what_is_used(version: PveVersion) {
    let scene = Scene::open(version).await;
    scene.created().await;
    let usage = async || scene.host.survey().await.unwrap().guests[&id()].usage;
    scene.sim.skip_time(HOUR);
    scene.sim.set_usage(907, 0.123_6, 900 << 20, 3 << 30);
    let used = usage().await.unwrap();
    assert!((3600..3700).contains(&used.uptime_seconds), "{used:?}");
    assert_eq!(
        Usage {
            uptime_seconds: 0,
            ..used
        },
        Usage {
            cpu_permille: 124,
            memory_bytes: 900 << 20,
            disk_bytes: 3 << 30,
            disk_size_bytes: used.disk_size_bytes,
            uptime_seconds: 0,
        }
    );
    // A file system keeps some of its volume of 20 GiB for itself.
    let size = used.disk_size_bytes.unwrap();
    assert!((18 << 30..=20 << 30).contains(&size), "{used:?}");
    scene.stopped().await;
    assert_eq!(usage().await, None, "it does not run");
}
