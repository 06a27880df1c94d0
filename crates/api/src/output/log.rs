//! Reads the output log of one attempt section by section.

use super::available::AvailableOutput;
use super::place::is_over;
use crate::error::ApiError;
use longhaul_engine::ports::{
    AttemptKey, Loss, OutputError, OutputRead, OutputSize, OutputSource, StoredProcess,
};
use longhaul_engine::{Engine, EngineError};
use longhaul_view::{OutputCursor, StreamSelection, Window, WindowEnd};

/// Maximum number of bytes in one read request.
const PIECE: usize = 256 * 1024;

/// The output log of one attempt, or a single stream (stdout or stderr) of this log.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptLog<'e> {
    pub(super) engine: &'e Engine,
    pub(super) key: AttemptKey,
    /// Cursor with the process, attempt and stream. The cursors in the reply are copies of it with other positions.
    pub(super) cursor: OutputCursor,
    /// True if nothing more will be written to the log. The value is determined before the log is read, so that a read
    /// that follows returns all output.
    pub(super) is_over: bool,
    /// Output tail that is read if the log itself is not available.
    pub(super) kept: Option<&'e AvailableOutput>,
}

/// Byte offsets of a section of the log that contains no gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutputExtent {
    pub(super) from: u64,
    pub(super) until: u64,
    /// State at the end of the section: either its last line is complete, or more output may follow.
    pub(super) ending: WindowEnd,
}

impl<'e> AttemptLog<'e> {
    /// Returns the log that a cursor refers to.
    pub(super) fn new(engine: &'e Engine, stored: &StoredProcess, cursor: &OutputCursor) -> Self {
        let key = AttemptKey { id: cursor.owner, attempt: cursor.attempt };
        Self { engine, key, cursor: *cursor, is_over: is_over(stored, cursor.attempt), kept: None }
    }

    /// Returns the size of the log, or `None` if the log does not exist.
    pub(super) async fn size(&self) -> Result<Option<OutputSize>, ApiError> {
        if let Some(kept) = self.kept {
            return Ok(Some(kept.size()));
        }
        match self.engine.output_size(self.key).await {
            Err(error) if is_missing(&error) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    /// Returns the places after an offset where output could not be stored.
    pub(super) async fn losses(&self, from: u64) -> Result<Vec<Loss>, ApiError> {
        if self.kept.is_some() {
            return Ok(Vec::new());
        }
        let mut losses = match self.engine.output_losses(self.key).await {
            Err(error) if is_missing(&error) => Vec::new(),
            other => other?,
        };
        losses.retain(|loss| loss.offset >= from);
        Ok(losses)
    }

    /// Returns the section from an offset to the next gap, or to the end of the log.
    pub(super) const fn stretch(&self, size: &OutputSize, from: u64) -> OutputExtent {
        match size.gap {
            // The section ends at the gap, so the last line of the section ends at the gap too.
            Some((begin, _)) if from < begin => OutputExtent { from, until: begin, ending: WindowEnd::Over },
            Some(_) | None => OutputExtent { from, until: size.end, ending: self.ending() },
        }
    }

    /// Returns the state at the current end of the log: either the log is complete, or more output may follow.
    pub(super) const fn ending(&self) -> WindowEnd {
        if self.is_over { WindowEnd::Over } else { WindowEnd::Pause }
    }

    /// Reads about `limit` bytes of the chosen stream from the start of a section. Returns `None` if the log dropped
    /// part of the section during the read.
    pub(super) async fn window(
        &self,
        stretch: OutputExtent,
        limit: usize,
    ) -> Result<Option<Window>, ApiError> {
        let mut window = Window::new(stretch.from);
        let mut at = stretch.from;
        while at < stretch.until {
            let room = limit.saturating_sub(window.bytes().len());
            if room == 0 {
                window.close(at, WindowEnd::More);
                return self.unless_dropped(stretch.from, window).await;
            }
            let limit = u32::try_from(room.min(PIECE)).unwrap_or(u32::MAX);
            let wanted = OutputRead { from: at, limit, only: self.only() };
            let page = match self.kept {
                Some(kept) => kept.read(wanted),
                None => match self.engine.output(self.key, wanted).await {
                    Err(error) if is_missing(&error) => break,
                    other => other?,
                },
            };
            for chunk in &page.chunks {
                let room = stretch.until.saturating_sub(chunk.offset);
                let kept = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.bytes.len());
                window.push(chunk.offset, chunk.bytes.get(..kept).unwrap_or_default());
            }
            if page.next <= at {
                // The output has been written, but its index entry has not been written yet.
                window.close(at, self.ending());
                return self.unless_dropped(stretch.from, window).await;
            }
            at = page.next.min(stretch.until);
        }
        window.close(at, stretch.ending);
        self.unless_dropped(stretch.from, window).await
    }

    /// Returns the offset at which the last `lines` lines start.
    pub(super) async fn last_lines(&self, lines: u32) -> Result<u64, ApiError> {
        if let Some(kept) = self.kept {
            return Ok(kept.last_lines(lines, self.only()));
        }
        match self.engine.output_tail(self.key, lines, self.only()).await {
            Err(error) if is_missing(&error) => Ok(0),
            other => Ok(other?),
        }
    }

    /// Returns the window, or `None` if the log dropped part of it during the read. A log that exceeds its size limit
    /// drops its middle part, possibly while it is being read.
    async fn unless_dropped(&self, from: u64, window: Window) -> Result<Option<Window>, ApiError> {
        let now = self.size().await?.unwrap_or_default();
        let is_dropped = now.gap.is_some_and(|(begin, end)| begin < window.next() && from < end);
        let is_torn = now.gap.is_some_and(|(_, end)| from == end);
        Ok((!is_dropped).then(|| if is_torn { window.torn() } else { window }))
    }

    const fn only(&self) -> Option<OutputSource> {
        match self.cursor.choice {
            StreamSelection::Both => None,
            StreamSelection::Stdout => Some(OutputSource::Stdout),
            StreamSelection::Stderr => Some(OutputSource::Stderr),
        }
    }
}

/// Returns true if the error means that no output was written yet or that the output was removed.
const fn is_missing(error: &EngineError) -> bool {
    matches!(error, EngineError::Output { source: OutputError::Missing { .. } })
}
