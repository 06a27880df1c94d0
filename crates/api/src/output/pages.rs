//! Builds output pages that fit into a token budget.

use super::budget::Budget;
use super::log::{AttemptLog, OutputExtent};
use super::place::{ReadPosition, ReadStart};
use crate::error::ApiError;
use longhaul_engine::ports::OutputSize;
use longhaul_view::{
    OutputCursor, Page, PageStop, RenderMode, StreamSelection, TailBuffer, Window, WindowEnd, json_length,
    page, tail,
};
use longhaul_wire::api::{OmittedOutput, OutputView};

/// Number of bytes that are read first for a page. If they are not enough, more bytes are read.
const FIRST: usize = 64 * 1024;
/// Maximum number of bytes that one read for a page returns. This is enough to decide how any line is shown.
const MAX_READ_BYTES: usize = 1024 * 1024;
/// Maximum size in bytes of a log that is read completely. For the tail of a larger log, at most this number of bytes
/// is read.
const MAX_WHOLE_LOG_BYTES: u64 = 256 * 1024;
/// Maximum size in bytes of an omitted part whose lines are counted.
const MAX_COUNTED_BYTES: u64 = 4 * 1024 * 1024;
/// Number of last lines that are read for the tail of a single stream.
const TAIL_LINES: u32 = 400;
/// Minimum number of bytes for a page with head and tail. If less space is available, the page shows only the start of
/// the output.
const MIN_ROOM_BYTES: usize = 40;
/// Number of bytes that the head may use even in a small reply. It never uses more than half of the reply.
const SMALL_HEAD: usize = 120;
/// Maximum number of bytes of a repeatedly redrawn line (such as a progress bar) that are skipped for one reply.
const MAX_REDRAW_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum number of times that a page is built again because the log dropped bytes during the read.
const MAX_RESTARTS: usize = 8;

/// Builds pages of one output log.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageReader<'e> {
    pub(super) log: AttemptLog<'e>,
    pub(super) manner: RenderMode,
    pub(super) budget: Budget,
}

/// A page, with data about the log at the time of the read.
#[derive(Clone, Debug)]
pub(super) struct RenderedPage {
    pub(super) view: OutputView,
    /// Size of the log at the time of the read, in bytes.
    pub(super) seen: u64,
    /// True if more output follows for certain, even if the page shows no text.
    pub(super) goes_on: bool,
}

impl PageReader<'_> {
    pub(super) async fn read(
        &self,
        place: &ReadPosition,
        begin: ReadStart,
    ) -> Result<RenderedPage, ApiError> {
        for _ in 0..MAX_RESTARTS {
            let size = self.log.size().await?.unwrap_or_default();
            let first = place.cursor;
            let view = match begin {
                ReadStart::Cursor(cursor) => self.forward(&size, cursor, place).await?,
                ReadStart::Line(_) | ReadStart::Ends => self.ends(&size, first, true, place).await?,
                ReadStart::LastLines(lines) => {
                    let start = first.at(self.log.last_lines(lines).await?);
                    self.ends(&size, start, false, place).await?
                }
            };
            if let Some((view, stop)) = view {
                return Ok(RenderedPage { view, seen: size.end, goes_on: stop == PageStop::Undecided });
            }
        }
        Err(ApiError::new(
            503,
            "output_in_flux",
            "the output grows so fast that its middle is deleted before it can be read",
        )
        .help("read the tail of the output: `tail_lines`"))
    }

    /// Returns the cursor at the start of a line. If the output has fewer lines, returns the cursor at its end. Line
    /// numbers start at 1.
    pub(super) async fn line(&self, first: OutputCursor, number: u64) -> Result<OutputCursor, ApiError> {
        let size = self.log.size().await?.unwrap_or_default();
        let mut at = OutputCursor { line: Some(1), ..first.at(0) };
        loop {
            let stretch = self.log.stretch(&size, at.offset);
            let Some(window) = self.log.window(stretch, MAX_READ_BYTES).await? else {
                return Err(unnumbered());
            };
            let line = at.line.unwrap_or(1);
            let ahead = number.saturating_sub(line);
            if ahead == 0 {
                return Ok(at);
            }
            if let Some(index) = window.behind_feed(ahead) {
                return Ok(at.on_line(window.offset(index), Some(number)));
            }
            at = at.on_line(window.next(), Some(line.saturating_add(window.feeds())));
            match window.ending() {
                WindowEnd::More => {}
                WindowEnd::Over | WindowEnd::Pause if stretch.until < size.end => return Err(unnumbered()),
                WindowEnd::Over | WindowEnd::Pause => return Ok(at),
            }
        }
    }

    /// Builds a page that starts at a cursor. Returns `None` if the log dropped part of the output during the read.
    async fn forward(
        &self,
        size: &OutputSize,
        mut from: OutputCursor,
        place: &ReadPosition,
    ) -> Result<Option<(OutputView, PageStop)>, ApiError> {
        let end = place.to.map_or(size.end, |to| to.min(size.end));
        let (mut dropped, mut expired) = (0_u64, place.expired);
        loop {
            if let Some((begin, behind)) = size.gap
                && (begin..behind).contains(&from.offset)
            {
                expired |= from.offset > begin;
                dropped = dropped.saturating_add(behind.saturating_sub(from.offset));
                from = from.at(behind);
            }
            let mut stretch = self.log.stretch(size, from.offset);
            if end < stretch.until {
                stretch = OutputExtent { until: end, ending: WindowEnd::Over, ..stretch };
            }
            let mut view = OutputView {
                attempt: from.attempt.0,
                dropped_bytes: (dropped > 0).then_some(dropped),
                next_cursor: longest(&from, size).to_string(),
                cursor_expired: expired,
                ..OutputView::default()
            };
            let Some(page) = self.page(stretch, &from, self.budget.room_beside(&view)).await? else {
                return Ok(None);
            };
            let is_drained = page.stop == PageStop::Drained;
            if is_drained && page.text.is_empty() && stretch.until < end {
                from = from.at(stretch.until);
                continue;
            }
            view.eof = self.log.is_over && is_drained && stretch.until >= size.end;
            view.text = page.text;
            view.next_cursor = page.next.to_string();
            return Ok(Some((view, page.stop)));
        }
    }

    /// Builds a page with the tail of the output after `start`. With `has_head`, the page also contains the head.
    /// Returns `None` if the log dropped part of the output during the read.
    async fn ends(
        &self,
        size: &OutputSize,
        start: OutputCursor,
        has_head: bool,
        place: &ReadPosition,
    ) -> Result<Option<(OutputView, PageStop)>, ApiError> {
        let longest = longest(&start, size).to_string();
        let plain =
            OutputView { attempt: start.attempt.0, next_cursor: longest.clone(), ..OutputView::default() };
        let is_short = size.end.saturating_sub(start.offset) <= MAX_WHOLE_LOG_BYTES;
        if is_short && !is_cut_by_gap(size, start.offset) {
            let stretch = self.log.stretch(size, start.offset);
            let Some(page) = self.page(stretch, &start, self.budget.room_beside(&plain)).await? else {
                return Ok(None);
            };
            if page.stop == PageStop::Drained {
                let (text, next_cursor) = (page.text, page.next.to_string());
                let view = OutputView { text, next_cursor, eof: self.log.is_over, ..plain };
                return Ok(Some((view, page.stop)));
            }
        }
        let omitted = OmittedOutput {
            lines: Some(MAX_COUNTED_BYTES),
            bytes: size.end,
            dropped_bytes: size.gap.map(|(begin, behind)| behind.saturating_sub(begin)),
            from_cursor: longest.clone(),
            to_cursor: longest,
        };
        let head = has_head.then(String::new);
        let mut view = OutputView { head, omitted: Some(omitted), ..plain };
        let room = self.budget.room_beside(&view);
        if room < MIN_ROOM_BYTES {
            return self.forward(size, start, place).await;
        }
        let (head, behind) = if has_head {
            let stretch = self.log.stretch(size, start.offset);
            let Some(page) = self.page(stretch, &start, share_of_head(room)).await? else { return Ok(None) };
            (Some(page.text), page.next)
        } else {
            (None, start)
        };
        let left = room.saturating_sub(head.as_deref().map_or(0, json_length));
        let Some(tail) = self.tail(size, &behind, left).await? else { return Ok(None) };
        view.omitted = self.omitted(size, &behind, &tail.start).await?;
        view.next_cursor = tail.next.to_string();
        view.eof = self.log.is_over;
        if view.omitted.is_none() {
            view.text = head.unwrap_or_default() + &tail.text;
            view.head = None;
        } else {
            (view.head, view.text) = (head, tail.text);
        }
        Ok(Some((view, PageStop::Drained)))
    }

    async fn page(
        &self,
        mut stretch: OutputExtent,
        from: &OutputCursor,
        room: usize,
    ) -> Result<Option<Page>, ApiError> {
        let farthest = from.offset.saturating_add(MAX_REDRAW_BYTES);
        let (mut from, mut limit) = (*from, FIRST);
        loop {
            let Some(window) = self.log.window(stretch, limit).await? else { return Ok(None) };
            let page = page(&window, &from, room, self.manner);
            if page.stop != PageStop::Undecided {
                return Ok(Some(page));
            }
            if limit >= MAX_READ_BYTES {
                // The whole window may consist of redrawn lines that later output replaces. In this case the search for
                // text to show continues.
                let is_silent = page.text.is_empty() && page.next != from;
                if !is_silent || page.next.offset >= farthest {
                    return Ok(Some(page));
                }
                from = page.next;
                stretch.from = from.offset;
            }
            limit = MAX_READ_BYTES;
        }
    }

    /// Returns the tail of the log, but no bytes before the offset `behind`.
    async fn tail(
        &self,
        size: &OutputSize,
        behind: &OutputCursor,
        room: usize,
    ) -> Result<Option<TailBuffer>, ApiError> {
        let floor = match size.gap {
            Some((_, end)) if behind.offset < end => end,
            Some(_) | None => behind.offset,
        };
        let Some((window, is_floor)) = self.tail_window(size, floor).await? else { return Ok(None) };
        let starts_line = is_floor && (floor != behind.offset || behind.skip == 0);
        Ok(Some(tail(&window, behind, starts_line, room, self.manner)))
    }

    /// Reads the last bytes of the log, starting at offset `floor` at the earliest. The flag in the result is true if
    /// these bytes start at the beginning of a line.
    async fn tail_window(&self, size: &OutputSize, floor: u64) -> Result<Option<(Window, bool)>, ApiError> {
        let stretch = |from| OutputExtent { from, until: size.end, ending: self.log.ending() };
        let near = size.end.saturating_sub(MAX_WHOLE_LOG_BYTES).max(floor);
        if self.log.cursor.choice != StreamSelection::Both {
            // The chosen stream may have written nothing for a long time. Its last lines may therefore be far from the
            // end of the log.
            let far = self.log.last_lines(TAIL_LINES).await?.max(floor);
            if far < near {
                let Some(window) = self.log.window(stretch(far), MAX_READ_BYTES).await? else {
                    return Ok(None);
                };
                if window.ending() != WindowEnd::More {
                    return Ok(Some((window, true)));
                }
            }
        }
        let window = self.log.window(stretch(near), usize::MAX).await?;
        Ok(window.map(|window| (window, near == floor)))
    }

    /// Describes the output that is omitted between two cursors. Returns `None` if both cursors have the same offset.
    async fn omitted(
        &self,
        size: &OutputSize,
        from: &OutputCursor,
        to: &OutputCursor,
    ) -> Result<Option<OmittedOutput>, ApiError> {
        let bytes = to.offset.saturating_sub(from.offset);
        if bytes == 0 {
            return Ok(None);
        }
        let dropped = size
            .gap
            .map_or(0, |(begin, behind)| behind.min(to.offset).saturating_sub(begin.max(from.offset)));
        let is_countable = dropped == 0 && bytes <= MAX_COUNTED_BYTES;
        let lines = if is_countable { self.count(from.offset, to.offset).await? } else { None };
        Ok(Some(OmittedOutput {
            lines,
            bytes,
            dropped_bytes: (dropped > 0).then_some(dropped),
            from_cursor: from.to_string(),
            to_cursor: to.to_string(),
        }))
    }

    async fn count(&self, from: u64, until: u64) -> Result<Option<u64>, ApiError> {
        let stretch = OutputExtent { from, until, ending: WindowEnd::Over };
        let window = self.log.window(stretch, usize::MAX).await?;
        Ok(window.map(|window| window.feeds()))
    }
}

/// Returns how many of the `room` bytes are for the head; the remaining bytes are for the tail. The head gets one fifth
/// of the bytes, but more in small replies (see [`SMALL_HEAD`]).
fn share_of_head(room: usize) -> usize {
    (room / 5).max((room / 2).min(SMALL_HEAD))
}

/// Returns a cursor with the longest possible text: no other cursor of this log after `from` has a longer text.
fn longest(from: &OutputCursor, size: &OutputSize) -> OutputCursor {
    let line = from.line.map(|line| line.saturating_add(size.end));
    OutputCursor { skip: 46_655, ..from.on_line(size.end.max(from.offset), line) }
}

fn is_cut_by_gap(size: &OutputSize, from: u64) -> bool {
    size.gap.is_some_and(|(_, behind)| from < behind)
}

fn unnumbered() -> ApiError {
    ApiError::invalid("from_line", "the middle of the output was dropped, so lines after it have no number")
        .help("read the tail of the output, or continue from a cursor")
}
