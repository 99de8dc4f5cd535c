//! A backup as data: what it shall be, what is known of it, what can be done about it. No I/O.

use jiff::tz::TimeZone;

use super::shelf::Others;
use crate::api::SiteTask;
use crate::controllers::connections::Refusal;
use crate::controllers::fact::Fact;
use crate::domain::{OwnerMark, Vmid};
use crate::providers::container_host::{Container, Snapshot, TaskRecord, TaskState};

/// What a backup needs to know of its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteView {
    /// UID of the object.
    pub uid: String,
    /// WordPress is installed and the snapshot `initial` was taken.
    pub made: bool,
    /// Its deletion was asked for.
    pub deleting: bool,
    /// It is being rolled back.
    pub restoring: bool,
    /// A task of its own is under way.
    pub busy: bool,
}

/// Everything that the planner needs to know about what a backup shall be.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Mark of the backup.
    pub owner: OwnerMark,
    /// Mark of the site, which its container carries.
    pub site: OwnerMark,
    /// The site's container.
    pub vmid: Vmid,
    /// Name of the Provider.
    pub provider: String,
    /// By which days go.
    pub zone: TimeZone,
    /// Backups that the Plan allows, and the Plan's name.
    pub limit: (usize, String),
}

/// What a cheap look said about a backup that was there.
#[derive(Debug, Clone)]
pub enum Steady {
    /// It is there.
    Agrees,
    /// It is not as it was; precise reads must tell.
    Differs,
    /// The look failed.
    Unknown(crate::providers::ProviderError),
}

/// Everything that is known of a backup in one pass.
#[derive(Debug, Default)]
pub struct Observed {
    /// Why nothing can be done.
    pub refusal: Option<Refusal>,
    /// The site, if there is one of that name.
    pub site: Option<SiteView>,
    /// What it shall be.
    pub terms: Option<Terms>,
    /// What the other backups of the site have.
    pub others: Others,
    /// Result of a cheap look.
    pub steady: Option<Steady>,
    /// The tasks in the status.
    pub tasks: Vec<(SiteTask, Fact<TaskState>)>,
    /// The site's container.
    pub container: Fact<Option<Container>>,
    /// Its snapshots.
    pub snapshots: Fact<Vec<Snapshot>>,
    /// Tasks that take snapshots of it, since this object was created.
    pub takings: Fact<Vec<TaskRecord>>,
}

/// One change outside (or, for a reservation, in memory).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Reserve a name among so many places; it is stored before the next round.
    Reserve {
        /// The name.
        name: String,
        /// Backups that there may be, those of no object left out.
        room: usize,
    },
    /// Take the snapshot.
    Take(String),
    /// Delete the snapshot, which carries our mark.
    Delete(String),
}

/// What an action brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The name is reserved.
    Reserved(String),
    /// A task has begun.
    Task(SiteTask),
    /// Another backup or restore of the site has its turn.
    NotYet,
    /// The snapshots changed: read them again.
    SnapshotsChanged,
}
