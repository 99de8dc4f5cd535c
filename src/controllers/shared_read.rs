//! One bulk read for many passes: a read that is young enough is shared, and only one is under way at a time.

use std::future::Future;
use std::sync::{Arc, Mutex as Kept, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::providers::ProviderError;

/// How long a failed read is handed to those who waited for it, so that they do not fail one after the other.
const FAILURE_AGE: Duration = Duration::from_millis(500);

/// A result and when its read began.
type Latest<T> = Option<(Instant, Arc<T>)>;
type Slot<T> = Option<(Instant, Result<Arc<T>, ProviderError>)>;

/// The last result of a bulk read.
#[derive(Debug)]
pub struct SharedRead<T> {
    slot: Mutex<Slot<T>>,
    /// Only where [`SharedRead::remembering`] says so.
    latest: Option<Kept<Latest<T>>>,
}

impl<T> Default for SharedRead<T> {
    fn default() -> Self {
        Self {
            slot: Mutex::new(None),
            latest: None,
        }
    }
}

impl<T> SharedRead<T> {
    /// One of which somebody wants the last result without waiting.
    pub fn remembering() -> Self {
        Self {
            latest: Some(Kept::default()),
            ..Self::default()
        }
    }

    /// A result whose read began at most `max_age` before this call, reading if there is none.
    ///
    /// # Errors
    /// That of the read.
    pub async fn get<F>(
        &self,
        max_age: Duration,
        read: impl FnOnce() -> F + Send,
    ) -> Result<Arc<T>, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>> + Send,
    {
        let asked = Instant::now();
        let mut slot = self.slot.lock().await;
        if let Some((begun, result)) = slot.as_ref() {
            let age = if result.is_ok() { max_age } else { FAILURE_AGE };
            if *begun + age >= asked {
                return result.clone();
            }
        }
        // A bulk read may be a tenth of the memory that the operator has; the one before it is not kept beside it.
        *slot = None;
        let begun = Instant::now();
        let result = read().await.map(Arc::new);
        if let (Ok(read), Some(latest)) = (&result, &self.latest) {
            let mut latest = latest.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = Some((begun, Arc::clone(read)));
        }
        *slot = Some((begun, result.clone()));
        result
    }

    /// The last result that was read, however old, and when its read began, if it is remembered. Nothing is read and
    /// nothing waited for.
    pub fn latest(&self) -> Latest<T> {
        let latest = self.latest.as_ref()?;
        latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::ErrorKind;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn concurrent_callers_share_one_read() {
        let reads = AtomicU32::new(0);
        let shared = SharedRead::default();
        let read = || async {
            reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(7_u32)
        };
        let age = Duration::from_secs(60);
        let all = futures::future::join_all((0..10).map(|_| shared.get(age, read))).await;
        assert!(all.iter().all(|result| result.as_deref().is_ok_and(|n| *n == 7)));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        shared.get(Duration::ZERO, read).await.unwrap();
        assert_eq!(reads.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn the_latest_result_outlives_a_read_that_fails() {
        let shared = SharedRead::remembering();
        assert!(shared.latest().is_none());
        shared.get(Duration::ZERO, || async { Ok(7_u32) }).await.unwrap();
        let down = || async { Err(ProviderError::new(ErrorKind::Unavailable, "down")) };
        shared.get(Duration::ZERO, down).await.unwrap_err();
        assert_eq!(shared.latest().map(|(_, number)| *number), Some(7));
    }
}
