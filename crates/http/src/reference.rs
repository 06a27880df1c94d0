//! Extractor for the process reference in a path.

use crate::error_response::ErrorResponse;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use longhaul_api::ApiError;

/// Decoded value of `{ref}` in a path: a reference to a process.
#[derive(Debug)]
pub(crate) struct PathReference(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for PathReference {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(error) => Err(ApiError::invalid("reference", error.body_text()).into()),
        }
    }
}
