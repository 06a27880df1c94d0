//! The states of a process, each with the data that only this state has.

use crate::ending::{Ending, StopCause};
use crate::id::AttemptNo;
use crate::progress::LiveStats;
use crate::status::{SlotState, Status};
use crate::time::{AwakeTime, Timestamp};
use std::time::Duration;

/// The state of a process. Deadlines are part of the state, so that they survive a restart of the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The process is waiting; [`Pending`] contains the reason.
    Pending(Pending),
    /// A node has claimed the process, and the command is being started.
    Starting {
        /// Time of the claim.
        since: Timestamp,
    },
    /// The command is running.
    Running {
        /// Running attempt.
        execution: Execution,
        /// Awake time at which the timeout of the command expires; `None` means no timeout.
        timeout_at: Option<AwakeTime>,
    },
    /// Reported work is in progress.
    Reported {
        /// True if the process holds a slot, because it waited in the queue before.
        slot: bool,
    },
    /// The command is halted with all its descendants.
    Paused {
        /// Halted attempt.
        execution: Execution,
        /// Time of the pause.
        since: Timestamp,
        /// Time that remains until the timeout; `None` means no timeout.
        timeout_left: Option<Duration>,
    },
    /// The command was asked to end.
    Stopping {
        /// Attempt that is being stopped; `None` if the spawner has not reported its start yet.
        execution: Option<Execution>,
        /// Reason for the stop.
        cause: StopCause,
        /// Time of the stop request.
        since: Timestamp,
        /// Phase that the stop has reached.
        phase: StopPhase,
    },
    /// The reporter was asked to end the reported work.
    CancelRequested {
        /// True if the process holds a slot, because it waited in the queue before.
        slot: bool,
        /// Reason for the cancel.
        cause: StopCause,
        /// Time at which the process counts as cancelled if the reporter does not acknowledge the cancel.
        until: Timestamp,
    },
    /// The own work of the process has ended. The process ends as soon as its last live descendant has ended.
    AwaitingChildren(Box<AwaitingChildren>),
    /// The process has ended. This state is final.
    Ended(Box<Ended>),
}

/// The reason why a process is waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// The process is waiting for a slot.
    Queued,
    /// The process is waiting for the earliest start time that the caller specified.
    Delayed {
        /// Earliest start time.
        until: Timestamp,
    },
    /// The process is waiting for its next attempt.
    Retrying {
        /// Time at which the next attempt is due.
        at: Timestamp,
        /// How the last attempt ended.
        after: Box<Ending>,
    },
}

/// A running attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// Time at which the command started.
    pub started_at: Timestamp,
    /// Operating-system process id of the command; `None` if the spawner has no process ids.
    pub pid: Option<u32>,
    /// Mechanism that contains the descendants of the command.
    pub containment: Option<Containment>,
}

/// The mechanism that contains the descendants of a command, so that all of them can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// A separate control group.
    Cgroup,
    /// The shim is a subreaper: orphaned descendants become its children.
    Subreaper,
    /// Only the process group of the command. Descendants that leave the group cannot be stopped.
    Group,
}

impl Containment {
    /// Returns the name of the mechanism, as used in records and interfaces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }
}

/// The phase of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPhase {
    /// The command was asked to end, and it is killed if it has not ended by `kill_at`.
    Requested {
        /// End of the grace period.
        kill_at: AwakeTime,
    },
    /// The whole tree is being killed.
    Killing {
        /// Time after which the stop counts as stuck if the tree is still not empty.
        stuck_at: AwakeTime,
    },
    /// The tree was killed but still contains live processes.
    Stuck,
}

/// A process whose own work has ended and that is waiting for its descendants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingChildren {
    /// Time at which the own work ended.
    pub since: Timestamp,
    /// How the own work ended.
    pub ending: Ending,
    /// Last live stats, such as progress and stage.
    pub live_stats: LiveStats,
    /// Mechanism that contained the descendants; `None` if no command ran or the mechanism is unknown.
    pub containment: Option<Containment>,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Time of the end.
    pub at: Timestamp,
    /// How the process ended.
    pub ending: Ending,
    /// Last live stats, such as progress and stage.
    pub live_stats: LiveStats,
    /// Mechanism that contained the descendants; `None` if no command ran or the mechanism is unknown.
    pub containment: Option<Containment>,
    /// Exit that was reported after the end of the process was recorded. It does not change how the process ended.
    pub late: Option<LateExit>,
    /// Requested stop of the orphan that may still be running on the lost node.
    pub orphan_stop: Option<OrphanStop>,
}

/// The requested stop of an orphan: a command that may still be running although its process is recorded as
/// interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanStop {
    /// Reason for the stop.
    pub cause: StopCause,
    /// True if the orphan is killed immediately, without a grace period.
    pub force: bool,
}

/// An exit that was reported after the end of the process was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateExit {
    /// Number of the attempt whose command exited.
    pub attempt: AttemptNo,
    /// Details of the exit.
    pub exit: crate::ending::Exit,
}

impl State {
    /// Returns the status that interfaces show for the state.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Pending(_) => Status::Pending,
            Self::Starting { .. } => Status::Starting,
            Self::Running { .. } | Self::Reported { .. } | Self::AwaitingChildren(_) => Status::Running,
            Self::Paused { .. } => Status::Paused,
            Self::Stopping { .. } | Self::CancelRequested { .. } => Status::Stopping,
            Self::Ended(ended) => ended.ending.status(),
        }
    }

    /// Returns the role of the process in slots and queues.
    #[must_use]
    pub const fn slot_state(&self) -> SlotState {
        match self {
            Self::Pending(Pending::Queued) => SlotState::Waiting,
            Self::Pending(Pending::Delayed { .. } | Pending::Retrying { .. }) | Self::AwaitingChildren(_) => {
                SlotState::Idle
            }
            Self::Starting { .. } | Self::Running { .. } | Self::Paused { .. } | Self::Stopping { .. } => {
                SlotState::Holding
            }
            Self::Reported { slot } | Self::CancelRequested { slot, .. } => {
                if *slot {
                    SlotState::Holding
                } else {
                    SlotState::Idle
                }
            }
            Self::Ended(_) => SlotState::Ended,
        }
    }

    /// Returns the running attempt; `None` if no attempt is running.
    #[must_use]
    pub const fn execution(&self) -> Option<&Execution> {
        match self {
            Self::Running { execution, .. } | Self::Paused { execution, .. } => Some(execution),
            Self::Stopping { execution, .. } => execution.as_ref(),
            Self::Pending(_)
            | Self::Starting { .. }
            | Self::Reported { .. }
            | Self::CancelRequested { .. }
            | Self::AwaitingChildren(_)
            | Self::Ended(_) => None,
        }
    }

    /// Returns the mechanism that contains the descendants of the latest attempt. For an ended process, returns the
    /// mechanism that contained them.
    #[must_use]
    pub const fn containment(&self) -> Option<Containment> {
        match self {
            Self::Running { execution, .. }
            | Self::Paused { execution, .. }
            | Self::Stopping { execution: Some(execution), .. } => execution.containment,
            Self::AwaitingChildren(awaiting) => awaiting.containment,
            Self::Ended(ended) => ended.containment,
            Self::Pending(_)
            | Self::Starting { .. }
            | Self::Reported { .. }
            | Self::Stopping { execution: None, .. }
            | Self::CancelRequested { .. } => None,
        }
    }
}
