//! Implementation of the tools.

mod artifacts;
mod control;
mod list;
mod output;
mod reference;
mod report;
mod start;
mod status;
mod test_results;
mod wait;

pub(crate) use output::MIN_BYTES;
pub(crate) use reference::ProcessReference;
pub(crate) use wait::{answered, check, request};

use crate::answer::JsonObject;
use crate::caller::Caller;
use crate::error::ToolError;
use crate::parameters;
use crate::tool::Tool;
use longhaul_api::Api;
use rmcp::model::CallToolResult;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Context of a tool call: the API, and the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToolContext<'a> {
    pub(crate) api: &'a Api,
    pub(crate) caller: &'a Caller,
}

impl ToolContext<'_> {
    /// Executes a tool.
    pub(crate) async fn perform(
        self,
        tool: Tool,
        arguments: JsonObject,
    ) -> Result<CallToolResult, ToolError> {
        let answer = match tool {
            Tool::StartBackgroundProcess => self.start(read(arguments)?).await,
            Tool::GetProcessStatus | Tool::GetBackgroundProcessStatus => self.status(read(arguments)?).await,
            Tool::GetTestResults => self.test_results(read(arguments)?).await,
            Tool::ListBackgroundProcesses => self.list(read(arguments)?).await,
            Tool::StopBackgroundProcess => self.stop(read(arguments)?).await,
            Tool::PauseProcess => self.pause(read(arguments)?).await,
            Tool::ResumeProcess => self.resume(read(arguments)?).await,
            Tool::RestartProcess => self.restart(read(arguments)?).await,
            Tool::ReadArtifacts => self.read_artifacts(read(arguments)?).await,
            Tool::ReadProcessOutput => self.read_output(read(arguments)?).await,
            Tool::SendProcessInput => self.send_input(read(arguments)?).await,
            Tool::SearchProcessOutput => self.search_output(read(arguments)?).await,
            Tool::RegisterProcess => self.register(read(arguments)?).await,
            Tool::ReportProgress => self.report(read(arguments)?).await,
            Tool::CompleteProcess => self.complete(read(arguments)?).await,
            Tool::FailProcess => self.fail(read(arguments)?).await,
            Tool::WaitForProcess => self.wait(read(arguments)?).await,
        };
        Ok(CallToolResult::structured(answer?.into()))
    }

    /// Returns the session of a new process. This is the session of the caller, or the requested session if the caller
    /// has none.
    ///
    /// # Errors
    /// The caller belongs to a session other than the requested one.
    fn session(self, asked: Option<String>) -> Result<Option<String>, ToolError> {
        match (&self.caller.session, asked) {
            (Some(bound), Some(asked)) if *bound != asked => Err(ToolError::invalid(format!(
                "this connection belongs to the session {bound:?}, so session_id cannot be {asked:?}"
            ))
            .hint("omit session_id")),
            (Some(bound), _) => Ok(Some(bound.clone())),
            (None, asked) => Ok(asked),
        }
    }
}

/// Deserializes the arguments of a tool.
pub(crate) fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, ToolError> {
    parameters::read(arguments).map_err(ToolError::invalid)
}

/// Converts seconds to a duration. The schema of the tool has already checked the range.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Converts a duration to milliseconds. A duration above zero becomes at least 1.
pub(crate) fn millis(span: Duration) -> u64 {
    let whole = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if whole == 0 && !span.is_zero() { 1 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn span_that_is_more_than_nothing_stays_so() {
        assert_eq!(span(1.5), Duration::from_millis(1_500));
        assert_eq!(millis(span(0.000_1)), 1);
        assert_eq!(millis(Duration::ZERO), 0);
    }
}
