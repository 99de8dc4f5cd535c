//! Watches: the primary one with its cache, and secondary ones that wake objects.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, WatchStreamExt};
use kube::{Api, ResourceExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::cache::{Cache, CacheWriter, Kept, kept_ref};
use super::kind::{Kind, Managed};
use super::schedule::Schedule;
use super::{Runner, trimmed};

/// Objects per page of the first list: 100 of some 5 KB are half a MiB at a time, several times that while parsed.
const PAGE_SIZE: u32 = 100;

/// How often somebody looks who waits for a cache to be filled. See [`filled`].
const FILLED_LOOK: Duration = Duration::from_millis(20);

/// Waits until a cache is filled: for ever when its watch is gone before that, with which everything ends. Nothing must be
/// judged by a cache without objects.
///
/// `Store::wait_until_ready` wakes only whoever asked last. Of the many passes that wait for one cache after a start, all
/// others would sleep until their deadline, so that everybody looks again by himself.
pub async fn filled<K: Managed>(cache: &Cache<K>) {
    let store = cache.store();
    loop {
        match timeout(FILLED_LOOK, store.wait_until_ready()).await {
            Ok(Ok(())) => return,
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {}
        }
    }
}

/// Wakes objects of one kind.
#[derive(Debug)]
pub struct Poker<K: Managed> {
    schedule: Arc<Schedule<K>>,
    queue: mpsc::UnboundedSender<ObjectRef<K>>,
}

impl<K: Managed> Clone for Poker<K> {
    fn clone(&self) -> Self {
        Self {
            schedule: Arc::clone(&self.schedule),
            queue: self.queue.clone(),
        }
    }
}

impl<K: Managed> Poker<K> {
    /// A poker and the stream of its pokes, which is bounded by the number of objects, for the controller
    /// takes pokes of one object together.
    pub fn new(schedule: Arc<Schedule<K>>) -> (Self, mpsc::UnboundedReceiver<ObjectRef<K>>) {
        let (queue, pokes) = mpsc::unbounded_channel();
        (Self { schedule, queue }, pokes)
    }

    /// Asks for a pass of the object now.
    pub fn poke(&self, object: &ObjectRef<K>, uid: &str) {
        self.schedule.poke(uid);
        // The receiver goes only when the controller stops.
        let _ = self.queue.send(object.clone());
    }

    /// Asks for a pass of the object now that does not content itself with bulk reads.
    pub fn poke_closely(&self, object: &ObjectRef<K>, uid: &str) {
        self.schedule.poke_closely(uid);
        let _ = self.queue.send(object.clone());
    }

    /// Asks for a pass of the cached objects with these UIDs.
    pub fn poke_uids(&self, cache: &Cache<K>, uids: &BTreeSet<String>) {
        if uids.is_empty() {
            return;
        }
        for kept in cache.snapshot() {
            if uids.contains(kept.uid()) {
                self.poke(&kept.name(), kept.uid());
            }
        }
    }

    /// Asks for a pass of every cached object that matches.
    pub fn poke_where(&self, cache: &Cache<K>, matches: impl Fn(&K) -> bool) {
        for object in cache.each().filter(|object| matches(object)) {
            self.poke(
                &ObjectRef::from_obj(object.as_ref()),
                &object.uid().unwrap_or_default(),
            );
        }
    }
}

/// What a watch says about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It exists, as shown.
    Stored,
    /// It is gone.
    Gone,
}

/// Turns the events of a watch into changes that are told when the cache has them: whoever looks into the cache for one
/// that a list names before the list is complete finds what it was before, or nothing, and nobody would tell it again.
/// A list that is begun anew replaces the cache only at its end, and what has vanished meanwhile is told as gone.
struct Changes<K: Managed> {
    cache: Cache<K>,
    writer: CacheWriter<K>,
    before: HashMap<ObjectRef<Kept<K>>, Arc<Kept<K>>>,
    /// Names only: a copy of every object would be as large as the cache itself.
    listed: Vec<ObjectRef<K>>,
}

impl<K: Managed> Changes<K> {
    fn new(writer: CacheWriter<K>) -> Self {
        Self {
            cache: writer.cache(),
            writer,
            before: HashMap::new(),
            listed: Vec::new(),
        }
    }

    /// Puts the event into the cache and tells what is new. Returns the objects that have something new.
    fn take(&mut self, event: Event<K>, mut tell: impl FnMut(&K, Change)) -> Vec<Arc<Kept<K>>> {
        if matches!(event, Event::Init) {
            let known = self.cache.snapshot().into_iter();
            self.before = known
                .map(|kept| (ObjectRef::from_obj(kept.as_ref()), kept))
                .collect();
            self.listed.clear();
        }
        self.writer.take(&event);
        match event {
            Event::Apply(object) => {
                tell(&object, Change::Stored);
                self.cache
                    .kept(&ObjectRef::from_obj(&object))
                    .into_iter()
                    .collect()
            }
            Event::Delete(object) => {
                tell(&object, Change::Gone);
                Vec::new()
            }
            Event::Init => Vec::new(),
            Event::InitApply(object) => {
                self.listed.push(ObjectRef::from_obj(&object));
                Vec::new()
            }
            Event::InitDone => self.list_is_complete(tell),
        }
    }

    fn list_is_complete(&mut self, mut tell: impl FnMut(&K, Change)) -> Vec<Arc<Kept<K>>> {
        let mut vanished = std::mem::take(&mut self.before);
        let names = std::mem::take(&mut self.listed);
        let listed: Vec<_> = names.iter().filter_map(|name| self.cache.kept(name)).collect();
        for kept in &listed {
            if let Some(known) = vanished.remove(&ObjectRef::from_obj(kept.as_ref()))
                && known.uid() != kept.uid()
                && let Some(known) = known.open()
            {
                tell(&known, Change::Gone);
            }
            if let Some(object) = kept.open() {
                tell(&object, Change::Stored);
            }
        }
        for known in vanished.values().filter_map(|known| known.open()) {
            tell(&known, Change::Gone);
        }
        listed
    }
}

/// Objects that a watch shows, each when the cache has it.
fn shown<K: Managed>(
    events: impl Stream<Item = Result<Event<K>, watcher::Error>> + Send,
    writer: CacheWriter<K>,
    mut tell: impl FnMut(&K, Change) + Send,
) -> impl Stream<Item = Result<Kept<K>, watcher::Error>> + Send {
    let mut changes = Changes::new(writer);
    events
        .map_ok(move |event| {
            let news = changes.take(event, &mut tell);
            futures::stream::iter(news.into_iter().map(|kept| Ok(Arc::unwrap_or_clone(kept))))
        })
        .try_flatten()
}

/// Runs the controller of a kind until `stop`. `changed` is told of every change that the watch shows.
pub async fn run<K: Kind>(
    runner: Arc<Runner<K>>,
    api: Api<DeserializeGuard<K::Object>>,
    cache: CacheWriter<K::Object>,
    mut changed: impl FnMut(&K::Object, Change) + Send + 'static,
    pokes: mpsc::UnboundedReceiver<ObjectRef<K::Object>>,
    concurrency: u16,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) where
    K::Object: Send,
{
    let reader = cache.cache().store();
    let kind = Arc::clone(&runner.kind);
    let schedule = Arc::clone(&runner.schedule);
    let tell = move |object: &K::Object, change: Change| {
        match change {
            Change::Stored => {
                kind.seen(object);
                schedule.notice(object);
            }
            Change::Gone => {
                kind.gone(object);
                schedule.forget(&object.uid().unwrap_or_default());
            }
        }
        changed(object, change);
    };
    let events = guarded::<K::Object>(api, K::KIND.label(), watcher::Config::default());
    let objects = shown(events, cache, tell);
    let pokes = futures::stream::unfold(pokes, |mut pokes| async move {
        pokes.recv().await.map(|poke| (kept_ref(&poke), pokes))
    });
    let concurrency = Config::default().concurrency(concurrency);
    Controller::for_stream(objects, reader)
        .with_config(concurrency)
        .reconcile_on(pokes)
        .graceful_shutdown_on(stop)
        .run(
            |kept: Arc<Kept<K::Object>>, runner: Arc<Runner<K>>| async move {
                match kept.open() {
                    Some(object) => runner.reconcile(object).await,
                    None => Ok(Action::await_change()),
                }
            },
            |_, never, _| match *never {},
            runner,
        )
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Watches another kind into a cache and calls `changed` for every change, once the cache has it.
pub async fn secondary<K>(
    api: Api<DeserializeGuard<K>>,
    name: &'static str,
    config: watcher::Config,
    writer: CacheWriter<K>,
    changed: impl FnMut(&K, Change) + Send,
) where
    K: Managed,
{
    let stream = shown(guarded::<K>(api, name, config), writer, changed);
    let mut stream = std::pin::pin!(stream);
    while let Some(shown) = stream.next().await {
        if let Err(error) = shown {
            tracing::debug!(%error, kind = name, "the watch broke and is begun again");
        }
    }
}

/// A watch that goes on after errors, without managed fields, and that leaves out objects that cannot be read
/// instead of stopping at them.
fn guarded<K: Managed>(
    api: Api<DeserializeGuard<K>>,
    name: &'static str,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send {
    watcher::watcher(api, config.page_size(PAGE_SIZE))
        .default_backoff()
        .try_filter_map(move |event| std::future::ready(Ok(readable(event, name))))
}

fn readable<K: Managed>(event: Event<DeserializeGuard<K>>, name: &'static str) -> Option<Event<K>> {
    let open = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(trimmed(object)),
        Err(invalid) => {
            let object = invalid.metadata.name.as_deref().unwrap_or_default();
            let namespace = invalid.metadata.namespace.as_deref().unwrap_or_default();
            tracing::error!(kind = name, namespace, object, error = %invalid.error, "left out: the stored object does not fit its schema");
            None
        }
    };
    match event {
        Event::Apply(guard) => open(guard).map(Event::Apply),
        Event::InitApply(guard) => open(guard).map(Event::InitApply),
        Event::Delete(guard) => open(guard).map(Event::Delete),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Plan;

    fn plan(name: &str, version: &str) -> Plan {
        let metadata = json!({"name": name, "uid": name, "resourceVersion": version});
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    #[tokio::test]
    async fn what_is_shown_is_in_the_cache_already() {
        let events = [
            Event::Init,
            Event::InitApply(plan("a", "1")),
            Event::InitApply(plan("gone", "1")),
            Event::InitDone,
            Event::Apply(plan("a", "2")),
            // The watch broke, and is begun anew with a list: a changed meanwhile, b is new.
            Event::Init,
            Event::InitApply(plan("a", "3")),
            Event::Init,
            Event::InitApply(plan("a", "4")),
            Event::InitApply(plan("b", "4")),
            Event::InitDone,
            Event::Delete(plan("b", "5")),
        ];
        let writer = CacheWriter::<Plan>::packing();
        let cache = writer.cache();
        let told = std::sync::Mutex::new(Vec::new());
        let note = |plan: &Plan, change| {
            let version = plan.resource_version().unwrap_or_default();
            told.lock().unwrap().push((plan.name_any(), version, change));
        };
        let stream = shown(futures::stream::iter(events.map(Ok)), writer, note);
        let mut stream = std::pin::pin!(stream);
        let mut seen = Vec::new();
        while let Some(object) = stream.next().await {
            let object = object.unwrap();
            let object = object.open().unwrap();
            let cached = cache.get(&ObjectRef::from_obj(&object)).unwrap();
            assert_eq!(cached.resource_version(), object.resource_version());
            seen.push((object.name_any(), object.resource_version().unwrap()));
        }
        let pair = |name: &str, version: &str| (name.to_owned(), version.to_owned());
        assert_eq!(
            seen,
            [
                pair("a", "1"),
                pair("gone", "1"),
                pair("a", "2"),
                pair("a", "4"),
                pair("b", "4")
            ]
        );
        let gone = told.lock().unwrap().clone().into_iter();
        let gone: Vec<_> = gone
            .filter(|(_, _, change)| *change == Change::Gone)
            .map(|(name, _, _)| name)
            .collect();
        assert_eq!(gone, ["gone", "b"]);
    }
    #[tokio::test]
    async fn everybody_who_waits_for_a_cache_hears_that_it_is_filled() {
        let mut writer = CacheWriter::<Plan>::packing();
        let cache = writer.cache();
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..3 {
            let cache = cache.clone();
            waiting.spawn(async move { filled(&cache).await });
        }
        // All of them wait now.
        tokio::task::yield_now().await;
        assert!(waiting.try_join_next().is_none());
        writer.take(&Event::InitDone);
        let all = timeout(Duration::from_secs(30), waiting.join_all()).await;
        assert_eq!(all.map(|ended| ended.len()).ok(), Some(3));
    }
}
