//! Subscriptions: programs that embed the engine follow what becomes true.
//!
//! Each follows the event log of the store in a task of its own, which reads behind the commits: whatever a subscriber
//! does, no commit waits for it.

mod callback;
mod log;

use crate::engine::Engine;
use crate::error::EngineError;
pub use callback::CallbackGuard;
use longhaul_domain::Deadline;
use longhaul_ports::{Clock, EventCursor, EventPage, LoggedEvent, Store, StoreError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// The most events that one look at the log takes.
const PAGE: u32 = 256;
/// A channel that stays full for so long is cut off.
const FULL: Duration = Duration::from_secs(1);
/// The first wait before a log that could not be read is read again; it doubles.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every notice is an event, and they are handed over one by one"
)]
pub enum SubscriptionItem {
    /// Something became true. The events of one process come in the order of their revisions and indexes.
    Event(LoggedEvent),
    /// The subscription is over because the subscriber fell behind, or because the log no longer keeps what comes next:
    /// take stock anew, then subscribe from here.
    Resync {
        /// The place after the last event that need not be told again.
        from: EventCursor,
    },
}

/// A bounded stream of notices; dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    events: mpsc::Receiver<LoggedEvent>,
    cut_off: Arc<OnceLock<EventCursor>>,
    is_over: bool,
}

/// What the subscriptions of an engine share.
#[derive(Debug)]
pub(crate) struct SubscriptionShared {
    over: watch::Sender<bool>,
    runtime: Handle,
}

impl Engine {
    /// Follows what becomes true from a place in the log on, or from now on. At most `capacity` events are held for a
    /// subscriber that does not take them; when there is no room for a second, it is cut off with [`SubscriptionItem::Resync`].
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
            // Another log, or one that was started anew: nothing would ever come after that place.
            Some(from) if from > end => follower.cut_off(end),
            Some(from) => drop(self.core.listeners.runtime.spawn(follower.follow(from))),
            None => drop(self.core.listeners.runtime.spawn(follower.follow(end))),
        }
        Ok(subscription)
    }

    fn follower(&self, capacity: usize) -> (LogFollower, Subscription) {
        let (sender, events) = mpsc::channel(capacity.clamp(1, mpsc_limit()));
        let cut_off = Arc::new(OnceLock::new());
        let follower = LogFollower {
            store: self.core.parts.store.clone(),
            clock: self.core.parts.clock.clone(),
            over: self.core.listeners.over.subscribe(),
            sender,
            cut_off: cut_off.clone(),
        };
        (follower, Subscription { events, cut_off, is_over: false })
    }
}

/// More cannot be asked of a channel.
const fn mpsc_limit() -> usize {
    tokio::sync::Semaphore::MAX_PERMITS
}

impl Subscription {
    /// Parks until there is a notice; none when the subscription is over: after a resync, and when the engine has ended.
    pub async fn next(&mut self) -> Option<SubscriptionItem> {
        let event = self.events.recv().await;
        self.told(event)
    }

    /// The same on a thread that may block.
    fn next_blocking(&mut self) -> Option<SubscriptionItem> {
        let event = self.events.blocking_recv();
        self.told(event)
    }

    fn told(&mut self, event: Option<LoggedEvent>) -> Option<SubscriptionItem> {
        if let Some(event) = event {
            return Some(SubscriptionItem::Event(event));
        }
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        self.cut_off.get().map(|from| SubscriptionItem::Resync { from: *from })
    }
}

impl SubscriptionShared {
    /// For subscriptions that are served by the runtime of the caller.
    pub(crate) fn new() -> Self {
        Self { over: watch::Sender::new(false), runtime: Handle::current() }
    }

    /// The engine has ended: what was committed is still told, then every subscription is over.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }
}

/// Follows the log for one subscriber.
struct LogFollower {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    over: watch::Receiver<bool>,
    sender: mpsc::Sender<LoggedEvent>,
    cut_off: Arc<OnceLock<EventCursor>>,
}

impl LogFollower {
    fn cut_off(&self, from: EventCursor) {
        // Nobody else sets it.
        let _ = self.cut_off.set(from);
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
                Ok(page) => match self.pass_on(after, page).await {
                    Some(place) => (after, wait) = (place, MIN_RETRY_DELAY),
                    None => return,
                },
                Err(_) if is_over => return,
                Err(error) => {
                    self.wait_out(&error, wait).await;
                    wait = wait.saturating_mul(2).min(MAX_RETRY_DELAY);
                }
            }
        }
    }

    /// Hands on a page; none if the subscriber is gone or was cut off.
    async fn pass_on(&self, mut after: EventCursor, page: EventPage) -> Option<EventCursor> {
        if let Some(first) = page.events.first().filter(|_| page.gap) {
            self.cut_off(EventCursor(first.cursor.0.saturating_sub(1)));
            return None;
        }
        for event in page.events {
            let place = event.cursor;
            if !self.hand_over(event).await {
                self.cut_off(after);
                return None;
            }
            after = place;
        }
        Some(after)
    }

    async fn hand_over(&self, event: LoggedEvent) -> bool {
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

    async fn wait_out(&self, error: &StoreError, wait: Duration) {
        // Once is enough: each that waits would fill the log of a manager otherwise.
        if wait == MIN_RETRY_DELAY {
            tracing::warn!(%error, "a subscriber waits until the log can be read");
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
