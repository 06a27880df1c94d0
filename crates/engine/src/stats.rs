//! Statistics of processes: counts by status, failures and durations.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{Level, Process, ProcessId, State, Status, millis};
use longhaul_ports::ProcessFilter;
use std::collections::BTreeMap;
use std::time::Duration;

/// Percentile of the durations that [`LevelStats::p95`] contains, in percent.
const SHARE: usize = 95;

/// Statistics of a selection of processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessStats {
    /// Statistics by level in the tree.
    pub levels: BTreeMap<Level, LevelStats>,
    /// Statistics of all levels together.
    pub total: LevelStats,
    /// Damaged records that may match the selection; they are not counted.
    pub damaged: Vec<ProcessId>,
    /// Ended processes for which it is not certain that none of their commands is still running.
    pub unverified: Vec<ProcessId>,
}

/// Process statistics of one level, or of all levels together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelStats {
    /// Number of processes that have not ended.
    pub live: u64,
    /// Number of processes by status; a status without processes is absent.
    pub by_status: BTreeMap<Status, u64>,
    /// Number of processes that ended as failed, timeout or interrupted.
    pub failures: u64,
    /// Number of retries, plus the number of processes that restarted another process.
    pub restarts: u64,
    /// Mean time from start to end, over the processes that started and ended.
    pub mean: Option<Duration>,
    /// 95th percentile of the time from start to end, by nearest rank: the smallest duration that 95 % of the durations
    /// do not exceed.
    pub p95: Option<Duration>,
}

impl Engine {
    /// Returns statistics of the processes that match a filter. If the filter has an ancestor, the ancestor is
    /// included.
    ///
    /// # Errors
    /// [`EngineError::Store`] if the store cannot be read.
    pub async fn stats(&self, scope: &ProcessFilter) -> Result<ProcessStats, EngineError> {
        let mut tallies: BTreeMap<Level, LevelTally> = BTreeMap::new();
        let mut unverified = Vec::new();
        let mut count = |process: &Process| {
            if let State::Ended(ended) = &process.state
                && ended.ending.is_unverified()
            {
                unverified.push(process.id);
            }
            tallies.entry(process.lineage.level()).or_default().count(process);
        };
        if let Some(top) = scope.ancestor {
            let itself = ProcessFilter { ancestor: None, ..scope.clone() };
            let found = self.core.parts.store.load(&[top]).await?;
            for stored in found.iter().flatten().filter(|stored| itself.admits(stored)) {
                count(&stored.process);
            }
        }
        let damaged = self.core.each(scope, |stored| count(&stored.process)).await?;
        let total = tallies.values().fold(LevelTally::default(), |sum, level| sum.with(level));
        let levels = tallies.into_iter().map(|(level, tally)| (level, tally.stats())).collect();
        Ok(ProcessStats { levels, total: total.stats(), damaged, unverified })
    }
}

/// Statistics counters of one level of the tree.
#[derive(Clone, Debug, Default)]
struct LevelTally {
    by_status: BTreeMap<Status, u64>,
    restarts: u64,
    /// Durations from start to end in milliseconds.
    durations: Vec<i64>,
}

impl LevelTally {
    fn count(&mut self, process: &Process) {
        *self.by_status.entry(process.status()).or_default() += 1;
        let runs_again = u64::from(process.lineage.restarted_from.is_some());
        self.restarts += u64::from(process.retries) + runs_again;
        if let (Some(started), Some(ended)) = (process.started_at, process.completed_at()) {
            self.durations.push(millis(ended.since(started)));
        }
    }

    fn with(mut self, other: &Self) -> Self {
        for (status, count) in &other.by_status {
            *self.by_status.entry(*status).or_default() += count;
        }
        self.restarts += other.restarts;
        self.durations.extend_from_slice(&other.durations);
        self
    }

    fn stats(mut self) -> LevelStats {
        self.durations.sort_unstable();
        let of = |fits: fn(Status) -> bool| {
            self.by_status.iter().filter(|(status, _)| fits(**status)).map(|(_, count)| count).sum()
        };
        LevelStats {
            live: of(|status| !status.is_ended()),
            failures: of(is_failure),
            restarts: self.restarts,
            mean: mean(&self.durations),
            p95: nearest_rank(&self.durations),
            by_status: self.by_status,
        }
    }
}

const fn is_failure(status: Status) -> bool {
    match status {
        Status::Failed | Status::Timeout | Status::Interrupted => true,
        Status::Pending
        | Status::Starting
        | Status::Running
        | Status::Paused
        | Status::Stopping
        | Status::Completed
        | Status::Cancelled => false,
    }
}

fn mean(durations: &[i64]) -> Option<Duration> {
    let sum: i128 = durations.iter().copied().map(i128::from).sum();
    let mean = sum.checked_div(i128::try_from(durations.len()).ok()?)?;
    u64::try_from(mean).ok().map(Duration::from_millis)
}

/// Returns the percentile [`SHARE`] of sorted durations, by nearest rank.
fn nearest_rank(sorted: &[i64]) -> Option<Duration> {
    let rank = sorted.len().saturating_mul(SHARE).div_ceil(100);
    let duration = sorted.get(rank.checked_sub(1)?)?;
    u64::try_from(*duration).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_is_the_smallest_duration_that_enough_do_not_exceed() {
        let millis = |count: i64| (1..=count).collect::<Vec<_>>();
        let p95 = |count: i64| nearest_rank(&millis(count)).map(|span| span.as_millis());
        assert_eq!(p95(0), None);
        assert_eq!(p95(1), Some(1));
        assert_eq!(p95(19), Some(19));
        assert_eq!(p95(20), Some(19));
        assert_eq!(p95(100), Some(95));
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1, 2, 6]), Some(Duration::from_millis(3)));
    }
}
