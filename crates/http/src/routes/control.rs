//! What is asked of a process.

use crate::body::Ask;
use crate::convert::{outcome, outcomes};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::Expected;
use crate::reference::Reference;
use crate::reply::Reply;
use crate::routes::launch::launched;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use longhaul_domain::{Command, Priority, ProcessId, Revision, StopCause};
use longhaul_engine::{Engine, EngineError};
use longhaul_wire::api::{CancelRequest, Launched, Outcome, PauseRequest, PriorityRequest, RestartRequest};

/// `POST /v1/processes/{ref}/cancel`: with all its descendants, unless it is to be alone.
pub(crate) async fn cancel(
    State(face): State<Face>,
    Reference(reference): Reference,
    Expected(expected): Expected,
    Ask(CancelRequest { force, alone }): Ask<CancelRequest>,
) -> Result<Reply<Outcome>, Fault> {
    let engine = &face.engine;
    let id = engine.find(&reference).await?;
    let cause = StopCause::User;
    let answer = match (alone, force) {
        (false, force) => engine.terminate(id, force, expected).await?,
        (true, true) => engine.command(id, Command::Force { cause }, expected).await?,
        (true, false) => engine.command(id, Command::Cancel { cause }, expected).await?,
    };
    Ok(Reply::ok(outcome(engine, answer).await))
}

/// `POST /v1/processes/{ref}/pause`.
pub(crate) async fn pause(
    State(face): State<Face>,
    Reference(reference): Reference,
    Expected(expected): Expected,
    Ask(PauseRequest { descendants }): Ask<PauseRequest>,
) -> Result<Response, Fault> {
    let engine = &face.engine;
    let id = engine.find(&reference).await?;
    if !descendants {
        return Ok(ask(engine, id, Command::Pause, expected).await?.into_response());
    }
    check_unmoved(engine, id, expected).await?;
    Ok(Reply::ok(outcomes(engine, engine.pause_tree(id).await?).await).into_response())
}

/// `POST /v1/processes/{ref}/resume`.
pub(crate) async fn resume(
    State(face): State<Face>,
    Reference(reference): Reference,
    Expected(expected): Expected,
    Ask(PauseRequest { descendants }): Ask<PauseRequest>,
) -> Result<Response, Fault> {
    let engine = &face.engine;
    let id = engine.find(&reference).await?;
    if !descendants {
        return Ok(ask(engine, id, Command::Resume, expected).await?.into_response());
    }
    check_unmoved(engine, id, expected).await?;
    Ok(Reply::ok(outcomes(engine, engine.resume_tree(id).await?).await).into_response())
}

/// `POST /v1/processes/{ref}/priority`.
pub(crate) async fn priority(
    State(face): State<Face>,
    Reference(reference): Reference,
    Expected(expected): Expected,
    Ask(request): Ask<PriorityRequest>,
) -> Result<Reply<Outcome>, Fault> {
    let engine = &face.engine;
    let priority = match (request.priority, request.first) {
        (Some(priority), false) => Some(Priority::new(priority)?),
        (None, true) => None,
        (Some(_), true) | (None, false) => {
            return Err(Fault::invalid("move", "it has to say exactly one place")
                .help("give `priority`, or `first` to put it before all others of its key"));
        }
    };
    let id = engine.find(&reference).await?;
    if let Some(priority) = priority {
        return ask(engine, id, Command::Prioritize { priority }, expected).await;
    }
    check_unmoved(engine, id, expected).await?;
    Ok(Reply::ok(outcome(engine, engine.move_first(id).await?).await))
}

/// `POST /v1/processes/{ref}/retry`.
pub(crate) async fn retry(
    State(face): State<Face>,
    Reference(reference): Reference,
    Expected(expected): Expected,
) -> Result<Reply<Outcome>, Fault> {
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::RetryNow, expected).await
}

/// `POST /v1/processes/{ref}/restart`.
pub(crate) async fn restart(
    State(face): State<Face>,
    Reference(reference): Reference,
    Expected(expected): Expected,
    Ask(RestartRequest {}): Ask<RestartRequest>,
) -> Result<Reply<Launched>, Fault> {
    let engine = &face.engine;
    let id = engine.find(&reference).await?;
    Ok(launched(engine, &engine.restart(id, expected).await?).await)
}

/// Gives a command to a process and says what came of it.
pub(super) async fn ask(
    engine: &Engine,
    id: ProcessId,
    command: Command,
    expected: Option<Revision>,
) -> Result<Reply<Outcome>, Fault> {
    let answer = engine.command(id, command, expected).await?;
    Ok(Reply::ok(outcome(engine, answer).await))
}

/// Refuses what was decided on another revision, where what is asked is more than one write.
async fn check_unmoved(engine: &Engine, id: ProcessId, expected: Option<Revision>) -> Result<(), Fault> {
    let Some(expected) = expected else { return Ok(()) };
    let found = engine.process(id).await?.revision;
    if found == expected {
        return Ok(());
    }
    Err(EngineError::RevisionMoved { id, found }.into())
}
