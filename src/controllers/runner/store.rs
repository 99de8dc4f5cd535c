//! The runner's writes to the API server: finalizer and status, each only when it changes something.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{GetParams, Patch, PatchParams, Request};
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kind::{Kind, Managed, Subject};
use super::patch::merge_patch;
use crate::api::FINALIZER;
use crate::providers::fence::{Closed, Fence, fenced};
use crate::runtime::metrics::{Metrics, WriteResult, WriteVerb};

/// A write that did not happen. One that a closed fence kept back is an [`StoreError::Api`] as well: the process is
/// about to end.
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
    client: Client,
    metrics: Metrics,
    deadline: Duration,
    fence: Arc<dyn Fence>,
    kind: PhantomData<fn(K)>,
}

impl<K: Kind> Store<K> {
    /// A writer that waits so long for an answer, and writes nothing once the fence is closed.
    pub fn new(client: Client, metrics: Metrics, deadline: Duration, fence: Arc<dyn Fence>) -> Self {
        Self {
            client,
            metrics,
            deadline,
            fence,
            kind: PhantomData,
        }
    }

    /// Sends a merge patch of an object, or of one of its subresources.
    async fn patch(
        &self,
        object: &K::Object,
        subresource: Option<&str>,
        patch: &Value,
    ) -> Result<K::Object, kube::Error> {
        let (name, params, patch) = (object.name_any(), PatchParams::default(), Patch::Merge(patch));
        let request = match subresource {
            Some(subresource) => requests(object).patch_subresource(subresource, &name, &params, &patch),
            None => requests(object).patch(&name, &params, &patch),
        };
        fenced(self.fence.as_ref(), self.send(request), || {
            kube::Error::Service(Box::new(Closed))
        })
        .await
    }

    /// The client itself waits for ever, for watches are requests too. Whether a write that was not answered had
    /// its effect, the watch tells.
    async fn send(
        &self,
        request: Result<hyper::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<K::Object, kube::Error> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        let late = |_| {
            let seconds = self.deadline.as_secs();
            kube::Error::Service(format!("no answer within {seconds} s").into())
        };
        timeout(self.deadline, self.client.request(request))
            .await
            .map_err(late)?
    }

    async fn read(&self, object: &K::Object) -> Result<K::Object, kube::Error> {
        let request = requests(object).get(&object.name_any(), &GetParams::default());
        self.send(request).await
    }

    /// Adds our finalizer.
    pub async fn hold(&self, object: &K::Object) -> Result<K::Object, StoreError> {
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        let mut labels = K::labels(object);
        labels.retain(|label, value| object.labels().get(label) != Some(value));
        self.patch_metadata(object, finalizers, &labels).await
    }

    /// Removes our finalizer.
    pub async fn release(&self, object: &K::Object) -> Result<K::Object, StoreError> {
        let finalizers = object
            .finalizers()
            .iter()
            .filter(|name| *name != FINALIZER)
            .cloned()
            .collect();
        self.patch_metadata(object, finalizers, &BTreeMap::new()).await
    }

    async fn patch_metadata(
        &self,
        object: &K::Object,
        finalizers: Vec<String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<K::Object, StoreError> {
        let mut patch =
            json!({"metadata": {"resourceVersion": object.resource_version(), "finalizers": finalizers}});
        if let (Some(metadata), false) = (patch.pointer_mut("/metadata"), labels.is_empty()) {
            merge(metadata, json!({"labels": labels}));
        }
        let result = self.patch(object, None, &patch).await;
        self.metrics
            .api_write(K::KIND, WriteVerb::Metadata, WriteResult::of(&result));
        Ok(trimmed(result?))
    }

    /// Stores the status if it differs from what the object has. `None` when nothing was to be written.
    ///
    /// The write carries the object's version, so that an operator that lost its leadership cannot overwrite
    /// what its successor wrote. When somebody changed another part of the object meanwhile, it is read again
    /// and written if the status is still the one that we started from: nobody else writes it.
    pub async fn status(&self, subject: &Subject<K>) -> Result<Option<K::Object>, StoreError> {
        let before = K::status(&subject.object);
        let Some(change) = change(&before, &subject.status)? else {
            return Ok(None);
        };
        match self.patch_status(&subject.object, &change).await {
            Err(StoreError::Stale) => {}
            other => return other.map(Some),
        }
        self.metrics.api_read(K::KIND);
        let fresh = trimmed(self.read(&subject.object).await.map_err(|_| StoreError::Stale)?);
        if fresh.uid() != subject.object.uid() || K::status(&fresh) != before {
            return Err(StoreError::Stale);
        }
        self.patch_status(&fresh, &change).await.map(Some)
    }

    async fn patch_status(&self, object: &K::Object, change: &Value) -> Result<K::Object, StoreError> {
        let patch = json!({"metadata": {"resourceVersion": object.resource_version()}, "status": change});
        let result = self.patch(object, Some("status"), &patch).await;
        self.metrics
            .api_write(K::KIND, WriteVerb::Status, WriteResult::of(&result));
        Ok(trimmed(result?))
    }
}

/// The merge patch between two statuses; `None` when the API server would see no difference, such as between two
/// times of one second. It must never become a patch of its own: `status: null` removes the whole status.
fn change<S: Serialize>(before: &S, after: &S) -> Result<Option<Value>, StoreError> {
    let value = |status: &S| {
        serde_json::to_value(status)
            .map_err(|error| StoreError::Api(Box::new(kube::Error::SerdeError(error))))
    };
    Ok(merge_patch(&value(before)?, &value(after)?))
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) {
        into.extend(more);
    }
}

/// Requests about objects of the kind in the object's own namespace, if it has one.
fn requests<K: Managed>(object: &K) -> Request {
    Request::new(K::url_path(&Default::default(), object.namespace().as_deref()))
}

/// The object without the book-keeping of field managers, which nobody here reads.
pub fn trimmed<K: Managed>(mut object: K) -> K {
    Resource::meta_mut(&mut object).managed_fields = None;
    object
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::WordPressSiteStatus;

    #[test]
    fn a_difference_below_a_second_is_none() {
        let reserved = |nanoseconds| WordPressSiteStatus {
            vmid: Some(5000),
            reserved_at: Some(Time(Timestamp::new(1_000, nanoseconds).unwrap())),
            ..WordPressSiteStatus::default()
        };
        assert_ne!(reserved(0), reserved(5), "in memory they differ");
        assert_eq!(change(&reserved(0), &reserved(5)).unwrap(), None);
        let node = WordPressSiteStatus {
            node: Some("pve1".to_owned()),
            ..reserved(5)
        };
        assert_eq!(
            change(&reserved(0), &node).unwrap(),
            Some(json!({"node": "pve1"}))
        );
    }
}
