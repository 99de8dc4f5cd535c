//! Whose the things at a back-end are. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::api::Inventory;
use crate::controllers::connections::{ProxyIndex, RecordIndex};
use crate::domain::{ClusterId, Fqdn, OwnerMark, Vmid};
use crate::providers::dns_host::{Record, ZoneId};
use crate::providers::reverse_proxy::ProxyHostId;

/// Who is there to own something.
#[derive(Debug, Clone)]
pub struct Owners {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// UIDs of all objects that there are.
    pub uids: BTreeSet<String>,
    /// All objects of the cluster are among them. Otherwise an unknown mark says nothing.
    pub complete: bool,
}

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// An object's.
    Owned,
    /// It carries the mark of this cluster, but of no object that there is.
    Orphaned,
    /// Somebody else's.
    Foreign,
}

impl Owners {
    /// Whose a thing with this mark is.
    pub fn whose(&self, mark: Option<&OwnerMark>) -> Whose {
        match mark.filter(|mark| mark.cluster == self.cluster) {
            Some(mark) if self.uids.contains(mark.uid.as_str()) => Whose::Owned,
            Some(_) if self.complete => Whose::Orphaned,
            _ => Whose::Foreign,
        }
    }
}

/// Something that can be left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A container, and the node that it was seen on.
    Container(Vmid, String),
    /// A proxy host, and its names.
    Host(ProxyHostId, Vec<Fqdn>),
    /// A record, and the zone that it stands in.
    Record(ZoneId, Box<Record>),
}

impl Thing {
    /// Its name among the orphans of a Provider: never used for another thing.
    pub fn name(&self) -> String {
        match self {
            Self::Container(id, _) => format!("container/{id}"),
            Self::Host(id, _) => format!("host/{}", id.0),
            Self::Record(_, record) => format!("record/{}", record.id.0),
        }
    }
}

/// For people.
impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(id, node) => write!(f, "container {id} on node {node}"),
            Self::Host(id, names) => {
                let names: Vec<&str> = names.iter().map(Fqdn::as_str).collect();
                write!(f, "proxy host {} for {}", id.0, names.join(", "))
            }
            Self::Record(_, record) => {
                let spec = &record.spec;
                write!(f, "record {} {}", spec.name, spec.data)
            }
        }
    }
}

/// Something that carries the mark of this cluster, but of no object that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// What it is.
    pub thing: Thing,
    /// What it carries.
    pub mark: OwnerMark,
}

/// What stands at a back-end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many things are an object's.
    pub owned: usize,
    /// What is left behind.
    pub orphans: Vec<Orphan>,
    /// How many things are somebody else's.
    pub foreign: usize,
}

impl Tally {
    /// Counts one thing.
    pub fn take(&mut self, owners: &Owners, mark: Option<&OwnerMark>, thing: impl FnOnce() -> Thing) {
        match (owners.whose(mark), mark) {
            (Whose::Owned, _) => self.owned += 1,
            (Whose::Orphaned, Some(mark)) => self.orphans.push(Orphan {
                thing: thing(),
                mark: mark.clone(),
            }),
            _ => self.foreign += 1,
        }
    }

    /// Takes those for owned whose objects have come to be known.
    pub fn judge_again(&mut self, owners: &Owners) {
        let before = self.orphans.len();
        self.orphans
            .retain(|orphan| owners.whose(Some(&orphan.mark)) == Whose::Orphaned);
        self.owned += before - self.orphans.len();
    }

    /// Counts a zone, which carries no mark: it is an object's when one holds its id.
    pub fn take_zone(&mut self, claimed: bool) {
        match claimed {
            true => self.owned += 1,
            false => self.foreign += 1,
        }
    }

    /// Counts the hosts of a proxy.
    pub fn take_hosts(&mut self, owners: &Owners, index: &ProxyIndex) {
        let hosts: BTreeMap<ProxyHostId, _> = index.hosts.values().map(|host| (host.id, host)).collect();
        for (id, host) in hosts {
            self.take(owners, host.mark.as_ref(), || {
                Thing::Host(id, host.spec.domains.iter().cloned().collect())
            });
        }
    }

    /// Counts the records of a zone.
    pub fn take_records(&mut self, owners: &Owners, zone: &ZoneId, records: &RecordIndex) {
        for record in records.values().flatten() {
            self.take(owners, record.mark.as_ref(), || {
                Thing::Record(zone.clone(), Box::new(record.clone()))
            });
        }
    }

    /// The counts.
    pub fn inventory(&self) -> Inventory {
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        Inventory {
            owned: number(self.owned),
            orphaned: number(self.orphans.len()),
            foreign: number(self.foreign),
        }
    }
}

/// Orphans that one event names.
const NAMED: usize = 3;

/// What is said of orphans of which some are new.
pub fn words(provider: &str, orphans: &[Orphan]) -> String {
    let mut named: Vec<String> = orphans
        .iter()
        .take(NAMED)
        .map(|orphan| orphan.thing.to_string())
        .collect();
    if orphans.len() > NAMED {
        named.push(format!("{} more", orphans.len() - NAMED));
    }
    format!(
        "Left behind, for it carries the mark of this cluster but of no object that there is: {}. `hostwright orphans --provider {provider}` says what to do.",
        named.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dns::{RecordData, RecordSpec};
    use crate::providers::dns_host::RecordId;

    const UIDS: [&str; 2] = [
        "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11",
        "1b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11",
    ];

    fn owners(complete: bool) -> Owners {
        Owners {
            cluster: "a".parse().unwrap(),
            uids: [UIDS[0].to_owned()].into(),
            complete,
        }
    }

    fn mark(cluster: &str, uid: usize) -> OwnerMark {
        format!("hostwright:{cluster}:{}", UIDS[uid]).parse().unwrap()
    }

    #[test]
    fn only_a_mark_of_this_cluster_without_its_object_is_an_orphan() {
        let whose = |cluster: &str, uid| owners(true).whose(Some(&mark(cluster, uid)));
        assert_eq!(whose("a", 0), Whose::Owned);
        assert_eq!(whose("a", 1), Whose::Orphaned);
        assert_eq!([whose("b", 0), whose("b", 1)], [Whose::Foreign; 2]);
        assert_eq!(owners(true).whose(None), Whose::Foreign);
        assert_eq!(
            owners(false).whose(Some(&mark("a", 1))),
            Whose::Foreign,
            "not all objects are known"
        );
        assert_eq!(owners(false).whose(Some(&mark("a", 0))), Whose::Owned);
    }

    fn record(id: &str, mark: Option<OwnerMark>) -> Record {
        Record {
            id: RecordId(id.to_owned()),
            mark,
            spec: RecordSpec {
                name: "www.example.com".parse().unwrap(),
                data: RecordData::A([192, 0, 2, 1].into()),
                ttl: None,
                proxied: false,
            },
        }
    }

    #[test]
    fn a_zone_is_counted_record_by_record() {
        let records = vec![
            record("1", None),
            record("2", Some(mark("a", 0))),
            record("3", Some(mark("a", 1))),
        ];
        let index = RecordIndex::from([("www.example.com".parse().unwrap(), records)]);
        let mut tally = Tally::default();
        tally.take_records(&owners(true), &ZoneId("z".to_owned()), &index);
        tally.take_zone(true);
        let Inventory {
            owned,
            orphaned,
            foreign,
        } = tally.inventory();
        assert_eq!((owned, orphaned, foreign), (2, 1, 1));
        assert_eq!(tally.orphans[0].thing.name(), "record/3");
        assert_eq!(
            words("cf", &tally.orphans),
            "Left behind, for it carries the mark of this cluster but of no object that there is: record www.example.com A 192.0.2.1. `hostwright orphans --provider cf` says what to do."
        );
        let many: Vec<Orphan> = (0..5).map(|_| tally.orphans[0].clone()).collect();
        assert!(words("cf", &many).contains("; 2 more. "));
    }
}
