//! One level of one tree, or of all.

use crate::body::Ask;
use crate::convert::outcomes;
use crate::face::Face;
use crate::fault::Fault;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_domain::Level;
use longhaul_wire::api::{CancelLevelRequest, OutcomesReply};

/// `POST /v1/cancel`: ends a level with all that stands below it.
pub(crate) async fn cancel(
    State(face): State<Face>,
    Ask(request): Ask<CancelLevelRequest>,
) -> Result<Reply<OutcomesReply>, Fault> {
    let engine = &face.engine;
    let Some(level) = request.level.map(Level) else {
        return Err(Fault::invalid("cancel", "it names no level")
            .help("give `level`: 0 for roots, 1 for their children, and so on"));
    };
    let tree = match request.tree.as_deref() {
        Some(reference) => Some(engine.find(reference).await?),
        None => None,
    };
    let told = engine.terminate_level(level, tree, request.force).await?;
    Ok(Reply::ok(outcomes(engine, told).await))
}
