use super::ending::{CauseRecord, EndingRecord, ExitFactRecord};
use super::live_stats::LiveStatsRecord;
use super::outcome::ReportedOutcomeRecord;
use super::spec::{FixedFields, FixedRecord};
use super::test_report::TestReportRecord;
use super::{DurationRecord, RecordDecodeError, is_zero, some_name, span, text};
use longhaul_domain::{
    AttemptNo, AwaitingChildren, AwakeTime, Cascade, Condition, Conditions, Containment, Ended, Execution,
    LateExit, OrphanStop, Pending, Priority, Process, State, StopPhase, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The changing part of a process, which is written with each commit. Times are in milliseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct LifeRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempt: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    retries: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    never_ran: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<i64>,
    /// Time of the latest event, if it is later than the other times of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated_at: Option<i64>,
    /// Current priority, if it differs from the requested priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cascade: Option<CascadeRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "leave_by")]
    cancel_at: Option<i64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    conditions: ConditionsRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    reported: ReportedOutcomeRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tests: Option<Box<TestReportRecord>>,
    state: StateRecord,
}

/// Start time of each current condition, in milliseconds.
#[derive(Default, PartialEq, Serialize, Deserialize)]
struct ConditionsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stalled: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting_for_input: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "sweeping")]
    cleaning_up: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    supervisor_stopped: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct CascadeRecord {
    cause: CauseRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    force: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateRecord {
    Queued,
    Delayed {
        until: i64,
    },
    Retrying {
        at: i64,
        after: Box<EndingRecord>,
    },
    Starting {
        since: i64,
    },
    Running {
        execution: ExecutionRecord,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<i64>,
    },
    Reported {
        #[serde(default, skip_serializing_if = "is_zero")]
        slot: bool,
    },
    Paused {
        execution: ExecutionRecord,
        since: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_left: Option<DurationRecord>,
    },
    Stopping {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        execution: Option<ExecutionRecord>,
        cause: CauseRecord,
        since: i64,
        #[serde(alias = "urgency")]
        phase: StopPhaseRecord,
    },
    #[serde(alias = "withdrawing")]
    CancelRequested {
        #[serde(default, skip_serializing_if = "is_zero")]
        slot: bool,
        cause: CauseRecord,
        until: i64,
    },
    #[serde(alias = "lingering")]
    AwaitingChildren {
        since: i64,
        ending: Box<EndingRecord>,
        #[serde(default, skip_serializing_if = "is_zero")]
        #[serde(alias = "vitals")]
        live_stats: Box<LiveStatsRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        containment: Option<ContainmentRecord>,
    },
    Ended {
        at: i64,
        ending: Box<EndingRecord>,
        #[serde(default, skip_serializing_if = "is_zero")]
        #[serde(alias = "vitals")]
        live_stats: Box<LiveStatsRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        containment: Option<ContainmentRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        late: Option<Box<LateRecord>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[serde(alias = "rest")]
        orphan_stop: Option<OrphanStopRecord>,
    },
}

#[derive(Serialize, Deserialize)]
struct OrphanStopRecord {
    cause: CauseRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    force: bool,
}

#[derive(Serialize, Deserialize)]
struct ExecutionRecord {
    started_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    containment: Option<ContainmentRecord>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ContainmentRecord {
    Cgroup,
    Subreaper,
    Group,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StopPhaseRecord {
    #[serde(alias = "asked")]
    Requested {
        kill_at: i64,
    },
    Killing {
        stuck_at: i64,
    },
    Stuck,
}

#[derive(Serialize, Deserialize)]
struct LateRecord {
    attempt: u32,
    exit: ExitFactRecord,
}

impl From<&Process> for LifeRecord {
    fn from(process: &Process) -> Self {
        Self {
            node: text(&process.node),
            attempt: process.attempt.0,
            retries: process.retries,
            never_ran: process.never_ran,
            started_at: process.started_at.map(|at| at.0),
            updated_at: Some(process.updated_at)
                .filter(|at| *at != process.latest_known_time())
                .map(|at| at.0),
            priority: Some(process.priority)
                .filter(|priority| *priority != process.spec.priority)
                .map(Priority::value),
            cascade: process
                .cascade
                .map(|cascade| CascadeRecord { cause: cascade.cause.into(), force: cascade.force }),
            cancel_at: process.cancel_at.map(|at| at.0),
            reported: (&process.reported).into(),
            tests: process.tests.as_deref().map(|report| Box::new(report.into())),
            conditions: (&process.conditions).into(),
            state: (&process.state).into(),
        }
    }
}

impl LifeRecord {
    pub(super) fn into_process(self, fixed: FixedRecord) -> Result<Process, RecordDecodeError> {
        let FixedFields { id, lineage, signature, queued_at, spec } = fixed.try_into()?;
        let priority = match self.priority.map(|value| Priority::stored(value.into())) {
            Some(Ok(priority)) => priority,
            Some(Err(invalid)) => return Err(RecordDecodeError::damaged(invalid.to_string())),
            None => spec.priority,
        };
        let mut process = Process {
            id,
            priority,
            cascade: self.cascade.map(|record| Cascade { cause: record.cause.into(), force: record.force }),
            cancel_at: self.cancel_at.map(Timestamp),
            conditions: self.conditions.into(),
            reported: self.reported.try_into()?,
            tests: self.tests.map(|record| (*record).try_into().map(Box::new)).transpose()?,
            spec: Arc::new(spec),
            lineage,
            signature,
            node: some_name(&self.node)?,
            attempt: AttemptNo(self.attempt),
            retries: self.retries,
            never_ran: self.never_ran,
            queued_at,
            started_at: self.started_at.map(Timestamp),
            updated_at: queued_at,
            state: self.state.try_into()?,
        };
        process.updated_at = self.updated_at.map_or_else(|| process.latest_known_time(), Timestamp);
        Ok(process)
    }
}

impl From<&Conditions> for ConditionsRecord {
    fn from(conditions: &Conditions) -> Self {
        let since = |condition| conditions.since(condition).map(|at| at.0);
        Self {
            ready: since(Condition::Ready),
            idle: since(Condition::Idle),
            stalled: since(Condition::Stalled),
            waiting_for_input: since(Condition::WaitingForInput),
            cleaning_up: since(Condition::CleaningUp),
            supervisor_stopped: since(Condition::SupervisorStopped),
        }
    }
}

impl From<ConditionsRecord> for Conditions {
    fn from(record: ConditionsRecord) -> Self {
        Self::default()
            .with(Condition::Ready, record.ready.map(Timestamp))
            .with(Condition::Idle, record.idle.map(Timestamp))
            .with(Condition::Stalled, record.stalled.map(Timestamp))
            .with(Condition::WaitingForInput, record.waiting_for_input.map(Timestamp))
            .with(Condition::CleaningUp, record.cleaning_up.map(Timestamp))
            .with(Condition::SupervisorStopped, record.supervisor_stopped.map(Timestamp))
    }
}

impl From<&State> for StateRecord {
    fn from(state: &State) -> Self {
        match state {
            State::Pending(Pending::Queued) => Self::Queued,
            State::Pending(Pending::Delayed { until }) => Self::Delayed { until: until.0 },
            State::Pending(Pending::Retrying { at, after }) => {
                Self::Retrying { at: at.0, after: Box::new(after.as_ref().into()) }
            }
            State::Starting { since } => Self::Starting { since: since.0 },
            State::Running { execution, timeout_at } => {
                Self::Running { execution: execution.into(), timeout_at: timeout_at.map(|at| at.0) }
            }
            State::Reported { slot } => Self::Reported { slot: *slot },
            State::Paused { execution, since, timeout_left } => Self::Paused {
                execution: execution.into(),
                since: since.0,
                timeout_left: timeout_left.map(Into::into),
            },
            State::Stopping { execution, cause, since, phase } => Self::Stopping {
                execution: execution.as_ref().map(Into::into),
                cause: (*cause).into(),
                since: since.0,
                phase: match phase {
                    StopPhase::Requested { kill_at } => StopPhaseRecord::Requested { kill_at: kill_at.0 },
                    StopPhase::Killing { stuck_at } => StopPhaseRecord::Killing { stuck_at: stuck_at.0 },
                    StopPhase::Stuck => StopPhaseRecord::Stuck,
                },
            },
            State::CancelRequested { slot, cause, until } => {
                Self::CancelRequested { slot: *slot, cause: (*cause).into(), until: until.0 }
            }
            State::AwaitingChildren(lingering) => Self::AwaitingChildren {
                since: lingering.since.0,
                ending: Box::new((&lingering.ending).into()),
                live_stats: Box::new((&lingering.live_stats).into()),
                containment: lingering.containment.map(Into::into),
            },
            State::Ended(ended) => Self::Ended {
                at: ended.at.0,
                ending: Box::new((&ended.ending).into()),
                live_stats: Box::new((&ended.live_stats).into()),
                containment: ended.containment.map(Into::into),
                late: ended
                    .late
                    .as_ref()
                    .map(|late| Box::new(LateRecord { attempt: late.attempt.0, exit: (&late.exit).into() })),
                orphan_stop: ended
                    .orphan_stop
                    .map(|stop| OrphanStopRecord { cause: stop.cause.into(), force: stop.force }),
            },
        }
    }
}

impl TryFrom<StateRecord> for State {
    type Error = RecordDecodeError;

    fn try_from(record: StateRecord) -> Result<Self, RecordDecodeError> {
        Ok(match record {
            StateRecord::Queued => Self::Pending(Pending::Queued),
            StateRecord::Delayed { until } => Self::Pending(Pending::Delayed { until: Timestamp(until) }),
            StateRecord::Retrying { at, after } => {
                Self::Pending(Pending::Retrying { at: Timestamp(at), after: Box::new((*after).try_into()?) })
            }
            StateRecord::Starting { since } => Self::Starting { since: Timestamp(since) },
            StateRecord::Running { execution, timeout_at } => {
                Self::Running { execution: execution.into(), timeout_at: timeout_at.map(AwakeTime) }
            }
            StateRecord::Reported { slot } => Self::Reported { slot },
            StateRecord::Paused { execution, since, timeout_left } => Self::Paused {
                execution: execution.into(),
                since: Timestamp(since),
                timeout_left: span(timeout_left)?,
            },
            StateRecord::Stopping { execution, cause, since, phase } => Self::Stopping {
                execution: execution.map(Into::into),
                cause: cause.into(),
                since: Timestamp(since),
                phase: match phase {
                    StopPhaseRecord::Requested { kill_at } => {
                        StopPhase::Requested { kill_at: AwakeTime(kill_at) }
                    }
                    StopPhaseRecord::Killing { stuck_at } => {
                        StopPhase::Killing { stuck_at: AwakeTime(stuck_at) }
                    }
                    StopPhaseRecord::Stuck => StopPhase::Stuck,
                },
            },
            StateRecord::CancelRequested { slot, cause, until } => {
                Self::CancelRequested { slot, cause: cause.into(), until: Timestamp(until) }
            }
            StateRecord::AwaitingChildren { since, ending, live_stats, containment } => {
                Self::AwaitingChildren(Box::new(AwaitingChildren {
                    since: Timestamp(since),
                    ending: (*ending).try_into()?,
                    live_stats: (*live_stats).try_into()?,
                    containment: containment.map(Into::into),
                }))
            }
            StateRecord::Ended { at, ending, live_stats, containment, late, orphan_stop } => {
                Self::Ended(Box::new(Ended {
                    at: Timestamp(at),
                    ending: (*ending).try_into()?,
                    live_stats: (*live_stats).try_into()?,
                    containment: containment.map(Into::into),
                    late: late.map(|late| LateExit::try_from(*late)).transpose()?,
                    orphan_stop: orphan_stop
                        .map(|stop| OrphanStop { cause: stop.cause.into(), force: stop.force }),
                }))
            }
        })
    }
}

impl TryFrom<LateRecord> for LateExit {
    type Error = RecordDecodeError;

    fn try_from(record: LateRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self { attempt: AttemptNo(record.attempt), exit: record.exit.try_into()? })
    }
}

impl From<&Execution> for ExecutionRecord {
    fn from(execution: &Execution) -> Self {
        Self {
            started_at: execution.started_at.0,
            pid: execution.pid,
            containment: execution.containment.map(Into::into),
        }
    }
}

impl From<ExecutionRecord> for Execution {
    fn from(record: ExecutionRecord) -> Self {
        Self {
            started_at: Timestamp(record.started_at),
            pid: record.pid,
            containment: record.containment.map(Into::into),
        }
    }
}

impl From<Containment> for ContainmentRecord {
    fn from(containment: Containment) -> Self {
        match containment {
            Containment::Cgroup => Self::Cgroup,
            Containment::Subreaper => Self::Subreaper,
            Containment::Group => Self::Group,
        }
    }
}

impl From<ContainmentRecord> for Containment {
    fn from(record: ContainmentRecord) -> Self {
        match record {
            ContainmentRecord::Cgroup => Self::Cgroup,
            ContainmentRecord::Subreaper => Self::Subreaper,
            ContainmentRecord::Group => Self::Group,
        }
    }
}
