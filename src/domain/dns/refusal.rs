//! Why a record is not written.

use std::fmt;

use super::quote::quoted;
use super::rules::TypedRecord;

/// Declares the rules once: variant, doc and source.
macro_rules! record_rules {
    ($($(#[$doc:meta])* $rule:ident: $source:literal,)*) => {
        /// Every rule that a record can break. The table for people is `docs/dns-records.md`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RecordRule {
            $($(#[$doc])* $rule,)*
        }

        impl RecordRule {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// The rule in one word, for a status. Part of the API: it does not change.
            pub fn reason(self) -> &'static str {
                match self { $(Self::$rule => stringify!($rule),)* }
            }

            /// Where the rule comes from.
            pub fn source(self) -> &'static str {
                match self { $(Self::$rule => $source,)* }
            }
        }
    };
}

record_rules! {
    /// A label of the record's name has characters that it may not have, or is empty.
    NameInvalid: "RFC 1123 2.1, RFC 5891",
    /// A label of more than 63 or a name of more than 253 characters.
    NameTooLong: "RFC 1035 2.3.4",
    /// A name with a final dot that is not the zone's own and not below it.
    NameOutsideZone: "RFC 1034 4.2",
    /// An underscore in the name of a type that belongs to hosts.
    NameUnderscore: "RFC 8552 1",
    /// An asterisk that is not the whole first label.
    WildcardPlace: "RFC 4592 2.1.1",
    /// NS with a wildcard.
    WildcardNameServer: "RFC 4592 4.2",
    /// A or AAAA whose name below the zone is longer than ISPConfig takes.
    AddressNameTooLong: "ISPConfig",
    /// SRV whose name is not `_service._protocol`.
    ServiceName: "RFC 2782",
    /// A time to live that one of the back-ends does not take.
    TtlRange: "ISPConfig, Cloudflare",
    /// A priority where the type has none.
    PriorityMisplaced: "RFC 1035 3.3.9, RFC 2782",
    /// Content of A that is not an IPv4 address.
    Ipv4Invalid: "RFC 1035 3.4.1",
    /// Content of AAAA that is not an IPv6 address.
    Ipv6Invalid: "RFC 3596 2.2",
    /// PROXYSRV although no address of the proxy is set.
    ProxyAddressUnset: "Hostwright",
    /// PROXYSRV in a record that is not A.
    ProxyAliasMisplaced: "Hostwright",
    /// A target that is not a host name.
    TargetInvalid: "RFC 1123 2.1, RFC 5891",
    /// A target with a label of more than 63 or of more than 253 characters.
    TargetTooLong: "RFC 1035 2.3.4",
    /// A target of one label: relative or absolute, nobody knows.
    TargetSingleLabel: "RFC 1034 3.1",
    /// An address where a name belongs.
    TargetAddress: "RFC 2181 10.3, RFC 1123 2.1",
    /// A single dot as target of a type that has no "nowhere".
    TargetNowhere: "RFC 7505 3, RFC 2782",
    /// MX, NS or SRV that points to an alias of this list.
    TargetAlias: "RFC 2181 10.3, RFC 2782",
    /// An alias of itself.
    AliasLoop: "RFC 1034 3.6.2",
    /// Null MX with a preference other than 0.
    NullMxPreference: "RFC 7505 3",
    /// Text that is empty.
    TextEmpty: "RFC 1035 3.3.14",
    /// Text of more octets than a record has room for.
    TextTooLong: "RFC 1035 3.3.14, Cloudflare",
    /// Text with line ends or other control characters, or not UTF-8.
    TextCharacter: "RFC 1035 5.1, ISPConfig",
    /// Text that begins with a quote and is not a list of quoted strings.
    TextQuotes: "RFC 1035 5.1",
    /// CAA that is not flags, tag and value.
    CaaInvalid: "RFC 8659 4.1",
    /// CAA with a tag that not all back-ends take.
    CaaTag: "RFC 8659 4.1",
    /// CAA whose value its tag does not allow.
    CaaValue: "RFC 8659 4.2, 4.4",
    /// SRV that is not weight, port and target.
    SrvInvalid: "RFC 2782",
    /// NS of the zone itself.
    ApexNameServer: "Hostwright",
    /// CNAME of the zone itself.
    ApexAlias: "RFC 1034 3.6.2, RFC 1912 2.4",
    /// The same record again.
    Duplicate: "RFC 2181 5",
    /// CNAME beside other data, or a second CNAME.
    AliasNotAlone: "RFC 1034 3.6.2, RFC 2181 10.1",
    /// Another time to live than an earlier record of the same name and type has.
    TtlDiffers: "RFC 2181 5.2",
    /// Null MX beside other MX.
    NullMxNotAlone: "RFC 7505 3",
    /// Data at or below a name that NS records give away.
    BelowDelegation: "RFC 2181 6, RFC 1034 4.2.1",
    /// More records than the Plan has room for.
    QuotaExceeded: "Plan",
}

impl fmt::Display for RecordRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// A record that is not written, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RecordRefusal {
    /// The rule.
    pub rule: RecordRule,
    /// Which record, what is wrong with it, what to do, and the source of the rule in brackets: at most 512
    /// characters, without control characters.
    pub message: String,
}

impl RecordRefusal {
    /// A refusal of this record. `what` is a sentence without a full stop that says what is wrong and what to do.
    pub(super) fn new(typed: &TypedRecord<'_>, rule: RecordRule, what: &str) -> Self {
        let name = if typed.name.is_empty() { "@" } else { typed.name };
        let message = format!(
            "{} record {}: {what} ({})",
            typed.kind,
            quoted(name),
            rule.source()
        );
        Self { rule, message }
    }

    /// Where the rule comes from.
    pub fn source(&self) -> &'static str {
        self.rule.source()
    }
}
