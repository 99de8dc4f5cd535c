//! The operator as a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::StageError;

/// Limit for its start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Limit for its stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often its start is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Clock ticks per second of `/proc/<pid>/stat` on Linux (`sysconf(_SC_CLK_TCK)` is 100 on every platform here).
const TICKS_PER_SECOND: f64 = 100.0;
/// Lines of its log that an error shows.
const LAST_WORDS: usize = 5;
/// Begin of the variables that would change its settings.
const VARIABLES: &str = "HOSTWRIGHT_";
/// Runs a program that ends with the process that started it; part of every Debian (util-linux).
const SETPRIV: &str = "/usr/bin/setpriv";

/// How the operator is started.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
    /// File that its log is appended to.
    pub log: PathBuf,
    /// Name of the cluster in owner marks.
    pub cluster_id: &'static str,
    /// More flags of `run`.
    pub flags: &'static [&'static str],
}

/// A running operator. Dropping it kills it.
pub struct OperatorProcess {
    process: Child,
    log: PathBuf,
    admin: String,
    http: reqwest::Client,
}

/// One reading of its metrics.
pub struct Scrape(String);

impl Scrape {
    /// A metric without labels; nothing when it is not there.
    pub fn value(&self, name: &str) -> Option<f64> {
        let mut lines = self.0.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// Sum of a metric over all label sets that have `kind="…"`.
    pub fn sum(&self, name: &str, kind: &str) -> f64 {
        let label = format!("kind=\"{kind}\"");
        let lines = self
            .0
            .lines()
            .filter(|line| line.starts_with(name) && line.contains(&label));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

fn other(message: impl Into<String>) -> StageError {
    StageError::Other(message.into())
}

impl OperatorProcess {
    /// Starts this program's own `run` and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready in time.
    pub async fn start(options: &OperatorOptions) -> Result<Self, StageError> {
        let own =
            std::env::current_exe().map_err(|error| other(format!("this program is unknown: {error}")))?;
        Self::start_program(&own, options, &[]).await
    }

    /// Starts `run` of the given program, with more flags, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready in time.
    pub async fn start_program(
        program: &Path,
        options: &OperatorOptions,
        flags: &[String],
    ) -> Result<Self, StageError> {
        let log = options.log.clone();
        let io = |source| StageError::Io {
            what: format!("cannot start the operator with log {}", log.display()),
            source,
        };
        let output = File::options().create(true).append(true).open(&log).map_err(io)?;
        // What an earlier run wrote is not this one's address.
        let logged = output.metadata().map_err(io)?.len();
        let mut command = command(program);
        command.arg("run").arg("--kubeconfig").arg(&options.kubeconfig);
        command.args([
            "--cluster-id",
            options.cluster_id,
            "--admin-address",
            "127.0.0.1:0",
        ]);
        command.args(options.flags).args(flags);
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| {
            name.to_string_lossy().starts_with(VARIABLES) || name == "POD_NAMESPACE" || name == "POD_NAME"
        }) {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            // Ctrl-C in a terminal is for this program, which then ends the operator in its turn.
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn().map_err(io)?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(rustls_config()?)
            .build()
            .map_err(|error| other(error.to_string()))?;
        let mut operator = Self {
            process,
            log,
            admin: String::new(),
            http,
        };
        operator.wait_until_ready(logged).await?;
        Ok(operator)
    }

    async fn wait_until_ready(&mut self, logged: u64) -> Result<(), StageError> {
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            if let Some(status) = self.ended() {
                return Err(other(format!(
                    "the operator ended at its start with {status}; it says {}",
                    self.last_words()
                )));
            }
            if self.admin.is_empty() {
                self.admin = admin_address(&self.log, logged).unwrap_or_default();
            } else {
                let answer = self.http.get(format!("{}/readyz", self.admin)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return Ok(());
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(other(format!(
            "the operator did not become ready within {} s; it says {}",
            START_LIMIT.as_secs(),
            self.last_words()
        )))
    }

    /// Its process id; nothing after its end.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Ends it with SIGKILL, in the middle of whatever it is doing.
    ///
    /// # Errors
    /// When it had ended before.
    pub async fn kill(mut self) -> Result<(), StageError> {
        let failed = |error: std::io::Error| other(format!("the operator cannot be killed: {error}"));
        self.process.kill().await.map_err(failed)
    }

    /// Sends it a signal by its short name, such as `STOP`.
    ///
    /// # Errors
    /// When it has ended.
    pub async fn signal(&self, name: &str) -> Result<(), StageError> {
        let pid = self
            .process
            .id()
            .ok_or_else(|| other("the operator has ended by itself"))?;
        // The shell's own `kill`: a program of that name is not on every machine.
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {pid}"))
            .status()
            .await;
        sent.map(drop).map_err(|error| other(format!("kill: {error}")))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end within the limit.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus, StageError> {
        match tokio::time::timeout(limit, self.process.wait()).await {
            Ok(ended) => ended.map_err(|error| other(error.to_string())),
            Err(_) => Err(other(format!("the operator did not end within {limit:?}"))),
        }
    }

    /// Its metrics.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn scrape(&self) -> Result<Scrape, StageError> {
        let gone = |_| {
            other(format!(
                "the operator does not answer; it says {}",
                self.last_words()
            ))
        };
        let answer = self
            .http
            .get(format!("{}/metrics", self.admin))
            .send()
            .await
            .map_err(gone)?;
        Ok(Scrape(answer.text().await.map_err(gone)?))
    }

    /// Largest resident memory in MiB, and processor seconds.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn usage(&self) -> Result<(f64, f64), StageError> {
        let pid = self.process.id().ok_or_else(|| other("the operator has ended"))?;
        usage(pid)
    }

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .iter()
            .rev()
            .take(LAST_WORDS)
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .join(" | ")
    }

    /// Asks it to stop and waits for that.
    ///
    /// # Errors
    /// When it does not stop in time or not cleanly.
    pub async fn stop(mut self) -> Result<(), StageError> {
        self.signal("TERM").await?;
        let ended = tokio::time::timeout(STOP_LIMIT, self.process.wait()).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(other(format!(
                "the operator ended with {status}; it says {}",
                self.last_words()
            ))),
            Ok(Err(error)) => Err(other(error.to_string())),
            Err(_) => Err(other("the operator did not stop in time")),
        }
    }
}

/// Largest resident memory of a process in MiB, and its processor seconds.
///
/// # Errors
/// When the process is gone.
pub(super) fn usage(pid: u32) -> Result<(f64, f64), StageError> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|error| other(error.to_string()))
    };
    let status = read("status")?;
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<f64>()
            .ok()
    });
    let stat = read("stat")?;
    // Fields 14 and 15 (proc(5)), counted behind the command's closing bracket, which ends field 2.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = [11, 12]
        .iter()
        .filter_map(|at| fields.get(*at)?.parse::<f64>().ok())
        .sum::<f64>();
    Ok((peak.unwrap_or_default() / 1024.0, ticks / TICKS_PER_SECOND))
}

/// A program, to be ended by the system if this process ends without a word.
pub(super) fn command(program: &Path) -> Command {
    if !Path::new(SETPRIV).exists() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV);
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Where the operator says that its admin server listens, in what its log has after so many bytes.
fn admin_address(log: &Path, after: u64) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(text.get(usize::try_from(after).ok()?..)?).into_owned();
    let line = text
        .lines()
        .find(|line| line.contains("the admin server listens"))?;
    let (_, address) = line.split_once("address=")?;
    Some(format!("http://{}", address.split_whitespace().next()?))
}

/// The admin port is plain HTTP on loopback, but the client wants its TLS set up all the same.
fn rustls_config() -> Result<rustls::ClientConfig, StageError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| other(error.to_string()))?;
    Ok(builder
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
