//! The schema table against the official schema, and answers against recorded ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::super::endpoints::ENDPOINTS;
use super::*;

fn contract(file: &str) -> Option<String> {
    let folder = std::env::var_os("HOSTWRIGHT_CONTRACTS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts"),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(folder.join(file)).ok();
    if text.is_none() {
        eprintln!("SKIPPED: {file} is not there; set HOSTWRIGHT_CONTRACTS to compare with it");
    }
    text
}

/// The label of the official data: the oldest of its five releases that has the thing.
fn label(since: PveVersion) -> Option<&'static str> {
    match since {
        PveVersion::V7_4 => None,
        PveVersion::V8_1 | PveVersion::V8_2 | PveVersion::V8_4 => Some("8.4"),
        PveVersion::V9_0 => Some("9.0"),
        PveVersion::V9_1 => Some("9.1"),
        _ => Some("8.0"),
    }
}

#[test]
fn parameters_are_those_of_the_official_schema() {
    let Some(text) = contract("pve-api-subset.json") else {
        return;
    };
    let official: Value = serde_json::from_str(&text).unwrap();
    let mut known = BTreeMap::new();
    for endpoint in official["endpoints"].as_array().unwrap() {
        let key = (
            endpoint["method"].as_str().unwrap(),
            endpoint["path"].as_str().unwrap(),
        );
        known.insert(key, endpoint);
    }
    for endpoint in ENDPOINTS {
        let key = (endpoint.method, endpoint.path);
        let beside = ["/nodes/{node}/qemu/", "/nodes/{node}/vzdump/"];
        if beside.iter().any(|path| endpoint.path.starts_with(path)) {
            // The excerpt of the official schema has containers and storages only.
            continue;
        }
        let theirs = known
            .get(&key)
            .unwrap_or_else(|| panic!("{key:?} is not official"));
        let since = theirs["since"].as_str().filter(|since| !since.starts_with("7.4"));
        assert_eq!(label(endpoint.since), since, "{key:?}");
        let ours: BTreeMap<&str, _> = endpoint
            .params
            .iter()
            .flat_map(|group| group.iter())
            .map(|param| {
                let in_path = endpoint.path.contains(&format!("{{{}}}", param.name));
                (
                    param.name,
                    (param.required && !in_path, in_path, label(param.since)),
                )
            })
            .collect();
        let official: BTreeMap<&str, _> = theirs["params"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, about)| {
                let in_path = about["in"] == "path";
                let required = about["optional"] != 1 && !in_path;
                (name.as_str(), (required, in_path, about["since"].as_str()))
            })
            .collect();
        assert_eq!(ours, official, "{key:?}");
    }
}

/// Keys with their JSON types.
fn shape(value: &Value) -> BTreeMap<String, &'static str> {
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    value
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), kind(value)))
        .collect()
}

/// The recorded JSON in the table line that contains `mark`.
fn recorded(text: &str, mark: &str) -> Value {
    let line = text
        .lines()
        .find(|line| line.starts_with(&format!("| {mark}")))
        .unwrap_or_else(|| panic!("no line {mark}"));
    let start = line.find("`{").unwrap() + 1;
    let end = line[start..].find("}`").unwrap() + start + 1;
    serde_json::from_str(&line[start..end]).unwrap()
}

/// Every key of the recording must be there with its type; `absent` may be missing, more keys may come.
fn compare(mark: &str, ours: &Value, theirs: &Value, absent: &[&str]) {
    let ours = shape(ours);
    for (key, kind) in shape(theirs) {
        match ours.get(&key) {
            Some(own) => assert_eq!(*own, kind, "{mark}: type of {key}"),
            None => assert!(absent.contains(&key.as_str()), "{mark}: {key} is missing"),
        }
    }
}

#[tokio::test]
async fn answers_have_the_shape_of_recorded_ones() {
    let Some(text) = contract("pve-responses.md") else {
        return;
    };
    let bench = bench(options()).await;
    bench
        .created(&[("start", "1"), ("onboot", "1"), ("cores", "2"), ("cpulimit", "0")])
        .await;
    bench.run(&at("/snapshot"), &[("snapname", "first")]).await;
    bench.run(&at("/snapshot"), &[("snapname", "second")]).await;
    bench
        .sim
        .add_foreign_container(908, "pve1", &[("tags", "a;b"), ("template", "1")]);
    bench.sim.stop_container(908);

    let version = bench.get("/version").await;
    compare(
        "version",
        version.data(),
        &recorded(&text, "GET /version (9.2)")["data"],
        &[],
    );
    let row = bench.resource(ID).await;
    compare("lxc row", &row, &recorded(&text, "lxc running"), &[]);
    let nodes = bench.get("/cluster/resources?type=node").await;
    compare("node row", &nodes.data()[0], &recorded(&text, "node |"), &[]);
    let storages = bench.get("/cluster/resources?type=storage").await;
    compare(
        "storage row",
        &storages.data()[0],
        &recorded(&text, "storage |"),
        &[],
    );
    let status = bench.get("/cluster/status").await;
    let theirs = recorded(&text, "GET /cluster/status, cluster");
    for index in [0, 1] {
        compare("cluster", &status.data()[index], &theirs["data"][index], &[]);
    }
    let current = bench.get("/nodes/pve1/lxc/908/status/current").await;
    let theirs = recorded(&text, "GET .../status/current, stopped");
    compare("current", current.data(), &theirs["data"], &[]);
    let config = bench.get(&at("/config")).await;
    let theirs = recorded(&text, "GET .../config (PVE 7)");
    let unset = ["cmode", "console", "cpuunits", "protection", "tty"];
    compare("config", config.data(), &theirs["data"], &unset);
    let interfaces = bench.get(&at("/interfaces")).await;
    let theirs = recorded(&text, "GET .../interfaces (8.1.4)");
    compare("interface", &interfaces.data()[1], &theirs["data"][1], &[]);
    let snapshots = bench.get(&at("/snapshot")).await;
    let theirs = recorded(&text, "GET .../snapshot");
    for index in 0..3 {
        compare("snapshot", &snapshots.data()[index], &theirs["data"][index], &[]);
    }
    bench.sim.slow_tasks(HOUR);
    let reply = bench.post(&at("/status/stop"), &[]).await;
    let task = bench.status(reply.data().as_str().unwrap()).await;
    compare(
        "task",
        task.data(),
        &recorded(&text, "status while running")["data"],
        &[],
    );
}

#[tokio::test]
async fn seven_lists_numbers_as_strings() {
    let Some(text) = contract("pve-responses.md") else {
        return;
    };
    let bench = bench(release(PveVersion::V7_4)).await;
    bench.created(&[("start", "1")]).await;
    let list = bench.get("/nodes/pve1/lxc").await;
    let theirs = recorded(&text, "GET /nodes/node1/lxc");
    compare("list", &list.data()[0], &theirs["data"][0], &[]);
    assert_eq!(list.data()[0]["vmid"], "907");
    assert_eq!(bench.get(&at("/status/current")).await.data()["vmid"], 907);
}

#[test]
fn every_endpoint_is_listed_once() {
    let keys: BTreeSet<_> = ENDPOINTS.iter().map(|e| (e.method, e.path)).collect();
    assert_eq!(keys.len(), ENDPOINTS.len());
}
