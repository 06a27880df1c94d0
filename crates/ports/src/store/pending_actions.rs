//! Limits on the number of pending actions of a process.

use longhaul_domain::PendingAction;

/// Maximum number of pending actions of one process.
const MAX_PENDING_ACTIONS: u32 = 16;
/// Maximum number of pending actions if the new action ends the process. The additional places ensure that a process
/// with many pending actions can still be stopped.
const MAX_PENDING_ACTIONS_WITH_STOPS: u32 = 20;

/// Returns the maximum number of pending actions of a process. The number depends on the new action `with` and includes
/// it.
#[must_use]
pub const fn max_pending_actions(with: &PendingAction) -> u32 {
    if with.ends() { MAX_PENDING_ACTIONS_WITH_STOPS } else { MAX_PENDING_ACTIONS }
}
