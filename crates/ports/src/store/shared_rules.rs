//! The rules that are the same in every store, for stores that apply them in Rust.

use super::{StoreError, StoredProcess, Writer};
use crate::Lease;
use longhaul_domain::{ActionSeq, Event, LiveStats, Process, Revision, Seq, SlotState, Spec, Work};

impl StoreError {
    /// Returns the error for a lease that is no longer valid.
    #[must_use]
    pub fn fenced(lease: &Lease) -> Self {
        Self::Fenced { node: lease.node.clone(), epoch: lease.epoch }
    }
}

impl Lease {
    /// Returns the owner of a process that a node with this lease claims. Reported work gets no owner, because no node
    /// executes it.
    #[must_use]
    pub fn owner_of(&self, spec: &Spec) -> Option<Self> {
        match &spec.work {
            Work::Command(_) => Some(self.clone()),
            Work::Reported(_) => None,
        }
    }
}

impl Writer {
    /// Returns the lease that must be the newest of its node for a write to a process with this owner. Returns `None` if
    /// the write needs no lease.
    ///
    /// # Errors
    /// Returns [`StoreError::Fenced`] if this author may not write the process, whatever the newest lease is.
    pub fn required_lease(&self, owner: Option<&Lease>) -> Result<Option<&Lease>, StoreError> {
        match (owner, self) {
            (None, Self::Anyone) => Ok(None),
            (None, Self::Owner(lease)) => Ok(Some(lease)),
            (Some(owner), Self::Anyone) => Err(StoreError::fenced(owner)),
            (Some(owner), Self::Owner(lease)) if owner == lease => Ok(Some(lease)),
            (Some(_), Self::Owner(lease)) => Err(StoreError::fenced(lease)),
        }
    }
}

impl StoredProcess {
    /// Creates the first revision of a submitted process.
    #[must_use]
    pub fn accepted(process: Process, seq: Seq) -> Self {
        let (revision, live_stats) = (Revision(1), LiveStats::default());
        Self { process, revision, seq, owner: None, pending_actions: Vec::new(), live_stats }
    }

    /// Assigns a waiting process to a node. `claim` is the event of the claim.
    pub fn claim(&mut self, claim: &[Event], to: &Lease) {
        self.process.evolve(claim);
        self.revision = self.revision.next();
        self.live_stats = LiveStats::default();
        self.owner = to.owner_of(&self.process.spec);
    }

    /// Replaces the process by the next one, and removes the pending actions that were taken into account. A process
    /// that holds no slot any more loses its owner.
    pub fn replace(&mut self, next: Process, taken: ActionSeq) {
        self.process = next;
        self.revision = self.revision.next();
        self.pending_actions.retain(|(no, _)| *no > taken);
        match self.slot_state() {
            SlotState::Holding => {}
            SlotState::Waiting | SlotState::Idle | SlotState::Ended => self.owner = None,
        }
    }

    /// Returns the slot state of the process.
    #[must_use]
    pub const fn slot_state(&self) -> SlotState {
        self.process.state.slot_state()
    }
}
