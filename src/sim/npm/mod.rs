//! Nginx Proxy Manager 2.15.1: its API on one port, what it serves to visitors on two more.
//!
//! The quirks are those of the real program: refusals that look like absence, creates that answer 500 and
//! are stored, a certbot lock, soft deletes, and an nginx that one broken host keeps from every change.

mod api;
mod certificates;
mod edge;
mod hosts;
mod nginx;
mod rows;
mod schema;
mod state;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use self::rows::Fault;
use self::state::State;
use self::tls::Authority;
use super::directory::ContainerDirectory;
use super::faults::Faults;
use super::server::Server;

/// Life of a token after a log-in.
const TOKEN_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// How the certificate authority behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeMode {
    /// It issues after a while; the real one needs about 4 s.
    Works {
        /// The while.
        delay: Duration,
    },
    /// It cannot be reached.
    Unreachable,
    /// It does not find the challenge at the names.
    ChallengeFails,
}

/// What a simulator starts with.
#[derive(Clone)]
pub struct NpmOptions {
    /// Mail address of the account that the operator uses.
    pub identity: String,
    /// Its password.
    pub secret: String,
    /// The certificate authority.
    pub acme: AcmeMode,
    /// Who knows the containers behind the hosts; without one nothing answers there.
    pub directory: Option<Arc<dyn ContainerDirectory>>,
    /// The account is no administrator and sees only what it made itself.
    pub visibility_user_only: bool,
    /// Life of a token.
    pub token_life: Duration,
    /// Time of a create or update; the real program takes 0.12 to 0.17 s, half of it for a delete.
    pub write_time: Duration,
}

impl NpmOptions {
    /// An administrator's account, an authority that issues at once, and no delays.
    pub fn new(identity: &str, secret: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            secret: secret.to_owned(),
            acme: AcmeMode::Works {
                delay: Duration::ZERO,
            },
            directory: None,
            visibility_user_only: false,
            token_life: TOKEN_LIFE,
            write_time: Duration::ZERO,
        }
    }
}

/// The program itself, behind its ports.
struct Program {
    state: Mutex<State>,
    write_time: Duration,
    directory: Option<Arc<dyn ContainerDirectory>>,
    authority: Authority,
}

impl Program {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_time(&self) -> Duration {
        self.write_time
    }
}

/// A running simulator from inside the process. Clones share it; the visitors' ports close with the last.
#[derive(Clone)]
pub struct NpmSim {
    program: Arc<Program>,
    edge: Arc<(Server, Server)>,
}

impl NpmSim {
    /// Starts the API and the two ports for visitors; port 0 picks one. The three share `faults`.
    ///
    /// # Errors
    /// When an address cannot be bound, or the simulator's certificate authority cannot be made.
    pub async fn start(
        options: NpmOptions,
        address: SocketAddr,
        edge_http: SocketAddr,
        edge_https: SocketAddr,
        faults: Faults,
    ) -> io::Result<(Server, Self)> {
        let program = Arc::new(Program {
            state: Mutex::new(State::new(&options)),
            write_time: options.write_time,
            directory: options.directory,
            authority: Authority::new().map_err(io::Error::other)?,
        });
        let plain = edge::router(Arc::clone(&program), false);
        let plain = Server::start("npm-edge", edge_http, plain, faults.clone(), None).await?;
        let secure = edge::router(Arc::clone(&program), true);
        let acceptor = tls::acceptor(&program).map_err(io::Error::other)?;
        let secure = Server::start("npm-edge", edge_https, secure, faults.clone(), Some(acceptor)).await?;
        let server = Server::start("npm", address, Arc::clone(&program).router(), faults, None).await?;
        let edge = Arc::new((plain, secure));
        Ok((server, Self { program, edge }))
    }

    /// Where visitors arrive: plain HTTP, HTTPS.
    pub fn edge_addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.edge.0.address(), self.edge.1.address())
    }

    /// The authority that signs the certificates of the HTTPS port, as PEM.
    pub fn ca_pem(&self) -> String {
        self.program.authority.pem()
    }

    /// All hosts that are not deleted, as the API shows them to an administrator.
    pub fn hosts(&self) -> Vec<Value> {
        let state = self.program.state();
        let there = state.hosts.values().filter(|host| !host.deleted);
        there.map(|host| Value::Object(host.json())).collect()
    }

    /// All certificates that are not deleted, those under request too.
    pub fn certificates(&self) -> Vec<Value> {
        let state = self.program.state();
        let there = state.certificates.values().filter(|row| !row.deleted);
        there.map(|row| Value::Object(row.json())).collect()
    }

    /// Hosts and certificates that are not deleted and were not added as foreign, in words.
    pub fn leftovers(&self) -> Vec<String> {
        let state = self.program.state();
        let hosts = state.hosts.values().filter(|host| !host.deleted && !host.foreign);
        let rows = state
            .certificates
            .values()
            .filter(|row| !row.deleted && !row.foreign);
        hosts
            .map(|host| format!("host {} {}", host.id, host.domain_names.join(" ")))
            .chain(rows.map(|row| format!("certificate {} {}", row.id, row.domain_names.join(" "))))
            .collect()
    }

    /// A host of the administrator's, made by hand, without a mark. Its id.
    ///
    /// # Errors
    /// The program's words when a name is taken.
    pub fn add_foreign_host(
        &self,
        names: &[&str],
        forward_host: &str,
        forward_port: u16,
    ) -> Result<u64, String> {
        let mut state = self.program.state();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        state.check_names(&names, None).map_err(|fault| fault.message)?;
        let body = json!({"domain_names": names, "forward_scheme": "http", "forward_host": forward_host,
            "forward_port": forward_port});
        let id = state.insert_host(1, &object(body));
        state.configure(id).map_err(|fault| fault.message)?;
        state.host_mut(id).map_err(|fault| fault.message)?.foreign = true;
        Ok(id)
    }

    /// A certificate of the administrator's: requested by the program (`automatic`) or uploaded. Its id.
    pub fn add_foreign_certificate(&self, names: &[&str], automatic: bool) -> u64 {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let provider = if automatic { "letsencrypt" } else { "other" };
        let nice = names.join(", ");
        let id = self
            .program
            .insert_certificate(1, provider, &nice, names, Map::new());
        let mut state = self.program.state();
        state.finish_certificate(id);
        if let Some(row) = state.certificates.get_mut(&id) {
            row.foreign = true;
            if !automatic {
                row.meta = object(json!({"certificate": "PEM", "certificate_key": "PRIVATE KEY IN CLEAR"}));
            }
        }
        id
    }

    /// The next host create is stored and then answered 500, before nginx hears of it.
    pub fn fail_next_create_after_store(&self) {
        self.program.state().fail_creates_after_store += 1;
    }

    /// Every token is past its end.
    pub fn expire_tokens(&self) {
        let now = Instant::now();
        self.program
            .state()
            .tokens
            .values_mut()
            .for_each(|token| token.ends = now);
    }

    /// The data volume with the signing key is lost: no token is valid any more, and none is called expired.
    pub fn forget_tokens(&self) {
        self.program.state().tokens.clear();
    }

    /// Changes how the authority behaves, from the next request on.
    pub fn set_acme(&self, mode: AcmeMode) {
        self.program.state().acme = mode;
    }

    /// Switches the second factor of every account on or off.
    pub fn demand_second_factor(&self, demand: bool) {
        self.program.state().second_factor = demand;
    }

    /// Sets a permission (`proxy_hosts`, `certificates`, `visibility` …) of the operator's account and takes
    /// administration from it.
    pub fn set_permission(&self, right: &str, level: &str) {
        let mut state = self.program.state();
        if let Some(mut user) = state.users.last_entry() {
            user.get_mut().roles.clear();
            user.get_mut().permissions.insert(right.to_owned(), json!(level));
        }
    }

    /// Deletes a host as an administrator does in the interface; false when there is none.
    pub fn delete_host_by_hand(&self, id: u64) -> bool {
        let mut state = self.program.state();
        let there = state.host(id, None).is_ok();
        if let Ok(host) = state.host_mut(id) {
            host.deleted = true;
        }
        // As in the program, a reload that fails does not bring the host back.
        let _ = state.remove_conf(id);
        there
    }

    /// Deletes a certificate as an administrator does in the interface, in use or not.
    pub fn delete_certificate_by_hand(&self, id: u64) {
        if let Some(row) = self.program.state().certificates.get_mut(&id) {
            row.deleted = true;
            row.loadable &= !row.is_automatic();
        }
    }

    /// Uploads the files of an uploaded certificate as an administrator does in the interface. The program does
    /// not check that key and certificate belong together; nginx does.
    pub fn upload_by_hand(&self, id: u64, names: &[&str], fits: bool) {
        let mut state = self.program.state();
        state.finish_certificate(id);
        if let Some(row) = state.certificates.get_mut(&id) {
            row.domain_names = names.iter().map(|name| (*name).to_owned()).collect();
            row.loadable = fits;
        }
    }

    /// Changes fields of a host as an administrator's PUT does.
    ///
    /// # Errors
    /// The program's words when there is no such host or nginx cannot be reloaded.
    pub fn edit_host_by_hand(&self, id: u64, fields: Value) -> Result<(), String> {
        let words = |fault: Fault| fault.message;
        let mut state = self.program.state();
        state.host(id, None).map_err(words)?;
        state.host_mut(id).map_err(words)?.apply(&object(fields));
        match state.host(id, None).map_err(words)?.enabled {
            true => state.configure(id).map_err(words),
            false => Ok(()),
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
