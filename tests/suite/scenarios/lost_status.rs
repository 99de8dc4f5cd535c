//! Somebody clears a site's status while the operator is down: what the site made is found again by its marks.

use hostwright::sim::faults::{Fault, Trouble};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_host_is_taken_up_again() {
    let world = World::new().await;
    // The certificate is made, the host that would carry our mark never is.
    world.backends.npm_server.faults.order(Fault {
        method: Some("POST".to_owned()),
        path_contains: "proxy-hosts".to_owned(),
        skip: 0,
        times: None,
        trouble: Trouble::Refuse {
            status: 503,
            body: String::new(),
            retry_after: None,
        },
    });
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    eventually("the certificate is there", || async {
        match world.backends.npm.certificates().len() {
            1 => Ok(()),
            count => Err(count.to_string()),
        }
    })
    .await;
    let before = world.wait_for("jane", "ContainerReady", "True").await;
    operator.kill();
    world
        .sites()
        .patch_status(
            "jane",
            &PatchParams::default(),
            &Patch::Merge(&json!({"status": null})),
        )
        .await
        .unwrap();
    world.backends.npm_server.faults.clear();

    let operator = world.operator().await;
    let after = world.wait_for("jane", "Ready", "True").await;
    assert_eq!((after.subdomain, after.vmid), (before.subdomain, before.vmid));
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    world.end(operator).await;
}
