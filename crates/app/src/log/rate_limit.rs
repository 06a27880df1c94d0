//! Suppresses repeated warnings in the log.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Time after which an identical warning is logged again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(30);
/// Maximum number of different warnings that are remembered. Further warnings are not suppressed.
const MAX_WARNINGS: usize = 1_024;

/// A log format that suppresses repeated warnings. If warnings have identical text, only one is written every
/// [`REPEAT_INTERVAL`].
///
/// Without the suppression, the retries during a store outage (two per second) would fill the disk and hide other
/// messages.
#[derive(Debug)]
pub(super) struct RepeatFilter<F> {
    format: F,
    written: Mutex<HashMap<u64, Instant>>,
}

impl<F> RepeatFilter<F> {
    pub(super) fn of(format: F) -> Self {
        Self { format, written: Mutex::default() }
    }

    /// Returns true if a warning must be written now. In this case, also remembers the current time for the warning.
    fn is_due(&self, warning: u64, now: Instant) -> bool {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.get(&warning).is_some_and(|at| now.duration_since(*at) < REPEAT_INTERVAL) {
            return false;
        }
        if written.len() >= MAX_WARNINGS {
            written.retain(|_, at| now.duration_since(*at) < REPEAT_INTERVAL);
        }
        if written.len() < MAX_WARNINGS {
            written.insert(warning, now);
        }
        true
    }
}

impl<S, N, F> FormatEvent<S, N> for RepeatFilter<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if *event.metadata().level() == Level::WARN && !self.is_due(words_of(event), Instant::now()) {
            return Ok(());
        }
        self.format.format_event(context, writer, event)
    }
}

/// Returns a hash of the source location and all fields of an event.
fn words_of(event: &Event<'_>) -> u64 {
    let mut words = RepeatCounts(DefaultHasher::new());
    event.metadata().callsite().hash(&mut words.0);
    event.record(&mut words);
    words.0.finish()
}

struct RepeatCounts(DefaultHasher);

impl Visit for RepeatCounts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A field that cannot be formatted is left out of the hash.
        let _ = write!(self, "{}={value:?};", field.name());
    }
}

impl fmt::Write for RepeatCounts {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn warning_that_says_the_same_again_is_written_once() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .event_format(RepeatFilter::of(tracing_subscriber::fmt::format()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(log), || {
            for _ in 0..5 {
                for id in 1..=2 {
                    tracing::warn!(id, "it waits");
                }
                tracing::info!("it continues");
            }
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let count = |words: &str| text.matches(words).count();
        assert_eq!((count("it waits"), count("it continues"), text.lines().count()), (2, 5, 7), "{text}");
    }

    #[test]
    fn warning_is_written_again_after_a_while_and_few_are_remembered() {
        let sparing = RepeatFilter::of(());
        let begin = Instant::now();
        assert!(sparing.is_due(1, begin) && !sparing.is_due(1, begin + REPEAT_INTERVAL / 2));
        assert!(sparing.is_due(1, begin + REPEAT_INTERVAL));
        for warning in 0..5_000 {
            assert!(sparing.is_due(warning + 10, begin + REPEAT_INTERVAL), "{warning}");
        }
        assert!(sparing.written.lock().unwrap().len() <= MAX_WARNINGS);
    }
}
