//! The ends that were seen and cannot be recorded yet.

use longhaul_domain::ProcessId;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The processes whose end was seen and cannot be recorded yet: their records still tell of a life.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded {
    ended: Mutex<HashSet<ProcessId>>,
}

impl Unrecorded {
    pub(crate) fn note(&self, id: ProcessId) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    pub(crate) fn recorded(&self, id: ProcessId) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(crate) fn has(&self, id: ProcessId) -> bool {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}
