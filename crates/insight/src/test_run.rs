//! Test results: the types that all parsers share, and the parsers.
//!
//! [`detect`] finds the test framework in the command, and [`ConsoleParser`] finds it in the output. [`parser_of`] returns
//! the [`TestParser`] for a source: the pytest plugin of longhaul, a JUnit report, machine-readable output, or text for
//! people. A parser reads bytes in pieces and emits [`TestEvent`]s. A [`TestCollector`] consumes the events from all
//! sources of a run and returns a [`TestSummary`] of the most reliable source. [`doubt`] compares the summary with a
//! successful exit, and [`rerun_command`] returns the command that runs the failed tests again.
//!
//! ```
//! use longhaul_insight::test_run::{TestCollector, TestSource, detect, parser_of};
//!
//! let command = ["cargo".to_owned(), "test".to_owned()];
//! let framework = detect(&command, &[]).and_then(|detected| detected.framework);
//! let mut collector = TestCollector::new(framework);
//! let mut parser = parser_of(TestSource::Console, framework);
//! let mut emit = |event| collector.add(TestSource::Console, &event);
//! parser.push(b"running 2 tests\ntest a ... ok\ntest b ... FAILED\n", &mut emit);
//! assert_eq!((collector.counts().passed, collector.counts().failed), (1, 1));
//! assert!(!collector.summary().complete, "the test program did not print its result");
//! ```

mod case;
mod cause;
mod collector;
mod console;
mod detect;
mod event;
mod failed_test;
mod failure_text;
mod failures;
mod go_json;
mod json_report;
mod json_scanner;
mod junit;
mod parsers;
mod plugin_lines;
mod recognize;
mod report_paths;
mod rerun;
mod results;
mod run;
mod summary;
mod tap;
mod test_list;
mod text;
mod verdict;

pub use case::{
    Framework, MAX_ID_LEN, MAX_TEXT_LEN, TestCase, TestCounts, TestFailure, TestOutcome, TestPhase,
    TestSource,
};
pub use cause::cause_of;
pub use collector::TestCollector;
pub use console::ConsoleParser;
pub use detect::{DetectedTests, detect};
pub use event::{TestEvent, TestParser};
pub use failed_test::FailedTest;
pub use failures::{MAX_COLLECTION_ERRORS, MAX_DETAILS_LEN, MAX_GROUPS, MAX_NAMED_FAILURES};
pub use go_json::GoJsonParser;
pub use json_report::JsonReportParser;
pub use junit::JunitParser;
pub use parsers::parser_of;
pub use plugin_lines::PluginParser;
pub use report_paths::junit_paths;
pub use rerun::rerun_command;
pub use results::{ListedTest, StoredResultsError, TestResults};
pub use run::{MAX_FLAKY, SLOWEST, TestRun};
pub use summary::{FailureGroup, SlowTest, TestSummary};
pub use tap::TapParser;
pub use test_list::{EarlierTests, TestList};
pub use verdict::{FailureHistory, TestWarning, contradiction, doubt, history_of};

/// Source code of the pytest plugin that reports the test results.
///
/// To use it, store it as `longhaul_pytest.py` in a directory of `PYTHONPATH`, set `PYTEST_ADDOPTS` to `-p
/// longhaul_pytest`, and set [`PYTEST_REPORT_VARIABLE`] to the path of the report.
pub const PYTEST_PLUGIN: &str = include_str!("test_run/pytest_plugin.py");

/// Environment variable with the path of the report that [`PYTEST_PLUGIN`] writes.
pub const PYTEST_REPORT_VARIABLE: &str = "LONGHAUL_PYTEST_REPORT";
