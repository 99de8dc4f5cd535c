//! The contract suite of `DnsHost`. A back-end joins with a [`Fixture`] and one line of [`contract_suite!`].

mod cloudflare;
mod cloudflare_types;
mod cloudflare_zones;
mod ispconfig;
mod openapi;
mod simulator;
mod types;
mod unmarked;
mod zones;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hostwright::domain::{Fqdn, OwnerMark};
use hostwright::providers::dns_host::{Record, RecordChange, RecordData, RecordSpec, ZoneId};
use hostwright::providers::{DnsHost, ErrorKind, ProviderError};
use hostwright::sim::faults::Trouble;

use self::unmarked::Memory;

/// Limit of one call in the suite, so that time-outs are reached soon; far above what loopback needs.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A back-end with one empty zone, and hands to reach behind it.
#[async_trait]
trait Fixture: Send + Sync {
    /// A fresh one.
    async fn start() -> Self
    where
        Self: Sized;
    fn host(&self) -> Arc<dyn DnsHost>;
    fn zone_name(&self) -> Fqdn;
    /// Orders a trouble for the next calls that read, or that write.
    fn trouble(&self, writes: bool, trouble: Trouble, times: Option<u32>);
    fn no_trouble(&self);
    fn refuse_credentials(&self);
    /// Somebody else's record.
    fn add_foreign(&self, name: &str, data: &RecordData);
    /// Somebody deletes every record of a name by hand.
    fn vanish(&self, name: &str);
    /// Everything that the back-end has at a name, as type and content.
    fn stored(&self, name: &str) -> Vec<String>;
    /// Calls that write, so far.
    fn writes(&self) -> u64;
    /// Last comparisons, such as with the vendor's schema.
    fn finish(&self);
}

fn owner(last: char) -> OwnerMark {
    let mark = format!("hostwright:test:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b1{last}");
    mark.parse().unwrap()
}

fn address(last: u8) -> RecordData {
    RecordData::A(Ipv4Addr::new(192, 0, 2, last))
}

fn spec(name: &str, data: RecordData) -> RecordSpec {
    RecordSpec {
        name: name.parse().unwrap(),
        data,
        ttl: Some(600),
        proxied: false,
    }
}

/// A fixture with its zone's id at hand.
struct Scene<F> {
    fixture: F,
    host: Arc<dyn DnsHost>,
    zone: ZoneId,
    /// What a caller remembers where records carry no marks.
    memory: Memory,
}

type Outcome = Result<Option<Record>, ProviderError>;

impl<F: Fixture> Scene<F> {
    async fn open() -> Self {
        let fixture = F::start().await;
        let host = fixture.host();
        let zone = host.zone(&fixture.zone_name()).await.unwrap().unwrap().id;
        Self::at(fixture, host, zone)
    }

    fn at(fixture: F, host: Arc<dyn DnsHost>, zone: ZoneId) -> Self {
        let memory = Memory::default();
        Self {
            fixture,
            host,
            zone,
            memory,
        }
    }

    async fn apply(&self, changes: &[RecordChange]) -> Vec<Outcome> {
        let outcomes = match self.host.abilities().marks {
            true => self.host.apply(&self.zone, changes, &owner('1')).await,
            false => {
                self.memory
                    .apply(&*self.host, &self.zone, changes, &owner('1'))
                    .await
            }
        };
        assert_eq!(outcomes.len(), changes.len());
        outcomes
    }

    fn marked(&self, mut records: Vec<Record>) -> Vec<Record> {
        if !self.host.abilities().marks {
            self.memory.mark(&mut records, &owner('1'));
        }
        records
    }

    async fn records(&self) -> Vec<Record> {
        self.marked(self.host.records(&self.zone).await.unwrap())
    }

    async fn one(&self, change: RecordChange) -> Outcome {
        self.apply(&[change]).await.remove(0)
    }

    async fn create(&self, spec: &RecordSpec) -> Record {
        self.one(RecordChange::Create(spec.clone()))
            .await
            .unwrap()
            .unwrap()
    }

    async fn of(&self, name: &str) -> Vec<Record> {
        let name = name.parse().unwrap();
        self.marked(self.host.records_of(&self.zone, &name).await.unwrap())
    }
}

fn kind(outcome: &Outcome) -> ErrorKind {
    outcome.as_ref().unwrap_err().kind()
}

async fn a_zone_is_found_by_its_exact_name<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let other = format!("other-{}", scene.fixture.zone_name()).parse().unwrap();
    assert_eq!(scene.host.zone(&other).await.unwrap(), None);
    let below = format!("sub.{}", scene.fixture.zone_name()).parse().unwrap();
    assert_eq!(scene.host.zone(&below).await.unwrap(), None);
    let health = scene.host.check().await.unwrap();
    assert_eq!(health.missing_rights, Vec::<String>::new());
    scene.fixture.finish();
}

async fn a_record_lives_from_create_to_delete<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let wanted = spec("shop.example.com", address(1));
    let made = scene.create(&wanted).await;
    assert_eq!((&made.spec, &made.mark), (&wanted, &Some(owner('1'))));
    assert_eq!(scene.of("shop.example.com").await, std::slice::from_ref(&made));
    assert_eq!(scene.records().await, std::slice::from_ref(&made));

    let moved = RecordSpec {
        ttl: Some(300),
        ..spec("shop.example.com", address(2))
    };
    let update = RecordChange::Update(made.clone(), moved.clone());
    let updated = scene.one(update).await.unwrap().unwrap();
    assert_eq!((&updated.id, &updated.spec), (&made.id, &moved));
    assert_eq!(scene.fixture.stored("shop.example.com"), ["A 192.0.2.2"]);

    let before = scene.fixture.writes();
    let again = RecordChange::Update(updated.clone(), moved);
    assert_eq!(scene.one(again).await.unwrap().unwrap(), updated);
    assert_eq!(
        scene.fixture.writes(),
        before,
        "an update to what is there is no write"
    );

    assert_eq!(scene.one(RecordChange::Delete(made.clone())).await, Ok(None));
    assert_eq!(scene.fixture.stored("shop.example.com"), Vec::<String>::new());
    assert_eq!(scene.one(RecordChange::Delete(made)).await, Ok(None));
    assert_eq!(scene.of("shop.example.com").await, []);
    scene.fixture.finish();
}

async fn every_type_reads_back_as_it_was_written<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let alias = RecordData::Cname("target.example.net".parse().unwrap());
    for wanted in [
        spec("v4.example.com", address(1)),
        spec("v6.example.com", RecordData::Aaaa("2001:db8::a".parse().unwrap())),
        RecordSpec {
            ttl: Some(86400),
            ..spec("alias.example.com", alias)
        },
        spec("example.com", address(3)),
    ] {
        let made = scene.create(&wanted).await;
        assert_eq!(made.spec, wanted);
        assert_eq!(scene.of(wanted.name.as_str()).await, [made]);
    }
    scene.fixture.finish();
}

async fn creating_again_finds_the_first<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let wanted = spec("shop.example.com", address(1));
    let first = scene.create(&wanted).await;
    assert_eq!(scene.create(&wanted).await, first);
    assert_eq!(scene.fixture.stored("shop.example.com").len(), 1);
    scene.fixture.finish();
}

async fn foreign_records_are_seen_and_left_alone<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    scene.fixture.add_foreign("mail.example.com", &address(9));
    let seen = scene.of("mail.example.com").await.remove(0);
    assert_eq!((&seen.spec.data, &seen.mark), (&address(9), &None));
    let update = RecordChange::Update(seen.clone(), spec("mail.example.com", address(1)));
    assert_eq!(kind(&scene.one(update).await), ErrorKind::Conflict);
    assert_eq!(
        kind(&scene.one(RecordChange::Delete(seen)).await),
        ErrorKind::Conflict
    );
    // The very same content is still not ours.
    let create = RecordChange::Create(spec("mail.example.com", address(9)));
    assert_eq!(kind(&scene.one(create).await), ErrorKind::Conflict);
    assert_eq!(scene.fixture.stored("mail.example.com"), ["A 192.0.2.9"]);

    let ours = scene.create(&spec("shop.example.com", address(1))).await;
    let delete = [RecordChange::Delete(ours)];
    let other = scene
        .host
        .apply(&scene.zone, &delete, &owner('2'))
        .await
        .remove(0);
    assert_eq!(
        kind(&other),
        ErrorKind::Conflict,
        "another object's mark is not ours either"
    );
    assert_eq!(scene.fixture.stored("shop.example.com"), ["A 192.0.2.1"]);
    scene.fixture.finish();
}

async fn what_is_in_the_way_is_named<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let alias = RecordData::Cname("else.example.net".parse().unwrap());
    scene.fixture.add_foreign("shop.example.com", &alias);
    let create = RecordChange::Create(spec("shop.example.com", address(1)));
    let error = scene.one(create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("CNAME else.example.net"), "{error}");
    assert_eq!(
        scene.fixture.stored("shop.example.com"),
        ["CNAME else.example.net"]
    );
    scene.fixture.finish();
}

async fn drift_is_seen_and_survived<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let made = scene.create(&spec("shop.example.com", address(1))).await;
    scene.fixture.vanish("shop.example.com");
    assert_eq!(scene.of("shop.example.com").await, []);
    let update = RecordChange::Update(made.clone(), spec("shop.example.com", address(2)));
    assert_eq!(kind(&scene.one(update).await), ErrorKind::NotFound);
    assert_eq!(scene.one(RecordChange::Delete(made)).await, Ok(None));
    scene.fixture.finish();
}

async fn refused_credentials_are_denied<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let create = RecordChange::Create(spec("shop.example.com", address(1)));
    let refuse = |body: &str| Trouble::Refuse {
        status: 401,
        body: body.into(),
        retry_after: None,
    };
    scene.fixture.trouble(true, refuse(""), Some(1));
    assert_eq!(kind(&scene.one(create.clone()).await), ErrorKind::Denied);
    scene.fixture.refuse_credentials();
    assert_eq!(kind(&scene.one(create).await), ErrorKind::Denied);
    assert_eq!(
        scene.host.records(&scene.zone).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    assert_eq!(scene.host.check().await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(scene.fixture.stored("shop.example.com"), Vec::<String>::new());
    scene.fixture.finish();
}

async fn throttling_says_when_to_come_back<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let refuse = Trouble::Refuse {
        status: 429,
        body: String::new(),
        retry_after: Some(17),
    };
    scene.fixture.trouble(true, refuse, Some(1));
    let create = RecordChange::Create(spec("shop.example.com", address(1)));
    let expected = ErrorKind::Throttled {
        retry_after: Some(Duration::from_secs(17)),
    };
    assert_eq!(kind(&scene.one(create).await), expected);
    scene.fixture.finish();
}

/// Every way in which an answer to a write can be lost after the write had its effect.
async fn a_lost_answer_is_ambiguous_and_heals<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let failure = Trouble::FailAfterEffect {
        status: 502,
        body: "<html>Bad gateway</html>".into(),
    };
    // A failure of theirs before the effect looks the same as one after it.
    let early = Trouble::Refuse {
        status: 503,
        body: String::new(),
        retry_after: None,
    };
    scene.fixture.trouble(true, early, Some(1));
    let create = RecordChange::Create(spec("early.example.com", address(1)));
    assert_eq!(kind(&scene.one(create).await), ErrorKind::Ambiguous);
    assert_eq!(scene.of("early.example.com").await, []);
    let troubles = [failure, Trouble::CutAfter, Trouble::Truncate, Trouble::HangAfter];
    for (place, trouble) in troubles.into_iter().enumerate() {
        let name = format!("shop{place}.example.com");
        let create = RecordChange::Create(spec(&name, address(1)));
        scene.fixture.trouble(true, trouble.clone(), Some(1));
        assert_eq!(
            kind(&scene.one(create.clone()).await),
            ErrorKind::Ambiguous,
            "{trouble:?}"
        );
        let read = scene.of(&name).await;
        assert_eq!(read.len(), 1, "{trouble:?}");
        let again = scene.one(create).await.unwrap().unwrap();
        assert_eq!(again, read[0], "{trouble:?}");
        scene.fixture.trouble(true, trouble.clone(), Some(1));
        let delete = RecordChange::Delete(again);
        assert_eq!(
            kind(&scene.one(delete.clone()).await),
            ErrorKind::Ambiguous,
            "{trouble:?}"
        );
        assert_eq!(scene.one(delete).await, Ok(None), "{trouble:?}");
    }
    scene.fixture.finish();
}

async fn a_failed_read_is_never_an_empty_one<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    scene.create(&spec("shop.example.com", address(1))).await;
    let refuse = |status, body: &str| Trouble::Refuse {
        status,
        body: body.into(),
        retry_after: None,
    };
    for (trouble, expected) in [
        (refuse(500, ""), ErrorKind::Unavailable),
        (refuse(200, "<html>"), ErrorKind::Unexpected),
        (refuse(200, "{}"), ErrorKind::Unexpected),
        (refuse(200, ""), ErrorKind::Unexpected),
        (Trouble::CutBefore, ErrorKind::Unavailable),
        (Trouble::Truncate, ErrorKind::Unavailable),
        (Trouble::HangAfter, ErrorKind::Unavailable),
    ] {
        scene.fixture.trouble(false, trouble.clone(), None);
        let error = scene.host.records(&scene.zone).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{trouble:?}");
        scene.fixture.no_trouble();
        assert_eq!(scene.host.records(&scene.zone).await.unwrap().len(), 1);
    }
    scene.fixture.finish();
}

async fn one_bad_record_does_not_block_the_others<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let alias = RecordData::Cname("else.example.net".parse().unwrap());
    scene.fixture.add_foreign("n7.example.com", &alias);
    let names: Vec<String> = (0..20).map(|n| format!("n{n}.example.com")).collect();
    let creates: Vec<RecordChange> = names
        .iter()
        .map(|name| RecordChange::Create(spec(name, address(1))))
        .collect();
    let outcomes = scene.apply(&creates).await;
    for (place, outcome) in outcomes.iter().enumerate() {
        match place {
            7 => assert_eq!(kind(outcome), ErrorKind::Conflict),
            _ => assert_eq!(
                outcome.as_ref().unwrap().as_ref().unwrap().spec.name.as_str(),
                names[place]
            ),
        }
    }
    // Mixed, with a record that is gone and one that is foreign among them.
    let made: Vec<Record> = outcomes.into_iter().flatten().flatten().collect();
    scene.fixture.vanish("n3.example.com");
    let foreign = scene.of("n7.example.com").await.remove(0);
    let changes = [
        RecordChange::Create(spec("new.example.com", address(4))),
        RecordChange::Delete(foreign),
        RecordChange::Update(made[0].clone(), spec("n0.example.com", address(5))),
        RecordChange::Delete(made[3].clone()),
        RecordChange::Delete(made[1].clone()),
    ];
    let outcomes = scene.apply(&changes).await;
    assert!(outcomes[0].as_ref().is_ok_and(Option::is_some));
    assert_eq!(kind(&outcomes[1]), ErrorKind::Conflict);
    assert_eq!(
        outcomes[2].as_ref().unwrap().as_ref().unwrap().spec.data,
        address(5)
    );
    assert_eq!((&outcomes[3], &outcomes[4]), (&Ok(None), &Ok(None)));
    assert_eq!(scene.fixture.stored("n7.example.com"), ["CNAME else.example.net"]);
    scene.fixture.finish();
}

async fn a_lost_batch_is_ambiguous_for_each_and_heals<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let creates: Vec<RecordChange> = (0..5)
        .map(|n| RecordChange::Create(spec(&format!("n{n}.example.com"), address(1))))
        .collect();
    scene.fixture.trouble(true, Trouble::CutAfter, None);
    let outcomes = scene.apply(&creates).await;
    let unclear = |outcome: &Outcome| matches!(kind(outcome), ErrorKind::Ambiguous | ErrorKind::Unavailable);
    assert!(outcomes.iter().all(unclear), "{outcomes:?}");
    scene.fixture.no_trouble();
    assert!(scene.apply(&creates).await.iter().all(Result::is_ok));
    assert_eq!(
        scene.host.records(&scene.zone).await.unwrap().len(),
        5,
        "no duplicates"
    );
    scene.fixture.finish();
}

async fn a_thousand_records_come_and_go<F: Fixture>() {
    let scene = Scene::<F>::open().await;
    let specs: Vec<RecordSpec> = (0..1000)
        .map(|n| spec(&format!("site-{n}.example.com"), address(1)))
        .collect();
    let creates: Vec<RecordChange> = specs.iter().cloned().map(RecordChange::Create).collect();
    for (wanted, outcome) in specs.iter().zip(scene.apply(&creates).await) {
        assert_eq!(outcome.unwrap().unwrap().spec, *wanted);
    }
    let records = scene.records().await;
    assert_eq!(records.len(), specs.len());
    let deletes: Vec<RecordChange> = records.into_iter().map(RecordChange::Delete).collect();
    assert!(
        scene
            .apply(&deletes)
            .await
            .iter()
            .all(|outcome| *outcome == Ok(None))
    );
    assert_eq!(scene.host.records(&scene.zone).await.unwrap(), []);
    scene.fixture.finish();
}

/// Runs every case on one fixture.
macro_rules! contract_suite {
    ($fixture:ty) => {
        $crate::dns_host::contract_suite!($fixture:
            a_zone_is_found_by_its_exact_name,
            a_record_lives_from_create_to_delete,
            every_type_reads_back_as_it_was_written,
            creating_again_finds_the_first,
            foreign_records_are_seen_and_left_alone,
            what_is_in_the_way_is_named,
            drift_is_seen_and_survived,
            refused_credentials_are_denied,
            throttling_says_when_to_come_back,
            a_lost_answer_is_ambiguous_and_heals,
            a_failed_read_is_never_an_empty_one,
            one_bad_record_does_not_block_the_others,
            a_lost_batch_is_ambiguous_for_each_and_heals,
            a_thousand_records_come_and_go,
        );
    };
    ($fixture:ty: $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::dns_host::$case::<$fixture>().await;
        })*
    };
}
use contract_suite;
