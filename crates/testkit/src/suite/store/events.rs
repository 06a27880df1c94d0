//! Rules about the event log: the order of events, cursors, and the report of gaps.

use super::world::{StoreFixture, author, cancel};
use crate::suite::{must, parked, some, soon};
use longhaul_domain::{Event, Fact, Stage};
use longhaul_ports::{Change, EventCursor, EventPage, IdSource};

/// Cursors increase, and each page continues after the previous page.
pub async fn cursors_increase_and_pages_continue(world: &StoreFixture) {
    let node = world.node("a").await;
    for _ in 0..3 {
        let running = world.run(world.draft(), &node).await;
        world.exit(&running, 0).await;
    }
    let whole = must(world.store.read(None, 1000, false).await);
    let facts: Vec<&str> = whole.events.iter().map(|logged| logged.event.fact.name()).collect();
    assert_eq!(facts, ["submitted", "claimed", "spawned", "ended"].repeat(3));
    assert!(whole.events.windows(2).all(|pair| match pair {
        [before, after] => before.cursor < after.cursor,
        _ => false,
    }));
    let mut pieces = Vec::new();
    let mut after = None;
    loop {
        let page = must(world.store.read(after, 5, false).await);
        assert!(page.events.len() <= 5);
        assert!(!page.gap);
        let Some(last) = page.events.last() else { break };
        after = Some(last.cursor);
        pieces.extend(page.events);
    }
    assert_eq!(pieces, whole.events);
}

/// A read that starts at the end of the log returns only events that are written later.
pub async fn a_read_from_the_end_returns_only_later_events(world: &StoreFixture) {
    let start = must(world.store.end().await);
    assert_eq!(must(world.store.read(Some(start), 10, false).await), EventPage::default());
    world.submit(world.draft()).await;
    let end = must(world.store.end().await);
    assert!(end > start);
    assert_eq!(must(world.store.read(Some(end), 10, false).await).events, []);
    let next = world.submit(world.draft()).await;
    let page = must(world.store.read(Some(end), 10, false).await);
    assert_eq!(page.events.len(), 1);
    assert_eq!(some(page.events.first()).id, next.process.id);
}

/// A waiting read returns as soon as there is at least one event.
pub async fn a_waiting_read_returns_with_the_next_event(world: &StoreFixture) {
    world.submit(world.draft()).await;
    let end = must(world.store.end().await);
    let reader = {
        let store = world.store.clone();
        tokio::spawn(async move { store.read(Some(end), 10, true).await })
    };
    let reader = parked(reader).await;
    let stored = world.submit(world.draft()).await;
    let page = must(must(soon(reader).await));
    assert_eq!(page.events.len(), 1);
    assert_eq!(some(page.events.first()).id, stored.process.id);
    assert_eq!(must(soon(world.store.read(Some(end), 10, true)).await).events, page.events);
}

/// A refused write adds no event.
pub async fn refused_writes_leave_no_event(world: &StoreFixture) {
    let stored = world.submit(world.draft()).await;
    let late = world.change(&stored, cancel());
    must(world.turn(&stored, cancel()).await);
    let end = must(world.store.end().await);
    assert!(world.store.commit(late).await.is_err());
    assert!(world.try_submit(world.draft().child_of(&stored)).await.is_err());
    assert_eq!(must(world.store.end().await), end);
}

/// The event log drops old events. A reader whose cursor is too old gets a report of the gap, and continues with the
/// oldest stored event.
pub async fn a_trimmed_log_reports_the_gap(world: &StoreFixture) {
    const EVENTS_PER_WRITER: u64 = 2_000;
    let mut stored = world.submit(world.draft().reported()).await;
    let begin = EventCursor(0);
    let fact = Fact::StageChanged { stage: must(Stage::new("on and on")) };
    let at = world.now();
    for _ in 0..52 {
        let change = Change {
            op: world.ids.op(),
            author: author(&stored),
            expected: stored.revision,
            next: stored.process.clone(),
            events: (0..EVENTS_PER_WRITER).map(|_| Event { at, fact: fact.clone() }).collect(),
            taken: longhaul_domain::ActionSeq(0),
            require_no_live_descendants: false,
        };
        stored.revision = must(world.store.commit(change).await);
    }
    let late = must(world.store.read(Some(begin), 10, false).await);
    assert!(late.gap, "more than 100,000 events are not kept");
    let oldest = must(world.store.read(None, 10, false).await);
    assert!(!oldest.gap);
    assert_eq!(late.events, oldest.events);
    let first = some(oldest.events.first()).cursor;
    let end = must(world.store.end().await);
    assert!(end.0 - first.0 >= 99_999, "the newest 100,000 are kept");
    let on_time = must(world.store.read(Some(first), 10, false).await);
    assert!(!on_time.gap);
}
