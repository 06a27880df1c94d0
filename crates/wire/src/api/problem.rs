//! Errors as clients see them (RFC 9457, `application/problem+json`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What went wrong, why, and what to do.
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
    pub detail: Option<String>,
    /// What to do next.
    pub help: Option<String>,
    /// Where the process stands, if it forbids what was tried.
    pub current_status: Option<String>,
    /// What was tried.
    pub attempted: Option<String>,
    /// Ids or names that may have been meant, or that stand in the way.
    pub candidates: Vec<String>,
    /// What differs from the launch that has the launch key.
    pub differs: Vec<String>,
    /// The level of a tree that is too deep or full.
    pub level: Option<u8>,
    /// How much of a limit is taken.
    pub used: Option<u64>,
    /// The limit.
    pub max: Option<u64>,
    /// The revision that a process has, if it is another than the expected one.
    pub revision: Option<u64>,
    /// Which occurrence this is: `urn:longhaul:request:` with the id of the request.
    pub instance: Option<String>,
    /// The id of the request, as in the header `x-request-id`.
    pub request_id: Option<String>,
}
