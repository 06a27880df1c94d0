//! A stream of output, frame by frame.

use crate::failure::CliError;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use longhaul_wire::output::{FrameKind, OutputFrame};

/// How much is handed over to be taken apart at once: taking a frame moves all that stands behind it.
const CHUNK_SIZE: usize = 16 * 1024;

/// A stream of output, frame by frame.
pub(crate) struct FrameStream {
    body: Incoming,
    chunk: Bytes,
    buffer: Vec<u8>,
    over: bool,
}

impl FrameStream {
    pub(super) const fn new(body: Incoming) -> Self {
        Self { body, chunk: Bytes::new(), buffer: Vec::new(), over: false }
    }

    /// Gives the next frame; none behind the end.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<OutputFrame>, CliError> {
        loop {
            if self.over {
                return Ok(None);
            }
            let taken = OutputFrame::take(&mut self.buffer)
                .map_err(|error| CliError::Broken { why: error.to_string() })?;
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

    async fn read(&mut self) -> Result<Bytes, CliError> {
        loop {
            let Some(part) = self.body.frame().await else {
                return Err(CliError::Broken { why: "the stream of output ended early".to_owned() });
            };
            match part.map_err(super::broken)?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(data),
                Err(_trailers) => {}
            }
        }
    }
}
