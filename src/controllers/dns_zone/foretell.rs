//! What a pass would do to a zone, in words, without doing it.

use super::plan;
use super::zone::{Action, Observed, Proofs, Terms};
use super::{ZoneKind, ZoneSubject};
use crate::api::{DnsZoneStatus, ZoneOrigin, ZoneRecord};
use crate::controllers::fact::Fact;
use crate::controllers::runner::{Complaint, Difference, Foresight, Foretell, Plan, Sign};
use crate::domain::Fqdn;
use crate::domain::dns::{RecordSpec, zone_name};
use crate::providers::dns_host::{RecordChange, Zone, ZoneId, ZoneSpec};

use super::verdict::{RecordError, Verdict};

/// Rounds in which the changes of the records are planned: one stores the intent, the next has the changes.
const ROUNDS: usize = 3;
/// Id of a zone that does not exist yet. No back-end has such an id, and nothing is ever sent with it.
const UNMADE: &str = "(not made yet)";

impl Foretell for ZoneKind {
    fn describe(&self, subject: &ZoneSubject, action: &Action) -> Vec<Difference> {
        words(action, zone_name(&subject.object.spec.zone).ok().as_ref())
    }

    fn foresee(&self, subject: &ZoneSubject, observed: &Observed, plan: &Plan<Action, Verdict>) -> Foresight {
        let Some(terms) = &observed.terms else {
            return Foresight::default();
        };
        let zone = Some(&terms.spec.name);
        let (mut then, mut errors) = (Vec::new(), plan.verdict.errors.clone());
        for action in &plan.actions {
            match imagined(terms, observed, action) {
                Some(imagined) => {
                    let (actions, verdict) = after(&subject.status, plan, imagined);
                    then.extend(actions.iter().flat_map(|action| words(action, zone)));
                    errors = verdict.errors;
                }
                None => {
                    // A zone in which somebody else has records is left to them.
                    let last = subject.deleting && plan.verdict.foreign == Some(0);
                    if last && matches!(action, Action::Change(..)) {
                        then.push(Difference::new(Sign::Remove, format!("zone {}", terms.spec.name)));
                    }
                }
            }
        }
        let records = &subject.object.spec.records;
        let complaints = errors.iter().map(|error| complaint(error, records));
        Foresight {
            then,
            complaints: complaints.collect(),
        }
    }

    fn rehearsed(&self, subject: &ZoneSubject, action: &Action) {
        if matches!(action, Action::CreateZone(_)) {
            self.claims.hold(&subject.uid());
        }
    }
}

/// The world once an action on the zone itself is done; `None` for the others.
fn imagined(terms: &Terms, observed: &Observed, action: &Action) -> Option<Observed> {
    let known = |zone: Zone, records| Observed {
        terms: Some(terms.clone()),
        zone: Fact::Known(Some(zone)),
        records,
        proofs: observed.proofs.clone(),
        ..Observed::default()
    };
    match action {
        Action::CreateZone(spec) => {
            let world = known(made(spec), Fact::Known(Vec::new()));
            Some(Observed {
                proofs: Some(Proofs::default()),
                ..world
            })
        }
        Action::UpdateZone(_, spec) => {
            let before = observed.zone.known().cloned().flatten()?;
            let zone = Zone {
                active: spec.active,
                soa: before.soa.as_ref().map(|_| spec.soa.clone()),
                ..before
            };
            Some(known(zone, observed.records.clone()))
        }
        _ => None,
    }
}

fn made(spec: &ZoneSpec) -> Zone {
    Zone {
        id: ZoneId(UNMADE.to_owned()),
        name: spec.name.clone(),
        active: spec.active,
        serial: None,
        soa: Some(spec.soa.clone()),
        name_servers: Vec::new(),
        created: None,
    }
}

/// The changes of the records in an imagined world, by the planner itself.
fn after(
    status: &DnsZoneStatus,
    before: &Plan<Action, Verdict>,
    imagined: Observed,
) -> (Vec<Action>, Verdict) {
    let zone = imagined.zone.known().cloned().flatten();
    let mut status = DnsZoneStatus {
        zone_id: zone.map(|zone| zone.id.0),
        origin: match before.verdict.origin {
            Some(ZoneOrigin::Adopted) => Some(ZoneOrigin::Adopted),
            _ => Some(ZoneOrigin::Created),
        },
        ..status.clone()
    };
    let mut next = plan::live(&status, &imagined);
    for _ in 1..ROUNDS {
        if !next.actions.is_empty() || next.next != plan::STORED_FIRST {
            break;
        }
        next.verdict.proofs.store(&mut status);
        next = plan::live(&status, &imagined);
    }
    (next.actions, next.verdict)
}

fn complaint(error: &RecordError, records: &[ZoneRecord]) -> Complaint {
    let index = error.index;
    let named = records.get(index).map(|record| {
        let name = if record.name.is_empty() { "@" } else { &record.name };
        format!(" ({name} {})", super::resolve::kind(record.type_))
    });
    Complaint {
        reason: error.reason.to_owned(),
        message: format!("records[{index}]{}: {}", named.unwrap_or_default(), error.message),
    }
}

/// What an action changes.
fn words(action: &Action, zone: Option<&Fqdn>) -> Vec<Difference> {
    match action {
        Action::CreateZone(spec) => vec![Difference::new(Sign::Add, format!("zone {}", spec.name))],
        Action::UpdateZone(_, spec) => {
            let state = if spec.active { "answered" } else { "not answered" };
            let what = format!("zone {} (start of authority by the Provider, {state})", spec.name);
            vec![Difference::new(Sign::Alter, what)]
        }
        Action::Change(_, changes) => changes
            .iter()
            .map(|(change, _)| record_words(change, zone))
            .collect(),
        Action::DeleteZone(_) => {
            let name = zone.map_or_else(String::new, ToString::to_string);
            vec![Difference::new(Sign::Remove, format!("zone {name}"))]
        }
    }
}

fn record_words(change: &RecordChange, zone: Option<&Fqdn>) -> Difference {
    match change {
        RecordChange::Create(spec) => Difference::new(Sign::Add, format!("record {}", full(spec, zone))),
        RecordChange::Delete(record) => {
            Difference::new(Sign::Remove, format!("record {}", full(&record.spec, zone)))
        }
        RecordChange::Update(record, spec) | RecordChange::Adopt(record, spec) => {
            let (old, name) = (&record.spec, short(spec, zone));
            let what = match (old.data == spec.data, old.ttl == spec.ttl) {
                (true, true) => full(spec, zone),
                (true, false) => format!("{name} {} ({} -> {})", spec.data, ttl(old), ttl(spec)),
                (false, true) => format!("{name} {} -> {} ({})", old.data, spec.data, ttl(spec)),
                (false, false) => {
                    format!(
                        "{name} {} ({}) -> {} ({})",
                        old.data,
                        ttl(old),
                        spec.data,
                        ttl(spec)
                    )
                }
            };
            Difference::new(Sign::Alter, format!("record {what}"))
        }
    }
}

fn full(spec: &RecordSpec, zone: Option<&Fqdn>) -> String {
    format!("{} {} ({})", short(spec, zone), spec.data, ttl(spec))
}

fn short(spec: &RecordSpec, zone: Option<&Fqdn>) -> String {
    let name = &spec.name;
    match zone {
        Some(zone) if name.is_apex(zone) => "@".to_owned(),
        Some(zone) => name.relative_to(zone).unwrap_or(name.as_str()).to_owned(),
        None => name.to_string(),
    }
}

fn ttl(spec: &RecordSpec) -> String {
    spec.ttl
        .map_or_else(|| "ttl automatic".to_owned(), |ttl| format!("ttl {ttl}"))
}
