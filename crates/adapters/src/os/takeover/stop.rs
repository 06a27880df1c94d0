//! Stopping a tree without its shim: the same steps, sent from here.

use super::tree::Tree;
use super::{KILL, LONGEST_PAUSE};
use crate::os::translate;
use longhaul_ports::StopOrder;
use longhaul_shim::{StopPlan, StopReason, StopStep};
use std::time::Duration;
use tokio::time::Instant;

/// A stop under way.
#[derive(Debug)]
pub(super) struct Stopping {
    reason: StopReason,
    steps: std::vec::IntoIter<StopStep>,
    due: Instant,
    last: Option<i32>,
}

impl Stopping {
    /// Begins with the first step at once, or with KILL.
    pub(super) fn new(order: StopOrder, plan: &StopPlan) -> Self {
        let steps = if order.force { Vec::new() } else { plan.steps.clone() };
        Self {
            reason: translate::reason(order.cause),
            steps: steps.into_iter(),
            due: Instant::now(),
            last: None,
        }
    }

    /// Leaves out the steps before KILL.
    pub(super) fn force(&mut self) {
        if self.last != Some(KILL) {
            self.steps = Vec::new().into_iter();
            self.due = Instant::now();
        }
    }

    pub(super) const fn reason(&self) -> StopReason {
        self.reason
    }

    /// The last signal that was sent.
    pub(super) const fn last_signal(&self) -> Option<i32> {
        self.last
    }

    /// When the next step is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Sends what is due; KILL again and again, since something may have been born meanwhile.
    pub(super) async fn advance(&mut self, tree: &Tree) {
        if Instant::now() < self.due {
            return;
        }
        let (signal, wait) = match self.steps.next() {
            Some(step) => (step.signal, Duration::from_millis(step.wait_ms)),
            None => (KILL, LONGEST_PAUSE),
        };
        self.last = Some(signal);
        let now = Instant::now();
        self.due = now.checked_add(wait).unwrap_or(now);
        tree.signal(signal).await;
    }
}
