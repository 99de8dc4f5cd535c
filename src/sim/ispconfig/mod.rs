//! ISPConfig's remote API (JSON) for DNS, as far as an operator of zones meets it.
//!
//! The quirks: status 200 for everything and failures only in `code`; keys of a language file and SQL in messages; a
//! page instead of an answer; labels that become the zone's apex when they are invalid; ids that are put into
//! statements as they are; look-ups by prefix; no check of duplicates, clashes, zones, owners; records that stay
//! behind when their zone goes; sessions of 1800 s, and ten failures that lock an address out.

mod calls;
mod forms;
mod state;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State as Shared;
use axum::http::{HeaderValue, Request, Response, header};
use serde_json::{Value, json};

use self::calls::{Asked, Reply, answer};
use self::state::{Row, State, column};
use super::faults::Faults;
use super::server::{Server, full};

/// Path of the API.
pub const PATH: &str = "/remote/json.php";
/// Bytes of the largest request.
const REQUEST_LIMIT: usize = 1 << 20;

/// How the simulated panel is.
#[derive(Debug, Clone)]
pub struct IspconfigOptions {
    /// Name of the remote user.
    pub username: String,
    /// Its password.
    pub password: String,
    /// The only address from which it may log in.
    pub allowed_address: Option<String>,
    /// Number of the first server; the second follows.
    pub server_id: u64,
    /// Zones that exist from the start, made by hand, active and without records.
    pub zones: Vec<String>,
    /// User names of the clients that exist from the start.
    pub customers: Vec<String>,
    /// What stands for the hash of a client's password.
    pub password_hash: String,
    /// The program's version.
    pub version: String,
}

impl Default for IspconfigOptions {
    fn default() -> Self {
        Self {
            username: "operator".to_owned(),
            password: "isp-sim-password".to_owned(),
            allowed_address: None,
            server_id: 1,
            zones: Vec::new(),
            customers: Vec::new(),
            password_hash: "$6$canary-hash$".to_owned(),
            version: "3.2.12".to_owned(),
        }
    }
}

/// A zone as the simulator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimZone {
    /// Number.
    pub id: u64,
    /// Origin as it is stored.
    pub origin: String,
    /// Serial.
    pub serial: u64,
    /// `Y` or `N`.
    pub active: String,
    /// Client to whom it belongs, 0 for the administrator.
    pub client: u64,
    /// Primary name server as it is stored.
    pub ns: String,
    /// Mail box as it is stored.
    pub mbox: String,
    /// Seconds: refresh, retry, expire, minimum and the time to live.
    pub times: [u64; 5],
}

/// A record as the simulator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimRecord {
    /// Number.
    pub id: u64,
    /// Number of its zone, which need not exist.
    pub zone: u64,
    /// Number of its server, which need not exist.
    pub server: u64,
    /// Client to whom it belongs, 0 for the administrator.
    pub client: u64,
    /// Name as it is stored: empty for the apex, relative, or absolute with a final dot.
    pub name: String,
    /// Type.
    pub kind: String,
    /// Content as it is stored.
    pub data: String,
    /// Preference or priority.
    pub aux: u64,
    /// Seconds.
    pub ttl: u64,
    /// `Y` or `N`.
    pub active: String,
}

/// Handle on a running simulator; clones share the panel.
#[derive(Clone)]
pub struct IspconfigSim {
    inside: Arc<Mutex<State>>,
}

impl IspconfigSim {
    /// Starts the simulator at an address (port 0 picks one).
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(
        options: IspconfigOptions,
        address: SocketAddr,
        faults: Faults,
    ) -> io::Result<(Server, Self)> {
        let sim = Self {
            inside: Arc::new(Mutex::new(State::new(options))),
        };
        let router = Router::new().fallback(handle).with_state(sim.clone());
        let server = Server::start("ispconfig", address, router, faults, None).await?;
        Ok((server, sim))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All zones by number.
    pub fn zones(&self) -> Vec<SimZone> {
        let state = self.lock();
        let shown = state.zones.rows.iter().map(|(id, row)| SimZone {
            id: *id,
            origin: column(row, "origin").to_owned(),
            serial: number(row, "serial"),
            active: column(row, "active").to_owned(),
            client: state.client_of(number(row, "sys_userid")).unwrap_or_default(),
            ns: column(row, "ns").to_owned(),
            mbox: column(row, "mbox").to_owned(),
            times: ["refresh", "retry", "expire", "minimum", "ttl"].map(|name| number(row, name)),
        });
        shown.collect()
    }

    /// Number of the zone of this name, without a final dot.
    pub fn zone_id(&self, zone: &str) -> Option<u64> {
        self.lock().zone_at(&format!("{zone}."))
    }

    /// All records of the zone of this name by number; none for an unknown zone.
    pub fn records(&self, zone: &str) -> Vec<SimRecord> {
        let id = self.zone_id(zone);
        let mut records = self.all_records();
        records.retain(|record| Some(record.zone) == id);
        records
    }

    /// All records by number, those of no zone included.
    pub fn all_records(&self) -> Vec<SimRecord> {
        let state = self.lock();
        let rows = state.records.rows.iter();
        rows.map(|(id, row)| shown(&state, *id, row)).collect()
    }

    /// Adds a zone by hand; returns its number.
    pub fn add_zone(&self, name: &str) -> u64 {
        self.lock().add_zone(name)
    }

    /// Adds a record by hand, its name as it is to be stored; returns its number, `None` for an unknown zone. Nothing
    /// is checked, so that any situation can be made.
    pub fn add_foreign(&self, zone: &str, name: &str, kind: &str, data: &str, aux: u64) -> Option<u64> {
        let mut state = self.lock();
        let id = state.zone_at(&format!("{zone}."))?;
        let server = state.options.server_id.to_string();
        let row = json!({
            "server_id": server, "zone": id.to_string(), "name": name, "type": kind, "data": data,
            "aux": aux.to_string(), "ttl": "3600", "active": "Y", "stamp": "2026-01-01 00:00:00", "serial": "1",
        });
        let row = state.owned(row.as_object().cloned().unwrap_or_default(), 1);
        Some(state.records.add(row))
    }

    /// Changes a record by hand; whether it existed. Its numbers and its client stay.
    pub fn edit_by_hand(&self, id: u64, edit: impl FnOnce(&mut SimRecord)) -> bool {
        let mut state = self.lock();
        let Some(row) = state.records.rows.get(&id) else {
            return false;
        };
        let mut record = shown(&state, id, row);
        edit(&mut record);
        let Some(row) = state.records.rows.get_mut(&id) else {
            return false;
        };
        let texts = [
            ("name", record.name),
            ("type", record.kind),
            ("data", record.data),
            ("active", record.active),
        ];
        let numbers = [("aux", record.aux.to_string()), ("ttl", record.ttl.to_string())];
        for (name, value) in texts.into_iter().chain(numbers) {
            row.insert(name.to_owned(), Value::from(value));
        }
        true
    }

    /// Deletes a record by hand; whether it existed.
    pub fn delete_by_hand(&self, id: u64) -> bool {
        self.lock().records.remove(id)
    }

    /// Moves a zone's serial on, as the panel's own forms do behind every change by hand; whether it existed.
    pub fn move_serial_on(&self, zone: &str) -> bool {
        let mut state = self.lock();
        let id = state.zone_at(&format!("{zone}."));
        let row = id.and_then(|id| state.zones.rows.get_mut(&id));
        let Some(row) = row else { return false };
        let serial = number(row, "serial") + 1;
        row.insert("serial".to_owned(), Value::from(serial.to_string()));
        true
    }

    /// Deletes a zone by hand, which leaves its records behind; whether it existed.
    pub fn delete_zone_by_hand(&self, zone: &str) -> bool {
        let mut state = self.lock();
        let id = state.zone_at(&format!("{zone}."));
        id.is_some_and(|id| state.zones.remove(id))
    }

    /// Ends every session, as a restart of the panel does.
    pub fn expire_sessions(&self) {
        self.lock().close_sessions();
    }

    /// Changes the password of the remote user and ends its sessions.
    pub fn set_password(&self, password: &str) {
        let mut state = self.lock();
        state.options.password = password.to_owned();
        state.close_sessions();
    }

    /// Functions that the remote user lacks from now on.
    pub fn deny(&self, functions: &[&str]) {
        self.lock().denied = functions.iter().map(|function| (*function).to_owned()).collect();
    }

    /// Where requests come from, from now on.
    pub fn set_address(&self, address: &str) {
        self.lock().address = address.to_owned();
    }

    /// Lets time pass for the panel.
    pub fn advance(&self, time: Duration) {
        self.lock().advance(time);
    }

    /// The most failures that were ever counted at once; ten lock an address out.
    pub fn most_failures(&self) -> usize {
        self.lock().most_failures
    }

    /// Zones and records that came through the API and are still there, in words: what an operator has left behind.
    pub fn leftovers(&self) -> Vec<String> {
        let state = self.lock();
        let zones = state
            .zones
            .through_api
            .iter()
            .filter_map(|id| state.zones.rows.get(id));
        let zones = zones.map(|row| format!("zone {}", column(row, "origin")));
        let records = state
            .records
            .through_api
            .iter()
            .filter_map(|id| state.records.rows.get(id));
        let records = records.map(|row| {
            let origin = state
                .zones
                .rows
                .get(&number(row, "zone"))
                .map(|zone| column(zone, "origin"));
            let place = origin.map_or("no zone", |origin| origin);
            format!("{} \"{}\" in {place}", column(row, "type"), column(row, "name"))
        });
        zones.chain(records).collect()
    }
}

fn number(row: &Row, name: &str) -> u64 {
    column(row, name).parse().unwrap_or_default()
}

fn shown(state: &State, id: u64, row: &Row) -> SimRecord {
    SimRecord {
        id,
        zone: number(row, "zone"),
        server: number(row, "server_id"),
        client: state.client_of(number(row, "sys_userid")).unwrap_or_default(),
        name: column(row, "name").to_owned(),
        kind: column(row, "type").to_owned(),
        data: column(row, "data").to_owned(),
        aux: number(row, "aux"),
        ttl: number(row, "ttl"),
        active: column(row, "active").to_owned(),
    }
}

async fn handle(Shared(sim): Shared<IspconfigSim>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_LIMIT).await.unwrap_or_default();
    if parts.uri.path() != PATH {
        let mut response = Response::new(full("<h1>Not Found</h1>"));
        *response.status_mut() = axum::http::StatusCode::NOT_FOUND;
        return response;
    }
    let asked = Asked {
        function: parts.uri.query().unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let reply = answer(&mut sim.lock(), &asked);
    let (kind, text) = match reply {
        Reply::Json(value) => ("application/json; charset=\"utf-8\"", value.to_string()),
        Reply::Page(page) => ("text/html; charset=utf-8", page.to_owned()),
    };
    let mut response = Response::new(full(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
