//! Taking over a container that somebody else made: what is reserved, what is refused, what is marked, and that nothing
//! is ever made, started or installed in its place.

use super::*;
use crate::controllers::ledger::Taken;
use crate::controllers::wordpress_site::plan::adopt;
use crate::controllers::wordpress_site::site::{NameCheck, NameFound, Prospect};
use crate::providers::container_host::ContainerSettings;

const OLD: u32 = 117;

/// The container that is to be taken over, outside of range and pool of the Provider.
fn old() -> Container {
    Container {
        id: vmid(OLD),
        mark: None,
        hostname: "wp-old".to_owned(),
        address: Some(ip(200)),
        ..container()
    }
}

fn old_host() -> ProxyHost {
    let mut host = proxy_host(3, None);
    host.spec.forward_address = ip(200).into();
    host
}

fn found() -> NameFound {
    NameFound {
        label: "jane".parse().unwrap(),
        host: host(),
        taken: false,
        records: vec![record("r", None, right_data())],
        proxy: ProxySurvey {
            hosts: vec![old_host()],
            certificates: vec![own_certificate(7)],
        },
    }
}

fn prospect() -> Prospect {
    Prospect {
        taken: Taken::default(),
        machine: false,
        container: Some(old()),
        name: Ok(Some(found())),
        names: Vec::new(),
        turn: None,
    }
}

fn asking(text: &str) -> Terms {
    Terms {
        adopt: Some(text.to_owned()),
        ..terms()
    }
}

fn wanting(change: impl FnOnce(&mut Prospect)) -> Scene {
    let mut prospect = prospect();
    change(&mut prospect);
    with(Scene::fresh(), |s| {
        s.observed.terms = Some(asking("117"));
        s.observed.survey = Fact::Known(Arc::new(cluster()));
        s.observed.prospect = Fact::Known(prospect);
    })
}

fn name(change: impl FnOnce(&mut NameFound)) -> Scene {
    let mut found = found();
    change(&mut found);
    wanting(|p| p.name = Ok(Some(found)))
}

/// Reserved; the container is as it was.
fn reserved() -> Scene {
    with(Scene::reserved(), |s| {
        let reservation = Reservation {
            vmid: vmid(OLD),
            address: ip(200),
            adopted: true,
            ..reservation()
        };
        reservation.store(&mut s.status, &terms());
        s.observed.terms = Some(asking("117"));
        s.observed.container = Fact::Known(Some(old()));
    })
}

/// The container is marked; name, host and certificate are as they were.
fn marked() -> Scene {
    with(reserved(), |s| {
        s.status.node = Some("a".to_owned());
        s.observed.container = Fact::Known(Some(Container { mark: own(), ..old() }));
        s.observed.records = Fact::Known(vec![record("r", None, right_data())]);
        s.observed.proxy = Fact::Known(found().proxy);
    })
}

/// All is marked.
fn whole() -> Scene {
    with(marked(), |s| {
        s.observed.records = Fact::Known(vec![record("r", own(), right_data())]);
        s.proxy(|survey| survey.hosts[0].mark = own());
        s.observed.page = Fact::Known(Page::WordPress);
        s.observed.snapshots = Fact::Known(vec![snapshot("BAK01022026-1", 1)]);
    })
}

#[test]
fn what_is_found_is_reserved_or_refused() {
    const CONFLICT: &str = reasons::CONFLICT;
    let stranger = || Some(mark(STRANGER));
    check(vec![
        (
            "all of it is there",
            wanting(|_| {}),
            &["reserve 117 10.0.0.200 jane.sites.example.com"],
            STORE,
            &[(
                kinds::CONTAINER_READY,
                reasons::PROVISIONING,
                "is being taken over",
            )],
        ),
        (
            "it carries our own mark, for a status was lost",
            wanting(|p| p.container.as_mut().unwrap().mark = own()),
            &["reserve 117 10.0.0.200 jane.sites.example.com"],
            STORE,
            &[],
        ),
        (
            "nobody looked yet",
            with(wanting(|_| {}), |s| s.observed.prospect = Fact::Unread),
            &[],
            AGAIN,
            &[],
        ),
        (
            "the look failed",
            with(wanting(|_| {}), |s| {
                s.observed.prospect = Fact::Unknown(error(ErrorKind::Unavailable))
            }),
            &[],
            RETRY,
            &[(kinds::CONTAINER_READY, reasons::UNAVAILABLE, "pve: unavailable")],
        ),
        (
            "no host and no record",
            name(|found| (found.records, found.proxy) = (Vec::new(), ProxySurvey::default())),
            &["reserve 117 10.0.0.200 jane.sites.example.com"],
            STORE,
            &[],
        ),
        (
            "no name at all: one as for a new site",
            wanting(|p| {
                p.name = Ok(None);
                p.names = vec![NameCheck {
                    label: "jane".parse().unwrap(),
                    host: host(),
                    obstacle: None,
                }];
            }),
            &["reserve 117 10.0.0.200 jane.sites.example.com"],
            STORE,
            &[],
        ),
        (
            "no name is free",
            wanting(|p| {
                p.name = Ok(None);
                let obstacle = Some("it has the DNS record A 192.0.2.1".to_owned());
                p.names = vec![NameCheck {
                    label: "jane".parse().unwrap(),
                    host: host(),
                    obstacle,
                }];
            }),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "The name is not free")],
        ),
        (
            "another site has the container",
            wanting(|p| p.taken.vmids = Arc::new([vmid(OLD)].into())),
            &[],
            Next::Settled,
            &[(
                "Block",
                CONFLICT,
                "Container 117 of Provider pve belongs to another site",
            )],
        ),
        (
            "another site has the address",
            wanting(|p| p.taken.addresses = Arc::new([ip(200)].into())),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "10.0.0.200, which another site has")],
        ),
        (
            "another site has the name",
            name(|found| found.taken = true),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "belongs to another site")],
        ),
        (
            "a virtual machine",
            wanting(|p| (p.machine, p.container) = (true, None)),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "virtual machine")],
        ),
        (
            "nothing",
            wanting(|p| p.container = None),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "has no container 117")],
        ),
        (
            "another mark",
            wanting(|p| p.container.as_mut().unwrap().mark = stranger()),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "carries the mark hostwright:test:")],
        ),
        (
            "locked by a creation",
            wanting(|p| p.container.as_mut().unwrap().lock = Some("create".to_owned())),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "is locked (create)")],
        ),
        (
            "locked by a backup",
            wanting(|p| p.container.as_mut().unwrap().lock = Some("backup".to_owned())),
            &["reserve 117 10.0.0.200 jane.sites.example.com"],
            STORE,
            &[],
        ),
        (
            "no static address",
            wanting(|p| p.container.as_mut().unwrap().address = None),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "no static IPv4 address")],
        ),
        (
            "a host with another mark",
            name(|found| found.proxy.hosts[0].mark = stranger()),
            &[],
            Next::Settled,
            &[(
                "Block",
                CONFLICT,
                "proxy host 3 at Provider npm, which carries the mark",
            )],
        ),
        (
            "a host that leads elsewhere",
            name(|found| found.proxy.hosts[0].spec.forward_address = ip(201).into()),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "to 10.0.0.201:80, but must lead only")],
        ),
        (
            "a host that leads to another port",
            name(|found| found.proxy.hosts[0].spec.forward_port = 8080),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "to 10.0.0.200:8080, but")],
        ),
        (
            "a record that points elsewhere",
            name(|found| found.records = vec![record("r", None, RecordData::A(ip(1)))]),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "but must point to 203.0.113.7")],
        ),
        (
            "a record with another mark",
            name(|found| found.records = vec![record("r", stranger(), right_data())]),
            &[],
            Next::Settled,
            &[("Block", CONFLICT, "which carries the mark")],
        ),
        (
            "a record of another type",
            name(|found| {
                found
                    .records
                    .push(record("t", None, RecordData::Txt("x".to_owned())))
            }),
            &["reserve 117 10.0.0.200 jane.sites.example.com"],
            STORE,
            &[],
        ),
    ]);
}

#[test]
fn marks_are_written_one_after_the_other_and_nothing_else() {
    check(vec![
        (
            "the container first",
            reserved(),
            &["adopt"],
            AGAIN,
            &[(
                kinds::CONTAINER_READY,
                reasons::PROVISIONING,
                "is being taken over",
            )],
        ),
        (
            "other work holds it",
            with(reserved(), |s| {
                s.observed.container = Fact::Known(Some(Container {
                    lock: Some("backup".to_owned()),
                    ..old()
                }));
            }),
            &[],
            Next::Poll,
            &[],
        ),
        (
            "its address has changed: choose again",
            with(reserved(), |s| {
                s.observed.container = Fact::Known(Some(Container {
                    address: Some(ip(201)),
                    ..old()
                }));
            }),
            &[],
            AGAIN,
            &[],
        ),
        (
            "it is gone: nothing is made in its place",
            with(reserved(), |s| s.observed.container = Fact::Known(None)),
            &[],
            AGAIN,
            &[],
        ),
        (
            "then name and host",
            marked(),
            &["adopt record r A 203.0.113.7", "adopt host 3"],
            AGAIN,
            &[],
        ),
        (
            "the record is ours already",
            with(marked(), |s| {
                s.observed.records = Fact::Known(vec![record("r", own(), right_data())])
            }),
            &["adopt host 3"],
            AGAIN,
            &[],
        ),
        (
            "the host leads elsewhere by now",
            with(whole(), |s| {
                s.proxy(|survey| {
                    survey.hosts[0].mark = None;
                    survey.hosts[0].spec.forward_port = 8080;
                })
            }),
            &[],
            RETRY,
            &[(kinds::PROXY_READY, reasons::CONFLICT, "does not carry our mark")],
        ),
        (
            "the certificate is missing",
            with(whole(), |s| s.proxy(|survey| survey.certificates.clear())),
            &["request certificate jane.sites.example.com"],
            AGAIN,
            &[],
        ),
        (
            "WordPress answers: only the snapshot is missing",
            whole(),
            &["snapshot"],
            Next::Poll,
            &[(kinds::INSTALL_READY, reasons::READY, "was there before")],
        ),
        (
            "something else answers",
            with(whole(), |s| {
                s.observed.page = Fact::Known(Page::Other("status 502".to_owned()))
            }),
            &[],
            RETRY,
            &[
                (kinds::PAGE_READY, reasons::UNAVAILABLE, "status 502"),
                (kinds::INSTALL_READY, reasons::WAITING, ""),
            ],
        ),
        (
            "lost after it was taken over",
            with(whole(), |s| {
                s.observed.container = Fact::Known(None);
                let terms = s.observed.terms.as_mut().unwrap();
                terms.wishes.recovery = crate::api::Recovery::Recreate;
            }),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "Nothing is created in its place")],
        ),
        (
            "its mark is gone, and it is still asked for",
            with(whole(), |s| s.observed.container = Fact::Known(Some(old()))),
            &["adopt"],
            AGAIN,
            &[],
        ),
        (
            "its mark is gone, and nobody asks",
            with(whole(), |s| {
                s.observed.container = Fact::Known(Some(old()));
                s.observed.terms = Some(terms());
            }),
            &[],
            Next::Settled,
            &[("Block", reasons::CONFLICT, "no mark of ours")],
        ),
    ]);
}

#[test]
fn a_container_of_no_reservation_of_its_own_is_never_marked() {
    let scene = with(reserved(), |s| {
        s.status.adopted = false;
        s.status.node = Some("a".to_owned());
    });
    let plan = plan::live(&scene.status, &scene.observed, now());
    assert!(plan.actions.is_empty(), "{plan:#?}");
    for scene in [marked(), whole()] {
        let scene = with(scene, |s| s.status.adopted = false);
        let plan = plan::live(&scene.status, &scene.observed, now());
        let adopts = plan
            .actions
            .iter()
            .any(|action| line(action).starts_with("adopt"));
        assert!(!adopts, "{plan:#?}");
    }
}

#[test]
fn network_and_name_stay_and_sizes_follow() {
    let made = |change: fn(&mut Container)| {
        with(whole(), |s| {
            s.said(kinds::INSTALL_READY, State::True, "");
            s.said(kinds::SNAPSHOT_READY, State::True, "");
            let mut container = Container { mark: own(), ..old() };
            change(&mut container);
            s.observed.container = Fact::Known(Some(container));
        })
    };
    let settings = |change: fn(&mut Container)| {
        let scene = made(change);
        let plan = plan::live(&scene.status, &scene.observed, now());
        plan.actions.into_iter().find_map(|action| match action {
            Action::Configure(settings) => Some(settings),
            _ => None,
        })
    };
    assert_eq!(settings(|c| c.network_deviates = true), None);
    let left = Some(ContainerSettings {
        hostname: None,
        address: None,
        memory: Mib(2048),
        swap: Mib(512),
        cores: 2,
    });
    assert_eq!(settings(|c| c.deviates = true), left);
    assert_eq!(settings(|c| c.memory = Mib(1024)), left);
}

#[test]
fn the_annotation_is_a_number_and_late_ones_are_told() {
    let wished = |text: &str| adopt::wished(&asking(text)).unwrap();
    assert_eq!(adopt::wished(&terms()), None);
    assert_eq!(wished("117"), Ok(vmid(117)));
    assert_eq!(wished(" 117 "), Ok(vmid(117)));
    for bad in ["", "99", "shop", "-117", "1000000000", "117,118"] {
        assert!(wished(bad).unwrap_err().contains(&format!("{bad:?}")), "{bad}");
    }
    let told = |text: Option<&str>| {
        let mut scene = Scene::standing();
        scene.observed.terms = Some(Terms {
            adopt: text.map(str::to_owned),
            ..terms()
        });
        let said = adopt::is_said(&scene.status, scene.observed.terms.as_ref().unwrap());
        let plan = plan::live(&scene.status, &scene.observed, now());
        let note = plan
            .verdict
            .notes
            .into_iter()
            .find(|note| note.kind == kinds::ADOPTED);
        assert_eq!(said, note.is_none());
        note.map(|note| note.message)
    };
    assert_eq!(told(None), None);
    assert_eq!(told(Some("500")), None);
    assert!(
        told(Some("501"))
            .unwrap()
            .contains("asks for container 501, but the site has container 500")
    );
    assert!(told(Some("x")).unwrap().contains("\"x\""));
}

#[test]
fn the_name_is_told_by_the_hosts_or_by_the_spec() {
    let host_of = |id: u64, names: &[&str]| {
        let mut host = proxy_host(id, None);
        host.spec.domains = names.iter().map(|name| name.parse().unwrap()).collect();
        host
    };
    let fixed = Terms {
        label_is_fixed: true,
        ..terms()
    };
    let name = |terms: &Terms, hosts: &[ProxyHost]| {
        adopt::name_of(terms, hosts).map(|name| name.map(|(_, host)| host.to_string()))
    };
    let one = [
        host_of(1, &["old.sites.example.com"]),
        host_of(2, &["shop.example", "a.b.sites.example.com"]),
    ];
    assert_eq!(name(&terms(), &one), Ok(Some("old.sites.example.com".to_owned())));
    assert_eq!(name(&fixed, &one), Ok(Some("jane.sites.example.com".to_owned())));
    assert_eq!(name(&terms(), &one[1..]), Ok(None));
    assert_eq!(name(&fixed, &[]), Ok(Some("jane.sites.example.com".to_owned())));
    let two = [
        host_of(1, &["old.sites.example.com"]),
        host_of(2, &["new.sites.example.com"]),
    ];
    let block = name(&terms(), &two).unwrap_err();
    assert!(
        block
            .message
            .contains("new.sites.example.com, old.sites.example.com"),
        "{block:?}"
    );
}

#[test]
fn certificates_of_a_name_that_stayed_somebody_elses_stay() {
    let gone = |hosts: Vec<ProxyHost>, adopted: bool| {
        let mut scene = marked();
        scene.status.adopted = adopted;
        scene.observed.container = Fact::Known(Some(old()));
        scene.observed.records = Fact::Known(Vec::new());
        let certificates = vec![own_certificate(7), own_certificate(8)];
        scene.observed.proxy = Fact::Known(ProxySurvey { hosts, certificates });
        let policy = crate::api::DeletionPolicy::Delete;
        let plan = super::super::remove::gone(&scene.status, policy, &scene.observed);
        plan.actions.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(gone(vec![old_host()], true), ["delete secret"]);
    assert_eq!(
        gone(Vec::new(), true),
        ["delete certificate 7", "delete certificate 8"]
    );
    assert_eq!(gone(vec![old_host()], false), ["delete certificate 8"]);
}
