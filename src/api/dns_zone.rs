//! `DnsZone`: one customer zone with its records.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeletionPolicy;

/// One customer zone with its records.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hostwright.dev",
    version = "v1alpha1",
    kind = "DnsZone",
    plural = "dnszones",
    shortname = "dz",
    category = "hostwright",
    namespaced,
    status = "DnsZoneStatus",
    selectable = ".spec.zone",
    doc = "One customer zone with its records.",
    printcolumn = r#"{"name":"Zone","type":"string","jsonPath":".spec.zone"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name":"Delegated","type":"string","jsonPath":".status.conditions[?(@.type=='NameserversVerified')].status"}"#,
    printcolumn = r#"{"name":"Records","type":"integer","jsonPath":".status.quota.records.used"}"#,
    printcolumn = r#"{"name":"Errors","type":"integer","jsonPath":".status.recordErrors"}"#,
    printcolumn = r#"{"name":"Provider","type":"string","jsonPath":".spec.provider"}"#,
    printcolumn = r#"{"name":"Serial","type":"integer","priority":1,"jsonPath":".status.serial"}"#,
    printcolumn = r#"{"name":"Foreign","type":"integer","priority":1,"jsonPath":".status.foreignRecords"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.owner) == has(oldSelf.owner) && (!has(self.owner) || self.owner == oldSelf.owner)")
    .message("owner cannot be changed: ISPConfig would move the zone but not its records"))]
pub struct DnsZoneSpec {
    /// Name of the zone, such as example.com; Unicode is accepted. One object in the cluster has it; the first wins.
    #[schemars(length(min = 3, max = 253))]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("zone cannot be changed: delete the object and create one for the other zone"),
        validation = Rule::new("self.matches('^[^.[:space:][:cntrl:]/:@*_]+([.][^.[:space:][:cntrl:]/:@*_]+)+[.]?$')")
            .message("zone must look like example.com: at least two labels, without scheme, path, wildcard or underscore")
    )]
    pub zone: String,
    /// Name of the Provider that hosts the zone (of type ispconfig or cloudflare).
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("provider cannot be changed: create the zone at the other Provider first, then delete this object"))]
    pub provider: String,
    /// Name of the Plan whose dns.records limits the records. No limit without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub plan: Option<String>,
    /// User name of the customer's client in ISPConfig, such as P17, under which the zone is made. Without it the zone belongs to ISPConfig's administrator. Cloudflare has no such thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._-]+$')").message("owner must be an ISPConfig user name: letters, digits, dots, hyphens and underscores"))]
    pub owner: Option<String>,
    /// The records. What is not listed here and was not made by this object is left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3500))]
    pub records: Vec<ZoneRecord>,
    /// Add A records of the zone and of www to the proxy's address, unless records has these names.
    #[serde(default = "yes")]
    pub create_defaults: bool,
    /// Check that the parent zone delegates to our name servers, and that they answer.
    #[serde(default = "yes")]
    pub verify_nameservers: bool,
    /// Stop answering for the zone and keep its records, where the back-end can; elsewhere the zone is left as it is.
    #[serde(default)]
    pub suspended: bool,
    /// Namespaces whose DnsZones may stand below this one, "*" for all. Those of this namespace always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub allowed_child_namespaces: Vec<String>,
    /// What happens outside when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn yes() -> bool {
    true
}

/// One record of a zone. What is said about it here is what can be said without its zone and the other records; the
/// whole table is `docs/dns-records.md`, and the operator keeps it.
//
// The server counts each rule 3,500 times with contents of 4 × 4,096 octets: 10 million for a rule leave 2,857 for one
// record, and one look at a content costs 1,639 (a tenth of the octets, once more for every 4 characters of a
// regular expression). Hence one look per rule, and expressions of at most 4 characters.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(self.type in ['A', 'AAAA']) || isIP(self.content) || (self.type == 'A' && self.content.size() == 8 && self.content.charAt(0) in ['P', 'p'] && self.content.charAt(5) in ['S', 's'] && self.content.charAt(7) in ['V', 'v'])")
        .message("content of an A record is an IPv4 address such as 192.0.2.10, or PROXYSRV for the proxy's; of an AAAA record an IPv6 address such as 2001:db8::10 (RFC 1035 3.4.1, RFC 3596 2.2)"),
    validation = Rule::new("!(self.type in ['A', 'AAAA']) || self.content.contains(':') == (self.type == 'AAAA')")
        .message("content of an A record is an IPv4 address such as 192.0.2.10, or PROXYSRV for the proxy's; of an AAAA record an IPv6 address such as 2001:db8::10 (RFC 1035 3.4.1, RFC 3596 2.2)"),
    validation = Rule::new("!self.content.contains('\\n')")
        .message("content must be on one line (RFC 1035 5.1)"),
    validation = Rule::new("!(self.type in ['CNAME', 'MX', 'NS']) || self.content == '@' || (self.type == 'MX' && self.content == '.') || self.content.matches(r'.\\..')")
        .message("content of a CNAME, MX or NS record is a whole name such as mail.example.com, with or without a final dot, or @ for the zone (RFC 1034 3.1)"),
    validation = Rule::new("!(self.type in ['CNAME', 'MX', 'NS']) || !isIP(self.content)")
        .message("content of a CNAME, MX or NS record is a name alone: an address belongs into an A or AAAA record, a preference into priority (RFC 2181 10.3)"),
    validation = Rule::new("!(self.type in ['CNAME', 'MX', 'NS']) || !self.content.contains(' ')")
        .message("content of a CNAME, MX or NS record is a name alone: an address belongs into an A or AAAA record, a preference into priority (RFC 2181 10.3)"),
    validation = Rule::new("self.type != 'SRV' || self.content.matches(' .+ ')")
        .message("content of an SRV record is weight, port and target, such as 5 5060 sip.example.com; the priority has its own field (RFC 2782)"),
    validation = Rule::new("self.type != 'CAA' || self.content.matches(' .+ ')")
        .message("content of a CAA record is flags, tag and value, such as 0 issue letsencrypt.org (RFC 8659 4.1)"),
    validation = Rule::new("!has(self.priority) || self.type in ['MX', 'SRV']")
        .message("priority is for MX and SRV records only (RFC 1035 3.3.9, RFC 2782)"),
    validation = Rule::new("self.name.matches('^([*]([.]|$))?[^*]*$')")
        .message("name may have an asterisk only alone, as its first label, such as *.shop (RFC 4592 2.1.1)"),
    validation = Rule::new("!self.name.matches('[[:space:][:cntrl:]/:]|[.][.]')")
        .message("name has letters, digits, inner hyphens, underscores and single dots; @ or nothing is the zone itself (RFC 1123 2.1)"),
    validation = Rule::new("!self.name.contains('_') || self.type in ['CNAME', 'SRV', 'TXT']")
        .message("name may have underscores in CNAME, SRV and TXT records only (RFC 8552 1)"),
    validation = Rule::new("self.type != 'SRV' || self.name.matches('^_[^.]+[.]_[^.]')")
        .message("name of an SRV record begins with service and protocol, such as _sip._tcp (RFC 2782)"),
    validation = Rule::new("!(self.type in ['CNAME', 'NS']) || !(self.name in ['', '@'])")
        .message("name of a CNAME or NS record is below the zone: the zone itself always has other data, and its name servers are the Provider's (RFC 1034 3.6.2)"),
    validation = Rule::new("self.type != 'NS' || !self.name.startsWith('*')")
        .message("name of an NS record is no wildcard: write one record per name (RFC 4592 4.2)")
)]
pub struct ZoneRecord {
    /// Name below the zone: "@" or empty for the zone itself, "www", or a whole name with or without a final dot.
    #[serde(default)]
    #[schemars(length(max = 254))]
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub type_: ZoneRecordType,
    /// Content: an address (A, AAAA; PROXYSRV in an A record for the proxy's address), a host (CNAME, MX, NS), text (TXT), "0 issue letsencrypt.org" (CAA), "weight port target" (SRV).
    #[schemars(length(min = 1, max = 4096))]
    pub content: String,
    /// Time to live in seconds.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 60, max = 86_400))]
    pub ttl: i32,
    /// Preference of an MX record (10 without it), priority of an SRV record (0 without it). The lowest is tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65_535))]
    pub priority: Option<i32>,
}

/// Time to live in seconds of a record that does not say; the replaced system's value.
fn default_ttl() -> i32 {
    3600
}

/// Types of records.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ZoneRecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Authorities that may issue certificates.
    Caa,
    /// Alias.
    Cname,
    /// Mail exchange.
    Mx,
    /// Name server of a part of the zone.
    Ns,
    /// Place of a service.
    Srv,
    /// Text.
    Txt,
}

/// What is known of a zone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsZoneStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The back-end's id of the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub zone_id: Option<String>,
    /// How the zone came to this object. It is removed with the object only when the object made it or took it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ZoneOrigin>,
    /// Serial, where the back-end tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<i64>,
    /// Who answers for the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nameservers: Option<ZoneNameservers>,
    /// How many records there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<ZoneQuota>,
    /// Records of the spec that are not as they shall be, the first 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub records: Vec<RecordState>,
    /// How many records of the spec are not as they shall be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_errors: Option<i32>,
    /// Records in the zone that are not ours: seen, counted, left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_records: Option<i32>,
    /// Digest of all records that the zone was brought to; absent while some are not as they shall be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub records_digest: Option<String>,
    /// When we last changed something in the zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<Time>,
    /// Records that are ours although no mark in them says so: the back-end's id, a colon, and a digest of what we know the record to say. A record that says something else is not ours any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8192), inner(length(max = 63)))]
    pub owned: Vec<String>,
    /// Digests of the records that are about to be made where records carry no mark: one that appears is ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8192), inner(length(max = 63)))]
    pub creating: Vec<String>,
    /// Conditions by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 24))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

/// How a zone came to its object.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum ZoneOrigin {
    /// About to be made by the object: it was seen absent before.
    Creating,
    /// Made by the object.
    Created,
    /// Taken over on request.
    Adopted,
}

/// Who answers for a zone.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneNameservers {
    /// Name servers that shall answer: what the customer enters at the registrar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub expected: Vec<String>,
    /// Name servers that the parent zone delegates to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub observed: Vec<String>,
}

/// How many of something there are and may be.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaUse {
    /// There are.
    pub used: i32,
    /// There may be; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i32>,
}

/// Quotas of a zone.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneQuota {
    /// Records of the spec.
    pub records: QuotaUse,
}

/// One record that is not as it shall be.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordState {
    /// Place in spec.records, from 0.
    pub index: i32,
    /// Name as in the spec.
    #[serde(default)]
    #[schemars(length(max = 254))]
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub type_: ZoneRecordType,
    /// Content as in the spec, its first 64 characters.
    #[schemars(length(max = 256))]
    pub content: String,
    /// Why, in one word.
    #[schemars(length(max = 63))]
    pub reason: String,
    /// What is wrong and what to do.
    #[schemars(length(max = 512))]
    pub message: String,
}
