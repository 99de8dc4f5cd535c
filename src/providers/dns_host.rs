//! Where names live: zones with records.

use async_trait::async_trait;
use jiff::Timestamp;

use super::error::ProviderError;
use super::health::HealthCheck;
use crate::domain::dns::RecordName;
use crate::domain::{Fqdn, OwnerMark};

pub use crate::domain::dns::{RecordData, RecordSpec};

/// Opaque id of a zone in the back-end's own form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneId(pub String);

/// Opaque id of a record in the back-end's own form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId(pub String);

/// The start of authority of a zone. All times in seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// First name server.
    pub primary: Fqdn,
    /// Mail box of the person in charge, with a dot for the @.
    pub mailbox: Fqdn,
    /// How often secondaries ask.
    pub refresh: u32,
    /// How soon they ask again after a failure.
    pub retry: u32,
    /// How long they answer without having reached the primary.
    pub expire: u32,
    /// How long an absent name is remembered (RFC 2308).
    pub minimum: u32,
    /// Time to live of this record itself.
    pub ttl: u32,
}

/// What a zone shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSpec {
    /// Name.
    pub name: Fqdn,
    /// Whether its names are answered. Without effect where [`DnsAbilities::suspends`] is false.
    pub active: bool,
    /// Start of authority. Without effect where [`DnsAbilities::authority`] is false.
    pub soa: Soa,
    /// Customer under whom the zone is made, as the back-end knows them, where it knows customers.
    pub customer: Option<String>,
}

/// One zone as the back-end has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its id.
    pub id: ZoneId,
    /// Name.
    pub name: Fqdn,
    /// Whether its names are answered.
    pub active: bool,
    /// Serial, where the back-end tells it. It changes with every change to the zone's records.
    pub serial: Option<u32>,
    /// Start of authority, where it is ours to set.
    pub soa: Option<Soa>,
    /// Name servers that the back-end assigned to the zone; empty where the hoster's own serve it.
    pub name_servers: Vec<Fqdn>,
    /// When it was made, where the back-end tells.
    pub created: Option<Timestamp>,
}

/// What differs between hosts of zones by design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsAbilities {
    /// Records carry our mark. Where they do not, ownership is ids that were stored, together with an exact match.
    pub marks: bool,
    /// A zone can be made inactive and keeps its records.
    pub suspends: bool,
    /// Start of authority and the zone's own NS records are ours to write.
    pub authority: bool,
    /// Removing a zone removes its records. Elsewhere they would stay behind unseen.
    pub records_go_with_zone: bool,
}

/// One record as the back-end has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Whose it is; `None` for somebody else's, and for all where [`DnsAbilities::marks`] is false.
    pub mark: Option<OwnerMark>,
    /// What it is.
    pub spec: RecordSpec,
}

/// One change to a zone. What is changed or removed was read right before, within the same pass, and proven ours:
/// by its mark, or where records carry none by whoever filled the mark in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordChange {
    /// Add a record with the mark.
    Create(RecordSpec),
    /// Bring an existing record of ours to this.
    Update(Record, RecordSpec),
    /// Take over a record without a mark: write ours into it, and bring it to this. Where records carry no marks it is
    /// an update. `Conflict` when it carries another mark.
    Adopt(Record, RecordSpec),
    /// Remove a record of ours.
    Delete(Record),
}

/// A host of DNS zones.
#[async_trait]
pub trait DnsHost: HealthCheck {
    /// What this back-end can do.
    fn abilities(&self) -> DnsAbilities;

    /// Every zone of the account: the bulk read.
    async fn zones(&self) -> Result<Vec<Zone>, ProviderError>;

    /// The zone of exactly this name, `None` when the account has none.
    async fn zone(&self, name: &Fqdn) -> Result<Option<Zone>, ProviderError>;

    /// Makes a zone, without records. `Conflict` when there is one of that name, here or in another account:
    /// whose it is, a look tells.
    async fn create_zone(&self, spec: &ZoneSpec) -> Result<Zone, ProviderError>;

    /// Brings a zone to this: whether it is active, and its start of authority, as far as the abilities go.
    /// `NotFound` when it is gone.
    async fn update_zone(&self, id: &ZoneId, spec: &ZoneSpec) -> Result<Zone, ProviderError>;

    /// Removes a zone. Its records go first: some back-ends leave them behind unseen. Gone already is a success.
    async fn delete_zone(&self, id: &ZoneId) -> Result<(), ProviderError>;

    /// Every record of a zone but those that belong to the back-end itself (SOA, and the zone's own NS where
    /// [`DnsAbilities::authority`] is false): the bulk read.
    async fn records(&self, zone: &ZoneId) -> Result<Vec<Record>, ProviderError>;

    /// Every record of one name: the precise read.
    async fn records_of(&self, zone: &ZoneId, name: &RecordName) -> Result<Vec<Record>, ProviderError>;

    /// Applies changes, each with an outcome of its own in the same order: the record after a create or
    /// update, `None` after a delete. Back-ends with transactions reorder within one; the others keep the order.
    /// A record that exists already exactly so, with the owner's mark, is a success; deleting what is gone too.
    /// What was seen without the owner's mark is refused with `Conflict`.
    async fn apply(
        &self,
        zone: &ZoneId,
        changes: &[RecordChange],
        owner: &OwnerMark,
    ) -> Vec<Result<Option<Record>, ProviderError>>;
}
