//! The tripwire of a world: counts every call that left the operator, by what was called, and does something
//! after the effect of a chosen one.
//!
//! A point is the n-th call of one kind and not the n-th call of all: reads that run side by side change their
//! order from run to run, and a number in the common order would now mean the one and now the other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hostwright::sim::faults::{Tripwire, Verdict};
use tokio::sync::oneshot;

/// One call of a road: what was called, and the how manieth of these it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub call: String,
    pub turn: u32,
}

impl Point {
    /// It changes something.
    pub fn is_write(&self) -> bool {
        is_write(&self.call)
    }

    /// It tells people of something, and nothing relies on it.
    pub fn is_event(&self) -> bool {
        self.is_api_write() && self.call.ends_with(" events")
    }

    /// It is a write to the Kubernetes API.
    pub fn is_api_write(&self) -> bool {
        self.call.starts_with(super::gate::SERVICE)
    }
}

/// Whether a call changes something. Where all calls have one method and one path, the function says it.
pub fn is_write(call: &str) -> bool {
    match call.split_once('?') {
        Some((_, function)) => ["_add", "_update", "_delete"]
            .iter()
            .any(|end| function.ends_with(end)),
        // A log-in changes nothing that stays.
        None => !call.contains(" GET ") && !call.contains("/tokens"),
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}.)", self.call, self.turn)
    }
}

/// What happens after the effect of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It is never answered, so that the test can kill the operator.
    Crash,
    /// It is answered, and a moment later the test kills the operator in the middle of what follows.
    CrashLater,
    /// It is never answered, and nobody kills the operator, which has to help itself.
    Hang,
    /// The connection is cut instead of an answer.
    Lose,
    /// The answer waits until the test has done something.
    Hold,
}

/// Sent when the wire was touched; using or dropping the inner channel lets a held answer go.
pub type Touched = oneshot::Receiver<oneshot::Sender<()>>;

struct Armed {
    point: Point,
    trouble: Trouble,
    touched: oneshot::Sender<oneshot::Sender<()>>,
}

#[derive(Default)]
struct State {
    /// Part of paths that is the object's name.
    name: String,
    turns: BTreeMap<String, u32>,
    points: Vec<Point>,
    armed: Option<Armed>,
}

#[derive(Default)]
pub struct Wire {
    state: Mutex<State>,
}

impl Wire {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts from nothing.
    pub fn begin(&self, name: &str) {
        *self.lock() = State {
            name: name.to_owned(),
            ..State::default()
        };
    }

    /// Counts from nothing and does something at a point. The receiver fails if the point was not reached until
    /// the next beginning.
    pub fn begin_armed(&self, name: &str, point: &Point, trouble: Trouble) -> Touched {
        self.begin(name);
        let (touched, receiver) = oneshot::channel();
        self.lock().armed = Some(Armed {
            point: point.clone(),
            trouble,
            touched,
        });
        receiver
    }

    /// All calls since the beginning, in order.
    pub fn points(&self) -> Vec<Point> {
        self.lock().points.clone()
    }

    /// How often each call was made since the beginning.
    pub fn turns(&self) -> BTreeMap<String, u32> {
        self.lock().turns.clone()
    }
}

impl Tripwire for Wire {
    fn after_effect(&self, service: &str, method: &str, path: &str) -> Verdict {
        let mut state = self.lock();
        let call = format!("{service} {method} {}", pattern(path, &state.name));
        let turn = state.turns.entry(call.clone()).or_default();
        *turn += 1;
        let point = Point { call, turn: *turn };
        state.points.push(point.clone());
        if state.armed.as_ref().is_none_or(|armed| armed.point != point) {
            return Verdict::Answer;
        }
        let Some(armed) = state.armed.take() else {
            return Verdict::Answer;
        };
        let (release, released) = oneshot::channel();
        if armed.touched.send(release).is_err() {
            // Nobody waits any more: the road came to its end without it, and nothing may happen on the next one.
            return Verdict::Answer;
        }
        match armed.trouble {
            Trouble::Crash | Trouble::Hang => Verdict::Hang,
            Trouble::CrashLater => Verdict::Answer,
            Trouble::Lose => Verdict::Lose,
            Trouble::Hold => Verdict::Hold(released),
        }
    }
}

/// The path without what differs from object to object.
fn pattern(path: &str, name: &str) -> String {
    let varies = |part: &str| {
        let hex = part.len() >= 16 && part.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let number = !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        // Tasks, services of high availability, and snapshots, which have the day in their names.
        let named = ["UPID", "ct:", "ct%3A", "BAK"];
        hex || number || named.iter().any(|begin| part.starts_with(begin))
    };
    let word = |part: &str| {
        if varies(part) || ["pve1", "pve2"].contains(&part) {
            "*".to_owned()
        } else if !name.is_empty() && part.contains(name) {
            part.replace(name, "NAME")
        } else {
            part.to_owned()
        }
    };
    path.split('/').map(word).collect::<Vec<_>>().join("/")
}
