//! What the planner says about a zone, part by part.

use crate::api::condition::{Finding, State, is_true, kinds, reasons};
use crate::api::{DnsZoneStatus, ZoneOrigin};
use crate::controllers::judgement::{Block, Stage, Summary, reason_of};
use crate::providers::ProviderError;
use crate::providers::dns_host::Zone;

use super::zone::{Observed, Proofs};

/// Why a record is not as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in spec.records.
    pub index: usize,
    /// One word.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Name servers of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Servers {
    /// They shall answer, in order.
    pub expected: Option<Vec<String>>,
    /// The parent zone delegates to them.
    pub observed: Option<Vec<String>>,
}

/// What the planner says about a zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Leave everything as it is but who answers for the zone: bulk reads agree with it, or could not be had.
    pub unchanged: bool,
    /// The zone was Ready before this pass.
    pub was_ready: bool,
    /// It is being removed.
    pub going: bool,
    /// One finding for each part.
    pub parts: Vec<Finding>,
    /// Nothing can be done.
    pub block: Option<Block>,
    /// The part at which something failed, and how.
    pub failure: Option<(&'static str, ProviderError)>,
    /// The zone as it is, once it is known to be ours.
    pub zone: Option<Zone>,
    /// How it came to the object.
    pub origin: Option<ZoneOrigin>,
    /// Records of ours without a mark.
    pub proofs: Proofs,
    /// Records that are not as they shall be.
    pub errors: Vec<RecordError>,
    /// Records that are not ours, once they were counted.
    pub foreign: Option<usize>,
    /// Records of the spec, and how many there may be.
    pub quota: Option<(usize, Option<usize>)>,
    /// Digest of what the records were brought to; `None` while they differ.
    pub digest: Option<String>,
    /// Who answers for the zone, as far as this pass learned it.
    pub nameservers: Servers,
    /// Something was changed outside.
    pub changed: bool,
}

impl Verdict {
    /// Everything as the status has it, or waiting.
    pub fn of(status: &DnsZoneStatus) -> Self {
        let known = |kind| known(status, kind);
        let parts = [kinds::ZONE_READY, kinds::RECORDS_IN_SYNC].map(|kind| {
            known(kind).unwrap_or_else(|| {
                Finding::new(kind, State::False, reasons::WAITING, "Waiting for the zone.")
            })
        });
        Self {
            unchanged: false,
            was_ready: is_true(&status.conditions, kinds::READY),
            going: false,
            parts: parts
                .into_iter()
                .chain(known(kinds::NAMESERVERS_VERIFIED))
                .collect(),
            block: None,
            failure: None,
            zone: None,
            origin: status.origin,
            proofs: Proofs::of(status),
            errors: Vec::new(),
            foreign: None,
            quota: None,
            digest: None,
            nameservers: Servers::default(),
            changed: false,
        }
    }

    /// Takes what a pass has found out. What is about to be made is as it was stored last, in this pass or before; what
    /// the pass began with may be older.
    pub fn know(&mut self, observed: &Observed) {
        self.changed = observed.changed;
        if let Some(proofs) = &observed.proofs {
            self.proofs.owned.clone_from(&proofs.owned);
        }
    }

    /// Sets the finding of a part.
    pub fn set(
        &mut self,
        kind: &'static str,
        state: State,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let finding = Finding::new(kind, state, reason, message);
        match self.parts.iter_mut().find(|part| part.kind == kind) {
            Some(part) => *part = finding,
            None => self.parts.push(finding),
        }
    }

    /// The part is good.
    pub fn good(&mut self, kind: &'static str, message: impl Into<String>) {
        self.set(kind, State::True, reasons::READY, message);
    }

    /// The part is being worked on.
    pub fn working(&mut self, kind: &'static str, reason: &'static str, message: impl Into<String>) {
        self.set(kind, State::False, reason, message);
    }

    /// The part failed with an error of a back-end.
    pub fn failed(&mut self, kind: &'static str, error: &ProviderError) {
        self.set(kind, State::False, reason_of(error), error.message());
        if self.failure.is_none() {
            self.failure = Some((kind, error.clone()));
        }
    }

    /// What the conditions say in sum.
    pub fn summary(&self) -> Summary<'_> {
        Summary {
            parts: &self.parts,
            block: self.block.as_ref(),
            failure: self.failure.as_ref(),
            was_ready: self.was_ready,
            stage: match (self.going, self.was_ready) {
                (true, _) => Stage::Going,
                (false, true) => Stage::Degraded,
                (false, false) => Stage::Making,
            },
            up: "The zone and its records are as they shall be.",
            going: "The zone is being removed.",
        }
    }
}

/// Reasons that parts of a zone have been given.
const REASONS: [&str; 18] = [
    reasons::READY,
    reasons::WAITING,
    reasons::PROVISIONING,
    reasons::DELETING,
    reasons::SUSPENDED,
    reasons::RECORDS_REFUSED,
    reasons::CONFLICT,
    reasons::DENIED,
    reasons::REFUSED,
    reasons::THROTTLED,
    reasons::UNAVAILABLE,
    reasons::UNEXPECTED,
    reasons::NOT_ANSWERING,
    reasons::PARTLY_DELEGATED,
    reasons::DELEGATED_ELSEWHERE,
    reasons::NOT_DELEGATED,
    reasons::NOT_REGISTERED,
    reasons::NOT_CHECKED,
];

/// What the status says of a part.
fn known(status: &DnsZoneStatus, kind: &'static str) -> Option<Finding> {
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    let reason = REASONS.into_iter().find(|reason| *reason == condition.reason)?;
    let state = match condition.status.as_str() {
        "True" => State::True,
        "False" => State::False,
        _ => State::Unknown,
    };
    Some(Finding::new(kind, state, reason, condition.message.clone()))
}
