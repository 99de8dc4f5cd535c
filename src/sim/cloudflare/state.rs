//! What the account has: zones with records, found by id and by name without a search.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::limits::Window;
use super::names::ascii;
use super::{CloudflareOptions, Exchange, Plan, Rights};

/// Types that Cloudflare can proxy.
pub(super) const PROXIABLE: [&str; 3] = ["A", "AAAA", "CNAME"];

/// One record.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub id: String,
    pub name: String,
    pub kind: String,
    pub content: String,
    pub ttl: u32,
    pub proxied: bool,
    pub comment: Option<String>,
    pub priority: Option<u16>,
    pub tags: Vec<String>,
    pub data: Option<Value>,
    pub settings: Map<String, Value>,
    pub private_routing: Option<bool>,
    pub created: Timestamp,
    pub modified: Timestamp,
    pub comment_modified: Option<Timestamp>,
}

impl Record {
    /// A record with defaults for everything that is not named.
    pub fn plain(id: String, name: &str, kind: &str, content: &str) -> Self {
        let now = Timestamp::now();
        Self {
            id,
            name: name.to_owned(),
            kind: kind.to_owned(),
            content: content.to_owned(),
            ttl: 1,
            proxied: false,
            comment: None,
            priority: None,
            tags: Vec::new(),
            data: None,
            settings: Map::new(),
            private_routing: None,
            created: now,
            modified: now,
            comment_modified: None,
        }
    }

    /// As it is sent.
    pub fn json(&self) -> Value {
        let mut value = json!({
            "id": self.id,
            "name": self.name,
            "type": self.kind,
            "content": self.content,
            "proxiable": PROXIABLE.contains(&self.kind.as_str()),
            "proxied": self.proxied,
            "ttl": self.ttl,
            "settings": self.settings,
            "meta": {},
            "comment": self.comment,
            "tags": self.tags,
            "created_on": self.created.to_string(),
            "modified_on": self.modified.to_string(),
        });
        if let Some(value) = value.as_object_mut() {
            if let Some(priority) = self.priority {
                value.insert("priority".to_owned(), priority.into());
            }
            if let Some(data) = &self.data {
                value.insert("data".to_owned(), data.clone());
            }
            if let Some(routing) = self.private_routing {
                value.insert("private_routing".to_owned(), routing.into());
            }
            if let Some(time) = self.comment_modified {
                value.insert("comment_modified_on".to_owned(), time.to_string().into());
            }
        }
        value
    }
}

/// One zone.
#[derive(Debug)]
pub(super) struct Zone {
    pub id: String,
    pub name: String,
    pub status: &'static str,
    pub kind: String,
    pub paused: bool,
    pub created: Timestamp,
    records: BTreeMap<String, Record>,
    by_name: BTreeMap<String, BTreeSet<String>>,
}

impl Zone {
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn get(&self, id: &str) -> Option<&Record> {
        self.records.get(id)
    }

    /// The records of one name.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Record> {
        let ids = self.by_name.get(name).into_iter().flatten();
        ids.filter_map(|id| self.records.get(id))
    }

    /// Adds or replaces a record; returns what was there under its id.
    pub fn put(&mut self, record: Record) -> Option<Record> {
        let before = self.take(&record.id);
        let ids = self.by_name.entry(record.name.clone()).or_default();
        ids.insert(record.id.clone());
        self.records.insert(record.id.clone(), record);
        before
    }

    /// Removes a record.
    pub fn take(&mut self, id: &str) -> Option<Record> {
        let record = self.records.remove(id)?;
        if let Some(ids) = self.by_name.get_mut(&record.name) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_name.remove(&record.name);
            }
        }
        Some(record)
    }
}

/// Everything behind the lock.
pub(super) struct State {
    pub options: CloudflareOptions,
    pub rights: Rights,
    pub token_status: &'static str,
    pub window: Option<Window>,
    pub exchanges: Option<Vec<Exchange>>,
    zones: BTreeMap<String, Zone>,
    ids: u64,
}

impl State {
    /// # Errors
    /// When a zone's name is none.
    pub fn new(options: CloudflareOptions) -> Result<Self, String> {
        let names = options.zones.clone();
        let mut state = Self {
            window: options.rate_limit.map(Window::new),
            options,
            rights: Rights::ALL,
            token_status: "active",
            exchanges: None,
            zones: BTreeMap::new(),
            ids: 0,
        };
        for name in names {
            let name = ascii(&name).ok_or_else(|| format!("{name} is not the name of a zone"))?;
            state.add_zone(name, "active");
        }
        Ok(state)
    }

    /// A new id: looks random, but is the same in every run.
    pub fn next_id(&mut self) -> String {
        self.ids += 1;
        let seed = format!("{}:{}", self.options.account, self.ids);
        let digest = ring::digest::digest(&ring::digest::SHA256, seed.as_bytes());
        digest
            .as_ref()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub fn add_zone(&mut self, name: String, status: &'static str) -> String {
        let id = self.next_id();
        let zone = Zone {
            id: id.clone(),
            name,
            status,
            kind: "full".to_owned(),
            paused: false,
            created: Timestamp::now(),
            records: BTreeMap::new(),
            by_name: BTreeMap::new(),
        };
        self.zones.insert(id.clone(), zone);
        id
    }

    pub fn remove_zone(&mut self, id: &str) -> Option<Zone> {
        self.zones.remove(id)
    }

    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        self.zones.values()
    }

    pub fn zones_mut(&mut self) -> impl Iterator<Item = &mut Zone> {
        self.zones.values_mut()
    }

    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.zones.get(id)
    }

    pub fn zone_mut(&mut self, id: &str) -> Option<&mut Zone> {
        self.zones.get_mut(id)
    }

    pub fn zone_named(&self, name: &str) -> Option<&Zone> {
        self.zones().find(|zone| zone.name == name)
    }

    pub fn zone_named_mut(&mut self, name: &str) -> Option<&mut Zone> {
        self.zones_mut().find(|zone| zone.name == name)
    }

    pub fn plan(&self) -> Plan {
        self.options.plan
    }

    /// Records that fit into one zone.
    pub fn record_quota(&self) -> usize {
        self.options.record_quota.unwrap_or(self.options.plan.records())
    }
}
