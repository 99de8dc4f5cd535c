//! A restore as data: what it shall do, what is known of it, what can be done about it. No I/O.

use jiff::Timestamp;

use crate::api::{SiteTask, TaskOperation};
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::domain::{OwnerMark, Vmid};
use crate::providers::container_host::{
    Container, HaState, INITIAL_SNAPSHOT, Operation, Snapshot, TaskRecord, TaskState,
};

/// What a restore needs to know of its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteView {
    /// UID of the object.
    pub uid: String,
    /// It was made whole once.
    pub made: bool,
    /// Its deletion was asked for.
    pub deleting: bool,
    /// Suspended, as asked.
    pub suspended: bool,
    /// Its own controller has seen that it is rolled back, and keeps its hands off.
    pub yielding: bool,
    /// A task of its own is under way.
    pub busy: bool,
    /// It is as asked: up, or stopped.
    pub up: bool,
    /// What it says of itself.
    pub message: String,
}

/// What a restore rolls back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A snapshot by its name.
    Snapshot(String),
    /// A SiteBackup.
    Backup {
        /// Its name.
        name: String,
        /// What is known of it, if there is one of that name.
        found: Option<BackupView>,
    },
}

/// What a restore needs to know of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupView {
    /// Name of its site.
    pub site: String,
    /// UID of its site.
    pub site_uid: Option<String>,
    /// Its snapshot, if it is there.
    pub snapshot: Option<String>,
    /// UID of the object, as in the mark of its snapshot.
    pub uid: String,
}

/// Other restores of the site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rivals {
    /// One is under way.
    pub active: bool,
    /// An older one waits.
    pub older: bool,
}

/// Everything that the planner needs to know about where the site is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Mark of the site, which its container carries.
    pub site: OwnerMark,
    /// The site's container.
    pub vmid: Vmid,
}

/// Everything that is known of a restore in one pass.
#[derive(Debug, Default)]
pub struct Observed {
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// Name of the site.
    pub site_name: String,
    /// Seconds that the object is kept after its end.
    pub keep_seconds: Option<i64>,
    /// Why nothing can be done.
    pub refusal: Option<Refusal>,
    /// The site, if there is one of that name.
    pub site: Option<SiteView>,
    /// What to roll back to.
    pub target: Option<Target>,
    /// Other restores of the site.
    pub rivals: Rivals,
    /// Where the site is.
    pub terms: Option<Terms>,
    /// The tasks in the status.
    pub tasks: Vec<(SiteTask, Fact<TaskState>)>,
    /// The site's container.
    pub container: Fact<Option<Container>>,
    /// Its snapshots.
    pub snapshots: Fact<Vec<Snapshot>>,
    /// Roll-backs of it, newest first: the present one and some before it.
    pub rollbacks: Fact<Vec<TaskRecord>>,
    /// The object was deleted in this pass, for its time was over.
    pub ended: bool,
}

/// One change outside (or, for the beginning and the end, in the cluster).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Take the container for this restore alone; it is stored before the next round.
    Begin {
        /// What to roll back to.
        snapshot: String,
        /// The newest roll-back before this one.
        previous: Option<String>,
    },
    /// Tell high availability.
    EnsureHighAvailability(HaState),
    /// Shut the container down.
    Stop,
    /// Roll it back to this snapshot.
    RollBack(String),
    /// Delete this object, for its time is over.
    DeleteObject,
}

/// What an action brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The container is this restore's alone.
    Begun {
        /// What to roll back to.
        snapshot: String,
        /// The newest roll-back before this one.
        previous: Option<String>,
    },
    /// A task has begun.
    Task(SiteTask),
    /// A backup of the site has its turn.
    NotYet,
    /// The container changed: read it again.
    ContainerChanged,
    /// There is no such snapshot any more.
    SnapshotGone,
    /// The object is deleted.
    ObjectDeleted,
}

/// The operation of a container host that a task of a status does.
pub fn operation_of(task: &SiteTask) -> Operation {
    match task.operation {
        TaskOperation::Rollback => Operation::Rollback,
        _ => Operation::Stop,
    }
}

/// Whether the name is that of the snapshot that every finished site has.
pub fn is_initial(name: &str) -> bool {
    name == INITIAL_SNAPSHOT
}
