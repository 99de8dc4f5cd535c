//! `SiteRestore`: one roll-back of a site.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SiteTask;

/// One roll-back of a site to a backup or to its beginning. It runs once, then it is history.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hostwright.dev",
    version = "v1alpha1",
    kind = "SiteRestore",
    plural = "siterestores",
    shortname = "wpr",
    category = "hostwright",
    namespaced,
    status = "SiteRestoreStatus",
    selectable = ".spec.site",
    doc = "One roll-back of a site to a backup or to its beginning. It runs once, then it is history.",
    printcolumn = r#"{"name":"Site","type":"string","jsonPath":".spec.site"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Snapshot","type":"string","jsonPath":".status.snapshot"}"#,
    printcolumn = r#"{"name":"Finished","type":"date","jsonPath":".status.finishedAt"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.snapshot) != has(self.backup)")
        .message("set exactly one of backup (the name of a SiteBackup) and snapshot (initial for a reset)"),
    validation = Rule::new("self.site == oldSelf.site && has(self.snapshot) == has(oldSelf.snapshot) && (!has(self.snapshot) || self.snapshot == oldSelf.snapshot) && has(self.backup) == has(oldSelf.backup) && (!has(self.backup) || self.backup == oldSelf.backup)")
        .message("site, backup and snapshot cannot be changed: a restore runs once; create another one")
)]
pub struct SiteRestoreSpec {
    /// Name of the WordPressSite in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')")
            .message("site must be the name of a WordPressSite in the same namespace, such as bakery: lower-case letters, digits, inner hyphens and dots")
    )]
    pub site: String,
    /// Name of the SiteBackup to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub backup: Option<String>,
    /// Name of the snapshot to roll back to; initial is the site as it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 40))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z][A-Za-z0-9_-]*$')")
        .message("snapshot must be initial, or the name of a backup's snapshot such as BAK20112025-1: letters, digits, hyphens and underscores, a letter first"))]
    pub snapshot: Option<String>,
    /// Seconds after its end that the object is kept as history. Kept until somebody deletes it when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i32>,
}

/// What is known of a restore.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteRestoreStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the restore stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// Name of the snapshot that is rolled back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub snapshot: Option<String>,
    /// UID of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub site_uid: Option<String>,
    /// When it was begun: from here on the site waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The newest roll-back of the container before this one, so that this one is told apart when its answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub previous_rollback: Option<String>,
    /// Tasks of the container host that are under way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".to_string()]))]
    pub tasks: Vec<SiteTask>,
    /// Conditions by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
}

/// Where a restore stands.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum RestorePhase {
    /// Waits for the site or for its turn.
    Pending,
    /// The container is shut down, then rolled back. The site waits.
    RollingBack,
    /// Rolled back; the site is being brought to its spec again and started.
    Starting,
    /// The site is up again.
    Completed,
    /// Refused, or failed with the site left as it is or running again.
    Failed,
}

impl RestorePhase {
    /// Whether the container is the restore's alone: the site's own controller keeps its hands off.
    pub fn holds_the_site(self) -> bool {
        self == Self::RollingBack
    }

    /// Whether it is history.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}
