//! One call to Nginx Proxy Manager: with a valid log-in, its answer told apart.
//!
//! Since 2.13 the program hides refusals: without a valid token or the permission a GET or DELETE answers
//! 404 with the path, a POST or PUT 500. Only `Not Found - <id>` proves that something does not exist.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::HOSTS;
use super::certificates::CERTIFICATES;
use super::login::LogInState;
use super::wire::{Account, CertificateRow, HostRow, Refusal};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::gate::{Effect, Gate};
use crate::providers::http::{Call, HttpClient, HttpSettings, Reply};
use crate::providers::reverse_proxy::ProxySurvey;
use crate::providers::rows::Rows;

/// What the program answers when it does not tell.
const SILENT: &str = "Internal Error";
/// What it says about a token past its end.
const EXPIRED: &str = "Token has expired";
/// How long a finding about failing writes is used again: when every write fails, the reads that explain it
/// are made once and not for every host.
const FINDING_KEPT: Duration = Duration::from_secs(30);
/// Hosts that are named in a finding.
const CULPRITS_NAMED: usize = 3;

/// An HTTP client that knows how to log in.
pub(super) struct Client {
    http: HttpClient,
    log_in: LogInState,
    finding: Mutex<Option<(Instant, Finding)>>,
}

/// Why every write fails, as far as reads can tell.
#[derive(Clone)]
enum Finding {
    /// The account may not write: nothing has happened.
    NoRight(String),
    /// These hosts keep nginx from loading anything.
    Broken(String),
    /// Nothing was found.
    Unknown,
}

/// One answer, or the sign that the log-in behind it was not valid.
enum Outcome<T> {
    Done(T),
    Stale(ProviderError),
}

impl Client {
    pub(super) fn new(
        settings: &HttpSettings,
        log_in: LogInState,
        gate: Arc<Gate>,
    ) -> Result<Self, ProviderError> {
        Ok(Self {
            http: HttpClient::new(settings, gate)?,
            log_in,
            finding: Mutex::default(),
        })
    }

    /// Sends a call and reads its answer as JSON. A failed log-in is renewed once, then the call is repeated
    /// once; that is safe for writes too, because a call without a valid log-in has no effect.
    ///
    /// # Errors
    /// As [`refusal`] says. A write that was answered 500 is `Ambiguous`, with a remedy as far as one was
    /// found, or `Denied` when the account may not write at all.
    pub(super) async fn json<T: DeserializeOwned + Send>(&self, call: Call) -> Result<T, ProviderError> {
        let write = call.effect == Effect::Write;
        match self.with_log_in(call).await {
            Err(error) if write && unexplained(&error) => Err(self.explained(error).await),
            other => other,
        }
    }

    async fn with_log_in<T: DeserializeOwned + Send>(&self, call: Call) -> Result<T, ProviderError> {
        let session = self.log_in.session(&self.http, None).await?;
        let first = self
            .once(call.clone().authorization(session.header.clone()))
            .await?;
        if let Outcome::Done(value) = first {
            return Ok(value);
        }
        let session = self.log_in.session(&self.http, Some(&session)).await?;
        match self.once(call.authorization(session.header)).await? {
            Outcome::Done(value) => Ok(value),
            Outcome::Stale(error) => Err(error),
        }
    }

    async fn once<T: DeserializeOwned + Send>(&self, call: Call) -> Result<Outcome<T>, ProviderError> {
        let (name, path, effect) = (call.name, call.path.clone(), call.effect);
        self.http
            .send(call, move |reply| {
                if reply.is_success() {
                    return decoded(&reply, name, effect).map(Outcome::Done);
                }
                let refused = Refusal::read(&reply.body);
                let error = refusal(name, &path, effect, &reply, &refused);
                match looks_stale(&reply, effect, &refused) {
                    true => Ok(Outcome::Stale(error)),
                    false => Err(error),
                }
            })
            .await
    }

    /// Looks for the reason why a write was answered `Internal Error`.
    async fn explained(&self, error: ProviderError) -> ProviderError {
        let finding = {
            let mut kept = self.finding.lock().await;
            match kept.as_ref() {
                Some((at, finding)) if at.elapsed() < FINDING_KEPT => finding.clone(),
                _ => {
                    let finding = self.look_for_reason().await;
                    // Only a broken host is kept: who repairs a right must not have the next 500, which
                    // may be a write that was stored, taken for a refusal.
                    if matches!(finding, Finding::Broken(_)) {
                        *kept = Some((Instant::now(), finding.clone()));
                    }
                    finding
                }
            }
        };
        let detail = error.detail().unwrap_or_default().to_owned();
        match finding {
            Finding::NoRight(right) => denied(&right).with_detail(detail),
            Finding::Broken(hosts) => ProviderError::new(
                ErrorKind::Ambiguous,
                format!(
                    "{}. Nginx Proxy Manager refuses every change while a host is broken: {hosts}; delete or \
                     repair it there",
                    error.message()
                ),
            )
            .with_detail(detail),
            Finding::Unknown => error,
        }
    }

    async fn look_for_reason(&self) -> Finding {
        let (account, hosts) = futures::join!(self.account(), self.hosts(None));
        if let Ok(account) = account
            && let Some(right) = account.missing_rights().into_iter().next()
        {
            return Finding::NoRight(right);
        }
        let broken: Vec<String> = hosts
            .unwrap_or_default()
            .iter()
            .filter(|host| host.certificate_dangles())
            .map(|host| {
                let name = host.domain_names.first().map_or("", String::as_str);
                format!(
                    "host {} ({name}) uses certificate {}, which is gone",
                    host.id, host.certificate_id
                )
            })
            .take(CULPRITS_NAMED)
            .collect();
        match broken.is_empty() {
            true => Finding::Unknown,
            false => Finding::Broken(broken.join(", ")),
        }
    }

    /// Our account with its permissions.
    pub(super) async fn account(&self) -> Result<Account, ProviderError> {
        let call = Call::get("npm.account", "/api/users/me").query("expand", "permissions");
        self.with_log_in(call).await
    }

    /// Every host and every certificate that the authority has issued.
    ///
    /// Hosts are asked for without their certificates, which double what the program sends. Only when one refers to a
    /// certificate that is not listed they are asked for once more with them: it may be gone, or another account's.
    pub(super) async fn all(&self) -> Result<ProxySurvey, ProviderError> {
        let bare = Call::get("npm.hosts", HOSTS);
        let Rows(mut hosts) = self.with_log_in::<Rows<HostRow>>(bare).await?;
        // After the hosts, so that none of them refers to a certificate that is newer than the list.
        let certificates = Call::get("npm.certificates", CERTIFICATES);
        let Rows(certificates) = self.with_log_in::<Rows<CertificateRow>>(certificates).await?;
        if hosts.iter().any(|host| !certificates.has_that_of(host)) {
            Rows(hosts) = self.with_log_in::<Rows<HostRow>>(expanded()).await?;
        }
        Ok(ProxySurvey {
            hosts,
            certificates: certificates.issued,
        })
    }

    /// All hosts, or those with `text` in a name, and whether their certificates exist.
    pub(super) async fn hosts(&self, text: Option<&str>) -> Result<Vec<HostRow>, ProviderError> {
        let mut call = expanded();
        if let Some(text) = text {
            call = call.query("query", text);
        }
        self.with_log_in(call).await
    }
}

fn expanded() -> Call {
    Call::get("npm.hosts", HOSTS).query("expand", "certificate")
}

fn decoded<T: DeserializeOwned>(
    reply: &Reply,
    name: &'static str,
    effect: Effect,
) -> Result<T, ProviderError> {
    reply.json(name).map_err(|error| match effect {
        Effect::Read => error,
        Effect::Write => error.as_kind(ErrorKind::Ambiguous),
    })
}

/// Whether a write was answered 500 without a word why. Certbot's failures come with its own words.
fn unexplained(error: &ProviderError) -> bool {
    let detail = error.detail().unwrap_or_default();
    error.kind() == ErrorKind::Ambiguous
        && detail.starts_with("status 500: ")
        && !["certbot", "letsencrypt"]
            .iter()
            .any(|word| detail.to_ascii_lowercase().contains(word))
}

/// Whether a fresh log-in may help. A 500 to a write may be a lost data volume as well, but repeating the
/// write blindly is not safe; the reads that follow it renew the log-in.
fn looks_stale(reply: &Reply, effect: Effect, refused: &Refusal) -> bool {
    match reply.status {
        400 => refused.message == EXPIRED,
        401 | 403 => true,
        404 => hidden_path(&refused.message).is_some(),
        500 => effect == Effect::Read && refused.message == SILENT,
        _ => false,
    }
}

/// The path of a `Not Found - /nginx/…`.
fn hidden_path(message: &str) -> Option<&str> {
    message
        .strip_prefix("Not Found - ")
        .filter(|rest| rest.starts_with('/'))
}

/// Whether a 404 proves that the thing with the number at the path's end (or before its last word, as in
/// `…/7/enable`) does not exist.
fn proves_absence(message: &str, path: &str) -> bool {
    message.strip_prefix("Not Found - ").is_some_and(|id| {
        !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()) && path.split('/').any(|p| p == id)
    })
}

/// The permission that a path needs.
fn right_for(path: &str) -> &'static str {
    match path.contains("/certificates") {
        true => "certificates: manage",
        false => "proxy_hosts: manage",
    }
}

fn denied(right: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Denied,
        format!("the account lacks a permission in Nginx Proxy Manager; give it {right}"),
    )
}

/// Turns a refusal into an error.
fn refusal(
    name: &'static str,
    path: &str,
    effect: Effect,
    reply: &Reply,
    refused: &Refusal,
) -> ProviderError {
    let message = refused.message.as_str();
    let detail = match refused.stack.is_empty() {
        true => format!("status {}: {message}", reply.status),
        false => format!("status {}: {}", reply.status, refused.stack.join("\n")),
    };
    let error = match reply.status {
        429 => ProviderError::new(
            ErrorKind::Throttled {
                retry_after: reply.retry_after(),
            },
            format!("{name}: Nginx Proxy Manager asks for fewer requests"),
        ),
        400 if message == EXPIRED => ProviderError::new(
            ErrorKind::Denied,
            "Nginx Proxy Manager calls even a fresh log-in expired; check its clock",
        ),
        400 if message.ends_with(" is already in use") => ProviderError::new(
            ErrorKind::Conflict,
            format!("{message} by another host in Nginx Proxy Manager; free the name there"),
        ),
        400 | 413 | 422 => ProviderError::new(
            ErrorKind::Invalid,
            format!("{name}: Nginx Proxy Manager refuses the request: {message}"),
        ),
        401 | 403 => denied(right_for(path)),
        404 if hidden_path(message).is_some() => denied(right_for(path)),
        404 if proves_absence(message, path) => {
            ProviderError::new(ErrorKind::NotFound, format!("{name}: it does not exist"))
        }
        500..=599 if effect == Effect::Read => ProviderError::new(
            ErrorKind::Unavailable,
            format!(
                "{name}: Nginx Proxy Manager failed with status {}; look at its own log",
                reply.status
            ),
        ),
        500..=599 => ProviderError::new(
            ErrorKind::Ambiguous,
            format!(
                "{name}: Nginx Proxy Manager failed with status {} and may have stored it",
                reply.status
            ),
        ),
        status => ProviderError::new(
            ErrorKind::Unexpected,
            format!("{name}: status {status} is not an answer of Nginx Proxy Manager; check the address"),
        ),
    };
    error.with_detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_that_was_asked_for_proves_absence() {
        let path = "/api/nginx/proxy-hosts/12";
        assert!(proves_absence("Not Found - 12", path));
        assert!(proves_absence(
            "Not Found - 12",
            "/api/nginx/proxy-hosts/12/enable"
        ));
        for other in [
            "Not Found - /nginx/proxy-hosts/12",
            "Not Found",
            "Not Found - 2",
            "Not Found - ",
            "",
        ] {
            assert!(!proves_absence(other, path), "{other}");
        }
    }

    #[test]
    fn statuses_become_kinds() {
        let kind = |status: u16, message: &str, effect: Effect| {
            let reply = Reply {
                status,
                reason: None,
                headers: Default::default(),
                body: Vec::new(),
            };
            let refused = Refusal {
                message: message.to_owned(),
                stack: Vec::new(),
            };
            refusal("npm.test", "/api/nginx/proxy-hosts/1", effect, &reply, &refused).kind()
        };
        let write = Effect::Write;
        assert_eq!(
            kind(400, "a.example.com is already in use", write),
            ErrorKind::Conflict
        );
        assert_eq!(kind(400, "data must be object", write), ErrorKind::Invalid);
        assert_eq!(kind(404, "Not Found - 1", write), ErrorKind::NotFound);
        assert_eq!(
            kind(404, "Not Found - /nginx/proxy-hosts/1", write),
            ErrorKind::Denied
        );
        assert_eq!(kind(404, "", Effect::Read), ErrorKind::Unexpected);
        assert_eq!(kind(500, SILENT, write), ErrorKind::Ambiguous);
        assert_eq!(kind(500, SILENT, Effect::Read), ErrorKind::Unavailable);
        assert_eq!(kind(302, "", Effect::Read), ErrorKind::Unexpected);
    }
}
