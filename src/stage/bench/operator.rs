//! The operator as a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::stage::StageError;

/// Limit for its start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Limit for its stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// Clock ticks per second of `/proc/<pid>/stat` on Linux (`sysconf(_SC_CLK_TCK)` is 100 on every platform here).
const TICKS_PER_SECOND: f64 = 100.0;

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
    /// Starts this program's own `run` with a kubeconfig and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready in time.
    pub async fn start(kubeconfig: &Path, log: &Path) -> Result<Self, StageError> {
        let io = |source| StageError::Io {
            what: format!("cannot start the operator with log {}", log.display()),
            source,
        };
        // A port that was free a moment ago; the operator says so in its log when somebody was faster.
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(io)?
            .port();
        let output = std::fs::File::create(log).map_err(io)?;
        let mut command = Command::new(std::env::current_exe().map_err(io)?);
        command
            .arg("run")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--cluster-id")
            .arg("bench");
        command
            .args(["--task-poll-min", "20ms", "--task-poll-max", "1s"])
            .arg(format!("--admin-address=127.0.0.1:{port}"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true);
        let process = command.spawn().map_err(io)?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(rustls_config()?)
            .build()
            .map_err(|error| other(error.to_string()))?;
        let operator = Self {
            process,
            log: log.to_owned(),
            admin: format!("http://127.0.0.1:{port}"),
            http,
        };
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            let answer = operator
                .http
                .get(format!("{}/readyz", operator.admin))
                .send()
                .await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(operator);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(other(format!(
            "the operator did not become ready; it says {}",
            operator.last_words()
        )))
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

    /// The end of its log.
    pub fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .iter()
            .rev()
            .take(5)
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
        let pid = self
            .process
            .id()
            .ok_or_else(|| other("the operator has ended by itself"))?;
        let sent = Command::new("kill")
            .arg("-TERM")
            .arg(pid.to_string())
            .status()
            .await;
        sent.map_err(|error| other(format!("kill: {error}")))?;
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

/// The admin port is plain HTTP on loopback, but the client wants its TLS set up all the same.
fn rustls_config() -> Result<rustls::ClientConfig, StageError> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| other(error.to_string()))?;
    Ok(builder
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
