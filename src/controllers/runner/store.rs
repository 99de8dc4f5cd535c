//! The runner's writes to the API server: finalizer and status, each only when it changes something.

use std::sync::Arc;

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Value, json};

use super::kind::{Kind, Managed, Subject};
use super::patch::merge_patch;
use crate::api::FINALIZER;
use crate::runtime::metrics::{Kind as MetricKind, Metrics, WriteResult, WriteVerb};

/// Makes the typed API for an object: in its namespace when it has one.
pub type ApiOf<K> = Arc<dyn Fn(Option<&str>) -> Api<K> + Send + Sync>;

/// A write that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody changed or removed the object meanwhile; the watch will bring the news.
    #[error("the object was changed meanwhile")]
    Stale,
    /// The API server refused or did not answer.
    #[error("the API server did not take the change: {0}")]
    Api(#[source] Box<kube::Error>),
}

impl From<kube::Error> for StoreError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code == 409 || status.code == 404 => Self::Stale,
            _ => Self::Api(Box::new(error)),
        }
    }
}

/// Writes objects of one kind.
pub struct Store<K: Kind> {
    api: ApiOf<K::Object>,
    metrics: Metrics,
}

impl<K: Kind> Store<K> {
    /// A writer.
    pub fn new(api: ApiOf<K::Object>, metrics: Metrics) -> Self {
        Self { api, metrics }
    }

    /// Adds our finalizer.
    pub async fn hold(&self, object: &K::Object) -> Result<K::Object, StoreError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.patch_finalizers(object, finalizers).await
    }

    /// Removes our finalizer.
    pub async fn release(&self, object: &K::Object) -> Result<K::Object, StoreError> {
        let finalizers = object.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
        self.patch_finalizers(object, finalizers).await
    }

    async fn patch_finalizers(&self, object: &K::Object, finalizers: Vec<String>) -> Result<K::Object, StoreError> {
        let patch = json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": finalizers}});
        let api = (self.api)(object.namespace().as_deref());
        let result = api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        self.metrics.api_write(K::KIND, WriteVerb::Metadata, WriteResult::of(&result));
        Ok(trimmed(result?))
    }

    /// Stores the status if it differs from what the object has. `None` when nothing was to be written.
    ///
    /// The write carries the object's version, so that an operator that lost its leadership cannot overwrite
    /// what its successor wrote. When somebody changed another part of the object meanwhile, it is read again
    /// and written if the status is still the one that we started from: nobody else writes it.
    pub async fn status(&self, subject: &Subject<K>) -> Result<Option<K::Object>, StoreError> {
        let before = K::status(&subject.object);
        if before == subject.status {
            return Ok(None);
        }
        match self.patch_status(&subject.object, &subject.status).await {
            Err(StoreError::Stale) => {}
            other => return other.map(Some),
        }
        let api = (self.api)(subject.object.namespace().as_deref());
        self.metrics.api_read(K::KIND);
        let fresh = trimmed(api.get(&subject.object.name_any()).await?);
        if fresh.uid() != subject.object.uid() || K::status(&fresh) != before {
            return Err(StoreError::Stale);
        }
        self.patch_status(&fresh, &subject.status).await.map(Some)
    }

    async fn patch_status(&self, object: &K::Object, status: &K::Status) -> Result<K::Object, StoreError> {
        let value = |status: &K::Status| serde_json::to_value(status).unwrap_or(Value::Null);
        let change = merge_patch(&value(&K::status(object)), &value(status)).unwrap_or(Value::Null);
        let patch = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": change});
        let api = (self.api)(object.namespace().as_deref());
        let result = api.patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        self.metrics.api_write(K::KIND, WriteVerb::Status, WriteResult::of(&result));
        Ok(trimmed(result?))
    }
}

/// The object without the book-keeping of field managers, which is more than half of its bytes.
pub fn trimmed<K: Managed>(mut object: K) -> K {
    Resource::meta_mut(&mut object).managed_fields = None;
    object
}
