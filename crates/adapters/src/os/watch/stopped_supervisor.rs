//! Detects shims that a signal has stopped while their commands are running.

use super::AttemptWatch;
use crate::os::examine::steady_ms;
use crate::os::{pidfd, translate};
use longhaul_shim::{ExitRecord, Identity, ProcessStat};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// Polling interval for a shim that is not a child of this program. The kernel reports only the stops of children.
const SUPERVISOR_POLL_INTERVAL_MS: u64 = 1_000;
/// Polling interval for a command whose shim is stopped or no longer running.
const COMMAND_POLL_INTERVAL_MS: u64 = 250;

/// A shim that a signal has stopped.
#[derive(Debug)]
pub(super) struct StoppedSupervisor {
    /// Descriptor that becomes readable when the command has ended; `None` if the command cannot be watched.
    command: Option<Arc<Receiver>>,
    last_look: LastInspection,
}

/// The end of a command that ended while a signal had stopped its shim.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissedExit {
    /// Time at which this program detected the end, in steady milliseconds.
    at: u64,
    /// True if the command was not being watched when it ended, so that the time of its end is unknown.
    undated: bool,
}

/// Time of the last inspection of a command that has no active shim. If much time passes between this inspection and
/// the detection of the end, for example because the whole manager was stopped, the time of the end is unknown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastInspection(u64);

impl LastInspection {
    /// Interval between inspections of a command that has no active shim.
    pub(crate) const INTERVAL: Duration = Duration::from_millis(COMMAND_POLL_INTERVAL_MS);

    /// Records an inspection at this time, in steady milliseconds.
    pub(crate) const fn at(now: u64) -> Self {
        Self(now)
    }

    /// Returns true if this inspection is so old that an end detected now may have occurred much earlier.
    pub(crate) const fn is_long_before(self, now: u64) -> bool {
        now.saturating_sub(self.0) > 2 * COMMAND_POLL_INTERVAL_MS
    }
}

impl AttemptWatch {
    /// Waits until it must be checked whether the shim was stopped or continued.
    pub(super) fn halt_news(&self) -> impl Future<Output = ()> + use<> {
        let is_reported = self.shim.is_some() && self.shared.options.adopt_orphans;
        let mut halts = self.stopped_supervisor.clone();
        let interval =
            if self.halted.is_some() { COMMAND_POLL_INTERVAL_MS } else { SUPERVISOR_POLL_INTERVAL_MS };
        // Align the polls of all watches to the same millisecond, so that this program wakes up only once.
        let pause = interval.saturating_sub(steady_ms(&self.shared.options) % interval);
        let is_reported = is_reported && self.halted.is_none();
        async move {
            if !is_reported || halts.changed().await.is_err() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    /// Waits until the command of a stopped shim has ended. Never completes if the shim is not stopped.
    pub(super) fn unseen_end(&self) -> impl Future<Output = ()> + use<> {
        let command = self.halted.as_ref().and_then(|halted| halted.command.clone());
        async move {
            let has_ended = match &command {
                Some(command) => command.readable().await.is_ok(),
                None => false,
            };
            if !has_ended {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Checks whether a signal has stopped or continued the shim, and reports a change if the command is running. If
    /// the command has ended or is not known to run, continues a stopped shim, because no other program would report
    /// the end.
    pub(super) fn look_at_shim(&mut self) {
        self.stopped_supervisor.mark_unchanged();
        if self.is_over() || self.cleanup.is_some() {
            return;
        }
        let Some(identity) = self.identity().cloned().or_else(|| self.recorded_identity()) else { return };
        let stat = ProcessStat::read(identity.shim_pid).filter(|stat| stat.start_time == identity.shim_start);
        let is_halted = stat.is_some_and(|stat| stat.is_stopped());
        if is_halted && pidfd::has_ended(identity.pid, identity.start_time) {
            let at = steady_ms(&self.shared.options);
            let last_look = self.halted.as_ref().map(|halted| halted.last_look);
            let undated = last_look.is_none_or(|look| look.is_long_before(at));
            self.missed.get_or_insert(MissedExit { at, undated });
            self.halted = Some(StoppedSupervisor { command: None, last_look: LastInspection::at(at) });
            return self.wake_shim(false);
        }
        if is_halted && self.starting.is_some() {
            return self.wake_shim(false);
        }
        let now = steady_ms(&self.shared.options);
        match &mut self.halted {
            Some(halted) if is_halted => halted.last_look = LastInspection::at(now),
            None if !is_halted => {}
            Some(_) | None => {
                let last_look = LastInspection::at(now);
                self.halted = is_halted
                    .then(|| StoppedSupervisor { command: self.watched_command(&identity), last_look });
                self.tell(&translate::supervisor_stopped(self.key, is_halted, now));
            }
        }
    }

    /// Corrects the time of the end: a stopped shim records the end only when it continues, but this watch may have
    /// detected it earlier.
    pub(super) fn dated(&self, record: &ExitRecord) -> ExitRecord {
        let mut record = record.clone();
        if let Some(MissedExit { at, undated }) = self.missed {
            let late = record.ended_at.saturating_sub(at);
            record.ended_at = record.ended_at.saturating_sub(late);
            record.run_ms = record.run_ms.saturating_sub(late);
            record.undated = undated;
        }
        record
    }

    fn watched_command(&self, identity: &Identity) -> Option<Arc<Receiver>> {
        let command = match &self.held.pidfd {
            Some(held) => pidfd::watch(held),
            None => pidfd::watch(pidfd::open(identity.pid, identity.start_time).ok()??),
        };
        command.ok().map(Arc::new)
    }
}
