use super::ending::{CauseRecord, EndingRecord, ExitFactRecord};
use super::life::ContainmentRecord;
use super::live_stats::LiveStatsRecord;
use super::monitoring::ConditionRecord;
use super::outcome::ReportedOutcomeRecord;
use super::pending_action::{signal, signal_target};
use super::test_report::{TestDoubtRecord, TestReportRecord};
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
    OutcomeReported(ReportedOutcomeRecord),
    TestsReported(Box<TestReportRecord>),
    TestsDoubted(TestDoubtRecord),
    Paused {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_left: Option<DurationRecord>,
    },
    Resumed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout_at: Option<i64>,
    },
    #[serde(alias = "stop_began")]
    StopRequested {
        cause: CauseRecord,
        kill_at: i64,
        until: i64,
    },
    #[serde(alias = "kill_began")]
    KillStarted {
        stuck_at: i64,
    },
    BecameStuck,
    #[serde(alias = "lingered")]
    AwaitingChildren {
        ending: Box<EndingRecord>,
        #[serde(default, skip_serializing_if = "is_zero")]
        #[serde(alias = "vitals")]
        live_stats: Box<LiveStatsRecord>,
    },
    #[serde(alias = "cascade_began")]
    CascadeStarted {
        cause: CauseRecord,
        #[serde(default, skip_serializing_if = "is_zero")]
        force: bool,
    },
    CascadeEnded,
    Prioritized {
        priority: i32,
    },
    SessionEnded {
        #[serde(alias = "leave_by")]
        cancel_at: i64,
    },
    SessionKept,
    Ended {
        ending: Box<EndingRecord>,
        #[serde(default, skip_serializing_if = "is_zero")]
        #[serde(alias = "vitals")]
        live_stats: Box<LiveStatsRecord>,
    },
    #[serde(alias = "condition_began")]
    ConditionStarted {
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
    #[serde(alias = "signalled")]
    SignalSent {
        number: u8,
        #[serde(default, skip_serializing_if = "is_zero")]
        tree: bool,
    },
    #[serde(alias = "rest_told")]
    OrphanStopRequested {
        cause: CauseRecord,
        #[serde(default, skip_serializing_if = "is_zero")]
        force: bool,
    },
    #[serde(alias = "given_back")]
    Restored {
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
            Fact::OutcomeReported(outcome) => Self::OutcomeReported(outcome.into()),
            Fact::TestsReported(report) => Self::TestsReported(Box::new(report.as_ref().into())),
            Fact::TestsDoubted(doubt) => Self::TestsDoubted(doubt.into()),
            Fact::Paused { timeout_left } => Self::Paused { timeout_left: timeout_left.map(Into::into) },
            Fact::Resumed { timeout_at } => Self::Resumed { timeout_at: timeout_at.map(|at| at.0) },
            Fact::StopRequested { cause, kill_at, until } => {
                Self::StopRequested { cause: (*cause).into(), kill_at: kill_at.0, until: until.0 }
            }
            Fact::KillStarted { stuck_at } => Self::KillStarted { stuck_at: stuck_at.0 },
            Fact::BecameStuck => Self::BecameStuck,
            Fact::AwaitingChildren { ending, live_stats } => Self::AwaitingChildren {
                ending: Box::new(ending.into()),
                live_stats: Box::new(live_stats.into()),
            },
            Fact::CascadeStarted { cause, force } => {
                Self::CascadeStarted { cause: (*cause).into(), force: *force }
            }
            Fact::CascadeEnded => Self::CascadeEnded,
            Fact::Prioritized { priority } => Self::Prioritized { priority: priority.value() },
            Fact::SessionEnded { cancel_at } => Self::SessionEnded { cancel_at: cancel_at.0 },
            Fact::SessionKept => Self::SessionKept,
            Fact::Ended { ending, live_stats } => {
                Self::Ended { ending: Box::new(ending.into()), live_stats: Box::new(live_stats.into()) }
            }
            Fact::ConditionStarted { condition } => Self::ConditionStarted { condition: (*condition).into() },
            Fact::ConditionEnded { condition } => Self::ConditionEnded { condition: (*condition).into() },
            Fact::OutputMatched { pattern, offset, line } => {
                Self::OutputMatched { pattern: pattern.clone(), offset: *offset, line: line.clone() }
            }
            Fact::NodeLost { node } => Self::NodeLost { node: node.to_string() },
            Fact::SignalSent { signal, target } => {
                Self::SignalSent { number: signal.number(), tree: *target == SignalTarget::Tree }
            }
            Fact::OrphanStopRequested { cause, force } => {
                Self::OrphanStopRequested { cause: (*cause).into(), force: *force }
            }
            Fact::Restored { node } => Self::Restored { node: node.to_string() },
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
            FactRecord::OutcomeReported(outcome) => Self::OutcomeReported(outcome.try_into()?),
            FactRecord::TestsReported(report) => Self::TestsReported(Box::new((*report).try_into()?)),
            FactRecord::TestsDoubted(doubt) => Self::TestsDoubted(doubt.into()),
            FactRecord::Paused { timeout_left } => Self::Paused { timeout_left: span(timeout_left)? },
            FactRecord::Resumed { timeout_at } => Self::Resumed { timeout_at: timeout_at.map(AwakeTime) },
            FactRecord::StopRequested { cause, kill_at, until } => Self::StopRequested {
                cause: cause.into(),
                kill_at: AwakeTime(kill_at),
                until: Timestamp(until),
            },
            FactRecord::KillStarted { stuck_at } => Self::KillStarted { stuck_at: AwakeTime(stuck_at) },
            FactRecord::BecameStuck => Self::BecameStuck,
            FactRecord::AwaitingChildren { ending, live_stats } => Self::AwaitingChildren {
                ending: (*ending).try_into()?,
                live_stats: (*live_stats).try_into()?,
            },
            FactRecord::CascadeStarted { cause, force } => {
                Self::CascadeStarted { cause: cause.into(), force }
            }
            FactRecord::CascadeEnded => Self::CascadeEnded,
            FactRecord::Prioritized { priority } => Self::Prioritized {
                priority: Priority::stored(priority.into())
                    .map_err(|invalid| RecordDecodeError::damaged(invalid.to_string()))?,
            },
            FactRecord::SessionEnded { cancel_at } => Self::SessionEnded { cancel_at: Timestamp(cancel_at) },
            FactRecord::SessionKept => Self::SessionKept,
            FactRecord::Ended { ending, live_stats } => {
                Self::Ended { ending: (*ending).try_into()?, live_stats: (*live_stats).try_into()? }
            }
            FactRecord::ConditionStarted { condition } => {
                Self::ConditionStarted { condition: condition.into() }
            }
            FactRecord::ConditionEnded { condition } => Self::ConditionEnded { condition: condition.into() },
            FactRecord::OutputMatched { pattern, offset, line } => {
                Self::OutputMatched { pattern, offset, line }
            }
            FactRecord::NodeLost { node } => Self::NodeLost { node: name(&node)? },
            FactRecord::SignalSent { number, tree } => {
                Self::SignalSent { signal: signal(number)?, target: signal_target(tree) }
            }
            FactRecord::OrphanStopRequested { cause, force } => {
                Self::OrphanStopRequested { cause: cause.into(), force }
            }
            FactRecord::Restored { node } => Self::Restored { node: name(&node)? },
            FactRecord::LateExit { attempt, exit } => {
                Self::LateExit { attempt: AttemptNo(attempt), exit: (*exit).try_into()? }
            }
        })
    }
}
