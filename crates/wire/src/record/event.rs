use super::ending::{CauseRecord, EndingRecord, ExitFactRecord};
use super::life::ContainmentRecord;
use super::live_stats::LiveStatsRecord;
use super::monitoring::ConditionRecord;
use super::pending_action::{signal, signal_target};
use super::{DurationRecord, RecordDecodeError, is_zero, name, span};
use longhaul_domain::{AttemptNo, AwakeTime, Event, Fact, Priority, SignalTarget, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct EventRecord {
    at: i64,
    fact: FactRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FactRecord {
    Submitted,
    Claimed {
        attempt: u32,
        node: String,
    },
    Spawned {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        containment: Option<ContainmentRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<i64>,
    },
    NeverRan,
    BecameDue,
    RetryScheduled {
        due: i64,
        after: Box<EndingRecord>,
    },
    StageChanged {
        stage: String,
    },
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_left: Option<DurationRecord>,
    },
    Resumed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<i64>,
    },
    StopBegan {
        cause: CauseRecord,
        kill_at: i64,
        until: i64,
    },
    KillBegan {
        stuck_at: i64,
    },
    BecameStuck,
    Lingered {
        ending: Box<EndingRecord>,
        #[serde(default, skip_serializing_if = "is_zero")]
        #[serde(rename = "vitals")]
        live_stats: Box<LiveStatsRecord>,
    },
    CascadeBegan {
        cause: CauseRecord,
        #[serde(default, skip_serializing_if = "is_zero")]
        force: bool,
    },
    CascadeEnded,
    Prioritized {
        priority: i32,
    },
    SessionEnded {
        leave_by: i64,
    },
    SessionKept,
    Ended {
        ending: Box<EndingRecord>,
        #[serde(default, skip_serializing_if = "is_zero")]
        #[serde(rename = "vitals")]
        live_stats: Box<LiveStatsRecord>,
    },
    ConditionBegan {
        condition: ConditionRecord,
    },
    ConditionEnded {
        condition: ConditionRecord,
    },
    OutputMatched {
        pattern: String,
        offset: u64,
        line: String,
    },
    NodeLost {
        node: String,
    },
    Signalled {
        number: u8,
        #[serde(default, skip_serializing_if = "is_zero")]
        tree: bool,
    },
    RestTold {
        cause: CauseRecord,
        #[serde(default, skip_serializing_if = "is_zero")]
        force: bool,
    },
    GivenBack {
        node: String,
    },
    LateExit {
        attempt: u32,
        exit: Box<ExitFactRecord>,
    },
}

impl From<&Event> for EventRecord {
    fn from(event: &Event) -> Self {
        Self { at: event.at.0, fact: (&event.fact).into() }
    }
}

impl TryFrom<EventRecord> for Event {
    type Error = RecordDecodeError;

    fn try_from(record: EventRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self { at: Timestamp(record.at), fact: record.fact.try_into()? })
    }
}

impl From<&Fact> for FactRecord {
    fn from(fact: &Fact) -> Self {
        match fact {
            Fact::Submitted => Self::Submitted,
            Fact::Claimed { attempt, node } => Self::Claimed { attempt: attempt.0, node: node.to_string() },
            Fact::Spawned { pid, containment, timeout_at } => Self::Spawned {
                pid: *pid,
                containment: containment.map(Into::into),
                timeout_at: timeout_at.map(|at| at.0),
            },
            Fact::NeverRan => Self::NeverRan,
            Fact::BecameDue => Self::BecameDue,
            Fact::RetryScheduled { due, after } => {
                Self::RetryScheduled { due: due.0, after: Box::new(after.into()) }
            }
            Fact::StageChanged { stage } => Self::StageChanged { stage: stage.to_string() },
            Fact::Paused { timeout_left } => Self::Paused { timeout_left: timeout_left.map(Into::into) },
            Fact::Resumed { timeout_at } => Self::Resumed { timeout_at: timeout_at.map(|at| at.0) },
            Fact::StopBegan { cause, kill_at, until } => {
                Self::StopBegan { cause: (*cause).into(), kill_at: kill_at.0, until: until.0 }
            }
            Fact::KillBegan { stuck_at } => Self::KillBegan { stuck_at: stuck_at.0 },
            Fact::BecameStuck => Self::BecameStuck,
            Fact::Lingered { ending, live_stats } => {
                Self::Lingered { ending: Box::new(ending.into()), live_stats: Box::new(live_stats.into()) }
            }
            Fact::CascadeBegan { cause, force } => {
                Self::CascadeBegan { cause: (*cause).into(), force: *force }
            }
            Fact::CascadeEnded => Self::CascadeEnded,
            Fact::Prioritized { priority } => Self::Prioritized { priority: priority.value() },
            Fact::SessionEnded { leave_by } => Self::SessionEnded { leave_by: leave_by.0 },
            Fact::SessionKept => Self::SessionKept,
            Fact::Ended { ending, live_stats } => {
                Self::Ended { ending: Box::new(ending.into()), live_stats: Box::new(live_stats.into()) }
            }
            Fact::ConditionBegan { condition } => Self::ConditionBegan { condition: (*condition).into() },
            Fact::ConditionEnded { condition } => Self::ConditionEnded { condition: (*condition).into() },
            Fact::OutputMatched { pattern, offset, line } => {
                Self::OutputMatched { pattern: pattern.clone(), offset: *offset, line: line.clone() }
            }
            Fact::NodeLost { node } => Self::NodeLost { node: node.to_string() },
            Fact::Signalled { signal, target } => {
                Self::Signalled { number: signal.number(), tree: *target == SignalTarget::Tree }
            }
            Fact::RestTold { cause, force } => Self::RestTold { cause: (*cause).into(), force: *force },
            Fact::GivenBack { node } => Self::GivenBack { node: node.to_string() },
            Fact::LateExit { attempt, exit } => {
                Self::LateExit { attempt: attempt.0, exit: Box::new(exit.into()) }
            }
        }
    }
}

impl TryFrom<FactRecord> for Fact {
    type Error = RecordDecodeError;

    fn try_from(record: FactRecord) -> Result<Self, RecordDecodeError> {
        Ok(match record {
            FactRecord::Submitted => Self::Submitted,
            FactRecord::Claimed { attempt, node } => {
                Self::Claimed { attempt: AttemptNo(attempt), node: name(&node)? }
            }
            FactRecord::Spawned { pid, containment, timeout_at } => Self::Spawned {
                pid,
                containment: containment.map(Into::into),
                timeout_at: timeout_at.map(AwakeTime),
            },
            FactRecord::NeverRan => Self::NeverRan,
            FactRecord::BecameDue => Self::BecameDue,
            FactRecord::RetryScheduled { due, after } => {
                Self::RetryScheduled { due: Timestamp(due), after: (*after).try_into()? }
            }
            FactRecord::StageChanged { stage } => Self::StageChanged { stage: name(&stage)? },
            FactRecord::Paused { timeout_left } => Self::Paused { timeout_left: span(timeout_left)? },
            FactRecord::Resumed { timeout_at } => Self::Resumed { timeout_at: timeout_at.map(AwakeTime) },
            FactRecord::StopBegan { cause, kill_at, until } => {
                Self::StopBegan { cause: cause.into(), kill_at: AwakeTime(kill_at), until: Timestamp(until) }
            }
            FactRecord::KillBegan { stuck_at } => Self::KillBegan { stuck_at: AwakeTime(stuck_at) },
            FactRecord::BecameStuck => Self::BecameStuck,
            FactRecord::Lingered { ending, live_stats } => {
                Self::Lingered { ending: (*ending).try_into()?, live_stats: (*live_stats).try_into()? }
            }
            FactRecord::CascadeBegan { cause, force } => Self::CascadeBegan { cause: cause.into(), force },
            FactRecord::CascadeEnded => Self::CascadeEnded,
            FactRecord::Prioritized { priority } => Self::Prioritized {
                priority: Priority::kept(priority.into())
                    .map_err(|invalid| RecordDecodeError::damaged(invalid.to_string()))?,
            },
            FactRecord::SessionEnded { leave_by } => Self::SessionEnded { leave_by: Timestamp(leave_by) },
            FactRecord::SessionKept => Self::SessionKept,
            FactRecord::Ended { ending, live_stats } => {
                Self::Ended { ending: (*ending).try_into()?, live_stats: (*live_stats).try_into()? }
            }
            FactRecord::ConditionBegan { condition } => Self::ConditionBegan { condition: condition.into() },
            FactRecord::ConditionEnded { condition } => Self::ConditionEnded { condition: condition.into() },
            FactRecord::OutputMatched { pattern, offset, line } => {
                Self::OutputMatched { pattern, offset, line }
            }
            FactRecord::NodeLost { node } => Self::NodeLost { node: name(&node)? },
            FactRecord::Signalled { number, tree } => {
                Self::Signalled { signal: signal(number)?, target: signal_target(tree) }
            }
            FactRecord::RestTold { cause, force } => Self::RestTold { cause: cause.into(), force },
            FactRecord::GivenBack { node } => Self::GivenBack { node: name(&node)? },
            FactRecord::LateExit { attempt, exit } => {
                Self::LateExit { attempt: AttemptNo(attempt), exit: (*exit).try_into()? }
            }
        })
    }
}
