//! The last check of a site: what a visitor gets who asks the proxy's address for the site's name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::{AlertDescription, CertificateError};

use super::error::{ErrorKind, ProviderError};
use super::gate::{Effect, Gate};
use super::http::{TlsTrust, client_builder};
use crate::domain::Fqdn;

/// How long one look at a page may take in all.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(8);
/// Bytes of a page that are read; WordPress' log-in page has about 10 KiB, with plugins some 100.
const PAGE_LIMIT: usize = 256 << 10;
/// The page that every WordPress has and that never comes from a cache.
const LOOK_PATH: &str = "/wp-login.php";
/// Characters of a redirect's target that are shown.
const TARGET_MAX: usize = 80;

/// What answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// A finished WordPress.
    WordPress,
    /// WordPress' installer, open to whoever comes first.
    Installer,
    /// Something else, described in a few words: status and kind of page, or a certificate that a visitor's
    /// browser would refuse.
    Other(String),
}

/// Looks at sites as a visitor does.
#[async_trait]
pub trait Edge: Send + Sync {
    /// Asks the proxy for the name's log-in page.
    ///
    /// # Errors
    /// `Unavailable` when nobody answers or TLS breaks off. A certificate that does not fit the name is a
    /// fault of the site and not of the proxy: it is [`Page::Other`].
    async fn look(&self, host: &Fqdn, https: bool) -> Result<Page, ProviderError>;
}

/// Where the proxy listens for visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeAddresses {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
}

/// Where to look, and whose certificates are good ones.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Where the proxy listens.
    pub addresses: EdgeAddresses,
    /// Whom visitors trust; the system's authorities unless the proxy uses an authority of its own.
    pub trust: TlsTrust,
}

/// The [`Edge`] of any proxy that speaks HTTP.
pub struct HttpEdge {
    plain: reqwest::Client,
    secure: reqwest::Client,
    gate: Arc<Gate>,
}

/// Resolves every name to one address, so that a site can be looked at before its name is known to anybody.
struct Fixed(SocketAddr);

impl Resolve for Fixed {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(std::iter::once(self.0));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

impl HttpEdge {
    /// An edge that looks at the given addresses. Calls are named `edge.look`.
    ///
    /// # Errors
    /// `Invalid` for a CA bundle without certificates.
    pub fn new(settings: EdgeSettings, gate: Arc<Gate>) -> Result<Arc<Self>, ProviderError> {
        // No address names a port, and the resolver's is taken then: `Host` stays the bare name. No idle
        // connections: each look sees the certificate that a new visitor would get.
        let client = |address: SocketAddr| {
            client_builder(&settings.trust)?
                .dns_resolver(Arc::new(Fixed(address)))
                .pool_max_idle_per_host(0)
                .timeout(LOOK_TIMEOUT)
                .build()
                .map_err(|error| {
                    ProviderError::new(ErrorKind::Invalid, "the HTTP client could not be set up")
                        .with_detail(error)
                })
        };
        Ok(Arc::new(Self {
            plain: client(settings.addresses.http)?,
            secure: client(settings.addresses.https)?,
            gate,
        }))
    }

    async fn fetch(&self, host: &Fqdn, https: bool) -> Result<Page, ProviderError> {
        let (client, scheme) = match https {
            true => (&self.secure, "https"),
            false => (&self.plain, "http"),
        };
        let request = client.get(format!("{scheme}://{host}{LOOK_PATH}"));
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                return certificate_fault(&error)
                    .map(Page::Other)
                    .ok_or_else(|| silent(host, &error));
            }
        };
        let status = response.status().as_u16();
        let location = response
            .headers()
            .get(reqwest::header::LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut body = Vec::new();
        while body.len() < PAGE_LIMIT {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(silent(host, &error)),
            }
        }
        body.truncate(PAGE_LIMIT);
        Ok(classified(
            status,
            location.as_deref(),
            &String::from_utf8_lossy(&body),
        ))
    }
}

#[async_trait]
impl Edge for HttpEdge {
    async fn look(&self, host: &Fqdn, https: bool) -> Result<Page, ProviderError> {
        let admission = self.gate.admit("edge.look", Effect::Read).await?;
        let result = match tokio::time::timeout(LOOK_TIMEOUT, self.fetch(host, https)).await {
            Ok(result) => result,
            Err(_) => Err(ProviderError::new(
                ErrorKind::Unavailable,
                format!(
                    "the proxy did not answer for {host} within {} s",
                    LOOK_TIMEOUT.as_secs()
                ),
            )),
        };
        admission.finish(result)
    }
}

fn silent(host: &Fqdn, error: &reqwest::Error) -> ProviderError {
    let what = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "did not answer in time",
        (_, true) => "cannot be reached or broke off TLS",
        _ => "broke off its answer",
    };
    ProviderError::new(ErrorKind::Unavailable, format!("the proxy {what} for {host}")).with_detail(error)
}

/// A TLS failure that is about the certificate, in words for a status.
fn certificate_fault(error: &reqwest::Error) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let inner = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let tls = match inner {
            Some(inner) => inner.downcast_ref::<rustls::Error>(),
            None => cause.downcast_ref::<rustls::Error>(),
        };
        if let Some(tls) = tls {
            return tls_fault(tls).map(str::to_owned);
        }
        next = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

fn tls_fault(error: &rustls::Error) -> Option<&'static str> {
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    match error {
        rustls::Error::InvalidCertificate(fault) => Some(match fault {
            NotValidForName | NotValidForNameContext { .. } => "certificate of another name",
            Expired | ExpiredContext { .. } => "certificate that has expired",
            UnknownIssuer => "certificate of an unknown authority",
            _ => "certificate that is not valid",
        }),
        // Proxies refuse the handshake for names that they have no certificate for.
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName | AlertDescription::AccessDenied) => {
            Some("no certificate for this name")
        }
        _ => None,
    }
}

fn classified(status: u16, location: Option<&str>, body: &str) -> Page {
    if let Some(target) = location.filter(|_| (300..400).contains(&status)) {
        return match is_setup(target) {
            true => Page::Installer,
            false => Page::Other(format!("{status} redirect to {}", shortened(target))),
        };
    }
    match status {
        200 if body.contains("loginform") && body.contains("wp-submit") => Page::WordPress,
        // The first page of the installer asks for a language, the second for the site's title; a
        // WordPress without wp-config.php asks for its database.
        200 if is_setup(body)
            || body.contains("language-chooser")
            || body.contains("name=\"weblog_title\"") =>
        {
            Page::Installer
        }
        200 if body.contains("Congratulations") && body.contains("Nginx Proxy Manager") => {
            Page::Other("200 default page of the proxy".to_owned())
        }
        200 => Page::Other("200 page that is not WordPress' log-in".to_owned()),
        502..=504 => Page::Other(format!(
            "{status} error of the proxy: the container does not answer"
        )),
        404 => Page::Other("404 not found".to_owned()),
        status => Page::Other(format!("{status} answer")),
    }
}

fn is_setup(text: &str) -> bool {
    text.contains("wp-admin/install.php") || text.contains("wp-admin/setup-config.php")
}

/// A redirect's target without its query, which may carry anything.
fn shortened(target: &str) -> String {
    let target = target.split(['?', '#']).next().unwrap_or_default();
    target
        .chars()
        .filter(|c| !c.is_control())
        .take(TARGET_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_apart() {
        let log_in = r#"<form name="loginform" id="loginform"><input type="submit" name="wp-submit">"#;
        assert_eq!(classified(200, None, log_in), Page::WordPress);
        assert_eq!(
            classified(302, Some("/wp-admin/install.php"), ""),
            Page::Installer
        );
        assert_eq!(
            classified(200, None, r#"<form action="/wp-admin/install.php?step=1">"#),
            Page::Installer
        );
        let other = |page: Page| match page {
            Page::Other(text) => text,
            other => panic!("{other:?}"),
        };
        assert!(other(classified(502, None, "<h1>502 Bad Gateway</h1>")).starts_with("502 "));
        assert!(
            other(classified(
                200,
                None,
                "<h1>Congratulations!</h1> Nginx Proxy Manager"
            ))
            .contains("default")
        );
        let target = "https://a.example.com/wp-login.php?token=secret";
        let text = other(classified(301, Some(target), ""));
        assert_eq!(text, "301 redirect to https://a.example.com/wp-login.php");
    }
}
