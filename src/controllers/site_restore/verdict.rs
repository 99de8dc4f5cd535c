//! What the planner says about a restore.

use crate::api::condition::{Finding, State, kinds, reasons};
use crate::api::{RestorePhase, SiteRestoreStatus, SiteTask};
use crate::controllers::judgement::{self, reason_of};
use crate::providers::{ErrorKind, ProviderError};

/// What the planner says about a restore.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// It is history: leave it as it is.
    pub unchanged: bool,
    /// Where it stands.
    pub phase: RestorePhase,
    /// How it stands.
    pub ready: Finding,
    /// Nothing can be done, or something failed.
    pub trouble: Option<Finding>,
    /// It is of no use to try again.
    pub stalled: bool,
    /// UID of the site, once it is known to be the one.
    pub site_uid: Option<String>,
    /// Tasks that are still under way; all others leave the status.
    pub tasks: Vec<SiteTask>,
}

impl Verdict {
    /// As the status has it.
    pub fn of(status: &SiteRestoreStatus) -> Self {
        Self {
            unchanged: false,
            phase: status.phase.unwrap_or(RestorePhase::Pending),
            ready: unready(reasons::WAITING, "Waiting for its turn."),
            trouble: None,
            stalled: false,
            site_uid: status.site_uid.clone(),
            tasks: Vec::new(),
        }
    }

    /// It is being worked on.
    pub fn works(&mut self, reason: &'static str, message: impl Into<String>) {
        self.ready = unready(reason, message);
    }

    /// Something before it is awaited.
    pub fn waits(&mut self, message: impl Into<String>) {
        self.works(reasons::WAITING, message);
    }

    /// The site is up again.
    pub fn completed(&mut self) {
        self.phase = RestorePhase::Completed;
        let message = "The site was rolled back and is as asked again.";
        self.ready = Finding::new(kinds::READY, State::True, reasons::READY, message);
    }

    /// It is over, and the site was not rolled back.
    pub fn refused(&mut self, reason: &'static str, message: impl Into<String>) {
        self.phase = RestorePhase::Failed;
        self.blocked(reason, message);
    }

    /// Nothing can be done until somebody changes something.
    pub fn blocked(&mut self, reason: &'static str, message: impl Into<String>) {
        let message: String = message.into();
        self.ready = unready(reason, message.clone());
        self.trouble = Some(Finding::new(kinds::SYNCED, State::False, reason, message));
    }

    /// An error of a back-end.
    pub fn failed(&mut self, error: &ProviderError) {
        self.blocked(reason_of(error), error.message());
        self.stalled = error.kind() == ErrorKind::Invalid;
    }

    /// Ready, Synced, and Stalled where it applies.
    pub fn findings(&self) -> Vec<Finding> {
        judgement::findings(&self.ready, self.trouble.as_ref(), self.stalled)
    }
}

fn unready(reason: &'static str, message: impl Into<String>) -> Finding {
    Finding::new(kinds::READY, State::False, reason, message)
}
