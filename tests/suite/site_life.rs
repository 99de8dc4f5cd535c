//! One site on the real API server: from nothing to a page that answers, and back to nothing.

use hostwright::api::Phase;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_site_comes_up_and_goes_without_a_trace() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    assert_eq!(status.phase, Some(Phase::Running));
    assert_eq!(status.url.as_deref(), Some("https://jane.sites.example.com"));
    world.delete("jane").await;
    world.wait_until_gone("jane").await;
    world.end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_site_says_that_its_pause_is_over() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    let paused = |value: Value| json!({"metadata": {"annotations": {"hostwright.dev/paused": value}}});
    world.patch("jane", paused(json!("true"))).await;
    world.wait_for_reason("jane", "Synced", "Paused").await;
    world.patch("jane", paused(Value::Null)).await;
    let status = world.wait_for("jane", "Synced", "True").await;
    assert_eq!(status.phase, Some(Phase::Running));
    operator.stop().await;
    world.close().await;
}
