//! Tasks of a container host, as the statuses of sites, backups and restores keep them: begun, stored, and looked at
//! until they are over.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::fact::Fact;
use crate::api::{SiteTask, TaskOperation};
use crate::providers::container_host::{ContainerHost, TaskId, TaskState};

/// By how much the clock of a node may be behind ours or the API server's: far more than a clock that anybody looks after.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// From when on a list of tasks is asked for those that were begun at `time` of our clock or later. It may have some from
/// before, also of another guest that had the number then: what is looked for is told from them by more than its time.
pub fn listed_since(time: Timestamp) -> Timestamp {
    time.checked_sub(CLOCK_TOLERANCE).unwrap_or(time)
}

/// A task as a status keeps it.
pub fn kept(operation: TaskOperation, id: &TaskId) -> SiteTask {
    SiteTask {
        operation,
        id: id.0.clone(),
    }
}

/// Whether there is a task that the old status does not know: after a crash nobody would look for its end.
pub fn is_any_new(old: &[SiteTask], new: &[SiteTask]) -> bool {
    new.iter().any(|task| !old.contains(task))
}

/// What has become of tasks: one outside call for each, all at once.
pub async fn look(host: &dyn ContainerHost, tasks: &[SiteTask]) -> Vec<(SiteTask, Fact<TaskState>)> {
    let states = tasks.iter().map(|task| async {
        let state = host.task(&TaskId(task.id.clone())).await;
        (task.clone(), state.into())
    });
    join_all(states).await
}
