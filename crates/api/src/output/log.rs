//! The log of one attempt, read in stretches.

use super::available::AvailableOutput;
use super::place::is_over;
use crate::error::ApiError;
use longhaul_engine::ports::{
    AttemptKey, Loss, OutputError, OutputRead, OutputSize, OutputSource, StoredProcess,
};
use longhaul_engine::{Engine, EngineError};
use longhaul_view::{OutputCursor, StreamSelection, Window, WindowEnd};

/// The most bytes that are asked for at once.
const PIECE: usize = 256 * 1024;

/// The log of one attempt, or one stream of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptLog<'e> {
    pub(super) engine: &'e Engine,
    pub(super) key: AttemptKey,
    /// Names it in the cursors of an answer.
    pub(super) cursor: OutputCursor,
    /// Whether nobody writes it any more. Asked before it is read, so that what is read then is all.
    pub(super) is_over: bool,
    /// What is read in the place of the log, where that cannot be had.
    pub(super) kept: Option<&'e AvailableOutput>,
}

/// A part of the log without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutputExtent {
    pub(super) from: u64,
    pub(super) until: u64,
    /// What comes at its end.
    pub(super) ending: WindowEnd,
}

impl<'e> AttemptLog<'e> {
    /// The log that a cursor stands in.
    pub(super) fn new(engine: &'e Engine, stored: &StoredProcess, cursor: &OutputCursor) -> Self {
        let key = AttemptKey { id: cursor.owner, attempt: cursor.attempt };
        Self { engine, key, cursor: *cursor, is_over: is_over(stored, cursor.attempt), kept: None }
    }

    /// How much there is; none if there is no log.
    pub(super) async fn size(&self) -> Result<Option<OutputSize>, ApiError> {
        if let Some(kept) = self.kept {
            return Ok(Some(kept.size()));
        }
        match self.engine.output_size(self.key).await {
            Err(error) if is_missing(&error) => Ok(None),
            other => Ok(Some(other?)),
        }
    }

    /// Where it could not be stored, from an offset on.
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

    /// The part from an offset up to the gap, or to the end.
    pub(super) const fn stretch(&self, size: &OutputSize, from: u64) -> OutputExtent {
        match size.gap {
            // A line goes no further than what is kept of it.
            Some((begin, _)) if from < begin => OutputExtent { from, until: begin, ending: WindowEnd::Over },
            Some(_) | None => OutputExtent { from, until: size.end, ending: self.ending() },
        }
    }

    /// What comes after the last byte that there is now.
    pub(super) const fn ending(&self) -> WindowEnd {
        if self.is_over { WindowEnd::Over } else { WindowEnd::Pause }
    }

    /// Reads the begin of a stretch, about so many bytes of the chosen stream; none if some of it was dropped
    /// meanwhile.
    pub(super) async fn window(
        &self,
        stretch: OutputExtent,
        most: usize,
    ) -> Result<Option<Window>, ApiError> {
        let mut window = Window::new(stretch.from);
        let mut at = stretch.from;
        while at < stretch.until {
            let room = most.saturating_sub(window.bytes().len());
            if room == 0 {
                window.close(at, WindowEnd::More);
                return self.unless_dropped(stretch.from, window).await;
            }
            let most = u32::try_from(room.min(PIECE)).unwrap_or(u32::MAX);
            let wanted = OutputRead { from: at, most, only: self.only() };
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
                // Bytes whose index entry is still on its way.
                window.close(at, self.ending());
                return self.unless_dropped(stretch.from, window).await;
            }
            at = page.next.min(stretch.until);
        }
        window.close(at, stretch.ending);
        self.unless_dropped(stretch.from, window).await
    }

    /// Where the last lines begin.
    pub(super) async fn last_lines(&self, lines: u32) -> Result<u64, ApiError> {
        if let Some(kept) = self.kept {
            return Ok(kept.last_lines(lines, self.only()));
        }
        match self.engine.output_tail(self.key, lines, self.only()).await {
            Err(error) if is_missing(&error) => Ok(0),
            other => Ok(other?),
        }
    }

    /// The middle of a log that grows beyond its bounds goes while it is read.
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

/// Nothing was written yet, or it was removed.
const fn is_missing(error: &EngineError) -> bool {
    matches!(error, EngineError::Output { source: OutputError::Missing { .. } })
}
