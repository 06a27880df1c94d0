//! Encodes the list of all tests while the parser reports them.

use super::case::TestCase;
use super::event::TestEvent;
use super::results::ListedTest;
use super::verdict::{FailureHistory, history_of};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Maximum number of failed tests that wait for their details.
const MAX_WAITING: usize = 20_000;
/// Maximum total length of the stored ids of failed tests, in bytes. Later runs need these ids for the history of their
/// failures.
const MAX_FAILED_IDS_LEN: usize = 1024 * 1024;
/// Maximum number of fixed tests that are named.
const MAX_FIXED: usize = 50;

/// Results of earlier test runs with the same project and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlierTests {
    /// Ids of the failed tests of each earlier complete run; the newest run is first.
    pub failed: Vec<BTreeSet<String>>,
    /// Number of tests in the last complete run of the same command.
    pub last_total: Option<u64>,
}

/// Encodes the tests of one source, one line for each test, as the parser reports them.
///
/// The list consists of two texts: all tests without details, and the failed tests with details. The caller takes the
/// finished lines and stores them, so the list itself needs little memory.
#[derive(Debug)]
pub struct TestList {
    earlier: Arc<EarlierTests>,
    all: Vec<u8>,
    failed: Vec<u8>,
    /// Failed tests whose details the framework reports later.
    waiting: BTreeMap<String, TestCase>,
    named: u64,
    failed_ids: Vec<String>,
    failed_ids_len: usize,
    fixed: Vec<String>,
}

impl TestList {
    /// Creates an empty list.
    #[must_use]
    pub fn new(earlier: Arc<EarlierTests>) -> Self {
        Self {
            earlier,
            all: Vec::new(),
            failed: Vec::new(),
            waiting: BTreeMap::new(),
            named: 0,
            failed_ids: Vec::new(),
            failed_ids_len: 0,
            fixed: Vec::new(),
        }
    }

    /// Adds the test in an event, if the event contains a test.
    pub fn add(&mut self, event: &TestEvent) {
        match event {
            TestEvent::Finished(case) => self.add_finished(case),
            TestEvent::Explained(case) => {
                if self.waiting.remove(&case.id).is_none() {
                    // The test was counted earlier, but its name was unknown.
                    self.add_to_all(case);
                    self.add_failed_id(&case.id);
                }
                self.add_to_failed(case);
            }
            TestEvent::Recognized(_)
            | TestEvent::Streamed
            | TestEvent::Collected(_)
            | TestEvent::Counted(_)
            | TestEvent::Totals(_)
            | TestEvent::Ended { .. }
            | TestEvent::Broken { .. }
            | TestEvent::Unreadable { .. } => {}
        }
    }

    fn add_finished(&mut self, case: &TestCase) {
        self.add_to_all(case);
        if !case.outcome.is_failure() {
            let has_failed = self.earlier.failed.first().is_some_and(|last| last.contains(&case.id));
            if has_failed && self.fixed.len() < MAX_FIXED {
                self.fixed.push(case.id.clone());
            }
            return;
        }
        self.add_failed_id(&case.id);
        if case.failure.is_none() && self.waiting.len() < MAX_WAITING && !self.waiting.contains_key(&case.id)
        {
            self.waiting.insert(case.id.clone(), case.clone());
        } else {
            self.add_to_failed(case);
        }
    }

    fn add_failed_id(&mut self, id: &str) {
        // The test itself may have passed before its tear-down failed.
        self.fixed.retain(|fixed| fixed != id);
        self.failed_ids_len = self.failed_ids_len.saturating_add(id.len());
        if self.failed_ids_len <= MAX_FAILED_IDS_LEN {
            self.failed_ids.push(id.to_owned());
        }
    }

    fn add_to_all(&mut self, case: &TestCase) {
        self.named = self.named.saturating_add(1);
        let history = if case.outcome.is_failure() { self.history(&case.id) } else { None };
        let brief = TestCase { failure: None, ..without_details(case) };
        self.all.extend(ListedTest { case: brief, history }.encode());
    }

    fn add_to_failed(&mut self, case: &TestCase) {
        let history = self.history(&case.id);
        self.failed.extend(ListedTest { case: case.clone(), history }.encode());
    }

    fn history(&self, id: &str) -> Option<FailureHistory> {
        (!self.earlier.failed.is_empty()).then(|| history_of(id, &self.earlier.failed))
    }

    /// Ends the list, and adds the failed tests whose details never arrived.
    pub fn finish(&mut self) {
        for case in std::mem::take(&mut self.waiting).into_values() {
            self.add_to_failed(&case);
        }
    }

    /// Returns the lines of all tests that were added since the last call.
    pub fn take_all(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.all)
    }

    /// Returns the lines of the failed tests that were added since the last call.
    pub fn take_failed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.failed)
    }

    /// Returns the number of bytes in the list that have not been taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.all.len().saturating_add(self.failed.len())
    }

    /// Returns true if all bytes of the list have been taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of tests in the list.
    #[must_use]
    pub const fn named(&self) -> u64 {
        self.named
    }

    /// Returns the ids of the first failed tests.
    #[must_use]
    pub fn failed_ids(&self) -> &[String] {
        &self.failed_ids
    }

    /// Returns the ids of the first tests that failed in the last run and passed in this run.
    #[must_use]
    pub fn fixed(&self) -> &[String] {
        &self.fixed
    }
}

fn without_details(case: &TestCase) -> TestCase {
    TestCase {
        id: case.id.clone(),
        outcome: case.outcome,
        file: case.file.clone(),
        line: case.line,
        duration: case.duration,
        failure: None,
        offset: case.offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_run::{TestFailure, TestOutcome};

    fn failed(id: &str, message: Option<&str>) -> TestCase {
        let failure = message
            .map(|message| Box::new(TestFailure { message: message.to_owned(), ..TestFailure::default() }));
        TestCase { failure, ..TestCase::new(id, TestOutcome::Failed) }
    }

    fn lines(bytes: &[u8]) -> Vec<(String, Option<String>, Option<FailureHistory>)> {
        let test = |line: &[u8]| {
            let ListedTest { case, history } = ListedTest::decode(line).unwrap();
            (case.id, case.failure.map(|failure| failure.message), history)
        };
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(test).collect()
    }

    #[test]
    fn failed_test_is_listed_once_with_the_details_that_follow_later() {
        let mut list = TestList::new(Arc::default());
        for event in [
            TestEvent::Finished(failed("a", None)),
            TestEvent::Finished(failed("b", None)),
            TestEvent::Finished(TestCase::new("c", TestOutcome::Passed)),
            TestEvent::Explained(failed("a", Some("left 1, right 2"))),
            TestEvent::Explained(failed("only a dot", Some("x"))),
        ] {
            list.add(&event);
        }
        list.finish();
        let message = |text: &str| Some(text.to_owned());
        let name = |text: &str| text.to_owned();
        assert_eq!(
            lines(&list.take_failed()),
            [
                (name("a"), message("left 1, right 2"), None),
                (name("only a dot"), message("x"), None),
                (name("b"), None, None)
            ]
        );
        let all: Vec<String> = lines(&list.take_all()).into_iter().map(|(id, ..)| id).collect();
        assert_eq!(all, ["a", "b", "c", "only a dot"]);
        assert_eq!((list.named(), list.is_empty()), (4, true));
        assert_eq!(list.failed_ids(), ["a", "b", "only a dot"]);
    }

    #[test]
    fn failures_have_a_history_and_fixed_tests_are_named() {
        let last = BTreeSet::from(["known".to_owned(), "fixed".to_owned()]);
        let earlier = EarlierTests { failed: vec![last], last_total: Some(3) };
        let mut list = TestList::new(Arc::new(earlier));
        for case in [
            failed("known", Some("m")),
            failed("new", Some("m")),
            TestCase::new("fixed", TestOutcome::Passed),
            TestCase::new("known", TestOutcome::Passed),
            failed("known", Some("the tear-down failed")),
        ] {
            list.add(&TestEvent::Finished(case));
        }
        let histories: Vec<_> =
            lines(&list.take_failed()).into_iter().map(|(id, _, history)| (id, history)).collect();
        assert_eq!(
            histories,
            [
                ("known".to_owned(), Some(FailureHistory::Known)),
                ("new".to_owned(), Some(FailureHistory::New)),
                ("known".to_owned(), Some(FailureHistory::Known))
            ]
        );
        assert_eq!(list.fixed(), ["fixed"]);
    }
}
