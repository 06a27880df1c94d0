//! Attempts to reconnect to the manager.

use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Time limit for reconnecting to a manager after the connection was lost.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Delay between two attempts to reconnect.
const STEP: Duration = Duration::from_millis(100);

/// The attempts to reconnect since the connection to the manager was lost.
#[derive(Debug)]
pub(crate) struct Reconnection {
    lost_since: Option<Instant>,
}

impl Reconnection {
    /// Returns the initial state, in which the connection is not lost.
    pub(crate) const fn none() -> Self {
        Self { lost_since: None }
    }

    /// Returns true if the connection is lost.
    pub(crate) const fn has_begun(&self) -> bool {
        self.lost_since.is_some()
    }

    /// Ends the attempts, because the manager has answered.
    pub(crate) const fn end(&mut self) {
        self.lost_since = None;
    }

    /// Waits for a short time before the next attempt to reconnect. Returns `failure` if the time limit has passed.
    pub(crate) async fn survive<E>(&mut self, failure: E) -> Result<(), E> {
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() > RECONNECT_TIMEOUT {
            return Err(failure);
        }
        sleep(STEP).await;
        Ok(())
    }
}
