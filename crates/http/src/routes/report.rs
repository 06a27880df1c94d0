//! What workers tell.

use crate::body::Ask;
use crate::convert::{json_text, note, view};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::invalid;
use crate::reference::Reference;
use crate::reply::Reply;
use crate::routes::control::ask;
use axum::extract::State;
use longhaul_domain::{Command, Note, Process, ProcessId, Progress, Report, Stage, Status, StopCause};
use longhaul_engine::Engine;
use longhaul_wire::api::{CompleteRequest, FailRequest, Outcome, UpdateRequest};

/// The longest error of a reporter, in bytes.
const LONGEST_ERROR: usize = 64 * 1024;

/// `PATCH /v1/processes/{ref}`.
pub(crate) async fn update(
    State(face): State<Face>,
    Reference(reference): Reference,
    Ask(request): Ask<UpdateRequest>,
) -> Result<Reply<Outcome>, Fault> {
    let report = Report {
        progress: request
            .progress
            .map(Progress::from_percent)
            .transpose()
            .map_err(|error| Fault::invalid("progress", error.to_string()))?,
        stage: request.stage.as_deref().map(Stage::new).transpose()?,
    };
    let asked = request.status.as_deref().map(asked).transpose()?;
    let engine = &face.engine;
    let id = engine.find(&reference).await?;
    let process = engine.process(id).await?.process;
    match asked {
        None => told(engine, id, report).await,
        Some(Asked::Running) if is_under_way(process.status()) => told(engine, id, report).await,
        Some(Asked::Running) => Err(Fault::not_running(process.status(), &id.short())),
        Some(Asked::End(end)) => {
            // What is said along with an end that is refused, or is there already, must not be kept.
            if report != Report::default() && is_awaited(&process, &end) {
                ask(engine, id, Command::Progress(report)).await?;
            }
            ask(engine, id, end).await
        }
    }
}

/// Takes in a report; one that says nothing is a sign of life and changes nothing.
async fn told(engine: &Engine, id: ProcessId, report: Report) -> Result<Reply<Outcome>, Fault> {
    let is_empty = report == Report::default();
    let answer = engine.command(id, Command::Progress(report), None).await?;
    let quiet = answer.note.or_else(|| is_empty.then_some(Note::AlreadySo));
    Ok(Reply::ok(Outcome {
        process: view(engine, &answer.stored),
        changed: answer.changed && !is_empty,
        note: quiet.map(note),
    }))
}

/// Whether such an end can come, and has not yet.
fn is_awaited(process: &Process, end: &Command) -> bool {
    let told = matches!(end, Command::Complete { .. } | Command::Fail { .. });
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

/// `POST /v1/processes/{ref}/complete`.
pub(crate) async fn complete(
    State(face): State<Face>,
    Reference(reference): Reference,
    Ask(request): Ask<CompleteRequest>,
) -> Result<Reply<Outcome>, Fault> {
    let result = request
        .result
        .filter(|value| !value.is_null())
        .map(|value| json_text("result", &value))
        .transpose()?;
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::Complete { result }).await
}

/// `POST /v1/processes/{ref}/fail`.
pub(crate) async fn fail(
    State(face): State<Face>,
    Reference(reference): Reference,
    Ask(request): Ask<FailRequest>,
) -> Result<Reply<Outcome>, Fault> {
    if request.error.trim().is_empty() {
        return Err(Fault::invalid("error", "it says nothing")
            .help("give `error`: why the work failed, for whoever looks at it later"));
    }
    if request.error.len() > LONGEST_ERROR {
        return Err(Fault::invalid(
            "error",
            format!("its {} bytes are more than the most, {LONGEST_ERROR}", request.error.len()),
        ));
    }
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::Fail { error: request.error }).await
}

/// What a reporter asks for by a status.
enum Asked {
    /// That it goes on.
    Running,
    /// That it ends so.
    End(Command),
}

fn asked(word: &str) -> Result<Asked, Fault> {
    let status: Status = word.parse().map_err(|error| invalid("status", word, &error))?;
    match status {
        Status::Running => Ok(Asked::Running),
        Status::Completed => Ok(Asked::End(Command::Complete { result: None })),
        Status::Failed => {
            Ok(Asked::End(Command::Fail { error: "its reporter says that it failed".to_owned() }))
        }
        Status::Cancelled => Ok(Asked::End(Command::Cancel { cause: StopCause::User })),
        Status::Pending
        | Status::Starting
        | Status::Paused
        | Status::Stopping
        | Status::Timeout
        | Status::Interrupted => Err(invalid("status", word, &"a reporter cannot ask for it")
            .help("it can ask for running, completed, failed and cancelled")),
    }
}
