//! The simulator of Nginx Proxy Manager against recorded requests and replies of the real program.
//!
//! Every recorded request is sent to the simulator in its order; status, keys, types, messages and all values
//! that are not chance (times, tokens, ids) must agree. Left out, with the reason:
//!
//! - multipart uploads and `validate` (recorded without their files), and what follows from the uploads;
//! - `/settings` and `/version/check`, which no client of ours reads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use hostwright::sim::faults::Faults;
use hostwright::sim::npm::{AcmeMode, NpmOptions, NpmSim};
use serde_json::{Value, json};

const PASSWORD: &str = "right horse";
/// Keys whose values are chance.
const CHANCE: &[&str] = &[
    "id",
    "created_on",
    "modified_on",
    "expires_on",
    "token",
    "expires",
    "avatar",
    "from",
    "to",
    "issuer",
    "expiredAt",
    "cmd",
    "owner_user_id",
    "certificate_id",
    "stack",
    "proxy",
];

struct Recorded {
    section: String,
    method: String,
    path: String,
    request: Value,
    status: u16,
    response: Value,
}

fn transcripts() -> Option<Vec<Recorded>> {
    let folder = match std::env::var_os("HOSTWRIGHT_CONTRACTS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts"),
    };
    let text = std::fs::read_to_string(folder.join("proxy-dns-transcripts.jsonl")).ok()?;
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let word = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
    let ours = lines.filter(|line| line["target"] == "npm-2.15.1");
    let recorded = ours.map(|line| Recorded {
        section: word(&line, "section"),
        method: word(&line, "method"),
        path: word(&line, "path"),
        request: line["request"].clone(),
        status: u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
        response: line["response"].clone(),
    });
    Some(recorded.collect())
}

fn left_out(entry: &Recorded) -> bool {
    let text = entry.request.as_str().unwrap_or_default();
    text.contains("multipart")
        || entry.path.ends_with("/upload")
        || ["/api/settings", "/api/version/check"].contains(&entry.path.as_str())
}

/// Sends what was recorded, with the tokens and the steps between that were not recorded.
struct Replay {
    base: String,
    sim: NpmSim,
    http: reqwest::Client,
    admin: String,
    operator: String,
    /// Recorded to simulated ids, by collection.
    ids: BTreeMap<(String, u64), u64>,
    /// How many requests of the present section have been sent.
    place: usize,
    section: String,
}

impl Replay {
    async fn ask(&self, method: &str, path: &str, token: &str, request: &Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut call = self.http.request(method, format!("{}{path}", self.base));
        if !token.is_empty() {
            call = call.bearer_auth(token);
        }
        call = match request {
            Value::Null => call,
            // Bodies that are no JSON were recorded as Python byte strings.
            Value::String(raw) => {
                let raw = raw.trim_start_matches("b'").trim_end_matches('\'').to_owned();
                let kind = if raw.starts_with('{') {
                    "application/json"
                } else {
                    "application/x-www-form-urlencoded"
                };
                call.header("content-type", kind).body(raw)
            }
            body => call.json(body),
        };
        let reply = call.send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }

    async fn log_in(&self, identity: &str) -> String {
        let body = json!({"identity": identity, "secret": PASSWORD});
        let (status, reply) = self.ask("POST", "/api/tokens", "", &body).await;
        assert_eq!(status, 200, "{reply}");
        reply["token"].as_str().unwrap().to_owned()
    }

    async fn put(&self, path: &str, body: Value) {
        let (status, reply) = self.ask("PUT", path, &self.admin, &body).await;
        assert_eq!(status, 200, "{path}: {reply}");
    }

    /// Steps that happened between the recorded ones.
    async fn before(&mut self, entry: &Recorded) {
        self.place = if self.section == entry.section {
            self.place + 1
        } else {
            0
        };
        self.section.clone_from(&entry.section);
        match (entry.section.as_str(), self.place) {
            ("expired token", 1) => self.sim.expire_tokens(),
            ("CRUD", 0) => self.admin = self.log_in("admin@example.com").await,
            ("PUT enabled:false leaves config?", 0) => {
                self.put("/api/nginx/proxy-hosts/1", json!({"enabled": false}))
                    .await;
            }
            ("PUT enabled:false leaves config?", 1) => {
                self.put("/api/nginx/proxy-hosts/1", json!({"enabled": true}))
                    .await;
            }
            ("token before login unaffected / user with restricted permissions", 3) => {
                self.operator = self.log_in("op@example.com").await;
            }
            ("token before login unaffected / user with restricted permissions", 16) => {
                self.put("/api/users/2", json!({"is_disabled": true})).await;
            }
            // Stand-ins for the uploads that were left out: a good pair, then one that does not belong together.
            ("custom certificate", 7) => self.sim.upload_by_hand(2, &["custom.example.com"], true),
            ("custom certificate", 9) => self.sim.upload_by_hand(2, &["custom.example.com"], false),
            ("Let's Encrypt offline, direct certificate", 0) => {
                let broken = self.ids[&("proxy-hosts".to_owned(), 22)];
                assert!(self.sim.delete_host_by_hand(broken));
                self.sim.set_acme(AcmeMode::Unreachable);
            }
            ("delete LE certificate (revoke)", 0) => {
                self.sim.edit_host_by_hand(1, json!({"enabled": true})).unwrap();
            }
            ("pebble: direct certificate", 0) => self.sim.set_acme(AcmeMode::Works {
                delay: Duration::ZERO,
            }),
            ("challenge failure", 0) => self.sim.set_acme(AcmeMode::ChallengeFails),
            _ => {}
        }
    }

    /// The token that went with a recorded request.
    fn token(&self, entry: &Recorded) -> &str {
        let forged = "eyJhbGciOiJSUzI1NiJ9.forged.signature";
        match (entry.section.as_str(), self.place) {
            ("auth", _) if entry.method == "POST" || entry.path == "/api/" => "",
            ("no/invalid token", 1 | 2) => forged,
            ("no/invalid token", 0 | 3 | 4 | 5) => "",
            ("token before login unaffected / user with restricted permissions", 3..=8 | 10..=15) => {
                &self.operator
            }
            ("token before login unaffected / user with restricted permissions", 16) => "",
            _ => &self.admin,
        }
    }

    /// Rewrites recorded ids in a path.
    fn path(&self, path: &str) -> String {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        for index in 1..parts.len() {
            let (id, rest) = parts[index]
                .split_once('?')
                .map_or((parts[index].as_str(), None), |(a, b)| (a, Some(b)));
            let Ok(number) = id.parse::<u64>() else { continue };
            let here = self
                .ids
                .get(&(parts[index - 1].clone(), number))
                .copied()
                .unwrap_or(number);
            parts[index] = rest.map_or(here.to_string(), |rest| format!("{here}?{rest}"));
        }
        parts.join("/")
    }

    /// Notes which simulated id stands for which recorded one.
    fn learn(&mut self, path: &str, recorded: &Value, simulated: &Value) {
        if let (Some(recorded), Some(simulated)) = (recorded.as_array(), simulated.as_array()) {
            for (recorded, simulated) in recorded.iter().zip(simulated) {
                self.learn(path, recorded, simulated);
            }
            return;
        }
        let collection = if path.contains("/certificates") {
            "certificates"
        } else {
            "proxy-hosts"
        };
        for (key, collection) in [("id", collection), ("certificate_id", "certificates")] {
            if let (Some(then), Some(now)) = (recorded[key].as_u64(), simulated[key].as_u64())
                && then > 0
                && path.contains("/nginx/")
            {
                self.ids.insert((collection.to_owned(), then), now);
            }
        }
    }

    fn request(&self, request: &Value) -> Value {
        let mut request = request.clone();
        if let Some(id) = request.get("certificate_id").and_then(Value::as_u64) {
            let here = self
                .ids
                .get(&("certificates".to_owned(), id))
                .copied()
                .unwrap_or(id);
            request["certificate_id"] = json!(here);
        }
        if request.get("secret") == Some(&json!("<password>")) {
            request["secret"] = json!(PASSWORD);
        }
        request
    }
}

/// Where two replies differ in shape or in what is not chance.
fn differences(at: &str, recorded: &Value, simulated: &Value, out: &mut Vec<String>) {
    match (recorded, simulated) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().filter(|key| !b.contains_key(*key)) {
                out.push(format!("{at}/{key} is missing"));
            }
            for key in b.keys().filter(|key| !a.contains_key(*key)) {
                out.push(format!("{at}/{key} is too much"));
            }
            for (key, value) in a {
                let Some(other) = b.get(key) else { continue };
                let same_kind = std::mem::discriminant(value) == std::mem::discriminant(other);
                if !CHANCE.contains(&key.as_str()) {
                    differences(&format!("{at}/{key}"), value, other, out);
                } else if !same_kind {
                    out.push(format!("{at}/{key} is {other}, recorded {value}"));
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            if a.len() != b.len() {
                out.push(format!("{at} has {} items, recorded {}", b.len(), a.len()));
            }
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{at}/{index}"), a, b, out);
            }
        }
        (a, b) if a != b => out.push(format!("{at} is {b}, recorded {a}")),
        _ => {}
    }
}

/// A recorded reply with the id of its path replaced, as it appears in messages.
fn renumbered(recorded: &Value, then: &str, now: &str) -> Value {
    let number = |path: &str| {
        path.split('/')
            .find_map(|part| part.split('?').next()?.parse::<u64>().ok())
    };
    let (Some(then), Some(now), Some(_)) = (number(then), number(now), recorded.get("error")) else {
        return recorded.clone();
    };
    let text = recorded.to_string();
    let text = text.replace(&format!(" - {then}\""), &format!(" - {now}\""));
    serde_json::from_str(&text.replace(&format!("/{then}\""), &format!("/{now}\""))).unwrap()
}

/// First lines of the inner errors that carry no machine's paths or addresses.
fn first_words(reply: &Value) -> Option<&str> {
    reply.pointer("/debug/stack/0")?.as_str()
}

#[tokio::test]
async fn recorded_requests_get_the_recorded_replies() {
    let Some(entries) = transcripts() else {
        eprintln!("SKIPPED: the recorded replies are not there; set HOSTWRIGHT_CONTRACTS to their folder");
        return;
    };
    let local = "127.0.0.1:0".parse().unwrap();
    let options = NpmOptions::new("admin@example.com", PASSWORD);
    let (server, sim) = NpmSim::start(options, local, local, local, Faults::default())
        .await
        .unwrap();
    let mut replay = Replay {
        base: server.url(),
        sim,
        http: reqwest_client(),
        admin: String::new(),
        operator: String::new(),
        ids: BTreeMap::new(),
        place: 0,
        section: String::new(),
    };
    replay.admin = replay.log_in("admin@example.com").await;
    let mut wrong = Vec::new();
    let mut compared = 0;
    for entry in &entries {
        replay.before(entry).await;
        if left_out(entry) {
            continue;
        }
        let (path, request) = (replay.path(&entry.path), replay.request(&entry.request));
        let (status, reply) = replay
            .ask(&entry.method, &path, replay.token(entry), &request)
            .await;
        compared += 1;
        let at = format!(
            "[{} {}] {} {}",
            entry.section, replay.place, entry.method, entry.path
        );
        if status != entry.status {
            wrong.push(format!(
                "{at}: status {status}, recorded {}: {reply}",
                entry.status
            ));
            continue;
        }
        let mut found = Vec::new();
        let recorded = renumbered(&entry.response, &entry.path, &path);
        differences("", &recorded, &reply, &mut found);
        if first_words(&recorded) != first_words(&reply) {
            found.push(format!("stack begins {:?}", first_words(&reply)));
        }
        wrong.extend(found.into_iter().map(|text| format!("{at}: {text}")));
        replay.learn(&path, &entry.response, &reply);
    }
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 100, "only {compared} replies were compared");
}

fn reqwest_client() -> reqwest::Client {
    let trust = hostwright::providers::http::TlsTrust::System;
    hostwright::providers::http::client_builder(&trust)
        .unwrap()
        .build()
        .unwrap()
}
