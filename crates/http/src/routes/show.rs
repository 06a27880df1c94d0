//! One process, and what stands around it.

use crate::convert::{self, Depth, views};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::Query;
use crate::reference::Reference;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_wire::api::{ProcessView, ProcessesReply, UsageReply, WhyView};

/// `GET /v1/processes/{ref}`; with `?usage=true` what its tree uses as well.
pub(crate) async fn show(
    State(face): State<Face>,
    Reference(reference): Reference,
    query: Query,
) -> Result<Reply<ProcessView>, Fault> {
    let depth = depth(&query)?;
    let id = face.engine.find(&reference).await?;
    let stored = face.engine.process(id).await?;
    Ok(Reply::ok(convert::view(&face.engine, &stored, depth).await))
}

/// `GET /v1/processes/{ref}/tree`: itself and everything that was ever below it.
pub(crate) async fn tree(
    State(face): State<Face>,
    Reference(reference): Reference,
    query: Query,
) -> Result<Reply<ProcessesReply>, Fault> {
    let depth = depth(&query)?;
    let id = face.engine.find(&reference).await?;
    let tree = face.engine.tree(id).await?;
    Ok(Reply::ok(ProcessesReply { processes: views(&face.engine, &tree, depth).await }))
}

/// `GET /v1/processes/{ref}/usage`.
pub(crate) async fn usage(
    State(face): State<Face>,
    Reference(reference): Reference,
) -> Result<Reply<UsageReply>, Fault> {
    let engine = &face.engine;
    let id = engine.find(&reference).await?;
    let usage = engine.usage(id).await?;
    let stored = engine.process(id).await?;
    Ok(Reply::ok(convert::usage(&stored, usage.as_ref(), engine.now())))
}

/// `GET /v1/processes/{ref}/why`.
pub(crate) async fn why(
    State(face): State<Face>,
    Reference(reference): Reference,
) -> Result<Reply<WhyView>, Fault> {
    let id = face.engine.find(&reference).await?;
    Ok(Reply::ok(convert::why(&face.engine, id).await?))
}

fn depth(query: &Query) -> Result<Depth, Fault> {
    query.only(&["usage"])?;
    Depth::asked(query)
}
