//! Determines which processes of a session were live at a given time.

use crate::events::log_reader::patiently;
use longhaul_domain::{Fact, ProcessId, SessionId, Status, Timestamp};
use longhaul_engine::Engine;
use longhaul_engine::ports::{EventCursor, PageRequest, ProcessFilter, SortOrder, StoredProcess};
use std::collections::BTreeSet;
use std::time::Duration;

const PAGE: u32 = 500;
/// Maximum age of an event for which the current state of the store is used. Later events in the log correct any
/// difference.
const RECENT: Duration = Duration::from_secs(1);
/// Number of events before a cursor that are searched for process ends. An end event has the time at which the process
/// ended, but it may be logged after events with later times.
const LOOKBACK_EVENTS: u32 = 512;
/// Statuses of processes that have not ended.
const LIVE: [Status; 5] =
    [Status::Pending, Status::Starting, Status::Running, Status::Paused, Status::Stopping];

/// Point in time for which live processes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountTime {
    /// The current time. A process end may be counted and then read again from the log, which does no harm.
    Now,
    /// The time of a past event, with the cursor of that event.
    Past(Timestamp, EventCursor),
}

impl CountTime {
    /// Returns the time of the event at a cursor, or of the oldest stored event if `place` is `None`. The result is
    /// `Now` if that event has been deleted. Returns `None` when the engine has shut down.
    pub(crate) async fn behind(engine: &Engine, place: Option<EventCursor>) -> Option<Self> {
        let before = place.map(|place| EventCursor(place.0.saturating_sub(1)));
        let page = patiently(engine, || engine.log(before, 1, false)).await?;
        let there = page.events.first().filter(|logged| place.is_none_or(|place| logged.cursor == place));
        Some(there.map_or(Self::Now, |logged| Self::Past(logged.event.at, place.unwrap_or_default())))
    }

    /// Returns the count time for an event that is being read: `Now` if the event is recent.
    pub(crate) fn of(engine: &Engine, at: Timestamp, place: EventCursor) -> Self {
        if engine.now().since(at) < RECENT { Self::Now } else { Self::Past(at, place) }
    }
}

/// Returns the processes of a session that were live at a given time, or `None` when the engine has shut down.
pub(crate) async fn live(
    engine: &Engine,
    session: &SessionId,
    moment: CountTime,
) -> Option<BTreeSet<ProcessId>> {
    let statuses = match moment {
        CountTime::Now => LIVE.to_vec(),
        CountTime::Past(..) => Vec::new(),
    };
    let filter = ProcessFilter { statuses, session: Some(session.clone()), ..ProcessFilter::default() };
    let mut page = PageRequest { order: SortOrder::OldestFirst, after: None, limit: PAGE };
    let mut live = BTreeSet::new();
    loop {
        let listing = patiently(engine, || engine.list(&filter, &page)).await?;
        let counted = listing.processes.iter().filter(|stored| was_live(stored, moment));
        live.extend(counted.map(|stored| stored.process.id));
        match listing.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    if let CountTime::Past(_, place) = moment {
        for id in ended_before(engine, place).await? {
            live.remove(&id);
        }
    }
    Some(live)
}

/// Returns true if the store contains any process of a session, live or ended. Returns `None` when the engine has shut
/// down.
pub(crate) async fn has_any(engine: &Engine, session: &SessionId) -> Option<bool> {
    let filter = ProcessFilter { session: Some(session.clone()), ..ProcessFilter::default() };
    let page = PageRequest { order: SortOrder::NewestFirst, after: None, limit: 1 };
    let listing = patiently(engine, || engine.list(&filter, &page)).await?;
    Some(!listing.processes.is_empty())
}

fn was_live(stored: &StoredProcess, moment: CountTime) -> bool {
    let process = &stored.process;
    match moment {
        CountTime::Now => true,
        CountTime::Past(at, _) => {
            process.queued_at <= at && process.completed_at().is_none_or(|completed| completed > at)
        }
    }
}

/// Returns the processes whose end events are among the last [`LOOKBACK_EVENTS`] events up to a cursor.
async fn ended_before(engine: &Engine, place: EventCursor) -> Option<Vec<ProcessId>> {
    let from = EventCursor(place.0.saturating_sub(LOOKBACK_EVENTS.into()));
    let page = patiently(engine, || engine.log(Some(from), LOOKBACK_EVENTS, false)).await?;
    let ended = page
        .events
        .into_iter()
        .filter(|logged| logged.cursor <= place && matches!(logged.event.fact, Fact::Ended { .. }));
    Some(ended.map(|logged| logged.id).collect())
}
