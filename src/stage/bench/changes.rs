//! What one change costs among many settled sites, and what it costs when nothing changes for a while.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::{LOOK, Run};
use crate::api::condition::{is_true, kinds};
use crate::api::{Phase, Provider};
use crate::stage::StageError;

/// The site that is changed.
const SITE: &str = "site-00000";
/// Waits for what the operator may still write after the change shows.
const AFTERWARDS: Duration = Duration::from_secs(3);

/// What one change cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeFigures {
    /// Writes of objects and statuses.
    pub api_writes: u64,
    /// Events about it.
    pub events: u64,
    /// Reads of single objects.
    pub api_reads: u64,
    /// Outside calls without polls of tasks.
    pub outside_calls: u64,
    /// Polls of tasks of the container host.
    pub task_polls: u64,
    /// From the change of the spec to the status that says that it is carried out.
    pub seconds: f64,
}

/// What it cost that nothing changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IdleFigures {
    /// How long nothing changed.
    pub seconds: u64,
    /// Writes to the Kubernetes API, by what was written.
    pub api_writes: BTreeMap<String, u64>,
    /// Outside calls, by back-end, method and path.
    pub outside_calls: BTreeMap<String, u64>,
}

impl Run<'_> {
    /// Each change of one site, one after the other.
    pub(super) async fn changes(&self) -> Result<BTreeMap<String, ChangeFigures>, StageError> {
        println!("changing one site …");
        let mut figures = BTreeMap::new();
        let changes = [
            ("1 power: Stopped", json!({"power": "Stopped"}), Phase::Stopped),
            ("2 power: Running", json!({"power": "Running"}), Phase::Running),
            ("3 suspended: true", json!({"suspended": true}), Phase::Suspended),
            ("4 suspended: false", json!({"suspended": false}), Phase::Running),
            (
                "5 restartedAt",
                json!({"restartedAt": "2026-11-21T10:00:00Z"}),
                Phase::Running,
            ),
            (
                "6 proxyEnabled: false",
                json!({"proxyEnabled": false}),
                Phase::Running,
            ),
            (
                "7 proxyEnabled: true",
                json!({"proxyEnabled": true}),
                Phase::Running,
            ),
        ];
        for (name, spec, phase) in changes {
            figures.insert(name.to_owned(), self.change(spec, phase).await?);
        }
        Ok(figures)
    }

    async fn change(&self, spec: Value, phase: Phase) -> Result<ChangeFigures, StageError> {
        let (api_before, paths_before) = (self.api_calls()?, self.paths());
        let begun = Instant::now();
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.sites.patch(SITE, &PatchParams::default(), &patch).await?;
        let restart = changed.spec.restarted_at.clone();
        loop {
            let site = self.sites.get(SITE).await?;
            let status = site.status.clone().unwrap_or_default();
            let current = status.observed_generation == changed.metadata.generation;
            let restarted = status.restarted_at == restart && status.restart.is_none();
            if current
                && restarted
                && status.phase == Some(phase)
                && said(&status, phase)
                && status.tasks.is_empty()
            {
                break;
            }
            if begun.elapsed() > self.settings.limit {
                return Err(StageError::Other(format!(
                    "{SITE} did not become {phase:?}: {status:?}"
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
        let seconds = begun.elapsed().as_secs_f64();
        tokio::time::sleep(AFTERWARDS).await;
        let api = self.api_calls()?.since(&api_before);
        let events = api.writes.get("events").copied().unwrap_or_default();
        let paths = self.paths_since(&paths_before);
        let polls: u64 = paths
            .iter()
            .filter(|(path, _)| path.contains("/tasks/"))
            .map(|(_, count)| count)
            .sum();
        Ok(ChangeFigures {
            api_writes: api.writes.values().sum::<u64>() - events,
            events,
            api_reads: api.reads,
            outside_calls: paths.values().sum::<u64>() - polls,
            task_polls: polls,
            seconds,
        })
    }

    /// Waits for the first sweep of every Provider, whose result is news: it says for the first time what stands there.
    async fn swept(&self) -> Result<(), StageError> {
        let providers: Api<Provider> = Api::all(self.cluster.admin().await?);
        let begun = Instant::now();
        loop {
            let all = providers.list(&ListParams::default()).await?.items;
            let waiting = all.iter().find(|provider| {
                let status = provider.status.as_ref();
                !status.is_some_and(|status| is_true(&status.conditions, kinds::SWEPT))
            });
            let Some(provider) = waiting else { return Ok(()) };
            if begun.elapsed() > provider.spec.sweep_every() * 2 {
                let name = provider.name_any();
                return Err(StageError::Other(format!("Provider {name} was not swept")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Nothing is changed for a while, in which only sweeps go on.
    pub(super) async fn idle(&self, time: Duration) -> Result<IdleFigures, StageError> {
        println!("waiting for the first sweeps …");
        self.swept().await?;
        tokio::time::sleep(AFTERWARDS).await;
        println!("changing nothing for {} s …", time.as_secs());
        let (api_before, paths_before) = (self.api_calls()?, self.paths());
        tokio::time::sleep(time).await;
        let api = self.api_calls()?.since(&api_before);
        let some =
            |counts: BTreeMap<String, u64>| counts.into_iter().filter(|(_, count)| *count > 0).collect();
        Ok(IdleFigures {
            seconds: time.as_secs(),
            api_writes: some(api.writes),
            outside_calls: some(self.paths_since(&paths_before)),
        })
    }
}

/// Condition Ready has the reason of the phase.
fn said(status: &crate::api::WordPressSiteStatus, phase: Phase) -> bool {
    let reason = match phase {
        Phase::Running => "Ready".to_owned(),
        other => format!("{other:?}"),
    };
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.reason == reason)
}

/// Lines for people.
pub(super) fn rows(
    changes: &BTreeMap<String, ChangeFigures>,
    idle: Option<&IdleFigures>,
) -> Vec<(String, String)> {
    let change = |(name, figures): (&String, &ChangeFigures)| {
        let value = format!(
            "{} API writes, {} events, {} reads, {} outside calls, {} polls of tasks, {:.1} s",
            figures.api_writes,
            figures.events,
            figures.api_reads,
            figures.outside_calls,
            figures.task_polls,
            figures.seconds
        );
        (name.clone(), value)
    };
    let mut rows: Vec<(String, String)> = changes.iter().map(change).collect();
    if let Some(idle) = idle {
        rows.push((
            format!("idle for {} s", idle.seconds),
            format!(
                "API writes {:?}, outside calls {:?}",
                idle.api_writes, idle.outside_calls
            ),
        ));
    }
    rows
}
