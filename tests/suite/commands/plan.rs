//! `hostwright plan` tells what a pass would do, and does nothing.

use serde_json::{Value, json};

use super::{Ended, cluster_writes, outside_writes, reset_calls, run, run_as};
use crate::world::{World, shared};

/// Plans manifests, and makes sure that nothing was changed anywhere.
async fn plan(world: &World, objects: &[Value], words: &[&str]) -> Ended {
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    let mut all = vec!["plan", "-f", "-"];
    all.extend(words);
    untouched(world, &all, &text.join("\n---\n")).await
}

async fn all(world: &World) -> Ended {
    untouched(world, &["plan", "--all", "-o", "json"], "").await
}

async fn untouched(world: &World, words: &[&str], input: &str) -> Ended {
    let before = (cluster_writes(world).await, versions(world).await);
    reset_calls(world);
    let ended = run(world, words, input).await;
    assert_eq!(outside_writes(world), Vec::<String>::new(), "{ended:?}");
    let after = (cluster_writes(world).await, versions(world).await);
    assert_eq!(after, before, "{ended:?}");
    ended
}

/// Every object of this world with its version, which every write changes.
async fn versions(world: &World) -> Vec<(Option<String>, Option<String>)> {
    let sites = world.sites().list(&Default::default()).await.unwrap();
    let zones = world.zones().list(&Default::default()).await.unwrap();
    let sites = sites.items.into_iter().map(|site| site.metadata);
    let all = sites.chain(zones.items.into_iter().map(|zone| zone.metadata));
    all.map(|meta| (meta.uid, meta.resource_version)).collect()
}

/// The changes of the first object, as the text shows them.
fn lines(answer: &Value, key: &str) -> Vec<String> {
    lines_of(&answer["objects"][0], key)
}

fn lines_of(object: &Value, key: &str) -> Vec<String> {
    let all = object[key].as_array().unwrap().iter();
    all.map(|change| {
        let sign = match change["change"].as_str().unwrap() {
            "add" => "+",
            "alter" => "~",
            "remove" => "-",
            other => panic!("{other}"),
        };
        format!("{sign} {}", change["what"].as_str().unwrap())
    })
    .collect()
}

fn problems(object: &Value) -> Vec<String> {
    let all = object["problems"].as_array().unwrap().iter();
    all.map(|problem| {
        format!(
            "{}: {}",
            problem["reason"].as_str().unwrap(),
            problem["message"].as_str().unwrap()
        )
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_exists_nowhere_is_told_with_all_its_records() {
    let world = World::new().await;
    let name = world.zone_name();
    let records = json!([
        {"name": "@", "type": "A", "content": "PROXYSRV"},
        {"name": "www", "type": "CNAME", "content": "@", "ttl": 300},
        {"name": "@", "type": "MX", "content": "mail.example.net", "priority": 5},
    ]);
    for provider in ["cloudflare", "ispconfig"] {
        let ended = plan(&world, &[world.zone(provider, records.clone())], &["-o", "json"]).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        let answer = ended.json();
        assert_eq!(answer["exitCode"], 2);
        assert_eq!(answer["format"], 1);
        let object = &answer["objects"][0];
        assert_eq!(
            (&object["kind"], &object["exists"]),
            (&json!("DnsZone"), &json!(false))
        );
        assert_eq!(object["result"], "changes");
        assert_eq!(lines(&answer, "changes"), [format!("+ zone {name}")]);
        let then = lines(&answer, "then");
        let wanted = [
            "+ record @ A 203.0.113.10 (ttl 3600)".to_owned(),
            "+ record @ MX 5 mail.example.net (ttl 3600)".to_owned(),
            format!("+ record www CNAME {name} (ttl 300)"),
        ];
        assert!(wanted.iter().all(|line| then.contains(line)), "{then:#?}");
        let servers = then.iter().filter(|line| line.contains(" NS ")).count();
        assert_eq!(then.len() - servers, 3, "{then:#?}");
        assert_eq!(servers, if provider == "ispconfig" { 2 } else { 0 });
    }
    let text = plan(&world, &[world.zone("cloudflare", records)], &[]).await;
    assert!(text.out.contains("(new): 4 changes\n  + zone"), "{text:?}");
    assert!(text.out.contains("\n  then:\n  + record"), "{text:?}");
    assert!(
        !text.out.contains('\u{1b}'),
        "no colours outside of a terminal: {text:?}"
    );
    assert_eq!(
        world.zones().list(&Default::default()).await.unwrap().items.len(),
        0
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_named_and_fail_the_run() {
    let world = World::new().await;
    let records = json!([
        {"name": "@", "type": "A", "content": "192.0.2.1"},
        {"name": "www", "type": "CNAME", "content": "@"},
        {"name": "www", "type": "A", "content": "192.0.2.2"},
    ]);
    let ended = plan(&world, &[world.zone("cloudflare", records)], &["-o", "json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let answer = ended.json();
    assert_eq!(answer["objects"][0]["result"], "blocked");
    let problems = problems(&answer["objects"][0]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("AliasNotAlone: records[1] (www CNAME): "),
        "{problems:?}"
    );
    assert_eq!(
        lines(&answer, "then").len(),
        2,
        "the others are told all the same"
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_record_by_record() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([
        {"name": "www", "type": "A", "content": "192.0.2.1"},
        {"name": "old", "type": "A", "content": "192.0.2.9"},
        {"name": "ttl", "type": "TXT", "content": "x", "ttl": 300},
    ]);
    for provider in ["cloudflare", "ispconfig"] {
        let zone = world.zone(provider, records.clone());
        world.apply(&zone).await;
        world.wait_for_zone("zone", "Ready", "True").await;
        operator.assert_quiet(&world).await;
        let ended = plan(&world, &[zone], &["-o", "json"]).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        let changed = json!([
            {"name": "www", "type": "A", "content": "192.0.2.2"},
            {"name": "new", "type": "AAAA", "content": "2001:db8::1"},
            {"name": "ttl", "type": "TXT", "content": "x"},
        ]);
        let mut file = world.zone(provider, changed);
        // As people write it: without the namespace, and in a list.
        file["metadata"].as_object_mut().unwrap().remove("namespace");
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [
            file, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}},
        ]});
        let ended = plan(&world, &[list], &["-o", "json", "--namespace", &world.namespace]).await;
        assert_eq!(ended.code, 2, "{ended:?}");
        let answer = ended.json();
        assert_eq!(answer["skipped"], json!(["ConfigMap other"]));
        assert_eq!(answer["objects"][0]["exists"], true);
        let expected = [
            "~ record ttl TXT x (ttl 300 -> ttl 3600)",
            "~ record www A 192.0.2.1 -> A 192.0.2.2 (ttl 3600)",
            "+ record new AAAA 2001:db8::1 (ttl 3600)",
            "- record old A 192.0.2.9 (ttl 3600)",
        ];
        assert_eq!(lines(&answer, "changes"), expected);
        assert_eq!(answer["objects"][0]["then"], json!([]));
        world.remove_zone("zone").await;
    }
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_shows_drift_and_what_is_in_the_way() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([{"name": "www", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("cloudflare", records)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    operator.stop().await;
    let ended = all(&world).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(
        ended.json()["counts"],
        json!({"objects": 1, "unchanged": 1, "changes": 0, "waiting": 0, "blocked": 0, "paused": 0})
    );

    let (name, sim) = (world.zone_name(), &world.backends.cloudflare);
    let own = sim.records(&name)[0].id.clone();
    sim.delete_by_hand(&own);
    let ended = all(&world).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_eq!(
        lines(&ended.json(), "changes"),
        ["+ record www A 192.0.2.1 (ttl 3600)"]
    );

    sim.add_foreign_record(&name, &format!("www.{name}"), "A", "192.0.2.7", None)
        .unwrap();
    let ended = all(&world).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let said = problems(&ended.json()["objects"][0]);
    assert!(
        said[0].starts_with("Conflict: records[0] (www A): the zone has another A record"),
        "{said:?}"
    );

    // Another object wants the same zone, and comes later.
    let mut rival = world.zone("cloudflare", json!([]));
    rival["metadata"]["name"] = json!("rival");
    let ended = plan(&world, &[rival], &["-o", "json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let said = problems(&ended.json()["objects"][0]);
    assert!(said[0].contains("belongs to the DnsZone zone"), "{said:?}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_being_deleted_is_told_too() {
    let world = World::new().await;
    let operator = world.operator().await;
    let records = json!([{"name": "www", "type": "A", "content": "192.0.2.1"}]);
    world.apply(&world.zone("ispconfig", records)).await;
    world.wait_for_zone("zone", "Ready", "True").await;
    operator.stop().await;
    world.zones().delete("zone", &Default::default()).await.unwrap();
    let ended = all(&world).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    let changes = lines(&ended.json(), "changes");
    assert!(
        changes.contains(&"- record www A 192.0.2.1 (ttl 3600)".to_owned()),
        "{changes:?}"
    );
    assert_eq!(
        lines(&ended.json(), "then"),
        [format!("- zone {}", world.zone_name())]
    );
    let operator = world.operator().await;
    crate::world::eventually("the zone is gone", || async {
        match world.zones().get_opt("zone").await.unwrap() {
            None => Ok(()),
            Some(zone) => Err(format!("{:?}", zone.status)),
        }
    })
    .await;
    operator.stop().await;
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_servers_own_refusals_are_told() {
    let world = World::new().await;
    let zone = world.zone("cloudflare", json!([]));
    world.apply(&zone).await;
    let mut moved = zone.clone();
    moved["spec"]["zone"] = json!("elsewhere.example");
    let mut misspelt = world.zone("cloudflare", json!([]));
    misspelt["metadata"]["name"] = json!("misspelt");
    misspelt["spec"]["recrods"] = json!([]);
    let ended = plan(&world, &[moved, misspelt], &["-o", "json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let answer = ended.json();
    let said = problems(&answer["objects"][0]);
    assert!(said[0].contains("zone cannot be changed"), "{said:?}");
    assert_eq!(answer["objects"][0]["exists"], true);
    let said = problems(&answer["objects"][1]);
    assert!(said[0].contains("recrods"), "{said:?}");

    let broken = untouched(&world, &["plan", "-f", "-"], "kind: [").await;
    assert_eq!(broken.code, 1);
    assert!(broken.errors.contains("is not YAML"), "{broken:?}");
    let misused = untouched(&world, &["plan", "--everything"], "").await;
    assert_eq!(misused.code, 1, "2 would mean changes: {misused:?}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_the_api_server_gets_an_answer_with_a_note() {
    let world = World::new().await;
    let zone = world.zone(
        "cloudflare",
        json!([{"name": "www", "type": "A", "content": "192.0.2.1"}]),
    );
    // The operator's own account may list everything and create nothing.
    let operator = shared().await.operator.clone();
    let words = ["plan", "-f", "-", "-o", "json"];
    let ended = run_as(&operator, &world, &words, &zone.to_string()).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    let answer = ended.json();
    assert_eq!(lines(&answer, "then"), ["+ record www A 192.0.2.1 (ttl 3600)"]);
    let note = answer["objects"][0]["notes"][0].as_str().unwrap();
    assert!(note.starts_with("Defaults are this program's own"), "{note}");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_sites_are_told_with_all_their_parts() {
    let world = World::new().await;
    let ended = plan(&world, &[world.site("jane"), world.site("joe")], &["-o", "json"]).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    let answer = ended.json();
    let (host, address) = ("jane.sites.example.com", "10.20.0.100");
    assert_eq!(
        lines(&answer, "changes"),
        [format!(
            "+ reservation of {host}, number 5000 and address {address}"
        )]
    );
    let expected = [
        format!("+ container 5000 at {address} (2 cores, 2048 MiB memory, 20 GiB disk, high availability)"),
        format!("+ record {host} A 203.0.113.10 (ttl 300)"),
        format!("+ certificate of {host}"),
        format!("+ proxy host {host} to {address}:80"),
        "+ WordPress in the container, with a Secret for its passwords".to_owned(),
        "+ snapshot initial".to_owned(),
    ];
    assert_eq!(lines(&answer, "then"), expected);
    let second = lines_of(&answer["objects"][1], "changes");
    assert!(
        second[0].contains("number 5001 and address 10.20.0.101"),
        "{second:?}"
    );
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_told_when_it_is_ready_drifted_and_paused() {
    let world = World::new().await;
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    world.wait_for("jane", "Ready", "True").await;
    operator.stop().await;
    let ended = all(&world).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = plan(&world, &[world.site("jane")], &["-o", "json"]).await;
    assert_eq!(ended.code, 0, "{ended:?}");

    let sim = &world.backends.cloudflare;
    let record = sim
        .records("example.com")
        .into_iter()
        .find(|record| record.name.starts_with("jane."))
        .unwrap();
    sim.delete_by_hand(&record.id);
    let ended = all(&world).await;
    assert_eq!(ended.code, 2, "{ended:?}");
    let answer = ended.json();
    assert_eq!(
        lines(&answer, "changes"),
        ["+ record jane.sites.example.com A 203.0.113.10 (ttl 300)"]
    );
    assert_eq!(lines(&answer, "then"), Vec::<String>::new());

    // A second site with the same service id is refused.
    let mut copy = world.site("copy");
    copy["spec"]["serviceId"] = world.site("jane")["spec"]["serviceId"].clone();
    let ended = plan(&world, &[copy], &["-o", "json"]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    let said = problems(&ended.json()["objects"][0]);
    assert!(said[0].starts_with("ServiceIdConflict: "), "{said:?}");

    world.pause("jane", true).await;
    let ended = all(&world).await;
    assert_eq!(
        (ended.code, ended.json()["objects"][0]["result"].clone()),
        (0, json!("paused"))
    );
    world.close().await;
}
