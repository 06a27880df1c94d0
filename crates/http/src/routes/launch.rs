//! Launches.

use crate::body::Ask;
use crate::convert::{launch as read, view};
use crate::face::Face;
use crate::fault::Fault;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_wire::api::{LaunchRequest, Launched};

/// `POST /v1/processes`.
pub(crate) async fn launch(
    State(face): State<Face>,
    Ask(request): Ask<LaunchRequest>,
) -> Result<Reply<Launched>, Fault> {
    let engine = &face.engine;
    let parent = match request.parent_id.as_deref() {
        Some(reference) => Some(engine.find(reference).await?),
        None => None,
    };
    let launch = read(request, parent, engine.now(), &face.defaults)?;
    let launched = engine.launch(launch).await?;
    let answer = Launched { process: view(engine, &launched.stored), created: launched.created };
    Ok(Reply::created(launched.created, answer))
}
