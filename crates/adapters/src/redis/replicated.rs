//! Records which replicated claims belong to processes that have not started yet.

use longhaul_domain::{AttemptNo, ProcessId};
use longhaul_ports::StoredProcess;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Maximum number of claims to record. For any other claim, a request to the server is needed.
const MAX_CLAIMS: usize = 10_000;

/// Claims that all required replicas have confirmed.
#[derive(Debug, Default)]
pub(super) struct ReplicatedClaims(Mutex<BTreeSet<(ProcessId, AttemptNo)>>);

impl ReplicatedClaims {
    pub(super) fn add(&self, claimed: &StoredProcess) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_CLAIMS {
            known.clear();
        }
        known.insert((claimed.process.id, claimed.process.attempt));
    }

    /// Removes a claim. Returns true if the claim was recorded as replicated.
    pub(super) fn take(&self, id: ProcessId, attempt: AttemptNo) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(id, attempt))
    }
}
