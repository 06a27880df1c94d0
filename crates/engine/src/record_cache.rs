//! Cache of the records that this node owns. This node is their only writer, so it need not load them from the store.

use longhaul_domain::{NodeId, ProcessId};
use longhaul_ports::StoredProcess;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Records as this node last committed them. An outdated record causes a conflict, never a wrong write.
#[derive(Debug, Default)]
pub(crate) struct RecordCache {
    records: Mutex<BTreeMap<ProcessId, StoredProcess>>,
}

impl RecordCache {
    /// Removes and returns a record. The caller stores it again after a successful commit.
    pub(crate) fn take(&self, id: ProcessId) -> Option<StoredProcess> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    /// Returns true if this node owns a live process with this id.
    pub(crate) fn knows(&self, id: ProcessId) -> bool {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Returns the descendants of a process that are alive on this node, for when the store cannot be reached.
    pub(crate) fn below(&self, id: ProcessId) -> Vec<StoredProcess> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.values().filter(|stored| stored.process.lineage.ancestors.contains(&id)).cloned().collect()
    }

    /// Caches a record that was claimed or committed, as long as this node owns it and it holds a slot. Otherwise
    /// removes the record.
    ///
    /// Returns true if this write released the process: the record has an owner but holds no slot any more.
    pub(crate) fn keep(&self, me: &NodeId, after: &StoredProcess) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let is_live = after.process.state.slot_state() == longhaul_domain::SlotState::Holding;
        if is_live && after.owner.as_ref().is_some_and(|owner| owner.node == *me) {
            records.insert(after.process.id, after.clone());
            false
        } else {
            records.remove(&after.process.id);
            !is_live && after.owner.is_some()
        }
    }
}
