//! One process.

use crate::convert::view;
use crate::face::Face;
use crate::fault::Fault;
use crate::reference::Reference;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_wire::api::ProcessView;

/// `GET /v1/processes/{ref}`.
pub(crate) async fn show(
    State(face): State<Face>,
    Reference(reference): Reference,
) -> Result<Reply<ProcessView>, Fault> {
    let id = face.engine.find(&reference).await?;
    let stored = face.engine.process(id).await?;
    Ok(Reply::ok(view(&face.engine, &stored)))
}
