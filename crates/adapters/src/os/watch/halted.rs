//! Handles a shim that cannot respond, because a signal has stopped it or its socket was removed.

use super::AttemptWatch;
use crate::os::pidfd;
use longhaul_shim::{Identity, ProcessStat};
use std::io;
use std::os::fd::OwnedFd;

const SIGKILL: i32 = 9;
const CONTINUE: i32 = 18;

impl AttemptWatch {
    /// Ensures that a stopped shim can respond to a request: continues the shim if a signal has stopped it. If the tree
    /// must be killed, kills the shim instead, because the tree can be killed without the shim.
    pub(super) fn wake_shim(&self, force: bool) {
        let Some((pid, fd)) = self.open_shim() else { return };
        // If the shim is stopped, another program has stopped it: a shim never stops itself, and signals for the tree
        // do not reach the shim.
        if ProcessStat::read(pid).is_some_and(|stat| stat.is_stopped()) {
            tracing::warn!(id = %self.key.id, pid, force, "found a supervisor that another program has \
                stopped with a signal");
            let signal = if force { SIGKILL } else { CONTINUE };
            if let Err(error) = pidfd::send(&fd, signal) {
                tracing::warn!(id = %self.key.id, pid, %error, "could not send a signal to a stopped \
                    supervisor");
            }
        }
    }

    /// Kills a live shim that cannot receive a stop request, because the tree can be stopped without the shim. Returns
    /// false if no stop is pending or if the shim cannot be identified with certainty.
    pub(super) fn ends_deaf_shim(&self, error: &io::Error) -> bool {
        let is_deaf = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if self.stop.is_none() || !is_deaf {
            return false;
        }
        let Some(identity) = self.recorded_identity() else { return false };
        let pid = identity.shim_pid;
        let Ok(Some(fd)) = pidfd::open(pid, identity.shim_start) else { return false };
        tracing::warn!(id = %self.key.id, pid, %error, "decided to kill a supervisor that cannot receive a \
            stop request");
        pidfd::send(&fd, SIGKILL).is_ok()
    }

    fn open_shim(&self) -> Option<(u32, OwnedFd)> {
        match (&self.identity, &self.shim) {
            (Some(identity), _) => {
                let fd = pidfd::open(identity.shim_pid, identity.shim_start).ok()??;
                Some((identity.shim_pid, fd))
            }
            // The pid of a child cannot have been reused, because the child was not yet reaped.
            (None, Some(shim)) => Some((shim.id(), pidfd::open_child(shim.id())?)),
            (None, None) => {
                let identity = self.recorded_identity()?;
                let fd = pidfd::open(identity.shim_pid, identity.shim_start).ok()??;
                Some((identity.shim_pid, fd))
            }
        }
    }

    /// Returns the identity in the attempt directory if it belongs to the current boot.
    pub(super) fn recorded_identity(&self) -> Option<Identity> {
        let directory = self.shared.attempts.attempt(self.key).ok()??;
        directory.identity().ok()?.filter(|identity| identity.boot_id == self.shared.options.boot_id)
    }
}
