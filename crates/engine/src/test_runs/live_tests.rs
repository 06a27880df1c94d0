//! The results of a test run in progress, which the output follower and the task of the run share.

use super::parsed_tests::{ParsedTests, stream_of};
use super::plan::TestPlan;
use longhaul_insight::test_run::{EarlierTests, TestSource};
use longhaul_ports::{OutputChunk, OutputSource};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Size of a list in memory at which it is written to its files, in bytes.
const WRITE_LEN: usize = 256 * 1024;
/// Size of a list in memory at which the output follower waits, in bytes.
const MAX_LIST_LEN: usize = 4 * WRITE_LEN;

/// Results so far. The output follower adds the results in the output. The task of the run adds the results of the
/// other sources, and stores the list of tests.
#[derive(Debug)]
pub(crate) struct LiveTests {
    parsed: Mutex<ParsedTests>,
    /// Source of the results in the output.
    output: TestSource,
    changed: Notify,
    list_is_long: Notify,
}

impl LiveTests {
    pub(super) fn new(plan: &TestPlan, earlier: &Arc<EarlierTests>) -> Self {
        Self {
            parsed: Mutex::new(ParsedTests::new(plan, earlier)),
            output: plan.output,
            changed: Notify::new(),
            list_is_long: Notify::new(),
        }
    }

    /// Returns the stream that contains results; `None` if both streams contain them.
    pub(crate) const fn stream(&self) -> Option<OutputSource> {
        stream_of(self.output)
    }

    /// Parses a chunk of the output.
    pub(crate) fn push_output(&self, chunk: &OutputChunk) {
        let mut parsed = self.lock();
        parsed.push_output(chunk);
        let is_long = parsed.source(self.output).list().len() >= WRITE_LEN;
        drop(parsed);
        self.changed.notify_one();
        if is_long {
            self.list_is_long.notify_one();
        }
    }

    /// Ends all unfinished lines and marks the results as incomplete, because output is missing before the next chunk.
    pub(crate) fn interrupt_output(&self) {
        self.lock().interrupt_output();
    }

    /// Returns true if the list of tests must be stored before more output is parsed.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().source(self.output).list().len() >= MAX_LIST_LEN
    }

    /// Returns true if the output need not be parsed while the tests run.
    pub(crate) fn prefers_plugin(&self) -> bool {
        self.lock().prefers_plugin()
    }

    /// Waits until the output follower has parsed output.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Waits until the list of tests in the output has to be stored.
    pub(super) async fn list_is_long(&self) {
        self.list_is_long.notified().await;
    }

    /// Returns true if the list of a source has to be stored.
    pub(super) fn is_list_long(&self, source: TestSource) -> bool {
        self.lock().source(source).list().len() >= WRITE_LEN
    }

    /// Removes and returns the finished parts of the two lists of a source: all tests, and the failed tests.
    pub(super) fn take_list(&self, source: TestSource) -> [Vec<u8>; 2] {
        let mut parsed = self.lock();
        let list = parsed.source_mut(source).0.list_mut();
        [list.take_all(), list.take_failed()]
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ParsedTests> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
