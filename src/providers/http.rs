//! The HTTP client that the vendors share: verified TLS, time-outs, a size limit, no redirects, and the
//! Provider's gate around every call.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::de::DeserializeOwned;

use super::error::{ErrorKind, ProviderError};
use super::fence::{Closed, FencedBody};
use super::gate::{Effect, Gate, not_leading};

pub use reqwest::Method;

/// Time to reach a back-end at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for an ordinary call from first byte sent to last byte read. Proxmox gives up on an inner node after
/// 30 s, so that a longer wait gains nothing.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(35);
/// Bytes of the largest answer that is read: all of 20,000 proxy hosts or guests of 1 KiB, and half as much again.
pub const BODY_LIMIT: usize = 30 << 20;
/// Idle connections are closed before the back-ends' own limits (Proxmox: 100 requests, some seconds).
const POOL_IDLE: Duration = Duration::from_secs(15);
/// How long bytes may be on their way before the kernel gives the connection up, also after the end of the process
/// that sent them: as long as a lease outlasts its holder's right to write (15 s − 10 s, `runtime::leader`), so that
/// nothing arrives from a network that was broken meanwhile once another replica acts.
const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(5);

/// Whom to trust.
#[derive(Clone, Debug)]
pub enum TlsTrust {
    /// The certificate authorities of the operating system.
    System,
    /// Only these authorities (PEM).
    CaBundle(String),
    /// Only these leaf certificates, by SHA-256 of their DER form.
    Fingerprints(Vec<[u8; 32]>),
}

/// How to reach one back-end.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Base addresses without a final slash; more than one are tried in order when a node does not answer.
    pub bases: Vec<String>,
    /// Trust for `https` addresses.
    pub trust: TlsTrust,
    /// Allows `http` addresses. Without it they are refused.
    pub plaintext: bool,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// None.
    Empty,
    /// `application/x-www-form-urlencoded`, in the given order.
    Form(Vec<(String, String)>),
    /// JSON.
    Json(serde_json::Value),
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// Constant name for metrics and errors, such as `lxc.create`.
    pub name: &'static str,
    /// Verb.
    pub method: Method,
    /// Path below the base address, with its leading slash, already encoded.
    pub path: String,
    /// Query parameters, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Body.
    pub body: Body,
    /// Value of the `Authorization` header.
    pub authorization: Option<HeaderValue>,
    /// Whether it can change something.
    pub effect: Effect,
    /// Limit for the whole call.
    pub timeout: Duration,
}

impl Call {
    /// A read.
    pub fn get(name: &'static str, path: impl Into<String>) -> Self {
        Self::new(name, Method::GET, path, Effect::Read)
    }

    /// A call that can change something.
    pub fn write(name: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self::new(name, method, path, Effect::Write)
    }

    fn new(name: &'static str, method: Method, path: impl Into<String>, effect: Effect) -> Self {
        Self {
            name,
            method,
            path: path.into(),
            query: Vec::new(),
            body: Body::Empty,
            authorization: None,
            effect,
            timeout: CALL_TIMEOUT,
        }
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, key: &str, value: impl ToString) -> Self {
        self.query.push((key.to_owned(), value.to_string()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sets the `Authorization` header; mark the value as sensitive.
    #[must_use]
    pub fn authorization(mut self, value: HeaderValue) -> Self {
        self.authorization = Some(value);
        self
    }

    /// Sets the limit for the whole call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Declares a POST that changes nothing, such as a log-in, so that dry runs may make it.
    #[must_use]
    pub fn harmless(mut self) -> Self {
        self.effect = Effect::Read;
        self
    }
}

/// One answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Reason phrase when it is not the customary one of the status.
    pub reason: Option<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Whole body, at most 30 MiB.
    pub body: Vec<u8>,
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// `Unexpected`, with the parser's words as detail, when it is something else.
    pub fn json<T: DeserializeOwned>(&self, call: &'static str) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ProviderError::new(
                ErrorKind::Unexpected,
                format!(
                    "{call}: the answer (status {}) is not the JSON that was expected",
                    self.status
                ),
            )
            .with_detail(error)
        })
    }

    /// Seconds of the `Retry-After` header.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self
            .headers
            .get(reqwest::header::RETRY_AFTER)?
            .to_str()
            .ok()?
            .trim()
            .parse()
            .ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// The HTTP client of one Provider, with a connection pool of its own.
pub struct HttpClient {
    client: reqwest::Client,
    bases: Vec<String>,
    gate: Arc<Gate>,
}

impl HttpClient {
    /// A client for the settings.
    ///
    /// # Errors
    /// `Invalid` for a base address that is not `https` (or `http` with `plaintext`), or a CA bundle without
    /// certificates.
    pub fn new(settings: &HttpSettings, gate: Arc<Gate>) -> Result<Self, ProviderError> {
        let mut bases = Vec::new();
        for base in &settings.bases {
            let allowed = base.starts_with("https://") || (settings.plaintext && base.starts_with("http://"));
            if !allowed {
                return Err(invalid(format!(
                    "the address {base} is not https; plain http needs `plaintext: true` beside it"
                )));
            }
            bases.push(base.trim_end_matches('/').to_owned());
        }
        if bases.is_empty() {
            return Err(invalid("no address was given; name at least one"));
        }
        let client = client_builder(&settings.trust)?
            .timeout(CALL_TIMEOUT)
            .build()
            .map_err(|error| invalid("the HTTP client could not be set up").with_detail(error))?;
        Ok(Self { client, bases, gate })
    }

    /// The gate that the calls pass.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Sends one call through the gate; `classify` turns an answer into a result and so decides what counts
    /// as failed. A base address that cannot be reached is skipped for the next one.
    ///
    /// # Errors
    /// Those of `classify`; `Unavailable` when nothing was sent or a read failed; `Ambiguous` when a write
    /// was sent and its answer is missing or cut off.
    pub async fn send<T>(
        &self,
        call: Call,
        classify: impl FnOnce(Reply) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        let admission = self.gate.admit(call.name, call.effect).await?;
        let result = match admission.guard(self.exchange(&call)).await {
            Ok(reply) => classify(reply),
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            tracing::debug!(
                call = call.name,
                kind = error.kind().label(),
                detail = error.detail(),
                "{error}"
            );
        }
        admission.finish(result)
    }

    async fn exchange(&self, call: &Call) -> Result<Reply, ProviderError> {
        let mut last = None;
        for base in &self.bases {
            let request = self.request(base, call)?;
            match tokio::time::timeout(call.timeout, self.client.execute(request)).await {
                Ok(Ok(response)) => return self.read(response, call).await,
                Ok(Err(error)) if kept_back(&error) => return Err(not_leading(self.gate.provider())),
                Ok(Err(error)) if error.is_connect() => {
                    last = Some(
                        unavailable(self.gate.provider(), "nobody answers there").with_detail(chain(&error)),
                    );
                }
                Ok(Err(error)) => {
                    return Err(
                        lost(call, self.gate.provider(), "the connection broke").with_detail(chain(&error))
                    );
                }
                Err(_) => return Err(lost(call, self.gate.provider(), "no answer in time")),
            }
        }
        Err(last.unwrap_or_else(|| unavailable(self.gate.provider(), "no address to ask")))
    }

    fn request(&self, base: &str, call: &Call) -> Result<reqwest::Request, ProviderError> {
        let mut request = self
            .client
            .request(call.method.clone(), format!("{base}{}", call.path))
            .timeout(call.timeout);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if let Some(value) = &call.authorization {
            request = request.header(reqwest::header::AUTHORIZATION, value);
        }
        let request = match &call.body {
            Body::Empty => request,
            Body::Form(fields) => request.form(fields),
            Body::Json(value) => request.json(value),
        };
        let mut request = request.build().map_err(|error| {
            let message = format!("Provider {}: {} cannot be sent", self.gate.provider(), call.name);
            ProviderError::new(ErrorKind::Invalid, message).with_detail(chain(&error))
        })?;
        if call.effect == Effect::Write {
            let bytes = request
                .body()
                .and_then(reqwest::Body::as_bytes)
                .unwrap_or_default();
            let bytes = hyper::body::Bytes::copy_from_slice(bytes);
            let body = FencedBody::new(bytes, Arc::clone(self.gate.fence()));
            *request.body_mut() = Some(reqwest::Body::wrap(body));
        }
        Ok(request)
    }

    async fn read(&self, mut response: reqwest::Response, call: &Call) -> Result<Reply, ProviderError> {
        let status = response.status().as_u16();
        let reason = response
            .extensions()
            .get::<hyper::ext::ReasonPhrase>()
            .and_then(|phrase| std::str::from_utf8(phrase.as_bytes()).ok().map(str::to_owned));
        let headers = response.headers().clone();
        let announced = response
            .content_length()
            .and_then(|bytes| usize::try_from(bytes).ok());
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(BODY_LIMIT));
        loop {
            match tokio::time::timeout(call.timeout, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= BODY_LIMIT => {
                    body.extend_from_slice(&chunk)
                }
                Ok(Ok(Some(_))) => {
                    let message = format!(
                        "{}: the answer is larger than {} MiB",
                        call.name,
                        BODY_LIMIT >> 20
                    );
                    return Err(ProviderError::new(ErrorKind::Unexpected, message));
                }
                Ok(Ok(None)) => {
                    return Ok(Reply {
                        status,
                        reason,
                        headers,
                        body,
                    });
                }
                Ok(Err(error)) => {
                    return Err(
                        lost(call, self.gate.provider(), "the answer was cut off").with_detail(chain(&error))
                    );
                }
                Err(_) => return Err(lost(call, self.gate.provider(), "the answer did not end in time")),
            }
        }
    }
}

fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

/// Without the name of the call: of several reads at the same time any may fail first, and the status must not
/// change with it.
fn unavailable(provider: &str, what: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unavailable, format!("Provider {provider}: {what}"))
}

/// A missing answer: harmless for a read, unknown for a write.
fn lost(call: &Call, provider: &str, what: &str) -> ProviderError {
    match call.effect {
        Effect::Read => unavailable(provider, what),
        Effect::Write => ProviderError::new(
            ErrorKind::Ambiguous,
            format!(
                "Provider {provider}: {what} after {}; it may have had its effect and is looked up before the next try",
                call.name
            ),
        ),
    }
}

/// Whether the fence kept the request back when the connection was about to send it.
fn kept_back(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.is::<Closed>() {
            return true;
        }
        next = cause.source();
    }
    false
}

/// The causes of a library's error without its address, which may hold a query.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&cause.to_string());
        text.push_str("; ");
        next = cause.source();
    }
    text
}

/// A client builder with everything that every back-end's client has in common.
///
/// # Errors
/// `Invalid` for a CA bundle without certificates.
pub fn client_builder(trust: &TlsTrust) -> Result<reqwest::ClientBuilder, ProviderError> {
    let user_agent = (
        HeaderName::from_static("user-agent"),
        HeaderValue::from_static(concat!("hostwright/", env!("CARGO_PKG_VERSION"))),
    );
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(trust)?)
        .default_headers(HeaderMap::from_iter([user_agent]))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(UNACKNOWLEDGED_LIMIT)
        .pool_idle_timeout(POOL_IDLE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy())
}

fn tls_config(trust: &TlsTrust) -> Result<ClientConfig, ProviderError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failed = |error: rustls::Error| invalid("TLS could not be set up").with_detail(error);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = match trust {
        TlsTrust::System => {
            let verifier = rustls_platform_verifier::Verifier::new(provider).map_err(failed)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        }
        TlsTrust::CaBundle(pem) => builder
            .with_root_certificates(root_store(pem)?)
            .with_no_client_auth(),
        TlsTrust::Fingerprints(pins) => {
            let verifier = PinnedLeaf {
                pins: pins.clone(),
                provider,
            };
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth()
        }
    };
    Ok(config)
}

fn root_store(pem: &str) -> Result<RootCertStore, ProviderError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| {
            invalid("the CA bundle is not PEM; paste the certificates with their BEGIN and END lines")
                .with_detail(error)
        })?;
        roots.add(certificate).map_err(|error| {
            invalid("the CA bundle has a certificate that cannot be used").with_detail(error)
        })?;
    }
    if roots.is_empty() {
        return Err(invalid(
            "the CA bundle has no certificate; paste the PEM text of the authority",
        ));
    }
    Ok(roots)
}

/// Accepts exactly the listed leaf certificates, as Proxmox nodes do among themselves. Name and issuer do not
/// matter then; the signature of the handshake is still verified, so that owning the key is proven.
#[derive(Debug)]
struct PinnedLeaf {
    pins: Vec<[u8; 32]>,
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for PinnedLeaf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let seen = ring::digest::digest(&ring::digest::SHA256, end_entity);
        if self.pins.iter().any(|pin| pin.as_slice() == seen.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(
            "the certificate's fingerprint is not in the Provider's list".to_owned(),
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
