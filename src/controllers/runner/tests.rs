//! How passes are counted, with a kind that does as it is told and an API server that is never asked.

use std::convert::Infallible;
use std::future::pending;

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::json;

use super::*;
use crate::api::condition::{Finding, State, merge, reasons};
use crate::api::{PAUSED_ANNOTATION, Provider, ProviderStatus};
use crate::providers::fence::AlwaysOpen;
use crate::runtime::metrics::Kind as MetricKind;

/// What the kind does in a pass.
#[derive(Debug, Clone)]
enum Script {
    /// Looking never ends.
    HangsLooking,
    /// The one action never ends.
    HangsActing,
    /// Nothing is to be done, and this follows.
    Ends(Next),
    /// The one action fails.
    Fails(ErrorKind),
}

#[async_trait]
impl Kind for Script {
    type Object = Provider;
    type Status = ProviderStatus;
    type Observed = ();
    type Action = ();
    type Verdict = ();
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

    fn paused(subject: &Subject<Self>, _: Timestamp) -> ProviderStatus {
        subject.status.clone()
    }

    fn must_be_stored(_: &ProviderStatus, _: &ProviderStatus) -> bool {
        true
    }

    async fn observe(&self, _: &Subject<Self>, (): ()) {
        if matches!(self, Self::HangsLooking) {
            pending().await
        }
    }

    fn plan(&self, _: &Subject<Self>, (): &(), _: Timestamp) -> Plan<(), ()> {
        let (actions, next) = match self {
            Self::Ends(next) => (Vec::new(), *next),
            _ => (vec![()], Next::Settled),
        };
        Plan {
            actions,
            next,
            verdict: (),
        }
    }

    async fn act(&self, _: &Subject<Self>, (): &()) -> Result<Outcome<Infallible>, ProviderError> {
        match self {
            Self::Fails(kind) => Err(ProviderError::new(*kind, "told to fail")),
            _ => pending().await,
        }
    }

    fn repair(_: &Self::Action) -> Option<String> {
        None
    }

    fn absorb(&self, (): (), done: &Infallible) {
        match *done {}
    }

    /// Never changed, so that nothing is to be stored.
    fn report(
        &self,
        subject: &Subject<Self>,
        (): &(),
        _: &[Acted<'_, Self>],
        _: Timestamp,
    ) -> ProviderStatus {
        subject.status.clone()
    }

    fn seen(&self, _: &Provider) {}

    fn after(&self, _: &Subject<Self>) {}

    fn gone(&self, _: &Provider) {}
}

fn provider(synced: State, annotations: serde_json::Value) -> Arc<Provider> {
    let finding = Finding::new(kinds::SYNCED, synced, reasons::SYNCED, "");
    let conditions = merge(&[], &[finding], None, Timestamp::UNIX_EPOCH);
    let object = json!({
        "metadata": {"name": "a", "uid": "1", "resourceVersion": "1", "annotations": annotations},
        "spec": {"credentials": {"secretName": "a"}},
        "status": {"conditions": conditions},
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

/// The metrics after one pass.
async fn after_one_pass(script: Script, object: Arc<Provider>) -> String {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = kube::Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let pace = Pace {
        deadline: Duration::from_millis(10),
        ..Pace::default()
    };
    let metrics = Metrics::new();
    let schedule = Arc::new(Schedule::new(pace));
    let runner = Runner::new(
        Arc::new(script),
        Store::new(
            client.clone(),
            metrics.clone(),
            pace.deadline,
            Arc::new(AlwaysOpen),
        ),
        Arc::clone(&schedule),
        Events::start(
            client,
            MetricKind::Provider,
            metrics.clone(),
            Arc::new(AlwaysOpen),
        ),
        metrics.clone(),
    );
    schedule.notice(&object);
    let depth = |depth: u8| format!("hostwright_queue_depth{{kind=\"Provider\"}} {depth}\n");
    assert!(metrics.encode().unwrap().contains(&depth(1)));
    runner.reconcile(object).await.unwrap();
    let text = metrics.encode().unwrap();
    assert!(text.contains(&depth(0)), "{text}");
    text
}

async fn is_counted_as(script: Script, object: Arc<Provider>, result: PassResult) {
    let what = format!("{script:?}");
    let text = after_one_pass(script, object).await;
    let line = format!(
        "hostwright_passes_total{{kind=\"Provider\",result=\"{}\"}} 1\n",
        result.label()
    );
    assert!(text.contains(&line), "{what} is not {result:?}:\n{text}");
    assert_eq!(text.matches("hostwright_passes_total{").count(), 1, "{text}");
}

#[tokio::test]
async fn every_end_of_a_pass_has_its_own_count() {
    let good = || provider(State::True, json!({}));
    let bad = || provider(State::False, json!({}));
    let retry = Next::Retry { at_least: None };
    for (script, object, result) in [
        (Script::Ends(Next::Settled), good(), PassResult::Steady),
        (Script::Ends(Next::Settled), bad(), PassResult::Stalled),
        (Script::Fails(ErrorKind::Invalid), bad(), PassResult::Stalled),
        (Script::Ends(Next::Recheck), good(), PassResult::Steady),
        (Script::Ends(Next::Poll), good(), PassResult::Progressing),
        (Script::Ends(retry), bad(), PassResult::Failed),
        (Script::Fails(ErrorKind::Unavailable), bad(), PassResult::Failed),
        (Script::HangsLooking, good(), PassResult::Deadline),
        (Script::HangsActing, good(), PassResult::Deadline),
    ] {
        is_counted_as(script, object, result).await;
    }
}

#[tokio::test]
async fn a_pause_is_no_error() {
    let paused = provider(State::False, json!({PAUSED_ANNOTATION: "true"}));
    is_counted_as(Script::HangsLooking, paused, PassResult::Steady).await;
}
