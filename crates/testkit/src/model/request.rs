//! What is asked of a store, and what it answers.

use longhaul_domain::{
    AttemptNo, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, Vitals, Wish, WishNo,
};
use longhaul_ports::{
    Author, Change, Lease, NodeFacts, Refusal, Room, StoreError, Stored, Submission, Submitted, Swept,
};
use std::time::Duration;

/// What is asked of a store.
#[derive(Clone, Debug)]
pub enum Request {
    /// Nothing: there was nothing to ask it about.
    Nothing,
    /// `submit`.
    Submit(Box<Submission>),
    /// `claim`.
    Claim(Lease, Room),
    /// `commit`.
    Commit(Box<Change>),
    /// `wish`.
    Wish(ProcessId, OpId, Wish),
    /// `touch`.
    Touch(Author, ProcessId, AttemptNo, Vitals),
    /// `attention`.
    Attention(Lease, u32),
    /// `sweep`.
    Sweep(Retention, u32),
    /// `set_policy`.
    SetPolicy(PolicyVersion, Policy),
    /// `register`.
    Register(NodeFacts),
    /// `leave`.
    Leave(Lease),
    /// Time passes.
    Pass(Duration),
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing was answered.
    Done,
    /// To a submission.
    Submitted(Box<Result<Submitted, No>>),
    /// To a claim or a look at what is due.
    Records(Result<Vec<Stored>, No>),
    /// To a change.
    Committed(Result<Revision, No>),
    /// To an order.
    Wished(Result<WishNo, No>),
    /// To vitals.
    Touched(Result<(), No>),
    /// To a sweep.
    Swept(Result<Swept, No>),
    /// To a new policy.
    Policy(Result<PolicyVersion, No>),
    /// To a registration.
    Registered(Result<Lease, No>),
    /// To a node that leaves.
    Left(Result<(), No>),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum No {
    /// It has moved on to this revision.
    Conflict(Revision),
    /// The author may not.
    Fenced,
    /// There is none.
    Missing,
    /// A guard said no.
    Refused(Refusal),
    /// Something that no request of these should meet.
    Other(String),
}

impl From<StoreError> for No {
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
