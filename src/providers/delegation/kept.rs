//! Results by name, each kept for a while and asked for by one caller at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Fqdn;

/// Names that are kept before old results are looked for.
pub(super) const KEPT_AT_LEAST: usize = 256;

/// The last result about a name.
#[derive(Debug)]
struct Entry<Q, T> {
    question: Q,
    begun: Instant,
    until: Instant,
    result: T,
}

/// Whoever holds it asks; the others wait for the result.
type Slot<Q, T> = Arc<tokio::sync::Mutex<Option<Entry<Q, T>>>>;

#[derive(Debug)]
struct Slots<Q, T> {
    names: BTreeMap<Fqdn, Slot<Q, T>>,
    /// Size at which old results are thrown away.
    sweep_at: usize,
}

/// Results of questions of type `Q` about names.
#[derive(Debug)]
pub(super) struct Kept<Q, T> {
    slots: Mutex<Slots<Q, T>>,
}

impl<Q, T> Default for Kept<Q, T> {
    fn default() -> Self {
        let slots = Slots {
            names: BTreeMap::new(),
            sweep_at: 0,
        };
        Self {
            slots: Mutex::new(slots),
        }
    }
}

impl<Q: Clone + PartialEq, T: Clone> Kept<Q, T> {
    /// The kept result, or that of `ask`, which also says for how long it is good.
    pub(super) async fn get(
        &self,
        name: &Fqdn,
        question: &Q,
        ask: impl Future<Output = (T, Duration)> + Send,
    ) -> T {
        let asked = Instant::now();
        let slot = self.slot(name);
        let mut kept = slot.lock().await;
        // A result of work that began after the question counts however short it is kept.
        if let Some(kept) = kept.as_ref()
            && kept.question == *question
            && (kept.begun >= asked || kept.until > asked)
        {
            return kept.result.clone();
        }
        let begun = Instant::now();
        let (result, age) = ask.await;
        *kept = Some(Entry {
            question: question.clone(),
            begun,
            until: begun + age,
            result: result.clone(),
        });
        result
    }

    /// Drops what is kept about a name.
    pub(super) fn forget(&self, name: &Fqdn) {
        self.slots().names.remove(name);
    }

    /// Names of which something is kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots().names.len()
    }

    fn slots(&self) -> MutexGuard<'_, Slots<Q, T>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, name: &Fqdn) -> Slot<Q, T> {
        let mut slots = self.slots();
        if let Some(slot) = slots.names.get(name) {
            return Arc::clone(slot);
        }
        // Names that nobody asks about any more must not stay for ever. Doubling keeps the sweeps rare.
        if slots.names.len() >= slots.sweep_at.max(KEPT_AT_LEAST) {
            let now = Instant::now();
            let wanted = |slot: &Slot<Q, T>| match slot.try_lock() {
                Ok(kept) => kept.as_ref().is_some_and(|kept| kept.until > now),
                Err(_) => true,
            };
            slots
                .names
                .retain(|_, slot| Arc::strong_count(slot) > 1 || wanted(slot));
            slots.sweep_at = slots.names.len().saturating_mul(2);
        }
        let fresh: Slot<Q, T> = Arc::new(tokio::sync::Mutex::new(None));
        Arc::clone(slots.names.entry(name.clone()).or_insert(fresh))
    }
}
