//! The readers of requests, over bytes: for those who look for bytes that they do not stand.

use crate::{body, query};
use longhaul_api::ApiError;
use serde::de::DeserializeOwned;

/// Reads the body of a request.
///
/// # Errors
/// [`ApiError`] says what is wrong with it.
pub fn read_body<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    body::read(text)
}

/// The parameters of a query, in their order.
#[must_use]
pub fn query(text: &str) -> Vec<(String, String)> {
    query::QueryString::parse(text).into_pairs()
}
