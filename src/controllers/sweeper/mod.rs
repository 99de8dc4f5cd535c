//! Sweeps: what every back-end has is read in bulk from time to time, compared with what is known of the settled
//! objects, and only those that differ are woken. So drift is found at a cost that grows with pages and not with
//! objects.
//!
//! A sweep never changes anything outside and never concludes from a read that failed or cannot be true: what is done
//! about a difference the woken object's own pass decides, after a precise look. `compare` and `inventory` are pure,
//! `look` and `zones` read, `usage` tells what sites use, `findings` hands the result to the Provider's own passes, which alone write its status.

mod compare;
pub mod findings;
pub mod inventory;
mod look;
pub mod roll;
mod usage;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::connections::{Backend, Connections};
use super::dns_zone::ZoneKind;
use super::provider;
use super::runner::{Events, Poker, jittered};
use crate::api::{DnsZone, Plan, Provider, WordPressSite, is_paused};
use crate::controllers::runner::Cache;
use crate::domain::{ClusterId, ObjectUid, OwnerMark, Vmid};
use crate::runtime::metrics::{Metrics, SweepResult};

pub use compare::covering;
pub use look::tally_of_containers;
pub use zones::base_domains;

use findings::{Findings, Found, Obstacle};
use inventory::{Owners, Tally};
use roll::Roll;

/// Everything that sweeps share.
pub struct Sweeper {
    /// Name of this cluster in owner marks.
    pub cluster: ClusterId,
    /// The only namespace that is served; all when absent.
    pub namespace: Option<String>,
    /// Providers.
    pub providers: Cache<Provider>,
    /// Plans, which name the domains of sites.
    pub plans: Cache<Plan>,
    /// Which objects there are.
    pub roll: Arc<Roll>,
    /// Back-ends.
    pub connections: Arc<Connections>,
    /// Compares the records of zones.
    pub zone_kind: Arc<ZoneKind>,
    /// Where results go.
    pub findings: Arc<Findings>,
    /// Wakes sites.
    pub site_poker: Poker<WordPressSite>,
    /// Wakes zones.
    pub zone_poker: Poker<DnsZone>,
    /// Wakes Providers.
    pub provider_poker: Poker<Provider>,
    /// Tells of orphans.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
}

impl fmt::Debug for Sweeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sweeper")
    }
}

/// What the sweeps of one Provider remember of each other.
#[derive(Debug, Default)]
struct Memory {
    /// Names of the orphans of the last sweep that counted.
    orphans: Option<BTreeSet<String>>,
    /// Marks of containers whose tag names no object that there is: each is read once.
    marks: BTreeMap<(Vmid, ObjectUid), Option<OwnerMark>>,
}

/// What one sweep came to.
#[derive(Debug, Default)]
struct Swept {
    /// What stands at the back-end; `None` when not all of it was read.
    tally: Option<Tally>,
    /// The first thing that could not be read.
    obstacle: Option<Obstacle>,
}

impl From<Obstacle> for Swept {
    fn from(obstacle: Obstacle) -> Self {
        Self {
            tally: None,
            obstacle: Some(obstacle),
        }
    }
}

/// The sweeps of one Provider; they end when it is dropped.
struct Round {
    uid: String,
    every: Duration,
    task: JoinHandle<()>,
}

impl Drop for Round {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sweeper {
    /// Sweeps every Provider until `stop`. `changes` names Providers that were made, changed or deleted.
    pub async fn run(
        self: Arc<Self>,
        mut changes: mpsc::UnboundedReceiver<String>,
        stop: impl Future<Output = ()>,
    ) {
        self.roll.complete().await;
        let mut rounds = BTreeMap::new();
        for provider in self.providers.each() {
            self.attend(&mut rounds, &provider.name_any());
        }
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                name = changes.recv() => match name {
                    Some(name) => self.attend(&mut rounds, &name),
                    None => return,
                },
            }
        }
    }

    /// Begins, changes or ends the sweeps of a Provider.
    fn attend(self: &Arc<Self>, rounds: &mut BTreeMap<String, Round>, name: &str) {
        let found = self.providers.get(&ObjectRef::new(name));
        let served = found.filter(|provider| provider::serves(provider, self.namespace.as_deref()));
        let Some(provider) = served else {
            if rounds.remove(name).is_some() {
                self.findings.forget(name);
                self.metrics.no_inventory(name);
            }
            return;
        };
        let uid = provider.uid().unwrap_or_default();
        let every = provider.spec.sweep_every();
        if rounds
            .get(name)
            .is_some_and(|round| round.uid == uid && round.every == every)
        {
            return;
        }
        let task = tokio::spawn(Arc::clone(self).rounds(name.to_owned(), uid.clone(), every));
        rounds.insert(name.to_owned(), Round { uid, every, task });
    }

    /// The first sweep comes one interval after the start: settled objects look at bulk reads in their first pass.
    async fn rounds(self: Arc<Self>, name: String, uid: String, every: Duration) {
        let mut memory = Memory::default();
        loop {
            tokio::time::sleep(jittered(every, &uid)).await;
            let provider = self.providers.get(&ObjectRef::new(&name));
            let Some(provider) = provider.filter(|provider| provider.uid().as_deref() == Some(&uid)) else {
                return;
            };
            if !is_paused(provider.as_ref()) {
                self.sweep(&provider, &mut memory).await;
            }
        }
    }

    async fn sweep(&self, provider: &Provider, memory: &mut Memory) {
        let name = provider.name_any();
        let swept = match self.connections.of(&name).map(|connection| connection.backend) {
            Err(refusal) => Obstacle::from(refusal).into(),
            Ok(Backend::Compute(compute)) => self.containers(&compute, memory).await,
            Ok(Backend::Proxy(proxy)) => self.hosts(&proxy).await,
            Ok(Backend::Dns(dns)) => self.zones(&dns, provider).await,
        };
        let result = match &swept.obstacle {
            None => SweepResult::Ok,
            Some(obstacle) => {
                tracing::debug!(provider = name, reason = obstacle.reason, "{}", obstacle.message);
                SweepResult::Failed
            }
        };
        self.metrics.sweep(&name, result);
        let tally = swept.tally.filter(|_| self.counts(provider));
        let found = Found {
            uid: provider.uid().unwrap_or_default(),
            inventory: tally.as_ref().map(Tally::inventory),
            obstacle: swept.obstacle,
        };
        if let Some(tally) = &tally {
            self.metrics.inventory(&name, &tally.inventory());
            self.tell_of_orphans(provider, tally, memory);
        }
        let known = self.providers.get(&ObjectRef::new(&name));
        let status = known.and_then(|known| known.status.clone()).unwrap_or_default();
        let is_news = !found.is_in(&status);
        self.findings.enter(&name, found);
        if is_news {
            let uid = provider.uid().unwrap_or_default();
            self.provider_poker.poke(&ObjectRef::new(&name), &uid);
        }
    }

    /// Whether all that may use the Provider is known. Operators that serve a namespace each would otherwise write
    /// different counts in turn.
    fn counts(&self, provider: &Provider) -> bool {
        let allowed = &provider.spec.allowed_namespaces;
        self.namespace
            .as_ref()
            .is_none_or(|served| allowed.iter().all(|name| name == served))
    }

    /// One event for orphans that were not there before. After a start, what the status counts was told already.
    fn tell_of_orphans(&self, provider: &Provider, tally: &Tally, memory: &mut Memory) {
        let names: BTreeSet<String> = tally.orphans.iter().map(|orphan| orphan.thing.name()).collect();
        let status = provider.status.as_ref();
        let counted = status
            .and_then(|status| status.inventory)
            .map_or(0, |inventory| inventory.orphaned);
        let is_news = match &memory.orphans {
            Some(told) => !names.is_subset(told),
            None => !names.is_empty() && usize::try_from(counted).ok() != Some(names.len()),
        };
        if is_news {
            let words = inventory::words(&provider.name_any(), &tally.orphans);
            self.events.orphans(&provider.object_ref(&()), words);
        }
        memory.orphans = Some(names);
    }

    /// Who can own something, given those that could before the back-end was read.
    fn owners(&self, before: BTreeSet<String>) -> Owners {
        let mut uids = before;
        uids.extend(self.roll.uids());
        Owners {
            cluster: self.cluster.clone(),
            uids,
            complete: self.namespace.is_none(),
        }
    }
}
