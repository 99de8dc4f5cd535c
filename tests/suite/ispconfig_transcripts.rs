//! The simulator of ISPConfig against recorded requests and replies of the real program.
//!
//! Every recorded request is sent to the simulator in its order; content type, code, message and the whole response
//! must agree, but for times and sessions. Left out, with the reason:
//!
//! - templates of zones and the module of domains, which no client of ours calls;
//! - the count of the change log, which also counts steps that were not recorded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::PathBuf;
use std::time::Duration;

use hostwright::sim::faults::Faults;
use hostwright::sim::ispconfig::{IspconfigOptions, IspconfigSim};
use serde_json::{Value, json};

const PASSWORD: &str = "right horse";
const LEFT_OUT: [&str; 3] = ["templatezone", "domains_", "monitor_jobqueue_count"];

fn transcripts() -> Option<Vec<Value>> {
    let folder = match std::env::var_os("HOSTWRIGHT_CONTRACTS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/contracts"),
    };
    let text = std::fs::read_to_string(folder.join("proxy-dns-transcripts.jsonl")).ok()?;
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = lines.filter(|line| {
        line["target"]
            .as_str()
            .unwrap_or_default()
            .starts_with("ispconfig")
    });
    Some(ours.collect())
}

struct Replay {
    base: String,
    sim: IspconfigSim,
    http: reqwest::Client,
    session: String,
    /// Log-ins recorded so far: the first two that name a password are wrong.
    log_ins: usize,
}

impl Replay {
    async fn ask(&self, path: &str, request: &Value) -> (String, Value) {
        let reply = self
            .http
            .post(format!("{}{path}", self.base))
            .json(request)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status().as_u16(), 200);
        let kind = reply.headers()["content-type"].to_str().unwrap().to_owned();
        let text = reply.text().await.unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|_| json!({"_raw": text}));
        (kind, value)
    }

    async fn log_in(&mut self) {
        let request = json!({"username": "operator", "password": PASSWORD});
        let (_, reply) = self.ask("/remote/json.php?login", &request).await;
        self.session = reply["response"].as_str().unwrap().to_owned();
    }

    /// The request with what the recording left out put back.
    fn request(&mut self, recorded: &Value, response: &Value) -> Value {
        let mut request = recorded.clone();
        if request.get("password").is_some() {
            self.log_ins += 1;
            let right = response["code"] == "ok";
            request["password"] = json!(if right { PASSWORD } else { "wrong" });
            request["username"] = match request["username"].as_str() {
                // Log-ins of clients are not simulated; the remote user's answers the same.
                Some("opclient") => json!("operator"),
                _ => request["username"].clone(),
            };
        }
        if request.get("session_id").is_some() {
            request["session_id"] = match response["message"].as_str() {
                Some("The Session is expired or does not exist.") => json!("x0000"),
                Some("Wrong SessionID datatype.") => json!(["x"]),
                _ => json!(self.session),
            };
        }
        let long = |text: &str| {
            let (start, end) = (text.find('<')?, text.rfind(" x ")?);
            let count: usize = text[start + 1..end].parse().ok()?;
            let letter = &text[end + 3..end + 4];
            Some(format!("{}{}", &text[..start], letter.repeat(count)))
        };
        if let Some(text) = request["params"]["data"].as_str().and_then(long) {
            request["params"]["data"] = json!(text);
        }
        request
    }
}

/// The reply without what is chance or was blanked when it was recorded.
fn plain(mut reply: Value, function: &str) -> Value {
    if function == "login" && reply["response"].is_string() {
        reply["response"] = json!("<session>");
    }
    if reply["response"].get("passwort").is_some() {
        reply["response"]["passwort"] = json!("<hash>");
    }
    reply
}

#[tokio::test]
async fn recorded_requests_get_the_recorded_replies() {
    let Some(entries) = transcripts() else {
        eprintln!("SKIPPED: the recorded replies are not there; set HOSTWRIGHT_CONTRACTS to their folder");
        return;
    };
    let options = IspconfigOptions {
        password: PASSWORD.to_owned(),
        ..IspconfigOptions::default()
    };
    let (server, sim) = IspconfigSim::start(options, "127.0.0.1:0".parse().unwrap(), Faults::default())
        .await
        .unwrap();
    let http = hostwright::providers::http::client_builder(&hostwright::providers::http::TlsTrust::System);
    let mut replay = Replay {
        base: server.url(),
        sim,
        http: http.unwrap().build().unwrap(),
        session: String::new(),
        log_ins: 0,
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for (place, entry) in entries.iter().enumerate() {
        let path = entry["path"].as_str().unwrap();
        let function = path.split_once('?').unwrap().1;
        if LEFT_OUT.iter().any(|part| function.contains(part)) {
            continue;
        }
        // The failures that were recorded on purpose must not lock the replay out.
        replay.sim.advance(Duration::from_secs(31 * 60));
        replay.log_in().await;
        let response = &entry["response"];
        if response["message"] == "Session IP mismatch." {
            replay.sim.set_address("192.0.2.99");
        }
        let request = replay.request(&entry["request"], response);
        let (kind, reply) = replay.ask(path, &request).await;
        replay.sim.set_address("192.0.2.200");
        compared += 1;
        let (reply, response) = (plain(reply, function), plain(response.clone(), function));
        if kind != entry["content_type"].as_str().unwrap() || reply != response {
            wrong.push(format!(
                "{place} {function} {request}\n  recorded {response}\n  simulated {reply}"
            ));
        }
    }
    assert!(compared > 150, "{compared}");
    assert!(
        wrong.is_empty(),
        "{} of {compared}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(replay.log_ins >= 4);
}
