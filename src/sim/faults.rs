//! Faults on order, and counts of calls, the same for every simulator.
//!
//! The control endpoint of every simulator is `/_sim/`: `GET /_sim/calls` (counts by method and path),
//! `POST /_sim/faults` (a JSON list of [`Fault`]), `DELETE /_sim/faults`. Calls to it are not counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What shall happen to a request that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// Answer later.
    Latency {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// Answer this status instead of doing the work.
    Refuse {
        /// HTTP status.
        status: u16,
        /// Body.
        #[serde(default)]
        body: String,
        /// `Retry-After` in seconds.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Do the work, then answer this status instead.
    FailAfterEffect {
        /// HTTP status.
        status: u16,
        /// Body.
        #[serde(default)]
        body: String,
    },
    /// Close the connection without doing the work.
    CutBefore,
    /// Do the work, then close the connection without an answer.
    CutAfter,
    /// Do the work, send half of the answer, close the connection.
    Truncate,
    /// Do the work and never answer, until the caller gives up.
    HangAfter,
}

/// One fault on order. Simulators add vendor-specific ones of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Only requests of this method; all when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// Only requests whose path contains this text.
    #[serde(default)]
    pub path_contains: String,
    /// Requests that match are let through so often first.
    #[serde(default)]
    pub skip: u32,
    /// How often it happens; for ever when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens.
    pub trouble: Trouble,
}

/// What a [`Tripwire`] decides after a request had its effect.
#[derive(Debug)]
pub enum Verdict {
    /// Send the answer.
    Answer,
    /// Close the connection without an answer.
    Lose,
    /// Never answer.
    Hang,
    /// Send the answer once the other end of the channel was used or dropped.
    Hold(oneshot::Receiver<()>),
}

/// Called after every request's effect and before its answer, across simulators: the place where the crash
/// tests stop the operator after its n-th call.
pub trait Tripwire: Send + Sync {
    /// Decides about one request.
    fn after_effect(&self, service: &str, method: &str, path: &str) -> Verdict;
}

/// The two ends of the connection that a request came over. A caller may use one port towards several servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The caller's.
    pub caller: SocketAddr,
    /// The simulator's.
    pub server: SocketAddr,
}

/// Told of every request before anything is done about it, with the connection that it came over: the place where tests
/// tell several callers apart.
pub trait Witness: Send + Sync {
    /// Sees one request.
    fn saw(&self, ends: Ends, method: &str, path: &str);
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    calls: BTreeMap<String, u64>,
    witness: Option<Arc<dyn Witness>>,
}

/// Faults and counts of one simulator. Clones share them.
#[derive(Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    tripwire: Option<Arc<dyn Tripwire>>,
}

impl Faults {
    /// No faults, with a tripwire if given.
    pub fn new(tripwire: Option<Arc<dyn Tripwire>>) -> Self {
        Self {
            state: Arc::default(),
            tripwire,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Orders a fault.
    pub fn order(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Cancels all faults.
    pub fn clear(&self) {
        self.lock().faults.clear();
    }

    /// Tells a witness of every request from now on.
    pub fn watch(&self, witness: Arc<dyn Witness>) {
        self.lock().witness = Some(witness);
    }

    pub(super) fn saw(&self, ends: Ends, method: &str, path: &str) {
        // Not under the lock: a witness may take its time.
        let witness = self.lock().witness.clone();
        if let Some(witness) = witness {
            witness.saw(ends, method, path);
        }
    }

    /// Calls so far, keyed `METHOD /path` with ids replaced by `*`.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.lock().calls.clone()
    }

    /// Sets all counts to nothing.
    pub fn reset_calls(&self) {
        self.lock().calls.clear();
    }

    /// Counts a request and takes the troubles that apply to it, in the order in which they were ordered.
    pub(super) fn meet(&self, method: &str, path: &str) -> Vec<Trouble> {
        let mut state = self.lock();
        *state
            .calls
            .entry(format!("{method} {}", pattern_of(path)))
            .or_default() += 1;
        let mut troubles = Vec::new();
        state.faults.retain_mut(|fault| {
            let matches = fault
                .method
                .as_deref()
                .is_none_or(|m| m.eq_ignore_ascii_case(method))
                && path.contains(&fault.path_contains);
            if !matches {
                return true;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                return true;
            }
            troubles.push(fault.trouble.clone());
            match &mut fault.times {
                None => true,
                Some(times) => {
                    *times = times.saturating_sub(1);
                    *times > 0
                }
            }
        });
        troubles
    }

    pub(super) fn after_effect(&self, service: &str, method: &str, path: &str) -> Verdict {
        match &self.tripwire {
            Some(wire) => wire.after_effect(service, method, path),
            None => Verdict::Answer,
        }
    }
}

impl Trouble {
    /// The delay that it asks for.
    pub(super) fn latency(&self) -> Option<Duration> {
        match self {
            Self::Latency { milliseconds } => Some(Duration::from_millis(*milliseconds)),
            _ => None,
        }
    }
}

/// The path with numbers, hexadecimal ids and task ids replaced, so that counts stay few.
fn pattern_of(path: &str) -> String {
    let is_id = |part: &str| {
        let long_hex = part.len() >= 16 && part.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let number = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        number || long_hex || part.starts_with("UPID") || part.starts_with("ct:") || part.starts_with("ct%3A")
    };
    path.split('/')
        .map(|part| if is_id(part) { "*" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_strikes_and_ends() {
        let faults = Faults::default();
        faults.order(Fault {
            method: Some("POST".into()),
            path_contains: "/lxc".into(),
            skip: 1,
            times: Some(1),
            trouble: Trouble::CutAfter,
        });
        let post = || faults.meet("POST", "/nodes/a/lxc");
        assert_eq!((post(), faults.meet("GET", "/nodes/a/lxc")), (vec![], vec![]));
        assert_eq!(post(), [Trouble::CutAfter]);
        assert_eq!(post(), []);
        assert_eq!(faults.calls()["POST /nodes/a/lxc"], 3);
    }

    #[test]
    fn ids_are_counted_together() {
        assert_eq!(pattern_of("/nodes/a/lxc/907/config"), "/nodes/a/lxc/*/config");
        assert_eq!(pattern_of("/zones/0123456789abcdef0123456789abcdef"), "/zones/*");
    }
}
