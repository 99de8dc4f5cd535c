//! The calls that change records, one at a time or in a batch, and what their answers prove.

use reqwest::Method;
use serde::Serialize;

use super::changes::{Outcome, Step, Work};
use super::client::Client;
use super::failure::Failure;
use super::records::{list_of, mark_of, record_of, record_path, records_path};
use super::wire;
use crate::domain::OwnerMark;
use crate::providers::dns_host::{Record, RecordId, RecordSpec, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::{Body, Call};

/// Records that are named when they are in the way; more do not fit into a status.
const NAMED: usize = 3;

/// Writes records of one owner into one zone.
pub(super) struct Writer<'a> {
    pub client: &'a Client,
    pub zone: &'a ZoneId,
    pub owner: &'a OwnerMark,
}

impl Writer<'_> {
    /// Makes one change by a call of its own.
    pub async fn single(&self, step: &Step) -> Result<Option<Record>, Failure> {
        match step {
            Step::Delete(id) => self.delete(id).await.map(|()| None),
            Step::Patch(id, spec, body) => {
                let body = wire::RecordBody {
                    id: None,
                    ..body.clone()
                };
                let call = Call::write("dns_records.update", Method::PATCH, record_path(self.zone, id)?);
                match self.client.result::<wire::Record>(call.body(json(&body)?)).await {
                    Ok(record) => Ok(Some(self.settled(spec, record).await?)),
                    Err(failure) if failure.exists() => Err(self.in_the_way(spec, failure).await),
                    Err(failure) if failure.error.is_not_found() => Err(gone(spec, failure)),
                    Err(failure) => Err(failure),
                }
            }
            Step::Post(spec, body) => {
                let call = Call::write("dns_records.create", Method::POST, records_path(self.zone)?);
                match self.client.result::<wire::Record>(call.body(json(body)?)).await {
                    Ok(record) => Ok(Some(self.settled(spec, record).await?)),
                    Err(failure) if failure.exists() => self.existing(spec, failure).await.map(Some),
                    Err(failure) => Err(failure),
                }
            }
        }
    }

    /// Deletes a record; one that is gone already is a success.
    async fn delete(&self, id: &RecordId) -> Result<(), Failure> {
        let call = Call::write("dns_records.delete", Method::DELETE, record_path(self.zone, id)?);
        match self.client.call::<serde::de::IgnoredAny>(call).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.error.is_not_found() => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Makes all changes in one transaction.
    pub async fn batch(&self, works: &[Work]) -> Result<Vec<(usize, Outcome)>, Failure> {
        let mut batch = wire::Batch::default();
        for work in works {
            match &work.step {
                Step::Delete(id) => batch.deletes.push(wire::RecordKey { id: id.0.clone() }),
                Step::Patch(_, _, body) => batch.patches.push(body.clone()),
                Step::Post(_, body) => batch.posts.push(body.clone()),
            }
        }
        let path = format!("{}/batch", records_path(self.zone)?);
        let call = Call::write("dns_records.batch", Method::POST, path).body(json(&batch)?);
        let mut result: wire::BatchResult = self.client.result(call).await?;
        let mut outcomes = Vec::new();
        for work in works {
            let outcome = match &work.step {
                Step::Delete(_) => Ok(None),
                Step::Patch(id, spec, _) => {
                    let found = take(&mut result.patches, |record| record.id == id.0);
                    self.accounted(spec, found).await
                }
                Step::Post(spec, _) => {
                    let found = take(&mut result.posts, |record| is_answer_to(record, spec));
                    self.accounted(spec, found).await
                }
            };
            outcomes.push((work.index, outcome));
        }
        Ok(outcomes)
    }

    async fn accounted(&self, spec: &RecordSpec, found: Option<wire::Record>) -> Outcome {
        let Some(record) = found else {
            let message = format!("{}: the answer to the batch does not speak of it", spec.name);
            return Err(ProviderError::new(ErrorKind::Ambiguous, message));
        };
        Ok(self.settled(spec, record).await.map(Some)?)
    }

    /// The record that a write left, if it is the one that was asked for.
    async fn settled(&self, spec: &RecordSpec, record: wire::Record) -> Result<Record, Failure> {
        if is_appended(&record, spec) {
            // Written under `name.zone`, because the name is not one of this zone: nobody would find it
            // there again. It carries our mark, so that it is ours to remove.
            self.delete(&RecordId(record.id)).await?;
            let message = format!("{} does not belong to this zone; check the zone id", spec.name);
            return Err(ProviderError::new(ErrorKind::Invalid, message).into());
        }
        let marked = mark_of(&record).as_ref() == Some(self.owner);
        match record_of(&record) {
            Some(ours) if marked && ours.spec == *spec => Ok(ours),
            _ => {
                let message = format!(
                    "{}: Cloudflare took the record but made something else of it",
                    spec.name
                );
                Err(ProviderError::new(ErrorKind::Ambiguous, message).into())
            }
        }
    }

    /// A create was refused because something is there: exactly ours is as good as created.
    async fn existing(&self, spec: &RecordSpec, failure: Failure) -> Result<Record, Failure> {
        let there = list_of(self.client, self.zone, &spec.name).await?;
        let ours = |record: &&Record| record.mark.as_ref() == Some(self.owner) && record.spec == *spec;
        match there.iter().find(ours) {
            Some(record) => Ok(record.clone()),
            None => Err(self.describe(spec, &there, failure)),
        }
    }

    async fn in_the_way(&self, spec: &RecordSpec, failure: Failure) -> Failure {
        match list_of(self.client, self.zone, &spec.name).await {
            Ok(there) => self.describe(spec, &there, failure),
            Err(failure) => failure,
        }
    }

    /// The refusal with the names of what is there.
    fn describe(&self, spec: &RecordSpec, there: &[Record], failure: Failure) -> Failure {
        if there.is_empty() {
            return failure;
        }
        let mut shown: Vec<String> = there.iter().take(NAMED).map(|record| self.name(record)).collect();
        if there.len() > NAMED {
            shown.push(format!("{} more", there.len() - NAMED));
        }
        let message = format!(
            "{} is taken: {}; nothing was overwritten",
            spec.name,
            shown.join(", ")
        );
        let error = ProviderError::new(ErrorKind::Conflict, message);
        Failure {
            error: match failure.error.detail() {
                Some(detail) => error.with_detail(detail),
                None => error,
            },
            codes: failure.codes,
        }
    }

    fn name(&self, record: &Record) -> String {
        let whose = match &record.mark {
            Some(mark) if mark == self.owner => "ours, but different",
            Some(_) => "of another object",
            None => "not ours",
        };
        format!("{} ({whose})", record.spec.data)
    }
}

/// The record that was to be updated is no more.
fn gone(spec: &RecordSpec, failure: Failure) -> Failure {
    let message = format!("{}: the record was deleted meanwhile", spec.name);
    Failure {
        error: ProviderError::new(ErrorKind::NotFound, message),
        codes: failure.codes,
    }
}

/// The error of a change that was held back because of one before it.
pub(super) fn not_sent(cause: &ProviderError) -> ProviderError {
    let kind = match cause.kind() {
        // Nothing happened to this one.
        ErrorKind::Ambiguous | ErrorKind::Unexpected => ErrorKind::Unavailable,
        kind => kind,
    };
    ProviderError::new(kind, format!("not sent after an earlier failure: {cause}"))
}

fn json(body: &impl Serialize) -> Result<Body, ProviderError> {
    serde_json::to_value(body).map(Body::Json).map_err(|error| {
        ProviderError::new(ErrorKind::Invalid, "the record cannot be written as JSON").with_detail(error)
    })
}

fn take(records: &mut Vec<wire::Record>, wanted: impl Fn(&wire::Record) -> bool) -> Option<wire::Record> {
    let at = records.iter().position(wanted)?;
    Some(records.swap_remove(at))
}

/// Same name (or the name that it became) and content.
fn is_answer_to(record: &wire::Record, spec: &RecordSpec) -> bool {
    let data = record_of(record).map(|record| record.spec);
    data.is_some_and(|found| found.data == spec.data && found.name == spec.name) || is_appended(record, spec)
}

/// Whether Cloudflare took the name for a relative one and appended the zone's.
fn is_appended(record: &wire::Record, spec: &RecordSpec) -> bool {
    let tail = record.name.strip_prefix(spec.name.as_str());
    tail.is_some_and(|tail| tail.starts_with('.'))
}
