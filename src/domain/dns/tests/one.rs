//! One record by itself.

use super::RecordKind::{A, Aaaa, Caa, Cname, Mx, Ns, Srv, Txt};
use super::*;

/// Name and content as they are sent.
fn sent(one: &TypedRecord<'_>) -> String {
    let zone = zone();
    match check_record(&setting(&zone), one) {
        Ok(spec) => format!("{} {}", spec.name, spec.data),
        Err(refusal) => panic!("{one:?}: {refusal}"),
    }
}

fn broken(one: &TypedRecord<'_>) -> RecordRule {
    let zone = zone();
    let refusal = check_record(&setting(&zone), one).unwrap_err();
    judge_refusal(one, &refusal);
    refusal.rule
}

#[test]
fn names_are_below_the_zone_unless_they_are_whole() {
    for (name, whole) in [
        ("", "example.com"),
        ("@", "example.com"),
        ("example.com", "example.com"),
        ("Example.COM.", "example.com"),
        ("WWW", "www.example.com"),
        ("a.b", "a.b.example.com"),
        ("a.b.example.com", "a.b.example.com"),
        ("a.b.example.com.", "a.b.example.com"),
        ("notexample.com", "notexample.com.example.com"),
        ("*", "*.example.com"),
        ("*.shop", "*.shop.example.com"),
        ("bücher", "xn--bcher-kva.example.com"),
        ("a。b", "a.b.example.com"),
    ] {
        assert_eq!(sent(&typed(name, A, "192.0.2.1")), format!("{whole} A 192.0.2.1"));
    }
    let zone = "xn--bcher-kva.example".parse().unwrap();
    let spec = check_record(&setting(&zone), &typed("www.bücher.example", A, "192.0.2.1")).unwrap();
    assert_eq!(spec.name.as_str(), "www.xn--bcher-kva.example");
}

#[test]
fn bad_names_are_refused() {
    use RecordRule::{NameInvalid, NameOutsideZone, NameTooLong, WildcardPlace};
    let (label, name) = ("a".repeat(64), "a.".repeat(125) + "a");
    for (name, rule) in [
        ("www.example.org.", NameOutsideZone),
        ("notexample.com.", NameOutsideZone),
        ("com.", NameOutsideZone),
        ("a*", WildcardPlace),
        ("a.*", WildcardPlace),
        ("**", WildcardPlace),
        (&label, NameTooLong),
        (&name, NameTooLong),
        ("-bad-", NameInvalid),
        ("a..b", NameInvalid),
        (".", NameInvalid),
        (".a", NameInvalid),
        ("a b", NameInvalid),
        ("a/b", NameInvalid),
        ("xn--a", NameInvalid),
        ("_ü", NameInvalid),
        (" www", NameInvalid),
        ("a\nb", NameInvalid),
    ] {
        assert_eq!(broken(&typed(name, Txt, "x")), rule, "{name}");
    }
}

#[test]
fn types_have_names_of_their_own() {
    for one in [
        typed("_dmarc", Txt, "x"),
        typed("s1._domainkey", Cname, "s1.domainkey._x.example.net"),
        typed("*._x", Txt, "x"),
    ] {
        sent(&one);
    }
    for one in [
        typed("_x", A, "192.0.2.1"),
        typed("_x", Aaaa, "::1"),
        typed("a._x", Mx, "mail.example.com"),
        typed("a_b", Ns, "ns.example.net"),
        typed("_x", Caa, "0 issue x.example"),
    ] {
        assert_eq!(broken(&one), RecordRule::NameUnderscore);
    }
    let fits = format!("{}.{}", "a".repeat(32), "a".repeat(31));
    let long = format!("{fits}a");
    sent(&typed(&fits, A, "192.0.2.1"));
    sent(&typed(&long, Cname, "www.example.com"));
    assert_eq!(broken(&typed(&long, Aaaa, "::1")), RecordRule::AddressNameTooLong);
    assert_eq!(
        broken(&typed("@", Ns, "ns.example.net")),
        RecordRule::ApexNameServer
    );
    assert_eq!(
        broken(&typed("*.x", Ns, "ns.example.net")),
        RecordRule::WildcardNameServer
    );
    assert_eq!(broken(&typed("", Cname, "a.example.net")), RecordRule::ApexAlias);
    for name in ["sip._tcp", "_sip", "_sip.tcp", "@", "_._tcp"] {
        assert_eq!(
            broken(&typed(name, Srv, "0 1 a.example.com")),
            RecordRule::ServiceName
        );
    }
}

#[test]
fn numbers_stay_in_their_ranges() {
    let with = |ttl, priority| TypedRecord {
        ttl,
        priority,
        ..typed("www", A, "192.0.2.1")
    };
    for ttl in [60, 86_400] {
        sent(&with(ttl, None));
    }
    for ttl in [0, 59, 86_401, u32::MAX] {
        assert_eq!(broken(&with(ttl, None)), RecordRule::TtlRange);
    }
    assert_eq!(broken(&with(3600, Some(0))), RecordRule::PriorityMisplaced);
}

#[test]
fn addresses_are_values() {
    assert_eq!(
        sent(&typed("@", Aaaa, "2001:DB8:0::0001")),
        "example.com AAAA 2001:db8::1"
    );
    for word in ["PROXYSRV", "proxysrv", "ProxySrv"] {
        assert_eq!(sent(&typed("@", A, word)), "example.com A 192.0.2.80");
        for kind in [Aaaa, Caa, Cname, Mx, Txt] {
            assert_eq!(broken(&typed("x", kind, word)), RecordRule::ProxyAliasMisplaced);
        }
    }
    assert_eq!(sent(&typed("@", Txt, "\"PROXYSRV\"")), "example.com TXT PROXYSRV");
    let zone = zone();
    let without = ZoneSetting {
        proxy: None,
        ..setting(&zone)
    };
    let refusal = check_record(&without, &typed("@", A, "PROXYSRV")).unwrap_err();
    assert_eq!(refusal.rule, RecordRule::ProxyAddressUnset);
    assert!(refusal.message.contains("zones.proxy"));
    for bad in [
        "",
        "192.0.2",
        "192.0.2.01",
        "192.0.2.256",
        "::1",
        "host",
        " 192.0.2.1",
        "192.0.2.1\n",
    ] {
        assert_eq!(broken(&typed("@", A, bad)), RecordRule::Ipv4Invalid, "{bad}");
    }
    for bad in [
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "fe80::1%eth0",
        "[::1]",
        ":::",
        "1::2::3",
    ] {
        assert_eq!(broken(&typed("@", Aaaa, bad)), RecordRule::Ipv6Invalid, "{bad}");
    }
}

#[test]
fn targets_are_whole_names() {
    for (content, meant) in [
        ("mail.example.net", "mail.example.net"),
        ("Mail.Example.NET.", "mail.example.net"),
        ("@", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(
            sent(&typed("x", Cname, content)),
            format!("x.example.com CNAME {meant}")
        );
        assert_eq!(
            sent(&typed("x", Ns, content)),
            format!("x.example.com NS {meant}")
        );
        assert_eq!(
            sent(&typed("x", Mx, content)),
            format!("x.example.com MX 10 {meant}")
        );
    }
    for kind in [Cname, Mx, Ns] {
        for (content, rule) in [
            ("mail", RecordRule::TargetSingleLabel),
            ("mail.", RecordRule::TargetSingleLabel),
            ("192.0.2.1", RecordRule::TargetAddress),
            ("192.0.2.1.", RecordRule::TargetAddress),
            ("2001:db8::1", RecordRule::TargetAddress),
            ("[192.0.2.1]", RecordRule::TargetAddress),
            ("a..b", RecordRule::TargetInvalid),
            ("*.example.net", RecordRule::TargetInvalid),
            ("10 mail.example.net", RecordRule::TargetInvalid),
            ("", RecordRule::TargetInvalid),
            ("..", RecordRule::TargetInvalid),
        ] {
            assert_eq!(broken(&typed("x", kind, content)), rule, "{content}");
        }
        let long = format!("{}.example.net", "a".repeat(64));
        assert_eq!(broken(&typed("x", kind, &long)), RecordRule::TargetTooLong);
    }
    assert_eq!(
        broken(&typed("x", Mx, "_a.example.net")),
        RecordRule::TargetInvalid
    );
    for kind in [Cname, Ns] {
        assert_eq!(broken(&typed("x", kind, ".")), RecordRule::TargetNowhere);
    }
    assert_eq!(
        broken(&typed("x", Cname, "x.example.com.")),
        RecordRule::AliasLoop
    );
    let zone = zone();
    let said = check_record(&setting(&zone), &typed("@", Mx, "mail")).unwrap_err();
    assert!(said.message.contains("write \"mail.example.com\""), "{said}");
}

#[test]
fn priorities_have_defaults() {
    let mx = |content, priority| TypedRecord {
        priority,
        ..typed("@", Mx, content)
    };
    assert_eq!(
        sent(&mx("a.example.net", Some(5))),
        "example.com MX 5 a.example.net"
    );
    assert_eq!(sent(&mx(".", None)), "example.com MX 0 .");
    assert_eq!(sent(&mx(".", Some(0))), "example.com MX 0 .");
    assert_eq!(broken(&mx(".", Some(10))), RecordRule::NullMxPreference);
    let srv = |content, priority| TypedRecord {
        priority,
        ..typed("_sip._tcp", Srv, content)
    };
    assert_eq!(
        sent(&srv("5  5060 Sip.example.net.", None)),
        "_sip._tcp.example.com SRV 0 5 5060 sip.example.net"
    );
    assert_eq!(sent(&srv("0 0 .", Some(7))), "_sip._tcp.example.com SRV 7 0 0 .");
    for bad in [
        "",
        "5060 a.example.net",
        "1 2 3 a.example.net",
        "+1 2 a.example.net",
        "1 65536 a.example.net",
        "1\t2\ta.example.net",
    ] {
        assert_eq!(broken(&srv(bad, None)), RecordRule::SrvInvalid, "{bad}");
    }
    assert_eq!(broken(&srv("1 2 host", None)), RecordRule::TargetSingleLabel);
}

#[test]
fn authorities_are_named_in_one_way() {
    let caa = |content| typed("@", Caa, content);
    for (content, meant) in [
        ("0 issue letsencrypt.org", "0 issue \"letsencrypt.org\""),
        ("128 ISSUE \"LetsEncrypt.org\"", "128 issue \"letsencrypt.org\""),
        ("0 issuewild ;", "0 issuewild \";\""),
        ("0 issue \" ; \"", "0 issue \";\""),
        (
            "0 issue ca.example;validationmethods=dns-01",
            "0 issue \"ca.example; validationmethods=dns-01\"",
        ),
        (
            "0 iodef mailto:Jane@example.com",
            "0 iodef \"mailto:Jane@example.com\"",
        ),
    ] {
        assert_eq!(sent(&caa(content)), format!("example.com CAA {meant}"));
    }
    let long = format!("0 iodef mailto:{}", "a".repeat(249));
    for (content, rule) in [
        ("", RecordRule::CaaInvalid),
        ("0 issue", RecordRule::CaaInvalid),
        ("issue letsencrypt.org", RecordRule::CaaInvalid),
        ("1 issue letsencrypt.org", RecordRule::CaaInvalid),
        ("256 issue letsencrypt.org", RecordRule::CaaInvalid),
        ("0 isue letsencrypt.org", RecordRule::CaaTag),
        ("0 issue \"letsencrypt.org", RecordRule::CaaValue),
        ("0 issue lets encrypt", RecordRule::CaaValue),
        ("0 issue letsencrypt", RecordRule::CaaValue),
        ("0 issue \"\"", RecordRule::CaaValue),
        ("0 issue ca.example; dns-01", RecordRule::CaaValue),
        ("0 issue a\\b.example", RecordRule::CaaValue),
        ("0 iodef jane@example.com", RecordRule::CaaValue),
        (&long, RecordRule::CaaValue),
    ] {
        assert_eq!(broken(&caa(content)), rule, "{content}");
    }
}
