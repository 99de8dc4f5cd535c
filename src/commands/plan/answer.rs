//! The answer of a dry run, for people and for programs. The JSON is documented in `docs/plan.md` and does not change
//! without a new `format`.

use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::manifest::{Document, Laid};
use crate::commands::ink::{Ink, harmless};
use crate::controllers::runner::{Complaint, Difference, Rehearsal, Sign};

/// Version of the JSON.
const FORMAT: u32 = 1;

/// How an object ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// As it shall be.
    Unchanged,
    /// Something would change.
    Changes,
    /// Something is under way, and changes may follow.
    Waiting,
    /// Something is refused, in conflict or out of reach. Other parts may change all the same.
    Blocked,
    /// Nothing is done until the annotation is removed.
    Paused,
}

/// Which way, as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Way {
    Add,
    Alter,
    Remove,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeAnswer {
    change: Way,
    what: String,
}

impl From<Difference> for ChangeAnswer {
    fn from(difference: Difference) -> Self {
        let change = match difference.sign {
            Sign::Add => Way::Add,
            Sign::Alter => Way::Alter,
            Sign::Remove => Way::Remove,
        };
        Self {
            change,
            what: difference.what,
        }
    }
}

/// What keeps an object from being as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// One word, as in the status.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl From<Complaint> for Problem {
    fn from(complaint: Complaint) -> Self {
        Self {
            reason: complaint.reason,
            message: complaint.message,
        }
    }
}

/// What would happen to one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectAnswer {
    kind: &'static str,
    namespace: String,
    name: String,
    /// It is in the cluster already.
    exists: bool,
    result: Standing,
    /// What a pass would change first.
    changes: Vec<ChangeAnswer>,
    /// What would follow, as far as it can be known.
    then: Vec<ChangeAnswer>,
    problems: Vec<Problem>,
    notes: Vec<String>,
}

impl ObjectAnswer {
    /// From a rehearsed pass.
    pub fn of<K: Resource>(kind: &'static str, laid: &Laid<K>, rehearsal: Rehearsal) -> Self {
        let Rehearsal {
            changes,
            then,
            complaints,
            awaits,
            paused,
        } = rehearsal;
        let result = match () {
            () if paused => Standing::Paused,
            () if !complaints.is_empty() => Standing::Blocked,
            () if !changes.is_empty() => Standing::Changes,
            () if awaits.is_some() || !then.is_empty() => Standing::Waiting,
            () => Standing::Unchanged,
        };
        let mut notes = laid.notes.clone();
        notes.extend(awaits);
        if laid.object.meta().deletion_timestamp.is_some() {
            notes.push("The object is being deleted.".to_owned());
        }
        Self {
            kind,
            namespace: laid.object.namespace().unwrap_or_default(),
            name: laid.object.name_any(),
            exists: laid.exists,
            result,
            changes: changes.into_iter().map(Into::into).collect(),
            then: then.into_iter().map(Into::into).collect(),
            problems: complaints.into_iter().map(Into::into).collect(),
            notes,
        }
    }

    /// A manifest that the API server would refuse.
    pub fn refused(document: &Document, exists: bool, problem: Problem) -> Self {
        Self {
            kind: document.kind.name(),
            namespace: document.namespace.clone(),
            name: document.name.clone(),
            exists,
            result: Standing::Blocked,
            changes: Vec::new(),
            then: Vec::new(),
            problems: vec![problem],
            notes: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    objects: usize,
    unchanged: usize,
    changes: usize,
    waiting: usize,
    blocked: usize,
    paused: usize,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    format: u32,
    exit_code: u8,
    counts: Counts,
    objects: Vec<ObjectAnswer>,
    /// Documents of the files that are no sites and no zones.
    skipped: Vec<String>,
    /// Objects of the cluster that are not understood.
    warnings: Vec<String>,
}

impl Answer {
    /// No object yet.
    pub fn new(skipped: Vec<String>, warnings: &[String]) -> Self {
        Self {
            format: FORMAT,
            exit_code: 0,
            counts: Counts::default(),
            objects: Vec::new(),
            skipped,
            warnings: warnings.to_vec(),
        }
    }

    /// Adds objects.
    pub fn add(&mut self, objects: Vec<ObjectAnswer>) {
        self.objects.extend(objects);
    }

    /// 1 when something is blocked, else 2 when something would change or is under way, else 0.
    pub fn exit_code(&self) -> u8 {
        let any = |standing| self.objects.iter().any(|object| object.result == standing);
        match (
            any(Standing::Blocked),
            any(Standing::Changes) || any(Standing::Waiting),
        ) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        }
    }

    /// With its sums.
    pub fn finished(&self) -> Self {
        let count = |standing| {
            let these = self.objects.iter().filter(|object| object.result == standing);
            these.count()
        };
        Self {
            exit_code: self.exit_code(),
            counts: Counts {
                objects: self.objects.len(),
                unchanged: count(Standing::Unchanged),
                changes: count(Standing::Changes),
                waiting: count(Standing::Waiting),
                blocked: count(Standing::Blocked),
                paused: count(Standing::Paused),
            },
            ..self.clone()
        }
    }

    /// For people.
    pub fn text(&self, colours: bool) -> String {
        let ink = Ink::new(colours);
        let mut lines = Vec::new();
        for object in &self.objects {
            object.lines(ink, &mut lines);
        }
        lines.extend(
            self.skipped
                .iter()
                .map(|what| format!("{} {what}", ink.dim("not planned:"))),
        );
        lines.extend(
            self.warnings
                .iter()
                .map(|what| format!("{} {what}", ink.red("warning:"))),
        );
        let Counts {
            objects,
            unchanged,
            changes,
            waiting,
            blocked,
            paused,
        } = self.counts;
        lines.push(format!(
            "{objects} objects: {unchanged} unchanged, {changes} with changes, {waiting} waiting, {blocked} blocked, {paused} paused"
        ));
        lines.push(String::new());
        lines.join("\n")
    }
}

impl ObjectAnswer {
    fn lines(&self, ink: Ink, lines: &mut Vec<String>) {
        let title = format!("{} {}/{}", self.kind, self.namespace, self.name);
        let standing = match self.result {
            Standing::Unchanged => ink.dim("nothing to do"),
            Standing::Changes => self.count(),
            Standing::Waiting => "under way".to_owned(),
            Standing::Blocked if self.changes.is_empty() => ink.red("blocked"),
            Standing::Blocked => format!("{}, and in part {}", self.count(), ink.red("blocked")),
            Standing::Paused => "paused by hostwright.dev/paused, nothing is done".to_owned(),
        };
        let new = if self.exists { "" } else { " (new)" };
        lines.push(format!("{}{new}: {standing}", ink.bold(&title)));
        lines.extend(
            self.changes
                .iter()
                .map(|change| format!("  {}", change.line(ink))),
        );
        if !self.then.is_empty() {
            lines.push(format!("  {}", ink.dim("then:")));
            lines.extend(self.then.iter().map(|change| format!("  {}", change.line(ink))));
        }
        for problem in &self.problems {
            let Problem { reason, message } = problem;
            lines.push(format!("  {} {reason}: {message}", ink.red("!")));
        }
        lines.extend(self.notes.iter().map(|note| format!("  {}", ink.dim(note))));
    }

    fn count(&self) -> String {
        match self.changes.len() + self.then.len() {
            1 => "1 change".to_owned(),
            count => format!("{count} changes"),
        }
    }
}

impl ChangeAnswer {
    fn line(&self, ink: Ink) -> String {
        let what = harmless(&self.what);
        match self.change {
            Way::Add => ink.green(&format!("+ {what}")),
            Way::Alter => ink.yellow(&format!("~ {what}")),
            Way::Remove => ink.red(&format!("- {what}")),
        }
    }
}
