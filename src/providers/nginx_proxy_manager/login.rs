//! The log-in: one token for all calls, renewed before its end, by one caller at a time.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::sync::Mutex;

use super::wire::{LogIn, Refusal};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::{Body, Call, HttpClient, Method, Reply};

/// Life of every token that a log-in gives out.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is renewed this long before its end, or after four fifths of a shorter life.
const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);
/// A refused password is not tried again for so long: each try costs the program 0.4 s of bcrypt, and all
/// the objects of a Provider would try at once.
const REFUSAL_KEPT: Duration = Duration::from_secs(10);

/// A token in use.
#[derive(Clone)]
pub(super) struct Session {
    /// `Bearer …`, marked as sensitive.
    pub(super) header: HeaderValue,
    /// Counts log-ins, so that only the first of several failed calls logs in again.
    generation: u64,
    renew_at: Instant,
}

#[derive(Default)]
struct Known {
    session: Option<Session>,
    refused: Option<(Instant, ProviderError)>,
    generation: u64,
}

/// Credentials and the token that they bought.
pub(super) struct LogInState {
    identity: String,
    secret: SecretString,
    // Held across the log-in itself: whoever comes meanwhile waits for its outcome.
    known: Mutex<Known>,
}

impl LogInState {
    pub(super) fn new(identity: String, secret: SecretString) -> Self {
        Self {
            identity,
            secret,
            known: Mutex::default(),
        }
    }

    /// The token in use, after a log-in where there is none or it is about to end. `stale` is one that has
    /// just failed; it is replaced unless somebody else has done so meanwhile.
    pub(super) async fn session(
        &self,
        http: &HttpClient,
        stale: Option<&Session>,
    ) -> Result<Session, ProviderError> {
        let mut known = self.known.lock().await;
        let now = Instant::now();
        if let Some(session) = &known.session {
            let failed = stale.is_some_and(|stale| stale.generation == session.generation);
            if !failed && now < session.renew_at {
                return Ok(session.clone());
            }
        }
        if let Some((at, error)) = &known.refused
            && now.duration_since(*at) < REFUSAL_KEPT
        {
            return Err(error.clone());
        }
        match self.log_in(http).await {
            Ok((header, life)) => {
                known.generation = known.generation.saturating_add(1);
                let session = Session {
                    header,
                    generation: known.generation,
                    renew_at: Instant::now() + life.saturating_sub(RENEW_BEFORE.min(life / 5)),
                };
                known.session = Some(session.clone());
                known.refused = None;
                Ok(session)
            }
            Err(error) => {
                known.session = None;
                known.refused = (error.kind() == ErrorKind::Denied).then(|| (Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn log_in(&self, http: &HttpClient) -> Result<(HeaderValue, Duration), ProviderError> {
        let credentials = json!({"identity": self.identity, "secret": self.secret.expose_secret()});
        let call = Call::write("npm.login", Method::POST, "/api/tokens")
            .harmless()
            .body(Body::Json(credentials));
        http.send(call, read_token).await
    }
}

fn read_token(reply: Reply) -> Result<(HeaderValue, Duration), ProviderError> {
    if !reply.is_success() {
        return Err(refused(&reply));
    }
    let answer: LogIn = reply.json("npm.login")?;
    if answer.requires_2fa {
        return Err(ProviderError::new(
            ErrorKind::Denied,
            "Nginx Proxy Manager asks this account for a second factor; use an account without one, with the \
             permissions proxy_hosts: manage and certificates: manage and nothing else",
        ));
    }
    let unexpected =
        || ProviderError::new(ErrorKind::Unexpected, "npm.login: the answer has no usable token");
    let token = answer.token.ok_or_else(unexpected)?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| unexpected())?;
    header.set_sensitive(true);
    Ok((header, life(answer.expires)))
}

/// How long a token lives by our own clock. An answer that makes no sense, as from a clock that is off, is
/// replaced by the customary day; an earlier end shows by itself and leads to a new log-in.
fn life(expires: Option<Timestamp>) -> Duration {
    let left = expires.map(|end| end.duration_since(Timestamp::now()));
    match left.and_then(|left| Duration::try_from(left).ok()) {
        Some(left) if !left.is_zero() => left.min(TOKEN_LIFE),
        _ => TOKEN_LIFE,
    }
}

fn refused(reply: &Reply) -> ProviderError {
    let refusal = Refusal::read(&reply.body);
    let (kind, text) = match reply.status {
        // The body says `Invalid email or password` for a wrong, an unknown and a disabled account alike.
        400 | 401 | 403 => (
            ErrorKind::Denied,
            "Nginx Proxy Manager refuses the log-in; check the account's mail address, password and that it \
             is not disabled",
        ),
        429 => (
            ErrorKind::Throttled {
                retry_after: reply.retry_after(),
            },
            "Nginx Proxy Manager asks for fewer log-ins",
        ),
        500..=599 => (
            ErrorKind::Unavailable,
            "Nginx Proxy Manager cannot log anybody in at the moment; look at its own log",
        ),
        _ => (
            ErrorKind::Unexpected,
            "the address does not answer like Nginx Proxy Manager's API; check the Provider's address and port",
        ),
    };
    ProviderError::new(kind, text).with_detail(format!("status {}: {}", reply.status, refusal.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_senseless_end_is_replaced() {
        assert_eq!(life(None), TOKEN_LIFE);
        assert_eq!(life(Some(Timestamp::UNIX_EPOCH)), TOKEN_LIFE);
        let soon = Timestamp::now() + Duration::from_secs(60);
        assert!(life(Some(soon)) <= Duration::from_secs(60));
    }
}
