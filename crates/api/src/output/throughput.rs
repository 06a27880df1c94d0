//! Measures whether another node sends output at the minimum speed.

use std::time::Duration;

/// Maximum total time to wait for a node that sends nothing.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Number of received bytes that extend the waiting time by one second.
const MIN_BYTES_PER_SECOND: u64 = 1_024;

/// Measures how fast another node sends output, so that a node that sends very slowly cannot block a reader forever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MinThroughput {
    waited: Duration,
    came: u64,
}

impl MinThroughput {
    /// Records a wait: its duration and the number of bytes that arrived during this time.
    pub(super) fn waited(&mut self, span: Duration, came: u64) {
        self.waited = self.waited.saturating_add(span);
        self.came = self.came.saturating_add(came);
    }

    pub(super) fn is_too_slow(&self) -> bool {
        self.waited > STALL_TIMEOUT.saturating_add(Duration::from_secs(self.came / MIN_BYTES_PER_SECOND))
    }
}
