//! Passes the output of a test run to the parsers of its test results.

use super::output_consumer::{OutputConsumer, ReportPace};
use crate::engine::EngineShared;
use crate::test_runs::LiveTests;
use longhaul_domain::{Observation, Spec};
use longhaul_ports::{AttemptKey, OutputChunk, OutputSource};
use std::sync::{Arc, Weak};

/// Parses the test results in the output. The task of the test run reports the results.
#[derive(Debug)]
pub(super) struct TestConsumer {
    stream: Option<OutputSource>,
    /// Results so far. The pointer is invalid after the task of the test run has ended.
    tests: Weak<LiveTests>,
}

impl TestConsumer {
    /// Returns true if the output of a process with this spec needs a test consumer.
    pub(super) fn is_needed(spec: &Spec) -> bool {
        crate::test_runs::has_tests(spec)
    }

    /// Creates the consumer of an attempt, or returns `None` if its test results are not being collected.
    pub(super) async fn of(core: &EngineShared, key: AttemptKey) -> Option<Self> {
        let tests = core.live_tests(key).await?;
        Some(Self { stream: tests.stream(), tests: Arc::downgrade(&tests) })
    }
}

impl OutputConsumer for TestConsumer {
    fn stream(&self) -> Option<OutputSource> {
        self.stream
    }

    fn pace(&self) -> ReportPace {
        ReportPace::Latest { may_skip: false }
    }

    fn push(&mut self, chunk: &OutputChunk) {
        if let Some(tests) = self.tests.upgrade() {
            tests.push_output(chunk);
        }
    }

    fn interrupt(&mut self) {
        if let Some(tests) = self.tests.upgrade() {
            tests.interrupt_output();
        }
    }

    fn take_reports(&mut self) -> Vec<Observation> {
        Vec::new()
    }

    fn is_done(&self) -> bool {
        self.tests.upgrade().is_none_or(|tests| tests.prefers_plugin())
    }

    fn is_full(&self) -> bool {
        self.tests.upgrade().is_some_and(|tests| tests.is_full())
    }
}
