//! Attempts of the previous run whose state is not known yet.

use crate::engine::Engine;
use longhaul_ports::{AttemptKey, StoredProcess};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts whose records may be outdated, because an earlier manager wrote the records and the spawner has not
/// reported yet whether the attempts are alive.
#[derive(Debug, Default)]
pub(crate) struct UnverifiedAttempts {
    keys: Mutex<BTreeSet<AttemptKey>>,
}

impl UnverifiedAttempts {
    pub(crate) fn add(&self, key: AttemptKey) {
        self.keys().insert(key);
    }

    /// Removes an attempt, because it was found alive or because its end is recorded.
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
    /// Returns true if an earlier manager wrote the status of a record and this manager has not been able to verify the
    /// status.
    #[must_use]
    pub fn is_unexamined(&self, stored: &StoredProcess) -> bool {
        let process = &stored.process;
        !process.status().is_ended()
            && self.core.unexamined.has(AttemptKey { id: process.id, attempt: process.attempt })
    }

    /// Returns the number of records with an unverified status.
    #[must_use]
    pub fn unexamined(&self) -> usize {
        self.core.unexamined.count()
    }
}
