//! On ISPConfig, where nothing in a record says whose it is.

use hostwright::api::DnsZoneStatus;
use hostwright::sim::ispconfig::{SimRecord, SimZone};
use hostwright::stage::ISPCONFIG_CUSTOMER;
use serde_json::{Value, json};

use crate::world::{Operator, World, eventually};

fn one() -> Value {
    json!([{"name": "www", "type": "A", "content": "192.0.2.1"}])
}

/// What the panel has for the world's zone: name, type, data, aux; without the zone's own name servers.
fn rows(world: &World) -> Vec<(String, String, String, u64)> {
    let all = world.backends.ispconfig.records(&world.zone_name());
    let mut rows: Vec<_> = all
        .into_iter()
        .filter(|row| !(row.kind == "NS" && row.name.is_empty()))
        .map(|row| (row.name, row.kind, row.data, row.aux))
        .collect();
    rows.sort();
    rows
}

fn row(name: &str, kind: &str, data: &str, aux: u64) -> (String, String, String, u64) {
    (name.to_owned(), kind.to_owned(), data.to_owned(), aux)
}

fn panel_zone(world: &World) -> SimZone {
    let origin = format!("{}.", world.zone_name());
    let mut zones = world.backends.ispconfig.zones().into_iter();
    zones.find(|zone| zone.origin == origin).unwrap()
}

fn record(world: &World, name: &str) -> SimRecord {
    let mut records = world.backends.ispconfig.records(&world.zone_name()).into_iter();
    records.find(|record| record.name == name).unwrap()
}

fn reason(status: &DnsZoneStatus, kind: &str) -> String {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found
        .map(|condition| condition.reason.clone())
        .unwrap_or_default()
}

fn message(status: &DnsZoneStatus, kind: &str) -> String {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found
        .map(|condition| condition.message.clone())
        .unwrap_or_default()
}

/// Calls that change something, by function.
fn writes(world: &World) -> Vec<(String, u64)> {
    let calls = world.backends.ispconfig_server.faults.calls();
    let function = |call: &str| call.rsplit_once('?').map(|(_, function)| function.to_owned());
    let all = calls
        .into_iter()
        .filter_map(|(call, count)| Some((function(&call)?, count)));
    all.filter(|(function, _)| {
        ["_add", "_update", "_delete", "_set_status"]
            .iter()
            .any(|end| function.ends_with(end))
    })
    .collect()
}

async fn end(world: World, operator: Operator) {
    world.end(operator).await;
}

/// A record of every type in a zone of this name.
fn every_type(name: &str) -> Value {
    json!([
        {"name": "mail", "type": "A", "content": "192.0.2.1"},
        {"name": "shop", "type": "A", "content": "proxySrv", "ttl": 300},
        {"name": "mail", "type": "AAAA", "content": "2001:db8::1"},
        {"name": "@", "type": "CAA", "content": "0 issue letsencrypt.org"},
        {"name": "blog", "type": "CNAME", "content": "@"},
        {"name": "", "type": "MX", "content": format!("mail.{name}"), "priority": 5},
        {"name": "branch", "type": "NS", "content": "ns.example.org"},
        {"name": "_sip._tcp", "type": "SRV", "content": "5 5060 sip.example.net", "priority": 1},
        {"name": "@", "type": "TXT", "content": "say \"hi\"; \\o/ \u{20ac}"},
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_record_is_made_changed_and_removed() {
    let world = World::new().await;
    let operator = world.operator().await;
    let name = world.zone_name();
    let mut zone = world.zone("ispconfig", every_type(&name));
    zone["spec"]["createDefaults"] = json!(true);
    zone["spec"]["owner"] = json!(ISPCONFIG_CUSTOMER);
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    let proxy = "203.0.113.10";
    let expected = [
        row("", "A", proxy, 0),
        row("", "CAA", "0 issue \"letsencrypt.org\"", 0),
        row("", "MX", &format!("mail.{name}."), 5),
        row("", "TXT", "say \\\"hi\\\"; \\\\o/ \u{20ac}", 0),
        row("_sip._tcp", "SRV", "5 5060 sip.example.net.", 1),
        row("blog", "CNAME", &format!("{name}."), 0),
        row("branch", "NS", "ns.example.org.", 0),
        row("mail", "A", "192.0.2.1", 0),
        row("mail", "AAAA", "2001:db8::1", 0),
        row("shop", "A", proxy, 0),
        row("www", "A", proxy, 0),
    ];
    assert_eq!(rows(&world), expected);
    let sim = &world.backends.ispconfig;
    let made = panel_zone(&world);
    assert_eq!(
        (made.active.as_str(), made.ns.as_str()),
        ("Y", "ns1.example.net.")
    );
    assert_eq!(made.mbox, format!("hostmaster.{name}."));
    assert_eq!(made.times, [86_400, 7_200, 3_600_000, 3_600, 3_600]);
    assert_ne!(made.client, 0, "it belongs to the customer");
    let all = sim.records(&name);
    assert_eq!(all.len(), expected.len() + 2, "with its own name servers");
    assert!(
        all.iter()
            .all(|row| row.client == made.client && row.active == "Y")
    );
    let servers = ["ns1.example.net", "ns2.example.net"];
    assert_eq!(status.nameservers.unwrap().expected, servers);
    assert_eq!(status.quota.unwrap().records.used, 9);
    assert_eq!(status.serial, i64::try_from(made.serial).ok());
    assert_eq!((status.owned.len(), status.creating.len()), (13, 0));
    operator.assert_quiet(&world).await;

    let records = json!([
        {"name": "mail", "type": "A", "content": "192.0.2.2"},
        {"name": "blog", "type": "A", "content": "192.0.2.3"},
    ]);
    zone["spec"]["records"] = records;
    zone["spec"]["createDefaults"] = json!(false);
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    let expected = [row("blog", "A", "192.0.2.3", 0), row("mail", "A", "192.0.2.2", 0)];
    assert_eq!(rows(&world), expected);
    assert_eq!((status.owned.len(), status.creating.len()), (4, 0));
    assert!(panel_zone(&world).serial > made.serial);

    world.remove_zone("zone").await;
    assert_eq!(sim.zone_id(&name), None);
    assert_eq!(sim.all_records(), [], "nothing stays behind unseen");
    end(world, operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_zone_is_inactive_and_comes_back_whole() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.zone("ispconfig", one())).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let before = (panel_zone(&world), rows(&world));
    world
        .patch_zone("zone", json!({"spec": {"suspended": true}}))
        .await;
    let status = world.wait_for_zone("zone", "Ready", "False").await;
    assert_eq!(reason(&status, "Ready"), "Suspended");
    let suspended = panel_zone(&world);
    assert_eq!(suspended.active, "N");
    assert!(suspended.serial > before.0.serial);
    assert_eq!(rows(&world), before.1, "its records are kept");
    operator.assert_quiet(&world).await;
    world
        .patch_zone("zone", json!({"spec": {"suspended": false}}))
        .await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(panel_zone(&world).active, "Y");
    assert_eq!((rows(&world), status.foreign_records), (before.1, Some(0)));
    world
        .patch_zone("zone", json!({"spec": {"suspended": true}}))
        .await;
    world.wait_for_zone("zone", "Ready", "False").await;
    world.remove_zone("zone").await;
    end(world, operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_limits_the_records() {
    let world = World::new().await;
    world.patch_plan(json!({"spec": {"dns": {"records": 2}}})).await;
    let operator = world.operator().await;
    let records: Vec<Value> = (1..=3)
        .map(|number| json!({"name": format!("n{number}"), "type": "A", "content": "192.0.2.1"}))
        .collect();
    let mut zone = world.zone("ispconfig", json!(records));
    zone["spec"]["plan"] = json!(world.plan());
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Stalled", "True").await;
    let quota = status.quota.unwrap().records;
    assert_eq!((quota.used, quota.limit), (3, Some(2)));
    assert_eq!((status.records.len(), status.records[0].index), (1, 2));
    assert!(status.records[0].message.contains('2'), "{:?}", status.records);
    assert_eq!(rows(&world).len(), 2);
    operator.assert_quiet(&world).await;
    world.patch_plan(json!({"spec": {"dns": {"records": 3}}})).await;
    let status = world
        .wait_for_zone_status("zone", "is as it shall be", |status| {
            status.record_errors == Some(0)
        })
        .await;
    assert_eq!(status.quota.unwrap().records.limit, Some(3));
    assert_eq!(rows(&world).len(), 3);
    world.remove_zone("zone").await;
    end(world, operator).await;
}

/// The zone stays; a second object takes over what the first one left, without a single write.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_retained_can_be_adopted() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut zone = world.zone("ispconfig", one());
    zone["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(&zone).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let before = (
        panel_zone(&world),
        world.backends.ispconfig.records(&world.zone_name()),
    );
    world.remove_zone("zone").await;
    let now = || {
        (
            panel_zone(&world),
            world.backends.ispconfig.records(&world.zone_name()),
        )
    };
    assert_eq!(now(), before);

    zone["spec"]["deletionPolicy"] = json!("Delete");
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "False").await;
    assert_eq!(reason(&status, "Ready"), "Conflict");
    assert!(message(&status, "Ready").contains("hostwright.dev/adopt"));
    assert_eq!(now(), before);
    world.remove_zone("zone").await;
    assert_eq!(now(), before, "what was never taken over stays");

    world.backends.ispconfig_server.faults.reset_calls();
    zone["metadata"]["annotations"] = json!({"hostwright.dev/adopt": world.zone_name()});
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!((status.owned.len(), status.foreign_records), (3, Some(0)));
    operator.assert_quiet(&world).await;
    assert_eq!(writes(&world), []);
    assert_eq!(now(), before);
    world.remove_zone("zone").await;
    end(world, operator).await;
}

/// With the panel's own forms of names, and a start of authority that the Provider was set to.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_was_made_by_hand_is_adopted_without_a_write() {
    let world = World::new().await;
    let name = world.zone_name();
    let sim = &world.backends.ispconfig;
    sim.add_zone(&name);
    let www = format!("www.{name}.");
    for (at, kind, data, aux) in [
        ("", "NS", "ns1.example.net.", 0),
        (&format!("{name}."), "NS", "NS2.example.net.", 0),
        (&www, "A", "192.0.2.1", 0),
        ("", "MX", "mail", 10),
        ("old", "A", "192.0.2.9", 0),
    ] {
        sim.add_foreign(&name, at, kind, data, aux).unwrap();
    }
    let before = (sim.zones(), sim.all_records());
    let soa = json!({"refresh": 7200, "retry": 540, "expire": 604_800});
    world
        .patch_provider("ispconfig", json!({"spec": {"ispconfig": {"soa": soa}}}))
        .await;
    let operator = world.operator().await;
    let records = json!([
        {"name": "www", "type": "A", "content": "192.0.2.1"},
        {"name": "@", "type": "MX", "content": format!("mail.{name}")},
    ]);
    let mut zone = world.zone("ispconfig", records);
    zone["metadata"]["annotations"] = json!({"hostwright.dev/adopt": name});
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!((status.owned.len(), status.foreign_records), (4, Some(1)));
    operator.assert_quiet(&world).await;
    assert_eq!(writes(&world), []);
    assert_eq!((sim.zones(), sim.all_records()), before);

    // What was not asked for is still somebody else's: the zone is left to them.
    world.remove_zone("zone").await;
    assert_eq!(rows(&world), [row("old", "A", "192.0.2.9", 0)]);
    assert!(sim.zone_id(&name).is_some());
    operator.stop().await;
    world.close().await;
}

/// The annotation alone gives nothing away: an object that goes before it has taken the zone over leaves it.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_was_not_adopted_yet_is_left() {
    let world = World::new().await;
    let name = world.zone_name();
    let sim = &world.backends.ispconfig;
    sim.add_zone(&name);
    let mut zone = world.zone("ispconfig", one());
    zone["metadata"]["annotations"] = json!({"hostwright.dev/adopt": name});
    // As an operator leaves it that was killed right after its first write.
    zone["metadata"]["finalizers"] = json!([hostwright::api::FINALIZER]);
    world.apply(&zone).await;
    world.zones().delete("zone", &Default::default()).await.unwrap();
    let operator = world.operator().await;
    eventually("the object is gone", || async {
        match world.zones().get_opt("zone").await.unwrap() {
            None => Ok(()),
            Some(zone) => Err(format!("{:?}", zone.status)),
        }
    })
    .await;
    assert!(sim.zone_id(&name).is_some(), "it never was the object's");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_zone_is_left_alone_and_a_pass_can_be_asked_for() {
    let world = World::new().await;
    let operator = world.operator().await;
    let mut zone = world.zone("ispconfig", one());
    zone["metadata"]["annotations"] = json!({"hostwright.dev/paused": "true"});
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Synced", "False").await;
    assert_eq!(reason(&status, "Synced"), "Paused");
    assert_eq!(world.backends.ispconfig.zone_id(&world.zone_name()), None);
    zone["metadata"]["annotations"] = json!({});
    world.apply(&zone).await;
    world.wait_for_zone("zone", "Ready", "True").await;

    // Of a record that is deleted in the database nothing tells; somebody who knows asks.
    let www = record(&world, "www").id;
    world.backends.ispconfig.delete_by_hand(www);
    operator.assert_quiet(&world).await;
    assert_eq!(rows(&world), []);
    world.ask_for_a_zone_pass("zone", "somebody-deleted-www").await;
    eventually("the record is back", || async {
        match rows(&world).len() {
            1 => Ok(()),
            count => Err(format!("{count} records")),
        }
    })
    .await;
    let again = record(&world, "www").id;
    assert_ne!(again, www);
    let status = world
        .wait_for_zone_status("zone", "knows the new record", |status| {
            status
                .owned
                .iter()
                .any(|owned| owned.starts_with(&format!("{again}:")))
        })
        .await;
    assert_eq!((status.owned.len(), status.creating.len()), (3, 0));
    world.wait_for_zone("zone", "Ready", "True").await;
    world.remove_zone("zone").await;
    end(world, operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_records_one_change_is_one_bulk_read_and_one_write() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = |first: &str| {
        let mut records: Vec<_> = (0..1000)
            .map(|number| json!({"name": format!("n{number}"), "type": "A", "content": "192.0.2.1"}))
            .collect();
        records[0]["content"] = json!(first);
        json!(records)
    };
    world.apply(&world.zone("ispconfig", records("192.0.2.1"))).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(rows(&world).len(), 1000);
    assert_eq!((status.owned.len(), status.creating.len()), (1002, 0));
    let object = world.zones().get("zone").await.unwrap();
    let size = serde_json::to_vec(&object.status).unwrap().len();
    // An id, 16 digits of a digest and the marks around them: 24 octets for each record.
    assert!(size < 28_000, "the status of 1,000 records has {size} octets");
    operator.assert_quiet(&world).await;

    let faults = &world.backends.ispconfig_server.faults;
    faults.reset_calls();
    world.apply(&world.zone("ispconfig", records("192.0.2.2"))).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(writes(&world), [("dns_a_update".to_owned(), 1)]);
    let calls = faults.calls();
    let of = |function: &str| {
        let made = calls.get(&format!("POST /remote/json.php?{function}"));
        made.copied().unwrap_or_default()
    };
    assert_eq!(of("dns_rr_get_all_by_zone"), 1, "{calls:#?}");
    // The zone's row: once before the change, once for the serial after it.
    assert_eq!(of("dns_zone_get"), 2, "{calls:#?}");
    assert_eq!(calls.values().sum::<u64>(), 4, "{calls:#?}");
    operator.stop().await;
    world.close().await;
}

/// Ids in the status and an exact match are the proof; who changed a record by hand has made it their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_edited_by_hand_is_somebody_elses() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([
        {"name": "www", "type": "A", "content": "192.0.2.1"},
        {"name": "mail", "type": "A", "content": "192.0.2.2"},
    ]);
    world.apply(&world.zone("ispconfig", records)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let www = record(&world, "www").id;
    let sim = &world.backends.ispconfig;
    sim.edit_by_hand(www, |record| record.data = "192.0.2.77".to_owned());
    world.ask_for_a_zone_pass("zone", "somebody-edited-www").await;
    let status = world.wait_for_zone("zone", "Ready", "False").await;
    assert_eq!(reason(&status, "Ready"), "RecordsRefused");
    assert_eq!((status.foreign_records, status.record_errors), (Some(1), Some(1)));
    let error = &status.records[0];
    assert_eq!((error.reason.as_str(), error.name.as_str()), ("Conflict", "www"));
    assert_eq!((status.owned.len(), record(&world, "www").id), (3, www));
    operator.assert_quiet(&world).await;

    // Deleted where it was made, it comes back as ours.
    sim.delete_by_hand(www);
    world.ask_for_a_zone_pass("zone", "somebody-deleted-www").await;
    world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(record(&world, "www").data, "192.0.2.1");
    world.remove_zone("zone").await;
    end(world, operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_records_outlive_the_object_and_with_them_the_zone() {
    let world = World::new().await;
    let operator = world.operator().await;
    let name = world.zone_name();
    world.apply(&world.zone("ispconfig", one())).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let sim = &world.backends.ispconfig;
    sim.add_foreign(&name, "blog", "TXT", "hello", 0).unwrap();
    world.remove_zone("zone").await;
    assert_eq!(rows(&world), [row("blog", "TXT", "hello", 0)]);
    assert_eq!(panel_zone(&world).active, "Y");
    operator.stop().await;
    world.close().await;
}

/// A name server of the zone that is none of the Provider's was entered by somebody.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_somebody_added_keeps_the_zone() {
    let world = World::new().await;
    let operator = world.operator().await;
    let name = world.zone_name();
    world.apply(&world.zone("ispconfig", one())).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let sim = &world.backends.ispconfig;
    sim.add_foreign(&name, "", "NS", "ns.secondary.example.", 0)
        .unwrap();
    world.remove_zone("zone").await;
    let left = sim.records(&name);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].data, "ns.secondary.example.");
    operator.stop().await;
    world.close().await;
}

/// What could not be made must not be taken for ours when somebody makes it later.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_creation_claims_nothing() {
    let world = World::new().await;
    let operator = world.operator().await;
    let name = world.zone_name();
    let mut zone = world.zone("ispconfig", one());
    zone["spec"]["owner"] = json!("P99");
    world.apply(&zone).await;
    let status = world.wait_for_zone("zone", "Stalled", "True").await;
    assert!(message(&status, "Stalled").contains("P99"), "{status:?}");
    operator.assert_quiet(&world).await;
    let sim = &world.backends.ispconfig;
    sim.add_zone(&name);
    world.ask_for_a_zone_pass("zone", "try-again").await;
    let status = world
        .wait_for_zone_status("zone", "sees a zone of somebody else", |status| {
            reason(status, "Ready") == "Conflict"
        })
        .await;
    assert_eq!(status.zone_id, None);
    world.remove_zone("zone").await;
    assert!(sim.zone_id(&name).is_some());
    operator.stop().await;
    world.close().await;
}

/// The answer to one of the creations is lost; what was made is found and kept, and nothing is made twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_makes_no_second_record() {
    use hostwright::sim::faults::{Fault, Trouble};
    let world = World::new().await;
    world.backends.ispconfig_server.faults.order(Fault {
        method: None,
        path_contains: "dns_a_add".to_owned(),
        skip: 1,
        times: Some(1),
        trouble: Trouble::CutAfter,
    });
    let operator = world.operator().await;
    let records = json!([
        {"name": "a", "type": "A", "content": "192.0.2.1"},
        {"name": "b", "type": "A", "content": "192.0.2.2"},
        {"name": "c", "type": "A", "content": "192.0.2.3"},
    ]);
    world.apply(&world.zone("ispconfig", records)).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(rows(&world).len(), 3, "{:?}", rows(&world));
    assert_eq!((status.foreign_records, status.creating.len()), (Some(0), 0));
    world.remove_zone("zone").await;
    end(world, operator).await;
}
