//! A Proxmox that answers what a test prepared, and remembers what it was asked.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{Response, StatusCode, Uri};
use hostwright::domain::{AddressPool, OwnerMark, Vmid};
use hostwright::providers::gate::{Gate, Limits, NoMeter};
use hostwright::providers::http::{HttpSettings, TlsTrust};
use hostwright::providers::proxmox::{HaPlacement, Proxmox, ProxmoxSettings, connect};
use hostwright::sim::faults::Faults;
use hostwright::sim::server::Server;
use serde_json::{Value, json};

pub const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
pub const API_ROOT: &str = "/api2/json";

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Below the API's root, still encoded.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
    pub authorization: String,
}

impl Seen {
    /// `METHOD /path`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub fn params(&self) -> Vec<(String, String)> {
        self.query.iter().chain(&self.form).cloned().collect()
    }

    pub fn param(&self, name: &str) -> Option<String> {
        self.params()
            .into_iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value)
    }
}

/// What to answer.
pub enum Answer {
    Data(Value),
    /// The sentence in reason phrase and body, as since 2025.
    Refuse(u16, &'static str),
    /// The sentence in the reason phrase only, as before.
    OldRefuse(u16, &'static str),
    /// A 400 with one parameter's words.
    Parameter(&'static str, &'static str),
}

impl Answer {
    fn response(self) -> Response<Body> {
        let (status, reason, body) = match self {
            Self::Data(data) => (200, None, json!({"data": data})),
            Self::Refuse(status, sentence) => {
                let body = json!({"data": null, "message": format!("{sentence}\n")});
                (status, Some(sentence), body)
            }
            Self::OldRefuse(status, sentence) => (status, Some(sentence), json!({"data": null})),
            Self::Parameter(name, words) => {
                let body = json!({"data": null, "errors": {name: words}});
                (400, Some("Parameter verification failed."), body)
            }
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        if let Some(reason) = reason {
            let phrase = hyper::ext::ReasonPhrase::try_from(reason.as_bytes()).unwrap();
            response.extensions_mut().insert(phrase);
        }
        response
    }
}

/// The running server.
pub struct Scripted {
    pub server: Server,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Scripted {
    pub async fn start(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remember = Arc::clone(&seen);
        let script = Arc::new(script);
        let router = Router::new().fallback(move |request: Request| {
            let (remember, script) = (Arc::clone(&remember), Arc::clone(&script));
            async move {
                let arrived = arrived(request).await;
                remember.lock().unwrap().push(arrived.clone());
                script(&arrived).response()
            }
        });
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let server = Server::start("proxmox", address, router, Faults::default(), None).await;
        Self {
            server: server.unwrap(),
            seen,
        }
    }

    /// Everything that was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// `METHOD /path` of every request that was no read.
    pub fn writes(&self) -> Vec<String> {
        let writes = self.seen().into_iter().filter(|seen| seen.method != "GET");
        writes.map(|seen| seen.line()).collect()
    }

    /// The last request of a line.
    pub fn last(&self, line: &str) -> Seen {
        self.seen().into_iter().rfind(|seen| seen.line() == line).unwrap()
    }

    pub fn count(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| seen.line() == line).count()
    }

    pub fn client(&self, change: impl FnOnce(&mut ProxmoxSettings)) -> Arc<Proxmox> {
        let mut settings = settings(self.server.url());
        change(&mut settings);
        connect(settings, gate()).unwrap()
    }
}

pub fn gate() -> Arc<Gate> {
    let limits = Limits {
        max_concurrent: 4,
        requests_per_second: NonZeroU32::new(10_000).unwrap(),
    };
    Arc::new(Gate::new("test", limits, Arc::new(NoMeter)))
}

pub fn settings(url: String) -> ProxmoxSettings {
    let ip = |last| Ipv4Addr::new(10, 0, 0, last);
    ProxmoxSettings {
        http: HttpSettings {
            bases: vec![url],
            trust: TlsTrust::System,
            plaintext: true,
        },
        token_id: "hw@pve!operator".into(),
        token_secret: "not-a-real-secret".to_owned().into(),
        addresses: AddressPool::new(ip(10), ip(99), 24, ip(1)).unwrap(),
        bridge: "vmbr0".into(),
        vlan: None,
        storage: "drbd".into(),
        template: "local:vztmpl/debian-13.tar.zst".into(),
        nameservers: Vec::new(),
        search_domain: None,
        resource_pool: None,
        nodes: Vec::new(),
        high_availability: HaPlacement::default(),
        stop_grace: Duration::from_secs(90),
    }
}

async fn arrived(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let form_type = Some("application/x-www-form-urlencoded");
    assert!(bytes.is_empty() || header("content-type") == form_type);
    assert!(
        header("transfer-encoding").is_none(),
        "Proxmox refuses chunked bodies"
    );
    let form: Uri = format!("/?{}", std::str::from_utf8(&bytes).unwrap())
        .parse()
        .unwrap();
    let pairs = |uri: &Uri| Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap().0;
    Seen {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().strip_prefix(API_ROOT).unwrap().to_owned(),
        query: pairs(&parts.uri),
        form: pairs(&form),
        authorization: header("authorization").unwrap_or_default().to_owned(),
    }
}

pub fn id() -> Vmid {
    Vmid::try_from(907).unwrap()
}

pub fn owner() -> OwnerMark {
    format!("hostwright:prod:{UID}").parse().unwrap()
}

pub fn upid(node: &str, kind: &str) -> String {
    format!("UPID:{node}:00004556:065341E5:6020F7FA:{kind}:907:hw@pve!operator:")
}

/// Prepared answers of a cluster in good order with container 907 on `pve1`.
#[derive(Clone)]
pub struct World {
    pub version: &'static str,
    /// Where the list says that 907 is; `None` when nowhere.
    pub node: Option<&'static str>,
    pub running: bool,
    pub description: String,
    pub lock: Option<&'static str>,
    /// State of the HA manager, when it manages 907.
    pub ha_state: Option<&'static str>,
    pub ha_resource: Option<Value>,
    pub ha_rules: Value,
    pub rights: Value,
}

impl Default for World {
    fn default() -> Self {
        Self {
            version: "9.2.10",
            node: Some("pve1"),
            running: true,
            description: format!("for people\n{}\n", owner()),
            lock: None,
            ha_state: None,
            ha_resource: None,
            ha_rules: json!([]),
            rights: json!({"/": {"Sys.Audit": 1}, "/vms": {"VM.Audit": 1}}),
        }
    }
}

impl World {
    fn list(&self) -> Value {
        let mut rows = vec![
            json!({"type": "node", "node": "pve1", "status": "online", "maxmem": 1_u64 << 35, "maxcpu": 8}),
            json!({"type": "node", "node": "pve2", "status": "online", "maxmem": 1_u64 << 34, "maxcpu": 4}),
            json!({"type": "storage", "storage": "drbd", "node": "pve1", "shared": 1, "status": "available"}),
            json!({"type": "qemu", "vmid": 101, "node": "pve2", "status": "running", "id": "qemu/101"}),
        ];
        if let Some(node) = self.node {
            let mut row =
                json!({"type": "lxc", "vmid": 907, "node": node, "status": "running", "id": "lxc/907"});
            if let Some(state) = self.ha_state {
                row["hastate"] = state.into();
            }
            rows.push(row);
        }
        rows.into()
    }

    fn config(&self) -> Value {
        let mut config = json!({
            "hostname": "jane", "memory": 2048, "cores": 2, "rootfs": "drbd:pm-1a2b3c4d_907,size=20G",
            "net0": "name=eth0,bridge=vmbr0,ip=10.0.0.7/24,gw=10.0.0.1,type=veth",
            "description": self.description, "digest": "66c960a6a57f95618f040e00c80838e4ef6cccce",
        });
        if let Some(lock) = self.lock {
            config["lock"] = lock.into();
        }
        config
    }

    fn status(&self) -> Value {
        let ha = match self.ha_state {
            Some(state) => json!({"managed": 1, "state": state}),
            None => json!({"managed": 0}),
        };
        let status = if self.running { "running" } else { "stopped" };
        json!({"status": status, "vmid": 907, "cpus": 2, "ha": ha})
    }

    /// The prepared answer to a request.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let parts: Vec<&str> = seen.path.split('/').skip(1).collect();
        match (seen.method.as_str(), parts.as_slice()) {
            ("GET", ["version"]) => Answer::Data(json!({"version": self.version})),
            ("GET", ["access", "permissions"]) => Answer::Data(self.rights.clone()),
            ("GET", ["cluster", "resources"]) => Answer::Data(self.list()),
            ("GET", ["nodes", node, "lxc", _, rest @ ..]) if Some(*node) == self.node => self.container(rest),
            ("GET", ["nodes", _, "lxc", ..]) => {
                Answer::Refuse(500, "Configuration file 'nodes/pve1/lxc/907.conf' does not exist")
            }
            ("GET", ["nodes", _, "qemu", "101", "config"]) => {
                Answer::Data(json!({"ipconfig0": "ip=10.0.0.8/24,gw=10.0.0.1"}))
            }
            ("GET", ["nodes", _, "tasks"]) => Answer::Data(json!([])),
            ("GET", ["nodes", _, "tasks", _, "status"]) => {
                Answer::Data(json!({"status": "stopped", "exitstatus": "OK"}))
            }
            ("GET", ["nodes", _, "storage", _, "content"]) => Answer::Data(json!([])),
            (_, ["cluster", "ha", rest @ ..]) => self.ha(&seen.method, rest),
            ("POST", ["nodes", node, "lxc"]) => Answer::Data(upid(node, "vzcreate").into()),
            ("POST", ["nodes", node, "lxc", _, "status", verb]) => {
                Answer::Data(upid(node, &format!("vz{verb}")).into())
            }
            ("POST", ["nodes", node, "lxc", _, "snapshot"]) => Answer::Data(upid(node, "vzsnapshot").into()),
            ("POST", ["nodes", node, "lxc", _, "snapshot", _, "rollback"]) => {
                Answer::Data(upid(node, "vzrollback").into())
            }
            ("PUT", ["nodes", node, "lxc", _, "resize"]) => Answer::Data(upid(node, "resize").into()),
            ("DELETE", ["nodes", node, "lxc", _, "snapshot", _]) => {
                Answer::Data(upid(node, "vzdelsnapshot").into())
            }
            ("DELETE", ["nodes", node, "lxc", _]) => Answer::Data(upid(node, "vzdestroy").into()),
            ("PUT", ["nodes", _, "lxc", _, "config"]) => Answer::Data(Value::Null),
            _ => Answer::Refuse(501, "Method not implemented"),
        }
    }

    fn container(&self, rest: &[&str]) -> Answer {
        Answer::Data(match rest {
            ["config"] => self.config(),
            ["status", "current"] => self.status(),
            _ => json!([
                {"name": "initial", "description": "first", "snaptime": 1_709_753_281},
                {"name": "BAK01012026-1", "description": "", "snaptime": 1_709_753_290, "snapstate": "delete"},
                {"name": "current", "description": "You are here!", "running": 1},
            ]),
        })
    }

    fn ha(&self, method: &str, rest: &[&str]) -> Answer {
        match (method, rest) {
            ("GET", ["rules"]) if self.version.starts_with('9') => Answer::Data(self.ha_rules.clone()),
            ("GET", ["resources", _]) => match &self.ha_resource {
                Some(resource) => Answer::Data(resource.clone()),
                None => Answer::OldRefuse(500, "no such resource 'ct:907'"),
            },
            (_, ["rules", ..]) if !self.version.starts_with('9') => {
                Answer::Refuse(501, "Method not implemented")
            }
            _ => Answer::Data(Value::Null),
        }
    }
}
