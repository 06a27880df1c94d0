//! Holding a whole tree and letting it go on.

use std::{collections::BTreeSet, thread, time::Duration};

use super::tree::{ProcessTree, TreeMember};

const MAX_PASSES: u32 = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// How many processes a pause reached.
#[derive(Debug, Clone, Copy)]
pub(super) struct PauseCount {
    pub(super) stopped: u64,
    pub(super) missed: u64,
}

/// Stops every process of the tree, again and again until no running one is found or trying is given up.
pub(super) fn hold(tree: &ProcessTree) -> PauseCount {
    if let Some(held) = freeze(tree) {
        return held;
    }
    let mut asked = BTreeSet::new();
    let mut held = PauseCount { stopped: 0, missed: 0 };
    for _ in 0..MAX_PASSES {
        let members = tree.members();
        let is_held = |member: &TreeMember| {
            let everyone = members.iter().map(|each| &each.stat);
            // It stops by itself once it goes on.
            let waits = || asked.contains(&member.birth()) && member.stat.waits_for_one_of(everyone);
            member.stat.is_stopped() || waits()
        };
        let running: Vec<&TreeMember> = members.iter().filter(|member| !is_held(member)).collect();
        held = PauseCount {
            stopped: count(members.len().saturating_sub(running.len())),
            missed: count(running.len()),
        };
        if running.is_empty() {
            break;
        }
        let mut fresh = false;
        for member in running {
            // Somebody else may have let it go on in between: it is asked again, and only the first time is news.
            if tree.deliver(member, libc::SIGSTOP) {
                fresh |= asked.insert(member.birth());
            }
        }
        if !fresh {
            // All were asked; the kernel needs a moment to stop them.
            thread::sleep(POLL_INTERVAL);
        }
    }
    held
}

/// Lets every process of the tree go on.
pub(super) fn release(tree: &ProcessTree) {
    tree.thaw();
    // Also to those that run: a stop that was asked of them may not have taken effect yet, and this revokes it.
    tree.signal_all(libc::SIGCONT);
}

fn freeze(tree: &ProcessTree) -> Option<PauseCount> {
    let cgroup = tree.whole_cgroup()?;
    cgroup.freeze(true).ok()?;
    for _ in 0..MAX_PASSES {
        if cgroup.is_frozen().unwrap_or(false) {
            return Some(PauseCount { stopped: count(cgroup.pids().len()), missed: 0 });
        }
        thread::sleep(POLL_INTERVAL);
    }
    // Something is in a system call that nothing interrupts; it stops as soon as that ends.
    let members = count(cgroup.pids().len());
    Some(PauseCount { stopped: 0, missed: members })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
