use super::ending::json;
use super::{RecordDecodeError, is_zero};
use longhaul_domain::{ReportedOutcome, TokenCounts};
use serde::{Deserialize, Serialize};

/// Facts that a command reported about its work. The result is stored as JSON text.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct ReportedOutcomeRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<TokenCountsRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_session: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
struct TokenCountsRecord {
    #[serde(default, skip_serializing_if = "is_zero")]
    input: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    output: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    cached: u64,
}

impl From<&ReportedOutcome> for ReportedOutcomeRecord {
    fn from(outcome: &ReportedOutcome) -> Self {
        Self {
            result: outcome.result.as_ref().map(|result| result.as_str().to_owned()),
            error: outcome.error.clone(),
            tokens: outcome.tokens.map(|TokenCounts { input, output, cached }| TokenCountsRecord {
                input,
                output,
                cached,
            }),
            agent_session: outcome.agent_session.clone(),
        }
    }
}

impl TryFrom<ReportedOutcomeRecord> for ReportedOutcome {
    type Error = RecordDecodeError;

    fn try_from(record: ReportedOutcomeRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            result: record.result.map(json).transpose()?,
            error: record.error,
            tokens: record.tokens.map(|TokenCountsRecord { input, output, cached }| TokenCounts {
                input,
                output,
                cached,
            }),
            agent_session: record.agent_session,
        })
    }
}
