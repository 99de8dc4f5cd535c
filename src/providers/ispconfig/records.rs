//! Records: read in bulk, changed one by one in the caller's order, one zone at a time.
//!
//! Every change has the serial changed behind it, in the same call. A serial that is changed once at the end would be
//! lost with the process that dies before, and the next one would find every record as it shall be and nothing to
//! do, while the secondaries answer with the old ones for ever.

use jiff::Timestamp;
use serde_json::Value;

use super::Ispconfig;
use super::client::Ask;
use super::data::{Columns, answered, columns};
use super::names::{sent, understood};
use super::wire::{self, RecordRow, affected, new_id, object};
use super::zones::Place;
use crate::domain::dns::{RecordKind, RecordName};
use crate::domain::{Fqdn, OwnerMark};
use crate::providers::dns_host::{Record, RecordChange, RecordId, RecordSpec, ZoneId};
use crate::providers::error::{ErrorKind, ProviderError};

/// Time to live where the choice is ours: the panel's own default.
pub(super) const TTL_DEFAULT: u32 = 3600;
/// Seconds that every back-end takes.
const TTL: std::ops::RangeInclusive<u32> = 60..=86400;

/// What becomes of one change.
type Outcome = Result<Option<Record>, ProviderError>;

/// The functions of a type. The letters only choose the form that checks the fields.
struct Functions {
    add: &'static str,
    update: &'static str,
    delete: &'static str,
}

macro_rules! functions {
    ($kind:literal) => {
        Functions {
            add: concat!("dns_", $kind, "_add"),
            update: concat!("dns_", $kind, "_update"),
            delete: concat!("dns_", $kind, "_delete"),
        }
    };
}

fn functions(kind: RecordKind) -> Functions {
    match kind {
        RecordKind::A => functions!("a"),
        RecordKind::Aaaa => functions!("aaaa"),
        RecordKind::Caa => functions!("caa"),
        RecordKind::Cname => functions!("cname"),
        RecordKind::Mx => functions!("mx"),
        RecordKind::Ns => functions!("ns"),
        RecordKind::Srv => functions!("srv"),
        RecordKind::Txt => functions!("txt"),
    }
}

/// The functions for a record whose type may be none of ours.
fn functions_for(spec: &RecordSpec) -> Functions {
    let by_name = [
        RecordKind::A,
        RecordKind::Aaaa,
        RecordKind::Caa,
        RecordKind::Cname,
        RecordKind::Mx,
        RecordKind::Ns,
        RecordKind::Srv,
    ];
    let named = by_name
        .into_iter()
        .find(|kind| kind.as_str() == spec.data.type_name());
    functions(named.unwrap_or(RecordKind::Txt))
}

/// The form in which a specification reads back.
fn canonical(spec: &RecordSpec) -> RecordSpec {
    RecordSpec {
        ttl: Some(spec.ttl.unwrap_or(TTL_DEFAULT)),
        proxied: false,
        ..spec.clone()
    }
}

/// A row in our words; `None` when its name is none that a record can have.
fn record_of(row: &RecordRow, zone: &Fqdn) -> Option<Record> {
    let Some(name) = understood(&row.name, zone) else {
        tracing::debug!(id = row.id, %zone, "a record in ISPConfig has a name that is none");
        return None;
    };
    Some(Record {
        id: RecordId(row.id.to_string()),
        mark: None,
        spec: RecordSpec {
            name,
            data: answered(row, zone),
            ttl: u32::try_from(row.ttl).ok(),
            proxied: false,
        },
    })
}

/// A change that can be sent.
enum Step {
    Nothing(Record),
    Add(RecordSpec, Box<Columns>),
    Update(Record, RecordSpec, Box<Columns>),
    Delete(Record),
}

fn step(change: &RecordChange, owner: &OwnerMark) -> Result<Step, ProviderError> {
    let owned = |seen: &Record| match seen.mark.as_ref() == Some(owner) {
        true => Ok(()),
        false => {
            let shown = format!("{} {}", seen.spec.name, seen.spec.data);
            let message = format!("{shown} is not known as ours; it is left alone");
            Err(ProviderError::new(ErrorKind::Conflict, message))
        }
    };
    let content = |spec: &RecordSpec| {
        if spec.ttl.is_some_and(|ttl| !TTL.contains(&ttl)) {
            let message = format!("{}: the time to live must be 60 to 86400 seconds", spec.name);
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        columns(&spec.name, &spec.data).map(Box::new)
    };
    match change {
        RecordChange::Create(spec) => Ok(Step::Add(canonical(spec), content(spec)?)),
        RecordChange::Update(seen, spec) | RecordChange::Adopt(seen, spec) => {
            if seen.mark.is_some() || matches!(change, RecordChange::Update(..)) {
                owned(seen)?;
            }
            let (spec, columns) = (canonical(spec), content(spec)?);
            Ok(match seen.spec == spec {
                true => Step::Nothing(seen.clone()),
                false => Step::Update(seen.clone(), spec, columns),
            })
        }
        RecordChange::Delete(seen) => {
            owned(seen)?;
            Ok(Step::Delete(seen.clone()))
        }
    }
}

/// The error of a change that was not tried after another one had failed.
fn not_sent(cause: &ProviderError) -> ProviderError {
    let kind = match cause.kind() {
        // Nothing happened to this one.
        ErrorKind::Ambiguous | ErrorKind::Unexpected => ErrorKind::Unavailable,
        kind => kind,
    };
    ProviderError::new(kind, format!("not sent after an earlier failure: {cause}"))
}

/// Whether a failure concerns one record only.
fn is_refusal(error: &ProviderError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::NotFound
    )
}

/// One zone while its records are changed.
struct Writer<'a> {
    host: &'a Ispconfig,
    id: u64,
    place: Place,
    client: u64,
    owner: &'a OwnerMark,
}

impl Ispconfig {
    pub(super) async fn list_records(&self, zone: &ZoneId) -> Result<Vec<Record>, ProviderError> {
        let id = wire::id(&zone.0)?;
        let name = self.place(id).await?.name;
        let rows = self.record_rows(id).await?;
        Ok(rows.iter().filter_map(|row| record_of(row, &name)).collect())
    }

    /// The panel stores a name in several forms; all of them hold its first label, which it can search for.
    pub(super) async fn list_records_of(
        &self,
        zone: &ZoneId,
        name: &RecordName,
    ) -> Result<Vec<Record>, ProviderError> {
        let id = wire::id(&zone.0)?;
        let zone_name = self.place(id).await?.name;
        let rows = match name
            .relative_to(&zone_name)
            .and_then(|below| below.split('.').next())
        {
            Some(label) => {
                let filter = object([("zone", id.into()), ("name", format!("%{label}%").into())]);
                let value = self
                    .client
                    .value(Ask::read("dns_a_get").with("primary_id", filter))
                    .await?;
                wire::rows("dns_a_get", value)?
            }
            None => self.record_rows(id).await?,
        };
        let records = rows.iter().filter(|row: &&RecordRow| row.zone == id);
        Ok(records
            .filter_map(|row| record_of(row, &zone_name))
            .filter(|record| record.spec.name == *name)
            .collect())
    }

    pub(super) async fn change_records(
        &self,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Outcome> {
        let steps: Vec<Result<Step, ProviderError>> =
            changes.iter().map(|change| step(change, owner)).collect();
        let needs_client = steps
            .iter()
            .any(|step| matches!(step, Ok(Step::Add(..) | Step::Update(..))));
        if !needs_client && !steps.iter().any(|step| matches!(step, Ok(Step::Delete(_)))) {
            return steps
                .into_iter()
                .map(|step| match step? {
                    Step::Nothing(record) => Ok(Some(record)),
                    _ => Ok(None),
                })
                .collect();
        }
        let id = match wire::id(&zone.0) {
            Ok(id) => id,
            Err(error) => return changes.iter().map(|_| Err(error.clone())).collect(),
        };
        let lock = self.learned.lock(id);
        let _guard = lock.lock().await;
        let mut halted = None;
        let writer = match self.writer(id, needs_client, owner).await {
            Ok(writer) => Some(writer),
            Err(error) => {
                halted = Some(error);
                None
            }
        };
        let mut outcomes = Vec::with_capacity(steps.len());
        for step in steps {
            let outcome = match (step, &halted, &writer) {
                (Err(error), _, _) => Err(error),
                (Ok(Step::Nothing(record)), _, _) => Ok(Some(record)),
                (Ok(step), None, Some(writer)) => {
                    let outcome = writer.send(step).await;
                    halted = outcome.as_ref().err().filter(|error| !is_refusal(error)).cloned();
                    outcome
                }
                (Ok(_), Some(error), None) => Err(error.clone()),
                (Ok(_), Some(error), Some(_)) => Err(not_sent(error)),
                // Unreachable: without a writer there is a reason.
                (Ok(_), None, None) => Err(ProviderError::new(
                    ErrorKind::Unexpected,
                    "the change was not sent",
                )),
            };
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn writer<'a>(
        &'a self,
        id: u64,
        needs_client: bool,
        owner: &'a OwnerMark,
    ) -> Result<Writer<'a>, ProviderError> {
        let place = self.place(id).await?;
        let client = match needs_client {
            true => self.client_of(place.user).await?,
            false => 0,
        };
        Ok(Writer {
            host: self,
            id,
            place,
            client,
            owner,
        })
    }
}

impl Writer<'_> {
    async fn send(&self, step: Step) -> Outcome {
        match step {
            Step::Nothing(record) => Ok(Some(record)),
            Step::Add(spec, columns) => self.add(spec, &columns).await.map(Some),
            Step::Update(seen, spec, columns) => self.update(&seen, spec, &columns).await.map(Some),
            Step::Delete(seen) => self.delete(&seen).await.map(|()| None),
        }
    }

    /// Every field that a record has: what is absent is stored as something else than one would think.
    fn parameters(
        &self,
        spec: &RecordSpec,
        columns: &Columns,
    ) -> Result<serde_json::Map<String, Value>, ProviderError> {
        Ok(object([
            ("server_id", self.place.server.into()),
            ("zone", self.id.into()),
            ("name", sent(&spec.name, columns.kind, &self.place.name)?.into()),
            ("type", columns.kind.as_str().into()),
            ("data", columns.data.as_str().into()),
            ("aux", columns.aux.into()),
            ("ttl", spec.ttl.unwrap_or(TTL_DEFAULT).into()),
            ("active", "Y".into()),
            (
                "stamp",
                Timestamp::now().strftime("%Y-%m-%d %H:%M:%S").to_string().into(),
            ),
            ("serial", 1.into()),
        ]))
    }

    fn ours(&self, id: u64, spec: RecordSpec) -> Record {
        Record {
            id: RecordId(id.to_string()),
            mark: Some(self.owner.clone()),
            spec,
        }
    }

    async fn add(&self, spec: RecordSpec, columns: &Columns) -> Result<Record, ProviderError> {
        let function = functions(columns.kind).add;
        let ask = Ask::write(function)
            .with("client_id", self.client)
            .with("params", self.parameters(&spec, columns)?)
            .with_serial();
        match self.host.client.value_or_alert(ask).await? {
            Ok(value) => Ok(self.ours(new_id(function, &value)?, spec)),
            Err(alert) => {
                // The zone is gone, and what was added is seen by nobody: ask before the next one.
                self.host.learned.forget(self.id);
                Err(alert)
            }
        }
    }

    async fn update(
        &self,
        seen: &Record,
        spec: RecordSpec,
        columns: &Columns,
    ) -> Result<Record, ProviderError> {
        let id = wire::id(&seen.id.0)?;
        let function = functions(columns.kind).update;
        // `zone` is among the parameters: without it the serial would stay.
        let ask = Ask::write(function)
            .with("client_id", self.client)
            .with("primary_id", id)
            .with("params", self.parameters(&spec, columns)?)
            .with_serial();
        let answer = self.host.client.value_or_alert(ask).await?;
        if let Ok(value) = &answer
            && affected(function, value)? > 0
        {
            return Ok(self.ours(id, spec));
        }
        // Nothing changed, or there is nothing of that number: its row tells.
        let now = self
            .row(id)
            .await
            .map_err(|error| error.as_kind(ErrorKind::Ambiguous))?;
        let Some(now) = now else {
            let message = format!("{}: the record was deleted meanwhile", spec.name);
            return Err(ProviderError::new(ErrorKind::NotFound, message));
        };
        match answer {
            Ok(_) if now.spec == spec => Ok(self.ours(id, spec)),
            Ok(_) => {
                let message = format!("{}: ISPConfig did not take the change", spec.name);
                Err(ProviderError::new(ErrorKind::Ambiguous, message))
            }
            Err(alert) => Err(alert),
        }
    }

    async fn delete(&self, seen: &Record) -> Result<(), ProviderError> {
        let id = wire::id(&seen.id.0)?;
        let function = functions_for(&seen.spec).delete;
        let ask = Ask::write(function).with("primary_id", id).with_serial();
        match self.host.client.value_or_alert(ask).await? {
            Ok(value) => affected(function, &value).map(|_| ()),
            // Gone before, unless its row says something else.
            Err(alert) => match self.row(id).await {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(alert),
                Err(error) => Err(error.as_kind(ErrorKind::Ambiguous)),
            },
        }
    }

    /// One record as it is now, `None` when the zone has none of that number.
    async fn row(&self, id: u64) -> Result<Option<Record>, ProviderError> {
        let value = self
            .host
            .client
            .value(Ask::read("dns_a_get").with("primary_id", id))
            .await?;
        let row: Option<RecordRow> = wire::row("dns_a_get", value)?;
        let row = row.filter(|row| row.id == id && row.zone == self.id);
        Ok(row.and_then(|row| record_of(&row, &self.place.name)))
    }
}
