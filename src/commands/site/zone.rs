//! What is told of a zone: its object as one value, and as a tree. Pure.

use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

use super::tree::{Node, named, parts};
use super::view::{FORMAT, Standing};
use crate::api::condition::kinds;
use crate::api::{DnsZone, RecordState, ZoneNameservers, ZoneQuota, is_paused};
use crate::commands::ink::Tone;

/// A zone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ZoneView {
    pub(super) format: u32,
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) zone: String,
    pub(super) provider: String,
    pub(super) created_at: Option<Timestamp>,
    pub(super) suspended: bool,
    pub(super) paused: bool,
    pub(super) deleting: bool,
    #[serde(flatten)]
    pub(super) standing: Standing,
    pub(super) serial: Option<i64>,
    pub(super) nameservers: ZoneNameservers,
    pub(super) quota: Option<ZoneQuota>,
    pub(super) records: Vec<RecordState>,
    pub(super) record_errors: i32,
    pub(super) foreign_records: Option<i32>,
}

/// Everything that is told of a zone.
pub(super) fn zone(zone: &DnsZone) -> ZoneView {
    let spec = &zone.spec;
    let status = zone.status.clone().unwrap_or_default();
    let paused = is_paused(zone);
    let deleting = zone.metadata.deletion_timestamp.is_some();
    ZoneView {
        format: FORMAT,
        kind: "DnsZone",
        namespace: zone.namespace().unwrap_or_default(),
        name: zone.name_any(),
        zone: spec.zone.clone(),
        provider: spec.provider.clone(),
        created_at: zone.metadata.creation_timestamp.as_ref().map(|time| time.0),
        suspended: spec.suspended,
        paused,
        deleting,
        standing: Standing::of(&status.conditions, paused, deleting),
        serial: status.serial,
        nameservers: status.nameservers.unwrap_or_default(),
        quota: status.quota,
        records: status.records,
        record_errors: status.record_errors.unwrap_or_default(),
        foreign_records: status.foreign_records,
    }
}

/// The zone as a tree.
pub(super) fn tree(view: &ZoneView) -> Node {
    let mut root = named(&view.name, &view.standing, view.paused, view.deleting);
    root.since = view.created_at;
    let mut place = format!("{} at Provider {}", view.zone, view.provider);
    if let Some(serial) = view.serial {
        place.push_str(&format!(", serial {serial}"));
    }
    root.more.insert(0, place);
    root.children = parts(&view.standing);
    for child in &mut root.children {
        match child.kind.as_str() {
            kinds::NAMESERVERS_VERIFIED => child
                .more
                .splice(0..0, name_servers(&view.nameservers))
                .for_each(drop),
            kinds::RECORDS_IN_SYNC => {
                child.more.splice(0..0, counts(view)).for_each(drop);
                child.children = view.records.iter().map(record).collect();
                let untold = usize::try_from(view.record_errors).unwrap_or_default();
                let untold = untold.saturating_sub(view.records.len());
                if untold > 0 {
                    child.children.push(Node::new("…", &format!("and {untold} more")));
                }
            }
            _ => {}
        }
    }
    root
}

fn name_servers(servers: &ZoneNameservers) -> Vec<String> {
    let list =
        |title: &str, names: &[String]| (!names.is_empty()).then(|| format!("{title}: {}", names.join(", ")));
    let expected = list("enter at the registrar", &servers.expected);
    let observed = list("the parent has", &servers.observed);
    expected.into_iter().chain(observed).collect()
}

fn counts(view: &ZoneView) -> Vec<String> {
    let mut counts = Vec::new();
    if let Some(ZoneQuota { records }) = &view.quota {
        counts.push(match records.limit {
            Some(limit) => format!("{} of {limit} records", records.used),
            None => format!("{} records", records.used),
        });
    }
    if let Some(foreign) = view.foreign_records.filter(|count| *count > 0) {
        counts.push(format!("{foreign} of somebody else's, left alone"));
    }
    let all = counts.join("; ");
    if all.is_empty() { Vec::new() } else { vec![all] }
}

fn record(record: &RecordState) -> Node {
    let kind = format!("{:?}", record.type_).to_uppercase();
    let name = if record.name.is_empty() { "@" } else { &record.name };
    let mut node = Node::new(&format!("{name} {kind}"), &record.message);
    node.state = Some((Tone::Bad, record.reason.clone()));
    node
}
