//! Cloudflare's API v4 for zones and DNS records, as far as an operator of zones meets it.
//!
//! The quirks: an envelope around everything, with a code even on success; errors that name their cause only
//! in a chain; batches as one transaction of which only the first error is told; names outside of the zone
//! that become relative ones; proxied records that forget their time to live; and a rate limit that blocks
//! every call for a whole window once it was exceeded.

mod batch;
mod limits;
mod names;
mod records;
mod reply;
mod routes;
mod state;
mod texts;
mod validation;
mod zones;

use jiff::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State as Shared;
use axum::http::{Request, Response};
use serde_json::Value;

use self::limits::Window;
use self::state::{Record, State};
use super::faults::Faults;
use super::server::Server;

pub use self::limits::RateLimit;

/// Path below which the API lies, as on the real host.
pub const BASE_PATH: &str = "/client/v4";
/// Bytes of the largest request: a batch of 3,500 records of 1 KiB, twice.
const REQUEST_LIMIT: usize = 8 << 20;

/// What a zone's plan allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// 200 records, 200 changes per batch, comments of 100 characters.
    Free,
    /// 3,500 records, 3,500 changes per batch, comments of 500 characters.
    Pro,
}

impl Plan {
    /// Records of one zone.
    pub fn records(self) -> usize {
        match self {
            Self::Free => 200,
            Self::Pro => 3500,
        }
    }

    /// Changes in one batch.
    pub fn batch(self) -> usize {
        match self {
            Self::Free => 200,
            Self::Pro => 3500,
        }
    }

    /// Characters of a comment.
    pub fn comment(self) -> usize {
        match self {
            Self::Free => 100,
            Self::Pro => 500,
        }
    }
}

/// What the token reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenScope {
    /// Every zone of the account.
    Account,
    /// The zone of this name only.
    Zone(String),
}

/// What the token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// List and read zones (`Zone:Read`).
    pub zone_read: bool,
    /// Create, change and delete zones (`Zone:Edit`).
    pub zone_edit: bool,
    /// Read records (`DNS:Read`).
    pub dns_read: bool,
    /// Change records (`DNS:Edit`); reading is part of it.
    pub dns_edit: bool,
    /// List accounts.
    pub account_read: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self {
        zone_read: true,
        zone_edit: true,
        dns_read: true,
        dns_edit: true,
        account_read: true,
    };
}

/// How the simulated account is.
#[derive(Debug, Clone)]
pub struct CloudflareOptions {
    /// The one API token that works.
    pub token: String,
    /// Id of the account, 32 hexadecimal digits.
    pub account: String,
    /// Ids of further accounts that the token sees, without zones.
    pub other_accounts: Vec<String>,
    /// Zones of the account; no limit when absent.
    pub zone_quota: Option<usize>,
    /// Names of the zones that exist, active, from the start.
    pub zones: Vec<String>,
    /// Plan of every zone.
    pub plan: Plan,
    /// Records of one zone where it differs from the plan's: older zones and contracts have more.
    pub record_quota: Option<usize>,
    /// None for no limit; the real one is [`RateLimit::REAL`].
    pub rate_limit: Option<RateLimit>,
    /// What the token reaches.
    pub token_scope: TokenScope,
}

impl Default for CloudflareOptions {
    fn default() -> Self {
        Self {
            token: "cf-sim-token-000000000000000000000000000".to_owned(),
            account: "0acc0000000000000000000000000acc".to_owned(),
            other_accounts: Vec::new(),
            zone_quota: None,
            zones: Vec::new(),
            plan: Plan::Free,
            record_quota: None,
            rate_limit: None,
            token_scope: TokenScope::Account,
        }
    }
}

/// A record as the simulator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimRecord {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Whole name, lower case, punycode.
    pub name: String,
    /// Type, such as `A`.
    pub kind: String,
    /// Content, without the priority of MX and SRV.
    pub content: String,
    /// Priority of MX and SRV.
    pub priority: Option<u16>,
    /// Seconds, 1 for automatic.
    pub ttl: u32,
    /// Through Cloudflare's proxy.
    pub proxied: bool,
    /// Comment, the place of ownership marks.
    pub comment: Option<String>,
}

impl From<&Record> for SimRecord {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            kind: record.kind.clone(),
            content: record.content.clone(),
            priority: record.priority,
            ttl: record.ttl,
            proxied: record.proxied,
            comment: record.comment.clone(),
        }
    }
}

/// One request with its answer, for comparison with the vendor's schema.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Verb.
    pub method: String,
    /// Path below [`BASE_PATH`].
    pub path: String,
    /// Query, decoded, in the order in which it was sent.
    pub query: Vec<(String, String)>,
    /// Body, if it was JSON.
    pub request: Option<Value>,
    /// Status of the answer.
    pub status: u16,
    /// Body of the answer, if it was JSON.
    pub response: Option<Value>,
}

/// Handle on a running simulator; clones share the account.
#[derive(Clone)]
pub struct CloudflareSim {
    inside: Arc<Mutex<State>>,
}

impl CloudflareSim {
    /// Starts the simulator at an address (port 0 picks one). Its API is at the server's URL + [`BASE_PATH`].
    ///
    /// # Errors
    /// When the address cannot be bound, or a zone's name is none.
    pub async fn start(
        options: CloudflareOptions,
        address: SocketAddr,
        faults: Faults,
    ) -> io::Result<(Server, Self)> {
        let state = State::new(options).map_err(io::Error::other)?;
        let sim = Self {
            inside: Arc::new(Mutex::new(state)),
        };
        let router = Router::new().fallback(handle).with_state(sim.clone());
        let server = Server::start("cloudflare", address, router, faults, None).await?;
        Ok((server, sim))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Id of the zone of this name.
    pub fn zone_id(&self, zone: &str) -> Option<String> {
        self.lock().zone_named(zone).map(|zone| zone.id.clone())
    }

    /// All records of the zone of this name, by name, type and content; none for an unknown zone.
    pub fn records(&self, zone: &str) -> Vec<SimRecord> {
        let state = self.lock();
        let Some(zone) = state.zone_named(zone) else {
            return Vec::new();
        };
        let mut records: Vec<SimRecord> = zone.records().map(SimRecord::from).collect();
        records.sort_by(|a, b| (&a.name, &a.kind, &a.content).cmp(&(&b.name, &b.kind, &b.content)));
        records
    }

    /// Names of all zones in order.
    pub fn zone_names(&self) -> Vec<String> {
        self.lock().zones().map(|zone| zone.name.clone()).collect()
    }

    /// Deletes a zone behind the operator's back; whether it existed.
    pub fn delete_zone_by_hand(&self, name: &str) -> bool {
        let mut state = self.lock();
        let id = state.zone_named(name).map(|zone| zone.id.clone());
        id.and_then(|id| state.remove_zone(&id)).is_some()
    }

    /// Adds a record as the vendor's own services do, which nobody else may change; returns its id, `None`
    /// for an unknown zone.
    pub fn add_vendor_record(&self, zone: &str, name: &str, kind: &str, content: &str) -> Option<String> {
        let mut state = self.lock();
        let mut record = Record::plain(state.next_id(), name, kind, content);
        record.read_only = true;
        if kind == "MX" {
            record.priority = Some(10);
        }
        let id = record.id.clone();
        state.zone_named_mut(zone)?.put(record);
        Some(id)
    }

    /// Adds an active zone, as a person does in the interface, in place of one of the same name; returns its id.
    pub fn add_zone(&self, name: &str) -> String {
        self.lock().add_zone(name.to_owned(), "active")
    }

    /// Adds a record as somebody else would; returns its id, `None` for an unknown zone. Nothing is checked,
    /// so that any situation can be made; the content of MX, SRV and CAA may begin with the
    /// priority or the flags, as zone files have it.
    pub fn add_foreign_record(
        &self,
        zone: &str,
        name: &str,
        kind: &str,
        content: &str,
        comment: Option<&str>,
    ) -> Option<String> {
        let mut state = self.lock();
        let mut record = Record::by_hand(state.next_id(), name, kind, content);
        record.comment = comment.map(str::to_owned);
        let id = record.id.clone();
        state.zone_named_mut(zone)?.put(record);
        Some(id)
    }

    /// Deletes a record behind the operator's back; whether it existed.
    pub fn delete_by_hand(&self, id: &str) -> bool {
        self.lock().zones_mut().any(|zone| zone.take(id).is_some())
    }

    /// Changes a record behind the operator's back; whether it existed. The id stays.
    pub fn edit_by_hand(&self, id: &str, edit: impl FnOnce(&mut SimRecord)) -> bool {
        let mut state = self.lock();
        let Some(zone) = state.zones_mut().find(|zone| zone.get(id).is_some()) else {
            return false;
        };
        let Some(mut record) = zone.take(id) else {
            return false;
        };
        let mut shown = SimRecord::from(&record);
        edit(&mut shown);
        record.name = shown.name;
        record.kind = shown.kind;
        record.set_by_hand(&shown.content, shown.priority);
        record.ttl = shown.ttl;
        record.proxied = shown.proxied;
        record.comment = shown.comment;
        zone.put(record);
        true
    }

    /// Sets how many records fit into one zone; the plan's number without it.
    pub fn set_record_quota(&self, quota: Option<usize>) {
        self.lock().set_record_quota(quota);
    }

    /// Makes a zone so many seconds old; whether it exists.
    pub fn set_zone_age(&self, name: &str, seconds: i64) -> bool {
        let mut state = self.lock();
        let Some(zone) = state.zone_named_mut(name) else {
            return false;
        };
        zone.created = Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
        true
    }

    /// Sets the rate limit, with a fresh window and without a block.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.lock().window = limit.map(Window::new);
    }

    /// From now on the token has expired.
    pub fn expire_token(&self) {
        self.lock().token_status = "expired";
    }

    /// The token works again.
    pub fn restore_token(&self) {
        self.lock().token_status = "active";
    }

    /// Sets what the token may do; everything at the start.
    pub fn set_rights(&self, rights: Rights) {
        self.lock().rights = rights;
    }

    /// Records of all zones whose comment begins with this text: what an operator has left behind.
    pub fn leftovers(&self, mark_prefix: &str) -> Vec<SimRecord> {
        let state = self.lock();
        let marked = |record: &&Record| {
            let comment = record.comment.as_deref();
            comment.is_some_and(|comment| comment.starts_with(mark_prefix))
        };
        state
            .zones()
            .flat_map(|zone| zone.records())
            .filter(marked)
            .map(SimRecord::from)
            .collect()
    }

    /// From now on keeps every exchange, until [`CloudflareSim::take_exchanges`] fetches them.
    pub fn keep_exchanges(&self) {
        self.lock().exchanges.get_or_insert_default();
    }

    /// The exchanges since the last call; keeping goes on.
    pub fn take_exchanges(&self) -> Vec<Exchange> {
        self.lock()
            .exchanges
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

async fn handle(Shared(sim): Shared<CloudflareSim>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, REQUEST_LIMIT).await.unwrap_or_default();
    let asked = routes::Asked::new(&parts, &body);
    let mut state = sim.lock();
    let reply = routes::answer(&mut state, &asked);
    if let Some(exchanges) = &mut state.exchanges {
        exchanges.push(Exchange {
            method: asked.method.clone(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            request: asked.body.clone(),
            status: reply.status,
            response: reply.body.clone(),
        });
    }
    drop(state);
    reply.into_response()
}
