//! Time values. Decisions get the time as an argument and never read a clock.

use std::time::Duration;

/// A steady time, in milliseconds since the Unix epoch.
///
/// Steady time is the wall-clock time at the first start of a manager after the boot, plus the time that has passed
/// since then, including time in suspend. A later change of the wall clock therefore changes no deadline and no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the time `span` later, or the maximum time if that would overflow.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// Returns the duration since `earlier`; zero if `earlier` is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// An awake time: the time that this machine has been running without suspend, in milliseconds since boot.
///
/// The timeout of a command and the grace period of its stop use awake time. If a laptop is suspended for an hour, the
/// timeout is therefore not shortened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AwakeTime(pub i64);

impl AwakeTime {
    /// Returns the time `span` later, or the maximum time if that would overflow.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// Returns the duration since `earlier`; zero if `earlier` is in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// The time at which a process needs a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// A steady time, used for delays, retries, heartbeats and sessions.
    At(Timestamp),
    /// An awake time, used for the timeout of a command and the grace period of its stop.
    Awake(AwakeTime),
}

/// Converts a duration to whole milliseconds. Returns `i64::MAX` if the number does not fit.
#[must_use]
pub fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_end_of_time_does_not_wrap() {
        assert_eq!(Timestamp(5).plus(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(
            Timestamp(i64::MAX).since(Timestamp(i64::MIN)),
            Duration::from_millis(i64::MAX.unsigned_abs())
        );
    }
}
