//! Supervisors that somebody halts while their commands run.

use super::Watch;
use crate::os::examine::steady_ms;
use crate::os::{pidfd, translate};
use longhaul_shim::{ExitRecord, Identity, ProcessStat};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::unix::pipe::Receiver;

/// How often a supervisor is looked at that is no child of this program, so that the kernel does not report its halts.
const LOOK_MS: u64 = 1_000;

/// A supervisor that somebody halted.
#[derive(Debug)]
pub(super) struct Halted {
    /// Readable once the command has ended; none if that cannot be watched.
    command: Option<Arc<Receiver>>,
}

/// The end of a command while its supervisor was halted.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissedEnd {
    /// When it was noticed, in steady milliseconds.
    at: u64,
    /// The command was watched, so that it ended at that moment and not before.
    is_seen: bool,
}

impl Watch {
    /// Waits until the supervisor may have been halted, or may go on.
    pub(super) fn halt_news(&self) -> impl Future<Output = ()> + use<> {
        let is_reported = self.shim.is_some() && self.shared.options.adopt_orphans;
        let mut halts = self.halts.clone();
        // All are looked at in the same millisecond, so that the program wakes up once.
        let pause = LOOK_MS.saturating_sub(steady_ms(&self.shared.options) % LOOK_MS);
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
        self.halts.mark_unchanged();
        if self.is_over() || self.sweep.is_some() {
            return;
        }
        let Some(identity) = self.identity().cloned().or_else(|| self.recorded_identity()) else { return };
        let stat = ProcessStat::read(identity.shim_pid).filter(|stat| stat.start_time == identity.shim_start);
        let is_halted = stat.is_some_and(|stat| stat.is_stopped());
        if is_halted && pidfd::has_ended(identity.pid, identity.start_time) {
            let is_seen = self.halted.as_ref().is_some_and(|halted| halted.command.is_some());
            let at = steady_ms(&self.shared.options);
            self.missed.get_or_insert(MissedEnd { at, is_seen });
            self.halted = Some(Halted { command: None });
            return self.rouse_shim(false);
        }
        if is_halted && self.starting.is_some() {
            return self.rouse_shim(false);
        }
        if is_halted != self.halted.is_some() {
            self.halted = is_halted.then(|| Halted { command: self.watched_command(&identity) });
            let now = steady_ms(&self.shared.options);
            self.tell(&translate::supervisor_stopped(self.key, is_halted, now));
        }
    }

    /// Dates the end of a command by what was seen of it here: a halted supervisor sees it only when it goes on.
    pub(super) fn dated(&self, record: &ExitRecord) -> ExitRecord {
        let mut record = record.clone();
        if let Some(MissedEnd { at, is_seen }) = self.missed {
            let late = record.ended_at.saturating_sub(at);
            record.ended_at = record.ended_at.saturating_sub(late);
            record.run_ms = record.run_ms.saturating_sub(late);
            record.undated = !is_seen;
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
