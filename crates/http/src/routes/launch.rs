//! Launches.

use crate::body::Ask;
use crate::convert::{Depth, launch as read, view};
use crate::face::Face;
use crate::fault::Fault;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_engine::Engine;
use longhaul_wire::api::{LaunchRequest, Launched};

/// `POST /v1/processes`.
pub(crate) async fn launch(
    State(face): State<Face>,
    Ask(request): Ask<LaunchRequest>,
) -> Result<Reply<Launched>, Fault> {
    let engine = &face.engine;
    let parent = match request.parent_id.as_deref() {
        Some(reference) => Some(engine.find(reference).await.map_err(Fault::of_parent)?),
        None => None,
    };
    let launch = read(request, parent, engine.now(), &face.defaults)?;
    Ok(launched(engine, &engine.launch(launch).await?).await)
}

/// The answer to a launch, or to one that runs something again.
pub(super) async fn launched(engine: &Engine, launched: &longhaul_engine::Launched) -> Reply<Launched> {
    let is_over = launched.stored.process.status().is_ended();
    let outcome = match (launched.created, is_over) {
        (true, _) => "created",
        (false, false) => "already_running",
        (false, true) => "already_ended",
    };
    let answer = Launched {
        process: view(engine, &launched.stored, Depth::Records).await,
        created: launched.created,
        outcome: outcome.to_owned(),
    };
    Reply::created(launched.created, answer)
}
