//! What workers tell.

use crate::api::Api;
use crate::api::control::ask;
use crate::convert::{json_text, outcome};
use crate::error::ApiError;
use longhaul_domain::{
    Action, NoOpReason, Process, ProcessId, Progress, ProgressReport, Revision, Stage, State, Status,
    StopCause,
};
use longhaul_engine::Engine;
use longhaul_wire::api::{ActionReply, CompleteRequest, FailRequest, UpdateRequest};

/// The longest error of a reporter, in bytes.
const MAX_ERROR_LEN: usize = 64 * 1024;

impl Api {
    /// Stores a progress report of a process.
    ///
    /// # Errors
    /// The report makes no sense, nobody is meant, or the process forbids it.
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
        };
        let asked = request.status.as_deref().map(asked).transpose()?;
        let engine = &self.engine;
        let id = engine.find(reference).await?;
        let process = engine.process(id).await?.process;
        match asked {
            None => told(engine, id, report, expected).await,
            Some(ReportedStatus::Running) if is_under_way(process.status()) => {
                told(engine, id, report, expected).await
            }
            Some(ReportedStatus::Running) => Err(ApiError::not_running(&process)),
            Some(ReportedStatus::End(end)) => {
                let mut expected = expected;
                // What is said along with an end that is refused, or is there already, must not be kept.
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
    /// Nobody is meant, or the process forbids it.
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
        ask(&self.engine, id, Action::Complete { result }, expected).await
    }

    /// Ends reported work as failed.
    ///
    /// # Errors
    /// It says nothing, nobody is meant, or the process forbids it.
    pub async fn fail(
        &self,
        reference: &str,
        request: FailRequest,
        expected: Option<Revision>,
    ) -> Result<ActionReply, ApiError> {
        if request.error.trim().is_empty() {
            return Err(ApiError::invalid("error", "`error` is empty")
                .help("give `error`: the reason why the work failed"));
        }
        if request.error.len() > MAX_ERROR_LEN {
            return Err(ApiError::invalid(
                "error",
                format!("the text has {} bytes; the maximum is {MAX_ERROR_LEN}", request.error.len()),
            ));
        }
        let id = self.engine.find(reference).await?;
        ask(&self.engine, id, Action::Fail { error: request.error }, expected).await
    }
}

/// Takes in a report; one that says nothing is a sign of life and changes nothing.
async fn told(
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
        ReportedEnd::Told(end) => ask(engine, id, end, expected).await,
        // Who reports that its own work was cancelled has ended it: there is nobody else to wait for.
        ReportedEnd::Cancelled if is_reported => {
            // Its descendants are asked first, with their grace.
            engine.terminate(id, false, expected).await?;
            ask(engine, id, Action::Force { cause: StopCause::User }, None).await
        }
        ReportedEnd::Cancelled => {
            let answer = engine.terminate(id, false, expected).await?;
            Ok(outcome(engine, answer).await)
        }
    }
}

/// Whether such an end can come, and has not yet.
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

/// Whether there is anything of an attempt that a report can be about.
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

/// What a reporter asks for by a status.
enum ReportedStatus {
    /// That it goes on.
    Running,
    /// That it ends.
    End(ReportedEnd),
}

/// The end that a reporter asks for.
enum ReportedEnd {
    /// As it says.
    Told(Action),
    /// By a cancel, which reaches all its descendants.
    Cancelled,
}

fn asked(word: &str) -> Result<ReportedStatus, ApiError> {
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
