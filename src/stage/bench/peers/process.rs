//! A contestant as a process of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::stage::StageError;
use crate::stage::operator::usage;

/// Limit for its stop. kopf ends its timers one by one.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Lines of its log that an error shows.
const LAST_WORDS: usize = 5;
/// Begin of variables that would change Hostwright's settings.
const VARIABLES: &str = "HOSTWRIGHT_";

/// A running contestant. Dropping it kills it.
pub(super) struct Process {
    process: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it with everything that it says in a log.
    pub(super) fn start(mut command: Command, log: PathBuf) -> Result<Self, StageError> {
        let failed = |source| StageError::Io {
            what: format!("cannot start the contestant with log {}", log.display()),
            source,
        };
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(VARIABLES) || name == "POD_NAMESPACE" || name == "POD_NAME"
            {
                command.env_remove(name);
            }
        }
        command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C in a terminal is for this program, which then ends the contestant in its turn.
            .process_group(0)
            .kill_on_drop(true);
        let process = command.spawn().map_err(failed)?;
        Ok(Self { process, log })
    }

    /// Largest resident memory in MiB, and processor seconds.
    ///
    /// # Errors
    /// When it has ended, with the end of its log.
    pub(super) fn usage(&mut self) -> Result<(f64, f64), StageError> {
        if let Ok(Some(status)) = self.process.try_wait() {
            return Err(self.failure(&format!("it ended with {status}")));
        }
        let pid = self.process.id().ok_or_else(|| self.failure("it has ended"))?;
        usage(pid)
    }

    /// An error with the end of its log.
    pub(super) fn failure(&self, what: &str) -> StageError {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines
            .get(lines.len().saturating_sub(LAST_WORDS)..)
            .unwrap_or_default();
        StageError::Other(format!("{what}; it says {}", last.join(" | ")))
    }

    /// Asks it to stop and waits for that. One that does not stop in time is killed.
    pub(super) async fn stop(mut self) -> Result<(), StageError> {
        let Some(pid) = self.process.id() else {
            return Err(self.failure("it has ended by itself"));
        };
        let failed = |source| StageError::Io {
            what: "cannot stop the contestant".to_owned(),
            source,
        };
        // The shell's own `kill`: a program of that name is not on every machine.
        let mut kill = Command::new("sh");
        kill.arg("-c").arg(format!("kill -TERM {pid}"));
        kill.status().await.map_err(failed)?;
        match tokio::time::timeout(STOP_LIMIT, self.process.wait()).await {
            Ok(ended) => ended.map(drop).map_err(failed),
            Err(_) => self.process.kill().await.map_err(failed),
        }
    }
}
