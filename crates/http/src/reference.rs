//! What a path names a process by.

use crate::refused::Refused;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use longhaul_api::Fault;

/// The `{ref}` of a path, decoded.
#[derive(Debug)]
pub(crate) struct Reference(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Reference {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(error) => Err(Fault::invalid("reference", error.body_text()).into()),
        }
    }
}
