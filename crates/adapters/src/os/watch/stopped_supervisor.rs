//! Supervisors that somebody halts while their commands run.

use super::AttemptWatch;
use crate::os::examine::steady_ms;
use crate::os::{pidfd, translate};
use longhaul_shim::{ExitRecord, Identity, ProcessStat};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// How often a supervisor is looked at that is no child of this program, so that the kernel does not report its halts.
const SUPERVISOR_POLL_INTERVAL_MS: u64 = 1_000;
/// How often a command is looked at whose supervisor is halted or gone.
const COMMAND_POLL_INTERVAL_MS: u64 = 250;

/// A supervisor that somebody halted.
#[derive(Debug)]
pub(super) struct StoppedSupervisor {
    /// Readable once the command has ended; none if that cannot be watched.
    command: Option<Arc<Receiver>>,
    last_look: LastInspection,
}

/// The end of a command while its supervisor was halted.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissedExit {
    /// When it was noticed, in steady milliseconds.
    at: u64,
    /// Nobody watched the command at the moment of its end.
    undated: bool,
}

/// The last look at a command that no supervisor watches. A command that has ended since then ended at an unknown moment if
/// that look is long ago, for example because somebody stopped the whole manager.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastInspection(u64);

impl LastInspection {
    /// How often such a command is looked at.
    pub(crate) const INTERVAL: Duration = Duration::from_millis(COMMAND_POLL_INTERVAL_MS);

    /// Looks now, in steady milliseconds.
    pub(crate) const fn at(now: u64) -> Self {
        Self(now)
    }

    /// Whether this look is so long ago that an end which is noticed now may have been long before.
    pub(crate) const fn is_long_before(self, now: u64) -> bool {
        now.saturating_sub(self.0) > 2 * COMMAND_POLL_INTERVAL_MS
    }
}

impl AttemptWatch {
    /// Waits until the supervisor may have been halted, or may go on.
    pub(super) fn halt_news(&self) -> impl Future<Output = ()> + use<> {
        let is_reported = self.shim.is_some() && self.shared.options.adopt_orphans;
        let mut halts = self.stopped_supervisor.clone();
        let interval =
            if self.halted.is_some() { COMMAND_POLL_INTERVAL_MS } else { SUPERVISOR_POLL_INTERVAL_MS };
        // All are looked at in the same millisecond, so that the program wakes up once.
        let pause = interval.saturating_sub(steady_ms(&self.shared.options) % interval);
        let is_reported = is_reported && self.halted.is_none();
        async move {
            if !is_reported || halts.changed().await.is_err() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }

    /// Waits until a command has ended whose supervisor is halted; for ever while it is not.
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

    /// Looks whether somebody has halted the supervisor or let it go on, and tells that of a running command. It is let go
    /// on if its command has ended or is not known to run, since nobody else tells of that.
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

    /// Dates the end of a command by what was seen of it here: a halted supervisor sees it only when it goes on.
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
