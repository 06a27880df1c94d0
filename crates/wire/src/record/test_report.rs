use super::{DurationRecord, RecordDecodeError, is_zero, span};
use longhaul_domain::{NamedFailure, TestDoubt, TestReport, TestReporting, TestTally};
use serde::{Deserialize, Serialize};

/// Test results in a record.
#[derive(Serialize, Deserialize)]
pub(super) struct TestReportRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    tally: TestTallyRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collected: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration: Option<DurationRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doubt: Option<TestDoubtRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    failures: Vec<NamedFailureRecord>,
}

/// Test counts by outcome, as a record stores them.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TestTallyRecord {
    #[serde(default, skip_serializing_if = "is_zero")]
    total: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    passed: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    failed: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    errors: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    skipped: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    xfailed: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    xpassed: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    todo: u64,
}

/// Reason to doubt a test run in a record.
#[derive(Serialize, Deserialize)]
pub(super) struct TestDoubtRecord {
    kind: String,
    message: String,
}

#[derive(Serialize, Deserialize)]
struct NamedFailureRecord {
    id: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    is_error: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<String>,
}

/// Source of test results in the record of a command; the default is left out.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TestReportingRecord {
    Off,
    Auto,
    Junit(String),
}

impl From<&TestReport> for TestReportRecord {
    fn from(report: &TestReport) -> Self {
        Self {
            framework: report.framework.clone(),
            source: report.source.clone(),
            tally: report.tally.into(),
            collected: report.collected,
            duration: report.duration.map(Into::into),
            complete: report.complete,
            doubt: report.doubt.as_ref().map(Into::into),
            notes: report.notes.clone(),
            failures: report.failures.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<TestReportRecord> for TestReport {
    type Error = RecordDecodeError;

    fn try_from(record: TestReportRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            framework: record.framework,
            source: record.source,
            tally: record.tally.into(),
            collected: record.collected,
            duration: span(record.duration)?,
            complete: record.complete,
            doubt: record.doubt.map(Into::into),
            notes: record.notes,
            failures: record.failures.into_iter().map(Into::into).collect(),
        })
    }
}

impl From<TestTally> for TestTallyRecord {
    fn from(tally: TestTally) -> Self {
        let TestTally { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = tally;
        Self { total, passed, failed, errors, skipped, xfailed, xpassed, todo }
    }
}

impl From<TestTallyRecord> for TestTally {
    fn from(record: TestTallyRecord) -> Self {
        let TestTallyRecord { total, passed, failed, errors, skipped, xfailed, xpassed, todo } = record;
        Self { total, passed, failed, errors, skipped, xfailed, xpassed, todo }
    }
}

impl From<&TestDoubt> for TestDoubtRecord {
    fn from(doubt: &TestDoubt) -> Self {
        let TestDoubt { kind, message } = doubt.clone();
        Self { kind, message }
    }
}

impl From<TestDoubtRecord> for TestDoubt {
    fn from(record: TestDoubtRecord) -> Self {
        let TestDoubtRecord { kind, message } = record;
        Self { kind, message }
    }
}

impl From<&NamedFailure> for NamedFailureRecord {
    fn from(failure: &NamedFailure) -> Self {
        let NamedFailure { id, is_error, file, line, kind, message, history } = failure.clone();
        Self { id, is_error, file, line, kind, message, history }
    }
}

impl From<NamedFailureRecord> for NamedFailure {
    fn from(record: NamedFailureRecord) -> Self {
        let NamedFailureRecord { id, is_error, file, line, kind, message, history } = record;
        Self { id, is_error, file, line, kind, message, history }
    }
}

impl TestReportingRecord {
    pub(super) fn of(reporting: &TestReporting) -> Option<Self> {
        match reporting {
            TestReporting::Detect => None,
            TestReporting::Off => Some(Self::Off),
            TestReporting::Auto => Some(Self::Auto),
            TestReporting::Junit(path) => Some(Self::Junit(path.clone())),
        }
    }

    pub(super) fn reporting(record: Option<Self>) -> TestReporting {
        match record {
            None => TestReporting::Detect,
            Some(Self::Off) => TestReporting::Off,
            Some(Self::Auto) => TestReporting::Auto,
            Some(Self::Junit(path)) => TestReporting::Junit(path),
        }
    }
}
