//! Doing: one action, one or few outside calls, and what came of it.

use super::resolve::Resolved;
use super::zone::{Action, ChangeOutcome, Done, Observed};
use super::{ZoneKind, ZoneSubject};
use crate::api::condition::kinds;
use crate::controllers::fact::Fact;
use crate::controllers::runner::Outcome;
use crate::providers::dns_host::RecordChange;
use crate::providers::{ErrorKind, ProviderError};

type Acted = Result<Outcome<Done>, ProviderError>;

impl ZoneKind {
    /// Does one action.
    pub(super) async fn perform(&self, subject: &ZoneSubject, action: &Action) -> Acted {
        let Resolved { terms, dns } = self
            .resolve(subject)
            .map_err(|refusal| ProviderError::new(ErrorKind::Unavailable, refusal.message))?;
        let name = &terms.spec.name;
        let host = dns.dns.as_ref();
        let done = match action {
            Action::CreateZone(spec) => {
                if !self.claims.hold(&subject.uid()) {
                    let message = format!("{name} was taken by another object a moment ago");
                    return Err(ProviderError::new(ErrorKind::Conflict, message));
                }
                dns.zone_list.changed(name);
                match host.create_zone(spec).await {
                    Ok(zone) => Done::Created(zone),
                    // Our own creation whose answer was lost, or somebody else's: the next round tells.
                    Err(error) if error.kind() == ErrorKind::Conflict => match host.zone(name).await? {
                        Some(zone) => Done::Found(zone),
                        None => return Err(error),
                    },
                    Err(error) => return Err(error),
                }
            }
            Action::UpdateZone(id, spec) => {
                dns.zone_list.changed(name);
                Done::Updated(host.update_zone(id, spec).await?)
            }
            Action::Change(zone, changes) => {
                let sent: Vec<RecordChange> = changes.iter().map(|(change, _)| change.clone()).collect();
                let results = host.apply(zone, &sent, &terms.owner).await;
                let outcomes = changes
                    .iter()
                    .zip(results)
                    .map(|((change, index), result)| ChangeOutcome {
                        change: change.clone(),
                        index: *index,
                        result,
                    });
                Done::Changed(outcomes.collect())
            }
            Action::DeleteZone(id) => {
                host.delete_zone(id).await?;
                dns.zone_list.changed(name);
                dns.delegation.forget(name);
                Done::Deleted
            }
        };
        Ok(Outcome::Done(done))
    }
}

/// Takes what an action brought into what is known.
pub(super) fn absorb(mut observed: Observed, done: &Done) -> Observed {
    match done {
        Done::Created(zone) => {
            observed.zone = Fact::Known(Some(zone.clone()));
            observed.records = Fact::Known(Vec::new());
            observed.changed = true;
        }
        Done::Found(zone) => observed.zone = Fact::Known(Some(zone.clone())),
        Done::Updated(zone) => {
            observed.zone = Fact::Known(Some(zone.clone()));
            observed.changed = true;
        }
        Done::Changed(outcomes) => {
            for outcome in outcomes {
                take(&mut observed, outcome);
            }
            // The serial has moved on.
            if matches!(&observed.zone, Fact::Known(Some(zone)) if zone.serial.is_some()) {
                observed.zone = Fact::Unread;
            }
            observed.changed = true;
        }
        Done::Deleted => {
            observed.zone = Fact::Known(None);
            observed.changed = true;
        }
    }
    observed
}

fn take(observed: &mut Observed, outcome: &ChangeOutcome) {
    let marks = observed.terms.as_ref().is_none_or(|terms| terms.abilities.marks);
    let proofs = observed.proofs.get_or_insert_default();
    let Fact::Known(records) = &mut observed.records else {
        return;
    };
    let before = match &outcome.change {
        RecordChange::Create(_) => None,
        RecordChange::Update(record, _) | RecordChange::Adopt(record, _) | RecordChange::Delete(record) => {
            Some(&record.id)
        }
    };
    match &outcome.result {
        Err(error) => {
            observed.failed.insert(outcome.index, error.clone());
        }
        Ok(after) => {
            records.retain(|record| Some(&record.id) != before);
            if let Some(before) = before {
                proofs.owned.remove(&before.0);
            }
            if let Some(record) = after {
                let mut record = record.clone();
                if !marks {
                    record.mark = None;
                    proofs.owned.insert(record.id.0.clone(), record.spec.digest());
                }
                records.push(record);
            }
        }
    }
}

/// Records that the event of a repair names.
const NAMED: usize = 3;

/// What an action puts right when the zone was as it shall be before.
pub(super) fn repair(action: &Action) -> Option<String> {
    match action {
        Action::CreateZone(spec) => Some(format!("the zone {} was gone", spec.name)),
        Action::UpdateZone(_, spec) => Some(format!("the settings of the zone {}", spec.name)),
        Action::Change(_, changes) => {
            let mut named: Vec<String> = changes
                .iter()
                .take(NAMED)
                .map(|(change, _)| words(change))
                .collect();
            if changes.len() > NAMED {
                named.push(format!("{} more", changes.len() - NAMED));
            }
            Some(named.join(", "))
        }
        Action::DeleteZone(_) => None,
    }
}

fn words(change: &RecordChange) -> String {
    let (what, spec) = match change {
        RecordChange::Create(spec) => ("was missing", spec),
        RecordChange::Update(_, spec) | RecordChange::Adopt(_, spec) => ("was different", spec),
        RecordChange::Delete(record) => ("was one too many", &record.spec),
    };
    let kind = spec.data.type_name();
    format!("the record {} {kind} {what}", spec.name)
}

/// The part that an action is for.
pub(super) fn part_of(action: &Action) -> &'static str {
    match action {
        Action::Change(..) => kinds::RECORDS_IN_SYNC,
        _ => kinds::ZONE_READY,
    }
}
