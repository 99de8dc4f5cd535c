//! Rules about Providers that host DNS zones.

use serde_json::{Value, json};

use super::Unit;
use super::bounds::{
    Bound, bound, domain, email, endpoint, least, letters, list, most, only_refused, text, whole,
};
use super::objects::Base::{self, Cloudflare, Ispconfig, Npm};
use super::shapes::{PLAINTEXT, Shape, shape};

fn resolver(number: i64) -> Value {
    json!(format!("192.0.2.{number}"))
}

fn resolvers(count: i64) -> Value {
    list(count, resolver)
}

fn name_servers(count: i64) -> Value {
    list(count, |n| json!(format!("ns{n}.example.net")))
}

/// Limits of both vendors.
pub fn limits() -> Vec<Bound> {
    let items = Unit::Items;
    vec![
        most(Cloudflare, "/spec/cloudflare/endpoint", 512, endpoint),
        only_refused(Cloudflare, "/spec/cloudflare/zoneId"),
        only_refused(Cloudflare, "/spec/cloudflare/accountId"),
        whole(Cloudflare, "/spec/cloudflare/ttlSeconds", 60, 86_400),
        text(Cloudflare, "/spec/cloudflare/zones/proxy", 1, 253),
        bound(
            Cloudflare,
            "/spec/cloudflare/zones/resolvers",
            items,
            (None, 8),
            resolvers,
        ),
        most(Cloudflare, "/spec/cloudflare/zones/resolvers/0", 64, letters),
        whole(Cloudflare, "/spec/cloudflare/zones/nameserverPort", 1, 65_535),
        bound(
            Npm,
            "/spec/nginxProxyManager/resolvers",
            items,
            (None, 8),
            resolvers,
        ),
        most(Npm, "/spec/nginxProxyManager/resolvers/0", 64, letters),
        whole(Npm, "/spec/nginxProxyManager/nameserverPort", 1, 65_535),
        most(Ispconfig, "/spec/ispconfig/endpoint", 512, endpoint),
        least(Ispconfig, "/spec/ispconfig/serverId", 1),
        bound(
            Ispconfig,
            "/spec/ispconfig/nameServers",
            items,
            (Some(1), 8),
            name_servers,
        ),
        most(Ispconfig, "/spec/ispconfig/nameServers/0", 253, domain),
        most(Ispconfig, "/spec/ispconfig/soa/mailbox", 254, email),
        whole(Ispconfig, "/spec/ispconfig/soa/refresh", 60, 2_419_200),
        whole(Ispconfig, "/spec/ispconfig/soa/retry", 60, 2_419_200),
        whole(Ispconfig, "/spec/ispconfig/soa/expire", 60, 31_536_000),
        whole(Ispconfig, "/spec/ispconfig/soa/minimum", 60, 86_400),
        whole(Ispconfig, "/spec/ispconfig/soa/ttl", 60, 86_400),
        text(Ispconfig, "/spec/ispconfig/zones/proxy", 1, 253),
        bound(
            Ispconfig,
            "/spec/ispconfig/zones/resolvers",
            items,
            (None, 8),
            resolvers,
        ),
        most(Ispconfig, "/spec/ispconfig/zones/resolvers/0", 64, letters),
        whole(Ispconfig, "/spec/ispconfig/zones/nameserverPort", 1, 65_535),
    ]
}

/// Rules about shapes of both vendors.
pub fn shapes() -> Vec<Shape> {
    let mut rules = cloudflare();
    rules.extend(ispconfig());
    rules
}

fn cloudflare() -> Vec<Shape> {
    let id = |path, message| {
        shape(
            Cloudflare,
            path,
            message,
            [json!("0123456789abcdef0123456789abcdef"), Value::Null],
            [
                json!(""),
                json!("example.com"),
                json!("0123456789ABCDEF0123456789ABCDEF"),
                json!("0123456789abcdef0123456789abcdef0"),
            ],
        )
    };
    vec![
        shape(
            Cloudflare,
            "/spec/cloudflare/endpoint",
            "endpoint must look like https://api.cloudflare.com/client/v4, without user, question mark or final slash",
            [json!("https://api.cloudflare.com/client/v4"), json!("https://cf")],
            [
                json!(""),
                json!("api.cloudflare.com"),
                json!("https://cf/"),
                json!("https://a@cf/v4"),
                json!("https://cf/v4?a=b"),
            ],
        ),
        shape(
            Cloudflare,
            "/spec/cloudflare",
            PLAINTEXT,
            [json!({"endpoint": "http://cf", "plaintext": true})],
            [json!({"endpoint": "http://cf"})],
        ),
        id(
            "/spec/cloudflare/zoneId",
            "zoneId must be the 32 hexadecimal digits that Cloudflare's dashboard shows as the zone's id",
        ),
        id(
            "/spec/cloudflare/accountId",
            "accountId must be the 32 hexadecimal digits that Cloudflare's dashboard shows as the account's id",
        ),
    ]
}

fn ispconfig() -> Vec<Shape> {
    let at = |endpoint: &str, plaintext: bool| {
        let mut settings = Ispconfig.object()["spec"]["ispconfig"].clone();
        settings["endpoint"] = json!(endpoint);
        settings["plaintext"] = json!(plaintext);
        settings
    };
    vec![
        shape(
            Ispconfig,
            "/spec/ispconfig/endpoint",
            "endpoint must look like https://panel.example.com:8080, without user, question mark or final slash",
            [
                json!("https://panel:8080"),
                json!("https://10.0.0.4"),
                json!("https://panel/ispconfig"),
            ],
            [
                json!(""),
                json!("panel:8080"),
                json!("https://panel:8080/"),
                json!("https://admin@panel"),
                json!("https://panel/remote/json.php?login"),
            ],
        ),
        shape(
            Ispconfig,
            "/spec/ispconfig",
            PLAINTEXT,
            [at("https://panel:8080", false), at("http://panel:8080", true)],
            [at("http://panel:8080", false)],
        ),
        shape(
            Ispconfig,
            "/spec/ispconfig/nameServers/0",
            "each of nameServers must look like ns1.example.net: lower-case letters, digits, inner hyphens and dots, without final dot",
            [
                json!("ns1.example.net"),
                json!("a.b"),
                json!("ns-1.xn--bcher-kva.example"),
            ],
            [
                json!(""),
                json!("ns1"),
                json!("ns1.example.net."),
                json!("NS1.example.net"),
                json!("ns_1.example.net"),
                json!("-ns.example.net"),
                json!("ns1.example.net:53"),
            ],
        ),
        shape(
            Ispconfig,
            "/spec/ispconfig/soa/mailbox",
            "mailbox must look like hostmaster or hostmaster@example.net, without dots before the @",
            [json!("hostmaster"), json!("Dns-1@example.net"), json!("a")],
            [
                json!(""),
                json!("host.master"),
                json!("host.master@example.net"),
                json!("hostmaster@"),
                json!("hostmaster@localhost"),
                json!("host master"),
            ],
        ),
    ]
}

/// What the API server fills in.
pub fn defaults() -> Vec<(Base, &'static str, Value)> {
    let api = "https://api.cloudflare.com/client/v4";
    let soa = json!({
        "mailbox": "hostmaster",
        "refresh": 86_400,
        "retry": 7_200,
        "expire": 3_600_000,
        "minimum": 3_600,
        "ttl": 3_600,
    });
    let zones = json!({"nameserverPort": 53});
    vec![
        (Cloudflare, "/spec/sweepInterval", json!("5m")),
        (Npm, "/spec/nginxProxyManager/nameserverPort", json!(53)),
        (Cloudflare, "/spec/cloudflare/endpoint", json!(api)),
        (Cloudflare, "/spec/cloudflare/plaintext", json!(false)),
        (Cloudflare, "/spec/cloudflare/proxied", json!(false)),
        (Cloudflare, "/spec/cloudflare/ttlSeconds", json!(300)),
        (Cloudflare, "/spec/cloudflare/zones", zones.clone()),
        (Ispconfig, "/spec/ispconfig/plaintext", json!(false)),
        (Ispconfig, "/spec/ispconfig/soa", soa),
        (Ispconfig, "/spec/ispconfig/zones", zones),
    ]
}
