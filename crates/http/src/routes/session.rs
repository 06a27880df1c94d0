//! Sessions.

use crate::body::Ask;
use crate::convert::{graceless, outcomes, session_policy};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::Query;
use crate::reply::Reply;
use crate::routes::list::of_session;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_domain::SessionId;
use longhaul_wire::api::{EndSessionRequest, OutcomesReply, ProcessList};

/// `GET /v1/sessions/{id}`: the list of its processes, live and ended.
pub(crate) async fn show(
    State(face): State<Face>,
    id: Result<Path<String>, PathRejection>,
    query: Query,
) -> Result<Reply<ProcessList>, Fault> {
    of_session(&face.engine, &session(id)?, &query).await
}

/// `POST /v1/sessions/{id}/end`.
pub(crate) async fn end(
    State(face): State<Face>,
    id: Result<Path<String>, PathRejection>,
    Ask(request): Ask<EndSessionRequest>,
) -> Result<Reply<OutcomesReply>, Fault> {
    let session = session(id)?;
    let policy = match (request.policy.as_deref(), request.grace_ms) {
        (Some(word), grace) => Some(session_policy(word, grace, face.defaults.session_grace)?),
        (None, Some(_)) => return Err(graceless()),
        (None, None) => None,
    };
    let told = face.engine.end_session(&session, policy).await?;
    Ok(Reply::ok(outcomes(&face.engine, told).await))
}

fn session(id: Result<Path<String>, PathRejection>) -> Result<SessionId, Fault> {
    match id {
        Ok(Path(text)) => Ok(text.parse()?),
        Err(error) => Err(Fault::invalid("session", error.body_text())),
    }
}
