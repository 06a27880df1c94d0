//! Signals that end a manager.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handlers of the signals TERM, INT and HUP.
#[derive(Debug)]
pub(super) struct ShutdownSignals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl ShutdownSignals {
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one of the signals.
    pub(super) async fn end(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "TERM",
            _ = self.interrupt.recv() => "INT",
            _ = self.hang_up.recv() => "HUP",
        };
        tracing::info!(signal = name, "the manager received a stop signal");
    }
}
