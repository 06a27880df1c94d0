//! The format of the benchmark report.

use crate::figures::Figure;
use std::fs;
use std::path::Path;

/// Returns the line of the report that describes the machine and the measured program.
pub(crate) fn machine(program: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    format!("# {}; {cores} cores, Linux {}, load {load}", program.display(), release.trim())
}

pub(crate) fn heading() -> String {
    row("figure", "measured", "floor", "aim", "verdict")
}

/// Returns the line of the report for a figure.
pub(crate) fn line(figure: &Figure, value: f64) -> String {
    let verdict = if figure.is_met_by(value) {
        "met"
    } else if figure.is_held_by(value) {
        "held"
    } else {
        "MISSED"
    };
    let unit = figure.unit.as_str();
    let number = |value: f64| format!("{} {unit}", rounded(value));
    row(figure.name, &number(value), &number(figure.floor), &number(figure.aim), verdict)
}

/// Returns the line of the report for a measurement that failed.
pub(crate) fn broken(name: &str, failure: &dyn std::error::Error) -> String {
    row(name, "-", "-", "-", &format!("FAILED: {failure}"))
}

fn row(figure: &str, measured: &str, floor: &str, aim: &str, verdict: &str) -> String {
    format!("{figure:38}{measured:>14}{floor:>13}{aim:>13}  {verdict}")
}

fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{CLI_LOOP, RUN_EMPTY};

    #[test]
    fn a_verdict_follows_the_direction_of_the_figure() {
        assert!(line(&RUN_EMPTY, RUN_EMPTY.aim).ends_with("  met"));
        assert!(line(&RUN_EMPTY, RUN_EMPTY.floor).ends_with("  held"));
        assert!(line(&RUN_EMPTY, RUN_EMPTY.floor + 1.0).ends_with("  MISSED"));
        assert!(line(&CLI_LOOP, CLI_LOOP.aim).ends_with("  met"));
        assert!(line(&CLI_LOOP, CLI_LOOP.floor - 1.0).ends_with("  MISSED"));
    }
}
