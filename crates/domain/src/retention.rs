//! The rules for deleting the records of ended processes.

use crate::time::Timestamp;
use std::time::Duration;

/// Limits after which an ended process and its output are pruned. Live processes are never pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Maximum time since the end of the process; `None` means no limit.
    pub age: Option<Duration>,
    /// Maximum number of ended records; `None` means no limit.
    pub count: Option<u64>,
    /// Time limit: every process that ended before it is pruned. A limit in bytes is applied by setting this time.
    pub before: Option<Timestamp>,
}

impl Retention {
    /// Minimum age of a record that is pruned because of `count`.
    pub const MIN_COUNT_PRUNE_AGE: Duration = Duration::from_secs(24 * 3600);

    /// Returns true if a record that ended at `completed_at` is pruned at `now`. `newer` is the number of records that
    /// ended later.
    #[must_use]
    pub fn is_due_for_pruning(&self, now: Timestamp, completed_at: Timestamp, newer: u64) -> bool {
        let old = now.since(completed_at);
        self.age.is_some_and(|age| old > age)
            || self.before.is_some_and(|before| completed_at < before)
            || (self.count.is_some_and(|count| newer >= count) && old > Self::MIN_COUNT_PRUNE_AGE)
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Some(Duration::from_secs(7 * 24 * 3600)), count: Some(100_000), before: None }
    }
}
