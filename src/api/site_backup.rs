//! `SiteBackup`: one snapshot of a site.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DeletionPolicy, SiteTask};

/// One snapshot of a site. Deleting the object deletes the snapshot.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "hostwright.dev",
    version = "v1alpha1",
    kind = "SiteBackup",
    plural = "sitebackups",
    shortname = "wpb",
    category = "hostwright",
    namespaced,
    status = "SiteBackupStatus",
    selectable = ".spec.site",
    doc = "One snapshot of a site. Deleting the object deletes the snapshot.",
    printcolumn = r#"{"name":"Site","type":"string","jsonPath":".spec.site"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Snapshot","type":"string","jsonPath":".status.snapshot"}"#,
    printcolumn = r#"{"name":"Taken","type":"date","jsonPath":".status.createdAt"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type=='Ready')].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct SiteBackupSpec {
    /// Name of the WordPressSite in the same namespace.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(
        validation = Rule::new("self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')")
            .message("site must be the name of a WordPressSite in the same namespace, such as bakery: lower-case letters, digits, inner hyphens and dots"),
        validation = Rule::new("self == oldSelf").message("site cannot be changed: a backup is of one site; create another one")
    )]
    pub site: String,
    /// What happens to the snapshot when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What is known of a backup.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteBackupStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the backup stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// Name of the snapshot, such as BAK20112025-1. Reserved before it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub snapshot: Option<String>,
    /// When the snapshot was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Time>,
    /// UID of the site whose snapshot it is, so that a later site of the same name is not mistaken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub site_uid: Option<String>,
    /// How often the snapshot was begun. Back to 0 when somebody asks for one more series of tries.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: i32,
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

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Where a backup stands.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum BackupPhase {
    /// Waits for the site, for its turn, or for a person.
    Pending,
    /// The snapshot is being taken.
    Taking,
    /// The snapshot exists.
    Ready,
    /// The quota of the Plan is used up, or the site is not there: nothing was taken.
    Refused,
    /// The snapshot is gone: rolled back past, or deleted by somebody else.
    Lost,
    /// The snapshot is being deleted.
    Terminating,
}
