//! What is told of a site: its object and those that belong to it, as one value. Pure. Its JSON is documented in
//! `docs/kubectl.md` and does not change without a new `format`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde::Serialize;

use crate::api::condition::{kinds, reasons};
use crate::api::{
    BackupPhase, Phase, Power, RestorePhase, SiteBackup, SiteCertificate, SiteDomain, SiteQuota,
    SiteResources, SiteRestore, SiteTask, SiteUsage, WordPressSite, is_paused,
};
use crate::commands::ink::Tone;
use crate::controllers::runner::Pace;

/// Version of the JSON.
pub(super) const FORMAT: u32 = 1;
/// Restores that are told, the newest.
const RESTORES: usize = 3;
/// Reasons of what is on its way or as it was asked to be, rather than wrong.
const WAITING: [&str; 11] = [
    reasons::PENDING,
    reasons::PROVISIONING,
    reasons::WAITING,
    reasons::QUEUED,
    reasons::TASK_RUNNING,
    reasons::DELETING,
    reasons::PAUSED,
    reasons::SUSPENDED,
    reasons::STOPPED,
    reasons::STOPPING,
    reasons::RESTORING,
];
/// Reasons of what only somebody outside can end, and which is looked at again all the time.
const LOOKED_UP: [&str; 6] = [
    reasons::NOT_ANSWERING,
    reasons::PARTLY_DELEGATED,
    reasons::DELEGATED_ELSEWHERE,
    reasons::NOT_DELEGATED,
    reasons::NOT_REGISTERED,
    reasons::NOT_CHECKED,
];

/// One condition, as a part of the whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    /// For people: Container for ContainerReady.
    pub(super) name: String,
    /// Type of the condition.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// True, False or Unknown.
    pub(super) status: String,
    /// One word.
    pub(super) reason: String,
    /// What, and what to do.
    pub(super) message: String,
    /// Since when the status is what it is.
    pub(super) since: Timestamp,
    /// When it is tried or looked at again, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl Part {
    /// How it is shown.
    pub(super) fn tone(&self) -> Tone {
        let bad_if = if self.kind == kinds::STALLED {
            "True"
        } else {
            "False"
        };
        match self.status.as_str() {
            _ if self.status != "True" && WAITING.contains(&self.reason.as_str()) => Tone::Waiting,
            status if status == bad_if => Tone::Bad,
            "Unknown" => Tone::Waiting,
            _ => Tone::Good,
        }
    }
}

/// What an object's conditions say: the summary, and the parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Standing {
    /// The condition Ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready: Option<Part>,
    /// The others, in their order; Synced only when it is not True.
    pub(super) parts: Vec<Part>,
}

impl Standing {
    /// From conditions, with what is known of the object's next pass.
    pub(super) fn of(conditions: &[Condition], paused: bool, deleting: bool) -> Self {
        let stalled = conditions
            .iter()
            .any(|condition| condition.type_ == kinds::STALLED && condition.status == "True");
        let part = |condition: &Condition| Part {
            name: name_of(&condition.type_),
            kind: condition.type_.clone(),
            status: condition.status.clone(),
            reason: condition.reason.clone(),
            message: condition.message.clone(),
            since: condition.last_transition_time.0,
            next: match (condition.status.as_str(), paused || deleting) {
                ("True", _) | (_, true) => None,
                _ => next(&condition.reason, stalled),
            },
        };
        let told = |condition: &&Condition| match condition.type_.as_str() {
            kinds::READY => false,
            kinds::SYNCED => condition.status != "True",
            _ => true,
        };
        let ready = conditions
            .iter()
            .find(|condition| condition.type_ == kinds::READY);
        Self {
            ready: ready.map(part),
            parts: conditions.iter().filter(told).map(part).collect(),
        }
    }
}

/// `ContainerReady` is the container.
fn name_of(kind: &str) -> String {
    let short = ["Ready", "InSync", "Verified"]
        .iter()
        .find_map(|ending| kind.strip_suffix(ending));
    short.filter(|short| !short.is_empty()).unwrap_or(kind).to_owned()
}

/// When a part that is not as it shall be is tried or looked at again.
fn next(reason: &str, stalled: bool) -> Option<String> {
    let pace = Pace::default();
    let minutes = |duration: std::time::Duration| duration.as_secs().div_ceil(60);
    Some(match reason {
        reasons::PENDING | reasons::PROVISIONING | reasons::WAITING => return None,
        reasons::STOPPED | reasons::STOPPING | reasons::RESTORING => return None,
        reasons::TASK_RUNNING => "when the task ends".to_owned(),
        reasons::QUEUED => "when a place is free".to_owned(),
        reasons::RECORDS_REFUSED | reasons::QUOTA_EXCEEDED | reasons::DISK_CANNOT_SHRINK => {
            "when the object or its Plan is changed".to_owned()
        }
        reasons::SUSPENDED => "when the suspension ends".to_owned(),
        reason if LOOKED_UP.contains(&reason) => {
            // A tenth of jitter comes on top.
            format!("looked up again within {} minutes", minutes(pace.recheck) + 1)
        }
        _ if stalled => "when the cause changes: the object, its Plan, a Provider or a Secret".to_owned(),
        _ => format!(
            "by itself, at the latest after {} minutes",
            minutes(pace.retry_max)
        ),
    })
}

/// A site and what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiteView {
    pub(super) format: u32,
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) created_at: Option<Timestamp>,
    pub(super) service_id: String,
    pub(super) plan: String,
    pub(super) phase: Option<Phase>,
    pub(super) url: Option<String>,
    pub(super) power: Power,
    pub(super) suspended: bool,
    /// `hostwright.dev/paused` is set.
    pub(super) paused: bool,
    pub(super) deleting: bool,
    #[serde(flatten)]
    pub(super) standing: Standing,
    pub(super) node: Option<String>,
    pub(super) vmid: Option<i32>,
    pub(super) private_ip: Option<String>,
    pub(super) resources: Option<SiteResources>,
    pub(super) certificate: Option<SiteCertificate>,
    pub(super) quota: Option<SiteQuota>,
    pub(super) domains: Vec<SiteDomain>,
    pub(super) backups: Vec<TaskView<BackupPhase>>,
    pub(super) restores: Vec<TaskView<RestorePhase>>,
    pub(super) tasks: Vec<SiteTask>,
    pub(super) usage: Option<SiteUsage>,
    /// What could not be found out.
    pub(super) notes: Vec<String>,
}

/// A backup or a restore.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskView<P> {
    pub(super) name: String,
    pub(super) phase: Option<P>,
    pub(super) snapshot: Option<String>,
    /// When it was taken or ended, else when it was asked for.
    pub(super) since: Option<Timestamp>,
    /// Of the condition Ready.
    pub(super) message: String,
}

/// Everything that is told of a site.
pub(super) fn site(
    site: &WordPressSite,
    backups: &[SiteBackup],
    restores: &[SiteRestore],
    notes: Vec<String>,
) -> SiteView {
    let spec = &site.spec;
    let status = site.status.clone().unwrap_or_default();
    let paused = is_paused(site);
    let deleting = site.metadata.deletion_timestamp.is_some();
    let mut backups: Vec<_> = backups.iter().map(backup).collect();
    backups.sort_by(|a, b| (b.since, &b.name).cmp(&(a.since, &a.name)));
    let mut restores: Vec<_> = restores.iter().map(restore).collect();
    restores.sort_by(|a, b| (b.since, &b.name).cmp(&(a.since, &a.name)));
    restores.truncate(RESTORES);
    SiteView {
        format: FORMAT,
        kind: "WordPressSite",
        namespace: site.namespace().unwrap_or_default(),
        name: site.name_any(),
        created_at: site.metadata.creation_timestamp.as_ref().map(|time| time.0),
        service_id: spec.service_id.clone(),
        plan: spec.plan.clone(),
        phase: status.phase,
        url: status.url,
        power: spec.power,
        suspended: spec.suspended,
        paused,
        deleting,
        standing: Standing::of(&status.conditions, paused, deleting),
        node: status.node,
        vmid: status.vmid,
        private_ip: status.private_ip,
        resources: status.resources,
        certificate: status.certificate,
        quota: status.quota,
        domains: status.domains,
        backups,
        restores,
        tasks: status.tasks,
        usage: status.usage,
        notes,
    }
}

/// What the condition Ready of a site says.
pub(super) fn ready_message(site: &WordPressSite) -> String {
    let conditions = site.status.as_ref().map(|status| status.conditions.as_slice());
    ready(conditions.unwrap_or_default())
}

fn ready(conditions: &[Condition]) -> String {
    let found = conditions
        .iter()
        .find(|condition| condition.type_ == kinds::READY);
    found.map_or_else(
        || "the operator has not looked at this object yet".to_owned(),
        |condition| condition.message.clone(),
    )
}

fn backup(backup: &SiteBackup) -> TaskView<BackupPhase> {
    let status = backup.status.clone().unwrap_or_default();
    let asked = backup.metadata.creation_timestamp.as_ref();
    TaskView {
        name: backup.name_any(),
        phase: status.phase,
        since: status.created_at.as_ref().or(asked).map(|time| time.0),
        message: ready(&status.conditions),
        snapshot: status.snapshot,
    }
}

fn restore(restore: &SiteRestore) -> TaskView<RestorePhase> {
    let status = restore.status.clone().unwrap_or_default();
    let asked = restore.metadata.creation_timestamp.as_ref();
    let goal = status.snapshot.or(restore.spec.snapshot.clone());
    TaskView {
        name: restore.name_any(),
        phase: status.phase,
        since: status.finished_at.as_ref().or(asked).map(|time| time.0),
        message: ready(&status.conditions),
        snapshot: goal,
    }
}
