//! Groups of subscribers that are woken together.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// Maximum number of subscribers that are woken in one step.
pub(super) const MAX_WAKEUPS: usize = 32;

/// A group of up to [`MAX_WAKEUPS`] subscribers.
#[derive(Debug)]
pub(super) struct WakerGroup {
    seats: AtomicUsize,
    waiting: AtomicUsize,
    notifier: watch::Sender<()>,
}

/// A subscriber that is waiting or is about to wait.
pub(super) struct WaitingSubscriber<'a> {
    bench: &'a WakerGroup,
    notifier: watch::Receiver<()>,
}

impl WakerGroup {
    pub(super) fn new() -> Self {
        Self { seats: AtomicUsize::new(0), waiting: AtomicUsize::new(0), notifier: watch::Sender::new(()) }
    }

    /// Registers a subscriber in this group. Returns false if the group is full. Calls must not run concurrently.
    pub(super) fn register_subscriber(&self) -> bool {
        let has_room = self.seats.load(Ordering::SeqCst) < MAX_WAKEUPS;
        if has_room {
            self.seats.fetch_add(1, Ordering::SeqCst);
        }
        has_room
    }

    pub(super) fn leave(&self) {
        self.seats.fetch_sub(1, Ordering::SeqCst);
    }

    /// Registers the caller for notifications that are sent from now on.
    pub(super) fn wait(&self) -> WaitingSubscriber<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        WaitingSubscriber { bench: self, notifier: self.notifier.subscribe() }
    }

    /// Returns the number of waiting subscribers.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn ring(&self) {
        self.notifier.send_replace(());
    }
}

impl WaitingSubscriber<'_> {
    pub(super) async fn woken(mut self) {
        // An error would mean that the sender was dropped. This cannot happen, because the group owns the sender.
        let _ = self.notifier.changed().await;
    }
}

impl Drop for WaitingSubscriber<'_> {
    fn drop(&mut self) {
        self.bench.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
