//! Who puts the finalizer on an object: the chart's policy within the request that creates it, or the operator; and what
//! follows for an object that goes before anybody looked at it.

use hostwright::api::FINALIZER;
use hostwright::stage::{BackendsOptions, Pool};
use kube::api::{DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use kube::core::ApiResource;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::world::{World, eventually};

const OF_OTHERS: &str = "example.com/of-others";

fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("hostwright.dev", "v1alpha1", kind);
    Api::namespaced_with(
        world.admin.clone(),
        &world.namespace,
        &ApiResource::from_gvk(&kind),
    )
}

/// One object of each kind that the operator holds.
fn objects(world: &World) -> [Value; 4] {
    let of_jane = |kind: &str, mut spec: Value| {
        spec["site"] = json!("jane");
        json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "one", "namespace": world.namespace},
            "spec": spec,
        })
    };
    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    [
        world.site("jane"),
        world.zone("cloudflare", records),
        of_jane("SiteBackup", json!({})),
        of_jane("SiteRestore", json!({"snapshot": "initial"})),
    ]
}

/// Creates an object without storing it; what the API server would have stored.
async fn tried(world: &World, object: &Value) -> DynamicObject {
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let kind = object["kind"].as_str().unwrap();
    let object = serde_json::from_value(object.clone()).unwrap();
    api(world, kind).create(&dry, &object).await.unwrap()
}

/// The label with the site's name, of kinds that have one.
fn label_of(object: &Value) -> Option<&str> {
    object.pointer("/spec/site").and_then(Value::as_str)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_held_in_the_answer_to_its_creation() {
    let world = World::new().await;
    for object in objects(&world) {
        let kind = &object["kind"];
        let label = |seen: &DynamicObject| seen.labels().get("hostwright.dev/site").cloned();
        let seen = tried(&world, &object).await;
        assert_eq!(seen.finalizers(), [FINALIZER], "{kind}");
        assert_eq!(label(&seen).as_deref(), label_of(&object), "{kind}");

        let mut with = object.clone();
        with["metadata"]["finalizers"] = json!([OF_OTHERS]);
        with["metadata"]["labels"] = json!({"a": "b"});
        let seen = tried(&world, &with).await;
        assert_eq!(seen.finalizers(), [OF_OTHERS, FINALIZER], "{kind}");
        assert_eq!(seen.labels().get("a").map(String::as_str), Some("b"), "{kind}");
        assert_eq!(label(&seen).as_deref(), label_of(&object), "{kind}");

        with["metadata"]["finalizers"] = json!([FINALIZER, OF_OTHERS]);
        let seen = tried(&world, &with).await;
        assert_eq!(seen.finalizers(), [FINALIZER, OF_OTHERS], "{kind}: not twice");

        with["metadata"]["finalizers"] = json!([]);
        assert_eq!(tried(&world, &with).await.finalizers(), [FINALIZER], "{kind}");

        let mut paused = object.clone();
        paused["metadata"]["annotations"] = json!({"hostwright.dev/paused": "true"});
        assert!(tried(&world, &paused).await.finalizers().is_empty(), "{kind}");
    }
    world.close().await;
}

/// Whoever applies the same again, such as a tool that follows a repository, changes nothing and is in nobody's way.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_is_the_same_when_it_is_applied_again() {
    let world = World::new().await;
    for object in objects(&world) {
        let mut first = world.try_apply(&object).await.unwrap();
        assert_eq!(first["metadata"]["finalizers"], json!([FINALIZER]));
        let second = world.try_apply(&object).await.unwrap();
        // The status that a definition has by default is stored with the first write after the creation.
        first["metadata"]["resourceVersion"] = second["metadata"]["resourceVersion"].clone();
        assert_eq!(second, first);
        assert_eq!(world.try_apply(&object).await.unwrap(), first);
    }
    world.close().await;
}

/// On a cluster without the policy.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_the_operator_holds_an_object_itself() {
    let world = World::unheld(BackendsOptions::default(), Pool::default()).await;
    let [site, zone, backup, _] = objects(&world);
    assert!(tried(&world, &zone).await.finalizers().is_empty());
    let operator = world.operator().await;
    for object in [&site, &zone, &backup] {
        world.apply(object).await;
    }
    world.wait_for_zone("zone", "Ready", "True").await;
    world.wait_for("jane", "Ready", "True").await;
    for object in [&site, &zone, &backup] {
        let kind = object["kind"].as_str().unwrap();
        let seen = api(&world, kind)
            .get(object["metadata"]["name"].as_str().unwrap())
            .await
            .unwrap();
        assert_eq!(seen.finalizers(), [FINALIZER], "{kind}");
        let label = seen.labels().get("hostwright.dev/site");
        assert_eq!(label.map(String::as_str), label_of(object), "{kind}");
    }
    assert_eq!(operator.zone_writes(), 2, "finalizer and status");
    world.remove_zone("zone").await;
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    world.end(operator).await;
}

/// It was held from the beginning, so that it waits for the operator, which finds that nothing was made for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_before_anybody_looked_at_it_changes_nothing_outside() {
    let world = World::new().await;
    let all = objects(&world);
    for object in &all {
        world.apply(object).await;
    }
    // An older zone is somebody else's.
    world.backends.cloudflare.add_zone(&world.zone_name());
    assert!(world.backends.cloudflare.set_zone_age(&world.zone_name(), 60));
    let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
    for object in &all {
        let api = api(&world, object["kind"].as_str().unwrap());
        api.delete(&name(object), &DeleteParams::default()).await.unwrap();
        assert!(api.get(&name(object)).await.is_ok(), "it waits for the operator");
    }
    let operator = world.operator().await;
    for object in &all {
        let api = api(&world, object["kind"].as_str().unwrap());
        eventually(&format!("{} is gone", object["kind"]), || async {
            let left = api.get_opt(&name(object)).await.unwrap();
            left.map_or(Ok(()), |left| Err(format!("{:?}", left.data)))
        })
        .await;
    }
    // The zone was looked for in the list of all, which the check of a Provider reads as well.
    let calls = operator.calls(&world);
    assert!(calls.is_empty(), "{calls:?}");
    let zone = world.backends.cloudflare.zone_id(&world.zone_name());
    assert!(zone.is_some(), "somebody else's zone");
    operator.stop().await;
    world.close().await;
}
