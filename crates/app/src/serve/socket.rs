//! A socket in a state directory, for as long as a manager serves it.

use crate::state_dir::StateDir;
use crate::state_dir_guard::{Inode, POLL_INTERVAL, StateDirGuard};
use longhaul_failpoint::failpoint;
use rustix::fs::AtFlags;
use std::io;
use tokio::net::UnixListener;

/// A socket that is bound again when something takes it away, such as one that tidies up: nobody could reach the
/// manager any more, nor begin another one in its place.
#[derive(Debug)]
pub(super) struct Socket {
    name: &'static str,
    bound: Inode,
    /// Whether the log says that it cannot be bound again.
    is_told: bool,
}

impl Socket {
    /// Binds it. Only for who holds the lock of the directory.
    pub(super) fn bind(
        state: &StateDir,
        foothold: &StateDirGuard,
        name: &'static str,
    ) -> io::Result<(Self, UnixListener)> {
        let (bound, listener) = listen(state, foothold, name)?;
        Ok((Self { name, bound, is_told: false }, listener))
    }

    /// Parks until it is not there any more, and binds it again. Nothing is lost if it is not waited for to the end.
    ///
    /// It is looked at whenever the foothold is: both wait for the same alarm.
    pub(super) async fn bound_again(&mut self, state: &StateDir, foothold: &StateDirGuard) -> UnixListener {
        let mut looks = foothold.looks();
        while place(state, self.name).is_ok_and(|found| found == self.bound) {
            // Who tells of looks is there as long as the foothold.
            let _ = looks.changed().await;
        }
        loop {
            match listen(state, foothold, self.name) {
                Ok((bound, listener)) => {
                    tracing::warn!(name = self.name, "the socket was removed or replaced: it is bound again");
                    (self.bound, self.is_told) = (bound, false);
                    return listener;
                }
                Err(error) if !self.is_told => {
                    tracing::warn!(%error, name = self.name, "the socket was removed and cannot be bound again");
                    self.is_told = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn listen(state: &StateDir, foothold: &StateDirGuard, name: &str) -> io::Result<(Inode, UnixListener)> {
    failpoint!("app.socket")?;
    let listener = state.listen_at(name)?;
    foothold.hear_of(&state.path().join(name));
    let bound = place(state, name)?;
    listener.set_nonblocking(true)?;
    Ok((bound, UnixListener::from_std(listener)?))
}

fn place(state: &StateDir, name: &str) -> io::Result<Inode> {
    Ok(Inode::of(rustix::fs::statat(state, name, AtFlags::SYMLINK_NOFOLLOW)?))
}
