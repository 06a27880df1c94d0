//! Extractor that gives a request handler the [`Api`] variant that fits the client.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use longhaul_api::{Api, PEER_HEADER};
use std::convert::Infallible;

/// [`Api`] that serves one request. A request from another node gets a variant that never forwards requests, so that no
/// request is forwarded a second time.
#[derive(Debug)]
pub(crate) struct ApiHandle(pub(crate) Api);

impl FromRequestParts<Api> for ApiHandle {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let is_peer = parts.headers.contains_key(PEER_HEADER);
        Ok(Self(if is_peer { api.for_peer() } else { api.clone() }))
    }
}
