//! A failed test in the summary of a run.

use super::case::{TestCase, TestFailure, TestPhase};
use super::cause::cause_of;
use serde::{Deserialize, Serialize};

/// A failed test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedTest {
    /// Name with which the framework can run this test alone.
    pub id: String,
    /// Source file.
    pub file: Option<String>,
    /// Line in the source file.
    pub line: Option<u32>,
    /// Type of the exception or assertion.
    pub kind: Option<String>,
    /// Message in one line.
    pub message: String,
    /// Type and message of the failure, with `#` in place of each number. Failures with an equal cause form one group.
    #[serde(default)]
    pub cause: String,
    /// Phase that failed.
    #[serde(default)]
    pub phase: TestPhase,
    /// Expected value, if the framework reports it separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Actual value, if the framework reports it separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
    /// Full text of the failure, such as a traceback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Output that the framework captured from the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<String>,
    /// Offset in the output at which the report of the failure starts. `None` if the source of the result is not the
    /// output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl FailedTest {
    /// Creates the entry of a failed test.
    #[must_use]
    pub fn new(case: &TestCase) -> Self {
        let unknown = TestFailure::default();
        let failure = case.failure.as_deref().unwrap_or(&unknown);
        Self {
            id: case.id.clone(),
            file: case.file.clone(),
            line: case.line,
            kind: failure.kind.clone(),
            message: failure.message.clone(),
            cause: Self::cause_of(case),
            phase: failure.phase,
            expected: failure.expected.clone(),
            actual: failure.actual.clone(),
            trace: failure.trace.clone(),
            captured: failure.captured.clone(),
            offset: case.offset,
        }
    }

    /// Returns the cause of a test's failure.
    pub(super) fn cause_of(case: &TestCase) -> String {
        case.failure
            .as_ref()
            .map_or_else(String::new, |failure| cause_of(failure.kind.as_deref(), &failure.message))
    }

    /// Returns the total length in bytes of the texts that explain the failure.
    pub(super) fn detail_len(&self) -> usize {
        self.details().into_iter().flatten().map(String::len).sum()
    }

    /// Returns the total length of all texts in bytes.
    pub(super) fn len(&self) -> usize {
        let short =
            [Some(&self.id), self.file.as_ref(), self.kind.as_ref(), Some(&self.message), Some(&self.cause)];
        short.into_iter().flatten().map(String::len).sum::<usize>().saturating_add(self.detail_len())
    }

    /// Removes the texts that explain the failure, but keeps the message.
    pub(super) fn drop_details(&mut self) {
        (self.expected, self.actual, self.trace, self.captured) = (None, None, None, None);
    }

    fn details(&self) -> [Option<&String>; 4] {
        [self.expected.as_ref(), self.actual.as_ref(), self.trace.as_ref(), self.captured.as_ref()]
    }
}
