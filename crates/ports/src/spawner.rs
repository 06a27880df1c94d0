//! Port for starting, observing and stopping attempts.

use crate::TreeSnapshot;
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, Capabilities, CommandSpec, Observation, PortHolder, ProcessId, Signal, SignalTarget,
    StartFailure, StopCause, Timestamp, TreeUsage,
};
use std::fmt::Debug;
use std::net::IpAddr;

/// Runs attempts, observes them, and stops them.
///
/// Everything that happens to an attempt, including its start, is reported once by [`next`](Self::next).
#[async_trait]
pub trait Spawner: Debug + Send + Sync + 'static {
    /// Returns the features that this spawner supports.
    fn capabilities(&self) -> Capabilities;

    /// Requests the start of an attempt. `Ok` means that the request was accepted; [`next`](Self::next) later reports
    /// `Spawned`, `SpawnFailed` or `NeverRan`. The call can be repeated safely: an attempt is never started twice, and
    /// the state of a known attempt is reported again.
    ///
    /// # Errors
    /// Returns [`SpawnError::Refused`] if the attempt certainly never ran and never will.
    async fn start(&self, order: StartRequest) -> Result<(), SpawnError>;

    /// Determines the state of an attempt that an earlier run of the manager started. A live attempt is observed from
    /// now on, and [`next`](Self::next) reports later observations. `command` must be the command that the attempt was
    /// started with, because it defines how the attempt is stopped and how much of its output is stored.
    ///
    /// # Errors
    /// Returns [`SpawnError::Unreachable`] if the state cannot be determined now.
    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Adopted, SpawnError>;

    /// Stops the whole process tree of an attempt. If the start is still pending, the tree is stopped after the start.
    /// The call can be repeated safely.
    ///
    /// # Errors
    /// Returns [`SpawnError::Unknown`] if this spawner does not observe the attempt.
    async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError>;

    /// Suspends the whole process tree of an attempt. On `Ok`, no process of the tree is running.
    ///
    /// # Errors
    /// - [`SpawnError::Unknown`] if this spawner does not observe the attempt.
    /// - [`SpawnError::Unreachable`] if the tree could not be suspended.
    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError>;

    /// Resumes a process tree that [`pause`](Self::pause) suspended. Processes that another program suspended stay
    /// suspended.
    ///
    /// # Errors
    /// Returns the errors of [`pause`](Self::pause).
    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError>;

    /// Sends a signal to the main process of a live attempt, or to its whole process tree. A suspended process receives
    /// the signal when it resumes. Supported only if [`Capabilities::signals`] is true.
    ///
    /// # Errors
    /// - [`SpawnError::Unknown`] if this spawner does not observe the attempt.
    /// - [`SpawnError::Unreachable`] if the signal reached no process.
    /// - [`SpawnError::Unsupported`] if this spawner cannot send signals.
    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        let _ = (signal, target);
        Err(SpawnError::Unsupported { key, what: "a signal" })
    }

    /// Returns the current resource usage of the process tree of a live attempt. The usage counts at least one process.
    ///
    /// # Errors
    /// - [`SpawnError::Unknown`] if this spawner does not observe the attempt.
    /// - [`SpawnError::Unreachable`] if the usage cannot be determined.
    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError>;

    /// Inspects the process tree of a live attempt without changing it. The call must be cheap, because the engine
    /// repeats it for every silent command. Supported only if [`Capabilities::inspection`] is true.
    ///
    /// # Errors
    /// - [`SpawnError::Unknown`] if this spawner does not observe the attempt.
    /// - [`SpawnError::Unreachable`] if the tree cannot be inspected now.
    /// - [`SpawnError::Unsupported`] if this spawner cannot inspect trees.
    async fn inspect(&self, key: AttemptKey) -> Result<TreeSnapshot, SpawnError> {
        Err(SpawnError::Unsupported { key, what: "the inspection of its process tree" })
    }

    /// Writes to the standard input of a live attempt whose command was started with `Stdin::Pipe`. Returns the number
    /// of bytes that the pipe accepted: all bytes, or fewer if the command does not read them soon. If `close` is true
    /// and all bytes were accepted, the input is closed. Concurrent writes to one attempt are not interleaved.
    /// Supported only if [`Capabilities::input`] is true.
    ///
    /// # Errors
    /// - [`SpawnError::InputClosed`] if the input is not a pipe, was closed, or has lost its reader.
    /// - [`SpawnError::Unknown`] if this spawner does not observe the attempt.
    /// - [`SpawnError::Unreachable`] if the attempt could not be reached.
    /// - [`SpawnError::Unsupported`] if this spawner cannot write to inputs.
    async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError> {
        let _ = (bytes, close);
        Err(SpawnError::Unsupported { key, what: "a pipe as standard input" })
    }

    /// Returns the process that listens on a TCP port of this machine, so that a program cannot listen on one of the
    /// `addresses`. If `addresses` is empty, each address counts. Returns `None` if no process listens on such an
    /// address, if the process cannot be determined, or if several processes listen.
    async fn port_holder(&self, port: u16, addresses: &[IpAddr]) -> Option<PortHolder> {
        let _ = (port, addresses);
        None
    }

    /// Publishes the end of this node's lease to every [leased](StartRequest::leased) attempt, and returns when all of
    /// these attempts can read it. The engine calls this after every renewal; in a store whose leases never end, it
    /// calls this one time. The call cannot fail: an attempt that misses a renewal stops too early, never too late.
    async fn set_lease_end(&self, until: LeaseEnd) {
        let _ = until;
    }

    /// Waits for the next observation. Each observation is returned once; the observations of one attempt are in order.
    async fn next(&self) -> SpawnerEvent;

    /// Returns true if the spawner will report the end of an attempt again even after a crash of the manager or the
    /// machine. Only then may the end be published before a store has recorded it. If the exit was not observed, the
    /// repeated report may contain another reason. A spawner that keeps no records of its own returns false.
    async fn exit_is_durable(&self, _key: AttemptKey) -> bool {
        false
    }

    /// Reports to the spawner that the end of the attempt is durable in the store. The spawner may then delete its
    /// files of the attempt, except the output.
    async fn end_recorded(&self, key: AttemptKey);
}

/// Identity of one attempt of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// Id of the process.
    pub id: ProcessId,
    /// Number of the attempt.
    pub attempt: AttemptNo,
}

/// A request to start an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Attempt that is to be started.
    pub key: AttemptKey,
    /// Command that the attempt executes, as requested by the caller.
    pub command: CommandSpec,
    /// Complete environment of the command, as names and values.
    pub environment: Vec<(String, String)>,
    /// True if the process runs again on another node after the loss of this node. If commands outlive their manager,
    /// the supervisor of this attempt must stop it when the lease ends, as for [`StopCause::Limit`].
    pub leased: bool,
}

/// The end of a node's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// The lease does not end, because leases never end in this store, or because the node has left the cluster and
    /// keeps its processes.
    Never,
    /// The lease ends at this time unless it is renewed.
    At(Timestamp),
}

/// A request to stop an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// Reason for the stop.
    pub cause: StopCause,
    /// True to kill the tree immediately, without a grace period.
    pub force: bool,
}

/// An observation of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnerEvent {
    /// Process that was observed.
    pub id: ProcessId,
    /// The observation, which includes the number of the attempt.
    pub observation: Observation,
}

/// State of an attempt that an earlier run of the manager started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// The attempt is alive and observed from now on. The value is the observation of its start.
    Alive(Observation),
    /// The attempt is over. The value is `Exited`, `SpawnFailed`, `NeverRan` or `SupervisorLost`.
    Over(Observation),
}

/// An error of a spawner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The attempt certainly never ran and never will.
    #[error("the command cannot be started: {}", failure.detail)]
    Refused {
        /// Reason for the refusal.
        failure: StartFailure,
    },
    /// This spawner does not observe the attempt.
    #[error("attempt {} of process {} is not supervised by this manager", key.attempt, key.id)]
    Unknown {
        /// Attempt that the call was for.
        key: AttemptKey,
    },
    /// The attempt could not be reached; a later call may succeed.
    #[error("attempt {} of process {} cannot be reached: {what}", key.attempt, key.id)]
    Unreachable {
        /// Attempt that the call was for.
        key: AttemptKey,
        /// Description of the failure.
        what: String,
    },
    /// The standard input of the attempt cannot be written to.
    #[error("the standard input of attempt {} of process {} is closed", key.attempt, key.id)]
    InputClosed {
        /// Attempt that the call was for.
        key: AttemptKey,
    },
    /// This spawner does not support the operation.
    #[error("attempt {} of process {} runs on a node that does not support {what}", key.attempt, key.id)]
    Unsupported {
        /// Attempt that the call was for.
        key: AttemptKey,
        /// Unsupported feature, as a noun phrase.
        what: &'static str,
    },
}
