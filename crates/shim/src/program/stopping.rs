//! Stops a whole process tree: sends the signals of the stop plan, then SIGKILL, until the tree is proven empty.

use std::{collections::BTreeSet, time::Duration};

use longhaul_failpoint::crashpoint;

use super::{
    hold,
    sys::{self, ReapResult},
    tree::{ProcessStart, ProcessTree},
};
use crate::{containment::Containment, plan::StopPlan, reason::StopReason};

const MAX_PASSES: u32 = 400;
const BUDGET_MS: u64 = 20;
const MIN_POLL_INTERVAL_MS: u64 = 1;
const MAX_POLL_INTERVAL_MS: u64 = 100;
const SURVIVORS_AFTER_MS: u64 = 2_000;
const POLL_INTERVAL_MS: u64 = 50;
const MAX_COUNTED: usize = 10_000;

/// Stop of a process tree, in progress or complete.
pub(super) struct TreeStop {
    /// Reason for the stop; `None` if the shim stops leftovers without a request.
    pub(super) reason: Option<StopReason>,
    /// Number of the last signal that was sent to the tree.
    pub(super) escalated: Option<i32>,
    swept: BTreeSet<ProcessStart>,
    step: TreeStopStep,
}

enum TreeStopStep {
    /// The signals of the stop plan are being sent. `due` is the time of the next signal in milliseconds of awake time.
    Asking { plan: StopPlan, next: usize, due: u64 },
    /// The shim kills all processes repeatedly. `told` is true if the shim has reported that some processes survive.
    Killing { since: u64, due: u64, pause: u64, told: bool },
    /// No process of the tree is alive.
    Empty,
}

/// Result of one step of a stop.
pub(super) enum StopProgress {
    Same,
    Emptied,
    /// Some processes are still alive although they were sent SIGKILL a while ago.
    Survivors,
}

impl TreeStop {
    /// Creates a stop whose first signal is due immediately.
    pub(super) fn new(reason: Option<StopReason>, plan: StopPlan, now: u64) -> Self {
        let step = TreeStopStep::Asking { plan, next: 0, due: now };
        Self { reason, escalated: None, swept: BTreeSet::new(), step }
    }

    /// Skips the remaining steps of the stop plan and sends SIGKILL immediately.
    pub(super) fn force(&mut self, now: u64) {
        if let TreeStopStep::Asking { .. } = self.step {
            self.step =
                TreeStopStep::Killing { since: now, due: now, pause: MIN_POLL_INTERVAL_MS, told: false };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self.step {
            TreeStopStep::Empty => true,
            TreeStopStep::Asking { .. } | TreeStopStep::Killing { .. } => false,
        }
    }

    /// Returns true if all members of the process group were killed at one moment and no member is alive. Dead members
    /// that their parents have not reaped yet may still exist.
    fn is_killed_off(&self, tree: &ProcessTree) -> bool {
        match self.step {
            TreeStopStep::Killing { .. } if tree.containment() == Containment::Group => {
                self.escalated == Some(libc::SIGKILL) && is_deserted(tree)
            }
            TreeStopStep::Killing { .. } | TreeStopStep::Asking { .. } | TreeStopStep::Empty => false,
        }
    }

    /// Returns the number of processes that had to be killed, without the leader.
    pub(super) fn swept(&self) -> u64 {
        u64::try_from(self.swept.len()).unwrap_or(u64::MAX)
    }

    /// Returns the pids of the processes that are still alive although they were sent SIGKILL.
    pub(super) fn survivors(&self, tree: &ProcessTree) -> Vec<u32> {
        match self.step {
            TreeStopStep::Killing { told: true, .. } => {
                tree.members().iter().map(|each| each.stat.pid).collect()
            }
            TreeStopStep::Killing { .. } | TreeStopStep::Asking { .. } | TreeStopStep::Empty => Vec::new(),
        }
    }

    /// Returns the time of the next step of the stop, in milliseconds of awake time.
    pub(super) fn next_deadline(&self, leader_ended: bool, now: u64) -> Option<u64> {
        match self.step {
            // Poll, because the kernel does not notify the shim when a process that is not its own child ends.
            TreeStopStep::Asking { due, .. } if leader_ended => {
                Some(due.min(now.saturating_add(POLL_INTERVAL_MS)))
            }
            TreeStopStep::Asking { due, .. } | TreeStopStep::Killing { due, .. } => Some(due),
            TreeStopStep::Empty => None,
        }
    }

    /// Executes the steps of the stop that are due. `require_no_live_descendants` is true if the shim has no children,
    /// which means that no process of the tree can be alive.
    pub(super) fn advance(
        &mut self,
        tree: &ProcessTree,
        leader_ended: bool,
        require_no_live_descendants: bool,
        now: u64,
    ) -> StopProgress {
        if self.is_empty() {
            return StopProgress::Same;
        }
        if leader_ended && (is_empty(tree, require_no_live_descendants) || self.is_killed_off(tree)) {
            self.step = TreeStopStep::Empty;
            return StopProgress::Emptied;
        }
        match &mut self.step {
            TreeStopStep::Asking { plan, next, due } if now >= *due => {
                if let Some(step) = plan.steps.get(*next) {
                    let signal = step.signal;
                    *due = now.saturating_add(step.wait_ms);
                    *next = next.saturating_add(1);
                    self.ask(tree, signal);
                } else {
                    self.force(now);
                }
                StopProgress::Same
            }
            TreeStopStep::Killing { due, .. } if now >= *due => self.kill(tree, now),
            TreeStopStep::Asking { .. } | TreeStopStep::Killing { .. } | TreeStopStep::Empty => {
                StopProgress::Same
            }
        }
    }

    fn ask(&mut self, tree: &ProcessTree, signal: i32) {
        self.escalated = Some(signal);
        if signal == libc::SIGKILL {
            self.kill_all(tree);
            return;
        }
        tree.signal_all(signal);
        // Resume stopped processes, because they do not react to the signal while they are stopped.
        hold::release(tree);
    }

    fn kill(&mut self, tree: &ProcessTree, now: u64) -> StopProgress {
        crashpoint!("shim.kill");
        self.escalated = Some(libc::SIGKILL);
        self.kill_all(tree);
        let TreeStopStep::Killing { since, due, pause, told } = &mut self.step else {
            return StopProgress::Same;
        };
        *due = now.saturating_add(*pause);
        *pause = pause.saturating_mul(2).min(MAX_POLL_INTERVAL_MS);
        let overdue = now.saturating_sub(*since) >= SURVIVORS_AFTER_MS;
        if overdue && !*told {
            *told = !tree.members().is_empty();
            if *told {
                return StopProgress::Survivors;
            }
        }
        StopProgress::Same
    }

    /// Kills all processes of the tree that a scan finds. Repeats this until a scan finds none, or until the maximum
    /// number of passes or the maximum time is reached.
    fn kill_all(&mut self, tree: &ProcessTree) {
        let begin = std::time::Instant::now();
        if let Some(cgroup) = tree.whole_cgroup() {
            self.count(tree, tree.members().iter().map(super::tree::TreeMember::birth));
            drop(cgroup.kill());
        }
        for _ in 0..MAX_PASSES {
            let reached = tree.kill_found();
            let others = reached.iter().filter(|birth| birth.0 != tree.leader()).count();
            self.count(tree, reached.into_iter());
            if others == 0 || begin.elapsed() >= Duration::from_millis(BUDGET_MS) {
                break;
            }
        }
    }

    fn count(&mut self, tree: &ProcessTree, births: impl Iterator<Item = ProcessStart>) {
        let others = births.filter(|birth| birth.0 != tree.leader());
        let room = MAX_COUNTED.saturating_sub(self.swept.len());
        self.swept.extend(others.take(room));
    }
}

/// Returns true if no process of the tree is alive. `require_no_live_descendants` is true if the shim has no children.
pub(super) fn is_empty(tree: &ProcessTree, require_no_live_descendants: bool) -> bool {
    tree.is_surely_empty(require_no_live_descendants).unwrap_or_else(|| is_deserted(tree))
}

/// Returns true if two successive scans find no process of the tree. One scan may miss a process that is being forked.
fn is_deserted(tree: &ProcessTree) -> bool {
    tree.members().is_empty() && tree.members().is_empty()
}

/// Reaps all children that have ended, and passes each of them to `ended`. Returns true if the shim has no children
/// left.
pub(super) fn reap(mut ended: impl FnMut(sys::ReapedChild)) -> bool {
    loop {
        match sys::wait_any() {
            ReapResult::Reaped(reaped) => ended(reaped),
            ReapResult::Nothing => return false,
            ReapResult::NoChildren => return true,
        }
    }
}
