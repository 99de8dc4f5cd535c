//! High availability by release.

use super::*;

const RESOURCES: &str = "/cluster/ha/resources";

async fn managed(options: ProxmoxOptions) -> Bench {
    let bench = bench(options).await;
    bench.created(&[("start", "1")]).await;
    let reply = bench
        .post(RESOURCES, &[("sid", "ct:907"), ("state", "started")])
        .await;
    assert_eq!(reply.data(), &Value::Null);
    bench
}

#[tokio::test]
async fn tasks_of_managed_containers_end_before_they_move() {
    let bench = managed(ProxmoxOptions {
        ha_delay: HOUR,
        ..options()
    })
    .await;
    let reply = bench.post(&at("/status/stop"), &[]).await;
    assert!(reply.data().as_str().unwrap().contains(":hastop:907:"));
    assert_eq!(bench.exit(&reply).await, "OK");
    assert!(bench.sim.container(ID).unwrap().running);
    bench.sim.skip_time(HOUR);
    assert!(!bench.sim.container(ID).unwrap().running);
    let reply = bench.post(&at("/status/start"), &[]).await;
    assert!(reply.data().as_str().unwrap().contains(":hastart:907:"));
    assert_eq!(bench.exit(&reply).await, "OK");
    assert!(!bench.sim.container(ID).unwrap().running);
    bench.sim.skip_time(HOUR);
    assert!(bench.sim.container(ID).unwrap().running);
    bench.sim.stop_container(ID);
    bench.sim.skip_time(HOUR);
    assert!(bench.sim.container(ID).unwrap().running);
}

#[tokio::test]
async fn resources_are_strict_about_what_they_know() {
    let bench = managed(options()).await;
    let row = bench.get("/cluster/ha/resources/ct%3A907").await;
    assert_eq!(
        (&row.data()["state"], &row.data()["failback"]),
        (&"started".into(), &1.into())
    );
    let again = bench.post(RESOURCES, &[("sid", "907")]).await;
    assert_eq!(
        again.says(),
        (
            500,
            "create resource failed: resource ID 'ct:907' already defined"
        )
    );
    let group = bench
        .put("/cluster/ha/resources/ct:907", &[("group", "wp")])
        .await;
    assert_eq!(
        group.says(),
        (
            500,
            "invalid parameter 'group': ha groups have been migrated to rules"
        )
    );
    let current = bench.get(&at("/status/current")).await;
    assert_eq!(
        current.data()["ha"],
        serde_json::json!({"managed": 1, "state": "started"})
    );
    assert_eq!(bench.resource(ID).await["hastate"], "started");
    let destroy = bench.delete(&at("?force=1")).await;
    assert_eq!(
        destroy.says(),
        (
            500,
            "unable to remove CT 907 - used in HA resources and purge parameter not set."
        )
    );
    let stale = bench
        .put(
            "/cluster/ha/resources/ct:907",
            &[("state", "stopped"), ("digest", "00")],
        )
        .await;
    assert!(stale.reason.contains("detected modified configuration"));
    bench.delete("/cluster/ha/resources/ct:907").await.data();
    let gone = bench.delete("/cluster/ha/resources/ct:907").await;
    assert_eq!(
        gone.says(),
        (500, "cannot delete service 'ct:907', not HA managed!")
    );
    let gone = bench.get("/cluster/ha/resources/ct:907").await;
    assert_eq!(gone.says(), (500, "no such resource 'ct:907'"));
}

#[tokio::test]
async fn the_error_state_blocks_until_disabled() {
    let bench = managed(options()).await;
    bench.sim.set_ignores_shutdown(ID, true);
    assert_eq!(
        bench.run(&at("/status/shutdown"), &[("timeout", "1")]).await,
        "OK"
    );
    assert_eq!(
        bench.get(&at("/status/current")).await.data()["ha"]["state"],
        "error"
    );
    let blocked = bench
        .put("/cluster/ha/resources/ct:907", &[("state", "started")])
        .await;
    assert_eq!(
        blocked.says(),
        (
            500,
            "service 'ct:907' in error state, must be disabled and fixed first"
        )
    );
    let exit = bench.run(&at("/status/stop"), &[]).await;
    assert!(
        exit.starts_with("command 'ha-manager crm-command stop ct:907 0' failed"),
        "{exit}"
    );
    for (state, running) in [("disabled", false), ("started", true)] {
        let set = bench
            .put("/cluster/ha/resources/ct:907", &[("state", state)])
            .await;
        assert_eq!(set.data(), &Value::Null);
        assert_eq!(bench.sim.container(ID).unwrap().running, running);
    }
    assert_eq!(
        bench.run(&at("/snapshot"), &[("snapname", "initial")]).await,
        "OK"
    );
    bench.sim.slow_tasks(HOUR);
    let rollback = bench.post(&at("/snapshot/initial/rollback"), &[]).await;
    bench.sim.skip_time(HOUR);
    assert_eq!(bench.exit(&rollback).await, "OK");
    assert!(bench.sim.ha_resources()[0].error);
    // Ignored services are left to the ordinary calls.
    bench
        .put("/cluster/ha/resources/ct:907", &[("state", "disabled")])
        .await
        .data();
    bench
        .put("/cluster/ha/resources/ct:907", &[("state", "ignored")])
        .await
        .data();
    let start = bench.post(&at("/status/start"), &[]).await;
    assert!(start.data().as_str().unwrap().contains(":vzstart:"));
}

#[tokio::test]
async fn groups_up_to_eight() {
    let bench = managed(release(PveVersion::V8_4)).await;
    assert_eq!(bench.get("/cluster/ha/rules").await.status, 501);
    let form = [("group", "wp"), ("nodes", "pve2:2,pve3:1"), ("restricted", "1")];
    bench.post("/cluster/ha/groups", &form).await.data();
    let unknown = bench
        .put("/cluster/ha/resources/ct:907", &[("group", "none")])
        .await;
    assert_eq!(unknown.says(), (500, "HA group 'none' does not exist"));
    bench
        .put("/cluster/ha/resources/ct:907", &[("group", "wp")])
        .await
        .data();
    assert_eq!(bench.sim.container(ID).unwrap().node, "pve2");
    bench.sim.set_node_offline("pve2", true);
    let moved = bench.sim.container(ID).unwrap();
    assert_eq!((moved.node.as_str(), moved.running), ("pve3", true));
    let unknown = bench
        .put("/cluster/ha/resources/ct:907", &[("failback", "1")])
        .await;
    assert_eq!(unknown.status, 400);
}

#[tokio::test]
async fn rules_from_nine_on() {
    let bench = managed(options()).await;
    let groups = bench.get("/cluster/ha/groups").await;
    assert_eq!(
        groups.says(),
        (500, "cannot index groups: ha groups have been migrated to rules")
    );
    let rule = [
        ("rule", "wp"),
        ("type", "node-affinity"),
        ("nodes", "pve2:2,pve1:1"),
    ];
    let with = async |resources: &str| {
        let mut form = rule.to_vec();
        form.push(("resources", resources));
        bench.post("/cluster/ha/rules", &form).await
    };
    let unmanaged = with("ct:907,ct:908").await;
    assert!(
        unmanaged
            .reason
            .ends_with("cannot use unmanaged resource(s) ct:908."),
        "{unmanaged:?}"
    );
    with("ct:907").await.data();
    assert_eq!(bench.sim.container(ID).unwrap().node, "pve2");
    let row = bench.get("/cluster/ha/rules/wp").await;
    let digest = row.data()["digest"].as_str().unwrap().to_owned();
    let change = [
        ("type", "node-affinity"),
        ("resources", "ct:907"),
        ("digest", digest.as_str()),
    ];
    bench.put("/cluster/ha/rules/wp", &change).await.data();
    let stale = bench.put("/cluster/ha/rules/wp", &change).await;
    assert!(stale.reason.contains("detected modified configuration"));
    let second = [
        ("rule", "other"),
        ("type", "node-affinity"),
        ("nodes", "pve3"),
        ("resources", "ct:907"),
    ];
    let second = bench.post("/cluster/ha/rules", &second).await;
    assert!(
        second
            .reason
            .contains("already used in another node affinity rule")
    );
    let destroy = bench.delete("/nodes/pve2/lxc/907?force=1&purge=1").await;
    assert_eq!(bench.exit(&destroy).await, "OK");
    assert_eq!(
        (bench.sim.ha_resources().len(), bench.sim.ha_rules().len()),
        (0, 0)
    );
    assert_eq!(bench.sim.everything_empty_except_foreign(), Ok(()));
}

#[tokio::test]
async fn a_lost_node_hands_its_services_over() {
    let bench = managed(options()).await;
    bench.sim.set_node_offline("pve1", true);
    let moved = bench.sim.container(ID).unwrap();
    assert_eq!((moved.node.as_str(), moved.running), ("pve2", true));
    let rows = bench.get("/cluster/ha/status/current").await;
    let rows = rows.data().as_array().unwrap().clone();
    let row = rows.iter().find(|row| row["id"] == "service:ct:907").unwrap();
    assert_eq!(row["status"], "ct:907 (pve2, started)");
}
