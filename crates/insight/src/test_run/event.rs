//! Events that a parser of test results emits.

use super::case::{Framework, TestCase, TestCounts};
use std::time::Duration;

/// A fact about a run of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestEvent {
    /// The output or the report is one of this framework.
    Recognized(Framework),
    /// The framework found this number of tests, in addition to earlier ones. One run may have several parts, such as
    /// the test programs of `cargo test`.
    Collected(u64),
    /// A test ended.
    Finished(TestCase),
    /// Tests ended whose names the output does not state, such as the dots of pytest.
    Counted(TestCounts),
    /// Name or details of a failed test that was counted before. It counts nothing itself.
    Explained(TestCase),
    /// Summary of the framework itself for one part of the run. A part without single tests is known only from here.
    Totals(TestCounts),
    /// The framework ended the run itself.
    Ended {
        /// Duration of the run, as the framework measured it.
        duration: Option<Duration>,
    },
    /// The run ended before any test because of this error, for example a compilation error.
    Broken {
        /// Message in one line.
        message: String,
    },
    /// The report cannot be read beyond this point.
    Unreadable {
        /// Reason, as a phrase for people.
        why: String,
    },
}

/// Reads the output or the report of a run of tests in pieces of any size.
pub trait TestParser: std::fmt::Debug + Send {
    /// Reads the next bytes.
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent));

    /// Reads the end of the output. Without it the run was killed or is still running.
    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent));
}
