//! The planner of a zone, row by row and as a whole: nothing here touches anything outside the process.

#![allow(clippy::too_many_lines, reason = "a table is as long as it has rows")]

mod model;
mod properties;
mod removal;
mod table;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::ZoneSubject;
use super::plan::ZonePlan;
use super::zone::{Action, Observed, Proofs, Terms, Wanted};
use crate::api::{DnsZone, DnsZoneStatus, ZoneOrigin};
use crate::controllers::fact::Fact;
use crate::controllers::runner::Next;
use crate::domain::dns::{RecordData, RecordSpec};
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::dns_host::{DnsAbilities, Record, RecordChange, RecordId, Soa, Zone, ZoneId, ZoneSpec};
use crate::providers::{ErrorKind, ProviderError};

const UID: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11";
const STRANGER: &str = "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b22";
/// When the object was created, in seconds.
const CREATED: i64 = 1_700_000_000;

/// As on Cloudflare.
const MARKED: DnsAbilities = DnsAbilities {
    marks: true,
    suspends: false,
    authority: false,
    records_go_with_zone: true,
};
/// As on ISPConfig.
const UNMARKED: DnsAbilities = DnsAbilities {
    marks: false,
    suspends: true,
    authority: true,
    records_go_with_zone: false,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn mark(uid: &str) -> OwnerMark {
    format!("hostwright:test:{uid}").parse().unwrap()
}

fn own() -> Option<OwnerMark> {
    Some(mark(UID))
}

fn name() -> Fqdn {
    "example.com".parse().unwrap()
}

fn error(kind: ErrorKind) -> ProviderError {
    ProviderError::new(kind, format!("panel: {}", kind.label()))
}

fn spec(label: &str, data: RecordData) -> RecordSpec {
    RecordSpec {
        name: format!("{label}.example.com").parse().unwrap(),
        data,
        ttl: Some(3600),
        proxied: false,
    }
}

fn a(label: &str, last: u8) -> RecordSpec {
    spec(label, RecordData::A([192, 0, 2, last].into()))
}

fn txt(label: &str, text: &str) -> RecordSpec {
    spec(label, RecordData::Txt(text.to_owned()))
}

fn record(id: &str, mark: Option<OwnerMark>, spec: RecordSpec) -> Record {
    Record {
        id: RecordId(id.to_owned()),
        mark,
        spec,
    }
}

fn soa() -> Soa {
    Soa {
        primary: "ns1.example.net".parse().unwrap(),
        mailbox: "hostmaster.example.com".parse().unwrap(),
        refresh: 86_400,
        retry: 7_200,
        expire: 3_600_000,
        minimum: 3_600,
        ttl: 3_600,
    }
}

fn zone(id: &str) -> Zone {
    Zone {
        id: ZoneId(id.to_owned()),
        name: name(),
        active: true,
        serial: None,
        soa: Some(soa()),
        name_servers: Vec::new(),
        created: None,
    }
}

fn terms(abilities: DnsAbilities, wanted: &[RecordSpec]) -> Terms {
    let wanted = wanted.iter().enumerate();
    Terms {
        owner: mark(UID),
        namespace: "customer".to_owned(),
        provider: "panel".to_owned(),
        shown: "example.com".to_owned(),
        created_at: Some(at(CREATED)),
        spec: ZoneSpec {
            name: name(),
            active: true,
            soa: soa(),
            customer: None,
        },
        wanted: wanted
            .map(|(index, spec)| Wanted {
                index: Some(index),
                spec: spec.clone(),
            })
            .collect(),
        refused: Vec::new(),
        quota: (1, None),
        abilities,
        name_servers: Vec::new(),
        verify: false,
        suspended: false,
        adopt: false,
        digest: "digest".to_owned(),
    }
}

fn subject(status: DnsZoneStatus, deleting: bool) -> ZoneSubject {
    let object: DnsZone = serde_json::from_value(json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "DnsZone",
        "metadata": {"name": "zone", "namespace": "customer", "uid": UID, "generation": 1},
        "spec": {"zone": "example.com", "provider": "panel"},
    }))
    .unwrap();
    ZoneSubject {
        object: Arc::new(object),
        status,
        deleting,
        precise: true,
    }
}

/// A status that knows a zone of the object and records of it that carry no mark.
fn known(origin: ZoneOrigin, owned: &[Record]) -> DnsZoneStatus {
    let mut status = DnsZoneStatus {
        origin: Some(origin),
        zone_id: Some("1".to_owned()),
        ..DnsZoneStatus::default()
    };
    let owned = owned.iter();
    let proofs = Proofs {
        owned: owned
            .map(|record| (record.id.0.clone(), record.spec.digest()))
            .collect(),
        creating: BTreeSet::new(),
    };
    proofs.store(&mut status);
    status
}

/// A look at a zone that is there with these records.
fn seen(terms: Terms, status: &DnsZoneStatus, records: &[Record]) -> Observed {
    Observed {
        zone: Fact::Known(Some(zone("1"))),
        records: Fact::Known(records.to_vec()),
        proofs: Some(Proofs::of(status)),
        terms: Some(terms),
        ..Observed::default()
    }
}

fn spec_line(spec: &RecordSpec) -> String {
    let label = spec.name.to_string();
    let label = label.trim_end_matches("example.com").trim_end_matches('.');
    format!("{label} {}", spec.data.type_name())
}

fn line(action: &Action) -> String {
    match action {
        Action::CreateZone(_) => "create zone".to_owned(),
        Action::UpdateZone(id, _) => format!("update zone {}", id.0),
        Action::DeleteZone(id) => format!("delete zone {}", id.0),
        Action::Change(_, changes) => {
            let line = |change: &RecordChange| match change {
                RecordChange::Create(spec) => format!("+{}", spec_line(spec)),
                RecordChange::Update(seen, _) | RecordChange::Adopt(seen, _) => format!("~{}", seen.id.0),
                RecordChange::Delete(seen) => format!("-{}", seen.id.0),
            };
            let lines: Vec<String> = changes.iter().map(|(change, _)| line(change)).collect();
            lines.join(" ")
        }
    }
}

fn next_line(next: Next) -> &'static str {
    match next {
        Next::Again { persist: false } => "again",
        Next::Again { persist: true } => "store, again",
        Next::Closer => "closer",
        Next::Poll => "poll",
        Next::Retry { .. } => "retry",
        Next::Settled => "settled",
        Next::Turn => "turn",
        Next::Recheck => "recheck",
        Next::After(_) => "later",
        Next::Released { announce: false } => "released",
        Next::Released { announce: true } => "last words, released",
    }
}

/// A plan in a line: what is done, what follows, and why nothing more can be done.
fn told(plan: &ZonePlan) -> String {
    let mut parts: Vec<String> = plan.actions.iter().map(line).collect();
    parts.push(next_line(plan.next).to_owned());
    let verdict = &plan.verdict;
    let why = verdict.block.as_ref().map(|block| block.reason);
    let why = why.or_else(|| {
        let (part, _) = verdict.failure.as_ref()?;
        let part = verdict.parts.iter().find(|finding| finding.kind == *part)?;
        Some(part.reason)
    });
    parts.extend(why.map(|reason| format!("({reason})")));
    parts.join(", ")
}
