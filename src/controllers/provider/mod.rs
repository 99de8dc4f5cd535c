//! `Provider`: whether a back-end is reachable, what it is and what our credentials lack there.
//!
//! It only reads, so it has no `act`: `observe` asks, `report` writes the status.

mod observe;
mod report;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::connections::Connections;
use super::runner::{Acted, Kind, Next, Outcome, Plan, Subject, after_failure};
use super::sweeper::findings::Findings;
use crate::api::{Provider, ProviderStatus};
use crate::providers::ProviderError;
use crate::runtime::metrics::Kind as MetricKind;

pub use observe::Sight;

/// Everything that passes of Providers share.
pub struct ProviderKind {
    /// Back-ends.
    pub connections: Arc<Connections>,
    /// The only namespace that is served; all when absent.
    pub namespace: Option<String>,
    /// What sweeps found.
    pub findings: Arc<Findings>,
}

/// Whether anything in the namespace that an operator serves may use the Provider. Two operators that serve a namespace
/// each would otherwise both ask, and both write, about Providers that are none of their business.
pub fn serves(provider: &Provider, namespace: Option<&str>) -> bool {
    let Some(served) = namespace else {
        return true;
    };
    provider
        .spec
        .allowed_namespaces
        .iter()
        .any(|allowed| allowed == "*" || allowed == served)
}

impl fmt::Debug for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProviderKind")
    }
}

#[async_trait]
impl Kind for ProviderKind {
    type Object = Provider;
    type Status = ProviderStatus;
    type Observed = Option<Sight>;
    type Action = Infallible;
    type Verdict = Option<Sight>;
    type Done = Infallible;

    const KIND: MetricKind = MetricKind::Provider;
    const FINALIZES: bool = false;

    fn status(object: &Provider) -> ProviderStatus {
        object.status.clone().unwrap_or_default()
    }

    fn conditions(status: &ProviderStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut ProviderStatus, conditions: Vec<Condition>) {
        status.conditions = conditions;
    }

    fn must_be_stored(_: &ProviderStatus, _: &ProviderStatus) -> bool {
        true
    }

    fn paused(subject: &Subject<Self>, now: Timestamp) -> ProviderStatus {
        report::paused(subject, now)
    }

    async fn observe(&self, subject: &Subject<Self>, _: Option<Sight>) -> Option<Sight> {
        if !serves(&subject.object, self.namespace.as_deref()) {
            return None;
        }
        let mut sight = observe::look(&self.connections, &subject.object).await;
        sight.found = self.findings.of(&subject.object.name_any(), &subject.uid());
        Some(sight)
    }

    fn plan(
        &self,
        _: &Subject<Self>,
        sight: &Option<Sight>,
        _: Timestamp,
    ) -> Plan<Infallible, Option<Sight>> {
        let next = match sight {
            Some(Sight {
                result: Ok(Err(error)),
                ..
            }) => match after_failure(error) {
                // A Provider is asked again even after a final refusal: its repair may happen outside our sight.
                Next::Settled => Next::Retry { at_least: None },
                next => next,
            },
            _ => Next::Settled,
        };
        Plan {
            actions: Vec::new(),
            next,
            verdict: sight.clone(),
        }
    }

    async fn act(
        &self,
        _: &Subject<Self>,
        action: &Infallible,
    ) -> Result<Outcome<Infallible>, ProviderError> {
        match *action {}
    }

    fn repair(action: &Infallible) -> Option<String> {
        match *action {}
    }

    fn absorb(&self, _: Option<Sight>, done: &Infallible) -> Option<Sight> {
        match *done {}
    }

    fn report(
        &self,
        subject: &Subject<Self>,
        sight: &Option<Sight>,
        _: &[Acted<'_, Self>],
        now: Timestamp,
    ) -> ProviderStatus {
        report::status(subject, sight.as_ref(), now)
    }

    fn seen(&self, _: &Provider) {}

    fn after(&self, _: &Subject<Self>) {}

    fn gone(&self, _: &Provider) {}
}
