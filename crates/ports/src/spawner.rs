//! What runs commands.

use crate::TreeSnapshot;
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, Capabilities, CommandSpec, Observation, ProcessId, Signal, SignalTarget, StartFailure,
    StopCause, Timestamp, TreeUsage,
};
use std::fmt::Debug;

/// Runs attempts, watches them, and stops them.
///
/// Everything that happens to an attempt, its start included, comes back through [`next`](Self::next), once.
#[async_trait]
pub trait Spawner: Debug + Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Starts an attempt; safe to ask again: one that was started before is not started twice, and is reported as it
    /// is. `Ok` means that the order was taken; `Spawned`, `SpawnFailed` or `NeverRan` follows.
    ///
    /// # Errors
    /// [`SpawnError::Refused`] if it surely never ran and never will.
    async fn start(&self, order: StartRequest) -> Result<(), SpawnError>;

    /// Finds out what became of an attempt that another life of this manager started, and watches it from here on if
    /// it is alive; what follows comes through [`next`](Self::next). `command` is the one that it was started with: how
    /// it is stopped and how much of its output is kept are the same after a restart of the manager.
    ///
    /// # Errors
    /// [`SpawnError::Unreachable`] if it cannot be told now.
    async fn adopt(&self, key: AttemptKey, command: &CommandSpec) -> Result<Adopted, SpawnError>;

    /// Stops the whole tree of an attempt; asked before the start is answered, it takes effect then. Safe to ask again.
    ///
    /// # Errors
    /// [`SpawnError::Unknown`] if it is not watched here.
    async fn stop(&self, key: AttemptKey, order: StopRequest) -> Result<(), SpawnError>;

    /// Halts the whole tree. On `Ok` none of it runs.
    ///
    /// # Errors
    /// [`SpawnError::Unknown`] if it is not watched here, [`SpawnError::Unreachable`] if it could not be halted.
    async fn pause(&self, key: AttemptKey) -> Result<(), SpawnError>;

    /// Lets a tree go on that [`pause`](Self::pause) halted; one that it did not halt is left as it is.
    ///
    /// # Errors
    /// As [`pause`](Self::pause).
    async fn resume(&self, key: AttemptKey) -> Result<(), SpawnError>;

    /// Sends a signal to the main process of a live attempt, or to its whole tree; one that is halted gets it when it goes
    /// on. Only where [`Capabilities::signals`] is true.
    ///
    /// # Errors
    /// [`SpawnError::Unknown`] if it is not watched here, [`SpawnError::Unreachable`] if nobody got it,
    /// [`SpawnError::Unsupported`] where none are sent.
    async fn signal(&self, key: AttemptKey, signal: Signal, target: SignalTarget) -> Result<(), SpawnError> {
        let _ = (signal, target);
        Err(SpawnError::Unsupported { key, what: "a signal" })
    }

    /// What the tree of a live attempt uses at this moment: at least one process.
    ///
    /// # Errors
    /// [`SpawnError::Unknown`] if it is not watched here, [`SpawnError::Unreachable`] if it cannot be told.
    async fn usage(&self, key: AttemptKey) -> Result<TreeUsage, SpawnError>;

    /// Looks into the tree of a live attempt. It changes nothing there, and is asked for every silent command now and
    /// then: it has to be cheap. Only where [`Capabilities::looks`] is true.
    ///
    /// # Errors
    /// [`SpawnError::Unknown`] if it is not watched here, [`SpawnError::Unreachable`] if it cannot be told,
    /// [`SpawnError::Unsupported`] where it is never told.
    async fn look(&self, key: AttemptKey) -> Result<TreeSnapshot, SpawnError> {
        Err(SpawnError::Unsupported { key, what: "inspection of its tree" })
    }

    /// Writes to the standard input of a live attempt whose command was started with `Stdin::Pipe`, and tells how many
    /// bytes its pipe took: all, or fewer if nobody reads them soon. With `close` and all bytes taken, the input ends
    /// there. Writes of one attempt do not mix. Only where [`Capabilities::input`] is true.
    ///
    /// # Errors
    /// [`SpawnError::InputClosed`] if its input is no pipe, was closed, or has no reader any more;
    /// [`SpawnError::Unknown`] if it is not watched here, [`SpawnError::Unreachable`] if it could not be reached,
    /// [`SpawnError::Unsupported`] where it can never be done.
    async fn write_input(&self, key: AttemptKey, bytes: Vec<u8>, close: bool) -> Result<usize, SpawnError> {
        let _ = (bytes, close);
        Err(SpawnError::Unsupported { key, what: "a pipe as standard input" })
    }

    /// Takes in how long the lease of this node lasts, and returns when every [leased](StartRequest::leased) attempt can know
    /// it: told at every prolongation, and once by a manager of a store whose leases never end. It cannot fail: attempts
    /// that do not hear of it end too early, never too late.
    async fn set_lease_end(&self, until: LeaseEnd) {
        let _ = until;
    }

    /// Parks until something was seen of an attempt. Each is handed out once, in order per attempt.
    async fn next(&self) -> SpawnerEvent;

    /// Whether the end that was told of an attempt will be told again whatever becomes of this manager and its machine:
    /// only then may somebody hear of it before a store has it. Of one that nobody saw, the reason may be another one then.
    /// A spawner that keeps no record of its own says no.
    async fn exit_is_durable(&self, _key: AttemptKey) -> bool {
        false
    }

    /// The record of this end is durable: the spawner may let go of what it holds for it, but not of its output.
    async fn settled(&self, key: AttemptKey);
}

/// One attempt of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The process.
    pub id: ProcessId,
    /// The attempt.
    pub attempt: AttemptNo,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRequest {
    /// Which attempt.
    pub key: AttemptKey,
    /// The command as it was asked for.
    pub command: CommandSpec,
    /// Its whole environment, as it shall be.
    pub environment: Vec<(String, String)>,
    /// It runs again elsewhere once this node is lost: where commands outlive their manager, this one has to be stopped at
    /// the end of the lease by whoever watches it then, as by [`StopCause::Limit`].
    pub leased: bool,
}

/// How long the lease of a node lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// It does not end: the store has no such leases, or the node has left in good order and keeps what it owns.
    Never,
    /// Until then, unless it is prolonged.
    At(Timestamp),
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// Why.
    pub cause: StopCause,
    /// Kill at once instead of asking first.
    pub force: bool,
}

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpawnerEvent {
    /// Of which process.
    pub id: ProcessId,
    /// What; it names the attempt.
    pub observation: Observation,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// It is alive and watched; its start was seen so.
    Alive(Observation),
    /// It is over: `Exited`, `SpawnFailed`, `NeverRan`, or `SupervisorLost`.
    Over(Observation),
}

/// Why a spawner did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// It surely never ran and never will.
    #[error("the command cannot be started: {}", failure.detail)]
    Refused {
        /// Why.
        failure: StartFailure,
    },
    /// It is not watched here.
    #[error("attempt {} of {} is not supervised here", key.attempt, key.id)]
    Unknown {
        /// Which.
        key: AttemptKey,
    },
    /// It could not be reached; asking again may help.
    #[error("attempt {} of {} cannot be reached: {what}", key.attempt, key.id)]
    Unreachable {
        /// Which.
        key: AttemptKey,
        /// What failed.
        what: String,
    },
    /// Nothing can be written to its standard input.
    #[error("the input of attempt {} of {} is closed", key.attempt, key.id)]
    InputClosed {
        /// Which.
        key: AttemptKey,
    },
    /// This spawner never does it.
    #[error("attempt {} of {} runs on a node that does not support {what}", key.attempt, key.id)]
    Unsupported {
        /// Which.
        key: AttemptKey,
        /// What was asked.
        what: &'static str,
    },
}
