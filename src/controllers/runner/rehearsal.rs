//! A pass without its deeds: observe and plan as the runner does, round by round, up to the first round that would
//! change something. Nothing is done and nothing is stored; the report of each round lives in memory only.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use tokio::time::timeout;

use super::ROUNDS_MAX;
use super::kind::{Kind, Next, Plan, Subject};
use crate::api::FINALIZER;
use crate::api::condition::{kinds, reasons};

/// Which way something changes outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It is made.
    Add,
    /// It becomes different.
    Alter,
    /// It goes.
    Remove,
}

/// One change outside, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which way.
    pub sign: Sign,
    /// What: "record www A 192.0.2.1 (ttl 3600)".
    pub what: String,
}

impl Difference {
    /// A change.
    pub fn new(sign: Sign, what: impl Into<String>) -> Self {
        Self {
            sign,
            what: what.into(),
        }
    }
}

/// Something that is not as asked and that no change of the pass puts right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// One word, as in the status.
    pub reason: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// What a kind can tell beyond the actions of a round.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Changes of later rounds and passes, as far as they can be known.
    pub then: Vec<Difference>,
    /// Parts of the object that are refused or in conflict.
    pub complaints: Vec<Complaint>,
}

/// A kind whose passes can be told beforehand.
pub trait Foretell: Kind {
    /// What an action changes.
    fn describe(&self, subject: &Subject<Self>, action: &Self::Action) -> Vec<Difference>;

    /// What will follow the actions of a plan, and what in the object is refused.
    fn foresee(
        &self,
        subject: &Subject<Self>,
        observed: &Self::Observed,
        plan: &Plan<Self::Action, Self::Verdict>,
    ) -> Foresight;

    /// Enters what an action would hold into the indexes of this process, so that the other objects of the same dry
    /// run are told of something else.
    fn rehearsed(&self, subject: &Subject<Self>, action: &Self::Action);
}

/// What a pass would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// What it would change first.
    pub changes: Vec<Difference>,
    /// What would follow, as far as it can be known.
    pub then: Vec<Difference>,
    /// What is refused, in conflict or out of reach.
    pub complaints: Vec<Complaint>,
    /// Something at a back-end is awaited before the next step, in these words.
    pub awaits: Option<String>,
    /// Nothing is done, for the object is paused.
    pub paused: bool,
}

/// Plays one pass of an object with precise reads. `deadline` bounds one observation, as in a pass.
pub async fn rehearse<K: Foretell>(kind: &K, object: Arc<K::Object>, deadline: Duration) -> Rehearsal {
    let deleting = object.meta().deletion_timestamp.is_some();
    let held = object.finalizers().iter().any(|name| name == FINALIZER);
    if deleting && !(held && K::FINALIZES) {
        return Rehearsal::default();
    }
    let mut subject = Subject::<K> {
        status: K::status(&object),
        object,
        deleting,
        precise: true,
    };
    if subject.is_paused() {
        return Rehearsal {
            paused: true,
            ..Rehearsal::default()
        };
    }
    let mut known = K::Observed::default();
    for _ in 0..ROUNDS_MAX {
        let Ok(observed) = timeout(deadline, kind.observe(&subject, known)).await else {
            return late(deadline);
        };
        let now = Timestamp::now();
        let plan = kind.plan(&subject, &observed, now);
        let status = kind.report(&subject, &plan.verdict, &[], now);
        let goes_on = matches!(plan.next, Next::Again { .. } | Next::Closer);
        if plan.actions.is_empty() && goes_on {
            subject.status = status;
            known = match plan.next {
                Next::Closer => K::Observed::default(),
                _ => observed,
            };
            continue;
        }
        return told(kind, &subject, &observed, &plan, &status);
    }
    tracing::warn!(rounds = ROUNDS_MAX, "the dry run did not come to an end");
    Rehearsal::default()
}

/// What the last round says.
fn told<K: Foretell>(
    kind: &K,
    subject: &Subject<K>,
    observed: &K::Observed,
    plan: &Plan<K::Action, K::Verdict>,
    status: &K::Status,
) -> Rehearsal {
    let describe = |action| kind.describe(subject, action);
    let changes: Vec<Difference> = plan.actions.iter().flat_map(describe).collect();
    let Foresight { then, mut complaints } = kind.foresee(subject, observed, plan);
    plan.actions
        .iter()
        .for_each(|action| kind.rehearsed(subject, action));
    let find = |kind: &str| {
        K::conditions(status)
            .iter()
            .find(|condition| condition.type_ == kind && condition.status == "False")
    };
    // The condition sums the parts up, which are named by themselves.
    if let Some(synced) = find(kinds::SYNCED).filter(|_| complaints.is_empty())
        && synced.reason != reasons::RETAINED
    {
        complaints.push(Complaint {
            reason: synced.reason.clone(),
            message: synced.message.clone(),
        });
    }
    let waits = changes.is_empty() && complaints.is_empty() && plan.next == Next::Poll;
    let ready = find(kinds::READY).filter(|_| waits);
    Rehearsal {
        changes,
        then,
        complaints,
        awaits: ready.map(|ready| ready.message.clone()),
        paused: false,
    }
}

fn late(deadline: Duration) -> Rehearsal {
    let message = format!(
        "looking at the back-ends took longer than {} s; try again, or look at the Provider's status",
        deadline.as_secs()
    );
    Rehearsal {
        complaints: vec![Complaint {
            reason: reasons::UNAVAILABLE.to_owned(),
            message,
        }],
        ..Rehearsal::default()
    }
}
