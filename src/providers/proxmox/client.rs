//! The HTTP side: paths, parameters, the token, the version. Form bodies for POST and PUT, query parameters
//! for GET and DELETE, as Proxmox wants it; never a body on those two (501).

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use reqwest::Method;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::classify::{Meaning, Refusal, refusal};
use super::wire::VersionRow;
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::Effect;
use crate::providers::http::{Body, Call, HttpClient, Reply};

/// Where the API lives below a node's address.
const API_ROOT: &str = "/api2/json";

/// A Proxmox VE version, as far as the schema depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    number: (u32, u32),
    /// As Proxmox names itself.
    pub(super) text: String,
}

impl Version {
    /// `9.2.10`, `8.4` or `7.2-3`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '~']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Some(Self {
            number: (major, minor),
            text: text.to_owned(),
        })
    }

    /// Placement by rules (9.0) and not by groups.
    pub(super) fn has_rules(&self) -> bool {
        self.number >= (9, 0)
    }

    /// The parameter `env` of create (9.1).
    pub(super) fn has_environment(&self) -> bool {
        self.number >= (9, 1)
    }

    /// The parameter `purge` of the removal of an HA resource (9.1).
    pub(super) fn has_ha_purge(&self) -> bool {
        self.number >= (9, 1)
    }
}

/// One request before it becomes a call. Not `Debug`: first-boot values may be secrets.
pub(super) struct Request {
    call: &'static str,
    subject: String,
    method: Method,
    path: String,
    params: Vec<(String, String)>,
}

impl Request {
    fn new(method: Method, call: &'static str, subject: impl ToString, path: &[&str]) -> Self {
        Self {
            call,
            subject: subject.to_string(),
            method,
            path: path.iter().fold(String::new(), |mut whole, segment| {
                whole.push('/');
                encode_into(&mut whole, segment);
                whole
            }),
            params: Vec::new(),
        }
    }

    /// A read about `subject` (such as `container 907`); `path` is given in segments, which are encoded.
    pub(super) fn get(call: &'static str, subject: impl ToString, path: &[&str]) -> Self {
        Self::new(Method::GET, call, subject, path)
    }

    pub(super) fn post(call: &'static str, subject: impl ToString, path: &[&str]) -> Self {
        Self::new(Method::POST, call, subject, path)
    }

    pub(super) fn put(call: &'static str, subject: impl ToString, path: &[&str]) -> Self {
        Self::new(Method::PUT, call, subject, path)
    }

    pub(super) fn delete(call: &'static str, subject: impl ToString, path: &[&str]) -> Self {
        Self::new(Method::DELETE, call, subject, path)
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.params.push((name.to_owned(), value.to_string()));
        self
    }

    /// Adds a parameter if there is a value.
    pub(super) fn with_some(self, name: &str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn effect(&self) -> Effect {
        match self.method {
            Method::GET => Effect::Read,
            _ => Effect::Write,
        }
    }

    fn into_call(self, authorization: HeaderValue) -> Call {
        let path = format!("{API_ROOT}{}", self.path);
        let call = match self.method {
            Method::GET => Call::get(self.call, path),
            method => Call::write(self.call, method, path),
        };
        let call = call.authorization(authorization);
        match call.method {
            Method::POST | Method::PUT => call.body(Body::Form(self.params)),
            _ => self
                .params
                .into_iter()
                .fold(call, |call, (name, value)| call.query(&name, value)),
        }
    }
}

/// Appends a path segment with everything but unreserved characters (RFC 3986 2.3) percent-encoded: UPIDs
/// and HA ids have colons, `@` and `!`.
fn encode_into(path: &mut String, segment: &str) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// An answer that holds something else than what was expected, or nothing.
#[derive(Deserialize)]
struct AnyEnvelope {
    #[serde(default)]
    data: Value,
}

/// The API of one cluster.
pub(super) struct Api {
    http: HttpClient,
    authorization: HeaderValue,
    version: Mutex<Option<Version>>,
}

impl Api {
    /// # Errors
    /// `Invalid` for a token that cannot be one.
    pub(super) fn new(
        http: HttpClient,
        token_id: &str,
        secret: &SecretString,
    ) -> Result<Self, ProviderError> {
        let refused = || {
            ProviderError::new(
                ErrorKind::Invalid,
                "the API token is not usable; its id is user@realm!name, its secret the UUID that Proxmox showed",
            )
        };
        let shape = token_id
            .split_once('@')
            .and_then(|(user, rest)| Some((user, rest.split_once('!')?)));
        match shape {
            Some((user, (realm, name))) if ![user, realm, name].contains(&"") => {}
            _ => return Err(refused()),
        }
        let secret = secret.expose_secret();
        if secret.is_empty() {
            return Err(refused());
        }
        let mut authorization =
            HeaderValue::from_str(&format!("PVEAPIToken={token_id}={secret}")).map_err(|_| refused())?;
        authorization.set_sensitive(true);
        Ok(Self {
            http,
            authorization,
            version: Mutex::default(),
        })
    }

    /// Sends a request and decodes its `data`.
    ///
    /// # Errors
    /// What [`refusal`] says; for a write whose success cannot be read, `Ambiguous`.
    pub(super) async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, Refusal> {
        let effect = request.effect();
        let subject = request.subject.clone();
        let name = request.call;
        let call = request.into_call(self.authorization.clone());
        let mut meaning = Meaning::Other;
        let result = self
            .http
            .send(call, |reply| match reply.is_success() {
                true => decode(&reply, name, effect),
                false => {
                    let refused = refusal(&subject, effect, &reply);
                    meaning = refused.meaning;
                    Err(refused.error)
                }
            })
            .await;
        result.map_err(|error| Refusal { meaning, error })
    }

    /// Sends a request whose answer holds nothing.
    pub(super) async fn tell(&self, request: Request) -> Result<(), Refusal> {
        self.ask::<Value>(request).await.map(drop)
    }

    /// The version of the cluster, read once and then remembered.
    pub(super) async fn version(&self) -> Result<Version, ProviderError> {
        let known = self.known_version().clone();
        match known {
            Some(version) => Ok(version),
            None => self.read_version().await,
        }
    }

    /// Reads the version anew and remembers it.
    pub(super) async fn read_version(&self) -> Result<Version, ProviderError> {
        let row: VersionRow = self.ask(Request::get("version", "Proxmox", &["version"])).await?;
        let version = row.version.as_deref().and_then(Version::parse).ok_or_else(|| {
            ProviderError::new(
                ErrorKind::Unexpected,
                "the address answers, but not with a version of Proxmox VE; check the Provider's address",
            )
        })?;
        *self.known_version() = Some(version.clone());
        Ok(version)
    }

    fn known_version(&self) -> std::sync::MutexGuard<'_, Option<Version>> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what depends on the version; once more with a fresh one when the cluster, upgraded meanwhile,
    /// says that its schema is another one.
    pub(super) async fn versioned<T, F>(&self, act: impl Fn(Version) -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let known = self.version().await?;
        match act(known.clone()).await {
            Err(refused) if refused.meaning == Meaning::Version => {
                let fresh = self.read_version().await?;
                match fresh == known {
                    true => Err(refused),
                    false => act(fresh).await,
                }
            }
            other => other,
        }
    }
}

fn decode<T: DeserializeOwned>(
    reply: &Reply,
    name: &'static str,
    effect: Effect,
) -> Result<T, ProviderError> {
    // At once into what is wanted: as a tree of values, the list of 10,000 guests would be many times its bytes.
    if let Ok(envelope) = reply.json::<Envelope<T>>(name) {
        return Ok(envelope.data);
    }
    let value = reply.json::<AnyEnvelope>(name).and_then(|envelope| {
        serde_json::from_value(envelope.data).map_err(|error| {
            let message = format!("{name}: the answer is not what Proxmox documents");
            ProviderError::new(ErrorKind::Unexpected, message).with_detail(error)
        })
    });
    value.map_err(|error| match effect {
        Effect::Read => error,
        // Success was announced, so that the effect is likely there.
        Effect::Write => error.as_kind(ErrorKind::Ambiguous),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_gate_what_is_sent() {
        let of = |text| Version::parse(text).unwrap();
        let gates = |text| {
            let version = of(text);
            (
                version.has_rules(),
                version.has_environment(),
                version.has_ha_purge(),
            )
        };
        assert_eq!(gates("7.2-3"), (false, false, false));
        assert_eq!(gates("8.4.11"), (false, false, false));
        assert_eq!(gates("9.0.3"), (true, false, false));
        assert_eq!(gates("9.1"), (true, true, true));
        assert_eq!(gates("9.2.10"), (true, true, true));
        assert_eq!(gates("10.0~beta1"), (true, true, true));
        assert!(Version::parse("nginx").is_none());
    }

    #[test]
    fn path_segments_are_encoded() {
        let upid = "UPID:pve1:00:00:00:vzcreate:907:hw@pve!op:";
        let request = Request::get("x", "x", &["nodes", "pve1", "tasks", upid, "status"]);
        assert_eq!(
            request.path,
            "/nodes/pve1/tasks/UPID%3Apve1%3A00%3A00%3A00%3Avzcreate%3A907%3Ahw%40pve%21op%3A/status"
        );
        assert_eq!(Request::get("x", "x", &["a/b"]).path, "/a%2Fb");
    }

    #[test]
    fn parameters_go_where_proxmox_wants_them() {
        let header = || HeaderValue::from_static("x");
        let get = Request::get("x", "x", &["a"]).with("k", 1).into_call(header());
        assert_eq!((get.query.len(), get.effect), (1, Effect::Read));
        assert!(matches!(get.body, Body::Empty));
        let delete = Request::delete("x", "x", &["a"]).with("k", 1).into_call(header());
        assert_eq!((delete.query.len(), delete.effect), (1, Effect::Write));
        assert!(matches!(delete.body, Body::Empty));
        for call in [Request::post("x", "x", &["a"]), Request::put("x", "x", &["a"])] {
            let call = call.with("k", 1).into_call(header());
            assert!(call.query.is_empty());
            assert!(matches!(call.body, Body::Form(fields) if fields.len() == 1));
        }
    }
}
