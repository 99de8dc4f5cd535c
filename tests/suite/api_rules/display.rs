//! What people see: a fresh object's status, short names, the category, columns, the field to select by.

use hostwright::api::condition::reasons;
use serde_json::{Value, json};

use crate::world::{World, shared};

/// Output of `kubectl`, as rows of words that are at least two spaces apart.
async fn table(arguments: &[&str]) -> Vec<Vec<String>> {
    let text = shared().await.cluster.lock().await.kubectl(arguments, "").await;
    let words = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    text.unwrap().lines().map(words).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_object_is_not_taken_for_a_ready_one() {
    let world = World::new().await;
    world.apply(&world.site("fresh")).await;
    let site = serde_json::to_value(world.sites().get("fresh").await.unwrap()).unwrap();
    let provider = world.provider("pve");
    let text = shared()
        .await
        .cluster
        .lock()
        .await
        .kubectl(&["get", "provider", &provider, "-o", "json"], "")
        .await
        .unwrap();
    for object in [site, serde_json::from_str(&text).unwrap()] {
        let conditions: &Value = &object["status"]["conditions"];
        let unknown = json!([{
            "type": "Ready",
            "status": "Unknown",
            "reason": reasons::PENDING,
            "message": "The operator has not looked at this object yet.",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }]);
        assert_eq!(conditions, &unknown);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_a_hoster_looks_for() {
    let world = World::new().await;
    let namespace = world.namespace.as_str();
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    let (node, vmid, address) = (
        status.node.unwrap(),
        status.vmid.unwrap().to_string(),
        status.private_ip.unwrap(),
    );
    operator.stop().await;

    let sites = table(&["get", "wps", "-n", namespace]).await;
    assert_eq!(
        sites[0],
        ["NAME", "PHASE", "READY", "URL", "PLAN", "NODE", "VMID", "AGE"]
    );
    let url = "https://jane.sites.example.com";
    let plan = world.plan();
    assert_eq!(
        sites[1][..7],
        ["jane", "Running", "True", url, &plan, &node, &vmid]
    );

    let wide = table(&["get", "wps", "-n", namespace, "-o", "wide"]).await;
    assert_eq!(wide[0][7..10], ["ADDRESS", "SERVICE", "MESSAGE"]);
    let service = format!("{namespace}-jane");
    assert_eq!(
        wide[1][7..10],
        [
            &address,
            &service,
            "The site is up and answers through the proxy."
        ]
    );

    let pve = world.provider("pve");
    let providers = table(&["get", "prov", &pve, "-o", "wide"]).await;
    assert_eq!(
        providers[0],
        ["NAME", "TYPE", "READY", "VERSION", "LATENCY MS", "MESSAGE", "AGE"]
    );
    assert_eq!(providers[1][..3], [&pve, "proxmox", "True"]);
    let plans = table(&["get", "hplan", &plan]).await;
    assert_eq!(plans[0], ["NAME", "MEMORY MIB", "DISK GIB", "CORES", "HA", "AGE"]);
    assert_eq!(plans[1][..5], [&plan, "2048", "20", "2", "true"]);

    let all: Vec<String> = table(&["get", "hostwright", "-n", namespace, "-o", "name"])
        .await
        .into_iter()
        .flatten()
        .collect();
    for name in [
        "wordpresssite.hostwright.dev/jane".to_owned(),
        format!("plan.hostwright.dev/{plan}"),
        format!("provider.hostwright.dev/{pve}"),
    ] {
        assert!(all.contains(&name), "{name} is not in {all:?}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_found_by_its_service() {
    let world = World::new().await;
    world.apply(&world.site("a")).await;
    world.apply(&world.site("b")).await;
    let selector = format!("spec.serviceId={}-b", world.namespace);
    let found = table(&["get", "wps", "-A", "--field-selector", &selector, "-o", "name"]).await;
    assert_eq!(found, [["wordpresssite.hostwright.dev/b"]]);
    world.close().await;
}
