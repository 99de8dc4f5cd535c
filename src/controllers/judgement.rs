//! What all kinds say in the same words: why nothing is done, and what an error is called.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::condition::{Finding, State, kinds, merge, reasons};
use crate::providers::{ErrorKind, ProviderError};

/// What an object says for which everything can be done.
pub const SYNCED_MESSAGE: &str = "Acting as asked.";

/// Reasons of parts that are being worked on: they say nothing that the whole would have to repeat.
const UNDER_WAY: [&str; 6] = [
    reasons::WAITING,
    reasons::PROVISIONING,
    reasons::QUEUED,
    reasons::TASK_RUNNING,
    reasons::TASK_FAILED,
    reasons::DELETING,
];

/// Why nothing more is done until somebody changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// One of [`reasons`].
    pub reason: &'static str,
    /// What, which object, what to do.
    pub message: String,
    /// It says nothing about the site itself: one that was up is taken to be up.
    pub keeps_ready: bool,
}

/// The reason that goes with an error.
pub fn reason_of(error: &ProviderError) -> &'static str {
    match error.kind() {
        ErrorKind::Denied => reasons::DENIED,
        ErrorKind::Invalid => reasons::REFUSED,
        ErrorKind::Conflict => reasons::CONFLICT,
        ErrorKind::Throttled { .. } => reasons::THROTTLED,
        ErrorKind::Unavailable | ErrorKind::Ambiguous => reasons::UNAVAILABLE,
        ErrorKind::NotFound | ErrorKind::Unexpected => reasons::UNEXPECTED,
    }
}

/// Where an object stands, as far as its conditions care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Being made.
    Making,
    /// Was ready; a part is gone or broken and being repaired.
    Degraded,
    /// Being removed.
    Going,
}

/// What the conditions of an object are made of.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    /// A finding for each part, in the order in which they come about.
    pub parts: &'a [Finding],
    /// Nothing can be done.
    pub block: Option<&'a Block>,
    /// The part at which something failed, and how.
    pub failure: Option<&'a (&'static str, ProviderError)>,
    /// The object was Ready before this pass.
    pub was_ready: bool,
    /// Where it stands.
    pub stage: Stage,
    /// What it says when all is good.
    pub up: &'a str,
    /// What it says while it is removed.
    pub going: &'a str,
}

impl Summary<'_> {
    /// Ready, Synced, Stalled where it applies, and the parts.
    pub fn findings(&self) -> Vec<Finding> {
        let terminal = self
            .failure
            .filter(|(_, error)| error.kind() == ErrorKind::Invalid);
        let mut findings = vec![self.ready(), self.synced()];
        if let Some((_, error)) = terminal {
            findings.push(Finding::new(
                kinds::STALLED,
                State::True,
                reason_of(error),
                error.message(),
            ));
        }
        findings.extend(self.parts.iter().cloned());
        findings
    }

    fn part(&self, kind: &str) -> Option<&Finding> {
        self.parts.iter().find(|part| part.kind == kind)
    }

    fn ready(&self) -> Finding {
        let finding = |state, reason, message: &str| Finding::new(kinds::READY, state, reason, message);
        if let Some(Block {
            reason,
            message,
            keeps_ready,
        }) = self.block
            && !(*keeps_ready && self.was_ready)
        {
            return finding(State::False, reason, message);
        }
        if self.block.is_some() {
            return finding(State::True, reasons::READY, self.up);
        }
        if self.stage == Stage::Going {
            let message = self.failure.map_or(self.going, |(_, error)| error.message());
            return finding(State::False, reasons::DELETING, message);
        }
        let first_bad = self.parts.iter().find(|part| part.state != State::True);
        let failed = self.failure.and_then(|(kind, _)| self.part(kind));
        let Some(bad) = failed.or(first_bad) else {
            return finding(State::True, reasons::READY, self.up);
        };
        let reason = match (self.failure, self.stage) {
            (Some(_), _) => bad.reason,
            (None, _) if !UNDER_WAY.contains(&bad.reason) => bad.reason,
            (None, Stage::Degraded) => reasons::DEGRADED,
            (None, _) => reasons::PROVISIONING,
        };
        finding(State::False, reason, &bad.message)
    }

    fn synced(&self) -> Finding {
        let finding = |state, reason, message: &str| Finding::new(kinds::SYNCED, state, reason, message);
        match (self.block, self.failure) {
            (Some(block), _) if block.reason == reasons::RETAINED => {
                finding(State::True, reasons::SYNCED, SYNCED_MESSAGE)
            }
            (Some(block), _) => finding(State::False, block.reason, &block.message),
            (None, Some((kind, error))) => {
                let reason = self.part(kind).map_or(reason_of(error), |part| part.reason);
                finding(State::False, reason, error.message())
            }
            (None, None) => finding(State::True, reasons::SYNCED, SYNCED_MESSAGE),
        }
    }
}

/// Ready, Synced, and Stalled where trying again is of no use, of an object without parts.
pub fn findings(ready: &Finding, trouble: Option<&Finding>, stalled: bool) -> Vec<Finding> {
    let synced = trouble
        .filter(|trouble| trouble.reason != reasons::RETAINED)
        .cloned()
        .unwrap_or_else(|| Finding::new(kinds::SYNCED, State::True, reasons::SYNCED, SYNCED_MESSAGE));
    let stalled = trouble.filter(|_| stalled).map(|trouble| {
        let message = trouble.message.clone();
        Finding::new(kinds::STALLED, State::True, trouble.reason, message)
    });
    [Some(ready.clone()), Some(synced), stalled]
        .into_iter()
        .flatten()
        .collect()
}

/// The conditions of a paused object: as they were, with the word that nothing is done.
pub fn paused(old: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
    let message =
        "Paused by the annotation hostwright.dev/paused; nothing is done outside until it is removed.";
    let kept: Vec<_> = old
        .iter()
        .filter(|c| c.type_ != kinds::SYNCED && c.type_ != kinds::STALLED)
        .cloned()
        .collect();
    let synced = Finding::new(kinds::SYNCED, State::False, reasons::PAUSED, message);
    let synced = merge(old, &[synced], generation, now);
    let at = kept
        .iter()
        .position(|c| c.type_ == kinds::READY)
        .map_or(0, |at| at + 1);
    let (before, after) = kept.split_at(at.min(kept.len()));
    [before, &synced, after].concat()
}
