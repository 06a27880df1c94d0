//! Client side of a stream of output frames.

use crate::error::ClientError;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use longhaul_wire::output::{FrameKind, OutputFrame};

/// Maximum number of bytes that are added to the parse buffer at once. The buffer stays small because removing a frame
/// from it moves all bytes that follow.
const CHUNK_SIZE: usize = 16 * 1024;

/// Stream of output frames.
pub struct FrameStream {
    body: Incoming,
    chunk: Bytes,
    buffer: Vec<u8>,
    over: bool,
}

impl FrameStream {
    pub(super) const fn new(body: Incoming) -> Self {
        Self { body, chunk: Bytes::new(), buffer: Vec::new(), over: false }
    }

    /// Returns the next frame. Returns `None` after the end frame.
    ///
    /// # Cancel safety
    /// Dropping the future loses no data.
    pub async fn next(&mut self) -> Result<Option<OutputFrame>, ClientError> {
        loop {
            if self.over {
                return Ok(None);
            }
            let taken = OutputFrame::take(&mut self.buffer)
                .map_err(|error| ClientError::Broken { why: error.to_string() })?;
            if let Some(frame) = taken {
                self.over = frame.kind == FrameKind::End;
                return Ok(Some(frame));
            }
            if self.chunk.is_empty() {
                self.chunk = self.read().await?;
            }
            let bite = self.chunk.split_to(self.chunk.len().min(CHUNK_SIZE));
            self.buffer.extend_from_slice(&bite);
        }
    }

    async fn read(&mut self) -> Result<Bytes, ClientError> {
        loop {
            let Some(part) = self.body.frame().await else {
                return Err(ClientError::Broken { why: "the stream of output ended early".to_owned() });
            };
            match part.map_err(super::broken)?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(data),
                Err(_trailers) => {}
            }
        }
    }
}
