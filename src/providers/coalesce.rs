//! One expensive read for many who ask at the same time.
//!
//! A bulk read answers everybody who wanted one before it began, and nobody who came later: whoever waits
//! for proof that something is absent must not be handed a list that is older than the question.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// The newest finished read, by its number.
    finished: Option<(u64, T)>,
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
        let number = {
            let mut state = self.state();
            if let Some((number, value)) = &state.finished
                && *number > asked_after
            {
                return value.clone();
            }
            state.begun += 1;
            state.begun
        };
        let value = read().await;
        self.state().finished = Some((number, value.clone()));
        value
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
}
