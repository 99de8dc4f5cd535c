//! The log-in: one session for all calls, renewed before its end, by one caller at a time, and a count of everything
//! that the panel takes for an attack.
//!
//! Ten refused log-ins or calls with a stale session within five minutes lock our whole address out, good sessions
//! included. So every one is counted here, and long before the tenth nothing more is sent.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::fault::{self, Answer};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::{Body, Call, HttpClient, Method};

/// Life of a session from its log-in; use does not extend it.
const SESSION_LIFE: Duration = Duration::from_secs(1800);
/// A session is renewed so long before its end: more than a call of 35 s and a wait for its turn take.
const RENEW_BEFORE: Duration = Duration::from_secs(120);
/// The time over which the panel counts, and for which it locks an address out.
const WINDOW: Duration = Duration::from_secs(300);
/// Failures within the window after which nothing more is sent. With the calls that may be under way at that moment
/// ([`super::client::IN_FLIGHT`], 4) they stay below the panel's 10.
const FAILURES_MAX: usize = 5;

/// Tells the time; tests have their own.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// A session in use.
#[derive(Clone)]
pub(super) struct Session {
    /// Letter and 40 hexadecimal digits.
    pub id: SecretString,
    /// Counts log-ins, so that only the first of several failed calls logs in again.
    generation: u64,
    renew_at: Instant,
}

#[derive(Default)]
struct Known {
    session: Option<Session>,
    /// How the last log-in failed, if it did.
    failed: Option<ProviderError>,
}

#[derive(Default)]
struct Strikes {
    /// When something happened that the panel counts.
    at: VecDeque<Instant>,
    /// Why nothing is sent, and until when.
    pause: Option<(Instant, ProviderError)>,
}

/// Credentials and the session that they bought.
pub(super) struct Keeper {
    username: String,
    password: SecretString,
    now: Clock,
    // Held across the log-in itself: whoever comes meanwhile waits for its outcome.
    known: tokio::sync::Mutex<Known>,
    /// Log-ins begun so far.
    begun: AtomicU64,
    strikes: Mutex<Strikes>,
}

impl Keeper {
    pub fn new(username: String, password: SecretString, now: Clock) -> Self {
        Self {
            username,
            password,
            now,
            known: tokio::sync::Mutex::default(),
            begun: AtomicU64::new(0),
            strikes: Mutex::default(),
        }
    }

    /// The session in use, after a log-in where there is none or it is about to end. `stale` is one that has just
    /// failed; it is replaced unless somebody else has done so meanwhile.
    ///
    /// # Errors
    /// `Denied` or `Throttled` while nothing may be sent; those of the log-in.
    pub async fn session(
        &self,
        http: &HttpClient,
        stale: Option<&Session>,
    ) -> Result<Session, ProviderError> {
        let asked_after = self.begun.load(Ordering::Acquire);
        let mut known = self.known.lock().await;
        // A session that is good does not help while the address is locked out.
        self.permitted()?;
        if let Some(session) = &known.session {
            let failed = stale.is_some_and(|stale| stale.generation == session.generation);
            if !failed && (self.now)() < session.renew_at {
                return Ok(session.clone());
            }
        }
        if self.begun.load(Ordering::Acquire) > asked_after
            && let Some(error) = &known.failed
        {
            return Err(error.clone());
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        known.session = None;
        known.failed = None;
        // Counted before its outcome is known: a caller that gives up in between must not hide a failure.
        let begun = self.strike();
        match self.log_in(http).await {
            Ok(id) => {
                self.forgive();
                let session = Session {
                    id,
                    generation: number,
                    renew_at: begun + SESSION_LIFE.saturating_sub(RENEW_BEFORE),
                };
                known.session = Some(session.clone());
                Ok(session)
            }
            Err(error) => {
                let error = self.refused(error);
                known.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Notes what the panel counts against us; returns when.
    pub fn strike(&self) -> Instant {
        let now = (self.now)();
        self.strikes().at.push_back(now);
        now
    }

    /// Nothing more is sent for as long as the panel locks out.
    pub fn locked_out(&self, error: &ProviderError) {
        self.strikes().pause = Some(((self.now)() + WINDOW, error.clone()));
    }

    fn strikes(&self) -> MutexGuard<'_, Strikes> {
        self.strikes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forgive(&self) {
        self.strikes().at.pop_back();
    }

    /// Whether anything may be sent.
    ///
    /// # Errors
    /// `Denied` after a refused log-in, `Throttled` after too many failures.
    pub fn permitted(&self) -> Result<(), ProviderError> {
        let now = (self.now)();
        let mut strikes = self.strikes();
        if let Some((until, error)) = &strikes.pause {
            let left = until.saturating_duration_since(now);
            if !left.is_zero() {
                return Err(match error.kind() {
                    ErrorKind::Throttled { .. } => error.clone().as_kind(ErrorKind::Throttled {
                        retry_after: Some(left),
                    }),
                    _ => error.clone(),
                });
            }
            strikes.pause = None;
        }
        strikes
            .at
            .retain(|at| now.saturating_duration_since(*at) < WINDOW);
        match strikes.at.front() {
            Some(first) if strikes.at.len() >= FAILURES_MAX => {
                let kind = ErrorKind::Throttled {
                    retry_after: Some(WINDOW.saturating_sub(now.saturating_duration_since(*first))),
                };
                let message = "ISPConfig ended several sessions within five minutes; nothing is sent for a while, \
                               because it locks an address out after ten. Check that all requests reach it from one \
                               address";
                Err(ProviderError::new(kind, message))
            }
            _ => Ok(()),
        }
    }

    /// What a failed log-in means for the next ones.
    fn refused(&self, error: ProviderError) -> ProviderError {
        let error = match error.kind() {
            ErrorKind::Denied => {
                // A time of day and not the time that is left: a status must not change with every second.
                let until = Timestamp::now() + WINDOW;
                let message = format!(
                    "{}; the next try is at {} UTC, or as soon as the Secret changes",
                    error.message(),
                    until.strftime("%H:%M:%S")
                );
                let detail = error.detail().unwrap_or_default().to_owned();
                ProviderError::new(ErrorKind::Denied, message).with_detail(detail)
            }
            ErrorKind::Throttled { .. } => error,
            // Nobody looked at the password: nothing to count.
            _ => {
                self.forgive();
                return error;
            }
        };
        self.locked_out(&error);
        error
    }

    async fn log_in(&self, http: &HttpClient) -> Result<SecretString, ProviderError> {
        let credentials = json!({"username": self.username, "password": self.password.expose_secret()});
        let call = Call::write("login", Method::POST, super::client::path("login"))
            .harmless()
            .body(Body::Json(credentials));
        let answer = http
            .send(call, |reply| {
                fault::opened("login", crate::providers::gate::Effect::Read, false, &reply)
            })
            .await?;
        let unexpected = || {
            ProviderError::new(
                ErrorKind::Unexpected,
                "login: the answer is no session of ISPConfig",
            )
        };
        match answer {
            Answer::Value(value) => match value.as_str() {
                Some(id) if !id.is_empty() => Ok(SecretString::from(id)),
                _ => Err(unexpected()),
            },
            Answer::Stale(error) => Err(error),
            Answer::Alert(_) => Err(unexpected()),
        }
    }
}
