//! A stream of output, frame by frame.

use crate::failure::Failure;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use longhaul_wire::output::{Frame, FrameKind};

/// How much is handed over to be taken apart at once: taking a frame moves all that stands behind it.
const BITE: usize = 16 * 1024;

/// A stream of output, frame by frame.
pub(crate) struct Frames {
    body: Incoming,
    chunk: Bytes,
    buffer: Vec<u8>,
    over: bool,
}

impl Frames {
    pub(super) const fn new(body: Incoming) -> Self {
        Self { body, chunk: Bytes::new(), buffer: Vec::new(), over: false }
    }

    /// Gives the next frame; none behind the end.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            if self.over {
                return Ok(None);
            }
            let taken =
                Frame::take(&mut self.buffer).map_err(|error| Failure::Broken { why: error.to_string() })?;
            if let Some(frame) = taken {
                self.over = frame.kind == FrameKind::End;
                return Ok(Some(frame));
            }
            if self.chunk.is_empty() {
                self.chunk = self.read().await?;
            }
            let bite = self.chunk.split_to(self.chunk.len().min(BITE));
            self.buffer.extend_from_slice(&bite);
        }
    }

    async fn read(&mut self) -> Result<Bytes, Failure> {
        loop {
            let Some(part) = self.body.frame().await else {
                return Err(Failure::Broken { why: "the output stopped before its end".to_owned() });
            };
            match part.map_err(super::broken)?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(data),
                Err(_trailers) => {}
            }
        }
    }
}
