//! Events that a parser of test results emits.

use super::case::{Framework, TestCase, TestCounts};
use std::time::Duration;

/// A fact about a test run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestEvent {
    /// The framework that printed the output or wrote the report was recognized.
    Recognized(Framework),
    /// Output that was parsed as text for people turned out to be machine-readable.
    Streamed,
    /// The framework found this number of tests, in addition to the tests that it reported before. One run may have
    /// several parts, such as the test programs of `cargo test`.
    Collected(u64),
    /// A test has a result.
    Finished(TestCase),
    /// Several tests have a result, but the output does not state their names, as with the dots of pytest.
    Counted(TestCounts),
    /// Name or details of a failed test that was counted before. This event does not change the counts.
    Explained(TestCase),
    /// Summary by the framework itself for one part of the run. Some parts report no individual tests; for them the
    /// summary is the only information.
    Totals(TestCounts),
    /// The framework ended the run normally.
    Ended {
        /// Duration of the run, as the framework measured it.
        duration: Option<Duration>,
    },
    /// This error, such as a compilation error, ended the run before the first test.
    Broken {
        /// Message in one line.
        message: String,
    },
    /// The report is unreadable from this point on.
    Unreadable {
        /// Reason, as a phrase for people.
        why: String,
    },
}

/// Parser for the output or the report of a test run, which may arrive in chunks of any size.
pub trait TestParser: std::fmt::Debug + Send {
    /// Reads the next bytes.
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(TestEvent));

    /// Reads bytes that start at an offset of the output, so that failed tests can state where the output reports them
    /// ([`TestCase::offset`]). The default implementation ignores the offset.
    fn push_at(&mut self, offset: u64, bytes: &[u8], emit: &mut dyn FnMut(TestEvent)) {
        let _ = offset;
        self.push(bytes, emit);
    }

    /// Handles the end of the output. If there was no [`TestEvent::Ended`] before, the run was killed or is still
    /// running.
    fn finish(&mut self, emit: &mut dyn FnMut(TestEvent));
}
