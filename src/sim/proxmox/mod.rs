//! A Proxmox VE cluster with a LINSTOR storage, as its API shows it.
//!
//! | module | is |
//! | --- | --- |
//! | `options` | what the cluster is like |
//! | `http`, `endpoints`, `parameters`, `schema`, `formats`, `errors` | the API's manners: token, encodings, strict schemas per release, sentences instead of codes |
//! | `state` | guests, volumes and a queue of what is going to happen |
//! | `tasks`, `work` | workers: UPIDs, late failures, lists |
//! | `create`, `destroy`, `power`, `resize`, `snapshots`, `config`, `containers` | containers, by subject |
//! | `archives` | what backup jobs made of guests, and restores from it |
//! | `storage`, `ha`, `ha_rules`, `cluster` | the rest of the cluster |
//! | `control` | what tests may see and do from outside the API |

mod archives;
mod cluster;
mod config;
mod containers;
mod control;
mod create;
mod destroy;
mod endpoints;
mod errors;
mod formats;
mod ha;
mod ha_rules;
mod http;
mod options;
mod parameters;
mod power;
mod resize;
mod schema;
mod snapshots;
mod state;
mod storage;
mod tasks;
#[cfg(test)]
mod tests;
mod work;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use tokio_rustls::TlsAcceptor;

use super::faults::Faults;
use super::server::Server;
use state::State;

pub use control::{SimContainer, SimHaResource, SimHaRule, SimSnapshot};
pub use options::{ProxmoxOptions, PveVersion, SimNode, SimStorage};
pub use tasks::TaskFault;

/// Handle on a simulated cluster; clones share it. It outlives the server, so that a cluster can lose its
/// API and get it back.
#[derive(Clone)]
pub struct ProxmoxSim {
    state: Arc<Mutex<State>>,
}

impl ProxmoxSim {
    /// A cluster without an API server.
    pub fn new(options: ProxmoxOptions) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(options))),
        }
    }

    /// A cluster with its API at `address` (port 0 picks one).
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(
        options: ProxmoxOptions,
        address: SocketAddr,
        faults: Faults,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<(Server, Self)> {
        let sim = Self::new(options);
        let server = sim.serve(address, faults, tls).await?;
        Ok((server, sim))
    }

    /// Serves the API of an existing cluster; more than one server may, as every node does.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(
        &self,
        address: SocketAddr,
        faults: Faults,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Server> {
        let router = Router::new().fallback(http::answer).with_state(self.clone());
        Server::start("proxmox", address, router, faults, tls).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
