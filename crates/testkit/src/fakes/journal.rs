//! The journal of scripted processes: requests to them and their own actions.

use longhaul_domain::{Signal, SignalTarget, Timestamp};
use longhaul_ports::{AttemptKey, StopRequest};

/// One entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Time of the event.
    pub at: Timestamp,
    /// Attempt that the event belongs to.
    pub key: AttemptKey,
    /// Request or action.
    pub act: FakeCall,
}

/// A request to an attempt, or an action of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeCall {
    /// The start was requested for the first time.
    Ordered,
    /// The start was requested again. No second command was started.
    OrderedAgain,
    /// The command started to run.
    Began,
    /// The command ended, or it became certain that the command will never run.
    Ended,
    /// A stop of the process tree was requested.
    StopAsked(StopRequest),
    /// The process tree was paused.
    Paused,
    /// The process tree was resumed.
    Resumed,
    /// A signal was sent.
    Signalled {
        /// Signal that was sent.
        signal: Signal,
        /// Recipient of the signal: the main process or the whole tree.
        target: SignalTarget,
    },
    /// A later run of the manager adopted the attempt.
    Adopted,
    /// The record of the attempt's exit became durable.
    Settled,
}
