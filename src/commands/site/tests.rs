use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::change::{Change, Wanted, wanted};
use super::restore::{question, usable};
use super::{credentials, open, tree, view, zone};
use crate::api::{DnsZone, SiteBackup, SiteRestore, WordPressSite};
use crate::commands::ink::Ink;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, since: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since})
}

fn site(spec: Value, status: Value) -> WordPressSite {
    let mut whole = json!({"serviceId": "1001", "owner": {"email": "anna@bakery.example"}, "plan": "basic"});
    whole
        .as_object_mut()
        .unwrap()
        .extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "WordPressSite",
        "metadata": {"name": "bakery", "namespace": "customers", "creationTimestamp": "2026-11-18T09:00:00Z"},
        "spec": whole,
        "status": status,
    }))
    .unwrap()
}

fn backup(name: &str, status: Value) -> SiteBackup {
    serde_json::from_value(json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "SiteBackup",
        "metadata": {"name": name, "namespace": "customers", "creationTimestamp": "2026-11-20T11:00:00Z"},
        "spec": {"site": "bakery"},
        "status": status,
    }))
    .unwrap()
}

fn restore(name: &str, status: Value) -> SiteRestore {
    serde_json::from_value(json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "SiteRestore",
        "metadata": {"name": name, "namespace": "customers", "creationTimestamp": "2026-11-19T11:00:00Z"},
        "spec": {"site": "bakery", "snapshot": "initial"},
        "status": status,
    }))
    .unwrap()
}

fn running() -> WordPressSite {
    let then = "2026-11-18T09:01:00Z";
    site(
        json!({}),
        json!({
            "phase": "Running",
            "url": "https://bakery.sites.example.com",
            "node": "pve1",
            "vmid": 5000,
            "privateIp": "192.0.2.20",
            "resources": {"cores": 2, "memoryMib": 2048, "swapMib": 512, "diskGib": 20, "highAvailability": true},
            "quota": {
                "domains": {"used": 2, "limit": 3, "display": "2/3"},
                "backups": {"used": 2, "limit": 2, "display": "2/2"},
            },
            "domains": [
                {"name": "bakery.example", "state": "Ready", "certificateExpiresAt": "2027-02-01T00:00:00Z"},
                {"name": "www.bakery.example", "state": "PendingDns", "message": "Its A record points to 198.51.100.7; set it to 203.0.113.10."},
            ],
            "certificate": {"expiresAt": "2027-01-30T08:00:00Z"},
            "usage": {"cpuPercent": 5, "memoryMib": 512, "diskMib": 3200, "runningSince": "2026-11-18T09:01:00Z", "readAt": "2026-11-21T11:57:00Z"},
            "conditions": [
                condition("Ready", "True", "Ready", then, "The site is as specified."),
                condition("Synced", "True", "Synced", then, "The operator acts."),
                condition("ContainerReady", "True", "Ready", then, "It runs."),
                condition("CertificateReady", "True", "Ready", then, "It exists."),
                condition("PageReady", "True", "Ready", then, "WordPress answers."),
            ],
        }),
    )
}

fn shown(
    site: &WordPressSite,
    backups: &[SiteBackup],
    restores: &[SiteRestore],
    notes: Vec<String>,
) -> String {
    let view = view::site(site, backups, restores, notes);
    tree::render(&tree::site(&view), now(), Ink::new(false))
}

#[test]
fn a_running_site_as_a_tree() {
    let backups = [
        backup(
            "bakery-aaaaa",
            json!({"phase": "Ready", "snapshot": "BAK20112026-1", "createdAt": "2026-11-20T11:00:30Z"}),
        ),
        backup(
            "bakery-bbbbb",
            json!({"phase": "Refused", "conditions": [
                condition("Ready", "False", "QuotaExceeded", "2026-11-20T11:00:00Z", "2 of 2 backups are used; delete one."),
            ]}),
        ),
    ];
    let restores = [restore(
        "bakery-ccccc",
        json!({"phase": "Completed", "snapshot": "initial", "finishedAt": "2026-11-19T11:02:00Z"}),
    )];
    let text = shown(&running(), &backups, &restores, Vec::new());
    assert_eq!(text, include_str!("golden/running.txt"));
}

#[test]
fn a_site_that_waits_and_fails_as_a_tree() {
    let then = "2026-11-21T11:50:00Z";
    let site = site(
        json!({"suspended": false}),
        json!({
            "phase": "Provisioning",
            "vmid": 5001,
            "tasks": [{"operation": "Create", "id": "UPID:pve1:00001:0:0:vzcreate:5001:hostwright@pve!operator:"}],
            "conditions": [
                condition("Ready", "False", "Provisioning", then, "The site is being made."),
                condition("Synced", "False", "Unavailable", then, "Provider edge does not answer.\u{1b}[2J"),
                condition("ContainerReady", "False", "TaskRunning", then, "The container is being created."),
                condition("NameReady", "False", "Denied", then, "Cloudflare refused the token."),
                condition("PageReady", "Unknown", "Waiting", then, "Waiting for the container."),
            ],
        }),
    );
    let notes = vec!["sitebackups in namespace customers cannot be listed: forbidden".to_owned()];
    assert_eq!(
        shown(&site, &[], &[], notes),
        include_str!("golden/provisioning.txt")
    );
}

#[test]
fn a_stalled_site_says_what_it_waits_for_and_a_paused_one_that_nothing_comes() {
    let then = "2026-11-21T11:50:00Z";
    let conditions = json!({"phase": "Pending", "conditions": [
        condition("Ready", "False", "PlanNotFound", then, "Plan basic does not exist."),
        condition("Synced", "False", "PlanNotFound", then, "Plan basic does not exist."),
        condition("Stalled", "True", "PlanNotFound", then, "Plan basic does not exist."),
    ]});
    let mut site = site(json!({}), conditions);
    assert_eq!(
        shown(&site, &[], &[], Vec::new()),
        include_str!("golden/stalled.txt")
    );
    let paused = BTreeMap::from([("hostwright.dev/paused".to_owned(), "true".to_owned())]);
    site.metadata.annotations = Some(paused);
    let text = shown(&site, &[], &[], Vec::new());
    assert!(
        text.contains("next: nothing, until the annotation hostwright.dev/paused is removed"),
        "{text}"
    );
    assert_eq!(text.matches("next: ").count(), 1, "{text}");
}

#[test]
fn a_fresh_site_has_no_age_of_what_nobody_looked_at() {
    let site = site(
        json!({}),
        json!({"conditions": [
            condition("Ready", "Unknown", "Pending", "1970-01-01T00:00:00Z", "The operator has not looked at this object yet."),
        ]}),
    );
    let expected = "PART    STATE    AGE  MESSAGE\nbakery  Pending  3d   The operator has not looked at this object yet.\n                      plan basic, service 1001\n";
    assert_eq!(shown(&site, &[], &[], Vec::new()), expected);
}

#[test]
fn a_zone_as_a_tree() {
    let then = "2026-11-21T11:50:00Z";
    let object: DnsZone = serde_json::from_value(json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "DnsZone",
        "metadata": {"name": "bakery", "namespace": "customers", "creationTimestamp": "2026-11-18T09:00:00Z"},
        "spec": {"zone": "bakery.example", "provider": "ispconfig"},
        "status": {
            "serial": 2_026_112_101,
            "nameservers": {"expected": ["ns1.example.net", "ns2.example.net"], "observed": ["ns1.old.example"]},
            "quota": {"records": {"used": 9, "limit": 50}},
            "recordErrors": 3,
            "foreignRecords": 2,
            "records": [
                {"index": 4, "name": "shop", "type": "CNAME", "content": "@", "reason": "AliasNotAlone", "message": "An alias stands alone at its name."},
                {"index": 5, "name": "", "type": "MX", "content": "mail", "reason": "TargetSingleLabel", "message": "Write the whole name."},
            ],
            "conditions": [
                condition("Ready", "False", "DelegatedElsewhere", then, "The zone is not delegated to us."),
                condition("Synced", "True", "Synced", then, ""),
                condition("ZoneReady", "True", "Ready", then, "The zone exists."),
                condition("RecordsInSync", "False", "RecordsRefused", then, "3 records are refused."),
                condition("NameserversVerified", "False", "DelegatedElsewhere", then, "Delegated to ns1.old.example."),
            ],
        },
    }))
    .unwrap();
    let view = zone::zone(&object);
    let text = tree::render(&zone::tree(&view), now(), Ink::new(false));
    assert_eq!(text, include_str!("golden/zone.txt"));
}

#[test]
fn all_sites_in_lines() {
    let mut other = site(
        json!({"plan": "premium"}),
        json!({"conditions": [
            condition("Ready", "False", "PlanNotFound", "2026-11-21T11:50:00Z", "Plan premium does not exist."),
        ]}),
    );
    other.metadata.name = Some("florist".to_owned());
    let views: Vec<_> = [running(), other]
        .iter()
        .map(|site| view::site(site, &[], &[], Vec::new()))
        .collect();
    let text = tree::lines(&views, false, now(), Ink::new(false));
    assert_eq!(text, include_str!("golden/lines.txt"));
    let everywhere = tree::lines(&views, true, now(), Ink::new(false));
    assert!(everywhere.starts_with("NAMESPACE  NAME "), "{everywhere}");
    assert_eq!(everywhere.matches("customers  ").count(), 2, "{everywhere}");
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let view = view::site(&running(), &[], &[], Vec::new());
    let plain = tree::render(&tree::site(&view), now(), Ink::new(false));
    let mut coloured = tree::render(&tree::site(&view), now(), Ink::new(true));
    assert!(coloured.contains("\u{1b}[32mRunning\u{1b}[0m"), "{coloured}");
    for code in ["0", "1", "2", "31", "32", "33"] {
        coloured = coloured.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(coloured, plain);
    assert!(!plain.contains('\u{1b}'));
}

#[test]
fn ages_are_short() {
    let ago = |seconds: i64| {
        tree::age(
            now(),
            Timestamp::from_second(now().as_second() - seconds).unwrap(),
        )
    };
    let shown = [-5, 0, 119, 120, 7_199, 7_200, 172_799, 172_800, 8_640_000].map(ago);
    assert_eq!(
        shown,
        ["0s", "0s", "119s", "2m", "119m", "2h", "47h", "2d", "100d"]
    );
}

#[test]
fn the_json_of_a_site_is_stable() {
    let view = serde_json::to_value(view::site(&running(), &[], &[], Vec::new())).unwrap();
    for (path, expected) in [
        ("/format", json!(1)),
        ("/kind", json!("WordPressSite")),
        ("/name", json!("bakery")),
        ("/phase", json!("Running")),
        ("/ready/status", json!("True")),
        ("/parts/0/type", json!("ContainerReady")),
        ("/parts/0/name", json!("Container")),
        ("/domains/1/state", json!("PendingDns")),
        ("/quota/backups/limit", json!(2)),
        ("/usage/cpuPercent", json!(5)),
        ("/paused", json!(false)),
    ] {
        assert_eq!(view.pointer(path), Some(&expected), "{path}: {view}");
    }
}

#[test]
fn changes_patch_one_field_or_nothing() {
    let running = site(json!({}), json!({}));
    let idle = site(json!({"suspended": true, "power": "Stopped"}), json!({}));
    let patch = |change, site: &WordPressSite| wanted(change, site, now()).patch;
    assert_eq!(
        patch(Change::Suspend, &running),
        Some(json!({"spec": {"suspended": true}}))
    );
    assert_eq!(
        patch(Change::Resume, &idle),
        Some(json!({"spec": {"suspended": false}}))
    );
    assert_eq!(
        patch(Change::Stop, &running),
        Some(json!({"spec": {"power": "Stopped"}}))
    );
    assert_eq!(
        patch(Change::Start, &idle),
        Some(json!({"spec": {"power": "Running"}}))
    );
    for (change, site) in [
        (Change::Suspend, &idle),
        (Change::Resume, &running),
        (Change::Stop, &idle),
        (Change::Start, &running),
    ] {
        let Wanted { patch, sentence } = wanted(change, site, now());
        assert_eq!(patch, None, "{change:?}");
        assert!(sentence.contains("nothing was changed"), "{sentence}");
    }
}

#[test]
fn a_restart_is_later_than_the_last_one_even_when_the_clock_is_late() {
    let time = |spec: Value, status: Value| {
        let patch = wanted(Change::Restart, &site(spec, status), now()).patch.unwrap();
        patch["spec"]["restartedAt"].as_str().unwrap().to_owned()
    };
    assert_eq!(time(json!({}), json!({})), "2026-11-21T12:00:00Z");
    let early = json!({"restartedAt": "2026-11-21T11:59:00Z"});
    assert_eq!(time(early.clone(), early), "2026-11-21T12:00:00Z");
    let same = json!({"restartedAt": "2026-11-21T12:00:00Z"});
    assert_eq!(time(same, json!({})), "2026-11-21T12:00:01Z");
    let late = json!({"restartedAt": "2026-11-21T12:30:00Z"});
    assert_eq!(time(json!({}), late), "2026-11-21T12:30:01Z");
}

#[test]
fn a_question_tells_the_price_of_a_roll_back() {
    let at = |time: &str| json!({"phase": "Ready", "createdAt": time});
    let backups = [
        backup("old", at("2026-11-18T00:00:00Z")),
        backup("middle", at("2026-11-19T00:00:00Z")),
        backup("new", at("2026-11-20T00:00:00Z")),
    ];
    assert_eq!(
        question("bakery", Some(&backups[1]), &backups),
        "bakery goes back to middle, taken 2026-11-19T00:00:00Z. Files and database are as they were then; what came after is gone for good. Newer backups may be lost: new."
    );
    let initial = question("bakery", None, &backups);
    assert!(
        initial.starts_with("bakery goes back to the state in which it was made."),
        "{initial}"
    );
    assert!(
        initial.ends_with("Newer backups may be lost: old, middle, new."),
        "{initial}"
    );
    assert!(!question("bakery", Some(&backups[2]), &backups).contains("Newer"));
}

#[test]
fn only_a_taken_backup_of_the_site_can_be_gone_back_to() {
    let others = [backup("good", json!({"phase": "Ready"}))];
    assert!(usable(others[0].clone(), "bakery", &others).is_ok());
    let said = |backup: SiteBackup, site: &str| usable(backup, site, &others).unwrap_err().to_string();
    assert_eq!(
        said(backup("b", json!({"phase": "Lost"})), "bakery"),
        "SiteBackup b is lost, there is no snapshot any more; bakery can go back to good"
    );
    assert_eq!(
        said(others[0].clone(), "florist"),
        "SiteBackup good is one of site bakery; there is no other; --initial goes back to the site as it was made"
    );
    assert!(said(backup("b", json!({})), "bakery").contains("is not taken yet"));
}

#[test]
fn only_web_addresses_are_opened() {
    let at = |url: Value| open::address(&site(json!({}), json!({"url": url})));
    assert_eq!(
        at(json!("https://bakery.example")),
        Ok("https://bakery.example".to_owned())
    );
    assert!(at(json!("file:///etc/passwd")).is_err());
    assert!(at(json!("https://bakery.example --help")).is_err());
    let said = at(Value::Null).unwrap_err();
    assert_eq!(
        said,
        "has no address yet: the operator has not looked at this object yet"
    );
}

#[test]
fn credentials_are_the_known_keys_only() {
    let value = |text: &str| ByteString(text.as_bytes().to_vec());
    let secret = Secret {
        data: Some(BTreeMap::from([
            ("username".to_owned(), value("anna")),
            ("password".to_owned(), value("s3cret")),
            ("other".to_owned(), value("x")),
        ])),
        ..Secret::default()
    };
    let entries = credentials::entries(&secret);
    let shown: Vec<_> = entries
        .iter()
        .map(|(key, _, value)| (*key, value.expose_secret()))
        .collect();
    assert_eq!(shown, [("username", "anna"), ("password", "s3cret")]);
    assert!(!format!("{entries:?}").contains("s3cret"));
}
