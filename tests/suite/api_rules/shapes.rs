//! Rules about what a text looks like and what goes with what: one line each, with what is said to the hoster.

use serde_json::{Value, json};

use super::objects::Base::{self, Cloudflare, Ispconfig, LowNumbers, Npm, Plan, Proxmox, Site, Template};

/// One rule: values that are taken, and values that are refused with its message. Null means that the field is
/// absent.
#[derive(Debug)]
pub struct Shape {
    /// What it is tried on.
    pub base: Base,
    /// JSON pointer of the field.
    pub path: &'static str,
    /// The rule's whole message.
    pub message: &'static str,
    /// Taken.
    pub good: Vec<Value>,
    /// Refused.
    pub bad: Vec<Value>,
}

pub fn shape<const G: usize, const B: usize>(
    base: Base,
    path: &'static str,
    message: &'static str,
    good: [Value; G],
    bad: [Value; B],
) -> Shape {
    Shape {
        base,
        path,
        message,
        good: good.to_vec(),
        bad: bad.to_vec(),
    }
}

/// Every rule about a new object.
pub fn all() -> Vec<Shape> {
    [
        site(),
        plan(),
        common(),
        one_type(),
        proxmox(),
        installer(),
        addresses(),
        others(),
        super::dns_providers::shapes(),
        super::life::shapes(),
        super::zones::shapes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn site() -> Vec<Shape> {
    vec![
        shape(
            Site,
            "/metadata/name",
            "metadata.name may have at most 63 characters: labels and the Secret with the passwords are named after it",
            [json!("a".repeat(63)), json!("a.b")],
            [json!("a".repeat(64))],
        ),
        shape(
            Site,
            "/spec/serviceId",
            "serviceId must not contain control characters such as tabs or line ends",
            [json!("ä 1/2#3")],
            [json!("1\n2"), json!("1\t")],
        ),
        shape(
            Site,
            "/spec/subdomain",
            "subdomain may hold lower-case letters, digits and hyphens, begins and ends with a letter or digit, and has no dot: it is only the first part of the site's name",
            [json!("a"), json!("7"), json!("a-1"), Value::Null],
            [
                json!(""),
                json!("Shop"),
                json!("-a"),
                json!("a-"),
                json!("a.b"),
                json!("a_b"),
                json!("ä"),
            ],
        ),
        shape(
            Site,
            "/spec/owner/email",
            "email must look like name@example.com",
            [
                json!("j@b.cd"),
                json!("Jane.Doe+shop@mail.example.com"),
                json!("jörg@exämple.de"),
            ],
            [
                json!(""),
                json!("jane"),
                json!("@example.com"),
                json!("jane@"),
                json!("jane@localhost"),
                json!("j d@example.com"),
                json!("a@b@example.com"),
                json!("jane@.example.com"),
                json!("jane@example.com."),
                json!("jane@example..com"),
                json!("jane\n@example.com"),
            ],
        ),
    ]
}

fn plan() -> Vec<Shape> {
    vec![shape(
        Plan,
        "/spec/wordpress/baseDomain",
        "baseDomain must look like sites.example.com: lower-case letters, digits, inner hyphens and dots, without scheme, path or final dot",
        [
            json!("a.b"),
            json!("xn--bcher-kva.example"),
            json!(format!("{}.example", "a".repeat(63))),
        ],
        [
            json!(""),
            json!("localhost"),
            json!("Sites.example.com"),
            json!("sites.example.com."),
            json!("https://example.com"),
            json!("-a.example.com"),
            json!("a..b"),
            json!(format!("{}.example", "a".repeat(64))),
        ],
    )]
}

fn common() -> Vec<Shape> {
    let sum = "0123456789abcdefABCDEF9876543210".repeat(2);
    let pairs: Vec<&str> = (0..32).map(|at| &sum[2 * at..2 * at + 2]).collect();
    let colons = pairs.join(":");
    vec![
        shape(
            Cloudflare,
            "/spec/allowedNamespaces/0",
            "each of allowedNamespaces must be the name of a namespace, or \"*\" for all",
            [json!("*"), json!("customer-1")],
            [
                json!(""),
                json!("Customer"),
                json!("customer-*"),
                json!("a.b"),
                json!("-a"),
            ],
        ),
        shape(
            Cloudflare,
            "/spec/sweepInterval",
            "sweepInterval must be a number of seconds, minutes or hours, such as 30s, 5m or 1h",
            [json!("1s"), json!("5m"), json!("99999h"), Value::Null],
            [
                json!(""),
                json!("5"),
                json!("0m"),
                json!("5 m"),
                json!("1h30m"),
                json!("1d"),
                json!("100000s"),
            ],
        ),
        shape(
            Cloudflare,
            "/spec/tls",
            "set exactly one of caBundle and fingerprints",
            [
                json!({"caBundle": "PEM"}),
                json!({"fingerprints": [sum]}),
                Value::Null,
            ],
            [json!({}), json!({"caBundle": "PEM", "fingerprints": [sum]})],
        ),
        shape(
            Cloudflare,
            "/spec/tls/fingerprints/0",
            "each fingerprint must be a SHA-256 sum: 32 bytes in hexadecimal, with or without colons, as `openssl x509 -noout -fingerprint -sha256` prints behind the equals sign",
            [json!(sum), json!(colons)],
            [
                json!(""),
                json!(sum[1..]),
                json!(format!("{sum}0")),
                json!(format!("sha256 Fingerprint={colons}")),
                json!("0123456789abcdef0123456789abcdef01234567"),
                json!(sum.replace('0', "g")),
            ],
        ),
    ]
}

/// What is said of a Provider with no type, or with two.
const ONE_TYPE: &str = "set exactly one of proxmox, nginxProxyManager, cloudflare, ispconfig";

fn one_type() -> Vec<Shape> {
    vec![
        shape(Proxmox, "/spec/cloudflare", ONE_TYPE, [Value::Null], [json!({})]),
        shape(
            Cloudflare,
            "/spec/cloudflare",
            ONE_TYPE,
            [json!({})],
            [Value::Null],
        ),
        shape(
            Npm,
            "/spec/proxmox",
            ONE_TYPE,
            [Value::Null],
            [Proxmox.object()["spec"]["proxmox"].clone()],
        ),
        shape(
            Cloudflare,
            "/spec/ispconfig",
            ONE_TYPE,
            [Value::Null],
            [Ispconfig.object()["spec"]["ispconfig"].clone()],
        ),
        shape(
            Ispconfig,
            "/spec/cloudflare",
            ONE_TYPE,
            [Value::Null],
            [json!({})],
        ),
    ]
}

fn proxmox() -> Vec<Shape> {
    vec![
        shape(
            Proxmox,
            "/spec/proxmox/endpoints/0",
            "each of endpoints must look like https://node1.example.com:8006, without user, path or final slash",
            [
                json!("https://10.0.0.2:8006"),
                json!("https://[2001:db8::1]:8006"),
                json!("https://pve1"),
            ],
            [
                json!(""),
                json!("pve1.example.com:8006"),
                json!("ftp://pve1"),
                json!("https://pve1:8006/"),
                json!("https://pve1:8006/api2/json"),
                json!("https://root@pve1:8006"),
                json!("https://pve1?x"),
                json!("https://"),
            ],
        ),
        shape(
            Proxmox,
            "/spec/proxmox/endpoints",
            PLAINTEXT,
            [json!(["https://pve1:8006", "https://pve2:8006"])],
            [json!(["https://pve1:8006", "http://pve2:8006"])],
        ),
        shape(
            Proxmox,
            "/spec/proxmox/storage",
            "storage must be the id of a Proxmox storage, such as local-lvm: it begins with a letter, ends with a letter or digit, and holds these and _ . - between",
            [json!("ab"), json!("a_.-1")],
            [
                json!(""),
                json!("a"),
                json!("1a"),
                json!("local-"),
                json!("local lvm"),
                json!("local:vm"),
            ],
        ),
        shape(
            LowNumbers,
            "/spec/proxmox/vmidRange",
            "first must not be larger than last",
            [
                json!({"first": 100, "last": 100}),
                json!({"first": 100, "last": 101}),
            ],
            [json!({"first": 101, "last": 100})],
        ),
    ]
}

/// What is said of a plain http address, whatever the type.
pub const PLAINTEXT: &str = "an http address sends the credentials in the clear: use https, or set plaintext: true for a network where nobody else is";

fn installer() -> Vec<Shape> {
    let ssh = Proxmox.object()["spec"]["proxmox"]["installer"]["ssh"].clone();
    let sum = "0123456789abcdefABCDEF9876543210".repeat(2);
    vec![
        shape(
            Proxmox,
            "/spec/proxmox/installer",
            "set exactly one of ssh and template",
            [json!({"ssh": ssh}), json!({"template": {}})],
            [json!({}), json!({"ssh": ssh, "template": {}})],
        ),
        shape(
            Proxmox,
            "/spec/proxmox/installer/ssh/wordpress/sha256",
            "sha256 must be 64 hexadecimal digits, as sha256sum prints them",
            [json!(sum), Value::Null],
            [
                json!(""),
                json!(sum[1..]),
                json!(format!("{sum}0")),
                json!(format!("{sum}  latest.tar.gz")),
            ],
        ),
        shape(
            Template,
            "/spec/proxmox/installer/template/healthPath",
            "healthPath must begin with a slash and hold no spaces and no letters beyond ASCII",
            [json!("/"), json!("/health?full=1")],
            [json!(""), json!("health"), json!("/a b"), json!("/ä")],
        ),
    ]
}

fn addresses() -> Vec<Shape> {
    let of = |base, path, message| {
        shape(
            base,
            path,
            message,
            [json!("1.1.1.1"), json!("255.255.255.255")],
            [
                json!(""),
                json!("10.0.0.256"),
                json!("10.0.0"),
                json!("10.0.0.01"),
                json!("10.0.0.1/24"),
                json!("fd00::1"),
                json!("npm.example.com"),
            ],
        )
    };
    vec![
        of(
            Proxmox,
            "/spec/proxmox/network/firstAddress",
            "firstAddress must be an IPv4 address such as 192.0.2.10",
        ),
        of(
            Proxmox,
            "/spec/proxmox/network/lastAddress",
            "lastAddress must be an IPv4 address such as 192.0.2.10",
        ),
        of(
            Proxmox,
            "/spec/proxmox/network/gateway",
            "gateway must be an IPv4 address such as 192.0.2.10",
        ),
        of(
            Proxmox,
            "/spec/proxmox/network/nameServers/0",
            "each of nameServers must be an IPv4 address such as 192.0.2.53",
        ),
        of(
            Npm,
            "/spec/nginxProxyManager/publicAddress",
            "publicAddress must be an IPv4 address such as 192.0.2.10",
        ),
        shape(
            Npm,
            "/spec/nginxProxyManager/publicAddress6",
            "publicAddress6 must be an IPv6 address such as 2001:db8::10",
            [json!("2001:db8::10"), json!("::1")],
            [
                json!(""),
                json!("203.0.113.10"),
                json!("2001:db8::/64"),
                json!("npm.example.com"),
            ],
        ),
        of(
            Npm,
            "/spec/nginxProxyManager/edge/address",
            "address must be an IPv4 address such as 192.0.2.10",
        ),
    ]
}

fn others() -> Vec<Shape> {
    let npm = |endpoint: &str, plaintext: bool| json!({"endpoint": endpoint, "plaintext": plaintext, "publicAddress": "203.0.113.10"});
    vec![
        shape(
            Npm,
            "/spec/nginxProxyManager/endpoint",
            "endpoint must look like https://npm.example.com:81, without user, path or final slash",
            [json!("https://npm:81"), json!("https://10.0.0.3")],
            [
                json!(""),
                json!("npm:81"),
                json!("https://npm:81/"),
                json!("https://npm:81/api"),
                json!("https://a@npm"),
            ],
        ),
        shape(
            Npm,
            "/spec/nginxProxyManager",
            PLAINTEXT,
            [npm("https://npm:81", false), npm("http://npm:81", true)],
            [npm("http://npm:81", false)],
        ),
    ]
}
