//! Reports that workers send about processes: progress, stage and end of reported work.

use crate::api::Api;
use crate::api::control::ask;
use crate::convert::{json_text, outcome};
use crate::error::ApiError;
use longhaul_domain::{
    Action, NoOpReason, Process, ProcessId, Progress, ProgressReport, ReportedOutcome, Revision, Stage,
    State, Status, StopCause,
};
use longhaul_engine::Engine;
use longhaul_wire::api::{ActionReply, CompleteRequest, FailRequest, UpdateRequest};
use std::time::Duration;

/// Maximum length of a reported error message, in bytes.
const MAX_ERROR_LEN: usize = 64 * 1024;
/// Maximum length of the id of a conversation with an agent, or of a remote session, in bytes.
const MAX_SESSION_LEN: usize = 256;
/// Maximum estimate of the remaining time that a worker may report.
const MAX_ETA: Duration = Duration::from_secs(30 * 24 * 3600);

impl Api {
    /// Stores a report about a process: progress, stage or a new status.
    ///
    /// # Errors
    /// Returns an error if the report is invalid, the reference does not match exactly one process, or the process
    /// refuses the report.
    pub async fn update(
        &self,
        reference: &str,
        request: UpdateRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let report = ProgressReport {
            progress: request
                .progress
                .map(Progress::from_percent)
                .transpose()
                .map_err(|error| ApiError::invalid("progress", error.to_string()))?,
            stage: request.stage.as_deref().map(Stage::new).transpose()?,
            eta: request.eta_ms.map(eta).transpose()?,
            ..ProgressReport::default()
        };
        let outcome = ReportedOutcome {
            result: request
                .result
                .filter(|value| !value.is_null())
                .map(|value| json_text("result", &value))
                .transpose()?,
            error: request.error.map(error_text).transpose()?,
            agent_session: request.agent_session_id.map(session_text).transpose()?,
            ..ReportedOutcome::default()
        };
        let asked = request.status.as_deref().map(reported_status).transpose()?;
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        let process = engine.process(id).await?.process;
        if !outcome.is_empty() {
            if asked.is_some() || report != ProgressReport::default() || request.waiting_for_input.is_some() {
                return Err(ApiError::invalid(
                    "result",
                    "a result or an error is reported together with other fields",
                )
                .help("report `result` and `error` in a request of their own"));
            }
            return ask(engine, id, Action::ReportOutcome(outcome), expected).await;
        }
        if let Some(waits) = request.waiting_for_input {
            if process.spec.command().is_none() {
                return Err(ApiError::invalid("waiting_for_input", "only a command can have this condition"));
            }
            engine.report_waiting_for_input(id, waits).await?;
        }
        match asked {
            None => apply_report(engine, id, report, expected).await,
            Some(ReportedStatus::Running) if is_under_way(process.status()) => {
                apply_report(engine, id, report, expected).await
            }
            Some(ReportedStatus::Running) => Err(ApiError::not_running(&process)),
            Some(ReportedStatus::End(end)) => {
                let mut expected = expected;
                // If the report also ends the process, progress is stored only if this end will be accepted and is not
                // recorded yet.
                if report != ProgressReport::default() && is_awaited(&process, &end) {
                    let answer = engine.command(id, Action::Progress(report), expected).await?;
                    expected = expected.map(|_| answer.stored.revision);
                }
                let is_reported = process.spec.command().is_none();
                finish(engine, id, end, is_reported, expected).await
            }
        }
    }

    /// Ends reported work as completed.
    ///
    /// # Errors
    /// Returns an error if the reference does not match exactly one process, or if the process refuses the action.
    pub async fn complete(
        &self,
        reference: &str,
        request: CompleteRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let result = request
            .result
            .filter(|value| !value.is_null())
            .map(|value| json_text("result", &value))
            .transpose()?;
        let id = self.engine.find(reference).await?;
        end_report(&self.engine, id, Action::Complete { result }, expected).await
    }

    /// Ends reported work as failed.
    ///
    /// # Errors
    /// Returns an error if the error message is empty or too long, the reference does not match exactly one process, or
    /// the process refuses the action.
    pub async fn fail(
        &self,
        reference: &str,
        request: FailRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        let error = error_text(request.error)?;
        let id = self.engine.find(reference).await?;
        end_report(&self.engine, id, Action::Fail { error }, expected).await
    }
}

/// Ends reported work. A second report of the same ending changes nothing. The engine logs the second report, because
/// two reporters may be working on the same process by mistake.
async fn end_report(
    engine: &Engine,
    id: ProcessId,
    action: Action,
    expected: Option<Revision>,
) -> Result<ActionReply, ApiError> {
    ask(engine, id, action, expected).await
}

fn error_text(text: String) -> Result<String, ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::invalid("error", "`error` is empty")
            .help("give `error`: the reason why the work failed"));
    }
    if text.len() > MAX_ERROR_LEN {
        let why = format!("the text has {} bytes; the maximum is {MAX_ERROR_LEN}", text.len());
        return Err(ApiError::invalid("error", why));
    }
    Ok(text)
}

fn session_text(text: String) -> Result<String, ApiError> {
    if text.is_empty() || text.len() > MAX_SESSION_LEN || text.contains(char::is_control) {
        let why = format!("the id must have 1 to {MAX_SESSION_LEN} bytes without control characters");
        return Err(ApiError::invalid("agent_session_id", why));
    }
    Ok(text)
}

fn eta(millis: u64) -> Result<Duration, ApiError> {
    let eta = Duration::from_millis(millis);
    if eta > MAX_ETA {
        return Err(ApiError::invalid("eta_ms", "the remaining time is longer than 30 days"));
    }
    Ok(eta)
}

/// Stores a progress report. An empty report counts as a heartbeat, and its reply is "no change".
async fn apply_report(
    engine: &Engine,
    id: ProcessId,
    report: ProgressReport,
    expected: Option<Revision>,
) -> Result<ActionReply, ApiError> {
    let is_empty = report == ProgressReport::default();
    let mut answer = engine.command(id, Action::Progress(report), expected).await?;
    if is_empty {
        answer.changed = false;
        answer.note.get_or_insert(NoOpReason::NoChange);
    }
    Ok(outcome(engine, answer).await)
}

async fn finish(
    engine: &Engine,
    id: ProcessId,
    end: ReportedEnd,
    is_reported: bool,
    expected: Option<Revision>,
) -> Result<ActionReply, ApiError> {
    match end {
        ReportedEnd::Told(action) => end_report(engine, id, action, expected).await,
        // A reporter that reports its own work as cancelled has already stopped, so the process can end immediately.
        ReportedEnd::Cancelled if is_reported => {
            // The descendants are cancelled first. They get their grace period to stop.
            engine.terminate(id, false, expected).await?;
            ask(engine, id, Action::Force { cause: StopCause::User }, None).await
        }
        ReportedEnd::Cancelled => {
            let answer = engine.terminate(id, false, expected).await?;
            Ok(outcome(engine, answer).await)
        }
    }
}

/// Returns true if the reported end is allowed for the process and has not happened yet.
fn is_awaited(process: &Process, end: &ReportedEnd) -> bool {
    if let State::AwaitingChildren(_) = &process.state {
        return false;
    }
    let told = match end {
        ReportedEnd::Told(_) => true,
        ReportedEnd::Cancelled => false,
    };
    is_under_way(process.status()) && !(told && process.spec.command().is_some())
}

/// Returns true if a process with this status has a current attempt. Reports describe the current attempt.
const fn is_under_way(status: Status) -> bool {
    match status {
        Status::Starting | Status::Running | Status::Paused | Status::Stopping => true,
        Status::Pending
        | Status::Completed
        | Status::Failed
        | Status::Timeout
        | Status::Cancelled
        | Status::Interrupted => false,
    }
}

/// Status change that a reporter requests.
enum ReportedStatus {
    /// The work is still running.
    Running,
    /// The work has ended.
    End(ReportedEnd),
}

/// Way to end the process that a reporter requests.
enum ReportedEnd {
    /// The work completed or failed. The contained action says which.
    Told(Action),
    /// The work was cancelled; all its descendants are cancelled too.
    Cancelled,
}

fn reported_status(word: &str) -> Result<ReportedStatus, ApiError> {
    let status: Status = word.parse().map_err(|error| ApiError::unreadable("status", word, &error))?;
    match status {
        Status::Running => Ok(ReportedStatus::Running),
        Status::Completed => Ok(ReportedStatus::End(ReportedEnd::Told(Action::Complete { result: None }))),
        Status::Failed => {
            let error = "its reporter reported that the work failed".to_owned();
            Ok(ReportedStatus::End(ReportedEnd::Told(Action::Fail { error })))
        }
        Status::Cancelled => Ok(ReportedStatus::End(ReportedEnd::Cancelled)),
        Status::Pending
        | Status::Starting
        | Status::Paused
        | Status::Stopping
        | Status::Timeout
        | Status::Interrupted => {
            Err(ApiError::unreadable("status", word, &"a reporter cannot set this status")
                .help("a reporter can set running, completed, failed and cancelled"))
        }
    }
}
