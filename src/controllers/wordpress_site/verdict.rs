//! What the planner says about a site, part by part.

use crate::api::condition::{Finding, State, is_true, kinds, reasons};
use crate::api::{
    Phase, SiteCertificate, SiteDomain, SiteQuotaUse, SiteRecovery, SiteResources, SiteRestart, SiteTask,
    SiteUsage, WordPressSiteStatus,
};
use crate::controllers::judgement::{Block, Stage, Summary, reason_of};
use crate::providers::{ErrorKind, ProviderError};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// What a site says that is up.
const UP_MESSAGE: &str = "The site is up and answers through the proxy.";
/// The same when the proxy shall not show it.
const UP_BEHIND_MESSAGE: &str = "The site is up. The proxy does not show it, as proxyEnabled asks.";

/// The parts of a site, in the order in which they come about.
pub const PARTS: [&str; 7] = [
    kinds::CONTAINER_READY,
    kinds::NAME_READY,
    kinds::CERTIFICATE_READY,
    kinds::PROXY_READY,
    kinds::INSTALL_READY,
    kinds::PAGE_READY,
    kinds::SNAPSHOT_READY,
];

/// What the planner says about a site.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Leave the parts as they are: bulk reads agree with them, or could not be had.
    pub unchanged: bool,
    /// The site was Ready before this pass.
    pub was_ready: bool,
    /// Bulk reads agree: whatever kept us from acting before is over.
    pub confirmed: bool,
    /// Where it stands.
    pub phase: Phase,
    /// One finding for each part.
    pub parts: Vec<Finding>,
    /// Nothing can be done.
    pub block: Option<Block>,
    /// A look at a back-end failed.
    pub failure: Option<(&'static str, ProviderError)>,
    /// The node that the container is on.
    pub node: Option<String>,
    /// Tasks that are still under way; all others leave the status.
    pub tasks: Vec<SiteTask>,
    /// The reserved number belongs to somebody else: choose again.
    pub choose_again: bool,
    /// The container is lost, and the Plan says to make an empty one in its place.
    pub make_anew: bool,
    /// What the container has been given, once it was seen.
    pub resources: Option<SiteResources>,
    /// The restart that is under way.
    pub restart: Option<SiteRestart>,
    /// The restart that was carried out last, or was not needed.
    pub restarted_at: Option<Time>,
    /// The restore from a backup archive that is under way or was the last one.
    pub recovery: Option<SiteRecovery>,
    /// The domains that WordPress was told of.
    pub announced: Vec<String>,
    /// What the container uses, for people.
    pub usage: Option<SiteUsage>,
    /// The certificate of the site's own name.
    pub certificate: Option<SiteCertificate>,
    /// Findings on which nothing else hangs.
    pub notes: Vec<Finding>,
    /// What is said of the customer's domains; `None` leaves them as they are.
    pub domains: Option<DomainsVerdict>,
    /// What the site says when all is good.
    pub up: &'static str,
}

/// What is said of the customer's domains.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainsVerdict {
    /// Each by itself.
    pub entries: Vec<SiteDomain>,
    /// How many there are and may be.
    pub quota: Option<SiteQuotaUse>,
}

impl Verdict {
    /// Every part as the status has it, or waiting.
    pub fn of(status: &WordPressSiteStatus) -> Self {
        let waiting = |kind: &'static str| {
            let known = status
                .conditions
                .iter()
                .find(|condition| condition.type_ == kind && condition.status == "True");
            match known {
                Some(condition) => Finding::new(kind, State::True, reasons::READY, condition.message.clone()),
                None => Finding::new(
                    kind,
                    State::False,
                    reasons::WAITING,
                    "Waiting for the parts before it.",
                ),
            }
        };
        let was_ready = is_true(&status.conditions, kinds::READY) || status.phase == Some(Phase::Degraded);
        Self {
            unchanged: false,
            was_ready: is_true(&status.conditions, kinds::READY),
            confirmed: false,
            phase: if was_ready {
                Phase::Degraded
            } else {
                Phase::Provisioning
            },
            parts: PARTS.into_iter().map(waiting).collect(),
            block: None,
            failure: None,
            node: status.node.clone(),
            tasks: Vec::new(),
            choose_again: false,
            make_anew: false,
            resources: status.resources,
            restart: status.restart.clone(),
            recovery: status.recovery.clone(),
            restarted_at: status.restarted_at.clone(),
            announced: status.announced_domains.clone(),
            usage: status.usage.clone(),
            certificate: status.certificate.clone(),
            notes: Vec::new(),
            domains: None,
            up: UP_MESSAGE,
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
        if let Some(part) = self.parts.iter_mut().find(|part| part.kind == kind) {
            *part = Finding::new(kind, state, reason, message);
        }
    }

    /// The part is good.
    pub fn good(&mut self, kind: &'static str, message: impl Into<String>) {
        self.set(kind, State::True, reasons::READY, message);
    }

    /// The part is being made or waited for.
    pub fn working(&mut self, kind: &'static str, reason: &'static str, message: impl Into<String>) {
        self.set(kind, State::False, reason, message);
    }

    /// The part is being made.
    pub fn making(&mut self, kind: &'static str, message: impl Into<String>) {
        self.working(kind, reasons::PROVISIONING, message);
    }

    /// The part cannot be made, as the planner itself sees.
    pub fn refused(&mut self, kind: &'static str, error: ErrorKind, message: impl Into<String>) {
        self.failed(kind, &ProviderError::new(error, message));
    }

    /// The part failed with an error of a back-end.
    pub fn failed(&mut self, kind: &'static str, error: &ProviderError) {
        self.set(kind, State::False, reason_of(error), error.message());
        if self.failure.is_none() {
            self.failure = Some((kind, error.clone()));
        }
    }

    /// The page cannot be looked at, for the proxy shall not show the site.
    pub fn behind_the_proxy(&mut self) {
        self.without(kinds::PAGE_READY);
        self.up = UP_BEHIND_MESSAGE;
    }

    /// The part says nothing about this site at present.
    pub fn without(&mut self, kind: &str) {
        self.parts.retain(|part| part.kind != kind);
    }

    /// Says something on which nothing else hangs.
    pub fn note(&mut self, kind: &'static str, state: State, reason: &'static str, message: String) {
        self.notes.push(Finding::new(kind, state, reason, message));
    }

    /// Everything that is said.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = self.summary().findings();
        findings.extend(self.notes.iter().cloned());
        findings.extend(super::plan::recovered_finding(self.recovery.as_ref()));
        findings
    }

    /// Whether a part is good.
    pub fn is_good(&self, kind: &str) -> bool {
        self.parts
            .iter()
            .any(|part| part.kind == kind && part.state == State::True)
    }

    /// Whether all parts are good.
    pub fn all_good(&self) -> bool {
        self.parts.iter().all(|part| part.state == State::True)
    }

    /// What the conditions say in sum.
    pub fn summary(&self) -> Summary<'_> {
        Summary {
            parts: &self.parts,
            block: self.block.as_ref(),
            failure: self.failure.as_ref(),
            was_ready: self.was_ready,
            stage: match self.phase {
                Phase::Terminating => Stage::Going,
                Phase::Degraded => Stage::Degraded,
                _ => Stage::Making,
            },
            up: self.up,
            going: "The site is being removed.",
        }
    }
}
