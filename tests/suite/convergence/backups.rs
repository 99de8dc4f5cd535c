//! Backups of a site that stands: what has to hold at the end of a road, whatever happened on it.

use async_trait::async_trait;
use hostwright::api::SiteBackup;
use hostwright::sim::proxmox::SimSnapshot;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::living::{Living, expect};
use super::standing::{self, Outside, SITE};
use crate::world::World;

/// Backups of the world's site.
#[derive(Clone, Copy)]
pub struct Backups;

#[async_trait]
impl Living for Backups {
    type Object = SiteBackup;
    /// The site before.
    type Neighbours = Outside;

    const KIND: &'static str = "SiteBackup";
    const BESIDE: &'static [(&'static str, u64)] = &[("WordPressSite", 1)];

    fn changes(&self) -> bool {
        false
    }

    fn conditions(backup: &SiteBackup) -> Vec<Condition> {
        let status = backup.status.as_ref();
        status.map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn manifest(&self, world: &World, name: &str, _: bool) -> Value {
        json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": "SiteBackup",
            "metadata": {"name": name, "namespace": world.namespace},
            "spec": {"site": SITE},
        })
    }

    async fn inhabit(&self, world: &World) {
        standing::build(world).await;
    }

    fn move_in(&self, world: &World, _: &str) -> Outside {
        Outside::seen(world).unwrap()
    }

    fn move_out(&self, _: &World, _: &Outside) {}

    fn intrude(&self, _: &World, _: &mut Outside, _: &str) {}

    fn leave(&self, _: &World, _: &mut Outside) {}

    /// The site counts its backups.
    async fn settles(&self, world: &World, gone: bool) -> Result<(), String> {
        standing::rests(world, i32::from(!gone)).await
    }

    async fn whole(
        &self,
        world: &World,
        before: &Outside,
        backup: &SiteBackup,
        _: bool,
    ) -> Result<(), String> {
        let mark = format!(
            "hostwright:{}:{}",
            world.namespace,
            backup.uid().unwrap_or_default()
        );
        let known = &before.container.snapshots;
        let snapshots = standing::container(world)?.snapshots;
        let added: Vec<&SimSnapshot> = snapshots.iter().filter(|it| !known.contains(it)).collect();
        let status = backup.status.clone().unwrap_or_default();
        let right = matches!(added.as_slice(), [only]
            if only.description.trim_end().ends_with(&mark) && !only.broken && status.snapshot.as_ref() == Some(&only.name));
        expect("one whole snapshot, with the mark of the backup", right, || {
            format!("{added:?}, {status:?}")
        })?;
        let told = status.created_at.is_some() && status.tasks.is_empty();
        expect("the status knows", told, || format!("{status:?}"))?;
        let mut with_it = before.clone();
        with_it.container.snapshots.extend(added.into_iter().cloned());
        with_it.is_kept(world)
    }

    async fn nothing_left(&self, world: &World, before: &Outside, _: &str) -> Result<(), String> {
        before.is_kept(world)
    }
}
