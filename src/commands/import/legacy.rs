//! The tables of the backend that Hostwright replaces: `sites` and `domains` in one SQLite file, which is only read.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LegacyError {
    /// It cannot be opened or has other tables.
    #[error(
        "{file} cannot be read as the older backend's database: {reason}; it needs the tables sites (service_id, email, plan, vmid) and domains (service_id, domain, domain2, domain3)"
    )]
    Unreadable {
        /// The file.
        file: String,
        /// SQLite's words.
        reason: String,
    },
}

/// What the tables say of one site. Empty texts are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LegacySite {
    /// Billing key.
    pub service_id: Option<String>,
    /// The customer's mail address.
    pub email: Option<String>,
    /// Name of its plan there.
    pub plan: Option<String>,
    /// The customer's domains, in the order of the columns.
    pub domains: Vec<String>,
}

/// Reads all sites, by the number of their container. The file is not changed.
///
/// # Errors
/// When it is no such database.
pub fn read(file: &Path) -> Result<BTreeMap<u32, LegacySite>, LegacyError> {
    read_tables(file).map_err(|error| LegacyError::Unreadable {
        file: file.display().to_string(),
        reason: error.to_string(),
    })
}

fn read_tables(file: &Path) -> rusqlite::Result<BTreeMap<u32, LegacySite>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(file, flags)?;
    let mut domains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut query =
        database.prepare("SELECT service_id, domain, domain2, domain3 FROM domains ORDER BY rowid")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let Some(service) = text(row, 0)? else { continue };
        let known = domains.entry(service).or_default();
        for column in 1..=3 {
            if let Some(domain) = text(row, column)?.filter(|domain| !known.contains(domain)) {
                known.push(domain);
            }
        }
    }
    let mut sites = BTreeMap::new();
    let mut query = database.prepare("SELECT vmid, service_id, email, plan FROM sites ORDER BY rowid")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let Some(vmid) = text(row, 0)?.and_then(|vmid| vmid.parse().ok()) else {
            continue;
        };
        let service_id = text(row, 1)?;
        let of = service_id.as_ref().and_then(|service| domains.get(service));
        let site = LegacySite {
            email: text(row, 2)?,
            plan: text(row, 3)?,
            domains: of.cloned().unwrap_or_default(),
            service_id,
        };
        sites.insert(vmid, site);
    }
    Ok(sites)
}

/// A column as text, whatever type it was stored with; `None` when it is empty.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let text = match row.get_ref(column)? {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).trim().to_owned(),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => String::new(),
    };
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_and_domains_are_joined_by_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sites.db");
        assert!(read(&file).is_err(), "it is not made");
        assert!(!file.exists());
        let database = Connection::open(&file).unwrap();
        database
            .execute_batch(
                "CREATE TABLE sites (id INTEGER PRIMARY KEY, service_id TEXT, email TEXT, plan TEXT, vmid INTEGER,
                    private_ip TEXT, subdomain TEXT, public_ip TEXT, created_at TEXT);
                 CREATE TABLE domains (id INTEGER PRIMARY KEY, service_id INTEGER, domain TEXT, domain2 TEXT,
                    domain3 TEXT, count INTEGER, backups INTEGER);
                 INSERT INTO sites (service_id, email, plan, vmid) VALUES ('41', 'jane@example.com', 'basic', 117);
                 INSERT INTO sites (service_id, email, plan, vmid) VALUES ('42', '', NULL, '118');
                 INSERT INTO sites (service_id, vmid) VALUES ('43', NULL);
                 INSERT INTO domains (service_id, domain, domain2, domain3) VALUES (41, 'a.example', '', 'b.example');
                 INSERT INTO domains (service_id, domain) VALUES (41, 'a.example');",
            )
            .unwrap();
        drop(database);
        let before = std::fs::read(&file).unwrap();
        let read = read(&file).unwrap();
        let jane = LegacySite {
            service_id: Some("41".to_owned()),
            email: Some("jane@example.com".to_owned()),
            plan: Some("basic".to_owned()),
            domains: vec!["a.example".to_owned(), "b.example".to_owned()],
        };
        let other = LegacySite {
            service_id: Some("42".to_owned()),
            ..LegacySite::default()
        };
        assert_eq!(read, BTreeMap::from([(117, jane), (118, other)]));
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }

    #[test]
    fn another_database_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.db");
        Connection::open(&file)
            .unwrap()
            .execute_batch("CREATE TABLE x (y)")
            .unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(
            error.contains("other.db") && error.contains("no such table"),
            "{error}"
        );
    }
}
