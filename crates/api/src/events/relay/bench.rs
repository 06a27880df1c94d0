//! Listeners that are woken together.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

/// So many are woken at once.
pub(super) const MOST: usize = 32;

/// A few listeners.
#[derive(Debug)]
pub(super) struct Bench {
    seats: AtomicUsize,
    waiting: AtomicUsize,
    bell: watch::Sender<()>,
}

/// One who waits, or is about to.
pub(super) struct Waiting<'a> {
    bench: &'a Bench,
    bell: watch::Receiver<()>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { seats: AtomicUsize::new(0), waiting: AtomicUsize::new(0), bell: watch::Sender::new(()) }
    }

    /// Takes a seat, if one is free. Only one asks at a time.
    pub(super) fn sit_down(&self) -> bool {
        let has_room = self.seats.load(Ordering::SeqCst) < MOST;
        if has_room {
            self.seats.fetch_add(1, Ordering::SeqCst);
        }
        has_room
    }

    pub(super) fn leave(&self) {
        self.seats.fetch_sub(1, Ordering::SeqCst);
    }

    /// Hears the bell from here on.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Waiting { bench: self, bell: self.bell.subscribe() }
    }

    /// So many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn ring(&self) {
        self.bell.send_replace(());
    }
}

impl Waiting<'_> {
    pub(super) async fn woken(mut self) {
        // The bell lives as long as the bench.
        let _ = self.bell.changed().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.bench.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}
