//! The rate limit: one window for everything, and silence after it was exceeded.

use std::time::{Duration, Instant};

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in one window.
    pub requests: u32,
    /// Length of the window, and of the block after it was exceeded.
    pub window: Duration,
}

impl RateLimit {
    /// Cloudflare's own per token: 1,200 requests in 5 minutes.
    pub const REAL: Self = Self {
        requests: 1200,
        window: Duration::from_secs(300),
    };
}

/// What one request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admission {
    pub allowed: bool,
    pub left: u32,
    /// Seconds, rounded up, until the window or the block ends.
    pub seconds: u64,
}

/// The current window of the token.
#[derive(Debug)]
pub(super) struct Window {
    limit: RateLimit,
    began: Instant,
    used: u32,
    blocked_until: Option<Instant>,
}

impl Window {
    pub fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            began: Instant::now(),
            used: 0,
            blocked_until: None,
        }
    }

    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Counts one request.
    pub fn admit(&mut self, now: Instant) -> Admission {
        if let Some(until) = self.blocked_until {
            if now < until {
                return refusal(until - now);
            }
            self.start(now);
        }
        if now.duration_since(self.began) >= self.limit.window {
            self.start(now);
        }
        if self.used >= self.limit.requests {
            self.blocked_until = Some(now + self.limit.window);
            return refusal(self.limit.window);
        }
        self.used += 1;
        Admission {
            allowed: true,
            left: self.limit.requests - self.used,
            seconds: ceil(self.limit.window.saturating_sub(now.duration_since(self.began))),
        }
    }

    fn start(&mut self, now: Instant) {
        self.began = now;
        self.used = 0;
        self.blocked_until = None;
    }
}

fn refusal(left: Duration) -> Admission {
    Admission {
        allowed: false,
        left: 0,
        seconds: ceil(left),
    }
}

fn ceil(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_blocks_everything_for_a_window() {
        let window = Duration::from_secs(300);
        let mut limit = Window::new(RateLimit { requests: 2, window });
        let now = limit.began;
        assert_eq!(limit.admit(now).left, 1);
        assert!(limit.admit(now + Duration::from_secs(200)).allowed);
        let refused = limit.admit(now + Duration::from_secs(299));
        assert_eq!((refused.allowed, refused.seconds), (false, 300));
        // The old window is over, the block is not.
        assert!(!limit.admit(now + Duration::from_secs(598)).allowed);
        assert!(limit.admit(now + Duration::from_secs(599)).allowed);
    }
}
