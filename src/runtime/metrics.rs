//! What the operator counts about itself, in Prometheus' text format.
//!
//! Labels are bounded: kinds, results and verbs are enums, calls are constants of the code, and the names of
//! Providers, which administrators make, are capped. Only the gauges of what sites use, in `sites`, have a label for
//! each customer's object: its namespace and name.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::process::ProcessCollector;
use crate::api::Inventory;
use crate::providers::gate::{CallRecord, Meter};

mod labels;
mod sites;

pub use labels::{InventoryState, Kind, PassResult, SweepResult, WriteResult, WriteVerb};
pub use sites::SiteSample;

use sites::SitesCollector;

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Providers with a label of their own; later ones share [`OTHER_PROVIDERS`]. With some 30 calls and 9 results
/// each, 64 Providers are at most 17,280 counters, about 4 MB of text in the worst case.
const PROVIDERS_MAX: usize = 64;
/// Label of the Providers beyond the cap. No object can have this name: it has a capital.
const OTHER_PROVIDERS: &str = "Other";

/// Seconds: from an unchanged pass without a call to the default deadline of 120 s.
const PASS_BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 120.0,
];
/// Seconds: a template clone takes some ten, a certificate minutes, a site that waits for a repair an hour.
const READY_BUCKETS: [f64; 12] = [
    1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
];
/// Seconds: a call within one rack up to the limit of a call (35 s); longer are installer runs.
const CALL_BUCKETS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 35.0, 300.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    kind: Kind,
    result: PassResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: Kind,
    verb: WriteVerb,
    result: WriteResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SweepLabels {
    provider: String,
    result: SweepResult,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InventoryLabels {
    provider: String,
    state: InventoryState,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    provider: String,
    call: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallResultLabels {
    provider: String,
    call: &'static str,
    result: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of the process. Cloning is cheap and shares them.
#[derive(Debug, Clone)]
pub struct Metrics {
    shared: Arc<Shared>,
}

/// Counts the objects of a kind that wait for a pass or are in one.
struct Depth(Box<dyn Fn() -> usize + Send + Sync>);

impl fmt::Debug for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Depth")
    }
}

#[derive(Debug)]
struct Shared {
    registry: Registry,
    passes: Family<PassLabels, Counter>,
    pass_duration: Histograms<KindLabels>,
    time_to_ready: Histograms<KindLabels>,
    calls: Family<CallResultLabels, Counter>,
    call_duration: Histograms<CallLabels>,
    queue_depth: Family<KindLabels, Gauge>,
    api_writes: Family<WriteLabels, Counter>,
    api_reads: Family<KindLabels, Counter>,
    leader: Gauge,
    sweeps: Family<SweepLabels, Counter>,
    inventory: Family<InventoryLabels, Gauge>,
    sites: SitesCollector,
    depths: Mutex<Vec<(Kind, Depth)>>,
    providers: Mutex<BTreeSet<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics that start at zero.
    pub fn new() -> Self {
        let mut shared = Shared {
            registry: Registry::default(),
            passes: Family::default(),
            pass_duration: Family::new_with_constructor(|| Histogram::new(PASS_BUCKETS)),
            time_to_ready: Family::new_with_constructor(|| Histogram::new(READY_BUCKETS)),
            calls: Family::default(),
            call_duration: Family::new_with_constructor(|| Histogram::new(CALL_BUCKETS)),
            queue_depth: Family::default(),
            api_writes: Family::default(),
            api_reads: Family::default(),
            leader: Gauge::default(),
            sweeps: Family::default(),
            inventory: Family::default(),
            sites: SitesCollector::default(),
            depths: Mutex::default(),
            providers: Mutex::default(),
        };
        shared.register();
        Self {
            shared: Arc::new(shared),
        }
    }

    /// A pass over an object of the kind has ended.
    pub fn pass(&self, kind: Kind, result: PassResult, elapsed: Duration) {
        self.shared
            .passes
            .get_or_create(&PassLabels { kind, result })
            .inc();
        let duration = self.shared.pass_duration.get_or_create(&KindLabels { kind });
        duration.observe(elapsed.as_secs_f64());
    }

    /// An object of the kind became Ready for the first time, this long after its creation.
    pub fn became_ready(&self, kind: Kind, since_creation: Duration) {
        let time = self.shared.time_to_ready.get_or_create(&KindLabels { kind });
        time.observe(since_creation.as_secs_f64());
    }

    /// Names the count of the objects of the kind that wait for a pass or are in one. It is taken when somebody
    /// asks for the metrics, so it may go through all objects.
    pub fn count_queue(&self, kind: Kind, depth: impl Fn() -> usize + Send + Sync + 'static) {
        let mut depths = self.shared.depths.lock().unwrap_or_else(PoisonError::into_inner);
        depths.push((kind, Depth(Box::new(depth))));
    }

    /// Names what tells of the sites' usage. It is asked when somebody asks for the metrics, so that there are never
    /// more gauges than sites; a later one takes its place.
    pub fn tell_of_sites(&self, samples: impl Fn() -> Vec<SiteSample> + Send + Sync + 'static) {
        self.shared.sites.ask(samples);
    }

    fn update_queue_depths(&self) {
        let depths = self.shared.depths.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, Depth(count)) in depths.iter() {
            let depth = self.shared.queue_depth.get_or_create(&KindLabels { kind: *kind });
            depth.set(i64::try_from(count()).unwrap_or(i64::MAX));
        }
    }

    /// The controller of the kind wrote to the Kubernetes API.
    pub fn api_write(&self, kind: Kind, verb: WriteVerb, result: WriteResult) {
        let labels = WriteLabels { kind, verb, result };
        self.shared.api_writes.get_or_create(&labels).inc();
    }

    /// The controller of the kind read from the Kubernetes API, past its cache.
    pub fn api_read(&self, kind: Kind) {
        self.shared.api_reads.get_or_create(&KindLabels { kind }).inc();
    }

    /// This process acts, or stands by.
    pub fn leads(&self, leads: bool) {
        self.shared.leader.set(i64::from(leads));
    }

    /// A sweep over everything at a Provider has ended.
    pub fn sweep(&self, provider: &str, result: SweepResult) {
        let provider = self.provider_label(provider);
        self.shared
            .sweeps
            .get_or_create(&SweepLabels { provider, result })
            .inc();
    }

    /// What stands at a Provider.
    pub fn inventory(&self, provider: &str, inventory: &Inventory) {
        let provider = self.provider_label(provider);
        for (state, count) in [
            (InventoryState::Owned, inventory.owned),
            (InventoryState::Orphaned, inventory.orphaned),
            (InventoryState::Foreign, inventory.foreign),
        ] {
            let provider = provider.clone();
            let gauge = self
                .shared
                .inventory
                .get_or_create(&InventoryLabels { provider, state });
            gauge.set(i64::from(count));
        }
    }

    /// Nobody sweeps the Provider any more.
    pub fn no_inventory(&self, provider: &str) {
        for state in [
            InventoryState::Owned,
            InventoryState::Orphaned,
            InventoryState::Foreign,
        ] {
            let provider = provider.to_owned();
            self.shared.inventory.remove(&InventoryLabels { provider, state });
        }
    }

    /// Everything as OpenMetrics text, of the type [`CONTENT_TYPE`].
    ///
    /// # Errors
    /// Only if a metric cannot be written at all, which would be a defect.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        self.update_queue_depths();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.shared.registry)?;
        Ok(text)
    }

    fn provider_label(&self, name: &str) -> String {
        let mut known = self
            .shared
            .providers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return name.to_owned();
        }
        if known.len() >= PROVIDERS_MAX {
            return OTHER_PROVIDERS.to_owned();
        }
        known.insert(name.to_owned());
        name.to_owned()
    }
}

impl Shared {
    /// The registry adds the units and `_total` to the names.
    fn register(&mut self) {
        // Outside the prefix: dashboards know these names.
        self.registry.register_collector(Box::new(ProcessCollector));
        let registry = self.registry.sub_registry_with_prefix("hostwright");
        registry.register("passes", "Passes over objects", self.passes.clone());
        registry.register_with_unit(
            "pass_duration",
            "Time of a pass",
            Unit::Seconds,
            self.pass_duration.clone(),
        );
        registry.register_with_unit(
            "time_to_ready",
            "Time from an object's creation until it was Ready for the first time",
            Unit::Seconds,
            self.time_to_ready.clone(),
        );
        registry.register("outside_calls", "Calls to back-ends", self.calls.clone());
        registry.register_with_unit(
            "outside_call_duration",
            "Time of a call to a back-end, without the wait for its turn",
            Unit::Seconds,
            self.call_duration.clone(),
        );
        registry.register(
            "queue_depth",
            "Objects that wait for a pass or are in one",
            self.queue_depth.clone(),
        );
        registry.register(
            "api_writes",
            "Writes to the Kubernetes API",
            self.api_writes.clone(),
        );
        registry.register(
            "api_reads",
            "Reads from the Kubernetes API past the caches",
            self.api_reads.clone(),
        );
        registry.register(
            "leader",
            "1 while this replica acts, 0 while it stands by",
            self.leader.clone(),
        );
        registry.register(
            "sweeps",
            "Sweeps over everything at a back-end",
            self.sweeps.clone(),
        );
        registry.register(
            "inventory",
            "What stands at a back-end, by whose it is",
            self.inventory.clone(),
        );
        registry.register_collector(Box::new(self.sites.clone()));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the operator", build);
    }
}

impl Meter for Metrics {
    fn record(&self, call: CallRecord<'_>) {
        let provider = self.provider_label(call.provider);
        let labels = CallLabels {
            provider: provider.clone(),
            call: call.call,
        };
        let duration = self.shared.call_duration.get_or_create(&labels);
        duration.observe(call.elapsed.as_secs_f64());
        let labels = CallResultLabels {
            provider,
            call: call.call,
            result: call.result,
        };
        self.shared.calls.get_or_create(&labels).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_lines(metrics: &Metrics, expected: &[&str]) {
        let text = metrics.encode().unwrap();
        for line in expected {
            assert!(text.lines().any(|l| l == *line), "no line {line} in\n{text}");
        }
    }

    fn call(provider: &str) -> CallRecord<'_> {
        CallRecord {
            provider,
            call: "lxc.create",
            result: "ok",
            elapsed: Duration::from_millis(20),
        }
    }

    #[test]
    fn passes_are_counted_and_timed() {
        let metrics = Metrics::new();
        metrics.pass(Kind::WordPressSite, PassResult::Steady, Duration::from_millis(20));
        metrics
            .clone()
            .pass(Kind::WordPressSite, PassResult::Steady, Duration::from_secs(3));
        metrics.became_ready(Kind::WordPressSite, Duration::from_secs(25));
        metrics.count_queue(Kind::Provider, || 7);
        metrics.leads(true);
        assert_lines(
            &metrics,
            &[
                "# TYPE hostwright_passes counter",
                "hostwright_passes_total{kind=\"WordPressSite\",result=\"steady\"} 2",
                "# TYPE hostwright_pass_duration_seconds histogram",
                "hostwright_pass_duration_seconds_bucket{le=\"0.025\",kind=\"WordPressSite\"} 1",
                "hostwright_pass_duration_seconds_count{kind=\"WordPressSite\"} 2",
                "hostwright_time_to_ready_seconds_sum{kind=\"WordPressSite\"} 25.0",
                "# TYPE hostwright_queue_depth gauge",
                "hostwright_queue_depth{kind=\"Provider\"} 7",
                "hostwright_leader 1",
                "# EOF",
            ],
        );
    }

    #[test]
    fn the_gates_meter_counts_outside_calls() {
        let metrics = Metrics::new();
        let meter: Arc<dyn Meter> = Arc::new(metrics.clone());
        meter.record(call("pve-1"));
        meter.record(CallRecord {
            result: "throttled",
            ..call("pve-1")
        });
        assert_lines(
            &metrics,
            &[
                "hostwright_outside_calls_total{provider=\"pve-1\",call=\"lxc.create\",result=\"ok\"} 1",
                "hostwright_outside_calls_total{provider=\"pve-1\",call=\"lxc.create\",result=\"throttled\"} 1",
                "hostwright_outside_call_duration_seconds_count{provider=\"pve-1\",call=\"lxc.create\"} 2",
            ],
        );
    }

    #[test]
    fn providers_beyond_the_cap_share_a_label() {
        let metrics = Metrics::new();
        for number in 0..PROVIDERS_MAX + 3 {
            metrics.record(call(&format!("p{number}")));
        }
        metrics.record(call("p0"));
        assert_lines(
            &metrics,
            &[
                "hostwright_outside_calls_total{provider=\"p0\",call=\"lxc.create\",result=\"ok\"} 2",
                "hostwright_outside_calls_total{provider=\"Other\",call=\"lxc.create\",result=\"ok\"} 3",
            ],
        );
    }

    #[test]
    fn api_traffic_is_counted() {
        let metrics = Metrics::new();
        let conflict = kube::Error::Api(
            kube::core::Status::failure("changed", "Conflict")
                .with_code(409)
                .boxed(),
        );
        metrics.api_write(
            Kind::WordPressSite,
            WriteVerb::Status,
            WriteResult::of(&Err::<(), _>(conflict)),
        );
        metrics.api_write(Kind::WordPressSite, WriteVerb::Metadata, WriteResult::of(&Ok(())));
        metrics.api_read(Kind::Plan);
        assert_lines(
            &metrics,
            &[
                "hostwright_api_writes_total{kind=\"WordPressSite\",verb=\"status\",result=\"conflict\"} 1",
                "hostwright_api_writes_total{kind=\"WordPressSite\",verb=\"metadata\",result=\"ok\"} 1",
                "hostwright_api_reads_total{kind=\"Plan\"} 1",
            ],
        );
    }

    #[test]
    fn version_and_process_are_shown() {
        let metrics = Metrics::new();
        let version = concat!(
            "hostwright_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        );
        assert_lines(
            &metrics,
            &[
                version,
                "# TYPE process_resident_memory_bytes gauge",
                "# TYPE process_cpu_seconds counter",
            ],
        );
        let text = metrics.encode().unwrap();
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
    }
}
