//! Groups ended processes into batches, as a pure function of the event log.

use longhaul_domain::Timestamp;
use longhaul_engine::ports::EventCursor;
use std::time::Duration;

/// Groups process ends that happened within a time window around the first end.
///
/// The times in the log alone decide which ends belong to one batch, no matter how late or in how many steps the log is
/// read. The reader's clock only decides when a batch is closed. A reader that resumes after the last end of a batch
/// gets the same later batches as all other readers.
#[derive(Debug)]
pub(crate) struct Batcher<T> {
    window: Duration,
    limit: usize,
    open: Option<OpenBatch<T>>,
}

/// Process ends that are reported together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompletionBatch<T> {
    /// Time of the first end in the batch.
    pub(crate) since: Timestamp,
    /// Cursor of the first end in the batch.
    pub(crate) first: EventCursor,
    /// Cursor of the last end in the batch.
    pub(crate) last: EventCursor,
    pub(crate) ends: Vec<T>,
    /// Number of live processes of the session at the end of the window.
    pub(crate) live: usize,
}

#[derive(Debug)]
struct OpenBatch<T> {
    batch: CompletionBatch<T>,
    /// Time at which the first end in the batch was read from the log.
    heard: Timestamp,
}

impl<T> Batcher<T> {
    /// Creates a batcher. A batch has at most `limit` ends.
    pub(crate) const fn new(window: Duration, limit: usize) -> Self {
        Self { window, limit, open: None }
    }

    /// Adds a process end to the open batch. `live` is the number of processes that are still live after this end. If
    /// the end does not fit into the open batch, starts a new batch and returns the previous one.
    pub(crate) fn end(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        place: EventCursor,
        end: T,
        live: usize,
    ) -> Option<CompletionBatch<T>> {
        let fits =
            self.holds(at) && self.open.as_ref().is_some_and(|open| open.batch.ends.len() < self.limit);
        let before = if fits { None } else { self.close() };
        match &mut self.open {
            Some(open) => {
                open.batch.ends.push(end);
                (open.batch.last, open.batch.live) = (place, live);
            }
            None => {
                let batch = CompletionBatch { since: at, first: place, last: place, ends: vec![end], live };
                self.open = Some(OpenBatch { batch, heard: now });
            }
        }
        before
    }

    /// Updates the number of live processes after a process was added to the session at time `at`.
    pub(crate) fn added(&mut self, at: Timestamp, live: usize) {
        if self.holds(at)
            && let Some(open) = &mut self.open
        {
            open.batch.live = live;
        }
    }

    /// Returns the time at which the open batch must be closed, or `None` if no batch is open.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        // The window starts at the time of reading, so that old ends that are read late are still collected in one
        // batch.
        self.open.as_ref().map(|open| open.heard.max(open.batch.since).plus(self.window))
    }

    /// Returns the cursor of the first end in the open batch.
    pub(crate) fn waiting_since(&self) -> Option<EventCursor> {
        self.open.as_ref().map(|open| open.batch.first)
    }

    /// Closes and returns the open batch.
    pub(crate) fn close(&mut self) -> Option<CompletionBatch<T>> {
        self.open.take().map(|open| open.batch)
    }

    /// Returns true if a time lies in the time window of the open batch.
    fn holds(&self, at: Timestamp) -> bool {
        let Some(open) = &self.open else { return false };
        let since = open.batch.since;
        at.since(since).max(since.since(at)) < self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_millis(250);
    const MAX_BATCH: usize = 20;

    /// A log entry for the end of a process. `at` is the time of the end. `logged` is the time at which the end was
    /// logged, which may be later.
    #[derive(Clone, Copy, Debug)]
    struct Entry {
        at: Timestamp,
        place: EventCursor,
        logged: Timestamp,
    }

    /// Creates the batches of an existing log immediately, without waiting for time windows.
    fn in_one_go(log: &[Entry]) -> Vec<CompletionBatch<EventCursor>> {
        let mut batcher = Batcher::new(WINDOW, MAX_BATCH);
        let mut batches = Vec::new();
        for entry in log {
            batches.extend(batcher.end(Timestamp(9_000_000), entry.at, entry.place, entry.place, 0));
        }
        batches.extend(batcher.close());
        batches
    }

    /// Creates the batches of a log that is read while it is written. Each batch is closed when it is due.
    fn as_it_happens(log: &[Entry]) -> Vec<CompletionBatch<EventCursor>> {
        let mut batcher = Batcher::new(WINDOW, MAX_BATCH);
        let mut batches = Vec::new();
        for entry in log {
            if batcher.due().is_some_and(|due| due <= entry.logged) {
                batches.extend(batcher.close());
            }
            batches.extend(batcher.end(entry.logged, entry.at, entry.place, entry.place, 0));
        }
        batches.extend(batcher.close());
        batches
    }

    fn logs(latest: i64) -> impl Strategy<Value = Vec<Entry>> {
        prop::collection::vec((0_i64..200, 0..=latest), 0..200).prop_map(|steps| {
            let (mut at, mut logged) = (1_000_000, 0);
            let entries = (1..).zip(steps).map(|(place, (step, late))| {
                at += step;
                logged = logged.max(at + late);
                Entry { at: Timestamp(at), place: EventCursor(place), logged: Timestamp(logged) }
            });
            entries.collect()
        })
    }

    proptest! {
        #[test]
        fn every_end_is_in_one_batch_and_in_its_order(log in logs(400)) {
            for batches in [in_one_go(&log), as_it_happens(&log)] {
                let reported: Vec<EventCursor> = batches.iter().flat_map(|batch| batch.ends.clone()).collect();
                prop_assert_eq!(reported, log.iter().map(|entry| entry.place).collect::<Vec<_>>());
            }
        }

        #[test]
        fn ends_lie_within_the_window_of_the_first_and_the_next_batch_does_not(log in logs(0)) {
            let at = |place: EventCursor| log.iter().find(|entry| entry.place == place).unwrap().at;
            let batches = in_one_go(&log);
            for batch in &batches {
                prop_assert!(batch.ends.iter().all(|end| at(*end).since(batch.since) < WINDOW));
                prop_assert!(batch.ends.len() <= MAX_BATCH);
            }
            for pair in batches.windows(2) {
                let is_full = pair[0].ends.len() == MAX_BATCH;
                prop_assert!(is_full || pair[1].since.since(pair[0].since) >= WINDOW);
            }
        }

        #[test]
        fn early_and_late_readers_get_the_same_batches(log in logs(0)) {
            prop_assert_eq!(in_one_go(&log), as_it_happens(&log));
        }

        #[test]
        fn a_reader_that_resumes_after_a_batch_gets_the_same_later_batches(log in logs(400), which: prop::sample::Index) {
            for (read, batches) in
                [(in_one_go as fn(&[Entry]) -> _, in_one_go(&log)), (as_it_happens, as_it_happens(&log))]
            {
                if batches.is_empty() {
                    continue;
                }
                let known = which.index(batches.len());
                let rest: Vec<Entry> =
                    log.iter().filter(|entry| entry.place > batches[known].last).copied().collect();
                prop_assert_eq!(read(&rest), batches[known + 1..].to_vec());
            }
        }
    }

    #[test]
    fn process_that_joins_within_the_window_counts_as_live() {
        let mut batcher = Batcher::new(WINDOW, MAX_BATCH);
        batcher.end(Timestamp(0), Timestamp(0), EventCursor(1), (), 0);
        batcher.added(Timestamp(249), 1);
        batcher.added(Timestamp(250), 2);
        assert_eq!(batcher.due(), Some(Timestamp(250)));
        assert_eq!(batcher.close().unwrap().live, 1);
        assert_eq!((batcher.close(), batcher.due()), (None, None));
    }
}
