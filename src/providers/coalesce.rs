//! One expensive read for many who ask at the same time.
//!
//! A bulk read answers everybody who wanted one before it began, and nobody who came later: whoever waits
//! for proof that something is absent must not be handed a list that is older than the question.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After a read the back-end is left alone for this many times as long as it took: bulk reads then cost it a quarter of its
/// time at most, however many ask, and the larger the list, the more callers share one.
const REST: u32 = 3;
/// Longest rest after a read: one that took long because the back-end was silent says nothing of its size.
const REST_MAX: Duration = Duration::from_secs(1);

/// Shares the results of a read among concurrent callers, one read at a time.
///
/// A caller gets the result of a read that began after its call did, whoever started it. Of any number of
/// callers at one moment, at most two reads follow: the one under way, which is too old for those who came
/// after its start, and the next one, which serves them all.
#[derive(Debug)]
pub struct Coalesced<T> {
    flight: tokio::sync::Mutex<()>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// Reads begun so far.
    begun: u64,
    /// The newest finished read.
    finished: Option<Finished<T>>,
}

#[derive(Debug)]
struct Finished<T> {
    number: u64,
    begun_at: Instant,
    took: Duration,
    value: T,
}

impl<T> Default for Coalesced<T> {
    fn default() -> Self {
        Self {
            flight: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                begun: 0,
                finished: None,
            }),
        }
    }
}

impl<T: Clone> Coalesced<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of a read that began after this call: another caller's, or that of `read`.
    ///
    /// Failures are results too and are shared, so that a back-end in trouble is not asked once per caller.
    /// A caller that gives up in the middle of its read leaves it to the next one in the queue.
    pub async fn get<F>(&self, read: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T>,
    {
        let asked_after = self.state().begun;
        let _flight = self.flight.lock().await;
        let rested = {
            let state = self.state();
            match &state.finished {
                Some(finished) if finished.number > asked_after => return finished.value.clone(),
                finished => finished.as_ref().map(Finished::rested_at),
            }
        };
        if let Some(rested) = rested {
            // Whoever asks until then is served by this caller's read.
            tokio::time::sleep_until(rested).await;
        }
        let (number, begun_at) = {
            let mut state = self.state();
            state.begun += 1;
            (state.begun, Instant::now())
        };
        let value = read().await;
        self.state().finished = Some(Finished {
            number,
            begun_at,
            took: begun_at.elapsed(),
            value: value.clone(),
        });
        value
    }

    /// The last result and when its read began, if that is at most `max_age` ago. Nothing is read.
    pub fn recent(&self, max_age: Duration) -> Option<(Instant, T)> {
        let state = self.state();
        let finished = state.finished.as_ref()?;
        (finished.begun_at.elapsed() <= max_age).then(|| (finished.begun_at, finished.value.clone()))
    }
}

impl<T> Finished<T> {
    /// When the next read may begin.
    fn rested_at(&self) -> Instant {
        self.begun_at + self.took + self.took.saturating_mul(REST).min(REST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Notify;

    #[tokio::test]
    async fn callers_at_one_moment_share_at_most_two_reads() {
        let shared = Arc::new(Coalesced::<u32>::default());
        let reads = Arc::new(AtomicU32::new(0));
        let hold = Arc::new(Notify::new());
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let (shared, reads, hold) = (Arc::clone(&shared), Arc::clone(&reads), Arc::clone(&hold));
            callers.spawn(async move {
                let read = || async {
                    let number = reads.fetch_add(1, Ordering::SeqCst) + 1;
                    if number == 1 {
                        hold.notified().await;
                    }
                    number
                };
                shared.get(read).await
            });
        }
        while reads.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        // Everybody has asked by now: the runtime of a test has one thread and runs the queue in order.
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
        hold.notify_one();
        let numbers = callers.join_all().await;
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        assert_eq!(numbers.iter().filter(|number| **number == 1).count(), 1);
    }

    #[tokio::test]
    async fn a_later_question_gets_a_later_read() {
        let shared = Coalesced::<u32>::default();
        assert_eq!(shared.get(|| async { 1 }).await, 1);
        assert_eq!(shared.get(|| async { 2 }).await, 2);
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_leaves_the_read_to_the_next() {
        let shared = Coalesced::<u32>::default();
        {
            let mut lost = Box::pin(shared.get(std::future::pending));
            assert!(futures::poll!(lost.as_mut()).is_pending());
        }
        assert_eq!(shared.get(|| async { 7 }).await, 7);
    }

    #[tokio::test]
    async fn between_two_reads_the_back_end_rests() {
        let shared = Coalesced::<Instant>::default();
        let took = Duration::from_millis(20);
        let slow = || async {
            let begun = Instant::now();
            tokio::time::sleep(took).await;
            begun
        };
        assert_eq!(shared.recent(Duration::MAX), None);
        let first = shared.get(slow).await;
        let (second, third) = tokio::join!(shared.get(slow), shared.get(slow));
        assert!(second - first >= took * (1 + REST), "{:?}", second - first);
        assert_eq!(second, third);
        assert_eq!(shared.recent(Duration::MAX).map(|(_, begun)| begun), Some(second));
        assert_eq!(shared.recent(Duration::ZERO), None);
    }
}
