//! Delays between attempts to deliver an event.

use std::time::Duration;

/// Maximum delay after the first failed delivery attempt.
const FIRST: Duration = Duration::from_secs(1);
/// Maximum delay, regardless of the number of failed delivery attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Returns the delay after `failed` unsuccessful delivery attempts: a random time up to a limit that doubles with each
/// attempt. Randomness prevents deliveries that failed at the same time from being retried at the same time. `asked` is
/// the delay that the receiver requested; the result is at least this long, but never longer than [`MAX_BACKOFF`].
pub(crate) fn wait(failed: u32, chance: u64, asked: Option<Duration>) -> Duration {
    let bound = FIRST
        .saturating_mul(1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX))
        .min(MAX_BACKOFF);
    let millis = u64::try_from(bound.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(chance % (millis + 1)).max(asked.unwrap_or_default().min(MAX_BACKOFF))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wait_is_any_time_up_to_a_bound_that_doubles(failed in 1_u32..100, chance: u64) {
            let bound = Duration::from_secs(1_u64 << (failed - 1).min(9)).min(MAX_BACKOFF);
            prop_assert!(wait(failed, chance, None) <= bound);
            prop_assert_eq!(wait(failed, u64::try_from(bound.as_millis()).unwrap(), None), bound);
        }
    }

    #[test]
    fn requested_delay_of_a_receiver_is_respected_up_to_the_maximum() {
        assert_eq!(wait(1, 0, Some(Duration::from_secs(60))), Duration::from_secs(60));
        assert_eq!(wait(1, 0, Some(Duration::MAX)), MAX_BACKOFF);
    }
}
