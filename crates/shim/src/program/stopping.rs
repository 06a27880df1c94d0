//! Ending a whole tree: asked first, killed then, and believed only when it is empty.

use std::{collections::BTreeSet, time::Duration};

use longhaul_failpoint::crashpoint;

use super::{
    hold,
    sys::{self, Waited},
    tree::{Birth, Tree},
};
use crate::{containment::Containment, plan::StopPlan, reason::StopReason};

const PASSES: u32 = 400;
const BUDGET_MS: u64 = 20;
const FIRST_PAUSE_MS: u64 = 1;
const LONGEST_PAUSE_MS: u64 = 100;
const SURVIVORS_AFTER_MS: u64 = 2_000;
const LOOK_MS: u64 = 50;
const MOST_COUNTED: usize = 10_000;

/// A tree that is being ended.
pub(super) struct Stopping {
    /// Why, if somebody asked; a sweep of what the leader left behind has no reason.
    pub(super) reason: Option<StopReason>,
    /// The last signal that was sent.
    pub(super) escalated: Option<i32>,
    swept: BTreeSet<Birth>,
    step: Step,
}

enum Step {
    /// The next signal of the plan is due at that awake millisecond.
    Asking { plan: StopPlan, next: usize, due: u64 },
    /// Everything is killed, again and again.
    Killing { since: u64, due: u64, pause: u64, told: bool },
    /// Nobody is left.
    Empty,
}

/// What a step of stopping found out.
pub(super) enum Progress {
    /// Nothing new.
    Same,
    /// The tree is empty now.
    Emptied,
    /// Some are still alive though they were killed a while ago.
    Survivors,
}

impl Stopping {
    /// Begins with the first signal of the plan at once.
    pub(super) fn new(reason: Option<StopReason>, plan: StopPlan, now: u64) -> Self {
        let step = Step::Asking { plan, next: 0, due: now };
        Self { reason, escalated: None, swept: BTreeSet::new(), step }
    }

    /// Kills at once, whatever step it is at.
    pub(super) fn force(&mut self, now: u64) {
        if let Step::Asking { .. } = self.step {
            self.step = Step::Killing { since: now, due: now, pause: FIRST_PAUSE_MS, told: false };
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self.step {
            Step::Empty => true,
            Step::Asking { .. } | Step::Killing { .. } => false,
        }
    }

    /// Tells whether nobody is left alive of a group of which all were killed at one moment: what is there still are dead
    /// ones that somebody else has not buried.
    fn is_killed_off(&self, tree: &Tree) -> bool {
        match self.step {
            Step::Killing { .. } if tree.containment() == Containment::Group => {
                self.escalated == Some(libc::SIGKILL) && is_deserted(tree)
            }
            Step::Killing { .. } | Step::Asking { .. } | Step::Empty => false,
        }
    }

    /// Returns how many processes beyond the leader had to be killed.
    pub(super) fn swept(&self) -> u64 {
        u64::try_from(self.swept.len()).unwrap_or(u64::MAX)
    }

    /// Returns who is still alive after a kill.
    pub(super) fn survivors(&self, tree: &Tree) -> Vec<u32> {
        match self.step {
            Step::Killing { told: true, .. } => tree.members().iter().map(|each| each.stat.pid).collect(),
            Step::Killing { .. } | Step::Asking { .. } | Step::Empty => Vec::new(),
        }
    }

    /// Returns when something must be done next, in awake milliseconds.
    pub(super) fn next_deadline(&self, leader_ended: bool, now: u64) -> Option<u64> {
        match self.step {
            // The end of a process that is not the shim's own child is not told to it.
            Step::Asking { due, .. } if leader_ended => Some(due.min(now.saturating_add(LOOK_MS))),
            Step::Asking { due, .. } | Step::Killing { due, .. } => Some(due),
            Step::Empty => None,
        }
    }

    /// Does what is due; `childless` tells that the shim has no children, so that nobody can be left.
    pub(super) fn advance(&mut self, tree: &Tree, leader_ended: bool, childless: bool, now: u64) -> Progress {
        if self.is_empty() {
            return Progress::Same;
        }
        if leader_ended && (is_empty(tree, childless) || self.is_killed_off(tree)) {
            self.step = Step::Empty;
            return Progress::Emptied;
        }
        match &mut self.step {
            Step::Asking { plan, next, due } if now >= *due => {
                if let Some(step) = plan.steps.get(*next) {
                    let signal = step.signal;
                    *due = now.saturating_add(step.wait_ms);
                    *next = next.saturating_add(1);
                    self.ask(tree, signal);
                } else {
                    self.force(now);
                }
                Progress::Same
            }
            Step::Killing { due, .. } if now >= *due => self.kill(tree, now),
            Step::Asking { .. } | Step::Killing { .. } | Step::Empty => Progress::Same,
        }
    }

    fn ask(&mut self, tree: &Tree, signal: i32) {
        self.escalated = Some(signal);
        if signal == libc::SIGKILL {
            self.kill_all(tree);
            return;
        }
        tree.signal_all(signal);
        // A stopped process acts on nothing until it goes on.
        hold::release(tree);
    }

    fn kill(&mut self, tree: &Tree, now: u64) -> Progress {
        crashpoint!("shim.kill");
        self.escalated = Some(libc::SIGKILL);
        self.kill_all(tree);
        let Step::Killing { since, due, pause, told } = &mut self.step else {
            return Progress::Same;
        };
        *due = now.saturating_add(*pause);
        *pause = pause.saturating_mul(2).min(LONGEST_PAUSE_MS);
        let overdue = now.saturating_sub(*since) >= SURVIVORS_AFTER_MS;
        if overdue && !*told {
            *told = !tree.members().is_empty();
            if *told {
                return Progress::Survivors;
            }
        }
        Progress::Same
    }

    /// Kills whoever is found until nobody is, within a budget of passes and time.
    fn kill_all(&mut self, tree: &Tree) {
        let begin = std::time::Instant::now();
        if let Some(cgroup) = tree.whole_cgroup() {
            self.count(tree, tree.members().iter().map(super::tree::Member::birth));
            drop(cgroup.kill());
        }
        for _ in 0..PASSES {
            let reached = tree.signal_all(libc::SIGKILL);
            let others = reached.iter().filter(|birth| birth.0 != tree.leader()).count();
            self.count(tree, reached.into_iter());
            if others == 0 || begin.elapsed() >= Duration::from_millis(BUDGET_MS) {
                break;
            }
        }
    }

    fn count(&mut self, tree: &Tree, births: impl Iterator<Item = Birth>) {
        let others = births.filter(|birth| birth.0 != tree.leader());
        let room = MOST_COUNTED.saturating_sub(self.swept.len());
        self.swept.extend(others.take(room));
    }
}

/// Tells whether nobody of the tree is alive; `childless` tells that the shim has no children.
pub(super) fn is_empty(tree: &Tree, childless: bool) -> bool {
    tree.is_surely_empty(childless).unwrap_or_else(|| is_deserted(tree))
}

/// Looks at one process after the other, twice since a fork may hide from one look.
fn is_deserted(tree: &Tree) -> bool {
    tree.members().is_empty() && tree.members().is_empty()
}

/// Waits for all children that have ended; tells each to `ended` and returns whether no child is left.
pub(super) fn reap(mut ended: impl FnMut(sys::Reaped)) -> bool {
    loop {
        match sys::wait_any() {
            Waited::Reaped(reaped) => ended(reaped),
            Waited::Nothing => return false,
            Waited::NoChildren => return true,
        }
    }
}
