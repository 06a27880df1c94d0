//! The event log, read step by step by one reader at his own pace.

use longhaul_engine::ports::{Cursor, Logged};
use longhaul_engine::{Engine, EngineError};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::select;

/// The most events that a reader holds.
const PAGE: u32 = 64;
/// The first wait before a store that does not answer is asked again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// One step of a reader through the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Something became true.
    Event(Box<Logged>),
    /// Events are missing: the log does not keep them, or was started anew.
    Gap {
        /// The last place before; none if that is the beginning.
        from: Option<Cursor>,
        /// The place after which events are told again.
        to: Cursor,
    },
    /// Everything that was there is told.
    CaughtUp(Cursor),
}

/// A reader of the log. It pulls, so that one who does not read costs no more than the page that he holds.
#[derive(Debug)]
pub(crate) struct Trail {
    engine: Engine,
    /// The place after everything that is ahead.
    after: Option<Cursor>,
    ahead: VecDeque<Step>,
    reach: Reach,
    goes_on: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// There are older events than now.
    Behind,
    /// What was there has been read.
    AtEnd,
}

impl Trail {
    /// Begins after a place; before the oldest event kept without one. With `goes_on` it does not end with the newest.
    pub(crate) async fn after(
        engine: &Engine,
        place: Option<Cursor>,
        goes_on: bool,
    ) -> Result<Self, EngineError> {
        let mut trail = Self {
            engine: engine.clone(),
            after: place,
            ahead: VecDeque::new(),
            reach: Reach::Behind,
            goes_on,
        };
        let end = engine.log_end().await?;
        // Another log, or one that was started anew: nothing would ever come after that place.
        if place.is_some_and(|place| place > end) {
            trail.ahead.push_back(Step::Gap { from: place, to: end });
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
    pub(crate) fn behind(engine: &Engine, place: Cursor) -> Self {
        Self {
            engine: engine.clone(),
            after: Some(place),
            ahead: VecDeque::new(),
            reach: Reach::Behind,
            goes_on: true,
        }
    }

    /// The place that was reached, between two pages, if it goes on with the newest.
    pub(crate) fn between(&self) -> Option<Cursor> {
        self.after.filter(|_| self.goes_on && self.ahead.is_empty())
    }

    /// Whether everything that was there has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.reach == Reach::AtEnd
    }

    /// Whether there is a next step without a wait.
    pub(crate) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The next step, which stays the next one until it is [taken](Self::take); none when all is over. Dropping the call
    /// loses nothing.
    pub(crate) async fn look(&mut self) -> Option<&Step> {
        while self.ahead.is_empty() {
            self.read_on().await?;
        }
        self.ahead.front()
    }

    /// Goes past the next step.
    pub(crate) fn take(&mut self) -> Option<Step> {
        self.ahead.pop_front()
    }

    async fn read_on(&mut self) -> Option<()> {
        let waits = self.reach == Reach::AtEnd;
        if waits && !self.goes_on {
            return None;
        }
        let (engine, after) = (&self.engine, self.after);
        let page = patiently(engine, || engine.log(after, PAGE, waits)).await?;
        let Some((first, last)) = page.events.first().zip(page.events.last()) else {
            if waits {
                return None;
            }
            self.reach = Reach::AtEnd;
            self.ahead.push_back(Step::CaughtUp(after.unwrap_or_default()));
            return Some(());
        };
        if page.gap {
            let to = Cursor(first.cursor.0.saturating_sub(1));
            self.ahead.push_back(Step::Gap { from: after, to });
        }
        self.after = Some(last.cursor);
        self.ahead.extend(page.events.into_iter().map(|logged| Step::Event(Box::new(logged))));
        Some(())
    }
}

/// Asks until there is an answer; none when the engine has ended.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, EngineError>>>(
    engine: &Engine,
    ask: impl Fn() -> F,
) -> Option<T> {
    let mut wait = FIRST_WAIT;
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => tracing::warn!(%error, "a reader of events waits for the store"),
        }
        select! {
            () = engine.over() => return None,
            () = engine.sleep(wait) => wait = wait.saturating_mul(2).min(LONGEST_WAIT),
        }
    }
}
