//! Errors of the tools.

use crate::truncate::shortened;
use longhaul_api::ApiError;
use longhaul_domain::ActionKind;
use longhaul_wire::api::Problem;
use rmcp::ErrorData;
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serialize;

/// Maximum length of an error message, in bytes. The limit is necessary because a message may repeat part of the
/// request.
const MAX_MESSAGE_LEN: usize = 1_000;
/// Minimum length in bytes to which a message can be shortened. `MARK` is the length of the mark for omitted text.
const MIN_MESSAGE_LEN: usize = 16;
const MARK: usize = '…'.len_utf8();
/// Maximum number of candidates in an error.
const MAX_CANDIDATES: usize = 20;

/// Error of a tool that could not do its work. If a process failed, this is a result, not an error.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ToolError(Box<ErrorText>);

/// Content of a [`ToolError`] as the client receives it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ErrorText {
    /// Error code. Every interface uses the same code for the same kind of error.
    code: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// True if the same request may succeed later.
    retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_status: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<String>,
}

impl ToolError {
    /// Returns the error for an invalid request.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::of("invalid_request", message)
    }

    /// Returns the error for a tool that a read-only client may not call.
    pub(crate) fn read_only(tool: &str) -> Self {
        Self::of(
            "read_only",
            format!("{tool} is not allowed for this client: it may only call tools that read"),
        )
    }

    /// Returns the error for a wait that would exceed the maximum number of concurrent waits.
    pub(crate) fn too_many_calls() -> Self {
        let mut refusal = Self::of("too_many_waits", "the maximum number of waiting calls is reached");
        refusal.0.retryable = true;
        refusal.hint("cancel some of the waiting calls, then try again")
    }

    /// Returns the error for a restart of a process that has not ended yet.
    pub(crate) fn still_ending(id: &str) -> Self {
        let mut refusal = Self::of(
            "invalid_status_transition",
            format!("process {id} or one of its descendants is still being stopped"),
        );
        refusal.0.retryable = true;
        refusal.hint("try again, or call stop_background_process with force first")
    }

    fn of(code: &str, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorText {
            code: code.to_owned(),
            message: shortened(message.into(), MAX_MESSAGE_LEN),
            hint: None,
            retryable: false,
            current_status: None,
            candidates: Vec::new(),
        }))
    }

    /// Sets the hint for the next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Returns the error code.
    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    /// Returns true if the process does not exist.
    pub(crate) fn is_missing(&self) -> bool {
        self.0.code == "process_not_found"
    }

    /// Converts the error to a protocol error, for requests without a tool result.
    pub(crate) fn into_error(self) -> ErrorData {
        let json = serde_json::to_value(&self.0).ok();
        ErrorData::internal_error(self.0.message, json)
    }

    /// Converts the error to the protocol error for an invalid request.
    pub(crate) fn into_request_error(self) -> ErrorData {
        let json = serde_json::to_value(&self.0).ok();
        ErrorData::invalid_request(self.0.message, json)
    }

    /// Converts the error to a tool result, and shortens the error to `bytes` bytes as far as possible.
    pub(crate) fn into_result_within(mut self, bytes: usize) -> CallToolResult {
        loop {
            let result = self.clone().into_result();
            let length = serde_json::to_vec(&result).map_or(0, |json| json.len());
            if length <= bytes || !self.lessen() {
                return result;
            }
        }
    }

    /// Shortens the error by one step: removes candidates first, and then shortens the texts. Returns false if no
    /// further step is possible.
    fn lessen(&mut self) -> bool {
        let said = &mut self.0;
        let longest = said.message.len().max(said.hint.as_ref().map_or(0, String::len));
        if said.candidates.pop().is_none() {
            if longest <= MIN_MESSAGE_LEN {
                return false;
            }
            let longest = (longest * 3 / 4).max(MIN_MESSAGE_LEN - MARK);
            said.message = shortened(std::mem::take(&mut said.message), longest);
            said.hint = said.hint.take().map(|hint| shortened(hint, longest));
        }
        true
    }

    /// Converts the error to a tool result with JSON text.
    ///
    /// The result has no structured content, because structured content must match the output schema of the tool, and
    /// this schema describes only successful results. Clients that validate structured content would show a validation
    /// error instead of this error.
    pub(crate) fn into_result(self) -> CallToolResult {
        let json = serde_json::to_string(&self.0).unwrap_or_default();
        CallToolResult::error(vec![ContentBlock::text(json)])
    }
}

impl From<ApiError> for ToolError {
    fn from(fault: ApiError) -> Self {
        fault.into_problem().into()
    }
}

impl From<Problem> for ToolError {
    fn from(problem: Problem) -> Self {
        let is_retryable = problem.status >= 500 || is_too_early(&problem);
        let remedy = hint(&problem);
        let message = match &problem.detail {
            Some(detail) => format!("{}: {detail}", problem.title),
            None => problem.title,
        };
        Self(Box::new(ErrorText {
            retryable: is_retryable,
            hint: remedy.map(str::to_owned).or(problem.help).map(|hint| shortened(hint, MAX_MESSAGE_LEN)),
            code: problem.slug,
            message: shortened(message, MAX_MESSAGE_LEN),
            current_status: problem.current_status,
            candidates: problem.candidates.into_iter().take(MAX_CANDIDATES).collect(),
        }))
    }
}

/// Returns true if an action was rejected because it needs a running process, and the process is still starting. A
/// start takes only a moment.
fn is_too_early(problem: &Problem) -> bool {
    problem.slug == "invalid_status_transition"
        && problem.current_status.as_deref() == Some("starting")
        && matches!(problem.attempted.as_deref(), Some("pause" | "send"))
}

/// Returns a hint that names tools. It replaces the hint of the problem if that hint names commands of the command
/// line.
fn hint(problem: &Problem) -> Option<&'static str> {
    match (problem.slug.as_str(), problem.current_status.as_deref()) {
        // If there are candidates, the error message already explains how to select one.
        ("process_not_found", _) if problem.candidates.is_empty() => {
            Some("call list_background_processes to find the process")
        }
        ("unsupported", _) if problem.reported => {
            Some("the program that reports on the work must register it again with register_process")
        }
        (
            "invalid_status_transition",
            Some("completed" | "failed" | "timeout" | "cancelled" | "interrupted"),
        ) if problem.reported => Some(
            "the work has ended, and this record does not change any more; register_process creates a new one",
        ),
        (
            "invalid_status_transition",
            Some("completed" | "failed" | "timeout" | "cancelled" | "interrupted"),
        ) => Some("the process has ended; restart_process runs its command again as a new process"),
        ("invalid_status_transition", Some(_)) if is_too_early(problem) => {
            Some("the process starts in a moment: repeat the same call")
        }
        ("invalid_status_transition", Some(_))
            if problem.reported
                && problem.attempted.as_deref() == Some(ActionKind::ReportOutcome.as_str()) =>
        {
            Some(
                "end registered work with complete_process or fail_process, which take the result or the error",
            )
        }
        ("invalid_status_transition", Some(_)) if problem.attempted.as_deref() == Some("restart") => {
            Some("the process is still running: with stop: true it is stopped first")
        }
        ("invalid_status_transition", Some(_)) => Some("call get_process_status for the present state"),
        ("output_removed", _) => Some("call get_process_status for the result of the process"),
        ("no_slot", _) => {
            Some("wait until one of the slot holders has ended, or use another concurrency_key")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn error_is_json_text_and_never_structured_content() {
        let problem = Problem {
            slug: "process_not_found".to_owned(),
            title: "there is no process x".to_owned(),
            status: 404,
            help: Some("`longhaul status -a` lists every process".to_owned()),
            ..Problem::default()
        };
        let result = ToolError::from(problem).into_result();
        assert_eq!(result.is_error, Some(true));
        let expected = json!({
            "code": "process_not_found",
            "message": "there is no process x",
            "hint": "call list_background_processes to find the process",
            "retryable": false,
        });
        assert_eq!(result.structured_content, None);
        let text = &result.content.first().and_then(ContentBlock::as_text).unwrap().text;
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected);
    }

    #[test]
    fn refusal_repeats_only_a_limited_part_of_the_request() {
        let problem = Problem {
            title: "é".repeat(60_000),
            candidates: vec!["c".repeat(100); 1_000],
            ..Problem::default()
        };
        let result = serde_json::to_string(&ToolError::from(problem).into_result()).unwrap();
        assert!(result.len() < 4_000);
    }

    #[test]
    fn failure_of_the_manager_is_retryable() {
        let problem = |status| Problem { status, ..Problem::default() };
        assert!(ToolError::from(problem(503)).0.retryable);
        assert!(!ToolError::from(problem(409)).0.retryable);
    }

    #[test]
    fn error_for_a_starting_process_is_retryable() {
        let refused = |status: &str, attempted: &str| {
            let problem = Problem {
                slug: "invalid_status_transition".to_owned(),
                status: 409,
                current_status: Some(status.to_owned()),
                attempted: Some(attempted.to_owned()),
                ..Problem::default()
            };
            ToolError::from(problem).0
        };
        for attempted in ["pause", "send"] {
            let said = refused("starting", attempted);
            assert!(said.retryable, "{attempted}");
            assert_eq!(said.hint.as_deref(), Some("the process starts in a moment: repeat the same call"));
        }
        for (status, attempted) in [("starting", "resume"), ("queued", "send"), ("completed", "pause")] {
            assert!(!refused(status, attempted).retryable, "{status} {attempted}");
        }
    }
}
