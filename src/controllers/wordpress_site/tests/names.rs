//! `plan::live` for the name, the certificate and the proxy host.

use super::*;

#[test]
fn the_name() {
    let records =
        |records: Vec<Record>| with(Scene::standing(), |s| s.observed.records = Fact::Known(records));
    let wrong = || RecordData::A(ip(99));
    check(vec![
        (
            "ours and equal",
            Scene::standing(),
            &[],
            Next::Settled,
            &[(kinds::NAME_READY, reasons::READY, "points to 203.0.113.7.")],
        ),
        (
            "none",
            records(vec![]),
            &["create record jane.sites.example.com A 203.0.113.7"],
            AGAIN,
            &[(kinds::NAME_READY, reasons::PROVISIONING, "is being made")],
        ),
        (
            "ours and different",
            records(vec![record("r", own(), wrong())]),
            &["update record r A 203.0.113.7"],
            AGAIN,
            &[(kinds::NAME_READY, reasons::PROVISIONING, "is being corrected")],
        ),
        (
            "ours twice: the right one stays",
            records(vec![
                record("r1", own(), wrong()),
                record("r2", own(), right_data()),
            ]),
            &["delete record r1"],
            AGAIN,
            &[(kinds::NAME_READY, reasons::READY, "")],
        ),
        (
            "ours twice, none right",
            records(vec![
                record("r1", own(), wrong()),
                record("r2", own(), RecordData::A(ip(98))),
            ]),
            &["delete record r2", "update record r1 A 203.0.113.7"],
            AGAIN,
            &[],
        ),
        (
            "a foreign address",
            records(vec![record("r", None, wrong())]),
            &[],
            RETRY,
            &[(
                kinds::NAME_READY,
                reasons::CONFLICT,
                "has the record A 10.0.0.99 at Provider cf",
            )],
        ),
        (
            "the right address, but another's",
            records(vec![record("r", Some(mark(STRANGER)), right_data())]),
            &[],
            RETRY,
            &[(
                kinds::NAME_READY,
                reasons::CONFLICT,
                "does not carry our mark and is not touched",
            )],
        ),
        (
            "a foreign alias",
            records(vec![record(
                "r",
                None,
                RecordData::Cname("x.example.com".parse().unwrap()),
            )]),
            &[],
            RETRY,
            &[(kinds::NAME_READY, reasons::CONFLICT, "CNAME x.example.com")],
        ),
        (
            "a foreign text is in nobody's way",
            records(vec![record(
                "r",
                None,
                RecordData::Other("TXT".to_owned(), "v".to_owned()),
            )]),
            &["create record jane.sites.example.com A 203.0.113.7"],
            AGAIN,
            &[],
        ),
        (
            "no zone",
            with(records(vec![]), |s| s.observed.zone = Fact::Known(None)),
            &[],
            RETRY,
            &[(
                kinds::NAME_READY,
                reasons::UNAVAILABLE,
                "no zone of Provider cf holds jane.sites.example.com",
            )],
        ),
        (
            "the zone is unknown",
            with(records(vec![]), |s| {
                s.observed.zone = Fact::Unknown(error(ErrorKind::Denied))
            }),
            &[],
            RETRY,
            &[(kinds::NAME_READY, reasons::DENIED, "")],
        ),
        (
            "the records are unknown",
            with(records(vec![]), |s| {
                s.observed.records = Fact::Unknown(error(ErrorKind::Unavailable))
            }),
            &[],
            RETRY,
            &[(kinds::NAME_READY, reasons::UNAVAILABLE, "")],
        ),
        (
            "a request that will be refused for ever",
            with(records(vec![]), |s| {
                s.observed.records = Fact::Unknown(error(ErrorKind::Invalid))
            }),
            &[],
            Next::Settled,
            &[(kinds::NAME_READY, reasons::REFUSED, "")],
        ),
    ]);
}

#[test]
fn certificate_and_host() {
    let scene = |change: fn(&mut ProxySurvey)| with(Scene::standing(), |s| s.proxy(change));
    let own_host =
        |change: fn(&mut ProxyHost)| with(Scene::standing(), |s| s.proxy(|p| change(&mut p.hosts[0])));
    let request: &[&str] = &["request certificate jane.sites.example.com"];
    check(vec![
        (
            "no certificate",
            scene(|p| *p = ProxySurvey::default()),
            request,
            AGAIN,
            &[
                (
                    kinds::CERTIFICATE_READY,
                    reasons::PROVISIONING,
                    "is being requested",
                ),
                (
                    kinds::PROXY_READY,
                    reasons::WAITING,
                    "Waiting for the certificate.",
                ),
            ],
        ),
        (
            "no certificate, and no name yet",
            with(scene(|p| *p = ProxySurvey::default()), |s| {
                s.observed.records = Fact::Known(vec![record("r", None, right_data())])
            }),
            &[],
            RETRY,
            &[(
                kinds::CERTIFICATE_READY,
                reasons::WAITING,
                "Waiting for the name.",
            )],
        ),
        (
            "no certificate, the name is being made",
            with(scene(|p| *p = ProxySurvey::default()), |s| {
                s.observed.records = Fact::Known(vec![])
            }),
            &[
                "create record jane.sites.example.com A 203.0.113.7",
                "request certificate jane.sites.example.com",
            ],
            AGAIN,
            &[],
        ),
        (
            "one with other names too",
            scene(|p| {
                p.hosts.clear();
                p.certificates = vec![certificate(7, true, &["jane.sites.example.com", "x.example.com"])];
            }),
            request,
            AGAIN,
            &[],
        ),
        (
            "an uploaded one",
            scene(|p| {
                p.hosts.clear();
                p.certificates = vec![certificate(7, false, &["jane.sites.example.com"])];
            }),
            request,
            AGAIN,
            &[],
        ),
        (
            "no host",
            scene(|p| p.hosts.clear()),
            &["create host 10.0.0.10 with 7"],
            AGAIN,
            &[(kinds::PROXY_READY, reasons::PROVISIONING, "is being made")],
        ),
        (
            "two certificates: the newest counts",
            scene(|p| p.certificates.insert(0, own_certificate(9))),
            &["update host 3 10.0.0.10 with 9"],
            AGAIN,
            &[],
        ),
        (
            "a foreign host",
            scene(|p| p.hosts = vec![proxy_host(4, None)]),
            &[],
            RETRY,
            &[(
                kinds::PROXY_READY,
                reasons::CONFLICT,
                "served by proxy host 4 at Provider npm",
            )],
        ),
        (
            "another object's host",
            scene(|p| p.hosts = vec![proxy_host(4, Some(mark(STRANGER)))]),
            &[],
            RETRY,
            &[(kinds::PROXY_READY, reasons::CONFLICT, "is not touched")],
        ),
        (
            "ours, to another address",
            own_host(|h| h.spec.forward_address = ip(99).into()),
            &["update host 3 10.0.0.10 with 7"],
            AGAIN,
            &[(kinds::PROXY_READY, reasons::PROVISIONING, "is being corrected")],
        ),
        (
            "ours, set otherwise",
            own_host(|h| h.deviates = true),
            &["update host 3 10.0.0.10 with 7"],
            AGAIN,
            &[],
        ),
        (
            "ours, disabled",
            own_host(|h| h.enabled = false),
            &["enable host 3"],
            AGAIN,
            &[(kinds::PROXY_READY, reasons::PROVISIONING, "is being enabled")],
        ),
        (
            "disabled and set otherwise: corrected first",
            own_host(|h| (h.enabled, h.deviates) = (false, true)),
            &["update host 3 10.0.0.10 with 7"],
            AGAIN,
            &[],
        ),
        (
            "the proxy could not load it",
            own_host(|h| h.problem = Some("host not found".to_owned())),
            &[],
            RETRY,
            &[(
                kinds::PROXY_READY,
                reasons::UNAVAILABLE,
                "could not load proxy host 3: host not found",
            )],
        ),
        (
            "the proxy does not answer",
            with(Scene::standing(), |s| {
                s.observed.proxy = Fact::Unknown(error(ErrorKind::Unavailable))
            }),
            &[],
            RETRY,
            &[
                (kinds::CERTIFICATE_READY, reasons::UNAVAILABLE, ""),
                (kinds::PROXY_READY, reasons::UNAVAILABLE, ""),
            ],
        ),
    ]);
}
