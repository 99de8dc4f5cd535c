//! On Cloudflare.

use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_is_made_changed_and_removed() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([
        {"name": "@", "type": "A", "content": "192.0.2.1"},
        {"name": "www", "type": "CNAME", "content": "@", "ttl": 300},
        {"name": "_dmarc", "type": "TXT", "content": "v=DMARC1; p=none"},
        {"name": "@", "type": "MX", "content": "mail.example.net", "priority": 5},
    ]);
    world.apply(&world.zone("cloudflare", records)).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    let name = world.zone_name();
    let sim = &world.backends.cloudflare;
    assert_eq!(sim.records(&name).len(), 4);
    assert_eq!(status.quota.unwrap().records.used, 4);
    assert_eq!(status.nameservers.unwrap().expected.len(), 2);
    operator.assert_quiet(&world).await;

    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.2"}]);
    world.apply(&world.zone("cloudflare", records)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let left = sim.records(&name);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].content, "192.0.2.2");

    world.remove_zone("zone").await;
    assert_eq!(sim.zone_id(&name), None);
    assert_eq!(world.backends.leftovers(), Vec::<String>::new());
    operator.stop().await;
    world.close().await;
}
