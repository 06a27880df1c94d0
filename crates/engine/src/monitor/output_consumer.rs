//! The interface between the output follower and the code that searches output.

use longhaul_domain::Observation;
use longhaul_ports::{OutputChunk, OutputSource};
use std::fmt::Debug;

/// Receives the output of one attempt and reports what it finds.
///
/// A consumer does no I/O and reads no clock. After a restart of the manager, a new consumer reads the output again, so
/// it may repeat reports. The rules ignore repeated reports.
pub(crate) trait OutputConsumer: Debug + Send {
    /// Returns the offset of the first byte that the consumer needs.
    fn start(&self) -> u64 {
        0
    }

    /// Returns the stream that the consumer reads; `None` for both streams.
    fn stream(&self) -> Option<OutputSource>;

    /// Returns when and how the reports of this consumer are collected.
    fn pace(&self) -> ReportPace;

    /// Reads the next chunk. Chunks arrive in the order of their offsets.
    fn push(&mut self, chunk: &OutputChunk);

    /// Drops unfinished lines, because output is missing before the next chunk.
    fn interrupt(&mut self);

    /// Reads unfinished lines, such as prompts, because the command has written nothing for a moment.
    fn quiet(&mut self) {}

    /// Returns the observations that are new since the last call.
    fn take_reports(&mut self) -> Vec<Observation>;

    /// Returns the last observations, because the attempt has ended. `is_complete` is false if the rest of the output
    /// could not be read in time.
    fn finish(&mut self, is_complete: bool) -> Vec<Observation> {
        let _ = is_complete;
        self.take_reports()
    }

    /// Returns true if the consumer needs no more output.
    fn is_done(&self) -> bool {
        false
    }

    /// Returns true if the consumer accepts no output at the moment, because its results have to be stored first.
    fn is_full(&self) -> bool {
        false
    }
}

/// Defines when the reports of a consumer are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportPace {
    /// Reports are collected after each page. Each report is a separate fact.
    Immediate,
    /// Reports are collected at most once per second. Each report is a state that replaces the earlier states. Output
    /// that already existed when the follower started causes only one report, after the consumer has read all of it.
    Latest {
        /// True if the consumer accepts that old output is skipped when the follower is too slow.
        may_skip: bool,
    },
}
