//! Callbacks for events. Each callback is called on its own thread.

use super::{LogFollower, MAX_RETRY_DELAY, MIN_RETRY_DELAY, Subscription, SubscriptionItem};
use crate::engine::Engine;
use longhaul_ports::EventCursor;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Maximum number of events that are buffered while a callback is busy.
const CAPACITY: usize = 1024;

/// A registered callback. Dropping it ends the callback without waiting for a call in progress.
#[derive(Debug)]
#[must_use = "dropping it ends the callback"]
pub struct CallbackGuard {
    dropped: Arc<AtomicBool>,
    follower: AbortHandle,
    listening: watch::Receiver<bool>,
}

impl Engine {
    /// Calls a function with every future event, on a separate thread.
    ///
    /// A callback that panics is not called again. A callback that is too slow receives [`SubscriptionItem::Resync`]
    /// and is not called again. Neither commits nor the shutdown of the engine wait for callbacks.
    pub fn on_event(&self, callback: impl FnMut(&SubscriptionItem) + Send + 'static) -> CallbackGuard {
        let dropped = Arc::new(AtomicBool::new(false));
        let (follower, subscription) = self.follower(CAPACITY);
        let gone = dropped.clone();
        let named = thread::Builder::new().name("longhaul-callback".to_owned());
        if let Err(error) = named.spawn(move || call(subscription, &gone, callback)) {
            tracing::error!(%error, "could not create a thread for a callback, so it is never called");
        }
        let (heard, listening) = watch::channel(false);
        let following = self.core.listeners.runtime.spawn(async move {
            if let Some(end) = follower.end_of_log().await {
                heard.send_replace(true);
                follower.follow(end).await;
            }
        });
        CallbackGuard { dropped, follower: following.abort_handle(), listening }
    }
}

impl CallbackGuard {
    /// Waits until the callback is active. Every later event will be delivered to it.
    pub async fn listening(&mut self) {
        // An error means that the sender was dropped: the callback has ended and receives nothing.
        let _ = self.listening.wait_for(|listening| *listening).await;
    }
}

impl Drop for CallbackGuard {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
        self.follower.abort();
    }
}

impl LogFollower {
    /// Returns the cursor of the newest event. Retries if the store cannot be read. Returns `None` if the subscriber or
    /// the engine ends before that.
    async fn end_of_log(&self) -> Option<EventCursor> {
        let mut wait = MIN_RETRY_DELAY;
        loop {
            match self.store.end().await {
                Ok(end) => return Some(end),
                Err(_) if *self.over.borrow() || self.sender.is_closed() => return None,
                Err(error) => {
                    self.wait_after(&error, wait).await;
                    wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY);
                }
            }
        }
    }
}

fn call(mut subscription: Subscription, dropped: &AtomicBool, mut callback: impl FnMut(&SubscriptionItem)) {
    while let Some(notice) = subscription.next_blocking() {
        if dropped.load(Ordering::SeqCst) {
            return;
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| callback(&notice))) {
            tracing::error!(what = message(&*panic), "a callback panicked and is not called again");
            return;
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_of_a_panic_is_found_in_both_its_forms() {
        assert_eq!(message(&"plain"), "plain");
        assert_eq!(message(&"formatted".to_owned()), "formatted");
        assert_eq!(message(&7), "no message");
    }
}
