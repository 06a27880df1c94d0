//! Results of one test run, collected from several sources.

use super::case::{Framework, TestCounts, TestSource};
use super::event::TestEvent;
use super::run::TestRun;
use super::summary::TestSummary;

/// Consumes the events from all sources of one run and returns the results of the best source.
///
/// The sources, from the most to the least reliable, are the plugin, a JUnit report, machine-readable output and text
/// for people. If a more reliable source was interrupted, for example because the disk was full, a complete source with
/// at least as many results replaces it. A source without results is replaced by a source with results.
///
/// ```
/// use longhaul_insight::test_run::{TestCase, TestCollector, TestEvent, TestOutcome, TestSource};
///
/// let mut collector = TestCollector::new(None);
/// let case = TestCase::new("tests/test_a.py::test_a", TestOutcome::Passed);
/// collector.add(TestSource::Plugin, &TestEvent::Finished(case));
/// assert_eq!(collector.counts().passed, 1);
/// ```
#[derive(Clone, Debug)]
pub struct TestCollector {
    framework: Option<Framework>,
    /// One run for each source, the most reliable source first.
    runs: [TestRun; 4],
}

impl TestCollector {
    /// Creates a collector without results. `framework` is the framework that was detected in the command.
    #[must_use]
    pub fn new(framework: Option<Framework>) -> Self {
        let runs = [TestSource::Plugin, TestSource::Junit, TestSource::Stream, TestSource::Console]
            .map(TestRun::new);
        Self { framework, runs }
    }

    /// Adds an event of one source.
    pub fn add(&mut self, source: TestSource, event: &TestEvent) {
        let [plugin, junit, stream, console] = &mut self.runs;
        match source {
            TestSource::Plugin => plugin.add(event),
            TestSource::Junit => junit.add(event),
            TestSource::Stream => stream.add(event),
            TestSource::Console => console.add(event),
        }
    }

    /// Returns the number of tests so far, in total and by result.
    #[must_use]
    pub fn counts(&self) -> TestCounts {
        self.best().counts()
    }

    /// Returns true if the results of a source are complete.
    #[must_use]
    pub fn is_complete(&self, source: TestSource) -> bool {
        let [plugin, junit, stream, console] = &self.runs;
        match source {
            TestSource::Plugin => plugin.is_complete(),
            TestSource::Junit => junit.is_complete(),
            TestSource::Stream => stream.is_complete(),
            TestSource::Console => console.is_complete(),
        }
    }

    /// Returns the results so far.
    #[must_use]
    pub fn summary(&self) -> TestSummary {
        let best = self.best();
        let mut summary = best.summary();
        summary.framework = summary.framework.or(self.framework);
        let more_failures =
            |run: &&TestRun| run.is_complete() && run.counts().failures() > summary.counts.failures();
        let contradicting = self.runs.iter().find(more_failures).map(TestRun::counts);
        summary.contradicting = summary.contradicting.or(contradicting.filter(|_| summary.complete));
        if summary.counts.total == 0 {
            let first = |reason: fn(&TestSummary) -> Option<String>| {
                self.runs.iter().find_map(|run| reason(&run.summary()))
            };
            summary.broken = summary.broken.or_else(|| first(|summary| summary.broken.clone()));
            summary.unreadable = summary.unreadable.or_else(|| first(|summary| summary.unreadable.clone()));
        }
        summary
    }

    /// Returns the approximate size of the results in memory, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.runs.iter().map(TestRun::held_bytes).sum()
    }

    /// Returns the most reliable source, unless a less reliable source has better results.
    fn best(&self) -> &TestRun {
        let [plugin, junit, stream, console] = &self.runs;
        let more = |best: &TestRun, other: &TestRun| {
            let (best_total, other_total) = (best.counts().total, other.counts().total);
            match (best.is_complete(), other.is_complete()) {
                (true, _) => best_total == 0 && other_total > 0,
                (false, true) => other_total >= best_total,
                (false, false) => best_total == 0 && (other_total > 0 || !best.is_recognized()),
            }
        };
        [junit, stream, console]
            .into_iter()
            .fold(plugin, |best, other| if more(best, other) { other } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestCase, TestFailure, TestOutcome};
    use std::time::Duration;

    fn finished(id: &str, outcome: TestOutcome) -> TestEvent {
        TestEvent::Finished(TestCase::new(id, outcome))
    }

    fn ended() -> TestEvent {
        TestEvent::Ended { duration: None }
    }

    fn totals(passed: u64, failed: u64) -> TestEvent {
        TestEvent::Totals(TestCounts { total: passed + failed, passed, failed, ..TestCounts::ZERO })
    }

    #[test]
    fn best_source_with_results_is_used() {
        let mut collector = TestCollector::new(Some(Framework::Pytest));
        assert_eq!(collector.summary().framework, Some(Framework::Pytest));
        collector.add(TestSource::Console, &finished("a", TestOutcome::Passed));
        assert_eq!((collector.summary().source, collector.counts().total), (TestSource::Console, 1));
        collector.add(TestSource::Plugin, &finished("a", TestOutcome::Passed));
        assert_eq!(collector.summary().source, TestSource::Plugin);
        collector.add(TestSource::Junit, &finished("a", TestOutcome::Passed));
        collector.add(TestSource::Junit, &finished("b", TestOutcome::Failed));
        collector.add(TestSource::Junit, &ended());
        let summary = collector.summary();
        assert_eq!(
            (summary.source, summary.counts.failed),
            (TestSource::Junit, 1),
            "the plugin was interrupted"
        );
    }

    #[test]
    fn another_source_with_more_failures_raises_a_doubt() {
        let mut collector = TestCollector::new(None);
        for event in [finished("a", TestOutcome::Passed), ended()] {
            collector.add(TestSource::Plugin, &event);
        }
        for event in [totals(0, 1), ended()] {
            collector.add(TestSource::Console, &event);
        }
        assert_eq!(collector.summary().contradicting.map(|counts| counts.failed), Some(1));
    }

    #[test]
    fn hundred_thousand_tests_need_bounded_memory() {
        let mut collector = TestCollector::new(None);
        let (name, message, text) = ("n".repeat(2000), "x y".repeat(20), "t".repeat(16 * 1024));
        let mut case = TestCase::new("", TestOutcome::Failed);
        let mut failure =
            TestFailure { trace: Some(text.clone()), captured: Some(text), ..TestFailure::default() };
        for number in 0..100_000_u32 {
            case.id = TestCase::new(&format!("{number}{name}"), TestOutcome::Failed).id;
            case.duration = Some(Duration::from_millis(u64::from(number % 977)));
            failure.message = format!("{}{message}", "m".repeat(usize::try_from(number % 300).unwrap()));
            case.failure = Some(Box::new(std::mem::take(&mut failure)));
            let event = TestEvent::Finished(case);
            collector.add(TestSource::Plugin, &event);
            if number % 10 == 0 {
                collector.add(TestSource::Console, &event);
            }
            let TestEvent::Finished(used) = event else { unreachable!() };
            case = used;
            failure = *case.failure.take().unwrap();
        }
        assert_eq!((collector.counts().failed, collector.summary().failures.len()), (100_000, 200));
        assert!(collector.held_bytes() < 20 * 1024 * 1024, "{} bytes", collector.held_bytes());
    }
}
