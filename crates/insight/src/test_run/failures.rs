//! The failures of a run, in bounded memory.

use super::case::{TestCase, TestPhase};
use super::failed_test::FailedTest;
use super::summary::FailureGroup;
use std::collections::BTreeMap;

/// Maximum number of failed tests that a summary names. The counts include all of them.
pub const MAX_NAMED_FAILURES: usize = 200;
/// Maximum number of errors of collection that a summary names.
pub const MAX_COLLECTION_ERRORS: usize = 50;
/// Maximum number of groups of failures in a summary.
pub const MAX_GROUPS: usize = 20;
/// Maximum number of bytes of the traces, the captured output and the values of all failures of a summary.
pub const MAX_DETAILS_LEN: usize = 2 * 1024 * 1024;
/// Maximum number of groups that are counted while the tests run.
const MAX_COUNTED_GROUPS: usize = 1000;

/// Names the first failures and counts the groups of all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    named: Vec<FailedTest>,
    collection: Vec<FailedTest>,
    /// Number of failures and id of the first one, by cause.
    groups: BTreeMap<String, (u64, String)>,
    /// Number of bytes of the details of named failures.
    details_len: usize,
}

impl Failures {
    /// Adds a failed test. Without details it belongs to no group until [`Failures::explain`] is called.
    pub(super) fn add(&mut self, case: &TestCase) {
        if case.failure.is_some() {
            self.count(case);
        }
        self.name(case);
    }

    /// Adds the details of a failure, or its name if only its result was known.
    pub(super) fn explain(&mut self, case: &TestCase) {
        self.count(case);
        let is_same = |known: &&mut FailedTest| {
            known.id == case.id && known.cause.is_empty() && (known.file.is_none() || known.file == case.file)
        };
        match self.named.iter_mut().find(is_same) {
            Some(known) => {
                *known = FailedTest::new(case);
                self.details_len = bound_details(known, self.details_len);
            }
            None => self.name(case),
        }
    }

    fn count(&mut self, case: &TestCase) {
        let cause = FailedTest::cause_of(case);
        if let Some((count, _)) = self.groups.get_mut(&cause) {
            *count = count.saturating_add(1);
        } else if self.groups.len() < MAX_COUNTED_GROUPS {
            self.groups.insert(cause, (1, case.id.clone()));
        }
    }

    fn name(&mut self, case: &TestCase) {
        let phase = case.failure.as_ref().map_or(TestPhase::Call, |failure| failure.phase);
        let (list, limit) = match phase {
            TestPhase::Collect => (&mut self.collection, MAX_COLLECTION_ERRORS),
            TestPhase::Setup | TestPhase::Call | TestPhase::Teardown => (&mut self.named, MAX_NAMED_FAILURES),
        };
        if list.len() < limit {
            let mut failed = FailedTest::new(case);
            self.details_len = bound_details(&mut failed, self.details_len);
            list.push(failed);
        }
    }

    /// Returns the named failures.
    pub(super) fn named(&self) -> &[FailedTest] {
        &self.named
    }

    /// Returns the errors of collection.
    pub(super) fn collection(&self) -> &[FailedTest] {
        &self.collection
    }

    /// Returns the largest groups.
    pub(super) fn groups(&self) -> Vec<FailureGroup> {
        let group = |(cause, (count, first)): (&String, &(u64, String))| FailureGroup {
            cause: cause.clone(),
            count: *count,
            first: first.clone(),
        };
        let mut groups: Vec<FailureGroup> = self.groups.iter().map(group).collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups.truncate(MAX_GROUPS);
        groups
    }

    /// Returns the approximate number of bytes that the failures occupy.
    pub(super) fn held_bytes(&self) -> usize {
        let failed = |failed: &FailedTest| failed.len().saturating_add(size_of::<FailedTest>());
        let group = |(cause, (_, id)): (&String, &(u64, String))| {
            cause.len().saturating_add(id.len()).saturating_add(2 * size_of::<(String, u64, String)>())
        };
        let named: usize = self.named.iter().chain(&self.collection).map(failed).sum();
        named.saturating_add(self.groups.iter().map(group).sum())
    }
}

/// Removes the details of a failure if there is no room for them, and returns the number of bytes that are then used.
fn bound_details(failed: &mut FailedTest, used: usize) -> usize {
    let total = used.saturating_add(failed.detail_len());
    if total <= MAX_DETAILS_LEN {
        return total;
    }
    failed.drop_details();
    used
}
