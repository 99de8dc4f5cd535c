//! Zones on Cloudflare: they come, are listed, and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hostwright::domain::Fqdn;
use hostwright::providers::cloudflare::{CloudflareSettings, connect_within};
use hostwright::providers::dns_host::{RecordChange, Soa, Zone, ZoneId, ZoneSpec};
use hostwright::providers::{DnsHost, ErrorKind, ProviderError};
use hostwright::sim::cloudflare::{CloudflareOptions, Rights};
use hostwright::sim::faults::{Fault, Trouble};

use super::cloudflare::{OnCloudflare, ZONE, creates, gate, scene, settings};
use super::{CALL_TIMEOUT, Fixture, address, kind, owner, spec};

const LIST: &str = "GET /client/v4/zones";
const ACCOUNTS: &str = "GET /client/v4/accounts";
const OTHER_ACCOUNT: &str = "0bcc0000000000000000000000000bcc";

fn wanted(name: &str) -> ZoneSpec {
    let name: Fqdn = name.parse().unwrap();
    let soa = Soa {
        primary: name.clone(),
        mailbox: name.clone(),
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: 60,
        ttl: 60,
    };
    ZoneSpec {
        name,
        active: true,
        soa,
        customer: None,
    }
}

/// Another client of the same account.
fn again(fixture: &OnCloudflare, change: impl FnOnce(&mut CloudflareSettings)) -> Arc<dyn DnsHost> {
    let mut settings = settings(&fixture.server, &CloudflareOptions::default().token, None);
    change(&mut settings);
    connect_within(settings, Arc::new(gate()), CALL_TIMEOUT).unwrap()
}

fn order(fixture: &OnCloudflare, method: &str, path: &str, trouble: Trouble, times: u32) {
    fixture.server.faults.order(Fault {
        method: Some(method.to_owned()),
        path_contains: path.to_owned(),
        skip: 0,
        times: Some(times),
        trouble,
    });
}

fn refusal(status: u16, body: &str) -> Trouble {
    Trouble::Refuse {
        status,
        body: body.to_owned(),
        retry_after: None,
    }
}

fn denied() -> Trouble {
    refusal(
        403,
        r#"{"success":false,"errors":[{"code":10000,"message":"x"}],"messages":[],"result":null}"#,
    )
}

fn error<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> ProviderError {
    result.unwrap_err()
}

#[tokio::test]
async fn a_zone_comes_and_goes_and_comes_back_as_another() {
    let scene = scene(|_| {}, None).await;
    let (host, spec_of) = (&scene.host, wanted("new.example"));
    let first = host.create_zone(&spec_of).await.unwrap();
    assert_eq!((&first.name, first.active), (&spec_of.name, true));
    assert_eq!(first.name_servers.len(), 2);
    assert!(first.created.is_some() && first.soa.is_none() && first.serial.is_none());
    assert_eq!(host.records(&first.id).await.unwrap(), []);
    let record = RecordChange::Create(spec("www.new.example", address(1)));
    assert!(host.apply(&first.id, &[record], &owner('1')).await[0].is_ok());

    // Known from its making: no look is needed, and a stray name is refused without a call.
    scene.fixture.server.faults.reset_calls();
    assert_eq!(host.zone(&spec_of.name).await, Ok(Some(first.clone())));
    let stray = host.apply(&first.id, &creates(1), &owner('1')).await.remove(0);
    assert_eq!(kind(&stray), ErrorKind::Invalid);
    assert_eq!(scene.fixture.server.faults.calls().len(), 0);
    let other = again(&scene.fixture, |_| {});
    assert_eq!(other.zone(&spec_of.name).await, Ok(Some(first.clone())));

    host.delete_zone(&first.id).await.unwrap();
    assert_eq!(host.zone(&spec_of.name).await, Ok(None));
    // Gone already, for those who forgot it, who know it still and who never knew it.
    assert_eq!(host.delete_zone(&first.id).await, Ok(()));
    assert_eq!(other.delete_zone(&first.id).await, Ok(()));
    let stranger = again(&scene.fixture, |_| {});
    assert_eq!(stranger.delete_zone(&first.id).await, Ok(()));
    let second = host.create_zone(&spec_of).await.unwrap();
    assert_ne!(second.id, first.id);
    assert_ne!(second.name_servers, first.name_servers);
    assert_eq!(host.zone(&spec_of.name).await, Ok(Some(second.clone())));
    assert_eq!(other.zone(&spec_of.name).await, Ok(Some(second)));
    scene.fixture.finish();
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict() {
    let scene = scene(|_| {}, None).await;
    let refused = error(scene.host.create_zone(&wanted(ZONE)).await);
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.message().contains(ZONE), "{refused}");
    scene.fixture.finish();
}

#[tokio::test]
async fn a_lost_answer_to_a_zones_making_or_end_is_ambiguous_and_heals() {
    let scene = scene(|_| {}, None).await;
    let failure = Trouble::FailAfterEffect {
        status: 502,
        body: "<html>".into(),
    };
    let lost = [failure, Trouble::CutAfter, Trouble::Truncate, Trouble::HangAfter];
    for (place, trouble) in lost.into_iter().enumerate() {
        let spec = wanted(&format!("new{place}.example"));
        order(&scene.fixture, "POST", "/zones", trouble.clone(), 1);
        let unclear = error(scene.host.create_zone(&spec).await);
        assert_eq!(unclear.kind(), ErrorKind::Ambiguous, "{trouble:?}");
        let found = scene.host.zone(&spec.name).await.unwrap().unwrap();
        assert_eq!(
            error(scene.host.create_zone(&spec).await).kind(),
            ErrorKind::Conflict
        );
        order(&scene.fixture, "DELETE", "/zones", trouble.clone(), 1);
        let unclear = error(scene.host.delete_zone(&found.id).await);
        assert_eq!(unclear.kind(), ErrorKind::Ambiguous, "{trouble:?}");
        assert_eq!(scene.host.delete_zone(&found.id).await, Ok(()));
        assert_eq!(scene.host.zone(&spec.name).await, Ok(None));
    }
    assert_eq!(scene.fixture.sim.zone_names(), [ZONE, "example.net"]);
    scene.fixture.finish();
}

#[tokio::test]
async fn all_zones_are_read_in_pages_of_fifty() {
    let scene = scene(|_| {}, None).await;
    for n in 0..1200 {
        scene.fixture.sim.add_zone(&format!("z{n}.example"));
    }
    let zones = scene.host.zones().await.unwrap();
    let mut names: Vec<String> = zones.iter().map(|zone| zone.name.to_string()).collect();
    names.sort();
    assert_eq!(names, scene.fixture.sim.zone_names());
    assert_eq!(scene.fixture.calls(LIST), 25);
    assert!(zones.iter().all(|zone| zone.name_servers.len() == 2));
    // What was listed needs no look of its own.
    let one: &Zone = zones
        .iter()
        .find(|zone| zone.name.as_str() == "z7.example")
        .unwrap();
    assert_eq!(scene.host.zone(&one.name).await, Ok(Some(one.clone())));
    assert_eq!(scene.fixture.calls(LIST), 25);
    // What a later listing lacks is forgotten.
    assert!(scene.fixture.sim.delete_zone_by_hand("z7.example"));
    assert_eq!(scene.host.zones().await.unwrap().len(), 1201);
    assert_eq!(scene.host.zone(&one.name).await, Ok(None));
    scene.fixture.finish();
}

#[tokio::test]
async fn a_listing_of_zones_that_is_too_short_is_none() {
    let scene = scene(|_| {}, None).await;
    let short = |info: &str| {
        let body =
            format!(r#"{{"success":true,"errors":[],"messages":[],"result":[],"result_info":{info}}}"#);
        refusal(200, &body)
    };
    // Begun anew when it changed meanwhile, but not for ever.
    order(&scene.fixture, "GET", "/zones", short(r#"{"total_count":1}"#), 1);
    assert_eq!(scene.host.zones().await.unwrap().len(), 2);
    for info in [r#"{"total_count":1}"#, "{}", "null"] {
        order(&scene.fixture, "GET", "/zones", short(info), 3);
        let refused = error(scene.host.zones().await);
        assert_eq!(refused.kind(), ErrorKind::Unexpected, "{info}");
        scene.fixture.no_trouble();
    }
    order(&scene.fixture, "GET", "/zones", refusal(500, ""), 1);
    assert_eq!(error(scene.host.zones().await).kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn zones_that_are_made_meanwhile_do_not_spoil_a_listing() {
    let scene = scene(|_| {}, None).await;
    for n in 0..400 {
        scene.fixture.sim.add_zone(&format!("z{n}.example"));
    }
    let there = scene.fixture.sim.zone_names();
    order(
        &scene.fixture,
        "GET",
        "/zones",
        Trouble::Latency { milliseconds: 5 },
        1000,
    );
    let sim = scene.fixture.sim.clone();
    // Before all others in order, so that each moves every page.
    let making = async {
        for n in 0.. {
            sim.add_zone(&format!("a{n}.example"));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let zones = tokio::select! {
        zones = scene.host.zones() => zones.unwrap(),
        () = making => unreachable!(),
    };
    let found: BTreeSet<&str> = zones.iter().map(|zone| zone.name.as_str()).collect();
    assert!(there.iter().all(|name| found.contains(name.as_str())));
    scene.fixture.finish();
}

#[tokio::test]
async fn the_account_is_the_one_that_is_named_or_the_only_one() {
    let scene = scene(|_| {}, None).await;
    let specs: Vec<ZoneSpec> = (0..20).map(|n| wanted(&format!("z{n}.example"))).collect();
    let made = futures::future::join_all(specs.iter().map(|spec| scene.host.create_zone(spec))).await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(scene.fixture.calls(ACCOUNTS), 1, "asked once for all of them");

    let several = OnCloudflare::with(
        |options| options.other_accounts = vec![OTHER_ACCOUNT.to_owned()],
        None,
    );
    let several = several.await;
    let refused = error(several.host().create_zone(&wanted("new.example")).await);
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.message().contains("accountId"), "{refused}");
    let account = CloudflareOptions::default().account;
    let named = again(&several, |settings| settings.account_id = Some(account));
    several.server.faults.reset_calls();
    assert!(named.create_zone(&wanted("new.example")).await.is_ok());
    assert_eq!(several.calls(ACCOUNTS), 0);

    several.sim.set_rights(Rights {
        account_read: false,
        ..Rights::ALL
    });
    let refused = error(several.host().create_zone(&wanted("other.example")).await);
    assert!(refused.message().contains("accountId"), "{refused}");
    let malformed = settings(&several.server, "t", None);
    let malformed = CloudflareSettings {
        account_id: Some("../x".to_owned()),
        ..malformed
    };
    let refused = connect_within(malformed, Arc::new(gate()), CALL_TIMEOUT).map(|_| ());
    assert_eq!(error(refused).kind(), ErrorKind::Invalid);
    scene.fixture.finish();
    several.finish();
}

#[tokio::test]
async fn a_provider_of_one_zone_has_that_one_only() {
    let scene = scene(|_| {}, Some(ZONE)).await;
    let zones = scene.host.zones().await.unwrap();
    assert_eq!((zones.len(), &zones[0].id), (1, &scene.zone));
    assert_eq!(scene.fixture.calls(LIST), 0);
    scene.fixture.server.faults.reset_calls();
    let refused = error(scene.host.create_zone(&wanted("new.example")).await);
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.message().contains("zoneId"), "{refused}");
    let other = ZoneId(scene.fixture.sim.zone_id("example.net").unwrap());
    assert_eq!(
        error(scene.host.delete_zone(&other).await).kind(),
        ErrorKind::Invalid
    );
    assert_eq!(scene.fixture.server.faults.calls().len(), 0);
    let capabilities = scene.host.check().await.unwrap().capabilities;
    assert!(!capabilities.contains(&"zones".to_owned()));
    scene.fixture.sim.set_rights(Rights {
        zone_read: false,
        ..Rights::ALL
    });
    assert_eq!(scene.host.zones().await, Ok(zones), "remembered");
    scene.fixture.finish();
}

#[tokio::test]
async fn a_new_zone_that_is_not_known_everywhere_is_tried_again() {
    let scene = scene(|_| {}, None).await;
    let made = scene.host.create_zone(&wanted("new.example")).await.unwrap();
    let change = [RecordChange::Create(spec("new.example", address(1)))];
    let fixture = &scene.fixture;
    order(fixture, "GET", "/dns_records", denied(), 2);
    order(fixture, "POST", "/dns_records", denied(), 2);
    assert_eq!(
        error(scene.host.records(&made.id).await).kind(),
        ErrorKind::Unavailable
    );
    assert_eq!(
        kind(&scene.host.apply(&made.id, &change, &owner('1')).await[0]),
        ErrorKind::Unavailable
    );
    // Of a zone of which nothing is known, a refused right is a refused right.
    let stranger = again(fixture, |_| {});
    assert_eq!(error(stranger.records(&made.id).await).kind(), ErrorKind::Denied);
    let outcome = stranger.apply(&made.id, &change, &owner('1')).await.remove(0);
    assert_eq!(kind(&outcome), ErrorKind::Denied);
    assert!(scene.host.apply(&made.id, &change, &owner('1')).await[0].is_ok());
}

#[tokio::test]
async fn a_zone_that_was_deleted_by_hand_is_missed_at_once() {
    let scene = scene(|_| {}, None).await;
    let name: Fqdn = ZONE.parse().unwrap();
    let zone = scene.host.zone(&name).await.unwrap().unwrap();
    let found = scene.host.update_zone(&zone.id, &wanted(ZONE)).await.unwrap();
    assert_eq!(found, zone);
    assert!(scene.fixture.sim.delete_zone_by_hand(ZONE));
    scene.host.records(&zone.id).await.unwrap_err();
    assert_eq!(scene.host.zone(&name).await, Ok(None), "not from memory");
    let gone = error(scene.host.update_zone(&zone.id, &wanted(ZONE)).await);
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(
        scene.fixture.writes(),
        0,
        "nothing about a zone is ours to change"
    );
    scene.fixture.finish();
}

#[tokio::test]
async fn what_is_lacking_for_zones_is_said_where_it_is_needed() {
    let scene = scene(|options| options.zone_quota = Some(3), None).await;
    let has_zones = |capabilities: Vec<String>| capabilities.contains(&"zones".to_owned());
    assert!(has_zones(scene.host.check().await.unwrap().capabilities));
    let third = scene.host.create_zone(&wanted("third.example")).await.unwrap();
    let full = error(scene.host.create_zone(&wanted("fourth.example")).await);
    assert_eq!(full.kind(), ErrorKind::Invalid);
    assert!(full.message().contains("no more zones"), "{full}");

    scene.fixture.sim.set_rights(Rights {
        zone_edit: false,
        ..Rights::ALL
    });
    let health = scene.host.check().await.unwrap();
    assert_eq!(health.missing_rights, Vec::<String>::new());
    assert!(!has_zones(health.capabilities));
    let refused = error(scene.host.create_zone(&wanted("fourth.example")).await);
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(refused.message().contains("Zone:Edit"), "{refused}");
    let stranger = again(&scene.fixture, |_| {});
    let refused = error(stranger.delete_zone(&third.id).await);
    assert_eq!(refused.kind(), ErrorKind::Denied);
    assert!(refused.message().contains("Zone:Edit"), "{refused}");
    assert_eq!(scene.fixture.sim.zone_names().len(), 3);
    scene.fixture.finish();
}

#[tokio::test]
async fn an_account_that_is_named_may_be_empty() {
    let empty = |options: &mut CloudflareOptions| options.zones.clear();
    let fixture = OnCloudflare::with(empty, None).await;
    assert_eq!(fixture.host().zones().await, Ok(Vec::new()));
    assert_eq!(fixture.host().check().await.unwrap().missing_rights.len(), 1);
    let account = CloudflareOptions::default().account;
    let named = again(&fixture, |settings| settings.account_id = Some(account));
    let health = named.check().await.unwrap();
    assert_eq!(health.missing_rights, Vec::<String>::new());
    fixture.finish();
}
