//! The world that tests of the operator play in: one real API server for the whole test program, and for each
//! test a namespace, simulated back-ends and an operator of its own.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostwright::api::{
    DnsZone, DnsZoneStatus, Phase, Plan, Provider, ProviderStatus, WordPressSite, WordPressSiteStatus,
};
use hostwright::controllers::operator::{self, Settings};
use hostwright::controllers::runner::Pace;
use hostwright::providers::fence::{AlwaysOpen, Fence};
use hostwright::runtime::metrics::Metrics;
use hostwright::runtime::shutdown::{Shutdown, ShutdownTrigger};
use hostwright::stage::{
    Backends, BackendsOptions, Cluster, ClusterOptions, OPERATOR_NAMESPACE, Pool, foundations, plan, site,
};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::OnceCell;

/// Longest wait for anything: a pass takes milliseconds here, but the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Label of namespaces in which the chart's policy does not put the finalizer on new objects.
const UNHELD: &str = "test.hostwright.dev/unheld";
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Paths of the shared cluster.
#[derive(Debug)]
pub struct Shared {
    pub admin: PathBuf,
    pub operator: PathBuf,
    /// A line for every finished request to the API server.
    pub audit_log: PathBuf,
    pub cluster: tokio::sync::Mutex<Cluster>,
    // Held so that the folder lives as long as the program.
    _folder: tempfile::TempDir,
    // The cluster's pipes belong to this runtime; those of the tests come and go.
    _runtime: Runtime,
}

static SHARED: OnceCell<Shared> = OnceCell::const_new();
static WORLDS: AtomicU32 = AtomicU32::new(0);

/// The API server of the test program, started by the first test that needs it.
pub async fn shared() -> &'static Shared {
    SHARED
        .get_or_init(|| async {
            tokio::task::spawn_blocking(|| {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let folder = tempfile::tempdir().unwrap();
                let audit_log = folder.path().join("audit.log");
                let options = ClusterOptions {
                    audit_log: Some(audit_log.clone()),
                    ..ClusterOptions::new(folder.path().join("cluster"))
                };
                let cluster = runtime.block_on(async {
                    let cluster = Cluster::start(&options).await.unwrap();
                    cluster.install().await.unwrap();
                    except_unheld(&cluster).await;
                    cluster
                });
                Shared {
                    admin: cluster.admin_kubeconfig().to_owned(),
                    operator: cluster.operator_kubeconfig().to_owned(),
                    audit_log,
                    cluster: tokio::sync::Mutex::new(cluster),
                    _folder: folder,
                    _runtime: runtime,
                }
            })
            .await
            .unwrap()
        })
        .await
}

/// Lets the policy overlook the namespaces of worlds that are to be without it.
async fn except_unheld(cluster: &Cluster) {
    let selector = json!({"matchExpressions": [{"key": UNHELD, "operator": "DoesNotExist"}]});
    let patch = json!({"spec": {"matchResources": {"namespaceSelector": selector}}}).to_string();
    let binding = "mutatingadmissionpolicybinding/hostwright-system-hostwright-hold";
    let arguments = ["patch", binding, "--type=merge", "--patch", &patch];
    cluster.kubectl(&arguments, "").await.unwrap();
}

/// A client from a kubeconfig.
pub async fn client(kubeconfig: &Path) -> Client {
    hostwright::runtime::kubernetes::client(Some(kubeconfig.as_os_str()))
        .await
        .unwrap()
}

/// Waits until a look succeeds; its last answer is the failure's message.
pub async fn eventually<T, F>(what: &str, look: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    eventually_within(PATIENCE, LOOK, what, look).await
}

/// As [`eventually`], with another patience and another pause between two looks.
pub async fn eventually_within<T, F>(
    patience: Duration,
    pause: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let begun = tokio::time::Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(seen) if begun.elapsed() > patience => {
                panic!("{what}: not within {patience:?}; last seen: {seen}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
    }
}

/// Everything that an operator logs, at the most talkative level.
#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<u8>>>);

impl Logs {
    /// The text so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Sum of the counters of one metric whose labels contain all these texts.
pub fn sum_of(metrics: &Metrics, metric: &str, labels: &[&str]) -> u64 {
    let text = metrics.encode().unwrap();
    let lines = text.lines().filter(|line| {
        line.strip_prefix(metric)
            .is_some_and(|rest| rest.starts_with('{') && labels.iter().all(|label| rest.contains(label)))
    });
    let numbers = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    numbers.sum()
}

/// Calls of the check of a Provider. Operators of other tests see all Providers too and may start one.
const HEALTH_CALLS: [&str; 12] = [
    "version",
    "access.permissions",
    "npm.account",
    "npm.schema",
    "npm.welcome",
    "tokens.verify",
    "dns_records.sample",
    "zones.list",
    "npm.login",
    "rights.probe",
    "server_get_app_version",
    "login",
];

/// One running operator. `kill` ends it as kill -9 would: whatever it was doing is dropped where it stands.
pub struct Operator {
    runtime: Option<Runtime>,
    trigger: ShutdownTrigger,
    done: tokio::sync::oneshot::Receiver<()>,
    pub metrics: Metrics,
}

impl Operator {
    /// Writes of sites so far, failed ones too, without events, which follow later.
    pub fn site_writes(&self) -> u64 {
        self.writes("WordPressSite")
    }

    /// Writes of zones so far, as those of sites.
    pub fn zone_writes(&self) -> u64 {
        self.writes("DnsZone")
    }

    fn writes(&self, kind: &str) -> u64 {
        let kind = format!("kind=\"{kind}\"");
        let of = |verb: &str| sum_of(&self.metrics, "hostwright_api_writes_total", &[&kind, verb]);
        of("\"status\"") + of("\"metadata\"") + of("\"secret\"")
    }

    /// Calls to the world's back-ends for sites so far, by name.
    pub fn calls(&self, world: &World) -> BTreeMap<String, u64> {
        let text = self.metrics.encode().unwrap();
        let prefix = format!("hostwright_outside_calls_total{{provider=\"{}", world.pool.name);
        let mut calls = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with(&prefix)) {
            let name = line
                .split("call=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let count = line
                .rsplit_once(' ')
                .and_then(|(_, count)| count.parse::<u64>().ok());
            if let (Some(name), Some(count)) = (name, count)
                && !HEALTH_CALLS.contains(&name)
            {
                *calls.entry(name.to_owned()).or_default() += count;
            }
        }
        calls
    }

    /// Waits until nothing is called and written any more, and then makes sure that it stays so for a while.
    pub async fn assert_quiet(&self, world: &World) {
        const REST: Duration = Duration::from_millis(400);
        const WATCHED: Duration = Duration::from_millis(1_200);
        let snapshots = || self.writes("SiteBackup") + self.writes("SiteRestore");
        let counts = || {
            (
                self.calls(world),
                self.site_writes(),
                self.zone_writes(),
                snapshots(),
            )
        };
        eventually("the operator comes to rest", || async {
            let before = counts();
            tokio::time::sleep(REST).await;
            let after = counts();
            if before == after {
                Ok(())
            } else {
                Err(format!("{before:?} then {after:?}"))
            }
        })
        .await;
        let before = counts();
        tokio::time::sleep(WATCHED).await;
        assert_eq!(before, counts(), "calls or writes grow although nothing changes");
    }

    /// Ends it in the middle of whatever it is doing.
    pub fn kill(mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever kills wants it dead and not dying: its successor would meet it otherwise.
            let _ = std::thread::spawn(move || runtime.shutdown_timeout(PATIENCE)).join();
        }
    }

    /// Asks it to stop and waits for that.
    pub async fn stop(mut self) {
        self.trigger.request();
        tokio::time::timeout(PATIENCE, &mut self.done)
            .await
            .expect("the operator ends when it is asked to")
            .expect("the operator runs until then");
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The times of an operator under test: short waits, and a resync that is not waited for.
pub fn pace() -> Pace {
    Pace {
        poll_min: Duration::from_millis(10),
        poll_max: Duration::from_millis(200),
        retry_min: Duration::from_millis(50),
        retry_max: Duration::from_millis(500),
        resync: Duration::from_secs(600),
        recheck: Duration::from_millis(200),
        deadline: Duration::from_secs(20),
    }
}

/// A namespace with back-ends of its own.
pub struct World {
    pub namespace: String,
    pub admin: Client,
    pub backends: Backends,
    pub pool: Pool,
    /// API server address for the operator, when it goes through something.
    pub operator_kubeconfig: PathBuf,
    pub pace: Pace,
    /// Its operators serve all namespaces: only on a cluster of its own.
    pub everywhere: bool,
}

impl World {
    /// A world whose back-ends behave as told.
    pub async fn with(options: BackendsOptions, pool: Pool) -> Self {
        let shared = shared().await;
        Self::on(&shared.admin, &shared.operator, options, pool, json!({})).await
    }

    /// A world in which objects come without the finalizer, as on a cluster without the chart's policy.
    pub async fn unheld(options: BackendsOptions, pool: Pool) -> Self {
        let shared = shared().await;
        let labels = json!({UNHELD: "true"});
        Self::on(&shared.admin, &shared.operator, options, pool, labels).await
    }

    /// A world on a cluster of its own.
    pub async fn on_cluster(cluster: &Cluster, options: BackendsOptions, pool: Pool) -> Self {
        Self::on(
            cluster.admin_kubeconfig(),
            cluster.operator_kubeconfig(),
            options,
            pool,
            json!({}),
        )
        .await
    }

    async fn on(admin: &Path, operator: &Path, options: BackendsOptions, pool: Pool, labels: Value) -> Self {
        let number = WORLDS.fetch_add(1, Ordering::SeqCst);
        let namespace = format!("world-{number}");
        let pool = Pool {
            name: format!("w{number}-"),
            ..pool
        };
        let admin = client(admin).await;
        let backends = Backends::start(options).await.unwrap();
        let world = Self {
            namespace: namespace.clone(),
            admin,
            backends,
            pool,
            operator_kubeconfig: operator.to_owned(),
            pace: pace(),
            everywhere: false,
        };
        let metadata = json!({"name": namespace, "labels": labels});
        world
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
            .await;
        for mut object in foundations(&world.backends, &world.pool) {
            // The operators of other worlds shall leave these back-ends alone.
            if let Some(allowed) = object.pointer_mut("/spec/allowedNamespaces") {
                *allowed = json!([world.namespace]);
            }
            world.apply(&object).await;
        }
        world.apply(&world.manifest_of_plan()).await;
        world
    }

    /// A world with well-behaved back-ends.
    pub async fn new() -> Self {
        Self::with(BackendsOptions::default(), Pool::default()).await
    }

    /// Name of the world's Plan.
    pub fn plan(&self) -> String {
        format!("{}basic", self.pool.name)
    }

    /// Name of one of the world's Providers.
    pub fn provider(&self, name: &str) -> String {
        format!("{}{name}", self.pool.name)
    }

    /// Starts an operator for this namespace.
    pub async fn operator(&self) -> Operator {
        self.operator_behind(Arc::new(AlwaysOpen)).await
    }

    /// Starts an operator that writes only while the fence is open.
    pub async fn operator_behind(&self, fence: Arc<dyn Fence>) -> Operator {
        self.start(None, fence).await
    }

    /// Starts an operator whose logs are kept, down to the last detail.
    pub async fn operator_with_logs(&self) -> (Operator, Logs) {
        let logs = Logs::default();
        (
            self.start(Some((logs.clone(), tracing::Level::TRACE)), Arc::new(AlwaysOpen))
                .await,
            logs,
        )
    }

    /// Starts an operator of which only warnings and errors are kept.
    pub async fn operator_with_warnings(&self) -> (Operator, Logs) {
        let logs = Logs::default();
        let kept = Some((logs.clone(), tracing::Level::WARN));
        (self.start(kept, Arc::new(AlwaysOpen)).await, logs)
    }

    /// Settings of its operators.
    pub fn settings(&self, fence: Arc<dyn Fence>) -> Settings {
        Settings {
            cluster: self.namespace.parse().unwrap(),
            namespace: OPERATOR_NAMESPACE.to_owned(),
            watch_namespace: (!self.everywhere).then(|| self.namespace.clone()),
            concurrency: 32,
            pace: self.pace,
            site_metrics: true,
            fence,
        }
    }

    async fn start(&self, logs: Option<(Logs, tracing::Level)>, fence: Arc<dyn Fence>) -> Operator {
        let settings = self.settings(fence);
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).enable_all();
        if let Some((logs, level)) = logs {
            // For the threads of this operator only: those of other tests go on in silence.
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(level)
                .with_ansi(false)
                .with_writer(move || logs.clone())
                .finish();
            let dispatch = tracing::Dispatch::new(subscriber);
            builder.on_thread_start(move || {
                std::mem::forget(tracing::dispatcher::set_default(&dispatch));
            });
        }
        let runtime = builder.build().unwrap();
        let (trigger, shutdown) = Shutdown::manual();
        let metrics = Metrics::new();
        let (finished, done) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let kubeconfig = self.operator_kubeconfig.clone();
        let counted = metrics.clone();
        runtime.spawn(async move {
            let client = client(&kubeconfig).await;
            let ready = || {
                let _ = ready.send(());
            };
            operator::run(client, settings, counted, ready, shutdown).await;
            let _ = finished.send(());
        });
        tokio::time::timeout(PATIENCE, is_ready)
            .await
            .expect("the operator fills its caches")
            .expect("the operator runs");
        Operator {
            runtime: Some(runtime),
            trigger,
            done,
            metrics,
        }
    }

    /// Sites of this world.
    pub fn sites(&self) -> Api<WordPressSite> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// A site's manifest.
    pub fn site(&self, name: &str) -> Value {
        site(
            &self.namespace,
            name,
            &format!("{}-{name}", self.namespace),
            &self.plan(),
        )
    }

    /// Zones of this world.
    pub fn zones(&self) -> Api<DnsZone> {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }

    /// A zone's manifest; its name belongs to this world, and so does its object's.
    pub fn zone(&self, provider: &str, records: Value) -> Value {
        json!({
            "apiVersion": "hostwright.dev/v1alpha1",
            "kind": "DnsZone",
            "metadata": {"name": "zone", "namespace": self.namespace},
            "spec": {
                "zone": self.zone_name(),
                "provider": self.provider(provider),
                "verifyNameservers": false,
                "createDefaults": false,
                "records": records,
            },
        })
    }

    /// Name of this world's zone.
    pub fn zone_name(&self) -> String {
        format!("{}.example", self.namespace)
    }

    /// A zone's status.
    pub async fn zone_status(&self, name: &str) -> DnsZoneStatus {
        self.zones().get(name).await.unwrap().status.unwrap_or_default()
    }

    /// Waits until a condition of a zone has a status and speaks of the present spec; returns the whole status.
    pub async fn wait_for_zone(&self, name: &str, kind: &str, state: &str) -> DnsZoneStatus {
        eventually(&format!("zone {name} {kind}={state}"), || async {
            let zone = self.zones().get(name).await.unwrap();
            let generation = zone.metadata.generation;
            let status = zone.status.unwrap_or_default();
            let found = status.conditions.iter().any(|condition| {
                condition.type_ == kind
                    && condition.status == state
                    && condition.observed_generation == generation
            });
            if found {
                Ok(status)
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await
    }

    /// Merges a patch into a zone's object.
    pub async fn patch_zone(&self, name: &str, patch: Value) {
        self.zones()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Sets the annotation that asks for a pass of a zone.
    pub async fn ask_for_a_zone_pass(&self, name: &str, token: &str) {
        let patch = json!({"metadata": {"annotations": {hostwright::api::RECONCILE_AT_ANNOTATION: token}}});
        self.patch_zone(name, patch).await;
    }

    /// Waits until a zone's status is as asked.
    pub async fn wait_for_zone_status(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&DnsZoneStatus) -> bool,
    ) -> DnsZoneStatus {
        eventually(&format!("zone {name}: {what}"), || async {
            let status = self.zone_status(name).await;
            if holds(&status) {
                Ok(status)
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await
    }

    /// Deletes a zone's object and waits until it is gone.
    pub async fn remove_zone(&self, name: &str) {
        self.zones().delete(name, &DeleteParams::default()).await.unwrap();
        eventually(&format!("zone {name} is gone"), || async {
            match self.zones().get_opt(name).await.unwrap() {
                None => Ok(()),
                Some(zone) => Err(format!("{:?}", zone.status)),
            }
        })
        .await;
    }

    /// Applies any object.
    pub async fn apply(&self, object: &Value) {
        self.try_apply(object).await.unwrap();
    }

    /// Applies any object, or tells why not.
    pub async fn try_apply(&self, object: &Value) -> kube::Result<Value> {
        let text = |path: &str| {
            object
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (version, kind) = (text("/apiVersion"), text("/kind"));
        let collection = format!("{}s", kind.to_lowercase());
        let base = if version.contains('/') {
            format!("/apis/{version}")
        } else {
            format!("/api/{version}")
        };
        let scope = match text("/metadata/namespace") {
            namespace if namespace.is_empty() => String::new(),
            namespace => format!("/namespaces/{namespace}"),
        };
        let url = format!("{base}{scope}/{collection}");
        let params = PatchParams::apply("test").force();
        let request =
            kube::core::Request::new(url).patch(&text("/metadata/name"), &params, &Patch::Apply(object));
        self.admin.request(request.unwrap()).await
    }

    /// A site's status.
    pub async fn status(&self, name: &str) -> WordPressSiteStatus {
        self.sites().get(name).await.unwrap().status.unwrap_or_default()
    }

    /// Waits until a condition of a site has a status; returns the whole status.
    pub async fn wait_for(&self, name: &str, kind: &str, state: &str) -> WordPressSiteStatus {
        eventually(&format!("{name} {kind}={state}"), || async {
            let status = self.status(name).await;
            match status
                .conditions
                .iter()
                .any(|c| c.type_ == kind && c.status == state)
            {
                true => Ok(status),
                false => Err(format!("{status:?}")),
            }
        })
        .await
    }

    /// Waits until a condition of a site has a reason; returns its message.
    pub async fn wait_for_reason(&self, name: &str, kind: &str, reason: &str) -> String {
        eventually(&format!("{name} {kind} with reason {reason}"), || async {
            let status = self.status(name).await;
            let found = status
                .conditions
                .iter()
                .find(|c| c.type_ == kind && c.reason == reason);
            found.map(|c| c.message.clone()).ok_or(format!("{status:?}"))
        })
        .await
    }

    /// Waits until a site has come to a phase and its conditions speak of the present spec; returns the whole status.
    pub async fn wait_for_phase(&self, name: &str, phase: Phase) -> WordPressSiteStatus {
        eventually(&format!("{name} is {phase:?}"), || async {
            let site = self.sites().get(name).await.unwrap();
            let status = site.status.unwrap_or_default();
            let current = status.observed_generation == site.metadata.generation && status.tasks.is_empty();
            let said = |reason: &str| {
                let of = |c: &&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| c.type_ == "Ready";
                status
                    .conditions
                    .iter()
                    .find(of)
                    .is_some_and(|c| c.reason == reason)
            };
            let arrived = match phase {
                Phase::Running => said("Ready"),
                Phase::Stopped | Phase::Suspended => said(&format!("{phase:?}")),
                _ => true,
            };
            match current && arrived && status.phase == Some(phase) {
                true => Ok(status),
                false => Err(format!("{status:?}")),
            }
        })
        .await
    }

    /// Waits until a site's status is as asked.
    pub async fn wait_for_status(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&WordPressSiteStatus) -> bool,
    ) -> WordPressSiteStatus {
        eventually(&format!("{name}: {what}"), || async {
            let status = self.status(name).await;
            match holds(&status) {
                true => Ok(status),
                false => Err(format!("{status:?}")),
            }
        })
        .await
    }

    /// Asks for a site's deletion.
    pub async fn delete(&self, name: &str) {
        self.sites().delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until a site is gone from the API server.
    pub async fn wait_until_gone(&self, name: &str) {
        eventually(&format!("{name} is gone"), || async {
            match self.sites().get_opt(name).await.unwrap() {
                None => Ok(()),
                Some(site) => Err(format!("{:?} {:?}", site.finalizers(), site.status)),
            }
        })
        .await
    }

    /// Merges a patch into a site.
    pub async fn patch(&self, name: &str, patch: Value) {
        self.sites()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Merges a patch into a site without storing the result, or tells why that would be refused.
    pub async fn try_patch(&self, name: &str, patch: Value) -> Result<WordPressSite, String> {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        match self.sites().patch(name, &params, &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            other => Ok(other.unwrap()),
        }
    }

    /// Merges a patch into one of the world's Providers.
    pub async fn patch_provider(&self, name: &str, patch: Value) {
        let api: Api<Provider> = Api::all(self.admin.clone());
        let name = self.provider(name);
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Merges a patch into the world's Plan.
    pub async fn patch_plan(&self, patch: Value) {
        let api: Api<Plan> = Api::all(self.admin.clone());
        api.patch(&self.plan(), &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Merges a patch into the Secret of one of the world's Providers.
    pub async fn patch_secret(&self, name: &str, patch: Value) {
        let name = self.provider(name);
        self.secrets()
            .patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// Secrets of the operator's namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.admin.clone(), OPERATOR_NAMESPACE)
    }

    /// Deletes a Provider of the world and returns its manifest.
    pub async fn take_provider(&self, name: &str) -> Value {
        let api: Api<Provider> = Api::all(self.admin.clone());
        api.delete(&self.provider(name), &DeleteParams::default())
            .await
            .unwrap();
        self.manifest("Provider", name)
    }

    /// One of the world's foundations as it was applied at the start.
    pub fn manifest(&self, kind: &str, name: &str) -> Value {
        let name = self.provider(name);
        let all = foundations(&self.backends, &self.pool);
        let mut found = all
            .into_iter()
            .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.next().unwrap()
    }

    /// The world's Plan as it was applied at the start.
    pub fn manifest_of_plan(&self) -> Value {
        plan(&self.plan(), &self.pool, 2048, 20, true)
    }

    /// Status of one of the world's Providers.
    pub async fn provider_status(&self, name: &str) -> ProviderStatus {
        let api: Api<Provider> = Api::all(self.admin.clone());
        let provider = api.get(&self.provider(name)).await.unwrap();
        provider.status.unwrap_or_default()
    }

    /// Waits until a Provider's status is as asked.
    pub async fn wait_for_provider(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&ProviderStatus) -> bool,
    ) -> ProviderStatus {
        eventually(&format!("Provider {name}: {what}"), || async {
            let status = self.provider_status(name).await;
            if holds(&status) {
                Ok(status)
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await
    }

    /// Sets the annotation that asks for a pass.
    pub async fn ask_for_a_pass(&self, name: &str, token: &str) {
        let patch = json!({"metadata": {"annotations": {hostwright::api::RECONCILE_AT_ANNOTATION: token}}});
        self.patch(name, patch).await;
    }

    /// Sets or removes the annotation that pauses a site.
    pub async fn pause(&self, name: &str, paused: bool) {
        let value = if paused { json!("true") } else { Value::Null };
        let patch = json!({"metadata": {"annotations": {hostwright::api::PAUSED_ANNOTATION: value}}});
        self.patch(name, patch).await;
    }

    /// Events of the namespace about an object of this name, oldest first, as `reason: note`.
    pub async fn events(&self, name: &str) -> Vec<String> {
        let api: Api<Event> = Api::namespaced(self.admin.clone(), &self.namespace);
        let all = api.list(&ListParams::default()).await.unwrap();
        let mut events: Vec<(Option<jiff::Timestamp>, String)> = all
            .into_iter()
            .filter(|event| event.involved_object.name.as_deref() == Some(name))
            .map(|event| {
                let text = format!(
                    "{}: {}",
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default()
                );
                (event.event_time.map(|time| time.0), text)
            })
            .collect();
        events.sort();
        events.into_iter().map(|(_, text)| text).collect()
    }

    /// Waits for a refusal: `Synced` and `Ready` are both false for this reason, and the message names all of
    /// `words`.
    pub async fn wait_for_refusal(&self, name: &str, reason: &str, words: &[&str]) {
        let what = format!("{name} is refused: {reason} with {words:?}");
        eventually(&what, || async {
            let status = self.status(name).await;
            let refused = |kind: &str| {
                status.conditions.iter().any(|c| {
                    let said = words.iter().all(|word| c.message.contains(word));
                    c.type_ == kind && c.status == "False" && c.reason == reason && said
                })
            };
            if refused("Synced") && refused("Ready") {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await;
    }

    /// The end of a test after which nothing may be left.
    pub async fn end(self, operator: Operator) {
        assert_eq!(self.backends.leftovers(), Vec::<String>::new());
        operator.stop().await;
        self.close().await;
    }

    /// Removes the world's cluster-wide objects, so that other worlds' operators do not ask for dead back-ends.
    pub async fn close(self) {
        for name in ["pve", "npm", "cloudflare", "ispconfig"] {
            let name = self.provider(name);
            let providers: Api<hostwright::api::Provider> = Api::all(self.admin.clone());
            let _ = providers.delete(&name, &DeleteParams::default()).await;
        }
    }
}
