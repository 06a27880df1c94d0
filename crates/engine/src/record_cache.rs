//! Cache of the records that this node owns. Only this node writes them, so it need not load them from the store.

use longhaul_domain::{NodeId, ProcessId};
use longhaul_ports::StoredProcess;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Records as this node last committed them. If a record is outdated, its next commit conflicts; it is never written.
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

    /// Returns the descendants of a process that are alive on this node. Used while the store cannot be reached.
    pub(crate) fn below(&self, id: ProcessId) -> Vec<StoredProcess> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.values().filter(|stored| stored.process.lineage.ancestors.contains(&id)).cloned().collect()
    }

    /// Caches a record that was claimed or committed if this node owns it and it holds a slot. If not, removes the
    /// record from the cache.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, context, lease, waiting};
    use longhaul_domain::{Action, AttemptNo, Decision, Input, Lineage, Observation, StopCause};
    use longhaul_ports::Lease;

    fn starting(number: u64) -> StoredProcess {
        let mut stored = waiting(number, command());
        let claimed = Input::Observation(Observation::Claimed { attempt: AttemptNo(1), node: lease().node });
        let Decision { events, .. } =
            stored.process.decide(&context(), &stored.live_stats, &claimed).unwrap();
        stored.process.evolve(&events);
        StoredProcess { owner: Some(lease()), ..stored }
    }

    #[test]
    fn record_is_kept_while_this_node_owns_it_and_it_holds_a_slot() {
        let (cache, stored) = (RecordCache::default(), starting(1));
        let id = stored.process.id;
        assert!(!cache.keep(&lease().node, &stored));
        assert!(cache.knows(id));
        let other = Lease { node: NodeId::new("there").unwrap(), ..lease() };
        assert!(!cache.keep(&lease().node, &StoredProcess { owner: Some(other), ..stored.clone() }));
        assert!(!cache.knows(id));
        cache.keep(&lease().node, &stored);
        assert_eq!(cache.take(id), Some(stored));
        assert!(!cache.knows(id) && cache.take(id).is_none());
    }

    #[test]
    fn write_that_frees_the_slot_is_distinguished_from_one_without_an_owner() {
        let (cache, mut stored) = (RecordCache::default(), waiting(1, command()));
        let cancel = Input::Action(Action::Cancel { cause: StopCause::User });
        let step = stored.process.decide(&context(), &stored.live_stats, &cancel).unwrap();
        stored.process.evolve(&step.events);
        assert!(!cache.keep(&lease().node, &stored));
        assert!(cache.keep(&lease().node, &StoredProcess { owner: Some(lease()), ..stored }));
    }

    #[test]
    fn descendants_are_those_below_the_process() {
        let (cache, top, other) = (RecordCache::default(), starting(1), starting(3));
        let mut child = starting(2);
        child.process.lineage = Lineage { ancestors: vec![top.process.id], ..Lineage::default() };
        for stored in [&top, &child, &other] {
            cache.keep(&lease().node, stored);
        }
        assert_eq!(cache.below(top.process.id), [child]);
        assert_eq!(cache.below(other.process.id), []);
    }
}
