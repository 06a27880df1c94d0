//! What was done to whom, and when.

use std::time::{SystemTime, UNIX_EPOCH};

/// A time during which a manager or the server did nothing, in microseconds of the clock on the wall: all processes of
/// this machine share it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) from: u64,
    /// Until it was started or let go on; none while it still lasts.
    pub(crate) until: Option<u64>,
}

impl Outage {
    pub(crate) fn begins() -> Self {
        Self { from: now(), until: None }
    }

    /// Whether it lasts at a moment.
    pub(crate) fn covers(&self, at: u64) -> bool {
        self.from <= at && self.until.is_none_or(|until| at <= until)
    }
}

/// Ends the latest one.
pub(crate) fn ends(outages: &mut [Outage]) {
    if let Some(last) = outages.last_mut() {
        last.until.get_or_insert_with(now);
    }
}

/// The clock on the wall, in microseconds.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
