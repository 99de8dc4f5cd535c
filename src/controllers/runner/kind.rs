//! What a kind of resource gives the runner: four steps and a few facts about its types.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::is_paused;
use crate::controllers::judgement;
use crate::providers::ProviderError;
use crate::runtime::metrics::Kind as MetricKind;

/// What every object of a kind can do for the runner.
pub trait Managed:
    Resource<DynamicType: Default + Clone + Eq + Hash + Debug + Unpin + Send + Sync>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
}

impl<K> Managed for K
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static,
    K::DynamicType: Default + Clone + Eq + Hash + Debug + Unpin + Send + Sync,
{
}

/// One object in one pass.
#[derive(Debug, Clone)]
pub struct Subject<K: Kind> {
    /// As the API server last gave it.
    pub object: Arc<K::Object>,
    /// Its status as of now; possibly newer than what is stored.
    pub status: K::Status,
    /// Its deletion was asked for.
    pub deleting: bool,
    /// Bulk reads do not suffice in this pass.
    pub precise: bool,
}

impl<K: Kind> Subject<K> {
    /// The object's UID, empty only for objects that were never stored.
    pub fn uid(&self) -> String {
        self.object.uid().unwrap_or_default()
    }

    /// The annotation asks that nothing is done outside.
    pub fn is_paused(&self) -> bool {
        is_paused(self.object.as_ref())
    }

    /// `namespace/name` or `name`, for messages.
    pub fn title(&self) -> String {
        match self.object.namespace() {
            Some(namespace) => format!("{namespace}/{}", self.object.name_any()),
            None => self.object.name_any(),
        }
    }
}

/// What the planner decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<A, V> {
    /// To be done in this order; the first failure ends it.
    pub actions: Vec<A>,
    /// What follows when all actions are done.
    pub next: Next,
    /// What the report says about the object.
    pub verdict: V,
}

/// What follows a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another round at once; with `persist` the status is stored first, for what comes next relies on it.
    Again {
        /// Store before going on.
        persist: bool,
    },
    /// Another round at once with precise reads.
    Closer,
    /// A task is under way: come back soon, later and later.
    Poll,
    /// Waits for its turn, and is woken when that has come: come back all the same, less and less often.
    Turn,
    /// Something failed: come back later and later, not before the given time.
    Retry {
        /// What the back-end asked for.
        at_least: Option<Duration>,
    },
    /// As it shall be, or nothing can be done until something changes: come back with the resync.
    Settled,
    /// As Settled, but something outside that nobody announces is waited for: come back sooner.
    Recheck,
    /// As Settled, but something is to be done after this time: come back then, or with the resync if that is sooner.
    After(Duration),
    /// Nothing is left outside: let the object go. With `announce` the status is stored before.
    Released {
        /// Store the last words.
        announce: bool,
    },
}

/// What one action came to.
#[derive(Debug)]
pub enum Outcome<D> {
    /// Done; the facts that are known now.
    Done(D),
    /// A task of the back-end has begun and its id is to be stored at once.
    Started(D),
    /// Not yet: wait for a wake-up or the next poll.
    Wait(D),
}

/// An action and what it came to.
pub type Acted<'a, K> = (
    &'a <K as Kind>::Action,
    Result<Outcome<<K as Kind>::Done>, ProviderError>,
);

/// A kind of resource. `plan` and `report` are pure; `observe` only reads.
#[async_trait]
pub trait Kind: Send + Sync + Sized + Debug + 'static {
    /// The resource.
    type Object: Managed;
    /// Its status.
    type Status: Clone + Debug + Default + PartialEq + Serialize + Send + Sync;
    /// What is known of the outside world, grown over the rounds of a pass.
    type Observed: Default + Send;
    /// One change outside.
    type Action: Debug + Send + Sync;
    /// What the planner says about the object.
    type Verdict: Send + Sync;
    /// Facts that an action brought.
    type Done: Send;

    /// The kind, for logs and metrics.
    const KIND: MetricKind;
    /// Whether a finalizer holds objects until nothing of them is left outside.
    const FINALIZES: bool;

    /// The stored status.
    fn status(object: &Self::Object) -> Self::Status;

    /// Labels that an object of this kind is given together with its finalizer.
    fn labels(_: &Self::Object) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The conditions within a status.
    fn conditions(status: &Self::Status) -> &[Condition];

    /// Whether a new status has something that the next pass relies on, other than progress for people to read.
    fn must_be_stored(old: &Self::Status, new: &Self::Status) -> bool;

    /// Replaces the conditions within a status.
    fn set_conditions(status: &mut Self::Status, conditions: Vec<Condition>);

    /// The status that says no outside call is made, because the object is paused: as it was, with this word.
    fn paused(subject: &Subject<Self>, now: Timestamp) -> Self::Status {
        let mut status = subject.status.clone();
        let generation = subject.object.meta().generation;
        let conditions = judgement::paused(Self::conditions(&status), generation, now);
        Self::set_conditions(&mut status, conditions);
        status
    }

    /// Fills in what is still unread and needed. Never fails: an error is a fact about a part.
    async fn observe(&self, subject: &Subject<Self>, known: Self::Observed) -> Self::Observed;

    /// Decides.
    fn plan(
        &self,
        subject: &Subject<Self>,
        observed: &Self::Observed,
        now: Timestamp,
    ) -> Plan<Self::Action, Self::Verdict>;

    /// Does one action.
    async fn act(
        &self,
        subject: &Subject<Self>,
        action: &Self::Action,
    ) -> Result<Outcome<Self::Done>, ProviderError>;

    /// What an action puts right, for an event, when the object was as it shall be before: "the record www A".
    /// `None` for what is no repair.
    fn repair(action: &Self::Action) -> Option<String>;

    /// Takes what an action brought into what is known.
    fn absorb(&self, observed: Self::Observed, done: &Self::Done) -> Self::Observed;

    /// The new status.
    fn report(
        &self,
        subject: &Subject<Self>,
        verdict: &Self::Verdict,
        outcomes: &[Acted<'_, Self>],
        now: Timestamp,
    ) -> Self::Status;

    /// Called with every object that a watch shows, before any pass of it.
    fn seen(&self, object: &Self::Object);

    /// Called when a pass has ended and its status is stored.
    fn after(&self, subject: &Subject<Self>);

    /// Called when the object is gone from the API server.
    fn gone(&self, object: &Self::Object);
}
