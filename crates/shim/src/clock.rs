//! The three clocks: awake time for waits and timeouts, boot time for records, and wall time for display. Steady time
//! is boot time plus a fixed offset.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Returns the milliseconds since boot without the time in which the machine was suspended.
pub(crate) fn awake_ms() -> u64 {
    millis(clock_gettime(ClockId::Monotonic))
}

/// Returns the milliseconds since boot, including the time in which the machine was suspended.
pub(crate) fn boot_ms() -> u64 {
    millis(clock_gettime(ClockId::Boottime))
}

/// Returns the milliseconds since 1970 according to the wall clock. This time may jump.
pub(crate) fn wall_ms() -> i64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec.saturating_mul(1_000).saturating_add(now.tv_nsec / 1_000_000)
}

fn millis(time: Timespec) -> u64 {
    let whole = u64::try_from(time.tv_sec).unwrap_or(0).saturating_mul(1_000);
    whole.saturating_add(u64::try_from(time.tv_nsec / 1_000_000).unwrap_or(0))
}
