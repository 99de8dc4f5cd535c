//! What all kinds say in the same words: why nothing is done, and what an error is called.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::condition::{Finding, State, kinds, merge, reasons};
use crate::providers::{ErrorKind, ProviderError};

/// What an object says for which everything can be done.
pub const SYNCED_MESSAGE: &str = "Acting as asked.";

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
