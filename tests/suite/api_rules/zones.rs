//! Rules about zones and their records.

use std::fmt::Write;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::bounds::bound;
use super::bounds::{Bound, letters, list, most, text, whole};
use super::objects::Base::{self, Zone};
use super::objects::judge;
use super::shapes::{Shape, shape};
use super::{Unit, admin, taken, with};
use crate::world::World;

/// Octets that the API server's store takes in one request, by its default settings (etcd: 1.5 MiB).
const OBJECT_MAX: usize = 1_572_864;

/// Where a record's type stands.
pub const RECORD_TYPE: &str = "/spec/records/0/type";

/// A record of a type.
pub fn of_type(kind: &str) -> Value {
    let (name, content) = match kind {
        "A" => ("x", "192.0.2.1"),
        "AAAA" => ("x", "2001:db8::1"),
        "CAA" => ("x", "0 issue letsencrypt.org"),
        "SRV" => ("_sip._tcp", "0 5060 sip.example.net"),
        "TXT" => ("x", "t"),
        _ => ("x", "host.example.net"),
    };
    json!({"name": name, "type": kind, "content": content})
}

fn text_record(content: &str) -> Value {
    json!({"name": "x", "type": "TXT", "content": content})
}

/// Two labels of so many characters with their dot.
fn zone_name(length: i64) -> Value {
    let first = usize::try_from(length).unwrap() - ".b".len();
    json!(format!("{}.b", "a".repeat(first)))
}

/// Limits of a zone.
pub fn limits() -> Vec<Bound> {
    vec![
        bound(Zone, "/spec/zone", Unit::Text, (Some(3), 253), zone_name),
        text(Zone, "/spec/provider", 1, 253),
        text(Zone, "/spec/plan", 1, 253),
        most(Zone, "/spec/owner", 64, letters),
        bound(Zone, "/spec/records", Unit::Items, (None, 3_500), |n| {
            list(n, |i| text_record(&format!("t{i}")))
        }),
        most(Zone, "/spec/records/0/name", 254, letters),
        text(Zone, "/spec/records/0/content", 1, 4_096),
        whole(Zone, "/spec/records/0/ttl", 60, 86_400),
        whole(Zone, "/spec/records/1/priority", 0, 65_535),
        bound(
            Zone,
            "/spec/allowedChildNamespaces",
            Unit::Items,
            (None, 64),
            |n| list(n, |i| json!(format!("n{i}"))),
        ),
        text(Zone, "/spec/allowedChildNamespaces/0", 1, 63),
    ]
}

/// One rule about a record: records as name, type and content.
fn record<const G: usize, const B: usize>(
    message: &'static str,
    good: [(&str, &str, &str); G],
    bad: [(&str, &str, &str); B],
) -> Shape {
    let typed =
        |(name, kind, content): (&str, &str, &str)| json!({"name": name, "type": kind, "content": content});
    shape(Zone, "/spec/records/0", message, good.map(typed), bad.map(typed))
}

/// Rules about shapes.
pub fn shapes() -> Vec<Shape> {
    [zone(), contents(), targets(), services(), names()]
        .into_iter()
        .flatten()
        .collect()
}

fn zone() -> Vec<Shape> {
    vec![
        shape(
            Zone,
            "/spec/zone",
            "zone must look like example.com: at least two labels, without scheme, path, wildcard or underscore",
            [
                json!("example.com"),
                json!("Example.COM."),
                json!("bücher.example"),
                json!("a.b.c.example"),
            ],
            [
                json!("localhost"),
                json!("https://example.com"),
                json!("example.com/x"),
                json!("*.example.com"),
                json!("_x.example.com"),
                json!("a..example"),
                json!("exa mple.com"),
                json!("a@example.com"),
            ],
        ),
        shape(
            Zone,
            "/spec/owner",
            "owner must be an ISPConfig user name: letters, digits, dots, hyphens and underscores",
            [json!("P17"), json!("jane.doe_1-x"), Value::Null],
            [json!(""), json!("a b"), json!("a/b")],
        ),
    ]
}

fn contents() -> Vec<Shape> {
    vec![
        record(
            "content of an A record is an IPv4 address such as 192.0.2.10, or PROXYSRV for the proxy's; of an AAAA record an IPv6 address such as 2001:db8::10 (RFC 1035 3.4.1, RFC 3596 2.2)",
            [
                ("@", "A", "192.0.2.1"),
                ("@", "A", "PROXYSRV"),
                ("@", "A", "proxySrv"),
                ("@", "AAAA", "2001:DB8::1"),
                ("@", "AAAA", "::"),
            ],
            [
                ("@", "A", "2001:db8::1"),
                ("@", "A", "192.0.2.256"),
                ("@", "A", "192.0.2.01"),
                ("@", "A", "mail.example.com"),
                ("@", "A", "PROXY"),
                ("@", "AAAA", "192.0.2.1"),
                ("@", "AAAA", "::ffff:192.0.2.1"),
                ("@", "AAAA", "fe80::1%eth0"),
                ("@", "AAAA", "PROXYSRV"),
            ],
        ),
        record(
            "content must be on one line (RFC 1035 5.1)",
            [("@", "TXT", "grün \"\\ ;"), ("@", "TXT", "\"one\" \"two\"")],
            [("@", "TXT", "a\nb"), ("@", "TXT", "a\r\n")],
        ),
        record(
            "content of a CAA record is flags, tag and value, such as 0 issue letsencrypt.org (RFC 8659 4.1)",
            [
                ("@", "CAA", "0 issue letsencrypt.org"),
                ("@", "CAA", "128 issuewild \";\""),
            ],
            [("@", "CAA", "letsencrypt.org"), ("@", "CAA", "0 issue")],
        ),
    ]
}

fn targets() -> Vec<Shape> {
    vec![
        record(
            "content of a CNAME, MX or NS record is a whole name such as mail.example.com, with or without a final dot, or @ for the zone (RFC 1034 3.1)",
            [
                ("x", "CNAME", "a.example.net"),
                ("x", "CNAME", "@"),
                ("x", "MX", "mail.example.net."),
                ("x", "MX", "."),
                ("x", "NS", "bücher.example"),
            ],
            [
                ("x", "CNAME", "www"),
                ("x", "CNAME", "."),
                ("x", "MX", "mail."),
                ("x", "NS", "."),
                ("x", "NS", "PROXYSRV"),
            ],
        ),
        record(
            "content of a CNAME, MX or NS record is a name alone: an address belongs into an A or AAAA record, a preference into priority (RFC 2181 10.3)",
            [("x", "MX", "mail.example.net")],
            [
                ("x", "CNAME", "192.0.2.1"),
                ("x", "MX", "10 mail.example.net"),
                ("x", "NS", "2001:db8::1"),
            ],
        ),
    ]
}

fn services() -> Vec<Shape> {
    vec![
        record(
            "content of an SRV record is weight, port and target, such as 5 5060 sip.example.com; the priority has its own field (RFC 2782)",
            [
                ("_sip._tcp", "SRV", "5 5060 sip.example.com"),
                ("_sip._tcp", "SRV", "0  0 ."),
            ],
            [
                ("_sip._tcp", "SRV", "sip.example.com"),
                ("_sip._tcp", "SRV", "5060 sip.example.com"),
            ],
        ),
        record(
            "name of an SRV record begins with service and protocol, such as _sip._tcp (RFC 2782)",
            [
                ("_sip._tcp", "SRV", "0 1 a.example.net"),
                ("_sip._tcp.sub", "SRV", "0 1 a.example.net"),
            ],
            [
                ("sip", "SRV", "0 1 a.example.net"),
                ("_sip", "SRV", "0 1 a.example.net"),
                ("_sip.tcp", "SRV", "0 1 a.example.net"),
            ],
        ),
        shape(
            Zone,
            "/spec/records/0",
            "priority is for MX and SRV records only (RFC 1035 3.3.9, RFC 2782)",
            [
                json!({"type": "MX", "content": "a.example.net", "priority": 0}),
                json!({"name": "_a._tcp", "type": "SRV", "content": "0 1 a.example.net", "priority": 5}),
            ],
            [json!({"type": "A", "content": "192.0.2.1", "priority": 10})],
        ),
    ]
}

fn names() -> Vec<Shape> {
    vec![
        record(
            "name may have an asterisk only alone, as its first label, such as *.shop (RFC 4592 2.1.1)",
            [("*", "TXT", "t"), ("*.shop", "TXT", "t"), ("", "TXT", "t")],
            [
                ("a*", "TXT", "t"),
                ("a.*", "TXT", "t"),
                ("**", "TXT", "t"),
                ("*a", "TXT", "t"),
            ],
        ),
        record(
            "name has letters, digits, inner hyphens, underscores and single dots; @ or nothing is the zone itself (RFC 1123 2.1)",
            [
                ("@", "TXT", "t"),
                ("bücher", "TXT", "t"),
                ("WWW.example.com.", "TXT", "t"),
            ],
            [
                ("a b", "TXT", "t"),
                ("a..b", "TXT", "t"),
                ("a\nb", "TXT", "t"),
                ("a/b", "TXT", "t"),
            ],
        ),
        record(
            "name may have underscores in CNAME, SRV and TXT records only (RFC 8552 1)",
            [("_dmarc", "TXT", "t"), ("s._domainkey", "CNAME", "a.example.net")],
            [
                ("_x", "A", "192.0.2.1"),
                ("a_b", "MX", "a.example.net"),
                ("_x", "NS", "a.example.net"),
                ("_x", "CAA", "0 issue a.example"),
            ],
        ),
        record(
            "name of a CNAME or NS record is below the zone: the zone itself always has other data, and its name servers are the Provider's (RFC 1034 3.6.2)",
            [("www", "CNAME", "a.example.net"), ("sub", "NS", "a.example.net")],
            [
                ("@", "CNAME", "a.example.net"),
                ("", "CNAME", "a.example.net"),
                ("@", "NS", "a.example.net"),
            ],
        ),
        record(
            "name of an NS record is no wildcard: write one record per name (RFC 4592 4.2)",
            [("*", "A", "192.0.2.1")],
            [("*", "NS", "a.example.net"), ("*.sub", "NS", "a.example.net")],
        ),
    ]
}

/// What the API server fills in.
pub fn defaults() -> Vec<(Base, &'static str, Value)> {
    vec![
        (Zone, "/spec/records/2/name", json!("")),
        (Zone, "/spec/records/2/ttl", json!(3_600)),
        (Zone, "/spec/createDefaults", json!(true)),
        (Zone, "/spec/verifyNameservers", json!(true)),
        (Zone, "/spec/suspended", json!(false)),
        (Zone, "/spec/deletionPolicy", json!("Delete")),
    ]
}

/// Changes of a zone that are refused, with what is said. Null takes the field away.
pub const UNCHANGEABLE: [(&str, &str, &str); 3] = [
    (
        "zone",
        "other.example",
        "zone cannot be changed: delete the object and create one for the other zone",
    ),
    (
        "provider",
        "other",
        "provider cannot be changed: create the zone at the other Provider first, then delete this object",
    ),
    (
        "owner",
        "P18",
        "owner cannot be changed: ISPConfig would move the zone but not its records",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_zone_hangs_on_cannot_be_changed() {
    let world = World::new().await;
    let owned = |name: &str, owner: Value| {
        let mut zone = world.zone("ispconfig", json!([]));
        zone["metadata"]["name"] = json!(name);
        zone["spec"]["owner"] = owner;
        zone
    };
    let (named, unnamed) = (owned("named", json!("P17")), owned("unnamed", Value::Null));
    world.apply(&named).await;
    world.apply(&unnamed).await;
    let zones = world.zones();
    let change = async |name: &str, field: &str, value: &Value| {
        let patch = Patch::Merge(json!({"spec": {field: value}}));
        match zones.patch(name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    };
    for (field, value, message) in UNCHANGEABLE {
        let said = change("named", field, &json!(value)).await.unwrap_err();
        assert!(said.contains(message), "{said}");
        // The same once more is no change.
        change("named", field, &named["spec"][field]).await.unwrap();
    }
    let (_, _, owner_stays) = UNCHANGEABLE[2];
    for (name, value) in [("named", Value::Null), ("unnamed", json!("P17"))] {
        let said = change(name, "owner", &value).await.unwrap_err();
        assert!(said.contains(owner_stays), "{said}");
    }
    for (field, value) in [
        ("plan", json!("other")),
        ("suspended", json!(true)),
        ("deletionPolicy", json!("Retain")),
        ("allowedChildNamespaces", json!(["*"])),
    ] {
        change("named", field, &value).await.unwrap();
    }
    world.close().await;
}

/// A customer's zone file in small: every type in turn, names and contents as long as they usually are.
fn zone_file(count: usize) -> Value {
    let kinds = ["A", "AAAA", "CNAME", "MX", "TXT", "SRV", "CAA", "NS"];
    let records = (0..count).map(|n| {
        let kind = kinds[n % kinds.len()];
        let host = format!("host-{n}.mail.example.net");
        let (name, content) = match kind {
            "A" => ("www", format!("198.51.{}.{}", n / 256, n % 256)),
            "AAAA" => ("www", format!("2001:db8::{n:x}")),
            "TXT" => (
                "_dmarc",
                format!("v=DMARC1; p=quarantine; rua=mailto:reports-{n}@example.com"),
            ),
            "SRV" => ("_sip._tcp", format!("10 5060 {host}")),
            "CAA" => ("ca", "0 issue \"letsencrypt.org\"".to_owned()),
            _ => ("sub", host),
        };
        json!({"name": format!("{name}.customer-{n}"), "type": kind, "content": content, "ttl": 3600})
    });
    records.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_zone_file_is_one_object() {
    let client = admin().await;
    let mut sizes = String::new();
    for count in [1_000, 3_500] {
        let object = with(Zone, "/spec/records", &zone_file(count));
        let stored = judge(&client, Zone, &object).await.unwrap();
        assert_eq!(stored["spec"]["records"].as_array().unwrap().len(), count);
        // As the API server keeps it: without managed fields, which an operator does not need either.
        let size = serde_json::to_vec(&stored).unwrap().len();
        writeln!(sizes, "{count} records: {size} octets").unwrap();
        assert!(size < OBJECT_MAX / 2, "{sizes}");
    }
    println!("{sizes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_contents_cost_no_more_than_the_server_lends() {
    let client = admin().await;
    // As many of the longest as one object can hold.
    let count = i64::try_from(OBJECT_MAX / 4_096).unwrap() - 20;
    let texts = list(count, |_| text_record(&"a".repeat(4_096)));
    taken(&client, Zone, "/spec/records", &texts).await;
}
