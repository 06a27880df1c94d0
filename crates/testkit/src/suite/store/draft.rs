//! Something to submit, built up by a rule.

use crate::suite::must;
use longhaul_domain::{
    ChildrenPolicy, CommandSpec, LaunchKey, Lineage, Placement, Priority, ProcessId, ReportedSpec,
    RetryPolicy, SessionId, SlotKey, Spec, Timestamp, TreeLimits, Work,
};
use longhaul_ports::{ClaimRequest, StoredProcess};
use std::time::Duration;

/// Something to submit, built up by a rule.
#[derive(Clone, Debug)]
pub struct SubmissionBuilder {
    /// Its identity.
    pub id: ProcessId,
    /// What is asked for.
    pub spec: Spec,
    /// Where in a tree.
    pub lineage: Lineage,
    /// The bounds of that tree.
    pub tree: TreeLimits,
    /// Claim it at once for this node.
    pub claim_for: Option<ClaimRequest>,
    /// Refuse it instead of letting it wait.
    pub fail_if_queued: bool,
}

impl SubmissionBuilder {
    /// A command that any node may run.
    #[must_use]
    pub fn new(id: ProcessId) -> Self {
        let mut spec = Spec::of(Work::Command(Box::new(CommandSpec::of("/bin/sleep", &["60"], "/tmp"))));
        spec.placement = Placement::Anywhere;
        Self {
            id,
            spec,
            lineage: Lineage::default(),
            tree: TreeLimits::default(),
            claim_for: None,
            fail_if_queued: false,
        }
    }

    /// Of this concurrency key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.spec.key = Some(must(SlotKey::new(key)));
        self
    }

    /// So urgent: from −100 to 100.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.spec.priority = must(Priority::new(priority));
        self
    }

    /// For these nodes.
    #[must_use]
    pub fn placed(mut self, placement: Placement) -> Self {
        self.spec.placement = placement;
        self
    }

    /// Below this process.
    #[must_use]
    pub fn child_of(mut self, parent: &StoredProcess) -> Self {
        self.lineage = parent.process.lineage.child_of(parent.process.id);
        self
    }

    /// Asked for by this session.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.spec.session = Some(must(SessionId::new(session)));
        self
    }

    /// Under this launch key.
    #[must_use]
    pub fn launch_key(mut self, key: &str) -> Self {
        self.spec.launch_key = Some(must(LaunchKey::new(key)));
        self
    }

    /// Delayed until this moment.
    #[must_use]
    pub fn not_before(mut self, moment: Timestamp) -> Self {
        self.spec.not_before = Some(moment);
        self
    }

    /// Another attempt after a failure, one second later at the earliest.
    #[must_use]
    pub fn retrying(mut self) -> Self {
        self.spec.retry = RetryPolicy { retries: 3, first: Duration::from_secs(2), ..RetryPolicy::none() };
        self
    }

    /// Waits for its descendants before it ends.
    #[must_use]
    pub fn awaiting(mut self) -> Self {
        self.spec.children = ChildrenPolicy::Wait;
        self
    }

    /// Work that someone else does, begun at once.
    #[must_use]
    pub fn reported(mut self) -> Self {
        self.spec.work = Work::Reported(ReportedSpec::default());
        self
    }

    /// Work that someone else does, as soon as there is a slot.
    #[must_use]
    pub fn reported_in_queue(mut self) -> Self {
        self.spec.work = Work::Reported(ReportedSpec { queued: true, ..ReportedSpec::default() });
        self
    }

    /// Within these bounds of its tree.
    #[must_use]
    pub const fn within(mut self, tree: TreeLimits) -> Self {
        self.tree = tree;
        self
    }

    /// To be claimed at once for this node.
    #[must_use]
    pub fn claimed_for(mut self, claimant: ClaimRequest) -> Self {
        self.claim_for = Some(claimant);
        self
    }

    /// Refused instead of waiting.
    #[must_use]
    pub const fn or_refused(mut self) -> Self {
        self.fail_if_queued = true;
        self
    }
}
