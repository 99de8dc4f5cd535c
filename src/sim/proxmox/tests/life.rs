//! The life of a container: creation, configuration, power, snapshots, destruction.

use super::*;
use crate::sim::directory::{ContainerDirectory, Installed};

#[tokio::test]
async fn creation_reserves_at_once_and_shows_the_mark_late() {
    let bench = bench(options()).await;
    bench.sim.slow_tasks(HOUR);
    let reply = bench.create(ID, &[]).await;
    let config = bench.get(&at("/config")).await;
    assert_eq!(config.data()["lock"], "create");
    assert!(config.data().get("description").is_none());
    let row = bench.resource(ID).await;
    assert_eq!((&row["lock"], &row["tags"]), (&"create".into(), &Value::Null));
    let second = bench.create(ID, &[]).await;
    assert_eq!(second.says(), (500, "CT 907 already exists on node 'pve1'"));
    let early = bench.post(&at("/status/start"), &[]).await;
    assert_eq!(
        early.says(),
        (
            500,
            "can't lock file '/run/lock/lxc/pve-config-907.lock' - got timeout"
        )
    );
    let early = bench.delete(&at("")).await;
    assert_eq!(early.says(), (500, "CT is locked (create)"));
    bench.sim.skip_time(HOUR);
    assert_eq!(bench.exit(&reply).await, "OK");
    let config = bench.get(&at("/config")).await;
    assert_eq!(config.data()["description"], "hostwright:test:1\n");
    assert!(config.data().get("lock").is_none());
    let rootfs = config.data()["rootfs"].as_str().unwrap();
    assert!(
        rootfs.starts_with("drbd:pm-") && rootfs.ends_with("_907,size=20G"),
        "{rootfs}"
    );
    let row = bench.resource(ID).await;
    assert_eq!(row["tags"], "hostwright;wp");
    bench.sim.add_vm(950, "pve3");
    let taken = bench.create(950, &[]).await;
    assert_eq!(taken.says(), (500, "VM 950 already exists on node 'pve3'"));
}

#[tokio::test]
async fn creations_that_fail() {
    let bench = bench(ProxmoxOptions {
        max_parallel_storage: 1,
        orphan_on_failed_create: true,
        ..options()
    })
    .await;
    let reply = bench.create(ID, &[("rootfs", "local:8")]).await;
    assert_eq!(
        reply.errors("storage"),
        "storage 'local' does not support container directories"
    );
    let reply = bench.create(ID, &[("rootfs", "none:8")]).await;
    assert_eq!(reply.says(), (500, "storage 'none' does not exist"));
    let template = "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst";
    bench.sim.set_template_missing("pve1", template, true);
    let reply = bench.create(ID, &[]).await;
    assert_eq!(
        bench.exit(&reply).await,
        format!("volume '{template}' does not exist")
    );
    assert!(bench.sim.containers().is_empty());
    bench.sim.set_template_missing("pve1", template, false);
    let reply = bench.create(ID, &[("rootfs", "drbd:999999")]).await;
    assert!(bench.exit(&reply).await.starts_with("API Return-Code: 500."));

    let before = bench.sim.orphan_volumes().len();
    bench.sim.slow_tasks(HOUR);
    let first = bench.create(ID, &[]).await;
    let second = bench.create(908, &[]).await;
    bench.sim.skip_time(HOUR);
    assert_eq!(
        bench.exit(&second).await,
        "cfs-lock 'storage-drbd' error: got lock request timeout"
    );
    assert_eq!(bench.exit(&first).await, "OK");
    assert_eq!(bench.sim.containers().len(), 1);
    assert_eq!(bench.sim.orphan_volumes().len(), before + 1);
    let left = bench.get("/nodes/pve1/storage/drbd/content?vmid=908").await;
    assert_eq!(left.data()[0]["vmid"], 908);
}

#[tokio::test]
async fn more_memory_than_a_node_has_is_accepted() {
    let bench = bench(options()).await;
    bench.created(&[("memory", "1048576"), ("start", "1")]).await;
    assert!(bench.sim.container(ID).unwrap().running);
}

#[tokio::test]
async fn unprivileged_depends_on_the_release() {
    for (version, value) in [(PveVersion::V8_4, Value::Null), (PveVersion::V9_0, 1.into())] {
        let bench = bench(release(version)).await;
        let form = [
            ("vmid", "907"),
            (
                "ostemplate",
                "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
            ),
            ("rootfs", "drbd:8"),
        ];
        assert_eq!(bench.run("/nodes/pve1/lxc", &form).await, "OK");
        assert_eq!(bench.get(&at("/config")).await.data()["unprivileged"], value);
    }
}

#[tokio::test]
async fn configuration_has_digest_locks_and_pending_changes() {
    let bench = bench(options()).await;
    bench.created(&[("start", "1")]).await;
    let digest = bench.get(&at("/config")).await.data()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    let change = [
        ("memory", "4096"),
        ("features", "nesting=1"),
        ("digest", digest.as_str()),
    ];
    assert_eq!(bench.put(&at("/config"), &change).await.data(), &Value::Null);
    let stale = bench.put(&at("/config"), &change).await;
    assert!(
        stale.reason.starts_with("detected modified configuration"),
        "{stale:?}"
    );
    let live = bench.get(&at("/config?current=1")).await;
    assert_eq!(
        (&live.data()["memory"], &live.data()["features"]),
        (&4096.into(), &Value::Null)
    );
    assert_eq!(bench.get(&at("/config")).await.data()["features"], "nesting=1");
    let pending = bench.get(&at("/pending")).await;
    let rows = pending.data().as_array().unwrap();
    assert!(
        rows.iter()
            .any(|row| row["key"] == "features" && row["pending"] == "nesting=1")
    );
    assert_eq!(bench.run(&at("/status/reboot"), &[]).await, "OK");
    assert_eq!(
        bench.get(&at("/config?current=1")).await.data()["features"],
        "nesting=1"
    );
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "no options specified"),
        (
            &[("delete", "memory")],
            "unable to delete required option 'memory'",
        ),
        (
            &[("unprivileged", "0")],
            "unable to modify read-only option: 'unprivileged'",
        ),
    ];
    for (form, text) in cases {
        assert_eq!(bench.put(&at("/config"), form).await.says(), (500, *text));
    }
    assert_eq!(
        bench
            .put(&at("/config"), &[("delete", "tags,onboot")])
            .await
            .status,
        200
    );
    assert!(bench.sim.container(ID).unwrap().tags.is_empty());
    bench.sim.set_lock(ID, Some("backup"));
    let reply = bench.put(&at("/config"), &[("memory", "512")]).await;
    assert_eq!(reply.says(), (500, "CT is locked (backup)"));
}

#[tokio::test]
async fn power_calls_refuse_what_is_so_already() {
    let bench = bench(options()).await;
    bench.created(&[]).await;
    for (call, text) in [
        ("stop", "CT 907 not running"),
        ("shutdown", "CT 907 not running"),
        ("reboot", "VM 907 not running"),
    ] {
        let reply = bench.post(&at(&format!("/status/{call}")), &[]).await;
        assert_eq!(reply.says(), (500, text));
    }
    bench.sim.set_lock(ID, Some("rollback"));
    assert_eq!(
        bench.run(&at("/status/start"), &[]).await,
        "CT is locked (rollback)"
    );
    bench.sim.set_lock(ID, None);
    assert_eq!(bench.run(&at("/status/start"), &[]).await, "OK");
    let reply = bench.post(&at("/status/start"), &[]).await;
    assert_eq!(reply.says(), (500, "CT 907 already running"));
    bench.sim.set_ignores_shutdown(ID, true);
    assert_eq!(
        bench.run(&at("/status/shutdown"), &[("timeout", "1")]).await,
        "container did not stop"
    );
    assert_eq!(
        bench.run(&at("/status/shutdown"), &[("forceStop", "1")]).await,
        "OK"
    );
    assert!(!bench.sim.container(ID).unwrap().running);
    bench.sim.move_container(ID, "pve2");
    let reply = bench.post(&at("/status/start"), &[]).await;
    assert_eq!(
        reply.says(),
        (500, "Configuration file 'nodes/pve1/lxc/907.conf' does not exist")
    );
    assert_eq!(bench.resource(ID).await["node"], "pve2");
}

#[tokio::test]
async fn disks_only_grow_and_are_compared_with_the_device() {
    let bench = bench(ProxmoxOptions {
        device_excess_bytes: 4 << 20,
        ..options()
    })
    .await;
    bench.created(&[]).await;
    let resize = async |size: &str| {
        let form = [("disk", "rootfs"), ("size", size)];
        bench.put(&at("/resize"), &form).await
    };
    assert_eq!(resize("20G").await.says(), (500, "unable to shrink disk size"));
    assert_eq!(
        resize("20484M").await.says(),
        (500, "disk is already at specified size")
    );
    let grown = resize("25G").await;
    assert_eq!(bench.exit(&grown).await, "OK");
    assert_eq!(bench.sim.container(ID).unwrap().disk_gib, 25);
    let grown = resize("+5G").await;
    assert_eq!(bench.exit(&grown).await, "OK");
    let config = bench.get(&at("/config")).await;
    assert!(config.data()["rootfs"].as_str().unwrap().ends_with(",size=30G"));
    bench.sim.order_task_fault("resize", TaskFault::Hollow);
    let hollow = resize("+5G").await;
    assert_eq!(bench.exit(&hollow).await, "OK");
    assert_eq!(bench.sim.container(ID).unwrap().disk_gib, 30);
    assert_eq!(
        resize("5X").await.errors("size"),
        "invalid format - value does not match the regex pattern\n"
    );
}

#[tokio::test]
async fn snapshots_accept_bad_names_and_fail_in_the_task() {
    let bench = bench(options()).await;
    bench.created(&[]).await;
    let take = async |name: &str| {
        bench
            .run(&at("/snapshot"), &[("snapname", name), ("description", "d")])
            .await
    };
    assert_eq!(take("initial").await, "OK");
    assert_eq!(take("initial").await, "snapshot name 'initial' already used");
    assert_eq!(take("BAK20112025-1").await, "OK");
    let reply = bench.post(&at("/snapshot"), &[("snapname", "current")]).await;
    assert_eq!(
        reply.says(),
        (500, "unable to use snapshot name 'current' (reserved name)")
    );
    let reply = bench.post(&at("/snapshot"), &[("snapname", "1st")]).await;
    assert_eq!(
        reply.errors("snapname"),
        "invalid format - invalid configuration ID '1st'\n"
    );
    assert_eq!(
        bench.run(&at("/snapshot/none/rollback"), &[]).await,
        "snapshot 'none' does not exist"
    );
    let reply = bench.delete(&at("/snapshot/none")).await;
    assert_eq!(bench.exit(&reply).await, "snapshot 'none' does not exist");
    let rows = bench.get(&at("/snapshot")).await;
    let rows = rows.data().as_array().unwrap();
    let current = rows.iter().find(|row| row["name"] == "current").unwrap();
    assert_eq!(
        (&current["parent"], &current["running"]),
        (&"BAK20112025-1".into(), &0.into())
    );
    bench.sim.set_lock(ID, Some("backup"));
    assert_eq!(take("later").await, "CT is locked (backup)");
}

#[tokio::test]
async fn a_rollback_brings_everything_back_but_the_description() {
    let bench = bench(options()).await;
    bench.created(&[("start", "1"), ("memory", "2048")]).await;
    bench.sim.set_installed(ID, Installed::fresh("a.example"));
    assert_eq!(
        bench.run(&at("/snapshot"), &[("snapname", "initial")]).await,
        "OK"
    );
    bench.sim.set_installed(
        ID,
        Installed {
            setup_finished: false,
            ..Installed::fresh("b.example")
        },
    );
    let change = [("memory", "4096"), ("tags", "other"), ("description", "new")];
    bench.put(&at("/config"), &change).await.data();
    let grown = bench
        .put(&at("/resize"), &[("disk", "rootfs"), ("size", "+5G")])
        .await;
    assert_eq!(bench.exit(&grown).await, "OK");
    assert_eq!(bench.run(&at("/snapshot/initial/rollback"), &[]).await, "OK");
    let now = bench.sim.container(ID).unwrap();
    assert_eq!((now.memory_mib, now.disk_gib, now.running), (2048, 20, false));
    assert_eq!(
        (now.tags, now.description.as_str()),
        (vec!["hostwright".to_owned(), "wp".to_owned()], "new\n")
    );
    assert_eq!(bench.sim.installed(ID).unwrap().host, "a.example");
}

#[tokio::test]
async fn failed_snapshot_work_leaves_locks_that_nobody_can_clear() {
    let bench = bench(options()).await;
    bench.created(&[]).await;
    assert_eq!(
        bench.run(&at("/snapshot"), &[("snapname", "initial")]).await,
        "OK"
    );
    bench.sim.set_storage_down("drbd", true);
    let down = "could not connect to any LINSTOR controller";
    assert_eq!(bench.run(&at("/snapshot"), &[("snapname", "second")]).await, down);
    assert_eq!(bench.sim.container(ID).unwrap().lock, None);
    assert_eq!(bench.run(&at("/snapshot/initial/rollback"), &[]).await, down);
    assert_eq!(bench.sim.container(ID).unwrap().lock.as_deref(), Some("rollback"));
    bench.sim.set_storage_down("drbd", false);
    let reply = bench.delete(&at("/snapshot/initial")).await;
    assert_eq!(bench.exit(&reply).await, "CT is locked (rollback)");
    bench.sim.set_lock(ID, None);
    bench.sim.fail_next_task("vzdelsnapshot", "LINSTOR is unwell");
    let reply = bench.delete(&at("/snapshot/initial")).await;
    assert_eq!(bench.exit(&reply).await, "LINSTOR is unwell");
    let rows = bench.get(&at("/snapshot")).await;
    assert_eq!(rows.data()[0]["snapstate"], "delete");
    assert_eq!(bench.resource(ID).await["lock"], "snapshot-delete");
}

#[tokio::test]
async fn destruction_refuses_and_linstor_keeps_what_has_snapshots() {
    let bench = bench(options()).await;
    bench.created(&[("start", "1"), ("protection", "1")]).await;
    let purge = at("?purge=1&destroy-unreferenced-disks=1");
    let reply = bench.delete(&purge).await;
    assert_eq!(
        reply.says(),
        (500, "can't remove CT 907 - protection mode enabled")
    );
    bench.put(&at("/config"), &[("protection", "0")]).await.data();
    let reply = bench.delete(&purge).await;
    assert_eq!(
        reply.says(),
        (500, "unable to destroy CT 907 - container is running")
    );
    assert_eq!(
        bench.run(&at("/snapshot"), &[("snapname", "initial")]).await,
        "OK"
    );
    bench.sim.stop_container(ID);
    let reply = bench.delete(&purge).await;
    let exit = bench.exit(&reply).await;
    assert!(
        exit.starts_with("Cannot delete resource definition 'pm-"),
        "{exit}"
    );
    assert!(exit.ends_with("' because it has snapshots."));
    let kept = bench.sim.container(ID).unwrap();
    assert_eq!((kept.lock, kept.snapshots.len()), (None, 1));
    assert!(bench.sim.everything_empty_except_foreign().is_err());

    // With force the section goes although the storage refused; then nobody sees what blocks.
    bench.sim.set_storage_down("drbd", true);
    let reply = bench.delete(&at("/snapshot/initial?force=1")).await;
    assert_eq!(bench.exit(&reply).await, "OK");
    bench.sim.set_storage_down("drbd", false);
    let reply = bench.delete(&purge).await;
    assert!(bench.exit(&reply).await.contains("has snapshots"));
    bench.sim.destroy_by_hand(ID);
    assert_eq!(bench.sim.everything_empty_except_foreign(), Ok(()));
    let reply = bench.delete(&purge).await;
    assert!(reply.reason.starts_with("Configuration file"));
}

#[tokio::test]
async fn a_container_dies_with_everything_that_is_its_own() {
    let bench = bench(options()).await;
    bench
        .sim
        .add_foreign_container(200, "pve1", &[("net0", "name=eth0,ip=10.0.0.9/24")]);
    bench.created(&[("start", "1")]).await;
    let address = "10.0.0.7".parse().unwrap();
    assert_eq!(bench.sim.running_at(address), Some(ID));
    assert_eq!(bench.sim.on_node(ID), Some(("pve1".to_owned(), true)));
    let reply = bench.delete(&at("?force=1&purge=1")).await;
    assert_eq!(bench.exit(&reply).await, "OK");
    assert_eq!(
        (bench.sim.running_at(address), bench.sim.installed(ID)),
        (None, None)
    );
    assert_eq!(bench.sim.everything_empty_except_foreign(), Ok(()));
    bench.post("/nodes/pve1/lxc/200/status/stop", &[]).await.data();
    let left = bench.sim.everything_empty_except_foreign().unwrap_err();
    assert_eq!(
        left,
        "write to a foreign guest: POST /nodes/pve1/lxc/200/status/stop"
    );
}

#[tokio::test]
async fn a_golden_container_installs_wordpress_at_its_first_boot() {
    let bench = bench(options()).await;
    let env = "HOSTWRIGHT_SITE_HOST=jane.example.net\0HOSTWRIGHT_X=1";
    let golden = ("ostemplate", "local:vztmpl/wordpress-golden_1.0_amd64.tar.zst");
    bench.created(&[golden, ("env", env)]).await;
    assert_eq!(bench.sim.installed(ID), None);
    assert_eq!(bench.run(&at("/status/start"), &[]).await, "OK");
    let installed = bench.sim.installed(ID).unwrap();
    assert_eq!(
        (installed.host.as_str(), installed.setup_finished),
        ("jane.example.net", true)
    );
    assert_eq!(bench.get(&at("/config")).await.data()["env"], env);
}

#[tokio::test]
async fn late_purge_failure_leaves_a_destroyed_lock() {
    let bench = bench(options()).await;
    bench.created(&[]).await;
    let sentence = "cfs-lock 'domain-ha' error: got lock request timeout";
    bench
        .sim
        .order_task_fault("vzdestroy", TaskFault::FailAfterDisks(sentence.to_owned()));
    let reply = bench.delete(&at("?purge=1")).await;
    assert_eq!(bench.exit(&reply).await, sentence);
    let left = bench.sim.container(ID).unwrap();
    assert_eq!((left.lock.as_deref(), left.disk_gib), (Some("destroyed"), 0));
    assert!(bench.sim.orphan_volumes().is_empty());
    assert_eq!(
        bench.delete(&at("?purge=1")).await.says(),
        (500, "CT is locked (destroyed)")
    );
}
