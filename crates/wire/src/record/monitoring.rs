use super::{DurationRecord, RecordDecodeError, span};
use longhaul_domain::{Condition, ReadyWhen, SilencePolicy, WatchPattern, WatchSource};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConditionRecord {
    Ready,
    Idle,
    Stalled,
    WaitingForInput,
    #[serde(alias = "sweeping")]
    CleaningUp,
    SupervisorStopped,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadyWhenRecord {
    Port(u16),
    Http {
        url: String,
    },
    Log {
        pattern: String,
    },
    Command {
        program: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
    },
}

#[derive(Serialize, Deserialize)]
pub(super) struct WatchPatternRecord {
    name: String,
    pattern: String,
    source: WatchSourceRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WatchSourceRecord {
    Both,
    Stdout,
    Stderr,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SilenceRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_after: Option<DurationRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stall_after: Option<DurationRecord>,
}

impl From<Condition> for ConditionRecord {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Ready => Self::Ready,
            Condition::Idle => Self::Idle,
            Condition::Stalled => Self::Stalled,
            Condition::WaitingForInput => Self::WaitingForInput,
            Condition::CleaningUp => Self::CleaningUp,
            Condition::SupervisorStopped => Self::SupervisorStopped,
        }
    }
}

impl From<ConditionRecord> for Condition {
    fn from(record: ConditionRecord) -> Self {
        match record {
            ConditionRecord::Ready => Self::Ready,
            ConditionRecord::Idle => Self::Idle,
            ConditionRecord::Stalled => Self::Stalled,
            ConditionRecord::WaitingForInput => Self::WaitingForInput,
            ConditionRecord::CleaningUp => Self::CleaningUp,
            ConditionRecord::SupervisorStopped => Self::SupervisorStopped,
        }
    }
}

impl From<&ReadyWhen> for ReadyWhenRecord {
    fn from(ready_when: &ReadyWhen) -> Self {
        match ready_when {
            ReadyWhen::Port(port) => Self::Port(*port),
            ReadyWhen::Http { url } => Self::Http { url: url.clone() },
            ReadyWhen::Log { pattern } => Self::Log { pattern: pattern.clone() },
            ReadyWhen::Command { program, args } => {
                Self::Command { program: program.clone(), args: args.clone() }
            }
        }
    }
}

impl From<ReadyWhenRecord> for ReadyWhen {
    fn from(record: ReadyWhenRecord) -> Self {
        match record {
            ReadyWhenRecord::Port(port) => Self::Port(port),
            ReadyWhenRecord::Http { url } => Self::Http { url },
            ReadyWhenRecord::Log { pattern } => Self::Log { pattern },
            ReadyWhenRecord::Command { program, args } => Self::Command { program, args },
        }
    }
}

impl From<&WatchPattern> for WatchPatternRecord {
    fn from(watch: &WatchPattern) -> Self {
        Self {
            name: watch.name.clone(),
            pattern: watch.pattern.clone(),
            source: match watch.source {
                WatchSource::Both => WatchSourceRecord::Both,
                WatchSource::Stdout => WatchSourceRecord::Stdout,
                WatchSource::Stderr => WatchSourceRecord::Stderr,
            },
        }
    }
}

impl From<WatchPatternRecord> for WatchPattern {
    fn from(record: WatchPatternRecord) -> Self {
        Self {
            name: record.name,
            pattern: record.pattern,
            source: match record.source {
                WatchSourceRecord::Both => WatchSource::Both,
                WatchSourceRecord::Stdout => WatchSource::Stdout,
                WatchSourceRecord::Stderr => WatchSource::Stderr,
            },
        }
    }
}

impl From<SilencePolicy> for SilenceRecord {
    fn from(silence: SilencePolicy) -> Self {
        Self {
            idle_after: silence.idle_after.map(Into::into),
            stall_after: silence.stall_after.map(Into::into),
        }
    }
}

impl TryFrom<SilenceRecord> for SilencePolicy {
    type Error = RecordDecodeError;

    fn try_from(record: SilenceRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self { idle_after: span(record.idle_after)?, stall_after: span(record.stall_after)? })
    }
}
