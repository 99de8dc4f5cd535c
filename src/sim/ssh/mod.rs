//! A node's SSH server with just enough of `pct exec` to install WordPress in simulated containers.
//!
//! A real SSH server with key exchange, host key and public-key log-in. It takes exactly
//! `pct exec N -- bash -s`, reads standard input to its end, finds the site's names in it and speaks
//! pve-container's own sentences when it refuses. It records runs, never what was sent.

mod connection;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use self::connection::Visitor;
use super::directory::ContainerDirectory;
use super::faults::{Ends, Faults};

/// Octets of an ed25519 seed (RFC 8032 5.1.5).
const SEED_OCTETS: usize = 32;

/// How a run in a container ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The script does its work.
    Finish,
    /// The script ends with its sentence and this status, as it would: 1 for another try, 3 for none.
    Fail {
        /// Name of the step.
        step: String,
        /// What it says.
        sentence: String,
        /// Exit status.
        status: u32,
    },
    /// The connection breaks after so many bytes of standard input.
    Cut {
        /// Bytes taken before.
        after_bytes: usize,
    },
    /// Nothing comes back.
    Hang,
}

/// What the server is.
pub struct SshOptions {
    /// Name of the node that it stands for.
    pub node: String,
    /// Where it listens; port 0 picks one.
    pub address: SocketAddr,
    /// The public key that may log in, as a line of `authorized_keys`.
    pub authorized_key: String,
    /// The containers; without them every number is a running container of this node.
    pub directory: Option<Arc<dyn ContainerDirectory>>,
    /// How long the script works.
    pub run_time: Duration,
    /// How runs end, until [`SshSim::set_outcome`] says otherwise.
    pub outcome: Outcome,
    /// Faults, counts and the tripwire.
    pub faults: Faults,
}

/// A running server. Dropping it closes its connections.
pub struct SshSim {
    address: SocketAddr,
    host_key: String,
    node: Arc<NodeState>,
    /// Faults and counts; a run counts as `EXEC /pct/exec/*`.
    pub faults: Faults,
    accepting: JoinHandle<()>,
}

/// What the connections share.
pub(crate) struct NodeState {
    name: String,
    authorized: PublicKey,
    directory: Option<Arc<dyn ContainerDirectory>>,
    run_time: Duration,
    outcome: Mutex<Outcome>,
    faults: Faults,
    runs: Mutex<BTreeMap<u32, u64>>,
    inputs: Mutex<BTreeMap<u32, BTreeSet<u64>>>,
    announced: Mutex<BTreeMap<u32, BTreeSet<String>>>,
    work: Mutex<JoinSet<()>>,
    sockets: Mutex<BTreeMap<u64, std::net::TcpStream>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn generated_key() -> io::Result<PrivateKey> {
    let mut seed = [0; SEED_OCTETS];
    getrandom::fill(&mut seed).map_err(io::Error::other)?;
    let pair = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&seed);
    Ok(PrivateKey::from(pair))
}

impl SshSim {
    /// Starts a server with a host key of its own.
    ///
    /// # Errors
    /// When the address cannot be bound or the authorized key cannot be read.
    pub async fn start(options: SshOptions) -> io::Result<Self> {
        let key = generated_key()?;
        let host_key = key.public_key().to_openssh().map_err(io::Error::other)?;
        let authorized = PublicKey::from_openssh(&options.authorized_key).map_err(io::Error::other)?;
        let listener = TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let node = Arc::new(NodeState {
            name: options.node,
            authorized,
            directory: options.directory,
            run_time: options.run_time,
            outcome: Mutex::new(options.outcome),
            faults: options.faults.clone(),
            runs: Mutex::default(),
            inputs: Mutex::default(),
            announced: Mutex::default(),
            work: Mutex::default(),
            sockets: Mutex::default(),
        });
        let config = russh::server::Config {
            keys: vec![key],
            // Tests meet refusals on purpose and need not wait for them as an attacker would.
            auth_rejection_time: Duration::from_millis(1),
            inactivity_timeout: None,
            nodelay: true,
            ..russh::server::Config::default()
        };
        let accepting = tokio::spawn(accept(listener, Arc::new(config), Arc::clone(&node)));
        Ok(Self {
            address,
            host_key,
            node,
            faults: options.faults,
            accepting,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its public host key as a line of a `.pub` file.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// Decides how runs end from now on.
    pub fn set_outcome(&self, outcome: Outcome) {
        *locked(&self.node.outcome) = outcome;
    }

    /// Installing scripts that were received whole, by container.
    pub fn runs(&self) -> BTreeMap<u32, u64> {
        locked(&self.node.runs).clone()
    }

    /// Hashes of the different installing scripts that were received whole, by container: two of one container differ in a
    /// parameter or a password.
    pub fn inputs(&self) -> BTreeMap<u32, BTreeSet<u64>> {
        locked(&self.node.inputs).clone()
    }

    /// The customer's domains that WordPress was told of last, by container. A rollback does not bring the earlier
    /// ones back here, as it would outside.
    pub fn announced(&self) -> BTreeMap<u32, BTreeSet<String>> {
        locked(&self.node.announced).clone()
    }
}

impl Drop for SshSim {
    fn drop(&mut self) {
        self.accepting.abort();
        locked(&self.node.work).abort_all();
        for socket in locked(&self.node.sockets).values() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Breaks one connection without a farewell.
#[derive(Clone)]
pub(crate) struct Scissors {
    node: Arc<NodeState>,
    number: u64,
    ends: Ends,
    used: Arc<AtomicBool>,
}

impl Scissors {
    /// Who talks to whom.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    pub fn cut(&self) {
        if !self.used.swap(true, Ordering::SeqCst)
            && let Some(socket) = locked(&self.node.sockets).get(&self.number)
        {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

async fn accept(listener: TcpListener, config: Arc<russh::server::Config>, node: Arc<NodeState>) {
    let mut connections = JoinSet::new();
    let mut number = 0_u64;
    while let Ok((stream, caller)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let Ok(server) = stream.local_addr() else {
            continue;
        };
        number += 1;
        let scissors = Scissors {
            node: Arc::clone(&node),
            number,
            ends: Ends { caller, server },
            used: Arc::default(),
        };
        connections.spawn(serve(stream, Arc::clone(&config), Arc::clone(&node), scissors));
    }
}

/// Serves one connection. A second handle of its socket is kept, with which it can be cut.
async fn serve(
    stream: TcpStream,
    config: Arc<russh::server::Config>,
    node: Arc<NodeState>,
    scissors: Scissors,
) {
    let number = scissors.number;
    let Ok((stream, second)) = doubled(stream) else {
        return;
    };
    locked(&node.sockets).insert(number, second);
    let visitor = Visitor::new(Arc::clone(&node), scissors);
    if let Ok(session) = russh::server::run_stream(config, stream, visitor).await {
        // An error here is a connection that was cut, by us or by the caller.
        let _ = session.await;
    }
    locked(&node.sockets).remove(&number);
}

fn doubled(stream: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let stream = stream.into_std()?;
    let second = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, second))
}
