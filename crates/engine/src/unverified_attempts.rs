//! Attempts of the previous run whose state is not known yet.

use crate::engine::Engine;
use longhaul_ports::{AttemptKey, StoredProcess};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Attempts whose records may be outdated: an earlier manager wrote them, and the spawner has not reported yet whether
/// the attempts are alive.
#[derive(Debug, Default)]
pub(crate) struct UnverifiedAttempts {
    keys: Mutex<BTreeSet<AttemptKey>>,
}

impl UnverifiedAttempts {
    pub(crate) fn add(&self, key: AttemptKey) {
        self.keys().insert(key);
    }

    /// Removes an attempt that is known to be alive or whose end is recorded.
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
    /// Returns true if the status of a record was written by an earlier manager and could not be verified since this
    /// manager started.
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
