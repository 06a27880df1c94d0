//! The use cases, for whoever asks.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use longhaul_api::{Api, PEER_HEADER};
use std::convert::Infallible;

/// The use cases, for whoever asks: a node that asks on behalf of its clients is told what is here, and nothing is passed
/// on to a third one.
#[derive(Debug)]
pub(crate) struct ApiHandle(pub(crate) Api);

impl FromRequestParts<Api> for ApiHandle {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let is_peer = parts.headers.contains_key(PEER_HEADER);
        Ok(Self(if is_peer { api.for_peer() } else { api.clone() }))
    }
}
