//! A socket in the state directory that is restored if it disappears.

use crate::state_dir_guard::{Inode, POLL_INTERVAL, StateDirGuard};
use longhaul_client::StateDir;
use longhaul_failpoint::failpoint;
use rustix::fs::AtFlags;
use std::io;
use tokio::net::UnixListener;

/// A socket of the manager. If something (such as a cleanup tool) removes the socket, the manager binds it again.
/// Without the socket, no client could reach the manager. No other manager could start either, because this manager
/// holds the lock.
#[derive(Debug)]
pub(super) struct Socket {
    name: &'static str,
    bound: Inode,
    /// True if a warning was already logged that the socket cannot be bound again.
    is_told: bool,
}

impl Socket {
    /// Binds the socket. The caller must hold the lock on the state directory.
    pub(super) fn bind(
        state: &StateDir,
        guard: &StateDirGuard,
        name: &'static str,
    ) -> io::Result<(Self, UnixListener)> {
        let (bound, listener) = listen(state, guard, name)?;
        Ok((Self { name, bound, is_told: false }, listener))
    }

    /// Waits until the socket has been removed or replaced, then binds it again.
    ///
    /// The socket is inspected each time the state directory guard inspects its paths.
    ///
    /// # Cancel safety
    /// Dropping the call loses nothing.
    pub(super) async fn bound_again(&mut self, state: &StateDir, guard: &StateDirGuard) -> UnixListener {
        let mut looks = guard.check_signal();
        while place(state, self.name).is_ok_and(|found| found == self.bound) {
            // The sender exists as long as the state directory guard, so this call cannot fail.
            let _ = looks.changed().await;
        }
        loop {
            match listen(state, guard, self.name) {
                Ok((bound, listener)) => {
                    tracing::warn!(
                        name = self.name,
                        "the socket was removed or replaced; the manager bound the \
                     socket again"
                    );
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

fn listen(state: &StateDir, guard: &StateDirGuard, name: &str) -> io::Result<(Inode, UnixListener)> {
    failpoint!("app.socket")?;
    let listener = state.listen_at(name)?;
    guard.watch_path(&state.path().join(name));
    let bound = place(state, name)?;
    listener.set_nonblocking(true)?;
    Ok((bound, UnixListener::from_std(listener)?))
}

fn place(state: &StateDir, name: &str) -> io::Result<Inode> {
    Ok(Inode::of(rustix::fs::statat(state, name, AtFlags::SYMLINK_NOFOLLOW)?))
}
