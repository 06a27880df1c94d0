//! What can happen to a process: commands are asked, observations are seen, a tick is time passing.

use crate::condition::Condition;
use crate::ending::{Exit, Interruption, StartFailure, StopCause};
use crate::id::{AttemptNo, NodeId, Priority};
use crate::json::JsonText;
use crate::progress::ProgressReport;
use crate::retry::RandomBits;
use crate::signal::{Signal, SignalTarget};
use crate::spec::SessionPolicy;
use crate::state::Containment;
use crate::time::{AwakeTime, Timestamp};

/// Everything that can happen to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Someone asks for something.
    Action(Action),
    /// Something was seen.
    Observation(Observation),
    /// A deadline may have passed.
    Tick,
}

/// What someone asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The worker reports.
    Progress(ProgressReport),
    /// The reporter says that the work is done.
    Complete {
        /// What came of it.
        result: Option<JsonText>,
    },
    /// The reporter says that the work failed.
    Fail {
        /// Why.
        error: String,
    },
    /// End it, gracefully.
    Cancel {
        /// Who asks.
        cause: StopCause,
    },
    /// End it now.
    Force {
        /// Who asks.
        cause: StopCause,
    },
    /// End it and all processes below it; none can join them any more.
    Terminate {
        /// Who asks.
        cause: StopCause,
        /// Without a grace.
        force: bool,
    },
    /// Halt it with everything that its command started.
    Pause,
    /// Let it go on.
    Resume,
    /// Run an ended one again, as a new process.
    Restart,
    /// Do not wait for the retry any longer.
    RetryNow,
    /// Move it in its queue.
    Prioritize {
        /// How urgent it is from now on.
        priority: Priority,
    },
    /// Send a signal to its command, once at most.
    Signal {
        /// Which.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
    /// Its session ended.
    ///
    /// A session is a label that may be used again: who joins it later is not concerned by an end before, and every end
    /// is asked of whoever is in it then. Of several graces the one that is over first counts. To keep it in so many
    /// words takes a grace back; a stop under way goes on.
    EndSession {
        /// What to do instead of what it declared.
        policy: Option<SessionPolicy>,
    },
}

/// What someone asked for, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// [`Action::Progress`].
    Progress,
    /// [`Action::Complete`].
    Complete,
    /// [`Action::Fail`].
    Fail,
    /// [`Action::Cancel`].
    Cancel,
    /// [`Action::Force`].
    Force,
    /// [`Action::Pause`].
    Pause,
    /// [`Action::Resume`].
    Resume,
    /// [`Action::Restart`].
    Restart,
    /// [`Action::RetryNow`].
    RetryNow,
    /// [`Action::Terminate`].
    Terminate,
    /// [`Action::Prioritize`].
    Prioritize,
    /// [`Action::Signal`].
    Signal,
    /// [`Action::EndSession`].
    EndSession,
}

impl Action {
    /// Its name.
    #[must_use]
    pub const fn verb(&self) -> ActionKind {
        match self {
            Self::Progress(_) => ActionKind::Progress,
            Self::Complete { .. } => ActionKind::Complete,
            Self::Fail { .. } => ActionKind::Fail,
            Self::Cancel { .. } => ActionKind::Cancel,
            Self::Force { .. } => ActionKind::Force,
            Self::Pause => ActionKind::Pause,
            Self::Resume => ActionKind::Resume,
            Self::Restart => ActionKind::Restart,
            Self::RetryNow => ActionKind::RetryNow,
            Self::Terminate { .. } => ActionKind::Terminate,
            Self::Prioritize { .. } => ActionKind::Prioritize,
            Self::Signal { .. } => ActionKind::Signal,
            Self::EndSession { .. } => ActionKind::EndSession,
        }
    }
}

impl ActionKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::Complete => "complete",
            Self::Fail => "fail",
            Self::Cancel => "cancel",
            Self::Force => "force",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Restart => "restart",
            Self::RetryNow => "retry",
            Self::Terminate => "terminate",
            Self::Prioritize => "prioritize",
            Self::Signal => "signal",
            Self::EndSession => "end the session of",
        }
    }
}

/// An order that is left for the owner of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingAction {
    /// [`Action::Cancel`].
    Cancel {
        /// Who asks.
        cause: StopCause,
    },
    /// [`Action::Force`].
    Force {
        /// Who asks.
        cause: StopCause,
    },
    /// [`Action::Pause`].
    Pause,
    /// [`Action::Resume`].
    Resume,
    /// [`Action::RetryNow`].
    RetryNow,
    /// [`Action::Terminate`].
    Terminate {
        /// Who asks.
        cause: StopCause,
        /// Without a grace.
        force: bool,
    },
    /// [`Action::Signal`].
    Signal {
        /// Which.
        signal: Signal,
        /// To whom.
        target: SignalTarget,
    },
    /// [`Action::EndSession`].
    EndSession {
        /// What to do instead of what it declared.
        policy: Option<SessionPolicy>,
    },
}

impl PendingAction {
    /// Whether it asks for the end of the process.
    #[must_use]
    pub const fn ends(&self) -> bool {
        match self {
            Self::Cancel { .. } | Self::Force { .. } | Self::Terminate { .. } | Self::EndSession { .. } => {
                true
            }
            Self::Pause | Self::Resume | Self::RetryNow | Self::Signal { .. } => false,
        }
    }

    /// The command that it stands for.
    #[must_use]
    pub const fn command(self) -> Action {
        match self {
            Self::Cancel { cause } => Action::Cancel { cause },
            Self::Force { cause } => Action::Force { cause },
            Self::Pause => Action::Pause,
            Self::Resume => Action::Resume,
            Self::RetryNow => Action::RetryNow,
            Self::Terminate { cause, force } => Action::Terminate { cause, force },
            Self::Signal { signal, target } => Action::Signal { signal, target },
            Self::EndSession { policy } => Action::EndSession { policy },
        }
    }
}

/// What was seen. One that comes too late or for another attempt changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A store gave it to a node.
    Claimed {
        /// The attempt that begins.
        attempt: AttemptNo,
        /// The node.
        node: NodeId,
    },
    /// Its owner is gone and the grace after its lease is over.
    OwnerLost,
    /// Someone left an order for its owner.
    ActionRequested(PendingAction),
    /// Its command was started.
    Spawned {
        /// Of this attempt.
        attempt: AttemptNo,
        /// The process id, if it has one.
        pid: Option<u32>,
        /// What keeps its descendants together.
        containment: Option<Containment>,
        /// When it began.
        at: Timestamp,
    },
    /// Its command could not be started.
    SpawnFailed {
        /// Of this attempt.
        attempt: AttemptNo,
        /// Why.
        failure: StartFailure,
    },
    /// The attempt provably never ran.
    NeverRan {
        /// This attempt.
        attempt: AttemptNo,
    },
    /// The attempt does not run, because an earlier one did, of which the record knows nothing: its store lost that. The
    /// policy of the process allows no further run.
    AlreadyRan {
        /// This attempt.
        attempt: AttemptNo,
        /// The latest attempt that ran.
        earlier: AttemptNo,
        /// How that one exited; none if its end was not seen.
        exit: Option<Exit>,
    },
    /// Its command exited, and its tree is empty unless what it leaves behind is kept.
    Exited {
        /// Of this attempt.
        attempt: AttemptNo,
        /// How.
        exit: Exit,
    },
    /// Nobody can tell how it ended: its supervisor is gone.
    SupervisorLost {
        /// Of this attempt.
        attempt: AttemptNo,
        /// Why the end was not seen.
        why: Interruption,
    },
    /// Its node is gone, or was started anew.
    NodeLost {
        /// What happened to the node.
        why: Interruption,
    },
    /// The reporter gave no sign of life for its heartbeat.
    HeartbeatMissed {
        /// The last one.
        last: Timestamp,
    },
    /// None of its descendants lives any more.
    DescendantsEnded,
    /// A pause could not be carried out.
    PauseFailed {
        /// Of this attempt.
        attempt: AttemptNo,
    },
    /// A condition began or is over. It is told of running work; reported work can only be idle or stalled.
    ConditionObserved {
        /// Of this attempt.
        attempt: AttemptNo,
        /// Which.
        condition: Condition,
        /// Whether it holds now.
        holds: bool,
        /// Since when.
        at: Timestamp,
    },
    /// A line of the output matches a pattern that its launch asked to watch for.
    OutputMatched {
        /// Of this attempt.
        attempt: AttemptNo,
        /// The name of the pattern.
        pattern: String,
        /// The offset in the output at which the line begins.
        offset: u64,
        /// The line, without control characters and cut where it is long.
        line: String,
        /// When it was read.
        at: Timestamp,
    },
}

/// What a decision may know of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionContext {
    /// Steady time.
    pub now: Timestamp,
    /// Awake time.
    pub awake: AwakeTime,
    /// Random bits.
    pub chance: RandomBits,
    /// What the spawner can do.
    pub capabilities: Capabilities,
}

/// What a spawner can do; the rules refuse what is missing instead of pretending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Halt a whole tree and let it go on.
    pub pause: bool,
    /// Send signals: a stop sends the signal of the launch and kills after the grace, and an exit names the last one.
    pub signals: bool,
    /// Tell any exit code from 0 to 255; without this, an exit is 0 for success and something else for failure.
    pub exit_codes: bool,
    /// Keep stdout and stderr apart.
    pub separate_stderr: bool,
    /// Commands have a process id on this machine.
    pub pid: bool,
    /// Work outlives the manager: its next life finds what still runs, how the rest ended, and what never ran.
    pub survives: bool,
    /// Write to the standard input of a command.
    pub input: bool,
    /// Look into the tree of a command: whether it waits for input, and where it listens.
    pub inspection: bool,
}

impl Capabilities {
    /// All of them.
    pub const ALL: Self = Self {
        pause: true,
        signals: true,
        exit_codes: true,
        separate_stderr: true,
        pid: true,
        survives: true,
        input: true,
        inspection: true,
    };

    /// None of them: it starts and stops what it runs, and that is all.
    pub const NONE: Self = Self {
        pause: false,
        signals: false,
        exit_codes: false,
        separate_stderr: false,
        pid: false,
        survives: false,
        input: false,
        inspection: false,
    };
}
