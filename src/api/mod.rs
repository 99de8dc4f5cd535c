//! The Kubernetes resources of group `hostwright.dev`: data, defaults, rules and condition names.
//!
//! No client, no clock, no behaviour: what a field means is said in its description, what happens because
//! of it is in `controllers`.

pub mod condition;
pub mod crds;
mod dns_zone;
mod plan;
mod provider;
mod provider_proxy;
mod provider_zones;
pub mod reference;
mod site_backup;
mod site_life;
mod site_restore;
mod wordpress_site;

pub use dns_zone::{
    DnsZone, DnsZoneSpec, DnsZoneStatus, QuotaUse, RecordState, ZoneNameservers, ZoneOrigin, ZoneQuota,
    ZoneRecord, ZoneRecordType,
};
pub use plan::{DnsPlan, Plan, PlanSpec, Recovery, Suspension, WordPressPlan};
pub use provider::{
    CaTrust, CloudflareProvider, CredentialsReference, HighAvailabilityPlacement, Installer, Inventory,
    NetworkSettings, Provider, ProviderLimits, ProviderSpec, ProviderStatus, ProxmoxProvider,
    SshInstallerSettings, SshNodeSettings, TemplateInstallerSettings, VmidRangeSettings, WordPressSource,
};
pub use provider_proxy::{EdgeSettings, NginxProxyManagerProvider};
pub use provider_zones::{IspconfigProvider, StartOfAuthority, ZoneDefaults};
pub use site_backup::{BackupPhase, SiteBackup, SiteBackupSpec, SiteBackupStatus};
pub use site_life::{
    BackupSchedule, DomainState, Power, SiteCertificate, SiteDomain, SiteQuota, SiteQuotaUse, SiteRecovery,
    SiteRestart, SiteUsage,
};
pub use site_restore::{RestorePhase, SiteRestore, SiteRestoreSpec, SiteRestoreStatus};
pub use wordpress_site::{
    DeletionPolicy, Phase, SiteOwner, SiteProviders, SiteResources, SiteTask, TaskOperation, WordPressSite,
    WordPressSiteSpec, WordPressSiteStatus,
};

/// API group of every kind.
pub const GROUP: &str = "hostwright.dev";
/// The finalizer that holds an object until nothing of it is left outside.
pub const FINALIZER: &str = "hostwright.dev/outside";
/// Annotation: `"true"` stops every outside call for the object.
pub const PAUSED_ANNOTATION: &str = "hostwright.dev/paused";
/// Annotation: a new value asks for one precise pass now.
pub const RECONCILE_AT_ANNOTATION: &str = "hostwright.dev/reconcile-at";
/// Annotation: what exists outside and shall be taken over by the object: the name of a zone, the number of a container.
pub const ADOPT_ANNOTATION: &str = "hostwright.dev/adopt";
/// Label: the site that a backup or a restore is of.
pub const SITE_LABEL: &str = "hostwright.dev/site";
/// Label: `"true"` on backups that a schedule made, which it may remove again.
pub const SCHEDULED_LABEL: &str = "hostwright.dev/scheduled";

/// Whether [`PAUSED_ANNOTATION`] stops every outside call for an object.
pub fn is_paused(object: &impl kube::ResourceExt) -> bool {
    let value = object.annotations().get(PAUSED_ANNOTATION);
    value.is_some_and(|value| value == "true")
}
