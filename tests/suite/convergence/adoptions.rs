//! Sites that take over what an older backend left.

use async_trait::async_trait;
use hostwright::api::WordPressSite;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use serde_json::{Value, json};

use super::living::{Living, expect};
use crate::legacy::{Legacy, disturbances};
use crate::world::World;

/// Sites that take a container over.
#[derive(Clone, Copy)]
pub struct Adoptions;

/// What is to be taken over, and what was done in the world before.
pub struct Before {
    legacy: Legacy,
    disturbed: u64,
}

/// Numbers of the containers begin here.
const FIRST: u32 = 6_000;

/// A number that only this life has: lives are called s1x2, by world and turn.
fn number_of(name: &str) -> u32 {
    let turn = name
        .rsplit_once('x')
        .and_then(|(_, turn)| turn.parse::<u32>().ok());
    FIRST + turn.unwrap_or_default()
}

#[async_trait]
impl Living for Adoptions {
    type Object = WordPressSite;
    type Neighbours = Before;

    const KIND: &'static str = "WordPressSite";

    fn changes(&self) -> bool {
        false
    }

    fn conditions(site: &WordPressSite) -> Vec<Condition> {
        let status = site.status.as_ref();
        status.map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn manifest(&self, world: &World, name: &str, _: bool) -> Value {
        let mut site = world.site(name);
        let number = number_of(name).to_string();
        site["metadata"]["annotations"] = json!({"hostwright.dev/adopt": number});
        site
    }

    async fn inhabit(&self, world: &World) {
        world
            .patch_plan(json!({"spec": {"wordpress": {"highAvailability": false}}}))
            .await;
    }

    fn move_in(&self, world: &World, name: &str) -> Before {
        Before {
            legacy: Legacy::put(world, number_of(name), &format!("old-{name}")),
            disturbed: disturbances(world),
        }
    }

    fn move_out(&self, world: &World, before: &Before) {
        before.legacy.take_out(world);
    }

    fn intrude(&self, _: &World, _: &mut Before, _: &str) {}

    fn leave(&self, _: &World, _: &mut Before) {}

    async fn whole(
        &self,
        world: &World,
        before: &Before,
        site: &WordPressSite,
        _: bool,
    ) -> Result<(), String> {
        let (legacy, backends) = (&before.legacy, &world.backends);
        expect("all of it stands", legacy.stands(world), || {
            format!("{:?}", legacy.marked(world))
        })?;
        expect("all of it is marked", legacy.marked(world) == [true; 3], || {
            format!("{:?}", legacy.marked(world))
        })?;
        let counts = (
            backends.proxmox.containers().len(),
            backends.npm.hosts().len(),
            backends.npm.certificates().len(),
        );
        expect("nothing was made beside it", counts == (1, 1, 1), || {
            format!("{counts:?}")
        })?;
        let snapshots = legacy.container(world).map(|container| container.snapshots);
        let names: Vec<String> = snapshots
            .into_iter()
            .flatten()
            .map(|snapshot| snapshot.name)
            .collect();
        expect(
            "its snapshots and initial",
            names == ["BAK01022026-1", "initial"],
            || format!("{names:?}"),
        )?;
        let disturbed = disturbances(world) - before.disturbed;
        expect(
            "nothing was started, stopped, made or installed",
            disturbed == 0,
            || disturbed.to_string(),
        )?;
        let status = site.status.clone().unwrap_or_default();
        expect(
            "the status knows",
            status.adopted && status.credentials_secret.is_none(),
            || format!("{status:?}"),
        )
    }

    async fn nothing_left(&self, world: &World, before: &Before, _: &str) -> Result<(), String> {
        let legacy = &before.legacy;
        let marked = legacy.marked(world);
        expect("nothing carries our mark", marked == [false; 3], || {
            format!("{marked:?}")
        })?;
        // What was not taken over yet has stayed as it was: the container first of all.
        let gone = [
            legacy.container(world).is_none(),
            legacy.proxy_host(world).is_none(),
            legacy.dns_record(world).is_none(),
        ];
        let in_order = gone[0] || gone == [false; 3];
        expect("name and host go only with the container", in_order, || {
            format!("{gone:?}")
        })?;
        let orphans = world.backends.proxmox.orphan_volumes();
        expect("no orphaned volume", orphans.is_empty(), || {
            format!("{orphans:?}")
        })?;
        let secrets: Api<Secret> = Api::namespaced(world.admin.clone(), &world.namespace);
        let found = secrets
            .list(&Default::default())
            .await
            .map_err(|e| e.to_string())?;
        expect("no Secret", found.items.is_empty(), || {
            format!("{:?}", found.items.len())
        })
    }
}
