//! Cloudflare on its simulator: the contract suite, and what is Cloudflare's own.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hostwright::domain::Fqdn;
use hostwright::providers::cloudflare::{CloudflareSettings, connect_within};
use hostwright::providers::dns_host::{RecordChange, RecordData, RecordSpec, ZoneId};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::http::{HttpSettings, TlsTrust};
use hostwright::providers::{DnsHost, ErrorKind};
use hostwright::sim::cloudflare::{
    BASE_PATH, CloudflareOptions, CloudflareSim, Exchange, RateLimit, Rights, TokenScope,
};
use hostwright::sim::faults::{Fault, Faults, Trouble};
use hostwright::sim::server::Server;

use super::openapi::{Contract, Seen};
use super::{CALL_TIMEOUT, Fixture, Scene, address, contract_suite, kind, owner, spec};

pub(super) const ZONE: &str = "example.com";
const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

pub(super) struct OnCloudflare {
    pub server: Server,
    pub sim: CloudflareSim,
    host: Arc<dyn DnsHost>,
}

impl OnCloudflare {
    pub async fn with(change: impl FnOnce(&mut CloudflareOptions), zone_id: Option<&str>) -> Self {
        let mut options = CloudflareOptions {
            zones: vec![ZONE.to_owned(), "example.net".to_owned()],
            record_quota: Some(20_000),
            ..CloudflareOptions::default()
        };
        change(&mut options);
        let token = options.token.clone();
        let address = "127.0.0.1:0".parse().unwrap();
        let (server, sim) = CloudflareSim::start(options, address, Faults::default())
            .await
            .unwrap();
        sim.keep_exchanges();
        let id = zone_id.map(|name| ZoneId(sim.zone_id(name).unwrap()));
        let host = client(&server, &token, id);
        Self { server, sim, host }
    }

    pub fn calls(&self, pattern: &str) -> u64 {
        self.server
            .faults
            .calls()
            .get(pattern)
            .copied()
            .unwrap_or_default()
    }
}

pub(super) fn settings(server: &Server, token: &str, zone_id: Option<ZoneId>) -> CloudflareSettings {
    CloudflareSettings {
        http: HttpSettings {
            bases: vec![format!("{}{BASE_PATH}", server.url())],
            trust: TlsTrust::System,
            plaintext: true,
        },
        api_token: token.to_owned().into(),
        zone_id,
        account_id: None,
    }
}

pub(super) fn gate() -> Gate {
    let limits = Limits {
        max_concurrent: 8,
        requests_per_second: NonZeroU32::new(10_000).unwrap(),
    };
    Gate::new("dns", limits, Arc::new(NoMeter))
}

fn client(server: &Server, token: &str, zone_id: Option<ZoneId>) -> Arc<dyn DnsHost> {
    connect_within(settings(server, token, zone_id), Arc::new(gate()), CALL_TIMEOUT).unwrap()
}

#[async_trait]
impl Fixture for OnCloudflare {
    async fn start() -> Self {
        Self::with(|_| {}, None).await
    }

    fn host(&self) -> Arc<dyn DnsHost> {
        Arc::clone(&self.host)
    }

    fn zone_name(&self) -> Fqdn {
        ZONE.parse().unwrap()
    }

    fn trouble(&self, writes: bool, trouble: Trouble, times: Option<u32>) {
        let methods = if writes { WRITES.as_slice() } else { &["GET"] };
        for method in methods {
            self.server.faults.order(Fault {
                method: Some((*method).to_owned()),
                path_contains: "/dns_records".to_owned(),
                skip: 0,
                times,
                trouble: trouble.clone(),
            });
        }
    }

    fn no_trouble(&self) {
        self.server.faults.clear();
    }

    fn refuse_credentials(&self) {
        self.sim.expire_token();
    }

    fn add_foreign(&self, name: &str, data: &RecordData) {
        let text = data.to_string();
        let (kind, content) = text.split_once(' ').unwrap();
        self.sim
            .add_foreign_record(ZONE, name, kind, content, Some("by hand"))
            .unwrap();
    }

    fn vanish(&self, name: &str) {
        for record in self.sim.records(ZONE).iter().filter(|record| record.name == name) {
            assert!(self.sim.delete_by_hand(&record.id));
        }
    }

    fn stored(&self, name: &str) -> Vec<String> {
        let records = self.sim.records(ZONE);
        let named = records.iter().filter(|record| record.name == name);
        named
            .map(|record| match record.priority {
                Some(priority) => format!("{} {priority} {}", record.kind, record.content),
                None => format!("{} {}", record.kind, record.content),
            })
            .collect()
    }

    fn writes(&self) -> u64 {
        let calls = self.server.faults.calls();
        let write = |pattern: &str| WRITES.iter().any(|method| pattern.starts_with(method));
        calls
            .iter()
            .filter(|(pattern, _)| write(pattern))
            .map(|(_, count)| count)
            .sum()
    }

    /// Every request and every answer, against the vendor's schema.
    fn finish(&self) {
        let exchanges = self.sim.take_exchanges();
        assert!(!exchanges.is_empty());
        let Some(contract) = Contract::load("cloudflare-dns-openapi-subset.json") else {
            return;
        };
        // The subset of the schema has zones and records only.
        let known = |exchange: &&Exchange| exchange.path != "/accounts";
        for exchange in exchanges.iter().filter(known) {
            let seen = Seen {
                method: &exchange.method,
                path: &exchange.path,
                query: &exchange.query,
                request: exchange.request.as_ref(),
                status: exchange.status,
                response: exchange.response.as_ref(),
            };
            let violations = contract.violations(&seen);
            assert!(violations.is_empty(), "{violations:#?} in {exchange:?}");
        }
    }
}

contract_suite!(OnCloudflare);

/// A scene with other options.
pub(super) async fn scene(
    change: impl FnOnce(&mut CloudflareOptions),
    zone_id: Option<&str>,
) -> Scene<OnCloudflare> {
    let fixture = OnCloudflare::with(change, zone_id).await;
    let host = fixture.host();
    let zone = ZoneId(fixture.sim.zone_id(ZONE).unwrap());
    Scene::at(fixture, host, zone)
}

pub(super) fn creates(count: usize) -> Vec<RecordChange> {
    (0..count)
        .map(|n| RecordChange::Create(spec(&format!("n{n}.example.com"), address(1))))
        .collect()
}

#[tokio::test]
async fn the_mark_is_the_comment() {
    let scene = scene(|_| {}, None).await;
    scene.create(&spec("shop.example.com", address(1))).await;
    let record = scene.fixture.sim.records(ZONE).remove(0);
    assert_eq!(record.comment, Some(owner('1').to_string()));
    assert_eq!(
        scene.fixture.sim.leftovers("hostwright:test:"),
        std::slice::from_ref(&record)
    );
    scene
        .fixture
        .sim
        .edit_by_hand(&record.id, |record| record.comment = Some("mine now".to_owned()));
    assert_eq!(scene.of("shop.example.com").await[0].mark, None);
    assert_eq!(scene.fixture.sim.leftovers("hostwright:test:"), []);
    scene.fixture.finish();
}

#[tokio::test]
async fn a_proxied_record_shows_no_difference() {
    let scene = scene(|_| {}, None).await;
    let wanted = RecordSpec {
        proxied: true,
        ttl: Some(300),
        ..spec("shop.example.com", address(1))
    };
    let made = scene.create(&wanted).await;
    assert_eq!((made.spec.proxied, made.spec.ttl), (true, None));
    let before = scene.fixture.writes();
    assert_eq!(
        scene
            .one(RecordChange::Update(made.clone(), wanted.clone()))
            .await,
        Ok(Some(made.clone()))
    );
    assert_eq!(scene.create(&wanted).await, made);
    // The create is refused as existing; nothing else was written.
    assert_eq!(scene.fixture.writes(), before + 1);
    scene.fixture.finish();
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    let scene = scene(|_| {}, None).await;
    let made = scene.create(&spec("shop.example.com", address(1))).await;
    scene
        .one(RecordChange::Update(made, spec("shop.example.com", address(2))))
        .await
        .unwrap();
    assert_eq!(scene.fixture.calls("PATCH /client/v4/zones/*/dns_records/*"), 1);
    let puts = scene
        .fixture
        .server
        .faults
        .calls()
        .into_keys()
        .filter(|call| call.starts_with("PUT"))
        .count();
    assert_eq!(puts, 0);
    scene.fixture.finish();
}

#[tokio::test]
async fn many_changes_are_few_calls() {
    let scene = scene(|_| {}, None).await;
    scene.fixture.server.faults.reset_calls();
    assert!(scene.apply(&creates(401)).await.iter().all(Result::is_ok));
    let batch = "POST /client/v4/zones/*/dns_records/batch";
    assert_eq!(
        (scene.fixture.calls(batch), scene.fixture.writes()),
        (2, 3),
        "200, 200 and a single one"
    );
    let records = scene.host.records(&scene.zone).await.unwrap();
    scene.fixture.server.faults.reset_calls();
    let deletes: Vec<RecordChange> = records.into_iter().map(RecordChange::Delete).collect();
    assert!(scene.apply(&deletes).await.iter().all(Result::is_ok));
    assert_eq!(
        scene
            .fixture
            .server
            .faults
            .calls()
            .keys()
            .filter(|call| call.starts_with("GET"))
            .count(),
        0,
        "what was read in the pass is not read again"
    );
    assert_eq!(scene.fixture.writes(), 3);
    scene.fixture.finish();
}

#[tokio::test]
async fn the_guilty_one_of_a_batch_is_found_by_halving() {
    let scene = scene(|_| {}, None).await;
    let alias = RecordData::Cname("else.example.net".parse().unwrap());
    scene.fixture.add_foreign("n77.example.com", &alias);
    let outcomes = scene.apply(&creates(200)).await;
    let refused: Vec<usize> = (0..200).filter(|place| outcomes[*place].is_err()).collect();
    assert_eq!((refused, kind(&outcomes[77])), (vec![77], ErrorKind::Conflict));
    assert_eq!(scene.fixture.sim.records(ZONE).len(), 200);
    assert!(scene.fixture.writes() <= 19, "{}", scene.fixture.writes());
    scene.fixture.finish();
}

#[tokio::test]
async fn a_full_zone_still_lets_records_go() {
    let scene = scene(|options| options.record_quota = Some(12), None).await;
    let outcomes = scene.apply(&creates(30)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 12);
    let refused = outcomes
        .iter()
        .find_map(|outcome| outcome.as_ref().err())
        .unwrap();
    assert!(refused.message().contains("quota"), "{refused}");
    let mut changes = creates(30).split_off(20);
    let gone = scene.host.records(&scene.zone).await.unwrap().remove(0);
    changes.push(RecordChange::Delete(gone));
    scene.fixture.server.faults.reset_calls();
    let outcomes = scene.apply(&changes).await;
    assert_eq!(outcomes.last(), Some(&Ok(None)));
    assert_eq!(
        outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
        2,
        "one out, one in"
    );
    assert!(
        scene.fixture.writes() < 12,
        "no call for each record that cannot fit"
    );
    scene.fixture.finish();
}

#[tokio::test]
async fn a_name_outside_of_the_zone_is_refused() {
    let scene = scene(|_| {}, None).await;
    let stray = || RecordChange::Create(spec("a.example.org", address(1)));
    // The zone's name is not known yet, so that only the answer tells; what was written is removed.
    assert_eq!(kind(&scene.one(stray()).await), ErrorKind::Invalid);
    let mut batch = creates(2);
    batch.push(stray());
    let outcomes = scene.apply(&batch).await;
    assert_eq!(
        (outcomes[0].is_ok(), kind(&outcomes[2])),
        (true, ErrorKind::Invalid)
    );
    assert_eq!(scene.fixture.sim.records(ZONE).len(), 2);
    // Once it is known, nothing is sent.
    scene.host.zone(&ZONE.parse().unwrap()).await.unwrap().unwrap();
    let before = scene.fixture.writes();
    assert_eq!(kind(&scene.one(stray()).await), ErrorKind::Invalid);
    assert_eq!(scene.fixture.writes(), before);
    scene.fixture.finish();
}

#[tokio::test]
async fn ten_thousand_records_are_read_in_three_pages() {
    let scene = scene(|_| {}, None).await;
    for n in 0..10_001 {
        let name = format!("n{n}.example.com");
        scene
            .fixture
            .sim
            .add_foreign_record(ZONE, &name, "A", "192.0.2.9", None)
            .unwrap();
    }
    scene
        .fixture
        .sim
        .add_foreign_record(ZONE, "_dmarc.example.com", "TXT", "v=DMARC1", None)
        .unwrap();
    assert_eq!(scene.host.records(&scene.zone).await.unwrap().len(), 10_002);
    assert_eq!(scene.fixture.calls("GET /client/v4/zones/*/dns_records"), 3);
    assert_eq!(scene.of("n7.example.com").await.len(), 1);
}

#[tokio::test]
async fn a_listing_that_is_too_short_is_no_listing() {
    let scene = scene(|_| {}, None).await;
    let envelope = |info: &str| {
        format!(r#"{{"success":true,"errors":[],"messages":[],"result":[],"result_info":{info}}}"#)
    };
    for info in [r#"{"total_count":3,"total_pages":1}"#, "{}", "null"] {
        let refuse = Trouble::Refuse {
            status: 200,
            body: envelope(info),
            retry_after: None,
        };
        scene.fixture.trouble(false, refuse, Some(1));
        let error = scene.host.records(&scene.zone).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{info}");
    }
}

#[tokio::test]
async fn a_token_for_one_zone_needs_no_listing() {
    let change = |options: &mut CloudflareOptions| options.token_scope = TokenScope::Zone(ZONE.to_owned());
    let scene = scene(change, Some(ZONE)).await;
    let other: Fqdn = "example.net".parse().unwrap();
    for zone_read in [true, false] {
        scene.fixture.sim.set_rights(Rights {
            zone_read,
            zone_edit: false,
            ..Rights::ALL
        });
        let found = scene.host.zone(&ZONE.parse().unwrap()).await.unwrap();
        assert_eq!(found.map(|zone| zone.id), Some(scene.zone.clone()));
        assert!(scene.host.check().await.unwrap().missing_rights.is_empty());
        scene.create(&spec("shop.example.com", address(1))).await;
        assert_eq!(
            scene.host.zone(&other).await,
            Ok(None),
            "told by the zone or by its records"
        );
    }
    assert_eq!(scene.fixture.calls("GET /client/v4/zones"), 0);
    scene.fixture.finish();
}

#[tokio::test]
async fn missing_rights_are_named() {
    let scene = scene(|_| {}, None).await;
    let sim = &scene.fixture.sim;
    for (rights, expected) in [
        (
            Rights {
                zone_read: false,
                ..Rights::ALL
            },
            "Zone:Read",
        ),
        (
            Rights {
                dns_edit: false,
                ..Rights::ALL
            },
            "DNS:Edit",
        ),
        (
            Rights {
                dns_edit: false,
                dns_read: false,
                ..Rights::ALL
            },
            "DNS:Edit",
        ),
    ] {
        sim.set_rights(rights);
        let missing = scene.host.check().await.unwrap().missing_rights;
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert!(missing[0].starts_with(expected), "{missing:?}");
    }
    scene.fixture.finish();
}

#[tokio::test]
async fn a_token_of_an_account_is_unknown_to_the_users_address_only() {
    let scene = scene(|_| {}, None).await;
    let body = r#"{"success":false,"errors":[{"code":1000,"message":"x"}],"messages":[],"result":null}"#;
    scene.fixture.server.faults.order(Fault {
        method: None,
        path_contains: "/user/tokens/verify".to_owned(),
        skip: 0,
        times: None,
        trouble: Trouble::Refuse {
            status: 401,
            body: body.to_owned(),
            retry_after: None,
        },
    });
    assert!(scene.host.check().await.unwrap().missing_rights.is_empty());
}

#[tokio::test]
async fn a_zone_is_looked_up_once() {
    let scene = scene(|_| {}, None).await;
    for _ in 0..3 {
        scene.host.zone(&ZONE.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(scene.host.zone(&"example.org".parse().unwrap()).await, Ok(None));
    }
    assert_eq!(
        scene.fixture.calls("GET /client/v4/zones"),
        4,
        "absence is not remembered"
    );
}

#[tokio::test]
async fn nothing_is_sent_while_blocked() {
    let scene = scene(|_| {}, None).await;
    let window = Duration::from_secs(300);
    scene
        .fixture
        .sim
        .set_rate_limit(Some(RateLimit { requests: 0, window }));
    let throttled = |error: ErrorKind| matches!(error, ErrorKind::Throttled { retry_after: Some(_) });
    let error = scene.host.records(&scene.zone).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Throttled {
            retry_after: Some(window)
        }
    );
    scene.fixture.server.faults.reset_calls();
    assert!(throttled(
        scene.host.records(&scene.zone).await.unwrap_err().kind()
    ));
    let outcomes = scene.apply(&creates(500)).await;
    assert!(outcomes.iter().all(|outcome| throttled(kind(outcome))));
    assert_eq!(scene.fixture.server.faults.calls().len(), 0);
    scene.fixture.finish();
}

#[tokio::test]
async fn a_block_in_the_middle_stops_the_rest() {
    let scene = scene(|_| {}, None).await;
    scene.fixture.server.faults.order(Fault {
        method: Some("POST".to_owned()),
        path_contains: "/batch".to_owned(),
        skip: 1,
        times: Some(1),
        trouble: Trouble::Refuse {
            status: 429,
            body: "error code: 1015".to_owned(),
            retry_after: Some(60),
        },
    });
    let outcomes = scene.apply(&creates(600)).await;
    assert!(outcomes[..200].iter().all(Result::is_ok));
    let throttled = |outcome| matches!(kind(outcome), ErrorKind::Throttled { retry_after: Some(_) });
    assert!(outcomes[200..].iter().all(throttled));
    assert_eq!(scene.fixture.writes(), 2);
    scene.fixture.finish();
}

#[tokio::test]
async fn calls_slow_down_before_the_limit_is_reached() {
    let scene = scene(|_| {}, None).await;
    let window = Duration::from_secs(300);
    scene
        .fixture
        .sim
        .set_rate_limit(Some(RateLimit { requests: 20, window }));
    let mut answered = 0;
    let refused = loop {
        match scene.host.records(&scene.zone).await {
            Ok(_) => answered += 1,
            Err(error) => break error.kind(),
        }
        assert!(answered < 20, "the limit was reached");
    };
    assert!(
        matches!(refused, ErrorKind::Throttled { retry_after: Some(_) }),
        "{refused:?}"
    );
    assert_eq!(answered, 19, "a tenth of the quota is kept for others");
    assert_eq!(
        scene.fixture.calls("GET /client/v4/zones/*/dns_records"),
        19,
        "refused by ourselves"
    );
}

#[tokio::test]
async fn a_dry_run_reads_and_does_not_write() {
    let scene = scene(|_| {}, None).await;
    let token = CloudflareOptions::default().token;
    let settings = settings(&scene.fixture.server, &token, None);
    let host = connect_within(settings, Arc::new(gate().read_only()), CALL_TIMEOUT).unwrap();
    assert_eq!(host.records(&scene.zone).await.unwrap(), []);
    let outcomes = host.apply(&scene.zone, &creates(2), &owner('1')).await;
    assert!(outcomes.iter().all(|outcome| kind(outcome) == ErrorKind::Denied));
    assert_eq!(scene.fixture.writes(), 0);
}
