//! Reads the bodies of replies from other nodes.

use longhaul_engine::ports::{PeerBody, PeerError};
use longhaul_wire::output::{HEAD, InvalidFrame, MAX_FRAME_BYTES, OutputFrame};

/// Number of bytes that are added to the buffer in one step. The number is small, because the removal of a frame moves
/// all later bytes of the buffer.
const CHUNK_SIZE: usize = 16 * 1024;

/// Reads a complete body. Returns `None` if the body has more than `limit` bytes.
pub(super) async fn whole(mut body: Box<dyn PeerBody>, limit: usize) -> Result<Option<Vec<u8>>, PeerError> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await? {
        all.extend_from_slice(&bytes);
        if all.len() > limit {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

/// A stream of output frames from another node.
#[derive(Debug)]
pub(crate) struct PeerFrames {
    body: Box<dyn PeerBody>,
    came: Vec<u8>,
    /// Number of bytes of `came` that have already been moved to the buffer.
    used: usize,
    buffer: Vec<u8>,
    /// Total number of bytes received.
    count: u64,
}

/// Reason why no further frame can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the output stream of the other node ended early")]
    Over,
    #[error(transparent)]
    Lost(#[from] PeerError),
    #[error(transparent)]
    Broken(#[from] InvalidFrame),
}

impl PeerFrames {
    pub(crate) const fn new(body: Box<dyn PeerBody>) -> Self {
        Self { body, came: Vec::new(), used: 0, buffer: Vec::new(), count: 0 }
    }

    /// Returns the number of bytes received so far.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// Returns true if a frame has been received only partly.
    pub(crate) const fn is_midway(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Waits for the next frame. Cancel safe: dropping the call loses no data.
    pub(crate) async fn next(&mut self) -> Result<OutputFrame, FrameError> {
        loop {
            if let Some(frame) = OutputFrame::take(&mut self.buffer)? {
                return Ok(frame);
            }
            if self.used >= self.came.len() {
                self.came = self.body.next().await?.ok_or(FrameError::Over)?;
                self.used = 0;
                self.count = self.count.saturating_add(self.came.len() as u64);
            }
            let until = self.came.len().min(self.used.saturating_add(CHUNK_SIZE));
            self.buffer.extend_from_slice(self.came.get(self.used..until).unwrap_or_default());
            self.used = until;
            debug_assert!(
                self.buffer.len() <= HEAD + MAX_FRAME_BYTES + CHUNK_SIZE,
                "a frame is taken as soon as it is whole"
            );
        }
    }
}
