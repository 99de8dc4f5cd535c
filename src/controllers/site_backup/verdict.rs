//! What the planner says about a backup.

use jiff::Timestamp;

use crate::api::condition::{Finding, State, is_true, kinds, reasons};
use crate::api::{BackupPhase, SiteBackupStatus, SiteTask};
use crate::controllers::judgement::{self, reason_of};
use crate::providers::{ErrorKind, ProviderError};

/// What a backup says that is there.
const UP_MESSAGE: &str = "The snapshot exists.";

/// What the planner says about a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Leave phase and Ready as they are.
    pub unchanged: bool,
    /// Where it stands.
    pub phase: BackupPhase,
    /// Whether it is there.
    pub ready: Finding,
    /// Nothing can be done, or something failed.
    pub trouble: Option<Finding>,
    /// It is of no use to try again.
    pub stalled: bool,
    /// Name and time of the snapshot that was found.
    pub found: Option<(String, Option<Timestamp>)>,
    /// UID of the site, once it is known to be the one.
    pub site_uid: Option<String>,
    /// Tasks that are still under way; all others leave the status.
    pub tasks: Vec<SiteTask>,
    /// A new series of tries was asked for.
    pub try_anew: bool,
}

impl Verdict {
    /// As the status has it, or waiting.
    pub fn of(status: &SiteBackupStatus) -> Self {
        let phase = status.phase.unwrap_or(BackupPhase::Pending);
        let ready = match is_true(&status.conditions, kinds::READY) {
            true => Finding::new(kinds::READY, State::True, reasons::READY, UP_MESSAGE),
            false => waiting("Waiting for its turn."),
        };
        Self {
            unchanged: false,
            phase,
            ready,
            trouble: None,
            stalled: false,
            found: None,
            site_uid: status.site_uid.clone(),
            tasks: Vec::new(),
            try_anew: false,
        }
    }

    /// Something before it is awaited. What was reserved stays so.
    pub fn waits(&mut self, message: impl Into<String>) {
        if self.phase != BackupPhase::Terminating {
            self.phase = BackupPhase::Pending;
        }
        self.ready = waiting(message);
    }

    /// It is being worked on.
    pub fn works(&mut self, phase: BackupPhase, reason: &'static str, message: impl Into<String>) {
        self.phase = phase;
        self.ready = Finding::new(kinds::READY, State::False, reason, message);
    }

    /// It is there.
    pub fn good(&mut self, name: &str, taken_at: Option<Timestamp>) {
        self.phase = BackupPhase::Ready;
        self.ready = Finding::new(kinds::READY, State::True, reasons::READY, UP_MESSAGE);
        self.found = Some((name.to_owned(), taken_at));
    }

    /// The snapshot is gone for good.
    pub fn lost(&mut self, message: impl Into<String>) {
        self.works(BackupPhase::Lost, reasons::SNAPSHOT_LOST, message);
    }

    /// Nothing can be done until somebody changes something. One that is there stays so.
    pub fn blocked(&mut self, phase: BackupPhase, reason: &'static str, message: impl Into<String>) {
        let message: String = message.into();
        if self.ready.state != State::True || phase != BackupPhase::Ready {
            self.works(phase, reason, message.clone());
        }
        self.trouble = Some(Finding::new(kinds::SYNCED, State::False, reason, message));
    }

    /// An error of a back-end.
    pub fn failed(&mut self, error: &ProviderError) {
        let (reason, message) = (reason_of(error), error.message());
        self.fails(reason, message, error.kind() == ErrorKind::Invalid);
    }

    /// As [`Verdict::failed`], with a reason of its own.
    pub fn fails(&mut self, reason: &'static str, message: &str, stalled: bool) {
        if self.ready.state != State::True {
            self.ready = Finding::new(kinds::READY, State::False, reason, message);
        }
        self.trouble = Some(Finding::new(kinds::SYNCED, State::False, reason, message));
        self.stalled = stalled;
    }

    /// Ready, Synced, and Stalled where it applies.
    pub fn findings(&self) -> Vec<Finding> {
        judgement::findings(&self.ready, self.trouble.as_ref(), self.stalled)
    }
}

fn waiting(message: impl Into<String>) -> Finding {
    Finding::new(kinds::READY, State::False, reasons::WAITING, message)
}
