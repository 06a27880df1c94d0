//! Time as data: the rules never read a clock.

use std::time::Duration;

/// A moment of steady time, in milliseconds since the Unix epoch.
///
/// It is the wall clock as it stood at the first start in this boot plus the time since, suspend included, so that
/// a wall clock which is set forth or back changes no deadline and no order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `span` later; it stays at the far end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The time since `earlier`; zero if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// A moment of the time that this machine has been awake, in milliseconds since its boot.
///
/// Timeouts and graces count it: a laptop that sleeps an hour uses up none of a ten minute timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AwakeTime(pub i64);

impl AwakeTime {
    /// The moment `span` later; it stays at the far end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The time since `earlier`; zero if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// When a process wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// At a moment of steady time (delays, retries, heartbeats).
    At(Timestamp),
    /// At a moment of awake time (timeouts, graces).
    Awake(AwakeTime),
}

/// A span in whole milliseconds, the far end for what does not fit.
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
