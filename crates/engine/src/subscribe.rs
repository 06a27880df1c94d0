//! Subscriptions to events, for programs that embed the engine.
//!
//! Each subscription reads the event log in a separate task, so a slow subscriber never delays a commit.

mod callback;
mod log;
mod process_callback;

use crate::engine::Engine;
use crate::error::EngineError;
pub use callback::CallbackGuard;
use longhaul_domain::Deadline;
use longhaul_ports::{Clock, EventCursor, EventPage, LoggedEvent, Store, StoreError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// Maximum number of events in one read of the log.
const PAGE: u32 = 256;
/// Time after which a subscription is cancelled if its channel remains full.
const FULL: Duration = Duration::from_secs(1);
/// Delay before the first retry of a failed read; each further delay is twice as long.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// Maximum delay between two retries of a failed read.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// An item that a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every notice is an event, and they are handed over one by one"
)]
pub enum SubscriptionItem {
    /// An event. The events of one process arrive in the order of their revisions and indexes.
    Event(LoggedEvent),
    /// The subscription has ended because the subscriber was too slow, or because the log no longer contains the next
    /// events. The subscriber must read the current records and then subscribe again.
    Resync {
        /// The cursor from which to subscribe again.
        from: EventCursor,
    },
}

/// A bounded stream of events. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    events: mpsc::Receiver<LoggedEvent>,
    disconnect: Arc<OnceLock<EventCursor>>,
    is_over: bool,
}

/// State that all subscriptions of an engine share.
#[derive(Debug)]
pub(crate) struct SubscriptionShared {
    over: watch::Sender<bool>,
    runtime: Handle,
}

impl Engine {
    /// Subscribes to the events after a cursor, or to all future events without one. At most `capacity` events are
    /// buffered. If the buffer is full for one second, the subscription ends with [`SubscriptionItem::Resync`].
    ///
    /// # Errors
    /// [`EngineError::Store`] if the log cannot be read.
    pub async fn subscribe(
        &self,
        from: Option<EventCursor>,
        capacity: usize,
    ) -> Result<Subscription, EngineError> {
        let end = self.core.parts.store.end().await?;
        let (follower, subscription) = self.follower(capacity);
        match from {
            // The cursor is from another log or from before a reset of the log, so no event would ever follow it.
            Some(from) if from > end => follower.disconnect(end),
            Some(from) => drop(self.core.listeners.runtime.spawn(follower.follow(from))),
            None => drop(self.core.listeners.runtime.spawn(follower.follow(end))),
        }
        Ok(subscription)
    }

    fn follower(&self, capacity: usize) -> (LogFollower, Subscription) {
        let (sender, events) = mpsc::channel(capacity.clamp(1, mpsc_limit()));
        let disconnect = Arc::new(OnceLock::new());
        let follower = LogFollower {
            store: self.core.parts.store.clone(),
            clock: self.core.parts.clock.clone(),
            over: self.core.listeners.over.subscribe(),
            sender,
            disconnect: disconnect.clone(),
        };
        (follower, Subscription { events, disconnect, is_over: false })
    }
}

/// Returns the maximum capacity that a tokio channel can have.
const fn mpsc_limit() -> usize {
    tokio::sync::Semaphore::MAX_PERMITS
}

impl Subscription {
    /// Waits for the next item. Returns `None` if the subscription has ended, because of a resync or because the engine
    /// has ended.
    pub async fn next(&mut self) -> Option<SubscriptionItem> {
        let event = self.events.recv().await;
        self.take_event(event)
    }

    /// Waits like [`next`](Self::next), for threads that may block.
    fn next_blocking(&mut self) -> Option<SubscriptionItem> {
        let event = self.events.blocking_recv();
        self.take_event(event)
    }

    fn take_event(&mut self, event: Option<LoggedEvent>) -> Option<SubscriptionItem> {
        if let Some(event) = event {
            return Some(SubscriptionItem::Event(event));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        self.disconnect.get().map(|from| SubscriptionItem::Resync { from: *from })
    }
}

impl SubscriptionShared {
    /// Creates the shared state. The current tokio runtime runs the tasks of the subscriptions.
    pub(crate) fn new() -> Self {
        Self { over: watch::Sender::new(false), runtime: Handle::current() }
    }

    /// Ends all subscriptions after delivering the events that are already committed.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }
}

/// Reads the event log for one subscriber.
struct LogFollower {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    over: watch::Receiver<bool>,
    sender: mpsc::Sender<LoggedEvent>,
    disconnect: Arc<OnceLock<EventCursor>>,
}

impl LogFollower {
    fn disconnect(&self, from: EventCursor) {
        // Setting the value cannot fail, because this line is executed only once and no other code sets the value.
        let _ = self.disconnect.set(from);
    }

    async fn follow(mut self, mut after: EventCursor) {
        let mut wait = MIN_RETRY_DELAY;
        loop {
            let is_over = *self.over.borrow_and_update();
            let page = tokio::select! {
                page = self.store.read(Some(after), PAGE, !is_over) => page,
                changed = self.over.changed(), if !is_over => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                () = self.sender.closed() => return,
            };
            match page {
                Ok(page) if page.events.is_empty() && is_over => return,
                Ok(page) => match self.send_page(after, page).await {
                    Some(place) => (after, wait) = (place, MIN_RETRY_DELAY),
                    None => return,
                },
                Err(_) if is_over => return,
                Err(error) => {
                    self.wait_after(&error, wait).await;
                    wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY);
                }
            }
        }
    }

    /// Sends the events of a page to the subscriber. Returns `None` if the subscriber was dropped or its subscription
    /// was ended.
    async fn send_page(&self, mut after: EventCursor, page: EventPage) -> Option<EventCursor> {
        if let Some(first) = page.events.first().filter(|_| page.gap) {
            self.disconnect(EventCursor(first.cursor.0.saturating_sub(1)));
            return None;
        }
        for event in page.events {
            let place = event.cursor;
            if !self.send_event(event).await {
                self.disconnect(after);
                return None;
            }
            after = place;
        }
        Some(after)
    }

    async fn send_event(&self, event: LoggedEvent) -> bool {
        let event = match self.sender.try_send(event) {
            Ok(()) => return true,
            Err(mpsc::error::TrySendError::Closed(_)) => return false,
            Err(mpsc::error::TrySendError::Full(event)) => event,
        };
        let until = self.clock.awake().plus(FULL);
        tokio::select! {
            sent = self.sender.send(event) => sent.is_ok(),
            () = self.clock.sleep_until(Deadline::Awake(until)) => false,
        }
    }

    async fn wait_after(&self, error: &StoreError, wait: Duration) {
        // Only the first retry is logged, so that waiting subscribers do not fill the log.
        if wait == MIN_RETRY_DELAY {
            tracing::warn!(%error, "a subscription could not read the event log; retrying");
        }
        let until = self.clock.awake().plus(wait);
        let mut over = self.over.clone();
        tokio::select! {
            () = self.clock.sleep_until(Deadline::Awake(until)) => {}
            _ = over.wait_for(|over| *over) => {}
            () = self.sender.closed() => {}
        }
    }
}
