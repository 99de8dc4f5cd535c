//! One namespace of a cluster, with the rights of the person at the keyboard.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;

use super::{MANAGER, SiteError, near};
use crate::api::WordPressSite;
use crate::config::PlaceOptions;
use crate::controllers::runner::Managed;
use crate::runtime::kubernetes::{self, chain};

/// Objects per page of a list: 500 of some 5 KB are a few MiB at a time, and `kubectl` asks for as many.
const PAGE: u32 = 500;
/// What the API server answers when something is not there.
const NOT_FOUND: u16 = 404;

/// A kind in namespaces, as `kube` wants it.
pub(super) trait Namespaced:
    Managed + Resource<Scope = NamespaceResourceScope, DynamicType = ()>
{
}

impl<K: Managed + Resource<Scope = NamespaceResourceScope, DynamicType = ()>> Namespaced for K {}

/// Objects of a kind, and those that could not be understood.
pub(super) struct Listed<K> {
    /// By namespace and name.
    pub(super) objects: Vec<K>,
    /// One sentence for each of the others.
    pub(super) unreadable: Vec<String>,
}

/// Where a command works.
pub(super) struct Place {
    client: Client,
    /// The namespace.
    pub(super) namespace: String,
}

impl Place {
    /// The place that the arguments name. Nothing is asked of the API server yet.
    pub(super) async fn open(options: &PlaceOptions) -> Result<Self, SiteError> {
        let cluster = &options.cluster;
        let kubeconfig = cluster.kubeconfig();
        let client = kubernetes::client_in(kubeconfig.as_deref(), cluster.context.as_deref()).await?;
        let namespace = match &options.namespace {
            Some(namespace) => namespace.to_string(),
            None => client.default_namespace().to_owned(),
        };
        Ok(Self { client, namespace })
    }

    fn api<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// An object by its name; a refusal tells near ones.
    pub(super) async fn get<K: Namespaced>(&self, name: &str) -> Result<K, SiteError> {
        let kind = K::kind(&());
        match self.api::<K>().get_opt(name).await {
            Ok(Some(object)) => Ok(object),
            Ok(None) => {
                // Whoever may read one may not be allowed to list all.
                let there = self.names::<K>().await;
                let Self { namespace, .. } = self;
                let hint = match there {
                    Some(there) => near::hint(name, &there, &kind, &format!("namespace {namespace}")),
                    None => "-n names another namespace".to_owned(),
                };
                Err(SiteError::Refused(format!(
                    "{kind} {namespace}/{name} does not exist; {hint}"
                )))
            }
            Err(error) => Err(self.failed::<K>("cannot be read", name, &error)),
        }
    }

    /// A site that is not being deleted.
    pub(super) async fn living_site(&self, name: &str) -> Result<WordPressSite, SiteError> {
        let site: WordPressSite = self.get(name).await?;
        match site.metadata.deletion_timestamp {
            None => Ok(site),
            Some(_) => Err(SiteError::Refused(format!(
                "WordPressSite {}/{name} is being deleted; nothing was changed",
                self.namespace
            ))),
        }
    }

    /// A Secret, or nothing.
    pub(super) async fn secret(&self, name: &str) -> Result<Option<Secret>, SiteError> {
        let found = self.api::<Secret>().get_opt(name).await;
        found.map_err(|error| self.failed::<Secret>("cannot be read", name, &error))
    }

    async fn names<K: Namespaced>(&self) -> Option<Vec<String>> {
        let listed = self.list::<K>(ListParams::default(), false).await.ok()?;
        let names = listed.objects.iter().map(ResourceExt::name_any);
        Some(names.collect())
    }

    /// All objects of a kind that the selection names, here or everywhere.
    pub(super) async fn list<K: Namespaced>(
        &self,
        selection: ListParams,
        everywhere: bool,
    ) -> Result<Listed<K>, SiteError> {
        let api: Api<DeserializeGuard<K>> = match everywhere {
            true => Api::all(self.client.clone()),
            false => Api::namespaced(self.client.clone(), &self.namespace),
        };
        let (kind, plural) = (K::kind(&()), K::plural(&()));
        let place = match everywhere {
            true => "all namespaces".to_owned(),
            false => format!("namespace {}", self.namespace),
        };
        let mut listed = Listed {
            objects: Vec::new(),
            unreadable: Vec::new(),
        };
        let mut params = selection.limit(PAGE);
        loop {
            let page = api.list(&params).await.map_err(|error| SiteError::Api {
                what: format!("{plural} in {place} cannot be listed"),
                reason: match &error {
                    kube::Error::Api(status) if status.code == NOT_FOUND => missing_definition(),
                    other => words(other),
                },
            })?;
            for DeserializeGuard(object) in page.items {
                match object {
                    Ok(object) => listed.objects.push(object),
                    Err(invalid) => {
                        let name = invalid.metadata.name.unwrap_or_default();
                        let sentence = format!("{kind} {name} is not understood: {}", invalid.error);
                        listed.unreadable.push(sentence);
                    }
                }
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                let key = |object: &K| (object.namespace(), object.name_any());
                listed.objects.sort_by_key(key);
                return Ok(listed);
            }
        }
    }

    /// Merges a patch into an object. Fields that the API server does not know are an error and not left out.
    pub(super) async fn patch<K: Namespaced>(&self, name: &str, patch: &Value) -> Result<K, SiteError> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let result = self.api::<K>().patch(name, &params, &Patch::Merge(patch)).await;
        result.map_err(|error| self.failed::<K>("was not changed", name, &error))
    }

    /// Makes an object.
    pub(super) async fn create<K: Namespaced>(&self, object: &K) -> Result<K, SiteError> {
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        let name = object.meta().generate_name.clone().unwrap_or_default();
        let result = self.api::<K>().create(&params, object).await;
        result.map_err(|error| self.failed::<K>("was not made", &name, &error))
    }

    fn failed<K: Namespaced>(&self, what: &str, name: &str, error: &kube::Error) -> SiteError {
        let kind = K::kind(&());
        let reason = match error {
            kube::Error::Api(status) if status.code == NOT_FOUND => missing_definition(),
            other => words(other),
        };
        SiteError::Api {
            what: format!("{kind} {}/{name} {what}", self.namespace),
            reason,
        }
    }
}

/// What the API server said, or why it said nothing.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.trim_end_matches('.').to_owned(),
        other => chain(other),
    }
}

/// What an API server means that knows the address not at all.
fn missing_definition() -> String {
    "the cluster does not know this kind, or the namespace is not there; are the custom resource definitions installed?"
        .to_owned()
}
