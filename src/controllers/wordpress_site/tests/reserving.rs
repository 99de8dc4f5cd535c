//! `reserve`: which name, number and address a new site gets, and which node.

use super::super::reserve::{choose, node as node_for};
use super::super::site::{NameCheck, Vacancy};
use super::*;
use crate::controllers::judgement::Block;
use crate::controllers::ledger::Taken;
use crate::providers::container_host::GuestSummary;

fn name(label: &str, obstacle: Option<&str>) -> NameCheck {
    NameCheck {
        label: label.parse().unwrap(),
        host: format!("{label}.sites.example.com").parse().unwrap(),
        obstacle: obstacle.map(str::to_owned),
    }
}

fn vacancy() -> Vacancy {
    Vacancy {
        taken: Taken::default(),
        in_use: BTreeSet::new(),
        orphan: None,
        names: vec![name("jane", None)],
        turn: None,
    }
}

fn guest(node: &str, memory: u32) -> GuestSummary {
    GuestSummary {
        node: node.to_owned(),
        is_container: true,
        running: Some(true),
        owner_hint: None,
        memory: Mib(memory),
        lock: None,
        usage: None,
    }
}

fn chosen(terms: &Terms, vacancy: &Vacancy, survey: &Survey) -> Result<String, Block> {
    choose(terms, vacancy, survey, now()).map(|action| line(&action))
}

fn refused(terms: &Terms, vacancy: &Vacancy, survey: &Survey) -> (&'static str, String) {
    let block = chosen(terms, vacancy, survey).unwrap_err();
    assert!(!block.keeps_ready);
    (block.reason, block.message)
}

#[test]
fn the_first_of_everything_that_is_free() {
    let mut survey = cluster();
    let mut vacancy = vacancy();
    let choice = |vacancy: &Vacancy, survey: &Survey| chosen(&terms(), vacancy, survey).unwrap();
    assert_eq!(
        choice(&vacancy, &survey),
        "reserve 500 10.0.0.10 jane.sites.example.com"
    );
    survey.guests.insert(vmid(500), guest("a", 1));
    assert_eq!(
        choice(&vacancy, &survey),
        "reserve 501 10.0.0.10 jane.sites.example.com"
    );
    vacancy.taken.vmids = Arc::new([vmid(501)].into());
    vacancy.taken.addresses = Arc::new([ip(10)].into());
    assert_eq!(
        choice(&vacancy, &survey),
        "reserve 502 10.0.0.11 jane.sites.example.com"
    );
    vacancy.in_use = [ip(11)].into();
    assert_eq!(
        choice(&vacancy, &survey),
        "reserve 502 10.0.0.12 jane.sites.example.com"
    );
    vacancy.names = vec![
        name("jane", Some("another site has it")),
        name("jane-0b6c5", None),
    ];
    assert_eq!(
        choice(&vacancy, &survey),
        "reserve 502 10.0.0.12 jane-0b6c5.sites.example.com"
    );
}

#[test]
fn a_container_whose_status_was_lost_is_taken_up_again() {
    let survey = cluster();
    let mut vacancy = vacancy();
    vacancy.taken.vmids = Arc::new((500..504).map(vmid).collect());
    vacancy.orphan = Some(Container {
        id: vmid(503),
        address: Some(ip(12)),
        ..container()
    });
    let choice = |vacancy: &Vacancy| chosen(&terms(), vacancy, &survey).unwrap();
    assert_eq!(choice(&vacancy), "reserve 503 10.0.0.12 jane.sites.example.com");
    vacancy.orphan = Some(Container {
        id: vmid(503),
        address: None,
        ..container()
    });
    assert_eq!(choice(&vacancy), "reserve 503 10.0.0.10 jane.sites.example.com");
}

#[test]
fn what_is_full_is_named_with_a_remedy() {
    let survey = cluster();
    let fixed = Terms {
        label_is_fixed: true,
        ..terms()
    };
    let taken = Vacancy {
        names: vec![name("jane", Some("proxy host 4 serves it"))],
        ..vacancy()
    };
    let (reason, message) = refused(&fixed, &taken, &survey);
    assert_eq!(reason, reasons::CONFLICT);
    assert_eq!(
        message,
        "The name is not free (jane.sites.example.com: proxy host 4 serves it); remove what is there, or create the site with another subdomain."
    );
    let (_, message) = refused(&terms(), &taken, &survey);
    assert!(
        message.ends_with("set spec.subdomain on a new site."),
        "{message}"
    );
    let (_, message) = refused(
        &terms(),
        &Vacancy {
            names: vec![],
            ..vacancy()
        },
        &survey,
    );
    assert_eq!(
        message,
        "No name can be made of jane below sites.example.com; make the Plan's baseDomain shorter."
    );

    let mut full = vacancy();
    full.taken.vmids = Arc::new((500..503).map(vmid).collect());
    assert!(chosen(&terms(), &full, &survey).is_ok(), "the last number");
    full.taken.vmids = Arc::new((500..504).map(vmid).collect());
    let (reason, message) = refused(&terms(), &full, &survey);
    assert_eq!(reason, reasons::VMID_RANGE_FULL);
    assert_eq!(
        message,
        "No free number for a container in 500 to 503 of Provider pve; widen its vmidRange or delete sites."
    );

    let mut full = vacancy();
    full.in_use = (10..13).map(ip).collect();
    assert!(chosen(&terms(), &full, &survey).is_ok(), "the last address");
    full.in_use = (10..14).map(ip).collect();
    let (reason, message) = refused(&terms(), &full, &survey);
    assert_eq!(reason, reasons::ADDRESS_POOL_FULL);
    assert!(
        message.contains("10.0.0.10 to 10.0.0.13 of Provider pve"),
        "{message}"
    );
}

#[test]
fn a_plan_that_no_node_can_ever_hold() {
    let sized = |memory_mib, cores| Terms {
        sizes: SiteResources {
            memory_mib,
            cores,
            ..terms().sizes
        },
        ..terms()
    };
    let survey = cluster();
    assert!(chosen(&sized(8192, 8), &vacancy(), &survey).is_ok());
    for too_large in [sized(8193, 8), sized(8192, 9), sized(-1, 1)] {
        let (reason, message) = refused(&too_large, &vacancy(), &survey);
        assert_eq!(reason, reasons::PLAN_TOO_LARGE);
        assert!(
            message.contains("largest node of Provider pve has 8192 MiB and 8 cores"),
            "{message}"
        );
    }
    // A node that is down may come back.
    let mut asleep = cluster();
    asleep.nodes = [("a".to_owned(), node(false, 8192))].into();
    assert!(chosen(&sized(8192, 8), &vacancy(), &asleep).is_ok());
    assert!(chosen(&sized(8193, 8), &vacancy(), &Survey::default()).is_ok());
}

#[test]
fn the_node_with_the_most_room() {
    let mut survey = cluster();
    let choice = |survey: &Survey| node_for(&terms(), survey);
    assert_eq!(choice(&survey).as_deref(), Some("a"), "the first among equals");
    survey.guests.insert(vmid(600), guest("a", 1));
    assert_eq!(choice(&survey).as_deref(), Some("b"));
    survey.nodes.insert("c".to_owned(), node(false, 65_536));
    survey.nodes.insert("d".to_owned(), node(true, 2047));
    assert_eq!(
        choice(&survey).as_deref(),
        Some("b"),
        "neither those that are down nor the small"
    );
    survey.guests.insert(vmid(601), guest("b", u32::MAX));
    survey.guests.insert(vmid(602), guest("a", u32::MAX));
    assert_eq!(
        choice(&survey).as_deref(),
        Some("b"),
        "promised more than there is, still the emptier"
    );
    assert_eq!(choice(&Survey::default()), None);
}
