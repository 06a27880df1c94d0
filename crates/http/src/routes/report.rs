//! What workers tell.

use crate::body::Ask;
use crate::convert::json_text;
use crate::face::Face;
use crate::fault::Fault;
use crate::query::invalid;
use crate::reply::Reply;
use crate::routes::control::ask;
use axum::extract::{Path, State};
use longhaul_domain::{Command, Progress, Report, Stage, Status, StopCause};
use longhaul_wire::api::{CompleteRequest, FailRequest, Outcome, UpdateRequest};

/// The longest error of a reporter, in bytes.
const LONGEST_ERROR: usize = 64 * 1024;

/// `PATCH /v1/processes/{ref}`.
pub(crate) async fn update(
    State(face): State<Face>,
    Path(reference): Path<String>,
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
    let end = request.status.as_deref().map(asked_end).transpose()?.flatten();
    let id = face.engine.find(&reference).await?;
    match end {
        None => ask(&face.engine, id, Command::Progress(report)).await,
        Some(end) => {
            if report != Report::default() {
                ask(&face.engine, id, Command::Progress(report)).await?;
            }
            ask(&face.engine, id, end).await
        }
    }
}

/// `POST /v1/processes/{ref}/complete`.
pub(crate) async fn complete(
    State(face): State<Face>,
    Path(reference): Path<String>,
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
    Path(reference): Path<String>,
    Ask(request): Ask<FailRequest>,
) -> Result<Reply<Outcome>, Fault> {
    if request.error.len() > LONGEST_ERROR {
        return Err(Fault::invalid(
            "error",
            format!("its {} bytes are more than the most, {LONGEST_ERROR}", request.error.len()),
        ));
    }
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::Fail { error: request.error }).await
}

/// The end that a status asks for; none for `running`.
fn asked_end(word: &str) -> Result<Option<Command>, Fault> {
    let status: Status = word.parse().map_err(|error| invalid("status", word, &error))?;
    match status {
        Status::Running => Ok(None),
        Status::Completed => Ok(Some(Command::Complete { result: None })),
        Status::Failed => Ok(Some(Command::Fail { error: "its reporter says that it failed".to_owned() })),
        Status::Cancelled => Ok(Some(Command::Cancel { cause: StopCause::User })),
        Status::Pending
        | Status::Starting
        | Status::Paused
        | Status::Stopping
        | Status::Timeout
        | Status::Interrupted => Err(invalid("status", word, &"a reporter cannot ask for it")
            .help("it can ask for running, completed, failed and cancelled")),
    }
}
