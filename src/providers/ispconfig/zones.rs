//! Zones: found by their exact origin, changed with a serial that says so, removed only when they are empty.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use super::Ispconfig;
use super::client::Ask;
use super::names::{absolute, origin_of, understood};
use super::wire::{self, RecordRow, ZoneRow, affected, new_id, object};
use crate::domain::Fqdn;
use crate::domain::dns::RecordName;
use crate::providers::dns_host::{Soa, Zone, ZoneId, ZoneSpec};
use crate::providers::error::{ErrorKind, ProviderError};

/// Rows of one page. A row holds the zone's whole file: 200 zones of 50 KiB, 1,000 records each, are the largest
/// answer that is read.
const PAGE: usize = 200;
/// Pages of one listing: 200,000 zones.
const PAGES_MAX: usize = 1000;
/// Records that are named when they keep a zone from being deleted.
const NAMED: usize = 3;

/// What is to be known of a zone before one of its records is written.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its name.
    pub name: Fqdn,
    /// The server that answers for it. Records with another one are seen by nobody.
    pub server: u64,
    /// The panel's user to whom it belongs.
    pub user: u64,
}

/// What was learned of zones and customers, and one lock for each zone.
#[derive(Default)]
pub(super) struct Learned {
    places: Mutex<BTreeMap<u64, Place>>,
    /// Clients by the panel's user.
    clients: Mutex<BTreeMap<u64, u64>>,
    /// The panel changes serials without a lock: changes to one zone go one after the other.
    locks: Mutex<BTreeMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Learned {
    fn note(&self, row: &ZoneRow) -> Option<Fqdn> {
        let name = row.name()?;
        let place = Place {
            name: name.clone(),
            server: row.server_id,
            user: row.sys_userid,
        };
        locked(&self.places).insert(row.id, place);
        Some(name)
    }

    /// Asks anew before the next use.
    pub fn forget(&self, id: u64) {
        locked(&self.places).remove(&id);
    }

    /// The lock of a zone.
    pub fn lock(&self, id: u64) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = locked(&self.locks);
        // Those that nobody holds or waits for are only in this map.
        locks.retain(|known, lock| *known == id || Arc::strong_count(lock) > 1);
        Arc::clone(locks.entry(id).or_default())
    }
}

/// The serial after a change: the panel's own rule, YYYYMMDDnn, and always higher.
fn next_serial(now: u32, today: u32) -> u32 {
    match now / 100 < today {
        true => today.saturating_mul(100).saturating_add(1),
        // After 99 the date's last digit advances by itself. RFC 1982 lets it begin anew; 0 means none to some.
        false => now.wrapping_add(1).max(1),
    }
}

/// Today in UTC as YYYYMMDD.
fn today() -> u32 {
    let date = Timestamp::now().to_zoned(TimeZone::UTC).date();
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
        .parse()
        .unwrap_or_default()
}

fn yes_no(active: bool) -> Value {
    Value::from(if active { "Y" } else { "N" })
}

fn fields(spec: &ZoneSpec) -> Map<String, Value> {
    let soa = &spec.soa;
    object([
        ("ns", absolute(&soa.primary).into()),
        ("mbox", absolute(&soa.mailbox).into()),
        ("refresh", soa.refresh.into()),
        ("retry", soa.retry.into()),
        ("expire", soa.expire.into()),
        ("minimum", soa.minimum.into()),
        ("ttl", soa.ttl.into()),
        // Anything but these two letters is stored as N.
        ("active", yes_no(spec.active)),
    ])
}

fn zone_of(row: &ZoneRow, name: Fqdn) -> Zone {
    let soa = row.ns.parse().ok().zip(row.mbox.parse().ok());
    Zone {
        id: ZoneId(row.id.to_string()),
        name,
        active: row.active.eq_ignore_ascii_case("y"),
        serial: Some(row.serial),
        soa: soa.map(|(primary, mailbox)| Soa {
            primary,
            mailbox,
            refresh: row.refresh,
            retry: row.retry,
            expire: row.expire,
            minimum: row.minimum,
            ttl: row.ttl,
        }),
        name_servers: Vec::new(),
        created: None,
    }
}

fn gone(id: u64) -> ProviderError {
    ProviderError::new(
        ErrorKind::NotFound,
        format!("ISPConfig has no zone {id} any more"),
    )
}

/// An error of a read that follows a write: the write has happened.
fn after_write(error: ProviderError) -> ProviderError {
    error.as_kind(ErrorKind::Ambiguous)
}

impl Ispconfig {
    /// The row of a zone.
    async fn zone_row(&self, id: u64) -> Result<Option<ZoneRow>, ProviderError> {
        let value = self
            .client
            .value(Ask::read("dns_zone_get").with("primary_id", id))
            .await?;
        let row: Option<ZoneRow> = wire::row("dns_zone_get", value)?;
        Ok(row.filter(|row| row.id == id))
    }

    /// What is known of a zone, asked for where nothing is.
    ///
    /// # Errors
    /// `NotFound` when the panel has no such zone.
    pub(super) async fn place(&self, id: u64) -> Result<Place, ProviderError> {
        if let Some(place) = locked(&self.learned.places).get(&id) {
            return Ok(place.clone());
        }
        let row = self.zone_row(id).await?.ok_or_else(|| gone(id))?;
        self.learned.note(&row);
        let places = locked(&self.learned.places);
        places.get(&id).cloned().ok_or_else(|| gone(id))
    }

    /// The client of a user of the panel, 0 for the administrator's. Another one in an update would move the record.
    pub(super) async fn client_of(&self, user: u64) -> Result<u64, ProviderError> {
        // The administrator's own number, since the first installation.
        if user <= 1 {
            return Ok(0);
        }
        if let Some(client) = locked(&self.learned.clients).get(&user) {
            return Ok(*client);
        }
        let ask = Ask::read("client_get_id").with("sys_userid", user);
        let value = self.client.value(ask).await?;
        let client = wire::whole(&value).ok_or_else(|| {
            let message = "client_get_id: the answer is not the number of a client";
            ProviderError::new(ErrorKind::Unexpected, message)
        })?;
        locked(&self.learned.clients).insert(user, client);
        Ok(client)
    }

    /// The client of this user name. The rest of the answer, with the hash of a password in it, is dropped at once.
    async fn client_named(&self, username: &str) -> Result<u64, ProviderError> {
        let ask = Ask::read("client_get_by_username").with("username", username);
        let unknown = || {
            let message =
                format!("ISPConfig has no client with the user name {username}; create it there first");
            ProviderError::new(ErrorKind::Invalid, message)
        };
        let value = match self.client.value(ask).await {
            Err(error) if error.kind() == ErrorKind::Invalid => return Err(unknown()),
            other => other?,
        };
        let same = value.get("username").and_then(Value::as_str) == Some(username);
        let client = value.get("client_id").and_then(wire::whole);
        client.filter(|client| same && *client > 0).ok_or_else(unknown)
    }

    /// The pages overlap by one row: where the row that ended a page does not begin the next one, rows came or went
    /// meanwhile, and one of them may have been passed over.
    pub(super) async fn list_zones(&self) -> Result<Vec<Zone>, ProviderError> {
        let mut rows: Vec<ZoneRow> = Vec::new();
        for _ in 0..PAGES_MAX {
            let offset = rows.len().saturating_sub(1);
            let filter = object([
                // Without any column the panel writes broken SQL.
                ("origin", "%".into()),
                ("#OFFSET#", offset.into()),
                ("#LIMIT#", PAGE.into()),
            ]);
            let ask = Ask::read("dns_zone_get").with("primary_id", filter);
            let page: Vec<ZoneRow> = wire::rows("dns_zone_get", self.client.value(ask).await?)?;
            let (seen, full) = (rows.pop(), page.len() >= PAGE);
            if let Some(seen) = seen
                && page.first().is_none_or(|first| first.id != seen.id)
            {
                let message = "dns_zone_get: the zones changed while they were listed";
                return Err(ProviderError::new(ErrorKind::Unexpected, message));
            }
            rows.extend(page);
            if !full {
                let named = rows
                    .iter()
                    .filter_map(|row| Some(zone_of(row, self.learned.note(row)?)));
                return Ok(named.collect());
            }
        }
        let message = "dns_zone_get: the panel has more zones than can be listed";
        Err(ProviderError::new(ErrorKind::Unexpected, message))
    }

    /// Never by `dns_zone_get_id`, which takes `shop.co` for `shop.co.uk`.
    pub(super) async fn find_zone(&self, name: &Fqdn) -> Result<Option<Zone>, ProviderError> {
        let filter = object([("origin", origin_of(name).into())]);
        let ask = Ask::read("dns_zone_get").with("primary_id", filter);
        let rows: Vec<ZoneRow> = wire::rows("dns_zone_get", self.client.value(ask).await?)?;
        let found = rows.iter().find(|row| row.name().as_ref() == Some(name));
        Ok(found.and_then(|row| Some(zone_of(row, self.learned.note(row)?))))
    }

    pub(super) async fn add_zone(&self, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        if self.find_zone(&spec.name).await?.is_some() {
            let message = format!("ISPConfig has a zone {} already", spec.name);
            return Err(ProviderError::new(ErrorKind::Conflict, message));
        }
        let client = match &spec.customer {
            Some(username) => self.client_named(username).await?,
            None => 0,
        };
        let mut parameters = fields(spec);
        parameters.extend(object([
            ("server_id", self.server.into()),
            ("origin", origin_of(&spec.name).into()),
            ("serial", next_serial(0, today()).into()),
            ("xfer", "".into()),
            ("also_notify", "".into()),
            ("update_acl", "".into()),
            ("dnssec_wanted", "N".into()),
        ]));
        let ask = Ask::write("dns_zone_add")
            .with("client_id", client)
            .with("params", parameters);
        let id = new_id("dns_zone_add", &self.client.value(ask).await?)?;
        let row = self.zone_row(id).await.map_err(after_write)?;
        let made = row.and_then(|row| Some((self.learned.note(&row)?, row)));
        match made {
            Some((name, row)) if name == spec.name => Ok(zone_of(&row, name)),
            _ => {
                let message = format!(
                    "ISPConfig stored zone {id}, but not as {}; look at it there",
                    spec.name
                );
                Err(ProviderError::new(ErrorKind::Ambiguous, message))
            }
        }
    }

    pub(super) async fn change_zone(&self, id: u64, spec: &ZoneSpec) -> Result<Zone, ProviderError> {
        let lock = self.learned.lock(id);
        let _guard = lock.lock().await;
        let row = self.zone_row(id).await?.ok_or_else(|| gone(id))?;
        let zone = zone_of(&row, self.learned.note(&row).ok_or_else(|| gone(id))?);
        if zone.name != spec.name {
            let message = format!("zone {id} of ISPConfig is {} and not {}", zone.name, spec.name);
            return Err(ProviderError::new(ErrorKind::Conflict, message));
        }
        let as_wanted = |zone: &Zone| zone.active == spec.active && zone.soa.as_ref() == Some(&spec.soa);
        if as_wanted(&zone) {
            return Ok(zone);
        }
        let mut parameters = fields(spec);
        // The function does not touch the serial, without which no secondary would look.
        parameters.insert("serial".to_owned(), next_serial(row.serial, today()).into());
        let ask = Ask::write("dns_zone_update")
            .with("client_id", self.client_of(row.sys_userid).await?)
            .with("primary_id", id)
            .with("params", parameters);
        let changed = affected("dns_zone_update", &self.client.value(ask).await?)?;
        // What counts is what is stored now: an answer of 0 means unchanged or gone.
        let row = self
            .zone_row(id)
            .await
            .map_err(after_write)?
            .ok_or_else(|| gone(id))?;
        let zone = zone_of(&row, self.learned.note(&row).ok_or_else(|| gone(id))?);
        match as_wanted(&zone) {
            true => Ok(zone),
            false => {
                let message = format!(
                    "zone {} is not as it was to be after {changed} changed rows",
                    zone.name
                );
                Err(ProviderError::new(ErrorKind::Ambiguous, message))
            }
        }
    }

    /// Rows of a zone's records.
    pub(super) async fn record_rows(&self, id: u64) -> Result<Vec<RecordRow>, ProviderError> {
        let ask = Ask::read("dns_rr_get_all_by_zone").with("zone_id", id);
        let value = self.client.value(ask).await?;
        let rows: Vec<RecordRow> = wire::rows("dns_rr_get_all_by_zone", value)?;
        Ok(rows.into_iter().filter(|row| row.zone == id).collect())
    }

    /// Whether a row is an NS record of the zone itself that names one of our own servers.
    fn is_own_server(&self, row: &RecordRow, zone: &Fqdn) -> bool {
        let name = understood(&row.name, zone);
        let server = super::names::host(&row.data, zone);
        row.kind.eq_ignore_ascii_case("NS")
            && name.is_some_and(|name| name.is_apex(zone))
            && server.is_some_and(|server| self.name_servers.contains(&server))
    }

    pub(super) async fn remove_zone(&self, id: u64) -> Result<(), ProviderError> {
        let lock = self.learned.lock(id);
        let _guard = lock.lock().await;
        let Some(row) = self.zone_row(id).await? else {
            self.learned.forget(id);
            return Ok(());
        };
        let name = self.learned.note(&row).ok_or_else(|| gone(id))?;
        let rows = self.record_rows(id).await?;
        let (servers, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| self.is_own_server(row, &name));
        if !others.is_empty() {
            return Err(not_empty(&name, &others));
        }
        for server in servers {
            let ask = Ask::write("dns_ns_delete")
                .with("primary_id", server.id)
                .with("update_serial", false);
            affected("dns_ns_delete", &self.client.value(ask).await?)?;
        }
        let ask = Ask::write("dns_zone_delete").with("primary_id", id);
        affected("dns_zone_delete", &self.client.value(ask).await?)?;
        match self.zone_row(id).await.map_err(after_write)? {
            None => {
                self.learned.forget(id);
                Ok(())
            }
            Some(_) => {
                let message = format!("ISPConfig still has the zone {name} after its deletion");
                Err(ProviderError::new(ErrorKind::Ambiguous, message))
            }
        }
    }
}

/// Records that would be left behind: they would stay in the panel's database where nobody sees them.
fn not_empty(zone: &Fqdn, rows: &[&RecordRow]) -> ProviderError {
    let shown: Vec<String> = rows
        .iter()
        .take(NAMED)
        .map(|row| {
            let name = understood(&row.name, zone).as_ref().map(RecordName::to_string);
            format!(
                "{} {}",
                row.kind,
                name.unwrap_or_else(|| format!("no. {}", row.id))
            )
        })
        .collect();
    let more = match rows.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "the zone {zone} still has records that are not ours: {}{more}; delete them in ISPConfig, or keep the zone",
        shown.join(", ")
    );
    ProviderError::new(ErrorKind::Conflict, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_only_grow() {
        assert_eq!(next_serial(0, 20_261_121), 2_026_112_101);
        assert_eq!(next_serial(2_026_112_001, 20_261_121), 2_026_112_101);
        assert_eq!(next_serial(2_026_112_101, 20_261_121), 2_026_112_102);
        assert_eq!(next_serial(2_026_112_199, 20_261_121), 2_026_112_200);
        assert_eq!(
            next_serial(2_026_112_205, 20_261_121),
            2_026_112_206,
            "ahead of the day"
        );
        assert_eq!(next_serial(u32::MAX, 20_261_121), 1);
        assert!((20_260_101..=99_991_231).contains(&today()));
    }
}
