//! Long-running work: its ids, where it stands, and how to find it again when the answer was lost.

use jiff::Timestamp;

use super::classify::{Meaning, one_line};
use super::client::Request;
use super::inventory::LISTED_FRESH;
use super::wire::{TaskRow, TaskStatus, tags_for};
use super::{Proxmox, container_name};
use crate::domain::Vmid;
use crate::providers::container_host::{Operation, TaskId, TaskRecord, TaskState};
use crate::providers::error::{ErrorKind, ProviderError};

/// Rows asked for per node and type: work on one container since one moment is a handful.
const ROWS: u32 = 50;

/// The parts of a task's id, `UPID:node:pid:pstart:starttime:type:id:user:`, that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Upid<'a> {
    pub(super) node: &'a str,
    pub(super) kind: &'a str,
    pub(super) id: &'a str,
}

impl<'a> Upid<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["UPID", node, _, _, _, kind, id, user, ..] if !node.is_empty() && !user.is_empty() => {
                Some(Self { node, kind, id })
            }
            _ => None,
        }
    }
}

/// An exit status as a state. `OK` and `WARNINGS: n` are success.
fn ended(exit: &str) -> TaskState {
    match exit.trim() {
        "OK" => TaskState::Succeeded { warnings: false },
        text if text.starts_with("WARNINGS") => TaskState::Succeeded { warnings: true },
        text => TaskState::Failed(one_line(text)),
    }
}

fn state_of(status: &TaskStatus) -> TaskState {
    match (status.status.as_deref(), status.exitstatus.as_deref()) {
        (Some("stopped"), Some(exit)) => ended(exit),
        (Some("stopped"), None) => TaskState::Failed("ended without a result".to_owned()),
        _ => TaskState::Running,
    }
}

/// Task types of an operation.
fn types_of(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Create => &["vzcreate"],
        Operation::Start => &["vzstart"],
        Operation::Stop => &["vzshutdown", "vzstop"],
        Operation::Snapshot => &["vzsnapshot"],
        Operation::Restart => &["vzreboot"],
        Operation::Resize => &["resize"],
        Operation::Rollback => &["vzrollback"],
        Operation::DeleteSnapshot => &["vzdelsnapshot"],
        Operation::Destroy => &["vzdestroy"],
        Operation::Recover => &["vzrestore"],
    }
}

impl TaskRow {
    fn record(self) -> Option<TaskRecord> {
        let started_at = Timestamp::from_second(i64::try_from(self.starttime?).ok()?).ok()?;
        let state = match (self.endtime, self.status.as_deref()) {
            (_, Some("RUNNING" | "running")) | (None, None) => TaskState::Running,
            (_, Some(exit)) => ended(exit),
            (Some(_), None) => TaskState::Failed("ended without a result".to_owned()),
        };
        Some(TaskRecord {
            id: TaskId(self.upid),
            started_at,
            state,
        })
    }
}

impl Proxmox {
    pub(super) async fn task_state(&self, id: &TaskId) -> Result<TaskState, ProviderError> {
        let Some(upid) = Upid::parse(&id.0) else {
            return Ok(TaskState::Unknown);
        };
        let path = ["nodes", upid.node, "tasks", &id.0, "status"];
        let request = Request::get("task.status", format!("task of {}", upid.id), &path);
        let state = match self.api.ask::<TaskStatus>(request).await {
            Ok(status) => state_of(&status),
            Err(refused) if refused.meaning == Meaning::TaskUnknown => TaskState::Unknown,
            Err(refused) => return Err(refused.error),
        };
        if upid.kind == "vzcreate" && matches!(state, TaskState::Succeeded { .. }) {
            self.settle_tags(upid.id).await;
        }
        Ok(state)
    }

    /// Sets the tags that a container could not be created with. They are for people, so that a failure is
    /// only logged; whose a container is stands in its description.
    async fn settle_tags(&self, id: &str) {
        let number = id
            .parse::<i64>()
            .ok()
            .and_then(|number| Vmid::try_from(number).ok());
        let owed = number.and_then(|id| Some((id, self.owed_tags().remove(&id)?)));
        let Some((id, owner)) = owed else { return };
        let set = self
            .on_node(id, |place| {
                let owner = &owner;
                async move {
                    let path = ["nodes", &place.node, "lxc", &id.to_string(), "config"];
                    // The number may be somebody else's by now.
                    if self.config(id, &place.node).await?.mark().as_ref() != Some(owner) {
                        return Ok(());
                    }
                    let request = Request::put("lxc.set_tags", container_name(id), &path);
                    self.api.tell(request.with("tags", tags_for(owner))).await
                }
            })
            .await;
        if let Err(error) = set {
            self.owed_tags().insert(id, owner);
            tracing::warn!(container = id.get(), "the tags could not be set: {error}");
        }
    }

    /// Nodes whose task lists can know about a container: where it is, or everywhere if it is nowhere.
    async fn task_nodes(&self, id: Vmid) -> Result<Vec<String>, ProviderError> {
        let listing = self.list_within(LISTED_FRESH).await?;
        if let Some(guest) = listing.guests.get(&id) {
            return Ok(vec![guest.summary.node.clone()]);
        }
        let online = listing.nodes.iter().filter(|(_, node)| node.online);
        Ok(online.map(|(name, _)| name.clone()).collect())
    }

    pub(super) async fn find_tasks(
        &self,
        id: Vmid,
        operation: Operation,
        since: Timestamp,
    ) -> Result<Vec<TaskRecord>, ProviderError> {
        let mut found = Vec::new();
        for node in self.task_nodes(id).await? {
            for kind in types_of(operation) {
                let request = Request::get("tasks", container_name(id), &["nodes", &node, "tasks"])
                    .with("source", "all")
                    .with("vmid", id)
                    .with("typefilter", kind)
                    .with("since", since.as_second().max(0))
                    .with("limit", ROWS);
                let rows: Vec<TaskRow> = self.api.ask(request).await?;
                let number = id.to_string();
                let ours = |row: &TaskRow| row.kind == *kind && row.id.as_deref() == Some(number.as_str());
                found.extend(rows.into_iter().filter(ours).filter_map(TaskRow::record));
            }
        }
        found.retain(|record| record.started_at.as_second() >= since.as_second());
        found.sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| b.id.cmp(&a.id)));
        found.dedup_by(|a, b| a.id == b.id);
        Ok(found)
    }

    /// Whether any task works on a container at the moment, on its node.
    pub(super) async fn is_worked_on(&self, id: Vmid, node: &str) -> Result<bool, ProviderError> {
        let request = Request::get("tasks.active", container_name(id), &["nodes", node, "tasks"])
            .with("source", "active")
            .with("vmid", id)
            .with("limit", ROWS);
        let rows: Vec<TaskRow> = self.api.ask(request).await?;
        Ok(rows
            .into_iter()
            .filter_map(TaskRow::record)
            .any(|record| record.state == TaskState::Running))
    }
}

/// The id of a task that a call has begun.
///
/// # Errors
/// `Ambiguous` when the answer is no task id, although success was announced.
pub(super) fn begun(subject: &str, upid: String) -> Result<TaskId, ProviderError> {
    match Upid::parse(&upid) {
        Some(_) => Ok(TaskId(upid)),
        None => Err(ProviderError::new(
            ErrorKind::Ambiguous,
            format!(
                "{subject}: Proxmox accepted the call without naming its task; looking before the next try"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_are_read_and_near_misses_refused() {
        let upid = Upid::parse("UPID:pve-1:00004556:065341E5:6020F7FA:vzcreate:110:hw@pve!op:").unwrap();
        assert_eq!((upid.node, upid.kind, upid.id), ("pve-1", "vzcreate", "110"));
        for bad in [
            "",
            "UPID:a:b",
            "UPID::1:2:3:vzcreate:110:root@pam:",
            "XPID:a:1:2:3:t:1:u:",
        ] {
            assert!(Upid::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(
            begun("container 907", String::new()).unwrap_err().kind(),
            ErrorKind::Ambiguous
        );
    }

    #[test]
    fn exit_states() {
        let state = |json| state_of(&serde_json::from_value(json).unwrap());
        let ok = TaskState::Succeeded { warnings: false };
        assert_eq!(
            state(serde_json::json!({"status": "running"})),
            TaskState::Running
        );
        assert_eq!(
            state(serde_json::json!({"status": "stopped", "exitstatus": "OK"})),
            ok
        );
        assert_eq!(
            state(serde_json::json!({"status": "stopped", "exitstatus": "WARNINGS: 1"})),
            TaskState::Succeeded { warnings: true }
        );
        assert_eq!(
            state(serde_json::json!({"status": "stopped", "exitstatus": "unexpected status"})),
            TaskState::Failed("unexpected status".into())
        );
        assert_eq!(
            state(serde_json::json!({"status": "stopped", "exitstatus": "a\nb"})),
            TaskState::Failed("a b".into())
        );
    }
}
