//! Builder for the submissions that rules make.

use crate::suite::must;
use longhaul_domain::{
    ChildrenPolicy, CommandSpec, LaunchKey, Lineage, Placement, Priority, ProcessId, ReportedSpec,
    RetryPolicy, SessionId, SlotKey, Spec, Timestamp, TreeLimits, Work,
};
use longhaul_ports::{ClaimRequest, StoredProcess};
use std::time::Duration;

/// Builder for the submission of a process.
#[derive(Clone, Debug)]
pub struct SubmissionBuilder {
    /// Id of the process.
    pub id: ProcessId,
    /// Spec of the process.
    pub spec: Spec,
    /// Position of the process in its tree.
    pub lineage: Lineage,
    /// Limits of the tree.
    pub tree: TreeLimits,
    /// Node that claims the process in the same step, if any.
    pub claim_for: Option<ClaimRequest>,
    /// True if the submission is refused instead of waiting in the queue.
    pub fail_if_queued: bool,
}

impl SubmissionBuilder {
    /// Creates a builder for a command that any node may run.
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

    /// Sets the concurrency key.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.spec.key = Some(must(SlotKey::new(key)));
        self
    }

    /// Sets the priority, from −100 to 100.
    #[must_use]
    pub fn priority(mut self, priority: i64) -> Self {
        self.spec.priority = must(Priority::new(priority));
        self
    }

    /// Sets the placement: the nodes that may run the process.
    #[must_use]
    pub fn placed(mut self, placement: Placement) -> Self {
        self.spec.placement = placement;
        self
    }

    /// Makes the process a child of `parent`.
    #[must_use]
    pub fn child_of(mut self, parent: &StoredProcess) -> Self {
        self.lineage = parent.process.lineage.child_of(parent.process.id);
        self
    }

    /// Sets the session.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.spec.session = Some(must(SessionId::new(session)));
        self
    }

    /// Sets the launch key.
    #[must_use]
    pub fn launch_key(mut self, key: &str) -> Self {
        self.spec.launch_key = Some(must(LaunchKey::new(key)));
        self
    }

    /// Delays the process until this time.
    #[must_use]
    pub fn not_before(mut self, moment: Timestamp) -> Self {
        self.spec.not_before = Some(moment);
        self
    }

    /// Allows three retries after failures, with a delay of two seconds before the first retry.
    #[must_use]
    pub fn retrying(mut self) -> Self {
        self.spec.retry = RetryPolicy { retries: 3, first: Duration::from_secs(2), ..RetryPolicy::none() };
        self
    }

    /// Makes the process wait for its descendants before it ends.
    #[must_use]
    pub fn awaiting(mut self) -> Self {
        self.spec.children = ChildrenPolicy::Wait;
        self
    }

    /// Makes the process reported work that starts immediately.
    #[must_use]
    pub fn reported(mut self) -> Self {
        self.spec.work = Work::Reported(ReportedSpec::default());
        self
    }

    /// Makes the process reported work that waits for a slot.
    #[must_use]
    pub fn reported_in_queue(mut self) -> Self {
        self.spec.work = Work::Reported(ReportedSpec { queued: true, ..ReportedSpec::default() });
        self
    }

    /// Sets the limits of the tree.
    #[must_use]
    pub const fn within(mut self, tree: TreeLimits) -> Self {
        self.tree = tree;
        self
    }

    /// Requests that a node claims the process in the same step.
    #[must_use]
    pub fn claimed_for(mut self, claimant: ClaimRequest) -> Self {
        self.claim_for = Some(claimant);
        self
    }

    /// Requests a refusal if the process would have to wait.
    #[must_use]
    pub const fn or_refused(mut self) -> Self {
        self.fail_if_queued = true;
        self
    }
}
