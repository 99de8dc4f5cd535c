//! Nginx Proxy Manager 2.15 as a [`ReverseProxy`].
//!
//! `login` keeps the token, `client` makes a call and tells its answers apart, `certificates` keeps
//! certificate requests in line, `notice` writes the page of a suspended site, `wire` is the JSON. A host's owner is kept in its free `meta` object;
//! certificates have no place for a mark (the program overwrites the name of automatic ones).

mod certificates;
mod client;
mod login;
mod notice;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};

use self::certificates::Requests;
use self::client::Client;
use self::login::LogInState;
use self::wire::{HostRow, host_body, new_config, new_meta};
use super::error::{ErrorKind, ProviderError};
use super::gate::Gate;
use super::health::{Health, HealthCheck};
use super::http::{Body, Call, HttpSettings, Method};
use super::reverse_proxy::{
    Certificate, CertificateId, ProxyHost, ProxyHostId, ProxyHostSpec, ProxySurvey, ReverseProxy,
};
use crate::domain::{Fqdn, Names, OwnerMark};

const HOSTS: &str = "/api/nginx/proxy-hosts";
/// Names of one host, by the program's schema.
const NAMES_MAX: usize = 100;
/// Abilities by the word in the program's own schema that shows them.
const ABILITIES: [(&str, &str); 3] = [
    ("trust_forwarded_proto", "trusted-forwarded-protocol"),
    ("key_type", "certificate-key-type"),
    ("/tokens/2fa", "two-factor-login"),
];

/// Kind of key in requested certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// RSA.
    Rsa,
    /// Elliptic curve.
    Ecdsa,
}

impl KeyType {
    fn word(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
        }
    }
}

/// How to reach one instance and as whom.
#[derive(Debug, Clone)]
pub struct NpmSettings {
    /// Addresses and trust; the addresses end before `/api`.
    pub http: HttpSettings,
    /// Mail address of the account.
    pub identity: String,
    /// Its password.
    pub secret: SecretString,
    /// Kind of key to ask for; the program's default when absent, which also suits versions before 2.14.
    pub key_type: Option<KeyType>,
    /// Limit of one certificate request; the program needs 4 to 5 s, an authority may take a minute.
    pub certificate_timeout: Duration,
    /// How long a certificate request waits for its turn.
    pub certificate_queue: Duration,
}

/// One instance of Nginx Proxy Manager.
pub struct NginxProxyManager {
    client: Client,
    requests: Requests,
}

/// A client for the instance. Nothing is sent yet.
///
/// # Errors
/// `Invalid` for unusable addresses, CA bundles, or an empty mail address.
pub fn connect(settings: NpmSettings, gate: Arc<Gate>) -> Result<Arc<NginxProxyManager>, ProviderError> {
    if settings.identity.trim().is_empty() {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            "the credentials name no account; put its mail address into the Secret",
        ));
    }
    let log_in = LogInState::new(settings.identity.trim().to_owned(), settings.secret);
    Ok(Arc::new(NginxProxyManager {
        client: Client::new(&settings.http, log_in, gate)?,
        requests: Requests::new(
            settings.certificate_queue,
            settings.certificate_timeout,
            settings.key_type,
        ),
    }))
}

/// An error of a read that follows a write: the write has happened.
fn after_write(error: ProviderError) -> ProviderError {
    error.as_kind(ErrorKind::Ambiguous)
}

fn foreign(id: ProxyHostId) -> ProviderError {
    ProviderError::new(
        ErrorKind::Conflict,
        format!(
            "proxy host {} does not carry this object's mark; it is left alone",
            id.0
        ),
    )
}

fn checked(spec: &ProxyHostSpec) -> Result<(), ProviderError> {
    if spec.domains.is_empty() || spec.domains.len() > NAMES_MAX || spec.forward_port == 0 {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            format!("a proxy host has 1 to {NAMES_MAX} names and a port from 1 to 65535"),
        ));
    }
    Ok(())
}

impl NginxProxyManager {
    async fn host(&self, id: ProxyHostId) -> Result<HostRow, ProviderError> {
        let call = Call::get("npm.host.get", format!("{HOSTS}/{}", id.0)).query("expand", "certificate");
        self.client.json(call).await
    }

    /// A host that must be the owner's, read now: marks are compared right before every write.
    async fn owned(&self, id: ProxyHostId, owner: &OwnerMark) -> Result<HostRow, ProviderError> {
        let row = self.host(id).await?;
        match row.mark().as_ref() == Some(owner) {
            true => Ok(row),
            false => Err(foreign(id)),
        }
    }
}

#[async_trait]
impl ReverseProxy for NginxProxyManager {
    async fn survey(&self) -> Result<ProxySurvey, ProviderError> {
        self.client.all().await
    }

    async fn find(&self, domain: &Fqdn) -> Result<ProxySurvey, ProviderError> {
        let text = domain.as_str();
        let (hosts, certificates) =
            futures::try_join!(self.client.hosts(Some(text)), self.client.certificates(text))?;
        Ok(ProxySurvey {
            hosts: hosts
                .into_iter()
                .filter(|row| row.answers_for(domain))
                .map(HostRow::into_host)
                .collect(),
            certificates: certificates
                .into_iter()
                .filter(|row| row.names(domain) && row.issued())
                .map(|row| row.into_certificate())
                .collect(),
        })
    }

    async fn request_certificate(&self, domains: &Names) -> Result<Certificate, ProviderError> {
        self.request(domains).await
    }

    async fn create_host(&self, spec: &ProxyHostSpec, owner: &OwnerMark) -> Result<ProxyHost, ProviderError> {
        checked(spec)?;
        let config = new_config(spec)?;
        let call = Call::write("npm.host.create", Method::POST, HOSTS).body(Body::Json(host_body(
            spec,
            new_meta(owner),
            config,
        )));
        let created: HostRow = self.client.json(call).await?;
        // The answer is from before nginx has tried the configuration: only a later read shows a fault.
        let row = self.host(ProxyHostId(created.id)).await.map_err(after_write)?;
        Ok(row.into_host())
    }

    async fn update_host(
        &self,
        id: ProxyHostId,
        spec: &ProxyHostSpec,
        owner: &OwnerMark,
    ) -> Result<ProxyHost, ProviderError> {
        checked(spec)?;
        let row = self.owned(id, owner).await?;
        let meta = row.meta_with(owner);
        let config = row.config_with(spec.notice.as_deref())?;
        let current = row.into_host();
        if current.spec == *spec && !current.deviates {
            return Ok(current);
        }
        let call = Call::write("npm.host.update", Method::PUT, format!("{HOSTS}/{}", id.0))
            .body(Body::Json(host_body(spec, meta, config)));
        // Unlike a create's, this answer is read back by the program itself after its nginx test.
        let row: HostRow = self.client.json(call).await?;
        Ok(row.into_host())
    }

    async fn adopt_host(&self, id: ProxyHostId, owner: &OwnerMark) -> Result<(), ProviderError> {
        let row = self.host(id).await?;
        if row.is_marked() {
            return match row.mark().as_ref() == Some(owner) {
                true => Ok(()),
                false => Err(foreign(id)),
            };
        }
        // PUT leaves every field alone that it does not name.
        let body = json!({"meta": row.adopted_meta(owner)});
        let call =
            Call::write("npm.host.adopt", Method::PUT, format!("{HOSTS}/{}", id.0)).body(Body::Json(body));
        self.client.json::<Value>(call).await.map(|_| ())
    }

    async fn set_enabled(
        &self,
        id: ProxyHostId,
        enabled: bool,
        owner: &OwnerMark,
    ) -> Result<(), ProviderError> {
        let row = self.owned(id, owner).await?;
        if row.enabled == enabled {
            return Ok(());
        }
        let word = if enabled { "enable" } else { "disable" };
        let call = Call::write(
            "npm.host.enable",
            Method::POST,
            format!("{HOSTS}/{}/{word}", id.0),
        );
        match self.client.json::<Value>(call).await {
            Err(error) if error.message().contains("is already ") && error.kind() == ErrorKind::Invalid => {
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    async fn delete_host(&self, id: ProxyHostId, owner: &OwnerMark) -> Result<(), ProviderError> {
        match self.owned(id, owner).await {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        let call = Call::write("npm.host.delete", Method::DELETE, format!("{HOSTS}/{}", id.0));
        match self.client.json::<Value>(call).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    async fn delete_certificate(&self, id: CertificateId) -> Result<(), ProviderError> {
        self.remove_certificate(id).await
    }
}

#[async_trait]
impl HealthCheck for NginxProxyManager {
    async fn check(&self) -> Result<Health, ProviderError> {
        let begun = Instant::now();
        let account = self.client.account().await?;
        let mut latency = begun.elapsed();
        let begun = Instant::now();
        // Only newer builds describe themselves; without it the check is still good.
        let schema: Option<Value> = self
            .client
            .json(Call::get("npm.schema", "/api/schema"))
            .await
            .ok();
        if schema.is_some() {
            latency = latency.min(begun.elapsed());
        }
        let described = schema
            .as_ref()
            .and_then(|schema| schema.pointer("/info/version")?.as_str());
        let version = match described {
            Some(version) => version.to_owned(),
            None => self.plain_version().await.unwrap_or_default(),
        };
        let text = schema.map(|schema| schema.to_string()).unwrap_or_default();
        Ok(Health {
            version,
            capabilities: ABILITIES
                .iter()
                .filter(|(word, _)| text.contains(word))
                .map(|(_, ability)| (*ability).to_owned())
                .collect(),
            missing_rights: account.missing_rights(),
            latency,
        })
    }
}

impl NginxProxyManager {
    /// The version of the welcome page, which some builds leave at 2.0.0.
    async fn plain_version(&self) -> Option<String> {
        let welcome: Value = self.client.json(Call::get("npm.welcome", "/api/")).await.ok()?;
        let part = |name: &str| welcome.pointer(&format!("/version/{name}"))?.as_u64();
        let version = (part("major")?, part("minor")?, part("revision")?);
        let (major, minor, revision) = version;
        (version != (2, 0, 0)).then(|| format!("{major}.{minor}.{revision}"))
    }
}
