//! How fast another node has to tell what there is.

use std::time::Duration;

/// A node that tells nothing is waited for so long altogether.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// As many bytes as these that came are worth another second.
const MIN_BYTES_PER_SECOND: u64 = 1_024;

/// How fast another node tells what there is: it may trickle, and must not hold anybody up for ever by that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MinThroughput {
    waited: Duration,
    came: u64,
}

impl MinThroughput {
    /// It was waited for so long, in which so many bytes came.
    pub(super) fn waited(&mut self, span: Duration, came: u64) {
        self.waited = self.waited.saturating_add(span);
        self.came = self.came.saturating_add(came);
    }

    pub(super) fn is_too_slow(&self) -> bool {
        self.waited > STALL_TIMEOUT.saturating_add(Duration::from_secs(self.came / MIN_BYTES_PER_SECOND))
    }
}
