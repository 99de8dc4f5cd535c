//! Where visitors arrive: hosts with certificates that forward to a container.

use std::net::IpAddr;

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::ProviderError;
use super::health::HealthCheck;
use crate::domain::{Fqdn, Names, OwnerMark};

/// Id of a proxy host, never used again by the back-end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProxyHostId(pub u64);

/// Id of a certificate, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateId(pub u64);

/// What a proxy host shall be. Plain HTTP towards the container; HTTPS is forced towards visitors as soon
/// as there is a certificate; HTTP/2, WebSockets and the block of common exploits are always on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHostSpec {
    /// Names that it answers for.
    pub domains: Names,
    /// Address of the container.
    pub forward_address: IpAddr,
    /// Port of the container, 1 to 65535.
    pub forward_port: u16,
    /// The certificate; without one the host serves plain HTTP.
    pub certificate: Option<CertificateId>,
    /// Instead of the container visitors get this sentence, with status 503. The certificate is renewed all the same.
    /// `Invalid` on writing when it is longer than the back-end takes; 350 characters always fit.
    pub notice: Option<String>,
}

/// One host as the back-end has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyHost {
    /// Its id.
    pub id: ProxyHostId,
    /// Whose it is; `None` for somebody else's.
    pub mark: Option<OwnerMark>,
    /// What it is. Settings of which [`ProxyHostSpec`] does not speak are not shown.
    pub spec: ProxyHostSpec,
    /// It differs from what `spec` alone implies (HTTPS not forced, HTTP/2 off, host name as upstream …), so
    /// that an update is due even when `spec` is equal.
    pub deviates: bool,
    /// Serves, as far as the back-end was told.
    pub enabled: bool,
    /// Why the proxy could not load it, from a read after the write.
    pub problem: Option<String>,
}

/// One certificate as the back-end has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its id.
    pub id: CertificateId,
    /// The names in it.
    pub domains: Names,
    /// Requested and renewed by the proxy itself; uploaded ones are never ours.
    pub automatic: bool,
    /// Its end.
    pub expires_at: Option<Timestamp>,
}

/// Every host and certificate that our account sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxySurvey {
    /// All hosts.
    pub hosts: Vec<ProxyHost>,
    /// All certificates.
    pub certificates: Vec<Certificate>,
}

/// A reverse proxy with certificates.
#[async_trait]
pub trait ReverseProxy: HealthCheck {
    /// The bulk read.
    async fn survey(&self) -> Result<ProxySurvey, ProviderError>;

    /// Hosts and certificates in which any of the names occurs exactly: the precise read of one site.
    async fn find(&self, domain: &Fqdn) -> Result<ProxySurvey, ProviderError>;

    /// Requests a certificate and waits for it. One request at a time per instance: waits a bounded time for
    /// its turn, then `Throttled`. `Invalid` when the authority refused the names.
    async fn request_certificate(&self, domains: &Names) -> Result<Certificate, ProviderError>;

    /// Creates a host with the owner's mark; the answer is a read after the write. `Conflict` when a name is
    /// in use, `Ambiguous` whenever the host may have been stored.
    async fn create_host(&self, spec: &ProxyHostSpec, owner: &OwnerMark) -> Result<ProxyHost, ProviderError>;

    /// Brings an existing host of the owner's to `spec`; the answer is a read after the write.
    async fn update_host(
        &self,
        id: ProxyHostId,
        spec: &ProxyHostSpec,
        owner: &OwnerMark,
    ) -> Result<ProxyHost, ProviderError>;

    /// Writes the owner's mark into a host that carries none and changes nothing else; fine when it carries this one,
    /// `Conflict` when it carries another.
    async fn adopt_host(&self, id: ProxyHostId, owner: &OwnerMark) -> Result<(), ProviderError>;

    /// Enables or disables a host; no-op when it is so. `Conflict` when the mark is not `owner`'s.
    async fn set_enabled(
        &self,
        id: ProxyHostId,
        enabled: bool,
        owner: &OwnerMark,
    ) -> Result<(), ProviderError>;

    /// Deletes a host; fine when it is gone. `Conflict` when the mark is not `owner`'s.
    async fn delete_host(&self, id: ProxyHostId, owner: &OwnerMark) -> Result<(), ProviderError>;

    /// Deletes a certificate that no host uses; fine when it is gone, `Conflict` while one uses it.
    async fn delete_certificate(&self, id: CertificateId) -> Result<(), ProviderError>;
}
