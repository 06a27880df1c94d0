//! The event log, read step by step by one reader at his own pace.

use longhaul_engine::ports::{EventCursor, LoggedEvent};
use longhaul_engine::{Engine, EngineError};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::select;

/// The most events that a reader holds.
const PAGE: u32 = 64;
/// The first wait before a store that does not answer is asked again; it doubles.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// One step of a reader through the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogItem {
    /// Something became true.
    Event(Box<LoggedEvent>),
    /// Events are missing: the log does not keep them, or was started anew.
    Gap {
        /// The last place before; none if that is the beginning.
        from: Option<EventCursor>,
        /// The place after which events are told again.
        to: EventCursor,
    },
    /// Everything that was there is told.
    CaughtUp(EventCursor),
}

/// A reader of the log. It pulls, so that one who does not read costs no more than the page that he holds.
#[derive(Debug)]
pub(crate) struct LogReader {
    engine: Engine,
    /// The place after everything that is ahead.
    after: Option<EventCursor>,
    ahead: VecDeque<LogItem>,
    reach: ReadRange,
    goes_on: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadRange {
    /// There are older events than now.
    Behind,
    /// What was there has been read.
    AtEnd,
}

impl LogReader {
    /// Begins after a place; before the oldest event kept without one. With `goes_on` it does not end with the newest.
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
        // Another log, or one that was started anew: nothing would ever come after that place.
        if place.is_some_and(|place| place > end) {
            trail.ahead.push_back(LogItem::Gap { from: place, to: end });
            trail.after = Some(end);
        }
        Ok(trail)
    }

    /// Begins with what happens from now on.
    pub(crate) async fn from_now(engine: &Engine) -> Result<Self, EngineError> {
        let end = engine.log_end().await?;
        Self::after(engine, Some(end), true).await
    }

    /// Goes on behind a place that was reached before.
    pub(crate) fn behind(engine: &Engine, place: EventCursor) -> Self {
        Self {
            engine: engine.clone(),
            after: Some(place),
            ahead: VecDeque::new(),
            reach: ReadRange::Behind,
            goes_on: true,
        }
    }

    /// The place that was reached, between two pages, if it goes on with the newest.
    pub(crate) fn between(&self) -> Option<EventCursor> {
        self.after.filter(|_| self.goes_on && self.ahead.is_empty())
    }

    /// Whether everything that was there has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.reach == ReadRange::AtEnd
    }

    /// Whether there is a next step without a wait.
    pub(crate) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The next step, which stays the next one until it is [taken](Self::take); none when all is over. Dropping the call
    /// loses nothing.
    pub(crate) async fn look(&mut self) -> Option<&LogItem> {
        while self.ahead.is_empty() {
            self.read_on().await?;
        }
        self.ahead.front()
    }

    /// Goes past the next step.
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

/// Asks until there is an answer; none when the engine has ended.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, EngineError>>>(
    engine: &Engine,
    ask: impl Fn() -> F,
) -> Option<T> {
    let mut wait = MIN_RETRY_DELAY;
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => tracing::warn!(%error, "a reader of events waits for the store"),
        }
        select! {
            () = engine.over() => return None,
            () = engine.sleep(wait) => wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY),
        }
    }
}
