//! Conditions: their types and reasons as constants, and how a list of them changes.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Types of conditions.
pub mod kinds {
    /// Usable as specified.
    pub const READY: &str = "Ready";
    /// The operator could act; carries the error when it could not.
    pub const SYNCED: &str = "Synced";
    /// Present and `True` only after a terminal error: nothing is tried until the cause changes (kstatus).
    pub const STALLED: &str = "Stalled";
    /// The container exists and runs.
    pub const CONTAINER_READY: &str = "ContainerReady";
    /// The public name points to the proxy.
    pub const NAME_READY: &str = "NameReady";
    /// The certificate exists.
    pub const CERTIFICATE_READY: &str = "CertificateReady";
    /// The proxy host exists and the proxy loaded it.
    pub const PROXY_READY: &str = "ProxyReady";
    /// WordPress is installed and its installer is finished.
    pub const INSTALL_READY: &str = "InstallReady";
    /// WordPress answers through the proxy.
    pub const PAGE_READY: &str = "PageReady";
    /// The snapshot `initial` exists.
    pub const SNAPSHOT_READY: &str = "SnapshotReady";
    /// Present and `False` while the site is not as its Plan says although it works. Nothing else hangs on it.
    pub const PLAN_APPLIED: &str = "PlanApplied";
    /// Present and `False` when the annotation `hostwright.dev/adopt` asks for another container than the site has: it
    /// is ignored. Nothing else hangs on it.
    pub const ADOPTED: &str = "Adopted";
    /// Present and `False` while backups cannot be made by the clock. Nothing else hangs on it.
    pub const BACKUPS_SCHEDULED: &str = "BackupsScheduled";
    /// Present and `True` when a certificate was not renewed in time: nothing else hangs on it until its end.
    pub const CERTIFICATE_EXPIRING: &str = "CertificateExpiring";
    /// Present and `True` when the container was lost and restored from a backup archive: what was written after the
    /// backup is lost. Nothing else hangs on it.
    pub const RECOVERED: &str = "Recovered";
    /// Every domain of the customer is set up. Nothing else hangs on it.
    pub const DOMAINS_READY: &str = "DomainsReady";
    /// The zone exists and has its settings.
    pub const ZONE_READY: &str = "ZoneReady";
    /// Every record of the spec is in the zone.
    pub const RECORDS_IN_SYNC: &str = "RecordsInSync";
    /// The parent zone delegates to our name servers, and they answer. Only with `verifyNameservers`.
    pub const NAMESERVERS_VERIFIED: &str = "NameserversVerified";
    /// The last sweep read all that it compares.
    pub const SWEPT: &str = "Swept";
}

/// Reasons: constant words, details go into the message.
pub mod reasons {
    /// Nobody has looked at the object yet.
    pub const PENDING: &str = "Pending";
    /// As it shall be.
    pub const READY: &str = "Ready";
    /// The operator acts.
    pub const SYNCED: &str = "Synced";
    /// Being made.
    pub const PROVISIONING: &str = "Provisioning";
    /// Waiting for something before it.
    pub const WAITING: &str = "Waiting";
    /// Waiting for a free place: the back-end takes only so many at a time.
    pub const QUEUED: &str = "Queued";
    /// A task of the back-end is under way.
    pub const TASK_RUNNING: &str = "TaskRunning";
    /// A task of the back-end failed and is tried again.
    pub const TASK_FAILED: &str = "TaskFailed";
    /// Was ready and is not any more; being repaired.
    pub const DEGRADED: &str = "Degraded";
    /// Being deleted.
    pub const DELETING: &str = "Deleting";
    /// `hostwright.dev/paused` is set.
    pub const PAUSED: &str = "Paused";
    /// Something that is not ours is in the way.
    pub const CONFLICT: &str = "Conflict";
    /// The `serviceId` belongs to an older object.
    pub const SERVICE_ID_CONFLICT: &str = "ServiceIdConflict";
    /// The Plan does not exist.
    pub const PLAN_NOT_FOUND: &str = "PlanNotFound";
    /// The Plan lacks what this kind needs.
    pub const PLAN_INVALID: &str = "PlanInvalid";
    /// The Plan asks for more than any node has.
    pub const PLAN_TOO_LARGE: &str = "PlanTooLarge";
    /// A Provider does not exist.
    pub const PROVIDER_NOT_FOUND: &str = "ProviderNotFound";
    /// A Provider's settings or its Secret cannot be used.
    pub const PROVIDER_INVALID: &str = "ProviderInvalid";
    /// The Provider does not allow this namespace.
    pub const NAMESPACE_NOT_ALLOWED: &str = "NamespaceNotAllowed";
    /// The Secret with the credentials does not exist or lacks a key.
    pub const CREDENTIALS_NOT_FOUND: &str = "CredentialsNotFound";
    /// No free address in the Provider's pool.
    pub const ADDRESS_POOL_FULL: &str = "AddressPoolFull";
    /// No free number in the Provider's range.
    pub const VMID_RANGE_FULL: &str = "VmidRangeFull";
    /// A field's value cannot be used.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The back-end refused the credentials or a right is missing.
    pub const DENIED: &str = "Denied";
    /// The back-end refused the request as it is.
    pub const REFUSED: &str = "Refused";
    /// The back-end asked to slow down.
    pub const THROTTLED: &str = "Throttled";
    /// The back-end does not answer.
    pub const UNAVAILABLE: &str = "Unavailable";
    /// An answer that was not understood.
    pub const UNEXPECTED: &str = "Unexpected";
    /// The back-end is reachable and the rights suffice.
    pub const AVAILABLE: &str = "Available";
    /// Reachable, but rights are missing.
    pub const RIGHTS_MISSING: &str = "RightsMissing";
    /// Suspended by the spec.
    pub const SUSPENDED: &str = "Suspended";
    /// Stopped by the spec.
    pub const STOPPED: &str = "Stopped";
    /// Being stopped, as the spec asks.
    pub const STOPPING: &str = "Stopping";
    /// Being rolled back by a SiteRestore.
    pub const RESTORING: &str = "Restoring";
    /// The container was lost and is being restored from a backup archive.
    pub const RECOVERING: &str = "Recovering";
    /// The container was lost and was restored from a backup archive.
    pub const RESTORED_FROM_ARCHIVE: &str = "RestoredFromArchive";
    /// The container is lost, and there is no backup archive of the site.
    pub const NO_BACKUP_ARCHIVE: &str = "NoBackupArchive";
    /// The Plan has a smaller disk, and a disk cannot shrink.
    pub const DISK_CANNOT_SHRINK: &str = "DiskCannotShrink";
    /// The annotation `hostwright.dev/adopt` came too late: the site has a container.
    pub const ADOPTION_IGNORED: &str = "AdoptionIgnored";
    /// The proxy should have renewed a certificate and has not.
    pub const RENEWAL_OVERDUE: &str = "RenewalOverdue";
    /// Some records break a rule or are in somebody's way; status.records names them.
    pub const RECORDS_REFUSED: &str = "RecordsRefused";
    /// The site that is named does not exist.
    pub const SITE_NOT_FOUND: &str = "SiteNotFound";
    /// The backup that is named does not exist or cannot be rolled back to.
    pub const BACKUP_NOT_USABLE: &str = "BackupNotUsable";
    /// The snapshot that is named does not exist, or is not one of ours.
    pub const SNAPSHOT_NOT_FOUND: &str = "SnapshotNotFound";
    /// The snapshot is gone: rolled back past, deleted by somebody else, or with its site.
    pub const SNAPSHOT_LOST: &str = "SnapshotLost";
    /// A lock that a failed task left behind, and that only a person can take away.
    pub const LOCKED: &str = "Locked";
    /// More of something than the Plan allows.
    pub const QUOTA_EXCEEDED: &str = "QuotaExceeded";
    /// A domain does not lead to the proxy yet.
    pub const PENDING_DNS: &str = "PendingDns";
    /// The proxy or the certificate authority refused a domain; it is tried again.
    pub const DOMAIN_FAILED: &str = "DomainFailed";
    /// Delegated to us, but a name server of ours does not answer for the zone.
    pub const NOT_ANSWERING: &str = "NotAnswering";
    /// Only some of the delegated name servers are ours, or only some of ours are delegated.
    pub const PARTLY_DELEGATED: &str = "PartlyDelegated";
    /// Delegated to somebody else.
    pub const DELEGATED_ELSEWHERE: &str = "DelegatedElsewhere";
    /// The parent zone knows the name and delegates it to nobody.
    pub const NOT_DELEGATED: &str = "NotDelegated";
    /// The parent zone does not know the name.
    pub const NOT_REGISTERED: &str = "NotRegistered";
    /// The name servers could not be asked.
    pub const NOT_CHECKED: &str = "NotChecked";
    /// Somebody changed or removed something outside; it was put right.
    pub const DRIFT_REPAIRED: &str = "DriftRepaired";
    /// Something outside carries the mark of this cluster, but of no object that there is.
    pub const ORPHANS_FOUND: &str = "OrphansFound";
    /// Everything at the back-end was read and compared with what is known.
    pub const SWEPT: &str = "Swept";
    /// A list is empty in which something of ours shall stand: it is not believed.
    pub const EMPTY_LIST: &str = "EmptyList";
    /// Left outside as it is, by `deletionPolicy: Retain`.
    pub const RETAINED: &str = "Retained";
}

/// Three-valued state of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Holds.
    True,
    /// Does not hold.
    False,
    /// Not known.
    Unknown,
}

impl State {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a controller says about one aspect in one pass; time and generation are added when it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One of [`kinds`].
    pub kind: &'static str,
    /// Whether it holds.
    pub state: State,
    /// One of [`reasons`].
    pub reason: &'static str,
    /// For people: what, which object, what to do.
    pub message: String,
}

impl Finding {
    /// A finding.
    pub fn new(kind: &'static str, state: State, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            state,
            reason,
            message: message.into(),
        }
    }
}

/// The list of conditions that follows from the old one and this pass' findings.
///
/// A transition time changes only with the status, so that an unchanged pass writes nothing. Conditions of a
/// kind without a finding are dropped: a finding says all that is known.
pub fn merge(
    old: &[Condition],
    findings: &[Finding],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .iter()
        .map(|finding| {
            let before = old.iter().find(|condition| condition.type_ == finding.kind);
            let since = match before {
                Some(condition) if condition.status == finding.state.as_str() => {
                    condition.last_transition_time.clone()
                }
                _ => Time(now),
            };
            Condition {
                type_: finding.kind.to_owned(),
                status: finding.state.as_str().to_owned(),
                reason: finding.reason.to_owned(),
                message: finding.message.clone(),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// Whether the list has the condition with status `True`.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_change_only_with_the_status() {
        let then = Timestamp::from_second(1_000).unwrap();
        let now = Timestamp::from_second(2_000).unwrap();
        let ready = |state, message: &str| Finding::new(kinds::READY, state, reasons::READY, message);
        let old = merge(&[], &[ready(State::True, "a")], Some(1), then);
        let same = merge(&old, &[ready(State::True, "b")], Some(2), now);
        assert_eq!(
            (&same[0].last_transition_time, same[0].observed_generation),
            (&Time(then), Some(2))
        );
        let changed = merge(&same, &[ready(State::False, "b")], Some(2), now);
        assert_eq!(changed[0].last_transition_time, Time(now));
    }
}
