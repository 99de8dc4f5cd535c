//! Cloudflare's simulator by itself, over plain HTTP: the quirks that the client relies upon must come from
//! the vendor's documentation and not from the client.

use std::time::Duration;

use hostwright::sim::cloudflare::{
    BASE_PATH, CloudflareOptions, CloudflareSim, Plan, RateLimit, Rights, TokenScope,
};
use hostwright::sim::faults::Faults;
use hostwright::sim::server::Server;
use serde_json::{Value, json};

use super::openapi::{Contract, Seen};

struct Site {
    server: Server,
    sim: CloudflareSim,
    http: reqwest::Client,
    token: String,
    zone: String,
}

struct Answer {
    status: u16,
    retry_after: Option<String>,
    rate: Option<String>,
    body: Value,
}

impl Answer {
    fn code(&self) -> (u16, u64) {
        (
            self.status,
            self.body["errors"][0]["code"].as_u64().unwrap_or_default(),
        )
    }

    fn cause(&self) -> (u64, u64) {
        let chain = &self.body["errors"][0]["error_chain"][0]["code"];
        (self.code().1, chain.as_u64().unwrap_or_default())
    }

    fn result(&self) -> &Value {
        assert_eq!(
            (self.status, &self.body["success"]),
            (200, &json!(true)),
            "{}",
            self.body
        );
        &self.body["result"]
    }
}

impl Site {
    async fn open(options: CloudflareOptions) -> Self {
        let options = CloudflareOptions {
            zones: vec!["example.com".to_owned()],
            ..options
        };
        let token = options.token.clone();
        let address = "127.0.0.1:0".parse().unwrap();
        let (server, sim) = CloudflareSim::start(options, address, Faults::default())
            .await
            .unwrap();
        sim.keep_exchanges();
        // Built as the providers build theirs, because no TLS library is chosen by default.
        let trust = hostwright::providers::http::TlsTrust::System;
        let http = hostwright::providers::http::client_builder(&trust)
            .unwrap()
            .build()
            .unwrap();
        let zone = sim.zone_id("example.com").unwrap();
        Self {
            server,
            sim,
            http,
            token,
            zone,
        }
    }

    async fn raw(
        &self,
        authorization: Option<&str>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Answer {
        let address = format!("{}{BASE_PATH}{path}", self.server.url());
        let mut request = self.http.request(method.parse().unwrap(), address);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        Answer {
            status: response.status().as_u16(),
            retry_after: header("retry-after"),
            rate: header("ratelimit"),
            body: serde_json::from_slice(&response.bytes().await.unwrap()).unwrap(),
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = (!body.is_null()).then_some(&body);
        self.raw(Some(&format!("Bearer {}", self.token)), method, path, body)
            .await
    }

    fn records(&self) -> String {
        format!("/zones/{}/dns_records", self.zone)
    }

    async fn post(&self, body: Value) -> Answer {
        self.ask("POST", &self.records(), body).await
    }

    async fn get(&self, query: &str) -> Answer {
        self.ask("GET", &format!("{}?{query}", self.records()), Value::Null)
            .await
    }

    async fn batch(&self, body: Value) -> Answer {
        self.ask("POST", &format!("{}/batch", self.records()), body).await
    }

    fn stored(&self) -> Vec<String> {
        let records = self.sim.records("example.com");
        records
            .iter()
            .map(|record| format!("{} {} {}", record.name, record.kind, record.content))
            .collect()
    }

    /// Answers against the schema; the requests here are wrong on purpose.
    fn finish(&self) {
        let Some(contract) = Contract::load("cloudflare-dns-openapi-subset.json") else {
            return;
        };
        for exchange in self.sim.take_exchanges() {
            let seen = Seen {
                method: &exchange.method,
                path: &exchange.path,
                query: &exchange.query,
                request: exchange.request.as_ref(),
                status: exchange.status,
                response: exchange.response.as_ref(),
            };
            let mut violations = contract.violations(&seen);
            violations.retain(|violation| violation.starts_with("response"));
            assert!(violations.is_empty(), "{violations:#?} in {exchange:?}");
        }
    }
}

fn a(name: &str, last: u8) -> Value {
    json!({"type": "A", "name": name, "content": format!("192.0.2.{last}"), "ttl": 1})
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_are_verified_and_refused() {
    let site = Site::open(CloudflareOptions::default()).await;
    let verify = "/user/tokens/verify";
    let good = site.ask("GET", verify, Value::Null).await;
    assert_eq!(good.result()["status"], "active");
    assert_eq!(
        good.body["messages"][0]["code"], 10000,
        "a code in messages is no error"
    );
    assert_eq!(site.raw(None, "GET", "/zones", None).await.code(), (400, 9106));
    for header in ["Bearer ", "Bearer a b", "Basic abc"] {
        assert_eq!(
            site.raw(Some(header), "GET", "/zones", None).await.cause(),
            (6003, 6111),
            "{header}"
        );
    }
    assert_eq!(
        site.raw(Some("Bearer wrong"), "GET", "/zones", None).await.code(),
        (403, 9109)
    );
    assert_eq!(
        site.raw(Some("Bearer wrong"), "GET", verify, None).await.code(),
        (401, 1000)
    );
    site.sim.expire_token();
    assert_eq!(
        site.ask("GET", verify, Value::Null).await.result()["status"],
        "expired"
    );
    assert_eq!(site.ask("GET", "/zones", Value::Null).await.status, 403);
    site.sim.restore_token();
    site.sim.set_rights(Rights {
        dns_edit: false,
        ..Rights::ALL
    });
    assert_eq!(site.post(a("x", 1)).await.code(), (403, 10000));
    assert_eq!(site.get("").await.status, 200);
    site.finish();
}

#[tokio::test]
async fn addresses_and_ids_are_checked() {
    let site = Site::open(CloudflareOptions::default()).await;
    let unknown = "0".repeat(32);
    for (path, expected) in [
        ("/zones/short/dns_records".to_owned(), (404, 7003)),
        ("/nothing".to_owned(), (404, 7003)),
        (format!("/zones/{unknown}/dns_records"), (403, 10000)),
        (format!("/zones/{unknown}"), (403, 10000)),
        (format!("{}/short", site.records()), (404, 7003)),
        (format!("{}/{unknown}", site.records()), (404, 81044)),
    ] {
        assert_eq!(
            site.ask("GET", &path, Value::Null).await.code(),
            expected,
            "{path}"
        );
    }
}

#[tokio::test]
async fn zones_have_a_life() {
    let options = CloudflareOptions::default();
    let account = options.account.clone();
    let site = Site::open(options).await;
    let body = |name: &str| json!({"name": name, "account": {"id": account}, "type": "full"});
    assert_eq!(
        site.ask("POST", "/zones", body("example.com")).await.code(),
        (400, 1061)
    );
    let made = site.ask("POST", "/zones", body("Example.ORG")).await;
    assert_eq!(
        (&made.result()["name"], &made.result()["status"]),
        (&json!("example.org"), &json!("pending"))
    );
    let path = format!("/zones/{}", id(made.result()));
    site.ask("PUT", &format!("{path}/activation_check"), Value::Null)
        .await
        .result();
    let edited = site.ask("PATCH", &path, json!({"paused": true})).await;
    assert_eq!(
        (&edited.result()["paused"], &edited.result()["status"]),
        (&json!(true), &json!("active"))
    );
    let found = site
        .ask("GET", "/zones?name=example.org&status=active", Value::Null)
        .await;
    assert_eq!(found.body["result_info"]["total_count"], 1);
    assert_eq!(
        site.ask("GET", "/zones?per_page=4", Value::Null).await.status,
        400
    );
    site.ask("DELETE", &path, Value::Null).await.result();
    assert_eq!(site.ask("GET", &path, Value::Null).await.code(), (403, 10000));
    site.finish();
}

#[tokio::test]
async fn a_token_of_one_zone_sees_no_other() {
    let scope = TokenScope::Zone("example.org".to_owned());
    let site = Site::open(CloudflareOptions {
        token_scope: scope,
        ..CloudflareOptions::default()
    })
    .await;
    assert_eq!(
        site.ask("GET", "/zones", Value::Null).await.body["result_info"]["total_count"],
        0
    );
    assert_eq!(site.get("").await.code(), (403, 10000));
}

#[tokio::test]
async fn records_are_normalised() {
    let site = Site::open(CloudflareOptions::default()).await;
    for (name, whole) in [
        ("@", "example.com"),
        ("Shop", "shop.example.com"),
        ("münchen.example.com", "xn--mnchen-3ya.example.com"),
        ("a.example.org", "a.example.org.example.com"),
    ] {
        assert_eq!(site.post(a(name, 1)).await.result()["name"], whole);
    }
    let proxied =
        json!({"type": "AAAA", "name": "p", "content": "2001:DB8:0::1", "ttl": 300, "proxied": true});
    let record = site.post(proxied).await;
    let record = record.result();
    assert_eq!(
        (&record["content"], &record["ttl"]),
        (&json!("2001:db8::1"), &json!(1))
    );
    let srv = json!({"type": "SRV", "name": "_x._tcp", "ttl": 60,
        "data": {"priority": 1, "weight": 2, "port": 3, "target": "t.example.com"}});
    assert_eq!(site.post(srv).await.result()["content"], "2 3 t.example.com");
    let mx = json!({"type": "MX", "name": "@", "content": "mx.example.net.", "priority": 10, "ttl": 1});
    assert_eq!(site.post(mx).await.result()["content"], "mx.example.net");
    site.finish();
}

#[tokio::test]
async fn bad_records_are_refused_with_their_cause() {
    let site = Site::open(CloudflareOptions::default()).await;
    let with = |key: &str, value: Value| {
        let mut body = a("x", 1);
        body[key] = value;
        body
    };
    for (body, cause) in [
        (with("content", json!("192.0.2.256")), 9005),
        (with("name", json!("a..b")), 9000),
        (with("ttl", json!(59)), 9021),
        (with("ttl", json!("300")), 9021),
        (with("proxied", json!("yes")), 9003),
        (with("comment", json!("x".repeat(101))), 9313),
        (with("tags", json!(["a:b"])), 9300),
        (with("type", json!("ZZ")), 9200),
        (
            json!({"type": "TXT", "name": "t", "content": "x", "ttl": 1, "proxied": true}),
            9004,
        ),
    ] {
        assert_eq!(site.post(body.clone()).await.cause(), (1004, cause), "{body}");
    }
    assert_eq!(site.post(with("colour", json!("red"))).await.code(), (400, 9207));
    assert_eq!(site.post(with("priority", json!(1))).await.code(), (400, 9207));
    assert_eq!(site.stored(), Vec::<String>::new());
    site.post(with("comment", json!("x".repeat(100)))).await.result();
    site.finish();

    let pro = Site::open(CloudflareOptions {
        plan: Plan::Pro,
        ..CloudflareOptions::default()
    })
    .await;
    pro.post(with("comment", json!("x".repeat(500)))).await.result();
}

#[tokio::test]
async fn what_does_not_go_together_is_refused() {
    let site = Site::open(CloudflareOptions::default()).await;
    let cname = |name: &str| json!({"type": "CNAME", "name": name, "content": "t.example.net", "ttl": 1});
    let first = id(site.post(a("x", 1)).await.result());
    assert_eq!(site.post(a("x", 1)).await.code(), (400, 81058));
    let mut slower = a("x", 1);
    slower["ttl"] = json!(300);
    assert_eq!(site.post(slower).await.code(), (400, 81057));
    assert_eq!(site.post(cname("x")).await.code(), (400, 81053));
    site.post(cname("y")).await.result();
    assert_eq!(site.post(a("y", 1)).await.code(), (400, 81054));
    assert_eq!(site.post(cname("y")).await.code(), (400, 81058));
    // A second address is a round robin, which is fine; becoming an alias beside it is not.
    site.post(a("x", 2)).await.result();
    let path = format!("{}/{first}", site.records());
    let alias = json!({"type": "CNAME", "content": "t.example.net"});
    assert_eq!(site.ask("PATCH", &path, alias).await.code(), (400, 81053));
    site.finish();
}

#[tokio::test]
async fn put_resets_and_patch_keeps() {
    let site = Site::open(CloudflareOptions::default()).await;
    let mut body = a("x", 1);
    body["proxied"] = json!(true);
    body["comment"] = json!("note");
    let path = format!("{}/{}", site.records(), id(site.post(body).await.result()));
    let patched = site.ask("PATCH", &path, json!({"content": "192.0.2.2"})).await;
    let patched = patched.result();
    assert_eq!(
        (&patched["proxied"], &patched["comment"]),
        (&json!(true), &json!("note"))
    );
    let put = site.ask("PUT", &path, a("x", 3)).await;
    assert_eq!(
        (&put.result()["proxied"], &put.result()["comment"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(
        id(site.ask("DELETE", &path, Value::Null).await.result()),
        id(put.result())
    );
    assert_eq!(site.ask("DELETE", &path, Value::Null).await.code(), (404, 81044));
    site.finish();
}

#[tokio::test]
async fn a_batch_is_one_transaction_in_a_fixed_order() {
    let site = Site::open(CloudflareOptions::default()).await;
    let ids: Vec<String> = {
        let posts = json!({"posts": [a("d", 1), a("p", 1), a("u", 1)]});
        let made = site.batch(posts).await;
        assert_eq!(made.result()["deletes"], Value::Null);
        made.result()["posts"]
            .as_array()
            .unwrap()
            .iter()
            .map(id)
            .collect()
    };
    let before = site.stored();
    let mut put = a("u", 3);
    put["id"] = json!(ids[2]);
    let alias = json!({"type": "CNAME", "name": "d", "content": "t.example.net", "ttl": 1});
    let body = |last: Value| {
        json!({
            "posts": [alias, last],
            "puts": [put],
            "patches": [{"id": ids[1], "content": "192.0.2.2"}],
            "deletes": [{"id": ids[0]}],
        })
    };
    assert_eq!(site.batch(body(a("p", 2))).await.code(), (400, 81058));
    assert_eq!(site.stored(), before, "undone");
    // The alias fits because the address was deleted first.
    site.batch(body(a("n", 1))).await.result();
    let expected = [
        "d.example.com CNAME t.example.net",
        "n.example.com A 192.0.2.1",
        "p.example.com A 192.0.2.2",
        "u.example.com A 192.0.2.3",
    ];
    assert_eq!(site.stored(), expected);
    let many: Vec<Value> = (0..201).map(|n| a(&format!("m{n}"), 1)).collect();
    assert_eq!(
        site.batch(json!({"posts": many})).await.status,
        400,
        "200 on the free plan"
    );
    assert_eq!(site.batch(json!({"gets": []})).await.status, 400);
    site.finish();
}

#[tokio::test]
async fn listings_are_paged_and_filtered() {
    let site = Site::open(CloudflareOptions::default()).await;
    for n in 0..150 {
        let name = format!("n{n}.example.com");
        let comment = (n % 3 == 0).then(|| format!("mark:{n}"));
        site.sim
            .add_foreign_record("example.com", &name, "A", "192.0.2.1", comment.as_deref())
            .unwrap();
    }
    let first = site.get("").await;
    let info = &first.body["result_info"];
    assert_eq!(
        (&info["per_page"], &info["count"], &info["total_pages"]),
        (&json!(100), &json!(100), &json!(2))
    );
    assert_eq!(site.get("page=2").await.body["result_info"]["count"], 50);
    assert_eq!(
        site.get("per_page=99999").await.body["result_info"]["per_page"],
        5000
    );
    for (query, count) in [
        ("name=N7.example.com", 1),
        ("name=n7", 0),
        ("type=A&content=192.0.2.1", 150),
        ("type=AAAA", 0),
        ("comment.present", 50),
        ("comment.absent", 100),
        ("comment.exact=mark:3", 1),
        ("comment.contains=rk:3", 5),
        ("comment.startswith=mark:", 50),
        ("comment.endswith=:147", 1),
        ("match=any&name=n1.example.com&comment.exact=mark:3", 2),
        ("proxied=true", 0),
    ] {
        assert_eq!(
            site.get(query).await.body["result_info"]["total_count"],
            count,
            "{query}"
        );
    }
    // The plan's quota counts foreign records too.
    let posts: Vec<Value> = (0..51).map(|n| a(&format!("m{n}"), 1)).collect();
    assert_eq!(site.batch(json!({"posts": posts})).await.code(), (400, 81045));
    site.finish();
}

#[tokio::test]
async fn one_call_too_many_blocks_them_all() {
    let window = Duration::from_secs(300);
    let limit = RateLimit { requests: 2, window };
    let site = Site::open(CloudflareOptions {
        rate_limit: Some(limit),
        ..CloudflareOptions::default()
    })
    .await;
    assert_eq!(site.get("").await.rate.as_deref(), Some("\"default\";r=1;t=300"));
    assert_eq!(site.get("").await.status, 200);
    let refused = site.ask("GET", "/zones", Value::Null).await;
    assert_eq!(
        (refused.code(), refused.retry_after.as_deref()),
        ((429, 10429), Some("300"))
    );
    assert_eq!(
        site.ask("GET", "/user/tokens/verify", Value::Null).await.status,
        429
    );
    site.sim.set_rate_limit(None);
    assert_eq!(site.get("").await.status, 200);
    site.finish();
}
