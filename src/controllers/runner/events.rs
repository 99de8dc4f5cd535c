//! Events: one when a condition that matters to people changes, none otherwise.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::condition::{kinds, reasons};
use crate::providers::fence::{Closed, Fence, fenced};
use crate::runtime::metrics::{Kind as MetricKind, Metrics, WriteResult, WriteVerb};

/// Events that may wait to be sent; more are dropped, for an event is a courtesy and must not hold up a pass.
const QUEUE: usize = 1_024;
/// Bytes of a note; the API server refuses events with more (`events.k8s.io/v1`, field `note`).
const NOTE_MAX: usize = 1_024;

/// Wait for the answer to one event; those behind it wait as well.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Sends events in the background.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<(Event, ObjectReference)>,
}

impl Events {
    /// Starts the sender; it ends when all clones are dropped, or at the first event that meets a closed fence.
    pub fn start(client: kube::Client, kind: MetricKind, metrics: Metrics, fence: Arc<dyn Fence>) -> Self {
        let (queue, mut waiting) = mpsc::channel::<(Event, ObjectReference)>(QUEUE);
        let reporter = Reporter {
            controller: "hostwright".to_owned(),
            instance: None,
        };
        tokio::spawn(async move {
            let recorder = Recorder::new(client, reporter);
            while let Some((event, regarding)) = waiting.recv().await {
                let publish = timeout(ANSWER_LIMIT, recorder.publish(&event, &regarding));
                let publish = async { Ok(publish.await) };
                let Ok(sent) = fenced(fence.as_ref(), publish, || Closed).await else {
                    return;
                };
                let result = sent.unwrap_or_else(|_| Err(kube::Error::Service("no answer".into())));
                metrics.api_write(kind, WriteVerb::Event, WriteResult::of(&result));
                if let Err(error) = result {
                    tracing::debug!(%error, object = regarding.name, "an event could not be sent");
                }
            }
        });
        Self { queue }
    }

    /// Says that something outside was found different and put right.
    pub fn repaired(&self, regarding: &ObjectReference, repairs: &[String]) {
        let event = Event {
            type_: EventType::Normal,
            reason: reasons::DRIFT_REPAIRED.to_owned(),
            note: Some(note(format!(
                "Something outside was not as it shall be and was put right: {}.",
                repairs.join(", ")
            ))),
            action: "Repair".to_owned(),
            secondary: None,
        };
        self.send(event, regarding);
    }

    /// Says that something of ours stands outside that belongs to nobody any more.
    pub fn orphans(&self, regarding: &ObjectReference, words: String) {
        let event = Event {
            type_: EventType::Warning,
            reason: reasons::ORPHANS_FOUND.to_owned(),
            note: Some(note(words)),
            action: "Sweep".to_owned(),
            secondary: None,
        };
        self.send(event, regarding);
    }

    /// Sends one event for every change that matters from `old` to `new`.
    pub fn changes(&self, regarding: &ObjectReference, old: &[Condition], new: &[Condition]) {
        for event in between(old, new) {
            self.send(event, regarding);
        }
    }

    fn send(&self, event: Event, regarding: &ObjectReference) {
        if self.queue.try_send((event, regarding.clone())).is_err() {
            tracing::debug!(
                object = regarding.name,
                "too many events are waiting; one was dropped"
            );
        }
    }
}

/// The events between two lists of conditions. Parts show in `Ready`'s message; only the summary conditions
/// make events, so that the making of one site is a handful of events and not dozens.
fn between(old: &[Condition], new: &[Condition]) -> Vec<Event> {
    let find =
        |list: &[Condition], kind: &str| list.iter().find(|condition| condition.type_ == kind).cloned();
    let mut events = Vec::new();
    for kind in [kinds::READY, kinds::SYNCED, kinds::STALLED] {
        let Some(now) = find(new, kind) else { continue };
        let before = find(old, kind);
        let same = before
            .as_ref()
            .is_some_and(|c| c.status == now.status && c.reason == now.reason);
        let good = now.status == if kind == kinds::STALLED { "False" } else { "True" };
        // "Could act" is news only after it could not.
        let first_success =
            good && kind != kinds::READY && before.as_ref().is_none_or(|c| c.status != "False");
        // Made within one pass and without any trouble on the way: the object itself says so, and an event more would
        // cost the API server as much as the whole status.
        let in_one_go = good && kind == kinds::READY && before.as_ref().is_none_or(|c| c.status == "Unknown");
        if same || first_success || in_one_go {
            continue;
        }
        let normal = good
            || (kind == kinds::READY
                && now.status != "True"
                && find(new, kinds::SYNCED).is_none_or(|c| c.status == "True"));
        events.push(Event {
            type_: if normal {
                EventType::Normal
            } else {
                EventType::Warning
            },
            reason: now.reason.clone(),
            note: Some(note(format!("{kind}={}: {}", now.status, now.message))),
            action: "Reconcile".to_owned(),
            secondary: None,
        });
    }
    events.extend(recovered(old, new));
    events
}

/// Something was lost and came back from a backup: what was written in between is gone, which is worth an event even
/// when all is well again.
fn recovered(old: &[Condition], new: &[Condition]) -> Option<Event> {
    let find = |list: &'_ [Condition]| {
        list.iter()
            .find(|condition| condition.type_ == kinds::RECOVERED)
            .cloned()
    };
    let now = find(new)?;
    let told = find(old).is_some_and(|before| before.message == now.message);
    (!told).then(|| Event {
        type_: EventType::Warning,
        reason: now.reason,
        note: Some(note(now.message)),
        action: "Reconcile".to_owned(),
        secondary: None,
    })
}

/// The text, cut to what an event may hold.
fn note(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(NOTE_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{Finding, State, merge, reasons};
    use jiff::Timestamp;

    fn list(ready: State, synced: State) -> Vec<Condition> {
        let finding = |kind, state| Finding::new(kind, state, reasons::READY, "m");
        merge(
            &[],
            &[finding(kinds::READY, ready), finding(kinds::SYNCED, synced)],
            None,
            Timestamp::UNIX_EPOCH,
        )
    }

    #[test]
    fn a_restore_from_an_archive_is_told_once() {
        let told = |message: &str| {
            let finding = Finding::new(
                kinds::RECOVERED,
                State::True,
                reasons::RESTORED_FROM_ARCHIVE,
                message,
            );
            merge(&[], &[finding], None, Timestamp::UNIX_EPOCH)
        };
        let first = between(&[], &told("of Monday"));
        assert!(matches!(first.as_slice(), [event] if event.reason == reasons::RESTORED_FROM_ARCHIVE));
        assert_eq!(between(&told("of Monday"), &told("of Monday")).len(), 0);
        assert_eq!(between(&told("of Monday"), &told("of Friday")).len(), 1);
    }

    #[test]
    fn only_changes_make_events() {
        let good = list(State::True, State::True);
        assert!(between(&[], &good).is_empty(), "made in one go");
        assert_eq!(between(&list(State::False, State::True), &good).len(), 1);
        assert!(between(&good, &good).is_empty());
        let bad = between(&good, &list(State::True, State::False));
        assert!(matches!(bad.as_slice(), [event] if event.type_ == EventType::Warning));
        assert_eq!(between(&list(State::True, State::False), &good).len(), 1);
    }

    #[test]
    fn a_long_message_still_makes_an_event() {
        let finding = Finding::new(kinds::READY, State::False, reasons::REFUSED, "ü".repeat(NOTE_MAX));
        let events = between(&[], &merge(&[], &[finding], None, Timestamp::UNIX_EPOCH));
        let note = events[0].note.clone().unwrap();
        // An odd number of bytes comes before the two-byte letters, so the last place stays empty.
        assert!(
            note.starts_with("Ready=False: ü") && note.len() == NOTE_MAX - 1,
            "{}",
            note.len()
        );
    }
}
