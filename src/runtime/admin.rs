//! The admin server: `/metrics`, `/healthz`, `/readyz`, over plain HTTP for the cluster's inside.
//!
//! `/healthz` says that the process and its event loop are alive and nothing more, so that a back-end that is
//! down never restarts the operator. `/readyz` says that the caches are filled and work is under way.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::metrics::{CONTENT_TYPE, Metrics};
use super::shutdown::{Shutdown, ShutdownTrigger};

/// How long requests under way may take when the server stops; a scrape takes milliseconds.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// What a process waits for first.
const STARTING: &str = "starting";
/// Why a process that is ending is not ready.
const STOPPING: &str = "shutting down";

/// Whether the operator works, as `/readyz` shows it. Cloning is cheap and shares the answer.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// What is still awaited; none once ready.
    awaited: Arc<Mutex<Option<&'static str>>>,
    shutdown: Shutdown,
}

impl Readiness {
    /// Not ready yet, and not any more once `shutdown` was requested.
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            awaited: Arc::new(Mutex::new(Some(STARTING))),
            shutdown,
        }
    }

    /// Names what the start waits for, in a few words such as "waiting for the custom resource definitions".
    pub fn set_waiting(&self, reason: &'static str) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// The operator works.
    pub fn set_ready(&self) {
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why the operator does not work, or none when it does. A requested shutdown comes before all else.
    pub fn obstacle(&self) -> Option<&'static str> {
        if self.shutdown.is_requested() {
            return Some(STOPPING);
        }
        *self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running admin server; dropping it begins its stop without waiting.
#[derive(Debug)]
pub struct AdminServer {
    address: SocketAddr,
    stop: ShutdownTrigger,
    serving: JoinHandle<io::Result<()>>,
}

/// The admin server could not be started.
#[derive(Debug, thiserror::Error)]
#[error("the admin address {address} cannot be used ({source}); set HOSTWRIGHT_ADMIN_ADDRESS to a free one")]
pub struct AdminError {
    address: SocketAddr,
    source: io::Error,
}

impl AdminServer {
    /// Listens at the address (port 0 picks a free one). It keeps answering while the process drains, so
    /// that `/readyz` can say so, until [`AdminServer::stop`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(
        address: SocketAddr,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Result<Self, AdminError> {
        let failed = |source| AdminError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let (stop, stopping) = Shutdown::manual();
        let server = axum::serve(listener, router(metrics, readiness))
            .with_graceful_shutdown(async move { stopping.wait().await });
        Ok(Self {
            address: bound,
            stop,
            serving: tokio::spawn(server.into_future()),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, ends the idle ones, and gives requests under way two seconds.
    pub async fn stop(mut self) {
        self.stop.request();
        if tokio::time::timeout(STOP_LIMIT, &mut self.serving).await.is_err() {
            self.serving.abort();
            let _ = self.serving.await;
        }
    }
}

fn router(metrics: Metrics, readiness: Readiness) -> Router {
    Router::new()
        .route("/metrics", get(scrape).with_state(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
}

async fn scrape(State(metrics): State<Metrics>) -> impl IntoResponse {
    match metrics.encode() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, CONTENT_TYPE)], text),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            "the metrics could not be written\n".to_owned(),
        ),
    }
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.obstacle() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_follows_start_and_shutdown() {
        let (trigger, shutdown) = Shutdown::manual();
        let readiness = Readiness::new(shutdown);
        assert_eq!(readiness.obstacle(), Some("starting"));
        readiness.set_waiting("waiting for the caches");
        assert_eq!(readiness.clone().obstacle(), Some("waiting for the caches"));
        readiness.set_ready();
        assert_eq!(readiness.obstacle(), None);
        trigger.request();
        readiness.set_ready();
        assert_eq!(readiness.obstacle(), Some("shutting down"));
    }
}
