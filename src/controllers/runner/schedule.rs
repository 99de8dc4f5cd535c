//! When each object is due again, how often it failed, and what we wrote last of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::ResourceExt;

use super::kind::{Managed, Next};

/// Whoever waits for a turn comes back first after this part of the longest pause. It is woken anyway; with thousands that
/// wait, their looks must not crowd out those whose turn it is.
const TURN_LOOKS: u32 = 10;

/// Times between passes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// First wait for a task.
    pub poll_min: Duration,
    /// Longest wait for a task.
    pub poll_max: Duration,
    /// First wait after a failure.
    pub retry_min: Duration,
    /// Longest wait after failures.
    pub retry_max: Duration,
    /// Between passes of a settled object, with a tenth of jitter.
    pub resync: Duration,
    /// Between passes of an object that waits for something outside that nobody announces, with a tenth of jitter: a
    /// customer who has just entered the name servers at the registrar wants to see it, and a registry publishes
    /// every few minutes.
    pub recheck: Duration,
    /// Limit for one observation or one action.
    pub deadline: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll_min: Duration::from_secs(1),
            poll_max: Duration::from_secs(5),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(300),
            resync: Duration::from_secs(600),
            recheck: Duration::from_secs(60),
            deadline: Duration::from_secs(120),
        }
    }
}

impl Pace {
    /// The pause of an object that waits for something outside that nobody announces: never longer than that of what
    /// is settled.
    pub fn until_recheck(&self) -> Duration {
        self.recheck.min(self.resync)
    }
}

#[derive(Debug)]
struct Entry<K> {
    due: Instant,
    /// Something happened that the pass under way may have missed.
    poked: bool,
    /// The next pass shall look precisely.
    closely: bool,
    polls: u32,
    failures: u32,
    generation: Option<i64>,
    annotations: Option<String>,
    written: Option<Written<K>>,
}

/// Our last write of an object.
#[derive(Debug)]
struct Written<K> {
    /// By which its echo is recognised.
    version: Option<String>,
    /// What was written, until the watch has shown it: then the cache has it, packed.
    unseen: Option<Arc<K>>,
}

impl<K> Default for Entry<K> {
    fn default() -> Self {
        Self {
            due: Instant::now(),
            poked: false,
            closely: false,
            polls: 0,
            failures: 0,
            generation: None,
            annotations: None,
            written: None,
        }
    }
}

impl<K> Entry<K> {
    /// Due after this time, or at once when something happened meanwhile.
    fn rest(&mut self, wait: Duration) -> Duration {
        let wait = if self.poked { Duration::ZERO } else { wait };
        self.due = Instant::now() + wait;
        wait
    }
}

/// The schedule of one kind.
#[derive(Debug)]
pub struct Schedule<K> {
    pace: Pace,
    entries: Mutex<HashMap<String, Entry<K>>>,
}

/// What a trigger means for an object.
#[derive(Debug)]
pub enum Turn<K> {
    /// Do a pass of this version of it.
    Pass {
        /// The newest version that we know.
        object: Arc<K>,
        /// Somebody asked for a look with precise reads.
        precise: bool,
    },
    /// The trigger was the echo of our own write: come back later.
    Echo(Duration),
}

impl<K: Managed> Schedule<K> {
    /// An empty schedule.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            entries: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry<K>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an object that a watch shows: it is due, unless what the watch shows is our own write.
    pub fn notice(&self, object: &K) {
        let mut entries = self.lock();
        let entry = entries.entry(object.uid().unwrap_or_default()).or_default();
        let version = object.resource_version();
        let ours = entry.written.as_mut().is_some_and(|written| {
            let early = is_newer(written.version.as_deref(), version.as_deref());
            if !early {
                written.unseen = None;
            }
            early || written.version == version
        });
        if !ours {
            entry.due = Instant::now();
        }
    }

    /// How many objects are due: they wait for a pass or are in one.
    pub fn due(&self) -> usize {
        let now = Instant::now();
        self.lock().values().filter(|entry| entry.due <= now).count()
    }

    /// Makes the object due at once, so that the next trigger is not taken for an echo.
    pub fn poke(&self, uid: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.due = Instant::now();
            entry.poked = true;
        }
    }

    /// As [`Schedule::poke`], and the next pass looks precisely.
    pub fn poke_closely(&self, uid: &str) {
        self.poke(uid);
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.closely = true;
        }
    }

    /// What to do about a trigger. `asked` is the value of the annotation that asks for a pass.
    pub fn turn(&self, cached: Arc<K>, asked: Option<&str>) -> Turn<K> {
        let mut entries = self.lock();
        let entry = entries.entry(cached.uid().unwrap_or_default()).or_default();
        let version = cached.resource_version();
        let object = match &entry.written {
            Some(Written {
                version: newer,
                unseen: Some(unseen),
            }) if is_newer(newer.as_deref(), version.as_deref()) => Arc::clone(unseen),
            Some(written) if written.version == version => cached,
            _ => {
                entry.written = None;
                entry.due = Instant::now();
                cached
            }
        };
        if entry.generation != object.meta().generation {
            entry.generation = object.meta().generation;
            entry.failures = 0;
            entry.due = Instant::now();
        }
        let precise = (asked.is_some() && entry.annotations.as_deref() != asked) || entry.closely;
        entry.annotations = asked.map(str::to_owned);
        let wait = entry.due.saturating_duration_since(Instant::now());
        // A millisecond is below the resolution of the controller's timer.
        if wait > Duration::from_millis(2) && !precise {
            return Turn::Echo(wait);
        }
        entry.poked = false;
        entry.closely = false;
        Turn::Pass { object, precise }
    }

    /// Remembers our own write.
    pub fn wrote(&self, object: &Arc<K>) {
        let mut entries = self.lock();
        let entry = entries.entry(object.uid().unwrap_or_default()).or_default();
        entry.written = Some(Written {
            version: object.resource_version(),
            unseen: Some(Arc::clone(object)),
        });
    }

    /// Decides when the object is due again.
    pub fn next(&self, uid: &str, next: Next) -> Duration {
        let mut entries = self.lock();
        let entry = entries.entry(uid.to_owned()).or_default();
        let wait = match next {
            Next::Poll => {
                // Failures are forgotten only when the object settles: a task that fails, is begun again and
                // fails again must be begun less and less often.
                entry.polls = entry.polls.saturating_add(1);
                growing(self.pace.poll_min, self.pace.poll_max, entry.polls)
            }
            Next::Turn => {
                entry.polls = entry.polls.saturating_add(1);
                let longest = self.pace.until_recheck();
                growing(longest / TURN_LOOKS, longest, entry.polls)
            }
            Next::Retry { at_least } => {
                entry.failures = entry.failures.saturating_add(1);
                entry.polls = 0;
                let wait = growing(self.pace.retry_min, self.pace.retry_max, entry.failures);
                jittered(wait.max(at_least.unwrap_or_default()), uid)
            }
            Next::Settled | Next::Recheck | Next::After(_) => {
                entry.polls = 0;
                entry.failures = 0;
                let pause = match next {
                    Next::Recheck => self.pace.until_recheck(),
                    Next::After(wait) if wait < self.pace.resync => return entry.rest(wait),
                    _ => self.pace.resync,
                };
                jittered(pause, uid)
            }
            Next::Again { .. } | Next::Closer | Next::Released { .. } => Duration::ZERO,
        };
        entry.rest(wait)
    }

    /// Nothing is to be done for the object until it changes.
    pub fn rest(&self, uid: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.due = Instant::now() + self.pace.resync;
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// The times between passes.
    pub fn pace(&self) -> Pace {
        self.pace
    }
}

/// Whether version `a` is newer than `b`. Resource versions of one server are growing numbers; where they are not, the
/// watch is believed.
fn is_newer(a: Option<&str>, b: Option<&str>) -> bool {
    let number = |version: Option<&str>| version.and_then(|version| version.parse::<u64>().ok());
    matches!((number(a), number(b)), (Some(a), Some(b)) if a > b)
}

/// `min`, doubled with every turn after the first, at most `max`.
fn growing(min: Duration, max: Duration, turns: u32) -> Duration {
    let factor = 1_u32.checked_shl(turns.saturating_sub(1)).unwrap_or(u32::MAX);
    min.saturating_mul(factor).min(max)
}

/// Up to a tenth more, different for each object and the same for one, so that many do not come at once.
pub fn jittered(wait: Duration, uid: &str) -> Duration {
    let sum = uid.bytes().fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    wait + wait / 10 * (sum % 100) / 100
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Plan;
    use serde_json::json;

    fn object(version: &str) -> Arc<Plan> {
        let metadata = json!({"name": "a", "uid": "1", "resourceVersion": version, "generation": 1});
        Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap())
    }

    #[test]
    fn objects_are_due_from_the_news_to_the_end_of_their_pass() {
        let schedule = Schedule::<Plan>::new(Pace::default());
        assert_eq!(schedule.due(), 0);
        schedule.notice(&object("1"));
        assert_eq!(schedule.due(), 1);
        assert!(matches!(schedule.turn(object("1"), None), Turn::Pass { .. }));
        assert_eq!(schedule.due(), 1, "in its pass");
        schedule.wrote(&object("2"));
        schedule.next("1", Next::Settled);
        assert_eq!(schedule.due(), 0);
        schedule.notice(&object("2"));
        assert_eq!(schedule.due(), 0, "the echo of our own write");
        schedule.notice(&object("3"));
        assert_eq!(schedule.due(), 1, "somebody changed it");
        schedule.rest("1");
        assert_eq!(schedule.due(), 0);
        schedule.poke("1");
        assert_eq!(schedule.due(), 1);
        schedule.forget("1");
        assert_eq!(schedule.due(), 0);
    }

    #[test]
    fn our_own_write_stands_in_for_the_cache_until_the_watch_has_shown_it() {
        let schedule = Schedule::<Plan>::new(Pace::default());
        schedule.notice(&object("1"));
        let seen = |cached: &str| match schedule.turn(object(cached), None) {
            Turn::Pass { object, .. } => object.resource_version(),
            Turn::Echo(_) => None,
        };
        schedule.turn(object("1"), None);
        schedule.wrote(&object("3"));
        schedule.next("1", Next::Again { persist: true });
        assert_eq!(seen("1").as_deref(), Some("3"));
        schedule.notice(&object("2"));
        assert_eq!(seen("2").as_deref(), Some("3"), "an earlier write of ours");
        schedule.notice(&object("3"));
        let held = schedule.lock().values().any(|entry| {
            let written = entry.written.as_ref();
            written.is_some_and(|written| written.unseen.is_some())
        });
        assert!(!held, "the cache has it");
        schedule.next("1", Next::Settled);
        assert_eq!(seen("3"), None, "the echo");
        assert_eq!(seen("4").as_deref(), Some("4"), "somebody else's change");
    }

    #[test]
    fn a_close_look_is_taken_once_and_never_missed() {
        let schedule = Schedule::<Plan>::new(Pace::default());
        schedule.notice(&object("1"));
        let precise = || match schedule.turn(object("1"), None) {
            Turn::Pass { precise, .. } => Some(precise),
            Turn::Echo(_) => None,
        };
        assert_eq!(precise(), Some(false));
        schedule.wrote(&object("1"));
        schedule.poke_closely("1");
        assert_eq!(
            schedule.next("1", Next::Settled),
            Duration::ZERO,
            "asked for during a pass"
        );
        assert_eq!(precise(), Some(true));
        schedule.next("1", Next::Settled);
        assert_eq!(precise(), None, "it is not due");
        schedule.poke("1");
        assert_eq!(precise(), Some(false), "the close look was taken");
    }

    #[test]
    fn waits_grow_to_their_limit() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(5));
        let waits: Vec<u64> = (1..6).map(|turn| growing(min, max, turn).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        assert_eq!(growing(min, max, 4_000), max);
    }

    #[test]
    fn jitter_is_at_most_a_tenth() {
        let wait = Duration::from_secs(100);
        for uid in ["a", "b", "0b6c5c3e-9d1f-4d6c-8f52-2f6f5e0a9b11"] {
            let jittered = jittered(wait, uid);
            assert!(jittered >= wait && jittered <= wait + wait / 10);
        }
    }
}
