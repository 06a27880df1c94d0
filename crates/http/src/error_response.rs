//! Error responses.

use crate::precondition::tag;
use crate::reply::json;
use axum::http::header::ETAG;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul_api::ApiError;
use longhaul_engine::EngineError;

/// Error that is sent as an `application/problem+json` document.
#[derive(Debug)]
pub(crate) struct ErrorResponse(pub(crate) ApiError);

impl From<ApiError> for ErrorResponse {
    fn from(fault: ApiError) -> Self {
        Self(fault)
    }
}

impl From<EngineError> for ErrorResponse {
    fn from(error: EngineError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let problem = self.0.into_problem();
        if problem.status >= 500 {
            tracing::warn!(slug = problem.slug, why = problem.detail, "{}", problem.title);
        }
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, "application/problem+json", &problem);
        let known = problem.revision.filter(|_| status == StatusCode::PRECONDITION_FAILED);
        if let Some(tag) = known.and_then(|revision| HeaderValue::from_str(&tag(revision)).ok()) {
            response.headers_mut().insert(ETAG, tag);
        }
        // The problem is also attached to the response as an extension, so that middleware can add details such as the
        // request id.
        response.extensions_mut().insert(problem);
        response
    }
}
