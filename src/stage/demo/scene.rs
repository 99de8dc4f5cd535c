//! Everything that the demo plays with: folder, back-ends, API server, operator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::folder::{Folder, short};
use super::proof;
use crate::api::WordPressSite;
use crate::sim::faults::{Tripwire, Verdict};
use crate::sim::name_server::NameServer;
use crate::stage::operator::{OperatorOptions, OperatorProcess};
use crate::stage::{
    Backends, BackendsOptions, Cluster, ClusterOptions, PUBLIC_ADDRESS, Pool, StageError, foundations,
};

/// Namespace of the sites in `examples/`.
pub const NAMESPACE: &str = "customers";
/// Duration of a task of the container host: long enough to be seen.
const TASK_TIME: Duration = Duration::from_secs(1);
/// Duration of an installation of WordPress, which takes a minute or more in reality.
const INSTALL_TIME: Duration = Duration::from_secs(3);
/// Duration of the request for a certificate.
const CERTIFICATE_TIME: Duration = Duration::from_secs(1);
/// Quick to see tasks end and things break: a demo of minutes would be watched by nobody.
const OPERATOR_FLAGS: &[&str] = &[
    "--operator-namespace",
    crate::stage::OPERATOR_NAMESPACE,
    "--resync-interval",
    "5s",
    "--task-poll-min",
    "200ms",
    "--task-poll-max",
    "1s",
    "--log-format",
    "text",
];
/// How often the back-ends are looked at as a whole: five minutes would be watched by nobody.
const SWEEP_INTERVAL: &str = "2s";
/// File of the name server of customers' domains.
const NAMES: &str = "names";
/// Files of `examples/` that are applied, in order. Providers and their Secrets are replaced by the simulators'.
const EXAMPLES: [&str; 2] = ["namespace.yaml", "plans.yaml"];
/// Files of `examples/` with the three sites.
const SITES: [&str; 2] = ["wordpresssite.yaml", "more-sites.yaml"];

/// Sweeps that somebody watches, and a proxy that asks the demo's own name server where domains lead.
fn adapt(object: &mut Value, names: SocketAddr) {
    let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut) else {
        return;
    };
    spec.insert("sweepInterval".to_owned(), SWEEP_INTERVAL.into());
    let proxy = spec.get_mut("nginxProxyManager").and_then(Value::as_object_mut);
    if let Some(proxy) = proxy {
        proxy.insert("resolvers".to_owned(), json!([names.to_string()]));
        proxy.insert("nameserverPort".to_owned(), json!(names.port()));
    }
}

/// The moment in which the operator is killed: a creation of a container was accepted, its answer not yet sent.
#[derive(Debug, Default)]
pub struct KillPoint {
    armed: AtomicBool,
    reached: Notify,
}

impl KillPoint {
    /// From now on the next creation is the moment.
    pub fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Waits for the moment.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }
}

impl Tripwire for KillPoint {
    fn after_effect(&self, service: &str, method: &str, path: &str) -> Verdict {
        let creation = service == "proxmox" && method == "POST" && path.ends_with("/lxc");
        if creation && self.armed.swap(false, Ordering::SeqCst) {
            self.reached.notify_one();
            return Verdict::Hang;
        }
        Verdict::Answer
    }
}

/// The stage with everything on it. Dropping it ends all processes.
pub struct Scene {
    /// Files of this run.
    pub folder: Folder,
    /// The simulators.
    pub backends: Backends,
    /// The API server.
    pub cluster: Cluster,
    /// The operator, unless it was just killed.
    pub operator: Option<OperatorProcess>,
    /// The administrator's client.
    pub admin: Client,
    /// Where the operator is killed.
    pub kill_point: Arc<KillPoint>,
    /// The name server of customers' domains.
    names: NameServer,
    /// What there was outside before the operator started: other people's.
    pub before: proof::Things,
}

impl Scene {
    /// Starts everything; the sites are not there yet.
    ///
    /// # Errors
    /// When a part does not start or the examples are refused.
    pub async fn set(folder: Folder) -> Result<Self, StageError> {
        let kill_point = Arc::new(KillPoint::default());
        let backends = Backends::start(BackendsOptions {
            task_time: TASK_TIME,
            install_time: INSTALL_TIME,
            certificate_time: CERTIFICATE_TIME,
            tripwire: Some(Arc::clone(&kill_point) as Arc<dyn Tripwire>),
            ..BackendsOptions::default()
        })
        .await?;
        proof::put_foreign_things(&backends)?;
        let before = proof::Things::seen(&backends);
        let names = NameServer::start(folder.file(NAMES))
            .await
            .map_err(|error| StageError::Other(format!("the name server does not start: {error}")))?;
        let cluster = Cluster::start(&ClusterOptions::new(folder.file("cluster"))).await?;
        cluster.install().await?;
        let mut scene = Self {
            admin: cluster.admin().await?,
            folder,
            backends,
            cluster,
            operator: None,
            kill_point,
            before,
            names,
        };
        scene.write_files()?;
        scene.apply(&EXAMPLES).await?;
        // The examples name real back-ends; here the simulators take their places, under the same names.
        let mut foundations = foundations(&scene.backends, &Pool::default());
        for provider in &mut foundations {
            adapt(provider, scene.names.address());
        }
        scene.cluster.apply(&foundations).await?;
        scene.start_operator().await?;
        Ok(scene)
    }

    /// What a person in another terminal may want.
    fn write_files(&self) -> Result<(), StageError> {
        let program = self.cluster.program();
        let kubeconfig = self.cluster.admin_kubeconfig();
        let script = format!(
            "#!/bin/sh\nexec '{}' kubectl --kubeconfig '{}' \"$@\"\n",
            program.display(),
            kubeconfig.display()
        );
        self.folder.program("kubectl", &script)?;
        let path = self.edge_authority();
        std::fs::write(&path, self.backends.npm.ca_pem()).map_err(|source| StageError::Io {
            what: format!("cannot write {}", path.display()),
            source,
        })
    }

    /// File with the authority that signs the sites' certificates.
    pub fn edge_authority(&self) -> PathBuf {
        self.folder.file("edge-ca.pem")
    }

    /// File with the addresses of customers' domains, one a line as in `/etc/hosts`.
    pub fn names_file(&self) -> PathBuf {
        self.folder.file(NAMES)
    }

    /// Lets a name lead to the proxy, as a customer does it at a registrar.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn point(&self, name: &str) -> Result<(), StageError> {
        let path = self.names_file();
        let written = std::fs::write(&path, format!("{PUBLIC_ADDRESS} {name}\n"));
        written.map_err(|source| StageError::Io {
            what: format!("cannot write {}", path.display()),
            source,
        })
    }

    /// The operator's log.
    pub fn operator_log(&self) -> PathBuf {
        self.folder.file("operator.log")
    }

    /// `kubectl` of this cluster as a person would write it.
    pub fn kubectl(&self) -> String {
        short(&self.folder.file("kubectl"))
    }

    /// Starts the operator and waits until its caches are filled.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_operator(&mut self) -> Result<(), StageError> {
        let options = OperatorOptions {
            kubeconfig: self.cluster.operator_kubeconfig().to_owned(),
            log: self.operator_log(),
            cluster_id: "demo",
            flags: OPERATOR_FLAGS,
        };
        self.operator = Some(OperatorProcess::start(&options).await?);
        Ok(())
    }

    /// Applies files of `examples/`.
    async fn apply(&self, files: &[&str]) -> Result<(), StageError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let paths: Vec<String> = files
            .iter()
            .map(|file| folder.join(file).display().to_string())
            .collect();
        let mut arguments = vec!["apply", "--server-side"];
        arguments.extend(paths.iter().flat_map(|path| ["-f", path]));
        self.cluster.kubectl(&arguments, "").await.map(drop)
    }

    /// Applies the three sites of `examples/`.
    ///
    /// # Errors
    /// When the API server refuses them.
    pub async fn apply_sites(&self) -> Result<(), StageError> {
        self.apply(&SITES).await
    }

    /// All sites.
    pub fn sites(&self) -> Api<WordPressSite> {
        Api::all(self.admin.clone())
    }

    /// Ends everything in order: operator, API server, simulators. The folder stays.
    ///
    /// # Errors
    /// When the operator or the API server does not end cleanly.
    pub async fn strike(self) -> Result<(), StageError> {
        if let Some(operator) = self.operator {
            operator.stop().await?;
        }
        self.cluster.stop().await
    }
}
