//! Where names live: zones with records.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use async_trait::async_trait;

use super::error::ProviderError;
use super::health::HealthCheck;
use crate::domain::{Fqdn, OwnerMark};

/// Opaque id of a zone in the back-end's own form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneId(pub String);

/// Opaque id of a record in the back-end's own form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub String);

/// What a record says, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias.
    Cname(Fqdn),
    /// Any other type, as type and text: read and counted, never written.
    Other(String, String),
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "A {address}"),
            Self::Aaaa(address) => write!(f, "AAAA {address}"),
            Self::Cname(target) => write!(f, "CNAME {target}"),
            Self::Other(kind, text) => write!(f, "{kind} {text}"),
        }
    }
}

/// What a record shall be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordSpec {
    /// Whole name.
    pub name: Fqdn,
    /// Content.
    pub data: RecordData,
    /// Time to live in seconds, 60 to 86400, or `None` for the back-end's own choice. What a back-end
    /// reads back differently by design (a proxied record) is mapped to the value that was sent.
    pub ttl: Option<u32>,
    /// Traffic goes through the DNS vendor's own proxy, where it has one.
    pub proxied: bool,
}

/// One record as the back-end has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Whose it is; `None` for somebody else's.
    pub mark: Option<OwnerMark>,
    /// What it is.
    pub spec: RecordSpec,
}

/// One change to a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordChange {
    /// Add a record with the mark.
    Create(RecordSpec),
    /// Bring an existing record of ours to this, the mark too.
    Update(RecordId, RecordSpec),
    /// Remove a record of ours.
    Delete(RecordId),
}

/// A host of DNS zones.
#[async_trait]
pub trait DnsHost: HealthCheck {
    /// The zone of exactly this name, `None` when the account has none.
    async fn zone(&self, name: &Fqdn) -> Result<Option<ZoneId>, ProviderError>;

    /// Every record of a zone: the bulk read.
    async fn records(&self, zone: &ZoneId) -> Result<Vec<Record>, ProviderError>;

    /// Every record of one name: the precise read.
    async fn records_of(&self, zone: &ZoneId, name: &Fqdn) -> Result<Vec<Record>, ProviderError>;

    /// Applies changes, each with an outcome of its own in the same order: the record after a create or
    /// update, `None` after a delete. A record that exists already exactly so, with the owner's mark, is a
    /// success; deleting what is gone too.
    async fn apply(
        &self,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Result<Option<Record>, ProviderError>>;
}
