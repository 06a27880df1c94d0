//! The inputs of a decision: actions are requested, observations are reported, and a tick means that time has passed.

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

/// Something that can happen to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A caller requests an action.
    Action(Action),
    /// A spawner or store reports something about the process.
    Observation(Observation),
    /// A deadline may have passed.
    Tick,
}

/// A request to change a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The worker reports its progress.
    Progress(ProgressReport),
    /// The reporter states that the reported work is done.
    Complete {
        /// Result of the work.
        result: Option<JsonText>,
    },
    /// The reporter states that the reported work failed.
    Fail {
        /// Error message of the reporter.
        error: String,
    },
    /// End the process gracefully.
    Cancel {
        /// Reason for the stop.
        cause: StopCause,
    },
    /// End the process immediately.
    Force {
        /// Reason for the stop.
        cause: StopCause,
    },
    /// End the process and all its descendants. From then on no new process can join the tree below it.
    Terminate {
        /// Reason for the stop.
        cause: StopCause,
        /// True if the processes are killed immediately, without a grace period.
        force: bool,
    },
    /// Halt the command and everything that it started.
    Pause,
    /// Let a paused process continue.
    Resume,
    /// Run an ended process again, as a new process.
    Restart,
    /// Skip the waiting time before the next attempt.
    RetryNow,
    /// Move the process in its queue.
    Prioritize {
        /// New priority of the process.
        priority: Priority,
    },
    /// Send a signal to the command, at most once.
    Signal {
        /// Signal to send.
        signal: Signal,
        /// Part of the process tree that receives the signal.
        target: SignalTarget,
    },
    /// The session of the process ended.
    ///
    /// - A session id may be used again. An end of a session affects only the processes that are in the session at that
    ///   time, not those that join later.
    /// - If several grace periods are running, the one that expires first counts.
    /// - An explicit policy `keep` cancels a pending grace period. A stop that has already started continues.
    EndSession {
        /// Session policy that replaces the one in the spec. `None` applies the one in the spec.
        policy: Option<SessionPolicy>,
    },
}

/// Kind of an action, without its parameters.
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
    /// Returns the kind of the action.
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
    /// Returns the name of the action, as used in messages.
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

/// An action that is stored until the node that owns the process executes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingAction {
    /// [`Action::Cancel`].
    Cancel {
        /// Reason for the stop.
        cause: StopCause,
    },
    /// [`Action::Force`].
    Force {
        /// Reason for the stop.
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
        /// Reason for the stop.
        cause: StopCause,
        /// True if the processes are killed immediately, without a grace period.
        force: bool,
    },
    /// [`Action::Signal`].
    Signal {
        /// Signal to send.
        signal: Signal,
        /// Part of the process tree that receives the signal.
        target: SignalTarget,
    },
    /// [`Action::EndSession`].
    EndSession {
        /// Session policy that replaces the one in the spec. `None` applies the one in the spec.
        policy: Option<SessionPolicy>,
    },
}

impl PendingAction {
    /// Returns true if the action can end the process.
    #[must_use]
    pub const fn ends(&self) -> bool {
        match self {
            Self::Cancel { .. } | Self::Force { .. } | Self::Terminate { .. } | Self::EndSession { .. } => {
                true
            }
            Self::Pause | Self::Resume | Self::RetryNow | Self::Signal { .. } => false,
        }
    }

    /// Returns the action to execute.
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
