//! The attempts of an earlier life of which this one does not know yet what became of them.

use crate::engine::Engine;
use longhaul_ports::{AttemptKey, StoredProcess};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The attempts whose records may be out of date: an earlier manager wrote them, and their spawner has not told this one
/// whether they are alive.
#[derive(Debug, Default)]
pub(crate) struct UnverifiedAttempts {
    keys: Mutex<BTreeSet<AttemptKey>>,
}

impl UnverifiedAttempts {
    pub(crate) fn add(&self, key: AttemptKey) {
        self.keys().insert(key);
    }

    /// It is known to be alive, or its end is recorded.
    pub(crate) fn remove(&self, key: AttemptKey) {
        self.keys().remove(&key);
    }

    pub(crate) fn count(&self) -> usize {
        self.keys().len()
    }

    fn has(&self, key: AttemptKey) -> bool {
        self.keys().contains(&key)
    }

    fn keys(&self) -> MutexGuard<'_, BTreeSet<AttemptKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Whether the status of a record is the one that an earlier manager wrote, and nobody has been able to tell since this
    /// one began whether it is still true.
    #[must_use]
    pub fn is_unexamined(&self, stored: &StoredProcess) -> bool {
        let process = &stored.process;
        !process.status().is_ended()
            && self.core.unexamined.has(AttemptKey { id: process.id, attempt: process.attempt })
    }

    /// How many records have such a status.
    #[must_use]
    pub fn unexamined(&self) -> usize {
        self.core.unexamined.count()
    }
}
