//! What is asked of a store, and what it answers.

use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, OpId, PendingAction, Policy, PolicyVersion, ProcessId, Retention,
    Revision,
};
use longhaul_ports::{
    Change, ClaimCapacity, Lease, NodeDescriptor, PrunedBatch, StoreError, StoreRejection, StoredProcess,
    Submission, SubmitOutcome, Writer,
};
use std::time::Duration;

/// What is asked of a store.
#[derive(Clone, Debug)]
pub enum ModelRequest {
    /// Nothing: there was nothing to ask it about.
    Nothing,
    /// `submit`.
    Submit(Box<Submission>),
    /// `claim`.
    Claim(Lease, ClaimCapacity),
    /// `commit`.
    Commit(Box<Change>),
    /// `enqueue_action`.
    Wish(ProcessId, OpId, PendingAction),
    /// `update_live_stats`.
    Touch(Writer, ProcessId, AttemptNo, LiveStats),
    /// `claim_due`.
    Attention(Lease, u32),
    /// `sweep`.
    Sweep(Retention, u32),
    /// `set_policy`.
    SetPolicy(PolicyVersion, Policy),
    /// `register`.
    Register(NodeDescriptor),
    /// `leave`.
    Leave(Lease),
    /// Time passes.
    Pass(Duration),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelReply {
    /// Nothing was answered.
    Done,
    /// To a submission.
    Submitted(Box<Result<SubmitOutcome, ModelRejection>>),
    /// To a claim or a look at what is due.
    Records(Result<Vec<StoredProcess>, ModelRejection>),
    /// To a change.
    Committed(Result<Revision, ModelRejection>),
    /// To an order.
    Wished(Result<ActionSeq, ModelRejection>),
    /// To vitals.
    Touched(Result<(), ModelRejection>),
    /// To a sweep.
    Swept(Result<PrunedBatch, ModelRejection>),
    /// To a new policy.
    Policy(Result<PolicyVersion, ModelRejection>),
    /// To a registration.
    Registered(Result<Lease, ModelRejection>),
    /// To a node that leaves.
    Left(Result<(), ModelRejection>),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelRejection {
    /// It has moved on to this revision.
    Conflict(Revision),
    /// The author may not.
    Fenced,
    /// There is none.
    Missing,
    /// A guard said no.
    Refused(StoreRejection),
    /// Something that no request of these should meet.
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
