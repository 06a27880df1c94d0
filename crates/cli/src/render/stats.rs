//! Numbers about processes, level by level.

use super::amount::length;
use super::grid::{Side, grid};
use super::table::Look;
use longhaul_wire::api::{LevelStatsView, StatsView};

/// The ends that have a column of their own.
const ENDS: [&str; 5] = ["completed", "failed", "timeout", "cancelled", "interrupted"];

/// Writes the numbers, with those of all levels at the end.
pub(crate) fn stats(stats: &StatsView, look: Look) -> String {
    let heads = [
        ("LEVEL", Side::Left),
        ("LIVE", Side::Right),
        ("COMPLETED", Side::Right),
        ("FAILED", Side::Right),
        ("TIMEOUT", Side::Right),
        ("CANCELLED", Side::Right),
        ("INTERRUPTED", Side::Right),
        ("FAILURES", Side::Right),
        ("RESTARTS", Side::Right),
        ("MEAN", Side::Right),
        ("P95", Side::Right),
    ];
    let rows: Vec<Vec<String>> =
        stats.levels.iter().chain([&stats.total]).map(|level| row(level, look)).collect();
    grid(&heads, &rows, look)
}

fn row(level: &LevelStatsView, look: Look) -> Vec<String> {
    let time = |millis: Option<u64>| match millis {
        Some(millis) if look.face.terminal => length(millis),
        Some(millis) => format!("{millis}ms"),
        None => "-".to_owned(),
    };
    let mut row = vec![
        level.level.map_or_else(|| "total".to_owned(), |level| level.to_string()),
        level.live.to_string(),
    ];
    row.extend(ENDS.map(|end| level.by_status.get(end).copied().unwrap_or_default().to_string()));
    row.extend([
        level.failures.to_string(),
        level.restarts.to_string(),
        time(level.mean_ms),
        time(level.p95_ms),
    ]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Face;
    use crate::render::samples;

    #[test]
    fn levels_and_their_total() {
        assert_eq!(
            stats(&samples::stats(), look(true)),
            "\
LEVEL  LIVE  COMPLETED  FAILED  TIMEOUT  CANCELLED  INTERRUPTED  FAILURES  RESTARTS  MEAN    P95
0         1          2       1        0          0            0         1         1  1.2s  2m 5s
1         0          3       0        1          0            0         1         0     -      -
total     1          5       1        1          0            0         2         1  1.2s  2m 5s
"
        );
        let piped = stats(&samples::stats(), look(false));
        assert_eq!(piped.lines().nth(1).unwrap(), "0\t1\t2\t1\t0\t0\t0\t1\t1\t1234ms\t125000ms");
    }

    fn look(terminal: bool) -> Look {
        Look { face: Face { terminal, colour: false }, wide: false, unicode: true, width: 120 }
    }
}
