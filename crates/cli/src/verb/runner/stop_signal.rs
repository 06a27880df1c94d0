use crate::failure::CliError;
use longhaul_wire::runner_plan::REMOTE_STOP_SIGNAL;
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// Maximum time between the sending of a signal and its delivery to this program.
const ARRIVAL_TIME: Duration = Duration::from_millis(20);

/// The request to stop: the first SIGTERM, SIGINT, SIGHUP or SIGURG. A process that follows a remote session is stopped
/// with SIGURG: the stop signal reaches the whole process tree, and SIGURG does not kill the tools in this tree.
pub(super) struct StopSignal {
    signals: [Signal; 4],
    is_requested: bool,
}

impl StopSignal {
    pub(super) fn new() -> Result<Self, CliError> {
        let listen = |kind| signal(kind);
        let failed = |source: io::Error| CliError::Unfinished {
            what: "the signals of the program cannot be handled".to_owned(),
            why: Some(source.to_string()),
            help: "check the limits on open files and processes".to_owned(),
        };
        let signals = [
            listen(SignalKind::terminate()).map_err(failed)?,
            listen(SignalKind::interrupt()).map_err(failed)?,
            listen(SignalKind::hangup()).map_err(failed)?,
            listen(SignalKind::from_raw(i32::from(REMOTE_STOP_SIGNAL))).map_err(failed)?,
        ];
        Ok(Self { signals, is_requested: false })
    }

    /// Records a stop request that arrived before this program could receive signals.
    pub(super) const fn request(&mut self) {
        self.is_requested = true;
    }

    /// Returns true if a stop was requested.
    pub(super) const fn is_requested(&self) -> bool {
        self.is_requested
    }

    /// Returns true if a stop was requested. First waits a moment for a signal that was sent just before this call.
    pub(super) async fn check(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.requested() => {}
            () = sleep(ARRIVAL_TIME) => {}
        }
        self.is_requested
    }

    /// Waits for the request. Returns immediately if a stop was requested earlier.
    pub(super) async fn requested(&mut self) {
        if !self.is_requested {
            let [term, interrupt, hangup, urgent] = &mut self.signals;
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
                _ = urgent.recv() => {}
            }
            self.is_requested = true;
        }
    }
}
