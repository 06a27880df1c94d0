//! JSON responses.

use crate::precondition::tag;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use longhaul_wire::api::{LaunchReply, RerunFailedReply};
use serde::Serialize;

/// JSON response with its HTTP status.
#[derive(Debug)]
pub(crate) struct JsonReply<T> {
    status: StatusCode,
    /// Revision of the value, sent as `ETag`.
    revision: Option<u64>,
    /// Path of the created resource, sent as `Location`.
    location: Option<String>,
    value: T,
}

impl JsonReply<()> {
    /// Builds a response with status 304, for a client that already has this revision.
    pub(crate) fn unchanged(revision: u64) -> Response {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        mark(&mut response, revision);
        response
    }
}

impl JsonReply<LaunchReply> {
    /// Builds the response to a launch. The response is 201 with the location of a new process, or 200 with the
    /// existing process that has the same launch key.
    pub(crate) fn launched(launched: LaunchReply) -> Self {
        let location = launched.created.then(|| format!("/v1/processes/{}", launched.process.id));
        let status = if launched.created { StatusCode::CREATED } else { StatusCode::OK };
        Self { status, revision: None, location, value: launched }
    }
}

impl JsonReply<RerunFailedReply> {
    /// Builds the response to a request to rerun failed tests. The response is 201 with the location of the new
    /// process, or 200 after a dry run.
    pub(crate) fn rerun(reply: RerunFailedReply) -> Self {
        let location = reply.process.as_ref().map(|process| format!("/v1/processes/{}", process.id));
        let status = if location.is_some() { StatusCode::CREATED } else { StatusCode::OK };
        Self { status, revision: None, location, value: reply }
    }
}

impl<T: Serialize> JsonReply<T> {
    /// Builds a response with status 200.
    pub(crate) const fn ok(value: T) -> Self {
        Self { status: StatusCode::OK, revision: None, location: None, value }
    }

    /// Adds the revision of the value as `ETag`.
    pub(crate) const fn tagged(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }
}

impl<T: Serialize> IntoResponse for JsonReply<T> {
    fn into_response(self) -> Response {
        let mut response = json(self.status, "application/json", &self.value);
        if let Some(revision) = self.revision {
            mark(&mut response, revision);
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }
}

fn mark(response: &mut Response, revision: u64) {
    if let Ok(tag) = HeaderValue::from_str(&tag(revision)) {
        response.headers_mut().insert(ETAG, tag);
    }
}

/// Builds a response whose body is `value` as JSON.
pub(crate) fn json<T: Serialize>(status: StatusCode, media_type: &'static str, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let kind = [(CONTENT_TYPE, HeaderValue::from_static(media_type))];
            (status, kind, body).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "could not encode a reply as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
