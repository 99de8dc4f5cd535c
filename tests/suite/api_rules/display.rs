//! What people see: a fresh object's status, short names, the category, columns, the field to select by.

use hostwright::api::condition::reasons;
use hostwright::api::{SiteQuota, SiteQuotaUse, crds};
use serde_json::{Value, json};

use super::objects::Base;
use crate::world::{World, shared};

/// A table of `kubectl`: its columns in order, and its rows with a cell for each, which may be empty.
#[derive(Debug)]
struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// What `kubectl` prints for these arguments.
    async fn of(arguments: &[&str]) -> Self {
        let text = kubectl(arguments).await;
        let mut lines = text.lines();
        let head = lines.next().unwrap_or_default();
        // A column begins where its title does. Titles are at least three spaces apart and have single ones inside.
        let begins = |at: &usize| *at == 0 || head[..*at].ends_with("  ") && !head[*at..].starts_with(' ');
        let starts: Vec<usize> = (0..head.len()).filter(begins).collect();
        let cells = |line: &str| {
            let letters: Vec<char> = line.chars().collect();
            let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
            let cell = |(start, end): (&usize, usize)| {
                let end = end.min(letters.len());
                let cell = letters.get(*start..end.max(*start)).unwrap_or_default();
                cell.iter().collect::<String>().trim().to_owned()
            };
            starts.iter().zip(ends).map(cell).collect()
        };
        Self {
            columns: cells(head),
            rows: lines.map(cells).collect(),
        }
    }

    /// The only row's cell in a column.
    fn cell(&self, column: &str) -> &str {
        assert_eq!(self.rows.len(), 1, "{self:?}");
        let at = self.columns.iter().position(|name| name == column);
        &self.rows[0][at.unwrap_or_else(|| panic!("no {column}: {self:?}"))]
    }

    /// The only row's cells in some columns.
    fn cells<'a>(&'a self, columns: &[&str]) -> Vec<&'a str> {
        columns.iter().map(|column| self.cell(column)).collect()
    }
}

async fn kubectl(arguments: &[&str]) -> String {
    let cluster = shared().await.cluster.lock().await;
    cluster.kubectl(arguments, "").await.unwrap()
}

/// The object of a kind in the world's namespace, with what the API server adds.
async fn fresh(world: &World, base: Base, name: &str) -> Value {
    let mut object = base.object();
    object["metadata"] = json!({"name": name, "namespace": world.namespace});
    world.apply(&object).await;
    stored(world, base.plural(), name).await
}

async fn stored(world: &World, plural: &str, name: &str) -> Value {
    let text = kubectl(&["get", plural, name, "-n", &world.namespace, "-o", "json"]).await;
    serde_json::from_str(&text).unwrap()
}

/// Writes a status in the operator's place.
async fn tell(world: &World, plural: &str, name: &str, status: &Value) {
    let patch = json!({"status": status}).to_string();
    let namespace = world.namespace.as_str();
    let object = ["patch", plural, name, "-n", namespace];
    let change = ["--subresource=status", "--type=merge", "-p", patch.as_str()];
    kubectl(&[&object[..], &change[..]].concat()).await;
}

/// A condition that says `Ready`.
fn ready(message: &str) -> Value {
    json!([{
        "type": "Ready",
        "status": "True",
        "reason": reasons::READY,
        "message": message,
        "lastTransitionTime": "2026-01-31T12:00:00Z",
    }])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_object_is_not_taken_for_a_ready_one() {
    let world = World::new().await;
    let provider = world.provider("pve");
    let objects = [
        fresh(&world, Base::Site, "fresh").await,
        fresh(&world, Base::Zone, "fresh").await,
        fresh(&world, Base::Backup, "fresh").await,
        fresh(&world, Base::Restore, "fresh").await,
        stored(&world, "providers", &provider).await,
    ];
    let unknown = json!([{
        "type": "Ready",
        "status": "Unknown",
        "reason": reasons::PENDING,
        "message": "The operator has not looked at this object yet.",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }]);
    for object in &objects {
        assert_eq!(object["status"]["conditions"], unknown, "{object}");
    }
    let with_status = crds::definitions()
        .into_iter()
        .filter(|crd| crd["spec"]["versions"][0]["subresources"]["status"].is_object());
    assert_eq!(with_status.count(), objects.len(), "a kind is not looked at");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_a_hoster_looks_for() {
    let world = World::new().await;
    let namespace = world.namespace.as_str();
    let operator = world.operator().await;
    world.apply(&world.site("jane")).await;
    let status = world.wait_for("jane", "Ready", "True").await;
    let (node, vmid, address) = (
        status.node.unwrap(),
        status.vmid.unwrap().to_string(),
        status.private_ip.unwrap(),
    );
    operator.stop().await;

    let sites = Table::of(&["get", "wps", "-n", namespace, "-o", "wide"]).await;
    let url = "https://jane.sites.example.com";
    let plan = world.plan();
    assert_eq!(
        sites.cells(&["NAME", "PHASE", "READY", "URL", "PLAN", "NODE", "VMID"]),
        ["jane", "Running", "True", url, &plan, &node, &vmid]
    );
    let service = format!("{namespace}-jane");
    assert_eq!(
        sites.cells(&["ADDRESS", "SERVICE", "MESSAGE"]),
        [
            &address,
            &service,
            "The site is up and answers through the proxy."
        ]
    );

    let pve = world.provider("pve");
    let providers = Table::of(&["get", "prov", &pve, "-o", "wide"]).await;
    assert_eq!(
        providers.columns,
        ["NAME", "TYPE", "READY", "VERSION", "LATENCY MS", "MESSAGE", "AGE"]
    );
    assert_eq!(
        providers.cells(&["NAME", "TYPE", "READY"]),
        [&pve, "proxmox", "True"]
    );
    let plans = Table::of(&["get", "hplan", &plan]).await;
    assert_eq!(
        plans.columns,
        [
            "NAME",
            "MEMORY MIB",
            "DISK GIB",
            "CORES",
            "HA",
            "BACKUPS",
            "DOMAINS",
            "AGE"
        ]
    );
    assert_eq!(plans.rows[0][..7], [&plan, "2048", "20", "2", "true", "2", "3"]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_read_as_used_of_allowed() {
    let world = World::new().await;
    let namespace = world.namespace.as_str();
    world.apply(&world.site("jane")).await;
    let both = ["DOMAINS", "BACKUPS"];
    let sites = Table::of(&["get", "wps", "-n", namespace]).await;
    assert_eq!(
        sites.columns,
        [
            "NAME", "PHASE", "READY", "URL", "PLAN", "DOMAINS", "BACKUPS", "NODE", "VMID", "AGE"
        ]
    );
    assert_eq!(sites.cells(&both), ["", ""], "nobody has counted yet");
    let quota = SiteQuota {
        domains: SiteQuotaUse::new(0, 5),
        backups: SiteQuotaUse::new(2, 3),
    };
    tell(&world, "wps", "jane", &json!({"quota": quota})).await;
    let sites = Table::of(&["get", "wps", "-n", namespace]).await;
    assert_eq!(sites.cells(&both), ["0/5", "2/3"]);
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_backups_and_restores() {
    let world = World::new().await;
    let namespace = world.namespace.as_str();
    fresh(&world, Base::Backup, "before").await;
    fresh(&world, Base::BackupRestore, "back").await;
    let snapshot = "BAK31012026-1";
    let then = "2026-01-31T12:00:00Z";
    let backup = json!({
        "phase": "Ready",
        "snapshot": snapshot,
        "createdAt": then,
        "conditions": ready("The snapshot exists."),
    });
    tell(&world, "wpb", "before", &backup).await;
    let restore = json!({
        "phase": "Completed",
        "snapshot": snapshot,
        "finishedAt": then,
        "conditions": ready("The site is back."),
    });
    tell(&world, "wpr", "back", &restore).await;
    for (short, name, phase, time, message) in [
        ("wpb", "before", "Ready", "TAKEN", "The snapshot exists."),
        ("wpr", "back", "Completed", "FINISHED", "The site is back."),
    ] {
        let table = Table::of(&["get", short, "-n", namespace]).await;
        assert_eq!(table.columns, ["NAME", "SITE", "PHASE", "SNAPSHOT", time, "AGE"]);
        assert_eq!(
            table.cells(&["NAME", "SITE", "PHASE", "SNAPSHOT"]),
            [name, "bakery", phase, snapshot]
        );
        // How long ago, as kubectl writes it.
        assert!(table.cell(time).ends_with(['s', 'm', 'h', 'd', 'y']), "{table:?}");
        let wide = Table::of(&["get", short, "-n", namespace, "-o", "wide"]).await;
        assert_eq!(wide.cell("MESSAGE"), message);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_word_finds_every_kind() {
    let world = World::new().await;
    let namespace = world.namespace.as_str();
    for base in [Base::Site, Base::Zone, Base::Backup, Base::Restore] {
        fresh(&world, base, "rule").await;
    }
    let all = kubectl(&["get", "hostwright", "-n", namespace, "-o", "name"]).await;
    let all: Vec<&str> = all.lines().collect();
    let (plan, pve) = (world.plan(), world.provider("pve"));
    let named = [
        ("wordpresssite", "rule"),
        ("dnszone", "rule"),
        ("sitebackup", "rule"),
        ("siterestore", "rule"),
        ("plan", &plan),
        ("provider", &pve),
    ];
    assert_eq!(named.len(), crds::definitions().len(), "a kind is not looked for");
    for (kind, name) in named {
        let whole = format!("{kind}.hostwright.dev/{name}");
        assert!(all.contains(&whole.as_str()), "{whole} is not in {all:?}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_found_by_its_service() {
    let world = World::new().await;
    world.apply(&world.site("a")).await;
    world.apply(&world.site("b")).await;
    let selector = format!("spec.serviceId={}-b", world.namespace);
    let found = kubectl(&["get", "wps", "-A", "--field-selector", &selector, "-o", "name"]).await;
    assert_eq!(found.trim(), "wordpresssite.hostwright.dev/b");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_and_restores_are_found_by_their_site() {
    let world = World::new().await;
    let namespace = world.namespace.as_str();
    for (short, base, kind) in [
        ("wpb", Base::Backup, "sitebackup"),
        ("wpr", Base::Restore, "siterestore"),
    ] {
        for site in ["a", "b"] {
            let mut object = base.object();
            object["metadata"] = json!({"name": format!("of-{site}"), "namespace": namespace});
            object["spec"]["site"] = json!(site);
            world.apply(&object).await;
        }
        let selector = ["--field-selector", "spec.site=b"];
        let found =
            kubectl(&[&["get", short, "-n", namespace, "-o", "name"][..], &selector[..]].concat()).await;
        assert_eq!(found.trim(), format!("{kind}.hostwright.dev/of-b"));
    }
    world.close().await;
}
