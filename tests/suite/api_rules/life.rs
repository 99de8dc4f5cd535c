//! Rules about a customer's life with a site: day-two fields of a site, quotas of a Plan, backups and restores.

use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use hostwright::api::{SiteBackup, SiteRestore};

use super::bounds::{Bound, bound, letters, list, most, text, whole};
use super::objects::Base::{self, Backup, BackupRestore, Plan, Proxmox, Restore, Site};
use super::shapes::{Shape, shape};
use super::{Unit, admin, refused, taken};
use crate::world::World;

/// Domains that a site may have in its spec.
const DOMAINS_MAX: i64 = 100;
/// Characters of a domain.
const DOMAIN_MAX: i64 = 253;

/// Times in the spec.
pub const TIMES: [(Base, &str); 1] = [(Site, "/spec/restartedAt")];

/// What is said when one changes what a backup is of.
pub const BACKUP_STAYS: &str = "site cannot be changed: a backup is of one site; create another one";
/// What is said when one changes what a restore does.
pub const RESTORE_STAYS: &str =
    "site, backup and snapshot cannot be changed: a restore runs once; create another one";

/// Two labels of so many characters with their dot.
fn two_labels(length: i64) -> Value {
    let first = usize::try_from(length).unwrap() - ".b".len();
    json!(format!("{}.b", "a".repeat(first)))
}

fn domains(count: i64) -> Value {
    list(count, |n| json!(format!("shop-{n}.example.org")))
}

/// An expression of five fields, the last of which fills it up.
fn cron(length: i64) -> Value {
    let four = "0 3 * * ";
    let last = usize::try_from(length).unwrap() - four.len();
    json!(format!("{four}{}", "1".repeat(last)))
}

/// Limits.
pub fn limits() -> Vec<Bound> {
    vec![
        bound(Site, "/spec/domains", Unit::Items, (None, DOMAINS_MAX), domains),
        bound(
            Site,
            "/spec/domains/0",
            Unit::Text,
            (Some(3), DOMAIN_MAX),
            two_labels,
        ),
        bound(
            Site,
            "/spec/backupSchedule/cron",
            Unit::Text,
            (Some(9), 100),
            cron,
        ),
        whole(Site, "/spec/backupSchedule/keep", 1, 100),
        whole(Plan, "/spec/wordpress/backups", 0, 1_000),
        whole(Plan, "/spec/wordpress/domains", 0, DOMAINS_MAX),
        most(Proxmox, "/spec/proxmox/timeZone", 64, letters),
        text(Backup, "/spec/site", 1, 63),
        text(Restore, "/spec/site", 1, 63),
        text(BackupRestore, "/spec/backup", 1, 253),
        bound(Restore, "/spec/snapshot", Unit::Text, (Some(2), 40), letters),
        whole(Restore, "/spec/ttlSecondsAfterFinished", 0, 31_536_000),
    ]
}

/// Rules about shapes.
pub fn shapes() -> Vec<Shape> {
    [site_domains(), schedule(), site_names(), restore()]
        .into_iter()
        .flatten()
        .collect()
}

fn site_domains() -> Vec<Shape> {
    vec![
        shape(
            Site,
            "/spec/domains/0",
            "each of domains must look like shop.example.org: at least two labels, without scheme, path, wildcard or underscore",
            [
                json!("shop.example.org"),
                json!("Shop.Example.ORG."),
                json!("bücher.example"),
                json!("a.b.c.example"),
                json!("xn--bcher-kva.example"),
            ],
            [
                json!("localhost"),
                json!("https://shop.example.org"),
                json!("shop.example.org/blog"),
                json!("shop.example.org:443"),
                json!("*.example.org"),
                json!("_x.example.org"),
                json!("a..example"),
                json!(".example.org"),
                json!("exa mple.org"),
                json!("shop.example.org\n"),
                json!("jane@example.org"),
                json!("2001:db8::1"),
            ],
        ),
        shape(
            Site,
            "/spec/domains/0",
            "each of domains must be a name such as shop.example.org, not an IP address",
            [
                json!("192.0.2.1.example.org"),
                json!("4.example"),
                json!("1.4you"),
            ],
            [
                json!("192.0.2.1"),
                json!("192.0.2.1."),
                json!("192.0.2.256"),
                json!("10.1"),
            ],
        ),
        shape(
            Site,
            "/spec/domains",
            "each of domains may be there only once; capital letters and a final dot make no difference",
            [
                json!([]),
                json!(["shop.example.org", "www.shop.example.org", "shop.example.or"]),
                Value::Null,
            ],
            [
                json!(["shop.example.org", "shop.example.org"]),
                json!(["shop.example.org", "a.example", "Shop.example.org"]),
                json!(["shop.example.org.", "shop.example.org"]),
            ],
        ),
    ]
}

fn schedule() -> Vec<Shape> {
    let zone = shape(
        Proxmox,
        "/spec/proxmox/timeZone",
        "timeZone must be a name of the IANA's, such as UTC or Europe/Berlin",
        [
            json!("UTC"),
            json!("Etc/GMT+1"),
            json!("America/Argentina/Buenos_Aires"),
        ],
        [
            json!(""),
            json!("+01:00"),
            json!("Europe/"),
            json!("Europe/Berlin\n"),
            json!("../localtime"),
            json!("a/b/c/d"),
        ],
    );
    let cron = shape(
        Site,
        "/spec/backupSchedule/cron",
        "cron must have five fields, minute, hour, day of month, month and day of week, such as \"30 3 * * *\"",
        [
            json!("30 3 * * *"),
            json!(" */15  0-6,22 1 JAN-MAR mon "),
            json!("0 3 L * 5#2"),
            json!("0 3 ? * *"),
        ],
        [
            json!("30 3 * *"),
            json!("0 30 3 * * *"),
            json!("@midnight"),
            json!("every night"),
            json!("30\t3\t*\t*\t*"),
            json!("30 3 * * *\n"),
            json!("30 3 * * $(id)"),
        ],
    );
    vec![zone, cron]
}

/// What is said of a name that no site can have.
const SITE_NAME: &str = "site must be the name of a WordPressSite in the same namespace, such as bakery: lower-case letters, digits, inner hyphens and dots";

fn site_names() -> Vec<Shape> {
    let of = |base| {
        shape(
            base,
            "/spec/site",
            SITE_NAME,
            [json!("bakery"), json!("7"), json!("a.b-1")],
            [
                json!("Bakery"),
                json!("-a"),
                json!("a."),
                json!("a b"),
                json!("other/bakery"),
                json!("bakery\n"),
            ],
        )
    };
    vec![of(Backup), of(Restore)]
}

fn restore() -> Vec<Shape> {
    let one = "set exactly one of backup (the name of a SiteBackup) and snapshot (initial for a reset)";
    vec![
        shape(Restore, "/spec/backup", one, [Value::Null], [json!("before")]),
        shape(
            BackupRestore,
            "/spec/backup",
            one,
            [json!("before")],
            [Value::Null],
        ),
        shape(
            Restore,
            "/spec/snapshot",
            "snapshot must be initial, or the name of a backup's snapshot such as BAK20112025-1: letters, digits, hyphens and underscores, a letter first",
            [json!("initial"), json!("BAK20112025-1"), json!("a_")],
            [
                json!("1a"),
                json!("-a"),
                json!("a b"),
                json!("a/../b"),
                json!("initial\n"),
            ],
        ),
    ]
}

/// What the API server fills in.
pub fn defaults() -> Vec<(Base, &'static str, Value)> {
    vec![
        (Site, "/spec/power", json!("Running")),
        (Site, "/spec/suspended", json!(false)),
        (Site, "/spec/proxyEnabled", json!(true)),
        (Plan, "/spec/wordpress/backups", json!(0)),
        (Plan, "/spec/wordpress/domains", json!(0)),
        (Plan, "/spec/wordpress/recovery", json!("Manual")),
        (Plan, "/spec/wordpress/suspension", json!("Notice")),
        (Plan, "/spec/wordpress/announceDomains", json!(false)),
        (Backup, "/spec/deletionPolicy", json!("Delete")),
        (Proxmox, "/spec/proxmox/timeZone", json!("UTC")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_a_time() {
    let client = admin().await;
    for (base, path) in TIMES {
        for good in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+03:30"] {
            taken(&client, base, path, &json!(good)).await;
        }
        for bad in [
            "",
            "now",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-02-30T12:00:00Z",
        ] {
            refused(&client, base, path, &json!(bad), "must be of type date-time").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_domains_cost_no_more_than_the_server_lends() {
    let client = admin().await;
    // They differ in their last characters only, so that a comparison goes to the end.
    let length = usize::try_from(DOMAIN_MAX).unwrap();
    let longest = |n: i64| json!(format!("{}.{n:03}b", "A".repeat(length - ".000b".len())));
    taken(&client, Site, "/spec/domains", &list(DOMAINS_MAX, longest)).await;
}

/// Tries a change of a stored object's spec. What is said against it.
async fn change<K>(client: &Client, world: &World, name: &str, spec: Value) -> Result<(), String>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &world.namespace);
    let patch = Patch::Merge(json!({"spec": spec}));
    match api.patch(name, &PatchParams::default(), &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

/// The object under a name in the world's namespace.
fn object(base: Base, world: &World, name: &str) -> Value {
    let mut object = base.object();
    object["metadata"] = json!({"name": name, "namespace": world.namespace});
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_stays_with_its_site() {
    let world = World::new().await;
    world.apply(&object(Backup, &world, "before")).await;
    let change = async |spec| change::<SiteBackup>(&world.admin, &world, "before", spec).await;
    let said = change(json!({"site": "shop"})).await.unwrap_err();
    assert!(said.contains(BACKUP_STAYS), "{said}");
    change(json!({"site": "bakery"})).await.unwrap();
    change(json!({"deletionPolicy": "Retain"})).await.unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_stays_as_it_was_asked_for() {
    let world = World::new().await;
    world.apply(&object(Restore, &world, "reset")).await;
    world.apply(&object(BackupRestore, &world, "back")).await;
    let change =
        async |name: &str, spec: Value| change::<SiteRestore>(&world.admin, &world, name, spec).await;
    for (name, spec) in [
        ("reset", json!({"site": "shop"})),
        ("reset", json!({"snapshot": "BAK20112025-1"})),
        ("reset", json!({"snapshot": null, "backup": "before"})),
        ("back", json!({"site": "shop"})),
        ("back", json!({"backup": "later"})),
        ("back", json!({"backup": null, "snapshot": "initial"})),
    ] {
        let said = change(name, spec).await.unwrap_err();
        assert!(said.contains(RESTORE_STAYS), "{said}");
    }
    // How long it is kept as history may be thought over; the same once more is no change.
    for (name, spec) in [
        ("reset", json!({"site": "bakery", "snapshot": "initial"})),
        ("reset", json!({"ttlSecondsAfterFinished": 60})),
        ("back", json!({"ttlSecondsAfterFinished": null})),
    ] {
        change(name, spec).await.unwrap();
    }
    world.close().await;
}
