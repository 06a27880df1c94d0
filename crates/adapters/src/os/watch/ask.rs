//! What a watch is asked, and who waits for its answers.

use crate::os::input::{CommandInput, InputError};
use crate::os::inspect::CachedSnapshot;
use longhaul_domain::{Signal, SignalTarget, TreeUsage};
use longhaul_ports::{Adopted, StopRequest};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Answers whether something was done, or why not.
pub(crate) type DoneReply = oneshot::Sender<Result<(), String>>;

/// Answers what a tree uses, or why that cannot be told.
pub(crate) type UsageAnswer = oneshot::Sender<Result<TreeUsage, String>>;

/// Answers what a look into a tree finds, or why nobody can look.
pub(crate) type InspectReply = oneshot::Sender<Result<CachedSnapshot, String>>;

/// What a watch is asked.
#[derive(Debug)]
pub(crate) enum AttemptRequest {
    /// What became of the attempt.
    Find(oneshot::Sender<Result<Adopted, String>>),
    /// To stop the tree.
    Stop(StopRequest),
    /// To halt the tree.
    Pause(DoneReply),
    /// To let the tree go on.
    Resume(DoneReply),
    /// To send a signal.
    Signal(PendingSignal, DoneReply),
    /// What the tree uses; dropped if nothing of it runs any more.
    Usage(UsageAnswer),
    /// What the tree waits for and listens on; dropped if nothing of it runs any more.
    Look(InspectReply),
    /// Where to write what the command is to read; dropped if nothing of it runs any more.
    Input(InputAnswer),
    /// To let the input of the command end.
    CloseInput(DoneReply),
    /// Whether its end is durable in its directory, or would be found again without a record.
    Kept(DoneReply),
    /// To let go of it: its end is recorded.
    Settle,
}

/// A signal that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingSignal {
    /// Which.
    pub(crate) signal: Signal,
    /// To whom.
    pub(crate) target: SignalTarget,
}

/// Answers with the input to write to, or why there is none.
pub(crate) type InputAnswer = oneshot::Sender<Result<Arc<CommandInput>, InputError>>;

/// An order that the shim has not answered yet.
#[derive(Debug)]
pub(super) enum OutstandingRequest {
    /// To halt the tree, for the so many-th time.
    Pause {
        /// Who waits for it.
        asked: DoneReply,
        /// How often it was tried before.
        tries: u32,
    },
    /// To let it go on.
    Resume(DoneReply),
    /// To send a signal.
    Signal(DoneReply),
    /// To let go on what could not be halted as a whole; nobody waits for that.
    Undo,
}

/// Who waits to be told about the tree.
#[derive(Debug)]
pub(super) enum TreeUsageWaiter {
    /// What it uses.
    Usage(UsageAnswer),
    /// What it waits for and listens on.
    Look(InspectReply),
}

impl TreeUsageWaiter {
    /// Tells why there is nothing to tell.
    pub(super) fn refuse(self, why: &str) {
        match self {
            Self::Usage(answer) => drop(answer.send(Err(why.to_owned()))),
            Self::Look(answer) => drop(answer.send(Err(why.to_owned()))),
        }
    }
}
