//! The figures that the benchmark measures, with their floors and targets.
//!
//! The floor of a figure must be reached on every machine, its target only on a quiet machine with two cores.

/// A performance figure that the benchmark measures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    pub(crate) floor: f64,
    pub(crate) aim: f64,
}

/// Unit of a measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Milliseconds,
    Seconds,
    PerSecond,
    Mebibytes,
    Times,
}

/// Whether a higher or a lower value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
}

impl Figure {
    /// Returns true if a measured value is at least as good as the floor.
    pub(crate) fn is_held_by(&self, value: f64) -> bool {
        self.reaches(value, self.floor)
    }

    /// Returns true if a measured value is at least as good as the target.
    pub(crate) fn is_met_by(&self, value: f64) -> bool {
        self.reaches(value, self.aim)
    }

    fn reaches(&self, value: f64, bar: f64) -> bool {
        match self.better {
            Better::Lower => value <= bar,
            Better::Higher => value >= bar,
        }
    }
}

impl Unit {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PerSecond => "/s",
            Self::Mebibytes => "MiB",
            Self::Times => "x",
        }
    }
}

const fn lower(name: &'static str, unit: Unit, floor: f64, aim: f64) -> Figure {
    Figure { name, unit, better: Better::Lower, floor, aim }
}

const fn higher(name: &'static str, unit: Unit, floor: f64, aim: f64) -> Figure {
    Figure { name, unit, better: Better::Higher, floor, aim }
}

use Unit::{Mebibytes, Milliseconds, PerSecond, Seconds, Times};

pub(crate) const RUN_EMPTY: Figure = lower("run -b, no records, p50", Milliseconds, 5.0, 2.5);
pub(crate) const RUN_FULL: Figure = lower("run -b, 100,000 records, p50", Milliseconds, 5.0, 2.5);
pub(crate) const FIRST_ACT: Figure = lower("launch to first act, p50", Milliseconds, 10.0, 5.0);
pub(crate) const CLI_LOOP: Figure = higher("run -b in a loop, 8 slots", PerSecond, 250.0, 400.0);
pub(crate) const HTTP_LOOP: Figure = higher("launches on one connection, 8 slots", PerSecond, 400.0, 800.0);
pub(crate) const WAIT_P50: Figure = lower("exit until wait returns, p50", Milliseconds, 5.0, 2.0);
pub(crate) const WAIT_P99: Figure = lower("exit until wait returns, p99", Milliseconds, 20.0, 8.0);
pub(crate) const CROWD_LAUNCH: Figure = lower("launch during 1,000 waits, p99", Milliseconds, 50.0, 20.0);
pub(crate) const CROWD_WAIT: Figure = lower("wait during 1,000 waits, p99", Milliseconds, 20.0, 8.0);
pub(crate) const TEXT: Figure = lower("head and tail of 1 GiB, p99", Milliseconds, 50.0, 20.0);
pub(crate) const STATUS: Figure = lower("status, 10,000 records, p50", Milliseconds, 15.0, 4.0);
pub(crate) const OUTPUT_WALL: Figure = lower("1 GiB of output", Seconds, 1.0, 0.6);
pub(crate) const OUTPUT_RATIO: Figure = lower("1 GiB of output, ratio to a file", Times, 3.0, 1.5);
pub(crate) const PARSING_WATCH: Figure = lower("1 GiB, ratio with patterns for errors", Times, 1.2, 1.05);
pub(crate) const PARSING_TESTS: Figure = lower("1 GiB, ratio with test results", Times, 1.2, 1.05);
pub(crate) const PARSING_PROGRESS: Figure = lower("1 GiB, ratio with progress", Times, 1.2, 1.05);
pub(crate) const PARSING_END: Figure = lower("end of 1 GiB, ratio with test results", Times, 2.0, 1.05);
pub(crate) const RSS_IDLE: Figure = lower("manager, idle, resident", Mebibytes, 30.0, 15.0);
pub(crate) const RSS_FULL: Figure = lower("manager, 10,000 records, resident", Mebibytes, 40.0, 20.0);
pub(crate) const SHIM: Figure = lower("private memory per running process", Mebibytes, 1.0, 0.4);
pub(crate) const FOLLOW_P50: Figure = lower("line written to logs -f, p50", Milliseconds, 5.0, 1.0);
pub(crate) const FOLLOW_P99: Figure = lower("line written to logs -f, p99", Milliseconds, 20.0, 5.0);
pub(crate) const WAKEUPS: Figure = lower("manager wake-ups, 20 sleepers", PerSecond, 2.0, 0.2);
pub(crate) const START: Figure = lower("start, 10,000 records, 100 live", Seconds, 1.0, 0.3);
pub(crate) const DECISIONS: Figure = higher("decide and evolve", PerSecond, 1e6, 2e6);
pub(crate) const MEMORY_COMMITS: Figure = higher("commits, memory", PerSecond, 100_000.0, 200_000.0);
pub(crate) const SQLITE_COMMITS: Figure = higher("durable commits, sqlite", PerSecond, 5_000.0, 8_000.0);
pub(crate) const FS_COMMITS: Figure = higher("durable commits, fs", PerSecond, 300.0, 600.0);
pub(crate) const FS_FULL_COMMITS: Figure =
    higher("durable commits, fs, 100,000 records", PerSecond, 300.0, 600.0);
pub(crate) const CHOOSE_MEMORY: Figure = lower("choose of 100,000, memory, p99", Milliseconds, 1.0, 0.5);
pub(crate) const CHOOSE_SQLITE: Figure = lower("choose of 100,000, sqlite, p99", Milliseconds, 1.0, 0.5);
pub(crate) const CLAIM_P50: Figure = lower("durable claim of 100,000, p50", Milliseconds, 1.0, 0.7);
pub(crate) const CLAIM_P99: Figure = lower("durable claim of 100,000, p99", Milliseconds, 10.0, 5.0);
pub(crate) const PAGE_NEWEST: Figure = lower("first page of 1,000,000, p99", Milliseconds, 5.0, 2.0);
pub(crate) const PAGE_DEEP: Figure = lower("any page of 1,000,000, p99", Milliseconds, 5.0, 2.0);
pub(crate) const PAGE_LIVE: Figure = lower("page of live processes, p99", Milliseconds, 5.0, 2.0);
pub(crate) const CASCADE: Figure = lower("cascade, 1,000 descendants", Seconds, 1.0, 0.5);
pub(crate) const ACROSS_CANCEL_P50: Figure = lower("cancel on another node, p50", Milliseconds, 50.0, 10.0);
pub(crate) const ACROSS_CANCEL_P99: Figure = lower("cancel on another node, p99", Milliseconds, 50.0, 20.0);
pub(crate) const ACROSS_END_P50: Figure = lower("wait for another node, p50", Milliseconds, 100.0, 10.0);
pub(crate) const ACROSS_END_P99: Figure = lower("wait for another node, p99", Milliseconds, 100.0, 20.0);
pub(crate) const LAUNCH_RATIO: Figure = lower("launch p99, ratio with subscribers", Times, 1.1, 1.05);
