//! Which ends belong together: a pure function of the log.

use longhaul_domain::Timestamp;
use longhaul_engine::ports::EventCursor;
use std::time::Duration;

/// Puts ends together that lie within a window of the first of them, by the times at which they happened.
///
/// It depends on the log alone which ends belong together, however late or in how many turns it is read; the time of the
/// reader says only when nobody is waited for any longer. A reader that goes on behind the last end of a batch gets the
/// same batches from there.
#[derive(Debug)]
pub(crate) struct Batcher<T> {
    window: Duration,
    most: usize,
    open: Option<OpenBatch<T>>,
}

/// Ends that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CompletionBatch<T> {
    /// When the first of them happened.
    pub(crate) since: Timestamp,
    /// The place of the first of them.
    pub(crate) first: EventCursor,
    /// The place of the last of them.
    pub(crate) last: EventCursor,
    pub(crate) ends: Vec<T>,
    /// How many went on, at the end of the window.
    pub(crate) live: usize,
}

#[derive(Debug)]
struct OpenBatch<T> {
    batch: CompletionBatch<T>,
    /// When the reader heard of the first.
    heard: Timestamp,
}

impl<T> Batcher<T> {
    /// Batches of at most `most` ends.
    pub(crate) const fn new(window: Duration, most: usize) -> Self {
        Self { window, most, open: None }
    }

    /// Takes in an end after which `live` go on, and gives the batch before if this one does not belong to it.
    pub(crate) fn end(
        &mut self,
        now: Timestamp,
        at: Timestamp,
        place: EventCursor,
        end: T,
        live: usize,
    ) -> Option<CompletionBatch<T>> {
        let fits = self.holds(at) && self.open.as_ref().is_some_and(|open| open.batch.ends.len() < self.most);
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

    /// Takes in that so many live since `at`, because one was added.
    pub(crate) fn added(&mut self, at: Timestamp, live: usize) {
        if self.holds(at)
            && let Some(open) = &mut self.open
        {
            open.batch.live = live;
        }
    }

    /// When nobody is waited for any longer; none if there is nothing to give.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        // What happened while nobody read is heard of all at once.
        self.open.as_ref().map(|open| open.heard.max(open.batch.since).plus(self.window))
    }

    /// The place of the first end that was not given yet.
    pub(crate) fn waiting_since(&self) -> Option<EventCursor> {
        self.open.as_ref().map(|open| open.batch.first)
    }

    /// Gives what there is.
    pub(crate) fn close(&mut self) -> Option<CompletionBatch<T>> {
        self.open.take().map(|open| open.batch)
    }

    /// Whether a moment lies in the window that is open.
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

    /// An end: when it happened, and how much later it stood in the log.
    #[derive(Clone, Copy, Debug)]
    struct Entry {
        at: Timestamp,
        place: EventCursor,
        logged: Timestamp,
    }

    /// Reads the log without ever reaching its end.
    fn in_one_go(log: &[Entry]) -> Vec<CompletionBatch<EventCursor>> {
        let mut batcher = Batcher::new(WINDOW, MAX_BATCH);
        let mut batches = Vec::new();
        for entry in log {
            batches.extend(batcher.end(Timestamp(9_000_000), entry.at, entry.place, entry.place, 0));
        }
        batches.extend(batcher.close());
        batches
    }

    /// Reads the log as it is written.
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
                let told: Vec<EventCursor> = batches.iter().flat_map(|batch| batch.ends.clone()).collect();
                prop_assert_eq!(told, log.iter().map(|entry| entry.place).collect::<Vec<_>>());
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
        fn whoever_reads_along_and_whoever_comes_late_get_the_same(log in logs(0)) {
            prop_assert_eq!(in_one_go(&log), as_it_happens(&log));
        }

        #[test]
        fn whoever_goes_on_behind_a_batch_gets_the_same_from_there(log in logs(400), which: prop::sample::Index) {
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
    fn who_joins_within_the_window_counts_as_live() {
        let mut batcher = Batcher::new(WINDOW, MAX_BATCH);
        batcher.end(Timestamp(0), Timestamp(0), EventCursor(1), (), 0);
        batcher.added(Timestamp(249), 1);
        batcher.added(Timestamp(250), 2);
        assert_eq!(batcher.due(), Some(Timestamp(250)));
        assert_eq!(batcher.close().unwrap().live, 1);
        assert_eq!((batcher.close(), batcher.due()), (None, None));
    }
}
