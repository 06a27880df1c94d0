//! The states of a process, each with the data that only it has.

use crate::ending::{Ending, StopCause};
use crate::id::AttemptNo;
use crate::progress::LiveStats;
use crate::status::{SlotState, Status};
use crate::time::{AwakeTime, Timestamp};
use std::time::Duration;

/// Where a process is in its life. Deadlines live inside, so that they survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits.
    Pending(Pending),
    /// Claimed; the command is being started.
    Starting {
        /// Since when.
        since: Timestamp,
    },
    /// A command at work.
    Running {
        /// What is executed.
        execution: Execution,
        /// When its time is over.
        timeout_at: Option<AwakeTime>,
    },
    /// Reported work under way.
    Reported {
        /// Whether it holds a slot, because it was queued.
        slot: bool,
    },
    /// A command halted with all its descendants.
    Paused {
        /// What is executed.
        execution: Execution,
        /// Since when.
        since: Timestamp,
        /// What is left of its timeout.
        timeout_left: Option<Duration>,
    },
    /// A command that was told to end.
    Stopping {
        /// What is executed; none while the start is still unanswered.
        execution: Option<Execution>,
        /// Why it has to end.
        cause: StopCause,
        /// Since when.
        since: Timestamp,
        /// How far the stop has gone.
        phase: StopPhase,
    },
    /// Reported work whose reporter was asked to end it.
    CancelRequested {
        /// Whether it holds a slot, because it was queued.
        slot: bool,
        /// Why it has to end.
        cause: StopCause,
        /// When it counts as cancelled without an answer.
        until: Timestamp,
    },
    /// Its own work is over, and it ends as soon as its last live descendant has.
    AwaitingChildren(Box<AwaitingChildren>),
    /// Final.
    Ended(Box<Ended>),
}

/// Why a process waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// For a slot.
    Queued,
    /// For a moment that the caller chose.
    Delayed {
        /// That moment.
        until: Timestamp,
    },
    /// For its next attempt.
    Retrying {
        /// When it is due.
        at: Timestamp,
        /// How the last attempt ended.
        after: Box<Ending>,
    },
}

/// A running attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Execution {
    /// When the command began.
    pub started_at: Timestamp,
    /// The process id of the command, if it has one.
    pub pid: Option<u32>,
    /// What keeps its descendants together.
    pub containment: Option<Containment>,
}

/// What keeps the descendants of a command together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// A control group of its own.
    Cgroup,
    /// Its supervisor adopts every descendant.
    Subreaper,
    /// Only its process group: what leaves the group is out of reach.
    Group,
}

impl Containment {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }
}

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopPhase {
    /// It was asked to end and has until then.
    Requested {
        /// The end of its grace.
        kill_at: AwakeTime,
    },
    /// The whole tree is being killed; if it is not empty by then it is stuck.
    Killing {
        /// The moment from which it counts as stuck.
        stuck_at: AwakeTime,
    },
    /// Killed, and still not empty.
    Stuck,
}

/// An end that waits for the descendants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwaitingChildren {
    /// Since when its own work is over.
    pub since: Timestamp,
    /// How it ended.
    pub ending: Ending,
    /// Its last progress and stage.
    pub live_stats: LiveStats,
    /// What kept its descendants together; none if nothing ran, or where that is not known.
    pub containment: Option<Containment>,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// Its last progress and stage.
    pub live_stats: LiveStats,
    /// What kept its descendants together; none if nothing ran, or where that is not known.
    pub containment: Option<Containment>,
    /// A truth that came too late to change anything.
    pub late: Option<LateExit>,
    /// What may be left of it on its node was told to end.
    pub orphan_stop: Option<OrphanStop>,
}

/// The stop of what is left of a process that was called ended while nobody could see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanStop {
    /// Who asked.
    pub cause: StopCause,
    /// Without a grace.
    pub force: bool,
}

/// An exit that became known after the end was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateExit {
    /// Of which attempt.
    pub attempt: AttemptNo,
    /// The exit.
    pub exit: crate::ending::Exit,
}

impl State {
    /// The word for it.
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

    /// What a store does with slot and queue.
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

    /// The running attempt, if there is one.
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

    /// What keeps the descendants of its latest attempt together, or did until it ended.
    #[must_use]
    pub const fn containment(&self) -> Option<Containment> {
        match self {
            Self::Running { execution, .. }
            | Self::Paused { execution, .. }
            | Self::Stopping { execution: Some(execution), .. } => execution.containment,
            Self::AwaitingChildren(lingering) => lingering.containment,
            Self::Ended(ended) => ended.containment,
            Self::Pending(_)
            | Self::Starting { .. }
            | Self::Reported { .. }
            | Self::Stopping { execution: None, .. }
            | Self::CancelRequested { .. } => None,
        }
    }
}
