//! A zone of one namespace below a zone of another, on a cluster of its own, for the operator serves all namespaces.

use hostwright::api::DnsZone;
use hostwright::stage::{BackendsOptions, Cluster, ClusterOptions, Pool};
use kube::Api;
use serde_json::{Value, json};

use crate::world::{World, eventually};

const OTHER: &str = "other-customer";

fn ready(zone: Option<&DnsZone>) -> (String, String, String) {
    let status = zone.and_then(|zone| zone.status.as_ref());
    let found = status.and_then(|status| status.conditions.iter().find(|c| c.type_ == "Ready"));
    found.map_or_else(Default::default, |c| {
        (c.status.clone(), c.reason.clone(), c.message.clone())
    })
}

async fn wait(zones: &Api<DnsZone>, name: &str, state: &str, reason: &str) -> String {
    eventually(&format!("{name} Ready={state} {reason}"), || async {
        let zone = zones.get_opt(name).await.unwrap();
        let seen = ready(zone.as_ref());
        match (seen.0.as_str(), seen.1.as_str()) {
            found if found == (state, reason) => Ok(seen.2),
            _ => Err(format!("{seen:?}")),
        }
    })
    .await
}

fn records() -> Value {
    json!([{"name": "@", "type": "A", "content": "192.0.2.1"}])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_zone_of_another_namespace_needs_leave() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(&ClusterOptions::new(folder.path().join("cluster")))
        .await
        .unwrap();
    cluster.install().await.unwrap();
    let mut world = World::on_cluster(&cluster, BackendsOptions::default(), Pool::default()).await;
    world.everywhere = true;
    world
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER}}))
        .await;
    let allowed = json!({"spec": {"allowedNamespaces": [world.namespace, OTHER]}});
    world.patch_provider("ispconfig", allowed).await;
    let operator = world.operator().await;
    let parent = world.zone("ispconfig", records());
    world.apply(&parent).await;
    world.wait_for_zone("zone", "Ready", "True").await;

    let others: Api<DnsZone> = Api::namespaced(world.admin.clone(), OTHER);
    let mut child = world.zone("ispconfig", records());
    let child_name = format!("shop.{}", world.zone_name());
    child["metadata"] = json!({"name": "child", "namespace": OTHER});
    child["spec"]["zone"] = json!(child_name);
    world.apply(&child).await;
    let message = wait(&others, "child", "False", "Conflict").await;
    assert!(message.contains("allowedChildNamespaces"), "{message}");
    let sim = &world.backends.ispconfig;
    assert_eq!(sim.zone_id(&child_name), None);

    // Allowed later, it is taken up by itself.
    let allowed = json!({"spec": {"allowedChildNamespaces": [OTHER]}});
    world.patch_zone("zone", allowed).await;
    wait(&others, "child", "True", "Ready").await;
    assert_eq!(sim.records(&child_name).len(), 3);

    // What exists is not torn down when the leave is taken back, and the same name belongs to the first.
    let mut same = parent.clone();
    same["metadata"] = json!({"name": "same", "namespace": OTHER});
    world.apply(&same).await;
    let message = wait(&others, "same", "False", "Conflict").await;
    assert!(
        !message.contains(&world.namespace.clone()) || message.contains(&world.zone_name()),
        "{message}"
    );
    assert!(message.contains("another namespace"), "{message}");
    others.delete("same", &Default::default()).await.unwrap();
    others.delete("child", &Default::default()).await.unwrap();
    world.remove_zone("zone").await;
    eventually("nothing is left", || async {
        match world.backends.leftovers() {
            left if left.is_empty() => Ok(()),
            left => Err(format!("{left:?}")),
        }
    })
    .await;
    operator.stop().await;
}
