//! What is asked of a process.

use crate::body::Ask;
use crate::convert::{note, view};
use crate::face::Face;
use crate::fault::Fault;
use crate::reference::Reference;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_domain::{Command, ProcessId, StopCause};
use longhaul_engine::Engine;
use longhaul_wire::api::{CancelRequest, Launched, Outcome, RestartRequest};

/// `POST /v1/processes/{ref}/cancel`.
pub(crate) async fn cancel(
    State(face): State<Face>,
    Reference(reference): Reference,
    Ask(request): Ask<CancelRequest>,
) -> Result<Reply<Outcome>, Fault> {
    let cause = StopCause::User;
    let command = if request.force { Command::Force { cause } } else { Command::Cancel { cause } };
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, command).await
}

/// `POST /v1/processes/{ref}/pause`.
pub(crate) async fn pause(
    State(face): State<Face>,
    Reference(reference): Reference,
) -> Result<Reply<Outcome>, Fault> {
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::Pause).await
}

/// `POST /v1/processes/{ref}/resume`.
pub(crate) async fn resume(
    State(face): State<Face>,
    Reference(reference): Reference,
) -> Result<Reply<Outcome>, Fault> {
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::Resume).await
}

/// `POST /v1/processes/{ref}/retry`.
pub(crate) async fn retry(
    State(face): State<Face>,
    Reference(reference): Reference,
) -> Result<Reply<Outcome>, Fault> {
    let id = face.engine.find(&reference).await?;
    ask(&face.engine, id, Command::RetryNow).await
}

/// `POST /v1/processes/{ref}/restart`.
pub(crate) async fn restart(
    State(face): State<Face>,
    Reference(reference): Reference,
    Ask(RestartRequest {}): Ask<RestartRequest>,
) -> Result<Reply<Launched>, Fault> {
    let id = face.engine.find(&reference).await?;
    let launched = face.engine.restart(id).await?;
    let answer = Launched { process: view(&face.engine, &launched.stored), created: launched.created };
    Ok(Reply::created(launched.created, answer))
}

/// Gives a command to a process and says what came of it.
pub(super) async fn ask(engine: &Engine, id: ProcessId, command: Command) -> Result<Reply<Outcome>, Fault> {
    let answer = engine.command(id, command, None).await?;
    Ok(Reply::ok(Outcome {
        process: view(engine, &answer.stored),
        changed: answer.changed,
        note: answer.note.map(note),
    }))
}
