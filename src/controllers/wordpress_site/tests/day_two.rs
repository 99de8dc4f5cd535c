//! What is asked of a site that is made: rest, restart, sizes, the proxy's switch, recovery.

use jiff::ToSpan;

use super::super::act;
use super::super::site::{Done, Rest, Served};
use super::*;
use crate::api::{Phase, Power, Recovery, Suspension};
use crate::providers::container_host::Usage;

/// Everything stands and was there once, according to the status.
pub(super) fn made() -> Scene {
    with(Scene::standing(), |s| {
        for kind in [kinds::INSTALL_READY, kinds::SNAPSHOT_READY] {
            s.said(kind, State::True, "good");
        }
        s.status.node = Some("a".to_owned());
        s.status.phase = Some(Phase::Running);
        s.status.resources = Some(terms().sizes);
    })
}

pub(super) fn wish(scene: Scene, change: impl FnOnce(&mut Wishes)) -> Scene {
    with(scene, |s| {
        if let Some(terms) = &mut s.observed.terms {
            change(&mut terms.wishes);
        }
    })
}

pub(super) fn stopped(scene: Scene) -> Scene {
    wish(scene, |w| w.power = Power::Stopped)
}

fn suspended(scene: Scene, how: Suspension) -> Scene {
    wish(scene, |w| w.suspension = Some(how))
}

pub(super) fn halted(scene: Scene) -> Scene {
    with(scene, |s| s.container(|c| c.running = false))
}

fn under(scene: Scene, requested: HaState) -> Scene {
    with(scene, |s| {
        if let Fact::Known(Some(container)) = &mut s.observed.container {
            container.high_availability = Some(managed(requested));
        }
    })
}

fn noticed(scene: Scene) -> Scene {
    with(scene, |s| {
        s.proxy(|proxy| proxy.hosts[0].spec.notice = Served::Notice.notice())
    })
}

#[test]
fn a_made_site_of_which_nothing_is_asked_is_left_alone() {
    check(vec![("made", made(), &[], Next::Settled, &[])]);
}

#[test]
fn a_site_that_is_rolled_back_is_not_up_before_its_page_was_seen_again() {
    let held = with(made(), |s| {
        s.said(kinds::PAGE_READY, State::True, "good");
        s.observed.held = Some("back".to_owned());
    });
    let yields = &[
        (kinds::CONTAINER_READY, reasons::RESTORING, "SiteRestore back"),
        (kinds::PAGE_READY, reasons::WAITING, ""),
    ] as &[Sight];
    check(vec![("held by a restore", held, &[], Next::Settled, yields)]);
}

#[test]
fn suspension_goes_before_power_and_the_notice_before_nothing() {
    let wishes = |power, suspension, proxy_enabled| Wishes {
        power,
        suspension,
        proxy_enabled,
        ..Wishes::default()
    };
    let (on, off) = (Power::Running, Power::Stopped);
    let (notice, disable) = (Some(Suspension::Notice), Some(Suspension::Disable));
    for (wishes, rest, served) in [
        (wishes(on, None, true), None, Served::Site),
        (wishes(on, None, false), None, Served::Nothing),
        (wishes(off, None, true), Some(Rest::Stopped), Served::Site),
        (wishes(on, notice, true), Some(Rest::Suspended), Served::Notice),
        (wishes(off, notice, true), Some(Rest::Suspended), Served::Notice),
        (wishes(on, notice, false), Some(Rest::Suspended), Served::Nothing),
        (wishes(on, disable, true), Some(Rest::Suspended), Served::Nothing),
    ] {
        assert_eq!((wishes.rest(), wishes.served()), (rest, served), "{wishes:?}");
    }
}

#[test]
fn a_site_is_brought_to_rest() {
    let idle = &[(kinds::CONTAINER_READY, reasons::STOPPED, "stopped, as power asks")] as &[Sight];
    let going = &[(kinds::CONTAINER_READY, reasons::STOPPING, "is being shut down")] as &[Sight];
    let kept = &[(kinds::CONTAINER_READY, reasons::SUSPENDED, "other changes wait")] as &[Sight];
    check(vec![
        ("runs", stopped(made()), &["stop"], Next::Poll, going),
        ("rests", stopped(halted(made())), &[], Next::Settled, idle),
        (
            "runs under high availability",
            stopped(under(made(), HaState::Started)),
            &["ha Stopped"],
            Next::Poll,
            going,
        ),
        (
            "high availability is stopping it",
            stopped(under(made(), HaState::Stopped)),
            &[],
            Next::Poll,
            going,
        ),
        (
            "rests, but high availability would start it",
            stopped(under(halted(made()), HaState::Started)),
            &["ha Stopped"],
            Next::Poll,
            going,
        ),
        (
            "rests under high availability",
            stopped(under(halted(made()), HaState::Stopped)),
            &[],
            Next::Settled,
            idle,
        ),
        (
            "locked by other work",
            stopped(with(made(), |s| {
                s.container(|c| c.lock = Some("snapshot".to_owned()))
            })),
            &[],
            Next::Poll,
            &[],
        ),
        (
            "suspended: visitors are told first",
            suspended(made(), Suspension::Notice),
            &["update host 3 10.0.0.10 with 7"],
            AGAIN,
            going,
        ),
        (
            "suspended: then it is shut down",
            suspended(noticed(made()), Suspension::Notice),
            &["stop"],
            Next::Poll,
            going,
        ),
        (
            "suspended",
            suspended(halted(noticed(made())), Suspension::Notice),
            &[],
            Next::Settled,
            kept,
        ),
        (
            "suspended without a notice",
            suspended(made(), Suspension::Disable),
            &["disable host 3"],
            AGAIN,
            going,
        ),
    ]);
}

#[test]
fn a_suspended_site_waits_with_every_other_change() {
    let large = |scene: Scene| {
        with(scene, |s| {
            if let Some(terms) = &mut s.observed.terms {
                terms.sizes.memory_mib = 4096;
            }
        })
    };
    check(vec![
        (
            "suspended",
            suspended(large(halted(noticed(made()))), Suspension::Notice),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "stopped",
            stopped(large(halted(made()))),
            &["configure 4096 MiB 512 MiB 2"],
            AGAIN,
            &[],
        ),
    ]);
}

#[test]
fn a_site_comes_back() {
    check(vec![
        (
            "its container is started first",
            halted(noticed(made())),
            &["start"],
            Next::Poll,
            &[],
        ),
        (
            "then visitors see it",
            noticed(made()),
            &["update host 3 10.0.0.10 with 7"],
            AGAIN,
            &[],
        ),
    ]);
}

#[test]
fn nothing_is_made_while_suspended_and_what_was_begun_is_finished() {
    check(vec![
        (
            "not begun",
            suspended(Scene::fresh(), Suspension::Notice),
            &[],
            Next::Settled,
            &[(kinds::CONTAINER_READY, reasons::SUSPENDED, "Nothing is made")],
        ),
        (
            "begun",
            suspended(Scene::created(), Suspension::Notice),
            &[
                "install on a",
                "create record jane.sites.example.com A 203.0.113.7",
                "request certificate jane.sites.example.com",
            ],
            AGAIN,
            &[],
        ),
    ]);
}

#[test]
fn the_proxys_switch() {
    let off = |scene| wish(scene, |w| w.proxy_enabled = false);
    let shut = |scene| {
        with(scene, |s: &mut Scene| {
            s.proxy(|proxy| proxy.hosts[0].enabled = false)
        })
    };
    let unseen = |scene| with(scene, |s: &mut Scene| s.observed.page = Fact::Unread);
    check(vec![
        ("off", off(made()), &["disable host 3"], AGAIN, &[]),
        (
            "is off",
            off(shut(unseen(made()))),
            &[],
            Next::Settled,
            &[(kinds::PROXY_READY, reasons::READY, "disabled, as asked")],
        ),
        ("on", shut(made()), &["enable host 3"], AGAIN, &[]),
        (
            "a site that is being made is shown",
            off(unseen(Scene::standing())),
            &[],
            AGAIN,
            &[],
        ),
    ]);
}

#[test]
fn a_page_from_before_a_change_says_nothing_afterwards() {
    let after = |done: Done| act::absorb(made().observed, &done).page;
    for done in [
        Done::ProxyChanged,
        Done::ContainerChanged,
        Done::Configured,
        Done::HighAvailability,
    ] {
        assert!(after(done.clone()).is_unread(), "{done:?}");
        assert!(act::absorb(made().observed, &done).page_changed, "{done:?}");
    }
    assert!(!after(Done::RecordsChanged).is_unread());
}

#[test]
fn a_page_that_was_just_shown_or_started_is_waited_for() {
    let with_page = |page: Page, change: fn(&mut Scene)| {
        with(made(), |s: &mut Scene| {
            s.observed.page = Fact::Known(page);
            change(s);
        })
    };
    let dark = |change| with_page(Page::Other("status 502".to_owned()), change);
    fn up(s: &mut Scene, uptime_seconds: u64) {
        s.container(|container| {
            container.usage = Some(Usage {
                cpu_permille: 0,
                memory_bytes: 0,
                disk_bytes: 0,
                disk_size_bytes: None,
                uptime_seconds,
            });
        });
    }
    let waits = &[(kinds::PAGE_READY, reasons::WAITING, "not answer")] as &[Sight];
    let fails = &[(kinds::PAGE_READY, reasons::UNAVAILABLE, "status 502")] as &[Sight];
    let open = &[(kinds::PAGE_READY, reasons::UNEXPECTED, "open to strangers")] as &[Sight];
    check(vec![
        ("up for long", dark(|s| up(s, 60)), &[], RETRY, fails),
        (
            "started a moment ago",
            dark(|s| up(s, 59)),
            &[],
            Next::Poll,
            waits,
        ),
        ("nobody knows since when", dark(|_| {}), &[], RETRY, fails),
        (
            "the proxy was changed",
            dark(|s| s.observed.page_changed = true),
            &[],
            Next::Poll,
            waits,
        ),
        (
            "an installer that is open is none to wait for",
            with_page(Page::Installer, |s| up(s, 1)),
            &[],
            RETRY,
            open,
        ),
    ]);
}

#[test]
fn sizes_follow_the_plan() {
    let sized = |change: fn(&mut SiteResources), container: fn(&mut Container)| {
        with(made(), |s| {
            if let Some(terms) = &mut s.observed.terms {
                change(&mut terms.sizes);
            }
            s.container(container);
        })
    };
    let same = |_: &mut SiteResources| {};
    check(vec![
        (
            "memory",
            sized(|s| s.memory_mib = 1024, |_| {}),
            &["configure 1024 MiB 512 MiB 2"],
            AGAIN,
            &[],
        ),
        (
            "swap",
            sized(|s| s.swap_mib = 0, |_| {}),
            &["configure 2048 MiB 0 MiB 2"],
            AGAIN,
            &[],
        ),
        (
            "cores",
            sized(|s| s.cores = 3, |_| {}),
            &["configure 2048 MiB 512 MiB 3"],
            AGAIN,
            &[],
        ),
        (
            "disk, one larger",
            sized(|s| s.disk_gib = 21, |_| {}),
            &["grow to 21 GiB"],
            AGAIN,
            &[],
        ),
        (
            "disk, one smaller",
            sized(|s| s.disk_gib = 19, |_| {}),
            &[],
            Next::Settled,
            &[],
        ),
        (
            "tags or network",
            sized(same, |c| c.deviates = true),
            &["configure 2048 MiB 512 MiB 2"],
            AGAIN,
            &[],
        ),
        (
            "locked",
            sized(|s| s.cores = 3, |c| c.lock = Some("backup".to_owned())),
            &[],
            Next::Poll,
            &[],
        ),
        (
            "into high availability",
            sized(|s| s.high_availability = true, |_| {}),
            &["ha Started"],
            AGAIN,
            &[],
        ),
    ]);
    let out = |ours: bool| {
        with(under(made(), HaState::Started), |s| {
            if let Some(resources) = &mut s.status.resources {
                resources.high_availability = ours;
            }
        })
    };
    check(vec![
        ("out of high availability", out(true), &["ha out"], AGAIN, &[]),
        (
            "somebody else's high availability",
            out(false),
            &[],
            Next::Settled,
            &[],
        ),
    ]);
    let small = sized(|s| s.disk_gib = 19, |_| {});
    let verdict = plan::live(&small.status, &small.observed, now()).verdict;
    assert_eq!(verdict.notes[0].reason, reasons::DISK_CANNOT_SHRINK);
    assert!(verdict.all_good());
}

#[test]
fn a_lost_container_is_made_anew_only_when_the_plan_says_so() {
    let lost = || {
        with(made(), |s| {
            s.observed.container = Fact::Known(None);
            s.observed.creations = Fact::Known(Vec::new());
        })
    };
    let recreate = |scene| wish(scene, |w| w.recovery = Recovery::Recreate);
    let dark = with(lost(), |s| {
        let mut survey = cluster();
        for node in survey.nodes.values_mut() {
            node.online = false;
        }
        s.observed.survey = Fact::Known(Arc::new(survey));
    });
    check(vec![
        (
            "Manual",
            lost(),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "restore it there")],
        ),
        (
            "Recreate",
            recreate(lost()),
            &[],
            STORE,
            &[(kinds::INSTALL_READY, reasons::DEGRADED, "in its place")],
        ),
        (
            "Recreate, but a node is down that may have it",
            recreate(dark),
            &[],
            Next::Settled,
            &[("Block", reasons::DEGRADED, "")],
        ),
    ]);
}

#[test]
fn a_certificate_that_is_not_renewed_is_told_of_two_weeks_before_its_end() {
    let ends_in = |hours: i64| {
        with(made(), |s| {
            s.proxy(|proxy| proxy.certificates[0].expires_at = Some(now() + hours.hours()));
        })
    };
    let told = |scene: &Scene| {
        let verdict = plan::live(&scene.status, &scene.observed, now()).verdict;
        assert!(verdict.all_good());
        verdict
            .notes
            .iter()
            .any(|note| note.kind == kinds::CERTIFICATE_EXPIRING)
    };
    assert!(!told(&ends_in(14 * 24)));
    assert!(told(&ends_in(14 * 24 - 1)));
    assert!(told(&ends_in(-1)));
}
