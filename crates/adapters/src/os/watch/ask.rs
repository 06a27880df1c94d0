//! What a watch is asked, and who waits for its answers.

use crate::os::input::{Input, InputError};
use crate::os::look::Sight;
use longhaul_domain::{Signal, SignalTarget, TreeUsage};
use longhaul_ports::{Found, StopOrder};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Answers whether something was done, or why not.
pub(crate) type Answer = oneshot::Sender<Result<(), String>>;

/// Answers what a tree uses, or why that cannot be told.
pub(crate) type UsageAnswer = oneshot::Sender<Result<TreeUsage, String>>;

/// Answers what a look into a tree finds, or why nobody can look.
pub(crate) type LookAnswer = oneshot::Sender<Result<Sight, String>>;

/// What a watch is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// What became of the attempt.
    Find(oneshot::Sender<Result<Found, String>>),
    /// To stop the tree.
    Stop(StopOrder),
    /// To halt the tree.
    Pause(Answer),
    /// To let the tree go on.
    Resume(Answer),
    /// To send a signal.
    Signal(Sent, Answer),
    /// What the tree uses; dropped if nothing of it runs any more.
    Usage(UsageAnswer),
    /// What the tree waits for and listens on; dropped if nothing of it runs any more.
    Look(LookAnswer),
    /// Where to write what the command is to read; dropped if nothing of it runs any more.
    Input(InputAnswer),
    /// To let the input of the command end.
    CloseInput(Answer),
    /// Whether its end is durable in its directory, or would be found again without a record.
    Kept(Answer),
    /// To let go of it: its end is recorded.
    Settle,
}

/// A signal that is to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Which.
    pub(crate) signal: Signal,
    /// To whom.
    pub(crate) target: SignalTarget,
}

/// Answers with the input to write to, or why there is none.
pub(crate) type InputAnswer = oneshot::Sender<Result<Arc<Input>, InputError>>;

/// An order that the shim has not answered yet.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// To halt the tree, for the so many-th time.
    Pause {
        /// Who waits for it.
        asked: Answer,
        /// How often it was tried before.
        tries: u32,
    },
    /// To let it go on.
    Resume(Answer),
    /// To send a signal.
    Signal(Answer),
    /// To let go on what could not be halted as a whole; nobody waits for that.
    Undo,
}

/// Who waits to be told about the tree.
#[derive(Debug)]
pub(super) enum Counter {
    /// What it uses.
    Usage(UsageAnswer),
    /// What it waits for and listens on.
    Look(LookAnswer),
}

impl Counter {
    /// Tells why there is nothing to tell.
    pub(super) fn refuse(self, why: &str) {
        match self {
            Self::Usage(answer) => drop(answer.send(Err(why.to_owned()))),
            Self::Look(answer) => drop(answer.send(Err(why.to_owned()))),
        }
    }
}
