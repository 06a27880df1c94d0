//! A shim as a child of this program.

use crate::os::pidfd;
use crate::os::reaper::Reaper;
use std::process::Child;

/// A shim that this program started and has to wait for.
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

    /// Waits until it has ended, so that nothing of it is left. Safe to give up on and to call again.
    pub(super) async fn ended(&mut self, reaper: &Reaper) {
        while let Ok(None) = self.child.try_wait() {
            let waited = match pidfd::open_child(self.child.id()) {
                Some(fd) => pidfd::ended(fd).await,
                None => break,
            };
            if waited.is_err() {
                // Without a descriptor to spare, it is left to the next child that is waited for.
                break;
            }
        }
        reaper.release(self.child.id());
    }
}
