//! The cache of a kind: every object that its watch shows.
//!
//! Of some kinds there are thousands of objects, which resemble each other to the last sentence of their conditions. They
//! are kept packed: as JSON that is compressed against one of them, a quarter of its length. With its name a site takes
//! 1.2 KiB then, a third of its fields as they stand in memory; it is unpacked when somebody looks at it. Of other kinds
//! there are a few objects that everybody looks at, which are kept whole.

use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::watcher::Event;
use lz4_flex::block::{compress_with_dict, decompress_with_dict};
use serde::{Deserialize, Deserializer};

use super::kind::Managed;

/// An object takes the place of the pattern when it is packed to more than one part in so many: then the pattern, perhaps
/// of a time when nothing was known of its object yet, is not like the others.
const GOOD_RATIO: usize = 3;

/// Bytes of the largest pattern: five times a site. Every packing reads all of it, and a zone with thousands of records is
/// like no other one.
const PATTERN_MAX: usize = 16 << 10;

/// What the others of a kind are compressed against: the JSON of one of them.
type Pattern = Arc<[u8]>;

/// An object as the cache keeps it: its name and UID, and the rest packed.
pub struct Kept<K> {
    /// Name and namespace only, for kube copies what else there is into each of its queues.
    meta: ObjectMeta,
    uid: Arc<str>,
    form: Form<K>,
}

enum Form<K> {
    /// JSON, compressed against a pattern, with its own length in bytes.
    Packed {
        bytes: Arc<[u8]>,
        length: usize,
        pattern: Pattern,
        of: PhantomData<fn() -> K>,
    },
    Whole(Arc<K>),
}

impl<K> Clone for Form<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Whole(object) => Self::Whole(Arc::clone(object)),
            Self::Packed {
                bytes,
                length,
                pattern,
                of,
            } => Self::Packed {
                bytes: Arc::clone(bytes),
                length: *length,
                pattern: Arc::clone(pattern),
                of: *of,
            },
        }
    }
}

impl<K: Managed> Form<K> {
    fn open(&self) -> Option<Arc<K>> {
        match self {
            Self::Whole(object) => Some(Arc::clone(object)),
            Self::Packed {
                bytes,
                length,
                pattern,
                ..
            } => {
                let json = decompress_with_dict(bytes, *length, pattern).ok()?;
                serde_json::from_slice(&json).ok().map(Arc::new)
            }
        }
    }
}

impl<K> Clone for Kept<K> {
    fn clone(&self) -> Self {
        Self {
            meta: self.meta.clone(),
            uid: Arc::clone(&self.uid),
            form: self.form.clone(),
        }
    }
}

impl<K> Debug for Kept<K> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        to.debug_struct("Kept")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

impl<K: Managed> Kept<K> {
    fn of(object: &K, form: Form<K>) -> Self {
        let meta = object.meta();
        Self {
            meta: ObjectMeta {
                name: meta.name.clone(),
                namespace: meta.namespace.clone(),
                ..ObjectMeta::default()
            },
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            form,
        }
    }

    fn whole(object: &K) -> Self {
        Self::of(object, Form::Whole(Arc::new(object.clone())))
    }

    /// The UID of the object.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The name of the object.
    pub fn name(&self) -> ObjectRef<K> {
        let name = ObjectRef::new(self.meta.name.as_deref().unwrap_or_default());
        match &self.meta.namespace {
            Some(namespace) => name.within(namespace),
            None => name,
        }
    }

    /// The object. `None` never happens, for whoever packs looks whether it can be unpacked.
    pub fn open(&self) -> Option<Arc<K>> {
        self.form.open()
    }
}

/// kube's controller asks for it and does not use it.
impl<'de, K: Managed> Deserialize<'de> for Kept<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        K::deserialize(from).map(|object| Self::whole(&object))
    }
}

impl<K: Managed> Resource for Kept<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> std::borrow::Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// Reads the cache. Clones read the same one.
pub struct Cache<K: Managed>(reflector::Store<Kept<K>>);

impl<K: Managed> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Managed> Debug for Cache<K> {
    fn fmt(&self, to: &mut Formatter<'_>) -> fmt::Result {
        write!(to, "Cache({})", self.0.len())
    }
}

impl<K: Managed> Cache<K> {
    /// One object, if the watch has shown it.
    pub fn get(&self, name: &ObjectRef<K>) -> Option<Arc<K>> {
        self.kept(name)?.open()
    }

    pub(super) fn kept(&self, name: &ObjectRef<K>) -> Option<Arc<Kept<K>>> {
        self.0.get(&kept_ref(name))
    }

    /// All objects at this moment; each is unpacked when its turn comes.
    pub fn each(&self) -> impl Iterator<Item = Arc<K>> + use<K> {
        self.snapshot().into_iter().filter_map(|kept| kept.open())
    }

    /// All objects at this moment, as they are kept.
    pub fn snapshot(&self) -> Vec<Arc<Kept<K>>> {
        self.0.state()
    }

    /// The store below, for kube's controller.
    pub(super) fn store(&self) -> reflector::Store<Kept<K>> {
        self.0.clone()
    }
}

/// The name of an object as the store below knows it.
pub(super) fn kept_ref<K: Managed>(name: &ObjectRef<K>) -> ObjectRef<Kept<K>> {
    let kept = ObjectRef::new(&name.name);
    match &name.namespace {
        Some(namespace) => kept.within(namespace),
        None => kept,
    }
}

/// Fills a cache. There is one for each.
pub struct CacheWriter<K: Managed> {
    store: reflector::store::Writer<Kept<K>>,
    /// `None` keeps objects whole.
    pattern: Option<Pattern>,
}

impl<K: Managed> CacheWriter<K> {
    /// For a kind of which there are a few objects.
    pub fn whole() -> Self {
        Self {
            store: reflector::store::Writer::default(),
            pattern: None,
        }
    }

    /// For a kind of which there may be thousands.
    pub fn packing() -> Self {
        Self {
            pattern: Some(Pattern::default()),
            ..Self::whole()
        }
    }

    /// The cache that is written.
    pub fn cache(&self) -> Cache<K> {
        Cache(self.store.as_reader())
    }

    /// Takes an event of the watch.
    pub fn take(&mut self, event: &Event<K>) {
        let event = match event {
            Event::Apply(object) => Event::Apply(self.pack(object)),
            Event::Delete(object) => Event::Delete(self.pack(object)),
            Event::Init => Event::Init,
            Event::InitApply(object) => Event::InitApply(self.pack(object)),
            Event::InitDone => Event::InitDone,
        };
        self.store.apply_watcher_event(&event);
    }

    fn pack(&mut self, object: &K) -> Kept<K> {
        match self.packed(object) {
            Some(form) => Kept::of(object, form),
            None => Kept::whole(object),
        }
    }

    /// `None` for an object that is kept whole, because of its kind or because it does not come back from JSON.
    fn packed(&mut self, object: &K) -> Option<Form<K>> {
        let pattern = self.pattern.as_mut()?;
        let json = serde_json::to_vec(object).ok()?;
        let bytes = compress_with_dict(&json, pattern);
        let like_the_others = bytes.len().saturating_mul(GOOD_RATIO) <= json.len();
        let form = Form::Packed {
            bytes: bytes.into(),
            length: json.len(),
            pattern: Arc::clone(pattern),
            of: PhantomData,
        };
        if !like_the_others && json.len() > pattern.len() && json.len() <= PATTERN_MAX {
            *pattern = json.into();
        }
        form.open().map(|_| form)
    }
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;
    use crate::api::WordPressSite;

    fn site(number: u32) -> WordPressSite {
        let name = format!("site-{number:05}");
        let host = format!("{name}.sites.example.com");
        let condition = |kind: &str, message: &str| json!({"type": kind, "status": "True", "reason": "Ready", "message": message, "observedGeneration": 1, "lastTransitionTime": "2026-11-21T19:56:31Z"});
        serde_json::from_value(json!({
            "apiVersion": "hostwright.dev/v1alpha1", "kind": "WordPressSite",
            "metadata": {
                "name": name, "namespace": "bench", "generation": 1, "resourceVersion": (4_000 + number).to_string(),
                "creationTimestamp": "2026-11-21T19:56:22Z", "finalizers": ["hostwright.dev/outside"],
                "uid": format!("a9ecfb94-5c24-46d3-80f8-{number:012}"),
            },
            "spec": {"serviceId": number.to_string(), "plan": "bench", "owner": {"email": format!("{name}@customer.example")}},
            "status": {
                "host": host, "vmid": 5_000 + number, "node": "pve1", "url": format!("https://{host}"),
                "conditions": [
                    condition("Ready", "The site is up and answers through the proxy."),
                    condition("Synced", "Acting as asked."),
                    condition("ContainerReady", &format!("Container {} runs.", 5_000 + number)),
                    condition("NameReady", &format!("{host} points to 203.0.113.10.")),
                    condition("CertificateReady", &format!("The certificate of {host} exists.")),
                    condition("InstallReady", "WordPress is installed."),
                    condition("PageReady", "WordPress answers through the proxy."),
                    condition("SnapshotReady", "The snapshot initial exists."),
                ],
            },
        }))
        .unwrap()
    }

    fn bytes_of(cache: &Cache<WordPressSite>, number: u32) -> (usize, usize) {
        let kept = cache.kept(&ObjectRef::from_obj(&site(number))).unwrap();
        match &kept.form {
            Form::Packed { bytes, length, .. } => (bytes.len(), *length),
            Form::Whole(_) => panic!("it was not packed"),
        }
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let mut writer = CacheWriter::packing();
        let cache = writer.cache();
        writer.take(&Event::Init);
        (0..100).for_each(|number| writer.take(&Event::InitApply(site(number))));
        assert_eq!(cache.each().count(), 0, "a list is there when it is complete");
        writer.take(&Event::InitDone);
        for number in 0..100 {
            let site = site(number);
            let name = ObjectRef::from_obj(&site);
            let json = |site: &WordPressSite| serde_json::to_value(site).unwrap();
            assert_eq!(json(&cache.get(&name).unwrap()), json(&site));
            assert_eq!(cache.kept(&name).unwrap().uid(), site.uid().unwrap());
        }
        writer.take(&Event::Delete(site(7)));
        assert!(cache.get(&ObjectRef::from_obj(&site(7))).is_none());
        assert_eq!(cache.each().count(), 99);
    }

    #[test]
    fn one_that_is_larger_than_any_other_is_no_pattern() {
        let mut writer = CacheWriter::packing();
        let cache = writer.cache();
        let mut large = site(0);
        let label = |number: u32| (format!("l{number}"), "x".repeat(63));
        large.metadata.labels = Some((0..1_000).map(label).collect());
        writer.take(&Event::Apply(large.clone()));
        assert!(writer.pattern.as_ref().is_some_and(|pattern| pattern.is_empty()));
        assert_eq!(
            cache.get(&ObjectRef::from_obj(&large)).unwrap().labels().len(),
            1_000
        );
        writer.take(&Event::Apply(site(1)));
        assert!(writer.pattern.as_ref().is_some_and(|pattern| !pattern.is_empty()));
    }

    #[test]
    fn objects_that_resemble_another_take_a_third_of_their_json_at_most() {
        let mut writer = CacheWriter::packing();
        let cache = writer.cache();
        // The first ones are of a time when nothing was known yet, and are no pattern for those after them.
        for number in 0..3 {
            let bare = WordPressSite {
                status: None,
                ..site(number)
            };
            writer.take(&Event::Apply(bare));
        }
        (0..20).for_each(|number| writer.take(&Event::Apply(site(number))));
        let (packed, whole) = bytes_of(&cache, 19);
        assert!(packed * GOOD_RATIO <= whole, "{packed} of {whole} bytes");
    }
}
