//! Contract cases for zones. A back-end joins with [`ZoneFixture`] and one line of [`zones_suite!`].

use hostwright::providers::ErrorKind;
use hostwright::providers::dns_host::{RecordChange, RecordData, Soa, Zone, ZoneSpec};
use hostwright::sim::faults::Trouble;

use super::{Fixture, Scene, address, spec};

/// Troubles with zones themselves.
pub trait ZoneFixture: Fixture {
    /// Orders a trouble for the next calls that create a zone.
    fn trouble_with_new_zones(&self, trouble: Trouble, times: Option<u32>);
    /// How many zones of this name the back-end has.
    fn zones_named(&self, name: &str) -> usize;
}

pub fn zone_spec(name: &str) -> ZoneSpec {
    ZoneSpec {
        name: name.parse().unwrap(),
        active: true,
        soa: Soa {
            primary: "ns1.example.net".parse().unwrap(),
            mailbox: format!("hostmaster.{name}").parse().unwrap(),
            refresh: 86_400,
            retry: 7200,
            expire: 3_600_000,
            minimum: 3600,
            ttl: 3600,
        },
        customer: None,
    }
}

async fn found<F: Fixture>(scene: &Scene<F>, name: &str) -> Option<Zone> {
    scene.host.zone(&name.parse().unwrap()).await.unwrap()
}

pub async fn a_zone_lives_from_create_to_delete<F: ZoneFixture>() {
    let scene = Scene::<F>::open().await;
    let wanted = zone_spec("shop.co.uk");
    assert_eq!(found(&scene, "shop.co.uk").await, None);
    let made = scene.host.create_zone(&wanted).await.unwrap();
    assert_eq!(made.name, wanted.name);
    if scene.host.abilities().authority {
        assert_eq!(made.soa.as_ref(), Some(&wanted.soa));
    }
    assert_eq!(found(&scene, "shop.co.uk").await.as_ref(), Some(&made));
    // Neither a part of the name nor a longer one finds it.
    for other in ["shop.co", "co.uk", "www.shop.co.uk", "myshop.co.uk"] {
        assert_eq!(found(&scene, other).await, None, "{other}");
    }
    let all = scene.host.zones().await.unwrap();
    assert_eq!(
        all.iter().filter(|zone| zone.id == made.id).collect::<Vec<_>>(),
        [&made]
    );
    assert!(all.iter().any(|zone| zone.id == scene.zone));

    let again = scene.host.create_zone(&wanted).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    assert_eq!(scene.fixture.zones_named("shop.co.uk"), 1);

    scene.host.delete_zone(&made.id).await.unwrap();
    assert_eq!(found(&scene, "shop.co.uk").await, None);
    assert_eq!(scene.fixture.zones_named("shop.co.uk"), 0);
    scene.host.delete_zone(&made.id).await.unwrap();
    assert!(
        found(&scene, "example.com").await.is_some(),
        "the others are still there"
    );
    scene.fixture.finish();
}

pub async fn a_zone_is_brought_to_what_it_shall_be<F: ZoneFixture>() {
    let scene = Scene::<F>::open().await;
    let abilities = scene.host.abilities();
    let mut wanted = zone_spec("shop.example.org");
    let made = scene.host.create_zone(&wanted).await.unwrap();
    let writes = scene.fixture.writes();
    assert_eq!(scene.host.update_zone(&made.id, &wanted).await.unwrap(), made);
    assert_eq!(
        scene.fixture.writes(),
        writes,
        "nothing differs, nothing is written"
    );

    wanted.active = false;
    wanted.soa.ttl = 7200;
    let updated = scene.host.update_zone(&made.id, &wanted).await.unwrap();
    if abilities.suspends {
        assert!(!updated.active);
    }
    if abilities.authority {
        assert_eq!(updated.soa.as_ref(), Some(&wanted.soa));
        assert!(
            updated.serial > made.serial,
            "secondaries look at the serial only"
        );
    }
    assert_eq!(found(&scene, "shop.example.org").await.as_ref(), Some(&updated));

    scene.host.delete_zone(&made.id).await.unwrap();
    let gone = scene.host.update_zone(&made.id, &wanted).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    scene.fixture.finish();
}

pub async fn a_zone_whose_making_was_not_answered_is_found<F: ZoneFixture>() {
    let scene = Scene::<F>::open().await;
    for (place, trouble) in [Trouble::CutAfter, Trouble::Truncate, Trouble::HangAfter]
        .into_iter()
        .enumerate()
    {
        let name = format!("lost{place}.example.org");
        scene.fixture.trouble_with_new_zones(trouble.clone(), Some(1));
        let error = scene.host.create_zone(&zone_spec(&name)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Ambiguous, "{trouble:?}: {error}");
        assert!(found(&scene, &name).await.is_some(), "{trouble:?}");
        let again = scene.host.create_zone(&zone_spec(&name)).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Conflict, "{trouble:?}: {again}");
        assert_eq!(scene.fixture.zones_named(&name), 1, "{trouble:?}");
    }
    let early = Trouble::Refuse {
        status: 503,
        body: String::new(),
        retry_after: None,
    };
    scene.fixture.trouble_with_new_zones(early, Some(1));
    let wanted = zone_spec("early.example.org");
    let error = scene.host.create_zone(&wanted).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Ambiguous);
    assert_eq!(found(&scene, "early.example.org").await, None);
    assert_eq!(scene.host.create_zone(&wanted).await.unwrap().name, wanted.name);
    scene.fixture.finish();
}

pub async fn the_serial_changes_exactly_with_the_records<F: ZoneFixture>() {
    let scene = Scene::<F>::open().await;
    if found(&scene, "example.com").await.unwrap().serial.is_none() {
        return;
    }
    let mut last = 0;
    let mut grown = async |expected: bool, what: &str| {
        let now = found(&scene, "example.com").await.unwrap().serial.unwrap();
        assert_eq!(now > last, expected, "{what}: {last} {now}");
        last = now;
    };
    grown(true, "the first look").await;
    let made = scene.create(&spec("shop.example.com", address(1))).await;
    grown(true, "a create").await;
    let same = RecordChange::Update(made.clone(), made.spec.clone());
    scene.one(same).await.unwrap();
    grown(false, "an update to what is there").await;
    let wanted = spec("shop.example.com", address(2));
    let updated = scene
        .one(RecordChange::Update(made, wanted))
        .await
        .unwrap()
        .unwrap();
    grown(true, "an update").await;
    let bad = spec(
        "bad.example.com",
        RecordData::Other("X".to_owned(), String::new()),
    );
    let first = RecordChange::Create(spec("one.example.com", address(3)));
    let outcomes = scene.apply(&[first, RecordChange::Create(bad)]).await;
    assert!(outcomes[0].is_ok() && outcomes[1].is_err());
    grown(true, "a change before one that is refused").await;
    scene.one(RecordChange::Delete(updated)).await.unwrap();
    grown(true, "a delete").await;
    scene.fixture.finish();
}

/// Runs every case on one fixture.
macro_rules! zones_suite {
    ($fixture:ty) => {
        $crate::dns_host::zones::zones_suite!($fixture:
            a_zone_lives_from_create_to_delete,
            a_zone_is_brought_to_what_it_shall_be,
            a_zone_whose_making_was_not_answered_is_found,
            the_serial_changes_exactly_with_the_records,
        );
    };
    ($fixture:ty: $($case:ident,)*) => {
        $(#[tokio::test]
        async fn $case() {
            $crate::dns_host::zones::$case::<$fixture>().await;
        })*
    };
}
pub(super) use zones_suite;
