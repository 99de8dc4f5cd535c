//! ISPConfig on its simulator: the contract suites, and what is ISPConfig's own.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hostwright::domain::Fqdn;
use hostwright::domain::dns::{RecordData, RecordKind};
use hostwright::providers::dns_host::{RecordChange, ZoneId};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::http::{HttpSettings, TlsTrust};
use hostwright::providers::ispconfig::{Ispconfig, IspconfigSettings, Tuning, connect_tuned};
use hostwright::providers::{DnsHost, ErrorKind, HealthCheck, ProviderError};
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::ispconfig::{IspconfigOptions, IspconfigSim, SimRecord};
use hostwright::sim::server::Server;

use super::types::{everything, types_suite};
use super::zones::{ZoneFixture, zone_spec, zones_suite};
use super::{CALL_TIMEOUT, Fixture, Scene, address, contract_suite, kind, owner, spec};

use crate::zone_file::{RrRow, SoaRow, zone_file};

const ZONE: &str = "example.com";
/// The pause after a refused log-in, and the panel's window.
const PAUSE: Duration = Duration::from_secs(300);

struct OnIspconfig {
    server: Server,
    sim: IspconfigSim,
    host: Arc<Ispconfig>,
    /// How far the clocks of client and panel are ahead.
    ahead: Arc<Mutex<Duration>>,
}

impl OnIspconfig {
    async fn with(change: impl FnOnce(&mut IspconfigOptions)) -> Self {
        let mut options = IspconfigOptions {
            zones: vec![ZONE.to_owned(), "example.net".to_owned()],
            customers: vec!["P1".to_owned(), "P17".to_owned()],
            ..IspconfigOptions::default()
        };
        change(&mut options);
        let password = IspconfigOptions::default().password;
        let address = "127.0.0.1:0".parse().unwrap();
        let (server, sim) = IspconfigSim::start(options, address, Faults::default())
            .await
            .unwrap();
        let ahead = Arc::new(Mutex::new(Duration::ZERO));
        let host = client(&server, &password, &ahead, gate());
        Self {
            server,
            sim,
            host,
            ahead,
        }
    }

    fn advance(&self, time: Duration) {
        *self.ahead.lock().unwrap() += time;
        self.sim.advance(time);
    }

    fn calls(&self, function: &str) -> u64 {
        let calls = self.server.faults.calls();
        calls
            .get(&format!("POST /remote/json.php?{function}"))
            .copied()
            .unwrap_or_default()
    }

    fn order(&self, function: &str, trouble: Trouble, times: Option<u32>) {
        self.server.faults.order(Fault {
            method: None,
            path_contains: function.to_owned(),
            skip: 0,
            times,
            trouble,
        });
    }

    fn at(&self, name: &str) -> Vec<SimRecord> {
        let mut records = self.sim.records(ZONE);
        let relative = name.strip_suffix(&format!(".{ZONE}")).unwrap_or("");
        let forms = [relative.to_owned(), format!("{name}.")];
        records.retain(|record| forms.contains(&record.name));
        records
    }
}

fn gate() -> Gate {
    let limits = Limits {
        max_concurrent: 64,
        requests_per_second: NonZeroU32::new(10_000).unwrap(),
    };
    Gate::new("isp", limits, Arc::new(NoMeter))
}

fn client(server: &Server, password: &str, ahead: &Arc<Mutex<Duration>>, gate: Gate) -> Arc<Ispconfig> {
    let settings = IspconfigSettings {
        http: HttpSettings {
            bases: vec![server.url()],
            trust: TlsTrust::System,
            plaintext: true,
        },
        username: "operator".to_owned(),
        password: password.to_owned().into(),
        server_id: 1,
        name_servers: ["ns1.example.net", "ns2.example.net"]
            .map(|name| name.parse().unwrap())
            .into(),
    };
    let ahead = Arc::clone(ahead);
    let tuning = Tuning {
        call_timeout: CALL_TIMEOUT,
        now: Arc::new(move || Instant::now() + *ahead.lock().unwrap()),
    };
    connect_tuned(settings, Arc::new(gate), tuning).unwrap()
}

#[async_trait]
impl Fixture for OnIspconfig {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    fn host(&self) -> Arc<dyn DnsHost> {
        self.host.clone()
    }

    fn zone_name(&self) -> Fqdn {
        ZONE.parse().unwrap()
    }

    fn trouble(&self, writes: bool, trouble: Trouble, times: Option<u32>) {
        let functions = match writes {
            true => ["_add", "_update", "_delete"].as_slice(),
            false => &["_get"],
        };
        for function in functions {
            self.order(function, trouble.clone(), times);
        }
    }

    fn no_trouble(&self) {
        self.server.faults.clear();
    }

    fn refuse_credentials(&self) {
        self.sim.set_password("another");
    }

    fn add_foreign(&self, name: &str, data: &RecordData) {
        let kind = data.kind().unwrap();
        let text = data.to_string();
        let (_, content) = text.split_once(' ').unwrap();
        let dot = if kind == RecordKind::A { "" } else { "." };
        let name = name.strip_suffix(&format!(".{ZONE}")).unwrap_or("");
        self.sim
            .add_foreign(ZONE, name, kind.as_str(), &format!("{content}{dot}"), 0)
            .unwrap();
    }

    fn vanish(&self, name: &str) {
        for record in self.at(name) {
            assert!(self.sim.delete_by_hand(record.id));
        }
    }

    fn stored(&self, name: &str) -> Vec<String> {
        let shown = |record: SimRecord| format!("{} {}", record.kind, record.data.trim_end_matches('.'));
        self.at(name).into_iter().map(shown).collect()
    }

    fn writes(&self) -> u64 {
        let calls = self.server.faults.calls();
        let write = |pattern: &str| {
            ["_add", "_update", "_delete"]
                .iter()
                .any(|verb| pattern.ends_with(verb))
        };
        calls
            .iter()
            .filter(|(pattern, _)| write(pattern))
            .map(|(_, count)| count)
            .sum()
    }

    /// What may never happen, whatever the case was about.
    fn finish(&self) {
        assert!(
            self.sim.most_failures() < 5,
            "{} failures",
            self.sim.most_failures()
        );
        assert_eq!(self.calls("dns_zone_get_id"), 0);
        let zones: Vec<u64> = self.sim.zones().iter().map(|zone| zone.id).collect();
        for record in self.sim.all_records() {
            assert!(zones.contains(&record.zone), "left behind: {record:?}");
        }
    }
}

impl ZoneFixture for OnIspconfig {
    fn trouble_with_new_zones(&self, trouble: Trouble, times: Option<u32>) {
        self.order("dns_zone_add", trouble, times);
    }

    fn zones_named(&self, name: &str) -> usize {
        let origin = format!("{name}.");
        self.sim
            .zones()
            .iter()
            .filter(|zone| zone.origin == origin)
            .count()
    }
}

contract_suite!(OnIspconfig);
types_suite!(OnIspconfig);
zones_suite!(OnIspconfig);

async fn scene() -> Scene<OnIspconfig> {
    Scene::open().await
}

fn denied(error: &ProviderError) {
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn many_calls_share_one_log_in() {
    let scene = scene().await;
    let look = || async {
        let reads = (0..50).map(|_| scene.host.records(&scene.zone));
        futures::future::join_all(reads)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
    };
    look().await.unwrap();
    assert_eq!(scene.fixture.calls("login"), 1);
    // Before its end a session is replaced, without a failure.
    scene.fixture.advance(Duration::from_secs(1700));
    look().await.unwrap();
    assert_eq!(scene.fixture.calls("login"), 2);
    assert_eq!(scene.fixture.sim.most_failures(), 0);
}

#[tokio::test]
async fn a_session_that_ended_early_costs_one_log_in_and_few_failures() {
    let scene = scene().await;
    for _ in 0..2 {
        scene.fixture.sim.expire_sessions();
        let before = scene.fixture.calls("login");
        let reads = (0..50).map(|_| scene.host.records(&scene.zone));
        for read in futures::future::join_all(reads).await {
            match read.map_err(|error| error.kind()) {
                // The second time within five minutes may be once too often.
                Ok(_) | Err(ErrorKind::Throttled { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(scene.fixture.calls("login") - before <= 1);
    }
    assert!(
        scene.fixture.sim.most_failures() < 10,
        "{}",
        scene.fixture.sim.most_failures()
    );
    scene.fixture.advance(PAUSE);
    scene.host.records(&scene.zone).await.unwrap();
}

#[tokio::test]
async fn sessions_that_end_all_the_time_never_lock_us_out() {
    let scene = scene().await;
    let mut refused = 0;
    for round in 0..40 {
        scene.fixture.sim.expire_sessions();
        let reads = (0..8).map(|_| scene.host.records(&scene.zone));
        let answers = futures::future::join_all(reads).await;
        refused += answers.iter().filter(|answer| answer.is_err()).count();
        if round % 10 == 9 {
            scene.fixture.advance(Duration::from_secs(100));
        }
    }
    assert!(refused > 0);
    assert!(
        scene.fixture.sim.most_failures() < 10,
        "{}",
        scene.fixture.sim.most_failures()
    );
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_in_five_minutes() {
    let scene = scene().await;
    scene.fixture.sim.set_password("another");
    scene.fixture.server.faults.reset_calls();
    for round in 0..3 {
        for _ in 0..20 {
            let reads = (0..10).map(|_| scene.host.records(&scene.zone));
            for read in futures::future::join_all(reads).await {
                let error = read.unwrap_err();
                denied(&error);
                assert!(error.message().contains("the next try is at"), "{error}");
            }
        }
        denied(&scene.host.check().await.unwrap_err());
        assert_eq!(scene.fixture.calls("login"), round + 1);
        scene.fixture.advance(PAUSE);
    }
    // The failures within one window: a stale call for each of those under way at first, and one log-in.
    assert!(
        scene.fixture.sim.most_failures() <= 5,
        "{}",
        scene.fixture.sim.most_failures()
    );
    scene
        .fixture
        .sim
        .set_password(&IspconfigOptions::default().password);
    scene.host.records(&scene.zone).await.unwrap();
}

#[tokio::test]
async fn a_lock_out_is_waited_for() {
    let scene = scene().await;
    let body =
        r#"{"code":"remote_fault","message":"The Session failure limit has been reached.","response":false}"#;
    let refuse = Trouble::Refuse {
        status: 200,
        body: body.to_owned(),
        retry_after: None,
    };
    scene.fixture.order("dns_rr_get", refuse, Some(1));
    let expected = ErrorKind::Throttled {
        retry_after: Some(PAUSE),
    };
    assert_eq!(
        scene.host.records(&scene.zone).await.unwrap_err().kind(),
        expected
    );
    scene.fixture.server.faults.reset_calls();
    let again = scene.host.zones().await.unwrap_err().kind();
    assert!(matches!(again, ErrorKind::Throttled { .. }), "{again:?}");
    assert_eq!(scene.fixture.server.faults.calls().len(), 0);
    scene.fixture.advance(PAUSE);
    scene.host.zones().await.unwrap();
}

#[tokio::test]
async fn a_changed_address_is_a_new_log_in_and_a_forbidden_one_denied() {
    let scene = scene().await;
    scene.fixture.sim.set_address("192.0.2.201");
    scene.host.records(&scene.zone).await.unwrap();
    let only = |options: &mut IspconfigOptions| options.allowed_address = Some("192.0.2.7".to_owned());
    let fixture = OnIspconfig::with(only).await;
    let error = fixture.host.zones().await.unwrap_err();
    denied(&error);
    assert!(
        error.message().contains("address") && !error.message().contains("192.0.2"),
        "{error}"
    );
}

#[tokio::test]
async fn missing_functions_are_named() {
    let scene = scene().await;
    assert!(scene.host.check().await.unwrap().missing_rights.is_empty());
    let fixture = OnIspconfig::start().await;
    fixture
        .sim
        .deny(&["dns_caa_get", "dns_srv_get", "client_get_id", "server_get"]);
    let health = fixture.host.check().await.unwrap();
    assert_eq!(
        health.missing_rights,
        [
            "dns_caa_add, dns_caa_update, dns_caa_delete",
            "dns_srv_add, dns_srv_update, dns_srv_delete"
        ]
    );
    assert_eq!(
        (health.version.as_str(), health.capabilities),
        ("", vec!["suspended-zones".to_owned()])
    );
    fixture.sim.deny(&[]);
    let health = fixture.host.check().await.unwrap();
    assert_eq!(
        (health.version.as_str(), health.missing_rights.len()),
        ("3.2.12", 0)
    );
    fixture.server.faults.reset_calls();
    fixture.host.check().await.unwrap();
    assert_eq!(
        fixture.server.faults.calls().values().sum::<u64>(),
        2,
        "rights are not probed each time"
    );
}

#[tokio::test]
async fn a_right_that_lacks_for_the_serial_leaves_the_outcome_open() {
    let scene = scene().await;
    scene.fixture.sim.deny(&["dns_zone_update"]);
    let create = RecordChange::Create(spec("shop.example.com", address(1)));
    let error = scene.one(create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous, "{error}");
    assert_eq!(scene.of("shop.example.com").await.len(), 1, "it was stored");
}

#[tokio::test]
async fn names_in_other_forms_are_understood() {
    let scene = scene().await;
    let sim = &scene.fixture.sim;
    for (name, kind, data) in [
        ("Shop", "A", "192.0.2.1"),
        ("shop.example.com.", "A", "192.0.2.2"),
        ("SHOP.EXAMPLE.COM.", "TXT", "\"quoted\""),
        ("alias", "CNAME", "Shop"),
        ("out.other.net.", "A", "192.0.2.3"),
        ("a..b", "A", "192.0.2.4"),
        ("www.shop", "A", "192.0.2.5"),
    ] {
        sim.add_foreign(ZONE, name, kind, data, 0).unwrap();
    }
    let named = scene.of("shop.example.com").await;
    let shown: Vec<String> = named.iter().map(|record| record.spec.data.to_string()).collect();
    assert_eq!(shown, ["A 192.0.2.1", "A 192.0.2.2", "TXT quoted"]);
    let alias = scene.of("alias.example.com").await.remove(0);
    assert_eq!(alias.spec.data.to_string(), "CNAME shop.example.com");
    assert_eq!(scene.records().await.len(), 6, "all but the one without a name");
}

#[tokio::test]
async fn a_record_that_was_switched_off_differs_and_is_switched_on() {
    let scene = scene().await;
    let made = scene.create(&spec("shop.example.com", address(1))).await;
    let id = made.id.0.parse().unwrap();
    scene
        .fixture
        .sim
        .edit_by_hand(id, |record| record.active = "N".to_owned());
    let seen = scene.of("shop.example.com").await.remove(0);
    assert_eq!(seen.spec.data.to_string(), "A 192.0.2.1 (inactive)");
    let updated = scene
        .one(RecordChange::Update(seen, made.spec.clone()))
        .await
        .unwrap();
    assert_eq!(updated, Some(made));
    assert_eq!(scene.fixture.sim.records(ZONE)[0].active, "Y");
}

#[tokio::test]
async fn ids_that_are_no_numbers_are_never_sent() {
    let scene = scene().await;
    let mut made = scene.create(&spec("shop.example.com", address(1))).await;
    made.id.0 = "1 OR 1=1".to_owned();
    let outcome = scene.one(RecordChange::Delete(made)).await;
    assert_eq!(kind(&outcome), ErrorKind::Invalid);
    let zone = ZoneId("1 OR 1=1".to_owned());
    assert_eq!(
        scene.host.delete_zone(&zone).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    assert_eq!(scene.fixture.sim.records(ZONE).len(), 1);
}

#[tokio::test]
async fn names_that_would_become_the_apex_are_refused() {
    let scene = scene().await;
    for name in [
        "r3---sn.example.com",
        "xn--99999999.example.com",
        "shop.example.org",
    ] {
        let outcome = scene.one(RecordChange::Create(spec(name, address(1)))).await;
        assert_eq!(kind(&outcome), ErrorKind::Invalid, "{name}");
    }
    assert_eq!(scene.fixture.writes(), 0);
}

#[tokio::test]
async fn one_change_is_one_write() {
    let scene = scene().await;
    let made = scene.create(&spec("shop.example.com", address(1))).await;
    scene.fixture.server.faults.reset_calls();
    let update = [RecordChange::Update(made, spec("shop.example.com", address(2)))];
    let outcomes = scene.host.apply(&scene.zone, &update, &owner('1')).await;
    assert!(outcomes[0].is_ok());
    assert_eq!(
        scene
            .fixture
            .server
            .faults
            .calls()
            .into_iter()
            .collect::<Vec<_>>(),
        [("POST /remote/json.php?dns_a_update".to_owned(), 1)]
    );
}

#[tokio::test]
async fn a_lost_answer_keeps_the_rest_unsent() {
    let scene = scene().await;
    scene.fixture.order("dns_a_add", Trouble::CutAfter, Some(1));
    let creates: Vec<RecordChange> = (0..3)
        .map(|n| RecordChange::Create(spec(&format!("n{n}.example.com"), address(1))))
        .collect();
    let outcomes = scene.host.apply(&scene.zone, &creates, &owner('1')).await;
    assert_eq!(kind(&outcomes[0]), ErrorKind::Ambiguous);
    for outcome in &outcomes[1..] {
        assert_eq!(kind(outcome), ErrorKind::Unavailable);
        assert!(outcome.as_ref().unwrap_err().message().starts_with("not sent"));
    }
    assert_eq!(scene.fixture.sim.records(ZONE).len(), 1);
}

#[tokio::test]
async fn a_zone_of_a_customer_stays_the_customers() {
    let scene = scene().await;
    let mut wanted = zone_spec("customer.example.org");
    wanted.customer = Some("P99".to_owned());
    let error = scene.host.create_zone(&wanted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("P99"), "{error}");
    wanted.customer = Some("P17".to_owned());
    let zone = scene.host.create_zone(&wanted).await.unwrap();
    let create = [RecordChange::Create(spec("customer.example.org", address(1)))];
    let record = scene
        .host
        .apply(&zone.id, &create, &owner('1'))
        .await
        .remove(0)
        .unwrap()
        .unwrap();
    let update = [RecordChange::Update(
        record,
        spec("customer.example.org", address(2)),
    )];
    scene
        .host
        .apply(&zone.id, &update, &owner('1'))
        .await
        .remove(0)
        .unwrap();
    wanted.active = false;
    scene.host.update_zone(&zone.id, &wanted).await.unwrap();
    let sim = &scene.fixture.sim;
    let zone = sim
        .zones()
        .into_iter()
        .find(|zone| zone.origin == "customer.example.org.")
        .unwrap();
    assert_eq!((zone.client, zone.active.as_str()), (2, "N"));
    let records = sim.records("customer.example.org");
    assert_eq!(
        (records[0].client, records[0].server, records[0].data.as_str()),
        (2, 1, "192.0.2.2")
    );
    assert_eq!(
        scene.fixture.calls("client_get_id"),
        1,
        "asked once for each customer"
    );
}

#[tokio::test]
async fn a_zone_goes_only_when_it_is_empty() {
    let scene = scene().await;
    let sim = &scene.fixture.sim;
    let zone = scene
        .host
        .create_zone(&zone_spec("gone.example.org"))
        .await
        .unwrap();
    for (name, server) in [
        ("", "ns1.example.net."),
        ("gone.example.org.", "NS2.example.net."),
    ] {
        sim.add_foreign("gone.example.org", name, "NS", server, 0)
            .unwrap();
    }
    let others: Vec<u64> = [
        ("www", "A", "192.0.2.9"),
        ("", "NS", "ns1.else.example."),
        ("", "MX", "mail"),
    ]
    .into_iter()
    .map(|(name, kind, data)| sim.add_foreign("gone.example.org", name, kind, data, 0).unwrap())
    .collect();
    for (place, id) in others.into_iter().enumerate() {
        let error = scene.host.delete_zone(&zone.id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert_eq!(
            error.message().contains("A www.gone.example.org"),
            place == 0,
            "{error}"
        );
        assert_eq!(sim.records("gone.example.org").len(), 5 - place);
        sim.delete_by_hand(id);
    }
    scene.host.delete_zone(&zone.id).await.unwrap();
    assert_eq!(sim.zone_id("gone.example.org"), None);
    scene.fixture.finish();
}

#[tokio::test]
async fn zones_are_listed_in_pages() {
    let scene = scene().await;
    for n in 0..450 {
        scene.fixture.sim.add_zone(&format!("z{n}.example.org"));
    }
    scene.fixture.server.faults.reset_calls();
    let zones = scene.host.zones().await.unwrap();
    assert_eq!(zones.len(), 452);
    assert_eq!(scene.fixture.calls("dns_zone_get"), 3);
    let ids: std::collections::BTreeSet<&ZoneId> = zones.iter().map(|zone| &zone.id).collect();
    assert_eq!(ids.len(), 452, "none twice");
    assert!(
        zones
            .iter()
            .all(|zone| zone.active && zone.soa.is_some() && zone.serial.is_some())
    );
}

#[tokio::test]
async fn words_of_the_panel_stay_inside() {
    let scene = scene().await;
    let sql = "You have an error in your SQL syntax near 'AND 1' DELETE FROM `dns_rr` <br />";
    let body = serde_json::json!({"code": "remote_fault", "message": sql, "response": false}).to_string();
    let refuse = Trouble::Refuse {
        status: 200,
        body,
        retry_after: None,
    };
    scene.fixture.order("dns_a_add", refuse, Some(1));
    let create = RecordChange::Create(spec("shop.example.com", address(1)));
    let error = scene.one(create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert!(
        !error.message().contains("SQL") && !error.message().contains('<'),
        "{error}"
    );
    assert_eq!(error.detail(), Some(sql));
}

#[tokio::test]
async fn a_dry_run_reads_and_does_not_write() {
    let scene = scene().await;
    let password = IspconfigOptions::default().password;
    let host = client(
        &scene.fixture.server,
        &password,
        &scene.fixture.ahead,
        gate().read_only(),
    );
    assert_eq!(host.records(&scene.zone).await.unwrap(), []);
    assert!(host.check().await.unwrap().missing_rights.is_empty());
    let create = [RecordChange::Create(spec("shop.example.com", address(1)))];
    let outcomes = host.apply(&scene.zone, &create, &owner('1')).await;
    assert_eq!(kind(&outcomes[0]), ErrorKind::Denied);
    assert_eq!(
        host.create_zone(&zone_spec("a.example.org"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Denied
    );
    assert_eq!(scene.fixture.writes(), 0);
}

/// The file that the panel's daemon makes of what is stored.
fn written(sim: &IspconfigSim) -> Option<Vec<u8>> {
    let zone = sim
        .zones()
        .into_iter()
        .find(|zone| zone.origin == format!("{ZONE}."))?;
    let [refresh, retry, expire, minimum, ttl] = zone.times.map(|seconds| seconds.to_string());
    let soa = SoaRow {
        origin: zone.origin,
        ns: zone.ns,
        mbox: zone.mbox,
        serial: zone.serial.to_string(),
        refresh,
        retry,
        expire,
        minimum,
        ttl,
        active: zone.active,
    };
    let row = |record: SimRecord| RrRow {
        name: record.name,
        kind: record.kind,
        data: record.data,
        aux: record.aux.to_string(),
        ttl: record.ttl.to_string(),
        active: record.active,
    };
    let rows: Vec<RrRow> = sim.records(ZONE).into_iter().map(row).collect();
    zone_file(&soa, &rows)
}

/// What the panel's daemon writes is accepted by BIND's own checker, where that is installed.
#[tokio::test]
async fn the_daemons_zone_file_loads() {
    let scene = scene().await;
    let mut specs = everything();
    for server in ["ns1.example.net", "ns2.example.net"] {
        specs.push(spec(ZONE, RecordData::Ns(server.parse().unwrap())));
    }
    specs.push(spec("mail.example.com", address(9)));
    for before in 250..=256 {
        let text = format!("{}\"\\;\u{20ac}(\u{1f600}{}", "d".repeat(before), "e".repeat(300));
        specs.push(spec(&format!("t{before}.example.com"), RecordData::Txt(text)));
    }
    let creates: Vec<RecordChange> = specs.into_iter().map(RecordChange::Create).collect();
    for outcome in scene.apply(&creates).await {
        outcome.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("zone");
    std::fs::write(&file, written(&scene.fixture.sim).unwrap()).unwrap();
    let checked = std::process::Command::new("named-checkzone")
        .arg(ZONE)
        .arg(&file)
        .output();
    match checked {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Err(error) => eprintln!("SKIPPED: named-checkzone is not there: {error}"),
    }
}
