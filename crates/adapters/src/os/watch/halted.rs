//! A supervisor that carries out nothing, because somebody halted it or took its socket away.

use super::AttemptWatch;
use crate::os::pidfd;
use longhaul_shim::{Identity, ProcessStat};
use std::io;
use std::os::fd::OwnedFd;

const SIGKILL: i32 = 9;
const CONTINUE: i32 = 18;

impl AttemptWatch {
    /// Sees to it that an order is carried out: a supervisor that was halted goes on, and one that still is halted when the
    /// tree is to be killed is killed, since that can be done without it.
    pub(super) fn wake_shim(&self, force: bool) {
        let Some((pid, fd)) = self.open_shim() else { return };
        // It never halts by itself, and what was meant for the tree does not reach it.
        if ProcessStat::read(pid).is_some_and(|stat| stat.is_stopped()) {
            tracing::warn!(id = %self.key.id, pid, force, "its supervisor was halted by somebody");
            let signal = if force { SIGKILL } else { CONTINUE };
            if let Err(error) = pidfd::send(&fd, signal) {
                tracing::warn!(id = %self.key.id, pid, %error, "a halted supervisor cannot be roused");
            }
        }
    }

    /// Kills a supervisor that lives and can be told of no stop, since the tree can be ended without it; false if there
    /// is nothing to stop, or nobody of whom it is proven.
    pub(super) fn ends_deaf_shim(&self, error: &io::Error) -> bool {
        let is_deaf = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if self.stop.is_none() || !is_deaf {
            return false;
        }
        let Some(identity) = self.recorded_identity() else { return false };
        let pid = identity.shim_pid;
        let Ok(Some(fd)) = pidfd::open(pid, identity.shim_start) else { return false };
        tracing::warn!(id = %self.key.id, pid, %error, "its supervisor cannot be told to stop it, and is killed");
        pidfd::send(&fd, SIGKILL).is_ok()
    }

    fn open_shim(&self) -> Option<(u32, OwnedFd)> {
        match (&self.identity, &self.shim) {
            (Some(identity), _) => {
                let fd = pidfd::open(identity.shim_pid, identity.shim_start).ok()??;
                Some((identity.shim_pid, fd))
            }
            // A child that was not waited for keeps its pid.
            (None, Some(shim)) => Some((shim.id(), pidfd::open_child(shim.id())?)),
            (None, None) => {
                let identity = self.recorded_identity()?;
                let fd = pidfd::open(identity.shim_pid, identity.shim_start).ok()??;
                Some((identity.shim_pid, fd))
            }
        }
    }

    /// Who runs it in this boot, as its directory says.
    pub(super) fn recorded_identity(&self) -> Option<Identity> {
        let directory = self.shared.attempts.attempt(self.key).ok()??;
        directory.identity().ok()?.filter(|identity| identity.boot_id == self.shared.options.boot_id)
    }
}
