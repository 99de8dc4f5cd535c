//! Certificates of the visitors' HTTPS port: signed at run time by an authority of the simulator's own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::Program;

/// Certificates by number and names.
type Minted = BTreeMap<(u64, Vec<String>), Arc<CertifiedKey>>;

/// Signs for the simulator.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// Kept, so that a certificate stays the same between handshakes.
    minted: Mutex<Minted>,
}

impl Authority {
    pub(super) fn new() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "Simulated CA");
        let pem = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem,
            minted: Mutex::default(),
        })
    }

    pub(super) fn pem(&self) -> String {
        self.pem.clone()
    }

    fn certificate(&self, id: u64, names: &[String]) -> Option<Arc<CertifiedKey>> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (id, names.to_vec());
        if let Some(known) = minted.get(&place) {
            return Some(Arc::clone(known));
        }
        let fresh = Arc::new(self.mint(names)?);
        minted.insert(place, Arc::clone(&fresh));
        Some(fresh)
    }

    fn mint(&self, names: &[String]) -> Option<CertifiedKey> {
        let key = KeyPair::generate().ok()?;
        let leaf = CertificateParams::new(names.to_vec())
            .ok()?
            .signed_by(&key, &self.issuer)
            .ok()?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = ring::sign::any_ecdsa_type(&der).ok()?;
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone()];
        Some(CertifiedKey::new(chain, signing))
    }
}

/// Picks the certificate of the host that a visitor asks for; without one the handshake is refused.
struct PerName(Weak<Program>);

impl fmt::Debug for PerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PerName")
    }
}

impl ResolvesServerCert for PerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let program = self.0.upgrade()?;
        let name = hello.server_name()?.to_ascii_lowercase();
        let (id, names) = {
            let state = program.state();
            let conf = state.serving.values().find(|conf| conf.answers_for(&name))?;
            let row = state.certificates.get(&conf.certificate?)?;
            (row.id, row.domain_names.clone())
        };
        program.authority.certificate(id, &names)
    }
}

/// The TLS side of the visitors' port.
pub(super) fn acceptor(program: &Arc<Program>) -> Result<TlsAcceptor, rustls::Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(PerName(Arc::downgrade(program))));
    Ok(TlsAcceptor::from(Arc::new(config)))
}
