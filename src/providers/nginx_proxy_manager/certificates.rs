//! Certificates: asked for one at a time, told apart from requests that are still under way.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::Client;
use super::wire::CertificateRow;
use super::{KeyType, NginxProxyManager};
use crate::domain::{Fqdn, Names};
use crate::providers::error::{ErrorKind, ProviderError};
use crate::providers::http::{Body, Call, Method};
use crate::providers::reverse_proxy::{Certificate, CertificateId};

pub(super) const CERTIFICATES: &str = "/api/nginx/certificates";
/// Names in one certificate, by the program's schema and the authority's rule.
const NAMES_MAX: usize = 100;
/// When to ask again while certbot is at work for somebody else; one request takes 4 to 5 s.
const CERTBOT_BUSY: Duration = Duration::from_secs(10);
/// When to ask again after the authority's own rate limit, which counts failures by the hour.
const AUTHORITY_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The queue for certificate requests of one instance: of three in parallel, two fail on certbot's lock.
pub(super) struct Requests {
    // Tokio's semaphore is fair: first come, first served.
    turn: Semaphore,
    queue: Duration,
    timeout: Duration,
    key_type: Option<KeyType>,
    /// Rows that were seen without an issued certificate, by id, with the time of the first sight.
    unissued: Mutex<BTreeMap<u64, Instant>>,
}

impl Requests {
    pub(super) fn new(queue: Duration, timeout: Duration, key_type: Option<KeyType>) -> Self {
        Self {
            turn: Semaphore::new(1),
            queue,
            timeout,
            key_type,
            unissued: Mutex::default(),
        }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, ProviderError> {
        match tokio::time::timeout(self.queue, self.turn.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy(
                "other certificates are being requested; waiting for a turn",
                self.queue,
            )),
        }
    }

    fn body(&self, domains: &Names) -> Value {
        let mut meta = Map::from_iter([("dns_challenge".to_owned(), Value::Bool(false))]);
        if let Some(key_type) = self.key_type {
            meta.insert("key_type".to_owned(), Value::String(key_type.word().to_owned()));
        }
        json!({
            "provider": "letsencrypt",
            "domain_names": domains.iter().map(Fqdn::as_str).collect::<Vec<_>>(),
            "meta": meta,
        })
    }

    /// Whether an unissued row still counts as a request under way. A row that stays so for longer than a
    /// request may take is the rest of one that broke off, and no reason to wait any more.
    fn under_way(&self, id: u64) -> bool {
        let mut seen = self.unissued.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = self.timeout.saturating_mul(4);
        seen.retain(|_, first| first.elapsed() < oldest);
        seen.entry(id).or_insert_with(Instant::now).elapsed() < self.timeout
    }
}

fn busy(text: &str, retry_after: Duration) -> ProviderError {
    let kind = ErrorKind::Throttled {
        retry_after: Some(retry_after),
    };
    ProviderError::new(kind, text)
}

/// What the list has for a set of names.
enum Found {
    Issued(Certificate),
    UnderWay,
    Nothing,
}

impl NginxProxyManager {
    pub(super) async fn request(&self, domains: &Names) -> Result<Certificate, ProviderError> {
        if domains.is_empty() || domains.len() > NAMES_MAX {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!("a certificate has 1 to {NAMES_MAX} names, not {}", domains.len()),
            ));
        }
        let _turn = self.requests.turn().await?;
        match self.existing(domains).await? {
            Found::Issued(certificate) => return Ok(certificate),
            Found::UnderWay => {
                return Err(busy("this certificate is still being requested", CERTBOT_BUSY));
            }
            Found::Nothing => {}
        }
        let call = Call::write("npm.certificate.request", Method::POST, CERTIFICATES)
            .timeout(self.requests.timeout)
            .body(Body::Json(self.requests.body(domains)));
        match self.client.json::<CertificateRow>(call).await {
            Ok(row) => Ok(row.into_certificate()),
            Err(error) if error.kind() == ErrorKind::Ambiguous => self.after_doubt(domains, error).await,
            Err(error) => Err(error),
        }
    }

    /// After a 500 or a lost answer: what has become of the request?
    async fn after_doubt(&self, domains: &Names, error: ProviderError) -> Result<Certificate, ProviderError> {
        match self.existing(domains).await {
            Ok(Found::Issued(certificate)) => Ok(certificate),
            // The program removes the row when certbot fails: nothing has happened, and its words say why.
            Ok(Found::Nothing) => Err(reason(domains, &error).unwrap_or(error)),
            Ok(Found::UnderWay) | Err(_) => Err(error),
        }
    }

    async fn existing(&self, domains: &Names) -> Result<Found, ProviderError> {
        let Some(first) = domains.first() else {
            return Ok(Found::Nothing);
        };
        let rows = self.client.certificates(first.as_str()).await?;
        let mut under_way = false;
        let mut best: Option<Certificate> = None;
        for row in rows.into_iter().filter(|row| row.is_for(domains)) {
            if !row.issued() {
                under_way |= self.requests.under_way(row.id);
                continue;
            }
            let certificate = row.into_certificate();
            if best
                .as_ref()
                .is_none_or(|best| best.expires_at < certificate.expires_at)
            {
                best = Some(certificate);
            }
        }
        Ok(match (best, under_way) {
            (Some(certificate), _) => Found::Issued(certificate),
            (None, true) => Found::UnderWay,
            (None, false) => Found::Nothing,
        })
    }

    pub(super) async fn remove_certificate(&self, id: CertificateId) -> Result<(), ProviderError> {
        // Revoking takes certbot's lock as well, and would make a request under way fail.
        let _turn = self.requests.turn().await?;
        let path = format!("{CERTIFICATES}/{}", id.0);
        let call = Call::get("npm.certificate.get", path.clone())
            .query("expand", "proxy_hosts,redirection_hosts,dead_hosts");
        let row: CertificateRow = match self.client.json(call).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        if let Some(user) = row.user() {
            let name = user.domain_names.first().map_or("a host", String::as_str);
            return Err(ProviderError::new(
                ErrorKind::Conflict,
                format!("certificate {} is in use by {name}; detach it there first", id.0),
            ));
        }
        if !row.automatic() {
            return Err(ProviderError::new(
                ErrorKind::Conflict,
                format!("certificate {} was uploaded by somebody and is left alone", id.0),
            ));
        }
        let call = Call::write("npm.certificate.delete", Method::DELETE, path).timeout(self.requests.timeout);
        match self.client.json::<Value>(call).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }
}

impl Client {
    /// The certificates with `text` in their display name, which for automatic ones is the list of their names.
    pub(super) async fn certificates(&self, text: &str) -> Result<Vec<CertificateRow>, ProviderError> {
        self.json(Call::get("npm.certificates", CERTIFICATES).query("query", text))
            .await
    }
}

/// What certbot said, in a sentence of our own: its text has command lines and paths in it.
fn reason(domains: &Names, error: &ProviderError) -> Option<ProviderError> {
    let text = error.detail()?.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let names = domains.iter().next().map_or("", Fqdn::as_str);
    let names = match domains.len() {
        1 => names.to_owned(),
        count => format!("{names} and {} more", count - 1),
    };
    let (kind, message) = if has(&["another instance of certbot"]) {
        return Some(busy("certbot is at work on another certificate", CERTBOT_BUSY));
    } else if has(&["some challenges have failed"]) {
        let text =
            "its challenge failed; the names must point to the proxy and port 80 be reachable from outside";
        (
            ErrorKind::Invalid,
            format!("the certificate authority refused {names}: {text}"),
        )
    } else if has(&["too many ", "ratelimited"]) {
        return Some(busy(
            "the certificate authority's rate limit is reached",
            AUTHORITY_LIMIT,
        ));
    } else if has(&["does not support any combination of challenges"]) {
        let text = "no challenge fits these names; wildcards need a DNS challenge, which is not set up";
        (ErrorKind::Invalid, format!("no certificate for {names}: {text}"))
    } else if has(&[
        "urn:ietf:params:acme:error:",
        "error creating new order",
        "invalid identifiers",
    ]) {
        (
            ErrorKind::Invalid,
            format!("the certificate authority refused {names}"),
        )
    } else if has(&[
        "connectionerror",
        "max retries exceeded",
        "name resolution",
        "timed out",
        "timeout",
    ]) {
        let text = "the proxy cannot reach the certificate authority; check its connection and name servers";
        (ErrorKind::Unavailable, text.to_owned())
    } else if has(&["certbot", "letsencrypt"]) {
        let text = "certbot failed for a reason that it does not name; look at the proxy's letsencrypt.log";
        (
            ErrorKind::Unavailable,
            format!("no certificate for {names}: {text}"),
        )
    } else {
        return None;
    };
    Some(ProviderError::new(kind, message).with_detail(error.detail()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(stack: &str) -> (ErrorKind, String) {
        let names = Names::from(["a.example.com".parse().unwrap()]);
        let error = ProviderError::new(ErrorKind::Ambiguous, "x").with_detail(stack);
        let error = reason(&names, &error).unwrap();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn certbots_words_become_short_sentences() {
        let log = "Error: Saving debug log to /data/logs/letsencrypt.log\n";
        let (kind, text) = reduced(&format!(
            "{log}Some challenges have failed.\ncertbot certonly -m a@b.c"
        ));
        assert_eq!(kind, ErrorKind::Invalid);
        assert!(!text.contains("certonly") && text.contains("a.example.com"));
        let offline =
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x'): Max retries exceeded";
        assert_eq!(reduced(&format!("{log}{offline}")).0, ErrorKind::Unavailable);
        let lock = "Another instance of Certbot is already running.";
        assert!(matches!(reduced(lock).0, ErrorKind::Throttled { .. }));
        let limit = "too many certificates already issued for: example.com";
        assert!(matches!(reduced(limit).0, ErrorKind::Throttled { .. }));
        assert_eq!(reduced(log).0, ErrorKind::Unavailable);
    }
}
