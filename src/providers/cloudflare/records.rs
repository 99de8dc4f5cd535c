//! Between Cloudflare's records and ours, and the listings.

use std::collections::BTreeMap;

use super::client::Client;
use super::wire;
use crate::domain::OwnerMark;
use crate::domain::dns::RecordName;
use crate::providers::dns_host::{Record, RecordData, RecordId, RecordSpec, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::Call;

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
    let (kind, content) = match &spec.data {
        RecordData::A(address) => ("A", address.to_string()),
        RecordData::Aaaa(address) => ("AAAA", address.to_string()),
        RecordData::Cname(target) => ("CNAME", target.to_string()),
        other => {
            let kind = other.type_name();
            return Err(invalid(&format!(
                "{kind} records are read but never written; use A, AAAA or CNAME"
            )));
        }
    };
    if spec.ttl.is_some_and(|ttl| !TTL.contains(&ttl)) {
        return Err(invalid(
            "the time to live must be 60 to 86400 seconds, or automatic",
        ));
    }
    Ok(wire::RecordBody {
        id: id.map(|id| id.0.clone()),
        name: spec.name.to_string(),
        kind,
        content,
        ttl: canonical(spec).ttl.unwrap_or(TTL_AUTOMATIC),
        proxied: spec.proxied,
        comment: owner.to_string(),
    })
}

/// Whose a record is. A mark with other words around it is not one that we wrote.
pub(super) fn mark_of(record: &wire::Record) -> Option<OwnerMark> {
    record.comment.as_deref()?.parse().ok()
}

/// A record in our words. `None` when its name is not a host name (`_dmarc`, `*`, …): such a name can never
/// be one that we are asked for, and addresses and aliases of ours are never in its way.
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
            data: data_of(record),
            ttl: ttl.filter(|ttl| !proxied && *ttl != TTL_AUTOMATIC),
            proxied,
        },
    })
}

fn data_of(record: &wire::Record) -> RecordData {
    let content = record.content.as_deref().unwrap_or_default();
    let known = match record.kind.as_str() {
        "A" => content.parse().ok().map(RecordData::A),
        "AAAA" => content.parse().ok().map(RecordData::Aaaa),
        "CNAME" => content.parse().ok().map(RecordData::Cname),
        _ => None,
    };
    known.unwrap_or_else(|| {
        let text = match record.priority {
            Some(priority) => format!("{priority} {content}"),
            None => content.to_owned(),
        };
        RecordData::Other(record.kind.clone(), text)
    })
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
) -> Result<Vec<wire::Record>, ProviderError> {
    let path = records_path(zone)?;
    let call_name = if name.is_some() {
        "dns_records.of"
    } else {
        "dns_records.list"
    };
    let incomplete = |why: &str| ProviderError::new(ErrorKind::Unexpected, format!("{call_name}: {why}"));
    // By id, because a record that moves to another page between two reads comes twice.
    let mut records = BTreeMap::new();
    let mut page = 1;
    loop {
        let mut call = Call::get(call_name, path.as_str())
            .query("per_page", PAGE)
            .query("page", page);
        if let Some(name) = name {
            call = call.query("name", name);
        }
        let envelope = client.call::<Vec<wire::Record>>(call).await?;
        let info = envelope.result_info.unwrap_or_default();
        let (Some(batch), Some(total)) = (envelope.result, info.total_count) else {
            return Err(incomplete("the listing does not say how long it is"));
        };
        records.extend(batch.into_iter().map(|record| (record.id.clone(), record)));
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
) -> Result<Vec<Record>, ProviderError> {
    let records = list(client, zone, Some(name)).await?;
    // The filter is not trusted either; what it let through by mistake is not of this name.
    let ours = records
        .iter()
        .filter_map(record_of)
        .filter(|record| record.spec.name == *name);
    Ok(ours.collect())
}

/// One record as it is now, `None` when Cloudflare has none of that id.
pub(super) async fn get(
    client: &Client,
    zone: &ZoneId,
    id: &RecordId,
) -> Result<Option<wire::Record>, ProviderError> {
    let call = Call::get("dns_records.get", record_path(zone, id)?);
    match client.result::<wire::Record>(call).await {
        Ok(record) => Ok(Some(record)),
        Err(failure) if failure.error.is_not_found() => Ok(None),
        Err(failure) => Err(failure.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                &body.content,
                body.ttl.into(),
                proxied,
            ))
            .unwrap();
            assert_eq!((back.spec, back.mark), (canonical(&spec), Some(owner.clone())));
        }
    }

    #[test]
    fn foreign_types_are_shown_and_foreign_names_left_out() {
        let mut mx = wire("MX", "example.com", "mx.example.net", 1, false);
        mx.priority = Some(10);
        mx.comment = Some(format!("see {MARK}"));
        let record = record_of(&mx).unwrap();
        assert_eq!(record.spec.data.to_string(), "MX 10 mx.example.net");
        assert_eq!(record.mark, None);
        assert!(record_of(&wire("TXT", "_dmarc.example.com", "v=DMARC1", 1, false)).is_none());
        let alias = record_of(&wire("CNAME", "a.example.com", "_x.example.net", 1, false)).unwrap();
        assert_eq!(alias.spec.data.to_string(), "CNAME _x.example.net");
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
            data: RecordData::Other("TXT".into(), "x".into()),
            ttl: None,
            proxied: false,
        };
        assert_eq!(
            body_of(None, &spec, &owner).unwrap_err().kind(),
            ErrorKind::Invalid
        );
        spec.data = RecordData::A("192.0.2.7".parse().unwrap());
        spec.ttl = Some(59);
        assert_eq!(
            body_of(None, &spec, &owner).unwrap_err().kind(),
            ErrorKind::Invalid
        );
    }
}
