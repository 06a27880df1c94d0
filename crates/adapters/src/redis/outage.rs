//! Whether the server is known to be away.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that takes no connection and answers nobody for so long is away.
pub(super) const ABSENT: Duration = Duration::from_millis(800);

/// How long nobody has had an answer.
#[derive(Debug, Default)]
pub(super) struct OutageDetector {
    since: Mutex<Option<Instant>>,
}

impl OutageDetector {
    /// Somebody asked and had no answer.
    pub(super) fn goes_on(&self) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// Somebody had an answer.
    pub(super) fn is_over(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether it lasts so long that nobody need wait to find out.
    pub(super) fn is_known(&self) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= ABSENT)
    }
}
