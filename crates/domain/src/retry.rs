//! When a failed attempt is followed by another, and after how long.

use crate::ending::{Ending, ExitStatus, Failure};
use std::time::Duration;

/// How many further attempts a process gets, and how long it waits before each.
///
/// The wait doubles from `first` up to `cap`; half of it is fixed and half is chance, so that many processes that
/// failed together do not come back together ("equal jitter").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Further attempts after the first; 0 means none.
    pub retries: u32,
    /// The wait before the second attempt.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Exit codes that are worth another attempt; empty means every failure.
    pub codes: Vec<i32>,
    /// Whether a timeout is worth another attempt.
    pub after_timeout: bool,
    /// Whether an interrupted attempt is; it may then run twice, so it is never the default.
    pub after_interruption: bool,
}

/// The random bits that a decision may use, drawn by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RandomBits(pub u64);

impl RetryPolicy {
    /// The most retries that may be asked for.
    pub const MAX_RETRIES: u32 = 100;
    /// The longest wait that may be asked for.
    pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(3600);

    /// No further attempts.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            retries: 0,
            first: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            codes: Vec::new(),
            after_timeout: false,
            after_interruption: false,
        }
    }

    /// How long to wait before the attempt after `used` retries: between half of the doubled wait and all of it.
    #[must_use]
    pub fn wait(&self, used: u32, chance: RandomBits) -> Duration {
        let factor = 1_u32.checked_shl(used).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.cap).min(Self::MAX_RETRY_DELAY);
        let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
        let jitter = if half == 0 { 0 } else { chance.0 % (half + 1) };
        whole.saturating_sub(Duration::from_millis(half)) + Duration::from_millis(jitter)
    }

    /// Whether `ending` is followed by another attempt when `used` retries are spent.
    #[must_use]
    pub fn covers(&self, ending: &Ending, used: u32) -> bool {
        used < self.retries
            && match ending {
                Ending::Completed { .. } | Ending::Cancelled { .. } => false,
                Ending::Timeout { .. } => self.after_timeout,
                Ending::Interrupted { .. } => self.after_interruption,
                Ending::Failed { failure } => match failure {
                    Failure::Exit(exit) => match exit.status {
                        ExitStatus::Code(code) => self.codes.is_empty() || self.codes.contains(&code),
                        ExitStatus::Signal { .. } => self.codes.is_empty(),
                    },
                    Failure::Start(_) | Failure::NeverRan { .. } | Failure::Reported { .. } => false,
                },
            }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_lies_between_half_and_all_of_the_doubled_first(
            first in 0_u64..100_000, cap in 0_u64..10_000_000, used in 0_u32..200, chance: u64,
        ) {
            let policy = RetryPolicy {
                first: Duration::from_millis(first), cap: Duration::from_millis(cap), ..RetryPolicy::none()
            };
            let whole = (u128::from(first) << used.min(31)).min(u128::from(cap)).min(3_600_000);
            let wait = policy.wait(used, RandomBits(chance)).as_millis();
            prop_assert!(wait <= whole && wait >= whole / 2, "{wait} of {whole}");
        }
    }

    #[test]
    fn wait_spreads_evenly_over_its_upper_half() {
        let policy = RetryPolicy { first: Duration::from_millis(8), ..RetryPolicy::none() };
        let waits: Vec<u128> = (0..6).map(|chance| policy.wait(0, RandomBits(chance)).as_millis()).collect();
        assert_eq!(waits, [4, 5, 6, 7, 8, 4]);
        let none = RetryPolicy { first: Duration::from_millis(1), ..RetryPolicy::none() };
        assert_eq!(
            none.wait(0, RandomBits(7)),
            Duration::from_millis(1),
            "half of it is less than a millisecond"
        );
    }
}
