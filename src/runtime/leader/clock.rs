//! The clock of claims. It goes on while the process is stopped and while the machine sleeps, it never jumps, and
//! nobody else's clock is ever compared with it.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since the machine was started, its sleep included (`CLOCK_BOOTTIME`, clock_gettime(2)); `Instant` leaves
/// the sleep out on Linux. Nothing when the kernel does not tell, which no supported one does.
pub(super) fn since_boot() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}
