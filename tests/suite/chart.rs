//! The rendered chart on a real API server, in a namespace that enforces the Pod Security Standard "restricted".

use std::path::PathBuf;
use std::process::Command;

use hostwright::stage::ClusterOptions;
use serde_json::{Value, json};

use crate::world::{client, eventually, shared};

/// Where the chart is tried. No operator runs there.
const NAMESPACE: &str = "chart";

fn helm() -> PathBuf {
    let helm = ClusterOptions::new("").programs.join("helm");
    assert!(
        helm.exists(),
        "{} is missing; run `make devcluster`",
        helm.display()
    );
    helm
}

/// The chart's objects, as YAML and one by one.
fn rendered(values: &[&str]) -> (String, Vec<Value>) {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/hostwright");
    let mut command = Command::new(helm());
    command.args(["template", "hostwright", chart, "--namespace", NAMESPACE]);
    for value in values {
        command.args(["--set", value]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let objects: Vec<Option<Value>> = serde_yaml::from_multiple(&text).unwrap();
    (text, objects.into_iter().flatten().collect())
}

async fn kubectl(arguments: &[&str], input: &str) -> Result<String, String> {
    let cluster = shared().await.cluster.lock().await;
    cluster
        .kubectl(arguments, input)
        .await
        .map_err(|error| error.to_string())
}

/// Applies without storing; warnings are errors, for "would violate PodSecurity" of a Deployment is only one.
async fn apply(object: &str) -> Result<String, String> {
    let arguments = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--warnings-as-errors",
        "-f",
        "-",
    ];
    kubectl(&arguments, object).await
}

/// The Pod that a Deployment would make.
fn pod(deployment: &Value) -> Value {
    let template = &deployment["spec"]["template"];
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": NAMESPACE, "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chart_fits_into_a_restricted_namespace() {
    let namespace = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        }},
    });
    kubectl(&["apply", "--server-side", "-f", "-"], &namespace.to_string())
        .await
        .unwrap();
    let more = [
        "metrics.service.enabled=true",
        "metrics.dashboard.enabled=true",
        "replicaCount=2",
        "updateStrategy=RollingUpdate",
        "operator.clusterId=prod-1",
        "imagePullSecrets[0].name=pull",
        "extraEnv[0].name=HOSTWRIGHT_WATCH_NAMESPACE",
        "extraEnv[0].value=customers",
        "tolerations[0].operator=Exists",
    ];
    for values in [[].as_slice(), more.as_slice()] {
        let (text, objects) = rendered(values);
        apply(&text).await.unwrap();
        let deployment = objects
            .iter()
            .find(|object| object["kind"] == "Deployment")
            .unwrap();
        // Pod Security judges Pods; of a Deployment it only warns.
        apply(&pod(deployment).to_string()).await.unwrap();
        let mut careless = pod(deployment);
        careless["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let said = apply(&careless.to_string()).await.unwrap_err();
        assert!(said.contains("violates PodSecurity \"restricted"), "{said}");
    }
}

/// The Deployment's variables are those that the program knows.
#[test]
fn the_program_knows_every_variable_of_the_chart() {
    let (_, objects) = rendered(&["operator.clusterId=prod-1", "replicaCount=2"]);
    let deployment = objects
        .iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let output = Command::new(env!("CARGO_BIN_EXE_hostwright"))
        .args(["run", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for variable in container["env"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        assert!(
            help.contains(&format!("[env: {name}=")),
            "{name} is unknown: {help}"
        );
    }
    // A value that it cannot use ends it before it looks for a cluster; a good one does not.
    let values = container["env"].as_array().unwrap();
    let values = values
        .iter()
        .filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?)));
    let said = Command::new(env!("CARGO_BIN_EXE_hostwright"))
        .arg("run")
        .env_clear()
        .envs(values)
        .env("KUBECONFIG", "/nowhere")
        .env("HOSTWRIGHT_ADMIN_ADDRESS", "127.0.0.1:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("the kubeconfig /nowhere cannot be used"), "{said}");
}

/// The operator's renewals go through the FlowSchema of the chart, which the shared cluster has, onto the level of the
/// cluster's own leases; its other requests do not. The API server tells so with each answer.
#[tokio::test(flavor = "multi_thread")]
async fn renewals_of_the_lease_do_not_queue_behind_other_traffic() {
    let uid = async |kind: &str, name: &str| {
        let arguments = ["get", kind, name, "--output=jsonpath={.metadata.uid}"];
        kubectl(&arguments, "").await.unwrap()
    };
    let schema = uid("flowschema", "hostwright-system-hostwright-lease").await;
    let level = uid("prioritylevelconfiguration", "leader-election").await;
    let operator = client(&shared().await.operator).await;
    let taken = async |path: &str| {
        let request = hyper::Request::get(path)
            .body(kube::client::Body::empty())
            .unwrap();
        let answer = operator.send(request).await.unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        (
            header("x-kubernetes-pf-flowschema-uid"),
            header("x-kubernetes-pf-prioritylevel-uid"),
        )
    };
    let lease = "/apis/coordination.k8s.io/v1/namespaces/hostwright-system/leases/hostwright";
    // The API server learns of a new schema a moment after it was stored.
    eventually("the FlowSchema of the chart is in use", || async {
        let seen = taken(lease).await;
        (seen == (schema.clone(), level.clone()))
            .then_some(())
            .ok_or_else(|| format!("{seen:?}"))
    })
    .await;
    let (other, _) = taken("/apis/hostwright.dev/v1alpha1/wordpresssites?limit=1").await;
    assert_ne!(other, schema);
}
