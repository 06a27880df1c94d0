//! Reads the event log page by page, at the pace of its caller.

use longhaul_engine::ports::{EventCursor, LoggedEvent};
use longhaul_engine::{Engine, EngineError};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::select;

/// Maximum number of events that a reader has in memory.
const PAGE: u32 = 64;
/// Delay before the first retry of a failed store request. The delay doubles with each further retry.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Maximum delay between two retries.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// An item of the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogItem {
    Event(Box<LoggedEvent>),
    /// Events are missing, because the log has deleted them or was recreated.
    Gap {
        /// Cursor of the last item before the gap. `None` if the gap starts at the beginning of the log.
        from: Option<EventCursor>,
        /// Cursor after which events are available again.
        to: EventCursor,
    },
    /// All existing events have been read. Contains the current cursor.
    CaughtUp(EventCursor),
}

/// Event log reader. It fetches a page of events only when its caller needs one, so a slow caller costs one page of
/// memory.
#[derive(Debug)]
pub(crate) struct LogReader {
    engine: Engine,
    /// Cursor behind all fetched items. `None` if the reader starts before the oldest event and has fetched nothing.
    after: Option<EventCursor>,
    ahead: VecDeque<LogItem>,
    reach: ReadRange,
    goes_on: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadRange {
    /// The reader may not have read all existing events yet.
    Behind,
    /// The reader has read all existing events.
    AtEnd,
}

impl LogReader {
    /// Creates a reader that starts after `place`, or before the oldest event if `place` is `None`. With `goes_on`, the
    /// reader waits for new events at the end of the log.
    pub(crate) async fn after(
        engine: &Engine,
        place: Option<EventCursor>,
        goes_on: bool,
    ) -> Result<Self, EngineError> {
        let mut trail = Self {
            engine: engine.clone(),
            after: place,
            ahead: VecDeque::new(),
            reach: ReadRange::Behind,
            goes_on,
        };
        let end = engine.log_end().await?;
        // The cursor belongs to another log, or the log was recreated. No event would ever follow this cursor.
        if place.is_some_and(|place| place > end) {
            trail.ahead.push_back(LogItem::Gap { from: place, to: end });
            trail.after = Some(end);
        }
        Ok(trail)
    }

    /// Creates a reader that starts at the current end of the log and waits for new events.
    pub(crate) async fn from_now(engine: &Engine) -> Result<Self, EngineError> {
        let end = engine.log_end().await?;
        Self::after(engine, Some(end), true).await
    }

    /// Creates a reader that starts after a cursor and waits for new events at the end of the log. The cursor is not
    /// validated.
    pub(crate) fn behind(engine: &Engine, place: EventCursor) -> Self {
        Self {
            engine: engine.clone(),
            after: Some(place),
            ahead: VecDeque::new(),
            reach: ReadRange::Behind,
            goes_on: true,
        }
    }

    /// Returns the cursor behind the last item that was taken. Returns `None` if fetched items have not been taken yet,
    /// or if the reader does not wait for new events.
    pub(crate) fn between(&self) -> Option<EventCursor> {
        self.after.filter(|_| self.goes_on && self.ahead.is_empty())
    }

    /// Returns true if the reader has read all existing events.
    pub(crate) fn is_at_end(&self) -> bool {
        self.reach == ReadRange::AtEnd
    }

    /// Returns true if the reader has already fetched another item.
    pub(crate) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Returns the next item without removing it; see [`take`](Self::take). Returns `None` at the end of the log, or
    /// when the engine has shut down. Cancel safe: dropping the call loses no item.
    pub(crate) async fn look(&mut self) -> Option<&LogItem> {
        while self.ahead.is_empty() {
            self.read_on().await?;
        }
        self.ahead.front()
    }

    /// Removes and returns the next item.
    pub(crate) fn take(&mut self) -> Option<LogItem> {
        self.ahead.pop_front()
    }

    async fn read_on(&mut self) -> Option<()> {
        let waits = self.reach == ReadRange::AtEnd;
        if waits && !self.goes_on {
            return None;
        }
        let (engine, after) = (&self.engine, self.after);
        let page = patiently(engine, || engine.log(after, PAGE, waits)).await?;
        let Some((first, last)) = page.events.first().zip(page.events.last()) else {
            if waits {
                return None;
            }
            self.reach = ReadRange::AtEnd;
            self.ahead.push_back(LogItem::CaughtUp(after.unwrap_or_default()));
            return Some(());
        };
        if page.gap {
            let to = EventCursor(first.cursor.0.saturating_sub(1));
            self.ahead.push_back(LogItem::Gap { from: after, to });
        }
        self.after = Some(last.cursor);
        self.ahead.extend(page.events.into_iter().map(|logged| LogItem::Event(Box::new(logged))));
        Some(())
    }
}

/// Repeats a store request until it succeeds. Returns `None` if the engine shuts down before that.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, EngineError>>>(
    engine: &Engine,
    ask: impl Fn() -> F,
) -> Option<T> {
    let mut wait = MIN_RETRY_DELAY;
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => tracing::warn!(%error, "could not read the event log; the reader is waiting for \
                the store"),
        }
        select! {
            () = engine.over() => return None,
            () = engine.sleep(wait) => wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY),
        }
    }
}
