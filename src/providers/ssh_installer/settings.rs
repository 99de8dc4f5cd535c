//! What the operator of a cluster tells about its nodes and about where WordPress comes from.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, PrivateKey, PublicKey};
use secrecy::{ExposeSecret, SecretString};

use crate::providers::error::{ErrorKind, ProviderError};

/// Hexadecimal digits of a SHA-256 sum: 256 bits, four a digit.
const SHA256_DIGITS: usize = 64;

/// How to reach the nodes and what to install.
#[derive(Debug, Clone)]
pub struct SshSettings {
    /// Account on every node. `pct` needs root's rights.
    pub user: String,
    /// Its private key in OpenSSH's PEM form, without a passphrase: ed25519 or ECDSA.
    pub private_key: SecretString,
    /// Every node that a container may be on, by the name that the cluster gives it.
    pub nodes: BTreeMap<String, SshNode>,
    /// What is installed.
    pub wordpress: WordPressSource,
    /// Limit of one run from connecting to its last word, and of the wait for a free slot before it.
    pub deadline: Duration,
    /// The container tool on the nodes, normally `pct`; a path or `sudo pct` where that is needed.
    pub pct: String,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshNode {
    /// Host name or address.
    pub address: String,
    /// Port, normally 22.
    pub port: u16,
    /// Public host keys that are trusted, each as in a `.pub` file (`ssh-ed25519 AAAA…`). Any one of them is
    /// enough, so that a key can be replaced without a gap.
    pub host_keys: Vec<String>,
}

/// Where WordPress comes from and how it is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordPressSource {
    /// The archive.
    pub archive: ArchiveUrl,
    /// Its sum; without one, HTTPS alone vouches for it.
    pub sha256: Option<Sha256Sum>,
    /// Takes the editor of themes and plugins out of WordPress' administration.
    pub disallow_file_edit: bool,
}

/// The place of a WordPress archive (`.tar.gz`, `.tar.xz` or `.zip`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveUrl {
    /// `https://…`, fetched from inside the container.
    Https(String),
    /// `/…`, a file that the container's template has.
    File(String),
    /// `package:wordpress`, the distribution's own package.
    Package,
}

/// The text is no place of an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the WordPress archive must be an https address, an absolute path in the container, or package:wordpress"
)]
pub struct ArchiveUrlError;

impl FromStr for ArchiveUrl {
    type Err = ArchiveUrlError;

    fn from_str(text: &str) -> Result<Self, ArchiveUrlError> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ArchiveUrlError);
        }
        match text {
            "package:wordpress" => Ok(Self::Package),
            _ if text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) => {
                Ok(Self::Https(text.to_owned()))
            }
            _ if text.starts_with('/') && text.len() > 1 => Ok(Self::File(text.to_owned())),
            _ => Err(ArchiveUrlError),
        }
    }
}

impl fmt::Display for ArchiveUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Https(text) | Self::File(text) => text,
            Self::Package => "package:wordpress",
        })
    }
}

/// A SHA-256 sum as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sha256Sum(String);

/// The text is not a SHA-256 sum.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 sum has 64 hexadecimal digits")]
pub struct Sha256SumError;

impl FromStr for Sha256Sum {
    type Err = Sha256SumError;

    fn from_str(text: &str) -> Result<Self, Sha256SumError> {
        if text.len() != SHA256_DIGITS || !text.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Sha256SumError);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The settings, checked and decoded.
pub(super) struct Access {
    pub user: String,
    pub key: Arc<PrivateKey>,
    pub nodes: BTreeMap<String, Node>,
    pub pct: String,
}

/// One node, checked and decoded.
pub(super) struct Node {
    pub address: String,
    pub port: u16,
    pub pins: Vec<PublicKey>,
}

impl Node {
    /// Kinds of the pinned keys. Offering others would let the node answer with a key that is not pinned.
    pub fn algorithms(&self) -> Cow<'static, [Algorithm]> {
        let mut kinds: Vec<Algorithm> = Vec::new();
        for pin in &self.pins {
            if !kinds.contains(&pin.algorithm()) {
                kinds.push(pin.algorithm());
            }
        }
        Cow::Owned(kinds)
    }
}

fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

fn is_supported(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. })
}

fn decode_key(pem: &SecretString) -> Result<PrivateKey, ProviderError> {
    // The parser's own words are left out: nothing of a private key may reach a log.
    let key = PrivateKey::from_openssh(pem.expose_secret()).map_err(|_| {
        invalid("the SSH private key is not in OpenSSH's form; make one with `ssh-keygen -t ed25519`")
    })?;
    if key.is_encrypted() {
        return Err(invalid(
            "the SSH private key has a passphrase; remove it with `ssh-keygen -p` and keep the key in a Secret",
        ));
    }
    if !is_supported(&key.algorithm()) {
        return Err(invalid(
            "the SSH private key is neither ed25519 nor ECDSA; make one with `ssh-keygen -t ed25519`",
        ));
    }
    Ok(key)
}

fn decode_node(name: &str, node: &SshNode) -> Result<Node, ProviderError> {
    let mut pins = Vec::new();
    for line in &node.host_keys {
        let pin = PublicKey::from_openssh(line.trim()).map_err(|error| {
            invalid(format!(
                "a host key of node {name} cannot be read; copy a line of /etc/ssh/ssh_host_ed25519_key.pub"
            ))
            .with_detail(error)
        })?;
        if !is_supported(&pin.algorithm()) {
            return Err(invalid(format!(
                "a host key of node {name} is neither ed25519 nor ECDSA; use /etc/ssh/ssh_host_ed25519_key.pub"
            )));
        }
        pins.push(pin);
    }
    if pins.is_empty() {
        return Err(invalid(format!(
            "node {name} has no host key; copy /etc/ssh/ssh_host_ed25519_key.pub of that node into the Provider"
        )));
    }
    if node.address.is_empty() || node.address.chars().any(char::is_whitespace) {
        return Err(invalid(format!("node {name} has no usable SSH address")));
    }
    Ok(Node {
        address: node.address.clone(),
        port: node.port,
        pins,
    })
}

impl Access {
    /// Checks everything that can be checked without connecting.
    pub fn decode(settings: &SshSettings) -> Result<Self, ProviderError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ' ');
        if settings.pct.trim().is_empty() || !settings.pct.chars().all(plain) {
            return Err(invalid(
                "the container tool's name may have letters, digits, spaces and / . _ - only",
            ));
        }
        if settings.user.is_empty() {
            return Err(invalid("no SSH user was given; it is normally root"));
        }
        if settings.nodes.is_empty() {
            return Err(invalid("no SSH node was given; list every node of the cluster"));
        }
        let mut nodes = BTreeMap::new();
        for (name, node) in &settings.nodes {
            nodes.insert(name.clone(), decode_node(name, node)?);
        }
        Ok(Self {
            user: settings.user.clone(),
            key: Arc::new(decode_key(&settings.private_key)?),
            nodes,
            pct: settings.pct.trim().to_owned(),
        })
    }
}
