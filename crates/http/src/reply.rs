//! Answers in JSON.

use crate::expected::tag;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer in JSON with its status.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    status: StatusCode,
    /// The revision that the value has.
    revision: Option<u64>,
    value: T,
}

impl Reply<()> {
    /// The client has this revision already.
    pub(crate) fn unchanged(revision: u64) -> Response {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        mark(&mut response, revision);
        response
    }
}

impl<T: Serialize> Reply<T> {
    /// Nothing was made.
    pub(crate) const fn ok(value: T) -> Self {
        Self { status: StatusCode::OK, revision: None, value }
    }

    /// Something new was made, if `created`.
    pub(crate) const fn created(created: bool, value: T) -> Self {
        Self { status: if created { StatusCode::CREATED } else { StatusCode::OK }, revision: None, value }
    }

    /// Its revision goes along as its tag.
    pub(crate) const fn tagged(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        let mut response = json(self.status, "application/json", &self.value);
        if let Some(revision) = self.revision {
            mark(&mut response, revision);
        }
        response
    }
}

fn mark(response: &mut Response, revision: u64) {
    if let Ok(tag) = HeaderValue::from_str(&tag(revision)) {
        response.headers_mut().insert(ETAG, tag);
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
