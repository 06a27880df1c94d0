//! Notification of readers that wait for changes of a database.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Counts the commits of a database. Wakes waiting tasks in the order in which they began to wait, so that simulations
/// can be repeated exactly.
#[derive(Debug, Default)]
pub struct ChangeCounter {
    count: AtomicU64,
    changed: Notify,
}

impl ChangeCounter {
    /// Counts a change and wakes all waiting tasks. Each task checks whether the change concerns it.
    pub fn notify(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Returns the present count.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until the count differs from `seen`.
    pub async fn wait(&self, seen: u64) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.count() != seen {
                return;
            }
            changed.await;
        }
    }
}
