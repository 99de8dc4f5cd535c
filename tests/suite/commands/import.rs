//! `hostwright import dnszone` prints what takes a zone over without a write, on each vendor.

use hostwright::api::ZoneOrigin;
use serde_json::{Value, json};

use super::{Ended, outside_writes, reset_calls, run};
use crate::world::World;

async fn import(world: &World, provider: &str) -> (Ended, Value) {
    reset_calls(world);
    let (provider, zone) = (world.provider(provider), world.zone_name());
    let words = [
        "import",
        "dnszone",
        "--provider",
        &provider,
        "--zone",
        &zone,
        "--namespace",
        &world.namespace,
        "--name",
        "zone",
    ];
    let ended = run(world, &words, "").await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(outside_writes(world), Vec::<String>::new(), "{ended:?}");
    let object = serde_yaml::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    (ended, object)
}

/// Applies the manifest as it was printed, but for the check of the delegation: there is no Internet here.
async fn take_over(world: &World, mut object: Value) {
    assert_eq!(object["spec"]["verifyNameservers"], json!(true));
    object["spec"]["verifyNameservers"] = json!(false);
    reset_calls(world);
    let told = run(world, &["plan", "-f", "-"], &object.to_string()).await;
    assert_eq!(told.code, 0, "nothing would be changed: {told:?}");
    world.apply(&object).await;
    let status = world.wait_for_zone("zone", "Ready", "True").await;
    assert_eq!(status.origin, Some(ZoneOrigin::Adopted));
    assert_eq!(status.record_errors, Some(0));
    assert_eq!(outside_writes(world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_at_cloudflare_is_taken_over_as_it_is() {
    let world = World::new().await;
    let name = world.zone_name();
    let sim = &world.backends.cloudflare;
    sim.add_zone(&name);
    sim.set_zone_age(&name, 3_600);
    let add = |record: &str, kind: &str, content: &str, ttl: u32, proxied: bool| {
        let whole = if record == "@" {
            name.clone()
        } else {
            format!("{record}.{name}")
        };
        let id = sim
            .add_foreign_record(&name, &whole, kind, content, None)
            .unwrap();
        sim.edit_by_hand(&id, |record| (record.ttl, record.proxied) = (ttl, proxied));
    };
    add("@", "A", "203.0.113.10", 3_600, false);
    add("www", "A", "192.0.2.1", 1, true);
    add("@", "MX", "5 mail.example.net", 300, false);
    add("@", "TXT", "\"v=spf1 -all\"", 3_600, false);
    add("_sip._tcp", "SRV", "1 2 5060 sip.example.net", 3_600, false);
    add("@", "CAA", "0 issue \"letsencrypt.org\"", 3_600, false);
    add("key", "SSHFP", "1 1 aabbcc", 3_600, false);
    let (ended, object) = import(&world, "cloudflare").await;
    assert!(ended.out.contains("content: \"PROXYSRV\""), "{ended:?}");
    assert!(ended.out.contains("# proxied, which stays so"), "{ended:?}");
    assert!(ended.out.contains("#   key."), "{ended:?}");
    assert_eq!(
        object["spec"]["records"].as_array().unwrap().len(),
        6,
        "{ended:?}"
    );
    let operator = world.operator().await;
    take_over(&world, object).await;
    let status = world.zone_status("zone").await;
    assert_eq!((status.foreign_records, status.owned.len()), (Some(1), 6));
    assert_eq!(sim.records(&name).len(), 7);

    world.remove_zone("zone").await;
    let left = sim.records(&name);
    assert_eq!(left.len(), 1, "only what was taken over goes: {left:?}");
    assert_eq!(left[0].kind, "SSHFP");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_an_automatic_time_to_live_are_taken_over_and_settle() {
    let world = World::new().await;
    let name = world.zone_name();
    let sim = &world.backends.cloudflare;
    sim.add_zone(&name);
    sim.set_zone_age(&name, 3_600);
    sim.add_foreign_record(&name, &format!("www.{name}"), "A", "192.0.2.1", None)
        .unwrap();
    let (ended, mut object) = import(&world, "cloudflare").await;
    assert!(ended.out.contains("time to live is automatic"), "{ended:?}");
    object["spec"]["verifyNameservers"] = json!(false);
    let told = run(&world, &["plan", "-f", "-"], &object.to_string()).await;
    assert_eq!(told.code, 2, "{told:?}");
    assert!(
        told.out
            .contains("~ record www A 192.0.2.1 (ttl automatic -> ttl 300)"),
        "{told:?}"
    );
    let operator = world.operator().await;
    world.apply(&object).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    let records = sim.records(&name);
    assert_eq!((records.len(), records[0].ttl), (1, 300));
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_at_ispconfig_is_taken_over_as_it_is() {
    let world = World::new().await;
    let name = world.zone_name();
    let sim = &world.backends.ispconfig;
    // A zone as this hoster makes them, whose object was lost.
    let operator = world.operator().await;
    let records = json!([
        {"name": "@", "type": "A", "content": "PROXYSRV"},
        {"name": "www", "type": "CNAME", "content": "@"},
        {"name": "@", "type": "MX", "content": "mail.example.net", "priority": 5},
        {"name": "@", "type": "TXT", "content": "v=spf1 -all"},
    ]);
    let mut zone = world.zone("ispconfig", records);
    zone["spec"]["deletionPolicy"] = json!("Retain");
    world.apply(&zone).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    world.remove_zone("zone").await;
    assert_eq!(sim.records(&name).len(), 6);
    sim.add_foreign(&name, "info", "HINFO", "\"PC\" \"Linux\"", 0)
        .unwrap();

    let (ended, object) = import(&world, "ispconfig").await;
    assert!(ended.out.contains("# owner: P17"), "{ended:?}");
    assert_eq!(
        object["spec"]["records"].as_array().unwrap().len(),
        4,
        "{ended:?}"
    );
    take_over(&world, object).await;
    world.remove_zone("zone").await;
    let left = sim.records(&name);
    assert!(left.iter().any(|record| record.kind == "HINFO"), "{left:?}");
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_imported_is_said() {
    let world = World::new().await;
    let provider = world.provider("cloudflare");
    for (words, said) in [
        (
            vec!["--provider", provider.as_str(), "--zone", "nowhere.example"],
            "has no zone nowhere.example",
        ),
        (
            vec!["--provider", "nobody", "--zone", "nowhere.example"],
            "Provider nobody does not exist",
        ),
        (
            vec!["--provider", provider.as_str(), "--zone", "com"],
            "is not a zone",
        ),
    ] {
        let mut all = vec!["import", "dnszone"];
        all.extend(words);
        let ended = run(&world, &all, "").await;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
        assert!(ended.errors.contains(said), "{ended:?}");
    }
    world.close().await;
}
