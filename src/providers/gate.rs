//! What every outside call passes through, whatever its protocol: a concurrency and a rate limit, a
//! circuit breaker, a meter, the fence of a leader, and the switch for read-only use.
//!
//! The limits sit at the call and not around the traits, because one trait method may be several calls
//! and the back-end counts calls.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::{ErrorKind, ProviderError};
use super::fence::{AlwaysOpen, Fence, fenced};

/// Failures in a row that open the breaker: enough to rule out one bad node among several end points.
const BREAKER_THRESHOLD: u32 = 8;
/// How long an open breaker refuses calls before it lets one through to try.
const BREAKER_PAUSE: Duration = Duration::from_secs(5);

/// Whether a call can change something outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Reads, and log-ins.
    Read,
    /// Anything that may leave a trace.
    Write,
}

/// How much one Provider may be asked at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls under way at the same time, at least 1.
    pub max_concurrent: u32,
    /// Calls begun per second on average, with a burst of the same number.
    pub requests_per_second: NonZeroU32,
}

/// One finished call, as the meter sees it.
#[derive(Debug, Clone, Copy)]
pub struct CallRecord<'a> {
    /// Name of the Provider object.
    pub provider: &'a str,
    /// Constant name of the operation, such as `lxc.create`.
    pub call: &'static str,
    /// `ok` or the label of the error's kind.
    pub result: &'static str,
    /// From admission to answer.
    pub elapsed: Duration,
}

/// Receives every finished call; the process counts them into its metrics.
pub trait Meter: Send + Sync {
    /// Called once per call, after its end.
    fn record(&self, call: CallRecord<'_>);
}

/// A meter that forgets.
pub struct NoMeter;

impl Meter for NoMeter {
    fn record(&self, _: CallRecord<'_>) {}
}

#[derive(Debug, Default)]
struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    /// Message of the last failure of each call.
    said: BTreeMap<&'static str, String>,
}

/// The gate of one Provider.
pub struct Gate {
    provider: String,
    slots: Semaphore,
    rate: DefaultDirectRateLimiter,
    breaker: Mutex<Breaker>,
    meter: Arc<dyn Meter>,
    fence: Arc<dyn Fence>,
    read_only: bool,
}

/// Leave to make one call; dropping it frees the slot.
pub struct Admission<'a> {
    gate: &'a Gate,
    _slot: SemaphorePermit<'a>,
    call: &'static str,
    effect: Effect,
    begun: Instant,
}

impl Gate {
    /// A gate for the Provider of the given name.
    pub fn new(provider: impl Into<String>, limits: Limits, meter: Arc<dyn Meter>) -> Self {
        let slots = usize::try_from(limits.max_concurrent.max(1)).unwrap_or(1);
        Self {
            provider: provider.into(),
            slots: Semaphore::new(slots),
            rate: RateLimiter::direct(Quota::per_second(limits.requests_per_second)),
            breaker: Mutex::default(),
            meter,
            fence: Arc::new(AlwaysOpen),
            read_only: false,
        }
    }

    /// The same gate, refusing every call with [`Effect::Write`]: for dry runs.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The same gate, refusing every call with [`Effect::Write`] once the fence is closed.
    #[must_use]
    pub fn fenced(mut self, fence: Arc<dyn Fence>) -> Self {
        self.fence = fence;
        self
    }

    /// What closes this gate for writes, for transports that ask it once more when the bytes leave.
    pub fn fence(&self) -> &Arc<dyn Fence> {
        &self.fence
    }

    /// Name of the Provider object.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Waits for a slot and for the rate limit. The caller's own deadline bounds the wait.
    ///
    /// # Errors
    /// `Unavailable` while the breaker is open, and for a write through a closed fence; `Denied` for a write through
    /// a read-only gate.
    pub async fn admit(&self, call: &'static str, effect: Effect) -> Result<Admission<'_>, ProviderError> {
        if self.read_only && effect == Effect::Write {
            return Err(ProviderError::new(
                ErrorKind::Denied,
                format!("{call} refused: this is a dry run"),
            ));
        }
        self.check_breaker(call)?;
        self.check_fence(effect)?;
        let slot = self.slots.acquire().await.map_err(|_| {
            ProviderError::new(
                ErrorKind::Unavailable,
                format!("Provider {} is shutting down", self.provider),
            )
        })?;
        self.rate.until_ready().await;
        // The wait may have been long.
        self.check_fence(effect)?;
        Ok(Admission {
            gate: self,
            _slot: slot,
            call,
            effect,
            begun: Instant::now(),
        })
    }

    /// Whether calls are being refused at the moment, for the Provider's status.
    pub fn breaker_open(&self) -> bool {
        self.check_breaker("").is_err()
    }

    fn check_fence(&self, effect: Effect) -> Result<(), ProviderError> {
        if effect == Effect::Read || self.fence.is_open() {
            return Ok(());
        }
        Err(not_leading(&self.provider))
    }

    fn check_breaker(&self, call: &str) -> Result<(), ProviderError> {
        let breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        match breaker.open_until {
            Some(until) if Instant::now() < until => Err(ProviderError::new(
                ErrorKind::Unavailable,
                // The cause, in its own words: a message of the breaker's would take turns with it in every status.
                breaker
                    .said
                    .get(call)
                    .or_else(|| breaker.said.values().next())
                    .cloned()
                    .unwrap_or_default(),
            )),
            _ => Ok(()),
        }
    }

    fn count(&self, call: &'static str, failure: Option<&ProviderError>) {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(failure) = failure else {
            *breaker = Breaker::default();
            return;
        };
        breaker.said.insert(call, failure.message().to_owned());
        breaker.failures = breaker.failures.saturating_add(1);
        if breaker.failures >= BREAKER_THRESHOLD {
            breaker.open_until = Some(Instant::now() + BREAKER_PAUSE);
        }
    }
}

/// The answer to a write that the fence kept back before anything was sent.
pub(super) fn not_leading(provider: &str) -> ProviderError {
    let message = format!(
        "Provider {provider}: nothing is changed there by this replica, whose leadership has run out; the replica \
         that leads goes on"
    );
    ProviderError::new(ErrorKind::Unavailable, message)
}

impl Admission<'_> {
    /// Does the call. A write goes on only while the fence is open, which is asked before each of its steps: the
    /// process may have been stopped since the last one.
    ///
    /// # Errors
    /// Those of `work`; `Ambiguous` when the fence closed meanwhile, for the call may have had its effect.
    pub async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        if self.effect == Effect::Read {
            return work.await;
        }
        let cut_off = || {
            let message = format!(
                "Provider {}: the leadership of this replica ran out during {}; it may have had its effect and is \
                 looked up by the replica that leads",
                self.gate.provider, self.call
            );
            ProviderError::new(ErrorKind::Ambiguous, message)
        };
        fenced(self.gate.fence.as_ref(), work, cut_off).await
    }

    /// Ends the call: frees the slot, feeds the breaker and the meter, and hands the result through.
    ///
    /// # Errors
    /// Whatever the call ended with.
    pub fn finish<T>(self, result: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let kind = result.as_ref().err().map(ProviderError::kind);
        // A refusal proves that the back-end is there; only silence and confusion count against it.
        let failed = matches!(
            kind,
            Some(ErrorKind::Unavailable | ErrorKind::Ambiguous | ErrorKind::Unexpected)
        );
        self.gate
            .count(self.call, result.as_ref().err().filter(|_| failed));
        self.gate.meter.record(CallRecord {
            provider: &self.gate.provider,
            call: self.call,
            result: kind.map_or("ok", ErrorKind::label),
            elapsed: self.begun.elapsed(),
        });
        result
    }
}
