//! The inputs of a decision: a caller requests an action, a spawner or store reports an observation, or a tick says
//! that time has passed.

use crate::condition::Condition;
use crate::ending::{Exit, Interruption, StartFailure, StopCause};
use crate::id::{AttemptNo, NodeId, Priority, Stage};
use crate::json::JsonText;
use crate::outcome::ReportedOutcome;
use crate::progress::ProgressReport;
use crate::retry::RandomBits;
use crate::signal::{Signal, SignalTarget};
use crate::spec::SessionPolicy;
use crate::state::Containment;
use crate::test_report::{TestReport, TestTally};
use crate::time::{AwakeTime, Timestamp};

/// Something that can happen to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A caller requests an action.
    Action(Action),
    /// A spawner or store reports an observation about the process.
    Observation(Observation),
    /// A deadline may have passed.
    Tick,
}

/// A request to change a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The worker reports its progress.
    Progress(ProgressReport),
    /// The command reports a result or an error of its work. The status of the process still comes from the exit code.
    ReportOutcome(ReportedOutcome),
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
    /// End the process and all its descendants. From then on, no new process can join anywhere below it.
    Terminate {
        /// Reason for the stop.
        cause: StopCause,
        /// True if the processes are killed immediately, without a grace period.
        force: bool,
    },
    /// Stop the command and all processes that it started, until they are resumed.
    Pause,
    /// Let a paused process continue.
    Resume,
    /// Run an ended process again, as a new process.
    Restart,
    /// Skip the delay before the next attempt.
    RetryNow,
    /// Move the process in its queue.
    Prioritize {
        /// New priority of the process.
        priority: Priority,
    },
    /// Send a signal to the command, at most once.
    Signal {
        /// Signal that is to be sent.
        signal: Signal,
        /// Part of the process tree that receives the signal.
        target: SignalTarget,
    },
    /// The session of the process ended.
    ///
    /// - A session id may be used again. The end of a session affects only the processes that are in the session at
    ///   that time, not processes that join later.
    /// - If several grace periods are running, the one that expires first counts.
    /// - An explicit policy `keep` cancels a pending grace period. A stop that has already started continues.
    EndSession {
        /// Session policy that replaces the policy in the spec; `None` applies the policy in the spec.
        policy: Option<SessionPolicy>,
    },
}

/// Kind of an action, without its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// The kind of [`Action::Progress`].
    Progress,
    /// The kind of [`Action::ReportOutcome`].
    ReportOutcome,
    /// The kind of [`Action::Complete`].
    Complete,
    /// The kind of [`Action::Fail`].
    Fail,
    /// The kind of [`Action::Cancel`].
    Cancel,
    /// The kind of [`Action::Force`].
    Force,
    /// The kind of [`Action::Pause`].
    Pause,
    /// The kind of [`Action::Resume`].
    Resume,
    /// The kind of [`Action::Restart`].
    Restart,
    /// The kind of [`Action::RetryNow`].
    RetryNow,
    /// The kind of [`Action::Terminate`].
    Terminate,
    /// The kind of [`Action::Prioritize`].
    Prioritize,
    /// The kind of [`Action::Signal`].
    Signal,
    /// The kind of [`Action::EndSession`].
    EndSession,
}

impl Action {
    /// Returns the kind of the action.
    #[must_use]
    pub const fn verb(&self) -> ActionKind {
        match self {
            Self::Progress(_) => ActionKind::Progress,
            Self::ReportOutcome(_) => ActionKind::ReportOutcome,
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
            Self::Progress => "report the progress of",
            Self::ReportOutcome => "report the outcome of",
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
    /// Pending [`Action::Cancel`].
    Cancel {
        /// Reason for the stop.
        cause: StopCause,
    },
    /// Pending [`Action::Force`].
    Force {
        /// Reason for the stop.
        cause: StopCause,
    },
    /// Pending [`Action::Pause`].
    Pause,
    /// Pending [`Action::Resume`].
    Resume,
    /// Pending [`Action::RetryNow`].
    RetryNow,
    /// Pending [`Action::Terminate`].
    Terminate {
        /// Reason for the stop.
        cause: StopCause,
        /// True if the processes are killed immediately, without a grace period.
        force: bool,
    },
    /// Pending [`Action::Signal`].
    Signal {
        /// Signal that is to be sent.
        signal: Signal,
        /// Part of the process tree that receives the signal.
        target: SignalTarget,
    },
    /// Pending [`Action::EndSession`].
    EndSession {
        /// Session policy that replaces the policy in the spec; `None` applies the policy in the spec.
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

/// A report from a spawner or store. A report that comes too late or for another attempt changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A node claimed the process.
    Claimed {
        /// Number of the attempt that starts.
        attempt: AttemptNo,
        /// Node that claimed the process.
        node: NodeId,
    },
    /// The node that owns the process is lost: its lease expired, and the grace period after the lease is over.
    OwnerLost,
    /// A pending action was stored for the owner of the process.
    ActionRequested(PendingAction),
    /// The command was started.
    Spawned {
        /// Number of the attempt that was started.
        attempt: AttemptNo,
        /// Operating-system process id; `None` if the spawner has no process ids.
        pid: Option<u32>,
        /// Mechanism that contains the descendants of the command.
        containment: Option<Containment>,
        /// Time at which the command was started.
        at: Timestamp,
    },
    /// The command could not be started.
    SpawnFailed {
        /// Number of the attempt that could not be started.
        attempt: AttemptNo,
        /// Reason for the failure.
        failure: StartFailure,
    },
    /// It is certain that the command of the attempt was never executed.
    NeverRan {
        /// Number of the attempt that never ran.
        attempt: AttemptNo,
    },
    /// The attempt is not started: an earlier attempt has run, although the store has lost its record, and the retry
    /// policy of the process allows no further attempt.
    AlreadyRan {
        /// Number of the attempt that is not started.
        attempt: AttemptNo,
        /// Number of the latest attempt that ran.
        earlier: AttemptNo,
        /// Exit of the earlier attempt; `None` if its end was not observed.
        exit: Option<Exit>,
    },
    /// The command exited. No descendants are alive, unless the spec allows leftovers to keep running.
    Exited {
        /// Number of the attempt whose command exited.
        attempt: AttemptNo,
        /// Details of the exit.
        exit: Exit,
    },
    /// The shim of the attempt was killed, so the exit of the command was not observed.
    SupervisorLost {
        /// Number of the attempt whose shim was killed.
        attempt: AttemptNo,
        /// Reason why the exit was not observed.
        why: Interruption,
    },
    /// The node of the process is lost or was restarted.
    NodeLost {
        /// Reason why the exit was not observed, such as a reboot of the node.
        why: Interruption,
    },
    /// The reporter sent no heartbeat within the agreed interval.
    HeartbeatMissed {
        /// Time at which the last heartbeat arrived.
        last: Timestamp,
    },
    /// All descendants of the process have ended.
    DescendantsEnded,
    /// The spawner could not pause the attempt.
    PauseFailed {
        /// Number of the attempt that could not be paused.
        attempt: AttemptNo,
    },
    /// A condition started or ended. Conditions apply only to running work; reported work can only be idle or stalled.
    ConditionObserved {
        /// Number of the attempt that was observed.
        attempt: AttemptNo,
        /// Condition that changed.
        condition: Condition,
        /// True if the condition started, false if the condition ended.
        holds: bool,
        /// Time at which the condition started or ended.
        at: Timestamp,
    },
    /// A line of the output matches one of the watch patterns of the spec.
    OutputMatched {
        /// Number of the attempt that wrote the matching line.
        attempt: AttemptNo,
        /// Name of the pattern.
        pattern: String,
        /// Byte offset in the output at which the line starts.
        offset: u64,
        /// Text of the line, without control characters and truncated if too long.
        line: String,
        /// Time at which the line was read.
        at: Timestamp,
    },
    /// The output of an agent contains facts about its work.
    OutcomeRead {
        /// Number of the attempt that wrote the output.
        attempt: AttemptNo,
        /// Facts in the output. A result and an error that the command itself reported take precedence.
        outcome: ReportedOutcome,
        /// Current step of the agent; `None` leaves the stage unchanged.
        stage: Option<Stage>,
    },
    /// The tests that already have a result were counted. The command is still running.
    TestsCounted {
        /// Number of the attempt that runs the tests.
        attempt: AttemptNo,
        /// Number of tests with a result so far.
        tally: TestTally,
    },
    /// The test results of an attempt are known. They may become known only after the end of the process.
    TestsReported {
        /// Number of the attempt that ran the tests.
        attempt: AttemptNo,
        /// Test results.
        report: Box<TestReport>,
    },
    /// longhaul found progress or estimated a remaining time without a report of the worker.
    ProgressObserved {
        /// Number of the attempt that was observed.
        attempt: AttemptNo,
        /// Progress, stage and remaining time at the time `at`.
        report: ProgressReport,
        /// Time at which the command wrote the progress, or at which longhaul estimated the remaining time.
        at: Timestamp,
    },
}

/// Facts about the outside world that a decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionContext {
    /// Current time.
    pub now: Timestamp,
    /// Current awake time, which does not advance while the machine is suspended.
    pub awake: AwakeTime,
    /// Random bits, for example for the jitter of a retry.
    pub chance: RandomBits,
    /// Capabilities of the spawner.
    pub capabilities: Capabilities,
}

/// Capabilities of a spawner. An action that needs a missing capability is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// True if the spawner can pause and resume a whole process tree.
    pub pause: bool,
    /// True if the spawner can send signals. A stop then sends the stop signal of the spec and kills after the grace
    /// period, and the exit reports the last signal that was sent.
    pub signals: bool,
    /// True if the spawner reports exit codes from 0 to 255. If false, an exit code shows only success (0) or failure
    /// (another code).
    pub exit_codes: bool,
    /// True if the spawner stores stdout and stderr separately.
    pub separate_stderr: bool,
    /// True if commands have a process id on this machine.
    pub pid: bool,
    /// True if attempts survive a restart of the manager. The next manager determines which attempts are still running,
    /// how the other attempts ended, and which attempts never ran.
    pub survives: bool,
    /// True if the spawner can write to the standard input of a command.
    pub input: bool,
    /// True if the spawner can inspect the process tree of a command, to find out if it is waiting for input and on
    /// which ports it listens.
    pub inspection: bool,
}

impl Capabilities {
    /// All capabilities.
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

    /// No optional capabilities: the spawner can only start and stop attempts.
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
