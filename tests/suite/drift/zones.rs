//! Zones and their records, on each vendor.

use serde_json::json;

use super::{assert_calm, is_repaired, repairs, sweep, sweep_often};
use crate::world::{Operator, World, eventually};

/// More zones than a repair takes passes.
const ZONES: u64 = 8;

fn zone_name(world: &World, number: u64) -> String {
    format!("z{number}-{}", world.zone_name())
}

async fn ready_zones(provider: &str) -> (World, Operator) {
    let world = World::new().await;
    sweep_often(&world).await;
    let operator = world.operator().await;
    let records = json!([
        {"name": "@", "type": "A", "content": "192.0.2.1"},
        {"name": "www", "type": "CNAME", "content": "@"},
        {"name": "@", "type": "TXT", "content": "v=spf1 -all"},
    ]);
    for number in 0..ZONES {
        let mut zone = world.zone(provider, records.clone());
        zone["metadata"]["name"] = json!(format!("z{number}"));
        zone["spec"]["zone"] = json!(zone_name(&world, number));
        world.apply(&zone).await;
    }
    for number in 0..ZONES {
        world.wait_for_zone(&format!("z{number}"), "Ready", "True").await;
    }
    assert_calm(&operator, &world, &[provider]).await;
    (world, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_cloudflare_zones_and_records_are_put_right() {
    let (world, operator) = ready_zones("cloudflare").await;
    let sim = &world.backends.cloudflare;
    let fix = async |zone: &str, by_hand: &dyn Fn(), is_right: &dyn Fn() -> bool| {
        is_repaired(&world, &operator, zone, ZONES, by_hand, is_right).await;
        world.wait_for_zone(zone, "Ready", "True").await;
        assert_calm(&operator, &world, &["cloudflare"]).await;
    };
    let contents = |zone: &str| {
        let records = sim.records(zone).into_iter();
        records
            .map(|record| (record.name, record.kind, record.content))
            .collect::<Vec<_>>()
    };
    let address = |zone: &str| {
        sim.records(zone)
            .into_iter()
            .find(|record| record.kind == "A")
            .unwrap()
    };

    let name = zone_name(&world, 0);
    let (right, id) = (contents(&name), address(&name).id);
    fix("z0", &|| assert!(sim.delete_by_hand(&id)), &|| {
        contents(&name) == right
    })
    .await;

    let name = zone_name(&world, 1);
    let (right, id) = (contents(&name), address(&name).id);
    let edit = || assert!(sim.edit_by_hand(&id, |record| record.content = "192.0.2.66".to_owned()));
    fix("z1", &edit, &|| contents(&name) == right).await;

    let name = zone_name(&world, 2);
    let right = contents(&name);
    fix("z2", &|| assert!(sim.delete_zone_by_hand(&name)), &|| {
        contents(&name) == right
    })
    .await;

    // All records of a zone at once: an empty list, which a question for one name confirms.
    let name = zone_name(&world, 3);
    let right = contents(&name);
    let empty = || {
        for record in sim.records(&name) {
            sim.delete_by_hand(&record.id);
        }
    };
    fix("z3", &empty, &|| contents(&name) == right).await;

    // What somebody else adds is counted and left alone.
    let name = zone_name(&world, 4);
    sim.add_foreign_record(&name, &format!("shop.{name}"), "A", "192.0.2.9", None)
        .unwrap();
    eventually("the foreign record is counted", || async {
        let foreign = world.zone_status("z4").await.foreign_records;
        if foreign == Some(1) {
            Ok(())
        } else {
            Err(format!("{foreign:?}"))
        }
    })
    .await;
    assert_eq!(contents(&name).len(), 4);
    for zone in ["z4", "z5", "z6", "z7"] {
        assert_eq!(repairs(&world, zone).await, Vec::<String>::new());
    }
    let counted = |status: &hostwright::api::ProviderStatus| {
        let inventory = status.inventory.unwrap_or_default();
        // 8 zones with 3 records each; the zone of sites and the record of somebody else.
        (inventory.owned, inventory.orphaned, inventory.foreign) == (32, 0, 2)
    };
    world.wait_for_provider("cloudflare", "counted", counted).await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_ispconfig_zones_and_records_are_put_right() {
    let (world, operator) = ready_zones("ispconfig").await;
    let sim = &world.backends.ispconfig;
    let before = operator.calls(&world);
    sweep(&operator, &world, "ispconfig", 3).await;
    let after = operator.calls(&world);
    println!("drift: {ZONES} zones, some 4 sweeps: {before:?} then {after:?}");
    let fix = async |zone: &str, by_hand: &dyn Fn(), is_right: &dyn Fn() -> bool| {
        is_repaired(&world, &operator, zone, ZONES, by_hand, is_right).await;
        world.wait_for_zone(zone, "Ready", "True").await;
        assert_calm(&operator, &world, &["ispconfig"]).await;
    };
    let contents = |zone: &str| {
        let records = sim.records(zone).into_iter();
        let mut all: Vec<_> = records
            .map(|record| (record.name, record.kind, record.data))
            .collect();
        all.sort();
        all
    };
    let name = zone_name(&world, 0);
    let right = contents(&name);
    let id = sim
        .records(&name)
        .into_iter()
        .find(|record| record.kind == "A")
        .unwrap()
        .id;
    let delete = || {
        sim.delete_by_hand(id);
        sim.move_serial_on(&name);
    };
    fix("z0", &delete, &|| contents(&name) == right).await;

    let name = zone_name(&world, 1);
    let right = contents(&name);
    fix("z1", &|| assert!(sim.delete_zone_by_hand(&name)), &|| {
        contents(&name) == right
    })
    .await;
    for zone in ["z2", "z3"] {
        assert_eq!(repairs(&world, zone).await, Vec::<String>::new());
    }
    operator.stop().await;
    world.close().await;
}
