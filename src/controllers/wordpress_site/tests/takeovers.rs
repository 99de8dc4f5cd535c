//! Taking over on the model of the world: whatever of an older backend is there, and whatever fails on the way, the site
//! comes to rest undisturbed with one of everything; and whenever it is deleted, nothing of it is left.

use proptest::prelude::*;

use super::model::{Fate, OLD_HOST, OLD_RECORD, World, guest};
use super::properties::{fates, settle};
use super::*;
use crate::api::condition::is_true;

/// Passes before a deletion in the middle: about five take a site over, and one or two go by for each failure.
const PASSES_BEFORE: usize = 12;

/// What an older backend left, written as the number of a choice for each part.
#[derive(Debug, Clone)]
struct Legacy {
    records: u8,
    host: u8,
    certificate: bool,
    snapshots: u8,
    lock: u8,
    running: bool,
    managed: bool,
    slow: bool,
}

fn legacy() -> impl Strategy<Value = Legacy> {
    let parts = (0..4_u8, 0..4_u8, any::<bool>(), 0..3_u8, 0..3_u8);
    let rest = (prop::bool::weighted(0.8), any::<bool>(), any::<bool>());
    (parts, rest).prop_map(|(parts, (running, managed, slow))| {
        let (records, host, certificate, snapshots, lock) = parts;
        Legacy {
            records,
            host,
            certificate,
            snapshots,
            lock,
            running,
            managed,
            slow,
        }
    })
}

impl Legacy {
    fn world(&self, fates: Vec<Fate>) -> World {
        let mut world = World::empty(Terms {
            adopt: Some("500".to_owned()),
            ..terms()
        });
        (world.legacy, world.slow, world.fates) = (true, self.slow, fates.into());
        world.install = InstallState::Done;
        let mut old = guest(Container {
            mark: None,
            running: self.running,
            lock: [None, Some("backup"), Some("migrate")][usize::from(self.lock)].map(str::to_owned),
            high_availability: self.managed.then(|| managed(HaState::Started)),
            ..container()
        });
        old.snapshots = match self.snapshots {
            0 => vec![],
            1 => vec![snapshot("BAK01022026-1", 2)],
            _ => vec![snapshot(INITIAL_SNAPSHOT, 2), snapshot("BAK01022026-1", 3)],
        };
        world.guests.insert(vmid(500), old);
        let text = RecordData::Other("TXT".to_owned(), "v".to_owned());
        world.records = match self.records {
            0 => vec![],
            1 => vec![record(OLD_RECORD, None, right_data())],
            2 => vec![record("1", None, text)],
            _ => vec![record("1", None, RecordData::A(ip(99)))],
        };
        let mut host = proxy_host(OLD_HOST.0, None);
        host.spec.certificate = self.certificate.then_some(CertificateId(7));
        world.proxy.hosts = match self.host {
            0 => vec![],
            1 => vec![host],
            2 => {
                // Under two names: which is its own?
                host.id = ProxyHostId(3);
                let old = "old.sites.example.com".parse().unwrap();
                host.spec.domains = host.spec.domains.iter().cloned().chain([old]).collect();
                vec![host]
            }
            _ => {
                host.id = ProxyHostId(3);
                host.spec.forward_address = ip(99).into();
                vec![host]
            }
        };
        world.proxy.certificates = self.certificate.then(|| own_certificate(7)).into_iter().collect();
        world
    }

    /// Nothing stands in the way that only a person can move.
    fn is_free(&self) -> bool {
        self.host != 2 && !(self.host == 1 && self.records == 3)
    }
}

/// What there is of ours, counted by kind.
fn counts(world: &World) -> [usize; 4] {
    let left = world.left_of_ours();
    ["container", "record", "host", "secret"]
        .map(|kind| left.iter().filter(|what| what.starts_with(kind)).count())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_site_is_taken_over_undisturbed_or_says_why_not(legacy in legacy(), fates in fates()) {
        let (mut world, mut status) = (legacy.world(fates), WordPressSiteStatus::default());
        let foreign = world.foreign();
        settle(&mut world, &mut status, false)?;
        prop_assert_eq!(world.foreign(), foreign);
        let ready = is_true(&status.conditions, kinds::READY);
        prop_assert_eq!(ready, legacy.is_free(), "{:#?}", status);
        prop_assert_eq!(counts(&world), if ready { [1, 1, 1, 0] } else { [0; 4] });
        prop_assert_eq!(world.guests.len(), 1);
        let snapshots = &world.guests[&vmid(500)].snapshots;
        prop_assert!(legacy.snapshots == 0 || snapshots.iter().any(|kept| kept.name == "BAK01022026-1"));
        let initial = snapshots.iter().filter(|taken| taken.name == INITIAL_SNAPSHOT).count();
        prop_assert!(!ready || initial == 1);
    }

    #[test]
    fn a_site_that_is_deleted_while_it_is_taken_over_leaves_nothing_of_its_own(
        legacy in legacy(),
        fates in fates(),
        passes in 0..PASSES_BEFORE,
    ) {
        let (mut world, mut status) = (legacy.world(fates), WordPressSiteStatus::default());
        let foreign = world.foreign();
        for _ in 0..passes {
            world.pass(&mut status, false);
            world.tick();
        }
        let next = settle(&mut world, &mut status, true)?;
        prop_assert_eq!(next, Next::Released { announce: false });
        prop_assert_eq!(world.foreign(), foreign);
        prop_assert_eq!(counts(&world), [0; 4]);
        // What was not taken over yet has stayed as it was: the container is the first to be taken, the host brings its
        // certificate with it.
        let stays = !world.guests.is_empty();
        let record = world.records.iter().any(|record| record.id.0 == OLD_RECORD);
        let host = world.proxy.hosts.iter().any(|host| host.id == OLD_HOST);
        let certificate = !world.proxy.certificates.is_empty();
        if legacy.host == 1 {
            prop_assert!(host || !stays);
            prop_assert!(record || !stays || legacy.records != 1);
            prop_assert_eq!(certificate, host && legacy.certificate);
        }
    }
}
