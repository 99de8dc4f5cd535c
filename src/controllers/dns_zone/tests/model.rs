//! The world outside as two lists: actions change it, fail, lose their answers or end with the operator, and whatever
//! must never happen is written down. `look` does what `observe` does, `pass` what the runner does.

use std::collections::{BTreeSet, VecDeque};

use super::super::act::absorb;
use super::super::plan::live;
use super::super::remove::gone;
use super::super::zone::{ChangeOutcome, Done};
use super::super::{ZoneKind, report};
use super::*;
use crate::api::DeletionPolicy;
use crate::controllers::runner::{Acted, Outcome, after_failure};

/// Rounds of one pass, as in the runner.
const ROUNDS_MAX: u32 = 24;

/// What becomes of an action. The number says which of several changes it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Works,
    /// Nothing happens from here on.
    Fails(usize),
    /// The vendor does not take this one.
    Refuses(usize),
    /// It happens, and nobody hears of it; nothing follows.
    LosesAnswer(usize),
    /// It happens, and the operator is gone before it can store anything.
    Crashes(usize),
}

/// A record, and whether the object made it or took it over and nobody changed it since.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) ours: bool,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) terms: Terms,
    /// The zone, and whether it is the object's.
    pub(super) zone: Option<(Zone, bool)>,
    pub(super) rows: Vec<Row>,
    pub(super) fates: VecDeque<Fate>,
    pub(super) violations: Vec<String>,
    /// Actions of the last pass.
    pub(super) acted: Vec<String>,
    serial: u32,
}

impl World {
    pub(super) fn empty(terms: Terms) -> Self {
        Self {
            terms,
            zone: None,
            rows: Vec::new(),
            fates: VecDeque::new(),
            violations: Vec::new(),
            acted: Vec::new(),
            serial: 0,
        }
    }

    fn number(&mut self) -> String {
        self.serial += 1;
        self.serial.to_string()
    }

    /// Somebody makes the zone.
    pub(super) fn add_zone(&mut self) {
        let id = self.number();
        let made = self.terms.abilities.marks.then(|| at(CREATED - 1_000));
        let found = Zone {
            created: made,
            ..zone(&id)
        };
        self.zone = Some((found, false));
    }

    /// Somebody makes a record.
    pub(super) fn add_record(&mut self, spec: RecordSpec) {
        let id = self.number();
        self.rows.push(Row {
            record: record(&id, None, spec),
            ours: false,
        });
    }

    /// Records of other people, to be compared.
    pub(super) fn foreign(&self) -> Vec<Record> {
        let theirs = self.rows.iter().filter(|row| !row.ours);
        theirs.map(|row| row.record.clone()).collect()
    }

    /// The records with our mark in ours, whatever the vendor shows.
    pub(super) fn unveiled(&self) -> Vec<Record> {
        let shown = |row: &Row| Record {
            mark: row.ours.then(|| mark(UID)),
            ..row.record.clone()
        };
        self.rows.iter().map(shown).collect()
    }

    fn records(&self) -> Vec<Record> {
        match self.terms.abilities.marks {
            true => self.unveiled(),
            false => self.rows.iter().map(|row| row.record.clone()).collect(),
        }
    }

    /// What an adoption made ours: the status says it, and only what was wanted just so may be in it.
    fn note_adopted(&mut self, status: &DnsZoneStatus) {
        if status.origin != Some(ZoneOrigin::Adopted) {
            return;
        }
        if let Some((_, ours)) = &mut self.zone {
            *ours = true;
        }
        let proofs = Proofs::of(status);
        for row in self.rows.iter_mut().filter(|row| !row.ours) {
            let wanted = self.terms.wanted.iter().any(|one| one.spec == row.record.spec);
            let known = proofs.owned.contains_key(&row.record.id.0);
            match (known, wanted && self.terms.adopt) {
                (true, true) => row.ours = true,
                (true, false) => self.violations.push(format!("{row:?} was taken for ours")),
                (false, _) => {}
            }
        }
    }

    /// One pass. `None` when the operator crashed in it.
    pub(super) fn pass(&mut self, stored: &mut DnsZoneStatus, deleting: bool) -> Option<Next> {
        self.acted.clear();
        let mut subject = subject(stored.clone(), deleting);
        let mut known = Observed::default();
        for _ in 0..ROUNDS_MAX {
            let (next, observed) = self.round(&mut subject, known)?;
            known = observed;
            let in_memory = matches!(
                next,
                Next::Again { persist: false } | Next::Closer | Next::Released { announce: false }
            );
            if !in_memory {
                *stored = subject.status.clone();
                self.note_adopted(stored);
            }
            match next {
                Next::Again { .. } => {}
                other => return Some(other),
            }
        }
        self.violations
            .push(format!("a pass without an end: {:?}", self.acted));
        None
    }

    fn look(&self, subject: &ZoneSubject, mut known: Observed) -> Observed {
        known.terms = Some(self.terms.clone());
        known.proofs.get_or_insert_with(|| Proofs::of(&subject.status));
        if known.zone.is_unread() {
            known.zone = Fact::Known(self.zone.as_ref().map(|(zone, _)| zone.clone()));
        }
        if let Fact::Known(Some(zone)) = &known.zone
            && known.records.is_unread()
            && self.terms.origin_of(zone, &subject.status).is_some()
        {
            known.records = Fact::Known(self.records());
        }
        known
    }

    fn round(&mut self, subject: &mut ZoneSubject, known: Observed) -> Option<(Next, Observed)> {
        let mut observed = self.look(subject, known);
        let plan = match subject.deleting {
            true => gone(&subject.status, DeletionPolicy::Delete, &observed),
            false => live(&subject.status, &observed),
        };
        self.violations
            .extend(super::properties::faults_of(&plan, &subject.status, &observed));
        let mut next = plan.next;
        let mut outcomes: Vec<Acted<'_, ZoneKind>> = Vec::new();
        for action in &plan.actions {
            self.acted.push(line(action));
            let fate = self.fates.pop_front().unwrap_or(Fate::Works);
            // As the runner stores it, an adoption counts from the plan on that acts on it.
            let done = self.act(action, fate);
            if matches!(fate, Fate::Crashes(_)) {
                return None;
            }
            match &done {
                Ok(done) => observed = absorb(observed, done),
                Err(error) => next = after_failure(error),
            }
            outcomes.push((action, done.map(Outcome::Done)));
        }
        subject.status = report::status(subject, &plan.verdict, &outcomes, at(CREATED + 60));
        Some((next, observed))
    }

    fn act(&mut self, action: &Action, fate: Fate) -> Result<Done, ProviderError> {
        if let Action::Change(_, changes) = action {
            return Ok(Done::Changed(self.change(changes, fate)));
        }
        match fate {
            Fate::Fails(_) => return Err(error(ErrorKind::Unavailable)),
            Fate::Refuses(_) if matches!(action, Action::CreateZone(_)) => {
                return Err(error(ErrorKind::Throttled { retry_after: None }));
            }
            _ => {}
        }
        let done = match action {
            Action::CreateZone(_) => self.create_zone(),
            Action::UpdateZone(..) => return Err(error(ErrorKind::Unexpected)),
            Action::DeleteZone(id) => self.delete_zone(id),
            Action::Change(..) => return Err(error(ErrorKind::Unexpected)),
        };
        match fate {
            Fate::LosesAnswer(_) => Err(error(ErrorKind::Ambiguous)),
            _ => Ok(done),
        }
    }

    fn create_zone(&mut self) -> Done {
        if let Some((zone, _)) = &self.zone {
            return Done::Found(zone.clone());
        }
        let id = self.number();
        let made = Zone {
            created: self.terms.abilities.marks.then(|| at(CREATED + 1)),
            ..zone(&id)
        };
        self.zone = Some((made.clone(), true));
        Done::Created(made)
    }

    fn delete_zone(&mut self, id: &ZoneId) -> Done {
        let ours = matches!(&self.zone, Some((zone, true)) if zone.id == *id);
        if !ours {
            self.violations
                .push(format!("{id:?} is not ours: {:?}", self.zone));
        }
        let left = self
            .rows
            .iter()
            .filter(|row| !row.ours || !self.terms.abilities.marks);
        let left: Vec<String> = left
            .map(|row| format!("{row:?} went or stayed behind unseen"))
            .collect();
        self.violations.extend(left);
        (self.zone, self.rows) = (None, Vec::new());
        Done::Deleted
    }

    fn change(&mut self, changes: &[(RecordChange, Option<usize>)], fate: Fate) -> Vec<ChangeOutcome> {
        let hit = |at: usize| at % changes.len().max(1);
        let mut halted = None;
        let mut outcomes = Vec::new();
        for (at, (change, index)) in changes.iter().enumerate() {
            let here = |hit_at: usize| hit(hit_at) == at;
            let result = match fate {
                _ if halted.is_some() => Err(error(ErrorKind::Unavailable)),
                Fate::Fails(n) if here(n) => Err(error(ErrorKind::Unavailable)),
                Fate::Refuses(n) if here(n) => Err(error(ErrorKind::Invalid)),
                Fate::LosesAnswer(n) if here(n) => {
                    let _ = self.change_one(change);
                    Err(error(ErrorKind::Ambiguous))
                }
                Fate::Crashes(n) if n > 0 && hit(n) < at => {
                    halted = Some(());
                    Err(error(ErrorKind::Unavailable))
                }
                _ => Ok(self.change_one(change)),
            };
            if matches!(&result, Err(error) if error.kind() != ErrorKind::Invalid) {
                halted = Some(());
            }
            outcomes.push(ChangeOutcome {
                change: change.clone(),
                index: *index,
                result,
            });
        }
        outcomes
    }

    /// Like ISPConfig, it takes what is there already a second time without a word.
    fn change_one(&mut self, change: &RecordChange) -> Option<Record> {
        let (before, spec) = match change {
            RecordChange::Create(spec) => (None, Some(spec)),
            RecordChange::Update(seen, spec) | RecordChange::Adopt(seen, spec) => (Some(seen), Some(spec)),
            RecordChange::Delete(seen) => (Some(seen), None),
        };
        let id = match before {
            Some(seen) => seen.id.0.clone(),
            None => self.number(),
        };
        if let Some(seen) = before {
            let row = self.rows.iter().find(|row| row.record.id == seen.id);
            if row.is_some_and(|row| !row.ours) {
                self.violations.push(format!("{change:?} is of {row:?}"));
            }
            self.rows.retain(|row| row.record.id != seen.id);
        }
        let made = record(&id, None, spec?.clone());
        self.rows.push(Row {
            record: made.clone(),
            ours: true,
        });
        Some(Record { mark: own(), ..made })
    }
}

/// The labels of records, to compare sets.
pub(super) fn ids(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| record.id.0.clone()).collect()
}
