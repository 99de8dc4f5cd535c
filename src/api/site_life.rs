//! What a customer and the hoster do with a site after it exists, as data.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a container shall run.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum Power {
    /// It runs.
    #[default]
    Running,
    /// It is shut down.
    Stopped,
}

/// Makes SiteBackups by the clock, within the quota of the Plan.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupSchedule {
    /// When, as minute, hour, day of month, month and day of week, such as "30 3 * * *"; in the time zone of the Provider.
    #[schemars(length(min = 9, max = 100))]
    #[x_kube(validation = Rule::new("self.matches('^ *[0-9A-Za-z*/,?#-]+( +[0-9A-Za-z*/,?#-]+){4} *$')")
        .message("cron must have five fields, minute, hour, day of month, month and day of week, such as \"30 3 * * *\""))]
    pub cron: String,
    /// How many backups of this schedule are kept; the oldest of them goes first, never one that a person made.
    #[schemars(range(min = 1, max = 100))]
    pub keep: i32,
}

/// A restart that has begun.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteRestart {
    /// The time in the spec that asks for it.
    pub requested_at: Time,
    /// When it was begun, before the container host was asked.
    pub begun_at: Time,
    /// Tasks of the container's restarts shortly before this one, so that this one is told apart when its answer was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub previous: Vec<String>,
}

/// A restore of a lost container from an archive of the hoster's backup job. It stays as history until the next one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteRecovery {
    /// The archive, in the container host's own form (a volume identifier on Proxmox).
    #[schemars(length(max = 512))]
    pub archive: String,
    /// When the backup was made. What was written later is lost.
    pub taken_at: Time,
    /// Node that it is restored on.
    #[schemars(length(max = 253))]
    pub node: String,
    /// When it was begun, before the container host was asked.
    pub begun_at: Time,
    /// When the restored container was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_at: Option<Time>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub failure: Option<String>,
}

impl SiteRecovery {
    /// Whether its end has not been seen.
    pub fn is_open(&self) -> bool {
        self.restored_at.is_none() && self.failure.is_none()
    }
}

/// What the Plan allows and what is used of it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteQuota {
    /// Domains of the customer.
    #[serde(default)]
    pub domains: SiteQuotaUse,
    /// SiteBackups.
    #[serde(default)]
    pub backups: SiteQuotaUse,
}

/// How many of something there are and may be.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteQuotaUse {
    /// There are.
    pub used: i32,
    /// There may be.
    pub limit: i32,
    /// Both for people: used/limit.
    #[schemars(length(max = 32))]
    pub display: String,
}

impl SiteQuotaUse {
    /// So many of so many.
    pub fn new(used: i32, limit: i32) -> Self {
        Self {
            used,
            limit,
            display: format!("{used}/{limit}"),
        }
    }
}

/// One domain of the customer.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteDomain {
    /// Name as in the spec.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Where it stands.
    pub state: DomainState,
    /// What, and what to do.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub message: String,
    /// End of its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires_at: Option<Time>,
}

/// Where a domain stands.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum DomainState {
    /// Waits for its turn, for example until the site itself is up.
    Pending,
    /// Its A or AAAA records do not point to the proxy yet; they are looked up again and again.
    PendingDns,
    /// Certificate and proxy host are being made. From here on the domain is this site's.
    Issuing,
    /// Visitors reach the site by it.
    Ready,
    /// Another site has it, or the proxy serves it for somebody else.
    Conflict,
    /// More domains than the Plan allows.
    QuotaExceeded,
    /// The name cannot be used.
    Invalid,
    /// The proxy or the certificate authority refused; it is tried again.
    Failed,
    /// Not in the spec any more; being removed.
    Removing,
}

impl DomainState {
    /// Whether something of the site may exist outside under the name, so that nobody else may have it.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Issuing | Self::Ready | Self::Failed | Self::Removing)
    }
}

/// A certificate and its renewal, which the proxy does by itself.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteCertificate {
    /// Its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What a container uses. A snapshot for people; metrics have the course.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteUsage {
    /// Percent of all its cores, rounded to 5.
    pub cpu_percent: i32,
    /// Memory in MiB, rounded to 16.
    pub memory_mib: i64,
    /// Root disk in MiB, rounded to 64.
    pub disk_mib: i64,
    /// Since when it has been running, rounded to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_since: Option<Time>,
    /// When this was read.
    pub read_at: Time,
}

impl SiteUsage {
    /// Whether a person would notice no difference: all but the time of reading is equal.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let then = Time(Timestamp::UNIX_EPOCH);
        let timeless = |usage: &Self| Self {
            read_at: then.clone(),
            ..usage.clone()
        };
        timeless(self) == timeless(other)
    }
}
