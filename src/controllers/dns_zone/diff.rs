//! What has to change in a zone: the records that shall be beside those that are there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::domain::dns::{RecordData, RecordName, RecordSpec, Target};
use crate::providers::dns_host::{Record, RecordChange, RecordId};

/// What has to change, and what stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff<T> {
    /// Changes in the order in which they are made, each with the wanted record that it is for; `None` for removals.
    /// Updates, then additions, then removals, so that no name and type that stays is ever without a record. Only
    /// where an alias and other data change places at a name, the removals stand right before the additions.
    pub changes: Vec<(RecordChange, Option<T>)>,
    /// Wanted records that a foreign one is in the way of, with what to do.
    pub conflicts: Vec<(T, String)>,
    /// Wanted records that are there already, with their ids.
    pub satisfied: Vec<(T, RecordId)>,
    /// How many records are not ours.
    pub foreign: usize,
}

/// Records of one name.
#[derive(Debug)]
struct AtName<'a, T> {
    /// What shall be there and is not found yet.
    wanted: Vec<(T, &'a RecordSpec)>,
    /// What is there, is ours, and stands for no wanted record yet.
    ours: Vec<&'a Record>,
    /// What is there and is somebody else's.
    foreign: Vec<&'a Record>,
    /// Something wanted is there, or will be.
    served: bool,
    /// An address or alias is wanted, and a foreign record is in its way.
    blocked: bool,
}

impl<T> Default for AtName<'_, T> {
    fn default() -> Self {
        Self {
            wanted: Vec::new(),
            ours: Vec::new(),
            foreign: Vec::new(),
            served: false,
            blocked: false,
        }
    }
}

/// Changes of a whole zone in three heaps, in the order in which they are made.
#[derive(Debug)]
struct Heaps<T> {
    updates: Vec<(RecordChange, Option<T>)>,
    creates: Vec<(RecordChange, Option<T>)>,
    deletes: Vec<(RecordChange, Option<T>)>,
}

/// Compares what shall be, as the rules let it pass, with what is there. `ours` says which of the seen records are
/// this object's; the others are never touched. Applied in order, the changes lead to a zone for which they are
/// empty. Costs n log n.
///
/// A record of ours keeps its `proxied`, which is the user's to switch at the vendor; while it is on, the vendor
/// chooses the time to live. A wanted record without a time to live takes any.
pub fn diff<T: Copy>(wanted: &[(T, RecordSpec)], seen: &[Record], ours: impl Fn(&Record) -> bool) -> Diff<T> {
    let mut names: BTreeMap<&RecordName, AtName<'_, T>> = BTreeMap::new();
    let mut foreign = 0;
    for record in seen {
        let at = names.entry(&record.spec.name).or_default();
        if ours(record) {
            at.ours.push(record);
        } else {
            foreign += 1;
            at.foreign.push(record);
        }
    }
    for (tag, spec) in wanted {
        names.entry(&spec.name).or_default().wanted.push((*tag, spec));
    }
    let mut conflicts = Vec::new();
    let mut satisfied = Vec::new();
    let mut heaps = Heaps {
        updates: Vec::new(),
        creates: Vec::new(),
        deletes: Vec::new(),
    };
    for at in names.values_mut() {
        at.match_exactly(&mut satisfied);
        at.set_conflicts_aside(&mut conflicts);
        at.match_content(&mut heaps);
        at.reuse(&mut heaps);
        at.finish(&mut heaps);
    }
    let changes = [heaps.updates, heaps.creates, heaps.deletes];
    Diff {
        changes: changes.into_iter().flatten().collect(),
        conflicts,
        satisfied,
        foreign,
    }
}

/// The seen record says what is wanted.
pub(super) fn is_equal(seen: &RecordSpec, wanted: &RecordSpec) -> bool {
    let any_ttl = seen.proxied || wanted.ttl.is_none();
    seen.data == wanted.data && (any_ttl || seen.ttl == wanted.ttl)
}

/// What is written over a record of ours.
fn over(seen: &RecordSpec, wanted: &RecordSpec) -> RecordSpec {
    RecordSpec {
        ttl: wanted.ttl.filter(|_| !seen.proxied),
        proxied: seen.proxied,
        ..wanted.clone()
    }
}

fn is_alias(spec: &RecordSpec) -> bool {
    matches!(spec.data, RecordData::Cname(_))
}

/// Records of which clients take any one: a foreign one beside ours would answer for ours.
fn is_exclusive(spec: &RecordSpec) -> bool {
    matches!(
        spec.data,
        RecordData::A(_) | RecordData::Aaaa(_) | RecordData::Cname(_)
    )
}

fn is_null_mx(spec: &RecordSpec) -> bool {
    let exchange = match &spec.data {
        RecordData::Mx { exchange, .. } => exchange,
        _ => return false,
    };
    *exchange == Target::Nowhere
}

impl<'a, T: Copy> AtName<'a, T> {
    /// Ours that are exactly as wanted.
    fn match_exactly(&mut self, satisfied: &mut Vec<(T, RecordId)>) {
        let mut pool = by(&self.ours, |spec| &spec.data);
        let mut used = BTreeSet::new();
        let mut rest = Vec::new();
        for (tag, wanted) in self.wanted.drain(..) {
            let twins = pool.entry(&wanted.data).or_default();
            let place = twins.iter().position(|seen| is_equal(&seen.spec, wanted));
            match place.and_then(|place| twins.remove(place)) {
                Some(seen) => {
                    used.insert(&seen.id);
                    satisfied.push((tag, seen.id.clone()));
                    self.served = true;
                }
                None => rest.push((tag, wanted)),
            }
        }
        self.wanted = rest;
        self.ours.retain(|seen| !used.contains(&seen.id));
    }

    /// Wanted records that cannot be beside, or instead of, what is somebody else's.
    fn set_conflicts_aside(&mut self, conflicts: &mut Vec<(T, String)>) {
        if self.foreign.is_empty() {
            return;
        }
        let equal: BTreeSet<&RecordData> = self.foreign.iter().map(|seen| &seen.spec.data).collect();
        let types: BTreeSet<&str> = self
            .foreign
            .iter()
            .map(|seen| seen.spec.data.type_name())
            .collect();
        let null_mx = self.foreign.iter().any(|seen| is_null_mx(&seen.spec));
        let blocked = |wanted: &RecordSpec| {
            let kind = wanted.data.type_name();
            if equal.contains(&wanted.data) {
                Some(format!("this very {kind} record"))
            } else if types.contains("CNAME") {
                Some("a CNAME record".to_owned())
            } else if is_alias(wanted) {
                let types: Vec<&str> = types.iter().copied().collect();
                Some(format!("data of type {}", types.join(", ")))
            } else if is_exclusive(wanted) && types.contains(kind) {
                Some(format!("another {kind} record"))
            } else if types.contains("MX") && (is_null_mx(wanted) || kind == "MX" && null_mx) {
                Some("an MX record that excludes it".to_owned())
            } else {
                None
            }
        };
        let mut rest = Vec::new();
        for (tag, wanted) in self.wanted.drain(..) {
            match blocked(wanted) {
                Some(what) => {
                    self.blocked |= is_exclusive(wanted);
                    let name = &wanted.name;
                    let message = format!(
                        "the zone has {what} at {name} that is not this object's; delete it where it was made, or let the object adopt the zone"
                    );
                    conflicts.push((tag, message));
                }
                None => rest.push((tag, wanted)),
            }
        }
        self.wanted = rest;
    }

    /// Ours with the wanted content and another time to live.
    fn match_content(&mut self, heaps: &mut Heaps<T>) {
        self.update_by(heaps, |spec| &spec.data);
    }

    /// Ours of the wanted type: a change of content is one step, without a gap.
    fn reuse(&mut self, heaps: &mut Heaps<T>) {
        self.update_by(heaps, |spec| spec.data.type_name());
    }

    /// Brings ours to what is wanted where both have the same key.
    fn update_by<K: Ord + ?Sized + 'a>(&mut self, heaps: &mut Heaps<T>, key: fn(&'a RecordSpec) -> &'a K) {
        let mut pool = by(&self.ours, key);
        let mut used = BTreeSet::new();
        let mut rest = Vec::new();
        for (tag, wanted) in self.wanted.drain(..) {
            match pool.get_mut(key(wanted)).and_then(VecDeque::pop_front) {
                Some(seen) => {
                    used.insert(&seen.id);
                    let change = RecordChange::Update(seen.clone(), over(&seen.spec, wanted));
                    heaps.updates.push((change, Some(tag)));
                    self.served = true;
                }
                None => rest.push((tag, wanted)),
            }
        }
        self.wanted = rest;
        self.ours.retain(|seen| !used.contains(&seen.id));
    }

    /// Adds what is missing and removes what is left over.
    fn finish(&mut self, heaps: &mut Heaps<T>) {
        // Where all that is wanted is in conflict, the name goes on answering what it answers.
        let hold = self.blocked && !self.served && self.wanted.is_empty();
        let left = self
            .ours
            .drain(..)
            .filter(|seen| !(hold && is_exclusive(&seen.spec)));
        let alias = self.wanted.iter().any(|(_, wanted)| is_alias(wanted));
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for seen in left {
            // Beside an alias there is nothing else, neither at the vendor nor in a zone file.
            let in_the_way = !self.wanted.is_empty() && (alias || is_alias(&seen.spec));
            let heap = if in_the_way { &mut before } else { &mut after };
            heap.push((RecordChange::Delete(seen.clone()), None));
        }
        heaps.creates.append(&mut before);
        heaps.deletes.append(&mut after);
        for (tag, wanted) in self.wanted.drain(..) {
            heaps
                .creates
                .push((RecordChange::Create(wanted.clone()), Some(tag)));
        }
    }
}

/// Records by a key of theirs, in the order of the back-end.
fn by<'a, K: Ord + ?Sized>(
    records: &[&'a Record],
    key: fn(&'a RecordSpec) -> &'a K,
) -> BTreeMap<&'a K, VecDeque<&'a Record>> {
    let mut found: BTreeMap<&K, VecDeque<&Record>> = BTreeMap::new();
    for record in records {
        found.entry(key(&record.spec)).or_default().push_back(record);
    }
    found
}

#[cfg(test)]
mod tests;
