use super::monitoring::{ReadyWhenRecord, WatchPatternRecord};
use super::test_report::TestReportingRecord;
use super::{DurationRecord, RecordDecodeError, is_zero, span};
use longhaul_domain::{
    AgentOutputFormat, ArtifactPattern, CommandSpec, EnvironmentHash, EnvironmentSpec, Leftovers,
    OutputBound, ProgressDetection, ResourceLimits, RunnerChoice, Stdin, StopPolicy,
};
use serde::{Deserialize, Serialize};

/// Command in a record. It does not implement `Debug`, because the declared variables may be secrets.
#[derive(Serialize, Deserialize)]
pub(super) struct CommandRecord {
    program: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    directory: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    environment: EnvironmentRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stdin_file: Option<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    stdin_pipe: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<DurationRecord>,
    stop: StopRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    keep_leftovers: bool,
    output: OutputRecord,
    #[serde(default, skip_serializing_if = "is_zero")]
    limits: LimitsRecord,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ready_when: Option<ReadyWhenRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    watch: Vec<WatchPatternRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    artifacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<RunnerRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tests: Option<TestReportingRecord>,
    /// Name or regular expression of the progress detection; absent if progress is not detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
}

/// Runner in a record. The output format has the same name as in the configuration.
#[derive(Serialize, Deserialize)]
struct RunnerRecord {
    name: String,
    output: String,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct EnvironmentRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    captured: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    declared: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    #[serde(default, skip_serializing_if = "is_zero")]
    bare: bool,
}

#[derive(Serialize, Deserialize)]
struct StopRecord {
    grace: DurationRecord,
    signal: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interrupt_first: Option<DurationRecord>,
}

#[derive(Serialize, Deserialize)]
struct OutputRecord {
    head: u64,
    tail: u64,
}

#[derive(Default, PartialEq, Serialize, Deserialize)]
struct LimitsRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open_files: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    processes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_bytes: Option<u64>,
}

impl From<&CommandSpec> for CommandRecord {
    fn from(command: &CommandSpec) -> Self {
        Self {
            program: command.program.clone(),
            args: command.args.clone(),
            directory: command.directory.clone(),
            environment: (&command.environment).into(),
            stdin_file: match &command.stdin {
                Stdin::Null | Stdin::Pipe => None,
                Stdin::File(path) => Some(path.clone()),
            },
            stdin_pipe: command.stdin == Stdin::Pipe,
            timeout: command.timeout.map(Into::into),
            stop: StopRecord {
                grace: command.stop.grace.into(),
                signal: command.stop.signal,
                interrupt_first: command.stop.interrupt_first.map(Into::into),
            },
            keep_leftovers: match command.leftovers {
                Leftovers::Stop => false,
                Leftovers::Keep => true,
            },
            output: OutputRecord { head: command.output.head, tail: command.output.tail },
            limits: LimitsRecord {
                cpu_seconds: command.limits.cpu_seconds,
                memory_bytes: command.limits.memory_bytes,
                open_files: command.limits.open_files,
                processes: command.limits.processes,
                file_bytes: command.limits.file_bytes,
            },
            ready_when: command.ready_when.as_ref().map(Into::into),
            watch: command.watch.iter().map(Into::into).collect(),
            artifacts: command.artifacts.iter().map(ToString::to_string).collect(),
            runner: command.runner.as_ref().map(|runner| RunnerRecord {
                name: runner.name.clone(),
                output: runner.output.as_str().to_owned(),
            }),
            tests: TestReportingRecord::of(&command.tests),
            progress: match &command.progress {
                ProgressDetection::Off => None,
                chosen @ (ProgressDetection::Descriptor
                | ProgressDetection::Auto
                | ProgressDetection::Pattern(_)) => Some(chosen.as_str().to_owned()),
            },
        }
    }
}

impl TryFrom<CommandRecord> for CommandSpec {
    type Error = RecordDecodeError;

    fn try_from(record: CommandRecord) -> Result<Self, RecordDecodeError> {
        Ok(Self {
            program: record.program,
            args: record.args,
            directory: record.directory,
            environment: record.environment.into(),
            stdin: match record.stdin_file {
                Some(path) => Stdin::File(path),
                None if record.stdin_pipe => Stdin::Pipe,
                None => Stdin::Null,
            },
            timeout: span(record.timeout)?,
            stop: StopPolicy {
                grace: record.stop.grace.try_into()?,
                signal: record.stop.signal,
                interrupt_first: span(record.stop.interrupt_first)?,
            },
            leftovers: if record.keep_leftovers { Leftovers::Keep } else { Leftovers::Stop },
            output: OutputBound { head: record.output.head, tail: record.output.tail },
            limits: ResourceLimits {
                cpu_seconds: record.limits.cpu_seconds,
                memory_bytes: record.limits.memory_bytes,
                open_files: record.limits.open_files,
                processes: record.limits.processes,
                file_bytes: record.limits.file_bytes,
            },
            ready_when: record.ready_when.map(Into::into),
            watch: record.watch.into_iter().map(Into::into).collect(),
            artifacts: record
                .artifacts
                .iter()
                .map(|text| ArtifactPattern::new(text))
                .collect::<Result<_, _>>()
                .map_err(|error| RecordDecodeError::damaged(error.to_string()))?,
            runner: record.runner.map(TryInto::try_into).transpose()?,
            tests: TestReportingRecord::reporting(record.tests),
            progress: record.progress.as_deref().map(ProgressDetection::named).unwrap_or_default(),
        })
    }
}

impl TryFrom<RunnerRecord> for RunnerChoice {
    type Error = RecordDecodeError;

    fn try_from(record: RunnerRecord) -> Result<Self, RecordDecodeError> {
        let output = AgentOutputFormat::named(&record.output)
            .ok_or_else(|| RecordDecodeError::damaged("an unknown output format of a runner"))?;
        Ok(Self { name: record.name, output })
    }
}

impl From<&EnvironmentSpec> for EnvironmentRecord {
    fn from(environment: &EnvironmentSpec) -> Self {
        Self {
            captured: environment.captured.as_ref().map(|hash| hash.0.clone()),
            declared: environment.declared.clone(),
            removed: environment.removed.clone(),
            bare: environment.bare,
        }
    }
}

impl From<EnvironmentRecord> for EnvironmentSpec {
    fn from(record: EnvironmentRecord) -> Self {
        Self {
            captured: record.captured.map(EnvironmentHash),
            declared: record.declared,
            removed: record.removed,
            bare: record.bare,
        }
    }
}
