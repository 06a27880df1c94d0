//! Rules for submissions that a node may accept alone while the shared store is unreachable.

use crate::{Lease, StoredProcess, Submission};
use longhaul_domain::{
    Ending, Event, Fact, Interruption, LiveStats, Placement, Revision, Seq, SlotState, Timestamp,
};

impl Submission {
    /// Returns true if no other node can affect this submission, so that the node may accept it without the shared
    /// store. All conditions must hold:
    ///
    /// - The work is a command that is ready to run immediately.
    /// - The process has no ancestors, no concurrency key and no launch key.
    /// - The process is pinned to one node.
    /// - The process is not retried after the loss of its node.
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

    /// Returns the record that results if `owner` accepts the submission and claims it immediately.
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
