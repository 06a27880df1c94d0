use super::first_error::FirstErrorRecord;
use super::{DurationRecord, RecordDecodeError, is_zero};
use longhaul_domain::{
    Ending, ExceededLimit, Exit, ExitCircumstances, ExitStatus, Failure, Interruption, JsonText,
    StartFailure, StartStage, StopCause, Timestamp, Usage,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EndingRecord {
    Completed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<ExitFactRecord>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<String>,
    },
    Failed {
        failure: FailureRecord,
    },
    Timeout {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<ExitFactRecord>,
    },
    Cancelled {
        by: CauseRecord,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<ExitFactRecord>,
    },
    Interrupted {
        why: InterruptionRecord,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FailureRecord {
    Exit(ExitFactRecord),
    Start {
        stage: StageRecord,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        errno: Option<i32>,
        detail: String,
    },
    NeverRan {
        times: u32,
    },
    Reported {
        error: String,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageRecord {
    Supervisor,
    #[serde(alias = "seal")]
    Signature,
    Environment,
    Program,
    Directory,
    Stdin,
    Limits,
    Exec,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ExitFactRecord {
    status: ExitStatusRecord,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<CauseRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_signal: Option<u8>,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(alias = "swept")]
    leftovers_killed: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(alias = "leftovers")]
    leftovers_found: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<LimitRecord>,
    #[serde(default, skip_serializing_if = "is_zero")]
    user: DurationRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    system: DurationRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    peak_memory: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    output_bytes: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    dropped_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "began")]
    started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    paused: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(alias = "pipe_held")]
    output_open: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(alias = "unwatched")]
    exit_unobserved: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(alias = "undated")]
    end_time_unknown: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    unverified: bool,
    #[serde(default, skip_serializing_if = "is_zero")]
    search_incomplete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_error: Option<Box<FirstErrorRecord>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExitStatusRecord {
    Code(i32),
    Signal {
        number: u8,
        #[serde(default, skip_serializing_if = "is_zero")]
        core: bool,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LimitRecord {
    Cpu,
    Memory,
    FileSize,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CauseRecord {
    User,
    Timeout,
    Parent,
    Session,
    Shutdown,
    Limit,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InterruptionRecord {
    Reboot,
    SupervisorKilled {
        evidence: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        unverified: bool,
    },
    NodeGone,
    HeartbeatMissed {
        last: i64,
    },
    RecordLost {
        found: String,
    },
}

impl From<&Ending> for EndingRecord {
    fn from(ending: &Ending) -> Self {
        match ending {
            Ending::Completed { exit, result } => Self::Completed {
                exit: exit.as_ref().map(Into::into),
                result: result.as_ref().map(|json| json.as_str().to_owned()),
            },
            Ending::Failed { failure } => Self::Failed { failure: failure.into() },
            Ending::Timeout { exit } => Self::Timeout { exit: exit.as_ref().map(Into::into) },
            Ending::Cancelled { by, exit } => {
                Self::Cancelled { by: (*by).into(), exit: exit.as_ref().map(Into::into) }
            }
            Ending::Interrupted { why } => Self::Interrupted { why: why.into() },
        }
    }
}

impl TryFrom<EndingRecord> for Ending {
    type Error = RecordDecodeError;

    fn try_from(record: EndingRecord) -> Result<Self, RecordDecodeError> {
        Ok(match record {
            EndingRecord::Completed { exit, result } => Self::Completed {
                exit: exit.map(Exit::try_from).transpose()?,
                result: result.map(json).transpose()?,
            },
            EndingRecord::Failed { failure } => Self::Failed { failure: failure.try_into()? },
            EndingRecord::Timeout { exit } => Self::Timeout { exit: exit.map(Exit::try_from).transpose()? },
            EndingRecord::Cancelled { by, exit } => {
                Self::Cancelled { by: by.into(), exit: exit.map(Exit::try_from).transpose()? }
            }
            EndingRecord::Interrupted { why } => Self::Interrupted { why: why.into() },
        })
    }
}

pub(super) fn json(text: String) -> Result<JsonText, RecordDecodeError> {
    JsonText::checked(text).map_err(|large| RecordDecodeError::damaged(large.to_string()))
}

impl From<&Failure> for FailureRecord {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Exit(exit) => Self::Exit(exit.into()),
            Failure::Start(start) => {
                Self::Start { stage: start.stage.into(), errno: start.errno, detail: start.detail.clone() }
            }
            Failure::NeverRan { times } => Self::NeverRan { times: *times },
            Failure::Reported { error } => Self::Reported { error: error.clone() },
        }
    }
}

impl TryFrom<FailureRecord> for Failure {
    type Error = RecordDecodeError;

    fn try_from(record: FailureRecord) -> Result<Self, RecordDecodeError> {
        Ok(match record {
            FailureRecord::Exit(exit) => Self::Exit(exit.try_into()?),
            FailureRecord::Start { stage, errno, detail } => {
                Self::Start(StartFailure { stage: stage.into(), errno, detail })
            }
            FailureRecord::NeverRan { times } => Self::NeverRan { times },
            FailureRecord::Reported { error } => Self::Reported { error },
        })
    }
}

impl From<&Exit> for ExitFactRecord {
    fn from(exit: &Exit) -> Self {
        Self {
            status: match exit.status {
                ExitStatus::Code(code) => ExitStatusRecord::Code(code),
                ExitStatus::Signal { number, core } => ExitStatusRecord::Signal { number, core },
            },
            at: exit.at.0,
            stopped: exit.stopped.map(Into::into),
            last_signal: exit.last_signal,
            leftovers_killed: exit.leftovers_killed,
            leftovers_found: exit.leftovers_found,
            limit: exit.limit.map(|limit| match limit {
                ExceededLimit::Cpu => LimitRecord::Cpu,
                ExceededLimit::Memory => LimitRecord::Memory,
                ExceededLimit::FileSize => LimitRecord::FileSize,
            }),
            user: exit.usage.user.into(),
            system: exit.usage.system.into(),
            peak_memory: exit.usage.peak_memory,
            output_bytes: exit.output_bytes,
            dropped_bytes: exit.dropped_bytes,
            started_at: exit.started_at.map(|at| at.0),
            paused: exit.circumstances.paused,
            output_open: exit.circumstances.output_open,
            exit_unobserved: exit.circumstances.exit_unobserved,
            end_time_unknown: exit.circumstances.end_time_unknown,
            unverified: exit.circumstances.unverified,
            search_incomplete: exit.circumstances.search_incomplete,
            first_error: exit.first_error.as_deref().map(|error| Box::new(error.into())),
        }
    }
}

impl TryFrom<ExitFactRecord> for Exit {
    type Error = RecordDecodeError;

    fn try_from(record: ExitFactRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            status: match record.status {
                ExitStatusRecord::Code(code) => ExitStatus::Code(code),
                ExitStatusRecord::Signal { number, core } => ExitStatus::Signal { number, core },
            },
            at: Timestamp(record.at),
            stopped: record.stopped.map(Into::into),
            last_signal: record.last_signal,
            leftovers_killed: record.leftovers_killed,
            leftovers_found: record.leftovers_found,
            limit: record.limit.map(|limit| match limit {
                LimitRecord::Cpu => ExceededLimit::Cpu,
                LimitRecord::Memory => ExceededLimit::Memory,
                LimitRecord::FileSize => ExceededLimit::FileSize,
            }),
            usage: Usage {
                user: record.user.try_into()?,
                system: record.system.try_into()?,
                peak_memory: record.peak_memory,
            },
            output_bytes: record.output_bytes,
            dropped_bytes: record.dropped_bytes,
            started_at: record.started_at.map(Timestamp),
            circumstances: ExitCircumstances {
                paused: record.paused,
                output_open: record.output_open,
                exit_unobserved: record.exit_unobserved,
                end_time_unknown: record.end_time_unknown,
                unverified: record.unverified,
                search_incomplete: record.search_incomplete,
            },
            first_error: record.first_error.map(|error| Box::new((*error).into())),
        })
    }
}

impl From<StartStage> for StageRecord {
    fn from(stage: StartStage) -> Self {
        match stage {
            StartStage::Supervisor => Self::Supervisor,
            StartStage::Signature => Self::Signature,
            StartStage::Environment => Self::Environment,
            StartStage::Program => Self::Program,
            StartStage::Directory => Self::Directory,
            StartStage::Stdin => Self::Stdin,
            StartStage::Limits => Self::Limits,
            StartStage::Exec => Self::Exec,
        }
    }
}

impl From<StageRecord> for StartStage {
    fn from(record: StageRecord) -> Self {
        match record {
            StageRecord::Supervisor => Self::Supervisor,
            StageRecord::Signature => Self::Signature,
            StageRecord::Environment => Self::Environment,
            StageRecord::Program => Self::Program,
            StageRecord::Directory => Self::Directory,
            StageRecord::Stdin => Self::Stdin,
            StageRecord::Limits => Self::Limits,
            StageRecord::Exec => Self::Exec,
        }
    }
}

impl From<StopCause> for CauseRecord {
    fn from(cause: StopCause) -> Self {
        match cause {
            StopCause::User => Self::User,
            StopCause::Timeout => Self::Timeout,
            StopCause::Parent => Self::Parent,
            StopCause::Session => Self::Session,
            StopCause::Shutdown => Self::Shutdown,
            StopCause::Limit => Self::Limit,
        }
    }
}

impl From<CauseRecord> for StopCause {
    fn from(record: CauseRecord) -> Self {
        match record {
            CauseRecord::User => Self::User,
            CauseRecord::Timeout => Self::Timeout,
            CauseRecord::Parent => Self::Parent,
            CauseRecord::Session => Self::Session,
            CauseRecord::Shutdown => Self::Shutdown,
            CauseRecord::Limit => Self::Limit,
        }
    }
}

impl From<&Interruption> for InterruptionRecord {
    fn from(why: &Interruption) -> Self {
        match why {
            Interruption::Reboot => Self::Reboot,
            Interruption::SupervisorKilled { evidence, unverified } => {
                Self::SupervisorKilled { evidence: evidence.clone(), unverified: *unverified }
            }
            Interruption::NodeGone => Self::NodeGone,
            Interruption::HeartbeatMissed { last } => Self::HeartbeatMissed { last: last.0 },
            Interruption::RecordLost { found } => Self::RecordLost { found: found.clone() },
        }
    }
}

impl From<InterruptionRecord> for Interruption {
    fn from(record: InterruptionRecord) -> Self {
        match record {
            InterruptionRecord::Reboot => Self::Reboot,
            InterruptionRecord::SupervisorKilled { evidence, unverified } => {
                Self::SupervisorKilled { evidence, unverified }
            }
            InterruptionRecord::NodeGone => Self::NodeGone,
            InterruptionRecord::HeartbeatMissed { last } => Self::HeartbeatMissed { last: Timestamp(last) },
            InterruptionRecord::RecordLost { found } => Self::RecordLost { found },
        }
    }
}
