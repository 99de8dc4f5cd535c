//! What the operator's account may do with Secrets under the chart's admission policy, tried as that account.

use hostwright::api::WordPressSite;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::world::{World, client, eventually, shared};

const ONLY_OPAQUE: &str = "the operator handles Opaque Secrets only";
const ONLY_OWNED: &str = "the operator handles only Secrets that are owned by a hostwright.dev object";

fn secret(name: &str, kind: &str, owner: Option<Value>) -> Secret {
    let owners: Vec<Value> = owner.into_iter().collect();
    let object = json!({
        "metadata": {
            "name": name,
            "ownerReferences": owners,
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
        "type": kind,
    });
    serde_json::from_value(object).unwrap()
}

fn owner(version: &str, kind: &str, uid: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "name": "jane", "uid": uid})
}

/// What the API server says against it.
fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> Result<String, String> {
    match result {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 403, "{status:?}");
            Ok(status.message.clone())
        }
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_makes_and_removes_secrets_of_sites_only() {
    let world = World::new().await;
    let operator = client(&shared().await.operator).await;
    let theirs: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    let ours: Api<Secret> = Api::namespaced(operator, &world.namespace);
    world.apply(&world.site("jane")).await;
    let uid = world.sites().get("jane").await.unwrap().uid().unwrap();
    let of_site = || Some(owner("hostwright.dev/v1alpha1", "WordPressSite", &uid));

    // A policy works a moment after it was stored; nothing is stored by this try.
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the policy works", || async {
        refusal(ours.create(&dry, &secret("early", "Opaque", None)).await)
    })
    .await;

    let post = PostParams::default();
    let token = "kubernetes.io/service-account-token";
    for (secret, message) in [
        (secret("token", token, of_site()), ONLY_OPAQUE),
        (secret("any", "example.com/any", of_site()), ONLY_OPAQUE),
        (secret("bare", "Opaque", None), ONLY_OWNED),
        (
            secret("foreign", "Opaque", Some(owner("v1", "ConfigMap", &uid))),
            ONLY_OWNED,
        ),
        (
            secret(
                "alike",
                "Opaque",
                Some(owner("hostwright.dev.example/v1", "WordPressSite", &uid)),
            ),
            ONLY_OWNED,
        ),
    ] {
        let name = secret.name_any();
        match ours.create(&post, &secret).await {
            Err(kube::Error::Api(status)) => assert!(status.message.contains(message), "{name}: {status:?}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    theirs
        .create(&post, &secret("customer", "Opaque", None))
        .await
        .unwrap();
    let said = refusal(ours.delete("customer", &DeleteParams::default()).await).unwrap();
    assert!(said.contains(ONLY_OWNED), "{said}");

    ours.create(&post, &secret("jane-wordpress", "Opaque", of_site()))
        .await
        .unwrap();
    ours.delete("jane-wordpress", &DeleteParams::default())
        .await
        .unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_operator_meets_the_policy() {
    let world = World::new().await;
    let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
    secrets
        .create(&PostParams::default(), &secret("customer", "Opaque", None))
        .await
        .unwrap();
    secrets
        .delete("customer", &DeleteParams::default())
        .await
        .unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_and_writes_nothing_else() {
    let world = World::new().await;
    let operator: Client = client(&shared().await.operator).await;
    let secrets: Api<Secret> = Api::namespaced(operator.clone(), &world.namespace);
    refusal(secrets.list(&ListParams::default()).await).unwrap();
    let sites: Api<WordPressSite> = Api::namespaced(operator.clone(), &world.namespace);
    refusal(sites.delete("jane", &DeleteParams::default()).await).unwrap();
    let plans: Api<hostwright::api::Plan> = Api::all(operator.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    refusal(plans.patch(&world.plan(), &PatchParams::default(), &patch).await).unwrap();
    let providers: Api<hostwright::api::Provider> = Api::all(operator);
    refusal(
        providers
            .patch(&world.provider("pve"), &PatchParams::default(), &patch)
            .await,
    )
    .unwrap();
    world.close().await;
}
