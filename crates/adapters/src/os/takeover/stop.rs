//! Stops a process tree that has no shim, with the same steps as a shim.

use super::tree::OrphanedTree;
use super::{MAX_RETRY_DELAY, SIGKILL};
use crate::os::translate;
use longhaul_ports::StopRequest;
use longhaul_shim::{StopPlan, StopReason, StopStep};
use std::time::Duration;
use tokio::time::Instant;

/// A stop of a process tree that is in progress.
#[derive(Debug)]
pub(super) struct TakeoverStop {
    reason: StopReason,
    steps: std::vec::IntoIter<StopStep>,
    due: Instant,
    last: Option<i32>,
}

impl TakeoverStop {
    /// Prepares a stop. The first step is due immediately. If `order.force` is set, `SIGKILL` is due immediately
    /// instead.
    pub(super) fn new(order: StopRequest, plan: &StopPlan) -> Self {
        let steps = if order.force { Vec::new() } else { plan.steps.clone() };
        Self {
            reason: translate::reason(order.cause),
            steps: steps.into_iter(),
            due: Instant::now(),
            last: None,
        }
    }

    /// Skips all steps of the stop before `SIGKILL`.
    pub(super) fn force(&mut self) {
        if self.last != Some(SIGKILL) {
            self.steps = Vec::new().into_iter();
            self.due = Instant::now();
        }
    }

    pub(super) const fn reason(&self) -> StopReason {
        self.reason
    }

    /// Returns the last signal that was sent.
    pub(super) const fn last_signal(&self) -> Option<i32> {
        self.last
    }

    /// Returns the time at which the next step is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Sends the signal of the step that is due. Sends `SIGKILL` repeatedly, because the tree may have forked new
    /// processes between two scans.
    pub(super) async fn advance(&mut self, tree: &OrphanedTree) {
        if Instant::now() < self.due {
            return;
        }
        let (signal, wait) = match self.steps.next() {
            Some(step) => (step.signal, Duration::from_millis(step.wait_ms)),
            None => (SIGKILL, MAX_RETRY_DELAY),
        };
        self.last = Some(signal);
        let now = Instant::now();
        self.due = now.checked_add(wait).unwrap_or(now);
        tree.signal(signal).await;
    }
}
