//! Answers in JSON.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer in JSON with its status.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    status: StatusCode,
    value: T,
}

impl<T: Serialize> Reply<T> {
    /// Nothing was made.
    pub(crate) const fn ok(value: T) -> Self {
        Self { status: StatusCode::OK, value }
    }

    /// Something new was made, if `created`.
    pub(crate) const fn created(created: bool, value: T) -> Self {
        Self { status: if created { StatusCode::CREATED } else { StatusCode::OK }, value }
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        json(self.status, "application/json", &self.value)
    }
}

/// A response with this value as its body.
pub(crate) fn json<T: Serialize>(status: StatusCode, media_type: &'static str, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let kind = [(CONTENT_TYPE, HeaderValue::from_static(media_type))];
            (status, kind, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
