//! The only place that knows how Kubernetes drives a controller: gate, rounds of observe, plan, act and report,
//! and when to come back. It knows nothing of any kind.

mod cache;
mod events;
mod kind;
mod patch;
mod rehearsal;
mod schedule;
mod store;
mod watch;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::api::condition::kinds;
use crate::api::{FINALIZER, RECONCILE_AT_ANNOTATION, condition};
use crate::providers::{ErrorKind, ProviderError};
use crate::runtime::metrics::{Metrics, PassResult};

pub use cache::{Cache, CacheWriter, Kept};
pub use events::Events;
pub use kind::{Acted, Kind, Managed, Next, Outcome, Plan, Subject};
pub use patch::merge_patch;
pub use rehearsal::{Complaint, Difference, Foresight, Foretell, Rehearsal, Sign, rehearse};
pub use schedule::{Pace, Schedule, Turn, jittered};
pub use store::{Store, StoreError, trimmed};
pub use watch::{Change, Poker, filled, run, secondary};

/// Rounds of one pass. A site needs about six to be made; more means that the plan does not converge.
const ROUNDS_MAX: u32 = 24;

/// How long progress may stay unstored while a task is awaited. Whatever takes less is over before a person could
/// have read of it; what takes longer shows.
const PROGRESS_AFTER: Duration = Duration::from_secs(3);

/// A status that is newer than the stored one and may wait.
struct Unstored<S> {
    version: Option<String>,
    since: Instant,
    status: S,
}

/// Drives the objects of one kind.
pub struct Runner<K: Kind> {
    kind: Arc<K>,
    store: Store<K>,
    schedule: Arc<Schedule<K::Object>>,
    events: Events,
    metrics: Metrics,
    unstored: Mutex<HashMap<String, Unstored<K::Status>>>,
}

impl<K: Kind> Runner<K> {
    /// A runner for a kind.
    pub fn new(
        kind: Arc<K>,
        store: Store<K>,
        schedule: Arc<Schedule<K::Object>>,
        events: Events,
        metrics: Metrics,
    ) -> Self {
        let queue = Arc::downgrade(&schedule);
        metrics.count_queue(K::KIND, move || queue.upgrade().map_or(0, |queue| queue.due()));
        Self {
            kind,
            store,
            schedule,
            events,
            metrics,
            unstored: Mutex::default(),
        }
    }

    /// One trigger of one object. Never fails: an error is reported in the status and retried by the schedule.
    pub async fn reconcile(&self, cached: Arc<K::Object>) -> Result<Action, Infallible> {
        let asked = cached
            .annotations()
            .get(RECONCILE_AT_ANNOTATION)
            .map(String::as_str);
        let (object, precise) = match self.schedule.turn(Arc::clone(&cached), asked) {
            Turn::Pass { object, precise } => (object, precise),
            Turn::Echo(wait) => return Ok(Action::requeue(wait)),
        };
        let uid = object.uid().unwrap_or_default();
        let span = tracing::info_span!(
            "pass",
            kind = K::KIND.label(),
            namespace = object.namespace().unwrap_or_default(),
            name = object.name_any(),
            generation = object.meta().generation,
        );
        let begun = Instant::now();
        let end = self.pass(object, precise).instrument(span).await;
        let result = end.as_ref().map_or(PassResult::Steady, End::result);
        self.metrics.pass(K::KIND, result, begun.elapsed());
        Ok(match end.map(|end| end.next) {
            Some(Next::Released { .. }) => {
                self.schedule.forget(&uid);
                Action::await_change()
            }
            Some(next) => Action::requeue(self.schedule.next(&uid, next)),
            None => {
                self.schedule.rest(&uid);
                Action::await_change()
            }
        })
    }

    /// `None` when the object is none of our business.
    async fn pass(&self, object: Arc<K::Object>, precise: bool) -> Option<End> {
        let deleting = object.meta().deletion_timestamp.is_some();
        let held = object.finalizers().iter().any(|name| name == FINALIZER);
        if deleting && !(held && K::FINALIZES) {
            return None;
        }
        let status = self.recall(&object);
        let mut subject = Subject::<K> {
            object,
            status,
            deleting,
            precise,
        };
        if subject.is_paused() {
            subject.status = K::paused(&subject, Timestamp::now());
            let next = self.stored(&mut subject).await.unwrap_or(Next::Settled);
            self.kind.after(&subject);
            return Some(End::of(next));
        }
        if K::FINALIZES && !held {
            match self.store.hold(&subject.object).await {
                Ok(object) => self.take(&mut subject, object),
                Err(error) => return Some(End::of(self.not_stored(&error))),
            }
        }
        let mut late = false;
        let settled = is_settled::<K>(&subject);
        let mut repairs = Vec::new();
        let next = self.rounds(&mut subject, &mut late, &mut repairs).await;
        if settled && !repairs.is_empty() {
            let regarding = subject.object.object_ref(&Default::default());
            self.events.repaired(&regarding, &repairs);
        }
        self.kind.after(&subject);
        let synced = K::conditions(&subject.status)
            .iter()
            .find(|condition| condition.type_ == kinds::SYNCED);
        let stuck = next == Next::Settled && synced.is_some_and(|condition| condition.status == "False");
        Some(End { next, late, stuck })
    }

    async fn rounds(&self, subject: &mut Subject<K>, late: &mut bool, repairs: &mut Vec<String>) -> Next {
        let mut known = K::Observed::default();
        for _ in 0..ROUNDS_MAX {
            let (next, observed) = self.round(subject, known, late, repairs).await;
            known = observed;
            let in_memory = Next::Again { persist: false };
            let waits = next == in_memory
                || matches!(next, Next::Closer | Next::Released { announce: false })
                || (matches!(next, Next::Poll | Next::Turn) && self.may_wait(subject));
            if !waits && let Some(instead) = self.stored(subject).await {
                return instead;
            }
            match next {
                Next::Again { .. } => {}
                Next::Closer => {
                    subject.precise = true;
                    known = K::Observed::default();
                }
                Next::Released { .. } => return self.released(subject, next).await,
                other => return other,
            }
        }
        tracing::error!(
            rounds = ROUNDS_MAX,
            "the pass did not come to an end; going on later"
        );
        Next::Retry { at_least: None }
    }

    async fn round(
        &self,
        subject: &mut Subject<K>,
        known: K::Observed,
        late: &mut bool,
        repairs: &mut Vec<String>,
    ) -> (Next, K::Observed) {
        let deadline = self.schedule.pace().deadline;
        let Ok(mut observed) = timeout(deadline, self.kind.observe(subject, known)).await else {
            *late = true;
            tracing::warn!(?deadline, "looking at the back-ends took too long");
            return (Next::Retry { at_least: None }, K::Observed::default());
        };
        let now = Timestamp::now();
        let plan = self.kind.plan(subject, &observed, now);
        let mut next = plan.next;
        let mut outcomes = Vec::with_capacity(plan.actions.len());
        for action in &plan.actions {
            tracing::debug!(?action, "act");
            let outcome = timeout(deadline, self.kind.act(subject, action))
                .await
                .unwrap_or_else(|_| {
                    *late = true;
                    Err(too_slow(deadline))
                });
            let (stop, follows) = match &outcome {
                Ok(Outcome::Done(_)) => (false, next),
                Ok(Outcome::Started(_) | Outcome::Wait(_)) => (true, Next::Poll),
                Err(error) => (true, after_failure(error)),
            };
            if let Ok(Outcome::Done(done) | Outcome::Started(done) | Outcome::Wait(done)) = &outcome {
                observed = self.kind.absorb(observed, done);
                repairs.extend(K::repair(action));
            }
            next = follows;
            outcomes.push((action, outcome));
            if stop {
                break;
            }
        }
        subject.status = self
            .kind
            .report(subject, &plan.verdict, &outcomes, Timestamp::now());
        (next, observed)
    }

    /// The status to begin with: the stored one, or the newer one that was not stored yet.
    fn recall(&self, object: &K::Object) -> K::Status {
        let unstored = self.unstored.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = unstored
            .get(&object.uid().unwrap_or_default())
            .filter(|newer| newer.version == object.resource_version());
        newer.map_or_else(|| K::status(object), |newer| newer.status.clone())
    }

    /// Whether storing the status may wait; if so it is remembered.
    fn may_wait(&self, subject: &Subject<K>) -> bool {
        if K::must_be_stored(&K::status(&subject.object), &subject.status) {
            return false;
        }
        let mut unstored = self.unstored.lock().unwrap_or_else(PoisonError::into_inner);
        let since = unstored
            .get(&subject.uid())
            .map_or_else(Instant::now, |known| known.since);
        if since.elapsed() >= PROGRESS_AFTER {
            return false;
        }
        let version = subject.object.resource_version();
        unstored.insert(
            subject.uid(),
            Unstored {
                version,
                since,
                status: subject.status.clone(),
            },
        );
        true
    }

    /// Stores the status. `Some` is what follows instead when it could not be stored.
    async fn stored(&self, subject: &mut Subject<K>) -> Option<Next> {
        self.unstored
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&subject.uid());
        let old = K::status(&subject.object);
        match self.store.status(subject).await {
            Ok(None) => {
                subject.status = old;
                None
            }
            Ok(Some(object)) => {
                let (before, after) = (K::conditions(&old), K::conditions(&subject.status));
                self.events
                    .changes(&object.object_ref(&Default::default()), before, after);
                if !condition::is_true(before, kinds::READY) && condition::is_true(after, kinds::READY) {
                    self.became_ready(&object);
                }
                self.take(subject, object);
                // As the API server has it: its times, for one, are whole seconds.
                subject.status = K::status(&subject.object);
                None
            }
            Err(error) => Some(self.not_stored(&error)),
        }
    }

    fn became_ready(&self, object: &K::Object) {
        let Some(created) = object.creation_timestamp() else {
            return;
        };
        let seconds = Timestamp::now().duration_since(created.0).as_secs_f64();
        self.metrics
            .became_ready(K::KIND, Duration::from_secs_f64(seconds.max(0.0)));
    }

    async fn released(&self, subject: &mut Subject<K>, next: Next) -> Next {
        match self.store.release(&subject.object).await {
            Ok(_) => next,
            Err(error) => self.not_stored(&error),
        }
    }

    fn take(&self, subject: &mut Subject<K>, object: K::Object) {
        let object = Arc::new(object);
        self.schedule.wrote(&object);
        subject.object = object;
    }

    fn not_stored(&self, error: &StoreError) -> Next {
        match error {
            StoreError::Stale => tracing::debug!("{error}; looking again"),
            StoreError::Api(_) => tracing::warn!("{error}"),
        }
        Next::Retry { at_least: None }
    }
}

/// How a pass ended.
struct End {
    next: Next,
    /// The deadline cut something off.
    late: bool,
    /// There is an error, and nothing is done about it until something changes.
    stuck: bool,
}

impl End {
    fn of(next: Next) -> Self {
        Self {
            next,
            late: false,
            stuck: false,
        }
    }

    fn result(&self) -> PassResult {
        match self.next {
            _ if self.late => PassResult::Deadline,
            Next::Settled if self.stuck => PassResult::Stalled,
            Next::Settled | Next::Recheck | Next::After(_) | Next::Released { .. } => PassResult::Steady,
            Next::Poll | Next::Turn | Next::Again { .. } | Next::Closer => PassResult::Progressing,
            Next::Retry { .. } => PassResult::Failed,
        }
    }
}

/// Whether the object was as it shall be, and nobody has changed since what it shall be: what is done now repairs.
fn is_settled<K: Kind>(subject: &Subject<K>) -> bool {
    let generation = subject.object.meta().generation;
    let ready = K::conditions(&subject.status)
        .iter()
        .find(|condition| condition.type_ == kinds::READY);
    !subject.deleting
        && ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == generation)
}

fn too_slow(deadline: Duration) -> ProviderError {
    let message = format!(
        "no end within {} s; what was done is looked up before the next try",
        deadline.as_secs()
    );
    ProviderError::new(ErrorKind::Ambiguous, message)
}

/// The retry policy: it looks only at the kind of an error.
pub fn after_failure(error: &ProviderError) -> Next {
    match error.kind() {
        // The same request will be refused again; a change of the spec, the Plan, the Provider or its Secret
        // wakes the object, and the resync looks from time to time.
        ErrorKind::Invalid => Next::Settled,
        ErrorKind::Throttled { retry_after } => Next::Retry {
            at_least: retry_after,
        },
        _ => Next::Retry { at_least: None },
    }
}

#[cfg(test)]
mod tests;
