//! One site on the real API server: from nothing to a page that answers, and back to nothing.

use hostwright::api::Phase;

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
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    operator.stop().await;
    world.close().await;
}
