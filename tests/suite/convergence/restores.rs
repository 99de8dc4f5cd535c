//! Restores of a site that stands: what has to hold at the end of a road, whatever happened on it.
//!
//! Nothing outside belongs to a restore. What has to hold when its object is gone, deleted in the middle or not, is that
//! the site is handed back: up, with everything that it had before, and rolled back once at most.

use async_trait::async_trait;
use hostwright::api::{BackupPhase, RestorePhase, SiteBackup, SiteRestore};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use serde_json::{Value, json};

use super::living::{Living, expect};
use super::standing::{self, Outside, SITE};
use crate::world::{World, eventually};

/// Restores of the world's site, to a backup from before its Plan grew.
#[derive(Clone, Copy)]
pub struct Restores;

/// Name of the backup.
const BACKUP: &str = "kept";
/// What the Plan grows to, in MiB and GiB.
const GROWN: (u64, u64) = (4096, 40);

/// The site before, and how often it was rolled back.
pub struct Before {
    site: Outside,
    rollbacks: u64,
}

/// Roll-backs that the container host was asked for.
fn rollbacks(world: &World) -> u64 {
    let calls = world.backends.proxmox_server.faults.calls();
    let of = calls
        .iter()
        .filter(|(call, _)| call.starts_with("POST") && call.ends_with("/rollback"));
    of.map(|(_, count)| count).sum()
}

async fn backup_is_there(world: &World) -> Result<(), String> {
    let backups: Api<SiteBackup> = Api::namespaced(world.admin.clone(), &world.namespace);
    let backup = backups.get(BACKUP).await.map_err(|error| error.to_string())?;
    let phase = backup.status.as_ref().and_then(|status| status.phase);
    expect("the backup is there", phase == Some(BackupPhase::Ready), || {
        format!("{:?}", backup.status)
    })
}

/// The container runs with the sizes of its Plan.
fn is_grown(world: &World) -> Result<(), String> {
    let container = standing::container(world)?;
    let grown = container.running && (container.memory_mib, container.disk_gib) == GROWN;
    expect("it runs with the sizes of its Plan", grown, || {
        format!("{container:?}")
    })
}

/// The site is handed back.
async fn handed_back(world: &World, before: &Before) -> Result<(), String> {
    is_grown(world)?;
    before.site.is_kept(world)?;
    backup_is_there(world).await
}

#[async_trait]
impl Living for Restores {
    type Object = SiteRestore;
    type Neighbours = Before;

    const KIND: &'static str = "SiteRestore";
    const BESIDE: &'static [(&'static str, u64)] = &[("WordPressSite", 1), ("SiteBackup", 1)];

    fn changes(&self) -> bool {
        false
    }

    fn conditions(restore: &SiteRestore) -> Vec<Condition> {
        let status = restore.status.as_ref();
        status.map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn manifest(&self, world: &World, name: &str, _: bool) -> Value {
        json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": "SiteRestore",
            "metadata": {"name": name, "namespace": world.namespace},
            "spec": {"site": SITE, "backup": BACKUP},
        })
    }

    async fn inhabit(&self, world: &World) {
        standing::build(world).await;
        let operator = world.operator().await;
        world
            .apply(&json!({
                "apiVersion": "hostwright.dev/v1alpha1",
                "kind": "SiteBackup",
                "metadata": {"name": BACKUP, "namespace": world.namespace},
                "spec": {"site": SITE},
            }))
            .await;
        eventually("the backup is there", || backup_is_there(world)).await;
        let (memory, disk) = GROWN;
        let sizes = json!({"memoryMib": memory, "diskGib": disk});
        world.patch_plan(json!({"spec": {"wordpress": sizes}})).await;
        world
            .wait_for_status(SITE, "the sizes of its Plan", |status| {
                let given = status.resources;
                given.is_some_and(|given| (given.memory_mib, given.disk_gib) == (4096, 40))
            })
            .await;
        standing::rests(world, 1).await.unwrap();
        operator.stop().await;
    }

    fn move_in(&self, world: &World, _: &str) -> Before {
        Before {
            site: Outside::seen(world).unwrap(),
            rollbacks: rollbacks(world),
        }
    }

    fn move_out(&self, _: &World, _: &Before) {}

    fn intrude(&self, _: &World, _: &mut Before, _: &str) {}

    fn leave(&self, _: &World, _: &mut Before) {}

    /// The site is its own again; a restore that is done was not done before that.
    async fn settles(&self, world: &World, gone: bool) -> Result<(), String> {
        if !gone {
            is_grown(world)?;
        }
        standing::rests(world, 1).await
    }

    async fn whole(
        &self,
        world: &World,
        before: &Before,
        restore: &SiteRestore,
        _: bool,
    ) -> Result<(), String> {
        let status = restore.status.clone().unwrap_or_default();
        let over = status.phase == Some(RestorePhase::Completed)
            && status.started_at.is_some()
            && status.finished_at.is_some()
            && status.tasks.is_empty();
        expect("the status knows", over, || format!("{status:?}"))?;
        let done = rollbacks(world) - before.rollbacks;
        expect("one roll-back", done == 1, || done.to_string())?;
        handed_back(world, before).await
    }

    async fn nothing_left(&self, world: &World, before: &Before, _: &str) -> Result<(), String> {
        let done = rollbacks(world) - before.rollbacks;
        expect("no second roll-back", done <= 1, || done.to_string())?;
        handed_back(world, before).await
    }
}
