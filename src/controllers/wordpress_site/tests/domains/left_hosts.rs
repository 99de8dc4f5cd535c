//! Proxy hosts that an older backend left for customers' domains.

use super::*;

/// What an older backend left is taken over with the site, and by no other site.
#[test]
fn a_host_that_was_left_for_a_domain_is_taken_over_with_the_site() {
    let left = || {
        changed(free(SHOP), |look| {
            look.proxy = survey(
                vec![domain_host(None, &[SHOP])],
                vec![certificate(7, true, &[SHOP])],
            );
        })
    };
    let held = || {
        changed(left(), |look| {
            look.before = Some(entry(SHOP, DomainState::Issuing))
        })
    };
    let vmid = reservation().vmid.to_string();
    let adopting = |adopt: Option<&str>| Terms {
        adopt: adopt.map(str::to_owned),
        ..asking(some())
    };
    let row = |terms: Terms, adopted: bool, look: DomainLook| {
        let reservation = Reservation {
            adopted,
            ..reservation()
        };
        let outlook = outlook_with(&terms, &reservation, vec![look]);
        (outlook.said.entries[0].state, outlook.actions)
    };
    let step = |step| vec![Action::Domain(SHOP.parse().unwrap(), step)];
    let hold = step(DomainStep::Hold);
    let take = step(DomainStep::AdoptHost(ProxyHostId(70)));
    let two_names = changed(left(), |look| {
        *hosts(look) = vec![domain_host(None, &[SHOP, "b.example.org"])];
    });
    let elsewhere = changed(left(), |look| {
        hosts(look)[0].spec.forward_address = "10.9.9.9".parse().unwrap();
    });
    let strangers = changed(left(), |look| {
        hosts(look)[0].mark = Some(
            "hostwright:prod:9b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11"
                .parse()
                .unwrap(),
        );
    });
    for (what, terms, adopted, look, state, actions) in [
        (
            "ours to take",
            adopting(Some(&vmid)),
            true,
            left(),
            DomainState::Pending,
            hold,
        ),
        (
            "held",
            adopting(Some(&vmid)),
            true,
            held(),
            DomainState::Issuing,
            take,
        ),
        (
            "the annotation is gone",
            adopting(None),
            true,
            left(),
            DomainState::Conflict,
            vec![],
        ),
        (
            "another container",
            adopting(Some("4")),
            true,
            left(),
            DomainState::Conflict,
            vec![],
        ),
        (
            "a new site",
            adopting(Some(&vmid)),
            false,
            left(),
            DomainState::Conflict,
            vec![],
        ),
        (
            "two names",
            adopting(Some(&vmid)),
            true,
            two_names,
            DomainState::Conflict,
            vec![],
        ),
        (
            "elsewhere",
            adopting(Some(&vmid)),
            true,
            elsewhere,
            DomainState::Conflict,
            vec![],
        ),
        (
            "marked",
            adopting(Some(&vmid)),
            true,
            strangers,
            DomainState::Conflict,
            vec![],
        ),
        (
            "held, no longer asked",
            adopting(None),
            true,
            held(),
            DomainState::Failed,
            vec![],
        ),
    ] {
        assert_eq!(row(terms, adopted, look), (state, actions), "{what}");
    }
}
