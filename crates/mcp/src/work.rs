//! What the tools do.

mod control;
mod list;
mod output;
mod reference;
mod report;
mod start;
mod status;
mod wait;

pub(crate) use output::LEAST_BYTES;
pub(crate) use reference::Reference;
pub(crate) use wait::{answered, check, request};

use crate::answer::Object;
use crate::caller::Caller;
use crate::parameters;
use crate::refusal::Refusal;
use crate::tool::Tool;
use longhaul_api::Api;
use rmcp::model::CallToolResult;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The longest span that is taken, in seconds: 30 days.
const LONGEST: f64 = 30.0 * 24.0 * 3_600.0;

/// The longest wait of one call, in seconds: below the minute after which many clients give up.
const LONGEST_WAIT: f64 = 55.0;

/// What the tools work with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) api: &'a Api,
    pub(crate) caller: &'a Caller,
}

impl Desk<'_> {
    /// Does what a tool does.
    pub(crate) async fn perform(self, tool: Tool, arguments: Object) -> Result<CallToolResult, Refusal> {
        let arguments = tool.with_integers(arguments);
        let answer = match tool {
            Tool::StartBackgroundProcess => self.start(read(arguments)?).await,
            Tool::GetProcessStatus | Tool::GetBackgroundProcessStatus => self.status(read(arguments)?).await,
            Tool::ListBackgroundProcesses => self.list(read(arguments)?).await,
            Tool::StopBackgroundProcess => self.stop(read(arguments)?).await,
            Tool::PauseProcess => self.pause(read(arguments)?).await,
            Tool::ResumeProcess => self.resume(read(arguments)?).await,
            Tool::RestartProcess => self.restart(read(arguments)?).await,
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

    /// The session that something is bound to.
    fn session(self, asked: Option<String>) -> Result<Option<String>, Refusal> {
        match (&self.caller.session, asked) {
            (Some(bound), Some(asked)) if *bound != asked => Err(Refusal::invalid(format!(
                "everything here belongs to the session {bound:?}, not to {asked:?}"
            ))
            .hint("leave session_id out")),
            (Some(bound), _) => Ok(Some(bound.clone())),
            (None, asked) => Ok(asked),
        }
    }
}

/// Reads the arguments of a tool.
pub(crate) fn read<T: DeserializeOwned>(arguments: Object) -> Result<T, Refusal> {
    parameters::read(arguments).map_err(Refusal::invalid)
}

/// Reads a span in seconds.
fn span(what: &str, seconds: f64) -> Result<Duration, Refusal> {
    if (0.0..=LONGEST).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    Err(Refusal::invalid(format!("{what} is 0 to {LONGEST} seconds, not {seconds}")))
}

/// Reads how long a call is to wait, in seconds.
fn short(what: &str, seconds: f64) -> Result<Duration, Refusal> {
    if (0.0..=LONGEST_WAIT).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    let said = format!("{what} is 0 to {LONGEST_WAIT}, not {seconds}");
    Err(Refusal::invalid(said).hint("ask for less, and again when it is over"))
}

/// A span as it goes over the wire; what is more than nothing stays so.
pub(crate) fn millis(span: Duration) -> u64 {
    let whole = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if whole == 0 && !span.is_zero() { 1 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_seconds_of_at_most_a_month() {
        assert_eq!(span("timeout", 1.5).unwrap(), Duration::from_millis(1_500));
        assert_eq!(millis(span("timeout", 0.000_1).unwrap()), 1);
        assert_eq!(millis(Duration::ZERO), 0);
        for wrong in [-1.0, f64::NAN, f64::INFINITY, LONGEST + 1.0] {
            assert!(span("timeout", wrong).is_err(), "{wrong}");
        }
    }
}
