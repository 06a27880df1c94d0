//! Public functions that parse parts of requests from bytes, for fuzz tests.

use crate::{body, query};
use longhaul_api::ApiError;
use serde::de::DeserializeOwned;

/// Parses a request body.
///
/// # Errors
/// Returns an [`ApiError`] that describes the error in the body.
pub fn read_body<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    body::read(text)
}

/// Returns the decoded parameters of a query string in their original order.
#[must_use]
pub fn query(text: &str) -> Vec<(String, String)> {
    query::QueryString::parse(text).into_pairs()
}
