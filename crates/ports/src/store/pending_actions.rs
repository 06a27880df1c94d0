//! How many orders may wait for the owner of a process.

use longhaul_domain::PendingAction;

/// So many orders may be open for one process.
const MAX_PENDING_ACTIONS: u32 = 16;
/// So many if the last ones ask for its end: whoever fills its places cannot keep it from being stopped.
const MAX_PENDING_ACTIONS_WITH_STOPS: u32 = 20;

/// How many orders may be open for a process, this new one counted.
#[must_use]
pub const fn max_pending_actions(with: &PendingAction) -> u32 {
    if with.ends() { MAX_PENDING_ACTIONS_WITH_STOPS } else { MAX_PENDING_ACTIONS }
}
