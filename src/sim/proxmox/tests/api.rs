//! Token, encodings, schemas, rights, nodes.

use super::*;

#[tokio::test]
async fn a_wrong_token_is_401_without_a_body_after_a_while() {
    let bench = bench(options()).await;
    for token in ["PVEAPIToken=a@pve!b=c", "Bearer x", ""] {
        let began = Instant::now();
        let request = bench
            .client
            .get(format!("{}/api2/json/version", bench.server.url()));
        let reply = bench.send(request.header("authorization", token)).await;
        assert_eq!(
            (reply.says(), reply.text.as_str()),
            ((401, "Authentication failed!"), "")
        );
        assert!(reply.closes && began.elapsed() >= Duration::from_millis(20));
    }
    bench.sim.set_token("new@pve!t=s");
    assert_eq!(bench.get("/version").await.status, 401);
}

#[tokio::test]
async fn encodings_are_strict() {
    let bench = bench(options()).await;
    let start = bench.request("POST", &at("/status/start"));
    let chunked = futures::stream::iter([Ok::<_, std::io::Error>("a=b")]);
    let cases = [
        (bench.request("DELETE", &at("")).body("purge=1"), 501),
        (bench.request("GET", "/version").body("a=b"), 501),
        (start.body(reqwest::Body::wrap_stream(chunked)), 501),
        (
            bench
                .request("PUT", &at("/config"))
                .header("content-type", "text/plain")
                .body("memory=512"),
            506,
        ),
        (bench.request("HEAD", "/version"), 501),
        (bench.request("PATCH", "/version"), 501),
        (bench.request("GET", "/nowhere"), 501),
        (bench.request("PUT", "/version"), 501),
    ];
    for (request, status) in cases {
        let reply = bench.send(request).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(reply.closes);
    }
    bench.created(&[]).await;
    let json = serde_json::json!({"memory": 1024, "onboot": true});
    let reply = bench.send(bench.request("PUT", &at("/config")).json(&json)).await;
    assert_eq!(reply.data(), &Value::Null);
    let config = bench.get(&at("/config")).await;
    assert_eq!(
        (&config.data()["memory"], &config.data()["onboot"]),
        (&1024.into(), &1.into())
    );
}

#[tokio::test]
async fn sentences_are_in_the_reason_and_in_the_body_only_of_new_releases() {
    let text = "Configuration file 'nodes/pve1/lxc/907.conf' does not exist";
    let new = bench(options()).await;
    let reply = new.get(&at("/config")).await;
    assert_eq!(reply.says(), (500, text));
    assert_eq!(
        reply.body,
        serde_json::json!({"data": null, "message": format!("{text}\n")})
    );
    let old = bench(ProxmoxOptions {
        sentences_in_body: false,
        ..release(PveVersion::V7_4)
    })
    .await;
    let reply = old.get(&at("/config")).await;
    assert_eq!(
        (reply.says(), reply.text.as_str()),
        ((500, text), r#"{"data":null}"#)
    );
}

const UNKNOWN: &str = "property is not defined in schema and the schema does not allow additional properties";
/// Release, key, value and the text of the refusal.
const REFUSED: &[(PveVersion, &str, &str, &str)] = &[
    (PveVersion::V9_1, "bios", "x", UNKNOWN),
    (PveVersion::V9_0, "env", "A=b", UNKNOWN),
    (PveVersion::V9_0, "ha-managed", "1", UNKNOWN),
    (PveVersion::V8_1, "dev0", "/dev/fuse", UNKNOWN),
    (
        PveVersion::V9_1,
        "vmid",
        "99",
        "invalid format - value does not look like a valid VM ID\n",
    ),
    (
        PveVersion::V9_1,
        "vmid",
        "abc",
        "type check ('integer') failed - got 'abc'",
    ),
    (
        PveVersion::V9_1,
        "memory",
        "15",
        "value must have a minimum value of 16",
    ),
    (
        PveVersion::V9_1,
        "cores",
        "8193",
        "value must have a maximum value of 8192",
    ),
    (
        PveVersion::V9_1,
        "start",
        "maybe",
        "type check ('boolean') failed - got 'maybe'",
    ),
    (
        PveVersion::V9_1,
        "password",
        "1234",
        "value must be at least 5 characters long",
    ),
    (
        PveVersion::V9_1,
        "tags",
        "a;-b",
        "invalid format - invalid characters in tag\n",
    ),
    (
        PveVersion::V9_1,
        "net0",
        "eth0",
        "invalid format - missing key in comma-separated list property\n",
    ),
    (
        PveVersion::V9_1,
        "hostname",
        "-a",
        "invalid format - value does not look like a valid DNS name\n",
    ),
    (
        PveVersion::V9_1,
        "ostype",
        "beos",
        "value 'beos' does not have a value in the enumeration 'debian, devuan, ubuntu, centos, fedora, \
             opensuse, archlinux, alpine, gentoo, nixos, unmanaged'",
    ),
];

#[tokio::test]
async fn the_schema_refuses_what_the_release_does_not_know() {
    for (version, key, value, text) in REFUSED {
        let bench = bench(release(*version)).await;
        let reply = bench.create(ID, &[(key, value)]).await;
        assert_eq!(reply.errors(key), *text, "{key}={value} on {version}");
    }
    let bench = bench(release(PveVersion::V7_4)).await;
    let reply = bench.post("/nodes/pve1/lxc", &[("vmid", "5")]).await;
    assert_eq!(
        reply.errors("ostemplate"),
        "property is missing and it is not optional"
    );
    assert_eq!(bench.get(&at("/interfaces")).await.status, 501);
}

#[tokio::test]
async fn missing_rights_are_403_with_path_and_privilege() {
    let bench = bench(options()).await;
    bench.created(&[]).await;
    let denied = |privilege: &'static str| bench.sim.set_privilege(privilege, false);
    denied("VM.Config.Memory");
    let reply = bench.put(&at("/config"), &[("memory", "1024")]).await;
    assert_eq!(
        reply.says(),
        (403, "Permission check failed (/vms/907, VM.Config.Memory)")
    );
    let reply = bench.create(908, &[("unprivileged", "0")]).await;
    assert_eq!(reply.says(), (403, "Permission check failed (/, Sys.Modify)"));
    let reply = bench.create(908, &[("features", "nesting=1,keyctl=1")]).await;
    assert_eq!(reply.status, 403);
    denied("SDN.Use");
    let reply = bench.create(908, &[]).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"
        )
    );
    denied("VM.Snapshot");
    denied("VM.Snapshot.Rollback");
    let reply = bench.post(&at("/snapshot/initial/rollback"), &[]).await;
    assert_eq!(
        reply.says(),
        (
            403,
            "Permission check failed (/vms/907, VM.Snapshot|VM.Snapshot.Rollback)"
        )
    );
    let held = bench.get("/access/permissions?path=/vms").await;
    let held = held.data()["/vms"].as_object().unwrap().clone();
    assert!(held.contains_key("VM.Audit") && !held.contains_key("VM.Snapshot"));
    denied("VM.Audit");
    assert_eq!(
        bench.get("/cluster/resources?type=vm").await.data(),
        &serde_json::json!([])
    );
    denied("Sys.Audit");
    let reply = bench.get("/cluster/ha/resources").await;
    assert_eq!(reply.says(), (403, "Permission check failed (/, Sys.Audit)"));
    assert_eq!(bench.get("/cluster/tasks").await.data(), &serde_json::json!([]));
    let own = bench.get("/nodes/pve1/tasks").await;
    assert_eq!(own.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn nodes_without_quorum_or_answer() {
    let bench = bench(options()).await;
    bench.created(&[("start", "1")]).await;
    bench.sim.set_quorum(false);
    let reply = bench.put(&at("/config"), &[("memory", "1024")]).await;
    assert_eq!(reply.says(), (500, "cluster not ready - no quorum?"));
    assert_eq!(bench.get(&at("/config")).await.status, 200);
    bench.sim.set_quorum(true);
    bench.sim.set_node_offline("pve1", true);
    let reply = bench.get(&at("/status/current")).await;
    assert_eq!((reply.status, reply.text.as_str()), (595, ""));
    assert!(reply.reason.ends_with("No route to host") && reply.closes);
    assert_eq!(bench.resource(ID).await["status"], "unknown");
    let nodes = bench.get("/nodes").await;
    assert_eq!(nodes.data()[0]["status"], "offline");
    let reply = bench.get("/nodes/pve9/lxc").await;
    assert!(reply.reason.starts_with("hostname lookup 'pve9' failed"));
}

#[tokio::test]
async fn next_id_is_a_string_and_reserves_nothing() {
    let bench = bench(options()).await;
    bench.sim.add_foreign_container(100, "pve2", &[]);
    bench.sim.add_vm(101, "pve2");
    for _ in 0..2 {
        assert_eq!(bench.get("/cluster/nextid").await.data(), "102");
    }
    let reply = bench.get("/cluster/nextid?vmid=101").await;
    assert_eq!(reply.errors("vmid"), "VM 101 already exists");
}

#[tokio::test]
async fn statistics_are_stale_while_configuration_is_live() {
    let bench = bench(ProxmoxOptions {
        stats_lag: HOUR,
        ..options()
    })
    .await;
    bench.created(&[("start", "1")]).await;
    let row = bench.resource(ID).await;
    assert_eq!((&row["status"], &row["name"]), (&"unknown".into(), &Value::Null));
    assert_eq!(
        (&row["tags"], &row["node"]),
        (&"hostwright;wp".into(), &"pve1".into())
    );
    bench.sim.skip_time(HOUR);
    assert_eq!(bench.resource(ID).await["status"], "running");
    bench.sim.stop_container(ID);
    bench.sim.set_lock(ID, Some("backup"));
    let row = bench.resource(ID).await;
    assert_eq!(
        (&row["status"], &row["lock"]),
        (&"running".into(), &"backup".into())
    );
    assert_eq!(
        bench.get(&at("/status/current")).await.data()["status"],
        "stopped"
    );
}

#[tokio::test]
async fn faults_of_the_server_apply() {
    let bench = bench(options()).await;
    bench.server.faults.order(crate::sim::faults::Fault {
        method: Some("POST".to_owned()),
        path_contains: "/lxc".to_owned(),
        skip: 0,
        times: Some(1),
        trouble: crate::sim::faults::Trouble::CutAfter,
    });
    let form = [
        ("vmid", "907"),
        (
            "ostemplate",
            "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
        ),
        ("rootfs", "drbd:1"),
    ];
    let lost = bench.request("POST", "/nodes/pve1/lxc").form(&form).send().await;
    assert!(lost.is_err());
    let found = bench
        .get("/nodes/pve1/tasks?source=all&vmid=907&typefilter=vzcreate")
        .await;
    assert_eq!(found.data()[0]["status"], "OK");
}

#[tokio::test]
async fn two_thousand_containers_cost_little() {
    let bench = bench(options()).await;
    for vmid in 1000..3000 {
        bench
            .sim
            .add_foreign_container(vmid, "pve1", &[("memory", "512")]);
    }
    let began = Instant::now();
    for vmid in 1000..1100 {
        let reply = bench.get(&format!("/nodes/pve1/lxc/{vmid}/status/current")).await;
        assert_eq!(reply.data()["status"], "running");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let rows = bench.get("/cluster/resources?type=vm").await;
    assert_eq!(rows.data().as_array().unwrap().len(), 2000);
}

#[tokio::test]
async fn pools_hold_guests_until_they_die() {
    let bench = bench(options()).await;
    bench.post("/pools", &[("poolid", "sites")]).await.data();
    let again = bench.post("/pools", &[("poolid", "sites")]).await;
    assert_eq!(
        again.says(),
        (500, "create pool failed: pool 'sites' already exists")
    );
    let unknown = bench.create(ID, &[("pool", "none")]).await;
    assert_eq!(unknown.says(), (500, "pool 'none' does not exist"));
    bench.created(&[("pool", "sites")]).await;
    assert_eq!(bench.resource(ID).await["pool"], "sites");
    let full = bench.delete("/pools?poolid=sites").await;
    assert_eq!(
        full.says(),
        (500, "delete pool failed: pool 'sites' is not empty")
    );
    bench.sim.destroy_by_hand(ID);
    bench.delete("/pools?poolid=sites").await.data();
    assert_eq!(bench.get("/pools").await.data(), &serde_json::json!([]));
}

#[tokio::test]
async fn storages_count_what_they_hold() {
    let bench = bench(options()).await;
    bench.created(&[]).await;
    let status = bench.get("/nodes/pve2/storage/drbd/status").await;
    assert_eq!(
        (&status.data()["used"], &status.data()["active"]),
        (&(20_u64 << 30).into(), &1.into())
    );
    let volumes = bench
        .get("/nodes/pve2/storage/drbd/content?content=rootdir")
        .await;
    assert_eq!(volumes.data()[0]["vmid"], ID);
    let templates = bench
        .get("/nodes/pve1/storage/local/content?content=vztmpl")
        .await;
    assert_eq!(templates.data().as_array().unwrap().len(), 2);
    let unknown = bench.get("/nodes/pve1/storage/none/status").await;
    assert_eq!(unknown.says(), (500, "storage 'none' does not exist"));
    bench.sim.set_storage_down("drbd", true);
    let listed = bench.get("/nodes/pve1/storage?content=rootdir").await;
    assert_eq!(
        (&listed.data()[0]["storage"], &listed.data()[0]["active"]),
        (&"drbd".into(), &0.into())
    );
    bench.sim.destroy_by_hand(ID);
    assert_eq!(bench.sim.orphan_volumes().len(), 1);
}

#[tokio::test]
async fn the_configuration_of_a_virtual_machine_can_be_read() {
    let bench = bench(options()).await;
    bench.sim.add_vm(908, "pve1");
    let config = bench.get("/nodes/pve1/qemu/908/config").await;
    assert_eq!(config.data()["memory"], 2048);
    let elsewhere = bench.get("/nodes/pve2/qemu/908/config").await;
    assert_eq!(
        elsewhere.says(),
        (
            500,
            "Configuration file 'nodes/pve2/qemu-server/908.conf' does not exist"
        )
    );
}
