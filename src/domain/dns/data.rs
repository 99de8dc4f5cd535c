//! What records say.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::name::RecordName;
use crate::domain::Fqdn;

/// The name that a record points to, or the root, which means "nowhere" (RFC 7505 for MX, RFC 2782 for SRV).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The root, written as a single dot.
    Nowhere,
    /// A host.
    Host(Fqdn),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("."),
            Self::Host(name) => write!(f, "{name}"),
        }
    }
}

/// Types of records that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Certification authorities that may issue (RFC 8659).
    Caa,
    /// Alias.
    Cname,
    /// Mail exchange.
    Mx,
    /// Name server.
    Ns,
    /// Place of a service (RFC 2782).
    Srv,
    /// Text.
    Txt,
}

impl RecordKind {
    /// As it is written in zone files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a record says, in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Authorities that may issue certificates.
    Caa {
        /// 0, or 128 when an authority that does not understand the tag must not issue.
        flags: u8,
        /// `issue`, `issuewild`, `iodef` or another of lower-case letters and digits.
        tag: String,
        /// The value without quotes and escapes.
        value: String,
    },
    /// Alias. Its target may be a name with underscores.
    Cname(RecordName),
    /// Mail exchange.
    Mx {
        /// The lowest is tried first.
        preference: u16,
        /// The exchange.
        exchange: Target,
    },
    /// Name server.
    Ns(Fqdn),
    /// Place of a service.
    Srv {
        /// The lowest is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port.
        port: u16,
        /// The host.
        target: Target,
    },
    /// The whole text, without quotes and escapes, however a back-end cuts it into strings of 255 octets.
    Txt(String),
    /// Any other type, or content that is not understood, as type and text: read and counted, never written.
    Other(String, String),
}

impl RecordData {
    /// The type, `None` for what is never written.
    pub fn kind(&self) -> Option<RecordKind> {
        Some(match self {
            Self::A(_) => RecordKind::A,
            Self::Aaaa(_) => RecordKind::Aaaa,
            Self::Caa { .. } => RecordKind::Caa,
            Self::Cname(_) => RecordKind::Cname,
            Self::Mx { .. } => RecordKind::Mx,
            Self::Ns(_) => RecordKind::Ns,
            Self::Srv { .. } => RecordKind::Srv,
            Self::Txt(_) => RecordKind::Txt,
            Self::Other(..) => return None,
        })
    }

    /// The type's name, also of what is never written.
    pub fn type_name(&self) -> &str {
        match self {
            Self::Other(name, _) => name,
            _ => self.kind().map_or("", RecordKind::as_str),
        }
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => write!(f, "A {address}"),
            Self::Aaaa(address) => write!(f, "AAAA {address}"),
            Self::Caa { flags, tag, value } => write!(f, "CAA {flags} {tag} \"{value}\""),
            Self::Cname(target) => write!(f, "CNAME {target}"),
            Self::Mx { preference, exchange } => write!(f, "MX {preference} {exchange}"),
            Self::Ns(host) => write!(f, "NS {host}"),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "SRV {priority} {weight} {port} {target}"),
            Self::Txt(text) => write!(f, "TXT {text}"),
            Self::Other(kind, text) => write!(f, "{kind} {text}"),
        }
    }
}

/// What a record shall be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordSpec {
    /// Whole name.
    pub name: RecordName,
    /// Content.
    pub data: RecordData,
    /// Time to live in seconds, 60 to 86400, or `None` for the back-end's own choice. What a back-end
    /// reads back differently by design (a proxied record) is mapped to the value that was sent.
    pub ttl: Option<u32>,
    /// Traffic goes through the DNS vendor's own proxy, where it has one.
    pub proxied: bool,
}
