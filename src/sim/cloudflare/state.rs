//! What the account has: zones with records, found by id and by name without a search.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::limits::Window;
use super::names::ascii;
use super::{CloudflareOptions, Exchange, Plan, Rights, validation};

/// Types that Cloudflare can proxy.
pub(super) const PROXIABLE: [&str; 3] = ["A", "AAAA", "CNAME"];

/// First and second servers of the pairs that zones are given: any of the first with any of the second.
const SERVERS: [(&str, &str); 8] = [
    ("ada", "bob"),
    ("cleo", "dan"),
    ("eva", "fred"),
    ("gina", "hank"),
    ("ines", "jake"),
    ("kate", "leo"),
    ("mona", "neil"),
    ("olga", "pete"),
];

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
    /// It belongs to one of the vendor's own services.
    pub read_only: bool,
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
            read_only: false,
        }
    }

    /// A record as a person enters it: the content of structured types as zone files have it.
    pub fn by_hand(id: String, name: &str, kind: &str, content: &str) -> Self {
        let mut record = Self::plain(id, name, kind, "");
        let (first, rest) = content.split_once(' ').unwrap_or_default();
        match first.parse() {
            Ok(priority) if matches!(kind, "MX" | "SRV") => record.set_by_hand(rest, Some(priority)),
            _ => record.set_by_hand(content, None),
        }
        record
    }

    /// Sets the content, and what follows from it for structured types.
    pub fn set_by_hand(&mut self, content: &str, priority: Option<u16>) {
        self.content = content.to_owned();
        self.priority = priority;
        self.data = validation::data_of(&self.kind, content, priority);
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
            "meta": if self.read_only { json!({"read_only": true}) } else { json!({}) },
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
    pub servers: [String; 2],
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
    /// Ids by name, which is the order of listings.
    by_name: BTreeMap<String, String>,
    ids: u64,
    /// Zones that were ever added.
    added: usize,
    /// The pair of servers that a name had last, so that the next one is another.
    last_pairs: BTreeMap<String, usize>,
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
            by_name: BTreeMap::new(),
            ids: 0,
            added: 0,
            last_pairs: BTreeMap::new(),
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

    /// Adds a zone; one of the same name makes way for it.
    pub fn add_zone(&mut self, name: String, status: &'static str) -> String {
        let id = self.next_id();
        let zone = Zone {
            id: id.clone(),
            servers: self.next_pair(&name),
            name: name.clone(),
            status,
            kind: "full".to_owned(),
            paused: false,
            created: Timestamp::now(),
            records: BTreeMap::new(),
            by_name: BTreeMap::new(),
        };
        if let Some(before) = self.by_name.insert(name, id.clone()) {
            self.zones.remove(&before);
        }
        self.zones.insert(id.clone(), zone);
        id
    }

    /// Two servers; never those that a zone of the same name had before.
    fn next_pair(&mut self, name: &str) -> [String; 2] {
        let pairs = SERVERS.len() * SERVERS.len();
        let mut place = self.added % pairs;
        if self.last_pairs.get(name) == Some(&place) {
            place = (place + 1) % pairs;
        }
        self.added += 1;
        self.last_pairs.insert(name.to_owned(), place);
        // Neighbours differ in the first server, and the second is of the other list.
        let first = SERVERS.get(place % SERVERS.len()).map_or("ada", |pair| pair.0);
        let second = SERVERS.get(place / SERVERS.len()).map_or("bob", |pair| pair.1);
        [first, second].map(|server| format!("{server}.ns.cloudflare.com"))
    }

    pub fn remove_zone(&mut self, id: &str) -> Option<Zone> {
        let zone = self.zones.remove(id)?;
        self.by_name.remove(&zone.name);
        Some(zone)
    }

    /// All zones by name.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        self.by_name.values().filter_map(|id| self.zones.get(id))
    }

    /// One page of all zones by name; what comes before it is not looked at.
    pub fn zones_from(&self, skipped: usize) -> impl Iterator<Item = &Zone> {
        let ids = self.by_name.values().skip(skipped);
        ids.filter_map(|id| self.zones.get(id))
    }

    pub fn zone_count(&self) -> usize {
        self.zones.len()
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
        self.zones.get(self.by_name.get(name)?)
    }

    pub fn zone_named_mut(&mut self, name: &str) -> Option<&mut Zone> {
        self.zones.get_mut(self.by_name.get(name)?)
    }

    pub fn plan(&self) -> Plan {
        self.options.plan
    }

    /// Sets how many records fit into one zone.
    pub fn set_record_quota(&mut self, quota: Option<usize>) {
        self.options.record_quota = quota;
    }

    /// Records that fit into one zone.
    pub fn record_quota(&self) -> usize {
        self.options.record_quota.unwrap_or(self.options.plan.records())
    }
}
