//! Use cases that return output as text: pages of limited size, and searches.

mod available;
mod budget;
mod log;
mod pages;
mod place;
mod remote;
mod remote_stream;
mod scan;
mod throughput;

pub(crate) use remote::target;
pub use remote_stream::{ReadFrom, RemoteOutput};

use crate::api::Api;
use crate::error::ApiError;
use crate::peers::elsewhere;
use budget::{Budget, length};
use futures_util::future::{Either, select};
use log::AttemptLog;
use longhaul_domain::{AttemptNo, ProcessId};
use longhaul_engine::ports::{Loss, StoredProcess};
use longhaul_engine::{EngineError, WaitCondition, WaitMode};
use longhaul_view::{CaseMode, OutputCursor, Pattern, RenderMode};
use longhaul_wire::api::{LostOutputView, OutputView, ReadRequest, SearchRequest, SearchView};
use pages::{PageReader, RenderedPage};
pub(crate) use place::is_over;
use place::{ReadPosition, ReadStart};
use scan::LogScan;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Maximum time that a read request waits for new output, in milliseconds.
const MAX_WAIT_MS: u64 = 55_000;
/// Maximum number of context lines before and after a match.
const MAX_CONTEXT: u32 = 5;
/// Default number of matches in one reply; the maximum is [`MAX_MATCHES`].
const DEFAULT_MATCHES: u32 = 20;
const MAX_MATCHES: u32 = 100;
/// Maximum number of places with lost output that are reported separately. Further losses are added to the last
/// reported place.
const MAX_LOSSES: usize = 4;
/// Length of `"lost":,` in bytes, which is the JSON field without its value.
const LOST_FIELD: usize = 8;

/// A search request that has been validated.
struct SearchQuery {
    pattern: Pattern,
    budget: Budget,
    context: u32,
    limit: u32,
}

impl Api {
    /// Returns a page of output that fits into the token budget of the request.
    ///
    /// If the request has a cursor, the page starts at the cursor. If the request contains no position, the page
    /// contains the head and the tail of the output, with a description of the omitted part between them.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, the process has no output, or the request
    /// is invalid.
    pub async fn read_output(&self, reference: &str, request: &ReadRequest) -> Result<OutputView, ApiError> {
        let budget = Budget::of(request.max_tokens)?;
        let time_limit = time_limit(request)?;
        let id = self.engine.find(reference).await?;
        let deadline = time_limit.map(|time_limit| self.engine.now().0.saturating_add(time_limit));
        loop {
            let stored = self.engine.process(id).await?;
            let attempt = ReadPosition::of_read(&stored, request)?.cursor.attempt;
            if let Some(node) = elsewhere(&self.engine, &stored, attempt).await {
                let rest = deadline.map(|deadline| deadline.saturating_sub(self.engine.now().0));
                let wait_ms = rest.and_then(|rest| u64::try_from(rest).ok());
                let request = ReadRequest { wait_ms, ..request.clone() };
                return self.read_there(&node, &stored, &request, budget).await;
            }
            let RenderedPage { view, seen, goes_on } = self.page_of(&stored, request, budget).await?;
            let says_something =
                !view.text.is_empty() || view.head.is_some() || view.cursor_expired || goes_on;
            let rest = deadline.map_or(0, |deadline| deadline.saturating_sub(self.engine.now().0));
            if says_something || view.eof || rest <= 0 {
                return Ok(view);
            }
            self.wait_for_more(id, AttemptNo(view.attempt), seen, rest).await?;
        }
    }

    /// Returns the lines of the output that match a pattern.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, the process has no output, or the pattern
    /// or request is invalid.
    pub async fn search_output(
        &self,
        reference: &str,
        request: &SearchRequest,
    ) -> Result<SearchView, ApiError> {
        let budget = Budget::of(request.max_tokens)?;
        let context = within("context", request.context, 0..=MAX_CONTEXT)?.unwrap_or(0);
        let limit = within("max_matches", request.max_matches, 1..=MAX_MATCHES)?.unwrap_or(DEFAULT_MATCHES);
        let case = if request.ignore_case { CaseMode::Ignored } else { CaseMode::Kept };
        let pattern = Pattern::new(&request.pattern, case).map_err(|error| {
            ApiError::new(400, "pattern_invalid", error.to_string())
                .help("patterns are regular expressions without look-around and back-references")
        })?;
        let id = self.engine.find(reference).await?;
        let stored = self.engine.process(id).await?;
        let place = ReadPosition::of_search(&stored, request)?;
        if let Some(node) = elsewhere(&self.engine, &stored, place.cursor.attempt).await {
            let search = SearchQuery { pattern, budget, context, limit };
            return self.search_there(&node, &stored, request, search).await;
        }
        let log = AttemptLog::new(&self.engine, &stored, &place.cursor);
        let Some(place) = self.stored_output(&stored, &log, place).await? else {
            return Ok(LogScan::nothing(&log.cursor));
        };
        let log = AttemptLog::new(&self.engine, &stored, &place.cursor);
        let manner = manner(request.raw);
        let lost =
            log.losses(place.cursor.offset).await?.iter().map(|loss| loss.bytes).reduce(u64::saturating_add);
        let scan = LogScan {
            log,
            manner,
            budget,
            limit,
            context,
            expired: place.expired,
            tail_only: None,
            lost_bytes: lost,
        };
        scan.run(pattern, place.cursor).await
    }

    /// Builds a page from output that this node stores.
    async fn page_of(
        &self,
        stored: &StoredProcess,
        request: &ReadRequest,
        budget: Budget,
    ) -> Result<RenderedPage, ApiError> {
        let place = ReadPosition::of_read(stored, request)?;
        let log = AttemptLog::new(&self.engine, stored, &place.cursor);
        let Some(place) = self.stored_output(stored, &log, place).await? else {
            let next_cursor = log.cursor.to_string();
            let (attempt, eof) = (log.cursor.attempt.0, log.is_over);
            let view = OutputView { attempt, next_cursor, eof, ..OutputView::default() };
            return Ok(RenderedPage { view, seen: 0, goes_on: false });
        };
        let log = AttemptLog::new(&self.engine, stored, &place.cursor);
        let pages = PageReader { log, manner: manner(request.raw), budget };
        let begin = match place.begin {
            ReadStart::Line(number) => ReadStart::Cursor(pages.line(place.cursor, number).await?),
            begin @ (ReadStart::Cursor(_) | ReadStart::LastLines(_) | ReadStart::Ends) => begin,
        };
        let mut losses = log.losses(0).await?;
        if !losses.is_empty() {
            let from = match begin {
                ReadStart::Cursor(cursor) => cursor.offset,
                ReadStart::LastLines(lines) => log.last_lines(lines).await?,
                ReadStart::Line(_) | ReadStart::Ends => place.cursor.offset,
            };
            losses.retain(|loss| loss.offset >= from);
        }
        let longest = losses_in(&losses, &place.cursor, u64::MAX);
        let budget = if longest.is_empty() {
            budget
        } else {
            budget.less(length(&longest).saturating_add(LOST_FIELD))
        };
        let mut shown = PageReader { budget, ..pages }.read(&place, begin).await?;
        let until = OutputCursor::parse(&shown.view.next_cursor, place.cursor.owner)
            .map_or(u64::MAX, |next| next.offset);
        shown.view.lost = losses_in(&losses, &place.cursor, until);
        Ok(shown)
    }

    /// Returns the position to read from. If the output of the requested attempt was removed, the position is the start
    /// of the next attempt that has stored output. Returns `None` if no output exists yet.
    async fn stored_output(
        &self,
        stored: &StoredProcess,
        log: &AttemptLog<'_>,
        place: ReadPosition,
    ) -> Result<Option<ReadPosition>, ApiError> {
        if place.cursor.attempt.0 == 0 {
            return Ok(None);
        }
        if log.size().await?.is_some() {
            return Ok(Some(place));
        }
        let latest = stored.process.attempt;
        for later in place.cursor.attempt.0..latest.0 {
            let cursor = OutputCursor::new(
                place.cursor.owner,
                AttemptNo(later.saturating_add(1)),
                place.cursor.choice,
            );
            let has_stood = place.cursor.offset > 0;
            if has_stood && AttemptLog::new(&self.engine, stored, &cursor).size().await?.is_some() {
                let begin = ReadStart::Cursor(cursor);
                return Ok(Some(ReadPosition { cursor, begin, to: None, expired: true }));
            }
        }
        if place.cursor.attempt == latest && crate::output_is_gone(&self.engine, stored).await {
            let id = stored.process.id.short();
            return Err(ApiError::new(410, "output_removed", format!("the output of {id} was deleted"))
                .because("the output was deleted to free space (`output.total`), or by another program")
                .help(format!("`longhaul status {id}` shows how the process ended")));
        }
        Ok(None)
    }

    /// Waits until there may be output after offset `seen`, until the process has ended, or for at most `rest`
    /// milliseconds.
    async fn wait_for_more(
        &self,
        id: ProcessId,
        attempt: AttemptNo,
        seen: u64,
        rest: i64,
    ) -> Result<(), EngineError> {
        let rest = Duration::from_millis(u64::try_from(rest).unwrap_or(0));
        let ids = [id];
        let ended = pin!(self.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, Some(rest)));
        let grown = pin!(self.engine.follow(id, attempt, seen));
        match select(grown, ended).await {
            Either::Left((grown, _)) => grown.map(|_| ())?,
            Either::Right((ended, _)) => ended.map(|_| ())?,
        }
        others_first().await;
        Ok(())
    }
}

/// Returns the places up to offset `until` where output could not be stored.
fn losses_in(losses: &[Loss], cursor: &OutputCursor, until: u64) -> Vec<LostOutputView> {
    let mut told: Vec<LostOutputView> = Vec::new();
    for loss in losses.iter().filter(|loss| loss.offset <= until) {
        let is_full = told.len() >= MAX_LOSSES;
        match told.last_mut().filter(|_| is_full) {
            Some(last) => last.bytes = last.bytes.saturating_add(loss.bytes),
            None => {
                let cursor = OutputCursor { line: None, ..cursor.at(loss.offset) };
                told.push(LostOutputView { bytes: loss.bytes, cursor: cursor.to_string() });
            }
        }
    }
    told
}

/// Lets other tasks run once. The output of an ended attempt always counts as possibly grown. Without this pause, the
/// reader would loop and prevent the engine from recording the end of the process.
async fn others_first() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Returns the maximum wait in milliseconds, or `None` if the request does not wait.
fn time_limit(request: &ReadRequest) -> Result<Option<i64>, ApiError> {
    match request.wait_ms {
        Some(wait) if wait > MAX_WAIT_MS => {
            Err(ApiError::invalid("wait_ms", format!("the maximum is {MAX_WAIT_MS}"))
                .help("try again with the same cursor"))
        }
        Some(wait) => Ok(i64::try_from(wait).ok()),
        None => Ok(None),
    }
}

fn within(
    what: &str,
    value: Option<u32>,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Option<u32>, ApiError> {
    match value {
        Some(value) if !range.contains(&value) => Err(ApiError::invalid(
            what,
            format!("the value must be from {} to {}", range.start(), range.end()),
        )),
        value => Ok(value),
    }
}

const fn manner(raw: bool) -> RenderMode {
    if raw { RenderMode::Raw } else { RenderMode::Folded }
}
