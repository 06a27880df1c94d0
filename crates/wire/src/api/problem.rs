//! Errors of the API (RFC 9457, `application/problem+json`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Error with its reason and a suggestion. Fields that do not apply are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Problem {
    /// Error code, such as `process_not_found`. Every interface uses the same code for the same kind of error.
    #[serde(rename = "type")]
    pub slug: String,
    /// Short description of the error.
    pub title: String,
    /// HTTP status code.
    pub status: u16,
    /// Reason for the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Suggestion for the next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Status of the process, if that status does not allow the action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_status: Option<String>,
    /// Action that was attempted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempted: Option<String>,
    /// True if the process is reported work, which cannot be restarted by longhaul.
    pub reported: bool,
    /// Ids or names that may have been meant, or that conflict with the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// Fields that differ from the earlier launch with the same launch key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// Level at which the tree is too deep or full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Current use of the limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Limit that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Current revision of the process, if it differs from the expected revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Id of this occurrence: `urn:longhaul:request:` followed by the request id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Request id, as in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
