//! Searches an output log, within the size and time limits of one reply.

use super::budget::{Budget, length};
use super::log::AttemptLog;
use crate::error::ApiError;
use longhaul_view::{OutputCursor, Pattern, RenderMode, SearchHit, Searcher, Window, WindowEnd};
use longhaul_wire::api::{MatchView, SearchView, TailOnlyReason};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Maximum number of log bytes that are searched for one reply.
const MAX_SCAN_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum duration of the search for one reply. Only very expensive patterns reach this limit.
const MAX_SCAN_TIME: Duration = Duration::from_secs(1);
/// Maximum number of bytes that one read of the log returns.
const PIECE: usize = 256 * 1024;
/// Number of bytes that are searched between two checks of the clock.
const PART: usize = 32 * 1024;
/// Semaphore that limits the number of concurrent searches, so that the managed processes get enough CPU time. Further
/// searches wait.
static SEARCH_PERMITS: Semaphore = Semaphore::const_new(2);
/// Maximum length of a line in the reply, in bytes.
const MAX_LINE_LEN: usize = 300;

/// A search in one output log.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogScan<'e> {
    pub(super) log: AttemptLog<'e>,
    pub(super) manner: RenderMode,
    pub(super) budget: Budget,
    pub(super) limit: u32,
    pub(super) context: u32,
    pub(super) expired: bool,
    /// Reason why only the stored output tail is searched. `None` if the whole log is available.
    pub(super) tail_only: Option<&'e TailOnlyReason>,
    /// Number of output bytes after the start of the search that could not be stored.
    pub(super) lost_bytes: Option<u64>,
}

impl LogScan<'_> {
    /// Returns the result for an attempt without output.
    pub(super) fn nothing(cursor: &OutputCursor) -> SearchView {
        let (attempt, next_cursor) = (cursor.attempt.0, cursor.to_string());
        SearchView { attempt, next_cursor, ..SearchView::default() }
    }

    /// Searches the output from a cursor on.
    pub(super) async fn run(&self, pattern: Pattern, from: OutputCursor) -> Result<SearchView, ApiError> {
        let mut size = self.log.size().await?.unwrap_or_default();
        let mut at = from.offset;
        let mut dropped = 0_u64;
        let mut expired = self.expired;
        let mut begun = None;
        let mut found = ScanMatches::default();
        let farthest = at.saturating_add(MAX_SCAN_BYTES);
        let deadline = Instant::now() + MAX_SCAN_TIME;
        loop {
            if let Some((begin, behind)) = size.gap
                && (begin..behind).contains(&at)
            {
                expired |= begun.is_none() && at > begin;
                dropped = dropped.saturating_add(behind.saturating_sub(at));
                at = behind;
                if let Some(searcher) = &mut begun {
                    Searcher::break_off(searcher, behind);
                }
            }
            let searcher = begun.take().unwrap_or_else(|| {
                let line = from.line.filter(|_| at == from.offset);
                Searcher::new(pattern.clone(), at, line, self.manner)
                    .context(wide(self.context))
                    .longest(MAX_LINE_LEN)
                    .limit(wide(self.limit).saturating_add(1))
            });
            let stretch = self.log.stretch(&size, at);
            let is_last = stretch.until >= size.end;
            let Some(window) = self.log.window(stretch, PIECE).await? else {
                // The log dropped bytes during the read. The new log size counts these bytes as part of the gap.
                size = self.log.size().await?.unwrap_or_default();
                begun = Some(searcher);
                continue;
            };
            let ending = window.ending();
            let behind = if ending == WindowEnd::More || is_last { window.next() } else { stretch.until };
            let is_end = ending != WindowEnd::More && is_last;
            let finish = (is_end || behind >= farthest)
                .then_some((behind, if is_end { ending } else { WindowEnd::More }));
            let (used, left) = searched(searcher, window, finish, deadline).await?;
            let mut searcher = used;
            at = left.unwrap_or(behind);
            let is_late = left.is_some();
            let is_far = at >= farthest || (is_late && searcher.place().0 > from.offset);
            if is_far && is_late {
                searcher.finish(at, WindowEnd::More);
            }
            let is_done = is_end && !is_late;
            let room = self.budget.room_beside(&self.longest(&from, size.end, dropped, expired));
            for hit in searcher.take() {
                found.add(&from, hit, room, wide(self.limit));
            }
            if found.next.is_some() {
                searcher.count_only();
            }
            if is_done || is_far {
                found.report_further_matches(room);
                let is_cut = found.next.is_some() || !is_done;
                let (offset, line) = searcher.place();
                let next = found.next.unwrap_or_else(|| from.on_line(offset, line));
                return Ok(SearchView {
                    attempt: from.attempt.0,
                    matches: found.matches,
                    total_matches: searcher.total(),
                    scanned_lines: searcher.lines(),
                    truncated: is_cut,
                    next_cursor: next.to_string(),
                    dropped_bytes: (dropped > 0).then_some(dropped),
                    lost_bytes: self.lost_bytes,
                    cursor_expired: expired,
                    tail_only: self.tail_only.cloned(),
                });
            }
            begun = Some(searcher);
        }
    }

    /// Returns a reply without matches. All its other fields have their maximum length.
    fn longest(&self, from: &OutputCursor, end: u64, dropped: u64, expired: bool) -> SearchView {
        let line = from.line.map(|line| line.saturating_add(end));
        SearchView {
            attempt: from.attempt.0,
            matches: Vec::new(),
            total_matches: end,
            scanned_lines: end,
            truncated: false,
            next_cursor: from.on_line(end, line).to_string(),
            dropped_bytes: (dropped > 0).then_some(end),
            lost_bytes: self.lost_bytes,
            cursor_expired: expired,
            tail_only: self.tail_only.cloned(),
        }
    }
}

/// Searches a window on a blocking thread. If the deadline passes before the end of the window, returns the offset at
/// which the search stopped.
async fn searched(
    mut searcher: Searcher,
    window: Window,
    finish: Option<(u64, WindowEnd)>,
    deadline: Instant,
) -> Result<(Searcher, Option<u64>), ApiError> {
    let turn = SEARCH_PERMITS.acquire().await.map_err(|error| broken(&error))?;
    let work = spawn_blocking(move || {
        for (mut offset, bytes) in window.pieces() {
            for part in bytes.chunks(PART) {
                searcher.push(offset, part);
                offset = offset.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
                if Instant::now() >= deadline {
                    return (searcher, Some(offset));
                }
            }
        }
        if let Some((next, ending)) = finish {
            searcher.finish(next, ending);
        }
        (searcher, None)
    });
    let done = work.await.map_err(|error| broken(&error));
    drop(turn);
    done
}

fn broken(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(500, "internal", "the search failed").because(error.to_string())
}

/// Collects the matches for a reply, up to the size limit of the reply.
#[derive(Debug, Default)]
struct ScanMatches {
    matches: Vec<MatchView>,
    used: usize,
    /// Lines after the last match. If another match follows, they become its context lines.
    further: Vec<String>,
    /// Cursor of the first match that does not fit into the reply.
    next: Option<OutputCursor>,
}

impl ScanMatches {
    fn add(&mut self, from: &OutputCursor, hit: SearchHit, room: usize, limit: usize) {
        if self.next.is_some() {
            return;
        }
        let place = from.on_line(hit.offset, hit.line);
        let own = hit.after.len();
        let mut view = MatchView {
            line: hit.line,
            cursor: place.to_string(),
            text: hit.text,
            before: hit.before,
            after: hit.after,
        };
        if self.matches.is_empty() {
            shorten(&mut view, room);
        }
        let cost = length(&view).saturating_add(1);
        if self.matches.len() >= limit || self.used.saturating_add(cost) > room {
            self.next = Some(place);
            self.report_further_matches(room);
            return;
        }
        self.used = self.used.saturating_add(cost);
        self.further = if view.after.len() == own { hit.further } else { Vec::new() };
        self.matches.push(view);
    }

    /// Appends the lines in `further` to the last match, because no further match will show these lines.
    fn report_further_matches(&mut self, room: usize) {
        let Some(last) = self.matches.last_mut() else { return };
        let before = self.used.saturating_sub(length(last));
        for line in self.further.drain(..) {
            last.after.push(line);
            if before.saturating_add(length(last)) > room {
                last.after.pop();
                break;
            }
        }
        self.used = before.saturating_add(length(last));
    }
}

/// Shortens a match until it fits into the reply, so that the reply contains at least one match.
fn shorten(view: &mut MatchView, room: usize) {
    // Context lines that are farthest from the match are removed first.
    while length(view) >= room && !(view.before.is_empty() && view.after.is_empty()) {
        if view.before.len() > view.after.len() {
            view.before.remove(0);
        } else {
            view.after.pop();
        }
    }
    while length(view) >= room && !view.text.is_empty() {
        let half = view.text.floor_char_boundary(view.text.len() / 2);
        view.text.truncate(half);
    }
}

fn wide(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
