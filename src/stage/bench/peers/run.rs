//! One contestant in one round, on an API server and a simulator of its own that nobody has used before.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use super::contestant::{CLUSTER_ID, PROVIDER, Start};
use super::figures::Figures;
use super::process::Process;
use super::progress::Progress;
use crate::api::DnsZone;
use crate::config::{BenchPeersOptions, Contestant};
use crate::sim::cloudflare::{BASE_PATH, CloudflareOptions, CloudflareSim};
use crate::sim::faults::{Fault, Faults, Trouble};
use crate::sim::server::Server;
use crate::stage::backends::CLOUDFLARE_TOKEN;
use crate::stage::bench::audit::{ApiCalls, AuditTail};
use crate::stage::operator::usage;
use crate::stage::{Cluster, ClusterOptions, OPERATOR_NAMESPACE, StageError};

/// Namespace of the zones.
const NAMESPACE: &str = "bench";
/// Creations and deletions that are asked of the API server at the same time.
const CLIENTS: usize = 16;
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often is looked whether a contestant still does something.
const LOOK_FOR_QUIET: Duration = Duration::from_millis(100);
/// A contestant has settled when it did nothing for so long.
const QUIET: Duration = Duration::from_secs(2);
/// Processor seconds between two looks that are something: two ticks of the system's clock.
const BUSY: f64 = 0.02;
/// Progress has to be made within this time, so that a contestant that cannot do the task ends early.
const STALL: Duration = Duration::from_secs(90);

/// The stage of one run.
pub(super) struct Run<'a> {
    options: &'a BenchPeersOptions,
    contestant: Contestant,
    folder: PathBuf,
    kubeconfig: PathBuf,
    cluster: Cluster,
    server: Server,
    sim: CloudflareSim,
    account: String,
    zones: Api<DnsZone>,
    progress: Progress,
    audit: AuditTail,
}

/// Counts at one moment.
struct Counts {
    at: Instant,
    api: ApiCalls,
    outside: BTreeMap<String, u64>,
    cpu: f64,
    api_server_cpu: f64,
}

fn zone_name(number: u32) -> String {
    format!("z{number:05}.example")
}

fn object_name(number: u32) -> String {
    format!("z{number:05}")
}

/// The object of one zone.
fn zone(number: u32) -> Result<DnsZone, StageError> {
    let manifest = json!({
        "apiVersion": "hostwright.dev/v1alpha1",
        "kind": "DnsZone",
        "metadata": {"name": object_name(number), "namespace": NAMESPACE},
        "spec": {
            "zone": zone_name(number),
            "provider": PROVIDER,
            "createDefaults": false,
            "verifyNameservers": false,
            // An address for documentation (RFC 5737).
            "records": [{"name": "@", "type": "A", "content": format!("192.0.2.{}", number % 254 + 1), "ttl": 300}],
        },
    });
    serde_json::from_value(manifest).map_err(|error| StageError::Other(error.to_string()))
}

/// What Hostwright reads of the back-end; the peers get the same in their environment. It is there for all.
fn provider(endpoint: &str, account: &str, resync: Duration) -> [Value; 2] {
    [
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": PROVIDER, "namespace": OPERATOR_NAMESPACE},
            "stringData": {"apiToken": CLOUDFLARE_TOKEN}}),
        json!({"apiVersion": "hostwright.dev/v1alpha1", "kind": "Provider", "metadata": {"name": PROVIDER},
        "spec": {
            "credentials": {"secretName": PROVIDER},
            "allowedNamespaces": ["*"],
            // As many connections as the peers have, and no other limit.
            "limits": {"maxConcurrent": 32, "requestsPerSecond": 5_000},
            "sweepInterval": format!("{}s", resync.as_secs().max(1)),
            "cloudflare": {"endpoint": endpoint, "plaintext": true, "accountId": account},
        }}),
    ]
}

impl<'a> Run<'a> {
    /// Sets the stage: API server, simulator, rights, watch.
    pub(super) async fn set(
        options: &'a BenchPeersOptions,
        contestant: Contestant,
        folder: &Path,
    ) -> Result<Self, StageError> {
        let audit_log = folder.join("audit.log");
        let cluster = Cluster::start(&ClusterOptions {
            audit_log: Some(audit_log.clone()),
            ..ClusterOptions::new(folder.join("cluster"))
        })
        .await?;
        cluster.install().await?;
        if contestant != Contestant::Hostwright {
            // It is a part of Hostwright's chart. The peers put finalizers of their own on the objects.
            cluster.remove_hold().await?;
        }
        let settings = CloudflareOptions {
            token: CLOUDFLARE_TOKEN.to_owned(),
            ..CloudflareOptions::default()
        };
        let account = settings.account.clone();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (server, sim) = CloudflareSim::start(settings, anywhere, Faults::default())
            .await
            .map_err(|error| StageError::Other(format!("the simulator does not start: {error}")))?;
        server.faults.order(Fault {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: None,
            trouble: Trouble::Latency {
                milliseconds: options.latency,
            },
        });
        let mut objects =
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
        objects.extend(provider(&endpoint(&server), &account, options.resync));
        objects.extend(contestant.rights());
        cluster.apply(&objects).await?;
        let zones: Api<DnsZone> = Api::namespaced(cluster.admin().await?, NAMESPACE);
        Ok(Self {
            options,
            contestant,
            folder: folder.to_owned(),
            kubeconfig: contestant.kubeconfig(&cluster, folder).await?,
            cluster,
            server,
            sim,
            account,
            progress: Progress::watch(zones.clone()),
            zones,
            audit: AuditTail::new(audit_log, contestant.user()),
        })
    }

    /// All parts one after the other.
    pub(super) async fn measure(mut self) -> Result<Figures, StageError> {
        let mut process = self.start("create")?;
        self.settle(&mut process, self.options.limit).await?;
        let mut figures = self.create(&mut process).await?;
        // When creation took longer than the period, the looks for drift go on without a pause.
        let _ = self.settle(&mut process, QUIET * 2).await;
        process.stop().await?;
        let mut process = self.restart(&mut figures).await?;
        self.idle(&mut figures, &mut process).await?;
        self.delete(&mut figures, &mut process).await?;
        process.stop().await?;
        self.cluster.stop().await?;
        Ok(figures)
    }

    fn start(&self, part: &str) -> Result<Process, StageError> {
        let endpoint = endpoint(&self.server);
        let command = self.contestant.command(&Start {
            kubeconfig: &self.kubeconfig,
            endpoint: &endpoint,
            account: &self.account,
            resync: self.options.resync,
            programs: &self.options.programs,
        })?;
        Process::start(command, self.folder.join(format!("{part}.log")))
    }

    fn counts(&mut self, process: &mut Process) -> Result<Counts, StageError> {
        Ok(Counts {
            at: Instant::now(),
            api: self.audit.read()?.clone(),
            outside: self.server.faults.calls(),
            cpu: process.usage()?.1,
            api_server_cpu: usage(self.cluster.apiserver_pid())?.1,
        })
    }

    /// Waits until the contestant does nothing any more; returns when it did something last.
    async fn settle(&mut self, process: &mut Process, limit: Duration) -> Result<Instant, StageError> {
        let begun = Instant::now();
        let (mut last, mut calls, mut cpu) = (begun, 0, 0.0);
        while begun.elapsed() < limit {
            self.audit.read()?;
            let calls_now = self.audit.requests() + self.server.faults.calls().values().sum::<u64>();
            let cpu_now = process.usage()?.1;
            if calls_now != calls || cpu_now - cpu >= BUSY {
                last = Instant::now();
            }
            (calls, cpu) = (calls_now, cpu_now);
            if last.elapsed() >= QUIET {
                return Ok(last);
            }
            tokio::time::sleep(LOOK_FOR_QUIET).await;
        }
        Err(process.failure(&format!("it did not settle within {limit:?}")))
    }

    async fn create(&mut self, process: &mut Process) -> Result<Figures, StageError> {
        let objects = self.options.objects;
        let before = self.counts(process)?;
        let zones = &self.zones;
        stream::iter(1..=objects)
            .map(|number| async move {
                zones.create(&PostParams::default(), &zone(number)?).await?;
                Ok::<_, StageError>(())
            })
            .buffer_unordered(CLIENTS)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<()>, _>>()?;
        let all = usize::try_from(objects).unwrap_or(usize::MAX);
        let done = self
            .wait(process, "are not Ready", |run| all - run.progress.seen().ready())
            .await?;
        let after = self.counts(process)?;
        let seconds = (done - before.at).as_secs_f64();
        let each = |count: u64| count as f64 / f64::from(objects);
        let api = after.api.since(&before.api);
        let paths = difference(&after.outside, &before.outside);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cpu = after.cpu - before.cpu;
        let api_server_cpu = after.api_server_cpu - before.api_server_cpu;
        let available = (after.at - before.at).as_secs_f64() * cores as f64;
        Ok(Figures {
            objects,
            latency_milliseconds: self.options.latency,
            machine_cores: cores,
            seconds_to_ready: seconds,
            objects_per_second: f64::from(objects) / seconds,
            api_writes_per_object: each(api.writes.values().sum()),
            api_writes_by_resource: api
                .writes
                .iter()
                .map(|(what, n)| (what.clone(), each(*n)))
                .collect(),
            api_reads_per_object: each(api.reads),
            outside_calls_per_object: [("cloudflare".to_owned(), each(paths.values().sum()))].into(),
            outside_calls_by_path: paths
                .iter()
                .map(|(path, count)| (format!("cloudflare {path}"), each(*count)))
                .collect(),
            peak_rss_mib: process.usage()?.0,
            cpu_seconds_per_object: cpu / f64::from(objects),
            api_server_cpu_seconds_per_object: api_server_cpu / f64::from(objects),
            api_server_cpu_share: api_server_cpu / available,
            cpu_share: cpu / available,
            ..Figures::default()
        })
    }

    async fn restart(&mut self, figures: &mut Figures) -> Result<Process, StageError> {
        let (api, outside) = (self.audit.read()?.clone(), self.server.faults.calls());
        let begun = Instant::now();
        let mut process = self.start("restart")?;
        figures.restart_seconds =
            (self.settle(&mut process, self.options.limit).await? - begun).as_secs_f64();
        let after = self.counts(&mut process)?;
        figures.restart_api_writes = after.api.since(&api).writes.values().sum();
        figures.restart_outside_calls = difference(&after.outside, &outside).values().sum();
        figures.restart_peak_rss_mib = process.usage()?.0;
        Ok(process)
    }

    /// Takes one record away and does nothing else.
    async fn idle(&mut self, figures: &mut Figures, process: &mut Process) -> Result<(), StageError> {
        let zone = zone_name(self.options.objects.div_ceil(2));
        let ours = |sim: &CloudflareSim| {
            let mark = format!("hostwright:{CLUSTER_ID}:");
            let marked = |comment: Option<&str>| comment.is_some_and(|comment| comment.starts_with(&mark));
            let mut records = sim.records(&zone).into_iter();
            records
                .find(|record| marked(record.comment.as_deref()))
                .map(|record| record.id)
        };
        let before = self.counts(process)?;
        let id =
            ours(&self.sim).ok_or_else(|| process.failure(&format!("no record of ours is in {zone}")))?;
        self.sim.delete_by_hand(&id);
        let begun = Instant::now();
        let mut repaired = None;
        while repaired.is_none() || begun.elapsed() < self.options.idle {
            if repaired.is_none() && ours(&self.sim).is_some() {
                repaired = Some(begun.elapsed());
            }
            if begun.elapsed() > self.options.limit.max(self.options.idle) {
                return Err(process.failure(&format!("the drift in {zone} was not repaired")));
            }
            tokio::time::sleep(LOOK).await;
        }
        let after = self.counts(process)?;
        figures.drift_repair_seconds = repaired.unwrap_or_default().as_secs_f64();
        figures.idle_seconds = (after.at - before.at).as_secs_f64();
        figures.idle_api_writes = after.api.since(&before.api).writes.values().sum();
        figures.idle_outside_calls = difference(&after.outside, &before.outside).values().sum();
        figures.idle_cpu_seconds = after.cpu - before.cpu;
        Ok(())
    }

    async fn delete(&mut self, figures: &mut Figures, process: &mut Process) -> Result<(), StageError> {
        let begun = Instant::now();
        // One by one, for the API server deletes a collection without haste.
        let zones = &self.zones;
        stream::iter(1..=figures.objects)
            .map(|number| async move {
                zones
                    .delete(&object_name(number), &DeleteParams::default())
                    .await?;
                Ok::<_, StageError>(())
            })
            .buffer_unordered(CLIENTS)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<()>, _>>()?;
        let done = self
            .wait(process, "are not deleted", |run| run.progress.seen().existing())
            .await?;
        figures.deletions_per_second = f64::from(figures.objects) / (done - begun).as_secs_f64();
        let zones = (1..=figures.objects).filter(|number| self.sim.zone_id(&zone_name(*number)).is_some());
        figures.left_over = zones.count() + self.sim.leftovers("hostwright:").len();
        Ok(())
    }

    /// Waits until nothing is left to be done; returns when the last change was seen.
    async fn wait(
        &self,
        process: &mut Process,
        what: &str,
        left: impl Fn(&Self) -> usize,
    ) -> Result<Instant, StageError> {
        let begun = Instant::now();
        loop {
            let now = left(self);
            let changed = self.progress.seen().changed.unwrap_or(begun).max(begun);
            if now == 0 {
                return Ok(changed);
            }
            // Says how it ended, if it did.
            process.usage()?;
            if begun.elapsed() > self.options.limit || changed.elapsed() > STALL {
                let seconds = begun.elapsed().as_secs();
                return Err(process.failure(&format!("{now} zones {what} after {seconds} s")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn endpoint(server: &Server) -> String {
    format!("{}{BASE_PATH}", server.url())
}

fn difference(after: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let paths = after.iter();
    paths
        .map(|(path, count)| (path.clone(), count - before.get(path).unwrap_or(&0)))
        .filter(|(_, count)| *count > 0)
        .collect()
}
