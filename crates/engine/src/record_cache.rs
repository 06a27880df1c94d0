//! The records that this node owns, as it last committed them: their only writer need not ask the store for them.

use longhaul_domain::{NodeId, ProcessId};
use longhaul_ports::StoredProcess;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Records as this node last committed them. One that turns out to be old costs a conflict, never a wrong write.
#[derive(Debug, Default)]
pub(crate) struct RecordCache {
    records: Mutex<BTreeMap<ProcessId, StoredProcess>>,
}

impl RecordCache {
    /// Takes a record out: it comes back when it was committed, and if it was old it stays away.
    pub(crate) fn take(&self, id: ProcessId) -> Option<StoredProcess> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Whether a process surely lives on this node, as far as this node has seen.
    pub(crate) fn knows(&self, id: ProcessId) -> bool {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// The descendants of a process that live on this node, for when the store cannot be asked.
    pub(crate) fn below(&self, id: ProcessId) -> Vec<StoredProcess> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.values().filter(|stored| stored.process.lineage.ancestors.contains(&id)).cloned().collect()
    }

    /// Keeps a record that was claimed or committed, while its attempt lives on this node.
    ///
    /// True if this was the write with which the node let go of it.
    pub(crate) fn keep(&self, me: &NodeId, after: &StoredProcess) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let is_live = after.process.state.standing() == longhaul_domain::SlotState::Holding;
        if is_live && after.owner.as_ref().is_some_and(|owner| owner.node == *me) {
            records.insert(after.process.id, after.clone());
            false
        } else {
            records.remove(&after.process.id);
            !is_live && after.owner.is_some()
        }
    }
}
