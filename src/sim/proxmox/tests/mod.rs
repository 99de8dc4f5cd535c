//! The quirks, each over real HTTP.

mod api;
mod contract;
mod ha;
mod life;
mod tasks;

use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

/// The number that most tests use.
const ID: u32 = 907;
/// A delay that only ends when time is skipped.
const HOUR: Duration = Duration::from_secs(3600);
/// Longest wait for something that must happen soon.
const SOON: Duration = Duration::from_secs(5);

struct Bench {
    server: Server,
    sim: ProxmoxSim,
    client: reqwest::Client,
    token: String,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    reason: String,
    body: Value,
    text: String,
    closes: bool,
}

impl Reply {
    /// What a refusal says.
    fn says(&self) -> (u16, &str) {
        (self.status, &self.reason)
    }

    fn data(&self) -> &Value {
        assert_eq!(self.status, 200, "{self:?}");
        &self.body["data"]
    }

    fn errors(&self, name: &str) -> &str {
        assert_eq!(self.says(), (400, "Parameter verification failed."), "{self:?}");
        self.body["errors"][name].as_str().unwrap()
    }
}

fn options() -> ProxmoxOptions {
    ProxmoxOptions::default()
}

fn release(version: PveVersion) -> ProxmoxOptions {
    ProxmoxOptions { version, ..options() }
}

async fn bench(options: ProxmoxOptions) -> Bench {
    // Fails when another test was first, which is just as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let token = options.token.clone();
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let (server, sim) = ProxmoxSim::start(options, address, Faults::default(), None)
        .await
        .unwrap();
    Bench {
        server,
        sim,
        client: reqwest::Client::new(),
        token,
    }
}

impl Bench {
    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.client
            .request(method, format!("{}/api2/json{path}", self.server.url()))
            .header("authorization", format!("PVEAPIToken={}", self.token))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>();
        let reason = phrase.map(|p| String::from_utf8_lossy(p.as_bytes()).into_owned());
        let closes = response.headers().get("connection").is_some_and(|v| v == "close");
        let text = response.text().await.unwrap();
        Reply {
            status,
            reason: reason.unwrap_or_default(),
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
            closes,
        }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(self.request("GET", path)).await
    }

    async fn delete(&self, path: &str) -> Reply {
        self.send(self.request("DELETE", path)).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send(self.request("POST", path).form(form)).await
    }

    async fn put(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        self.send(self.request("PUT", path).form(form)).await
    }

    /// Creates a container on `pve1` with more or other parameters.
    async fn create(&self, vmid: u32, more: &[(&str, &str)]) -> Reply {
        let id = vmid.to_string();
        let mut form = vec![
            ("vmid", id.as_str()),
            (
                "ostemplate",
                "local:vztmpl/debian-12-standard_12.7-1_amd64.tar.zst",
            ),
            ("rootfs", "drbd:20"),
            ("unprivileged", "1"),
            ("hostname", "site"),
            ("net0", "name=eth0,bridge=vmbr0,ip=10.0.0.7/24,gw=10.0.0.1"),
            ("description", "hostwright:test:1"),
            ("tags", "wp;Hostwright"),
        ];
        for (key, value) in more {
            form.retain(|(old, _)| old != key);
            form.push((key, value));
        }
        self.post("/nodes/pve1/lxc", &form).await
    }

    /// Creates and must succeed.
    async fn created(&self, more: &[(&str, &str)]) {
        let reply = self.create(ID, more).await;
        assert_eq!(self.exit(&reply).await, "OK");
    }

    async fn status(&self, upid: &str) -> Reply {
        let node = upid.split(':').nth(1).unwrap();
        let encoded = upid.replace(':', "%3A").replace('@', "%40").replace('!', "%21");
        self.get(&format!("/nodes/{node}/tasks/{encoded}/status")).await
    }

    /// Waits for the task that a call has started, and says how it ended.
    async fn exit(&self, reply: &Reply) -> String {
        let upid = reply.data().as_str().unwrap().to_owned();
        let deadline = Instant::now() + SOON;
        loop {
            let status = self.status(&upid).await;
            if status.data()["status"] == "stopped" {
                return status.data()["exitstatus"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "{upid} does not end");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Posts and waits for the end of the task.
    async fn run(&self, path: &str, form: &[(&str, &str)]) -> String {
        let reply = self.post(path, form).await;
        self.exit(&reply).await
    }

    async fn resource(&self, vmid: u32) -> Value {
        let rows = self.get("/cluster/resources?type=vm").await;
        let rows = rows.data().as_array().unwrap().clone();
        rows.into_iter()
            .find(|row| row["vmid"] == vmid)
            .unwrap_or(Value::Null)
    }
}

fn at(path: &str) -> String {
    format!("/nodes/pve1/lxc/{ID}{path}")
}
