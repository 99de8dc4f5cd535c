//! Identifiers, ends and lists of tasks.

use super::*;

#[tokio::test]
async fn upids_have_the_exact_form() {
    let bench = bench(options()).await;
    let reply = bench.create(ID, &[]).await;
    let upid = reply.data().as_str().unwrap();
    let parts: Vec<&str> = upid.split(':').collect();
    assert_eq!((parts.len(), parts[0], parts[1]), (9, "UPID", "pve1"));
    for hex in &parts[2..5] {
        assert!(
            hex.len() == 8
                && hex
                    .chars()
                    .all(|c| c.is_ascii_digit() || ('A'..='F').contains(&c)),
            "{hex}"
        );
    }
    assert_eq!(parts[5..], ["vzcreate", "907", "hostwright@pve!operator", ""]);
    let status = bench.status(upid).await;
    assert_eq!(status.data()["user"], "hostwright@pve");
    assert_eq!(status.data()["tokenid"], "operator");
    assert_eq!(
        (&status.data()["status"], &status.data()["exitstatus"]),
        (&"stopped".into(), &"OK".into())
    );
}

#[tokio::test]
async fn unknown_fresh_and_malformed_upids() {
    let bench = bench(ProxmoxOptions {
        fresh_upid_delay: HOUR,
        ..options()
    })
    .await;
    let reply = bench.create(ID, &[]).await;
    let upid = reply.data().as_str().unwrap();
    assert_eq!(bench.status(upid).await.errors("upid"), "no such task");
    bench.sim.skip_time(HOUR);
    assert_eq!(bench.status(upid).await.status, 200);
    let malformed = bench.get("/nodes/pve1/tasks/UPID%3Apve1/status").await;
    assert_eq!(malformed.errors("upid"), "unable to parse worker upid");
    let strange = upid.replace("907", "908");
    assert_eq!(bench.status(&strange).await.errors("upid"), "no such task");
}

#[tokio::test]
async fn tasks_take_time_fail_late_and_warn() {
    let bench = bench(options()).await;
    bench.sim.slow_tasks(HOUR);
    bench.sim.fail_next_task("vzcreate", "unable to\nunpack");
    let reply = bench.create(ID, &[]).await;
    let upid = reply.data().as_str().unwrap();
    assert_eq!(bench.status(upid).await.data()["status"], "running");
    bench.sim.skip_time(HOUR);
    assert_eq!(bench.exit(&reply).await, "unable to unpack");
    assert!(bench.sim.containers().is_empty() && bench.sim.orphan_volumes().is_empty());
    bench.sim.slow_tasks(Duration::ZERO);
    bench.sim.order_task_fault("vzcreate", TaskFault::Warn);
    let reply = bench.create(ID, &[]).await;
    assert_eq!(bench.exit(&reply).await, "WARNINGS: 1");
    let upid = reply.data().as_str().unwrap();
    let log = bench.get(&format!("/nodes/pve1/tasks/{upid}/log")).await;
    let last = log.data().as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["t"], "TASK WARNINGS: 1");
}

#[tokio::test]
async fn lists_filter() {
    let bench = bench(options()).await;
    bench.created(&[("start", "1")]).await;
    bench.sim.fail_next_task("vzstop", "it would not");
    assert_eq!(bench.run(&at("/status/stop"), &[]).await, "it would not");
    bench.sim.slow_tasks(HOUR);
    bench.post(&at("/status/stop"), &[]).await.data();
    let count = async |query: &str| {
        let rows = bench.get(&format!("/nodes/pve1/tasks{query}")).await;
        rows.data().as_array().unwrap().len()
    };
    let future = jiff::Timestamp::now().as_second() + 1000;
    let since = format!("?since={future}");
    for (query, expected) in [
        ("", 3),
        ("?source=all", 4),
        ("?source=active", 1),
        ("?source=all&vmid=907&typefilter=vzstop", 2),
        ("?vmid=908", 0),
        ("?errors=1", 1),
        ("?statusfilter=ok", 2),
        ("?limit=1", 1),
        ("?start=2", 1),
        ("?userfilter=nobody", 0),
        (since.as_str(), 0),
    ] {
        assert_eq!(count(query).await, expected, "{query}");
    }
    let rows = bench.get("/nodes/pve1/tasks?source=all").await;
    assert_eq!(rows.data()[0]["type"], "vzstop");
    assert!(rows.data()[0].get("endtime").is_none());
    assert_eq!(rows.data()[1]["status"], "it would not");
}

#[tokio::test]
async fn an_aborted_creation_leaves_lock_and_volume() {
    let bench = bench(options()).await;
    bench.sim.slow_tasks(HOUR);
    let reply = bench.create(ID, &[]).await;
    let upid = reply.data().as_str().unwrap();
    bench.delete(&format!("/nodes/pve1/tasks/{upid}")).await.data();
    assert_eq!(bench.exit(&reply).await, "interrupted by signal");
    assert_eq!(bench.sim.container(ID).unwrap().lock.as_deref(), Some("create"));
    assert_eq!(bench.sim.orphan_volumes().len(), 1);
}
