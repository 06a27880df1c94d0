//! Requests to a store and their replies.

use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, Policy, PolicyVersion, ProcessId, Retention,
    Revision,
};
use longhaul_ports::{
    Change, ClaimCapacity, Lease, NodeDescriptor, PrunedBatch, StoreError, StoreRejection, StoredProcess,
    Submission, SubmitOutcome, Writer,
};
use std::time::Duration;

/// A request to a store.
#[derive(Clone, Debug)]
pub enum ModelRequest {
    /// No request, because the step found nothing to apply to.
    Nothing,
    /// Calls `submit`.
    Submit(Box<Submission>),
    /// Calls `claim`.
    Claim(Lease, ClaimCapacity),
    /// Calls `commit`.
    Commit(Box<Change>),
    /// Calls `enqueue_action`.
    Wish(ProcessId, OpId, PendingAction),
    /// Calls `update_live_stats`.
    Touch(Writer, ProcessId, AttemptNo, LiveStats),
    /// Calls `claim_due`.
    Attention(Lease, u32),
    /// Calls `sweep`.
    Prune(Retention, u32),
    /// Calls `set_policy`.
    SetPolicy(PolicyVersion, Policy),
    /// Calls `register`.
    Register(NodeDescriptor),
    /// Calls `leave`.
    Leave(Lease),
    /// Advances the clock.
    Pass(Duration),
}

/// The reply of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelReply {
    /// No reply, because the step made no request.
    Done,
    /// Reply to `submit`.
    Submitted(Box<Result<SubmitOutcome, ModelRejection>>),
    /// Reply to `claim` or `claim_due`.
    Records(Result<Vec<StoredProcess>, ModelRejection>),
    /// Reply to `commit`.
    Committed(Result<Revision, ModelRejection>),
    /// Reply to `enqueue_action`.
    Wished(Result<ActionSeq, ModelRejection>),
    /// Reply to `update_live_stats`.
    Touched(Result<(), ModelRejection>),
    /// Reply to `sweep`.
    Pruned(Result<PrunedBatch, ModelRejection>),
    /// Reply to `set_policy`.
    Policy(Result<PolicyVersion, ModelRejection>),
    /// Reply to `register`.
    Registered(Result<Lease, ModelRejection>),
    /// Reply to `leave`.
    Left(Result<(), ModelRejection>),
}

/// Reason why a store refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRejection {
    /// The process has this revision instead of the expected one.
    Conflict(Revision),
    /// The writer has no valid lease for this write.
    Fenced,
    /// The process does not exist.
    Missing,
    /// A rule of the store refused the request.
    Refused(StoreRejection),
    /// Any other error, which no request of a script should cause.
    Other(String),
}

impl From<StoreError> for ModelRejection {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { found } => Self::Conflict(found),
            StoreError::Fenced { .. } => Self::Fenced,
            StoreError::Missing { .. } => Self::Missing,
            StoreError::Refused(refusal) => Self::Refused(refusal),
            other @ (StoreError::Unavailable { .. }
            | StoreError::Unknown { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Format { .. }
            | StoreError::NewerRecord { .. }
            | _) => Self::Other(format!("{other:?}")),
        }
    }
}
