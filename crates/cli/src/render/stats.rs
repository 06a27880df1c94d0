//! Formats the statistics of the processes on each level of the process trees.

use super::amount::{bytes, length};
use super::grid::{Align, grid};
use super::table::TableFormat;
use longhaul_wire::api::{LevelStatsView, StatsView};

/// Final statuses. Each of them has its own column.
const ENDS: [&str; 5] = ["completed", "failed", "timeout", "cancelled", "interrupted"];

/// Columns that count live and ended processes.
const COUNTS: [(&str, Align); 11] = [
    ("LEVEL", Align::Left),
    ("LIVE", Align::Right),
    ("COMPLETED", Align::Right),
    ("FAILED", Align::Right),
    ("TIMEOUT", Align::Right),
    ("CANCELLED", Align::Right),
    ("INTERRUPTED", Align::Right),
    ("FAILURES", Align::Right),
    ("RESTARTS", Align::Right),
    ("MEAN", Align::Right),
    ("P95", Align::Right),
];

/// Columns that show the resource usage of live processes.
const USES: [(&str, Align); 6] = [
    ("PROCESSES", Align::Right),
    ("CPU", Align::Right),
    ("MEMORY", Align::Right),
    ("READ", Align::Right),
    ("WRITTEN", Align::Right),
    ("UPTIME", Align::Right),
];

/// Formats the statistics of each level, with the total in the last row. On a terminal, a second table shows the
/// resource usage of live processes, if any usage is known. In any other output, the resource usage is part of the same
/// rows.
pub(crate) fn stats(stats: &StatsView, look: TableFormat) -> String {
    let all = || stats.levels.iter().chain([&stats.total]);
    if !look.face.terminal {
        let heads: Vec<_> = COUNTS.iter().chain(&USES).copied().collect();
        let rows: Vec<Vec<String>> =
            all().map(|level| [counts(level, look), uses(level, look)].concat()).collect();
        return grid(&heads, &rows, look);
    }
    let rows: Vec<Vec<String>> = all().map(|level| counts(level, look)).collect();
    let counted = grid(&COUNTS, &rows, look);
    if stats.total.usage.is_none() && stats.total.uptime_ms.is_none() {
        return counted;
    }
    let heads: Vec<_> = COUNTS.iter().take(2).chain(&USES).copied().collect();
    let rows: Vec<Vec<String>> = all()
        .filter(|level| level.live > 0)
        .map(|level| counts(level, look).into_iter().take(2).chain(uses(level, look)).collect())
        .collect();
    format!("{counted}\n{}", grid(&heads, &rows, look))
}

fn uses(level: &LevelStatsView, look: TableFormat) -> Vec<String> {
    let usage = level.usage.as_ref();
    let size = |size: Option<u64>| match size {
        Some(size) if look.face.terminal => bytes(size),
        Some(size) => size.to_string(),
        None => "-".to_owned(),
    };
    vec![
        usage.map_or_else(|| "-".to_owned(), |usage| usage.processes.to_string()),
        time(usage.map(|usage| usage.cpu_ms), look),
        size(usage.map(|usage| usage.memory_bytes)),
        size(usage.and_then(|usage| usage.read_bytes)),
        size(usage.and_then(|usage| usage.written_bytes)),
        time(level.uptime_ms, look),
    ]
}

fn time(millis: Option<u64>, look: TableFormat) -> String {
    match millis {
        Some(millis) if look.face.terminal => length(millis),
        Some(millis) => format!("{millis}ms"),
        None => "-".to_owned(),
    }
}

fn counts(level: &LevelStatsView, look: TableFormat) -> Vec<String> {
    let mut row = vec![
        level.level.map_or_else(|| "total".to_owned(), |level| level.to_string()),
        level.live.to_string(),
    ];
    row.extend(ENDS.map(|end| level.by_status.get(end).copied().unwrap_or_default().to_string()));
    row.extend([
        level.failures.to_string(),
        level.restarts.to_string(),
        time(level.mean_ms, look),
        time(level.p95_ms, look),
    ]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::ConsoleStream;
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

LEVEL  LIVE  PROCESSES    CPU  MEMORY   READ  WRITTEN  UPTIME
0         1          3  1m 1s  12 MiB  1 KiB        -   2m 5s
total     1          3  1m 1s  12 MiB  1 KiB        -   2m 5s
"
        );
        let mut ended = samples::stats();
        (ended.total.usage, ended.total.uptime_ms) = (None, None);
        assert_eq!(stats(&ended, look(true)).lines().count(), 4, "nothing lives");
        let piped = stats(&samples::stats(), look(false));
        assert_eq!(
            piped.lines().nth(1).unwrap(),
            "0\t1\t2\t1\t0\t0\t0\t1\t1\t1234ms\t125000ms\t3\t61000ms\t12582912\t1024\t-\t125000ms"
        );
        assert!(piped.starts_with("LEVEL\tLIVE\t") && piped.contains("\tP95\tPROCESSES\tCPU\t"), "{piped}");
    }

    fn look(terminal: bool) -> TableFormat {
        TableFormat {
            face: ConsoleStream { terminal, colour: false },
            wide: false,
            unicode: true,
            width: 120,
        }
    }
}
