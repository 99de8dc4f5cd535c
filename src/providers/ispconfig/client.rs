//! One call of a function of ISPConfig: with a valid session, its answer told apart.

use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::fault::{Answer, opened};
use super::session::{Keeper, Session};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;
use crate::providers::http::{Body, Call, HttpClient, Method};

/// Calls under way at once. When a session ends early, each of them is a failure that the panel counts.
pub(super) const IN_FLIGHT: usize = 4;

/// Address of a function below the panel's.
pub(super) fn path(function: &str) -> String {
    format!("/remote/json.php?{function}")
}

/// One call to be made.
#[derive(Clone)]
pub(super) struct Ask {
    function: &'static str,
    /// Under which name it is counted and logged.
    name: &'static str,
    effect: Effect,
    /// Whether the panel shall change the zone's serial behind it.
    serial: bool,
    parameters: Map<String, Value>,
}

impl Ask {
    fn new(function: &'static str, effect: Effect) -> Self {
        Self {
            function,
            name: function,
            effect,
            serial: false,
            parameters: Map::new(),
        }
    }

    /// A call that changes nothing.
    pub fn read(function: &'static str) -> Self {
        Self::new(function, Effect::Read)
    }

    /// A call that can change something.
    pub fn write(function: &'static str) -> Self {
        Self::new(function, Effect::Write)
    }

    /// Has it counted under another name, for what it is asked for.
    #[must_use]
    pub fn counted_as(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Adds a parameter. Ids are numbers here and never texts: the panel puts them into its SQL as they are.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// Has the serial changed behind the record.
    #[must_use]
    pub fn with_serial(mut self) -> Self {
        self.serial = true;
        self.with("update_serial", true)
    }
}

/// A client that knows how to log in.
pub(super) struct Client {
    http: HttpClient,
    keeper: Keeper,
    timeout: Duration,
    in_flight: Semaphore,
}

impl Client {
    pub fn new(http: HttpClient, keeper: Keeper, timeout: Duration) -> Self {
        Self {
            http,
            keeper,
            timeout,
            in_flight: Semaphore::new(IN_FLIGHT),
        }
    }

    /// What a function returns.
    ///
    /// # Errors
    /// As [`Client::value_or_alert`]; `Ambiguous` for the page that stands for a serial that could not be changed.
    pub async fn value(&self, ask: Ask) -> Result<Value, ProviderError> {
        self.value_or_alert(ask).await?
    }

    /// What a function returns; the inner error is the page that stands for a serial that could not be changed.
    /// A session that has ended is renewed once, and the call repeated once; that is safe for writes too, because
    /// a call without a valid session has no effect.
    ///
    /// # Errors
    /// As [`opened`] says, and those of the log-in.
    pub async fn value_or_alert(&self, ask: Ask) -> Result<Result<Value, ProviderError>, ProviderError> {
        let _place = self.in_flight.acquire().await.map_err(|_| {
            ProviderError::new(ErrorKind::Unavailable, format!("{}: shutting down", ask.function))
        })?;
        let session = self.keeper.session(&self.http, None).await?;
        let first = match self.once(&ask, &session).await? {
            Answer::Stale(_) => {
                self.keeper.strike();
                let session = self.keeper.session(&self.http, Some(&session)).await?;
                self.once(&ask, &session).await?
            }
            answer => answer,
        };
        match first {
            Answer::Value(value) => Ok(Ok(value)),
            Answer::Alert(error) => Ok(Err(error)),
            Answer::Stale(error) => {
                self.keeper.strike();
                Err(error)
            }
        }
    }

    async fn once(&self, ask: &Ask, session: &Session) -> Result<Answer, ProviderError> {
        let mut parameters = ask.parameters.clone();
        parameters.insert("session_id".to_owned(), session.id.expose_secret().into());
        let (function, effect, serial) = (ask.function, ask.effect, ask.serial);
        let mut call = Call::write(ask.name, Method::POST, path(function))
            .body(Body::Json(Value::Object(parameters)))
            .timeout(self.timeout);
        if effect == Effect::Read {
            call = call.harmless();
        }
        let answer = self
            .http
            .send(call, |reply| opened(function, effect, serial, &reply))
            .await;
        if let Err(error) = &answer
            && matches!(error.kind(), ErrorKind::Throttled { .. })
            && error
                .detail()
                .is_some_and(|detail| detail.contains("failure limit"))
        {
            self.keeper.locked_out(error);
        }
        answer
    }
}
