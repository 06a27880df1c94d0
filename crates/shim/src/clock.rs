//! The three clocks: awake time for waits, steady time for the record, wall time for display.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Milliseconds of time awake since boot; does not count while the machine sleeps.
pub(crate) fn awake_ms() -> u64 {
    millis(clock_gettime(ClockId::Monotonic))
}

/// Milliseconds since boot, sleep included.
pub(crate) fn boot_ms() -> u64 {
    millis(clock_gettime(ClockId::Boottime))
}

/// Milliseconds since 1970 by the wall clock, which may jump.
pub(crate) fn wall_ms() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000)
}

fn millis(time: Timespec) -> u64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000);
    whole.saturating_add(u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0))
}
