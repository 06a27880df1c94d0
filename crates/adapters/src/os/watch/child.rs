//! A shim as a child process of this program.

use crate::os::pidfd;
use crate::os::reaper::Reaper;
use std::process::Child;

/// A shim that this program started and must reap.
#[derive(Debug)]
pub(super) struct ShimChild {
    child: Child,
}

impl ShimChild {
    pub(super) const fn new(child: Child) -> Self {
        Self { child }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the shim has ended, and reaps it.
    ///
    /// # Cancel safety
    /// Cancel safe: can be called again.
    pub(super) async fn ended(&mut self, reaper: &Reaper) {
        while let Ok(None) = self.child.try_wait() {
            let waited = match pidfd::open_child(self.child.id()) {
                Some(fd) => pidfd::ended(fd).await,
                None => break,
            };
            if waited.is_err() {
                // No file descriptor is available. The shim is reaped together with the next child.
                break;
            }
        }
        reaper.release(self.child.id());
    }
}
