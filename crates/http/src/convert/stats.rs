//! Statistics as clients see them.

use crate::convert::moment::rfc3339;
use crate::convert::process::millis;
use longhaul_domain::{Level, Timestamp};
use longhaul_engine::{LevelStats, Stats};
use longhaul_wire::api::{LevelStatsView, StatsView};

/// Statistics by level and in total.
pub(crate) fn stats(stats: &Stats, now: Timestamp) -> StatsView {
    StatsView {
        levels: stats.levels.iter().map(|(level, numbers)| of_level(Some(*level), numbers)).collect(),
        total: of_level(None, &stats.total),
        at: rfc3339(now),
    }
}

fn of_level(level: Option<Level>, numbers: &LevelStats) -> LevelStatsView {
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
    }
}
