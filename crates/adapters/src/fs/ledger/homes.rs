//! The state directories of nodes, and the labels of waiting processes.

use super::state::LedgerState;
use longhaul_ports::{NodeDescriptor, PlacementClass, StoreError, StoreRejection};

impl LedgerState {
    /// Rejects a registration of this node name from a different state directory while the node owns processes,
    /// because only the earlier state directory can report what happened to these processes.
    pub(crate) fn check_home(&self, me: &NodeDescriptor) -> Result<(), StoreError> {
        let Some(node) = self.nodes.get(&me.id) else { return Ok(()) };
        let Some(home) = me.other_home(node.facts.home.as_ref()) else { return Ok(()) };
        let open = self.rows.index().owned_by(&me.id).len();
        if open == 0 {
            return Ok(());
        }
        Err(StoreError::Refused(StoreRejection::NameHeld {
            node: me.id.clone(),
            home: Box::new(home.clone()),
            open: u64::try_from(open).unwrap_or(u64::MAX),
            free_in: None,
        }))
    }

    /// Returns the different label sets that waiting processes require of a node.
    pub(crate) fn label_classes(&self) -> Vec<PlacementClass> {
        let queues = self.rows.index().queues().values();
        let mut classes: Vec<PlacementClass> =
            queues.flat_map(|queue| queue.classes()).filter(|class| class.is_labelled()).cloned().collect();
        classes.sort();
        classes.dedup();
        classes
    }
}
