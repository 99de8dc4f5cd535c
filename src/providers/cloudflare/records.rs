//! Between Cloudflare's records and ours, and the listings.

use std::collections::BTreeMap;

use super::client::Client;
use super::data::{decode, encode};
use super::failure::Failure;
use super::wire;
use crate::domain::dns::RecordName;
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::dns_host::{Record, RecordId, RecordSpec, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::Call;
use crate::providers::rows::{Row, Rows};

/// The time to live that means "automatic". A proxied record always reads back with it.
const TTL_AUTOMATIC: u32 = 1;
/// Seconds that every plan takes; Enterprise alone goes down to 30.
const TTL: std::ops::RangeInclusive<u32> = 60..=86400;
/// Records of one page: the practical maximum of the vendor's 5,000,000.
const PAGE: u64 = 5000;
/// Pages of one zone: 200,000 records, far above the largest quota that can be bought without a contract.
const PAGES_MAX: u64 = 40;
/// Hexadecimal digits of every id.
const ID_LENGTH: usize = 32;

/// The id, proven harmless inside of a path.
pub(super) fn checked_id(id: &str) -> Result<&str, ProviderError> {
    let plain = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if id.len() == ID_LENGTH && id.chars().all(plain) {
        return Ok(id);
    }
    let shown: String = id.chars().take(ID_LENGTH + 1).collect();
    let message = format!("\"{shown}\" is not an id of Cloudflare's: 32 hexadecimal digits");
    Err(ProviderError::new(ErrorKind::Invalid, message))
}

/// Path of a zone's records.
pub(super) fn records_path(zone: &ZoneId) -> Result<String, ProviderError> {
    Ok(format!("/zones/{}/dns_records", checked_id(&zone.0)?))
}

/// Path of one record.
pub(super) fn record_path(zone: &ZoneId, id: &RecordId) -> Result<String, ProviderError> {
    Ok(format!("{}/{}", records_path(zone)?, checked_id(&id.0)?))
}

/// The form in which a specification reads back: of a proxied record the time to live is not ours to choose.
pub(super) fn canonical(spec: &RecordSpec) -> RecordSpec {
    RecordSpec {
        ttl: spec.ttl.filter(|_| !spec.proxied),
        ..spec.clone()
    }
}

/// What to send for a specification.
///
/// # Errors
/// `Invalid` for what Cloudflare would refuse or what we never write.
pub(super) fn body_of(
    id: Option<&RecordId>,
    spec: &RecordSpec,
    owner: &OwnerMark,
) -> Result<wire::RecordBody, ProviderError> {
    let invalid = |why: &str| ProviderError::new(ErrorKind::Invalid, format!("{}: {why}", spec.name));
    let Some(content) = encode(&spec.data) else {
        let kind = spec.data.type_name();
        return Err(invalid(&format!("{kind} records are read but never written")));
    };
    if spec.proxied && !content.proxiable {
        return Err(invalid("only A, AAAA and CNAME records can go through the proxy"));
    }
    if spec.ttl.is_some_and(|ttl| !TTL.contains(&ttl)) {
        return Err(invalid(
            "the time to live must be 60 to 86400 seconds, or automatic",
        ));
    }
    Ok(wire::RecordBody {
        id: id.map(|id| id.0.clone()),
        name: spec.name.to_string(),
        kind: content.kind,
        content: content.text,
        data: content.data,
        priority: content.priority,
        ttl: canonical(spec).ttl.unwrap_or(TTL_AUTOMATIC),
        proxied: spec.proxied,
        comment: owner.to_string(),
    })
}

/// Whose a record is. A mark with other words around it is not one that we wrote.
pub(super) fn mark_of(record: &wire::Record) -> Option<OwnerMark> {
    record.comment.as_deref()?.parse().ok()
}

/// A record in our words. `None` when its name is none that a record of ours can have (`a*.example.com`): such
/// a record is never in the way of ours.
pub(super) fn record_of(record: &wire::Record) -> Option<Record> {
    let Ok(name) = record.name.parse::<RecordName>() else {
        if let Some(mark) = mark_of(record) {
            let (id, name) = (&record.id, &record.name);
            tracing::warn!(%mark, id, name, "a record with our mark was given a name that is none of ours");
        }
        return None;
    };
    let proxied = record.proxied.unwrap_or(false);
    let ttl = record.ttl.and_then(|ttl| u32::try_from(ttl).ok());
    Some(Record {
        id: RecordId(record.id.clone()),
        mark: mark_of(record),
        spec: RecordSpec {
            name,
            data: decode(record),
            ttl: ttl.filter(|ttl| !proxied && *ttl != TTL_AUTOMATIC),
            proxied,
        },
    })
}

/// What a listing says of one record.
#[derive(Debug)]
pub(super) struct Listed {
    /// Cloudflare's own: start of authority, and what belongs to its services such as mail routing.
    vendors: bool,
    /// A name server, which is Cloudflare's own at the zone's name.
    pub(super) name_server: bool,
    /// In our words, if it has a name that a record of ours can have.
    record: Option<Record>,
}

impl Listed {
    fn of(record: &wire::Record) -> Self {
        let read_only = record.meta.as_ref().and_then(|meta| meta.read_only);
        Self {
            vendors: read_only == Some(true) || record.kind == "SOA",
            name_server: record.kind == "NS",
            record: record_of(record),
        }
    }

    /// The record, unless it is Cloudflare's own. `zone` is the zone's name where it is known.
    pub(super) fn shown(self, zone: Option<&Fqdn>) -> Option<Record> {
        let record = self.record.filter(|_| !self.vendors)?;
        let apex = zone.is_some_and(|zone| record.spec.name.is_apex(zone));
        (!(self.name_server && apex)).then_some(record)
    }
}

/// By id, because a record that moves to another page between two reads comes twice.
impl Row for wire::Record {
    type Kept = BTreeMap<String, Listed>;

    fn keep(self, listed: &mut Self::Kept) {
        let understood = Listed::of(&self);
        listed.insert(self.id, understood);
    }
}

/// Every record of a zone, or of one name in it.
///
/// # Errors
/// `Unexpected` when the pages do not add up to the count that Cloudflare names: a short list must never
/// look like a complete one.
pub(super) async fn list(
    client: &Client,
    zone: &ZoneId,
    name: Option<&RecordName>,
) -> Result<Vec<Listed>, Failure> {
    let path = records_path(zone)?;
    let call_name = if name.is_some() {
        "dns_records.of"
    } else {
        "dns_records.list"
    };
    let incomplete = |why: &str| {
        Failure::from(ProviderError::new(
            ErrorKind::Unexpected,
            format!("{call_name}: {why}"),
        ))
    };
    let mut records = BTreeMap::new();
    let mut page = 1;
    loop {
        let mut call = Call::get(call_name, path.as_str())
            .query("per_page", PAGE)
            .query("page", page);
        if let Some(name) = name {
            call = call.query("name", name);
        }
        let envelope = client.call::<Rows<wire::Record>>(call).await?;
        let info = envelope.result_info.unwrap_or_default();
        let (Some(Rows(batch)), Some(total)) = (envelope.result, info.total_count) else {
            return Err(incomplete("the listing does not say how long it is"));
        };
        records.extend(batch);
        let pages = info.total_pages.unwrap_or_else(|| total.div_ceil(PAGE));
        if pages > PAGES_MAX {
            return Err(incomplete("the zone has more than 200,000 records"));
        }
        if page < pages {
            page += 1;
            continue;
        }
        if u64::try_from(records.len()).ok() != Some(total) {
            return Err(incomplete(
                "the listing is incomplete, or changed while it was read",
            ));
        }
        return Ok(records.into_values().collect());
    }
}

/// The records of one name, in our words.
pub(super) async fn list_of(
    client: &Client,
    zone: &ZoneId,
    name: &RecordName,
) -> Result<Vec<Record>, Failure> {
    let records = list(client, zone, Some(name)).await?;
    // The filter is not trusted either; what it let through by mistake is not of this name.
    let ours = records
        .into_iter()
        .filter_map(|listed| listed.record)
        .filter(|record| record.spec.name == *name);
    Ok(ours.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dns::RecordData;

    const MARK: &str = "hostwright:c1:0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";

    fn wire(kind: &str, name: &str, content: &str, ttl: u64, proxied: bool) -> wire::Record {
        wire::Record {
            id: "a".repeat(32),
            name: name.into(),
            kind: kind.into(),
            content: Some(content.into()),
            ttl: Some(ttl),
            proxied: Some(proxied),
            comment: Some(MARK.into()),
            priority: None,
            data: None,
            meta: None,
        }
    }

    #[test]
    fn what_was_sent_reads_back_the_same() {
        let owner: OwnerMark = MARK.parse().unwrap();
        for (ttl, proxied) in [(None, false), (Some(300), false), (None, true), (Some(300), true)] {
            let spec = RecordSpec {
                name: "Shop.example.com".parse().unwrap(),
                data: RecordData::A("192.0.2.7".parse().unwrap()),
                ttl,
                proxied,
            };
            let body = body_of(None, &spec, &owner).unwrap();
            let back = record_of(&wire(
                body.kind,
                &body.name,
                body.content.as_deref().unwrap(),
                body.ttl.into(),
                proxied,
            ))
            .unwrap();
            assert_eq!((back.spec, back.mark), (canonical(&spec), Some(owner.clone())));
        }
    }

    #[test]
    fn foreign_types_are_shown_and_impossible_names_left_out() {
        let loc = wire("LOC", "example.com", "51 30 12 N", 1, false);
        let mut loc = wire::Record {
            comment: Some(format!("see {MARK}")),
            ..loc
        };
        loc.priority = Some(10);
        let record = record_of(&loc).unwrap();
        assert_eq!(record.spec.data.to_string(), "LOC 10 51 30 12 N");
        assert_eq!(record.mark, None);
        assert!(record_of(&wire("A", "a*.example.com", "192.0.2.1", 1, false)).is_none());
        let alias = record_of(&wire("CNAME", "a.example.com", "_x.example.net", 1, false)).unwrap();
        assert_eq!(
            alias.spec.data.kind(),
            Some(crate::domain::dns::RecordKind::Cname)
        );
    }

    #[test]
    fn the_vendors_own_records_are_told_apart() {
        let zone: Fqdn = "example.com".parse().unwrap();
        let apex = wire("NS", "Example.com", "ada.ns.cloudflare.com", 1, false);
        let is_vendors =
            |record: &wire::Record, zone: Option<&Fqdn>| Listed::of(record).shown(zone).is_none();
        assert!(is_vendors(&apex, Some(&zone)) && !is_vendors(&apex, None));
        let below = wire("NS", "sub.example.com", "ns.example.net", 1, false);
        assert!(!is_vendors(&below, Some(&zone)));
        assert!(is_vendors(&wire("SOA", "example.com", "x", 1, false), None));
        let mut routing = wire("MX", "example.com", "route1.mx.cloudflare.net", 1, false);
        assert!(!is_vendors(&routing, Some(&zone)));
        routing.meta = Some(wire::Meta {
            read_only: Some(true),
        });
        assert!(is_vendors(&routing, None));
    }

    #[test]
    fn ids_cannot_leave_their_place_in_the_path() {
        assert!(checked_id(&"0a".repeat(16)).is_ok());
        for bad in ["", "..", "0123/../../x", &"0A".repeat(16), &"a".repeat(33)] {
            assert!(checked_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cloudflare_would_refuse_is_not_sent() {
        let owner: OwnerMark = MARK.parse().unwrap();
        let mut spec = RecordSpec {
            name: "a.example.com".parse().unwrap(),
            data: RecordData::Other("LOC".into(), "x".into()),
            ttl: None,
            proxied: false,
        };
        assert_eq!(
            body_of(None, &spec, &owner).unwrap_err().kind(),
            ErrorKind::Invalid
        );
        spec.data = RecordData::A("192.0.2.7".parse().unwrap());
        for data in [
            "mx.example.net".parse().map(RecordData::Ns).unwrap(),
            RecordData::Txt("x".into()),
        ] {
            let proxied = RecordSpec {
                data,
                proxied: true,
                ..spec.clone()
            };
            let error = body_of(None, &proxied, &owner).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
        spec.ttl = Some(59);
        assert_eq!(
            body_of(None, &spec, &owner).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
}
