//! Converts statistics to the views that clients get.

use crate::convert::moment::rfc3339;
use crate::convert::process::{duration, millis};
use futures_util::{StreamExt, stream};
use longhaul_domain::{Level, ProcessId, Status, Timestamp, TreeUsage};
use longhaul_engine::ports::{PageRequest, ProcessFilter, SortOrder, StoredProcess};
use longhaul_engine::{Engine, EngineError, LevelStats, ProcessStats};
use longhaul_wire::api::{LevelStatsView, StatsView, SumUsageView};
use std::time::Duration;

/// Number of processes in one page of the query for live processes.
const PAGE: u32 = 500;
/// Maximum number of processes whose resource usage is measured in parallel.
const MAX_CONCURRENT: usize = 16;

/// Resource usage and run time of one live process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveUsage {
    level: Level,
    uptime: Option<Duration>,
    usage: Option<TreeUsage>,
}

/// Measures the resource usage of all live processes that match a filter. Values that cannot be measured are `None`.
pub(crate) async fn uses(engine: &Engine, scope: &ProcessFilter) -> Result<Vec<LiveUsage>, EngineError> {
    let statuses = Status::ALL.into_iter().filter(|status| !status.is_ended()).collect();
    let filter = ProcessFilter { statuses, ..scope.clone() };
    let mut live = root(engine, &filter).await?;
    let mut page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: PAGE };
    loop {
        let listing = engine.list(&filter, &page).await?;
        live.extend(listing.processes);
        page.after = listing.next;
        if page.after.is_none() {
            break;
        }
    }
    let now = engine.now();
    let looks: Vec<_> = live.iter().map(|stored| look(engine, stored, now)).collect();
    Ok(stream::iter(looks).buffered(MAX_CONCURRENT).collect().await)
}

/// Returns the root of the tree in the filter if the root itself matches the filter. The filter for descendants of the
/// root does not include the root.
async fn root(engine: &Engine, filter: &ProcessFilter) -> Result<Vec<StoredProcess>, EngineError> {
    let Some(top) = filter.ancestor else { return Ok(Vec::new()) };
    let itself = ProcessFilter { ancestor: None, ..filter.clone() };
    match engine.process(top).await {
        Ok(top) => Ok(Some(top).filter(|top| itself.admits(top)).into_iter().collect()),
        Err(EngineError::NotFound { .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn look(engine: &Engine, stored: &StoredProcess, now: Timestamp) -> LiveUsage {
    let process = &stored.process;
    LiveUsage {
        level: process.lineage.level(),
        uptime: duration(process, now),
        usage: match process.state.execution() {
            Some(_) => usage(engine, process.id).await,
            None => None,
        },
    }
}

async fn usage(engine: &Engine, id: ProcessId) -> Option<TreeUsage> {
    engine.usage(id).await.unwrap_or_default()
}

/// Converts statistics to a reply with values for each level and in total.
pub(crate) fn stats(stats: &ProcessStats, uses: &[LiveUsage], now: Timestamp) -> StatsView {
    let levels = stats.levels.iter().map(|(level, numbers)| {
        let here: Vec<LiveUsage> = uses.iter().filter(|one| one.level == *level).copied().collect();
        of_level(Some(*level), numbers, &here)
    });
    StatsView {
        levels: levels.collect(),
        total: of_level(None, &stats.total, uses),
        at: rfc3339(now),
        damaged: stats.damaged.iter().map(ToString::to_string).collect(),
        tree_unverified: stats.unverified.iter().map(ToString::to_string).collect(),
        late_detections: 0,
        unrecorded_exits: 0,
    }
}

fn of_level(level: Option<Level>, numbers: &LevelStats, uses: &[LiveUsage]) -> LevelStatsView {
    LevelStatsView {
        level: level.map(|level| level.0),
        live: numbers.live,
        by_status: numbers
            .by_status
            .iter()
            .map(|(status, count)| (status.as_str().to_owned(), *count))
            .collect(),
        failures: numbers.failures,
        restarts: numbers.restarts,
        mean_ms: numbers.mean.map(millis),
        p95_ms: numbers.p95.map(millis),
        usage: uses.iter().filter_map(|one| one.usage).map(sum_of_one).reduce(sum),
        uptime_ms: uses.iter().filter_map(|one| one.uptime).max().map(millis),
    }
}

fn sum_of_one(usage: TreeUsage) -> SumUsageView {
    SumUsageView {
        processes: usage.processes.into(),
        cpu_ms: millis(usage.cpu),
        memory_bytes: usage.memory,
        read_bytes: usage.read,
        written_bytes: usage.written,
    }
}

fn sum(left: SumUsageView, right: SumUsageView) -> SumUsageView {
    // A sum includes only the processes whose value is known.
    let known = |left: Option<u64>, right: Option<u64>| match (left, right) {
        (Some(left), Some(right)) => Some(left.saturating_add(right)),
        (one, other) => one.or(other),
    };
    SumUsageView {
        processes: left.processes.saturating_add(right.processes),
        cpu_ms: left.cpu_ms.saturating_add(right.cpu_ms),
        memory_bytes: left.memory_bytes.saturating_add(right.memory_bytes),
        read_bytes: known(left.read_bytes, right.read_bytes),
        written_bytes: known(left.written_bytes, right.written_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn usage_is_summed_by_level_and_in_total() {
        let used = |level: u8, uptime: u64, read: Option<u64>| LiveUsage {
            level: Level(level),
            uptime: Some(Duration::from_millis(uptime)),
            usage: Some(TreeUsage {
                processes: 2,
                cpu: Duration::from_millis(10),
                memory: 100,
                read,
                ..TreeUsage::default()
            }),
        };
        let waits = LiveUsage { level: Level(2), uptime: None, usage: None };
        let uses = [used(0, 7, Some(5)), used(1, 3, None), used(1, 9, Some(6)), waits];
        let levels = BTreeMap::from([0, 1, 2].map(|level| (Level(level), LevelStats::default())));
        let seen = stats(&ProcessStats { levels, ..ProcessStats::default() }, &uses, Timestamp(0));
        let of = |at: usize| seen.levels[at].usage.clone();
        let sum = |processes, cpu_ms, memory_bytes, read_bytes| {
            Some(SumUsageView { processes, cpu_ms, memory_bytes, read_bytes, written_bytes: None })
        };
        assert_eq!((of(0), seen.levels[0].uptime_ms), (sum(2, 10, 100, Some(5)), Some(7)));
        assert_eq!((of(1), seen.levels[1].uptime_ms), (sum(4, 20, 200, Some(6)), Some(9)));
        assert_eq!((of(2), seen.levels[2].uptime_ms), (None, None));
        assert_eq!((seen.total.usage, seen.total.uptime_ms), (sum(6, 30, 300, Some(11)), Some(9)));
    }
}
