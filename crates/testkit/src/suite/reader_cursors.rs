//! Contract of every store of reader cursors.

use crate::suite::must;
use longhaul_ports::{ClosedReader, EventCursor, ReaderCursors};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Fixture for one rule: an empty store of reader cursors that can be reopened.
pub struct ReaderCursorsFixture {
    /// Store of reader cursors under test.
    pub bookmarks: Arc<dyn ReaderCursors>,
    reopen: Box<dyn Fn() -> Arc<dyn ReaderCursors> + Send + Sync>,
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

impl ReaderCursorsFixture {
    /// Creates a fixture. `reopen` opens the store of cursors. Each later call of `reopen` opens it with its previous
    /// contents, as after a restart of the node.
    #[must_use]
    pub fn new(reopen: impl Fn() -> Arc<dyn ReaderCursors> + Send + Sync + 'static) -> Self {
        Self { bookmarks: reopen(), reopen: Box::new(reopen), _guard: None }
    }

    /// Keeps `guard`, such as a temporary directory, alive as long as the fixture.
    #[must_use]
    pub fn guarded(self, guard: impl Any + Send + Sync) -> Self {
        Self { _guard: Some(Box::new(guard)), ..self }
    }

    /// Returns the cursor that a reader has after a restart of the node.
    async fn found_later(&self, reader: &str) -> Option<EventCursor> {
        must((self.reopen)().find(reader).await)
    }
}

impl fmt::Debug for ReaderCursorsFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderCursorsFixture").field("bookmarks", &self.bookmarks).finish_non_exhaustive()
    }
}

/// Opens a fixture.
pub fn open(open: impl FnOnce() -> ReaderCursorsFixture) -> ReaderCursorsFixture {
    open()
}

/// A reader that never stored a cursor has none, and is not closed.
pub async fn an_unknown_reader_has_no_cursor(world: &ReaderCursorsFixture) {
    assert_eq!(must(world.bookmarks.find("chat").await), None);
    must(world.bookmarks.keep("mail", EventCursor(1)).await);
    assert_eq!(must(world.bookmarks.find("chat").await), None);
    assert_eq!(must(world.bookmarks.closed("chat").await), None);
}

/// The last cursor that a reader stored with `keep` is found immediately and after a restart. Each reader has a
/// separate cursor.
pub async fn the_last_kept_cursor_is_found(world: &ReaderCursorsFixture) {
    for place in [0, 7, 4_711, u64::MAX, 12] {
        must(world.bookmarks.keep("chat", EventCursor(place)).await);
        must(world.bookmarks.keep("mail", EventCursor(1)).await);
        assert_eq!(must(world.bookmarks.find("chat").await), Some(EventCursor(place)));
        assert_eq!(world.found_later("chat").await, Some(EventCursor(place)));
    }
    assert_eq!(world.found_later("mail").await, Some(EventCursor(1)));
}

/// The last cursor written with `note` is found after a crash.
pub async fn the_last_noted_cursor_is_found_after_a_crash(world: &ReaderCursorsFixture) {
    must(world.bookmarks.keep("chat", EventCursor(3)).await);
    for place in [4, 9, 10, u64::MAX, 11] {
        must(world.bookmarks.note("chat", EventCursor(place)).await);
        assert_eq!(must(world.bookmarks.find("chat").await), Some(EventCursor(place)));
        assert_eq!(world.found_later("chat").await, Some(EventCursor(place)));
    }
    must(world.bookmarks.note("new", EventCursor(5)).await);
    assert_eq!(world.found_later("new").await, Some(EventCursor(5)), "also without anything kept before");
}

/// A cursor that is stored with `keep` replaces every earlier note. This applies even if the note has a later position,
/// because an event log may restart at zero.
pub async fn a_kept_cursor_replaces_every_note(world: &ReaderCursorsFixture) {
    must(world.bookmarks.keep("chat", EventCursor(50)).await);
    must(world.bookmarks.note("chat", EventCursor(99)).await);
    must(world.bookmarks.keep("chat", EventCursor(2)).await);
    assert_eq!(world.found_later("chat").await, Some(EventCursor(2)));
    must(world.bookmarks.note("chat", EventCursor(3)).await);
    assert_eq!(world.found_later("chat").await, Some(EventCursor(3)));
}

/// A closed reader stays closed across restarts, and the reason is stored. Other readers are not affected.
pub async fn a_closed_reader_stays_closed_until_it_is_reopened(world: &ReaderCursorsFixture) {
    must(world.bookmarks.keep("chat", EventCursor(7)).await);
    must(world.bookmarks.close("chat", "gone: https://example.com").await);
    let later = (world.reopen)();
    let closed = must(later.closed("chat").await);
    assert!(
        matches!(&closed, Some(ClosedReader { why, remedy }) if why == "gone: https://example.com" && !remedy.is_empty()),
        "{closed:?}"
    );
    assert_eq!(must(later.closed("mail").await), None);
    assert_eq!(world.found_later("chat").await, Some(EventCursor(7)), "its place stays");
    for _ in 0..2 {
        must(later.reopen("chat").await);
        assert_eq!(must((world.reopen)().closed("chat").await), None);
    }
}

/// A reader name that could lead to another file is refused by every method.
pub async fn a_reader_name_that_leads_to_another_file_is_refused(world: &ReaderCursorsFixture) {
    let bookmarks = &world.bookmarks;
    for name in ["", ".", "..", "../chat", "a/b", "a.note", "nul\0"] {
        assert!(bookmarks.find(name).await.is_err(), "{name:?}");
        assert!(bookmarks.keep(name, EventCursor(1)).await.is_err(), "{name:?}");
        assert!(bookmarks.note(name, EventCursor(1)).await.is_err(), "{name:?}");
        assert!(bookmarks.close(name, "gone").await.is_err(), "{name:?}");
        assert!(bookmarks.reopen(name).await.is_err(), "{name:?}");
    }
}

/// Several readers can store their cursors at the same time.
pub async fn many_readers_can_store_their_cursors_at_the_same_time(world: &ReaderCursorsFixture) {
    let readers: Vec<_> = (0..8_u64)
        .map(|number| {
            let bookmarks = Arc::clone(&world.bookmarks);
            tokio::spawn(async move {
                let name = format!("reader-{number}");
                for place in 0..20 {
                    must(bookmarks.note(&name, EventCursor(number * 100 + place)).await);
                    must(bookmarks.keep(&name, EventCursor(number * 100 + place)).await);
                }
            })
        })
        .collect();
    for reader in readers {
        must(reader.await);
    }
    for number in 0..8_u64 {
        assert_eq!(
            world.found_later(&format!("reader-{number}")).await,
            Some(EventCursor(number * 100 + 19))
        );
    }
}

/// Generates one test for each rule about stores of reader cursors.
///
/// Takes a function that opens a [`ReaderCursorsFixture`].
#[macro_export]
macro_rules! reader_cursors_suite {
    ($open:expr $(,)?) => {
        $crate::rules_of! {
            $open, reader_cursors,
            an_unknown_reader_has_no_cursor
            the_last_kept_cursor_is_found
            the_last_noted_cursor_is_found_after_a_crash
            a_kept_cursor_replaces_every_note
            a_closed_reader_stays_closed_until_it_is_reopened
            a_reader_name_that_leads_to_another_file_is_refused
            many_readers_can_store_their_cursors_at_the_same_time
        }
    };
}
