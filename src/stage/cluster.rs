//! The API server of the stage, as a process that ends with this one.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::Instant;

use crate::api::{DnsZone, FINALIZER};

/// Limit for the start of the API server; it takes some 4 s on two idle cores.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Limit for the chart's policies to work. The API server looks every 5 s for new definitions.
const POLICY_LIMIT: Duration = Duration::from_secs(60);
/// How often is looked whether they do.
const POLICY_LOOK: Duration = Duration::from_millis(50);
/// The chart's policy that puts our finalizer on new objects, by its kind and as `kubectl` takes it.
const POLICY_KIND: &str = "kind: MutatingAdmissionPolicy\n";
const POLICIES: &str = "mutatingadmissionpolicies,mutatingadmissionpolicybindings";
/// Limit for stopping it.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The stage could not be set.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A program of the stage is missing.
    #[error("{0} is missing; run `make devcluster`")]
    Missing(PathBuf),
    /// A file or process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: io::Error,
    },
    /// The Kubernetes API refused.
    #[error("the API server refused: {0}")]
    Api(#[from] Box<kube::Error>),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<kube::Error> for StageError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> StageError {
    let what = what.into();
    move |source| StageError::Io { what, source }
}

/// How the cluster is started.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Folder for its data, logs and kubeconfigs.
    pub folder: PathBuf,
    /// Folder with the programs `devcluster` and the rendered chart, by default `target/devcluster`.
    pub programs: PathBuf,
    /// A line for every request to the API server.
    pub audit_log: Option<PathBuf>,
}

impl ClusterOptions {
    /// A cluster in `folder`, with the programs where the Makefile builds them.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let programs = std::env::var_os("HOSTWRIGHT_DEVCLUSTER").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/devcluster"),
            PathBuf::from,
        );
        Self {
            folder: folder.into(),
            programs,
            audit_log: None,
        }
    }
}

/// What the supervisor writes about the cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    server: String,
    admin_kubeconfig: PathBuf,
    operator_kubeconfig: PathBuf,
    apiserver_pid: u32,
}

/// A running API server with its controller-manager. Dropping it ends both.
#[derive(Debug)]
pub struct Cluster {
    process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    state: State,
    programs: PathBuf,
}

impl Cluster {
    /// Starts the cluster and waits until it serves.
    ///
    /// # Errors
    /// When the program is missing, or it does not come up in time.
    pub async fn start(options: &ClusterOptions) -> Result<Self, StageError> {
        let program = options.programs.join("devcluster");
        if !program.exists() {
            return Err(StageError::Missing(program));
        }
        std::fs::create_dir_all(&options.folder)
            .map_err(failed(format!("cannot make {}", options.folder.display())))?;
        let mut command = Command::new(&program);
        command
            .arg("up")
            .arg("--dir")
            .arg(&options.folder)
            .arg("--exit-with-stdin");
        if let Some(audit_log) = &options.audit_log {
            command.arg("--audit-log").arg(audit_log);
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C in a terminal is for this program, which then ends the cluster in its turn.
            .process_group(0)
            .kill_on_drop(true);
        let mut process = command
            .spawn()
            .map_err(failed(format!("cannot start {}", program.display())))?;
        let (Some(commands), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(StageError::Other("the cluster's process has no pipes".to_owned()));
        };
        let mut answers = BufReader::new(output).lines();
        let path = answer(&mut answers, "ready", START_LIMIT).await?;
        let text = std::fs::read(&path).map_err(failed(format!("cannot read {path}")))?;
        let state =
            serde_json::from_slice(&text).map_err(|error| StageError::Other(format!("{path}: {error}")))?;
        Ok(Self {
            process,
            commands,
            answers,
            state,
            programs: options.programs.clone(),
        })
    }

    /// Address of the API server.
    pub fn server(&self) -> &str {
        &self.state.server
    }

    /// Process id of the API server at its first start.
    pub fn apiserver_pid(&self) -> u32 {
        self.state.apiserver_pid
    }

    /// Kubeconfig of the administrator.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.state.admin_kubeconfig
    }

    /// Kubeconfig of the operator, with the rights that the chart ships.
    pub fn operator_kubeconfig(&self) -> &Path {
        &self.state.operator_kubeconfig
    }

    /// The program that is also `kubectl`.
    pub fn program(&self) -> PathBuf {
        self.programs.join("devcluster")
    }

    /// A client of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn admin(&self) -> Result<Client, StageError> {
        client(&self.state.admin_kubeconfig).await
    }

    /// A client of the operator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be used.
    pub async fn operator(&self) -> Result<Client, StageError> {
        client(&self.state.operator_kubeconfig).await
    }

    /// Stops the API server and leaves its data.
    ///
    /// # Errors
    /// When it does not stop in time.
    pub async fn stop_apiserver(&mut self) -> Result<(), StageError> {
        self.command("stop-apiserver", "stopped", STOP_LIMIT).await
    }

    /// Starts the API server again at the same address.
    ///
    /// # Errors
    /// When it does not come up in time.
    pub async fn start_apiserver(&mut self) -> Result<(), StageError> {
        self.command("start-apiserver", "ready", START_LIMIT).await
    }

    /// Ends the cluster and waits until its processes are gone. Dropping it does so at once and without waiting.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub async fn stop(self) -> Result<(), StageError> {
        let Self {
            mut process,
            commands,
            answers: _answers,
            ..
        } = self;
        // The end of its input is its order to end.
        drop(commands);
        match tokio::time::timeout(STOP_LIMIT, process.wait()).await {
            Ok(ended) => ended.map(drop).map_err(failed("the cluster")),
            Err(_) => Err(StageError::Other(format!(
                "the cluster did not end within {} s",
                STOP_LIMIT.as_secs()
            ))),
        }
    }

    async fn command(&mut self, command: &str, answered: &str, limit: Duration) -> Result<(), StageError> {
        self.commands
            .write_all(format!("{command}\n").as_bytes())
            .await
            .map_err(failed(command))?;
        self.commands.flush().await.map_err(failed(command))?;
        answer(&mut self.answers, answered, limit).await.map(drop)
    }

    /// Applies the resource definitions, the chart's rights and its policies, and waits until they hold.
    ///
    /// # Errors
    /// When `kubectl` fails.
    pub async fn install(&self) -> Result<(), StageError> {
        let definitions = crate::api::crds::files().map_err(StageError::Other)?;
        let text: Vec<String> = definitions.into_iter().map(|file| file.text).collect();
        self.kubectl(&["apply", "--server-side", "-f", "-"], &text.join("---\n"))
            .await?;
        self.kubectl(
            &[
                "wait",
                "--for=condition=Established",
                "crd",
                "--all",
                "--timeout=60s",
            ],
            "",
        )
        .await?;
        let namespace = super::OPERATOR_NAMESPACE;
        self.kubectl(&["create", "namespace", namespace], "").await?;
        let rights = self.programs.join("rights.yaml");
        if !rights.exists() {
            return Err(StageError::Missing(rights));
        }
        let rights = std::fs::read_to_string(&rights).map_err(failed("cannot read the chart's rights"))?;
        self.kubectl(&["apply", "-n", namespace, "-f", "-"], &rights)
            .await?;
        match rights.contains(POLICY_KIND) {
            true => self.wait_for_policy(true).await,
            false => Ok(()),
        }
    }

    /// Takes away what puts our finalizer on new objects, for operators of others, which would never take it off.
    ///
    /// # Errors
    /// When `kubectl` fails.
    pub async fn remove_hold(&self) -> Result<(), StageError> {
        self.kubectl(&["delete", POLICIES, "--all"], "").await?;
        self.wait_for_policy(false).await
    }

    /// Waits until new objects come with our finalizer, or without it. Until the API server has seen the definitions of
    /// what a mutating policy is about, it refuses such objects.
    async fn wait_for_policy(&self, holds: bool) -> Result<(), StageError> {
        let namespace = super::OPERATOR_NAMESPACE;
        let zones: Api<DnsZone> = Api::namespaced(self.admin().await?, namespace);
        let zone = super::zone(namespace, "policy", "policy.example", "none");
        let zone: DnsZone =
            serde_json::from_value(zone).map_err(|error| StageError::Other(error.to_string()))?;
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let begun = Instant::now();
        loop {
            let seen = match zones.create(&dry, &zone).await {
                Ok(zone) if zone.finalizers().iter().any(|name| name == FINALIZER) == holds => return Ok(()),
                Ok(zone) => format!("a new object has the finalizers {:?}", zone.finalizers()),
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > POLICY_LIMIT {
                let seconds = POLICY_LIMIT.as_secs();
                return Err(StageError::Other(format!(
                    "the chart's policy does not do its part within {seconds} s: {seen}"
                )));
            }
            tokio::time::sleep(POLICY_LOOK).await;
        }
    }

    /// Applies objects.
    ///
    /// # Errors
    /// When `kubectl` fails.
    pub async fn apply(&self, objects: &[Value]) -> Result<(), StageError> {
        let text: Vec<String> = objects.iter().map(Value::to_string).collect();
        self.kubectl(&["apply", "--server-side", "-f", "-"], &text.join("\n---\n"))
            .await
            .map(drop)
    }

    /// Runs `kubectl` as the administrator with `input` on its standard input; the output on success.
    ///
    /// # Errors
    /// With its error output when it fails.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, StageError> {
        let mut command = Command::new(self.program());
        command
            .arg("kubectl")
            .arg("--kubeconfig")
            .arg(&self.state.admin_kubeconfig)
            .args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut process = command.spawn().map_err(failed("cannot start kubectl"))?;
        if let Some(mut stdin) = process.stdin.take() {
            // A kubectl that does not read its input closes it early.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let output = process.wait_with_output().await.map_err(failed("kubectl"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(StageError::Other(format!(
                "kubectl {}: {}",
                arguments.join(" "),
                said.trim()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

async fn client(kubeconfig: &Path) -> Result<Client, StageError> {
    let path = kubeconfig.display();
    let read =
        Kubeconfig::read_from(kubeconfig).map_err(|error| StageError::Other(format!("{path}: {error}")))?;
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| StageError::Other(format!("{path}: {error}")))?;
    Ok(Client::try_from(config)?)
}

/// Waits for the line that begins with a word, and returns what follows it.
async fn answer(
    lines: &mut Lines<BufReader<ChildStdout>>,
    word: &str,
    limit: Duration,
) -> Result<String, StageError> {
    let search = async {
        while let Some(line) = lines
            .next_line()
            .await
            .map_err(failed("cannot read the cluster's answer"))?
        {
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
        Err(StageError::Other(format!(
            "the cluster ended before it said {word}; its reason stands above"
        )))
    };
    let late = |_| {
        StageError::Other(format!(
            "the cluster did not say {word} within {} s",
            limit.as_secs()
        ))
    };
    tokio::time::timeout(limit, search).await.map_err(late)?
}
