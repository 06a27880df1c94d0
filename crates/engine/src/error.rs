//! Why a use case did not do what it was asked.

use longhaul_domain::{NodeId, ProcessId, ProcessName, Rejection, Revision, SessionId, Status};
use longhaul_ports::{EnvironmentStoreError, OutputError, SignatureError, StoreError, StoreRejection};
use std::fmt;
use std::time::Duration;

/// Why a use case did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No process answers to that.
    #[error("no process is called {reference:?}")]
    NotFound {
        /// What was asked for.
        reference: String,
    },
    /// Several processes answer to that.
    #[error("{reference:?} matches {} processes", candidates.len())]
    Ambiguous {
        /// What was asked for.
        reference: String,
        /// Whether it was read as an id or as a name.
        by: ReferenceField,
        /// The processes, newest first; at most ten.
        candidates: Vec<Candidate>,
    },
    /// No process of the caller's session has that name, but processes of other sessions do.
    #[error("no process of session {:?} is called {reference:?}", session.as_str())]
    OtherSessions {
        /// What was asked for.
        reference: String,
        /// The session of the caller.
        session: SessionId,
        /// The processes of that name, newest first; at most ten.
        candidates: Vec<Candidate>,
    },
    /// The rules refuse it.
    #[error("{rejection}")]
    Rejected {
        /// The process.
        id: ProcessId,
        /// Why.
        #[source]
        rejection: Rejection,
    },
    /// A guard of the store refuses it.
    #[error("{refusal}")]
    Refused {
        /// Why.
        #[source]
        refusal: StoreRejection,
    },
    /// Nobody vouches for what its record asks for.
    #[error("process {id} is not trusted: {fault}")]
    Unvouched {
        /// The process.
        id: ProcessId,
        /// Why.
        #[source]
        fault: SignatureError,
    },
    /// The launch key belongs to a process that was asked for in another way.
    #[error("the launch key {key:?} belongs to process {holder}, {}", conflict(differs))]
    KeyConflict {
        /// The key.
        key: String,
        /// Its process.
        holder: ProcessId,
        /// What differs, in words; nothing if its record was let go and cannot be compared or shown.
        differs: Vec<&'static str>,
    },
    /// The process of this launch key has ended, and its record was pruned.
    #[error("process {id} was launched with the launch key {key:?}; it has ended and its record was pruned")]
    LaunchPruned {
        /// The key.
        key: String,
        /// The process.
        id: ProcessId,
    },
    /// The caller decided on an older revision.
    #[error("process {id} has changed: it has revision {found}")]
    RevisionMoved {
        /// The process.
        id: ProcessId,
        /// Where it is now.
        found: Revision,
    },
    /// What was asked for makes no sense.
    #[error("invalid {what}: {why}")]
    Invalid {
        /// What.
        what: &'static str,
        /// Why.
        why: String,
        /// What to do.
        help: Option<String>,
    },
    /// The output cannot be read.
    #[error("the output cannot be read")]
    Output {
        /// Why.
        #[source]
        source: OutputError,
    },
    /// The captured environment cannot be kept.
    #[error("the captured environment cannot be stored")]
    Vault {
        /// Why.
        #[source]
        source: EnvironmentStoreError,
    },
    /// The store cannot do it.
    #[error("the store cannot do it")]
    Store {
        /// Why.
        #[source]
        source: StoreError,
    },
    /// Nothing can be written to its standard input.
    #[error("process {id} accepts no input: {refusal}")]
    InputRefused {
        /// The process.
        id: ProcessId,
        /// Why.
        #[source]
        refusal: InputRefusal,
    },
    /// A captured environment is kept on the node that it was captured for, and the launch may go to another one.
    #[error("a captured environment stays on node {here}, and this launch may run on another one")]
    EnvironmentStays {
        /// The node that would keep it.
        here: NodeId,
    },
    /// It would have to wait, and waiting was not wanted, however many slots are free.
    #[error("cannot start now: {standstill}")]
    NotAtOnce {
        /// Why.
        standstill: LaunchBlocked,
    },
    /// No node is called so.
    #[error("no node is called {node}")]
    NodeUnknown {
        /// What was asked for.
        node: NodeId,
    },
    /// A node is there, or may come back in time.
    #[error("node {node} is present, or may still return")]
    NodeAlive {
        /// The node.
        node: NodeId,
    },
    /// The store is one of a single machine, whose node always claims.
    #[error("node {node} is the only node of its store and cannot be drained")]
    DrainUnsupported {
        /// The node.
        node: NodeId,
    },
    /// A stop went ahead that the store cannot record.
    #[error("process {id} {reached}, and its record follows when the store can write")]
    StopUnrecorded {
        /// The process.
        id: ProcessId,
        /// How far the stop has come.
        reached: StopReach,
        /// Why it cannot be recorded.
        #[source]
        source: StoreError,
    },
    /// A clear stopped what it could and came no further.
    #[error("the reset is incomplete: {} asked to stop, {} deleted", stopped.len(), removed)]
    ClearUnfinished {
        /// What was told to end, oldest first.
        stopped: Vec<ProcessId>,
        /// How many records went.
        removed: u64,
        /// What it met.
        #[source]
        source: StoreError,
    },
    /// A defect of ours: the request was given up, everything else goes on.
    #[error("an internal error: {what}")]
    Broken {
        /// What is known of it.
        what: String,
    },
    /// Everything is being cleared, and nothing new is taken meanwhile.
    #[error("a reset is under way")]
    Clearing,
    /// The manager is ending and takes nothing new.
    #[error("the manager is shutting down")]
    ShuttingDown,
}

/// Why a process takes no input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputRefusal {
    /// It was not launched with a pipe as its standard input, or is no command.
    #[error("it was not launched with a pipe as its standard input")]
    NoPipe,
    /// Its command does not run now.
    #[error("it is {status}")]
    NotRunning {
        /// Where it stands.
        status: Status,
    },
    /// Its command runs on another node.
    #[error("it runs on node {node}")]
    Elsewhere {
        /// Which.
        node: NodeId,
    },
    /// Its input was closed, or nobody reads it any more.
    #[error("its standard input is closed")]
    Closed,
    /// It could not be reached; asking again may help.
    #[error("its input could not be reached: {what}")]
    Unreachable {
        /// What failed.
        what: String,
    },
}

/// Why nothing is started at once, however much room there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchBlocked {
    /// The node drains.
    #[error("node {node} is draining and starts nothing")]
    Drains {
        /// The node.
        node: NodeId,
    },
    /// The store had lost something, which others may not have given back yet.
    #[error("the store has lost data, and nothing starts until all nodes had time to restore their records")]
    Settles,
    /// The node that was asked may not run it.
    #[error("another node starts it at its next claim")]
    Elsewhere,
}

/// How far a stop has come that no record tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReach {
    /// Its tree was told to end.
    Told,
    /// It had ended before.
    Ended,
}

impl fmt::Display for StopReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Told => "was told to stop",
            Self::Ended => "has ended",
        })
    }
}

/// What a reference was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceField {
    /// The beginning of an id.
    IdPrefix,
    /// A name.
    Name,
}

/// A process that may have been meant, and what tells it apart from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: ProcessId,
    /// Its name.
    pub name: Option<ProcessName>,
    /// Its status.
    pub status: Status,
    /// Its session.
    pub session: Option<SessionId>,
    /// How long ago it was accepted.
    pub age: Duration,
    /// The working directory of a command.
    pub directory: Option<String>,
    /// The program and arguments of a command.
    pub command: Vec<String>,
}

impl From<StoreError> for EngineError {
    fn from(source: StoreError) -> Self {
        if let StoreError::Refused(refusal) = source {
            return Self::Refused { refusal };
        }
        if let StoreError::Missing { id } = source {
            return Self::NotFound { reference: id.to_string() };
        }
        Self::Store { source }
    }
}

fn conflict(differs: &[&str]) -> String {
    if differs.is_empty() {
        return "whose record is not kept any more".to_owned();
    }
    format!("which was launched with another {}", differs.join(", "))
}
