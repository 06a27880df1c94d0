//! Results of tests: the vocabulary that all parsers share, and the parsers.

mod case;
mod cause;
mod event;
mod summary;
mod verdict;

pub use case::{
    Framework, MAX_ID_LEN, MAX_TEXT_LEN, TestCase, TestCounts, TestFailure, TestOutcome, TestPhase,
    TestSource,
};
pub use cause::cause_of;
pub use event::{TestEvent, TestParser};
pub use summary::{
    FailedTest, FailureGroup, MAX_GROUPS, MAX_NAMED_FAILURES, SLOWEST, SlowTest, TestRun, TestSummary,
};
pub use verdict::{FailureHistory, TestWarning, doubt, history_of};
