//! Callbacks: subscribers that are called, each on a thread of its own.

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

/// So many events are held for a callback that is at work.
const CAPACITY: usize = 1024;

/// A registered callback; dropping it ends it, and a call under way is not waited for.
#[derive(Debug)]
#[must_use = "dropping it ends the callback"]
pub struct CallbackGuard {
    dropped: Arc<AtomicBool>,
    follower: AbortHandle,
    listening: watch::Receiver<bool>,
}

impl Engine {
    /// Calls a function with everything that becomes true from now on, on a thread of its own.
    ///
    /// One that panics is called no more. One that falls so far behind that events are lost is told with
    /// [`SubscriptionItem::Resync`], and is called no more. Neither a commit nor the end of the engine waits for one.
    pub fn on_event(&self, callback: impl FnMut(&SubscriptionItem) + Send + 'static) -> CallbackGuard {
        let dropped = Arc::new(AtomicBool::new(false));
        let (follower, subscription) = self.follower(CAPACITY);
        let gone = dropped.clone();
        let named = thread::Builder::new().name("longhaul-callback".to_owned());
        if let Err(error) = named.spawn(move || call(subscription, &gone, callback)) {
            tracing::error!(%error, "there is no thread for a callback: it is never called");
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
    /// Returns when everything that becomes true from here on will be told; at once if it is.
    pub async fn listening(&mut self) {
        // Without a sender it has ended, and nothing will be told.
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
    /// The place after the newest event, as soon as it can be told; none if the subscriber went away before.
    async fn end_of_log(&self) -> Option<EventCursor> {
        let mut wait = MIN_RETRY_DELAY;
        loop {
            match self.store.end().await {
                Ok(end) => return Some(end),
                Err(_) if *self.over.borrow() || self.sender.is_closed() => return None,
                Err(error) => {
                    self.wait_out(&error, wait).await;
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
            tracing::error!(what = message(&*panic), "a callback panicked: it is called no more");
            return;
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
