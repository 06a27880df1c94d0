//! Errors as clients see them (RFC 9457, `application/problem+json`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, why, and what to do. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Problem {
    /// The slug, such as `process_not_found`: one word for one kind of error on every face.
    #[serde(rename = "type")]
    pub slug: String,
    /// What happened.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Where the process stands, if it forbids what was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_status: Option<String>,
    /// What was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempted: Option<String>,
    /// True if the process is reported work, which somebody else does: it cannot be restarted here.
    pub reported: bool,
    /// Ids or names that may have been meant, or that stand in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
    /// What differs from the launch that has the launch key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// The level of a tree that is too deep or full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// How much of a limit is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// The revision that a process has, if it is another than the expected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Which occurrence this is: `urn:longhaul:request:` with the id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The id of the request, as in the header `x-request-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
