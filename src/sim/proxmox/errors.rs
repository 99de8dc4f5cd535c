//! How Proxmox VE says no. Almost every refusal is status 500 with a sentence; there is no error code.

use std::collections::BTreeMap;

/// Reason phrase and message of every 400.
pub(super) const VERIFICATION_FAILED: &str = "Parameter verification failed.";
/// Reason phrase of a call to a node that does not answer; the body is empty.
pub(super) const NO_ROUTE: &str = "Errors during connection establishment, proxy handshake: No route to host";
/// What work on a LINSTOR storage ends with while its controller is away.
pub(super) const LINSTOR_DOWN: &str = "could not connect to any LINSTOR controller";
/// Refusal of any write while the cluster has no quorum.
pub(super) const NO_QUORUM: &str = "cluster not ready - no quorum?";
/// Refusal of a write whose digest is not the current one.
pub(super) const DIGEST_MISMATCH: &str =
    "detected modified configuration - file changed by other user? Try again.";

/// A call that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400 with a text per parameter.
    Parameters(BTreeMap<String, String>),
    /// 403 with the right that is missing.
    Forbidden(String),
    /// 500 with a sentence.
    Sentence(String),
    /// 595: the node does not answer.
    Unreachable,
    /// 501.
    NotImplemented(String),
    /// 506: the body's content type.
    ContentType(String),
}

impl Refusal {
    /// A 400 about one parameter.
    pub(super) fn parameter(name: &str, text: impl Into<String>) -> Self {
        Self::Parameters(BTreeMap::from([(name.to_owned(), text.into())]))
    }

    /// A 500.
    pub(super) fn say<T>(sentence: impl Into<String>) -> Result<T, Self> {
        Err(Self::Sentence(sentence.into()))
    }

    /// The status code.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Parameters(_) => 400,
            Self::Forbidden(_) => 403,
            Self::Sentence(_) => 500,
            Self::Unreachable => 595,
            Self::NotImplemented(_) => 501,
            Self::ContentType(_) => 506,
        }
    }

    /// The text after the status code.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Parameters(_) => VERIFICATION_FAILED.to_owned(),
            Self::Forbidden(what) => format!("Permission check failed ({what})"),
            Self::Sentence(text) | Self::NotImplemented(text) => text.clone(),
            Self::Unreachable => NO_ROUTE.to_owned(),
            Self::ContentType(kind) => format!("content type '{kind}' not supported"),
        }
    }
}

impl From<String> for Refusal {
    fn from(sentence: String) -> Self {
        Self::Sentence(sentence)
    }
}

/// The container has no configuration on this node: it is elsewhere, or nowhere.
pub(super) fn no_config(node: &str, vmid: u32) -> String {
    format!("Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist")
}

/// Another worker holds the container's configuration file.
pub(super) fn file_locked(vmid: u32) -> String {
    format!("can't lock file '/run/lock/lxc/pve-config-{vmid}.lock' - got timeout")
}

/// The configuration carries a lock word.
pub(super) fn locked(word: &str) -> String {
    format!("CT is locked ({word})")
}

/// Ten seconds passed without the cluster-wide lock of a storage.
pub(super) fn storage_locked(storage: &str) -> String {
    format!("cfs-lock 'storage-{storage}' error: got lock request timeout")
}
