//! The one site that stands in a world whose objects are made for a site.

use std::time::Duration;

use hostwright::api::condition::{is_true, kinds};
use hostwright::api::{Phase, WordPressSite};
use hostwright::sim::proxmox::{SimContainer, SimHaResource, SimHaRule};
use serde_json::json;
use tokio::time::Instant;

use super::living::expect;
use crate::world::{PATIENCE, World};

/// Its name.
pub const SITE: &str = "stands";
/// A snapshot of somebody else.
const BY_HAND: &str = "by-hand";
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Makes it, under high availability, with a snapshot of somebody else; its Plan allows backups.
pub async fn build(world: &World) {
    world
        .patch_plan(json!({"spec": {"wordpress": {"backups": 3}}}))
        .await;
    let operator = world.operator().await;
    world.apply(&world.site(SITE)).await;
    world.wait_for_phase(SITE, Phase::Running).await;
    operator.stop().await;
    let container = container(world).unwrap();
    let proxmox = &world.backends.proxmox;
    proxmox
        .add_snapshot(container.vmid, BY_HAND, "before I touch it")
        .unwrap();
}

/// Its container, the only one of the world.
pub fn container(world: &World) -> Result<SimContainer, String> {
    let containers = world.backends.proxmox.containers();
    match containers.as_slice() {
        [container] => Ok(container.clone()),
        _ => Err(format!("one container: {containers:?}")),
    }
}

/// All of it that operations on its container could change.
#[derive(Debug, Clone, PartialEq)]
pub struct Outside {
    pub container: SimContainer,
    resources: Vec<SimHaResource>,
    rules: Vec<SimHaRule>,
}

impl Outside {
    /// As it is.
    pub fn seen(world: &World) -> Result<Self, String> {
        let proxmox = &world.backends.proxmox;
        Ok(Self {
            container: container(world)?,
            resources: proxmox.ha_resources(),
            rules: proxmox.ha_rules(),
        })
    }

    /// It is so still, and nothing half is beside it.
    pub fn is_kept(&self, world: &World) -> Result<(), String> {
        let now = Self::seen(world)?;
        expect("the site is as it was", now == *self, || {
            format!("{now:?}, before {self:?}")
        })?;
        let orphans = world.backends.proxmox.orphan_volumes();
        expect("no orphaned volume", orphans.is_empty(), || {
            format!("{orphans:?}")
        })
    }
}

/// Waits until the site says that it is up, and that it has so many backups.
pub async fn rests(world: &World, backups: i32) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let site = world.sites().get(SITE).await.map_err(|error| error.to_string())?;
        if is_up(&site, backups) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("the site does not come to rest: {:?}", site.status));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_up(site: &WordPressSite, backups: i32) -> bool {
    let status = site.status.clone().unwrap_or_default();
    let counted = status.quota.is_some_and(|quota| quota.backups.used == backups);
    let current = status.observed_generation == site.metadata.generation;
    let ready = is_true(&status.conditions, kinds::READY) && status.phase == Some(Phase::Running);
    counted && current && ready && status.tasks.is_empty()
}
