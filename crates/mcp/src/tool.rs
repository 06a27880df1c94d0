//! The tools: names, descriptions, schemas and annotations.

pub(crate) mod input;

use crate::answer;
use crate::arguments;
use crate::error::ToolError;
use crate::schema;
use rmcp::model::{Tool as Definition, ToolAnnotations};
use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Tool of the MCP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tool {
    CompleteProcess,
    FailProcess,
    GetBackgroundProcessStatus,
    GetProcessStatus,
    GetTestResults,
    ListBackgroundProcesses,
    PauseProcess,
    ReadArtifacts,
    ReadProcessOutput,
    RegisterProcess,
    ReportProgress,
    RestartProcess,
    ResumeProcess,
    SearchProcessOutput,
    SendProcessInput,
    StartBackgroundProcess,
    StopBackgroundProcess,
    WaitForProcess,
}

/// Effect of a tool on its environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ToolEffect {
    /// The tool only reads.
    Looks,
    /// The tool changes a process. A repeated call has no further effect.
    Settles,
    /// Each call creates a process or another resource.
    Makes,
    /// The tool ends a process. A repeated call has no further effect.
    Ends,
    /// The tool executes a command of the caller, which may have any effect.
    Runs,
}

impl Tool {
    /// All tools, sorted by name.
    pub(crate) const ALL: [Self; 18] = [
        Self::CompleteProcess,
        Self::FailProcess,
        Self::GetBackgroundProcessStatus,
        Self::GetProcessStatus,
        Self::GetTestResults,
        Self::ListBackgroundProcesses,
        Self::PauseProcess,
        Self::ReadArtifacts,
        Self::ReadProcessOutput,
        Self::RegisterProcess,
        Self::ReportProgress,
        Self::RestartProcess,
        Self::ResumeProcess,
        Self::SearchProcessOutput,
        Self::SendProcessInput,
        Self::StartBackgroundProcess,
        Self::StopBackgroundProcess,
        Self::WaitForProcess,
    ];

    /// Finds a tool by its name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// Returns the name of the tool.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CompleteProcess => "complete_process",
            Self::FailProcess => "fail_process",
            Self::GetBackgroundProcessStatus => "get_background_process_status",
            Self::GetProcessStatus => "get_process_status",
            Self::GetTestResults => "get_test_results",
            Self::ListBackgroundProcesses => "list_background_processes",
            Self::PauseProcess => "pause_process",
            Self::ReadArtifacts => "read_artifacts",
            Self::ReadProcessOutput => "read_process_output",
            Self::RegisterProcess => "register_process",
            Self::ReportProgress => "report_progress",
            Self::RestartProcess => "restart_process",
            Self::ResumeProcess => "resume_process",
            Self::SearchProcessOutput => "search_process_output",
            Self::SendProcessInput => "send_process_input",
            Self::StartBackgroundProcess => "start_background_process",
            Self::StopBackgroundProcess => "stop_background_process",
            Self::WaitForProcess => "wait_for_process",
        }
    }

    /// Returns true if the tool changes nothing.
    pub(crate) fn only_looks(self) -> bool {
        self.effect() == ToolEffect::Looks
    }

    /// Returns true if the tool returns output. An argument of the call, or its default, limits the size of the output.
    pub(crate) const fn reads_output(self) -> bool {
        matches!(
            self,
            Self::GetTestResults | Self::ReadArtifacts | Self::ReadProcessOutput | Self::SearchProcessOutput
        )
    }

    /// Returns the definition of the tool for clients. The schemas are created only one time and then shared.
    pub(crate) fn definition(self) -> Definition {
        static DEFINITIONS: LazyLock<BTreeMap<Tool, Definition>> =
            LazyLock::new(|| Tool::ALL.into_iter().map(|tool| (tool, tool.described())).collect());
        DEFINITIONS.get(&self).cloned().unwrap_or_else(|| self.described())
    }

    /// Checks arguments against the schema of the tool and returns them. Where the schema requires an integer, a whole
    /// float is converted to an integer, because some clients do not distinguish 3.0 from 3.
    pub(crate) fn checked(self, mut arguments: Map<String, Value>) -> Result<Map<String, Value>, ToolError> {
        let schema = self.definition().input_schema;
        if let Some(Value::Object(fields)) = schema.get("properties") {
            schema::settle(fields, &mut arguments);
        }
        arguments::check(&schema, &arguments).map_err(ToolError::invalid)?;
        Ok(arguments)
    }

    fn described(self) -> Definition {
        Definition::new(self.name(), self.description(), Arc::new(self.input()))
            .with_title(self.title())
            .with_raw_output_schema(Arc::new(self.output()))
            .with_annotations(self.annotations())
    }

    const fn title(self) -> &'static str {
        match self {
            Self::CompleteProcess => "Complete reported work",
            Self::FailProcess => "Fail reported work",
            Self::GetBackgroundProcessStatus => "Process status (alias)",
            Self::GetProcessStatus => "Process status",
            Self::GetTestResults => "Test results",
            Self::ListBackgroundProcesses => "List processes",
            Self::PauseProcess => "Pause a process",
            Self::ReadArtifacts => "Read kept files",
            Self::ReadProcessOutput => "Read output",
            Self::RegisterProcess => "Register own work",
            Self::ReportProgress => "Report progress",
            Self::RestartProcess => "Run again",
            Self::ResumeProcess => "Resume a process",
            Self::SearchProcessOutput => "Search output",
            Self::SendProcessInput => "Send input",
            Self::StartBackgroundProcess => "Start a process",
            Self::StopBackgroundProcess => "Stop a process",
            Self::WaitForProcess => "Wait for processes",
        }
    }

    const fn description(self) -> &'static str {
        match self {
            Self::CompleteProcess => "Record that registered work is done.",
            Self::FailProcess => "Record that registered work failed.",
            Self::GetBackgroundProcessStatus => "Same as get_process_status.",
            Self::GetProcessStatus => {
                "Return the complete record of a process: status, progress, times, exit code, metadata. Do not poll \
                 it: use wait_for_process."
            }
            Self::GetTestResults => {
                "What failed in a test run, grouped by cause, with message, file, line and trace; also while it runs. \
                 Use it instead of reading output. tests.warning: why a success may be wrong."
            }
            Self::ListBackgroundProcesses => "List processes, newest first, and count the live ones.",
            Self::PauseProcess => "Pause a process and all its descendants.",
            Self::ReadArtifacts => {
                "List the files that a process kept (see artifacts of start_background_process); with path, read one."
            }
            Self::ReadProcessOutput => {
                "Read output within a token budget: head and tail at first (the middle by its cursor), then only \
                 output after next_cursor."
            }
            Self::RegisterProcess => {
                "Register work that you do yourself, so that others can see it. Report its progress, then complete \
                 or fail it."
            }
            Self::ReportProgress => "Report progress of registered work; counts as a heartbeat.",
            Self::RestartProcess => "Run an ended process again, as a new process with a new id.",
            Self::ResumeProcess => "Resume a paused process and its descendants.",
            Self::SearchProcessOutput => "Find lines of output by a regular expression.",
            Self::SendProcessInput => {
                "Write to the standard input of a process that was started with stdin: pipe."
            }
            Self::StartBackgroundProcess => {
                "Start a command that outlives this conversation. Returns its process_id at once; a command that \
                 fails is a result, not an error."
            }
            Self::StopBackgroundProcess => {
                "Stop a process with all its descendants: TERM, after 5 s KILL. Waits at most 15 s until all of \
                 them have ended."
            }
            Self::WaitForProcess => {
                "Wait until processes run, are ready, have ended, or print a match. After a timeout, call it again; \
                 for more than a minute, run `longhaul wait ID` in a background shell of your own instead."
            }
        }
    }

    const fn effect(self) -> ToolEffect {
        match self {
            Self::GetBackgroundProcessStatus
            | Self::GetProcessStatus
            | Self::GetTestResults
            | Self::ListBackgroundProcesses
            | Self::ReadArtifacts
            | Self::ReadProcessOutput
            | Self::SearchProcessOutput
            | Self::WaitForProcess => ToolEffect::Looks,
            Self::CompleteProcess
            | Self::FailProcess
            | Self::PauseProcess
            | Self::ReportProgress
            | Self::ResumeProcess => ToolEffect::Settles,
            Self::RegisterProcess => ToolEffect::Makes,
            Self::StopBackgroundProcess => ToolEffect::Ends,
            Self::RestartProcess | Self::SendProcessInput | Self::StartBackgroundProcess => ToolEffect::Runs,
        }
    }

    fn annotations(self) -> ToolAnnotations {
        let hints = ToolAnnotations::new();
        match self.effect() {
            ToolEffect::Looks => hints.read_only(true).open_world(false),
            ToolEffect::Settles => hints.destructive(false).idempotent(true).open_world(false),
            ToolEffect::Makes => hints.destructive(false).open_world(false),
            ToolEffect::Ends => hints.idempotent(true).open_world(false),
            // Without further hints, the defaults of the protocol apply: the tool may be destructive and reach external
            // systems.
            ToolEffect::Runs => hints.read_only(false),
        }
    }

    /// Returns the schema of the tool's arguments.
    pub(crate) fn input(self) -> Map<String, Value> {
        match self {
            Self::CompleteProcess => taken::<input::CompleteInput>(),
            Self::FailProcess => taken::<input::FailInput>(),
            Self::GetBackgroundProcessStatus
            | Self::GetProcessStatus
            | Self::PauseProcess
            | Self::ResumeProcess => taken::<input::ProcessInput>(),
            Self::GetTestResults => taken::<input::TestsInput>(),
            Self::RestartProcess => taken::<input::RestartInput>(),
            Self::ListBackgroundProcesses => taken::<input::ListInput>(),
            Self::ReadArtifacts => taken::<input::ArtifactsInput>(),
            Self::ReadProcessOutput => taken::<input::ReadInput>(),
            Self::RegisterProcess => taken::<input::RegisterInput>(),
            Self::ReportProgress => taken::<input::ReportInput>(),
            Self::SearchProcessOutput => taken::<input::SearchInput>(),
            Self::SendProcessInput => taken::<input::SendInput>(),
            Self::StartBackgroundProcess => taken::<input::StartInput>(),
            Self::StopBackgroundProcess => taken::<input::StopInput>(),
            Self::WaitForProcess => taken::<input::WaitInput>(),
        }
    }

    /// Returns the schema of the tool's result.
    pub(crate) fn output(self) -> Map<String, Value> {
        match self {
            // The result has the same fields as the result of `get_process_status`. The schema of that tool describes
            // all fields.
            Self::GetBackgroundProcessStatus => answer::minimal_schema(),
            Self::GetProcessStatus => answer::whole_schema(),
            Self::GetTestResults => answer::tests_schema(),
            Self::StartBackgroundProcess
            | Self::RegisterProcess
            | Self::RestartProcess
            | Self::StopBackgroundProcess
            | Self::PauseProcess
            | Self::ResumeProcess
            | Self::ReportProgress
            | Self::CompleteProcess
            | Self::FailProcess => answer::brief_schema(),
            Self::ListBackgroundProcesses => answer::list_schema(),
            Self::ReadArtifacts => answer::artifacts_schema(),
            Self::ReadProcessOutput => answer::read_schema(),
            Self::SearchProcessOutput => answer::search_schema(),
            Self::SendProcessInput => answer::sent_schema(),
            Self::WaitForProcess => answer::wait_schema(),
        }
    }
}

/// Returns the schema of an input type. It describes the fields, but not the type itself.
fn taken<T: JsonSchema>() -> Map<String, Value> {
    let mut schema = schema::of::<T>();
    schema.remove("description");
    schema
}
