//! One call to Cloudflare: token, pace, envelope.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::failure::{Failure, classify};
use super::pace::Pace;
use super::wire::Envelope;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;
use crate::providers::http::{Call, HttpClient};

/// Calls under way at once. Those that wait for their turn have not yet passed the pace, so that after a
/// 429 no more than these can still follow. 8 calls of 50 ms are 160 a second, below the limit of 200 a
/// second per address.
const IN_FLIGHT: usize = 8;

pub(super) struct Client {
    http: HttpClient,
    authorization: HeaderValue,
    timeout: Duration,
    pace: Pace,
    in_flight: Semaphore,
}

impl Client {
    /// # Errors
    /// `Invalid` for an empty token or one with characters that no header can carry.
    pub fn new(http: HttpClient, token: &SecretString, timeout: Duration) -> Result<Self, ProviderError> {
        // Secrets made with an editor tend to end in a line break.
        let token = token.expose_secret().trim();
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut authorization = match value {
            Ok(value) if !token.is_empty() && !token.contains(char::is_whitespace) => value,
            _ => {
                let message = "the API token is empty or has characters that no token has; check the Secret";
                return Err(ProviderError::new(ErrorKind::Invalid, message));
            }
        };
        authorization.set_sensitive(true);
        Ok(Self {
            http,
            authorization,
            timeout,
            pace: Pace::default(),
            in_flight: Semaphore::new(IN_FLIGHT),
        })
    }

    /// Makes one call and opens the envelope of its answer.
    pub async fn call<T: DeserializeOwned>(&self, call: Call) -> Result<Envelope<T>, Failure> {
        let (name, effect) = (call.name, call.effect);
        let _place = self
            .in_flight
            .acquire()
            .await
            .map_err(|_| ProviderError::new(ErrorKind::Unavailable, format!("{name}: shutting down")))?;
        let wait = self
            .pace
            .turn(Instant::now())
            .map_err(|left| throttled(name, left))?;
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let call = call
            .authorization(self.authorization.clone())
            .timeout(self.timeout);
        let mut codes = Vec::new();
        let mut headers = HeaderMap::new();
        let result = self
            .http
            .send(call, |reply| {
                self.pace.learn(&reply.headers, Instant::now());
                let result = classify(name, effect, &reply, &mut codes);
                headers = reply.headers;
                result
            })
            .await;
        result.map_err(|error| {
            let error = match error.kind() {
                ErrorKind::Throttled { retry_after } => {
                    let pause = self.pace.block(retry_after, &headers, Instant::now());
                    error.as_kind(ErrorKind::Throttled {
                        retry_after: Some(pause),
                    })
                }
                _ => error,
            };
            Failure { error, codes }
        })
    }

    /// As [`Client::call`], for calls whose answer is worth nothing without a result.
    pub async fn result<T: DeserializeOwned>(&self, call: Call) -> Result<T, Failure> {
        let (name, effect) = (call.name, call.effect);
        let envelope = self.call(call).await?;
        envelope.result.ok_or_else(|| {
            let kind = match effect {
                Effect::Read => ErrorKind::Unexpected,
                Effect::Write => ErrorKind::Ambiguous,
            };
            ProviderError::new(kind, format!("{name}: the answer has no result")).into()
        })
    }
}

/// Without the remaining time in the text: a status must not change with every second.
fn throttled(name: &str, left: Duration) -> ProviderError {
    let kind = ErrorKind::Throttled {
        retry_after: Some(left),
    };
    let message = format!("{name}: not sent, to stay within Cloudflare's rate limit; it goes on by itself");
    ProviderError::new(kind, message)
}
