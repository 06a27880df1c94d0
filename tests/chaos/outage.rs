//! The outages of managers and of the Redis server.

use std::time::{SystemTime, UNIX_EPOCH};

/// A time during which a manager or the Redis server was killed or stopped. It is in microseconds of the wall clock,
/// which all processes of the run share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: u64,
    /// The end of the outage; `None` if the outage is not over.
    pub(crate) until: Option<u64>,
}

impl Outage {
    pub(crate) fn begins() -> Self {
        Self { from: now(), until: None }
    }

    /// Returns true if the outage includes this time.
    pub(crate) fn covers(&self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at <= until)
    }
}

/// Records that the latest outage ends now.
pub(crate) fn ends(outages: &mut [Outage]) {
    if let Some(last) = outages.last_mut() {
        last.until.get_or_insert_with(now);
    }
}

/// Returns the current wall-clock time in microseconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
