//! Manifests: read from files, and laid over the live objects as an apply would.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, ValidationDirective};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource};
use serde_json::{Map, Value, json};

use super::PlanError;
use super::answer::Problem;
use crate::api::GROUP;
use crate::api::condition::reasons;
use crate::commands::session::words;
use crate::config::PlanOptions;
use crate::controllers::runner::{Cache, Managed, merge_patch, trimmed};

/// Field manager of the dry run. Nothing is stored under it.
const MANAGER: &str = "hostwright-plan";
/// The namespace of documents that name none, as for `kubectl`.
const NAMESPACE: &str = "default";
/// What the API server answers to what we have no right to, and to what is not there.
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
/// Parts of the metadata that a manifest decides.
const METADATA: [&str; 2] = ["annotations", "labels"];

/// Kinds that can be planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planned {
    /// `WordPressSite`.
    Site,
    /// `DnsZone`.
    Zone,
}

impl Planned {
    /// As in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "WordPressSite",
            Self::Zone => "DnsZone",
        }
    }
}

/// One object of a file.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its kind.
    pub kind: Planned,
    /// Its namespace, perhaps by default.
    pub namespace: String,
    /// Its name.
    pub name: String,
    value: Value,
}

/// What was read from files.
#[derive(Debug, Default)]
pub struct Read {
    /// Objects that can be planned.
    pub documents: Vec<Document>,
    /// The others, in words.
    pub skipped: Vec<String>,
}

/// An object as it would be in the cluster.
#[derive(Debug, Clone)]
pub struct Laid<K> {
    /// The object.
    pub object: Arc<K>,
    /// It is in the cluster already.
    pub exists: bool,
    /// What a reader must know of how it came about.
    pub notes: Vec<String>,
}

/// Reads all files of a command.
///
/// # Errors
/// When a file cannot be read or is no YAML.
pub fn read(options: &PlanOptions) -> Result<Read, PlanError> {
    let namespace = options
        .namespace
        .as_ref()
        .map_or_else(|| NAMESPACE.to_owned(), ToString::to_string);
    let mut read = Read::default();
    for file in &options.file {
        let failed = |reason: String| PlanError::File {
            file: file.display().to_string(),
            reason,
        };
        let text = text_of(file).map_err(|error| failed(format!("cannot be read ({error})")))?;
        let values: Vec<Option<Value>> =
            serde_yaml::from_multiple(&text).map_err(|error| failed(format!("is not YAML: {error}")))?;
        for value in values.into_iter().flatten() {
            take(value, &namespace, &mut read).map_err(failed)?;
        }
    }
    Ok(read)
}

fn text_of(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

fn take(mut value: Value, namespace: &str, read: &mut Read) -> Result<(), String> {
    let text = |value: &Value, path: &str| {
        let found = value.pointer(path).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let kind = text(&value, "/kind");
    if kind.is_empty() {
        return Err("has a document without kind".to_owned());
    }
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take)
    {
        for item in items {
            take(item, namespace, read)?;
        }
        return Ok(());
    }
    let name = text(&value, "/metadata/name");
    let ours = text(&value, "/apiVersion").starts_with(&format!("{GROUP}/"));
    let planned = match kind.as_str() {
        "WordPressSite" if ours => Planned::Site,
        "DnsZone" if ours => Planned::Zone,
        _ => {
            read.skipped.push(format!("{kind} {name}"));
            return Ok(());
        }
    };
    if name.is_empty() {
        return Err(format!("has a {kind} without metadata.name"));
    }
    let own = text(&value, "/metadata/namespace");
    let namespace = if own.is_empty() { namespace.to_owned() } else { own };
    read.documents.push(Document {
        kind: planned,
        namespace,
        name,
        value,
    });
    Ok(())
}

/// Lays a manifest over the live object, or makes the new one, with the API server's own defaults and rules. That is
/// a dry run: the server stores nothing.
///
/// # Errors
/// What the API server has against it.
pub async fn lay<K>(
    api: &Api<K>,
    cache: &Cache<K>,
    document: &Document,
    number: usize,
) -> Result<Laid<K>, Problem>
where
    K: Managed + Resource<DynamicType = ()>,
{
    let live = cache.get(&ObjectRef::new(&document.name).within(&document.namespace));
    let asked = match &live {
        Some(live) => {
            let patch = difference(live.as_ref(), &document.value)?;
            let params = PatchParams {
                dry_run: true,
                field_validation: Some(ValidationDirective::Strict),
                ..PatchParams::default()
            };
            api.patch(&document.name, &params, &Patch::Merge(&patch)).await
        }
        None => {
            let params = PatchParams {
                dry_run: true,
                field_validation: Some(ValidationDirective::Strict),
                ..PatchParams::apply(MANAGER).force()
            };
            api.patch(&document.name, &params, &Patch::Apply(&manifest(document)))
                .await
        }
    };
    let (object, note) = match asked {
        Ok(object) => (trimmed(object), None),
        Err(error) => locally(live.as_deref(), document, &error)?,
    };
    let object = match &live {
        Some(_) => object,
        None => unborn(object, number),
    };
    Ok(Laid {
        object: Arc::new(object),
        exists: live.is_some(),
        notes: note.into_iter().collect(),
    })
}

/// The manifest as it is sent: what a person decides, without what the cluster adds.
fn manifest(document: &Document) -> Value {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), json!(document.name));
    metadata.insert("namespace".to_owned(), json!(document.namespace));
    for key in METADATA {
        if let Some(value) = document.value.pointer(&format!("/metadata/{key}")) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let mut value = document.value.clone();
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
        object.insert("metadata".to_owned(), Value::Object(metadata));
    }
    value
}

/// The patch that brings a live object to its manifest: the whole spec, so that what the manifest leaves out goes,
/// and the annotations and labels that it names.
fn difference<K: Managed>(live: &K, wanted: &Value) -> Result<Value, Problem> {
    let live = serde_json::to_value(live).map_err(|error| invalid(&error.to_string()))?;
    let spec = |value: &Value| value.get("spec").cloned().unwrap_or_else(|| json!({}));
    let mut metadata = Map::new();
    for key in METADATA {
        if let Some(value) = wanted.pointer(&format!("/metadata/{key}")) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let spec = merge_patch(&spec(&live), &spec(wanted)).unwrap_or_else(|| json!({}));
    Ok(json!({"metadata": metadata, "spec": spec}))
}

/// Without the API server's help, when it does not let us ask or the namespace is still to come.
fn locally<K: Managed>(
    live: Option<&K>,
    document: &Document,
    error: &kube::Error,
) -> Result<(K, Option<String>), Problem> {
    let code = match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    };
    let why = match (code, live) {
        (FORBIDDEN, _) => "the API server does not let this user ask",
        (NOT_FOUND, None) => "the namespace does not exist",
        _ => return Err(invalid(&words(error))),
    };
    let mut value = manifest(document);
    if let Some(live) = live {
        let mut base = serde_json::to_value(live).map_err(|error| invalid(&error.to_string()))?;
        let patch = json!({"metadata": value.get("metadata"), "spec": null});
        overlay(&mut base, &patch);
        if let (Some(object), Some(spec)) = (base.as_object_mut(), value.get("spec")) {
            object.insert("spec".to_owned(), spec.clone());
        }
        value = base;
    }
    let object = serde_json::from_value(value).map_err(|error| invalid(&error.to_string()))?;
    let note = format!(
        "Defaults are this program's own, and the schema's rules were not asked, for {why} ({}).",
        words(error)
    );
    Ok((object, Some(note)))
}

/// Applies a merge patch (RFC 7396).
fn overlay(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        value.clone_from(patch);
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Some(object) = value.as_object_mut() else {
        return;
    };
    for (key, change) in patch {
        match change {
            Value::Null => drop(object.remove(key)),
            change => overlay(object.entry(key).or_insert(Value::Null), change),
        }
    }
}

fn invalid(message: &str) -> Problem {
    Problem {
        reason: reasons::INVALID_SPEC.to_owned(),
        message: message.to_owned(),
    }
}

/// An object that was just made, as far as a pass cares. Its UID is none that Kubernetes gives out, which are of
/// version 4 (RFC 9562 5.4): no mark outside can match it. It sorts behind all others that are as young.
fn unborn<K: Managed>(mut object: K, number: usize) -> K {
    let meta = object.meta_mut();
    meta.uid = Some(format!("ffffffff-ffff-0000-8000-{number:012x}"));
    meta.resource_version = None;
    meta.generation = Some(1);
    if meta.creation_timestamp.is_none() {
        meta.creation_timestamp = Some(Time(Timestamp::now()));
    }
    object
}
