//! Finds a reason to doubt the success of an agent.

use longhaul_domain::{AgentOutputFormat, Ending, Process, State};

/// Name of the condition of a completed process whose agent did not report a success.
pub(crate) const RESULT_DOUBTFUL: &str = "result_doubtful";

/// Returns the reason to doubt that the agent of a completed process did its work. The status comes from the exit code,
/// but the output of the agent may state a failure or contain no result.
pub(super) fn doubt(process: &Process) -> Option<String> {
    let State::Ended(ended) = &process.state else { return None };
    let Ending::Completed { .. } = &ended.ending else { return None };
    let format = process.spec.command()?.runner.as_ref()?.output;
    if let Some(error) = &process.reported.error {
        return Some(format!("the agent reported an error: {error}"));
    }
    match format {
        AgentOutputFormat::Unread | AgentOutputFormat::Plain => None,
        AgentOutputFormat::Claude
        | AgentOutputFormat::Codex
        | AgentOutputFormat::Gemini
        | AgentOutputFormat::Opencode => process.reported.result.is_none().then(|| {
            format!("longhaul found no result in the format {} in the output of the agent", format.as_str())
        }),
    }
}
