//! Listeners that are woken together.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// So many are woken at once.
pub(super) const MAX_WAKEUPS: usize = 32;

/// A few listeners.
#[derive(Debug)]
pub(super) struct WakerGroup {
    seats: AtomicUsize,
    waiting: AtomicUsize,
    bell: watch::Sender<()>,
}

/// One who waits, or is about to.
pub(super) struct WaitingSubscriber<'a> {
    bench: &'a WakerGroup,
    bell: watch::Receiver<()>,
}

impl WakerGroup {
    pub(super) fn new() -> Self {
        Self { seats: AtomicUsize::new(0), waiting: AtomicUsize::new(0), bell: watch::Sender::new(()) }
    }

    /// Takes a seat, if one is free. Only one asks at a time.
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

    /// Hears the bell from here on.
    pub(super) fn wait(&self) -> WaitingSubscriber<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        WaitingSubscriber { bench: self, bell: self.bell.subscribe() }
    }

    /// So many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }
}

impl WaitingSubscriber<'_> {
    pub(super) async fn woken(mut self) {
        // The bell lives as long as the bench.
        let _ = self.bell.changed().await;
    }
}

impl Drop for WaitingSubscriber<'_> {
    fn drop(&mut self) {
        self.bench.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
