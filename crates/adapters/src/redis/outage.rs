//! Detects an outage of the server.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time without any answer after which the server is considered unreachable.
pub(super) const ABSENT: Duration = Duration::from_millis(800);

/// Start of the current period in which every request has failed; `None` if the last request succeeded.
#[derive(Debug, Default)]
pub(super) struct OutageDetector {
    since: Mutex<Option<Instant>>,
}

impl OutageDetector {
    /// Records a failed request.
    pub(super) fn note_failure(&self) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    /// Records a successful request.
    pub(super) fn note_success(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns true if the outage has lasted so long that new requests need not wait before they fail.
    pub(super) fn is_known(&self) -> bool {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= ABSENT)
    }
}
