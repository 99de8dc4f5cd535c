//! One watcher for the signals that end the process, and a handle that everybody who waits can clone.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// How long work under way may take after the first signal. Kubernetes kills 30 s after it by default
/// (`terminationGracePeriodSeconds`); 5 s of these stay for the admin server, the logs and a slow node.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(25);

/// Signals that may arrive before the watcher's task has run: one begins the shutdown, one forces it.
const SIGNALS_WAITING: usize = 2;

/// Tells whether and when to stop. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: watch::Receiver<bool>,
}

/// Requests the shutdown. When the last clone is dropped the shutdown counts as requested, because nobody
/// could ask for it any more.
#[derive(Debug, Clone)]
pub struct ShutdownTrigger {
    request: watch::Sender<bool>,
}

/// A signal that ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Interrupt,
    Terminate,
}

impl Ending {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// What a shell reports for a process that the signal killed: 128 and the signal's number.
    fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }
}

impl Shutdown {
    /// A handle and its trigger, for work that ends for other reasons than a signal.
    pub fn manual() -> (ShutdownTrigger, Self) {
        let (request, requested) = watch::channel(false);
        (ShutdownTrigger { request }, Self { requested })
    }

    /// Watches SIGTERM and SIGINT from now on. The first one requests the shutdown, the second one ends the
    /// process at once. The trigger requests the same shutdown for other reasons.
    ///
    /// # Errors
    /// When the operating system refuses the handlers. Must be called inside the tokio runtime.
    pub fn on_signals() -> io::Result<(ShutdownTrigger, Self)> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (seen, signals) = mpsc::channel(SIGNALS_WAITING);
        tokio::spawn(async move {
            loop {
                let ending = tokio::select! {
                    Some(()) = interrupt.recv() => Ending::Interrupt,
                    Some(()) = terminate.recv() => Ending::Terminate,
                    else => return,
                };
                if seen.send(ending).await.is_err() {
                    return;
                }
            }
        });
        let (trigger, shutdown) = Self::manual();
        tokio::spawn(relay(signals, trigger.clone(), |code| std::process::exit(code)));
        Ok((trigger, shutdown))
    }

    /// Returns once the shutdown was requested; at once if it already was.
    pub async fn wait(&self) {
        // An error means that every trigger is gone, which is a request as well.
        let _ = self.requested.clone().wait_for(|requested| *requested).await;
    }

    /// Whether the shutdown was requested.
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow() || self.requested.has_changed().is_err()
    }
}

impl ShutdownTrigger {
    /// Requests the shutdown; again changes nothing.
    pub fn request(&self) {
        self.request.send_replace(true);
    }
}

async fn relay(mut signals: mpsc::Receiver<Ending>, trigger: ShutdownTrigger, exit: impl FnOnce(i32)) {
    let Some(first) = signals.recv().await else {
        return;
    };
    tracing::info!(
        signal = first.name(),
        "shutting down; work under way has {DRAIN_LIMIT:?}, a second signal ends it at once"
    );
    trigger.request();
    if let Some(second) = signals.recv().await {
        tracing::warn!(signal = second.name(), "second signal: ending at once");
        exit(second.exit_code());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Far more than any of these needs; only a failing test waits that long.
    const PATIENCE: Duration = Duration::from_secs(10);

    async fn soon<T>(work: impl Future<Output = T>) -> T {
        tokio::time::timeout(PATIENCE, work).await.expect("did not end")
    }

    #[tokio::test]
    async fn every_clone_hears_the_request() {
        let (trigger, shutdown) = Shutdown::manual();
        let other = shutdown.clone();
        let waiting = tokio::spawn(async move { other.wait().await });
        assert!(!shutdown.is_requested());
        trigger.request();
        trigger.request();
        soon(waiting).await.unwrap();
        soon(shutdown.wait()).await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn a_lost_trigger_is_a_request() {
        let (trigger, shutdown) = Shutdown::manual();
        drop(trigger);
        soon(shutdown.wait()).await;
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn the_first_signal_requests_and_the_second_exits() {
        let (signals, received) = mpsc::channel(SIGNALS_WAITING);
        let (trigger, shutdown) = Shutdown::manual();
        let (exited, code) = tokio::sync::oneshot::channel();
        tokio::spawn(relay(received, trigger, |code| exited.send(code).unwrap()));
        signals.send(Ending::Interrupt).await.unwrap();
        soon(shutdown.wait()).await;
        signals.send(Ending::Terminate).await.unwrap();
        assert_eq!(soon(code).await, Ok(143));
    }

    #[tokio::test]
    async fn a_real_sigterm_requests_the_shutdown() {
        let (_trigger, shutdown) = Shutdown::on_signals().unwrap();
        let sent = tokio::process::Command::new("kill")
            .args(["-TERM", &std::process::id().to_string()])
            .status();
        assert!(soon(sent).await.unwrap().success());
        soon(shutdown.wait()).await;
    }
}
