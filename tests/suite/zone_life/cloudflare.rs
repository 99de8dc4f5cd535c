//! On Cloudflare.

use hostwright::sim::faults::{Fault, Trouble};
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
        {"name": "_sip._tcp", "type": "SRV", "content": "5 5060 sip.example.net", "priority": 1},
        {"name": "@", "type": "CAA", "content": "0 issue letsencrypt.org"},
    ]);
    world.apply(&world.zone("cloudflare", records)).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    let name = world.zone_name();
    let sim = &world.backends.cloudflare;
    assert_eq!(sim.records(&name).len(), 6);
    assert_eq!(status.quota.unwrap().records.used, 6);
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
    world.end(operator).await;
}

/// One write to the API server, the status, for the chart's policy has put the finalizer on the object; none read, and
/// two calls outside beside the list of zones.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_zone_costs_one_write_and_two_calls() {
    let world = World::new().await;
    let operator = world.operator().await;
    let faults = &world.backends.cloudflare_server.faults;
    faults.reset_calls();
    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("cloudflare", records)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    operator.assert_quiet(&world).await;
    let text = operator.metrics.encode().unwrap();
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("kind=\"DnsZone\"") && line.starts_with("hostwright_api_"))
        .filter(|line| !line.contains("verb=\"event\""))
        .collect();
    let writes: u64 = lines
        .iter()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(_, count)| count.parse::<u64>().unwrap())
        .sum();
    assert_eq!(writes, 1, "{lines:#?}");
    let calls = faults.calls();
    let writing: u64 = calls
        .iter()
        .filter(|(call, _)| !call.starts_with("GET"))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(writing, 2, "{calls:#?}");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_records_one_change_is_one_read_and_one_write() {
    let world = World::new().await;
    world.backends.cloudflare.set_record_quota(Some(2000));
    let operator = world.operator().await;
    let records = |first: &str| {
        let mut records: Vec<_> = (0..1000)
            .map(|number| json!({"name": format!("n{number}"), "type": "A", "content": "192.0.2.1"}))
            .collect();
        records[0]["content"] = json!(first);
        json!(records)
    };
    world.apply(&world.zone("cloudflare", records("192.0.2.1"))).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(world.backends.cloudflare.records(&world.zone_name()).len(), 1000);
    let object = world.zones().get("zone").await.unwrap();
    let size = serde_json::to_vec(&object.status).unwrap().len();
    assert!(
        size < 4096,
        "the status of 1,000 records that are marked has {size} bytes"
    );

    let faults = &world.backends.cloudflare_server.faults;
    faults.reset_calls();
    world.apply(&world.zone("cloudflare", records("192.0.2.2"))).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let calls = faults.calls();
    let of = |wanted: fn(&str) -> bool| -> u64 {
        let these = calls
            .iter()
            .filter(|(call, _)| call.contains("dns_records") && wanted(call));
        these.map(|(_, count)| count).sum()
    };
    assert_eq!(of(|call| call.starts_with("GET")), 1, "{calls:#?}");
    assert_eq!(of(|call| !call.starts_with("GET")), 1, "{calls:#?}");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_record_blocks_itself_only() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([
        {"name": "@", "type": "A", "content": "192.0.2.1"},
        {"name": "www", "type": "CNAME", "content": "@"},
        {"name": "www", "type": "A", "content": "192.0.2.2"},
        {"name": "mail", "type": "MX", "content": "a.example.net"},
    ]);
    world.apply(&world.zone("cloudflare", records)).await;
    let status = world.wait_for_zone("zone", "RecordsInSync", "False").await;
    assert_eq!(status.record_errors, Some(1));
    let error = &status.records[0];
    assert_eq!((error.index, error.name.as_str()), (1, "www"), "{error:?}");
    assert!(error.message.contains("RFC 1034"), "{error:?}");
    assert_eq!(world.backends.cloudflare.records(&world.zone_name()).len(), 3);
    world.wait_for_zone("zone", "Ready", "False").await;
    world.wait_for_zone("zone", "Stalled", "True").await;
    operator.assert_quiet(&world).await;

    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("cloudflare", records)).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!((status.record_errors, status.records.len()), (Some(0), 0));
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_records_are_counted_and_outlive_the_object() {
    let world = World::new().await;
    let operator = world.operator().await;
    let name = world.zone_name();
    let own = json!([{"name": "www", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("cloudflare", own)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let sim = &world.backends.cloudflare;
    sim.add_foreign_record(&name, &format!("blog.{name}"), "A", "192.0.2.7", None)
        .unwrap();
    let wanted = json!([
        {"name": "www", "type": "A", "content": "192.0.2.1"},
        {"name": "blog", "type": "A", "content": "192.0.2.8"},
    ]);
    world.apply(&world.zone("cloudflare", wanted)).await;
    let status = world.wait_for_zone("zone", "RecordsInSync", "False").await;
    assert_eq!(status.foreign_records, Some(1));
    assert_eq!(status.records[0].reason, "Conflict");
    assert_eq!(status.records[0].name, "blog");
    world.remove_zone("zone").await;
    let left = sim.records(&name);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].content, "192.0.2.7");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_is_not_ours_is_left_alone_until_it_may_be_adopted() {
    let world = World::new().await;
    let name = world.zone_name();
    let sim = &world.backends.cloudflare;
    sim.add_zone(&name);
    sim.set_zone_age(&name, 3600);
    sim.add_foreign_record(&name, &name, "A", "192.0.2.1", None)
        .unwrap();
    let operator = world.operator().await;
    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1", "ttl": 300}]);
    let mut zone = world.zone("cloudflare", records);
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "False").await;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "Conflict", "{ready:?}");
    assert!(ready.message.contains("hostwright.dev/adopt"), "{ready:?}");

    sim.edit_by_hand(&sim.records(&name)[0].id, |record| record.ttl = 300);
    let faults = &world.backends.cloudflare_server.faults;
    faults.reset_calls();
    zone["metadata"]["annotations"] = json!({"hostwright.dev/adopt": name});
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(status.owned.len(), 1);
    let calls = faults.calls();
    assert!(calls.keys().all(|call| call.starts_with("GET")), "{calls:#?}");
    world.remove_zone("zone").await;
    assert_eq!(
        sim.zone_id(&name),
        None,
        "what was taken over goes with the object"
    );
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_the_creation_makes_no_second_zone() {
    let world = World::new().await;
    world.backends.cloudflare_server.faults.order(Fault {
        method: Some("POST".to_owned()),
        path_contains: "/zones".to_owned(),
        skip: 0,
        times: Some(2),
        trouble: Trouble::CutAfter,
    });
    let operator = world.operator().await;
    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("cloudflare", records)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(world.backends.cloudflare.records(&world.zone_name()).len(), 1);
    world.remove_zone("zone").await;
    world.end(operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_suspended_is_left_and_said_so() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([{"name": "@", "type": "A", "content": "192.0.2.1"}]);
    let mut zone = world.zone("cloudflare", records);
    world.apply(&zone).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    zone["spec"]["suspended"] = json!(true);
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "False").await;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert_eq!(ready.reason, "Suspended", "{ready:?}");
    assert!(ready.message.contains("left as it is"), "{ready:?}");
    assert_eq!(world.backends.cloudflare.records(&world.zone_name()).len(), 1);
    zone["spec"]["suspended"] = json!(false);
    world.apply(&zone).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    operator.stop().await;
    world.close().await;
}
