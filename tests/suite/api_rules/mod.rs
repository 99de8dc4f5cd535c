//! Every rule of the resources on the real API server: once kept at its boundary, once broken, with what is said
//! then; and what the server adds to an object and shows of it.

mod bounds;
mod coverage;
mod display;
mod dns_providers;
mod life;
mod objects;
mod shapes;
mod zones;

use kube::Client;
use serde_json::{Value, json};

use crate::world::{World, client, shared};
use bounds::Unit;
use objects::{Base, judge, set};

async fn admin() -> Client {
    client(&shared().await.admin).await
}

fn with(base: Base, path: &str, value: &Value) -> Value {
    let mut object = base.object();
    set(&mut object, path, value.clone());
    object
}

async fn taken(client: &Client, base: Base, path: &str, value: &Value) {
    if let Err(said) = judge(client, base, &with(base, path, value)).await {
        panic!("{base:?} {path}: {value} is refused: {said}");
    }
}

async fn refused(client: &Client, base: Base, path: &str, value: &Value, message: &str) {
    match judge(client, base, &with(base, path, value)).await {
        Ok(_) => panic!("{base:?} {path}: {value} is taken"),
        Err(said) => {
            assert!(
                said.contains(message),
                "{base:?} {path}: {value}: \"{message}\" is not said, but: {said}"
            );
            let field = path.trim_start_matches('/').split('/').nth(1).unwrap();
            assert!(said.contains(field), "{path} is not named: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_where_they_are_said_to_be() {
    let client = admin().await;
    for bound in bounds::all() {
        let (too_little, too_much) = bound.complaints();
        let (base, path) = (bound.base, bound.path);
        if let Some(min) = bound.min {
            taken(&client, base, path, &(bound.make)(min)).await;
            refused(&client, base, path, &(bound.make)(min - 1), &too_little).await;
        }
        let Some(max) = bound.max else { continue };
        if bound.reachable {
            taken(&client, base, path, &(bound.make)(max)).await;
        }
        refused(&client, base, path, &(bound.make)(max + 1), &too_much).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_speak_to_the_hoster() {
    let client = admin().await;
    for rule in shapes::all() {
        for value in &rule.good {
            taken(&client, rule.base, rule.path, value).await;
        }
        for value in &rule.bad {
            refused(&client, rule.base, rule.path, value, rule.message).await;
        }
    }
}

/// Fields that cannot be left out.
const REQUIRED: [(Base, &str); 48] = [
    (Base::Zone, "/spec"),
    (Base::Zone, "/spec/zone"),
    (Base::Zone, "/spec/provider"),
    (Base::Zone, "/spec/records/0/type"),
    (Base::Zone, "/spec/records/0/content"),
    (Base::Site, "/spec"),
    (Base::Site, "/spec/serviceId"),
    (Base::Site, "/spec/owner"),
    (Base::Site, "/spec/owner/email"),
    (Base::Site, "/spec/plan"),
    (Base::Site, "/spec/backupSchedule/cron"),
    (Base::Site, "/spec/backupSchedule/keep"),
    (Base::Backup, "/spec"),
    (Base::Backup, "/spec/site"),
    (Base::Restore, "/spec"),
    (Base::Restore, "/spec/site"),
    (Base::Plan, "/spec"),
    (Base::Plan, "/spec/wordpress/memoryMib"),
    (Base::Plan, "/spec/wordpress/diskGib"),
    (Base::Plan, "/spec/wordpress/compute"),
    (Base::Plan, "/spec/wordpress/proxy"),
    (Base::Plan, "/spec/wordpress/dns"),
    (Base::Plan, "/spec/wordpress/baseDomain"),
    (Base::Plan, "/spec/dns/records"),
    (Base::Ispconfig, "/spec/ispconfig/endpoint"),
    (Base::Ispconfig, "/spec/ispconfig/serverId"),
    (Base::Ispconfig, "/spec/ispconfig/nameServers"),
    (Base::Npm, "/spec"),
    (Base::Npm, "/spec/credentials"),
    (Base::Npm, "/spec/credentials/secretName"),
    (Base::Npm, "/spec/nginxProxyManager/endpoint"),
    (Base::Npm, "/spec/nginxProxyManager/publicAddress"),
    (Base::Proxmox, "/spec/proxmox/endpoints"),
    (Base::Proxmox, "/spec/proxmox/vmidRange"),
    (Base::Proxmox, "/spec/proxmox/vmidRange/first"),
    (Base::Proxmox, "/spec/proxmox/vmidRange/last"),
    (Base::Proxmox, "/spec/proxmox/network"),
    (Base::Proxmox, "/spec/proxmox/storage"),
    (Base::Proxmox, "/spec/proxmox/template"),
    (Base::Proxmox, "/spec/proxmox/installer"),
    (Base::Proxmox, "/spec/proxmox/network/bridge"),
    (Base::Proxmox, "/spec/proxmox/network/firstAddress"),
    (Base::Proxmox, "/spec/proxmox/network/lastAddress"),
    (Base::Proxmox, "/spec/proxmox/network/prefixLength"),
    (Base::Proxmox, "/spec/proxmox/network/gateway"),
    (Base::Proxmox, "/spec/proxmox/installer/ssh/nodes"),
    (Base::Proxmox, "/spec/proxmox/installer/ssh/nodes/pve1/address"),
    (Base::Proxmox, "/spec/proxmox/installer/ssh/nodes/pve1/hostKeys"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let client = admin().await;
    for (base, path) in REQUIRED {
        judge(&client, base, &base.object()).await.unwrap();
        let said = judge(&client, base, &with(base, path, &Value::Null))
            .await
            .unwrap_err();
        let field = path
            .trim_start_matches('/')
            .replace("/0/", "[0]/")
            .replace('/', ".");
        assert!(
            said.contains(&format!("{field}: Required value")),
            "{path}: {said}"
        );
    }
}

/// What deletionPolicy offers.
const POLICIES: &[&str] = &["Delete", "Retain"];
/// What is done about a lost container.
const RECOVERIES: &[&str] = &["Manual", "Recreate", "RestoreLatestBackup"];
/// Fields with a choice of words, and the words in the order in which they are offered.
const WORDS: [(Base, &str, &[&str]); 7] = [
    (Base::Site, "/spec/deletionPolicy", POLICIES),
    (Base::Site, "/spec/power", &["Running", "Stopped"]),
    (Base::Backup, "/spec/deletionPolicy", POLICIES),
    (Base::Plan, "/spec/wordpress/recovery", RECOVERIES),
    (Base::Plan, "/spec/wordpress/suspension", &["Notice", "Disable"]),
    (Base::Zone, "/spec/deletionPolicy", POLICIES),
    (
        Base::Zone,
        zones::RECORD_TYPE,
        &["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_is_not_offered_is_refused() {
    let client = admin().await;
    for (base, path, words) in WORDS {
        for word in words {
            match path {
                zones::RECORD_TYPE => taken(&client, base, "/spec/records/0", &zones::of_type(word)).await,
                _ => taken(&client, base, path, &json!(word)).await,
            }
        }
        let offered: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let said = format!(
            "Unsupported value: \"Orphan\": supported values: {}",
            offered.join(", ")
        );
        refused(&client, base, path, &json!("Orphan"), &said).await;
    }
}

/// What is said when one changes what a site hangs on.
const SERVICE_STAYS: &str =
    "serviceId cannot be changed: it is the billing panel's key; delete the site and create a new one";
const SUBDOMAIN_STAYS: &str = "subdomain cannot be changed: the site's address and certificate hang on it; delete the site and create a new one";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_outside_hangs_on_cannot_be_changed() {
    let world = World::new().await;
    let (mut named, unnamed) = (world.site("named"), world.site("unnamed"));
    named["spec"]["subdomain"] = json!("shop");
    world.apply(&named).await;
    world.apply(&unnamed).await;
    let spec = |field: &str, value: Value| json!({"spec": {field: value}});
    let said = world
        .try_patch("named", spec("serviceId", json!("S-2")))
        .await
        .unwrap_err();
    assert!(said.contains(SERVICE_STAYS), "{said}");
    for (name, value) in [
        ("named", json!("store")),
        ("named", Value::Null),
        ("unnamed", json!("shop")),
    ] {
        let said = world.try_patch(name, spec("subdomain", value)).await.unwrap_err();
        assert!(said.contains(SUBDOMAIN_STAYS), "{said}");
    }
    for change in [
        // The same once more is no change.
        spec("serviceId", named["spec"]["serviceId"].clone()),
        spec("subdomain", json!("shop")),
        spec("plan", json!("premium")),
        spec("power", json!("Stopped")),
        spec("suspended", json!(true)),
        spec("proxyEnabled", json!(false)),
        spec("restartedAt", json!("2026-01-31T12:00:00Z")),
        spec("domains", json!(["shop.example.org"])),
        spec("backupSchedule", json!({"cron": "30 3 * * *", "keep": 2})),
        spec("deletionPolicy", json!("Retain")),
        json!({"spec": {"owner": {"email": "other@example.com", "firstName": "A"}}}),
    ] {
        world.try_patch("named", change).await.unwrap();
    }
    world.close().await;
}

/// What the API server fills in.
fn defaults() -> Vec<(Base, &'static str, Value)> {
    let mut all = vec![
        (Base::Site, "/spec/deletionPolicy", json!("Delete")),
        (Base::Plan, "/spec/wordpress/swapMib", json!(512)),
        (Base::Plan, "/spec/wordpress/cores", json!(2)),
        (Base::Plan, "/spec/wordpress/highAvailability", json!(false)),
        (Base::Cloudflare, "/spec/allowedNamespaces", json!([])),
        (
            Base::Cloudflare,
            "/spec/limits",
            json!({"maxConcurrent": 4, "requestsPerSecond": 20}),
        ),
        (Base::Npm, "/spec/nginxProxyManager/plaintext", json!(false)),
        (
            Base::Npm,
            "/spec/nginxProxyManager/edge",
            json!({"httpPort": 80, "httpsPort": 443}),
        ),
        (Base::Proxmox, "/spec/proxmox/plaintext", json!(false)),
        (Base::Proxmox, "/spec/proxmox/storageTasks", json!(2)),
        (Base::Proxmox, "/spec/proxmox/shutdownSeconds", json!(60)),
        (
            Base::Proxmox,
            "/spec/proxmox/highAvailability/maxRestart",
            json!(3),
        ),
        (
            Base::Proxmox,
            "/spec/proxmox/highAvailability/maxRelocate",
            json!(2),
        ),
        (Base::Proxmox, "/spec/proxmox/installer/ssh/user", json!("root")),
        (
            Base::Proxmox,
            "/spec/proxmox/installer/ssh/deadlineSeconds",
            json!(900),
        ),
        (
            Base::Proxmox,
            "/spec/proxmox/installer/ssh/wordpress",
            json!({"archive": "https://wordpress.org/latest.tar.gz"}),
        ),
        (
            Base::Proxmox,
            "/spec/proxmox/installer/ssh/nodes/pve1/port",
            json!(22),
        ),
        (
            Base::Template,
            "/spec/proxmox/installer/template",
            json!({"healthPath": "/hostwright/health", "port": 80}),
        ),
    ];
    all.extend(dns_providers::defaults());
    all.extend(zones::defaults());
    all.extend(life::defaults());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_filled_in() {
    let client = admin().await;
    for (base, path, value) in defaults() {
        let stored = judge(&client, base, &base.object()).await.unwrap();
        assert_eq!(stored.pointer(path), Some(&value), "{base:?} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_other_services_needs_no_sizes() {
    let client = admin().await;
    taken(&client, Base::Plan, "/spec/wordpress", &Value::Null).await;
}
