//! What was asked of scripted children, and what they did.

use longhaul_domain::{Signal, SignalTarget, Timestamp};
use longhaul_ports::{AttemptKey, StopRequest};

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// Of which attempt.
    pub key: AttemptKey,
    /// What.
    pub act: FakeCall,
}

/// What was asked of an attempt, or what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeCall {
    /// Its start was ordered for the first time.
    Ordered,
    /// Its start was ordered again; nothing was started.
    OrderedAgain,
    /// Its command began to run.
    Began,
    /// Its command ended, or it became certain that it will never run.
    Ended,
    /// Its tree was asked to end.
    StopAsked(StopRequest),
    /// Its tree was halted.
    Paused,
    /// Its tree went on.
    Resumed,
    /// It got a signal.
    Signalled {
        /// Which.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
    /// Another life of the manager asked what became of it.
    Adopted,
    /// The record of its end is durable.
    Settled,
}
