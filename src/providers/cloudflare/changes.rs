//! Applies changes: prove ownership, then one call or a few batches, then an outcome for every change.
//!
//! A batch is one transaction: its first error undoes all of it and is the only one named. So a refused batch
//! is halved until the guilty changes stand alone, and everybody else's go through: one bad record among 200
//! costs about 18 calls this way, where one call per change would cost 200 of the 1,200 in five minutes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::client::Client;
use super::records::{body_of, canonical, get, list, mark_of, record_of};
use super::wire;
use super::writes::{Writer, not_sent};
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::dns_host::{Record, RecordChange, RecordId, RecordSpec, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};

/// Changes in one batch: the limit of the free plan (3,500 on others).
const BATCH: usize = 200;
/// Up to so many records are read one by one before they are touched; for more, reading the whole zone (one
/// call per 5,000 records) costs less.
const SINGLE_READS: usize = 8;
/// A refused batch of so few changes is not halved again but made call by call.
const SINGLE_WRITES: usize = 8;
/// Calls without a clear answer after which nothing more is sent: the back-end has a general problem then,
/// and not with one record. More than one, so that one record that breaks Cloudflare's server cannot keep
/// those behind it waiting for ever.
const UNCLEAR_MAX: u32 = 3;

/// What becomes of one change.
pub(super) type Outcome = Result<Option<Record>, ProviderError>;

/// One change that is to be sent.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Remove.
    Delete(RecordId),
    /// Bring to this.
    Patch(RecordId, RecordSpec, wire::RecordBody),
    /// Add.
    Post(RecordSpec, wire::RecordBody),
}

impl Step {
    /// The vendor's order inside of a batch; we keep it between batches as well, so that a name is freed
    /// before it is taken.
    fn rank(&self) -> u8 {
        match self {
            Self::Delete(_) => 0,
            Self::Patch(..) => 1,
            Self::Post(..) => 2,
        }
    }
}

/// A step and the change that it belongs to.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// Place in the caller's list.
    pub index: usize,
    /// What to send.
    pub step: Step,
}

/// Applies changes to one zone; `zone_name` is its name where it is known.
pub(super) async fn apply(
    client: &Client,
    zone: &ZoneId,
    zone_name: Option<&Fqdn>,
    changes: &[RecordChange],
    owner: &OwnerMark,
) -> Vec<Outcome> {
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    let seen = look(client, zone, changes).await;
    let mut works = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        match plan(change, zone_name, &seen, owner) {
            Ok(Planned::Send(step)) => works.push(Work { index, step }),
            Ok(Planned::Nothing(record)) => {
                outcomes.insert(index, Ok(record));
            }
            Err(error) => {
                outcomes.insert(index, Err(error));
            }
        }
    }
    works.sort_by_key(|work| work.step.rank());
    let writer = Writer { client, zone, owner };
    send_all(&writer, works, &mut outcomes).await;
    let missing = || {
        // Unreachable as long as every work gets an outcome; a lost one must not pass for a success.
        Err(ProviderError::new(
            ErrorKind::Ambiguous,
            "the change was not accounted for",
        ))
    };
    (0..changes.len())
        .map(|index| outcomes.remove(&index).unwrap_or_else(missing))
        .collect()
}

/// Records by id as they are now: `None` for proven absence.
type Seen = BTreeMap<RecordId, Result<Option<wire::Record>, ProviderError>>;

/// Reads every record that is to be updated or deleted, right before.
async fn look(client: &Client, zone: &ZoneId, changes: &[RecordChange]) -> Seen {
    let ids: BTreeSet<&RecordId> = changes
        .iter()
        .filter_map(|change| match change {
            RecordChange::Update(record, _) | RecordChange::Delete(record) => Some(&record.id),
            RecordChange::Create(_) => None,
        })
        .collect();
    let mut seen = Seen::new();
    if ids.len() > SINGLE_READS {
        match list(client, zone, None).await {
            Ok(records) => {
                let found = records
                    .into_iter()
                    .map(|record| (RecordId(record.id.clone()), record));
                let wanted = found.filter(|(id, _)| ids.contains(id));
                seen.extend(wanted.map(|(id, record)| (id, Ok(Some(record)))));
            }
            Err(error) => {
                seen.extend(ids.into_iter().map(|id| (id.clone(), Err(error.clone()))));
                return seen;
            }
        }
    }
    // What a complete list does not have is asked for by its id: only that proves absence.
    let mut failed: Option<ProviderError> = None;
    for id in ids {
        if seen.contains_key(id) {
            continue;
        }
        // After one failure the others are not tried: each could take as long as a time-out.
        let found = match &failed {
            Some(error) => Err(not_sent(error)),
            None => get(client, zone, id).await,
        };
        failed = failed.or(found.as_ref().err().cloned());
        seen.insert(id.clone(), found);
    }
    seen
}

enum Planned {
    Send(Step),
    /// The world is as wanted already.
    Nothing(Option<Record>),
}

fn plan(
    change: &RecordChange,
    zone_name: Option<&Fqdn>,
    seen: &Seen,
    owner: &OwnerMark,
) -> Result<Planned, ProviderError> {
    let current = |id: &RecordId| match seen.get(id) {
        Some(Ok(Some(record))) if mark_of(record).as_ref() == Some(owner) => Ok(Some(record)),
        Some(Ok(Some(record))) => Err(foreign(record)),
        Some(Ok(None)) => Ok(None),
        Some(Err(error)) => Err(error.clone()),
        // Unreachable as long as every id is looked at; without a look nothing is proven.
        None => Err(ProviderError::new(
            ErrorKind::Unexpected,
            "the record was not read",
        )),
    };
    match change {
        RecordChange::Create(spec) => {
            within(spec, zone_name)?;
            let body = body_of(None, spec, owner)?;
            Ok(Planned::Send(Step::Post(canonical(spec), body)))
        }
        RecordChange::Update(Record { id, .. }, spec) => {
            within(spec, zone_name)?;
            let body = body_of(Some(id), spec, owner)?;
            let Some(record) = current(id)? else {
                let message = format!("{}: the record was deleted meanwhile", spec.name);
                return Err(ProviderError::new(ErrorKind::NotFound, message));
            };
            let spec = canonical(spec);
            Ok(match record_of(record).filter(|record| record.spec == spec) {
                Some(same) => Planned::Nothing(Some(same)),
                None => Planned::Send(Step::Patch(id.clone(), spec, body)),
            })
        }
        RecordChange::Delete(Record { id, .. }) => Ok(match current(id)? {
            Some(_) => Planned::Send(Step::Delete(id.clone())),
            None => Planned::Nothing(None),
        }),
    }
}

/// Cloudflare takes a name outside of the zone for a relative one and appends the zone to it.
fn within(spec: &RecordSpec, zone_name: Option<&Fqdn>) -> Result<(), ProviderError> {
    match zone_name {
        Some(zone) if !spec.name.is_within(zone) => {
            let message = format!("{} does not belong to the zone {zone}", spec.name);
            Err(ProviderError::new(ErrorKind::Invalid, message))
        }
        _ => Ok(()),
    }
}

fn foreign(record: &wire::Record) -> ProviderError {
    let content = record.content.as_deref().unwrap_or_default();
    let shown = format!("{} {} {content}", record.name, record.kind);
    let message = format!("{shown} does not carry our mark in its comment; it is left alone");
    ProviderError::new(ErrorKind::Conflict, message)
}

/// How the sending goes as a whole.
#[derive(Default)]
struct Course {
    unclear: u32,
    /// Why nothing more is sent.
    halted: Option<ProviderError>,
    /// Why no more records are added.
    full: Option<ProviderError>,
}

async fn send_all(writer: &Writer<'_>, works: Vec<Work>, outcomes: &mut BTreeMap<usize, Outcome>) {
    let mut queue: VecDeque<Vec<Work>> = works.chunks(BATCH).map(<[Work]>::to_vec).collect();
    let mut course = Course::default();
    while let Some(mut chunk) = queue.pop_front() {
        chunk.retain(|work| match course.refusal(work) {
            Some(error) => {
                outcomes.insert(work.index, Err(error));
                false
            }
            None => true,
        });
        if chunk.len() <= 1 {
            send_singly(writer, &chunk, &mut course, outcomes).await;
            continue;
        }
        match writer.batch(&chunk).await {
            Ok(results) => outcomes.extend(results),
            Err(failure) if failure.is_refusal() && chunk.len() <= SINGLE_WRITES => {
                send_singly(writer, &chunk, &mut course, outcomes).await;
            }
            Err(failure) if failure.is_refusal() => {
                let later = chunk.split_off(chunk.len() / 2);
                // The later half first, because each goes to the front.
                queue.push_front(later);
                queue.push_front(chunk);
            }
            Err(failure) => {
                course.note(&failure);
                let fate = chunk.iter().map(|work| (work.index, Err(failure.error.clone())));
                outcomes.extend(fate);
            }
        }
    }
}

async fn send_singly(
    writer: &Writer<'_>,
    works: &[Work],
    course: &mut Course,
    outcomes: &mut BTreeMap<usize, Outcome>,
) {
    for work in works {
        let outcome = match course.refusal(work) {
            Some(error) => Err(error),
            None => writer.single(&work.step).await.map_err(|failure| {
                course.note(&failure);
                failure.error
            }),
        };
        outcomes.insert(work.index, outcome);
    }
}

impl Course {
    /// Why this work is not sent any more.
    fn refusal(&self, work: &Work) -> Option<ProviderError> {
        if let Some(error) = &self.halted {
            return Some(not_sent(error));
        }
        match work.step {
            Step::Post(..) => self.full.clone(),
            _ => None,
        }
    }

    fn note(&mut self, failure: &super::failure::Failure) {
        if failure.quota() {
            self.full = Some(failure.error.clone());
            return;
        }
        if failure.is_refusal() {
            return;
        }
        self.unclear += 1;
        if failure.is_general() || self.unclear >= UNCLEAR_MAX {
            self.halted = Some(failure.error.clone());
        }
    }
}
