//! Output tails of processes. They are used when the node of a process is unreachable.

use super::state::MemoryState;
use longhaul_ports::{AttemptKey, Lease, OutputTail, StoreError, Writer};

impl MemoryState {
    /// Stores the output tail of an attempt if leases can expire. If they cannot expire, the whole output stays
    /// available and no tail is needed.
    pub(super) fn store_tail(
        &mut self,
        by: &Lease,
        key: AttemptKey,
        tail: &OutputTail,
    ) -> Result<bool, StoreError> {
        let stored = self.stored(&key.id).ok_or(StoreError::Missing { id: key.id })?;
        self.check_author(stored, &Writer::Owner(by.clone()))?;
        let counts = self.leases.end() && stored.process.attempt == key.attempt;
        if counts {
            self.tails.insert(key.id, (key.attempt, tail.clone()));
        }
        Ok(counts)
    }
}
