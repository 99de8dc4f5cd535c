//! The panel's tables, sessions and its count of failures.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::IspconfigOptions;

/// Life of a session from its log-in.
const SESSION_LIFE: Duration = Duration::from_secs(1800);
/// Failures within [`WINDOW`] that lock an address out.
const FAILURES: usize = 10;
/// The time over which failures are counted.
const WINDOW: Duration = Duration::from_secs(300);
/// The panel's administrator among its users.
const ADMINISTRATOR: u64 = 1;

/// One row of a table.
pub(super) type Row = Map<String, Value>;

/// A table with its rows by id.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub rows: BTreeMap<u64, Row>,
    last: u64,
    /// Ids of rows that came through the API.
    pub through_api: BTreeSet<u64>,
}

impl Table {
    /// Adds a row under the next id.
    pub fn add(&mut self, mut row: Row) -> u64 {
        self.last += 1;
        row.insert("id".to_owned(), Value::from(self.last.to_string()));
        self.rows.insert(self.last, row);
        self.last
    }

    /// Removes a row.
    pub fn remove(&mut self, id: u64) -> bool {
        self.through_api.remove(&id);
        self.rows.remove(&id).is_some()
    }

    /// Rows whose columns have these values; a value with `%` is a pattern, without regard to case.
    pub fn matching<'a>(&'a self, columns: &'a [(String, String)]) -> impl Iterator<Item = &'a Row> {
        self.rows.values().filter(move |row| {
            columns.iter().all(|(column, wanted)| {
                let value = row.get(column).and_then(Value::as_str);
                value.is_some_and(|value| like(value, wanted))
            })
        })
    }
}

/// SQL's comparison in the panel's collation.
fn like(value: &str, pattern: &str) -> bool {
    let (value, pattern) = (value.to_lowercase(), pattern.to_lowercase());
    let Some((head, rest)) = pattern.split_once('%') else {
        return value == pattern;
    };
    let Some(mut left) = value.strip_prefix(head) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('%').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(tail)
}

/// A text column of a row.
pub(super) fn column<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

struct Session {
    begun: Instant,
    address: String,
}

/// A customer.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub username: String,
    /// The panel's user.
    pub user: u64,
}

/// Everything.
pub(super) struct State {
    pub options: IspconfigOptions,
    pub zones: Table,
    pub records: Table,
    /// By client id.
    pub customers: BTreeMap<u64, Customer>,
    /// Functions that the remote user lacks.
    pub denied: BTreeSet<String>,
    /// Where requests come from.
    pub address: String,
    /// Entries of the change log that no server has fetched.
    pub changes: u64,
    sessions: BTreeMap<String, Session>,
    sessions_given: u64,
    failures: VecDeque<Instant>,
    /// The most failures that ever were within the window.
    pub most_failures: usize,
    ahead: Duration,
}

impl State {
    pub fn new(options: IspconfigOptions) -> Self {
        let mut state = Self {
            zones: Table::default(),
            records: Table::default(),
            customers: BTreeMap::new(),
            denied: BTreeSet::new(),
            address: "192.0.2.200".to_owned(),
            changes: 0,
            sessions: BTreeMap::new(),
            sessions_given: 0,
            failures: VecDeque::new(),
            most_failures: 0,
            ahead: Duration::ZERO,
            options,
        };
        for customer in state.options.customers.clone() {
            state.add_customer(&customer);
        }
        for zone in state.options.zones.clone() {
            state.add_zone(&zone);
        }
        state
    }

    pub fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    pub fn advance(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// Today as YYYYMMDD.
    fn today(&self) -> u64 {
        let date = (Timestamp::now() + self.ahead).to_zoned(TimeZone::UTC).date();
        let text = format!("{:04}{:02}{:02}", date.year(), date.month(), date.day());
        text.parse().unwrap_or_default()
    }

    /// Adds a customer with a user of the panel; returns the client id.
    pub fn add_customer(&mut self, username: &str) -> u64 {
        let id = u64::try_from(self.customers.len()).unwrap_or_default() + 1;
        let customer = Customer {
            username: username.to_owned(),
            user: ADMINISTRATOR + id,
        };
        self.customers.insert(id, customer);
        id
    }

    /// The panel's user of a client; `None` for a client that does not exist.
    pub fn user_of(&self, client: u64) -> Option<u64> {
        match client {
            0 => Some(ADMINISTRATOR),
            id => self.customers.get(&id).map(|customer| customer.user),
        }
    }

    /// The client of a user of the panel.
    pub fn client_of(&self, user: u64) -> Option<u64> {
        if user == ADMINISTRATOR {
            return Some(0);
        }
        let found = self.customers.iter().find(|(_, customer)| customer.user == user);
        found.map(|(id, _)| *id)
    }

    /// A zone as a person makes it in the panel.
    pub fn add_zone(&mut self, name: &str) -> u64 {
        let fields = json!({
            "server_id": self.options.server_id, "origin": format!("{name}."), "ns": "ns1.example.net.",
            "mbox": format!("hostmaster.{name}."), "serial": self.today() * 100 + 1, "refresh": 7200, "retry": 540,
            "expire": 604_800, "minimum": 3600, "ttl": 3600, "active": "Y",
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        let row = super::forms::zone(&fields, |_| false).unwrap_or_default();
        let row = self.owned(row, ADMINISTRATOR);
        self.zones.add(with_zone_columns(row))
    }

    /// The row with its owner's columns.
    pub fn owned(&self, mut row: Row, user: u64) -> Row {
        let text = user.to_string();
        for (name, value) in [
            ("sys_userid", text.as_str()),
            ("sys_groupid", text.as_str()),
            ("sys_perm_user", "riud"),
            ("sys_perm_group", "riud"),
            ("sys_perm_other", ""),
        ] {
            row.insert(name.to_owned(), Value::from(value));
        }
        row
    }

    /// The id of the zone of exactly this origin.
    pub fn zone_at(&self, origin: &str) -> Option<u64> {
        let mut rows = self.zones.rows.iter();
        rows.find(|(_, row)| column(row, "origin") == origin)
            .map(|(id, _)| *id)
    }

    /// Changes the serial of a zone; whether there is such a zone.
    pub fn increase_serial(&mut self, zone: u64) -> bool {
        let today = self.today();
        let Some(row) = self.zones.rows.get_mut(&zone) else {
            return false;
        };
        let serial: u64 = column(row, "serial").parse().unwrap_or_default();
        let (date, count) = (serial / 100, serial % 100);
        let next = match (date >= today, count) {
            (false, _) => today * 100 + 1,
            (true, 99) => (date + 1) * 100,
            (true, count) => date * 100 + count + 1,
        };
        row.insert("serial".to_owned(), Value::from(next.to_string()));
        self.changes += 1;
        true
    }

    // Sessions.

    /// A new session.
    pub fn open_session(&mut self) -> String {
        self.sessions_given += 1;
        let id = format!("s{:040x}", self.sessions_given);
        let session = Session {
            begun: self.now(),
            address: self.address.clone(),
        };
        self.sessions.insert(id.clone(), session);
        id
    }

    /// Ends one session.
    pub fn close_session(&mut self, id: &str) {
        self.sessions.remove(id);
    }

    /// Ends all sessions.
    pub fn close_sessions(&mut self) {
        self.sessions.clear();
    }

    /// Checks a session.
    ///
    /// # Errors
    /// The panel's message.
    pub fn check_session(&mut self, id: Option<&Value>) -> Result<(), String> {
        let id = match id {
            None | Some(Value::Null) => return Err("The SessionID is empty.".to_owned()),
            Some(Value::String(id)) if id.is_empty() => return Err("The SessionID is empty.".to_owned()),
            Some(Value::String(id)) => id,
            Some(_) => return Err("Wrong SessionID datatype.".to_owned()),
        };
        if self.locked_out() {
            return Err("The Session failure limit has been reached.".to_owned());
        }
        let now = self.now();
        let failure = match self.sessions.get(id) {
            Some(session) if now.saturating_duration_since(session.begun) >= SESSION_LIFE => {
                "The Session is expired or does not exist."
            }
            Some(session) if session.address != self.address => "Session IP mismatch.",
            Some(_) => return Ok(()),
            None => "The Session is expired or does not exist.",
        };
        self.fail();
        Err(failure.to_owned())
    }

    /// Counts a failure.
    pub fn fail(&mut self) {
        let now = self.now();
        self.failures.push_back(now);
        self.most_failures = self.most_failures.max(self.recent_failures());
    }

    /// Failures within the window.
    pub fn recent_failures(&mut self) -> usize {
        let now = self.now();
        self.failures
            .retain(|at| now.saturating_duration_since(*at) < WINDOW);
        self.failures.len()
    }

    /// Whether the address is locked out.
    pub fn locked_out(&mut self) -> bool {
        self.recent_failures() >= FAILURES
    }
}

/// The columns of a zone that no form has.
pub(super) fn with_zone_columns(mut row: Row) -> Row {
    for (name, value) in [
        ("dnssec_initialized", json!("N")),
        ("dnssec_last_signed", json!("0")),
        ("dnssec_info", json!("")),
        ("rendered_zone", Value::Null),
    ] {
        row.entry(name).or_insert(value);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_are_those_of_sql() {
        assert!(like("Shop", "shop") && like("", "") && like("anything", "%"));
        assert!(like("shop.co.uk.", "shop.co%") && like("a-shop-b", "%shop%"));
        assert!(!like("shop", "sho") && !like("shop", "%x%") && !like("ab", "a%bc"));
    }
}
