//! Attempts that this node stops because they may run elsewhere.

use longhaul_domain::{Interruption, Observation, ProcessId};
use longhaul_ports::AttemptKey;
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts that this node stops because they may run elsewhere: their ends are no ends of the process.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    given_up: Mutex<BTreeSet<AttemptKey>>,
}

impl Copies {
    /// Notes it; false if it was noted before.
    pub(crate) fn give_up(&self, key: AttemptKey) -> bool {
        self.given_up().insert(key)
    }

    pub(crate) fn is_given_up(&self, key: AttemptKey) -> bool {
        self.given_up().contains(&key)
    }

    /// What was seen, as it counts: the end of an attempt that was given up is the loss of its node.
    pub(crate) fn judged(&self, id: ProcessId, seen: Observation) -> Observation {
        let Observation::Exited { attempt, .. } = &seen else { return seen };
        let (attempt, why) = (*attempt, Interruption::NodeGone);
        if self.given_up().remove(&AttemptKey { id, attempt }) {
            return Observation::SupervisorLost { attempt, why };
        }
        seen
    }

    fn given_up(&self) -> MutexGuard<'_, BTreeSet<AttemptKey>> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
