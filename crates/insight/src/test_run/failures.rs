//! The failures of a test run, stored in bounded memory.

use super::case::{TestCase, TestPhase};
use super::failed_test::FailedTest;
use super::summary::FailureGroup;
use std::collections::BTreeMap;

/// Maximum number of failed tests that a summary names. The counts include all failed tests.
pub const MAX_NAMED_FAILURES: usize = 200;
/// Maximum number of collection errors that a summary names.
pub const MAX_COLLECTION_ERRORS: usize = 50;
/// Maximum number of failure groups in a summary.
pub const MAX_GROUPS: usize = 20;
/// Maximum total size in bytes of the traces, the captured output and the compared values in a summary.
pub const MAX_DETAILS_LEN: usize = 2 * 1024 * 1024;
/// Maximum number of failure groups that are counted while the tests run.
const MAX_COUNTED_GROUPS: usize = 1000;

/// The first failures by name, and the number of failures in each group.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    named: Vec<FailedTest>,
    collection: Vec<FailedTest>,
    /// For each cause: the number of failures and the id of the first failed test.
    groups: BTreeMap<String, (u64, String)>,
    /// Total size in bytes of the details of all named failures.
    details_len: usize,
}

impl Failures {
    /// Adds a failed test. A test without details belongs to no group until [`Failures::explain`] adds them.
    pub(super) fn add(&mut self, case: &TestCase) {
        if case.failure.is_some() {
            self.count(case);
        }
        self.name(case);
    }

    /// Adds the details of a failure that was already added. If only its result was known, also adds its name.
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

    /// Returns the failures that the summary names.
    pub(super) fn named(&self) -> &[FailedTest] {
        &self.named
    }

    /// Returns the collection errors.
    pub(super) fn collection(&self) -> &[FailedTest] {
        &self.collection
    }

    /// Returns the groups with the most failures.
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

    /// Returns the approximate size of the failures in memory, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        let failed = |failed: &FailedTest| failed.len().saturating_add(size_of::<FailedTest>());
        let group = |(cause, (_, id)): (&String, &(u64, String))| {
            cause.len().saturating_add(id.len()).saturating_add(2 * size_of::<(String, u64, String)>())
        };
        let named: usize = self.named.iter().chain(&self.collection).map(failed).sum();
        named.saturating_add(self.groups.iter().map(group).sum())
    }
}

/// Removes the details of a failure if they exceed the limit. Returns the total number of bytes then used.
fn bound_details(failed: &mut FailedTest, used: usize) -> usize {
    let total = used.saturating_add(failed.detail_len());
    if total <= MAX_DETAILS_LEN {
        return total;
    }
    failed.drop_details();
    used
}
