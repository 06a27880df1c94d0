//! Route that returns the OpenAPI document.

use crate::openapi;
use crate::route::Route;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

pub(crate) fn entries() -> Vec<Route> {
    vec![Route::get("/v1/openapi.json", document).named("describe_api", "Returns this document").answers_raw(
        200,
        "The document, OpenAPI 3.1",
        &["application/json"],
    )]
}

/// `GET /v1/openapi.json`: returns the OpenAPI document of this API.
async fn document() -> Response {
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (kind, openapi::text()).into_response()
}
