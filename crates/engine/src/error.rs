//! Errors of the engine.

use longhaul_domain::{NodeId, ProcessId, ProcessName, Rejection, Revision, SessionId, Status};
use longhaul_ports::{
    ArtifactError, EnvironmentStoreError, OutputError, SignatureError, StoreError, StoreRejection,
};
use std::fmt;
use std::time::Duration;

/// Error of an engine operation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The reference of the caller matches no process.
    #[error("there is no process with the name or id {reference:?}")]
    NotFound {
        /// The reference to a process that the caller gave.
        reference: String,
    },
    /// The reference of the caller matches several processes.
    #[error("{reference:?} matches {} processes", candidates.len())]
    Ambiguous {
        /// The reference to a process that the caller gave.
        reference: String,
        /// The field that the reference was compared with.
        by: ReferenceField,
        /// The matching processes, newest first; at most ten.
        candidates: Vec<Candidate>,
    },
    /// No process of the caller's session has that name, but processes of other sessions do.
    #[error("session {:?} has no process with the name or id {reference:?}", session.as_str())]
    OtherSessions {
        /// The name that the caller gave.
        reference: String,
        /// The session of the caller.
        session: SessionId,
        /// The processes with that name, newest first; at most ten.
        candidates: Vec<Candidate>,
    },
    /// The domain rules reject the action.
    #[error("{rejection}")]
    Rejected {
        /// The process to which the action was addressed.
        id: ProcessId,
        /// The reason why the request was rejected.
        #[source]
        rejection: Rejection,
    },
    /// A guard of the store rejects the operation.
    #[error("{refusal}")]
    Refused {
        /// The reason why the request was rejected.
        #[source]
        refusal: StoreRejection,
    },
    /// The launch signature of the process is missing or invalid.
    #[error("the launch of process {id} is not trusted: {fault}")]
    UntrustedLaunch {
        /// The process whose launch signature is missing or invalid.
        id: ProcessId,
        /// The reason why the launch is not trusted.
        #[source]
        fault: SignatureError,
    },
    /// The launch key belongs to a process that was launched with other parameters.
    #[error("the launch key {key:?} belongs to process {holder}, {}", conflict(differs))]
    KeyConflict {
        /// The launch key of the request.
        key: String,
        /// The process that has the launch key.
        holder: ProcessId,
        /// Names of the parameters that differ. Empty if the record was pruned, so that nothing can be compared or
        /// shown.
        differs: Vec<&'static str>,
    },
    /// The process with this launch key has ended, and its record was pruned.
    #[error("process {id} was launched with the launch key {key:?}; it has ended and its record was pruned")]
    LaunchPruned {
        /// The key.
        key: String,
        /// The process.
        id: ProcessId,
    },
    /// The revision that the caller expected is out of date.
    #[error("process {id} has changed: its revision is now {found}")]
    RevisionMoved {
        /// The process that has changed.
        id: ProcessId,
        /// The current revision of the process.
        found: Revision,
    },
    /// The request is not valid.
    #[error("invalid {what}: {why}")]
    Invalid {
        /// Name of the invalid part of the request.
        what: &'static str,
        /// The reason why the part is invalid.
        why: String,
        /// Advice on how to correct the request.
        help: Option<String>,
    },
    /// The output cannot be read.
    #[error("the output cannot be read")]
    Output {
        /// The error that the output log returned.
        #[source]
        source: OutputError,
    },
    /// The artifacts cannot be read.
    #[error("the artifacts cannot be read")]
    Artifacts {
        /// The error that the artifact store returned.
        #[source]
        source: ArtifactError,
    },
    /// The captured environment cannot be stored.
    #[error("the captured environment cannot be stored")]
    EnvironmentStore {
        /// The error that the environment store returned.
        #[source]
        source: EnvironmentStoreError,
    },
    /// The store failed to execute the operation.
    #[error("the store failed")]
    Store {
        /// The error that the store returned.
        #[source]
        source: StoreError,
    },
    /// The standard input of the process cannot be written.
    #[error("process {id} accepts no input: {refusal}")]
    InputRefused {
        /// The process to which the input was to be written.
        id: ProcessId,
        /// The reason why the process accepts no input.
        #[source]
        refusal: InputRefusal,
    },
    /// The launch has a captured environment, but its process may run on another node. Captured environments are stored
    /// only on this node.
    #[error("a captured environment is stored only on node {here}, but this launch may run on another node")]
    EnvironmentNotPortable {
        /// The node on which the environment would be stored.
        here: NodeId,
    },
    /// The caller requested an immediate start. It is impossible now, even if slots are free.
    #[error("the process cannot start now: {standstill}")]
    CannotStartNow {
        /// The reason why no immediate start is possible.
        standstill: LaunchBlocked,
    },
    /// No node has the name that the caller gave.
    #[error("there is no node with the name {node}")]
    NodeUnknown {
        /// The name that the caller gave.
        node: NodeId,
    },
    /// The node is present, or its lease has not expired yet, so the operation is not allowed.
    #[error("node {node} cannot be forgotten, because it is present or may still return")]
    NodeAlive {
        /// The node that the caller named.
        node: NodeId,
    },
    /// The store is a local store, whose only node cannot be drained.
    #[error("node {node} is the only node of its store and cannot be drained")]
    DrainUnsupported {
        /// The node that the caller named.
        node: NodeId,
    },
    /// A stop is being carried out, but the store cannot record it.
    #[error("process {id} {reached}; its record will be updated when the store accepts writes")]
    StopUnrecorded {
        /// The process that is being stopped.
        id: ProcessId,
        /// How far the stop has progressed.
        reached: StopReach,
        /// The error that the store returned.
        #[source]
        source: StoreError,
    },
    /// An error of the store aborted a reset after part of the work was done.
    #[error("the reset is incomplete (processes that are stopping: {}, deleted processes: {})", stopped.len(), removed)]
    ResetUnfinished {
        /// The processes that received a stop request, oldest first.
        stopped: Vec<ProcessId>,
        /// Number of records that were deleted.
        removed: u64,
        /// The error that the store returned.
        #[source]
        source: StoreError,
    },
    /// A bug in longhaul. The request was abandoned; other requests are not affected.
    #[error("internal error: {what}")]
    Broken {
        /// Description of the bug, such as the panic message.
        what: String,
    },
    /// A reset is running, and nothing new is accepted until it has ended.
    #[error("a reset of the manager is in progress")]
    ResetInProgress,
    /// The manager is shutting down and accepts nothing new.
    #[error("the manager is shutting down")]
    ShuttingDown,
}

/// Reason why a process accepts no input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputRefusal {
    /// The process was not launched with a pipe as its standard input, or it is not a command.
    #[error("the command was not launched with a pipe as standard input")]
    NoPipe,
    /// The command is not running.
    #[error("the process is {status}")]
    NotRunning {
        /// Status of the process.
        status: Status,
    },
    /// The command runs on another node.
    #[error("the process runs on node {node}")]
    Elsewhere {
        /// The node that runs the command.
        node: NodeId,
    },
    /// The standard input was closed, or no program is reading it any more.
    #[error("the standard input of the process is closed")]
    Closed,
    /// The command could not be reached; a retry may succeed.
    #[error("the standard input of the process cannot be reached: {what}")]
    Unreachable {
        /// Description of the failure to reach the command.
        what: String,
    },
}

/// Reason why a process cannot start immediately, even if slots are free.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchBlocked {
    /// The node is draining.
    #[error("node {node} is draining and starts no processes")]
    Drains {
        /// The draining node.
        node: NodeId,
    },
    /// The store had lost data, and other nodes may not have restored their records yet.
    #[error(
        "the store has lost data, and no process starts until all nodes have had time to restore their records"
    )]
    Settles,
    /// The placement of the process excludes the node that received the request.
    #[error("another node will start the process at its next claim")]
    Elsewhere,
}

/// Progress of a stop that could not be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReach {
    /// The process and its descendants received a stop request.
    Told,
    /// The process had already ended.
    Ended,
}

impl fmt::Display for StopReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Told => "received a stop request",
            Self::Ended => "has ended",
        })
    }
}

/// The field that a process reference was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceField {
    /// The reference is the first characters of a process id.
    IdPrefix,
    /// The reference is the name of a process.
    Name,
    /// The reference is the id of an agent.
    Agent,
}

/// A process that matches an ambiguous reference, with facts that distinguish it from the other matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Id of the process.
    pub id: ProcessId,
    /// Name of the process.
    pub name: Option<ProcessName>,
    /// Current status of the process.
    pub status: Status,
    /// Session of the process.
    pub session: Option<SessionId>,
    /// Time since the process was accepted.
    pub age: Duration,
    /// Working directory of the command; `None` for reported work.
    pub directory: Option<String>,
    /// Program and arguments of the command; empty for reported work.
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
        return "whose record was pruned".to_owned();
    }
    format!("which was launched with another {}", differs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};

    #[test]
    fn launch_key_conflict_names_the_differences_or_says_that_they_are_unknown() {
        let id = waiting(1, command()).process.id;
        let said =
            |differs| EngineError::KeyConflict { key: "k".to_owned(), holder: id, differs }.to_string();
        assert_eq!(
            said(vec!["name", "command"]),
            format!(
                "the launch key \"k\" belongs to process {id}, which was launched with another name, command"
            )
        );
        assert_eq!(
            said(Vec::new()),
            format!("the launch key \"k\" belongs to process {id}, whose record was pruned")
        );
    }

    #[test]
    fn stop_without_a_record_says_how_far_it_got() {
        assert_eq!(StopReach::Told.to_string(), "received a stop request");
        assert_eq!(StopReach::Ended.to_string(), "has ended");
    }
}
