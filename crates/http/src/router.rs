//! Router of the API, which maps requests to their handlers.

use crate::error_response::ErrorResponse;
use crate::request_id::identified;
use crate::routes::entries;
use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::middleware::{from_fn, map_response};
use axum::response::Response;
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{PROTOCOL, PROTOCOL_HEADER};

/// Response header with the version of the program.
pub(crate) const VERSION_HEADER: HeaderName = HeaderName::from_static("longhaul-version");

/// Builds the router of the API. Its handlers call `api`.
pub fn router(api: Api) -> Router {
    entries()
        .into_iter()
        .fold(Router::new(), |router, entry| router.route(entry.path, entry.handler))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(api)
        .layer(map_response(named_protocol))
        .layer(from_fn(identified))
}

async fn unknown_route(uri: Uri) -> ErrorResponse {
    ErrorResponse(
        ApiError::new(404, "not_found", format!("there is no resource at {}", uri.path()))
            .help("GET /v1/openapi.json lists all resources"),
    )
}

async fn unknown_method(method: Method, uri: Uri) -> ErrorResponse {
    ErrorResponse(ApiError::new(
        405,
        "method_not_allowed",
        format!("{} does not support the method {method}", uri.path()),
    ))
}

/// Adds the protocol version and the program version to every response, including error responses.
pub(crate) async fn named_protocol(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(PROTOCOL));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    response
}
