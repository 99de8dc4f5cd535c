//! The benchmark: many sites at once, a restart with everything unchanged, changes of one of them, a while without any
//! change, then all of them deleted.
//!
//! The operator runs as a process of its own, so that its memory and processor time are its own. API writes and
//! reads are counted by the API server's audit log, outside calls by the simulators.

mod audit;
mod changes;
pub mod peers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde::Serialize;

use self::audit::ApiCalls;
use self::changes::{ChangeFigures, IdleFigures};
use super::operator::{OperatorOptions, OperatorProcess, Scrape};
use super::{Backends, BackendsOptions, Cluster, ClusterOptions, Pool, StageError, foundations, plan, site};
use crate::api::WordPressSite;
use crate::sim::faults::{Fault, Trouble};

/// Namespace of the sites.
const NAMESPACE: &str = "bench";
/// Creations and deletions that are asked of the API server at the same time.
const CREATORS: usize = 16;
/// Quick to see tasks end. The metrics are asked for ten times a second to see progress, which nobody else does: what is
/// told of each site would take more time than the sites.
const OPERATOR_FLAGS: &[&str] = &[
    "--task-poll-min",
    "20ms",
    "--task-poll-max",
    "1s",
    "--site-metrics=false",
];
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Debug, Clone)]
pub struct BenchSettings {
    /// Number of sites.
    pub objects: u32,
    /// Latency of every outside call.
    pub latency: Duration,
    /// Where the result goes.
    pub out: PathBuf,
    /// How long nothing is changed; not at all without it.
    pub idle: Option<Duration>,
    /// Limit for each of the parts.
    pub limit: Duration,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Number of sites.
    pub objects: u32,
    /// Milliseconds of every outside call.
    pub latency_milliseconds: u64,
    /// Processor threads of the machine, shared by API server, simulators and operator.
    pub machine_cores: usize,
    /// From the first create to the last Ready.
    pub seconds_to_ready: f64,
    /// Sites per second.
    pub objects_per_second: f64,
    /// Writes to the Kubernetes API for each site, events included.
    pub api_writes_per_object: f64,
    /// The same by what was written.
    pub api_writes_by_resource: BTreeMap<String, f64>,
    /// Reads of single objects for each site.
    pub api_reads_per_object: f64,
    /// Outside calls for each site, by back-end.
    pub outside_calls_per_object: BTreeMap<String, f64>,
    /// The same by back-end, method and path.
    pub outside_calls_by_path: BTreeMap<String, f64>,
    /// Largest resident memory of the operator in MiB.
    pub peak_rss_mib: f64,
    /// Processor seconds of the operator for each site.
    pub cpu_seconds_per_object: f64,
    /// Writes of objects and statuses after a restart with nothing changed.
    pub restart_api_writes: u64,
    /// Outside calls after a restart with nothing changed, health checks of the Providers included.
    pub restart_outside_calls: u64,
    /// From the start of the process to the last site looked at.
    pub restart_seconds: f64,
    /// Largest resident memory of the restarted operator in MiB.
    pub restart_peak_rss_mib: f64,
    /// What changes of one of the sites cost.
    pub changes: BTreeMap<String, ChangeFigures>,
    /// What it cost that nothing changed for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleFigures>,
    /// Sites per second while all are deleted.
    pub deletions_per_second: f64,
    /// Things left outside in the end.
    pub left_over: usize,
}

/// Runs the benchmark, writes its figures and prints them.
///
/// # Errors
/// When the stage cannot be set or a part does not end in time.
pub async fn bench(settings: &BenchSettings) -> Result<(), StageError> {
    let folder = std::env::temp_dir().join(format!("hostwright-bench-{}", std::process::id()));
    let result = measure(settings, folder.clone()).await;
    if result.is_ok() {
        // On failure the logs stay for whoever looks for the reason.
        let _ = std::fs::remove_dir_all(&folder);
    }
    let figures =
        result.map_err(|error| StageError::Other(format!("{error}; logs are in {}", folder.display())))?;
    let text =
        serde_json::to_string_pretty(&figures).map_err(|error| StageError::Other(error.to_string()))?;
    let write = |error: std::io::Error| StageError::Io {
        what: format!("cannot write {}", settings.out.display()),
        source: error,
    };
    if let Some(parent) = settings.out.parent() {
        std::fs::create_dir_all(parent).map_err(write)?;
    }
    std::fs::write(&settings.out, format!("{text}\n")).map_err(write)?;
    print(&figures);
    println!("written to {}", settings.out.display());
    if figures.left_over > 0 {
        return Err(StageError::Other(format!(
            "{} things are left outside",
            figures.left_over
        )));
    }
    Ok(())
}

async fn measure(settings: &BenchSettings, folder: PathBuf) -> Result<Figures, StageError> {
    println!("setting the stage …");
    let audit_log = folder.join("audit.log");
    let options = ClusterOptions {
        audit_log: Some(audit_log.clone()),
        ..ClusterOptions::new(folder.join("cluster"))
    };
    let cluster = Cluster::start(&options).await?;
    cluster.install().await?;
    let backends = Backends::start(BackendsOptions::default()).await?;
    for (_, faults) in backends.faults() {
        let milliseconds = u64::try_from(settings.latency.as_millis()).unwrap_or_default();
        let trouble = Trouble::Latency { milliseconds };
        faults.order(Fault {
            method: None,
            path_contains: String::new(),
            skip: 0,
            times: None,
            trouble,
        });
    }
    // Wide enough for every site, and calls are not held back: the operator is measured, not a limit.
    let pool = Pool {
        vmids: settings.objects * 2,
        addresses: settings.objects * 2,
        places: 64,
        concurrent: 64,
        ..Pool::default()
    };
    let mut objects = foundations(&backends, &pool);
    objects.push(plan("bench", &pool, 512, 8, false));
    objects
        .push(serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    cluster.apply(&objects).await?;
    let sites: Api<WordPressSite> = Api::namespaced(cluster.admin().await?, NAMESPACE);

    let run = Run {
        settings,
        backends: &backends,
        cluster: &cluster,
        audit_log,
        folder,
        sites,
    };
    let operator = run.start_operator("create").await?;
    let mut figures = run.create(&operator).await?;
    operator.stop().await?;
    let operator = run.restart(&mut figures).await?;
    figures.changes = run.changes().await?;
    if let Some(time) = settings.idle {
        figures.idle = Some(run.idle(time).await?);
    }
    run.delete(&mut figures, &operator).await?;
    operator.stop().await?;
    Ok(figures)
}

struct Run<'a> {
    settings: &'a BenchSettings,
    backends: &'a Backends,
    cluster: &'a Cluster,
    audit_log: PathBuf,
    folder: PathBuf,
    sites: Api<WordPressSite>,
}

impl Run<'_> {
    async fn start_operator(&self, name: &str) -> Result<OperatorProcess, StageError> {
        OperatorProcess::start(&OperatorOptions {
            kubeconfig: self.cluster.operator_kubeconfig().to_owned(),
            log: self.folder.join(format!("operator-{name}.log")),
            cluster_id: "bench",
            flags: OPERATOR_FLAGS,
        })
        .await
    }

    fn api_calls(&self) -> Result<ApiCalls, StageError> {
        ApiCalls::read(&self.audit_log)
    }

    async fn create(&self, operator: &OperatorProcess) -> Result<Figures, StageError> {
        let objects = self.settings.objects;
        println!("creating {objects} sites …");
        let (api_before, outside_before) = (self.api_calls()?, self.backends.calls());
        let paths_before = self.paths();
        let begun = Instant::now();
        stream::iter(0..objects)
            .map(|number| async move {
                let name = format!("site-{number:05}");
                let manifest = site(NAMESPACE, &name, &number.to_string(), "bench");
                let object: WordPressSite =
                    serde_json::from_value(manifest).map_err(|error| StageError::Other(error.to_string()))?;
                self.sites.create(&PostParams::default(), &object).await?;
                Ok::<_, StageError>(())
            })
            .buffer_unordered(CREATORS)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .collect::<Result<Vec<()>, _>>()?;
        let ready = |metrics: &Scrape| {
            metrics.sum("hostwright_time_to_ready_seconds_count", "WordPressSite") >= f64::from(objects)
        };
        self.wait("all sites are Ready", operator, ready).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let api = self.api_calls()?.since(&api_before);
        let each = |count: u64| count as f64 / f64::from(objects);
        let (rss, cpu) = operator.usage()?;
        Ok(Figures {
            objects,
            latency_milliseconds: u64::try_from(self.settings.latency.as_millis()).unwrap_or_default(),
            machine_cores: std::thread::available_parallelism().map_or(0, usize::from),
            seconds_to_ready: seconds,
            objects_per_second: f64::from(objects) / seconds,
            api_writes_per_object: each(api.writes.values().sum()),
            api_writes_by_resource: api
                .writes
                .iter()
                .map(|(what, count)| (what.clone(), each(*count)))
                .collect(),
            api_reads_per_object: each(api.reads),
            outside_calls_per_object: self
                .outside_since(&outside_before)
                .into_iter()
                .map(|(name, count)| (name, each(count)))
                .collect(),
            outside_calls_by_path: self
                .paths_since(&paths_before)
                .into_iter()
                .map(|(name, count)| (name, each(count)))
                .collect(),
            peak_rss_mib: rss,
            cpu_seconds_per_object: cpu / f64::from(objects),
            restart_api_writes: 0,
            restart_outside_calls: 0,
            restart_seconds: 0.0,
            restart_peak_rss_mib: 0.0,
            changes: BTreeMap::new(),
            idle: None,
            deletions_per_second: 0.0,
            left_over: 0,
        })
    }

    async fn restart(&self, figures: &mut Figures) -> Result<OperatorProcess, StageError> {
        println!("restarting with nothing changed …");
        let (api_before, outside_before) = (self.api_calls()?, self.backends.calls());
        let begun = Instant::now();
        let operator = self.start_operator("restart").await?;
        let settled = |metrics: &Scrape| {
            metrics.sum("hostwright_passes_total", "WordPressSite") >= f64::from(self.settings.objects)
        };
        self.wait("every site was looked at", &operator, settled).await?;
        figures.restart_seconds = begun.elapsed().as_secs_f64();
        figures.restart_api_writes = self.api_calls()?.since(&api_before).writes.values().sum();
        figures.restart_outside_calls = self.outside_since(&outside_before).values().sum();
        figures.restart_peak_rss_mib = operator.usage()?.0;
        Ok(operator)
    }

    async fn delete(&self, figures: &mut Figures, operator: &OperatorProcess) -> Result<(), StageError> {
        println!("deleting all …");
        let begun = Instant::now();
        self.sites
            .delete_collection(&DeleteParams::default(), &ListParams::default())
            .await?;
        loop {
            let page = self.sites.list_metadata(&ListParams::default().limit(1)).await?;
            if page.items.is_empty() {
                break;
            }
            if begun.elapsed() > self.settings.limit {
                return Err(StageError::Other(format!(
                    "sites are left after {:?}; the operator says {}",
                    self.settings.limit,
                    operator.last_words()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
        figures.deletions_per_second = f64::from(figures.objects) / begun.elapsed().as_secs_f64();
        figures.left_over = self.backends.leftovers().len();
        Ok(())
    }

    /// Calls so far by back-end, method and path.
    fn paths(&self) -> BTreeMap<String, u64> {
        let mut paths = BTreeMap::new();
        for (name, faults) in self.backends.faults() {
            for (path, count) in faults.calls() {
                *paths.entry(format!("{name} {path}")).or_default() += count;
            }
        }
        paths
    }

    fn paths_since(&self, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
        let mut paths = self.paths();
        paths
            .iter_mut()
            .for_each(|(path, count)| *count -= before.get(path).unwrap_or(&0));
        paths
    }

    fn outside_since(&self, before: &[(&'static str, u64)]) -> BTreeMap<String, u64> {
        let known = |name: &str| {
            before
                .iter()
                .find(|(other, _)| *other == name)
                .map_or(0, |(_, count)| *count)
        };
        self.backends
            .calls()
            .into_iter()
            .map(|(name, count)| (name.to_owned(), count - known(name)))
            .collect()
    }

    async fn wait(
        &self,
        what: &str,
        operator: &OperatorProcess,
        done: impl Fn(&Scrape) -> bool,
    ) -> Result<(), StageError> {
        let begun = Instant::now();
        while begun.elapsed() < self.settings.limit {
            if done(&operator.scrape().await?) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(StageError::Other(format!(
            "not within {:?}: {what}; the operator says {}",
            self.settings.limit,
            operator.last_words()
        )))
    }
}

fn print(figures: &Figures) {
    let list = |map: &BTreeMap<String, f64>| {
        map.iter()
            .map(|(name, count)| format!("{name} {count:.2}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let rows = [
        ("sites", figures.objects.to_string()),
        (
            "latency of outside calls",
            format!("{} ms", figures.latency_milliseconds),
        ),
        (
            "to Ready",
            format!(
                "{:.1} s, {:.1} sites/s",
                figures.seconds_to_ready, figures.objects_per_second
            ),
        ),
        (
            "API writes per site",
            format!(
                "{:.2} ({})",
                figures.api_writes_per_object,
                list(&figures.api_writes_by_resource)
            ),
        ),
        (
            "API reads per site",
            format!("{:.2}", figures.api_reads_per_object),
        ),
        ("outside calls per site", list(&figures.outside_calls_per_object)),
        ("peak memory", format!("{:.1} MiB", figures.peak_rss_mib)),
        (
            "processor time per site",
            format!("{:.1} ms", figures.cpu_seconds_per_object * 1_000.0),
        ),
        (
            "restart, unchanged",
            format!(
                "{} API writes, {} outside calls, {:.1} s, {:.1} MiB",
                figures.restart_api_writes,
                figures.restart_outside_calls,
                figures.restart_seconds,
                figures.restart_peak_rss_mib
            ),
        ),
        (
            "deletion",
            format!(
                "{:.1} sites/s, {} things left",
                figures.deletions_per_second, figures.left_over
            ),
        ),
        (
            "machine",
            format!(
                "{} processor threads for API server, simulators and operator together",
                figures.machine_cores
            ),
        ),
    ];
    let rows = rows.map(|(what, value)| (what.to_owned(), value)).into_iter();
    for (what, value) in rows.chain(changes::rows(&figures.changes, figures.idle.as_ref())) {
        println!("{what:<26} {value}");
    }
}
