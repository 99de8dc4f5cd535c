//! What differs between the kinds whose lives are lived.

use std::fmt::Debug;

use async_trait::async_trait;
use hostwright::api::condition::kinds;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::world::World;

/// A kind of objects, and what has to hold outside at the stations of their lives.
#[async_trait]
pub trait Living: Clone + Send + Sync + 'static {
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static;
    /// Things of other people beside one object.
    type Neighbours: Send + Sync;

    /// The kind's label in metrics.
    const KIND: &'static str;
    /// Whether objects come with the finalizer; without it the operator's first write puts it there.
    fn held(&self) -> bool {
        true
    }

    /// Kinds of other objects that stand in each world, and how many of each: a fresh operator looks at them first.
    const BESIDE: &'static [(&'static str, u64)] = &[];

    /// Whether its lives have a change of the spec in them.
    fn changes(&self) -> bool;

    /// Whether the object has come to what its spec asks, before its change or after it.
    fn has_arrived(&self, object: &Self::Object, _changed: bool) -> bool {
        is_ready::<Self>(Some(object))
    }

    fn conditions(object: &Self::Object) -> Vec<Condition>;

    /// The object, after its change if told so.
    fn manifest(&self, world: &World, name: &str, changed: bool) -> Value;

    /// Puts things of other people into a new world.
    async fn inhabit(&self, world: &World);

    /// Puts things of other people beside an object that is to come.
    fn move_in(&self, world: &World, name: &str) -> Self::Neighbours;

    /// Takes them out again.
    fn move_out(&self, world: &World, neighbours: &Self::Neighbours);

    /// Brings an object that was made to where its change begins, if that is not where it was made.
    async fn ripen(&self, _world: &World, _name: &str) {}

    /// Puts something of other people into what was made.
    fn intrude(&self, world: &World, neighbours: &mut Self::Neighbours, name: &str);

    /// Takes it out again.
    fn leave(&self, world: &World, neighbours: &mut Self::Neighbours);

    /// Waits until what the object's road moves beside it has come to rest, too.
    async fn settles(&self, _world: &World, _gone: bool) -> Result<(), String> {
        Ok(())
    }

    /// Exactly one of everything, whole, and nothing else; things of other people as they were.
    async fn whole(
        &self,
        world: &World,
        neighbours: &Self::Neighbours,
        object: &Self::Object,
        changed: bool,
    ) -> Result<(), String>;

    /// Nothing is left of the object; things of other people as they were.
    async fn nothing_left(
        &self,
        world: &World,
        neighbours: &Self::Neighbours,
        name: &str,
    ) -> Result<(), String>;
}

/// Objects of the kind in a world.
pub fn objects<L: Living>(world: &World) -> Api<L::Object> {
    Api::namespaced(world.admin.clone(), &world.namespace)
}

/// Ready in the generation that it has.
pub fn is_ready<L: Living>(object: Option<&L::Object>) -> bool {
    object.is_some_and(|object| {
        L::conditions(object).iter().any(|condition| {
            condition.type_ == kinds::READY
                && condition.status == "True"
                && condition.observed_generation == object.meta().generation
        })
    })
}

/// Gone.
pub fn is_gone<T>(object: Option<&T>) -> bool {
    object.is_none()
}

/// The object in words.
pub fn shown<L: Living>(object: &L::Object) -> String {
    format!("{object:?}")
}

/// A check of a station.
pub fn expect(what: &str, holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(format!("{what}: {}", seen())),
    }
}
