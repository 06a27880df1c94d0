//! Requests to a watch, and the callers that are waiting for the answers.

use crate::os::input::{CommandInput, InputError};
use crate::os::inspect::CachedSnapshot;
use longhaul_domain::{Signal, SignalTarget, TreeUsage};
use longhaul_ports::{Adopted, StopRequest};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Reply channel for an action: success, or the reason for failure.
pub(crate) type DoneReply = oneshot::Sender<Result<(), String>>;

/// Reply channel for the resource usage of a process tree, or the reason why it is unknown.
pub(crate) type UsageAnswer = oneshot::Sender<Result<TreeUsage, String>>;

/// Reply channel for the inspection of a process tree, or the reason why it failed.
pub(crate) type InspectReply = oneshot::Sender<Result<CachedSnapshot, String>>;

/// Request to a watch.
#[derive(Debug)]
pub(crate) enum AttemptRequest {
    /// Report the state of the attempt.
    Find(oneshot::Sender<Result<Adopted, String>>),
    /// Stop all processes of the tree.
    Stop(StopRequest),
    /// Pause all processes of the tree.
    Pause(DoneReply),
    /// Resume all processes of the tree.
    Resume(DoneReply),
    /// Send a signal.
    Signal(PendingSignal, DoneReply),
    /// Report the resource usage of the tree. If the tree is empty, the channel is closed without an answer.
    Usage(UsageAnswer),
    /// Finds out which processes of the tree wait for input, and on which ports they listen. If the tree has no
    /// processes, the channel is closed without an answer.
    Look(InspectReply),
    /// Return the standard input of the command. If the tree is empty, the channel is closed without an answer.
    Input(InputAnswer),
    /// Close the standard input of the command.
    CloseInput(DoneReply),
    /// Confirm that the end of the attempt survives a crash: it is durable in the attempt directory, or a new
    /// examination of the directory would find it again.
    Kept(DoneReply),
    /// End the watch, because the end of the attempt is stored.
    Settle,
}

/// A signal to send, and its target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingSignal {
    pub(crate) signal: Signal,
    pub(crate) target: SignalTarget,
}

/// Reply channel for the standard input of a command, or the reason why the input cannot be written.
pub(crate) type InputAnswer = oneshot::Sender<Result<Arc<CommandInput>, InputError>>;

/// A request that the shim has not answered yet.
#[derive(Debug)]
pub(super) enum OutstandingRequest {
    /// Pause all processes of the tree.
    Pause {
        /// Reply channel of the caller.
        asked: DoneReply,
        /// Number of earlier tries of this pause.
        tries: u32,
    },
    /// Resume all processes of the tree.
    Resume(DoneReply),
    /// Send a signal.
    Signal(DoneReply),
    /// Resume a tree that was only partly paused. No caller is waiting for the answer.
    Undo,
}

/// A caller that is waiting for data about the process tree.
#[derive(Debug)]
pub(super) enum TreeUsageWaiter {
    /// Receives the resource usage.
    Usage(UsageAnswer),
    /// Receives the result of an inspection of inputs and ports.
    Look(InspectReply),
}

impl TreeUsageWaiter {
    /// Answers with the reason why the data is not available.
    pub(super) fn refuse(self, why: &str) {
        match self {
            Self::Usage(answer) => drop(answer.send(Err(why.to_owned()))),
            Self::Look(answer) => drop(answer.send(Err(why.to_owned()))),
        }
    }
}
