//! Stays below Cloudflare's rate limit: obeys its headers, and falls silent after a 429.
//!
//! 1,200 requests in 5 minutes per token; one too many blocks *all* calls of the token for the next five
//! minutes, those of other programs too. So calls are spread out before that happens, and none is sent
//! while the block lasts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;

/// Part of the quota that is kept for spreading: below a tenth, calls become slower.
const RESERVE: u32 = 10;
/// The quota that is assumed when no policy header names one.
const DEFAULT_QUOTA: u32 = 1200;
/// How long one call may wait for its turn; a longer wait is given back to the caller instead, so that no
/// call holds its place among those under way for minutes.
pub(super) const TURN_MAX: Duration = Duration::from_secs(2);
/// Silence after a 429 that does not say how long. The block of the long limit lasts five minutes, that of
/// the limit per address one second; asking twice a minute is harmless in both cases.
const BLOCK_DEFAULT: Duration = Duration::from_secs(30);
/// No header makes us silent for longer than twice the vendor's longest window (5 minutes).
const BLOCK_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct State {
    blocked_until: Option<Instant>,
    /// Between two calls, until the window ends.
    spacing: Duration,
    window_ends: Option<Instant>,
    next_turn: Option<Instant>,
}

/// The rate of one token.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: Mutex<State>,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the next call has to wait for its turn, at most [`TURN_MAX`].
    ///
    /// # Errors
    /// How long nothing may be sent at all.
    pub fn turn(&self, now: Instant) -> Result<Duration, Duration> {
        let mut state = self.lock();
        if let Some(until) = state.blocked_until {
            if now < until {
                return Err(until - now);
            }
            state.blocked_until = None;
        }
        if state.window_ends.is_none_or(|end| now >= end) {
            state.spacing = Duration::ZERO;
            state.next_turn = None;
        }
        let at = state.next_turn.map_or(now, |turn| turn.max(now));
        if at - now > TURN_MAX {
            return Err(at - now);
        }
        state.next_turn = Some(at + state.spacing);
        Ok(at - now)
    }

    /// Takes what an answer's headers say about what is left.
    pub fn learn(&self, headers: &HeaderMap, now: Instant) {
        let windows = windows(headers);
        if windows.is_empty() {
            return;
        }
        let tightest = windows
            .iter()
            .filter(|window| window.is_low())
            .max_by_key(|window| window.spacing());
        let mut state = self.lock();
        let Some(window) = tightest else {
            state.spacing = Duration::ZERO;
            state.next_turn = None;
            return;
        };
        state.spacing = window.spacing();
        state.window_ends = Some(now + window.ends);
        let turn = now + state.spacing;
        state.next_turn = Some(state.next_turn.map_or(turn, |known| known.max(turn)));
    }

    /// Falls silent after a refusal; tells for how long.
    pub fn block(&self, asked: Option<Duration>, headers: &HeaderMap, now: Instant) -> Duration {
        let by_window = || windows(headers).iter().map(|window| window.ends).max();
        let pause = asked
            .or_else(by_window)
            .unwrap_or(BLOCK_DEFAULT)
            .clamp(Duration::from_secs(1), BLOCK_MAX);
        let mut state = self.lock();
        let until = now + pause;
        state.blocked_until = Some(state.blocked_until.map_or(until, |known| known.max(until)));
        pause
    }
}

/// What one policy leaves us.
struct Window {
    left: u32,
    quota: u32,
    ends: Duration,
}

impl Window {
    fn is_low(&self) -> bool {
        self.left < (self.quota / RESERVE).max(1)
    }

    /// What is left, spread over the rest of the window, with one turn unused.
    fn spacing(&self) -> Duration {
        self.ends / self.left.saturating_add(1)
    }
}

/// Reads `Ratelimit: "default";r=1180;t=300` with the quota of the same name in
/// `Ratelimit-Policy: "default";q=1200;w=300`; both may list several with commas between them.
fn windows(headers: &HeaderMap) -> Vec<Window> {
    let policies = items(headers, "ratelimit-policy");
    let quota_of = |name: &str| {
        let policy = policies.iter().find(|item| item.name == name)?;
        policy.parameter("q")
    };
    let of = |item: &Item| {
        Some(Window {
            left: item.parameter("r")?,
            quota: quota_of(&item.name).unwrap_or(DEFAULT_QUOTA),
            ends: Duration::from_secs(u64::from(item.parameter("t")?)).min(BLOCK_MAX),
        })
    };
    items(headers, "ratelimit").iter().filter_map(of).collect()
}

struct Item {
    name: String,
    parameters: Vec<(String, u32)>,
}

impl Item {
    fn parameter(&self, key: &str) -> Option<u32> {
        let found = self.parameters.iter().find(|(known, _)| known == key)?;
        Some(found.1)
    }
}

fn items(headers: &HeaderMap, header: &str) -> Vec<Item> {
    let mut items = Vec::new();
    for value in headers.get_all(header) {
        for text in value.to_str().unwrap_or_default().split(',') {
            let mut parts = text.split(';');
            let name = parts.next().unwrap_or_default().trim().to_owned();
            let parameters = parts
                .filter_map(|part| part.split_once('='))
                .filter_map(|(key, number)| Some((key.trim().to_owned(), number.trim().parse().ok()?)))
                .collect();
            items.push(Item { name, parameters });
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(left: u32, seconds: u32) -> HeaderMap {
        let mut map = HeaderMap::new();
        let state = format!("\"default\";r={left};t={seconds}");
        map.insert("ratelimit", HeaderValue::from_str(&state).unwrap());
        map.insert(
            "ratelimit-policy",
            HeaderValue::from_static("\"default\";q=1200;w=300"),
        );
        map
    }

    #[test]
    fn plenty_left_means_no_wait() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.learn(&headers(120, 300), now);
        for _ in 0..100 {
            assert_eq!(pace.turn(now), Ok(Duration::ZERO));
        }
    }

    #[test]
    fn little_left_spreads_calls_and_is_forgotten_with_the_window() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.learn(&headers(99, 100), now);
        assert_eq!(pace.turn(now), Ok(Duration::from_secs(1)));
        assert_eq!(pace.turn(now), Ok(Duration::from_secs(2)));
        // The third in line would wait longer than one call may.
        assert_eq!(pace.turn(now), Err(Duration::from_secs(3)));
        assert_eq!(pace.turn(now + Duration::from_secs(100)), Ok(Duration::ZERO));
        assert_eq!(pace.turn(now + Duration::from_secs(100)), Ok(Duration::ZERO));
    }

    #[test]
    fn each_policy_is_judged_by_itself() {
        let (pace, now) = (Pace::default(), Instant::now());
        let mut map = HeaderMap::new();
        let both = "\"default\";r=99;t=100, \"burst\";r=3;t=1";
        map.insert("ratelimit", HeaderValue::from_static(both));
        let both = "\"default\";q=1200;w=300, \"burst\";q=200;w=1";
        map.insert("ratelimit-policy", HeaderValue::from_static(both));
        pace.learn(&map, now);
        assert_eq!(pace.turn(now), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn nothing_left_means_silence_until_the_window_ends() {
        let (pace, now) = (Pace::default(), Instant::now());
        pace.learn(&headers(0, 250), now);
        assert_eq!(pace.turn(now), Err(Duration::from_secs(250)));
        assert_eq!(pace.turn(now + Duration::from_secs(250)), Ok(Duration::ZERO));
    }

    #[test]
    fn a_block_lasts_as_asked_within_bounds() {
        let (pace, now) = (Pace::default(), Instant::now());
        let none = HeaderMap::new();
        assert_eq!(
            pace.block(Some(Duration::from_secs(7)), &headers(0, 99), now)
                .as_secs(),
            7
        );
        assert_eq!(pace.turn(now), Err(Duration::from_secs(7)));
        assert_eq!(pace.block(None, &headers(0, 99), now).as_secs(), 99);
        assert_eq!(pace.block(None, &none, now), BLOCK_DEFAULT);
        assert_eq!(
            pace.block(Some(Duration::from_secs(999_999)), &none, now),
            BLOCK_MAX
        );
        assert_eq!(pace.turn(now + BLOCK_MAX), Ok(Duration::ZERO));
    }
}
