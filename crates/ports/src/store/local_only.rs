//! What a node may accept by itself while the store of many machines is away.

use crate::{Lease, StoredProcess, Submission};
use longhaul_domain::{
    Ending, Event, Fact, Interruption, LiveStats, Placement, Revision, Seq, SlotState, Timestamp,
};

impl Submission {
    /// Whether nobody but its node could have a say in it: a command for one node and no other attempt elsewhere, at
    /// once, under no key, with no launch key that may be taken, and in no tree.
    #[must_use]
    pub fn is_nobody_elses(&self) -> bool {
        let (process, spec) = (&self.process, &self.process.spec);
        let lost = Ending::Interrupted { why: Interruption::NodeGone };
        spec.command().is_some()
            && process.state.slot_state() == SlotState::Waiting
            && process.lineage.ancestors.is_empty()
            && spec.key.is_none()
            && spec.launch_key.is_none()
            && matches!(spec.placement, Placement::Node(_))
            && !spec.retry.covers(&lost, process.retries)
    }

    /// The record of it, claimed by whoever accepts it.
    #[must_use]
    pub fn claimed_by(&self, owner: Lease, seq: Seq, now: Timestamp) -> StoredProcess {
        let mut process = self.process.clone();
        let fact = Fact::Claimed { attempt: process.attempt.next(), node: owner.node.clone() };
        process.evolve(&[Event { at: now, fact }]);
        StoredProcess {
            process,
            revision: Revision(1).next(),
            seq,
            owner: Some(owner),
            pending_actions: Vec::new(),
            live_stats: LiveStats::default(),
        }
    }
}
