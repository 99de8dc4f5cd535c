//! Zones: what has to hold at the end of a road, whatever happened on it. ISPConfig takes a record twice without a
//! word, so that records are compared one by one.

use async_trait::async_trait;
use hostwright::api::{DnsZone, DnsZoneStatus};
use hostwright::stage::CLOUDFLARE_ZONE;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::living::{Living, expect};
use crate::world::World;

/// Who hosts the zones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Ispconfig,
    Cloudflare,
}

/// Zones at a vendor.
#[derive(Clone)]
pub struct Zones(pub Vendor);

/// One record as its vendor has it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    id: String,
    /// Name below the zone, type, content.
    plain: (String, String, String),
    /// Our mark is in it, where there are marks.
    marked: bool,
}

/// Things of other people beside one zone: zones with names much like its own, and a record in it.
pub struct Neighbours {
    zones: Vec<String>,
    before: Vec<(String, Vec<Row>)>,
    record: Option<String>,
}

/// The record of somebody else in our zone.
const INTRUDER: (&str, &str, &str) = ("guest", "A", "192.0.2.99");

fn zone_of(world: &World, name: &str) -> String {
    format!("{name}-{}.example", world.namespace)
}

fn owned((name, kind, content): (&str, &str, &str)) -> (String, String, String) {
    (name.to_owned(), kind.to_owned(), content.to_owned())
}

impl Zones {
    fn rows(&self, world: &World, zone: &str) -> Vec<Row> {
        match self.0 {
            Vendor::Ispconfig => {
                let rows = world.backends.ispconfig.records(zone).into_iter();
                rows.map(|row| Row {
                    id: row.id.to_string(),
                    plain: (row.name, row.kind, row.data),
                    marked: true,
                })
                .collect()
            }
            Vendor::Cloudflare => {
                let rows = world.backends.cloudflare.records(zone).into_iter();
                rows.map(|row| {
                    let below = row.name.strip_suffix(zone).unwrap_or(&row.name);
                    let comment = row.comment.as_deref().unwrap_or_default();
                    Row {
                        marked: comment.starts_with("hostwright:"),
                        plain: owned((below.trim_end_matches('.'), &row.kind, &row.content)),
                        id: row.id,
                    }
                })
                .collect()
            }
        }
    }

    /// Names of all zones.
    fn zones(&self, world: &World) -> Vec<String> {
        let mut zones: Vec<String> = match self.0 {
            Vendor::Ispconfig => {
                let zones = world.backends.ispconfig.zones().into_iter();
                let name = |origin: String| origin.trim_end_matches('.').to_owned();
                zones.map(|zone| name(zone.origin)).collect()
            }
            Vendor::Cloudflare => world.backends.cloudflare.zone_names(),
        };
        zones.retain(|zone| zone != CLOUDFLARE_ZONE);
        zones.sort();
        zones
    }

    fn add_zone(&self, world: &World, zone: &str) {
        match self.0 {
            Vendor::Ispconfig => drop(world.backends.ispconfig.add_zone(zone)),
            Vendor::Cloudflare => drop(world.backends.cloudflare.add_zone(zone)),
        }
    }

    fn remove_zone(&self, world: &World, zone: &str) {
        let removed = match self.0 {
            Vendor::Ispconfig => {
                let panel = &world.backends.ispconfig;
                for row in panel.records(zone) {
                    panel.delete_by_hand(row.id);
                }
                panel.delete_zone_by_hand(zone)
            }
            Vendor::Cloudflare => world.backends.cloudflare.delete_zone_by_hand(zone),
        };
        assert!(removed, "{zone} was there");
    }

    fn add_record(&self, world: &World, zone: &str, (name, kind, content): (&str, &str, &str)) -> String {
        let backends = &world.backends;
        match self.0 {
            Vendor::Ispconfig => {
                let added = backends.ispconfig.add_foreign(zone, name, kind, content, 0);
                added.unwrap().to_string()
            }
            Vendor::Cloudflare => {
                let name = format!("{name}.{zone}");
                let added = backends
                    .cloudflare
                    .add_foreign_record(zone, &name, kind, content, None);
                added.unwrap()
            }
        }
    }

    fn remove_record(&self, world: &World, id: &str) -> bool {
        match self.0 {
            Vendor::Ispconfig => world.backends.ispconfig.delete_by_hand(id.parse().unwrap()),
            Vendor::Cloudflare => world.backends.cloudflare.delete_by_hand(id),
        }
    }

    /// Name, type and content of all that shall be in the zone, as its vendor has it, in order.
    fn expected(&self, zone: &str, changed: bool) -> Vec<(String, String, String)> {
        let panel = self.0 == Vendor::Ispconfig;
        let target = if panel {
            format!("{zone}.")
        } else {
            zone.to_owned()
        };
        // Cloudflare keeps texts in quotes.
        let text = if panel { "for a while" } else { "\"for a while\"" };
        let mut rows = vec![("stays", "A", "192.0.2.1")];
        if panel {
            rows.extend([("", "NS", "ns1.example.net."), ("", "NS", "ns2.example.net.")]);
        }
        rows.extend(match changed {
            false => [("changes", "A", "192.0.2.2"), ("goes", "TXT", text)],
            true => [("changes", "A", "192.0.2.3"), ("comes", "CNAME", target.as_str())],
        });
        rows.sort_unstable();
        rows.into_iter().map(owned).collect()
    }

    fn seen(&self, world: &World, zones: &[String]) -> Vec<(String, Vec<Row>)> {
        let with_rows = |zone: &String| (zone.clone(), self.rows(world, zone));
        zones.iter().map(with_rows).collect()
    }

    fn untouched(&self, world: &World, neighbours: &Neighbours) -> Result<(), String> {
        let now = self.seen(world, &neighbours.zones);
        expect(
            "zones of other people are as they were",
            now == neighbours.before,
            || format!("{now:?}, before {:?}", neighbours.before),
        )
    }

    fn zones_are(&self, world: &World, neighbours: &Neighbours, own: Option<String>) -> Result<(), String> {
        let mut zones: Vec<String> = neighbours.zones.iter().cloned().chain(own).collect();
        zones.sort();
        let there = self.zones(world);
        expect("each zone once", there == zones, || {
            format!("{there:?}, not {zones:?}")
        })
    }

    /// On ISPConfig the proof of ownership is in the status alone, and it is whole.
    fn proofs(&self, status: &DnsZoneStatus, ours: &[Row]) -> Result<(), String> {
        let ids = status.owned.iter().filter_map(|owned| owned.split(':').next());
        let mut ids: Vec<&str> = ids.collect();
        let mut there: Vec<&str> = match self.0 {
            Vendor::Ispconfig => ours.iter().map(|row| row.id.as_str()).collect(),
            Vendor::Cloudflare => Vec::new(),
        };
        ids.sort_unstable();
        there.sort_unstable();
        let whole = ids == there && status.creating.is_empty();
        expect("the status knows ours", whole, || {
            format!("{ids:?} and creating {:?}; there are {ours:?}", status.creating)
        })
    }
}

#[async_trait]
impl Living for Zones {
    type Object = DnsZone;
    type Neighbours = Neighbours;

    const KIND: &'static str = "DnsZone";

    /// One vendor for each of both roads.
    fn held(&self) -> bool {
        self.0 == Vendor::Cloudflare
    }

    fn changes(&self) -> bool {
        true
    }

    fn conditions(zone: &DnsZone) -> Vec<Condition> {
        let status = zone.status.as_ref();
        status.map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn manifest(&self, world: &World, name: &str, changed: bool) -> Value {
        let stays = json!({"name": "stays", "type": "A", "content": "192.0.2.1"});
        let records = match changed {
            false => json!([
                stays,
                {"name": "changes", "type": "A", "content": "192.0.2.2"},
                {"name": "goes", "type": "TXT", "content": "for a while"},
            ]),
            true => json!([
                stays,
                {"name": "changes", "type": "A", "content": "192.0.2.3"},
                {"name": "comes", "type": "CNAME", "content": "@"},
            ]),
        };
        let vendor = match self.0 {
            Vendor::Ispconfig => "ispconfig",
            Vendor::Cloudflare => "cloudflare",
        };
        let mut zone = world.zone(vendor, records);
        zone["metadata"]["name"] = json!(name);
        zone["spec"]["zone"] = json!(zone_of(world, name));
        zone
    }

    async fn inhabit(&self, _: &World) {}

    /// A zone that begins as ours does, which a look-up by prefix would find, and one below it.
    fn move_in(&self, world: &World, name: &str) -> Neighbours {
        let zone = zone_of(world, name);
        let zones = vec![format!("{zone}.net"), format!("below.{zone}")];
        for zone in &zones {
            self.add_zone(world, zone);
            self.add_record(world, zone, ("stays", "A", "192.0.2.1"));
        }
        Neighbours {
            before: self.seen(world, &zones),
            zones,
            record: None,
        }
    }

    fn move_out(&self, world: &World, neighbours: &Neighbours) {
        for zone in &neighbours.zones {
            self.remove_zone(world, zone);
        }
    }

    fn intrude(&self, world: &World, neighbours: &mut Neighbours, name: &str) {
        let record = self.add_record(world, &zone_of(world, name), INTRUDER);
        neighbours.record = Some(record);
    }

    fn leave(&self, world: &World, neighbours: &mut Neighbours) {
        if let Some(id) = neighbours.record.take() {
            assert!(
                self.remove_record(world, &id),
                "what somebody else put in was there"
            );
        }
    }

    async fn whole(
        &self,
        world: &World,
        neighbours: &Neighbours,
        object: &DnsZone,
        changed: bool,
    ) -> Result<(), String> {
        let zone = zone_of(world, &object.name_any());
        self.zones_are(world, neighbours, Some(zone.clone()))?;
        let theirs = |row: &Row| neighbours.record.as_ref() == Some(&row.id);
        let (theirs, ours): (Vec<Row>, Vec<Row>) = self.rows(world, &zone).into_iter().partition(theirs);
        let mut rows: Vec<_> = ours.iter().map(|row| row.plain.clone()).collect();
        rows.sort();
        let expected = self.expected(&zone, changed);
        expect("each record once", rows == expected, || {
            format!("{rows:?}, not {expected:?}")
        })?;
        expect("our mark", ours.iter().all(|row| row.marked), || {
            format!("{ours:?}")
        })?;
        let guests: Vec<_> = theirs.iter().map(|row| row.plain.clone()).collect();
        let invited: Vec<_> = neighbours.record.iter().map(|_| owned(INTRUDER)).collect();
        expect("the record of somebody else", guests == invited, || {
            format!("{guests:?}")
        })?;
        let status = object.status.clone().unwrap_or_default();
        let counted = usize::try_from(status.foreign_records.unwrap_or(-1)) == Ok(invited.len());
        expect("it is counted", counted, || {
            format!("{:?}", status.foreign_records)
        })?;
        self.proofs(&status, &ours)?;
        self.untouched(world, neighbours)
    }

    async fn nothing_left(&self, world: &World, neighbours: &Neighbours, _: &str) -> Result<(), String> {
        let left = world.backends.leftovers();
        expect("nothing is left", left.is_empty(), || format!("{left:?}"))?;
        self.zones_are(world, neighbours, None)?;
        let panel = &world.backends.ispconfig;
        let known: Vec<u64> = panel.zones().iter().map(|zone| zone.id).collect();
        let mut rows = panel.all_records();
        rows.retain(|row| !known.contains(&row.zone));
        expect("no record without a zone", rows.is_empty(), || {
            format!("{rows:?}")
        })?;
        self.untouched(world, neighbours)
    }
}
