//! Applies changes: check ownership, then one call or a few batches, then an outcome for every change.
//!
//! A batch is one transaction: its first error undoes all of it and is the only one named. So a refused batch
//! is halved until the guilty changes stand alone, and everybody else's go through: one bad record among 200
//! costs about 18 calls this way, where one call per change would cost 200 of the 1,200 in five minutes.

use std::collections::{BTreeMap, VecDeque};

use super::client::Client;
use super::failure::Failure;
use super::records::{body_of, canonical};
use super::wire;
use super::writes::{Writer, not_sent};
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::dns_host::{Record, RecordChange, RecordData, RecordId, RecordSpec, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};

/// Changes in one batch: the limit of the free plan (3,500 on others).
const BATCH: usize = 200;
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

/// The zone to be written to.
pub(super) struct Place<'a> {
    pub zone: &'a ZoneId,
    /// Its name, where it is known.
    pub name: Option<Fqdn>,
    /// It was made so recently that a refused right proves nothing.
    pub fresh: bool,
}

/// Applies changes to one zone.
pub(super) async fn apply(
    client: &Client,
    place: &Place<'_>,
    changes: &[RecordChange],
    owner: &OwnerMark,
) -> Vec<Outcome> {
    let mut outcomes: BTreeMap<usize, Outcome> = BTreeMap::new();
    let mut works = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        match plan(change, place.name.as_ref(), owner) {
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
    let writer = Writer {
        client,
        zone: place.zone,
        owner,
    };
    let course = Course {
        fresh: place.fresh,
        ..Course::default()
    };
    send_all(&writer, works, course, &mut outcomes).await;
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

enum Planned {
    Send(Step),
    /// The world is as wanted already.
    Nothing(Option<Record>),
}

fn plan(
    change: &RecordChange,
    zone_name: Option<&Fqdn>,
    owner: &OwnerMark,
) -> Result<Planned, ProviderError> {
    match change {
        RecordChange::Create(spec) => {
            writable(spec, zone_name)?;
            let body = body_of(None, spec, owner)?;
            Ok(Planned::Send(Step::Post(canonical(spec), body)))
        }
        RecordChange::Update(seen, spec) => {
            ours(seen, owner)?;
            writable(spec, zone_name)?;
            let (wanted, body) = (canonical(spec), body_of(Some(&seen.id), spec, owner)?);
            if canonical(&seen.spec) == wanted {
                return Ok(Planned::Nothing(Some(seen.clone())));
            }
            // The comment is sent with every update: a record that was adopted gets its mark that way.
            Ok(Planned::Send(Step::Patch(seen.id.clone(), wanted, body)))
        }
        RecordChange::Adopt(seen, spec) => {
            if seen.mark.is_some() {
                return plan(
                    &RecordChange::Update(seen.clone(), spec.clone()),
                    zone_name,
                    owner,
                );
            }
            writable(spec, zone_name)?;
            let body = body_of(Some(&seen.id), spec, owner)?;
            Ok(Planned::Send(Step::Patch(seen.id.clone(), canonical(spec), body)))
        }
        RecordChange::Delete(seen) => {
            ours(seen, owner)?;
            Ok(Planned::Send(Step::Delete(seen.id.clone())))
        }
    }
}

/// Whether the record was ours when it was read, within the same pass.
fn ours(seen: &Record, owner: &OwnerMark) -> Result<(), ProviderError> {
    if seen.mark.as_ref() == Some(owner) {
        return Ok(());
    }
    let RecordSpec { name, data, .. } = &seen.spec;
    let message = format!("{name} {data} does not carry our mark in its comment; it is left alone");
    Err(ProviderError::new(ErrorKind::Conflict, message))
}

/// Cloudflare takes a name outside of the zone for a relative one and appends the zone to it; and the zone's
/// own name servers are its to choose.
fn writable(spec: &RecordSpec, zone_name: Option<&Fqdn>) -> Result<(), ProviderError> {
    let Some(zone) = zone_name else { return Ok(()) };
    let message = if !spec.name.is_within(zone) {
        format!("{} does not belong to the zone {zone}", spec.name)
    } else if spec.name.is_apex(zone) && matches!(spec.data, RecordData::Ns(_)) {
        format!("the name servers of {zone} itself are Cloudflare's to choose; remove the NS record")
    } else {
        return Ok(());
    };
    Err(ProviderError::new(ErrorKind::Invalid, message))
}

/// How the sending goes as a whole.
#[derive(Default)]
struct Course {
    /// The zone was made so recently that a refused right proves nothing.
    fresh: bool,
    unclear: u32,
    /// Why nothing more is sent.
    halted: Option<ProviderError>,
    /// Why no more records are added.
    full: Option<ProviderError>,
}

async fn send_all(
    writer: &Writer<'_>,
    works: Vec<Work>,
    mut course: Course,
    outcomes: &mut BTreeMap<usize, Outcome>,
) {
    let mut queue: VecDeque<Vec<Work>> = works.chunks(BATCH).map(<[Work]>::to_vec).collect();
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
                let failure = course.judged(failure);
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
                let failure = course.judged(failure);
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

    fn judged(&self, failure: Failure) -> Failure {
        if self.fresh { failure.softened() } else { failure }
    }

    fn note(&mut self, failure: &Failure) {
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
