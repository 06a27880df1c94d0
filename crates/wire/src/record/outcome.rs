use super::RecordDecodeError;
use super::ending::json;
use longhaul_domain::ReportedOutcome;
use serde::{Deserialize, Serialize};

/// Result and error that a command reported. The result is stored as JSON text.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ReportedOutcomeRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&ReportedOutcome> for ReportedOutcomeRecord {
    fn from(outcome: &ReportedOutcome) -> Self {
        Self {
            result: outcome.result.as_ref().map(|result| result.as_str().to_owned()),
            error: outcome.error.clone(),
        }
    }
}

impl TryFrom<ReportedOutcomeRecord> for ReportedOutcome {
    type Error = RecordDecodeError;

    fn try_from(record: ReportedOutcomeRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self { result: record.result.map(json).transpose()?, error: record.error })
    }
}
