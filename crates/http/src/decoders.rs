//! The parsers of requests as public functions over bytes, for fuzzing.

use crate::{body, query};
use longhaul_api::ApiError;
use serde::de::DeserializeOwned;

/// Parses the body of a request.
///
/// # Errors
/// Returns an [`ApiError`] that describes the fault in the body.
pub fn read_body<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    body::read(text)
}

/// Returns the decoded parameters of a query string, in their order.
#[must_use]
pub fn query(text: &str) -> Vec<(String, String)> {
    query::QueryString::parse(text).into_pairs()
}
