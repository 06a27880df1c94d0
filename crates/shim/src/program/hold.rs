//! Pauses and resumes a whole process tree.

use std::{collections::BTreeSet, thread, time::Duration};

use super::tree::{ProcessTree, TreeMember};

const MAX_PASSES: u32 = 100;
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Result of a pause: the number of processes that were stopped, and of those that were not.
#[derive(Debug, Clone, Copy)]
pub(super) struct PauseCount {
    pub(super) stopped: u64,
    pub(super) missed: u64,
}

/// Stops every process of the tree. Repeats this until no running process is found, up to a maximum number of passes.
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
            // A process that is waiting in vfork cannot stop yet. It has a pending SIGSTOP, and stops as soon as the
            // wait ends.
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
            // Send SIGSTOP to every running process, because another process may have resumed it. Only the first
            // SIGSTOP to a process counts as progress.
            if tree.deliver(member, libc::SIGSTOP) {
                fresh |= asked.insert(member.birth());
            }
        }
        if !fresh {
            // All running processes have already received SIGSTOP. Wait a moment for the kernel to stop them.
            thread::sleep(POLL_INTERVAL);
        }
    }
    held
}

/// Resumes every process of the tree.
pub(super) fn release(tree: &ProcessTree) {
    tree.thaw();
    // Send SIGCONT to running processes too: it cancels a SIGSTOP that has not taken effect yet.
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
    // The cgroup is not frozen yet, because a process is in a system call that cannot be interrupted. The process
    // freezes as soon as the call ends.
    let members = count(cgroup.pids().len());
    Some(PauseCount { stopped: 0, missed: members })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
