//! Domains, row by row: who gets one, what is done for it, and what is said.

mod left_hosts;

use std::net::IpAddr;

use super::super::domains::{self, DomainDone, DomainLook, DomainStep, Domains};
use super::super::plan::{domains_finding, domains_outlook, domains_removed, with_domains};
use super::*;
use crate::api::{DomainState, SiteDomain, SiteQuota, SiteQuotaUse, Suspension};
use crate::providers::{Addresses, FoundAddresses};

const SHOP: &str = "shop.example.org";

fn leads_to(addresses: &[&str]) -> Option<Addresses> {
    Some(Addresses::Found(FoundAddresses {
        v4: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        servers_agree: true,
        ..FoundAddresses::default()
    }))
}

fn entry(name: &str, state: DomainState) -> SiteDomain {
    SiteDomain {
        name: name.to_owned(),
        state,
        message: String::new(),
        certificate_expires_at: None,
    }
}

fn domain_host(mark: Option<OwnerMark>, names: &[&str]) -> ProxyHost {
    let mut host = proxy_host(70, mark);
    host.spec.domains = names.iter().map(|name| name.parse().unwrap()).collect();
    host
}

fn survey(hosts: Vec<ProxyHost>, certificates: Vec<Certificate>) -> Fact<ProxySurvey> {
    Fact::Known(ProxySurvey { hosts, certificates })
}

/// A candidate that leads here and that nobody uses.
fn free(name: &str) -> DomainLook {
    let mut looks = domains::listed(&WordPressSiteStatus::default(), &[name.to_owned()]);
    let mut look = looks.remove(0);
    look.proxy = survey(vec![], vec![]);
    look.addresses = leads_to(&["203.0.113.7"]);
    look
}

/// A domain that is set up.
fn set_up(name: &str) -> DomainLook {
    let mut look = free(name);
    look.before = Some(entry(name, DomainState::Ready));
    look.proxy = survey(
        vec![domain_host(own(), &[name])],
        vec![certificate(7, true, &[name])],
    );
    look
}

fn changed(mut look: DomainLook, change: impl FnOnce(&mut DomainLook)) -> DomainLook {
    change(&mut look);
    look
}

fn hosts(look: &mut DomainLook) -> &mut Vec<ProxyHost> {
    match &mut look.proxy {
        Fact::Known(survey) => &mut survey.hosts,
        _ => panic!(),
    }
}

fn all(looks: Vec<DomainLook>) -> Domains {
    Domains {
        looks,
        proxy_addresses: [IpAddr::V4(terms().public_address)].into(),
    }
}

fn asking(wishes: Wishes) -> Terms {
    Terms { wishes, ..terms() }
}

fn some() -> Wishes {
    Wishes {
        domains: 3,
        ..Wishes::default()
    }
}

type Row = (Vec<DomainState>, Vec<DomainStep>);

fn outlook_of(wishes: Wishes, looks: Vec<DomainLook>) -> super::super::plan::Outlook {
    outlook_with(&asking(wishes), &reservation(), looks)
}

fn outlook_with(
    terms: &Terms,
    reservation: &Reservation,
    looks: Vec<DomainLook>,
) -> super::super::plan::Outlook {
    domains_outlook(&WordPressSiteStatus::default(), terms, reservation, &all(looks))
}

fn row(wishes: Wishes, looks: Vec<DomainLook>) -> Row {
    let outlook = outlook_of(wishes, looks);
    let steps = outlook.actions.into_iter().map(|action| match action {
        Action::Domain(_, step) => step,
        other => panic!("{other:?}"),
    });
    let states = outlook.said.entries.iter().map(|entry| entry.state);
    (states.collect(), steps.collect())
}

#[test]
fn one_domain_in_each_state_of_the_world() {
    use DomainState::*;
    let wanted = ProxyHostSpec {
        domains: Names::from([SHOP.parse().unwrap()]),
        ..proxy_host(1, None).spec
    };
    let held = |state| changed(free(SHOP), |l| l.before = Some(entry(SHOP, state)));
    let certified = |state| {
        changed(held(state), |l| {
            l.proxy = survey(vec![], vec![certificate(7, true, &[SHOP])]);
        })
    };
    let unknown = || Fact::Unknown(error(ErrorKind::Unavailable));
    let id = ProxyHostId(70);
    for (what, look, state, step) in [
        ("free", free(SHOP), Pending, Some(DomainStep::Hold)),
        (
            "elsewhere",
            changed(free(SHOP), |l| l.addresses = leads_to(&["198.51.100.1"])),
            PendingDns,
            None,
        ),
        (
            "here and elsewhere",
            changed(free(SHOP), |l| {
                l.addresses = leads_to(&["203.0.113.7", "198.51.100.1"])
            }),
            PendingDns,
            None,
        ),
        (
            "nowhere",
            changed(free(SHOP), |l| l.addresses = leads_to(&[])),
            PendingDns,
            None,
        ),
        (
            "not to be asked",
            changed(free(SHOP), |l| {
                l.addresses = Some(Addresses::Unknown("x".to_owned()))
            }),
            PendingDns,
            None,
        ),
        (
            "in the way",
            changed(free(SHOP), |l| l.obstacle = Some("x".to_owned())),
            Conflict,
            None,
        ),
        (
            "proxy silent",
            changed(free(SHOP), |l| l.proxy = unknown()),
            Pending,
            None,
        ),
        (
            "foreign host",
            changed(free(SHOP), |l| hosts(l).push(domain_host(None, &[SHOP]))),
            Conflict,
            None,
        ),
        (
            "foreign certificate",
            changed(free(SHOP), |l| {
                l.proxy = survey(vec![], vec![certificate(9, true, &[SHOP, "b.example.org"])])
            }),
            Conflict,
            None,
        ),
        (
            "own host of an earlier life",
            changed(set_up(SHOP), |l| l.before = None),
            Pending,
            Some(DomainStep::Hold),
        ),
        (
            "held",
            held(Issuing),
            Issuing,
            Some(DomainStep::RequestCertificate),
        ),
        (
            "held, after a failure",
            held(Failed),
            Issuing,
            Some(DomainStep::RequestCertificate),
        ),
        (
            "held, elsewhere by now",
            changed(held(Issuing), |l| l.addresses = leads_to(&[])),
            Issuing,
            Some(DomainStep::RequestCertificate),
        ),
        (
            "uploaded certificate",
            changed(held(Issuing), |l| {
                l.proxy = survey(vec![], vec![certificate(9, false, &[SHOP])])
            }),
            Issuing,
            Some(DomainStep::RequestCertificate),
        ),
        (
            "failed in this pass",
            changed(held(Issuing), |l| l.failure = Some(error(ErrorKind::Invalid))),
            Failed,
            None,
        ),
        (
            "in the queue",
            changed(held(Issuing), |l| {
                l.failure = Some(error(ErrorKind::Throttled { retry_after: None }))
            }),
            Issuing,
            None,
        ),
        (
            "certified",
            certified(Issuing),
            Issuing,
            Some(DomainStep::CreateHost(wanted.clone())),
        ),
        ("set up", set_up(SHOP), Ready, None),
        (
            "set up, elsewhere by now",
            changed(set_up(SHOP), |l| l.addresses = leads_to(&["198.51.100.1"])),
            Ready,
            None,
        ),
        (
            "set up, proxy silent",
            changed(set_up(SHOP), |l| l.proxy = unknown()),
            Ready,
            None,
        ),
        (
            "set up, host gone",
            certified(Ready),
            Issuing,
            Some(DomainStep::CreateHost(wanted.clone())),
        ),
        (
            "set up, host foreign",
            changed(set_up(SHOP), |l| hosts(l)[0].mark = None),
            Failed,
            None,
        ),
        (
            "set up, host changed",
            changed(set_up(SHOP), |l| hosts(l)[0].spec.forward_port = 81),
            Ready,
            Some(DomainStep::UpdateHost(id, wanted.clone())),
        ),
        (
            "set up, deviating",
            changed(set_up(SHOP), |l| hosts(l)[0].deviates = true),
            Ready,
            Some(DomainStep::UpdateHost(id, wanted.clone())),
        ),
        (
            "set up, disabled",
            changed(set_up(SHOP), |l| hosts(l)[0].enabled = false),
            Ready,
            Some(DomainStep::SetEnabled(id, true)),
        ),
        (
            "set up, not loaded",
            changed(set_up(SHOP), |l| hosts(l)[0].problem = Some("x".to_owned())),
            Failed,
            None,
        ),
        (
            "name on the site's own host",
            changed(set_up(SHOP), |l| {
                *hosts(l) = vec![domain_host(own(), &[SHOP, host().as_str()])]
            }),
            Failed,
            None,
        ),
        (
            "renewed",
            changed(set_up(SHOP), |l| {
                if let Fact::Known(s) = &mut l.proxy {
                    s.certificates.push(certificate(8, true, &[SHOP]))
                }
            }),
            Ready,
            Some(DomainStep::UpdateHost(
                id,
                ProxyHostSpec {
                    certificate: Some(CertificateId(8)),
                    ..wanted.clone()
                },
            )),
        ),
    ] {
        assert_eq!(
            row(some(), vec![look]),
            (vec![state], step.into_iter().collect()),
            "{what}"
        );
    }
}

#[test]
fn a_domain_goes_host_first_and_certificate_last() {
    let going = |proxy| changed(set_up(SHOP), |l| (l.wanted, l.proxy) = (false, proxy));
    let host = || domain_host(own(), &[SHOP]);
    let other = || domain_host(None, &[SHOP]);
    let ours = || certificate(7, true, &[SHOP]);
    let foreign = certificate(9, true, &[SHOP, "b.example.org"]);
    let delete_host = vec![DomainStep::DeleteHost(ProxyHostId(70))];
    let delete_certificate = vec![DomainStep::DeleteCertificate(CertificateId(7))];
    let removing = vec![DomainState::Removing];
    for (what, proxy, expected) in [
        (
            "both",
            survey(vec![host()], vec![ours()]),
            (removing.clone(), delete_host),
        ),
        (
            "certificate",
            survey(vec![], vec![ours(), foreign.clone()]),
            (removing.clone(), delete_certificate),
        ),
        (
            "certificate in use",
            survey(vec![other()], vec![ours()]),
            (vec![], vec![]),
        ),
        (
            "nothing of ours",
            survey(vec![other()], vec![foreign]),
            (vec![], vec![]),
        ),
        ("nothing", survey(vec![], vec![]), (vec![], vec![])),
    ] {
        assert_eq!(row(some(), vec![going(proxy)]), expected, "{what}");
    }
    let suspended = Wishes {
        suspension: Some(Suspension::Disable),
        ..some()
    };
    let waits = changed(going(survey(vec![host()], vec![ours()])), |l| {
        hosts(l)[0].enabled = false
    });
    let outlook = outlook_of(suspended, vec![waits]);
    assert!(outlook.actions.is_empty());
    assert!(
        outlook.said.entries[0]
            .message
            .contains("waits while the site is suspended")
    );
}

#[test]
fn the_quota_keeps_what_exists_and_refuses_additions() {
    use DomainState::*;
    let of = |limit: i32, looks: Vec<DomainLook>| {
        let wishes = Wishes {
            domains: limit,
            ..Wishes::default()
        };
        let outlook = outlook_of(wishes, looks);
        let states: Vec<DomainState> = outlook.said.entries.iter().map(|e| e.state).collect();
        (states, outlook.said.quota.unwrap().display)
    };
    let names = ["a.example.org", "b.example.org", "c.example.org"];
    let three = || names.map(free).to_vec();
    assert_eq!(of(3, three()), (vec![Pending; 3], "3/3".to_owned()));
    assert_eq!(
        of(2, three()),
        (vec![Pending, Pending, QuotaExceeded], "2/2".to_owned())
    );
    assert_eq!(of(0, three()), (vec![QuotaExceeded; 3], "0/0".to_owned()));
    // What is held counts first, wherever it stands in the spec.
    let last_held = vec![free(names[0]), set_up(names[1])];
    assert_eq!(of(1, last_held), (vec![QuotaExceeded, Ready], "1/1".to_owned()));
    let more_than_allowed = vec![set_up(names[0]), set_up(names[1]), free(names[2])];
    assert_eq!(
        of(1, more_than_allowed),
        (vec![Ready, Ready, QuotaExceeded], "2/1".to_owned())
    );
    // What is gone makes room at once.
    let going = |proxy| changed(set_up(names[0]), |l| (l.wanted, l.proxy) = (false, proxy));
    let still_there = going(survey(vec![domain_host(own(), &names[..1])], vec![]));
    assert_eq!(
        of(1, vec![free(names[1]), still_there]),
        (vec![QuotaExceeded, Removing], "1/1".to_owned())
    );
    let gone = going(survey(vec![], vec![]));
    assert_eq!(
        of(1, vec![free(names[1]), gone]),
        (vec![Pending], "1/1".to_owned())
    );
    // What cannot be had takes no place.
    let conflicting = changed(free(names[0]), |l| l.obstacle = Some("x".to_owned()));
    let invalid = changed(free(names[1]), |l| l.fqdn = Err("x".to_owned()));
    let rest = vec![conflicting, invalid, free(names[2])];
    assert_eq!(of(1, rest), (vec![Conflict, Invalid, Pending], "1/1".to_owned()));
}

#[test]
fn names_are_shown_as_typed_and_found_again_in_another_spelling() {
    let typed = [
        "Bücher.example".to_owned(),
        "xn--bcher-kva.example".to_owned(),
        "a..b".to_owned(),
    ];
    let looks = domains::listed(&WordPressSiteStatus::default(), &typed);
    assert_eq!(looks[0].fqdn.as_ref().unwrap().as_str(), "xn--bcher-kva.example");
    assert!(looks[1].fqdn.as_ref().unwrap_err().contains("Bücher.example"));
    assert!(looks[2].fqdn.is_err());
    let status = WordPressSiteStatus {
        domains: vec![
            entry("bücher.example", DomainState::Ready),
            entry("old.example", DomainState::Failed),
            entry("never.example", DomainState::PendingDns),
        ],
        ..WordPressSiteStatus::default()
    };
    let looks = domains::listed(&status, &typed[1..2]);
    assert!(looks[0].is_held() && looks[0].wanted && looks[0].name == typed[1]);
    let rest: Vec<(&str, bool)> = looks[1..].iter().map(|l| (l.name.as_str(), l.wanted)).collect();
    assert_eq!(rest, [("old.example", false)]);
    for bad in ["example", "co.uk", "-a.example", "a_b.example"] {
        assert!(domains::parsed(bad).is_err(), "{bad}");
    }
}

#[test]
fn suspension_and_the_switch_of_the_proxy_reach_every_domain() {
    let of = |wishes: Wishes, enabled: bool, notice: bool| {
        let look = changed(set_up(SHOP), |l| {
            hosts(l)[0].enabled = enabled;
            hosts(l)[0].spec.notice = notice.then(some_notice);
        });
        row(wishes, vec![look]).1
    };
    let off = Wishes {
        proxy_enabled: false,
        ..some()
    };
    let suspended = |suspension| Wishes {
        suspension: Some(suspension),
        ..some()
    };
    let id = ProxyHostId(70);
    assert_eq!(of(off.clone(), true, false), [DomainStep::SetEnabled(id, false)]);
    assert_eq!(of(off, false, false), []);
    assert_eq!(
        of(suspended(Suspension::Disable), true, false),
        [DomainStep::SetEnabled(id, false)]
    );
    let shut = of(suspended(Suspension::Notice), true, false);
    assert!(
        matches!(&shut[..], [DomainStep::UpdateHost(_, spec)] if spec.notice.is_some()),
        "{shut:?}"
    );
    assert_eq!(of(suspended(Suspension::Notice), true, true), []);
    assert!(
        matches!(&of(some(), true, true)[..], [DomainStep::UpdateHost(_, spec)] if spec.notice.is_none())
    );
    // Additions wait.
    assert_eq!(
        row(suspended(Suspension::Notice), vec![free(SHOP)]),
        (vec![DomainState::Pending], vec![])
    );
}

/// The sentence of a suspended site.
fn some_notice() -> String {
    let suspended = Wishes {
        suspension: Some(Suspension::Notice),
        ..Wishes::default()
    };
    suspended.served().notice().unwrap()
}

#[test]
fn one_bad_domain_is_in_nobodys_way() {
    let failing = changed(free("a.example.org"), |l| {
        l.before = Some(entry("a.example.org", DomainState::Issuing));
        l.failure = Some(error(ErrorKind::Invalid));
    });
    let outlook = outlook_of(
        some(),
        vec![failing, free("b.example.org"), set_up("c.example.org")],
    );
    assert_eq!(outlook.actions.len(), 1);
    assert!(outlook.store && outlook.retry == Some(None));
    let finding = domains_finding(&outlook.said.entries).unwrap();
    assert_eq!(
        (finding.state, finding.reason),
        (State::False, reasons::DOMAIN_FAILED)
    );
    assert!(
        finding.message.starts_with("a.example.org: "),
        "{}",
        finding.message
    );
    assert_eq!(domains_finding(&[]), None);
    let good = domains_finding(&[entry(SHOP, DomainState::Ready)]).unwrap();
    assert_eq!(good.state, State::True);
}

#[test]
fn a_lost_claim_is_a_conflict_and_a_won_one_goes_on() {
    let fqdn: Fqdn = SHOP.parse().unwrap();
    let mut known = all(vec![free(SHOP)]);
    domains::absorb(
        &mut known,
        &fqdn,
        &DomainDone::Lost("the site other has it".to_owned()),
    );
    assert_eq!(row(some(), known.looks), (vec![DomainState::Conflict], vec![]));
    let mut known = all(vec![free(SHOP)]);
    domains::absorb(&mut known, &fqdn, &DomainDone::Held);
    assert_eq!(
        row(some(), known.looks.clone()),
        (vec![DomainState::Issuing], vec![DomainStep::RequestCertificate])
    );
    domains::absorb(
        &mut known,
        &fqdn,
        &DomainDone::Certificate(certificate(7, true, &[SHOP])),
    );
    assert!(matches!(
        &row(some(), known.looks.clone()).1[..],
        [DomainStep::CreateHost(_)]
    ));
    domains::absorb(&mut known, &fqdn, &DomainDone::Host(domain_host(own(), &[SHOP])));
    assert_eq!(row(some(), known.looks), (vec![DomainState::Ready], vec![]));
}

#[test]
fn a_site_that_is_being_made_lets_its_domains_wait() {
    let mut scene = Scene::reserved();
    let wishes = Wishes {
        domain_names: vec![SHOP.to_owned(), "x".to_owned()],
        ..some()
    };
    scene.observed.terms = Some(asking(wishes));
    let plan = plan::live(&scene.status, &scene.observed, now());
    let (actions, next) = (plan.actions.clone(), plan.next);
    let plan = with_domains(plan, &scene.status, &scene.observed);
    assert_eq!((plan.actions, plan.next), (actions, next));
    let said = plan.verdict.domains.unwrap();
    let states: Vec<DomainState> = said.entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [DomainState::Pending, DomainState::Invalid]);
    assert_eq!(said.quota, Some(SiteQuotaUse::new(0, 3)));
}

#[test]
fn a_settled_site_says_what_it_said() {
    let outlook = outlook_of(some(), vec![set_up(SHOP)]);
    let mut status = WordPressSiteStatus::default();
    assert!(!outlook.is_as_said(&status));
    status.domains = outlook.said.entries.clone();
    status.quota = Some(SiteQuota {
        domains: SiteQuotaUse::new(1, 3),
        ..SiteQuota::default()
    });
    assert!(outlook.is_as_said(&status));
    assert!(!outlook_of(some(), vec![free(SHOP)]).is_as_said(&status));
}

#[test]
fn a_site_that_goes_takes_its_domains_along() {
    let gone = |looks: Vec<DomainLook>| {
        let looks = looks.into_iter().map(|look| changed(look, |l| l.wanted = false));
        domains_removed(&all(looks.collect()), &terms(), &host()).map_err(ProviderError::kind)
    };
    let shop: Fqdn = SHOP.parse().unwrap();
    let delete = Action::Domain(shop, DomainStep::DeleteHost(ProxyHostId(70)));
    assert_eq!(gone(vec![set_up(SHOP)]), Ok(vec![delete.clone()]));
    let unread = changed(set_up("b.example.org"), |l| {
        l.proxy = Fact::Unknown(error(ErrorKind::Unavailable))
    });
    assert_eq!(gone(vec![unread.clone(), set_up(SHOP)]), Ok(vec![delete]));
    assert_eq!(gone(vec![unread]), Err(ErrorKind::Unavailable));
    let nothing = changed(set_up(SHOP), |l| l.proxy = survey(vec![], vec![]));
    assert_eq!(gone(vec![nothing]), Ok(vec![]));
}
