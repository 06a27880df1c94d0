//! How long the records of ended processes are kept.

use crate::time::Timestamp;
use std::time::Duration;

/// When an ended process and its output may go. Live ones never go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Older than this goes; none keeps for ever.
    pub age: Option<Duration>,
    /// The most ended records that are kept; none keeps all.
    pub count: Option<u64>,
    /// What ended before this moment goes; a bound in bytes comes to this.
    pub before: Option<Timestamp>,
}

impl Retention {
    /// What the count pushes out is at least this old.
    pub const MIN_COUNT_PRUNE_AGE: Duration = Duration::from_secs(24 * 3600);

    /// Whether a record that ended at `completed_at` goes at `now`, with `newer` ended records after it.
    #[must_use]
    pub fn lets_go(&self, now: Timestamp, completed_at: Timestamp, newer: u64) -> bool {
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
