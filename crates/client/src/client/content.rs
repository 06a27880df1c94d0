//! Reads the content of an artifact from the manager.

use crate::error::ClientError;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Incoming};

/// Content of an artifact, which the manager sends in parts.
pub struct ContentStream {
    body: Incoming,
}

impl ContentStream {
    pub(super) const fn new(body: Incoming) -> Self {
        Self { body }
    }

    /// Returns the next part. Returns `None` at the end of the content. A lost connection is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while !self.body.is_end_stream() {
            let Some(part) = self.body.frame().await else { return Ok(None) };
            match part.map_err(super::broken)?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(_trailers) => {}
            }
        }
        Ok(None)
    }
}
