//! Records beside each other.

use std::fs;
use std::path::Path;

use super::RecordKind::{A, Aaaa, Cname, Mx, Ns, Srv, Txt};
use super::*;

/// Places and reasons of what is refused.
fn refused(list: &[TypedRecord<'_>]) -> Vec<(usize, RecordRule)> {
    let zone = zone();
    let outcomes = check_records(&setting(&zone), list);
    assert_eq!(outcomes.len(), list.len());
    let refusals = outcomes.iter().enumerate().filter_map(|(at, outcome)| {
        let refusal = outcome.as_ref().err()?;
        judge_refusal(&list[at], refusal);
        Some((at, refusal.rule))
    });
    refusals.collect()
}

#[test]
fn a_bad_record_blocks_itself_only() {
    let list = [
        typed("www", A, "192.0.2.1"),
        typed("www", Cname, "bad target.example"),
        typed("www.example.com.", A, "192.0.2.1"),
        typed("www", A, "192.0.2.2"),
    ];
    assert_eq!(
        refused(&list),
        [(1, RecordRule::TargetInvalid), (2, RecordRule::Duplicate)]
    );
}

#[test]
fn an_alias_is_alone_wherever_it_stands_in_the_list() {
    let alias = typed("www", Cname, "a.example.net");
    let second = typed("WWW", Cname, "b.example.net");
    let address = typed("www", A, "192.0.2.1");
    assert_eq!(refused(&[alias, address]), [(0, RecordRule::AliasNotAlone)]);
    assert_eq!(refused(&[address, alias]), [(1, RecordRule::AliasNotAlone)]);
    assert_eq!(refused(&[alias, second]), [(1, RecordRule::AliasNotAlone)]);
    assert_eq!(refused(&[alias, alias]), [(1, RecordRule::Duplicate)]);
    assert_eq!(refused(&[alias, typed("www2", A, "192.0.2.1")]), []);
}

#[test]
fn an_alias_is_no_target() {
    let alias = typed("mail", Cname, "a.example.net");
    let users = [
        alias,
        typed("@", Mx, "mail.example.com"),
        typed("sub", Ns, "mail.example.com"),
        typed("_sip._tcp", Srv, "0 1 mail.example.com"),
        typed("smtp", Cname, "mail.example.com"),
    ];
    let rule = RecordRule::TargetAlias;
    assert_eq!(refused(&users), [(1, rule), (2, rule), (3, rule)]);
    // A refused alias is none.
    let address = typed("mail", A, "192.0.2.1");
    assert_eq!(
        refused(&[alias, address, users[1]]),
        [(0, RecordRule::AliasNotAlone)]
    );
}

#[test]
fn name_and_type_share_a_time_to_live() {
    let with = |ttl, kind, content| TypedRecord {
        ttl,
        ..typed("www", kind, content)
    };
    let list = [
        with(300, A, "192.0.2.1"),
        with(600, A, "192.0.2.2"),
        with(300, A, "192.0.2.3"),
        with(600, Txt, "x"),
    ];
    assert_eq!(refused(&list), [(1, RecordRule::TtlDiffers)]);
}

#[test]
fn null_mx_is_alone() {
    let (null, host) = (typed("@", Mx, "."), typed("@", Mx, "mail.example.net"));
    assert_eq!(refused(&[null, host]), [(0, RecordRule::NullMxNotAlone)]);
    assert_eq!(refused(&[host, null]), [(1, RecordRule::NullMxNotAlone)]);
    assert_eq!(refused(&[null, typed("x", Mx, "mail.example.net")]), []);
}

#[test]
fn what_is_given_away_is_served_elsewhere() {
    let rule = RecordRule::BelowDelegation;
    let list = [
        typed("sub", Ns, "ns1.sub.example.com"),
        typed("sub", Ns, "ns2.sub.example.com"),
        typed("ns1.sub", A, "192.0.2.1"),
        typed("ns2.sub", Aaaa, "2001:db8::1"),
        typed("sub", Txt, "x"),
        typed("sub", A, "192.0.2.1"),
        typed("a.b.sub", Txt, "x"),
        typed("*.sub", A, "192.0.2.1"),
        typed("deep.sub", Ns, "ns.example.net"),
        typed("notsub", Txt, "x"),
    ];
    assert_eq!(
        refused(&list),
        [(4, rule), (5, rule), (6, rule), (7, rule), (8, rule)]
    );
}

#[test]
fn the_quota_takes_the_first() {
    let zone = zone();
    let limited = ZoneSetting {
        quota: Some(2),
        ..setting(&zone)
    };
    let list = [
        typed("a", A, "192.0.2.1"),
        typed("b", A, "bad"),
        typed("c", A, "192.0.2.1"),
        typed("d", A, "192.0.2.1"),
    ];
    let rules: Vec<_> = check_records(&limited, &list)
        .iter()
        .map(|outcome| outcome.as_ref().err().map(|refusal| refusal.rule))
        .collect();
    assert_eq!(
        rules,
        [
            None,
            Some(RecordRule::Ipv4Invalid),
            None,
            Some(RecordRule::QuotaExceeded)
        ]
    );
}

fn defaults(list: &[TypedRecord<'_>]) -> Vec<String> {
    let zone = zone();
    let setting = setting(&zone);
    let outcomes = check_records(&setting, list);
    let made = default_records(&setting, list, &outcomes);
    made.iter()
        .map(|spec| format!("{} {}", spec.name, spec.data))
        .collect()
}

#[test]
fn defaults_leave_names_of_the_user_alone() {
    let (apex, www) = ("example.com A 192.0.2.80", "www.example.com A 192.0.2.80");
    assert_eq!(defaults(&[typed("@", Txt, "x")]), [apex, www]);
    assert_eq!(defaults(&[typed("www", Cname, "a.example.net")]), [apex]);
    assert_eq!(defaults(&[typed("", Aaaa, "2001:db8::1")]), [www]);
    assert_eq!(defaults(&[typed("www.example.com.", A, "refused")]), [apex]);
    assert_eq!(defaults(&[typed("www", Ns, "ns.example.net")]), [apex]);
    let zone = zone();
    let without = ZoneSetting {
        proxy: None,
        ..setting(&zone)
    };
    assert_eq!(default_records(&without, &[], &[]), []);
}

#[test]
fn name_servers_are_listed_once() {
    let servers = ["ns1.example.net", "ns2.example.net", "ns1.example.net"].map(|name| name.parse().unwrap());
    let made = name_server_records(&zone(), &servers);
    let shown: Vec<_> = made.iter().map(|spec| spec.data.to_string()).collect();
    assert_eq!(shown, ["NS ns1.example.net", "NS ns2.example.net"]);
    assert!(made.iter().all(|spec| spec.name.is_apex(&zone())));
}

#[test]
fn the_table_for_people_has_every_rule() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dns-records.md");
    let page = fs::read_to_string(page).unwrap();
    for rule in RecordRule::ALL {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| `{rule}` |")))
            .unwrap_or_else(|| panic!("no row for {rule}"));
        assert!(row.contains(&format!("| {} |", rule.source())), "{row}");
    }
    let (_, table) = page.split_once("| reason |").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, RecordRule::ALL.len());
}
